/**
 * Consumer groups of a cluster and what they have committed, and share groups: listed over all brokers, read many in a
 * request, and written while nobody is a member. A group's commits are made as Kafka's admin client makes them (no member,
 * generation −1), which the coordinator accepts of a group that is empty or does not exist, and of no other.
 */
import type { Api } from './api.ts';
import type { Cluster } from './cluster.ts';
import { BrokerError, KafkaError, MalformedFrameError, WithheldError } from './errors.ts';
import { alterShareGroupOffsets } from './protocol/alter-share-group-offsets.ts';
import { deleteGroups as deleteGroupsApi } from './protocol/delete-groups.ts';
import { describeShareGroupOffsets } from './protocol/describe-share-group-offsets.ts';
import { errorOf } from './protocol/error-codes.ts';
import { findCoordinator } from './protocol/find-coordinator.ts';
import { listGroups as listGroupsApi } from './protocol/list-groups.ts';
import { offsetCommit } from './protocol/offset-commit.ts';
import { offsetFetch } from './protocol/offset-fetch.ts';
import type { Permit } from './permit.ts';
import { Retries, retrying } from './retry.ts';

/** FindCoordinatorRequest.CoordinatorType. */
const KEY_TYPE_GROUP = 0;
/** The answer about 100 groups with 1,000 commits each is 5 MB. */
const GROUPS_PER_REQUEST = 100;
const COORDINATORS_PER_REQUEST = 1_000;
const COORDINATOR_NOT_AVAILABLE = 15;
/** A coordinator takes one request of a connection after the other, and waits for the replicas of its log in each. */
const COMMITS_AT_ONCE = 32;

export interface ListedGroup {
  readonly groupId: string;
  /** `consumer` for consumers, '' where somebody commits without being a member; `connect`, `share` and others. */
  readonly protocolType: string;
  /** Kafka's GroupState: `Empty`, `Stable`, `PreparingRebalance` … */
  readonly state: string;
  /** `classic`, `consumer` (KIP-848), `share` (KIP-932), `streams` (KIP-1071); brokers before 3.8 tell none: `classic`. */
  readonly type: string;
}

/** GroupState of groups without members. */
const WITHOUT_MEMBERS = new Set(['Empty', 'Dead']);

export function hasMembers({ state }: ListedGroup): boolean {
  return !WITHOUT_MEMBERS.has(state);
}

/** What a group has committed for a partition: the next offset that it wants to read. */
export interface GroupOffset {
  readonly topic: string;
  readonly partition: number;
  readonly offset: number;
  /** Of the record before, as the consumer knew it; −1 where it did not, and of every commit by an admin client. */
  readonly leaderEpoch: number;
  /** The consumer's own text; '' for none. */
  readonly metadata: string;
}

/** Offsets that are to be set; for a share group the offset is where it starts, and metadata is left out. */
export interface GroupCommit {
  readonly groupId: string;
  readonly offsets: readonly Pick<GroupOffset, 'topic' | 'partition' | 'offset' | 'metadata'>[];
}

/** `failed` has the partitions that were not set; of the others the commit is certain. */
export interface CommitOutcome {
  readonly groupId: string;
  readonly failed: readonly { readonly topic: string; readonly partition: number; readonly error: KafkaError }[];
}

/**
 * All groups that we may see: with DESCRIBE on the cluster all there are, else those that we may DESCRIBE. A group whose
 * coordinator moves at this moment may be missing. Throws KafkaError.
 */
export async function listGroups(cluster: Cluster): Promise<ListedGroup[]> {
  await retrying(cluster, () => cluster.refresh([]), { repeatable: true }); // brokers that have come since
  const answers = await Promise.all(cluster.brokers().map(({ id }) => listGroupsOf(cluster, id)));
  return [...new Map(answers.flat().map((group) => [group.groupId, group])).values()];
}

function listGroupsOf(cluster: Cluster, broker: number): Promise<ListedGroup[]> {
  const ask = async () => {
    const { errorCode, groups } = await cluster.call(listGroupsApi, { statesFilter: [] }, { broker });
    if (errorCode !== 0) throw new BrokerError(errorOf(errorCode), 'ListGroups', `broker ${broker}`);
    return groups.map(({ groupId, protocolType, groupState, groupType }) => ({
      groupId,
      protocolType,
      state: groupState,
      type: groupType.toLowerCase() || 'classic',
    }));
  };
  return retrying(cluster, ask, { repeatable: true });
}

/**
 * What each group has committed, or why that is not known; none for a group that does not exist. Offsets that a
 * transaction has still open are not among them. Commits on topics that we may not DESCRIBE are left out by the broker.
 */
export function readGroupOffsets(
  cluster: Cluster,
  groupIds: readonly string[],
): Promise<Map<string, GroupOffset[] | KafkaError>> {
  return askCoordinators(cluster, groupIds, async (broker, ids) => {
    const groups = ids.map((groupId) => ({ groupId, topics: null }));
    const response = await cluster.call(offsetFetch, { groups }, { broker });
    return new Map(
      response.groups.map(({ groupId, errorCode, topics }): [string, GroupOffset[] | KafkaError] => {
        if (errorCode !== 0) return [groupId, refusal(errorCode, offsetFetch, groupId)];
        const offsets = topics.flatMap(({ name, partitions }) =>
          partitions.flatMap(({ partitionIndex, committedOffset, committedLeaderEpoch, metadata, errorCode: error }) =>
            error !== 0 || committedOffset < 0
              ? []
              : [
                  {
                    topic: name,
                    partition: partitionIndex,
                    offset: committedOffset,
                    leaderEpoch: committedLeaderEpoch,
                    metadata: metadata ?? '',
                  },
                ],
          ),
        );
        return [groupId, offsets];
      }),
    );
  });
}

/**
 * Where each share group starts, or why that is not known. A share group has no commits: what lies behind its start and
 * was acknowledged out of turn is not told.
 */
export function readShareGroupOffsets(
  cluster: Cluster,
  groupIds: readonly string[],
): Promise<Map<string, GroupOffset[] | KafkaError>> {
  return askCoordinators(cluster, groupIds, async (broker, ids) => {
    const groups = ids.map((groupId) => ({ groupId, topics: null }));
    const response = await cluster.call(describeShareGroupOffsets, { groups }, { broker });
    return new Map(
      response.groups.map(({ groupId, errorCode, errorMessage, topics }): [string, GroupOffset[] | KafkaError] => {
        if (errorCode !== 0) return [groupId, refusal(errorCode, describeShareGroupOffsets, groupId, errorMessage)];
        const offsets = topics.flatMap(({ topicName, partitions }) =>
          partitions.flatMap(({ partitionIndex, startOffset, errorCode: error }) =>
            error !== 0 || startOffset < 0
              ? []
              : [{ topic: topicName, partition: partitionIndex, offset: startOffset, leaderEpoch: -1, metadata: '' }],
          ),
        );
        return [groupId, offsets];
      }),
    );
  });
}

/**
 * Commits for groups without members, each group in one request; not again after an indefinite failure: then the offsets
 * are to be read. Needs READ on group and topics. A group with members refuses with UNKNOWN_MEMBER_ID (25), see `isActive`;
 * without leave nothing is sent (WithheldError).
 */
export function commitGroupOffsets(
  cluster: Cluster,
  commits: readonly GroupCommit[],
  permit?: Permit,
): Promise<CommitOutcome[]> {
  return commitAll(cluster, commits, async ({ groupId, offsets }, broker) => {
    const topics = [...Map.groupBy(offsets, ({ topic }) => topic)].map(([name, partitions]) => ({
      name,
      partitions: partitions.map(({ partition, offset, metadata }) => ({
        partitionIndex: partition,
        committedOffset: offset,
        // The epoch of the source means nothing here: a consumer would ask for its end and take the answer for truncation (KIP-320).
        committedLeaderEpoch: -1,
        committedMetadata: metadata,
      })),
    }));
    const response = await cluster.call(offsetCommit, { groupId, memberId: '', topics }, { broker, ...leave(permit) });
    return response.topics.flatMap(({ name, partitions }) =>
      partitions.map(({ partitionIndex, errorCode }) => ({ topic: name, partition: partitionIndex, errorCode })),
    );
  });
}

/** As commitGroupOffsets, for share groups: one with members refuses with NON_EMPTY_GROUP (68). */
export function setShareGroupOffsets(
  cluster: Cluster,
  commits: readonly GroupCommit[],
  permit?: Permit,
): Promise<CommitOutcome[]> {
  return commitAll(cluster, commits, async ({ groupId, offsets }, broker) => {
    const topics = [...Map.groupBy(offsets, ({ topic }) => topic)].map(([topicName, partitions]) => ({
      topicName,
      partitions: partitions.map(({ partition, offset }) => ({ partitionIndex: partition, startOffset: offset })),
    }));
    const response = await cluster.call(alterShareGroupOffsets, { groupId, topics }, { broker, ...leave(permit) });
    if (response.errorCode !== 0)
      throw refusal(response.errorCode, alterShareGroupOffsets, groupId, response.errorMessage);
    return response.responses.flatMap(({ topicName, partitions }) =>
      partitions.map(({ partitionIndex, errorCode }) => ({ topic: topicName, partition: partitionIndex, errorCode })),
    );
  });
}

/**
 * Deletes groups without members with all that they have committed. Returns why for those that were not deleted:
 * NON_EMPTY_GROUP (68), GROUP_ID_NOT_FOUND (69), a missing right to DELETE. Sent once.
 */
export async function deleteGroups(cluster: Cluster, groupIds: readonly string[]): Promise<Map<string, KafkaError>> {
  const coordinators = await coordinatorsOf(cluster, groupIds);
  const failed = new Map<string, KafkaError>();
  for (const [groupId, broker] of coordinators) {
    try {
      if (typeof broker !== 'number') throw broker;
      const response = await cluster.call(deleteGroupsApi, { groupsNames: [groupId] }, { broker });
      const errorCode = response.results[0]?.errorCode ?? COORDINATOR_NOT_AVAILABLE;
      if (errorCode !== 0) throw refusal(errorCode, deleteGroupsApi, groupId);
    } catch (error) {
      if (!(error instanceof KafkaError)) throw error;
      failed.set(groupId, error);
    }
  }
  return failed;
}

/** ILLEGAL_GENERATION, UNKNOWN_MEMBER_ID, REBALANCE_IN_PROGRESS, NON_EMPTY_GROUP, STALE_MEMBER_EPOCH. */
const ACTIVE = new Set([22, 25, 27, 68, 113]);

/** Whether a write was refused because the group has members. */
export function isActive(error: KafkaError): boolean {
  return error instanceof BrokerError && ACTIVE.has(error.code);
}

function leave(permit: Permit | undefined): { timeoutMs?: number; mayLeave?: () => boolean } {
  return permit ? { timeoutMs: permit.timeoutMs, mayLeave: () => permit.isGiven() } : {};
}

type PartitionCode = { readonly topic: string; readonly partition: number; readonly errorCode: number };

/** So many at once; where the coordinator has moved or still loads, and so certainly has done nothing, again. */
async function commitAll(
  cluster: Cluster,
  commits: readonly GroupCommit[],
  commit: (commit: GroupCommit, broker: number) => Promise<readonly PartitionCode[]>,
): Promise<CommitOutcome[]> {
  const outcomes = new Map<string, CommitOutcome>();
  const retries = new Retries(cluster, { repeatable: false });
  let open = commits;
  while (open.length > 0) {
    const coordinators = await coordinatorsOf(
      cluster,
      open.map(({ groupId }) => groupId),
    );
    const waiting = open.values();
    const work = async (): Promise<void> => {
      for (const each of waiting) {
        const broker = coordinators.get(each.groupId) ?? unanswered(each.groupId);
        outcomes.set(
          each.groupId,
          await commitOne(each, (made) =>
            broker instanceof KafkaError ? Promise.reject(broker) : commit(made, broker),
          ),
        );
      }
    };
    await Promise.all(Array.from({ length: Math.min(COMMITS_AT_ONCE, open.length) }, work));
    open = open.filter(({ groupId }) => {
      const failed = outcomes.get(groupId)?.failed ?? [];
      const mayRepeat = (error: KafkaError): boolean =>
        error.retryable && error.definite && !(error instanceof WithheldError);
      return failed.length > 0 && failed.every(({ error }) => mayRepeat(error));
    });
    const failure = open.flatMap(({ groupId }) => outcomes.get(groupId)?.failed ?? [])[0];
    if (failure === undefined || !(await retries.pauseAfter(failure.error))) break;
  }
  return [...outcomes.values()];
}

async function commitOne(
  each: GroupCommit,
  commit: (commit: GroupCommit) => Promise<readonly PartitionCode[]>,
): Promise<CommitOutcome> {
  const { groupId, offsets } = each;
  try {
    const codes = await commit(each);
    const failed = codes.flatMap(({ topic, partition, errorCode }) =>
      errorCode === 0 ? [] : [{ topic, partition, error: refusal(errorCode, offsetCommit, groupId) }],
    );
    return { groupId, failed };
  } catch (error) {
    if (!(error instanceof KafkaError)) throw error;
    return { groupId, failed: offsets.map(({ topic, partition }) => ({ topic, partition, error })) };
  }
}

/** The answers of the groups' coordinators; one that has moved or still loads is asked again within the request timeout. */
async function askCoordinators<T>(
  cluster: Cluster,
  groupIds: readonly string[],
  ask: (broker: number, groupIds: readonly string[]) => Promise<Map<string, T | KafkaError>>,
): Promise<Map<string, T | KafkaError>> {
  const answers = new Map<string, T | KafkaError>();
  const retries = new Retries(cluster, { repeatable: true });
  let open = groupIds;
  while (open.length > 0) {
    const coordinators = await coordinatorsOf(cluster, open);
    const byBroker = Map.groupBy(open, (groupId) => coordinators.get(groupId) ?? unanswered(groupId));
    const asked = [...byBroker].map(async ([broker, ids]): Promise<void> => {
      for (let from = 0; from < ids.length; from += GROUPS_PER_REQUEST) {
        const some = ids.slice(from, from + GROUPS_PER_REQUEST);
        const found = typeof broker === 'number' ? await orError(() => ask(broker, some)) : broker;
        for (const id of some) answers.set(id, found instanceof KafkaError ? found : (found.get(id) ?? unanswered(id)));
      }
    });
    await Promise.all(asked);
    open = open.filter((groupId) => {
      const answer = answers.get(groupId);
      return answer instanceof KafkaError && answer.retryable;
    });
    const failure = open.map((groupId) => answers.get(groupId)).find((each) => each instanceof KafkaError);
    if (failure === undefined || !(await retries.pauseAfter(failure))) break;
  }
  return answers;
}

/** Broker id by group, or why none is known. One attempt. */
async function coordinatorsOf(
  cluster: Cluster,
  groupIds: readonly string[],
): Promise<Map<string, number | KafkaError>> {
  const coordinators = new Map<string, number | KafkaError>();
  for (let from = 0; from < groupIds.length; from += COORDINATORS_PER_REQUEST) {
    const some = groupIds.slice(from, from + COORDINATORS_PER_REQUEST);
    const request = { keyType: KEY_TYPE_GROUP, coordinatorKeys: some };
    const response = await orError(() => cluster.call(findCoordinator, request, { broker: 'any' }));
    if (response instanceof KafkaError) {
      for (const groupId of some) coordinators.set(groupId, response);
      continue;
    }
    for (const { key, nodeId, errorCode, errorMessage } of response.coordinators) {
      const isListed = cluster.brokers().some(({ id }) => id === nodeId);
      const code = errorCode === 0 && !isListed ? COORDINATOR_NOT_AVAILABLE : errorCode;
      coordinators.set(key, code === 0 ? nodeId : refusal(code, findCoordinator, key, errorMessage));
    }
  }
  return coordinators;
}

async function orError<T>(ask: () => Promise<T>): Promise<T | KafkaError> {
  try {
    return await ask();
  } catch (error) {
    if (!(error instanceof KafkaError)) throw error;
    return error;
  }
}

function refusal(
  code: number,
  { name }: Pick<Api<unknown, unknown>, 'name'>,
  groupId: string,
  detail?: string | null,
): BrokerError {
  return new BrokerError(errorOf(code), name, `group "${groupId}"`, detail);
}

function unanswered(groupId: string): MalformedFrameError {
  return new MalformedFrameError(`group "${groupId}" was left out of an answer`);
}
