/** Where the source ends, for partitions of which nothing is fetched: their lag grows while they wait. */
import type { Cluster } from '#kafka/cluster.ts';
import { KafkaError } from '#kafka/errors.ts';
import { LATEST, listOffsets } from '#kafka/offsets.ts';

interface MeasuredPartition {
  readonly topic: string;
  readonly partition: number;
  measure(ends: { readonly stableOffset: number; readonly highWatermark: number }): void;
}

/** A source that does not answer leaves what was measured before, with its time. */
export async function measureSource(source: Cluster, partitions: readonly MeasuredPartition[]): Promise<void> {
  if (partitions.length === 0) return;
  const queries = partitions.map(({ topic, partition }) => ({ topic, partition, timestamp: LATEST }));
  try {
    const stable = await listOffsets(source, queries, { isolation: 'read_committed' });
    const watermarks = await listOffsets(source, queries);
    for (const [i, partition] of partitions.entries()) {
      const [end, watermark] = [stable[i], watermarks[i]];
      if (end && watermark && !end.error && !watermark.error)
        partition.measure({ stableOffset: end.offset, highWatermark: watermark.offset });
    }
  } catch (error) {
    if (!(error instanceof KafkaError)) throw error;
  }
}
