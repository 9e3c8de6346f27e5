/** A server whose disk, database or audit log is in trouble, and whose jobs are paused, resumed and edited without a rest. */
import { execFileSync } from 'node:child_process';
import { closeSync, existsSync, openSync, readSync, renameSync, statSync, writeSync } from 'node:fs';
import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { expect, onTestFinished } from 'vitest';
import { PostgresServer } from '#testing/postgres.ts';
import { temporaryDirectory } from '#testing/supervisor.ts';
import { createTopics } from '#testing/topic-admin.ts';
import { must } from '#util/assert.ts';
import type { Call, ControlServer } from '../acceptance/control-server.ts';
import {
  act,
  addClusters,
  addJob,
  appendTo,
  createServer,
  endOf,
  expectSame,
  expectWholeLog,
  jobOf,
  sharedSides,
  untilCopied,
  untilState,
} from '../acceptance/server-suite.ts';
import { shellIn } from '../acceptance/served-cli.ts';
import { fault, type FaultRun } from './fault.ts';
import { smallDirectory } from './small-disk.ts';

const sides = sharedSides();
/** Room for a database, its write-ahead log and an audit log that begin. */
const DISK_BYTES = 48_000_000;

interface Scene {
  readonly server: ControlServer;
  readonly call: Call;
  /** Of the job. */
  readonly id: string;
  readonly topic: string;
  /** Has so many records written to the source, and waits until they are on the target, whatever the server says of it. */
  copies(records: number): Promise<void>;
  /** What the source has. */
  end(): number;
}

/** A server with a job that has copied 100 records. */
async function running(
  run: FaultRun,
  options: { readonly directory?: string; readonly env?: Readonly<Record<string, string>> } = {},
): Promise<Scene> {
  const topic = run.id;
  await createTopics(sides().source.bootstrap, [{ name: topic, partitions: 1 }]);
  const server = await createServer(options);
  await server.start();
  const call = await server.setUp();
  await addClusters(call, sides());
  const id = await addJob(call, topic, topic);
  await act(call, id, 'start');
  let end = 0;
  const copies = async (records: number): Promise<void> => {
    await appendTo(sides().source, topic, records);
    end += records;
    await server.until(async () => (await endOf(sides().target, topic)) === end, `${end} records are on the target`);
  };
  await copies(100);
  return { server, call, id, topic, copies, end: () => end };
}

/** Changes, until one is refused; what it is answered with. What was allocated before may have room for a few. */
async function refused({ call, id }: Scene): Promise<string> {
  for (let taken = 0; taken < 2_000; taken++) {
    const { status, body } = await call('POST', `/api/v1/jobs/${id}/start`);
    if (status >= 500) return `${status} ${(body as { code: string }).code} after ${taken} others`;
  }
  throw new Error('2,000 changes were taken');
}

async function health({ call }: Scene): Promise<string> {
  const { body } = await call('GET', '/health');
  return (body as { status: string }).status;
}

/** All is well again, everything is there, and the log is whole. */
async function finish(run: FaultRun, scene: Scene): Promise<void> {
  const { server, call, id, topic } = scene;
  const isTaken = async () => (await call('POST', `/api/v1/jobs/${id}/start`)).status === 202;
  await server.until(isTaken, 'changes are taken again');
  await server.until(async () => (await health(scene)) === 'ok', 'it is healthy');
  await scene.copies(100);
  await untilCopied(server, { call, id, end: scene.end() });
  await expectSame(sides(), topic);
  expect(await server.stop()).toBe(0);
  await expectWholeLog(server);
  run.outcome(`identical: ${scene.end()} records; the audit log is whole`);
}

fault(
  { id: 'server-disk-full', title: 'no room for the database and the audit log of a server (F42, F47)' },
  async (run) => {
    const directory = temporaryDirectory('server');
    const disk = must(smallDirectory(directory, DISK_BYTES), 'a small disk; only root may mount');
    onTestFinished(() => disk.remove());
    const scene = await running(run, { directory });
    run.tookEffect(`${disk.kind}: ${disk.fill()}`);
    const answer = await refused(scene);
    await scene.copies(500);
    expect((await jobOf(scene.call, scene.id)).state).toBe('running');
    expect(await health(scene)).not.toBe('ok');
    run.outcome(
      `a change was refused with ${answer}; 500 records were copied meanwhile, the job was seen, and health said so`,
    );
    disk.free();
    await finish(run, scene);
  },
);

fault(
  { id: 'server-writes-refused', title: 'the kernel refuses each write of a server to a file (F47)' },
  async (run) => {
    const scene = await running(run);
    const limit = (bytes: string) =>
      execFileSync('prlimit', [`--pid=${scene.server.pid}`, `--fsize=${bytes}:unlimited`], { stdio: 'pipe' });
    limit('1');
    const answer = await refused(scene);
    run.tookEffect(`writes ended with EFBIG: a change was refused with ${answer}`);
    await scene.copies(500);
    expect((await jobOf(scene.call, scene.id)).state).toBe('running');
    expect(await health(scene)).not.toBe('ok');
    limit('unlimited');
    await finish(run, scene);
  },
);

fault(
  { id: 'server-database-locked', title: 'somebody holds the lock of the database for 60 s (F43)' },
  async (run) => {
    const scene = await running(run);
    const holder = new DatabaseSync(join(scene.server.directory, 'lockstep.db'));
    holder.exec('BEGIN IMMEDIATE');
    const lockedAt = performance.now();
    const answers = new Set<string>();
    while (performance.now() - lockedAt < 60_000) {
      answers.add(await refused(scene));
      await scene.copies(50);
      expect((await jobOf(scene.call, scene.id)).state).toBe('running');
    }
    expect(await health(scene)).not.toBe('ok');
    holder.exec('ROLLBACK');
    holder.close();
    run.tookEffect(`locked for 60 s: changes were refused with ${[...answers].join(', ')}`);
    await finish(run, scene);
  },
);

fault(
  { id: 'server-postgres-lost', title: 'the PostgreSQL of a server is killed, and comes back after 40 s' },
  async (run) => {
    const postgres = await PostgresServer.start();
    onTestFinished(() => postgres.down('SIGKILL'));
    const scene = await running(run, { env: { LOCKSTEP_DATABASE_URL: await postgres.createDatabase('control') } });
    await postgres.down('SIGKILL');
    const lostAt = performance.now();
    const answers = new Set<string>();
    while (performance.now() - lostAt < 40_000) {
      answers.add(await refused(scene));
      await scene.copies(50);
    }
    expect(await health(scene)).not.toBe('ok');
    await postgres.up();
    run.tookEffect(`gone for 40 s: requests were refused with ${[...answers].join(', ')}`);
    await finish(run, scene);
  },
);

fault(
  {
    id: 'server-page-damaged',
    title: 'a page of the database is damaged, and a backup of before more was logged is restored (F44)',
  },
  async (run) => {
    const scene = await running(run);
    const { server, id } = scene;
    expect(await server.stop()).toBe(0);
    const at = ['--server-port', new URL(server.url).port];
    const shell = shellIn(server.directory);
    // Sessions do not come back with a backup.
    const { token } = shell.json(['admin', 'tokens', 'generate', 'ada', ...at]) as { token: string };
    const { file } = shell.json(['admin', 'backup', 'database', 'safe']) as { file: string };
    const call = server.as({ authorization: `Bearer ${token}` });
    await server.start();
    await act(call, id, 'pause'); // the audit log knows of it, the backup does not
    expect(await server.stop()).toBe(0);
    const path = join(server.directory, 'lockstep.db');
    damage(path);
    server.begin();
    expect(await server.ended()).not.toBe(0);
    run.tookEffect(`a start with the damaged file: ${server.describe().trim().split('\n').at(-1)?.slice(0, 200)}`);
    // The advice.
    for (const suffix of ['', '-wal', '-shm'])
      if (existsSync(`${path}${suffix}`)) renameSync(`${path}${suffix}`, `${path}.damaged${suffix}`);
    shell.json(['admin', 'restore', 'database', file, '--yes', ...at]);
    await server.start();
    await untilState(server, { call, id, state: 'running' }); // as the backup knows it
    // Entries are read under the newest checkpoint, which comes a moment after them.
    const isTold = async (): Promise<boolean> => {
      const { body } = await call('GET', '/api/v1/events?action=store.restore');
      return (body as { items: object[] }).items.length > 0;
    };
    await server.until(isTold, 'the log says that there was a restore');
    run.outcome(
      'the damage was found at the start; after the restore the audit log went on, with what the backup did not know',
    );
    await finish(run, { ...scene, call });
  },
);

fault(
  { id: 'job-paused-1000-times', title: 'a job is paused and resumed 1,000 times while records come (F33)' },
  async (run) => {
    const scene = await running(run);
    const { server, call, id } = scene;
    let states = 0;
    let last = '';
    for (let turn = 0; turn < 1_000; turn++) {
      if (turn % 100 === 0) await appendTo(sides().source, scene.topic, 50);
      await act(call, id, turn % 2 === 0 ? 'pause' : 'start');
      const { state } = await jobOf(call, id);
      if (state !== last) states++;
      last = state;
    }
    run.tookEffect(`1,000 changes were taken; ${states} changes of its state were seen`);
    expect(states).toBeGreaterThan(100);
    await act(call, id, 'start');
    const end = await endOf(sides().source, scene.topic);
    await untilCopied(server, { call, id, end });
    await expectSame(sides(), scene.topic);
    expect(await server.stop()).toBe(0);
    await expectWholeLog(server);
    run.outcome(`identical: ${end} records`);
  },
);

fault({ id: 'job-edited-while-it-runs', title: 'a job is edited 30 times while records come (F34)' }, async (run) => {
  const scene = await running(run);
  const { server, call, id, topic } = scene;
  const other = `${topic}-other`;
  await createTopics(sides().source.bootstrap, [{ name: other, partitions: 1 }]);
  const job = { name: topic, source: 'east', target: 'west' };
  let restarts = 0;
  for (let turn = 0; turn < 30; turn++) {
    await appendTo(sides().source, topic, 20);
    await appendTo(sides().source, other, 20);
    const topics = turn % 2 === 0 ? [{ match: topic }, { match: other }] : [{ match: topic }];
    const edited = await call('PUT', `/api/v1/jobs/${id}`, { ...job, topics });
    expect(edited.status, JSON.stringify(edited.body)).toBe(200);
    const since = server.events.length;
    await server.until(() => server.events.length > since, 'the job begins anew');
    restarts++;
  }
  await call('PUT', `/api/v1/jobs/${id}`, { ...job, topics: [{ match: topic }, { match: other }] });
  for (const each of [topic, other]) {
    const end = await endOf(sides().source, each);
    await server.until(async () => (await endOf(sides().target, each)) === end, `${each} is copied`);
    await expectSame(sides(), each);
  }
  run.tookEffect(`30 edits were taken, after each of which the job told that it began anew (${restarts})`);
  expect(await server.stop()).toBe(0);
  await expectWholeLog(server);
  run.outcome(`identical: ${await endOf(sides().source, topic)} and ${await endOf(sides().source, other)} records`);
});

/** Turns 512 bytes of each page but the first around. */
function damage(path: string): void {
  const { size } = statSync(path);
  const file = openSync(path, 'r+');
  try {
    const bytes = Buffer.alloc(512);
    for (let at = 4096; at + 4096 <= size; at += 4096) {
      readSync(file, bytes, 0, bytes.length, at);
      writeSync(
        file,
        bytes.map((byte) => byte ^ 0xff),
        0,
        bytes.length,
        at,
      );
    }
  } finally {
    closeSync(file);
  }
}
