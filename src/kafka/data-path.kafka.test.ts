/**
 * Fetcher and producer between two real brokers, with a journal of their requests: what a broker asks for is obeyed, what
 * is in flight is bounded, and who is idle learns that a connection is gone.
 */
import { describe, expect, test } from 'vitest';
import { RecordingNetwork, type ConnectionJournal } from '#testing/recording-network.ts';
import { sharedClusters } from '#testing/shared-clusters.ts';
import { createTopics, runAdmin } from '#testing/topic-admin.ts';
import { assert, must } from '#util/assert.ts';
import { systemClock } from '#util/host.ts';
import { createRandom } from '#util/random.ts';
import { Cluster } from './cluster.ts';
import type { Connection } from './connection.ts';
import type { ConnectionError } from './errors.ts';
import type { FetchedPartition } from './fetch.ts';
import { Fetcher, type FetchSubscriber } from './fetcher.ts';
import { type Frame, FramePool } from './frame.ts';
import { LATEST, listOffsets } from './offsets.ts';
import type { ProduceResult } from './produce.ts';
import { Producer, type OutgoingBatch, type ProduceSubscriber } from './producer.ts';
import { ATTRIBUTE_LOG_APPEND_TIME, baseOffsetOf, batchAt, lastOffsetOf } from './records/batch-header.ts';
import { patchBatchHeader } from './records/header-patch.ts';
import { appendRecords } from './simple-log.ts';

const PARTITIONS = 4;
const RECORD_BYTES = 250_000;
const FETCH_BYTES = 1024 * 1024;
const QUOTA_BYTES_PER_SECOND = 400_000;

/** Longer than a pause or a standstill of the other tests may be on a loaded machine. */
const IDLE_MS = 8_000;
/** On a machine where everything else runs too. */
const LIMIT_MS = 60_000;
const short = {
  'quota.window.num': '2',
  'quota.window.size.seconds': '1',
  // The records are of 2023, and the first look for what is older than a week comes 30 s after the start (LogManager).
  'log.retention.ms': '-1',
};
const clusters = sharedClusters({
  source: { properties: short },
  target: { properties: { ...short, 'connections.max.idle.ms': String(IDLE_MS) } },
});

interface Outgoing extends OutgoingBatch {
  readonly frame: Frame;
  readonly baseOffset: number;
}

/** One partition copied as it is. */
class Relay implements FetchSubscriber, ProduceSubscriber<Outgoing> {
  readonly topicId: string;
  readonly targetTopic: string;
  readonly partition: number;
  readonly fetchLeaderEpoch = -1;
  readonly lastFetchedEpoch = -1;
  readonly fetchBytesMax = FETCH_BYTES;
  fetchOffset = 0;
  copied = 0;
  readonly problems: string[] = [];
  readonly lost: ConnectionError[] = [];
  readonly #queue: Outgoing[] = [];

  constructor(topicId: string, targetTopic: string, partition: number) {
    this.topicId = topicId;
    this.targetTopic = targetTopic;
    this.partition = partition;
  }

  onFetched(result: FetchedPartition, frame: Frame): void {
    if (result.errorCode !== 0) this.problems.push(`fetch ${result.errorCode}`);
    for (let at = result.start; ;) {
      const size = batchAt(frame.buffer, at, result.end);
      if (size === 0) return;
      const baseOffset = baseOffsetOf(frame.buffer, at);
      this.fetchOffset = lastOffsetOf(frame.buffer, at) + 1;
      patchBatchHeader(
        frame.buffer,
        at,
        { producerId: -1, producerEpoch: -1, baseSequence: -1 },
        ATTRIBUTE_LOG_APPEND_TIME,
      );
      frame.retain();
      this.#queue.push({ frame, baseOffset, buffer: frame.buffer, start: at, end: at + size });
      at += size;
    }
  }

  onFetchLost(error: Error): void {
    this.problems.push(error.message);
  }

  takeBatch(): Outgoing | null {
    return this.#queue.shift() ?? null;
  }

  onProduced(batch: Outgoing, result: ProduceResult): void {
    if (result.errorCode !== 0 || result.baseOffset !== batch.baseOffset)
      this.problems.push(`produce ${result.errorCode} @${result.baseOffset}`);
    this.copied = batch.baseOffset + 1; // one record each
    batch.frame.release();
  }

  onProduceLost(batch: Outgoing, error: ConnectionError): void {
    this.problems.push(error.message);
    batch.frame.release();
  }

  onProducerLost(error: ConnectionError): void {
    this.lost.push(error);
  }
}

class Copy {
  readonly network = new RecordingNetwork();
  readonly pool: FramePool;
  readonly source: Cluster;
  readonly target: Cluster;
  readonly relays: Relay[] = [];
  bytesMost = 0;
  readonly #topic: string;
  #connections: Connection[] = [];

  constructor(topic: string, options: { bytesMax: number }) {
    this.#topic = topic;
    this.pool = new FramePool(options);
    this.source = this.#cluster('source');
    this.target = this.#cluster('target');
    this.network.onBytes = () => {
      this.bytesMost = Math.max(this.bytesMost, this.pool.bytesInUse);
    };
  }

  #cluster(name: 'source' | 'target'): Cluster {
    const { network, pool } = this;
    return new Cluster({
      name,
      bootstrap: clusters(name).bootstrap,
      network,
      clock: systemClock,
      random: createRandom(1),
      pool,
    });
  }

  /** `beforeFetch` runs when all connections stand and nothing has been asked for. */
  async start(beforeFetch: () => Promise<void> = async () => {}): Promise<void> {
    await Promise.all([this.source.connect(), this.target.connect()]);
    const [[topic]] = await Promise.all([this.source.refresh([this.#topic]), this.target.refresh([this.#topic])]);
    const [from, to] = await Promise.all([this.source.openDedicated(1), this.target.openDedicated(1)]);
    this.#connections = [from, to];
    await beforeFetch();
    const producer = new Producer({
      connection: to,
      clock: systemClock,
      requestBytesMax: FETCH_BYTES,
      ackTimeoutMs: 20_000,
      requestTimeoutMs: 30_000,
      onStall: () => () => {},
    });
    const fetcher = new Fetcher({
      connection: from,
      clock: systemClock,
      pool: this.pool,
      maxWaitMs: 100,
      minBytes: 1,
      maxBytes: FETCH_BYTES,
      requestTimeoutMs: 30_000,
      afterResponse: () => producer.pump(),
    });
    for (let partition = 0; partition < PARTITIONS; partition++) {
      const relay = new Relay(must(topic, 'topic').topicId, this.#topic, partition);
      this.relays.push(relay);
      producer.add(relay);
      fetcher.add(relay);
    }
  }

  stop(): void {
    for (const connection of this.#connections) connection.close();
    this.source.close();
    this.target.close();
  }

  describe(): string {
    const relays = this.relays.map(({ fetchOffset, copied, lost }) => `${fetchOffset}→${copied} lost ${lost.length}`);
    const last = (['source', 'target'] as const).flatMap((name) => this.journal(name).entries.slice(-4));
    return `${relays.join(', ')}; ${this.pool.bytesInUse} bytes in use; ${JSON.stringify(last)}; ${this.problems().join()}`;
  }

  problems(): string[] {
    return this.relays.flatMap(({ problems }) => problems);
  }

  /** The data connection to one side. */
  journal(name: 'source' | 'target'): ConnectionJournal {
    const port = clusters(name).brokers[0]!.port;
    const api = name === 'source' ? 'Fetch' : 'Produce';
    return must(
      this.network.connections.find((each) => each.port === port && each.entries.some((entry) => entry.api === api)),
      `journal of ${name}`,
    );
  }

  bytes(name: 'source' | 'target', kind: 'request' | 'response'): number {
    return this.journal(name).entries.reduce((sum, entry) => sum + (entry.kind === kind ? entry.bytes : 0), 0);
  }
}

async function write(topic: string, recordsPerPartition: number): Promise<void> {
  await createTopics(clusters('source').bootstrap, [{ name: topic, partitions: PARTITIONS }]);
  await createTopics(clusters('target').bootstrap, [{ name: topic, partitions: PARTITIONS }]);
  await append(topic, recordsPerPartition);
}

async function append(topic: string, recordsPerPartition: number): Promise<void> {
  const copy = new Copy(topic, { bytesMax: 2 ** 30 });
  await copy.source.connect();
  const value = Buffer.alloc(RECORD_BYTES, 'x');
  const appendAll = async (_: unknown, partition: number): Promise<void> => {
    for (let i = 0; i < recordsPerPartition; i++) {
      await appendRecords(copy.source, {
        topic,
        partition,
        records: [{ key: null, value, timestamp: 1_700_000_000_000 + i }],
      });
    }
  };
  await Promise.all(Array.from({ length: PARTITIONS }, appendAll));
  copy.stop();
}

async function until(copy: Copy, condition: () => boolean, what: string): Promise<void> {
  const deadline = performance.now() + LIMIT_MS;
  while (!condition()) {
    if (performance.now() >= deadline) assert(false, `${what} within ${LIMIT_MS} ms; ${copy.describe()}`);
    await new Promise((resolve) => setTimeout(resolve, 5));
  }
}

async function endsOf(cluster: Cluster, topic: string): Promise<number[]> {
  const queries = Array.from({ length: PARTITIONS }, (_, partition) => ({ topic, partition, timestamp: LATEST }));
  return (await listOffsets(cluster, queries)).map(({ offset }) => offset);
}

/** Requests that left before the pause was over that the response before them had asked for. */
function early({ entries }: ConnectionJournal): string[] {
  const found: string[] = [];
  let until = 0;
  for (const entry of entries) {
    if (entry.kind === 'response') until = Math.max(until, entry.atMs + entry.throttleTimeMs);
    else if (entry.atMs < until - 1) found.push(`${entry.api} ${Math.round(until - entry.atMs)} ms early`);
  }
  return found;
}

describe('throttle_time_ms', () => {
  test.each([
    ['source', 'consumer_byte_rate', 'Fetch'],
    ['target', 'producer_byte_rate', 'Produce'],
  ] as const)('of the %s under %s: no request is sent while it lasts', async (side, quota, api) => {
    const topic = `throttled-${side}`;
    await write(topic, 3);
    await runAdmin(clusters(side).bootstrap, [{ setQuotas: { [quota]: QUOTA_BYTES_PER_SECOND } }]);
    const copy = new Copy(topic, { bytesMax: 16 * 1024 * 1024 });
    try {
      await copy.start();
      await until(copy, () => copy.relays.every(({ copied }) => copied === 3), 'everything is copied');
      expect(copy.problems()).toEqual([]);
      const pauses = copy.journal(side).entries.filter((entry) => entry.api === api && entry.throttleTimeMs > 0);
      expect(pauses.length).toBeGreaterThan(0); // else nothing was proved
      expect(pauses.reduce((sum, { throttleTimeMs }) => sum + throttleTimeMs, 0)).toBeGreaterThan(500);
      expect(early(copy.journal(side))).toEqual([]);
      expect(copy.pool.bytesInUse).toBe(0);
    } finally {
      copy.stop();
      await runAdmin(clusters(side).bootstrap, [{ setQuotas: { [quota]: null } }]);
    }
  });
});

test('bytes in flight stay within their bound while the target stands still, and the copy goes on behind it', async () => {
  const topic = 'bounded';
  const bytesMax = 6 * FETCH_BYTES;
  await write(topic, 25); // 25 MB
  const copy = new Copy(topic, { bytesMax });
  const broker = clusters('target').brokers[0]!;
  try {
    await copy.start(() => broker.pause()); // later, a fast copy may be over before the broker stands still
    const fetches = (): number => copy.journal('source').entries.length;
    let seen = -1;
    let stillSince = performance.now();
    await until(
      copy,
      () => {
        if (fetches() !== seen) stillSince = performance.now();
        seen = fetches();
        return performance.now() - stillSince > 1_000;
      },
      'nothing more is fetched',
    );
    expect(copy.pool.bytesInUse).toBeGreaterThan(bytesMax - 2 * FETCH_BYTES); // it is full, not idle
    expect(copy.relays.every(({ fetchOffset }) => fetchOffset === 25)).toBe(false);

    await broker.resume();
    await until(copy, () => copy.relays.every(({ copied }) => copied === 25), 'everything is copied');

    expect(copy.problems()).toEqual([]);
    expect(copy.bytesMost).toBeLessThanOrEqual(bytesMax);
    expect(await endsOf(copy.target, topic)).toEqual([25, 25, 25, 25]);
    expect(copy.bytes('target', 'request')).toBeGreaterThan(100 * RECORD_BYTES);
    expect(copy.pool.bytesInUse).toBe(0);
  } finally {
    await broker.resume();
    copy.stop();
  }
});

test('a connection that the broker closes because it is idle is told to every partition, once', async () => {
  const topic = 'idle';
  await write(topic, 1);
  const copy = new Copy(topic, { bytesMax: 16 * 1024 * 1024 });
  try {
    await copy.start();
    await until(copy, () => copy.relays.every(({ copied }) => copied === 1), 'everything is copied');

    await until(copy, () => copy.relays.every(({ lost }) => lost.length > 0), 'the loss is told');

    expect(copy.relays.map(({ lost }) => lost.map(({ failure }) => failure))).toEqual(
      copy.relays.map(() => ['closed']),
    );
    expect(copy.problems()).toEqual([]); // nothing was in flight
  } finally {
    copy.stop();
  }
});
