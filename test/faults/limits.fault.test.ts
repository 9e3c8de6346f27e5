/** Bounds under the worst load that the issue names: memory, output, one broker of three that stands still, catching up. */
import { expect, onTestFinished } from 'vitest';
import { formatReport, verifyMirror } from '#testing/checker/verify-mirror.ts';
import { processCpuSeconds, processMemory, processState } from '#testing/process-stat.ts';
import { createTopics, deleteTopics, describeReplicas } from '#testing/topic-admin.ts';
import { partitionsUpTo, writeWorkload } from '#testing/workload.ts';
import { must } from '#util/assert.ts';
import { writeLink } from '../acceptance/link-file.ts';
import { LockstepProcess, told } from '../acceptance/lockstep-process.ts';
import type { ProcessOptions } from '../acceptance/lockstep-process.ts';
import { LogEnds } from '../acceptance/log-ends.ts';
import { fault, type FaultRun } from './fault.ts';
import { clusterPair, expectOutages, startMirror } from './mirror-under-test.ts';
import type { ClusterPair, MirrorUnderTest, Side } from './mirror-under-test.ts';

const MEBIBYTE = 1024 * 1024;
/** docs/operating/limits.md has where it comes from. */
const RSS_MAX = 512 * MEBIBYTE;
const RECORD_BYTES = 5_000_000;
const large = { 'max.message.bytes': '6000000' };

/** What is deleted is gone from the disk a second later. */
const properties = { 'log.segment.delete.delay.ms': '1000' };
const single = clusterPair({ source: { heapMb: 1024, properties }, target: { heapMb: 1024, properties } });
const three = clusterPair({ source: {}, target: { brokers: 3 } });

function start(
  link: { source: readonly string[]; target: readonly string[] },
  name: string,
  topics: readonly object[],
  options: ProcessOptions = {},
): LockstepProcess {
  const file = writeLink({ ...link, mirrors: { [name]: { topics, refreshMs: 60_000 } } });
  const lockstep = LockstepProcess.run(file, [], options);
  onTestFinished(() => lockstep.kill());
  return lockstep;
}

const PARTITIONS = 1_000;
const WRITERS = 4;

fault(
  {
    id: 'memory-dead-target',
    title: 'a record of 5 MB for each of 1,000 partitions, while the target is paused, with a heap of 128 MB',
    timeoutMs: 900_000,
  },
  async (run) => {
    const clusters = await single();
    try {
      await fillEveryPartition(run, clusters);
    } finally {
      // 10 GB, also where it has failed: what is kept then are the logs of the brokers.
      await Promise.all(clusters.target.brokers.map((broker) => broker.resume()));
      await Promise.all([clusters.source, clusters.target].map(({ bootstrap }) => deleteTopics(bootstrap, [run.id])));
    }
  },
);

async function fillEveryPartition(run: FaultRun, { source, target }: ClusterPair): Promise<void> {
  await createTopics(source.bootstrap, [{ name: run.id, partitions: PARTITIONS, configs: large }]);
  const link = { source: source.bootstrap, target: target.bootstrap };
  const lockstep = start(link, run.id, [{ match: run.id }], { env: { NODE_OPTIONS: '--max-old-space-size=128' } });
  const shards = () => lockstep.status(run.id)?.shards ?? [];
  const areCopying = (): boolean =>
    shards().length === PARTITIONS && shards().every(({ state }) => state === 'copying');
  await lockstep.until(areCopying, 'every partition is copying', 300_000);
  const brokers = target.brokers;
  await Promise.all(brokers.map((broker) => broker.pause()));
  const pausedAt = performance.now();
  const all = partitionsUpTo(PARTITIONS);
  const streams = partitionsUpTo(WRITERS).map((writer) => ({
    name: `large-${writer}`,
    topic: run.id,
    partitions: all.filter((partition) => partition % WRITERS === writer),
    records: PARTITIONS / WRITERS,
    partitionRuns: 1,
    valueBytes: RECORD_BYTES,
    oneRecordBatches: true,
  }));
  await writeWorkload(source.bootstrap, { topics: [], streams, parallel: true });
  const areBehind = (): boolean => shards().every(({ lagRecords }) => lagRecords === 1);
  await lockstep.until(areBehind, 'a record waits in every partition', 120_000);
  await lockstep.until(() => lockstep.outages.length > 0, 'it says that the target does not answer', 120_000);
  const pausedS = (performance.now() - pausedAt) / 1000;
  run.tookEffect(
    `the target was paused for ${pausedS.toFixed(0)} s, and in each of ${shards().length} partitions a record of 5 MB waited`,
  );
  await Promise.all(brokers.map((broker) => broker.resume()));
  const resumedAt = performance.now();
  const isDone = (): boolean => shards().every(({ lagRecords }) => lagRecords === 0);
  await lockstep.until(isDone, 'everything is copied', 420_000);
  run.figure('copied afterwards within s', (performance.now() - resumedAt) / 1000);
  const { peakRssBytes } = processMemory(lockstep.pid);
  run.figure('peak RSS in MiB', peakRssBytes / MEBIBYTE);
  run.figure('bound in MiB', RSS_MAX / MEBIBYTE);
  const ended = await lockstep.interrupt();
  expect(ended.incidents, told(ended)).toEqual([]);
  expectOutages(ended, { outages: ['CLUSTER_UNREACHABLE'] });
  expect(peakRssBytes).toBeLessThan(RSS_MAX);
  // Without Java's comparison, which takes minutes for 10 GB; the number says that nothing is missing.
  const report = await verifyMirror({
    source: source.bootstrap,
    target: target.bootstrap,
    topics: [{ source: run.id, target: run.id }],
    policy: { isCaughtUp: false },
  });
  expect(report.isIdentical, formatReport(report)).toBe(true);
  expect(report.recordsEqual).toBe(PARTITIONS);
  run.outcome(`identical, ${report.recordsEqual} records, one of 5 MB in each partition, within the bound`);
}

for (const partitions of [2_000, 10_000])
  fault(
    {
      id: `idle-${partitions}-partitions`,
      title: `${partitions} partitions known, mirrored and idle, and without their source for a minute`,
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
      run.figure('processor, % of a core', (await shareOfCore(lockstep, 30_000)) * 100);
      run.figure('RSS in MiB', processMemory(lockstep.pid).rssBytes / MEBIBYTE);
      run.figure('peak RSS in MiB', processMemory(lockstep.pid).peakRssBytes / MEBIBYTE);

      await Promise.all(source.brokers.map((broker) => broker.kill()));
      const share = await shareOfCore(lockstep, 60_000);
      run.figure('processor without the source, % of a core', share * 100);
      const wallMs = Date.now();
      await Promise.all(source.brokers.map((broker) => broker.start([broker.id], { timeoutMs: 300_000 })));
      const returnedAt = performance.now();
      const isBack = (): boolean =>
        lockstep.status(run.id)?.shards.filter(({ measuredAt }) => (measuredAt ?? 0) > wallMs).length === partitions;
      await lockstep.until(isBack, 'every partition hears from the source again', 300_000);
      run.figure('all heard from the source again within s', (performance.now() - returnedAt) / 1000);
      run.tookEffect('the source was gone for 60 s');
      const { peakRssBytes } = processMemory(lockstep.pid);
      run.figure('peak RSS with that in MiB', peakRssBytes / MEBIBYTE);
      const ended = await lockstep.interrupt();
      expect(ended.incidents, told(ended)).toEqual([]);
      expectOutages(ended, { outages: ['CLUSTER_UNREACHABLE'] });
      expect(peakRssBytes).toBeLessThan(RSS_MAX);
      expect(share, 'partitions that wait cost next to nothing').toBeLessThan(0.1);
      run.outcome('no incident but CLUSTER_UNREACHABLE, within the bound');
    },
  );

fault(
  {
    id: 'start-1000-partitions',
    title: '1,000 partitions that are mirrored already, started again',
    timeoutMs: 600_000,
  },
  async (run) => {
    const { source, target } = await single();
    const topics = Array.from({ length: 10 }, (_, i) => ({ name: `${run.id}.${i}`, partitions: 100 }));
    await createTopics(source.bootstrap, topics);
    for (const what of ['first start, target topics created too', 'started again'] as const) {
      const startedAt = performance.now();
      const link = { source: source.bootstrap, target: target.bootstrap };
      const lockstep = start(link, run.id, [{ match: `/^${run.id}\\..*$/` }]);
      const copying = (): number =>
        lockstep.status(run.id)?.shards.filter(({ state }) => state === 'copying').length ?? 0;
      await lockstep.until(() => copying() === PARTITIONS, 'every partition is copying', 300_000);
      run.figure(`${what}: all copying within s`, (performance.now() - startedAt) / 1000);
      run.figure(`${what}: CPU-seconds of the mirror`, processCpuSeconds(lockstep.pid));
      const ended = await lockstep.interrupt();
      expect(ended.incidents, told(ended)).toEqual([]);
    }
    run.tookEffect(`${PARTITIONS} partitions were copying, twice`);
    run.outcome('no incident');
  },
);

async function shareOfCore(lockstep: LockstepProcess, ms: number): Promise<number> {
  const [cpuS, atMs] = [processCpuSeconds(lockstep.pid), performance.now()];
  await lockstep.until(() => performance.now() - atMs > ms, `${ms / 1000} s have passed`, 3 * ms);
  return (processCpuSeconds(lockstep.pid) - cpuS) / ((performance.now() - atMs) / 1000);
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

/** Of each half of a second it runs for a twentieth. */
const RUNS_MS = 50;
const STANDS_MS = 450;

fault(
  {
    id: 'tenth-of-a-core',
    title: 'the process runs for a tenth of each half second, for a minute, then stands still for 10 s',
  },
  async (run) => {
    const mirror = await startMirror(run, await single(), { name: run.id, recordsPerSecond: 300 });
    const lockstep = mirror.process;
    const from = { at: performance.now(), cpu: processCpuSeconds(lockstep.pid), copied: mirror.offsetsCopied() };
    let stops = 0;
    for (; performance.now() - from.at < 60_000; stops++) {
      lockstep.signal('SIGSTOP');
      await mirror.lasts(STANDS_MS);
      expect(processState(lockstep.pid)).toBe('T');
      lockstep.signal('SIGCONT');
      await mirror.lasts(RUNS_MS);
    }
    const tookS = (performance.now() - from.at) / 1000;
    const cpuS = processCpuSeconds(lockstep.pid) - from.cpu;
    const copied = mirror.offsetsCopied() - from.copied;
    lockstep.signal('SIGSTOP');
    await mirror.lasts(10_000);
    lockstep.signal('SIGCONT');
    expect(copied, 'it goes on with little').toBeGreaterThan(0);
    expect(cpuS, 'CPU seconds used').toBeLessThan(0.2 * tookS);
    run.tookEffect(`stopped ${stops} times in ${tookS.toFixed(0)} s, and once for 10 s`);
    run.figure('CPU s of that minute', cpuS);
    run.figure('offsets copied meanwhile', copied);
    run.figure('all partitions went on within s', (await mirror.advances('with a whole core')) / 1000);
    await mirror.expectIdenticalAfterwards();
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
    expect(lockstep.outages.map(({ code }) => code)).toEqual(['CLUSTER_UNREACHABLE']);
    expect(bytes).toBeGreaterThan(0);
    expect(bytes).toBeLessThan(OUTPUT_BYTES_MAX);
    run.outcome(`${told.length} events, within the bound`);
  },
);

const PAUSE_MS = 60_000;
/** Of 1 to 10 KB: 20 MB/s, of which half must be reached for the factor to say something. */
const PAUSE_RECORDS_PER_SECOND = 3_600;
const INGEST_MB_MIN = 10;
/** Catching up at less than the double would take longer than the pause did. */
const CATCH_UP_FACTOR_MIN = 2;

fault(
  { id: 'paused-for-a-minute', title: 'the mirror stopped by SIGSTOP for 60 s, while 20 MB/s are written' },
  async (run) => {
    const mirror = await startMirror(run, await single(), {
      name: run.id,
      kinds: ['plain'],
      partitions: 6,
      recordsPerSecond: PAUSE_RECORDS_PER_SECOND,
      stream: { codec: 'none', valueBytes: [[1, 1_000, 10_000]], batchBytes: 65_536 },
    });
    const ends = await SideEnds.open(mirror);
    mirror.process.signal('SIGSTOP');
    await mirror.until(() => processState(mirror.process.pid) === 'T', 'it is stopped');
    await mirror.lasts(1_000); // what was on its way has landed
    const stopped = await ends.read();
    await mirror.lasts(PAUSE_MS);
    const resumed = await ends.read();
    mirror.process.signal('SIGCONT');
    const written = perSecond(stopped, resumed, 'source');
    expect(resumed.target, 'nothing is copied by a process that is stopped').toBe(stopped.target);

    let now = resumed;
    const isLive = async (): Promise<boolean> => {
      now = await ends.read();
      return now.source - now.target < written;
    };
    await mirror.until(isLive, 'less than a second of traffic is missing', 300_000);
    const copied = perSecond(resumed, now, 'target');
    const meanwhile = perSecond(resumed, now, 'source');
    await mirror.expectIdenticalAfterwards();

    const summary = await must(mirror.traffic, 'traffic').stop();
    const bytes = must(summary.topics[mirror.topic('plain')], 'topic').reduce((sum, each) => sum + each.bytes, 0);
    const megabytes = (records: number): number => (records * bytes) / summary.records / 1e6;
    run.tookEffect(
      `stopped for ${((resumed.atMs - stopped.atMs) / 1000).toFixed(0)} s; the source grew by ${resumed.source - stopped.source} ` +
        `offsets (${megabytes(resumed.source - stopped.source).toFixed(0)} MB), the target by ${resumed.target - stopped.target}`,
    );
    run.figure('ingest in MB/s', megabytes(written));
    run.figure('ingest while it catches up, in MB/s', megabytes(meanwhile));
    run.figure('catch-up in MB/s', megabytes(copied));
    run.figure('times the ingest', copied / written);
    run.figure('caught up within s', (now.atMs - resumed.atMs) / 1000);
    expect(megabytes(written), 'the traffic is held').toBeGreaterThan(INGEST_MB_MIN);
    expect(copied / written).toBeGreaterThanOrEqual(CATCH_UP_FACTOR_MIN);
  },
);

/** Ends of the logs, all partitions of a side together, as the brokers tell them. Monotonic time. */
interface EndsNow {
  readonly source: number;
  readonly target: number;
  readonly atMs: number;
}

class SideEnds {
  readonly #source: LogEnds;
  readonly #target: LogEnds;

  private constructor(source: LogEnds, target: LogEnds) {
    this.#source = source;
    this.#target = target;
  }

  /** Ends with the test. */
  static async open({ pair: { source, target }, topics }: MirrorUnderTest): Promise<SideEnds> {
    const logs = new SideEnds(
      await LogEnds.open(source.bootstrap, topics),
      await LogEnds.open(target.bootstrap, topics),
    );
    onTestFinished(() => {
      logs.#source.close();
      logs.#target.close();
    });
    return logs;
  }

  async read(): Promise<EndsNow> {
    const [source = 0, target = 0] = await Promise.all(
      [this.#source, this.#target].map(async (logs) =>
        [...(await logs.read()).values()].reduce((sum, { end }) => sum + end, 0),
      ),
    );
    return { source, target, atMs: performance.now() };
  }
}

function perSecond(from: EndsNow, to: EndsNow, side: Side): number {
  return (to[side] - from[side]) / ((to.atMs - from.atMs) / 1000);
}
