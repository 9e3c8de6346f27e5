/** Cells in which records are written at a fixed rate while they are copied: latency, a pause of the mirror, a soak, a dead target. */
import { setTimeout as sleep } from 'node:timers/promises';
import { processCpuSeconds, processMemory, processState, waitUntil } from '#testing/process-stat.ts';
import { removeDirectory, temporaryDirectory } from '#testing/supervisor.ts';
import { createTopics } from '#testing/topic-admin.ts';
import { partitionsUpTo, spawnLiveTraffic, type LiveTraffic } from '#testing/workload.ts';
import { must } from '#util/assert.ts';
import { addedLatency, ArrivalWatch } from './arrivals.ts';
import type { Cell, Condition } from './cell.ts';
import { taskOf, toldBy } from './copy-stage.ts';
import { dataSetOf, type DataSet } from './data-set.ts';
import * as estates from './estate.ts';
import type { Figures } from './figure.ts';
import type { Found, Stage, StageOptions } from './stage.ts';
import { median, quantiles } from './statistics.ts';
import type { Copy, System } from './system.ts';

/** As producers of live traffic set it. */
const LINGER_MS = 5;
const PRODUCERS_MAX = 8;
/** A JVM that has just started needs it. */
const STEADY_TIMEOUT_MS = 120_000;
const WARM_UP_MS = 10_000;
const CATCH_UP_TIMEOUT_MS = 600_000;
/** What is written must be near what was asked for. */
const RATE_SHARE_MIN = 0.8;
const SAMPLE_MS = 1_000;
const LOOK_MS = 10;

interface Live extends estates.Estate {
  readonly dataSet: DataSet;
  readonly partitions: number;
  readonly recordsPerSecond: number;
}

export async function openLiveStage(condition: Condition, options: StageOptions): Promise<Stage> {
  const dataSet = dataSetOf(must(condition.dataSet, 'data set'));
  const recordsPerSecond = (must(condition.mbPerSecond, 'rate') * 1e6) / dataSet.recordBytes;
  const live = { ...(await estates.startEstate(options)), dataSet, partitions: condition.partitions, recordsPerSecond };
  return { run: (cell, system) => runLive(live, cell, system), close: () => estates.stopEstate(live) };
}

/** A topic of its own for each cell, which is empty on both sides when the copy begins. */
async function runLive(live: Live, cell: Cell, system: System): Promise<Found> {
  const { source, target, partitions, dataSet } = live;
  const topic = `live-${system.name}-${cell.run}`;
  await estates.emptyCluster(source);
  await createTopics(source.bootstrap, [{ name: topic, partitions }]);
  await estates.emptyCluster(target, system.needsTopic ? { name: topic, partitions } : null);
  const directory = temporaryDirectory(`${system.name}-${cell.run}`);
  let copy: Copy | null = null;
  let traffic: LiveTraffic | null = null;
  let watches: Watches | null = null;
  try {
    const task = { ...taskOf(live, system), topic, codec: dataSet.codec, directory };
    copy = await system.start(
      { ...task, runId: `live${system.name}-${cell.run}`.replaceAll('-', '') },
      { isLive: true },
    );
    traffic = await startTraffic(live, topic);
    watches = await openWatches(live, topic);
    const scene = { live, cell, copy, ...watches };
    await Promise.race([steady(scene), traffic.failed]);
    return { figures: await Promise.race([figuresOf(scene), traffic.failed]) };
  } catch (error) {
    throw new Error(toldBy(copy, error), { cause: error });
  } finally {
    await traffic?.stop();
    await Promise.allSettled([watches?.atSource.stop(), watches?.atTarget.stop()]);
    await copy?.end(0);
    removeDirectory(directory);
  }
}

interface Watches {
  readonly atSource: ArrivalWatch;
  readonly atTarget: ArrivalWatch;
}

interface Scene extends Watches {
  readonly live: Live;
  readonly cell: Cell;
  readonly copy: Copy;
}

function figuresOf(scene: Scene): Promise<Figures> {
  if (scene.cell.kind === 'catch-up') return afterPause(scene);
  return scene.cell.kind === 'dead-target' ? withoutTarget(scene) : whileRunning(scene);
}

/** As many producers as there are partitions, up to 8 that share them. */
function startTraffic({ source, dataSet, partitions, recordsPerSecond }: Live, topic: string): Promise<LiveTraffic> {
  const { codec, valueBytes, batchBytes } = dataSet;
  const packing = batchBytes === null ? { oneRecordBatches: true } : { batchBytes, lingerMs: LINGER_MS };
  const producers = Math.min(partitions, PRODUCERS_MAX);
  const common = { topic, codec, valueBytes, ...packing, recordsPerSecond: recordsPerSecond / producers };
  const streams = partitionsUpTo(producers).map((i) => {
    const own = partitionsUpTo(partitions).filter((partition) => partition % producers === i);
    return { ...common, name: `p${i}`, partitions: own };
  });
  return spawnLiveTraffic(source.bootstrap, streams);
}

/** The target is watched from when the topic is there: the system may make it itself. */
async function openWatches({ source, target, partitions }: Live, topic: string): Promise<Watches> {
  const open = (cluster: estates.Estate['source']): Promise<ArrivalWatch> =>
    ArrivalWatch.open(estates.addressOf(cluster), topic, partitions);
  return { atSource: await open(source), atTarget: await open(target) };
}

/** The mirror has come as near as a second of traffic, and then some time has gone. */
async function steady({ live, copy, atSource, atTarget }: Scene): Promise<void> {
  const isNear = (): boolean => {
    if (processState(copy.pid) === null) throw new Error('the mirror has ended');
    return atTarget.count > 0 && atSource.count - atTarget.count < live.recordsPerSecond;
  };
  await waitUntil(
    isNear,
    () => `the target is a second behind: it has ${atTarget.count} of ${atSource.count} records`,
    {
      timeoutMs: STEADY_TIMEOUT_MS,
      everyMs: LOOK_MS,
    },
  );
  await sleep(WARM_UP_MS);
}

async function whileRunning(scene: Scene): Promise<Figures> {
  const { live, cell, copy, atSource, atTarget } = scene;
  const seconds = must(cell.seconds, 'seconds');
  const fromMs = performance.now();
  const [fromCpu, fromCount] = [processCpuSeconds(copy.pid), atSource.count];
  const rss: number[] = [];
  for (let second = 0; second < seconds; second++) {
    await sleep(SAMPLE_MS);
    rss.push(processMemory(copy.pid).rssBytes / 1e6);
  }
  const gigabytes = ((atSource.count - fromCount) * live.dataSet.recordBytes) / 1e9;
  const mbPerSecond = (gigabytes * 1e6) / (performance.now() - fromMs);
  const cpuPerGb = (processCpuSeconds(copy.pid) - fromCpu) / gigabytes;
  const ends = [...atSource.ends];
  expectRate(mbPerSecond, must(cell.mbPerSecond, 'rate'));
  // What came last is to arrive too, however late.
  await waitUntil(() => ends.every((end, p) => (atTarget.ends[p] ?? 0) >= end), 'all that was written has arrived', {
    timeoutMs: CATCH_UP_TIMEOUT_MS,
  });
  const samples = atSource.arrivals.flatMap((arrivals, p) =>
    addedLatency(arrivals, must(atTarget.arrivals[p], 'arrivals at the target'), fromMs),
  );
  const [p50Ms = 0, p99Ms = 0, p999Ms = 0, maxMs = 0] = quantiles(samples, [0.5, 0.99, 0.999, 1]);
  return {
    mbPerSecond,
    cpuPerGb,
    p50Ms,
    p99Ms,
    p999Ms,
    maxMs,
    ...growthOf(rss),
    peakRssMb: processMemory(copy.pid).peakRssBytes / 1e6,
  };
}

/** The target's broker is killed while records go on being written; it comes back afterwards, for the next cell. */
async function withoutTarget({ live, cell, copy, atTarget }: Scene): Promise<Figures> {
  const broker = must(live.target.brokers[0], 'broker of the target');
  const seconds = must(cell.seconds, 'seconds');
  await broker.kill();
  await atTarget.stop().catch(() => {}); // it has lost its broker
  const fromCpu = processCpuSeconds(copy.pid);
  const rss: number[] = [];
  for (let second = 0; second < seconds; second++) {
    await sleep(SAMPLE_MS);
    rss.push(processMemory(copy.pid).rssBytes / 1e6);
  }
  if (processState(copy.pid) === null) throw new Error('the mirror has ended without its target');
  const cpuPercent = ((processCpuSeconds(copy.pid) - fromCpu) / seconds) * 100;
  const peakRssMb = processMemory(copy.pid).peakRssBytes / 1e6;
  await broker.start();
  return { ...growthOf(rss), peakRssMb, cpuPercent };
}

/** Resident memory in the last quarter of the samples, and by how much that is more than in the first. */
function growthOf(rss: readonly number[]): Figures {
  const quarter = Math.max(1, rss.length >> 2);
  const [first, last] = [median(rss.slice(0, quarter)), median(rss.slice(-quarter))];
  return { rssMb: last, growthMb: last - first };
}

function expectRate(mbPerSecond: number, wanted: number): void {
  if (mbPerSecond < RATE_SHARE_MIN * wanted)
    throw new Error(`only ${mbPerSecond.toFixed(1)} of ${wanted} MB/s were written: no figure at that rate`);
}

/** The mirror is stopped for so many seconds, and goes on until it is less than a second of traffic behind. */
async function afterPause({ live, cell, copy, atSource, atTarget }: Scene): Promise<Figures> {
  process.kill(copy.pid, 'SIGSTOP');
  await sleep(must(cell.seconds, 'seconds') * 1_000);
  const behind = atSource.count - atTarget.count;
  const [fromMs, fromCount] = [performance.now(), atTarget.count];
  process.kill(copy.pid, 'SIGCONT');
  await waitUntil(() => atSource.count - atTarget.count < live.recordsPerSecond, 'the mirror has caught up', {
    timeoutMs: CATCH_UP_TIMEOUT_MS,
    everyMs: LOOK_MS,
  });
  const catchUpSeconds = (performance.now() - fromMs) / 1_000;
  const megabytes = (records: number): number => (records * live.dataSet.recordBytes) / 1e6;
  const catchUpMbPerSecond = megabytes(atTarget.count - fromCount) / catchUpSeconds;
  return {
    behindMb: megabytes(behind),
    catchUpSeconds,
    catchUpMbPerSecond,
    timesIngest: catchUpMbPerSecond / must(cell.mbPerSecond, 'rate'),
    peakRssMb: processMemory(copy.pid).peakRssBytes / 1e6,
  };
}
