/** Which consumer groups of the source would keep their places on the target, and which would not. Nothing is written. */
import type { PlannedGroup } from '#contract/plan.ts';
import type { MirrorResource } from '#contract/resources.ts';
import type { TopicPair } from '#contract/topic-rules.ts';
import type { Cluster } from '#kafka/cluster.ts';
import { KafkaError } from '#kafka/errors.ts';
import { hasMembers, listGroups, readGroupOffsets, readShareGroupOffsets, type ListedGroup } from '#kafka/groups.ts';
import { ACTIVE } from './group-moves.ts';
import { selectGroups } from './group-sync.ts';

/** Null where the file does not ask for it; else those that would follow first, by group id. Throws KafkaError where groups cannot be listed. */
export async function planGroups(
  { spec }: MirrorResource,
  { source, target }: { readonly source: Cluster; readonly target: Cluster },
  pairs: readonly TopicPair[],
): Promise<PlannedGroup[] | null> {
  if (spec.sync.groups === null) return null;
  const isMeant = selectGroups(spec.sync.groups);
  const [onSource, onTarget] = await Promise.all([listGroups(source), listGroups(target)]);
  const meant = onSource.filter(isMeant);
  const idsOf = (groups: readonly ListedGroup[]): string[] => groups.map(({ groupId }) => groupId);
  const [committed, starts] = await Promise.all([
    readGroupOffsets(source, idsOf(meant.filter(({ type }) => type !== 'share'))),
    readShareGroupOffsets(source, idsOf(meant.filter(({ type }) => type === 'share'))),
  ]);
  const topics = new Set(pairs.map((pair) => pair.source));
  const active = new Set(idsOf(onTarget.filter(hasMembers)));
  const planned = onSource.map((group): PlannedGroup => {
    const { groupId, type } = group;
    const leave = (why: string): PlannedGroup => ({ group: groupId, type, action: 'leave', partitions: null, why });
    if (!isMeant(group)) return leave('not among sync.groups, or no group of consumers');
    const offsets = committed.get(groupId) ?? starts.get(groupId) ?? [];
    if (offsets instanceof KafkaError) return leave(offsets.message);
    const partitions = offsets.filter(({ topic }) => topics.has(topic)).length;
    if (partitions === 0) return leave('it has committed nothing on topics that are mirrored');
    if (active.has(groupId)) return { ...leave(ACTIVE), partitions };
    return { group: groupId, type, action: 'sync', partitions, why: null };
  });
  const rank = ({ action, group }: PlannedGroup): string => `${action === 'sync' ? 0 : 1} ${group}`;
  return planned.toSorted((a, b) => (rank(a) < rank(b) ? -1 : 1));
}
