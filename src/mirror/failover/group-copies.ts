/** In a drill on copies, groups get their places there under names of their own: those that consumers use stay where they are. */
import type { GroupSync as GroupSyncSettings } from '#contract/group-settings.ts';
import type { Cluster } from '#kafka/cluster.ts';
import { KafkaError } from '#kafka/errors.ts';
import { commitGroupOffsets, listGroups, readGroupOffsets, type GroupCommit, type GroupOffset } from '#kafka/groups.ts';
import { readTranslation, reasonOf, type SyncedTopic } from '../group-places.ts';
import { selectGroups } from '../group-sync.ts';
import type { StepOutcome } from './procedure.ts';

const NAMED_MAX = 20;

export interface GroupCopies {
  readonly settings: GroupSyncSettings;
  /** Begins the name of each copy. */
  readonly prefix: string;
}

export interface GroupCopiesPort {
  readonly source: Cluster;
  readonly target: Cluster;
  /** As of now. Throws KafkaError. */
  readTopics(): Promise<readonly SyncedTopic[]>;
}

/** Of share groups none. Throws KafkaError. */
export async function copyGroups(port: GroupCopiesPort, { settings, prefix }: GroupCopies): Promise<StepOutcome> {
  const { source, target } = port;
  const isMeant = selectGroups(settings);
  const groups = (await listGroups(source)).filter((group) => isMeant(group) && group.type !== 'share');
  const topics = new Map((await port.readTopics()).map((topic) => [topic.sourceTopic, topic]));
  const committed = await readGroupOffsets(
    source,
    groups.map(({ groupId }) => groupId),
  );
  const places = new Map<string, GroupOffset[]>();
  const said: string[] = [];
  for (const [group, offsets] of committed) {
    if (offsets instanceof KafkaError) said.push(`Group "${group}" was left alone: ${reasonOf(offsets)}.`);
    else
      places.set(
        group,
        offsets.filter(({ topic }) => topics.has(topic)),
      );
  }
  const translate = await readTranslation(port, [...places.values()].flat(), topics);
  const commits: GroupCommit[] = [];
  for (const [group, offsets] of places) {
    const found = offsets.flatMap(({ topic, partition, offset, metadata }) => {
      const place = translate(topic, partition, offset);
      const targetTopic = topics.get(topic)?.targetTopic ?? topic;
      if (place.offset !== null) return [{ topic: targetTopic, partition, offset: place.offset, metadata }];
      said.push(`Group "${group}" has no place on ${targetTopic}/${partition}: ${place.why}.`);
      return [];
    });
    if (found.length > 0) commits.push({ groupId: prefix + group, offsets: found });
  }
  const outcomes = await commitGroupOffsets(target, commits);
  for (const { groupId, failed } of outcomes)
    if (failed[0]) said.push(`Group "${groupId}" was refused its places: ${reasonOf(failed[0].error)}.`);
  const made = outcomes.filter(({ failed }) => failed.length === 0).length;
  return {
    said: [
      `${made} consumer groups have the places that they have on the source, under names that begin with "${prefix}".`,
      ...said.slice(0, NAMED_MAX),
    ],
    changes: { groups: commits.map(({ groupId }) => groupId) },
  };
}
