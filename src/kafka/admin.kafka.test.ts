/** Every request that the mirror makes of a cluster, once against each Kafka generation that we speak with. */
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { kafkaVersions } from '#testing/kafka-home.ts';
import { startCluster, type KafkaCluster } from '#testing/kafka-cluster.ts';
import { openCluster } from '#testing/open-cluster.ts';
import type { Cluster } from './cluster.ts';
import { alterTopicConfigs, describeBrokerConfig, describeTopicConfigs } from './configs.ts';
import type { BrokerError } from './errors.ts';
import { deleteRecords, EARLIEST, LATEST, listOffsets, offsetForLeaderEpoch } from './offsets.ts';
import { describeProducers, initProducerId, writeTxnMarkers } from './producers.ts';
import { appendRecords, readLog, readTail } from './simple-log.ts';
import { createPartitions, createTopic, describeCluster, TOPIC_ALREADY_EXISTS } from './topics.ts';

describe.each(kafkaVersions)('Kafka %s', (version) => {
  let kafka: KafkaCluster;
  let cluster: Cluster;

  beforeAll(async () => {
    kafka = await startCluster({ version, name: 'admin' });
    cluster = openCluster(kafka.bootstrap);
    await cluster.connect();
  });

  afterAll(async () => {
    cluster?.close();
    await kafka?.stop();
  });

  test('describes itself', async () => {
    const description = await describeCluster(cluster);

    expect(description.clusterId).toBe(kafka.clusterId);
    expect(cluster.clusterId).toBe(kafka.clusterId);
    expect(description.brokers).toEqual(cluster.brokers());
    expect(cluster.brokers()).toEqual([{ id: 1, host: '127.0.0.1', port: kafka.brokers[0]!.port, rack: null }]);
  });

  test('creates a topic with configurations, once', async () => {
    const topic = await createTopic(cluster, {
      name: 'created',
      partitions: 2,
      replicationFactor: 1,
      configs: new Map([['retention.ms', '1234567']]),
    });

    expect(topic.partitions.map(({ partition, leader, errorCode }) => [partition, leader, errorCode])).toEqual([
      [0, 1, 0],
      [1, 1, 0],
    ]);
    expect(cluster.topicOf('created')?.topicId).toBe(topic.topicId);
    const again = createTopic(cluster, { name: 'created', partitions: 2, replicationFactor: 1 });
    await expect(again).rejects.toMatchObject({
      code: TOPIC_ALREADY_EXISTS,
      codeName: 'TOPIC_ALREADY_EXISTS',
      definite: true,
    });
  });

  test('adds partitions, and refuses to take some away', async () => {
    await createTopic(cluster, { name: 'grown', partitions: 1, replicationFactor: 1 });

    expect((await createPartitions(cluster, { topic: 'grown', count: 3 })).partitions).toHaveLength(3);
    await expect(createPartitions(cluster, { topic: 'grown', count: 2 })).rejects.toMatchObject({
      codeName: 'INVALID_PARTITIONS',
    });
  });

  test('says where each configuration comes from, and changes single entries', async () => {
    await createTopic(cluster, {
      name: 'configured',
      partitions: 1,
      replicationFactor: 1,
      configs: new Map([['cleanup.policy', 'compact']]),
    });

    await alterTopicConfigs(cluster, 'configured', {
      set: new Map([['max.message.bytes', '2000000']]),
      remove: ['cleanup.policy'],
    });

    const [described, missing] = await describeTopicConfigs(cluster, ['configured', 'no-such-topic']);
    expect(described?.configs.get('max.message.bytes')).toEqual({
      value: '2000000',
      source: 'topic',
      sensitive: false,
      readOnly: false,
    });
    expect(described?.configs.get('cleanup.policy')).toMatchObject({ value: 'delete', source: 'default' });
    expect(missing?.error).toMatchObject({ codeName: 'UNKNOWN_TOPIC_OR_PARTITION' });
    await expect(
      alterTopicConfigs(cluster, 'configured', { set: new Map([['retention.ms', 'soon']]), remove: [] }),
    ).rejects.toMatchObject({
      codeName: 'INVALID_CONFIG',
    });
    expect((await describeBrokerConfig(cluster, 1)).get('node.id')).toMatchObject({
      value: '1',
      source: 'broker',
      readOnly: true,
    });
  });

  test('reads offsets of several partitions in their order, each with its own error', async () => {
    await createTopic(cluster, { name: 'offsets', partitions: 2, replicationFactor: 1 });
    await appendRecords(cluster, {
      topic: 'offsets',
      partition: 1,
      records: [record('a', 1_000), record('b', 2_000), record('c', 3_000)],
    });

    const answers = await listOffsets(cluster, [
      { topic: 'offsets', partition: 1, timestamp: LATEST },
      { topic: 'offsets', partition: 1, timestamp: EARLIEST },
      { topic: 'offsets', partition: 1, timestamp: 1_500 },
      { topic: 'offsets', partition: 1, timestamp: 9_000 },
      { topic: 'offsets', partition: 0, timestamp: LATEST },
      { topic: 'offsets', partition: 7, timestamp: LATEST },
    ]);

    expect(answers.map(({ offset, timestamp }) => [offset, timestamp])).toEqual([
      [3, -1],
      [0, -1],
      [1, 2_000],
      [-1, -1],
      [0, -1],
      [-1, -1],
    ]);
    expect(answers.map(({ error }) => (error as BrokerError | null)?.codeName ?? null)).toEqual([
      null,
      null,
      null,
      null,
      null,
      'UNKNOWN_TOPIC_OR_PARTITION',
    ]);
    expect(await offsetForLeaderEpoch(cluster, { topic: 'offsets', partition: 1, leaderEpoch: 0 })).toEqual({
      leaderEpoch: 0,
      endOffset: 3,
    });
  });

  test('deletes records below an offset, and none beyond the watermark', async () => {
    await createTopic(cluster, { name: 'deleted', partitions: 1, replicationFactor: 1 });
    await appendRecords(cluster, {
      topic: 'deleted',
      partition: 0,
      records: ['a', 'b', 'c'].map((value) => record(value, 1)),
    });

    expect(await deleteRecords(cluster, { topic: 'deleted', partition: 0, offset: 2 })).toEqual({ logStartOffset: 2 });

    const [earliest] = await listOffsets(cluster, [{ topic: 'deleted', partition: 0, timestamp: EARLIEST }]);
    expect(earliest?.offset).toBe(2);
    await expect(deleteRecords(cluster, { topic: 'deleted', partition: 0, offset: 9 })).rejects.toMatchObject({
      codeName: 'OFFSET_OUT_OF_RANGE',
    });
  });

  test('gives every caller the same producer id, also those that ask at the same time', async () => {
    const ids = await Promise.all([1, 2, 3].map(() => initProducerId(cluster, 'lockstep-test')));

    expect(new Set(ids.map(({ producerId }) => producerId)).size).toBe(1);
    expect(await initProducerId(cluster, 'another')).not.toMatchObject({ producerId: ids[0]!.producerId });
  });

  test('writes many markers of one producer in a request, and shows its coordinator epoch', async () => {
    await createTopic(cluster, { name: 'markers', partitions: 1, replicationFactor: 1 });
    const write = { topic: 'markers', partition: 0, producerId: 4_242, coordinatorEpoch: 3 };

    await writeTxnMarkers(cluster, { ...write, count: 700 });

    const [latest] = await listOffsets(cluster, [{ topic: 'markers', partition: 0, timestamp: LATEST }], {
      isolation: 'read_committed',
    });
    expect(latest?.offset).toBe(700);
    expect(await describeProducers(cluster, { topic: 'markers', partition: 0 })).toMatchObject([
      { producerId: 4_242, producerEpoch: 0, lastSequence: -1, coordinatorEpoch: 3, currentTxnStartOffset: -1 },
    ]);
    await expect(writeTxnMarkers(cluster, { ...write, coordinatorEpoch: 2, count: 1 })).rejects.toMatchObject({
      codeName: 'TRANSACTION_COORDINATOR_FENCED',
    });
  });

  test('reads back what it appended, from any offset', async () => {
    await createTopic(cluster, { name: 'log', partitions: 1, replicationFactor: 1 });
    const big = 'x'.repeat(700_000);
    for (const value of ['a', big, big, 'd'])
      await appendRecords(cluster, { topic: 'log', partition: 0, records: [record(value, 5)] });
    await writeTxnMarkers(cluster, { topic: 'log', partition: 0, producerId: 7, coordinatorEpoch: 0, count: 2 });
    await appendRecords(cluster, { topic: 'log', partition: 0, records: [{ key: null, value: null, timestamp: 6 }] });

    const read = [];
    for await (const batch of readLog(cluster, { topic: 'log', partition: 0 })) {
      read.push([batch.baseOffset, (batch.attributes & 32) !== 0, batch.recordAt(0).value?.length ?? null]);
    }

    const marker = 6;
    expect(read).toEqual([
      [0, false, 1],
      [1, false, 700_000],
      [2, false, 700_000],
      [3, false, 1],
      [4, true, marker],
      [5, true, marker],
      [6, false, null],
    ]);
    const tail = await readTail(cluster, { topic: 'log', partition: 0, fromOffset: 3, maxBytes: 1e6 });
    expect([tail.isComplete, tail.batches.length]).toEqual([true, 4]);
    const cut = await readTail(cluster, { topic: 'log', partition: 0, fromOffset: 0, maxBytes: 1_000 });
    expect(cut.isComplete).toBe(false);
    await expect(readTail(cluster, { topic: 'log', partition: 0, fromOffset: 99, maxBytes: 10 })).resolves.toEqual({
      batches: [],
      isComplete: true,
    });
  });

  test('answers about a topic that does not exist, without making it', async () => {
    expect(await cluster.refresh(['no-such-topic'])).toMatchObject([
      { name: 'no-such-topic', errorCode: 3, partitions: [] },
    ]);
    expect(cluster.topicOf('no-such-topic')).toBeUndefined();
    expect((await cluster.refresh('all')).map(({ name }) => name)).not.toContain('no-such-topic');
  });

  test('asks equal questions at the same time once', async () => {
    const [first, second] = [cluster.refresh(['created', 'grown']), cluster.refresh(['created', 'grown'])];
    expect(first).toBe(second);
    await first;
  });
});

function record(value: string, timestamp: number) {
  return { key: Buffer.from('k'), value: Buffer.from(value), timestamp };
}
