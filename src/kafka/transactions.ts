/**
 * Transactions step by step, for who writes what somebody else has decided: each call has a deadline, each step is one attempt, and
 * after an indefinite one the caller looks (`describeTransactions`) before it goes on. InitProducerId is only for an id that
 * is not known yet: of an open transaction it writes the end, at a place that nobody chose.
 *
 * Two ways, by what both brokers concerned speak: with Produce 12 a partition joins by its first batch, and EndTxn 5 raises
 * the epoch (KIP-890); else AddPartitionsToTxn up to 3, and the sequences go on after EndTxn up to 4.
 */
import { must } from '#util/assert.ts';
import type { Cluster } from './cluster.ts';
import { coordinatorOf } from './coordinator.ts';
import { BrokerError, KafkaError, MalformedFrameError } from './errors.ts';
import type { Permit } from './permit.ts';
import { transactionalProduceApi } from './produce.ts';
import { addPartitionsToTxn } from './protocol/add-partitions-to-txn.ts';
import {
  describeTransactions as describeTransactionsApi,
  type TransactionState,
} from './protocol/describe-transactions.ts';
import { endTxn } from './protocol/end-txn.ts';
import { errorOf } from './protocol/error-codes.ts';
import { initProducerId } from './protocol/init-producer-id.ts';
import { listTransactions as listTransactionsApi } from './protocol/list-transactions.ts';
import { leaderOf, retrying } from './retry.ts';

/** From these on a partition joins its transaction by a Produce, and the end of the transaction raises the epoch. */
const IMPLICIT_PRODUCE = 12;
const EPOCH_ENDING_END_TXN = 5;
const TRANSACTIONAL_ID_NOT_FOUND = 105;
const INVALID_TRANSACTION_TIMEOUT = 50;
/** One that a broker's default transaction.max.timeout.ms of 15 min admits, and nearly every other. */
const TIMEOUT_MIN_MS = 60_000;
const IDS_PER_REQUEST = 500;
/** One that hangs is not waited for: there are others. */
const ANOTHER_TIMEOUT_MS = 3_000;

/** As a broker knows who writes under a transactional id. */
export interface ProducerIdentity {
  readonly producerId: number;
  readonly producerEpoch: number;
}

/** TransactionState of Kafka. */
export type TransactionStatus =
  | 'Empty'
  | 'Ongoing'
  | 'PrepareCommit'
  | 'PrepareAbort'
  | 'CompleteCommit'
  | 'CompleteAbort'
  | 'PrepareEpochFence'
  | 'Dead';

export interface DescribedTransaction extends ProducerIdentity {
  readonly status: TransactionStatus;
  readonly timeoutMs: number;
  /** Milliseconds since the epoch, on the coordinator's clock; −1 while none is open. */
  readonly startedAtMs: number;
  /** `topic/partition` of what takes part: an end of it is written to each of them. */
  readonly partitions: readonly string[];
}

/** `implicit`: by Produce ≥ 12 and EndTxn 5. `explicit`: by AddPartitionsToTxn. */
export type TransactionProtocol = 'implicit' | 'explicit';

/** What the leader of the partition and the coordinator of the id both speak. Throws KafkaError. */
export async function transactionProtocolOf(
  cluster: Cluster,
  of: { readonly transactionalId: string; readonly topic: string; readonly partition: number },
): Promise<TransactionProtocol> {
  const leader = await cluster.connection(await leaderOf(cluster, of.topic, of.partition));
  const coordinator = await cluster.connection(await coordinatorOfId(cluster, of.transactionalId));
  const isImplicit =
    leader.versionOf(transactionalProduceApi) >= IMPLICIT_PRODUCE &&
    coordinator.versionOf(endTxn) >= EPOCH_ENDING_END_TXN;
  return isImplicit ? 'implicit' : 'explicit';
}

/**
 * The producer of an id that its coordinator does not know yet; the timeout of its transactions is `timeoutMs`, or the half
 * of it as often as the broker refuses it. Throws KafkaError;
 * TRANSACTIONAL_ID_AUTHORIZATION_FAILED (53) without WRITE on the id, WithheldError without leave, as all that write here.
 */
export async function initTransactionalId(
  cluster: Cluster,
  transactionalId: string,
  { timeoutMs, permit }: { readonly timeoutMs: number; readonly permit?: Permit },
): Promise<ProducerIdentity> {
  const ask = (transactionTimeoutMs: number): Promise<ProducerIdentity> =>
    atCoordinator(cluster, transactionalId, async (broker) => {
      const request = { transactionalId, transactionTimeoutMs, producerId: -1, producerEpoch: -1 };
      const response = await cluster.call(initProducerId, request, { broker, ...leave(permit) });
      if (response.errorCode !== 0) throw refused(response.errorCode, 'InitProducerId', transactionalId);
      return { producerId: response.producerId, producerEpoch: response.producerEpoch };
    });
  for (let timeout = timeoutMs; ; timeout = Math.max(TIMEOUT_MIN_MS, Math.floor(timeout / 2))) {
    try {
      return await retrying(cluster, () => ask(timeout), { repeatable: true });
    } catch (error) {
      const isTooLong = error instanceof BrokerError && error.code === INVALID_TRANSACTION_TIMEOUT;
      if (!isTooLong || timeout <= TIMEOUT_MIN_MS) throw error;
    }
  }
}

/**
 * What each id is doing; null for one that its coordinator does not know. `isAnew`: asks first who that is, of any other broker
 * than the one that it was, which may have been replaced, answers all the same, and names itself. Needs DESCRIBE on the ids.
 * Throws KafkaError.
 */
export async function describeTransactions(
  cluster: Cluster,
  transactionalIds: readonly string[],
  { isAnew = false }: { readonly isAnew?: boolean } = {},
): Promise<(DescribedTransaction | null)[]> {
  if (isAnew) await Promise.all(transactionalIds.map((id) => askAnotherFor(cluster, id)));
  const found = new Map<string, DescribedTransaction | null>();
  for (let from = 0; from < transactionalIds.length; from += IDS_PER_REQUEST) {
    const ids = transactionalIds.slice(from, from + IDS_PER_REQUEST);
    await retrying(cluster, () => describeInto(found, cluster, ids), { repeatable: true });
  }
  return transactionalIds.map((id) => found.get(id) ?? null);
}

async function describeInto(
  found: Map<string, DescribedTransaction | null>,
  cluster: Cluster,
  ids: readonly string[],
): Promise<void> {
  const byCoordinator = new Map<number, string[]>();
  for (const id of ids) {
    const broker = await coordinatorOfId(cluster, id);
    byCoordinator.set(broker, [...(byCoordinator.get(broker) ?? []), id]);
  }
  for (const [broker, transactionalIds] of byCoordinator) {
    const { transactionStates } = await atCoordinator(cluster, transactionalIds, () =>
      cluster.call(describeTransactionsApi, { transactionalIds }, { broker }),
    );
    const answers = new Map(transactionStates.map((state) => [state.transactionalId, state]));
    for (const id of transactionalIds) found.set(id, toDescribed(cluster, id, answers.get(id)));
  }
}

function toDescribed(cluster: Cluster, id: string, state: TransactionState | undefined): DescribedTransaction | null {
  if (!state) throw new MalformedFrameError(`DescribeTransactions left out transactional id "${id}"`);
  if (state.errorCode === TRANSACTIONAL_ID_NOT_FOUND) return null;
  if (state.errorCode !== 0) {
    coordinators.get(cluster)?.delete(id);
    throw refused(state.errorCode, 'DescribeTransactions', id);
  }
  return {
    producerId: state.producerId,
    producerEpoch: state.producerEpoch,
    status: state.transactionState as TransactionStatus,
    timeoutMs: state.transactionTimeoutMs,
    startedAtMs: state.transactionStartTimeMs,
    partitions: state.topics.flatMap(({ topic, partitions }) => partitions.map((each) => `${topic}/${each}`)),
  };
}

export interface TransactionStep {
  readonly transactionalId: string;
  readonly producer: ProducerIdentity;
  readonly permit?: Permit;
  /** See CallOptions. */
  readonly lane?: number;
}

/** Lets a partition take part, before its first batch (`explicit`). One attempt; twice is the same as once. Throws KafkaError. */
export async function addToTransaction(
  cluster: Cluster,
  step: TransactionStep & { readonly topic: string; readonly partition: number },
): Promise<void> {
  const { transactionalId, producer, topic, partition, permit, lane = 0 } = step;
  const request = {
    v3AndBelowTransactionalId: transactionalId,
    v3AndBelowProducerId: producer.producerId,
    v3AndBelowProducerEpoch: producer.producerEpoch,
    v3AndBelowTopics: [{ name: topic, partitions: [partition] }],
  };
  await atCoordinator(cluster, transactionalId, async (broker) => {
    const response = await cluster.call(addPartitionsToTxn, request, { broker, lane, ...leave(permit) });
    const result = response.resultsByTopicV3AndBelow[0]?.resultsByPartition[0];
    if (!result) throw new MalformedFrameError(`AddPartitionsToTxn left out ${topic}/${partition}`);
    if (result.partitionErrorCode !== 0)
      throw refused(result.partitionErrorCode, 'AddPartitionsToTxn', transactionalId);
  });
}

/**
 * Ends the transaction. One attempt; its marker is written a little after the answer. Returns who writes the next one:
 * `hasNewEpoch` when its sequences begin at 0 again. Throws KafkaError.
 */
export async function endTransaction(
  cluster: Cluster,
  step: TransactionStep & { readonly isCommit: boolean; readonly protocol: TransactionProtocol },
): Promise<ProducerIdentity & { readonly hasNewEpoch: boolean }> {
  const { transactionalId, producer, isCommit, protocol, permit, lane = 0 } = step;
  const hasNewEpoch = protocol === 'implicit';
  const api = hasNewEpoch ? endTxn : { ...endTxn, maxVersion: EPOCH_ENDING_END_TXN - 1 };
  const { producerId, producerEpoch } = producer;
  return atCoordinator(cluster, transactionalId, async (broker) => {
    const response = await cluster.call(
      api,
      { transactionalId, producerId, producerEpoch, committed: isCommit },
      { broker, lane, ...leave(permit) },
    );
    if (response.errorCode !== 0) throw refused(response.errorCode, 'EndTxn', transactionalId);
    const next = hasNewEpoch ? response : producer;
    return { producerId: next.producerId, producerEpoch: next.producerEpoch, hasNewEpoch };
  });
}

export interface ListedTransaction {
  readonly transactionalId: string;
  readonly producerId: number;
  readonly status: string;
}

/**
 * Transactions of the given producers that the cluster's coordinators know and may show us; all with `producerIds` empty.
 * Ids that we may not DESCRIBE are left out. Throws KafkaError.
 */
export async function listTransactions(
  cluster: Cluster,
  { producerIds }: { readonly producerIds: readonly number[] },
): Promise<ListedTransaction[]> {
  const listed: ListedTransaction[] = [];
  for (const { id } of cluster.brokers()) {
    const ask = () =>
      cluster.call(listTransactionsApi, { stateFilters: [], producerIdFilters: producerIds }, { broker: id });
    const response = await retrying(cluster, ask, { repeatable: true });
    if (response.errorCode !== 0)
      throw new BrokerError(
        errorOf(response.errorCode),
        'ListTransactions',
        `broker ${id} of cluster "${cluster.name}"`,
      );
    for (const { transactionalId, producerId, transactionState } of response.transactionStates)
      listed.push({ transactionalId, producerId, status: transactionState });
  }
  return listed;
}

/** Coordinators move rarely, and are asked for with every step of a transaction: the answer is kept until a call fails. */
const coordinators = new WeakMap<Cluster, Map<string, number>>();
const COORDINATORS_MAX = 10_000;

async function coordinatorOfId(cluster: Cluster, transactionalId: string): Promise<number> {
  const cached = coordinators.get(cluster)?.get(transactionalId);
  if (cached !== undefined && cluster.brokers().some(({ id }) => id === cached)) return cached;
  return learnCoordinator(cluster, transactionalId, { broker: 'any' });
}

async function learnCoordinator(
  cluster: Cluster,
  transactionalId: string,
  how: { readonly broker: number | 'any'; readonly timeoutMs?: number },
): Promise<number> {
  const known = coordinators.get(cluster) ?? new Map<string, number>();
  coordinators.set(cluster, known);
  const found = await coordinatorOf(cluster, { kind: 'transactional id', key: transactionalId, ...how });
  if (known.size >= COORDINATORS_MAX) known.delete(must(known.keys().next().value, 'oldest coordinator'));
  known.set(transactionalId, found);
  return found;
}

/**
 * Those that answer in a random order: who is asked twice in a row may be the one that was replaced. Where none does, any broker
 * is asked, as ever.
 */
async function askAnotherFor(cluster: Cluster, transactionalId: string): Promise<void> {
  const last = coordinators.get(cluster)?.get(transactionalId);
  coordinators.get(cluster)?.delete(transactionalId);
  const others = cluster.brokers().filter(({ id }) => id !== last);
  while (others.length > 0) {
    const [other] = others.splice(Math.floor(cluster.random.next() * others.length), 1);
    try {
      const { id } = must(other, 'another broker');
      await learnCoordinator(cluster, transactionalId, { broker: id, timeoutMs: ANOTHER_TIMEOUT_MS });
      return;
    } catch (error) {
      if (!(error instanceof KafkaError)) throw error;
    }
  }
}

/** A failure may have another coordinator as its cure: the next call asks again who it is. */
async function atCoordinator<T>(
  cluster: Cluster,
  ids: string | readonly string[],
  ask: (broker: number) => Promise<T>,
): Promise<T> {
  const all = [ids].flat();
  try {
    return await ask(await coordinatorOfId(cluster, must(all[0], 'transactional id')));
  } catch (error) {
    for (const id of all) coordinators.get(cluster)?.delete(id);
    throw error;
  }
}

function refused(code: number, api: string, transactionalId: string): BrokerError {
  return new BrokerError(errorOf(code), api, `transactional id "${transactionalId}"`);
}

function leave(permit: Permit | undefined): { timeoutMs?: number; mayLeave?: () => boolean } {
  return permit ? { timeoutMs: permit.timeoutMs, mayLeave: () => permit.isGiven() } : {};
}
