/**
 * One process of a mirror on a machine of its own: everything that reaches it, an answer, a timer, passes through one door,
 * so it can be killed before any of them, stand still for a while, and be cut off, while what it has sent lands, is lost
 * or lands late.
 */
import type { Api } from '#kafka/api.ts';
import type { Cluster, CallOptions } from '#kafka/cluster.ts';
import { openConnection } from '#kafka/connection.ts';
import { ConnectionError, WithheldError } from '#kafka/errors.ts';
import { FramePool } from '#kafka/frame.ts';
import type { TopicMetadata } from '#kafka/metadata.ts';
import type { Clock } from '#util/clock.ts';
import { sleep } from '#util/clock.ts';
import type { ConnectOptions, Network, Socket } from '#util/network.ts';
import type { Random } from '#util/random.ts';
import type { PlayedCluster } from '../played-cluster.ts';
import type { PlayedGroup } from '../played-group.ts';
import { PlayedMachine } from '../played-group.ts';

const READ_BYTES = 64 * 1024;
/** Behind what was written before, as a kernel closes. */
const CLOSE_MS = 5;

/** What becomes of what a killed process has sent and the broker has not read yet. */
export type AfterDeath = 'lands' | 'is lost' | { readonly landsAfterMs: number };

/** What becomes of a typed request: its answer is lost after it took effect, before, or it takes effect later. */
export type CallFate = 'no answer' | 'no effect' | { readonly afterMs: number };

export interface ProcessOptions {
  readonly clock: Clock;
  readonly group: PlayedGroup;
  readonly random: Random;
  /** Null: the request does what it is to. */
  fateOf(name: string): CallFate | null;
}

export class SimulatedProcess {
  readonly machine: PlayedMachine;
  readonly pool = new FramePool({ bytesMax: 64 * 1024 * 1024 });
  readonly #options: ProcessOptions;
  isDead = false;
  #lateMs = 0;
  /** Events that have reached it so far. */
  events = 0;
  /** Called before each event, with its number from 1 on. */
  onEvent: (event: number) => void = () => {};

  constructor(options: ProcessOptions) {
    this.#options = options;
    this.machine = new PlayedMachine(options.clock, options.group, options.random);
    this.machine.onEvent = () => this.onEvent(++this.events);
  }

  /** kill −9, or the loss of its host. */
  kill(after: AfterDeath = 'lands'): void {
    this.isDead = true;
    this.machine.pause('running');
    if (after === 'is lost') this.machine.isCutOff = true;
    else if (after !== 'lands') this.#lateMs = after.landsAfterMs;
  }

  /** A cluster as this process sees it. */
  clusterOf(played: PlayedCluster): Cluster {
    const known = new Map<string, TopicMetadata>();
    const network: Network = { connect: (options) => this.#connect(played, options) };
    const openDedicated = (): ReturnType<Cluster['openDedicated']> =>
      openConnection({
        network,
        clock: this.machine.clock,
        pool: this.pool,
        host: played.name,
        port: 9092,
        clientId: 'simulation',
        connectTimeoutMs: 10_000,
      });
    const cluster = {
      name: played.name,
      clock: this.machine.clock,
      random: this.#options.random,
      requestTimeoutMs: played.requestTimeoutMs,
      closed: played.closed,
      topicOf: (name: string) => known.get(name),
      brokers: () => played.brokers(),
      leaderOf: (topic: string, partition: number) => {
        const leader = known.get(topic)?.partitions[partition]?.leader ?? -1;
        return leader < 0 ? null : leader;
      },
      refresh: async (names: readonly string[]) => {
        const topics = await this.#exchange('Metadata', played.requestTimeoutMs, () => played.refresh());
        for (const topic of topics) known.set(topic.name, topic);
        return topics.filter(({ name }) => names.includes(name));
      },
      connection: openDedicated,
      openDedicated,
      call: (api: Api<unknown, unknown>, request: unknown, options: CallOptions) =>
        this.ask(played, api.name, request, options),
    };
    return cluster as unknown as Cluster;
  }

  async ask(
    played: PlayedCluster,
    name: string,
    request: unknown,
    options: { readonly timeoutMs?: number; readonly mayLeave?: () => boolean },
  ): Promise<unknown> {
    await sleep(this.machine.clock, 1); // another turn of the event loop than that of who asks
    if (options.mayLeave?.() === false) throw new WithheldError(played.name);
    return this.#exchange(name, options.timeoutMs ?? played.requestTimeoutMs, () => played.handle(name, request));
  }

  /** There and back, through what the network does. */
  #exchange<T>(name: string, timeoutMs: number, effect: () => Promise<T>): Promise<T> {
    const { promise, resolve, reject } = Promise.withResolvers<T>();
    const fail = (reason: string): void =>
      reject(new ConnectionError('timeout', name, `${name}: ${reason}`, { definite: false }));
    const cancel = this.machine.clock.schedule(timeoutMs, () => fail('no answer'));
    const lose = (): void => {
      cancel();
      this.#down(1, () => fail('the connection was lost'));
    };
    this.#up(this.#delayMs(), () => {
      const fate = this.#options.fateOf(name);
      if (fate === 'no effect') return lose();
      if (fate !== null && fate !== 'no answer') {
        this.#options.clock.schedule(fate.afterMs, () => void effect());
        return lose();
      }
      void effect().then((answer) => {
        if (fate === 'no answer') return lose();
        this.#down(this.#delayMs(), () => {
          cancel();
          resolve(answer);
        });
      });
    });
    return promise;
  }

  #delayMs(): number {
    const [least, most] = this.machine.delayMs;
    return least + Math.floor(this.#options.random.next() * (most - least));
  }

  /** To the broker; of a host that died while it was on its way, what `kill` says. */
  #up(delayMs: number, arrive: () => void): void {
    this.#options.clock.schedule(delayMs, () => {
      if (this.machine.isCutOff) return;
      if (this.#lateMs > 0) this.#options.clock.schedule(this.#lateMs, arrive);
      else arrive();
    });
  }

  #down(delayMs: number, arrive: () => void): void {
    this.#options.clock.schedule(delayMs, () => {
      if (!this.machine.isCutOff) this.machine.happen(arrive);
    });
  }

  /** In order on each connection; what was lost while it was cut off is missing for ever. */
  #connect(played: PlayedCluster, options: ConnectOptions): Socket {
    const delayMs = this.#delayMs();
    const room = Buffer.alloc(READ_BYTES);
    let isBroken = false;
    let isClosed = false;
    const intact = (event: () => void) => (): void => {
      isBroken ||= this.machine.isCutOff;
      if (!isBroken) event();
    };
    const up = (event: () => void, more = 0): void => {
      this.#options.clock.schedule(
        delayMs + more,
        intact(() => {
          if (this.#lateMs > 0) this.#options.clock.schedule(this.#lateMs, event);
          else event();
        }),
      );
    };
    const down = (event: () => void): void =>
      void this.#options.clock.schedule(
        delayMs,
        intact(() => this.machine.happen(() => void (isClosed || event()))),
      );
    const close = (error: Error | null): void => {
      if (isClosed) return;
      isClosed = true;
      options.onClose(error);
    };
    const { promise: connected, resolve: connect } = Promise.withResolvers<Socket>();
    up(() => {
      const socket = played.connect({
        ...options,
        buffer: () => room,
        onConnect: () => down(() => options.onConnect()),
        onDrain: () => {},
        onRead: (count) => {
          const bytes = Buffer.from(room.subarray(0, count));
          down(() => read(bytes));
        },
        onClose: (error) => down(() => close(error)),
      });
      connect(socket);
    });
    const read = (bytes: Buffer): void => {
      for (let at = 0; at < bytes.length && !isClosed;) {
        const place = options.buffer();
        const count = Math.min(place.length, bytes.length - at);
        place.set(bytes.subarray(at, at + count));
        options.onRead(count);
        at += count;
      }
    };
    return {
      write: (chunks) => {
        const copy = chunks.map((chunk) => Buffer.from(chunk));
        up(() => void connected.then((socket) => socket.write(copy)));
        return true;
      },
      pause: () => {},
      resume: () => {},
      destroy: () => {
        up(() => void connected.then((socket) => socket.destroy()), CLOSE_MS);
        this.machine.clock.schedule(0, () => close(null));
      },
    };
  }
}
