/** The offsets of one partition that the mirror asks for again and again. Each throws KafkaError. */
import { must } from '#util/assert.ts';
import type { Cluster } from '#kafka/cluster.ts';
import { EARLIEST, LATEST, listOffsets, type Isolation } from '#kafka/offsets.ts';

export function readLogStart(cluster: Cluster, topic: string, partition: number): Promise<number> {
  return readOffset(cluster, { topic, partition, timestamp: EARLIEST }, 'read_uncommitted');
}

/** `lane`: the connection on which it is asked (CallOptions). */
export function readWatermark(cluster: Cluster, topic: string, partition: number, lane = 0): Promise<number> {
  return readOffset(cluster, { topic, partition, timestamp: LATEST }, 'read_uncommitted', lane);
}

/** Where the leader's log ends: beyond the watermark lies what its followers do not have yet. */
export function readLogEnd(cluster: Cluster, topic: string, partition: number): Promise<number> {
  return readOffset(cluster, { topic, partition, timestamp: LATEST }, 'log_end');
}

/** The last stable offset: everything below it is decided. */
export function readStableOffset(cluster: Cluster, topic: string, partition: number): Promise<number> {
  return readOffset(cluster, { topic, partition, timestamp: LATEST }, 'read_committed');
}

/** Where a partition ends as of now. */
export interface LogEnds {
  /** The last stable offset: everything below it is decided. */
  readonly stableOffset: number;
  /** Never below the stable offset; beyond it only where a transaction is open. Null where it could not be had. */
  readonly highWatermark: number | null;
}

/**
 * One entry per partition, in their order; null where not even the stable offset could be had. The watermark is asked
 * before: what is written in between would else look like records that an open transaction holds back.
 */
export async function readEnds(
  cluster: Cluster,
  partitions: readonly { readonly topic: string; readonly partition: number }[],
): Promise<(LogEnds | null)[]> {
  const queries = partitions.map(({ topic, partition }) => ({ topic, partition, timestamp: LATEST }));
  const watermarks = await listOffsets(cluster, queries);
  const stable = await listOffsets(cluster, queries, { isolation: 'read_committed' });
  return stable.map((end, i) => {
    if (end.error) return null;
    const watermark = must(watermarks[i], 'answer of ListOffsets');
    return { stableOffset: end.offset, highWatermark: watermark.error ? null : Math.max(watermark.offset, end.offset) };
  });
}

/** One watermark per partition, in their order; null where it could not be had. */
export async function readWatermarks(
  cluster: Cluster,
  partitions: readonly { readonly topic: string; readonly partition: number }[],
): Promise<(number | null)[]> {
  const queries = partitions.map(({ topic, partition }) => ({ topic, partition, timestamp: LATEST }));
  return (await listOffsets(cluster, queries)).map(({ offset, error }) => (error ? null : offset));
}

/** The first offset whose record is at or after `timestampMs`; −1 when there is none. */
export function readOffsetAt(
  cluster: Cluster,
  query: { topic: string; partition: number; timestampMs: number },
): Promise<number> {
  const { topic, partition, timestampMs } = query;
  return readOffset(cluster, { topic, partition, timestamp: timestampMs }, 'read_committed');
}

async function readOffset(
  cluster: Cluster,
  query: { topic: string; partition: number; timestamp: number },
  isolation: Isolation,
  lane = 0,
): Promise<number> {
  const answer = must((await listOffsets(cluster, [query], { isolation, lane }))[0], 'answer of ListOffsets');
  if (answer.error) throw answer.error;
  return answer.offset;
}
