/** One Apache Kafka broker (KRaft, combined with a controller) as a JVM process that tests kill, stop and restart. */
import type { ChildProcess } from 'node:child_process';
import { closeSync, existsSync, openSync, readFileSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { assert, must } from '#util/assert.ts';
import { countKill } from './kills.ts';
import { readBrokerIds } from './broker-ready.ts';
import { jvmEnvironment, jvmFlags, kafkaClassPath, kafkaHome } from './kafka-home.ts';
import type { JvmProfile, KafkaVersion } from './kafka-home.ts';
import { processCpuSeconds, processMemory, processState, waitUntil } from './process-stat.ts';
import { spawnSupervised } from './supervisor.ts';

/**
 * The last thing that a broker says of its start (KafkaRaftServer.startup), when all its listeners are bound. An answer
 * proves less: the first listener answers before the last one is bound (SocketServer.enableRequestProcessing), and
 * a broker that has lost its port to another one lives on for a while, during which that one answers.
 */
const startedMessage = 'Kafka Server started';
const readyTimeoutMs = 90_000; // a loaded 2-core machine that starts 6 brokers at once needed 25 s
const stopTimeoutMs = 60_000; // the last of three waits 5 s for a quorum that is gone

export interface BrokerOptions {
  readonly version: KafkaVersion;
  readonly id: number;
  readonly port: number;
  /** Holds data/, server.properties and broker.log. */
  readonly directory: string;
  readonly properties: Readonly<Record<string, string>>;
  readonly profile: JvmProfile;
  readonly heapMb: number;
  /** More JVM flags. */
  readonly jvm: readonly string[];
  /** Behind Kafka's own jars. */
  readonly classPath: readonly string[];
}

/** The broker ended before it served. `portTaken`: another program has one of its ports. */
export class BrokerStartError extends Error {
  override name = 'BrokerStartError';
  readonly portTaken: boolean;

  constructor(message: string, portTaken: boolean) {
    super(message);
    this.portTaken = portTaken;
  }
}

export class KafkaBroker {
  readonly id: number;
  readonly port: number;
  readonly dataDir: string;
  readonly logFile: string;
  readonly #options: BrokerOptions;
  #properties: Record<string, string>;
  #process: ChildProcess | null = null;
  #exited: Promise<void> = Promise.resolve();

  constructor(options: BrokerOptions) {
    this.#options = options;
    this.#properties = { ...options.properties };
    this.id = options.id;
    this.port = options.port;
    this.dataDir = join(options.directory, 'data');
    this.logFile = join(options.directory, 'broker.log');
  }

  /** The process id of the running broker. */
  get pid(): number {
    assert(this.#process?.pid !== undefined, `broker ${this.id} is running`);
    return this.#process.pid;
  }

  isRunning(): boolean {
    return this.#process !== null;
  }

  /** As of the next start. */
  property(name: string): string {
    return must(this.#properties[name], `property ${name}`);
  }

  /** Properties of the next start, over those of the last one. */
  configure(properties: Readonly<Record<string, string>>): void {
    Object.assign(this.#properties, properties);
  }

  /**
   * Starts on the same data and port as before; resolves when the broker answers Metadata and lists `expected`
   * (itself) among the live brokers. A broker of three needs a second one to come up, and one with thousands of partitions
   * minutes to open their logs.
   */
  async start(
    expected: readonly number[] = [this.id],
    { timeoutMs = readyTimeoutMs }: { readonly timeoutMs?: number } = {},
  ): Promise<void> {
    assert(this.#process === null, `broker ${this.id} is not running yet`);
    const logStart = existsSync(this.logFile) ? statSync(this.logFile).size : 0;
    const child = this.#spawn();
    this.#process = child;
    this.#exited = new Promise((resolve) => {
      const end = (): void => {
        if (this.#process === child) this.#process = null;
        resolve();
      };
      child.once('exit', end);
      child.once('error', end);
    });
    const what = (): string => `broker ${this.id} serves and lists ${expected.join(', ')}\n${this.logTail()}`;
    const isServing = (): Promise<boolean> => this.#isServing(child, { logStart, expected });
    await waitUntil(isServing, what, { timeoutMs });
  }

  /** SIGKILL. Resolves when the process is gone. */
  async kill(): Promise<void> {
    if (this.#process?.kill('SIGKILL')) countKill();
    await this.#exited;
  }

  /** SIGTERM: a controlled shutdown. Resolves when the process is gone; throws when it does not go. */
  async stop(): Promise<void> {
    this.#process?.kill('SIGTERM');
    await waitUntil(() => this.#process === null, `broker ${this.id} shuts down`, { timeoutMs: stopTimeoutMs });
  }

  /** A controlled shutdown, then a start with `properties` over the present ones. */
  async restart(options: { properties?: Readonly<Record<string, string>> } = {}): Promise<void> {
    await this.stop();
    this.configure(options.properties ?? {});
    await this.start();
  }

  /** SIGSTOP: connections stay open and nothing answers. Resolves when the process stands still. */
  async pause(): Promise<void> {
    process.kill(this.pid, 'SIGSTOP');
    await waitUntil(() => processState(this.pid) === 'T', `broker ${this.id} is paused`);
  }

  /** SIGCONT. Resolves when the process runs again, not when its clients have noticed. */
  async resume(): Promise<void> {
    process.kill(this.pid, 'SIGCONT');
    await waitUntil(() => processState(this.pid) !== 'T', `broker ${this.id} is resumed`);
  }

  /** CPU time of the running process, user and system, all threads. */
  cpuSeconds(): number {
    return processCpuSeconds(this.pid);
  }

  rssBytes(): number {
    return processMemory(this.pid).rssBytes;
  }

  /** The last lines that the broker wrote, for failure messages. */
  logTail(linesMax = 30): string {
    const lines = existsSync(this.logFile) ? readFileSync(this.logFile, 'utf8').trimEnd().split('\n') : [];
    return [`--- broker ${this.id} (port ${this.port}), ${this.logFile}`, ...lines.slice(-linesMax)].join('\n');
  }

  #spawn(): ChildProcess {
    const { directory, version, profile, heapMb } = this.#options;
    const propertiesFile = join(directory, 'server.properties');
    const lines = Object.entries(this.#properties).map(([name, value]) => `${name}=${value}\n`);
    writeFileSync(propertiesFile, lines.join(''));
    const archive = join(kafkaHome(version), 'archive', 'broker.jsa');
    const flags = [...jvmFlags(profile, heapMb, { directory, archive }), ...this.#options.jvm];
    const log = openSync(this.logFile, 'a');
    try {
      const classPath = [kafkaClassPath(version), ...this.#options.classPath].join(':');
      return spawnSupervised('java', [...flags, '-cp', classPath, 'kafka.Kafka', propertiesFile], {
        cwd: directory,
        env: jvmEnvironment(),
        stdio: ['ignore', log, log],
      });
    } finally {
      closeSync(log);
    }
  }

  async #isServing(
    child: ChildProcess,
    { logStart, expected }: { readonly logStart: number; readonly expected: readonly number[] },
  ): Promise<boolean> {
    if (this.#process !== child) {
      const tail = this.logTail();
      throw new BrokerStartError(
        `Kafka broker ${this.id} ended while it started\n${tail}`,
        tail.includes('Address already in use'),
      );
    }
    if (!readFileSync(this.logFile).subarray(logStart).includes(startedMessage)) return false;
    try {
      const ids = await readBrokerIds(this.port, 1000);
      return expected.every((id) => ids.includes(id));
    } catch {
      return false; // refused, or not answering yet
    }
  }
}
