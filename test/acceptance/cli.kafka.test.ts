/** Every verb of the command line on real clusters, as a shell sees it, and its numbers held against Kafka's own client. */
import { readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, beforeAll, describe, expect, test } from 'vitest';
import type { MirrorCapacity } from '#contract/capacity.ts';
import type { MirrorPlan } from '#contract/plan.ts';
import type { MirrorStatus, RunEvent } from '#contract/status.ts';
import { waitUntil } from '#testing/process-stat.ts';
import { readDigests } from '#testing/java-reader.ts';
import { sharedClusters } from '#testing/shared-clusters.ts';
import { temporaryDirectory } from '#testing/supervisor.ts';
import { createTopics, deleteTopics, describeTopics, runAdmin } from '#testing/topic-admin.ts';
import { spawnLiveTraffic, writeWorkloads } from '#testing/workload.ts';
import * as workloads from '#testing/workloads.ts';
import { must } from '#util/assert.ts';
import { Command, lockstep, type Ended } from './command.ts';
import { leastRightsFiles, leastRightsUsers } from './least-rights.ts';
import { writeLink, type MirrorSpec } from './link-file.ts';
import { statusOf } from './lockstep-process.ts';
import { expectSameRecords } from './same-records.ts';

const cluster = sharedClusters({ source: { secure: leastRightsUsers }, target: { secure: leastRightsUsers } });
const declare = leastRightsFiles(() => ({ source: cluster('source'), target: cluster('target') }), { plan: true });
const ESCAPE = '\u001B';

beforeAll(async () => {
  await writeWorkloads(cluster('source').bootstrap, [
    workloads.mixed('orders', { records: 20_000, partitions: 2 }),
    workloads.logStart('audit', { records: 5_000 }),
    workloads.transactional('payments', { records: 2_000 }),
  ]);
});

const renamed = (prefix: string, ...topics: string[]) => topics.map((match) => ({ match, to: `${prefix}.${match}` }));

/** Of a mirror that copies topics under names that begin with its own. */
function declareCopy(name: string, topics: readonly string[] = ['orders'], more: Partial<MirrorSpec> = {}) {
  return declare({ [name]: { topics: renamed(name, ...topics), ...more } });
}

function eventsOf(out: string): RunEvent[] {
  return out
    .trimEnd()
    .split('\n')
    .map((line) => JSON.parse(line) as RunEvent);
}

function finalStatus(out: string, mirror: string): MirrorStatus {
  return must(statusOf(eventsOf(out), mirror), `status of ${mirror}`);
}

/** An exit code, and everything that was said where it is another one. */
function expectExit(ended: Ended, code: number): void {
  expect(ended.code, `${ended.out}\n${ended.err}`).toBe(code);
  expect(ended.out + ended.err).not.toContain(ESCAPE);
}

async function expectCopied(prefix: string, ...topics: string[]): Promise<void> {
  await expectSameRecords({
    source: cluster('source').bootstrap,
    target: cluster('target').bootstrap,
    topics: topics.map((topic) => ({ source: topic, target: `${prefix}.${topic}` })),
  });
}

const topics = ['orders', 'audit', 'payments'];
const whole = declareCopy('whole', topics, { transactions: 'committed-only' });

test('validate, plan, run, and plan again: what was pending is done, and the numbers are those of a Java consumer', async () => {
  const file = whole();
  const log = temporaryDirectory('log');

  expect(await lockstep('validate', '-f', file)).toMatchObject({
    code: 0,
    out: 'valid: 2 clusters, 1 mirror\n',
    err: '',
  });

  const before = await lockstep('plan', '-f', file);
  expectExit(before, 3);
  expect(before.out).toMatch(
    /^ {2}audit +whole\.audit +2 +1 +create +identical: up to 1,002 offsets to fill a partition$/m,
  );
  expect(before.out).toMatch(/\n {2}3 topics: 3 to create\.\n$/);

  const run = await lockstep('run', '-f', file, '--until', 'caught-up', '--json', '--log', log);
  expectExit(run, 0);
  expect(run.err).toBe('');
  const status = finalStatus(run.out, 'whole');
  const digests = await readDigests(cluster('source').bootstrap, topics, { isolation: 'read_committed' });
  expect(status.recordsCopied).toBe(digests.reduce((sum, { count }) => sum + count, 0));
  expect(status.shards.map(({ lagRecords, lagMs }) => [lagRecords, lagMs])).toEqual(status.shards.map(() => [0, 0]));
  const reencoded = Object.values(status.bytes.reencoded).reduce((sum, bytes) => sum + bytes, 0);
  expect(status.bytes.passedThrough).toBeGreaterThan(0);
  expect(status.bytes.passedThrough + reencoded).toBe(status.bytesCopied);
  await expectCopied('whole', 'orders', 'audit');

  const [name] = readdirSync(log);
  expect(name).toMatch(/^run-.*\.jsonl$/);
  const logged = eventsOf(readFileSync(join(log, must(name, 'log')), 'utf8'));
  const lasting = (events: readonly RunEvent[]) => events.filter(({ event }) => event !== 'progress');
  expect(lasting(logged)).toEqual(lasting(eventsOf(run.out)));

  const after = await lockstep('plan', '-f', file, '--json');
  expectExit(after, 0);
  const planned = JSON.parse(after.out) as { pending: boolean; refused: boolean; mirrors: MirrorPlan[] };
  expect(planned).toMatchObject({ pending: false, refused: false });
  expect(planned.mirrors[0]?.topics.map(({ action, why }) => [action, why])).toEqual(
    topics.map(() => ['resume', 'goes on where its copy ends']),
  );

  const again = await lockstep('run', '-f', file, '--until', 'caught-up');
  expectExit(again, 0);
  expect(again.out).toMatch(/Z whole: topic orders as whole\.orders, 2 partitions: goes on where it was\n/);
  expect(again.out).toMatch(/Z whole: caught up: 0 records, 0 B in [\d.]+ s\n/);
});

const untilMirror = declareCopy('at');

test('--until offset=N and time=T end by themselves, and say so', async () => {
  const at = untilMirror();
  const offset = await lockstep('run', '-f', at, '--until', 'offset=700', '--json');
  expectExit(offset, 0);
  expect(eventsOf(offset.out).at(-1)).toMatchObject({ event: 'ended', outcome: 'until-reached' });
  for (const shard of finalStatus(offset.out, 'at').shards) expect(shard.position).toBeGreaterThanOrEqual(700);

  const time = await lockstep('run', '-f', at, '--until', 'time=3s');
  expectExit(time, 0);
  expect(time.tookMs).toBeGreaterThan(3_000);
  expect(time.out).toMatch(/Z at: reached --until: [\d,]+ records?, .* in \d+\.\d s\n/);
});

const sized = declare({ sized: { topics: [{ match: 'sized' }] } });

test('plan --capacity measures what is written to the source, and how large it is', async () => {
  const { bootstrap } = cluster('source');
  await createTopics(bootstrap, [{ name: 'sized', partitions: 3 }]);
  const rate = { recordsPerSecond: 200, valueBytes: 1_000, oneRecordBatches: true };
  const traffic = await spawnLiveTraffic(bootstrap, [
    { name: 'sized', topic: 'sized', partitions: [0, 1, 2], ...rate },
  ]);
  await waitUntil(
    () => traffic.progress.records > 200,
    () => 'a second of traffic',
    { timeoutMs: 30_000 },
  );
  const planned = await lockstep('plan', '-f', sized(), '--capacity', '--sample', '5', '--json');
  await traffic.stop();
  expectExit(planned, 0);
  const { mirrors } = JSON.parse(planned.out) as { mirrors: MirrorCapacity[] };
  expect(mirrors).toMatchObject([{ load: { topics: 1, partitions: 3, unanswered: 0 }, plan: { processes: 1 } }]);
  const { recordsPerSecond, recordBytes } = must(mirrors[0], 'mirror').load;
  expect(recordsPerSecond).toBeGreaterThan(50); // whatever else the machine has to do
  expect(recordsPerSecond).toBeLessThan(400);
  expect(recordBytes).toBeGreaterThan(1_000);
  expect(recordBytes).toBeLessThan(1_200);
});

const two = declare({ one: { topics: renamed('one', 'orders') }, two: { topics: renamed('two', 'audit') } });

test('two mirrors of two files run side by side', async () => {
  const documents = readFileSync(two(), 'utf8').split('\n---\n');
  const [clusters, mirrors] = ['clusters.yaml', 'mirrors.yaml'].map((name) => join(temporaryDirectory('two'), name));
  writeFileSync(must(clusters, 'file'), documents.slice(0, 2).join('\n---\n'));
  writeFileSync(must(mirrors, 'file'), documents.slice(2).join('\n---\n'));
  const ended = await lockstep(
    'run',
    '-f',
    must(clusters, 'file'),
    '-f',
    must(mirrors, 'file'),
    '--until',
    'caught-up',
  );
  expectExit(ended, 0);
  expect(ended.out).toMatch(/Z one: caught up: 20,000 records/);
  expect(ended.out).toMatch(/Z two: caught up: 2,997 records/);
  await expectCopied('one', 'orders');
  await expectCopied('two', 'audit');
});

test('topics and clusters are shown as they are', async () => {
  const { clusterId, bootstrap } = cluster('source');
  const file = writeLink({ source: bootstrap, target: cluster('target').bootstrap, mirrors: {} });
  const all = await lockstep('clusters', 'list', '-f', file, '--json');
  expectExit(all, 0);
  expect(JSON.parse(all.out)).toMatchObject({
    clusters: [{ name: 'east', clusterId, brokers: [{ id: 1, address: bootstrap[0] }], error: null }, { name: 'west' }],
  });

  const list = await lockstep('topics', 'list', '-f', file, '--cluster', 'east');
  expectExit(list, 0);
  expect(list.out).toMatch(/^orders +2 +1 +20,000 +ok$/m);
  expect(list.out).not.toContain('__');
  expect(list.err).toMatch(/^\d+ internal topics? not shown; --internal shows (it|them)\n$/);

  const get = await lockstep('topics', 'get', 'audit', '-f', file, '--cluster', 'east');
  expectExit(get, 0);
  const [topic] = await describeTopics(bootstrap, ['audit']);
  for (const { partition, earliest, lastStable, latest } of must(topic, 'topic').partitions) {
    const numbers = [earliest, lastStable, latest].map((offset) => offset.toLocaleString('en-US')).join(' +');
    expect(get.out).toMatch(new RegExp(`^ +${partition} +1 +\\d+ +${numbers} +1 +1$`, 'm'));
  }

  expect(await lockstep('topics', 'get', 'ordres', '-f', file, '--cluster', 'east')).toMatchObject({
    code: 1,
    out: '',
    err: 'TOPIC_NOT_FOUND: Cluster "east" has no topic "ordres"; did you mean "orders"?\nnext: "lockstep topics list -f FILE --cluster east" shows those that it has.\n',
  });
});

describe('a run that is ended from outside', () => {
  /** Starts a run and waits until it copies, slowly. */
  async function start(file: string): Promise<Command> {
    const run = new Command(['run', '-f', file, '--json']);
    await run.says(/"recordsCopied":[1-9]/);
    return run;
  }

  async function limited<T>(bytesPerSecond: number, use: () => Promise<T>): Promise<T> {
    const { bootstrap } = cluster('source');
    await runAdmin(bootstrap, [{ setQuotas: { consumer_byte_rate: bytesPerSecond } }]);
    try {
      return await use();
    } finally {
      await runAdmin(bootstrap, [{ setQuotas: { consumer_byte_rate: null } }]);
    }
  }

  const name = 'middle';
  const middle = declareCopy(name);

  test('Ctrl-C ends it in good order in the middle, and the next run goes on there', async () => {
    const file = middle();
    const { ended, took } = await limited(1_000_000, async () => {
      const run = await start(file);
      const signalledMs = performance.now();
      run.child.kill('SIGINT');
      const ended = await run.ended();
      return { ended, took: performance.now() - signalledMs };
    });
    expectExit(ended, 130);
    expect(ended.err).toBe('stopping: waiting for what is in flight; Ctrl-C again ends at once\n');
    expect(took).toBeLessThan(10_000);
    expect(eventsOf(ended.out).at(-1)).toMatchObject({ event: 'ended', outcome: 'interrupted' });
    const first = finalStatus(ended.out, name).recordsCopied;
    expect(first).toBeLessThan(20_000);

    const rest = await lockstep('run', '-f', file, '--until', 'caught-up', '--json');
    expectExit(rest, 0);
    expect(first + finalStatus(rest.out, name).recordsCopied).toBe(20_000);
    await expectCopied(name, 'orders');
  });

  describe('while the target does not answer', () => {
    /** A run in the middle of its start, when the target stops to answer. */
    async function startAndPause(file: string): Promise<Command> {
      const run = new Command(['run', '-f', file, '--json']);
      await run.says(/"event":"topic"/);
      await must(cluster('target').brokers[0], 'broker').pause();
      await run.says(/"event":"progress"/);
      return run;
    }
    afterEach(() => must(cluster('target').brokers[0], 'broker').resume());

    const once = declareCopy('once');
    const twice = declareCopy('twice');

    test('SIGTERM, like Ctrl-C, waits no longer than its deadline', async () => {
      const run = await startAndPause(once());
      const signalledMs = performance.now();
      run.child.kill('SIGTERM');
      const ended = await run.ended();
      expectExit(ended, 130);
      expect(ended.err).toBe('stopping: waiting for what is in flight; Ctrl-C again ends at once\n');
      expect(eventsOf(ended.out).at(-1)).toMatchObject({ event: 'ended', outcome: 'interrupted' });
      expect(performance.now() - signalledMs).toBeLessThan(13_000);
    });

    test('a second Ctrl-C ends it at once', async () => {
      const run = await startAndPause(twice());
      run.child.kill('SIGINT');
      await run.says(/Ctrl-C again ends at once/);
      const secondMs = performance.now();
      run.child.kill('SIGINT');
      expectExit(await run.ended(), 130);
      expect(performance.now() - secondMs).toBeLessThan(5_000);
    });
  });

  const pipe = declareCopy('pipe');

  test('a reader that goes away ends it like Ctrl-C, without a stack trace', async () => {
    const run = new Command(['run', '-f', pipe(), '--json']);
    await run.says(/"event":"started"/);
    must(run.child.stdout, 'stdout').destroy();
    const { code, err } = await run.ended(30_000);
    expect({ code, err }).toEqual({
      code: 130,
      err: 'stopping: waiting for what is in flight; Ctrl-C again ends at once\n',
    });
  });
});

const gone = declareCopy('gone', ['short-lived', 'audit'], { refreshMs: 200 });

test('a source topic that is deleted while it is copied is reported, and the others go on', async () => {
  const { bootstrap } = cluster('source');
  await createTopics(bootstrap, [{ name: 'short-lived', partitions: 1 }]);
  const run = new Command(['run', '-f', gone(), '--until', 'time=4s']);
  await run.says(/topic short-lived as gone\.short-lived/);
  await deleteTopics(bootstrap, ['short-lived']);
  const ended = await run.ended();
  expect(ended.err).toBe('');
  expect(ended.out).toMatch(
    /warning TOPIC_RULE_EMPTY: topics\[0\] of mirror "gone" \(match: short-lived\) matches no topic/,
  );
  expect(ended.out).toMatch(/2,997 records/);
  expect([0, 5]).toContain(ended.code);
});
