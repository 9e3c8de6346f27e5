/** Fills the source, by Kafka's own producer, and reads what the broker really holds of it. */
import { runJava } from '#testing/java.ts';
import { RawReader } from '#testing/raw-reader.ts';
import { createTopics } from '#testing/topic-admin.ts';
import { partitionsUpTo, type RecordStream } from '#testing/workload.ts';
import type { BatchSizes, DataSet } from './data-set.ts';
import { median } from './statistics.ts';

/** Long enough that only full batches are sent, but for the last one of each partition. */
const LINGER_MS = 2_000;
const WRITE_TIMEOUT_MS = 600_000;
/** At the same time: each buffers up to 64 MB. */
const PRODUCERS_MAX = 8;
/** A request is an argument of a program, of at most 128 KB on Linux. */
const STREAMS_MAX = 256;
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
  const streams = partitionsUpTo(partitions).map((partition) => streamOf(dataSet, { topic, partition, records }));
  for (const some of inChunks(streams, STREAMS_MAX)) await writeStreams(bootstrap, some);
  return records * partitions;
}

/** A producer for each partition: one that serves several sends whatever its other partitions hold along with a full batch. */
export function streamOf(
  { codec, batchBytes, valueBytes }: DataSet,
  { topic, partition, records }: { readonly topic: string; readonly partition: number; readonly records?: number },
): RecordStream {
  const packing = batchBytes === null ? { oneRecordBatches: true } : { batchBytes, lingerMs: LINGER_MS };
  const common = { name: `p${partition}`, topic, partitions: [partition], codec, valueBytes };
  return { ...common, ...packing, ...(records === undefined ? {} : { records }) };
}

async function writeStreams(bootstrap: readonly string[], streams: readonly RecordStream[]): Promise<void> {
  const phases = inChunks(streams, PRODUCERS_MAX);
  const request = { bootstrap: bootstrap.join(','), seed: 1, run: 'bench', phases };
  const { stderr, code } = await runJava('WorkloadProducer', [JSON.stringify(request)], {
    profile: 'plain',
    heapMb: 1024,
    timeoutMs: WRITE_TIMEOUT_MS,
  });
  if (code !== 0) throw new Error(`writing the data set failed with exit code ${code}\n${stderr.trimEnd()}`);
}

function inChunks<T>(items: readonly T[], size: number): T[][] {
  return Array.from({ length: Math.ceil(items.length / size) }, (_, i) => items.slice(i * size, (i + 1) * size));
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
