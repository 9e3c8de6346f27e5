/** The offsets of one partition that the mirror asks for again and again. Each throws KafkaError. */
import { must } from '#util/assert.ts';
import type { Cluster } from '#kafka/cluster.ts';
import { EARLIEST, LATEST, listOffsets, type Isolation } from '#kafka/offsets.ts';

export function readLogStart(cluster: Cluster, topic: string, partition: number): Promise<number> {
  return readOffset(cluster, { topic, partition, timestamp: EARLIEST }, 'read_uncommitted');
}

export function readWatermark(cluster: Cluster, topic: string, partition: number): Promise<number> {
  return readOffset(cluster, { topic, partition, timestamp: LATEST }, 'read_uncommitted');
}

/** Where the leader's log ends: beyond the watermark lies what its followers do not have yet. */
export function readLogEnd(cluster: Cluster, topic: string, partition: number): Promise<number> {
  return readOffset(cluster, { topic, partition, timestamp: LATEST }, 'log_end');
}

/** The last stable offset: everything below it is decided. */
export function readStableOffset(cluster: Cluster, topic: string, partition: number): Promise<number> {
  return readOffset(cluster, { topic, partition, timestamp: LATEST }, 'read_committed');
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
): Promise<number> {
  const answer = must((await listOffsets(cluster, [query], { isolation }))[0], 'answer of ListOffsets');
  if (answer.error) throw answer.error;
  return answer.offset;
}
