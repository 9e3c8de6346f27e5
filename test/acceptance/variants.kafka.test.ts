/** Other starts, names, sizes and timestamps than the default ones, and topics and partitions that appear meanwhile. */
import { expect, test } from 'vitest';
import { expectIdentical, verifyMirror } from '#testing/checker/verify-mirror.ts';
import { readRecords } from '#testing/java-reader.ts';
import { waitUntil } from '#testing/process-stat.ts';
import { sharedClusters } from '#testing/shared-clusters.ts';
import { createTopics, describeTopics, runAdmin } from '#testing/topic-admin.ts';
import type { TopicDescription } from '#testing/topic-admin.ts';
import type { RecordStream, Workload } from '#testing/workload.ts';
import { writeStreams, writeWorkload } from '#testing/workload.ts';
import * as workloads from '#testing/workloads.ts';
import { must } from '#util/assert.ts';
import { leastRightsFiles, leastRightsUsers } from './least-rights.ts';
import { LockstepProcess, runUntilCaughtUp, statusOf, told, unguarded } from './lockstep-process.ts';

const dayMs = 86_400_000;
const cluster = sharedClusters({ source: { secure: leastRightsUsers }, target: { secure: leastRightsUsers } });
const declare = leastRightsFiles(() => ({ source: cluster('source'), target: cluster('target') }));
const bootstraps = () => ({ source: cluster('source').bootstrap, target: cluster('target').bootstrap });

const stream = (topic: string, records: number, more: Partial<RecordStream> = {}): RecordStream => ({
  name: `${topic}-${records}`,
  topic,
  partitions: [0, 1],
  records,
  partitionRuns: true,
  ...more,
});

async function described(side: 'source' | 'target', topic: string): Promise<TopicDescription> {
  return must((await describeTopics(cluster(side).bootstrap, [topic]))[0], 'description');
}

async function logStarts(side: 'source' | 'target', topic: string): Promise<number[]> {
  return (await described(side, topic)).partitions.map(({ earliest }) => earliest);
}

async function expectSame(source: string, target: string, policy: object = {}): Promise<void> {
  await expectIdentical({ ...bootstraps(), topics: [{ source, target }], policy });
}

const only = (match: string) => ({ topics: [{ match }] });
const startsBaseMs = Date.now() - dayMs;
const starts = declare({
  'start-latest': { ...only('start.latest'), start: 'latest' },
  'start-time': { ...only('start.time'), start: { timestamp: startsBaseMs + 1_000_000 + 500 } },
  'start-offsets': { ...only('start.offsets'), start: { offsets: { 'start.offsets': { 0: 1_234, 1: 7 } } } },
});

test('starts at the end, at a time and at given offsets, each with the offsets of the source', async () => {
  const { source } = bootstraps();
  const topic = (name: string): Workload => ({
    topics: [{ name, partitions: 2 }],
    streams: [stream(name, 4_000, { timestamps: { mode: 'fixed', baseMs: startsBaseMs, stepMs: 1_000 } })],
  });
  for (const name of ['start.latest', 'start.time', 'start.offsets']) await writeWorkload(source, topic(name));
  const file = starts();

  const first = await runUntilCaughtUp(file);

  expect(first.code, told(first)).toBe(0);
  expect(first.incidents).toEqual([]);
  expect(await logStarts('target', 'start.latest')).toEqual([2_000, 2_000]);
  // Records alternate between the partitions in runs of 50: the first at or after the time is number 1001 of 4000.
  expect(await logStarts('target', 'start.time')).toEqual([501, 500]);
  expect(await logStarts('target', 'start.offsets')).toEqual([1_234, 7]);
  expect(statusOf(first.events, 'start-latest')?.recordsCopied).toBe(0);

  await writeStreams(
    source,
    ['start.latest', 'start.time', 'start.offsets'].map((name) => stream(name, 300)),
  );
  const second = await runUntilCaughtUp(file);
  expect(second.code, told(second)).toBe(0);
  expect(statusOf(second.events, 'start-latest')?.recordsCopied).toBe(300);
  // With the source cut off where the target begins, both must be the same in everything.
  for (const name of ['start.latest', 'start.time', 'start.offsets']) {
    const [p0 = 0, p1 = 0] = await logStarts('target', name);
    await runAdmin(source, [{ deleteRecords: { topic: name, before: { 0: p0, 1: p1 } } }]);
    await expectSame(name, name);
  }
  expect(await logStarts('target', 'start.latest')).toEqual([2_000, 2_000]);
}, 120_000);

const rename = declare({
  rename: {
    topics: [
      { match: 'pay.plain' },
      { match: '/^pay\\.(\\w+)\\.(\\w+)$/', to: 'dr.$2.$1' },
      { exclude: '/\\.internal$/' },
    ],
  },
});

test('renames with captures, takes a dot for a dot, leaves out what is excluded and what is internal', async () => {
  const { source, target } = bootstraps();
  const names = ['pay.eu.in', 'pay.us.in', 'pay.eu.internal', 'payXeu', 'pay.plain'];
  await writeWorkload(source, {
    topics: names.map((name) => ({ name, partitions: 2 })),
    streams: names.map((name) => stream(name, 200)),
  });
  const run = await runUntilCaughtUp(rename());
  expect(run.code, told(run)).toBe(0);
  for (const [from, to] of [
    ['pay.eu.in', 'dr.in.eu'],
    ['pay.us.in', 'dr.in.us'],
    ['pay.plain', 'pay.plain'],
  ] as const)
    await expectSame(from, to);
  expect(
    statusOf(run.events, 'rename')
      ?.shards.map((shard) => shard.targetTopic)
      .sort(),
  ).toEqual(['dr.in.eu', 'dr.in.eu', 'dr.in.us', 'dr.in.us', 'pay.plain', 'pay.plain']);
  await expect(describeTopics(target, ['dr.internal.eu'])).rejects.toThrow(/UnknownTopicOrPartition/);
}, 120_000);

const refreshMs = 1_000;
const grow = declare({ grow: { topics: [{ match: '/^grow\\..+$/' }], refreshMs } });

test('picks up new partitions and new topics while it runs, from their first record', async () => {
  const { source } = bootstraps();
  await writeWorkload(source, { topics: [{ name: 'grow.old', partitions: 2 }], streams: [stream('grow.old', 500)] });
  const lockstep = LockstepProcess.run(grow());
  const isCopying = (topic: string, shards: number): boolean =>
    lockstep.status('grow')?.shards.filter((shard) => shard.topic === topic && shard.state === 'copying').length ===
    shards;
  await lockstep.until(() => isCopying('grow.old', 2), 'the topic is copied');

  await runAdmin(source, [
    { addPartitions: { topic: 'grow.old', total: 5 } },
    { create: [{ name: 'grow.new', partitions: 3 }] },
  ]);
  const appearedAt = performance.now();
  await lockstep.until(() => isCopying('grow.old', 5) && isCopying('grow.new', 3), 'the new ones are copied');
  const tookMs = performance.now() - appearedAt;
  await writeStreams(source, [
    stream('grow.old', 1_000, { partitions: [0, 1, 2, 3, 4] }),
    stream('grow.new', 600, { partitions: [0, 1, 2] }),
  ]);
  await lockstep.until(() => lockstep.status('grow')?.recordsCopied === 2_100, 'all records are copied');
  const run = await lockstep.interrupt();

  expect(run.code).toBe(130);
  expect(run.incidents).toEqual([]);
  process.stdout.write(`variants: new partitions and topics copied after ${tookMs.toFixed(0)} ms\n`);
  expect(tookMs).toBeLessThan(refreshMs + 5_000);
  await expectSame('grow.old', 'grow.old');
  await expectSame('grow.new', 'grow.new');
}, 120_000);

const late = declare({ late: { ...only('late'), start: 'latest', refreshMs: 2_000 } });

test('copies a partition that is added later from its first record, also when the mirror began at the end', async () => {
  const { source } = bootstraps();
  await writeWorkload(source, {
    topics: [{ name: 'late', partitions: 1 }],
    streams: [stream('late', 400, { partitions: [0] })],
  });
  const file = late();
  const lockstep = LockstepProcess.run(file);
  await lockstep.until(() => lockstep.status('late')?.shards[0]?.state === 'copying', 'the mirror has begun');
  await runAdmin(source, [{ addPartitions: { topic: 'late', total: 2 } }]);
  await writeStreams(source, [stream('late', 300, { partitions: [0, 1] })]); // at once: before the mirror can have seen it
  await lockstep.until(() => lockstep.status('late')?.recordsCopied === 300, 'all new records are copied');
  await lockstep.interrupt();

  expect(await logStarts('target', 'late')).toEqual([400, 0]);
  const again = await runUntilCaughtUp(file);
  expect([again.code, again.incidents]).toEqual([0, []]);
}, 120_000);

const split = declare({ split: only('split') });

test('splits batches that are larger than the target topic takes, in every codec', async () => {
  const { source, target } = bootstraps();
  const large: RecordStream = stream('split', 3_000, {
    batchBytes: 1_000_000,
    lingerMs: 300,
    valueBytes: 1_500,
    headers: 'odd',
  });
  const streams = (['none', 'gzip', 'snappy', 'lz4', 'zstd'] as const).map((codec) => ({
    ...large,
    name: codec,
    codec,
  }));
  await writeWorkload(source, {
    topics: [{ name: 'split', partitions: 2, configs: { 'max.message.bytes': '2000000' } }],
    streams,
  });
  // The limit is lowered when the batches are there already; the adopted target begins with a smaller one still.
  await runAdmin(source, [{ setConfigs: { topic: 'split', configs: { 'max.message.bytes': '60000' } } }]);
  await createTopics(target, [{ name: 'split', partitions: 2, configs: { 'max.message.bytes': '20000' } }]);
  const run = await runUntilCaughtUp(split());
  expect(run.code, told(run)).toBe(0);
  expect(run.incidents).toEqual([]);
  expect(statusOf(run.events, 'split')?.bytes.reencoded.split).toBeGreaterThan(1_000_000);
  await expectSame('split', 'split');
}, 120_000);

const lowered = declare({ lowered: only('lowered') });

test('goes on when the limit of the target is lowered while it runs, as long as each record fits', async () => {
  const { source, target } = bootstraps();
  await writeWorkload(source, {
    topics: [{ name: 'lowered', partitions: 1 }],
    streams: [stream('lowered', 100, { partitions: [0] })],
  });
  const lockstep = LockstepProcess.run(lowered());
  await lockstep.until(() => lockstep.status('lowered')?.recordsCopied === 100, 'the first records are copied');
  await runAdmin(target, [{ setConfigs: { topic: 'lowered', configs: { 'max.message.bytes': '50000' } } }]);
  // In one batch: a record that is larger than half of what is too large, and small ones around it.
  const together: Partial<RecordStream> = { partitions: [0], batchBytes: 500_000, lingerMs: 500 };
  await writeStreams(source, [
    stream('lowered', 101, {
      ...together,
      valueBytes: [
        [20, 700, 900],
        [1, 45_000, 45_000],
      ],
    }),
  ]);
  await lockstep.until(
    () => lockstep.status('lowered')?.recordsCopied === 201 || lockstep.incidents.length > 0,
    'all is copied',
  );
  const run = await lockstep.interrupt();
  expect(run.incidents, told(run)).toEqual([]);
  await expectSame('lowered', 'lowered');
}, 120_000);

const times = declare({
  'times-producer': { ...only('times.producer'), timestamps: 'producer' },
  'times-target': { ...only('times.target'), timestamps: 'target' },
});

test("keeps producers' times or leaves the target its clock, as the file says", async () => {
  const { source, target } = bootstraps();
  for (const name of ['times.producer', 'times.target'])
    await writeWorkload(source, workloads.logAppendTime(name, { records: 2_000 }));
  const file = times();
  const startedAt = Date.now();
  for (const round of [0, 1]) {
    const run = await runUntilCaughtUp(file);
    expect(run.code, told(run)).toBe(0);
    expect(run.incidents).toEqual([]);
    if (round === 0)
      for (const topic of ['times.producer', 'times.target'])
        await writeStreams(source, [stream(topic, 100, { timestamps: { mode: 'age', days: 40 } })]);
  }
  for (const name of ['times.producer', 'times.target']) await expectSame(name, name, { timestamps: 'ignore' });
  const range = (topic: string) => ({ topic, partition: 0, from: 0, to: 2_000 });
  const [producer, own] = await Promise.all(
    ['times.producer', 'times.target'].map((topic) =>
      readRecords({ bootstrap: target, isolation: 'read_uncommitted' }, range(topic)),
    ),
  );
  expect(
    producer?.every(
      ({ timestamp, timestampType }) => timestampType === 'CreateTime' && timestamp < startedAt - 39 * dayMs,
    ),
  ).toBe(true);
  expect(
    own?.every(({ timestamp, timestampType }) => timestampType === 'LogAppendTime' && timestamp >= startedAt),
  ).toBe(true);
}, 120_000);

const open = declare({ open: { ...only('open'), transactions: 'committed-only' } });

test('is caught up at an open transaction, says what it holds back, and goes on when it has ended', async () => {
  const { source } = bootstraps();
  const transactions = { producers: 2, abortRate: 0.2, records: [1, 30], leaveOpen: 1, timeoutMs: 5_000 } as const;
  await writeWorkload(source, {
    topics: [{ name: 'open', partitions: 1 }],
    streams: [stream('open', 1_000, { partitions: [0], transactions })],
  });
  const file = open();
  const held = must((await described('source', 'open')).partitions[0], 'partition');
  expect(held.lastStable).toBeLessThan(held.latest);

  const first = await runUntilCaughtUp(file);

  expect(first.code, told(first)).toBe(0);
  const warnings = first.events.flatMap((event) =>
    event.event === 'warning' && event.code === 'SHARD_TRANSACTION_OPEN' ? [event.message] : [],
  );
  expect(warnings).toHaveLength(1);
  expect(warnings[0]).toContain(`offset ${held.lastStable}`);
  expect((await described('target', 'open')).partitions[0]?.latest).toBe(held.lastStable);
  // The coordinator aborts it after its timeout; that is looked for every 10 s (transaction.abort.timed.out.transaction.cleanup.interval.ms).
  const isEnded = async (): Promise<boolean> =>
    (await described('source', 'open')).partitions.every((each) => each.lastStable === each.latest);
  await waitUntil(isEnded, 'the transaction has ended', { timeoutMs: 60_000, everyMs: 500 });
  const second = await runUntilCaughtUp(file);
  expect(second.code, told(second)).toBe(0);
  await expectSame('open', 'open');
}, 120_000);

const cleaned = declare({ cleaned: { ...only('cleaned'), transactions: 'committed-only' } });

test('loses nothing when the source is compacted while it is copied and the mirror is killed', async () => {
  const { source, target } = bootstraps();
  const configs = {
    'cleanup.policy': 'compact',
    'segment.ms': '300',
    'min.cleanable.dirty.ratio': '0.01',
    'min.compaction.lag.ms': '0',
  };
  await runAdmin(source, [
    { setBrokerConfigs: { 'log.cleaner.backoff.ms': '100' } },
    { create: [{ name: 'cleaned', partitions: 2, configs }] },
  ]);
  const file = cleaned();
  for (const round of [0, 1, 2]) {
    const shape: Partial<RecordStream> = { keys: { cycle: 300 }, partitionRuns: false };
    await writeStreams(source, [stream('cleaned', 6_000, { ...shape, name: `fast-${round}` })]);
    const lockstep = LockstepProcess.run(file, [], unguarded('ownership')); // which waits after a kill
    const writing = writeStreams(source, [
      stream('cleaned', 5_000, { ...shape, name: `slow-${round}`, recordsPerSecond: 2_500 }),
    ]);
    await lockstep.until(() => (lockstep.status('cleaned')?.recordsCopied ?? 0) > 0, 'it copies');
    await lockstep.kill();
    expect(lockstep.incidents, lockstep.describe()).toEqual([]);
    await writing;
  }
  const run = await runUntilCaughtUp(file);
  expect(run.code, told(run)).toBe(0);
  // Not by the Java consumer: what the source has forgotten since, the target may still have.
  const report = await verifyMirror({
    source,
    target,
    topics: [{ source: 'cleaned', target: 'cleaned' }],
    policy: { isCompacted: true },
  });
  expect(report.topics[0]?.findings.filter(({ count }) => count > 0)).toEqual([]);
  expect(report.topics[0]?.dispositions.compacted, 'the cleaner was at work').toBeGreaterThan(5_000);
}, 120_000);
