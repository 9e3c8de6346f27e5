/** Consumer groups as an inventory shows them. */
import type { Cluster } from '#kafka/cluster.ts';
import { hasMembers, listGroups, readGroupOffsets, type ListedGroup } from '#kafka/groups.ts';
import { LATEST, listOffsets } from '#kafka/offsets.ts';
import { describeGroups } from '#kafka/protocol/describe-groups.ts';
import { retrying } from '#kafka/retry.ts';
import type { InventoryGroup, InventoryGroupOffset } from '#store/inventory.ts';

const GROUPS_PER_REQUEST = 100;

export async function viewGroups(cluster: Cluster): Promise<InventoryGroup[]> {
  const groups = await listGroups(cluster);
  const members = await countMembers(cluster, groups);
  return groups.map((group) => {
    const { groupId, state, protocolType } = group;
    return { groupId, state, protocol: protocolType, members: hasMembers(group) ? (members.get(groupId) ?? null) : 0 };
  });
}

/** Where each group that may be seen stands, and how much lies before it. Of a group that cannot be asked: nothing. */
export async function viewGroupOffsets(cluster: Cluster): Promise<InventoryGroupOffset[]> {
  const groups = await listGroups(cluster);
  const committed = await readGroupOffsets(
    cluster,
    groups.filter(({ type }) => type !== 'share').map(({ groupId }) => groupId),
  );
  const places = [...committed].flatMap(([groupId, offsets]) =>
    Array.isArray(offsets)
      ? offsets.map(({ topic, partition, offset }) => ({ groupId, topic, partition, offset }))
      : [],
  );
  const partitions = new Map(places.map(({ topic, partition }) => [`${topic}/${partition}`, { topic, partition }]));
  const queries = [...partitions.values()].map((place) => ({ ...place, timestamp: LATEST }));
  const ends = await listOffsets(cluster, queries);
  const watermarks = new Map(
    [...partitions.keys()].map((key, i) => {
      const end = ends[i];
      return [key, !end || end.error ? null : end.offset];
    }),
  );
  return places.map((place) => {
    const highWatermark = watermarks.get(`${place.topic}/${place.partition}`) ?? null;
    // A place behind the end is one of a topic that was created anew, or cut off.
    const lagRecords = highWatermark === null ? null : Math.max(0, highWatermark - place.offset);
    return { ...place, highWatermark, lagRecords };
  });
}

/**
 * Of the classic groups that have any; those of other types are described by other requests, which Lockstep does not speak. A
 * broker answers for the groups that it coordinates, and with an error for the rest: each is asked for all.
 */
async function countMembers(cluster: Cluster, groups: readonly ListedGroup[]): Promise<ReadonlyMap<string, number>> {
  const asked = groups.filter((group) => group.type === 'classic' && hasMembers(group)).map(({ groupId }) => groupId);
  const found = new Map<string, number>();
  for (const { id } of cluster.brokers()) {
    for (let from = 0; from < asked.length; from += GROUPS_PER_REQUEST) {
      const request = { groups: asked.slice(from, from + GROUPS_PER_REQUEST), includeAuthorizedOperations: false };
      const answer = await retrying(cluster, () => cluster.call(describeGroups, request, { broker: id }), {
        repeatable: true,
      });
      for (const { errorCode, groupId, members } of answer.groups)
        if (errorCode === 0) found.set(groupId, members.length);
    }
  }
  return found;
}
