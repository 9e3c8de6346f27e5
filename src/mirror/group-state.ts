/** Whether processes of a mirror run: they are members of its group on the target. */
import type { Cluster } from '#kafka/cluster.ts';
import { KafkaError } from '#kafka/errors.ts';
import { listGroups, readGroupOffsets } from '#kafka/groups.ts';
import { isDenied } from '#kafka/permissions.ts';
import { isMissing } from './gone-groups.ts';

/** States of a group without members (ClassicGroupState, ConsumerGroupState). */
const IDLE = new Set(['Empty', 'Dead']);

/** State of a group; null: there is none; 'unknown': it may not be seen. */
export type GroupState = string | null;

/** Whether it is known that it has no members. */
export function isIdle(state: GroupState): boolean {
  return state === null || IDLE.has(state);
}

/**
 * Brokers leave groups that we may not DESCRIBE out of their lists, and those of a coordinator that is not there are in none, as
 * if there were no group: so it is asked for by name first. Throws KafkaError.
 */
export async function readGroupState(target: Cluster, groupId: string): Promise<GroupState> {
  const offsets = (await readGroupOffsets(target, [groupId])).get(groupId);
  if (offsets instanceof KafkaError && isDenied(offsets)) return 'unknown';
  if (offsets instanceof KafkaError && !isMissing(offsets)) throw offsets;
  return (await listGroups(target)).find((group) => group.groupId === groupId)?.state ?? null;
}
