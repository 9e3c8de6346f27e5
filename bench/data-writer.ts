/** Fills the source, by Kafka's own producer, and reads what the broker really holds of it. */
import { waitUntil } from '#testing/process-stat.ts';
import { runJava } from '#testing/java.ts';
import { RawReader } from '#testing/raw-reader.ts';
import { createTopics } from '#testing/topic-admin.ts';
import { partitionsUpTo, type RecordStream } from '#testing/workload.ts';
import { LogEnds } from '../test/acceptance/log-ends.ts';
import type { BatchSizes, DataSet } from './data-set.ts';
import { median } from './statistics.ts';

/** Long enough that only full batches are sent, but for the last one of each partition. */
const LINGER_MS = 2_000;
const WRITE_TIMEOUT_MS = 600_000;
const LED_TIMEOUT_MS = 300_000;
/** At the same time: each buffers up to 64 MB. */
const PRODUCERS_MAX = 8;
/** Looked at: so many partitions, so many batches of each; the last one, which was never full, is not among them. */
const SAMPLED_PARTITIONS = 8;
const SAMPLED_BATCHES = 100;

/** Creates `topic` and writes about `gigabytes` of logical data into it. Returns the number of records. */
export async function writeDataSet(
  bootstrap: readonly string[],
  dataSet: DataSet,
  options: { topic: string; gigabytes: number; partitions: number },
): Promise<number> {
  const { topic, gigabytes, partitions } = options;
  const records = Math.ceil((gigabytes * 1e9) / dataSet.recordBytes / partitions);
  await createTopics(bootstrap, [{ name: topic, partitions }]);
  await allLed(bootstrap, topic, partitions);
  const producers = Math.min(partitions, PRODUCERS_MAX);
  const streams = partitionsUpTo(producers).map((i): RecordStream => {
    const own = partitionsUpTo(partitions).filter((partition) => partition % producers === i);
    return {
      ...streamOf(dataSet, topic),
      name: `p${i}`,
      partitions: own,
      records: records * own.length,
      partitionRuns: records,
    };
  });
  await writeStreams(bootstrap, streams);
  return records * partitions;
}

/**
 * The controller names leaders before the broker has made a thousand logs: producers that begin at once are refused and
 * come again, all of them, until they give up.
 */
async function allLed(bootstrap: readonly string[], topic: string, partitions: number): Promise<void> {
  const logs = await LogEnds.open(bootstrap, [topic]);
  const areLed = async (): Promise<boolean> => (await logs.read()).size === partitions;
  try {
    await waitUntil(areLed, 'all partitions have a leader that answers', { timeoutMs: LED_TIMEOUT_MS, everyMs: 200 });
  } finally {
    logs.close();
  }
}

/** Numbers in the keys of a partition are below this: a producer numbers the records of all its partitions. */
export function keysMax(recordsPerPartition: number, partitions: number): number {
  return recordsPerPartition * Math.ceil(partitions / PRODUCERS_MAX);
}

/**
 * A producer fills one partition after the other: one that serves several at once sends whatever its other partitions hold
 * along with a full batch.
 */
function streamOf(
  { codec, batchBytes, valueBytes }: DataSet,
  topic: string,
): Omit<RecordStream, 'name' | 'partitions'> {
  const packing = batchBytes === null ? { oneRecordBatches: true } : { batchBytes, lingerMs: LINGER_MS };
  return { topic, codec, valueBytes, ...packing };
}

async function writeStreams(bootstrap: readonly string[], streams: readonly RecordStream[]): Promise<void> {
  const request = { bootstrap: bootstrap.join(','), seed: 1, run: 'bench', phases: [streams] };
  const { stderr, code } = await runJava('WorkloadProducer', [JSON.stringify(request)], {
    profile: 'plain',
    heapMb: 2048, // of 100 bytes a record, what the producers hold of them takes a multiple of their buffers
    timeoutMs: WRITE_TIMEOUT_MS,
  });
  if (code !== 0) throw new Error(`writing the data set failed with exit code ${code}\n${stderr.trimEnd()}`);
}

/** What the broker really holds, read by the raw reader. */
export async function measureBatches(
  bootstrap: readonly string[],
  topic: string,
  options: { partitions: number; recordBytes: number },
): Promise<BatchSizes> {
  const reader = new RawReader(bootstrap);
  const bytes: number[] = [];
  const records: number[] = [];
  try {
    for (const partition of partitionsUpTo(Math.min(options.partitions, SAMPLED_PARTITIONS))) {
      const { highWatermark } = await reader.bounds(topic, partition);
      let seen = 0;
      for await (const batch of reader.batches(topic, partition, { from: 0, to: highWatermark })) {
        const isLast = batch.lastOffset + 1 === highWatermark;
        if (++seen > SAMPLED_BATCHES || (isLast && seen > 1)) break;
        bytes.push(batch.bytes);
        records.push(batch.recordCount);
      }
    }
  } finally {
    reader.close();
  }
  const sum = (numbers: readonly number[]): number => numbers.reduce((total, each) => total + each, 0);
  return {
    batches: bytes.length,
    bytesMedian: median(bytes),
    bytesMax: Math.max(...bytes),
    recordsMedian: median(records),
    compression: (sum(records) * options.recordBytes) / sum(bytes),
  };
}
