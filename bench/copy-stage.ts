/** Cells in which a source that is full is copied to an empty target, as fast as it goes. */
import { compareWithJava, formatDifferences } from '#testing/java-reader.ts';
import { removeDirectory, temporaryDirectory } from '#testing/supervisor.ts';
import { must } from '#util/assert.ts';
import type { Cell, Condition } from './cell.ts';
import { dataSetOf, type BatchSizes, type DataSet } from './data-set.ts';
import { measureBatches, writeDataSet } from './data-writer.ts';
import * as estates from './estate.ts';
import type { Figures } from './figure.ts';
import { applyLink } from './link.ts';
import { measureCopy } from './measure.ts';
import type { Found, Stage, StageOptions } from './stage.ts';
import type { Copy, System } from './system.ts';
import { TargetRecords } from './target-records.ts';

const START_TIMEOUT_MS = 180_000;
const SLOWEST_MB_PER_SECOND = 2;
const END_TIMEOUT_MS = 20_000;
/** From so many on, less often: each look asks the target for all of them. */
const MANY_PARTITIONS = 100;
const SAMPLE_MS_OF_MANY = 200;

export interface Filled extends estates.Estate {
  readonly dataSet: DataSet;
  readonly topic: string;
  readonly partitions: number;
  readonly link: string | null;
  readonly data: { readonly records: number; readonly gigabytes: number; readonly batches: BatchSizes };
}

export async function openCopyStage(condition: Condition, options: StageOptions): Promise<Stage> {
  const filled = await openFilled(condition, options);
  return { run: (cell, system) => runCopy(filled, cell, system), close: () => estates.stopEstate(filled) };
}

/** Starts two clusters and fills the source. */
export async function openFilled(condition: Condition, options: StageOptions): Promise<Filled> {
  const dataSet = dataSetOf(must(condition.dataSet, 'data set'));
  const { partitions, gigabytes = 1, link = null } = condition;
  const estate = await estates.startEstate({ ...options, isProxied: link !== null });
  try {
    const filled = { ...(await fill(estate, { dataSet, partitions, gigabytes })), link };
    const { records, batches } = filled.data;
    options.say(`  ${records} records in batches of ${batches.recordsMedian} with ${batches.bytesMedian} B (median)`);
    return filled;
  } catch (error) {
    await estates.stopEstate(estate);
    throw error;
  }
}

async function fill(
  estate: estates.Estate,
  { dataSet, partitions, gigabytes: wanted }: { dataSet: DataSet; partitions: number; gigabytes: number },
): Promise<Omit<Filled, 'link'>> {
  const topic = `bench-${dataSet.name}`;
  const { bootstrap } = estate.source;
  const records = await writeDataSet(bootstrap, dataSet, { topic, gigabytes: wanted, partitions });
  await estates.warmUp(estate, dataSet, wanted);
  const batches = await measureBatches(bootstrap, topic, { partitions, recordBytes: dataSet.recordBytes });
  const gigabytes = (records * dataSet.recordBytes) / 1e9;
  return { ...estate, dataSet, topic, partitions, data: { records, gigabytes, batches } };
}

async function runCopy(filled: Filled, { run }: Cell, system: System): Promise<Found> {
  const { source, target, topic, partitions, dataSet, data, link } = filled;
  await estates.emptyCluster(target, system.needsTopic ? { name: topic, partitions } : null);
  const directory = temporaryDirectory(`${system.name}-${run}`);
  // Digests take longer than the copy, so one of each kind is enough; the others have the broker's own counts.
  const compared = system.isRelay ? 'bytes' : run === 1 ? 'record by record' : 'counts';
  let copy: Copy | null = null;
  if (link !== null) applyLink(link, source.proxies);
  try {
    copy = await system.start({
      ...taskOf(filled, system),
      ...(link === null ? {} : { source: source.proxiedBootstrap }),
      topic,
      codec: dataSet.codec,
      directory,
      runId: `${system.name}-${run}`.replaceAll('-', ''),
    });
    const figures = await watch(filled, copy);
    await endCopy(system, copy);
    for (const proxy of source.proxies) proxy.clear();
    if (compared === 'record by record') await expectEqual({ source, target }, topic);
    return { figures, data, compared };
  } catch (error) {
    throw new Error(toldBy(copy, error), { cause: error });
  } finally {
    for (const proxy of source.proxies) proxy.clear();
    await copy?.end(0);
    removeDirectory(directory);
  }
}

/** Where a system copies from and to. */
export function taskOf(
  { source, target }: estates.Estate,
  { isOverTls }: System,
): { source: readonly string[]; target: readonly string[]; tls: CopyTls; sourceDataDir: string } {
  const [from, to] = [estates.tlsDoorOf(source), estates.tlsDoorOf(target)];
  return {
    source: source.bootstrap,
    target: target.bootstrap,
    tls: isOverTls ? { source: must(from, 'TLS at the source'), target: must(to, 'TLS at the target') } : null,
    sourceDataDir: must(source.brokers[0], 'broker').dataDir,
  };
}

type CopyTls = Parameters<System['start']>[0]['tls'];

/** What went wrong, with the mirror's own last words. */
export function toldBy(copy: Copy | null, error: unknown): string {
  const problem = error instanceof Error ? error.message : String(error);
  return copy ? `${problem}\n${copy.logTail()}`.trim() : problem;
}

async function watch({ source, target, topic, partitions, dataSet, data }: Filled, copy: Copy): Promise<Figures> {
  const { recordBytes } = dataSet;
  const timeoutMs = START_TIMEOUT_MS + (data.records * recordBytes) / 1e3 / SLOWEST_MB_PER_SECOND;
  const { relayed, pids: mirror } = copy;
  if (relayed) {
    const total = data.records * relayed.times;
    const count = async (): Promise<number> => Math.floor((await relayed.share()) * total);
    return measureCopy({ mirror, source: null, target: null, count }, { total, recordBytes, timeoutMs });
  }
  const counter = await TargetRecords.open(estates.addressOf(target), topic, partitions);
  try {
    const watched = { mirror, source: estates.brokerPid(source), target: estates.brokerPid(target) };
    const sampleMs = partitions > MANY_PARTITIONS ? { sampleMs: SAMPLE_MS_OF_MANY } : {};
    const options = { total: data.records, recordBytes, timeoutMs, ...sampleMs };
    return await measureCopy({ ...watched, count: () => counter.count() }, options);
  } finally {
    counter.close();
  }
}

/** Lockstep ends by itself when it has caught up; others never do. */
async function endCopy(system: System, copy: Copy): Promise<void> {
  if (system.ends === 'never') return void (await copy.end(0));
  const code = await copy.end(END_TIMEOUT_MS);
  if (code !== 0) throw new Error(`${system.name} copied everything but ended with exit code ${code}`);
}

export async function expectEqual({ source, target }: estates.Estate, topic: string): Promise<void> {
  const differences = await compareWithJava({
    source: source.bootstrap,
    target: target.bootstrap,
    topics: [{ source: topic, target: topic }],
    isolation: 'read_uncommitted',
    timestamps: 'equal',
  });
  if (differences.length > 0)
    throw new Error(`Kafka's Java consumer finds differences\n${formatDifferences(differences)}`);
}
