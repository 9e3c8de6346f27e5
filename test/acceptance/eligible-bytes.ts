import { RawReader } from '#testing/raw-reader.ts';

/** Below this a batch may be merged with its neighbours: it costs the broker more than its bytes. */
const MERGE_BELOW_BYTES = 8 * 1024;

export interface SourceBytes {
  /** All data batches that readers see something of. */
  readonly total: number;
  /** Those that nothing forces to be written anew: large enough, dense, CreateTime, whole above the log start, within `limit`. */
  readonly eligible: number;
}

/** What the batches of some topics weigh, and how much of it a mirror has no reason to decode. */
export async function readSourceBytes(
  bootstrap: readonly string[],
  topics: readonly string[],
  options: { limit?: number } = {},
): Promise<SourceBytes> {
  const { limit = Infinity } = options;
  const reader = new RawReader(bootstrap);
  const sum = { total: 0, eligible: 0 };
  try {
    for (const topic of topics) {
      const partitions = await reader.partitionCount(topic);
      for (let partition = 0; partition < partitions; partition++) {
        const { logStart, lastStable } = await reader.bounds(topic, partition);
        for await (const batch of reader.batches(topic, partition, { from: logStart, to: lastStable })) {
          if (batch.isControl || batch.recordCount === 0) continue;
          sum.total += batch.bytes;
          const isDense = batch.recordCount === batch.lastOffset - batch.baseOffset + 1;
          const isWhole = batch.baseOffset >= logStart && isDense && !batch.isLogAppendTime;
          if (isWhole && batch.bytes >= MERGE_BELOW_BYTES && batch.bytes <= limit) sum.eligible += batch.bytes;
        }
      }
    }
    return sum;
  } finally {
    reader.close();
  }
}
