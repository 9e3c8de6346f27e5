/** A PostgreSQL server of its own for a test file: on a free port of 127.0.0.1, gone with the runner however it ends. */
import { execFileSync } from 'node:child_process';
import type { ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { chmodSync, chownSync, existsSync, globSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import pg from 'pg';
import { must } from '#util/assert.ts';
import { freePorts } from './free-ports.ts';
import { spawnSupervised, temporaryDirectory } from './supervisor.ts';

const READY_MS = 60_000;
const PACKAGE = 'postgresql';

/** Nothing of it has to outlive a power cut; what is committed outlives a kill. */
const SETTINGS = [
  'listen_addresses=127.0.0.1',
  'unix_socket_directories=',
  'fsync=off',
  'full_page_writes=off',
  'shared_buffers=16MB',
  'max_connections=60',
];

export class PostgresServer {
  readonly #bin: string;
  readonly #directory: string;
  readonly #port: number;
  #process: ChildProcess | null = null;

  private constructor(bin: string, directory: string, port: number) {
    this.#bin = bin;
    this.#directory = directory;
    this.#port = port;
  }

  static async start(): Promise<PostgresServer> {
    const bin = findBinaries() ?? installBinaries();
    const directory = temporaryDirectory('postgres');
    const [port] = await freePorts(1);
    const server = new PostgresServer(bin, join(directory, 'data'), must(port, 'free port'));
    const { uid, gid } = owner();
    chmodSync(dirname(directory), 0o711); // of the run: another user has to come through
    if (uid !== undefined && gid !== undefined) chownSync(directory, uid, gid);
    const options = [
      '-D',
      server.#directory,
      '-A',
      'trust',
      '-U',
      'lockstep',
      '--no-sync',
      '--locale=C.UTF-8',
      '-E',
      'UTF8',
    ];
    execFileSync(join(bin, 'initdb'), options, { uid, gid, stdio: ['ignore', 'ignore', 'pipe'], cwd: directory });
    await server.up();
    return server;
  }

  /** Tables and logs of all its databases are in here. */
  get dataDirectory(): string {
    return this.#directory;
  }

  /** Of a database, which `createDatabase` makes. */
  url(database = 'postgres'): string {
    return `postgres://lockstep@127.0.0.1:${this.#port}/${database}`;
  }

  /** `template`: whose tables it begins with; nobody is connected to that one meanwhile. */
  async createDatabase(name: string, template = 'template1'): Promise<string> {
    await this.run(`create database "${name}" template "${template}"`);
    return this.url(name);
  }

  /** One statement on a connection of its own. */
  async run(statement: string, database = 'postgres'): Promise<void> {
    const client = new pg.Client({ connectionString: this.url(database) });
    await client.connect();
    try {
      await client.query(statement);
    } finally {
      await client.end();
    }
  }

  /** Starts it, or starts it again; resolves when it answers. */
  async up(): Promise<void> {
    const { uid, gid } = owner();
    const settings = [...SETTINGS, `port=${this.#port}`].flatMap((setting) => ['-c', setting]);
    this.#process = spawnSupervised(join(this.#bin, 'postgres'), ['-D', this.#directory, ...settings], {
      stdio: 'ignore',
      cwd: this.#directory,
      ...(uid === undefined ? {} : { uid, gid }),
    });
    const deadline = performance.now() + READY_MS;
    for (;;) {
      try {
        return await this.run('select 1');
      } catch (error) {
        if (performance.now() > deadline || this.#process.exitCode !== null) throw error;
        await sleep(50);
      }
    }
  }

  /** SIGINT ends its connections and stops it in order, SIGKILL does not. */
  async down(signal: 'SIGINT' | 'SIGKILL'): Promise<void> {
    const process = must(this.#process, 'running server');
    this.#process = null;
    process.kill(signal);
    if (process.exitCode === null && process.signalCode === null) await once(process, 'exit');
  }
}

/** It refuses to run as root. */
function owner(): { uid?: number; gid?: number } {
  if (process.getuid?.() !== 0) return {};
  const id = (flag: string): number => Number(execFileSync('id', [flag, 'postgres'], { encoding: 'utf8' }));
  return { uid: id('-u'), gid: id('-g') };
}

/** The newest version that is installed; Debian does not put it on the PATH. */
function findBinaries(): string | null {
  const found = globSync('/usr/lib/postgresql/*/bin').filter((bin) => existsSync(join(bin, 'initdb')));
  const versionOf = (bin: string): number => Number(/postgresql\/(\d+)/.exec(bin)?.[1]);
  return found.toSorted((a, b) => versionOf(b) - versionOf(a))[0] ?? null;
}

function installBinaries(): string {
  const command = `apt-get install -y --no-install-recommends ${PACKAGE}`;
  if (process.getuid?.() !== 0) throw new Error(`PostgreSQL is missing; on Debian: sudo ${command}`);
  const env = { ...process.env, DEBIAN_FRONTEND: 'noninteractive' };
  const [program = '', ...args] = command.split(' ');
  execFileSync(program, ['update', '-qq'], { env, stdio: ['ignore', 'ignore', 'pipe'] });
  execFileSync(program, args, { env, stdio: ['ignore', 'ignore', 'pipe'] });
  return must(findBinaries(), 'PostgreSQL, which was just installed');
}
