/**
 * A failover under live producers, plain and transactional, and live consumers, by Kafka's own clients: with the source, which is
 * fenced, nothing is missing and nobody skips or repeats a record; without it the copy is a prefix, what is cut in two is named,
 * and what only the old primary has is what failback reports.
 */
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import type { DivergedRecord, FailbackReport, FailoverEvidence } from '#contract/failover.ts';
import { expectIdentical } from '#testing/checker/verify-mirror.ts';
import { consumeToEnd, spawnConsumer } from '#testing/live-consumer.ts';
import { plantBug } from '#testing/planted-bug.ts';
import { sharedClusters } from '#testing/shared-clusters.ts';
import { temporaryDirectory } from '#testing/supervisor.ts';
import { createTopics, describeTopics, runAdmin, type Acl } from '#testing/topic-admin.ts';
import { spawnLiveTraffic, writeStreams, type LiveTraffic, type RecordStream } from '#testing/workload.ts';
import { must } from '#util/assert.ts';
import { Command, type Ended } from './command.ts';
import { linkText, writeLink } from './link-file.ts';
import { LockstepProcess, told } from './lockstep-process.ts';

const seed = Number(process.env['LOCKSTEP_SEED'] ?? Date.now() % 1_000_000);
const password = 'of-the-application';
const cluster = sharedClusters({ source: { secure: { users: { app: password } } }, target: {} });
const asApplication = {
  'security.protocol': 'SASL_PLAINTEXT',
  'sasl.mechanism': 'PLAIN',
  'sasl.jaas.config': `org.apache.kafka.common.security.plain.PlainLoginModule required username="app" password="${password}";`,
};
/** Also shows the tests failing without what they are about. */
const isFull = process.env['LOCKSTEP_FULL'] === '1';
const running: { close(): unknown }[] = [];

beforeAll(async () => {
  process.stdout.write(`failover: seed ${seed}\n`);
  const allow = (resource: Acl['resource'], operation: string): Acl => ({
    user: 'app',
    operation,
    resource,
    name: '*',
  });
  const acls = [allow('topic', 'write'), allow('topic', 'describe'), allow('transactional_id', 'all')];
  await runAdmin(cluster('source').bootstrap, [{ addAcls: acls }]);
}, 60_000);

afterAll(async () => {
  for (const each of running) await each.close();
});

const partitions = [0, 1];
const streamsOf = (name: string, more: Partial<RecordStream> = {}): RecordStream[] => [
  { name: 'plain', topic: `${name}.plain`, partitions, recordsPerSecond: 200, ...more },
  {
    name: 'tx',
    topic: `${name}.tx`,
    partitions,
    recordsPerSecond: 200,
    transactions: { producers: 3, abortRate: 0.2, records: [20, 60], timeoutMs: 10_000 },
    ...more,
  },
];

interface Scene {
  readonly file: string;
  readonly topics: readonly string[];
  readonly group: string;
  readonly mirror: LockstepProcess;
  readonly traffic: LiveTraffic;
  readonly readers: Awaited<ReturnType<typeof spawnConsumer>>;
}

/** A mirror that has caught up with live traffic, and readers of it. */
async function begin(name: string): Promise<Scene> {
  const [source, target] = [cluster('source'), cluster('target')];
  const topics = [`${name}.plain`, `${name}.tx`];
  const group = `${name}-readers`;
  await createTopics(
    source.bootstrap,
    topics.map((topic) => ({ name: topic, partitions: 2 })),
  );
  const sync = { groups: { match: [group], everyMs: 500 } };
  const mirrors = { [name]: { topics: topics.map((match) => ({ match })), refreshMs: 500, sync } };
  const file = writeLink({ source: source.bootstrap, target: target.bootstrap, mirrors });
  const door = source.doors.saslPlaintext;
  const traffic = await spawnLiveTraffic(door, streamsOf(name), { seed, properties: asApplication });
  running.push({ close: () => traffic.stop().catch(() => {}) });
  const mirror = LockstepProcess.run(file);
  running.push({ close: () => mirror.kill() });
  const readers = await spawnConsumer(source.bootstrap, { group, topics });
  running.push({ close: () => readers.stop().catch(() => {}) });
  const hasBegun = (): boolean => {
    const shards = mirror.status(name)?.shards ?? [];
    return shards.length === 4 && shards.every(({ position }) => (position ?? 0) > 200) && readers.read.length > 1_000;
  };
  await mirror.until(hasBegun, 'everything is copied and read');
  return { file, topics, group, mirror, traffic, readers };
}

/** Of `Command.says`, generously: within it a line is seen. */
const pollMs = 1_000;

async function failover(
  file: string,
  ...more: readonly string[]
): Promise<{ ended: Ended; evidence: FailoverEvidence; lastStepMs: number }> {
  const path = join(temporaryDirectory('evidence'), 'failover.json');
  const command = new Command(['failover', '-f', file, '--yes', '--evidence', path, ...more]);
  let lastStepMs = Number.NaN; // where all was done before
  void command.says(/promote …/, 120_000).then(
    () => (lastStepMs = performance.now()),
    () => {},
  );
  const ended = await command.ended(120_000);
  expect(ended.code, `${ended.out}${ended.err}`).toBe(0);
  return { ended, evidence: JSON.parse(readFileSync(path, 'utf8')) as FailoverEvidence, lastStepMs };
}

async function denials(bootstrap: readonly string[]): Promise<string[]> {
  const [acls] = (await runAdmin(bootstrap, [{ describeAcls: 'all' }])) as [Acl[]];
  return acls.filter(({ permission }) => permission === 'deny').map(({ name }) => name);
}

async function failback(file: string, ...more: readonly string[]): Promise<Ended & { report: FailbackReport | null }> {
  const ended = await new Command(['failback', '-f', file, '--json', ...more]).ended();
  return { ...ended, report: ended.out === '' ? null : (JSON.parse(ended.out) as FailbackReport) };
}

/** The printed mirror, with the clusters. */
function writeBack({ document }: FailbackReport): string {
  const path = join(temporaryDirectory('back'), 'back.yaml');
  const [source, target] = [cluster('source').bootstrap, cluster('target').bootstrap];
  writeFileSync(path, `${linkText({ source, target, mirrors: {} })}\n---\n${document}`);
  return path;
}

/** Runs it until both sides are the same again. */
async function leadBack(report: FailbackReport, topics: readonly string[]): Promise<void> {
  const [source, target] = [cluster('source'), cluster('target')];
  const run = await LockstepProcess.run(writeBack(report), ['--until', 'caught-up']).ended(120_000);
  expect(run.code, told(run)).toBe(0);
  await expectIdentical({
    source: target.bootstrap,
    target: source.bootstrap,
    topics: topics.map((topic) => ({ source: topic, target: topic })),
    policy: { transactions: 'preserve' },
  });
}

async function leadBackWithoutAdoption(report: FailbackReport): Promise<void> {
  const find = 'lastOffsetOf(batch, 0) < (port.adoptedBelow ?? 0)';
  const { env } = plantBug({ file: 'src/mirror/shard-position.ts', find, replace: 'false' });
  const wrong = await LockstepProcess.run(writeBack(report), ['--until', 'caught-up'], { env }).ended(60_000);
  expect([wrong.code, wrong.incidents[0]?.code], told(wrong)).toEqual([5, 'SHARD_DIVERGED']);
}

test('with the source: everything is copied, consumers skip nothing and read nothing twice, and the mirror refuses to go on', async () => {
  const [source, target] = [cluster('source'), cluster('target')];
  const { file, topics, group, mirror, traffic, readers } = await begin('reached');
  const planned = await new Command(['failover', '-f', file]).ended();
  expect([planned.code, planned.out], planned.err).toEqual([3, expect.stringContaining('Nothing was changed')]);

  const drilled = await new Command(['drill', '-f', file, '--json']).ended();
  const drill = JSON.parse(must(drilled.out.trim().split('\n').at(-1), 'last line')) as FailoverEvidence;
  expect([drilled.code, drill.outcome, drill.verified?.different], drilled.err).toEqual([0, 'drill', 0]);
  process.stdout.write(`drill: ${drill.rtoMs} ms, ${drill.rpo.records} offsets behind\n`);

  const startedMs = performance.now();
  const interrupted = new Command(['failover', '-f', file, '--yes']);
  await interrupted.says(/fence …/);
  const firstStepMs = performance.now();
  await interrupted.says(/drain …/);
  interrupted.child.kill('SIGKILL');
  await interrupted.ended();
  const { evidence, lastStepMs } = await failover(file);
  const tookMs = performance.now() - startedMs;
  const times = evidence.steps.map(({ step, startedAt, endedAt }) => `${step} ${endedAt - startedAt}`);
  process.stdout.write(`failover, steps in ms: ${times.join(', ')}\n`);
  process.stdout.write(`failover, fenced: RTO ${evidence.rtoMs} ms, stopwatch ${Math.round(tookMs)} ms\n`);
  expect(evidence, JSON.stringify(evidence)).toMatchObject({
    outcome: 'promoted',
    isSourceLost: false,
    rpo: { records: 0, ms: 0 },
    fence: { topics, why: null },
    verified: { different: 0, failed: 0 },
  });
  expect(evidence.verified?.records).toBeGreaterThan(500);
  expect(evidence.rtoMs, 'less than a stopwatch, which counts the start of the process too').toBeLessThan(tookMs);
  const seenMs = lastStepMs - firstStepMs;
  expect(evidence.rtoMs, 'at least from the first step to the last, as seen').toBeGreaterThan(seenMs - pollMs);
  await expect(traffic.failed, 'producers were kept out').rejects.toThrow(/TopicAuthorization/);
  const stopped = await mirror.ended(30_000);
  expect([stopped.code, stopped.stderr]).toEqual([5, expect.stringContaining('MIRROR_FAILED_OVER')]);
  await expectIdentical({
    source: source.bootstrap,
    target: target.bootstrap,
    topics: topics.map((topic) => ({ source: topic, target: topic })),
    policy: { transactions: 'preserve' },
  });

  const onSource = await readers.stop();
  const after = streamsOf('reached', { name: 'after', records: 300 }).map(({ recordsPerSecond: _, ...stream }, i) => ({
    ...stream,
    name: `after-${i}`,
  }));
  await writeStreams(target.bootstrap, after, { seed });
  const onTarget = await consumeToEnd(target.bootstrap, { group, topics });
  expect(onTarget.length, 'they read what was written on the target').toBeGreaterThan(300);
  const all = await consumeToEnd(target.bootstrap, { group: 'reached-all', topics });
  expect([...onSource, ...onTarget].toSorted()).toEqual(all.toSorted());

  const again = await failover(file);
  expect(again.evidence.steps).toEqual(evidence.steps);
  const run = await LockstepProcess.run(file, ['--until', 'caught-up']).ended(60_000);
  expect([run.code, run.stderr]).toEqual([5, expect.stringContaining('was failed over')]);
  expect((await new Command(['failover', '-f', file, '--abandon']).ended()).err).toContain('cannot be given up');

  expect(await denials(source.bootstrap), 'the old primary stays fenced').toEqual(topics);
  const back = await failback(file, '--yes');
  expect([back.code, back.report?.records, back.report?.isDone], back.err).toEqual([0, 0, true]);
  expect([back.report?.topics, back.report?.kept]).toEqual([[], topics]);
  expect(await denials(source.bootstrap)).toEqual([]);
  const [before] = await describeTopics(source.bootstrap, topics);
  if (isFull) await leadBackWithoutAdoption(must(back.report, 'report'));
  await leadBack(must(back.report, 'report'), topics);
  const [behind] = await describeTopics(source.bootstrap, topics);
  expect(behind?.id, 'not created anew').toBe(before?.id);
}, 240_000);

test('without the source: the copy is a prefix, transactions that are cut in two are named, and groups skip nothing', async () => {
  const [source, target] = [cluster('source'), cluster('target')];
  const { file, topics, group, mirror, readers, traffic } = await begin('killed');
  await Promise.all(source.brokers.map((broker) => broker.kill()));
  const planned = await new Command(['failover', '-f', file]).ended();
  expect([planned.code, planned.out], planned.err).toEqual([3, expect.stringContaining('does not answer')]);
  process.stdout.write(`plan without the source: ${Math.round(planned.tookMs)} ms\n`);
  const { ended, evidence } = await failover(file, '--source-lost');
  process.stdout.write(
    `failover, killed: RTO ${evidence.rtoMs} ms, command ${Math.round(ended.tookMs)} ms, ${evidence.transactions.length} transactions cut\n`,
  );
  expect(evidence).toMatchObject({ isSourceLost: true, rpo: { records: null, ms: null }, verified: null });
  expect(evidence.fence?.why).toContain('given up');
  expect((await mirror.ended(60_000)).stderr).toContain('MIRROR_FAILED_OVER');
  const onTarget = await consumeToEnd(target.bootstrap, { group, topics });
  const all = await consumeToEnd(target.bootstrap, { group: 'killed-all', topics });
  const read = new Set([...readers.read, ...onTarget]);
  expect(
    all.filter((record) => !read.has(record)),
    'nothing is skipped',
  ).toEqual([]);
  const firsts = new Map(onTarget.toReversed().map((line) => [line.split(' ')[0], line]));
  for (const line of firsts.values()) expect(all).toContain(line);

  // What producers still had is written when the old primary comes back: only it has that.
  const written = traffic.stop().catch(() => {});
  await must(source.brokers[0], 'broker').start();
  await written;
  await readers.stop();
  const cuts = new Map<string, number>(
    evidence.cut.flatMap((cut) => cut.partitions.map(([from], i) => [`${cut.sourceTopic}/${i}`, from] as const)),
  );
  const isBelow = (line: string): boolean => {
    const [place = '', offset] = line.split(' ');
    return Number(offset) < must(cuts.get(place), 'cut');
  };
  const isCut = (line: string): boolean => {
    const [place, offset = ''] = line.split(' ');
    return evidence.transactions.some(
      ({ topic, partition, from }) => `${topic}/${partition}` === place && Number(offset) >= from,
    );
  };
  const isolation = 'read_committed';
  const primary = await consumeToEnd(source.bootstrap, { group: 'killed-primary', topics, isolation });
  const raw = { group: 'killed-raw', topics, isolation: 'read_uncommitted' } as const;
  const uncommitted = await consumeToEnd(source.bootstrap, raw);
  const missing = primary.filter((line) => isBelow(line) && !all.includes(line));
  expect(
    missing.filter((line) => !isCut(line)),
    'all but what is named is there',
  ).toEqual([]);
  expect(all.filter((line) => isBelow(line) && !primary.includes(line))).toEqual([]);

  const shown = await failback(file);
  expect([shown.code, shown.report?.isDone], shown.err).toEqual([3, false]);
  const undecided = await failback(file, '--yes');
  expect([undecided.code, undecided.err]).toEqual([5, expect.stringContaining('Decide')]);
  const path = join(temporaryDirectory('diverged'), 'only-east.jsonl');
  const decided = ['--yes', '--diverged', 'replay', '--export', path];
  const find = 'for (const cut of stale)';
  const dies = plantBug({
    file: 'src/mirror/failover/failback.ts',
    find,
    replace: `throw new Error('dead behind the replay'); ${find}`,
  });
  let died = await new Command(['failback', '-f', file, ...decided], dies.env).ended();
  // What producers had open when the source died is open until their coordinator ends it.
  while (died.err.includes('transaction open at offset'))
    died = await new Command(['failback', '-f', file, ...decided], dies.env).ended();
  expect([died.code, died.err]).toEqual([1, expect.stringContaining('dead behind the replay')]);
  const back = await failback(file, ...decided);
  expect(back.code, back.err).toBe(0);
  const exported = readFileSync(path, 'utf8')
    .trimEnd()
    .split('\n')
    .map((line) => JSON.parse(line) as DivergedRecord);
  const lines = exported.map(({ topic, partition, offset }) => `${topic}/${partition} ${offset}`);
  process.stdout.write(
    `failback: ${lines.length} records only on the old primary, ${missing.length} of them below the cut\n`,
  );
  expect(lines.length).toBe(back.report?.records);
  expect(lines.filter((line) => !isBelow(line)).toSorted()).toEqual(
    uncommitted.filter((line) => !isBelow(line)).toSorted(),
  );
  expect(missing.filter((line) => !lines.includes(line))).toEqual([]);
  expect(lines.filter((line) => isBelow(line) && !isCut(line))).toEqual([]);
  expect(exported.every(({ value }) => value !== null && value.length > 100)).toBe(true);

  const replayed = await consumeToEnd(target.bootstrap, { group: 'killed-all', topics });
  const seen = exported.filter(({ transaction }) => transaction === null || transaction === 'committed');
  process.stdout.write(`replay: ${replayed.length} of ${exported.length} records, in two attempts\n`);
  expect(replayed.length, 'each once, however often it was begun').toBe(seen.length);
  expect(seen.length).toBeGreaterThan(0);
  await leadBack(must(back.report, 'report'), topics);
}, 240_000);

test('given up: the fence is taken away, and the mirror goes on', async () => {
  const [source, target] = [cluster('source'), cluster('target')];
  await createTopics(source.bootstrap, [{ name: 'given-up', partitions: 1 }]);
  const mirrors = { 'given-up': { topics: [{ match: 'given-up' }], refreshMs: 500 } };
  const file = writeLink({ source: source.bootstrap, target: target.bootstrap, mirrors });
  const write = (name: string): Promise<unknown> =>
    writeStreams(source.bootstrap, [{ name, topic: 'given-up', partitions: [0], records: 200 }], { seed });
  await write('before');
  expect((await LockstepProcess.run(file, ['--until', 'caught-up']).ended(60_000)).code).toBe(0);
  const begun = new Command(['failover', '-f', file, '--yes']);
  await begun.says(/drain …/);
  begun.child.kill('SIGKILL');
  await begun.ended();
  expect(await denials(source.bootstrap)).toEqual(['given-up']);
  const planned = await new Command(['failover', '-f', file]).ended();
  expect([planned.code, planned.out]).toEqual([3, expect.stringContaining('done         fence')]);
  const abandoned = await new Command(['failover', '-f', file, '--abandon']).ended();
  expect(abandoned.code, abandoned.err).toBe(0);
  expect(await denials(source.bootstrap)).toEqual([]);
  await write('after');
  expect((await LockstepProcess.run(file, ['--until', 'caught-up']).ended(60_000)).code).toBe(0);
  const topics = [{ source: 'given-up', target: 'given-up' }];
  const report = await expectIdentical({ source: source.bootstrap, target: target.bootstrap, topics });
  expect(report.recordsEqual).toBe(400);

  const { evidence } = await failover(file, '--no-fence');
  expect(evidence).toMatchObject({ rpo: { records: 0 }, fence: { topics: [], why: '--no-fence' } });
  await write('late'); // nobody was kept out: only the old primary has these
  const shown = await failback(file);
  expect([shown.report?.records, shown.report?.topics, shown.report?.kept]).toEqual([200, ['given-up'], []]);
  if (!isFull) return;
  const ends = async (): Promise<number | undefined> =>
    (await describeTopics(target.bootstrap, ['given-up']))[0]?.partitions[0]?.latest;
  const before = await ends();
  const planted = plantBug({
    file: 'src/mirror/failover/refusal.ts',
    find: "record.phase === 'draining'",
    replace: 'true',
  });
  await LockstepProcess.run(file, ['--until', 'caught-up'], { env: planted.env }).ended(60_000);
  expect(await ends(), 'without the refusal the mirror goes on').toBeGreaterThan(before ?? 0);
}, 180_000);
