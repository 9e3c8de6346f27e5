/**
 * Topics of the old primary that hold exactly what the new one had at the cut need not be copied again: the mirror that leads
 * back takes them over as they are. It gets its claim on each, and a record that says below which offset others wrote.
 */
import type { TopicCut } from '#contract/failover.ts';
import type { Cluster } from '#kafka/cluster.ts';
import { baseOffsetOf, leaderEpochOf } from '#kafka/records/batch-header.ts';
import { readTail } from '#kafka/simple-log.ts';
import { must } from '#util/assert.ts';
import { readEnds, readLogStart } from '../offsets.ts';
import type { MirrorRecord } from '../state-records.ts';
import { StateTopic } from '../state-topic.ts';

/** Names of resources have at most 100 characters. */
const NAME_MAX = 95;

/** Of the mirror that leads back. */
export function backName(name: string): string {
  return `${name.slice(0, NAME_MAX)}-back`;
}

/**
 * Whether every partition of the old primary ends exactly at the cut, with nothing open, and the target ended there too when it
 * was promoted: then both sides have had the same. Throws KafkaError.
 */
export async function isClean(source: Cluster, { mode, sourceTopic, partitions }: TopicCut): Promise<boolean> {
  if (mode !== 'identical' || source.topicOf(sourceTopic)?.partitions.length !== partitions.length) return false;
  const ends = await readEnds(
    source,
    partitions.map((_, partition) => ({ topic: sourceTopic, partition })),
  );
  return partitions.every(([cut, promoted], partition) => {
    const end = ends[partition];
    return promoted === cut && end?.stableOffset === cut && end.highWatermark === cut;
  });
}

/** Lets the mirror from `target` to `source` go on behind the cuts. Twice is the same as once. Throws AppError, KafkaError. */
export async function adopt(
  { source, target }: { readonly source: Cluster; readonly target: Cluster },
  mirror: Pick<MirrorRecord, 'name' | 'transactions'>,
  cuts: readonly TopicCut[],
): Promise<void> {
  if (cuts.length === 0) return;
  const state = await StateTopic.open(source);
  const name = backName(mirror.name);
  const { mirrorId } = await state.establishMirror({
    name,
    sourceClusterId: must(target.clusterId, 'cluster id'),
    targetClusterId: must(source.clusterId, 'cluster id'),
    transactions: mirror.transactions,
    timestamps: 'append',
    start: { at: 'earliest' },
  });
  for (const { sourceTopic, sourceTopicId, targetTopic, targetTopicId, partitions } of cuts) {
    if (state.claim(sourceTopic)?.mirrorId === mirrorId) continue;
    const records = await Promise.all(
      partitions.map(async ([cut], partition) => ({
        targetTopic: sourceTopic,
        partition,
        value: {
          mirrorId,
          targetTopicId: sourceTopicId,
          logStart: await readLogStart(source, sourceTopic, partition),
          sequenceOffset: 0,
          leaderEpochs: [[await epochBefore(target, targetTopic, partition, cut), cut] as [number, number]],
          adoptedBelow: cut,
        },
      })),
    );
    await state.putPartitions(records);
    const replaces = state.claim(sourceTopic)?.targetTopicId ?? null;
    await state.putClaim(sourceTopic, {
      mirrorId,
      mirrorName: name,
      sourceTopic: targetTopic,
      sourceTopicId: targetTopicId,
      targetTopicId: sourceTopicId,
      partitions: partitions.length,
      replaces: replaces === sourceTopicId ? null : replaces,
    });
  }
}

/**
 * In which the new primary wrote the last batch below the cut; −1 where there is none any more. A later one would be taken for
 * the past when the first batch behind the cut shows an earlier one.
 */
async function epochBefore(target: Cluster, topic: string, partition: number, cut: number): Promise<number> {
  if (cut <= (await readLogStart(target, topic, partition))) return -1;
  const { batches } = await readTail(target, { topic, partition, fromOffset: cut - 1, toOffset: cut, maxBytes: 1 });
  const found = batches.find(({ buffer, at }) => baseOffsetOf(buffer, at) < cut);
  return found ? leaderEpochOf(found.buffer, found.at) : -1;
}
