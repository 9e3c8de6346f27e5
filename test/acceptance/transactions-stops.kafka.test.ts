/**
 * Transactions that are open on the target while the mirror is down: a stop ends those that the source ends, names the others,
 * and a start goes on with them, also where the source has compacted away what they began with.
 */
import { expect, onTestFinished, test } from 'vitest';
import type { RunEvent } from '#contract/status.ts';
import type { Cluster } from '#kafka/cluster.ts';
import type { BrokerError } from '#kafka/errors.ts';
import { Producer } from '#kafka/producer.ts';
import { BatchWriter } from '#kafka/records/batch-writer.ts';
import { leaderOf } from '#kafka/retry.ts';
import { awaitPartitions } from '#kafka/topics.ts';
import {
  addToTransaction,
  describeTransactions,
  endTransaction,
  initTransactionalId,
  listTransactions,
  type ProducerIdentity,
} from '#kafka/transactions.ts';
import { expectIdentical } from '#testing/checker/verify-mirror.ts';
import { openCluster } from '#testing/open-cluster.ts';
import { waitUntil } from '#testing/process-stat.ts';
import { RawReader } from '#testing/raw-reader.ts';
import { sharedClusters } from '#testing/shared-clusters.ts';
import { createTopics, runAdmin } from '#testing/topic-admin.ts';
import { systemClock } from '#util/host.ts';
import { assert, must } from '#util/assert.ts';
import { writeLink } from './link-file.ts';
import { LockstepProcess, runUntilCaughtUp, told } from './lockstep-process.ts';

/** The target is one where partitions are added to transactions by a request of its own. */
const cluster = sharedClusters({ source: { version: '4.3.1' }, target: { version: '3.9.1' } });
const bootstrapOf = (side: 'source' | 'target'): readonly string[] => cluster(side).bootstrap;

/** A producer of the source that is told step by step when to write and to end. */
class StepProducer {
  readonly #cluster: Cluster;
  readonly #id: string;
  readonly #topic: string;
  readonly #producer: Producer;
  #identity: ProducerIdentity;
  #sequence = 0;

  private constructor(
    client: Cluster,
    at: { id: string; topic: string; producer: Producer; identity: ProducerIdentity },
  ) {
    this.#cluster = client;
    this.#id = at.id;
    this.#topic = at.topic;
    this.#producer = at.producer;
    this.#identity = at.identity;
  }

  static async open(client: Cluster, id: string, topic: string): Promise<StepProducer> {
    const producer = new Producer({
      connection: await client.openDedicated(await leaderOf(client, topic, 0)),
      clock: systemClock,
      requestBytesMax: 1_000_000,
      ackTimeoutMs: 5_000,
      requestTimeoutMs: 10_000,
      onStall: () => () => {},
    });
    const identity = await initTransactionalId(client, id, { timeoutMs: 600_000 });
    return new StepProducer(client, { id, topic, producer, identity });
  }

  /** Returns the offset of the record. */
  async write(key: string, timestamp = Date.now()): Promise<number> {
    const writer = new BatchWriter({ codec: 0, baseOffset: 0 });
    writer.appendRecord({ timestamp, key: Buffer.from(key), value: Buffer.from(`of ${this.#id}`) });
    const buffer = writer.finish({ ...this.#identity, baseSequence: this.#sequence++ }, { isTransactional: true });
    const batch = { buffer, start: 0, end: buffer.length };
    const result = await this.#producer.produceAlone(this.#id, { targetTopic: this.#topic, partition: 0 }, batch);
    assert(result.errorCode === 0, `the source takes it, and answered ${result.errorCode}`);
    return result.baseOffset;
  }

  async end(isCommit = true): Promise<void> {
    const step = { transactionalId: this.#id, producer: this.#identity, isCommit, protocol: 'implicit' } as const;
    this.#identity = await endTransaction(this.#cluster, step);
    this.#sequence = 0;
    const isOver = async (): Promise<boolean> =>
      (await describeTransactions(this.#cluster, [this.#id]))[0]?.status.startsWith('Complete') === true;
    await waitUntil(isOver, 'the end is written', { timeoutMs: 10_000 });
  }
}

async function clientOf(side: 'source' | 'target'): Promise<Cluster> {
  const client = openCluster(bootstrapOf(side));
  await client.connect();
  onTestFinished(() => client.close());
  return client;
}

/** A transaction whose end stands behind the first record of one that stays open: on the target it is open as long. */
async function heldBack(topic: string, configs: Record<string, string> = {}) {
  await createTopics(bootstrapOf('source'), [{ name: topic, partitions: 1, configs }]);
  const client = await clientOf('source');
  await awaitPartitions(client, topic, 1); // metadata names a leader before it serves
  const [early, between, late] = await Promise.all(
    ['early', 'between', 'late'].map((name) => StepProducer.open(client, `${topic}-${name}`, topic)),
  );
  const old = Date.now() - 60_000;
  await must(early, 'producer').write('same key', old);
  await must(between, 'producer').write('same key', old);
  await must(between, 'producer').end();
  const held = await must(late, 'producer').write('other key');
  await must(early, 'producer').end();
  const file = writeLink({
    source: bootstrapOf('source'),
    target: bootstrapOf('target'),
    mirrors: { [topic]: { topics: [{ match: topic }] } },
  });
  const lockstep = LockstepProcess.run(file);
  await lockstep.until(() => lockstep.status(topic)?.shards[0]?.position === held, 'what is decided is copied');
  return { early: must(early, 'producer'), late: must(late, 'producer'), held, file, lockstep };
}

const openAtTheEnd = (events: readonly RunEvent[]): string[] =>
  events.flatMap((event) =>
    event.event === 'warning' &&
    event.code === 'SHARD_TRANSACTION_OPEN' &&
    event.message.includes('start this mirror again')
      ? [event.message]
      : [],
  );

async function ends(side: 'source' | 'target', topic: string) {
  const reader = new RawReader(bootstrapOf(side));
  try {
    const { logStart, lastStable, highWatermark } = await reader.bounds(topic, 0);
    const markers: string[] = [];
    for await (const batch of reader.batches(topic, 0, { from: logStart, to: highWatermark }))
      if (batch.isControl) markers.push(`${batch.marker} at ${batch.baseOffset}`);
    return { markers, lastStable, highWatermark };
  } finally {
    reader.close();
  }
}

test('a stop waits for the ends of what is open on the target, and then leaves nothing open', async () => {
  const { late, lockstep } = await heldBack('ended-soon');
  lockstep.signal('SIGINT');
  await late.end();
  const run = await lockstep.ended(15_000);
  expect(run.code, told(run)).toBe(130);
  expect(openAtTheEnd(run.events)).toEqual([]);
  const [source, target] = [await ends('source', 'ended-soon'), await ends('target', 'ended-soon')];
  expect(target).toEqual(source);
  expect(target.lastStable).toBe(target.highWatermark);
}, 60_000);

test('what stays open is named with its deadline, and ended in its place although the source has compacted all of it', async () => {
  const topic = 'compacted-meanwhile';
  const lag = 'min.compaction.lag.ms';
  const configs = {
    'cleanup.policy': 'compact',
    'segment.ms': '1000',
    'min.cleanable.dirty.ratio': '0.01',
    [lag]: '3600000',
  };
  const { early, late, held, file, lockstep } = await heldBack(topic, configs);
  const stopped = await lockstep.interrupt();
  const messages = openAtTheEnd(stopped.events);
  expect(messages, told(stopped)).toHaveLength(1);
  expect(messages[0]).toContain(`1 transaction is open on the target (${topic}/0 from offset 0 on)`);
  const until = Date.parse(must(/before (\S+) \(/u.exec(must(messages[0], 'message'))?.[1], 'deadline'));
  expect(until).toBeGreaterThan(Date.now() + 600_000);
  expect(until).toBeLessThan(Date.now() + 900_000); // transaction.max.timeout.ms

  await early.write('third key'); // else the broker keeps the header of its last batch
  await runAdmin(bootstrapOf('source'), [
    { setBrokerConfigs: { 'log.cleaner.backoff.ms': '100' } },
    { setConfigs: { topic, configs: { [lag]: '0' } } },
  ]);
  const reader = new RawReader(bootstrapOf('source'));
  onTestFinished(() => reader.close());
  const isCompacted = async (): Promise<boolean> => {
    for await (const batch of reader.batches(topic, 0, { from: 0, to: held })) return batch.baseOffset > 0;
    return true;
  };
  await waitUntil(isCompacted, 'the first record is compacted away', { timeoutMs: 60_000 });
  await late.end();
  await early.end();
  const run = await runUntilCaughtUp(file);
  expect(run.code, told(run)).toBe(0);
  const [source, target] = [await ends('source', topic), await ends('target', topic)];
  expect(target).toEqual(source);
}, 180_000);

test('a beginning that reaches the coordinator late opens nothing once the mirror is back', async () => {
  const topic = 'late-beginning';
  await createTopics(bootstrapOf('source'), [{ name: topic, partitions: 1 }]);
  const [source, target] = [await clientOf('source'), await clientOf('target')];
  await source.refresh([topic]);
  const producers = [await StepProducer.open(source, 'one', topic), await StepProducer.open(source, 'two', topic)];
  const writeBoth = async (): Promise<void> => {
    for (const producer of producers) await producer.write('key');
    for (const producer of producers) await producer.end();
  };
  const file = writeLink({
    source: bootstrapOf('source'),
    target: bootstrapOf('target'),
    mirrors: { [topic]: { topics: [{ match: topic }] } },
  });
  const copy = async (): Promise<void> => {
    const run = await runUntilCaughtUp(file);
    expect(run.code, told(run)).toBe(0);
    await expectIdentical({
      source: bootstrapOf('source'),
      target: bootstrapOf('target'),
      topics: [{ source: topic, target: topic }],
      policy: { transactions: 'preserve' },
    });
  };
  await writeBoth();
  await copy();
  const ids = (await listTransactions(target, { producerIds: [] }))
    .map(({ transactionalId }) => transactionalId)
    .filter((id) => id.includes(`-${topic}-0-`))
    .toSorted();
  expect(ids).toHaveLength(2);
  const add = async (index: number, producer: ProducerIdentity): Promise<number> => {
    try {
      await addToTransaction(target, { transactionalId: must(ids[index], 'id'), producer, topic, partition: 0 });
      return 0;
    } catch (error) {
      return (error as BrokerError).code;
    }
  };
  const before = await describeTransactions(target, ids);
  // The last request of a process that died reaches the coordinator while nobody runs: the next one takes over what it opened.
  expect(await add(1, must(before[1], 'state'))).toBe(0);
  await copy();
  // And here it arrives when the next one runs.
  expect([47, 90]).toContain(await add(0, must(before[0], 'state')));
  await writeBoth();
  await copy();
  const statuses = (await describeTransactions(target, ids)).map((each) => each?.status);
  expect(statuses).toEqual(['CompleteCommit', 'CompleteCommit']);
}, 120_000);
