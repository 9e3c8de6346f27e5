/** Target topics between two real clusters: a 3.9.1 source and a 4.3.1 target, which know different settings. */
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { must } from '#util/assert.ts';
import { mirrorSchema, type MirrorResource } from '#contract/resources.ts';
import type { Cluster } from '#kafka/cluster.ts';
import { alterTopicConfigs, describeTopicConfigs } from '#kafka/configs.ts';
import { appendRecords } from '#kafka/simple-log.ts';
import { createPartitions, createTopic } from '#kafka/topics.ts';
import { startCluster, type KafkaCluster } from '#testing/kafka-cluster.ts';
import { openCluster } from '#testing/open-cluster.ts';
import { deleteTopics } from '#testing/topic-admin.ts';
import { planMirror } from './plan.ts';
import { SourceProvenance } from './source-provenance.ts';
import { STATE_TOPIC, StateTopic } from './state-topic.ts';
import { prepareTopic, syncConfigs, type PreparedTopic } from './target-topics.ts';
import { UNLIMITED } from './topic-configs.ts';

let kafkas: KafkaCluster[];
let source: Cluster;
let target: Cluster;
let state: StateTopic;

beforeAll(async () => {
  kafkas = await Promise.all([
    startCluster({ version: '3.9.1', name: 'source' }),
    startCluster({ version: '4.3.1', name: 'target' }),
  ]);
  [source, target] = kafkas.map((kafka, i) => openCluster(kafka.bootstrap, { name: ['east', 'west'][i]! })) as [
    Cluster,
    Cluster,
  ];
  await Promise.all([source.connect(), target.connect()]);
  state = await StateTopic.open(target);
});

afterAll(async () => {
  source?.close();
  target?.close();
  await Promise.all((kafkas ?? []).map((kafka) => kafka.stop()));
});

describe('a target topic', () => {
  test('is created as its source is, without what only the source knows', async () => {
    await createTopic(source, {
      name: 'orders',
      partitions: 3,
      replicationFactor: 1,
      configs: new Map([
        ['cleanup.policy', 'compact'],
        ['message.timestamp.type', 'LogAppendTime'],
        ['message.downconversion.enable', 'false'], // 4.0 does not know it any more
        ['max.message.bytes', '3000000'],
      ]),
    });

    const prepared = await prepare({ match: 'orders' });

    expect(prepared).toMatchObject({
      targetTopic: 'orders',
      partitions: 3,
      batchBytesMax: 3_000_000,
      action: 'created',
    });
    expect(await configsOf('orders')).toEqual({
      'cleanup.policy': 'compact',
      'message.timestamp.type': 'CreateTime',
      'message.timestamp.before.max.ms': UNLIMITED,
      'message.timestamp.after.max.ms': UNLIMITED,
      'max.message.bytes': '3000000',
    });
    expect(state.claim('orders')).toMatchObject({
      mirrorId: 'm',
      sourceTopic: 'orders',
      targetTopicId: prepared.targetTopicId,
      partitions: 3,
    });
    expect(await prepare({ match: 'orders' })).toEqual({ ...prepared, action: 'resumed' });
  });

  test('is known as a copy from the moment that it is there, before it can be claimed', async () => {
    await createTopic(source, { name: 'new', partitions: 1, replicationFactor: 1 });
    const own = await StateTopic.open(target);
    const choices = { transactions: 'preserve', timestamps: 'append', start: { at: 'earliest' } } as const;
    const ids = { sourceClusterId: source.clusterId, targetClusterId: target.clusterId };
    const { mirrorId } = await own.establishMirror({ name: 'creator', ...ids, ...choices });
    const putClaim = own.putClaim.bind(own);
    const hopsBefore: unknown[] = [];
    own.putClaim = async (topic, claim) => {
      const reader = new SourceProvenance(target); // of a mirror that goes the other way
      await reader.read();
      hopsBefore.push([must(target.topicOf(topic), 'the topic').errorCode, reader.hopsOf(topic)]);
      return putClaim(topic, claim);
    };

    await prepare({ match: 'new' }, { state: own, mirrorId });

    const hop = { clusterId: source.clusterId, topic: 'new', mirror: 'creator' };
    expect(hopsBefore).toEqual([[0, [hop]]]);
    expect(own.creating('new')).toBeNull();
  });

  test('is prepared by three processes at once', async () => {
    await createTopic(source, { name: 'contested', partitions: 2, replicationFactor: 1 });

    const states = await Promise.all([1, 2, 3].map(() => StateTopic.open(target)));
    const prepared = await Promise.all(states.map((each) => prepare({ match: 'contested' }, { state: each })));

    expect(new Set(prepared.map(({ targetTopicId }) => targetTopicId)).size).toBe(1);
  });

  test('grows with its source', async () => {
    await createTopic(source, { name: 'growing', partitions: 1, replicationFactor: 1 });
    await prepare({ match: 'growing' });
    await createPartitions(source, { topic: 'growing', count: 4 });

    await expect(prepare({ match: 'growing' }, { sync: { partitions: false } })).rejects.toMatchObject({
      code: 'TOPIC_PARTITIONS_DIFFER',
    });
    expect(await prepare({ match: 'growing' })).toMatchObject({ partitions: 4, action: 'grown' });
    expect(state.claim('growing')).toMatchObject({ partitions: 4 });
  });

  test('that exists is taken when it is empty and alike, and given the settings that a copy needs', async () => {
    await createTopic(source, { name: 'adopted', partitions: 2, replicationFactor: 1 });
    await createTopic(target, {
      name: 'adopted',
      partitions: 2,
      replicationFactor: 1,
      configs: new Map([['retention.ms', '1000']]),
    });

    expect(await prepare({ match: 'adopted' }, { sync: { configs: false } })).toMatchObject({ action: 'adopted' });
    expect(await configsOf('adopted')).toMatchObject({
      'message.timestamp.type': 'CreateTime',
      'retention.ms': '1000',
    });
  });

  test('with other partitions is refused', async () => {
    await createTopic(source, { name: 'two', partitions: 2, replicationFactor: 1 });
    await createTopic(target, { name: 'more', partitions: 3, replicationFactor: 1 });
    await createTopic(target, { name: 'fewer', partitions: 1, replicationFactor: 1 });

    await expect(prepare({ match: 'two', to: 'more' })).rejects.toMatchObject({
      code: 'TOPIC_PARTITIONS_DIFFER',
      message: 'Topic "more" on cluster "west" has 3 partitions, and "two" on "east" has 2.',
    });
    await expect(prepare({ match: 'two', to: 'fewer' })).rejects.toMatchObject({
      code: 'TOPIC_PARTITIONS_DIFFER',
      nextStep: expect.stringContaining('--partitions 2'),
    });
  });

  test('with records of somebody else is refused', async () => {
    await createTopic(source, { name: 'used', partitions: 1, replicationFactor: 1 });
    await createTopic(target, { name: 'used', partitions: 1, replicationFactor: 1 });
    await append('used');

    await expect(prepare({ match: 'used' })).rejects.toMatchObject({ code: 'TOPIC_NOT_EMPTY' });
  });

  test('of another mirror, or of another topic in this one, is refused', async () => {
    await createTopic(source, { name: 'first', partitions: 1, replicationFactor: 1 });
    await createTopic(source, { name: 'second', partitions: 1, replicationFactor: 1 });
    await prepare({ match: 'first' });

    await expect(prepare({ match: 'first' }, { mirrorId: 'other' })).rejects.toMatchObject({
      code: 'TOPIC_CLAIMED',
      message: expect.stringContaining('mirror "m"'),
    });
    await expect(prepare({ match: 'second', to: 'first' })).rejects.toMatchObject({
      code: 'TOPIC_CLAIMED',
      message: expect.stringContaining('topic "first"'),
    });
  });

  test('whose source was created anew is refused until it is deleted, and then copied afresh', async () => {
    await createTopic(source, { name: 'reborn', partitions: 1, replicationFactor: 1 });
    const before = await prepare({ match: 'reborn' });
    await append('reborn');
    await deleteTopics(kafkas[0]!.bootstrap, ['reborn']);
    await createTopic(source, { name: 'reborn', partitions: 1, replicationFactor: 1 });

    await expect(prepare({ match: 'reborn' })).rejects.toMatchObject({
      code: 'TOPIC_RECREATED',
      message: expect.stringContaining('on cluster "east"'),
    });

    await deleteTopics(kafkas[1]!.bootstrap, ['reborn']);
    const after = await prepare({ match: 'reborn' });
    expect(after).toMatchObject({ action: 'created' });
    expect([after.sourceTopicId, after.targetTopicId]).not.toEqual([before.sourceTopicId, before.targetTopicId]);
  });

  test('that somebody created anew and wrote to is refused', async () => {
    await createTopic(source, { name: 'replaced', partitions: 1, replicationFactor: 1 });
    await prepare({ match: 'replaced' });
    await deleteTopics(kafkas[1]!.bootstrap, ['replaced']);
    await createTopic(target, { name: 'replaced', partitions: 1, replicationFactor: 1 });
    await append('replaced');

    await expect(prepare({ match: 'replaced' })).rejects.toMatchObject({
      code: 'TOPIC_RECREATED',
      message: expect.stringContaining('on cluster "west"'),
    });
  });

  test('follows the settings of its source, but its retention is not shortened', async () => {
    await createTopic(source, {
      name: 'synced',
      partitions: 1,
      replicationFactor: 1,
      configs: new Map([
        ['retention.ms', '9000000'],
        ['segment.ms', '700000'],
      ]),
    });
    const topic = await prepare({ match: 'synced' });
    await alterTopicConfigs(source, 'synced', {
      set: new Map([
        ['retention.ms', '5000'],
        ['compression.type', 'lz4'],
      ]),
      remove: ['segment.ms'],
    });

    const { changed } = await syncConfigs({ ...ports({ match: 'synced' }), topic });

    expect(changed.map(({ subject }) => subject)).toEqual([
      'compression.type of topic synced',
      'segment.ms of topic synced',
    ]);

    expect(await configsOf('synced')).toMatchObject({ 'retention.ms': '9000000', 'compression.type': 'lz4' });
    expect(await configsOf('synced')).not.toHaveProperty('segment.ms');
  });

  test.each(['source', 'target'])('whose %s is gone has no settings to follow, which is no failure', async (side) => {
    const name = `gone.${side}`;
    await createTopic(source, { name, partitions: 1, replicationFactor: 1 });
    const topic = await prepare({ match: name });
    await deleteTopics(kafkas[side === 'source' ? 0 : 1]!.bootstrap, [name]);

    await expect(syncConfigs({ ...ports({ match: name }), topic })).resolves.toEqual({ denied: null, changed: [] });
  });

  test('follows the settings of its source whatever a later version wrote about it meanwhile', async () => {
    await createTopic(source, { name: 'later-claim', partitions: 1, replicationFactor: 1 });
    const topic = await prepare({ match: 'later-claim' });
    await writeState('claim/later-claim', '{"version":2}');
    await state.load();
    expect(() => state.claim('later-claim')).toThrow('has version 2');
    await alterTopicConfigs(source, 'later-claim', { set: new Map([['compression.type', 'lz4']]), remove: [] });

    await expect(syncConfigs({ ...ports({ match: 'later-claim' }), topic })).resolves.toMatchObject({ denied: null });

    expect(await configsOf('later-claim')).toMatchObject({ 'compression.type': 'lz4' });
  });
});

describe('a plan', () => {
  test('says what a run would do, and does nothing of it', async () => {
    await createTopic(source, { name: 'planned.a', partitions: 2, replicationFactor: 1 });
    await createTopic(source, { name: 'planned.b', partitions: 1, replicationFactor: 1 });
    await createTopic(target, { name: 'planned.b', partitions: 4, replicationFactor: 1 });
    await createTopic(target, { name: 'planned_a', partitions: 1, replicationFactor: 1 });
    const resource = mirror(
      [
        { match: '/planned\\..*/' },
        { match: 'orders' },
        { match: 'planned.a', to: 'never.reached' },
        { match: 'order' },
      ],
      {},
    );

    const plan = await planMirror(resource, source, target);

    expect(plan.topics.map((topic) => [topic.source, topic.action, topic.findings.map(({ code }) => code)])).toEqual([
      ['orders', 'refused', ['TOPIC_CLAIMED']], // of mirror id "m", which no file makes
      ['planned.a', 'refused', ['TOPIC_NAME_COLLISION']],
      ['planned.b', 'refused', ['TOPIC_PARTITIONS_DIFFER']],
    ]);
    expect(plan.findings).toMatchObject([
      { code: 'TOPIC_RULE_EMPTY', message: expect.stringContaining('(match: planned.a)') },
      { code: 'TOPIC_RULE_EMPTY', nextStep: 'Did you mean "orders"?' },
    ]);
    expect(await target.refresh(['planned.a'])).toMatchObject([{ errorCode: 3 }]);
  });

  test('shows settings, replicas and what the log start takes', async () => {
    await createTopic(source, {
      name: 'later',
      partitions: 1,
      replicationFactor: 1,
      configs: new Map([['cleanup.policy', 'compact']]),
    });
    await append('later', source);

    const [topic] = (await planMirror(mirror([{ match: 'later' }], { start: 'latest' }), source, target)).topics;

    expect(topic).toMatchObject({
      action: 'create',
      mode: 'identical',
      why: '1 offset to fill; compacted, so holes are filled with control records',
      replicationFactor: 1,
      targetPartitions: null,
      configs: { 'cleanup.policy': 'compact', 'message.timestamp.type': 'CreateTime' },
      findings: [],
    });
  });

  test('refuses a topic whose state record cannot be read, as a run does, and shows the others', async () => {
    const topics = ['unread.claim', 'unread.partition', 'well'];
    for (const name of topics) await createTopic(source, { name, partitions: 1, replicationFactor: 1 });
    await writeState('claim/unread.claim', 'nonsense');
    await writeState('partition/unread.partition/0', '{"version":2}');

    const plan = await planMirror(mirror([{ match: '/unread.*/' }, { match: 'well' }], {}), source, target);

    expect(plan.topics.map((topic) => [topic.source, topic.action, topic.findings.map(({ code }) => code)])).toEqual([
      ['unread.claim', 'refused', ['STATE_TOPIC_INVALID']],
      ['unread.partition', 'refused', ['STATE_TOPIC_INVALID']],
      ['well', 'create', []],
    ]);
    const [claim, partition] = plan.topics.map(({ findings }) => findings[0]);
    const { code, message, nextStep } = must(claim, 'finding');
    await expect(prepare({ match: 'unread.claim' })).rejects.toMatchObject({ code, message, nextStep });
    expect(partition).toMatchObject({
      message: expect.stringMatching(/^unread\.partition\/0: Where this partition begins cannot be read: .*version 2/),
      nextStep: expect.stringContaining('goes on by itself'),
    });
  });

  test('refuses one cluster on both sides', async () => {
    await expect(planMirror(mirror([{ match: 'orders' }], {}), source, source)).rejects.toMatchObject({
      code: 'CLUSTER_SAME',
    });
  });
});

type Rule = { match: string; to?: string };
type Spec = { sync?: { configs?: boolean; partitions?: boolean }; start?: string };

function mirror(topics: Rule[], spec: Spec): MirrorResource {
  return mirrorSchema.parse({
    apiVersion: 'lockstep/v1',
    kind: 'Mirror',
    metadata: { name: 'm' },
    spec: { source: 'east', target: 'west', topics, ...spec },
  });
}

function ports(rule: Rule, options: Spec & { mirrorId?: string; state?: StateTopic } = {}) {
  const { mirrorId = 'm', state: own = state, ...spec } = options;
  return { source, target, state: own, mirrorId, resource: mirror([rule], spec) };
}

function prepare(rule: Rule, options: Parameters<typeof ports>[1] = {}): Promise<PreparedTopic> {
  return prepareTopic({ ...ports(rule, options), pair: { source: rule.match, target: rule.to ?? rule.match } });
}

async function append(topic: string, cluster = target): Promise<void> {
  await appendRecords(cluster, {
    topic,
    partition: 0,
    records: [{ key: Buffer.from('k'), value: Buffer.from('v'), timestamp: 1 }],
  });
}

async function writeState(key: string, value: string): Promise<void> {
  const record = { key: Buffer.from(key), value: Buffer.from(value), timestamp: 1 };
  await appendRecords(target, { topic: STATE_TOPIC, partition: 0, records: [record] });
}

async function configsOf(topic: string): Promise<Record<string, string | null>> {
  const [described] = await describeTopicConfigs(target, [topic]);
  return Object.fromEntries(
    [...must(described, 'topic').configs].flatMap(([name, { value, source: setBy }]) =>
      setBy === 'topic' ? [[name, value]] : [],
    ),
  );
}
