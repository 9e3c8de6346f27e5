/** Where the source ends, for partitions of which nothing is fetched: their lag grows while they wait. */
import type { Cluster } from '#kafka/cluster.ts';
import { KafkaError } from '#kafka/errors.ts';
import { readEnds } from './offsets.ts';

interface MeasuredPartition {
  readonly topic: string;
  readonly partition: number;
  measure(ends: { readonly stableOffset: number; readonly highWatermark: number }): void;
}

/** A source that does not answer leaves what was measured before, with its time. */
export async function measureSource(source: Cluster, partitions: readonly MeasuredPartition[]): Promise<void> {
  if (partitions.length === 0) return;
  try {
    const ends = await readEnds(source, partitions);
    for (const [i, partition] of partitions.entries()) {
      const { stableOffset, highWatermark = null } = ends[i] ?? {};
      if (stableOffset !== undefined && highWatermark !== null) partition.measure({ stableOffset, highWatermark });
    }
  } catch (error) {
    if (!(error instanceof KafkaError)) throw error;
  }
}
