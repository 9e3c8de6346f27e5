/** Two target brokers, one of which takes batches and never answers, on a pool that one of them could fill alone. */
import { expect, test } from 'vitest';
import type { Cluster } from '#kafka/cluster.ts';
import type { FetchedPartition } from '#kafka/fetch.ts';
import type { Fetcher, FetchSubscriber } from '#kafka/fetcher.ts';
import { FramePool, type Frame } from '#kafka/frame.ts';
import type { OutgoingBatch, Producer, ProduceSubscriber } from '#kafka/producer.ts';
import { batchAt, lastOffsetOf } from '#kafka/records/batch-header.ts';
import { patchBatchHeader } from '#kafka/records/header-patch.ts';
import { ManualClock } from '#testing/manual-clock.ts';
import { ModelLog } from '#testing/model-log.ts';
import { PlayedCluster } from '#testing/played-cluster.ts';
import { sourceBatch } from '#testing/source-batches.ts';
import { must } from '#util/assert.ts';
import { DataPath } from './data-path.ts';

const TOPIC_ID = 'AAAAAAAAAAAAAAAAAAAAAQ';
const BATCHES = 40;
const BATCH_BYTES = 400_000;
/** A little more than one fetch asks for. */
const POOL_BYTES = 5 * 1024 * 1024;

interface Held extends OutgoingBatch {
  readonly frame: Frame;
  readonly next: number;
}

/** A partition as a shard is one: it keeps frames until what it took from them is answered. */
class Partition implements FetchSubscriber, ProduceSubscriber<Held> {
  readonly topicId = TOPIC_ID;
  readonly targetTopic = 'orders';
  readonly fetchLeaderEpoch = 0;
  readonly lastFetchedEpoch = -1;
  readonly fetchBytesMax = 2_000_000;
  readonly partition: number;
  position = 0;
  losses = 0;
  readonly producer: Producer;
  readonly #fetcher: Fetcher;
  #fetched = 0;
  #queue: Held[] = [];

  constructor(partition: number, producer: Producer, fetcher: Fetcher) {
    this.partition = partition;
    this.producer = producer;
    this.#fetcher = fetcher;
  }

  get fetchOffset(): number {
    return this.#queue.length > 3 || this.producer.isStalled || this.losses > 0 ? -1 : this.#fetched;
  }

  onFetched(result: FetchedPartition, frame: Frame, askedOffset: number): void {
    if (askedOffset !== this.#fetched || this.producer.isStalled) return;
    for (let at = result.start; ;) {
      const size = batchAt(frame.buffer, at, result.end);
      if (size === 0) return;
      const next = lastOffsetOf(frame.buffer, at) + 1;
      patchBatchHeader(frame.buffer, at, { producerId: 1, producerEpoch: 0, baseSequence: next - 1 }, 0);
      frame.retain();
      this.#queue.push({ frame, next, buffer: frame.buffer, start: at, end: at + size });
      this.#fetched = next;
      at += size;
    }
  }

  takeBatch(): Held | null {
    return this.#queue.shift() ?? null;
  }

  onProduced({ frame, next }: Held): void {
    this.position = next;
    frame.release();
    this.#fetcher.wake();
  }

  onProduceLost({ frame }: Held): void {
    frame.release();
    this.losses++;
  }

  onFetchLost(): void {}

  onProducerLost(): void {
    for (const { frame } of this.#queue.splice(0)) frame.release();
  }
}

async function settled<T>(clock: ManualClock, promise: Promise<T>): Promise<T> {
  await clock.advance(10);
  return promise;
}

test('a broker that stands still takes nothing from the partitions of the others', async () => {
  const clock = new ManualClock();
  const pool = new FramePool({ bytesMax: POOL_BYTES });
  const played = (name: string) =>
    new PlayedCluster({ name, topic: 'orders', topicId: TOPIC_ID, clock, pool, log: new ModelLog() });
  const [source, stuck, live] = [played('source'), played('stuck'), played('live')];
  for (let offset = 0; offset < BATCHES; offset++) {
    const value = Buffer.alloc(BATCH_BYTES, offset);
    source.log.append(sourceBatch({ baseOffset: 0, records: [{ timestamp: 1, key: null, value }] }));
  }
  stuck.onProduce = () => ({ ignore: true });
  const target = { openDedicated: (id: number) => (id === 1 ? stuck : live).openDedicated() } as unknown as Cluster;
  const dataPath = new DataPath({ source: source.cluster, target, clock, pool });
  const partitions: Partition[] = [];
  const fetcher: Fetcher = await settled(clock, dataPath.fetcherOf(1));
  for (const broker of [1, 2]) {
    const producer = await settled(clock, dataPath.producerOf(broker));
    const partition = new Partition(broker - 1, producer, fetcher);
    partitions.push(partition);
    producer.add(partition);
  }
  for (const partition of partitions) fetcher.add(partition);

  await clock.advance(9_000);

  const [stopped, going] = [
    must(partitions[0], 'partition of the stuck broker'),
    must(partitions[1], 'other partition'),
  ];
  expect([stopped.position, stopped.losses, stopped.producer.isStalled]).toEqual([0, 0, true]);
  expect(going.position).toBe(BATCHES);
  expect(pool.bytesInUse).toBeLessThanOrEqual(POOL_BYTES);

  await clock.advance(11_000); // the deadline of the request: what it held is given back, and so is the room that replaced it
  expect(stopped.losses).toBeGreaterThan(0);
  expect(pool.bytesInUse).toBe(0);
  expect(pool.reserve(POOL_BYTES + 1) && pool.reserve(1)).toBe(false);
  dataPath.close();
});
