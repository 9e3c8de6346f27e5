/**
 * Settings that would bite, each once on real brokers: the plan names them while they are there, and is silent about a
 * topic without them. What a run sets right by itself bites only where it may not: the target topics are somebody else's to set.
 */
import { beforeAll, expect, test } from 'vitest';
import type { Finding, MirrorPlan, Right } from '#contract/plan.ts';
import { sharedClusters } from '#testing/shared-clusters.ts';
import { createTopics, runAdmin } from '#testing/topic-admin.ts';
import { writeStreams } from '#testing/workload.ts';
import { must } from '#util/assert.ts';
import { grant, leastRights, leastRightsUsers, planAsMirror, planRights, type SecurePair } from './least-rights.ts';
import type { MirrorSpec } from './link-file.ts';

const cluster = sharedClusters({ source: { secure: leastRightsUsers }, target: { secure: leastRightsUsers } });
const pair = (): SecurePair => ({ source: cluster('source'), target: cluster('target') });
const DAY_MS = 86_400_000;

interface Bite {
  readonly topic: string;
  readonly configs: Readonly<Record<string, string>>;
  /** Of the finding. */
  readonly message: RegExp;
  /** What is to be set. */
  readonly next: RegExp;
  /** A run with ALTER_CONFIGS sets it right. */
  readonly isSetByRun: boolean;
  /** Its records are so many days old; −: to come. Default: 0. */
  readonly days?: number;
}

const BITES: readonly Bite[] = [
  {
    topic: 'bytes',
    configs: { 'max.message.bytes': '1000' },
    message: /accepts batches of up to 1,000 bytes, and "bytes" on "east" batches of up to 1,048,588/,
    next: /max\.message\.bytes=1048588/,
    isSetByRun: true,
  },
  {
    topic: 'codec',
    configs: { 'compression.type': 'gzip' },
    message: /has compression\.type=gzip: its brokers unpack each batch and compress it anew/,
    next: /compression\.type=producer/,
    isSetByRun: true,
  },
  {
    topic: 'stamped',
    configs: { 'message.timestamp.type': 'LogAppendTime' },
    message: /has message\.timestamp\.type=LogAppendTime: each record gets the time of its copying/,
    next: /message\.timestamp\.type=CreateTime/,
    isSetByRun: true,
  },
  {
    topic: 'past',
    days: 20,
    configs: { 'message.timestamp.before.max.ms': '3600000' },
    message: /has message\.timestamp\.before\.max\.ms=3600000, and the first record is from 20/,
    next: /message\.timestamp\.before\.max\.ms=9223372036854775807/,
    isSetByRun: true,
  },
  {
    topic: 'future',
    days: -40,
    configs: { 'message.timestamp.after.max.ms': '3600000' },
    message: /has message\.timestamp\.after\.max\.ms=3600000, and a record has the time 20.*, which is to come/,
    next: /message\.timestamp\.after\.max\.ms=9223372036854775807/,
    isSetByRun: true,
  },
  {
    topic: 'insync',
    configs: { 'min.insync.replicas': '2' },
    message: /has min\.insync\.replicas=2 and 1 replica: its brokers refuse every write/,
    next: /min\.insync\.replicas=1/,
    isSetByRun: false,
  },
  {
    topic: 'compacted',
    configs: { 'cleanup.policy': 'compact' },
    message: /is compacted, and "compacted" is not: records whose key comes again disappear there/,
    next: /cleanup\.policy=delete/,
    isSetByRun: true,
  },
  {
    topic: 'short',
    configs: { 'retention.ms': '60000' },
    message: /deletes records older than 60 s, and "short" keeps them for 7 days/,
    next: /retention\.ms=604800000/,
    isSetByRun: false,
  },
  {
    topic: 'small',
    configs: { 'retention.bytes': '1000000' },
    message: /deletes what a partition has beyond 1,000,000 bytes, and "small" keeps all of it/,
    next: /retention\.bytes=-1/,
    isSetByRun: false,
  },
];

const TOPICS = [...BITES.map(({ topic }) => topic), 'clean'];
const mirror: MirrorSpec = { topics: TOPICS.map((match) => ({ match })) };
/** Withheld at first. */
const isSetting = ({ side, operation, resource }: Right): boolean =>
  side === 'target' && operation === 'ALTER_CONFIGS' && TOPICS.includes(resource);
const plan = (options: { rateBytesPerSecond?: number } = {}): Promise<MirrorPlan> =>
  planAsMirror(pair(), { name: 'bitten', mirror, ...options });

beforeAll(async () => {
  const [source, target] = [cluster('source').bootstrap, cluster('target').bootstrap];
  const lax = { 'message.timestamp.after.max.ms': '9223372036854775807', 'retention.ms': '604800000' };
  await createTopics(
    source,
    // Settings of the source topics themselves would be what the copy gets: only what must be is set.
    TOPICS.map((name) => ({ name, partitions: 1, ...(name === 'future' || name === 'past' ? { configs: lax } : {}) })),
  );
  await createTopics(target, [
    ...BITES.map(({ topic: name, configs }) => ({ name, partitions: 1, configs })),
    { name: 'clean', partitions: 1 },
  ]);
  await writeStreams(
    source,
    TOPICS.map((topic) => {
      const days = BITES.find((bite) => bite.topic === topic)?.days;
      const timestamps =
        days === undefined ? {} : { timestamps: { mode: 'fixed', baseMs: Date.now() - days * DAY_MS } as const };
      return { name: topic, topic, partitions: [0], records: 20, valueBytes: 200, ...timestamps };
    }),
  );
  const rights = [...leastRights('bitten', mirror), ...planRights('bitten', mirror)];
  const describing = rights.filter(isSetting).map((right) => ({ ...right, operation: 'DESCRIBE_CONFIGS' }));
  await grant(pair(), [...rights.filter((right) => !isSetting(right)), ...describing]);
}, 300_000);

function findingsOf({ topics }: MirrorPlan, topic: string): readonly Finding[] {
  return must(
    topics.find(({ source }) => source === topic),
    `plan of ${topic}`,
  ).findings;
}

test('a setting that the mirror may not change is named with what to set, and a topic without one is not', async () => {
  const found = await plan();
  for (const { topic, message, next } of BITES) {
    const [finding, ...more] = findingsOf(found, topic);
    expect(more, topic).toEqual([]);
    expect(finding, topic).toMatchObject({ code: 'TOPIC_SETTING_UNFIT', severity: 'warning' });
    expect(finding?.message).toMatch(message);
    expect(finding?.nextStep).toMatch(next);
    expect(finding?.nextStep).toContain(`kafka-configs.sh --alter --entity-type topics --entity-name ${topic} `);
  }
  expect(findingsOf(found, 'clean')).toEqual([]);
  expect(found.notChecked).toEqual([]);
}, 180_000);

test('records older than the target remembers its producers are named, with the value that would do', async () => {
  const { findings } = await plan();
  expect(findings).toHaveLength(1);
  const finding = must(findings[0], 'finding');
  expect(finding.code).toBe('CLUSTER_SETTING_UNFIT');
  expect(finding.message).toMatch(
    /^1 partition of "past" hold records to be copied that are older than 24 h \(the first is 20 days old\), and "west" has producer\.id\.expiration\.ms=86400000/,
  );
  const value = Number(/producer\.id\.expiration\.ms=(\d+) on the brokers/.exec(finding.nextStep)?.[1]);
  expect(value).toBeGreaterThan(20 * DAY_MS);
  await runAdmin(cluster('target').bootstrap, [{ setBrokerConfigs: { 'producer.id.expiration.ms': String(value) } }]);
  expect((await plan()).findings).toEqual([]);
}, 180_000);

test('a quota on our principal is named, and not looked for in vain', async () => {
  await runAdmin(cluster('target').bootstrap, [{ setQuotas: { producer_byte_rate: 1_000_000 } }]);
  const [finding, ...more] = (await plan()).findings;
  expect(more).toEqual([]);
  expect(finding?.code).toBe('CLUSTER_SETTING_UNFIT');
  expect(finding?.message).toBe(
    'Cluster "west" has a quota for every client id: producer_byte_rate=1000000 on each broker. The mirror is held back to it.',
  );
  await runAdmin(cluster('target').bootstrap, [{ setQuotas: { producer_byte_rate: null } }]);
  expect((await plan()).findings).toEqual([]);
}, 180_000);

test('a source that deletes faster than its records can be copied is named, with how that was estimated', async () => {
  const slow = findingsOf(await plan({ rateBytesPerSecond: 0.01 }), 'clean');
  expect(slow).toHaveLength(1);
  expect(slow[0]?.message).toMatch(
    /^Topic "clean" on "east" keeps records for 7 days \(retention\.ms\), and catching up takes about \d+(\.\d+)? days \([\d.]+ MB on the source's disks at 0 MB\/s, as stated\)/,
  );
  expect(slow[0]?.nextStep).toMatch(/--entity-name clean --add-config retention\.ms=\d+/);
  expect(findingsOf(await plan({ rateBytesPerSecond: 1_000_000 }), 'clean')).toEqual([]);
}, 180_000);

test('what the mirror may set right is in the plan as a setting and no finding; the rest stays until somebody changes it', async () => {
  const rights = leastRights('bitten', mirror).filter(isSetting);
  await grant(pair(), rights);
  const found = await plan();
  for (const { topic, isSetByRun, configs } of BITES) {
    expect(findingsOf(found, topic).length, topic).toBe(isSetByRun ? 0 : 1);
    const changes = must(
      found.topics.find(({ source }) => source === topic),
      topic,
    ).configs;
    for (const name of Object.keys(configs)) expect(name in changes, `${topic}: ${name}`).toBe(isSetByRun);
  }
  const left = BITES.filter(({ isSetByRun }) => !isSetByRun);
  await runAdmin(
    cluster('target').bootstrap,
    left.map(({ topic, configs }) => ({
      setConfigs: { topic, configs: Object.fromEntries(Object.keys(configs).map((name) => [name, null])) },
    })),
  );
  const silent = await plan();
  for (const topic of TOPICS) expect(findingsOf(silent, topic), topic).toEqual([]);
}, 180_000);
