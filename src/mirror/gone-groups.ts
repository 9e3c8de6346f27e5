/** Groups that a mirror has moved and that the source does not have any more. */
import { compileGroups, type GroupSync as GroupSyncSettings } from '#contract/group-settings.ts';
import type { LeftGroup } from '#contract/status.ts';
import type { Cluster } from '#kafka/cluster.ts';
import { BrokerError, KafkaError, UnsupportedApiError } from '#kafka/errors.ts';
import { deleteGroups, hasMembers, readGroupOffsets, readShareGroupOffsets, type ListedGroup } from '#kafka/groups.ts';
import { isDenied } from '#kafka/permissions.ts';
import type { GroupMemory } from './group-memory.ts';
import { ACTIVE, isOwn } from './group-moves.ts';
import { bySourceTopic, reasonOf, sourceNames, type SyncedTopic } from './group-places.ts';

const GROUP_ID_NOT_FOUND = 69;

export interface GoneGroupsPorts {
  readonly settings: GroupSyncSettings;
  readonly source: Cluster;
  readonly target: Cluster;
  readonly memory: GroupMemory;
}

export interface ListedGroups {
  /** Ids on the source. */
  readonly onSource: ReadonlySet<string>;
  readonly onTarget: ReadonlyMap<string, ListedGroup>;
  /** By source topic. */
  readonly topics: ReadonlyMap<string, SyncedTopic>;
}

/**
 * With `deleted: delete` they are deleted, or named where that is not ours to do; else their copies stay until they
 * expire, and what is known of them until then. Throws KafkaError.
 */
export async function followGone(
  { settings, source, target, memory }: GoneGroupsPorts,
  { onSource, onTarget, topics }: ListedGroups,
): Promise<{ readonly deleted: readonly string[]; readonly left: readonly LeftGroup[] }> {
  const isMeant = compileGroups(settings);
  const mayGo = (group: string): boolean => settings.deleted === 'delete' || !onTarget.has(group);
  const missing = memory.groupIds().filter((group) => isMeant(group) && !onSource.has(group) && mayGo(group));
  const deleted: string[] = [];
  const left: LeftGroup[] = [];
  for (const group of missing.length === 0 ? [] : await confirmGone(source, missing)) {
    const copy = onTarget.get(group);
    const why = copy && (await deleteCopy(copy, { target, memory, topics }));
    await memory.forget(group);
    if (why === null) deleted.push(group);
    else if (why !== undefined) left.push({ group, why });
  }
  return { deleted, left };
}

/** A list may miss a group whose coordinator moves; the coordinator itself, once it has loaded, does not. */
async function confirmGone(source: Cluster, groups: readonly string[]): Promise<string[]> {
  const [commits, shares] = await Promise.all([
    readGroupOffsets(source, groups),
    readShareGroupOffsets(source, groups),
  ]);
  return groups.filter((group) => {
    const [ofGroup, ofShare] = [commits.get(group), shares.get(group)];
    const hasNone = ofGroup instanceof KafkaError ? isMissing(ofGroup) : ofGroup?.length === 0;
    const isNoShare = ofShare instanceof KafkaError ? knowsNoShare(ofShare) : ofShare?.length === 0;
    return hasNone && isNoShare;
  });
}

/** Said by the source itself for good; that another cluster answers, or an answer was damaged, says nothing of its groups. */
function knowsNoShare(error: KafkaError): boolean {
  if (error instanceof UnsupportedApiError) return true;
  return error instanceof BrokerError && error.definite && !error.retryable && !isDenied(error);
}

/** Only what is as the mirror has left it. Returns why it was not deleted, null when it was, undefined when there was nothing. */
async function deleteCopy(
  copy: ListedGroup,
  { target, memory, topics }: Pick<GoneGroupsPorts, 'target' | 'memory'> & Pick<ListedGroups, 'topics'>,
): Promise<string | null | undefined> {
  const { groupId, type } = copy;
  if (hasMembers(copy)) return ACTIVE;
  const read = type === 'share' ? readShareGroupOffsets : readGroupOffsets;
  const found = (await read(target, [groupId])).get(groupId) ?? [];
  if (found instanceof KafkaError) return isMissing(found) ? undefined : reasonOf(found);
  const places = bySourceTopic(found, sourceNames(topics));
  const { notes } = memory.recall(groupId, places, (topic) => topics.get(topic)?.targetTopicId);
  if (notes.size === 0) return undefined;
  const isOurs = places.size === found.length && [...places].every(([key, place]) => isOwn(place, notes.get(key)));
  if (!isOurs) return 'it is gone from the source, and has commits of its own on the target';
  const failure = (await deleteGroups(target, [groupId])).get(groupId);
  return failure === undefined || isMissing(failure) ? null : reasonOf(failure);
}

export function isMissing(error: KafkaError): boolean {
  return error instanceof BrokerError && error.code === GROUP_ID_NOT_FOUND;
}
