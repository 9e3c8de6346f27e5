/** How far partitions are of which nothing is fetched here: their lag grows while they wait, or another process copies them. */
import type { Cluster } from '#kafka/cluster.ts';
import { KafkaError } from '#kafka/errors.ts';
import { readEnds, readWatermarks } from './offsets.ts';

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

/** Where the target ends; one that does not answer leaves what was measured before. */
export async function measureTarget(
  target: Cluster,
  partitions: readonly {
    readonly targetTopic: string;
    readonly partition: number;
    measureTarget(watermark: number): void;
  }[],
): Promise<void> {
  if (partitions.length === 0) return;
  try {
    const places = partitions.map(({ targetTopic, partition }) => ({ topic: targetTopic, partition }));
    const watermarks = await readWatermarks(target, places);
    for (const [i, partition] of partitions.entries()) {
      const watermark = watermarks[i];
      if (typeof watermark === 'number') partition.measureTarget(watermark);
    }
  } catch (error) {
    if (!(error instanceof KafkaError)) throw error;
  }
}
