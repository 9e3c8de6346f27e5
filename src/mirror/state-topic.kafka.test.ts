/** The state topic on real brokers: the same answer for every process, whoever came first. */
import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, beforeAll, describe, expect, onTestFinished, test } from 'vitest';
import type { Cluster } from '#kafka/cluster.ts';
import { alterTopicConfigs, describeTopicConfigs } from '#kafka/configs.ts';
import { appendRecords, readLog } from '#kafka/simple-log.ts';
import { deleteTopic } from '#kafka/topics.ts';
import { drop } from '#testing/fault-kinds.ts';
import { startCluster, type KafkaCluster } from '#testing/kafka-cluster.ts';
import { kafkaVersions } from '#testing/kafka-home.ts';
import { openCluster } from '#testing/open-cluster.ts';
import { testedVersions } from '#testing/tested-versions.ts';
import { must } from '#util/assert.ts';
import { claimKey, encodeState, mirrorIdOf, type ClaimRecord } from './state-records.ts';
import { STATE_TOPIC, StateTopic, type MirrorChoices } from './state-topic.ts';

const choices: MirrorChoices = {
  name: 'east-to-west',
  sourceClusterId: 'source',
  targetClusterId: 'target',
  transactions: 'committed-only',
  timestamps: 'append',
  start: { at: 'earliest' },
};

const target = testedVersions()?.target;

describe.each(target ? [target] : kafkaVersions)('the state topic on Kafka %s', (version) => {
  let kafka: KafkaCluster;
  let clusters: Cluster[];

  beforeAll(async () => {
    kafka = await startCluster({ version, name: 'state', proxied: true });
    clusters = [1, 2, 3].map(() => openCluster(kafka.bootstrap));
    await Promise.all(clusters.map((cluster) => cluster.connect()));
  });

  afterAll(async () => {
    for (const cluster of clusters ?? []) cluster.close();
    await kafka?.stop();
  });

  test('is not created by looking', async () => {
    expect(await StateTopic.peek(clusters[0]!)).toBeNull();
    expect(await clusters[0]!.refresh([STATE_TOPIC])).toMatchObject([{ errorCode: 3 }]);
  });

  test('gives three processes that start at once the same producer ids', async () => {
    const records = await Promise.all(
      clusters.map(async (cluster) => (await (await StateTopic.open(cluster)).establishMirror(choices)).record),
    );

    expect(records[1]).toEqual(records[0]);
    expect(records[2]).toEqual(records[0]);
    expect(records[0]!.dataProducerId).not.toBe(records[0]!.markerProducerId);
    const later = await StateTopic.open(clusters[0]!);
    expect((await later.establishMirror(choices)).record).toEqual(records[0]);
    const [described] = await describeTopicConfigs(clusters[0]!, [STATE_TOPIC]);
    expect(described?.configs.get('cleanup.policy')).toMatchObject({ value: 'compact', source: 'topic' });
  });

  test('refuses choices that differ from those recorded', async () => {
    const state = await StateTopic.open(clusters[0]!);
    const changed = state.establishMirror({
      ...choices,
      timestamps: 'producer',
      start: { at: 'timestamp', timestampMs: 5 },
    });
    await expect(changed).rejects.toMatchObject({
      code: 'MIRROR_CHANGED',
      message: expect.stringMatching(/timestamps was "append" and is now "producer"; start was/),
    });
  });

  test('leaves a topic to the mirror that claimed it first, also after compaction would keep the last', async () => {
    const [mine, theirs] = await Promise.all([StateTopic.open(clusters[0]!), StateTopic.open(clusters[1]!)]);
    const claim: ClaimRecord = {
      mirrorId: 'mine',
      mirrorName: 'm',
      sourceTopic: 's',
      sourceTopicId: 'id',
      targetTopicId: 'id',
      partitions: 2,
      replaces: null,
    };

    expect(await mine.putClaim('t', claim)).toEqual(claim);
    expect(await theirs.putClaim('t', { ...claim, mirrorId: 'theirs' })).toEqual(claim);
    expect(await mine.putClaim('t', { ...claim, partitions: 4 })).toMatchObject({ mirrorId: 'mine', partitions: 4 });

    // The topic is gone, and two mirrors follow: again the first one keeps it.
    const follow = { ...claim, targetTopicId: 'new', replaces: 'id' };
    expect(await theirs.putClaim('t', { ...follow, mirrorId: 'theirs' })).toMatchObject({ mirrorId: 'theirs' });
    expect(await mine.putClaim('t', follow)).toMatchObject({ mirrorId: 'theirs' });

    // Another process died right after its claim: the next start puts the valid one behind it.
    const foreign = {
      key: Buffer.from(claimKey('t')),
      value: encodeState({ ...claim, mirrorId: 'late' }),
      timestamp: 0,
    };
    await appendRecords(clusters[2]!, { topic: STATE_TOPIC, partition: 0, records: [foreign] });
    const next = await StateTopic.open(clusters[2]!);
    expect(next.claim('t')).toMatchObject({ mirrorId: 'theirs', targetTopicId: 'new' });
    expect((await lastRecordOf(clusters[0]!, claimKey('t'))).value).toMatchObject({ mirrorId: 'theirs' });
  });

  test('remembers what was put, in this process and for the next', async () => {
    const state = await StateTopic.open(clusters[0]!);
    const value = {
      mirrorId: 'mine',
      targetTopicId: 'id',
      logStart: 7,
      sequenceOffset: 0,
      leaderEpochs: [[0, 0]] as [number, number][],
    };
    const many = Array.from({ length: 5_000 }, (_, partition) => ({ targetTopic: 'large', partition, value }));

    await state.putPartition('t', 1, value);
    await state.putPartition('t', 1, { ...value, logStart: 8 });
    await state.putPartitions(many);

    const next = await StateTopic.peek(clusters[1]!);
    for (const each of [state, next]) {
      expect(each?.partition('t', 1)?.logStart).toBe(8);
      expect(each?.partition('t', 2)).toBeNull();
      expect(each?.partition('large', 4_999)).toEqual(value);
    }
  });

  test('keeps the first start of several workers, and the newest leader epoch', async () => {
    const [one, two] = await Promise.all([StateTopic.open(clusters[0]!), StateTopic.open(clusters[1]!)]);
    const value = { mirrorId: 'mine', targetTopicId: 'id', logStart: 5, sequenceOffset: 0, leaderEpochs: [] };
    const epochs = (...numbers: number[]) => ({
      ...value,
      leaderEpochs: numbers.map((each): [number, number] => [each, each * 10]),
    });

    await one.putPartition('p', 0, value);
    await two.putPartition('p', 0, { ...value, logStart: 8 });
    for (const each of [one, two]) expect(each.partition('p', 0)).toEqual(value);
    await one.putPartition('p', 0, epochs(3, 5));
    await two.putPartition('p', 0, epochs(3, 4));
    await two.putPartition('p', 0, { ...value, logStart: 9 });
    await one.load();
    for (const each of [one, two]) expect(each.partition('p', 0)).toEqual(epochs(3, 5));
    expect((await lastRecordOf(clusters[0]!, 'partition/p/0')).value).toMatchObject({
      leaderEpochs: [
        [3, 30],
        [5, 50],
      ],
    });
    const renewed = { ...value, targetTopicId: 'other' };
    await two.putPartition('p', 0, renewed);
    expect(two.partition('p', 0)).toEqual(renewed);
  });

  test('a record that cannot be read is refused to who asks for its key alone, until it is replaced', async () => {
    const mirrorId = mirrorIdOf(choices);
    const value = { mirrorId, targetTopicId: 'id', logStart: 1, sequenceOffset: 0, leaderEpochs: [] };
    const running = await StateTopic.open(clusters[0]!);
    const { record } = await running.establishMirror(choices);
    await running.putPartition('known', 0, value);
    const later = JSON.stringify({ version: 2, ...value, logStart: 2 });
    const foreign = [
      ['partition/zzz/0', 'nonsense'],
      ['claim/zzz', later],
      ['mirror/zzz', 'nonsense'],
      ['partition/known/0', later],
      ['partition/known/0', 'nonsense'],
    ].map(([key, text]) => ({ key: Buffer.from(key!), value: Buffer.from(text!), timestamp: 0 }));
    await appendRecords(clusters[2]!, { topic: STATE_TOPIC, partition: 0, records: foreign });

    await running.putPartition('other', 0, value);
    await running.verify();
    const started = await StateTopic.open(clusters[1]!);
    const peeked = (await StateTopic.peek(clusters[2]!))!;

    const isRefused = expect.objectContaining({ code: 'STATE_TOPIC_INVALID' });
    for (const each of [running, started, peeked]) {
      expect(() => each.partition('zzz', 0)).toThrow(isRefused);
      expect(() => each.claim('zzz')).toThrow(/"claim\/zzz" at offset \d+ of the state topic has version 2/);
      expect(() => each.mirror('zzz')).toThrow(isRefused);
      expect(() => each.partition('known', 0)).toThrow(isRefused); // a newer Lockstep knows more than we do
      expect(each.partition('other', 0)).toEqual(value);
    }
    expect((await started.establishMirror(choices)).record).toEqual(record);
    const ofKnown = [];
    for await (const batch of readLog(clusters[0]!, { topic: STATE_TOPIC, partition: 0 }))
      for (let i = 0; i < batch.count; i++)
        if (batch.recordAt(i).key?.toString() === 'partition/known/0') ofKnown.push(String(batch.recordAt(i).value));
    expect(ofKnown.slice(1), 'nothing was written over the later record').toEqual([later, 'nonsense']);

    await running.putPartition('zzz', 0, value);
    expect(running.partition('zzz', 0)).toEqual(value);
    const tombstone = { key: Buffer.from('claim/zzz'), value: null, timestamp: 0 };
    await appendRecords(clusters[2]!, { topic: STATE_TOPIC, partition: 0, records: [tombstone] });
    await running.load();
    expect(running.claim('zzz')).toBeNull();
  });

  test('is refused when somebody changed its cleanup policy', async () => {
    await alterTopicConfigs(clusters[0]!, STATE_TOPIC, { set: new Map([['cleanup.policy', 'delete']]), remove: [] });
    await expect(StateTopic.open(clusters[0]!)).rejects.toMatchObject({
      code: 'STATE_TOPIC_INVALID',
      message: expect.stringContaining('cleanup.policy=delete'),
    });
    await alterTopicConfigs(clusters[0]!, STATE_TOPIC, { set: new Map([['cleanup.policy', 'compact']]), remove: [] });
    await StateTopic.open(clusters[0]!);
  });

  test('takes a record whose first answer was lost although others write to it all the time', async () => {
    const far = openCluster(kafka.proxiedBootstrap);
    onTestFinished(() => far.close());
    await far.connect();
    const [state, other] = [await StateTopic.open(far), await StateTopic.open(clusters[0]!)];
    const value = { mirrorId: 'mine', targetTopicId: 'id', logStart: 0, sequenceOffset: 0, leaderEpochs: [] };
    let writes = 0;
    let hasEnded = false;
    const others = (async () => {
      for (; !hasEnded; writes++) {
        await other.putPartition('busy', 0, { ...value, leaderEpochs: [[writes, writes]] });
        await sleep(200);
      }
    })();
    const lost = kafka.proxies[0]!.inject({ match: { api: 'Produce', direction: 'response', nth: 1 }, fault: drop() });
    await state.putPartition('mine', 0, value);
    hasEnded = true;
    await others;
    expect(lost.count).toBe(1);
    expect(writes).toBeGreaterThan(20);
    expect((await StateTopic.open(clusters[1]!)).partition('mine', 0)).toEqual(value);
  }, 60_000);

  test('is opened and created although the first answers are lost with their connections', async () => {
    const found = must((await clusters[0]!.refresh([STATE_TOPIC]))[0], 'the state topic');
    await deleteTopic(clusters[0]!, { name: STATE_TOPIC, topicId: found.topicId });
    const isGone = async () => (await clusters[0]!.refresh([STATE_TOPIC]))[0]?.errorCode === 3;
    await expect.poll(isGone, { timeout: 20_000 }).toBe(true);
    const far = openCluster(kafka.proxiedBootstrap);
    onTestFinished(() => far.close());
    await far.connect();
    const [proxy] = kafka.proxies;
    const lost = (['Metadata', 'CreateTopics'] as const).map((api) =>
      must(proxy, 'proxy').inject({ match: { api, direction: 'response', nth: [1, 2] }, fault: drop() }),
    );

    const state = await StateTopic.open(far);
    expect(lost.map(({ count }) => count)).toEqual([2, 2]);
    expect((await state.establishMirror(choices)).record).toMatchObject({ name: choices.name });
  });
});

async function lastRecordOf(cluster: Cluster, key: string): Promise<{ value: unknown }> {
  let value: unknown = null;
  for await (const batch of readLog(cluster, { topic: STATE_TOPIC, partition: 0 })) {
    for (let i = 0; i < batch.count; i++) {
      const record = batch.recordAt(i);
      if (record.key?.toString() === key) value = JSON.parse(String(record.value));
    }
  }
  return { value };
}
