/**
 * `lockstep rebuild`: takes a copy away, so that the next run makes it anew. Only what is this mirror's alone, is not being
 * written, and was shown before: the topic is deleted by the id that was looked at.
 */
import { AppError } from '#contract/errors.ts';
import type { RebuildPartition, RebuildPlan } from '#contract/rebuild.ts';
import type { MirrorResource } from '#contract/resources.ts';
import { compileTopicRules, planTopics, withMerges, type TopicPair } from '#contract/topic-rules.ts';
import { groupIdOf } from '#jobs/ownership.ts';
import type { Cluster } from '#kafka/cluster.ts';
import { listGroups } from '#kafka/groups.ts';
import { EARLIEST, LATEST, listOffsets } from '#kafka/offsets.ts';
import { deleteTopic } from '#kafka/topics.ts';
import { must } from '#util/assert.ts';
import { openMaps } from './mapped-export.ts';
import { choicesOf } from './plan.ts';
import { mirrorIdOf, type ClaimRecord } from './state-records.ts';
import { StateTopic } from './state-topic.ts';

/** States of a group without members (ClassicGroupState). */
const IDLE = new Set(['Empty', 'Dead']);

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
 * What would be deleted, and with `isConfirmed` is. Throws AppError REBUILD_REFUSED where it is not this mirror's alone or
 * the mirror runs, KafkaError.
 */
export async function rebuildTopic(
  resource: MirrorResource,
  clusters: RebuildClusters,
  question: { readonly pair: TopicPair; readonly partition: number | null; readonly isConfirmed: boolean },
): Promise<RebuildPlan> {
  const { source, target } = clusters;
  const { pair, partition, isConfirmed } = question;
  const mirrorId = mirrorIdOf(choicesOf(resource, source, target));
  const state = await StateTopic.peek(target);
  const [topic] = await target.refresh([pair.target]);
  if (topic?.errorCode !== 0)
    throw new AppError('TOPIC_NOT_FOUND', `Topic "${pair.target}" does not exist on cluster "${target.name}".`, {
      nextStep: 'There is nothing to delete: the next run creates it and copies it.',
    });
  const claim = state?.claim(pair.target) ?? null;
  checkOwner(claim, { mirrorId, topicId: topic.topicId, pair, targetName: target.name });
  if (partition !== null && (topic.partitions.length > 1 || partition !== 0))
    throw refused(
      `Kafka deletes topics, not partitions, and "${pair.target}" has ${topic.partitions.length}.`,
      `Rebuild all of it: lockstep rebuild ${pair.source} -f FILE`,
    );
  await checkIdle(target, mirrorId, resource.metadata.name);
  const mode = (claim?.mode ?? 'identical') === 'identical' ? 'identical' : 'mapped';
  const partitions = await readPartitions(clusters, pair, topic.partitions.length);
  if (isConfirmed) await deleteTopic(target, { name: pair.target, topicId: topic.topicId });
  return {
    mirror: resource.metadata.name,
    source: source.name,
    target: target.name,
    sourceTopic: pair.source,
    targetTopic: pair.target,
    targetTopicId: topic.topicId,
    mode,
    partitions,
    isDone: isConfirmed,
  };
}

function checkOwner(
  claim: ClaimRecord | null,
  topic: { readonly mirrorId: string; readonly topicId: string; readonly pair: TopicPair; readonly targetName: string },
): void {
  const { pair, targetName } = topic;
  const name = `Topic "${pair.target}" on cluster "${targetName}"`;
  if (claim?.mirrorId !== topic.mirrorId || claim.targetTopicId !== topic.topicId)
    throw refused(
      `${name} is not a copy of this mirror${claim ? `; mirror "${claim.mirrorName}" has claimed it` : ''}.`,
      'If nobody needs it, delete it with the tools of Kafka.',
    );
  if (claim.mode === 'shared')
    throw refused(
      `${name} holds records of others besides those of "${pair.source}": Kafka cannot take out a part of a log.`,
      'Give the copy another name with "to"; what was copied stays where it is.',
    );
  if (claim.sourceTopic !== pair.source)
    throw refused(`${name} is the copy of "${claim.sourceTopic}".`, `lockstep rebuild ${claim.sourceTopic} -f FILE`);
}

/** What is deleted while it is being written would be an incident of who writes it. */
async function checkIdle(target: Cluster, mirrorId: string, name: string): Promise<void> {
  const group = (await listGroups(target)).find(({ groupId }) => groupId === groupIdOf(mirrorId));
  if (!group || IDLE.has(group.state)) return;
  throw refused(
    `Mirror "${name}" runs: its group on "${target.name}" is in state ${group.state}.`,
    'Stop all of its processes; one that was killed is forgotten after 20 s.',
  );
}

async function readPartitions(
  { source, target }: RebuildClusters,
  pair: TopicPair,
  count: number,
): Promise<RebuildPartition[]> {
  const all = Array.from({ length: count }, (_, partition) => partition);
  const ask = (cluster: Cluster, topic: string, timestamp: number) =>
    listOffsets(
      cluster,
      all.map((partition) => ({ topic, partition, timestamp })),
    );
  const [starts, ends, sourceStarts] = await Promise.all([
    ask(target, pair.target, EARLIEST),
    ask(target, pair.target, LATEST),
    ask(source, pair.source, EARLIEST),
  ]);
  const mapOf = await openMaps(target);
  return Promise.all(
    all.map(async (partition): Promise<RebuildPartition> => {
      const [start, end] = [must(starts[partition], 'log start'), must(ends[partition], 'end')];
      for (const { error } of [start, end]) if (error) throw error;
      const first = sourceStarts[partition];
      const exported = await mapOf(pair, partition);
      const isKnown = first !== undefined && !first.error;
      const goneBelow = isKnown ? (exported ? exported.map.nextTarget(first.offset) : first.offset) : null;
      const { offset: from } = start;
      const { offset: to } = end;
      return { partition, from, to, goneBelow: goneBelow === null ? null : Math.min(to, Math.max(from, goneBelow)) };
    }),
  );
}

function refused(message: string, nextStep: string): AppError {
  return new AppError('REBUILD_REFUSED', message, { nextStep });
}
