/**
 * More than two clusters, and both directions at once, with the real command in a process and a file for each mirror: no record
 * goes round, a chain is identical end to end, and rings are refused whoever starts first.
 */
import { expect, test } from 'vitest';
import type { MirrorPlan } from '#contract/plan.ts';
import { expectIdentical } from '#testing/checker/verify-mirror.ts';
import { openCluster } from '#testing/open-cluster.ts';
import { sharedClusters } from '#testing/shared-clusters.ts';
import { createTopics } from '#testing/topic-admin.ts';
import { spawnLiveTraffic, writeStreams, type RecordStream } from '#testing/workload.ts';
import { must } from '#util/assert.ts';
import { Command } from './command.ts';
import { writeLink, type MirrorSpec } from './link-file.ts';
import { LockstepProcess, runUntilCaughtUp, told } from './lockstep-process.ts';
import { LogEnds } from './log-ends.ts';

const seed = Number(process.env['LOCKSTEP_SEED'] ?? Date.now() % 1_000_000);
const cluster = sharedClusters({ a: {}, b: {}, c: {} });
type Name = 'a' | 'b' | 'c';

function file(from: Name, to: Name, mirror: string, spec: MirrorSpec): string {
  const link = { source: cluster(from).bootstrap, target: cluster(to).bootstrap };
  return writeLink({ ...link, mirrors: { [mirror]: { refreshMs: 300, ...spec } } });
}

const stream = (topic: string, more: Partial<RecordStream> = {}): RecordStream => ({
  name: topic,
  topic,
  partitions: [0, 1],
  ...more,
});

async function planOf(path: string): Promise<{ code: number; plan: MirrorPlan }> {
  const { code, out, err } = await new Command(['plan', '-f', path, '--json']).ended();
  expect(out, err).not.toBe('');
  const { mirrors } = JSON.parse(out) as { mirrors: MirrorPlan[] };
  return { code, plan: must(mirrors[0], 'plan') };
}

async function topicsOf(name: Name, ending: string): Promise<string[]> {
  const client = openCluster(cluster(name).bootstrap);
  try {
    await client.connect();
    return (await client.refresh('all'))
      .map((topic) => topic.name)
      .filter((topic) => topic.endsWith(ending))
      .sort();
  } finally {
    client.close();
  }
}

async function endsOf(name: Name, topic: string): Promise<number[]> {
  const ends = await LogEnds.open(cluster(name).bootstrap, [topic]);
  const bounds = await ends.read();
  ends.close();
  return [...bounds.values()].map(({ end }) => end);
}

const warningsOf = ({ events }: LockstepProcess, code: string): string[] =>
  events.flatMap((event) => (event.event === 'warning' && event.code === code ? [event.message] : []));

test('active/active with prefixes: each side has its own and the other side’s records, and none goes round', async () => {
  process.stdout.write(`topologies: seed ${seed}\n`);
  for (const name of ['a', 'b'] as const) await createTopics(cluster(name).bootstrap, [{ name: 'duo', partitions: 2 }]);
  const match = '/(?:.+\\.)?duo/';
  const files = [
    file('a', 'b', 'there', { topics: [{ match, to: 'a.$0' }] }),
    file('b', 'a', 'back', { topics: [{ match, to: 'b.$0' }] }),
  ] as const;
  const live = stream('duo', { recordsPerSecond: 200 });
  const traffic = await Promise.all([
    spawnLiveTraffic(cluster('a').bootstrap, [live], { seed, run: 'of a' }),
    spawnLiveTraffic(cluster('b').bootstrap, [live], { seed, run: 'of b' }),
  ]);
  const mirrors = files.map((path) => LockstepProcess.run(path));
  for (const [i, mirror] of mirrors.entries()) {
    const name = ['there', 'back'][i] ?? '';
    await mirror.until(() => (mirror.status(name)?.recordsCopied ?? 0) > 1_000, `${name} has copied 1,000 records`);
    await mirror.until(() => warningsOf(mirror, 'TOPIC_LEFT_OUT').length > 0, `${name} has found the other's copies`);
  }
  const written = await Promise.all(traffic.map((each) => each.stop()));
  for (const mirror of mirrors) expect((await mirror.interrupt()).incidents, mirror.describe()).toEqual([]);
  for (const path of files) {
    const ended = await runUntilCaughtUp(path);
    expect(ended.code, told(ended)).toBe(0);
  }
  expect(warningsOf(must(mirrors[0], 'there'), 'TOPIC_LEFT_OUT')).toEqual([
    expect.stringMatching(
      /topics\[0\] of mirror "there".*topic "b\.duo".*come from "duo" of cluster "west" by mirror "back"/,
    ),
  ]);
  expect(await topicsOf('a', 'duo')).toEqual(['b.duo', 'duo']);
  expect(await topicsOf('b', 'duo')).toEqual(['a.duo', 'duo']);
  for (const [from, to, i] of [
    ['a', 'b', 0],
    ['b', 'a', 1],
  ] as const) {
    const topics = [{ source: 'duo', target: `${from}.duo` }];
    const report = await expectIdentical({
      source: cluster(from).bootstrap,
      target: cluster(to).bootstrap,
      topics,
      policy: { transactions: 'preserve' },
    });
    expect(report.recordsEqual, 'its own records, and no others').toBe(written[i]?.records);
  }
  const verified = await new Command(['verify', '-f', files[0]]).ended();
  expect(verified.code, `${verified.out}\n${verified.err}`).toBe(0);
  const planned = await planOf(files[0]);
  expect(planned.plan.findings.map(({ code, severity }) => `${severity} ${code}`)).toContain('warning TOPIC_LEFT_OUT');
  expect(planned.plan.topics.map(({ source }) => source)).toEqual(['duo']);
  const named = file('a', 'b', 'there', { topics: [{ match: 'b.duo', to: 'kept' }] });
  expect((await planOf(named)).plan.topics.map(({ target, action }) => `${target} ${action}`)).toEqual(['kept create']);
}, 150_000);

test('a chain of three is identical end to end while it is written, and its ring is refused', async () => {
  await createTopics(cluster('a').bootstrap, [{ name: 'chain', partitions: 2 }]);
  const transactions = { producers: 2, abortRate: 0.2, records: [5, 20] as const };
  const [plain, inTransactions] = [
    stream('chain', { recordsPerSecond: 200 }),
    stream('chain', { name: 'tx', recordsPerSecond: 200, transactions }),
  ];
  const topics = [{ match: 'chain' }];
  const files = [file('a', 'b', 'first', { topics }), file('b', 'c', 'second', { topics })] as const;
  const traffic = await spawnLiveTraffic(cluster('a').bootstrap, [plain, inTransactions], { seed });
  const first = LockstepProcess.run(files[0]);
  await first.until(() => (first.status('first')?.recordsCopied ?? 0) > 0, 'the first link copies');
  const second = LockstepProcess.run(files[1]);
  await second.until(() => (second.status('second')?.recordsCopied ?? 0) > 1_500, 'the second link copies');
  const written = await traffic.stop();
  for (const mirror of [first, second]) expect((await mirror.interrupt()).incidents, mirror.describe()).toEqual([]);
  for (const path of files) {
    const ended = await runUntilCaughtUp(path);
    expect(ended.code, told(ended)).toBe(0);
  }
  const report = await expectIdentical({
    source: cluster('a').bootstrap,
    target: cluster('c').bootstrap,
    topics: [{ source: 'chain', target: 'chain' }],
    policy: { transactions: 'preserve' },
  });
  expect(written.transactions.aborted, 'transactions were aborted').toBeGreaterThan(0);
  process.stdout.write(`chain: ${report.recordsEqual} records identical over two links\n`);

  const before = await endsOf('a', 'chain');
  for (const [from, mirror, way] of [
    ['b', 'two', /from "chain" of cluster "west" by mirror "first"$/],
    [
      'c',
      'three',
      /from "chain" of the cluster with id \S+ by mirror "second", from "chain" of cluster "west" by mirror "first"$/,
    ],
  ] as const) {
    const ring = file(from, 'a', mirror, { topics });
    const { code, plan } = await planOf(ring);
    expect(code).toBe(5);
    const found = must(
      plan.findings.find((each) => each.code === 'TOPIC_CYCLE'),
      'finding',
    );
    expect(found.severity).toBe('error');
    expect(found.message.replace(/\.$/, '')).toMatch(way);
    expect(plan.topics).toEqual([]);
    const ran = await runUntilCaughtUp(ring);
    expect(ran.code, told(ran)).toBe(5);
    expect(ran.incidents.map((each) => `${each.code} ${each.topic}`)).toEqual(['TOPIC_CYCLE chain']);
    expect(ran.incidents[0]?.cause).toContain(`Mirror "${mirror}" would copy topic "chain" of cluster "east"`);
  }
  expect(await endsOf('a', 'chain'), 'nothing was written').toEqual(before);
  const renamed = file('b', 'a', 'two', { topics: [{ match: 'chain', to: 'from.b.chain' }] });
  expect((await planOf(renamed)).plan.topics.map(({ action }) => action)).toEqual(['create']);
  const other = await runUntilCaughtUp(file('a', 'b', 'other', { topics }));
  expect(
    other.incidents.map(({ code }) => code),
    'two mirrors into one topic',
  ).toEqual(['TOPIC_CLAIMED']);
}, 150_000);

test('a ring that mirrors close which could not see it is found while they run', async () => {
  for (const name of ['a', 'c'] as const)
    await createTopics(cluster(name).bootstrap, [{ name: 'ring', partitions: 1 }]);
  const topics = [{ match: 'ring' }];
  const first = await runUntilCaughtUp(file('a', 'b', 'one', { topics })); // says that b's comes from a, and no more
  expect(first.code, told(first)).toBe(0);
  await createTopics(cluster('c').bootstrap, [{ name: 'aside', partitions: 1 }]);
  const closing = LockstepProcess.run(file('c', 'a', 'three', { topics: [...topics, { match: 'aside' }] }));
  const position = (topic: string): number | null | undefined =>
    closing.status('three')?.shards.find((shard) => shard.topic === topic)?.position;
  await closing.until(() => position('ring') === 0 && position('aside') === 0, 'c is copied to a');
  const closes = file('b', 'c', 'two', { topics });
  const second = LockstepProcess.run(closes);
  await closing.until(() => closing.incidents.length > 0, 'the ring is found', 30_000);
  expect(closing.incidents.map(({ code, topic }) => `${code} ${topic}`)).toEqual(['TOPIC_CYCLE ring']);
  expect(closing.incidents[0]?.cause).toMatch(
    /from .*ring.* by mirror .*two.*, from .*ring.* of cluster .*west.* by mirror .*one/,
  );
  await second.interrupt();
  const write = (topic: string): Promise<unknown> =>
    writeStreams(cluster('c').bootstrap, [stream(topic, { partitions: [0], records: 100 })], { seed });
  await write('aside');
  await closing.until(() => position('aside') === 100, 'the other topic goes on');
  expect(await endsOf('a', 'ring')).toEqual([0]);

  const over = await new Command(['failover', '-f', closes, '--yes', '--no-fence']).ended();
  expect(over.code, over.err).toBe(0);
  await write('ring');
  await closing.until(() => position('ring') === 100, 'the topic of c has writers of its own, and is copied');
  expect(closing.events.filter(({ event }) => event === 'incident-ended')).toHaveLength(1);
  expect((await closing.interrupt()).code).toBe(130);
  expect(await endsOf('a', 'ring')).toEqual([100]);
}, 90_000);

test('source and target that are one cluster under two addresses are refused', async () => {
  const port = must(cluster('a').bootstrap[0]?.split(':')[1], 'port');
  const link = { source: [`127.0.0.1:${port}`], target: [`localhost:${port}`] };
  const path = writeLink({ ...link, mirrors: { self: { topics: [{ match: '/.*/', to: 'copy.$0' }] } } });
  const [plan, run] = [await new Command(['plan', '-f', path]).ended(), await runUntilCaughtUp(path)];
  expect(plan.code, plan.out).toBe(2);
  expect(run.code, told(run)).toBe(2);
  for (const text of [plan.err, run.stderr])
    expect(text).toMatch(/CLUSTER_SAME.*Mirror .*self.*: source .*east.* and target .*west.* are one cluster/);
}, 60_000);
