/** Consumer groups as an inventory shows them. */
import type { Cluster } from '#kafka/cluster.ts';
import { hasMembers, listGroups, type ListedGroup } from '#kafka/groups.ts';
import { describeGroups } from '#kafka/protocol/describe-groups.ts';
import { retrying } from '#kafka/retry.ts';
import type { InventoryGroup } from '#store/inventory.ts';

const GROUPS_PER_REQUEST = 100;

export async function viewGroups(cluster: Cluster): Promise<InventoryGroup[]> {
  const groups = await listGroups(cluster);
  const members = await countMembers(cluster, groups);
  return groups.map((group) => {
    const { groupId, state, protocolType } = group;
    return { groupId, state, protocol: protocolType, members: hasMembers(group) ? (members.get(groupId) ?? null) : 0 };
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
