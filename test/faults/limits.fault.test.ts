/** Bounds under the worst load that the issue names: memory, output, and one broker of three that stands still. */
import { expect, onTestFinished } from 'vitest';
import { expectIdentical } from '#testing/checker/verify-mirror.ts';
import { processCpuSeconds, processMemory } from '#testing/process-stat.ts';
import { createTopics, describeReplicas } from '#testing/topic-admin.ts';
import { partitionsUpTo, writeWorkload } from '#testing/workload.ts';
import { must } from '#util/assert.ts';
import { writeLink } from '../acceptance/link-file.ts';
import { LockstepProcess, told } from '../acceptance/lockstep-process.ts';
import { fault, type FaultRun } from './fault.ts';
import { clusterPair, startMirror } from './mirror-under-test.ts';

const MEBIBYTE = 1024 * 1024;
/** docs/operating/limits.md has where it comes from. */
const RSS_MAX = 512 * MEBIBYTE;
const RECORD_BYTES = 5_000_000;
const large = { 'max.message.bytes': '6000000' };

const single = clusterPair({ source: { heapMb: 512 }, target: { heapMb: 512 } });
const three = clusterPair({ source: {}, target: { brokers: 3 } });

function start(
  link: { source: readonly string[]; target: readonly string[] },
  name: string,
  topics: readonly object[],
): LockstepProcess {
  const lockstep = LockstepProcess.run(writeLink({ ...link, mirrors: { [name]: { topics, refreshMs: 60_000 } } }));
  onTestFinished(() => lockstep.kill());
  return lockstep;
}

/** Partitions that have something to copy: a record of 5 MB in each would take more disk and time than a test has. */
const LOADED = 40;
const PARTITIONS = 1_000;

fault(
  {
    id: 'memory-dead-target',
    title: '1,000 partitions, records of 5 MB, and a target that is paused while they are copied',
  },
  async (run) => {
    const { source, target } = await single();
    await createTopics(source.bootstrap, [
      { name: `${run.id}.idle`, partitions: PARTITIONS - LOADED },
      { name: `${run.id}.loaded`, partitions: LOADED, configs: large },
    ]);
    const stream = {
      name: 'large',
      topic: `${run.id}.loaded`,
      partitions: partitionsUpTo(LOADED),
      records: 4 * LOADED,
      valueBytes: RECORD_BYTES,
      batchBytes: 16,
    };
    await writeWorkload(source.bootstrap, { topics: [], streams: [stream] });
    const lockstep = start({ source: source.bootstrap, target: target.bootstrap }, run.id, [
      { match: `/^${run.id}\\..*$/` },
    ]);
    const shards = () => lockstep.status(run.id)?.shards ?? [];
    await lockstep.until(
      () => shards().some(({ recordsCopied }) => recordsCopied > 0),
      'the first record is copied',
      300_000,
    );
    const brokers = target.brokers;
    onTestFinished(async () => void (await Promise.all(brokers.map((broker) => broker.resume()))));
    await Promise.all(brokers.map((broker) => broker.pause()));
    const pausedAt = performance.now();
    await lockstep.until(() => performance.now() - pausedAt > 45_000, 'requests have met their deadline', 120_000);
    const left = shards().filter(({ lagRecords }) => (lagRecords ?? 0) > 0).length;
    expect(left).toBeGreaterThan(0);
    run.tookEffect(
      `the target was paused for 45 s with ${shards().length} partitions, ${left} of them behind by records of 5 MB`,
    );
    await Promise.all(brokers.map((broker) => broker.resume()));
    const isDone = (): boolean =>
      shards().length === PARTITIONS && shards().every(({ lagRecords }) => lagRecords === 0);
    await lockstep.until(isDone, 'everything is copied', 420_000);
    const { peakRssBytes } = processMemory(lockstep.pid);
    run.figure('peak RSS in MiB', peakRssBytes / MEBIBYTE);
    run.figure('bound in MiB', RSS_MAX / MEBIBYTE);
    const ended = await lockstep.interrupt();
    expect(ended.incidents, told(ended)).toEqual([]);
    expect(peakRssBytes).toBeLessThan(RSS_MAX);
    const name = `${run.id}.loaded`;
    const { recordsEqual } = await expectIdentical({
      source: source.bootstrap,
      target: target.bootstrap,
      topics: [{ source: name, target: name }],
    });
    run.outcome(`identical, ${recordsEqual} records, no incident, within the bound`);
  },
);

for (const partitions of [2_000, 10_000])
  fault(
    {
      id: `idle-${partitions}-partitions`,
      title: `${partitions} partitions known, mirrored and idle`,
      timeoutMs: 1_800_000,
    },
    async (run) => {
      const { source, target } = await single();
      const topics = Array.from({ length: partitions / 100 }, (_, i) => ({ name: `${run.id}.${i}`, partitions: 100 }));
      for (let at = 0; at < topics.length; at += 10) await createTopics(source.bootstrap, topics.slice(at, at + 10));
      const startedAt = performance.now();
      const lockstep = start({ source: source.bootstrap, target: target.bootstrap }, run.id, [
        { match: `/^${run.id}\\..*$/` },
      ]);
      const copying = (): number =>
        lockstep.status(run.id)?.shards.filter(({ state }) => state === 'copying').length ?? 0;
      await lockstep.until(() => copying() === partitions, 'every partition is copying', 1_500_000);
      run.figure('all copying within s, target topics created too', (performance.now() - startedAt) / 1000);
      run.tookEffect(`${copying()} partitions were copying, and nothing was written`);
      await measureIdle(run, lockstep);
      run.outcome('no incident, within the bound');
    },
  );

/** RSS and share of a core over 30 s without anything to copy. */
async function measureIdle(run: FaultRun, lockstep: LockstepProcess): Promise<void> {
  const [cpuS, atMs] = [processCpuSeconds(lockstep.pid), performance.now()];
  await lockstep.until(() => performance.now() - atMs > 30_000, '30 s have passed', 90_000);
  const share = (processCpuSeconds(lockstep.pid) - cpuS) / ((performance.now() - atMs) / 1000);
  const { rssBytes, peakRssBytes } = processMemory(lockstep.pid);
  run.figure('processor, % of a core', share * 100);
  run.figure('RSS in MiB', rssBytes / MEBIBYTE);
  run.figure('peak RSS in MiB', peakRssBytes / MEBIBYTE);
  const ended = await lockstep.interrupt();
  expect(ended.incidents, told(ended)).toEqual([]);
  expect(peakRssBytes).toBeLessThan(RSS_MAX);
}

fault(
  {
    id: 'one-leader-paused',
    title: 'one of three target brokers paused for 20 s under load: the partitions of the others go on',
  },
  async (run) => {
    const mirror = await startMirror(run, await three(), {
      name: run.id,
      kinds: ['plain'],
      partitions: 6,
      replicationFactor: 1,
      recordsPerSecond: 600,
    });
    const [topic = ''] = mirror.topics;
    const leaders = new Map(
      (await describeReplicas(mirror.pair.target.bootstrap, topic)).map(({ partition, leader }) => [partition, leader]),
    );
    const state = (await describeReplicas(mirror.pair.target.bootstrap, '__lockstep.state'))[0];
    const paused = must(
      mirror.pair.target.brokers.find(
        ({ id }) => [...leaders.values()].includes(id) && !state?.replicas.includes(id),
      ) ?? mirror.pair.target.brokers.find(({ id }) => id !== state?.leader),
      'a broker that leads partitions, and not the state topic',
    );
    onTestFinished(() => paused.resume());
    await paused.pause();
    const others = (_: string, partition: number): boolean => leaders.get(partition) !== paused.id;
    const before = mirror.positions();
    await mirror.lasts(5_000);
    const ms = await mirror.advances('of the brokers that run', { of: others, timeoutMs: 20_000 });
    const stuck = [...leaders].filter(([, leader]) => leader === paused.id).map(([partition]) => partition);
    const moved = stuck.filter(
      (partition) =>
        (mirror.positions().get(`${topic}/${partition}`) ?? 0) > (before.get(`${topic}/${partition}`) ?? 0) + 1_000,
    );
    expect(moved).toEqual([]);
    run.tookEffect(`broker ${paused.id} was paused; its partitions ${stuck.join(', ')} stood still`);
    run.figure('the other partitions all advanced within s', ms / 1000);
    await paused.resume();
    await mirror.expectIdenticalAfterwards({ timeoutMs: 240_000 });
  },
);

/** In two minutes: 20 of a code at once and one in 5 s, of a few hundred bytes each, and incidents. */
const OUTPUT_BYTES_MAX = 256 * 1024;

fault(
  { id: 'output-of-an-outage', title: 'what two minutes without a target write, with 200 partitions' },
  async (run) => {
    const { source, target } = await single();
    await createTopics(source.bootstrap, [{ name: run.id, partitions: 200 }]);
    const lockstep = start({ source: source.bootstrap, target: target.bootstrap }, run.id, [{ match: run.id }]);
    const shards = () => lockstep.status(run.id)?.shards ?? [];
    await lockstep.until(
      () => shards().length === 200 && shards().every(({ state }) => state === 'copying'),
      'all are copying',
      300_000,
    );
    const from = lockstep.events.length;
    await Promise.all(target.brokers.map((broker) => broker.kill()));
    const killedAt = performance.now();
    await lockstep.until(() => performance.now() - killedAt > 120_000, 'two minutes have passed', 240_000);
    const told = lockstep.events.slice(from).filter(({ event }) => event !== 'progress');
    const bytes = told.reduce((sum, event) => sum + JSON.stringify(event).length + 1, 0);
    run.tookEffect(`the target was dead for 120 s; ${told.length} events beside progress`);
    run.figure('bytes beside progress', bytes);
    expect(bytes).toBeGreaterThan(0);
    expect(bytes).toBeLessThan(OUTPUT_BYTES_MAX);
    run.outcome(`${told.length} events, within the bound`);
  },
);
