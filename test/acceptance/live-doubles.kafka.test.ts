/**
 * Three live mirrors of one file on the same partitions: the target's brokers, by the sequences, keep them exact. Ownership
 * is switched off, which would give each partition to one of them (ownership.kafka.test.ts).
 */
import { setTimeout as sleep } from 'node:timers/promises';
import { expect, test } from 'vitest';
import { expectIdentical, formatReport, verifyMirror } from '#testing/checker/verify-mirror.ts';
import type { CheckReport } from '#testing/checker/verify-mirror.ts';
import { waitUntil } from '#testing/process-stat.ts';
import { sharedClusters } from '#testing/shared-clusters.ts';
import { createTopics } from '#testing/topic-admin.ts';
import type { RecordStream } from '#testing/workload.ts';
import { spawnLiveTraffic } from '#testing/workload.ts';
import { must } from '#util/assert.ts';
import { createRandom } from '#util/random.ts';
import { leastRightsFiles, leastRightsUsers } from './least-rights.ts';
import type { RunResult } from './lockstep-process.ts';
import { LockstepProcess, statusOf, told, unguarded } from './lockstep-process.ts';
import { hasGrown, LogEnds } from './log-ends.ts';

const trafficMs = process.env['LOCKSTEP_FULL'] === '1' ? 120_000 : 10_000;
const seed = Number(process.env['LOCKSTEP_SEED'] ?? Date.now() % 1_000_000);
const partitions = 3;
const processes = 3;

const cluster = sharedClusters({ source: { secure: leastRightsUsers }, target: { secure: leastRightsUsers } });
const declare = leastRightsFiles(() => ({ source: cluster('source'), target: cluster('target') }));
const topicsOf = (name: string) => [`${name}.batches`, `${name}.single`];
const fileOf = (name: string) => declare({ [name]: { topics: topicsOf(name).map((match) => ({ match })) } });
const files = { guarded: fileOf('guarded'), unguarded: fileOf('unguarded') };

test('three live mirrors, one of them stopped and continued, are identical at read_uncommitted', async () => {
  const { runs, report } = await runTogether('guarded', 'ownership');

  const statuses = runs.map((run) => must(statusOf(run.events, 'guarded'), 'status'));
  const refusals = statuses.map(({ shards }) => shards.reduce((sum, shard) => sum + shard.refusals, 0));
  const copied = statuses.map(({ recordsCopied }) => recordsCopied);
  process.stdout.write(
    `live: seed ${seed}, copied ${copied.join(', ')}, refusals ${refusals.join(', ')}; ${formatReport(report)}\n`,
  );
  for (const run of runs) {
    expect(run.incidents, told(run)).toEqual([]);
    expect(run.code, told(run)).toBe(130);
  }
  expect(report.isIdentical, formatReport(report)).toBe(true);
  expect(
    refusals.reduce((sum, count) => sum + count, 0),
    'without refusals they did not meet',
  ).toBeGreaterThan(0);
  expect(Math.min(...copied), 'each has copied something').toBeGreaterThan(0);
}, 240_000);

test('the same without the sequence rule is not identical', async () => {
  const { runs, report } = await runTogether('unguarded', 'ownership,sequence');

  const incidents = runs.flatMap((run) => run.incidents);
  process.stdout.write(
    `live, unguarded: ${incidents.length} incidents; ${formatReport(report).split('\n').length} lines of differences\n`,
  );
  expect(report.isIdentical && incidents.length === 0).toBe(false);
  expect(
    incidents.every(({ code }) => code === 'SHARD_DIVERGED'),
    JSON.stringify(incidents),
  ).toBe(true);
}, 240_000);

/**
 * Starts three mirrors of `name` without the rules `off` at the same moment on a target that knows nothing of them, then
 * lets traffic come.
 */
async function runTogether(name: keyof typeof files, off: string): Promise<{ runs: RunResult[]; report: CheckReport }> {
  const [source, target] = [cluster('source').bootstrap, cluster('target').bootstrap];
  const topics = topicsOf(name);
  await createTopics(
    source,
    topics.map((topic) => ({ name: topic, partitions })),
  );
  const file = files[name]();
  const mirrors = Array.from({ length: processes }, () => LockstepProcess.run(file, [], unguarded(off)));
  const isCopying = (mirror: LockstepProcess): boolean => {
    const shards = mirror.status(name)?.shards ?? [];
    return shards.length === topics.length * partitions && shards.every(({ state }) => state === 'copying');
  };
  for (const mirror of mirrors) await mirror.until(() => isCopying(mirror), 'every partition is being copied');

  const traffic = await spawnLiveTraffic(source, streamsOf(name), { seed });
  const hasCopied = (mirror: LockstepProcess): boolean => (mirror.status(name)?.recordsCopied ?? 0) > 0;
  for (const mirror of mirrors) {
    await mirror.until(() => hasCopied(mirror) || mirror.incidents.length > 0, 'each has copied something');
  }
  const until = performance.now() + trafficMs;
  const random = createRandom(seed);
  const stopped = must(mirrors[0], 'first mirror');
  while (performance.now() < until && mirrors.every((mirror) => mirror.isRunning)) {
    await sleep(200 + random.next() * 800);
    stopped.signal('SIGSTOP');
    await sleep(100 + random.next() * 900);
    stopped.signal('SIGCONT');
  }
  await traffic.stop();
  await settle(topics, mirrors);
  const runs = await Promise.all(mirrors.map((mirror) => mirror.interrupt()));
  const request = {
    source,
    target,
    topics: topics.map((topic) => ({ source: topic, target: topic })),
    policy: { transactions: 'preserve' as const },
  };
  return { runs, report: name === 'guarded' ? await expectIdentical(request) : await verifyMirror(request) };
}

/** All batch sizes that make boundaries differ between processes; timestamps are now, so no producer state expires. */
function streamsOf(name: string): RecordStream[] {
  const all = { partitions: Array.from({ length: partitions }, (_, partition) => partition), headers: 'odd' as const };
  return [
    { ...all, name: 'none', topic: `${name}.batches`, recordsPerSecond: 1_500, valueBytes: 400, lingerMs: 20 },
    {
      ...all,
      name: 'lz4',
      topic: `${name}.batches`,
      recordsPerSecond: 1_500,
      valueBytes: 400,
      codec: 'lz4',
      batchBytes: 65_536,
      lingerMs: 50,
    },
    { ...all, name: 'zstd', topic: `${name}.batches`, recordsPerSecond: 500, valueBytes: 400, codec: 'zstd' },
    {
      ...all,
      name: 'single',
      topic: `${name}.single`,
      recordsPerSecond: 1_500,
      valueBytes: 100,
      oneRecordBatches: true,
    },
  ];
}

/** Waits until the target ends where the source does, or, where nobody copies any more, stands still. */
async function settle(topics: readonly string[], mirrors: readonly LockstepProcess[]): Promise<void> {
  const source = await LogEnds.open(cluster('source').bootstrap, topics);
  const target = await LogEnds.open(cluster('target').bootstrap, topics);
  let before = await target.read();
  let since = performance.now();
  const isSettled = async (): Promise<boolean> => {
    const [from, to] = [await source.read(), await target.read()];
    if (hasGrown(before, to)) since = performance.now();
    before = to;
    const isEqual = [...from].every(([place, { end }]) => to.get(place)?.end === end);
    const hasStopped = mirrors.some((mirror) => mirror.incidents.length > 0) && performance.now() - since > 2_000;
    return isEqual || hasStopped;
  };
  await waitUntil(
    isSettled,
    () => `the target has caught up\n${mirrors.map((mirror) => mirror.describe()).join('\n')}`,
    { timeoutMs: 60_000, everyMs: 50 },
  );
  source.close();
  target.close();
}
