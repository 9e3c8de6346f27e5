/**
 * `lockstep rebuild`: takes a copy away, so that the next run makes it anew. Only what is this mirror's alone, is not in use,
 * and was shown before (rebuild-refusal.ts): the topic is deleted by the id that was looked at.
 */
import { AppError } from '#contract/errors.ts';
import type { RebuildPartition, RebuildPlan } from '#contract/rebuild.ts';
import type { MirrorResource } from '#contract/resources.ts';
import { compileTopicRules, planTopics, withMerges, type TopicPair } from '#contract/topic-rules.ts';
import { groupIdOf } from '#jobs/ownership.ts';
import type { Cluster } from '#kafka/cluster.ts';
import { KafkaError } from '#kafka/errors.ts';
import { listGroups, readGroupOffsets } from '#kafka/groups.ts';
import { EARLIEST, LATEST, listOffsets } from '#kafka/offsets.ts';
import { isDenied } from '#kafka/permissions.ts';
import { deleteTopic } from '#kafka/topics.ts';
import { must } from '#util/assert.ts';
import { readGroupState } from './group-state.ts';
import { openMaps } from './mapped-export.ts';
import { choicesOf } from './plan.ts';
import { refusalOf } from './rebuild-refusal.ts';
import { mirrorIdOf } from './state-records.ts';
import { StateTopic } from './state-topic.ts';

export interface RebuildClusters {
  readonly source: Cluster;
  readonly target: Cluster;
}

/** The pair of this mirror whose source topic has the name; null where no rule has it. Throws KafkaError. */
export async function pairOf(resource: MirrorResource, source: Cluster, topic: string): Promise<TopicPair | null> {
  const rules = compileTopicRules(resource.spec.topics);
  const found = (await source.refresh('all')).filter(({ errorCode }) => errorCode === 0);
  return withMerges(planTopics(rules, found), resource.spec).pairs.find((pair) => pair.source === topic) ?? null;
}

/**
 * What would be deleted, and with `isConfirmed` is. Throws AppError REBUILD_REFUSED as rebuild-refusal.ts says, MIRROR_CHANGED
 * or CLUSTER_ID_MISMATCH where the next run would not copy it anew, STATE_TOPIC_INVALID where whose it is cannot be read;
 * KafkaError.
 */
export async function rebuildTopic(
  resource: MirrorResource,
  clusters: RebuildClusters,
  question: { readonly pair: TopicPair; readonly partition: number | null; readonly isConfirmed: boolean },
): Promise<RebuildPlan> {
  const { source, target } = clusters;
  const { pair, partition, isConfirmed } = question;
  const choices = choicesOf(resource, source, target);
  const mirrorId = mirrorIdOf(choices);
  const state = await StateTopic.peek(target);
  state?.checkMirror(choices);
  const [topic] = await target.refresh([pair.target]);
  if (topic?.errorCode !== 0)
    throw new AppError('TOPIC_NOT_FOUND', `Topic "${pair.target}" does not exist on cluster "${target.name}".`, {
      nextStep: 'There is nothing to delete: the next run creates it and copies it.',
    });
  const { targetTopicId, count } = { targetTopicId: topic.topicId, count: topic.partitions.length };
  const claim = state?.claim(pair.target) ?? null;
  const looked = await readPartitions(clusters, pair, count);
  const refusal = refusalOf({
    mirrorName: resource.metadata.name,
    mirrorId,
    targetName: target.name,
    pair,
    targetTopicId,
    partitions: count,
    partition,
    claim,
    failover: state?.failover(mirrorId) ?? null,
    shared: state ? sharedPartitions(state, pair, { targetTopicId, count }) : [],
    groupState: await readGroupState(target, groupIdOf(mirrorId)),
    readers: await readReaders(target, pair.target),
    copiedOnBy: await readCopies(source, { clusterId: target.clusterId, topicId: targetTopicId }),
    unreadable: looked.unreadable,
  });
  if (refusal) throw refusal;
  if (isConfirmed) await deleteTopic(target, { name: pair.target, topicId: targetTopicId });
  return {
    mirror: resource.metadata.name,
    source: source.name,
    target: target.name,
    sourceTopic: pair.source,
    targetTopic: pair.target,
    targetTopicId,
    mode: (claim?.mode ?? 'identical') === 'identical' ? 'identical' : 'mapped',
    partitions: looked.partitions,
    isDone: isConfirmed,
  };
}

/** Where the claim says nothing of it: a partition that went on beside another writer. */
function sharedPartitions(
  state: StateTopic,
  { source, target }: TopicPair,
  topic: { readonly targetTopicId: string; readonly count: number },
): number[] {
  return Array.from({ length: topic.count }, (_, partition) => partition).filter((partition) => {
    const head = state.mapped({ targetTopic: target, partition, sourceTopic: source });
    return head?.targetTopicId === topic.targetTopicId && head.isShared;
  });
}

/** What is deleted under a reader leaves it with places in a log that is gone. */
async function readReaders(target: Cluster, topic: string): Promise<string[]> {
  const active = (await listGroups(target)).filter(
    ({ state, type }) => type !== 'share' && state !== 'Empty' && state !== 'Dead',
  );
  const committed = await readGroupOffsets(
    target,
    active.map(({ groupId }) => groupId),
  );
  return [...committed].flatMap(([groupId, offsets]) =>
    !(offsets instanceof KafkaError) && offsets.some((each) => each.topic === topic) ? [groupId] : [],
  );
}

/** A mirror of the other direction, or of a ring; further on than the source nothing is known. */
async function readCopies(
  source: Cluster,
  copied: { readonly clusterId: string; readonly topicId: string },
): Promise<string[]> {
  try {
    return (await StateTopic.look(source))?.mirrorsOf(copied) ?? [];
  } catch (error) {
    if (isDenied(error)) return [];
    throw error;
  }
}

async function readPartitions(
  { source, target }: RebuildClusters,
  pair: TopicPair,
  count: number,
): Promise<{ readonly partitions: RebuildPartition[]; readonly unreadable: number[] }> {
  const all = Array.from({ length: count }, (_, partition) => partition);
  const ask = (cluster: Cluster, topic: string, partitions: readonly number[], timestamp: number) =>
    listOffsets(
      cluster,
      partitions.map((partition) => ({ topic, partition, timestamp })),
    );
  const theirs = (source.topicOf(pair.source)?.partitions ?? []).map(({ partition }) => partition);
  const [starts, ends, sourceStarts] = await Promise.all([
    ask(target, pair.target, all, EARLIEST),
    ask(target, pair.target, all, LATEST),
    ask(source, pair.source, theirs, EARLIEST),
  ]);
  const mapOf = await openMaps(target, { mayGap: true }); // a map that is damaged is a reason to rebuild
  const partitions = await Promise.all(
    all.map(async (partition): Promise<RebuildPartition> => {
      const [start, end] = [must(starts[partition], 'log start'), must(ends[partition], 'end')];
      for (const { error } of [start, end]) if (error) throw error;
      const first = sourceStarts[theirs.indexOf(partition)];
      const exported = await mapOf(pair, partition);
      const isKnown = first !== undefined && !first.error && (exported?.ledger.balance().unexplained ?? 0) === 0;
      const goneBelow = isKnown ? (exported ? exported.map.nextTarget(first.offset) : first.offset) : null;
      const { offset: from } = start;
      const { offset: to } = end;
      return { partition, from, to, goneBelow: goneBelow === null ? null : Math.min(to, Math.max(from, goneBelow)) };
    }),
  );
  return { partitions, unreadable: theirs.filter((_, at) => Boolean(sourceStarts[at]?.error)) };
}
