/** What is copied: topics of 1 KB records in batches of a wanted size, written by Kafka's own producer. */
import { must } from '#util/assert.ts';
import { runJava } from '#testing/java.ts';
import { RawReader } from '#testing/raw-reader.ts';
import { createTopics } from '#testing/topic-admin.ts';
import type { Codec, RecordStream } from '#testing/workload.ts';

/** Key, value and the record's own fields: what a gigabyte is counted in, compressed or not, so that codecs compare. */
export const RECORD_BYTES = 1040;
const VALUE_BYTES = 1024;
/** Long enough that only full batches are sent, but for the last one of each partition. */
const LINGER_MS = 2_000;
const WRITE_TIMEOUT_MS = 300_000;
/** Batches looked at in each partition; the last one, which was never full, is not among them. */
const SAMPLED_BATCHES = 100;

export interface DataSet {
  readonly name: string;
  readonly description: string;
  readonly codec: Codec;
  /** The producer's batch.size. */
  readonly batchBytes: number;
}

export const dataSets: readonly DataSet[] = [
  { name: 'l1k_64', description: '1 KB records in 64 KB lz4 batches', codec: 'lz4', batchBytes: 65_536 },
  { name: 'n1k_16', description: '1 KB records in 16 KB uncompressed batches', codec: 'none', batchBytes: 16_384 },
];

export interface BatchSizes {
  readonly batches: number;
  readonly bytesMedian: number;
  readonly bytesMax: number;
  readonly recordsMedian: number;
  /** Logical bytes for each byte in the log. */
  readonly compression: number;
}

/** Creates `topic` and writes about `gigabytes` of logical data into it. Returns the number of records. */
export async function writeDataSet(
  bootstrap: readonly string[],
  dataSet: DataSet,
  options: { topic: string; gigabytes: number; partitions: number },
): Promise<number> {
  const { topic, gigabytes, partitions } = options;
  const records = Math.ceil((gigabytes * 1e9) / RECORD_BYTES / partitions);
  await createTopics(bootstrap, [{ name: topic, partitions }]);
  // A producer for each partition: one that serves several sends whatever its other partitions hold along with a full batch.
  const streams = Array.from({ length: partitions }, (_, partition): RecordStream => {
    const { codec, batchBytes } = dataSet;
    return {
      name: `p${partition}`,
      topic,
      partitions: [partition],
      records,
      codec,
      batchBytes,
      lingerMs: LINGER_MS,
      valueBytes: VALUE_BYTES,
    };
  });
  const request = { bootstrap: bootstrap.join(','), seed: 1, run: 'bench', phases: [streams] };
  const { stderr, code } = await runJava('WorkloadProducer', [JSON.stringify(request)], {
    profile: 'plain',
    heapMb: 1024,
    timeoutMs: WRITE_TIMEOUT_MS,
  });
  if (code !== 0)
    throw new Error(`writing data set ${dataSet.name} failed with exit code ${code}\n${stderr.trimEnd()}`);
  return records * partitions;
}

/** What the broker really holds, read by the raw reader. */
export async function measureBatches(
  bootstrap: readonly string[],
  topic: string,
  partitions: number,
): Promise<BatchSizes> {
  const reader = new RawReader(bootstrap);
  const bytes: number[] = [];
  const records: number[] = [];
  try {
    for (let partition = 0; partition < partitions; partition++) {
      const { highWatermark } = await reader.bounds(topic, partition);
      let seen = 0;
      for await (const batch of reader.batches(topic, partition, { from: 0, to: highWatermark })) {
        if (++seen > SAMPLED_BATCHES || batch.lastOffset + 1 === highWatermark) break;
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
    compression: (sum(records) * RECORD_BYTES) / sum(bytes),
  };
}

/** The middle value, or the upper one of two. */
export function median(numbers: readonly number[]): number {
  return must(numbers.toSorted((a, b) => a - b)[numbers.length >> 1], 'a value to take the median of');
}
