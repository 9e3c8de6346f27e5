/**
 * The connections on which a job moves data: one fetcher per source broker, one producer per target broker, each on a
 * connection of its own (measured: one connection with many partitions a request beat eight, 0.84 against
 * 1.31 CPU-s/GB). They are made when first asked for, and anew after a loss.
 */
import { Backoff } from '#util/backoff.ts';
import { sleep, type Clock } from '#util/clock.ts';
import type { Cluster } from '#kafka/cluster.ts';
import { Fetcher } from '#kafka/fetcher.ts';
import type { FramePool } from '#kafka/frame.ts';
import type { Connection } from '#kafka/connection.ts';
import { Producer } from '#kafka/producer.ts';
import { TIMES } from './ownership.ts';

const FETCH_BYTES = 4 * 1024 * 1024;
const FETCH_WAIT_MS = 500;
const PRODUCE_BYTES = 4 * 1024 * 1024;
const FETCH_TIMEOUT_MS = 30_000;
/** The broker's own deadline for its replicas is shorter than ours, so that its answer comes before we give up. */
const ACK_TIMEOUT_MS = 7_000;
/** Between attempts to reach a broker that failed. */
const REOPEN_MS = { baseMs: 50, maxMs: 5_000 };

interface Opened<T> {
  readonly connection: Connection;
  readonly value: T;
}

export class DataPath {
  readonly #source: Cluster;
  readonly #target: Cluster;
  readonly #clock: Clock;
  readonly #pool: FramePool;
  readonly #fetchers = new Map<string, Promise<Opened<Fetcher>>>();
  readonly #producers = new Map<string, Promise<Opened<Producer>>>();
  /** When the next attempt to reach a broker may begin. */
  readonly #turns = new Map<string, { readonly backoff: Backoff; notBeforeMs: number }>();
  #closed = false;

  constructor(options: { source: Cluster; target: Cluster; clock: Clock; pool: FramePool }) {
    this.#source = options.source;
    this.#target = options.target;
    this.#clock = options.clock;
    this.#pool = options.pool;
  }

  /** Throws KafkaError when the broker cannot be reached. */
  async fetcherOf(brokerId: number): Promise<Fetcher> {
    const opened = await this.#open(this.#fetchers, this.#source, { brokerId, lane: 0 }, (connection) => {
      return new Fetcher({
        connection,
        clock: this.#clock,
        pool: this.#pool,
        maxWaitMs: FETCH_WAIT_MS,
        minBytes: 1,
        maxBytes: FETCH_BYTES,
        requestTimeoutMs: FETCH_TIMEOUT_MS,
        afterResponse: () => this.#pump(),
      });
    });
    return opened.value;
  }

  /**
   * `lane` 0 is where all partitions write together; those above are connections of their own, for writes that go one at
   * a time. Throws KafkaError when the broker cannot be reached.
   */
  async producerOf(brokerId: number, lane = 0): Promise<Producer> {
    const opened = await this.#open(this.#producers, this.#target, { brokerId, lane }, (connection) => {
      const producer = new Producer({
        connection,
        clock: this.#clock,
        requestBytesMax: PRODUCE_BYTES,
        ackTimeoutMs: ACK_TIMEOUT_MS,
        requestTimeoutMs: TIMES.writeTimeoutMs,
        // What a broker that stands still holds is not given back before it is answered or lost: the others get room anew.
        onStall: () => this.#pool.extend(),
      });
      this.#live.add(producer);
      connection.onClose(() => this.#live.delete(producer));
      return producer;
    });
    return opened.value;
  }

  readonly #live = new Set<Producer>();

  /** Ends every connection; what was in flight is lost to its shards. */
  close(): void {
    this.#closed = true;
    for (const opening of [...this.#fetchers.values(), ...this.#producers.values()]) {
      void opening.then(
        ({ connection }) => connection.close(),
        () => {}, // its shard has been told
      );
    }
  }

  #pump(): void {
    for (const producer of this.#live) producer.pump();
  }

  #open<T>(
    map: Map<string, Promise<Opened<T>>>,
    cluster: Cluster,
    { brokerId, lane }: { readonly brokerId: number; readonly lane: number },
    create: (connection: Connection) => T,
  ): Promise<Opened<T>> {
    const key = `${brokerId} ${lane}`;
    const existing = map.get(key);
    if (existing) return existing;
    const forget = (): void => {
      if (map.get(key) === opening) map.delete(key);
    };
    const opening = this.#openInTurn(cluster, brokerId).then((connection) => {
      connection.onClose(forget);
      if (this.#closed) connection.close();
      try {
        return { connection, value: create(connection) };
      } catch (error) {
        connection.close();
        throw error;
      }
    });
    opening.catch(forget);
    map.set(key, opening);
    return opening;
  }
  /** Partitions try again each for itself; a broker that refuses a login is not asked by each of a thousand. */
  async #openInTurn(cluster: Cluster, brokerId: number): Promise<Connection> {
    const key = `${cluster === this.#source ? 'source' : 'target'} ${brokerId}`;
    const turn = this.#turns.get(key) ?? { backoff: new Backoff(cluster.random, REOPEN_MS), notBeforeMs: 0 };
    this.#turns.set(key, turn);
    const waitMs = turn.notBeforeMs - this.#clock.monotonic();
    if (waitMs > 0) await sleep(this.#clock, waitMs, cluster.closed);
    try {
      const connection = await cluster.openDedicated(brokerId);
      turn.backoff.reset();
      return connection;
    } catch (error) {
      turn.notBeforeMs = this.#clock.monotonic() + turn.backoff.next();
      throw error;
    }
  }
}
