/** Questions about the offsets of partitions, asked of their leaders, and the deletion of records below an offset. */
import { must } from '#util/assert.ts';
import type { Cluster } from './cluster.ts';
import { BrokerError, KafkaError, MalformedFrameError } from './errors.ts';
import { deleteRecords as deleteRecordsApi } from './protocol/delete-records.ts';
import { errorOf } from './protocol/error-codes.ts';
import { listOffsets as listOffsetsApi, type ListOffsetsResponse } from './protocol/list-offsets.ts';
import { offsetForLeaderEpoch as offsetForLeaderEpochApi } from './protocol/offset-for-leader-epoch.ts';
import { Gatherer } from './gatherer.ts';
import type { Permit } from './permit.ts';
import { isStaleMetadata, isUnknownTopic, leaderOf, noLeader, Retries, retrying } from './retry.ts';

export const LATEST = -1;
export const EARLIEST = -2;
/** The record with the largest timestamp (KIP-734). */
export const MAX_TIMESTAMP = -3;
/** We ask as a consumer, not as a replica. */
const CONSUMER = -1;
/** ListOffsetsRequest.DEBUGGING_REPLICA_ID: answered with the end of the log, not with the watermark (Partition.fetchOffsetForTimestamp). */
const DEBUGGING_REPLICA = -2;
/** The broker does not compare our idea of the leader epoch with its own. */
const ANY_EPOCH = -1;

/** `log_end`: for LATEST the end of the leader's log, followers or not; a broker of another make may answer with the watermark. */
export type Isolation = 'read_uncommitted' | 'read_committed' | 'log_end';

export interface OffsetQuery {
  readonly topic: string;
  readonly partition: number;
  /** Milliseconds since the epoch for the first record at or after it; LATEST (−1) for the high watermark, or the last stable offset when read_committed; EARLIEST (−2) for the log start. */
  readonly timestamp: number;
}

export interface OffsetAnswer {
  /** −1 when no record is at or after the timestamp, or on error. */
  readonly offset: number;
  /** Of the record found; −1 for LATEST and EARLIEST. */
  readonly timestamp: number;
  readonly leaderEpoch: number;
  readonly error: KafkaError | null;
}

type Answers = (OffsetAnswer | undefined)[];
type PartitionAnswer = ListOffsetsResponse['topics'][number]['partitions'][number];

/**
 * One answer per query, in their order; one request per leader, together with what others ask it meanwhile. A partition that fails has its error and leaves the
 * others alone; stale leaders and lost connections are tried again within the cluster's request timeout.
 */
export async function listOffsets(
  cluster: Cluster,
  queries: readonly OffsetQuery[],
  options: { readonly isolation?: Isolation; readonly lane?: number } = {},
): Promise<OffsetAnswer[]> {
  const answers: Answers = queries.map(() => undefined);
  const retries = new Retries(cluster, { repeatable: true });
  let open = queries.map((_, index) => index);
  await refreshUnknown(cluster, queries, open);
  for (;;) {
    const groups = [...groupByLeader(cluster, queries, open, answers)];
    await Promise.all(
      groups.map(([leader, indexes]) => askLeader({ cluster, queries, answers, options }, leader, indexes)),
    );
    open = open.filter((index) => answers[index]?.error?.retryable);
    const errors = open.map((index) => answers[index]?.error);
    const error = errors.find((each) => !isUnknownTopic(each)) ?? errors[0]; // the one that may take longest to pass
    if (!error || !(await retries.pauseAfter(error)))
      return answers.map((answer) => must(answer, 'answer to an offset query'));
    await refreshStale(cluster, queries, open, answers);
  }
}

interface Round {
  readonly cluster: Cluster;
  readonly queries: readonly OffsetQuery[];
  readonly answers: Answers;
  readonly options: { readonly isolation?: Isolation; readonly lane?: number };
}

/** Queries by leader; those of a partition without a leader are answered with that error. */
function groupByLeader(
  cluster: Cluster,
  queries: readonly OffsetQuery[],
  open: readonly number[],
  answers: Answers,
): Map<number, number[]> {
  const groups = new Map<number, number[]>();
  for (const index of open) {
    const { topic, partition } = queries[index]!;
    const leader = cluster.leaderOf(topic, partition);
    if (leader === null) {
      answers[index] = failed(noLeader(cluster, topic, partition));
      continue;
    }
    const group = groups.get(leader);
    if (group) group.push(index);
    else groups.set(leader, [index]);
  }
  return groups;
}

async function askLeader(
  { cluster, queries, answers, options }: Round,
  leader: number,
  indexes: readonly number[],
): Promise<void> {
  const found = await gathererOf(cluster, leader, options).ask(indexes.map((index) => queries[index]!));
  for (const [i, index] of indexes.entries()) {
    const outcome = must(found[i], 'what came of each question');
    if (outcome.status === 'fulfilled') answers[index] = outcome.value;
    else if (outcome.reason instanceof KafkaError) answers[index] = failed(outcome.reason);
    else throw outcome.reason;
  }
}

/** Of a cluster, by broker, isolation and lane. */
const gatherers = new WeakMap<Cluster, Map<string, Gatherer<OffsetQuery, OffsetAnswer>>>();

function gathererOf(
  cluster: Cluster,
  broker: number,
  { isolation = 'read_uncommitted', lane = 0 }: Round['options'],
): Gatherer<OffsetQuery, OffsetAnswer> {
  const known = gatherers.get(cluster) ?? new Map<string, Gatherer<OffsetQuery, OffsetAnswer>>();
  gatherers.set(cluster, known);
  const key = `${broker} ${isolation} ${lane}`;
  let gatherer = known.get(key);
  if (!gatherer) {
    gatherer = new Gatherer({
      // One partition may be asked for several timestamps, and the broker refuses duplicates in one request.
      keyOf: ({ topic, partition }) => `${topic}/${partition}`,
      isSame: (one, other) => one.timestamp === other.timestamp,
      request: (queries) => request(cluster, queries, { broker, isolation, lane }),
    });
    known.set(key, gatherer);
  }
  return gatherer;
}

async function request(
  cluster: Cluster,
  queries: readonly OffsetQuery[],
  { broker, isolation, lane }: { readonly broker: number; readonly isolation: Isolation; readonly lane: number },
): Promise<OffsetAnswer[]> {
  const response = await cluster.call(
    listOffsetsApi,
    {
      replicaId: isolation === 'log_end' ? DEBUGGING_REPLICA : CONSUMER,
      isolationLevel: isolation === 'read_committed' ? 1 : 0,
      topics: byTopic(queries),
      timeoutMs: cluster.requestTimeoutMs,
    },
    { broker, lane },
  );
  const found = new Map<string, PartitionAnswer>();
  for (const { name, partitions } of response.topics)
    for (const answer of partitions) found.set(`${name}/${answer.partitionIndex}`, answer);
  return queries.map((query) => toAnswer(query, found));
}

function byTopic(queries: readonly OffsetQuery[]) {
  const topics = new Map<string, { partitionIndex: number; currentLeaderEpoch: number; timestamp: number }[]>();
  for (const { topic, partition, timestamp } of queries) {
    const entry = { partitionIndex: partition, currentLeaderEpoch: ANY_EPOCH, timestamp };
    const partitions = topics.get(topic);
    if (partitions) partitions.push(entry);
    else topics.set(topic, [entry]);
  }
  return [...topics].map(([name, partitions]) => ({ name, partitions }));
}

function toAnswer({ topic, partition }: OffsetQuery, found: ReadonlyMap<string, PartitionAnswer>): OffsetAnswer {
  const answer = found.get(`${topic}/${partition}`);
  if (!answer) return failed(new MalformedFrameError(`ListOffsets left out ${topic}/${partition}`));
  if (answer.errorCode !== 0)
    return failed(new BrokerError(errorOf(answer.errorCode), 'ListOffsets', `${topic}/${partition}`));
  return { offset: answer.offset, timestamp: answer.timestamp, leaderEpoch: answer.leaderEpoch, error: null };
}

function failed(error: KafkaError): OffsetAnswer {
  return { offset: -1, timestamp: -1, leaderEpoch: -1, error };
}

/** Asks for the metadata of topics with a partition whose leader is not known. */
async function refreshUnknown(
  cluster: Cluster,
  queries: readonly OffsetQuery[],
  open: readonly number[],
): Promise<void> {
  const topics = new Set<string>();
  for (const index of open) {
    const { topic, partition } = queries[index]!;
    if (cluster.leaderOf(topic, partition) === null) topics.add(topic);
  }
  await refreshTopics(cluster, topics);
}

async function refreshStale(
  cluster: Cluster,
  queries: readonly OffsetQuery[],
  open: readonly number[],
  answers: Answers,
): Promise<void> {
  const topics = new Set<string>();
  for (const index of open) {
    const error = answers[index]?.error;
    if (error && isStaleMetadata(error)) topics.add(queries[index]!.topic);
  }
  await refreshTopics(cluster, topics);
}

async function refreshTopics(cluster: Cluster, topics: ReadonlySet<string>): Promise<void> {
  if (topics.size > 0) await retrying(cluster, () => cluster.refresh([...topics]), { repeatable: true });
}

/**
 * Where the leader's log ends for `leaderEpoch` (KIP-101, KIP-279): the largest epoch up to it that the leader knows,
 * and the offset at which the next one begins. Both −1 when it knows none. Throws KafkaError.
 */
export function offsetForLeaderEpoch(
  cluster: Cluster,
  query: { readonly topic: string; readonly partition: number; readonly leaderEpoch: number },
): Promise<{ leaderEpoch: number; endOffset: number }> {
  const { topic, partition, leaderEpoch } = query;
  const ask = async () => {
    const response = await cluster.call(
      offsetForLeaderEpochApi,
      {
        replicaId: CONSUMER,
        topics: [{ topic, partitions: [{ partition, currentLeaderEpoch: ANY_EPOCH, leaderEpoch }] }],
      },
      { broker: await leaderOf(cluster, topic, partition) },
    );
    const answer = only(response.topics[0]?.partitions, 'OffsetForLeaderEpoch', topic, partition);
    return { leaderEpoch: answer.leaderEpoch, endOffset: answer.endOffset };
  };
  return retrying(cluster, ask, { repeatable: true, topics: [topic] });
}

/**
 * Deletes the records below `offset`, which may be as high as the high watermark, and returns the new log start.
 * Throws KafkaError: POLICY_VIOLATION (44) on a topic that is only compacted, OFFSET_OUT_OF_RANGE (1) beyond the watermark.
 */
export function deleteRecords(
  cluster: Cluster,
  target: { readonly topic: string; readonly partition: number; readonly offset: number; readonly permit?: Permit },
): Promise<{ logStartOffset: number }> {
  const { topic, partition, offset, permit } = target;
  const timeoutMs = permit?.timeoutMs ?? cluster.requestTimeoutMs;
  const ask = async () => {
    const response = await cluster.call(
      deleteRecordsApi,
      {
        topics: [{ name: topic, partitions: [{ partitionIndex: partition, offset }] }],
        timeoutMs,
      },
      {
        broker: await leaderOf(cluster, topic, partition),
        timeoutMs,
        ...(permit ? { mayLeave: () => permit.isGiven() } : {}),
      },
    );
    return { logStartOffset: only(response.topics[0]?.partitions, 'DeleteRecords', topic, partition).lowWatermark };
  };
  return retrying(cluster, ask, { repeatable: false, topics: [topic] });
}

/** The one partition of an answer. Throws BrokerError with its error. */
export function only<T extends { readonly errorCode: number; readonly errorMessage?: string | null }>(
  partitions: readonly T[] | undefined,
  api: string,
  topic: string,
  partition: number,
): T {
  const answer = partitions?.[0];
  if (!answer) throw new MalformedFrameError(`${api} left out ${topic}/${partition}`);
  if (answer.errorCode !== 0)
    throw new BrokerError(errorOf(answer.errorCode), api, `${topic}/${partition}`, answer.errorMessage ?? null);
  return answer;
}
