/** Producer identities: who writes with which id, and control records written without a transaction coordinator. */
import { assert } from '#util/assert.ts';
import type { Cluster } from './cluster.ts';
import { coordinatorOf } from './coordinator.ts';
import { BrokerError, MalformedFrameError } from './errors.ts';
import { only } from './offsets.ts';
import { describeProducers as describeProducersApi } from './protocol/describe-producers.ts';
import { errorOf } from './protocol/error-codes.ts';
import { initProducerId as initProducerIdApi } from './protocol/init-producer-id.ts';
import { writeTxnMarkers as writeTxnMarkersApi } from './protocol/write-txn-markers.ts';
import type { Permit } from './permit.ts';
import { leaderOf, retrying } from './retry.ts';

/** We never begin a transaction with these ids; the broker wants a value within its transaction.max.timeout.ms. */
const TRANSACTION_TIMEOUT_MS = 60_000;
/** About 100 KB of request; 10,000 markers in one were seen to work, but a lost answer should cost little. */
export const MARKERS_PER_REQUEST = 1_000;

/**
 * The producer id of a transactional id; the same for every caller, as long as the id is not forgotten
 * (`transactional.id.expiration.ms`). Asked with −1/−1, since 0/0 is a real producer. Repeating it only raises the
 * epoch, which we do not use. Throws KafkaError; TRANSACTIONAL_ID_AUTHORIZATION_FAILED (53) without WRITE on the id.
 */
export function initProducerId(
  cluster: Cluster,
  transactionalId: string,
): Promise<{ producerId: number; producerEpoch: number }> {
  const ask = async () => {
    const response = await cluster.call(
      initProducerIdApi,
      {
        transactionalId,
        transactionTimeoutMs: TRANSACTION_TIMEOUT_MS,
        producerId: -1,
        producerEpoch: -1,
      },
      { broker: await coordinatorOf(cluster, { kind: 'transactional id', key: transactionalId }) },
    );
    if (response.errorCode !== 0)
      throw new BrokerError(errorOf(response.errorCode), 'InitProducerId', `transactional id "${transactionalId}"`);
    return { producerId: response.producerId, producerEpoch: response.producerEpoch };
  };
  return retrying(cluster, ask, { repeatable: true });
}

/** What the leader of a partition knows about a producer that wrote to it. */
export interface ProducerState {
  readonly producerId: number;
  readonly producerEpoch: number;
  /** Sequence of its last record; −1 when it wrote none since its state began (only markers). */
  readonly lastSequence: number;
  readonly lastTimestamp: number;
  /** Of the last marker written for it; −1 for none. */
  readonly coordinatorEpoch: number;
  /** −1 when it has no open transaction. */
  readonly currentTxnStartOffset: number;
}

/** The producers of a partition that the leader has not forgotten. Needs READ on the topic. Throws KafkaError. */
export function describeProducers(
  cluster: Cluster,
  { topic, partition }: { readonly topic: string; readonly partition: number },
): Promise<ProducerState[]> {
  const ask = async () => {
    const response = await cluster.call(
      describeProducersApi,
      { topics: [{ name: topic, partitionIndexes: [partition] }] },
      { broker: await leaderOf(cluster, topic, partition) },
    );
    return only(response.topics[0]?.partitions, 'DescribeProducers', topic, partition).activeProducers.map(
      (producer) => ({
        producerId: producer.producerId,
        producerEpoch: producer.producerEpoch,
        lastSequence: producer.lastSequence,
        lastTimestamp: producer.lastTimestamp,
        coordinatorEpoch: producer.coordinatorEpoch,
        currentTxnStartOffset: producer.currentTxnStartOffset,
      }),
    );
  };
  return retrying(cluster, ask, { repeatable: true, topics: [topic] });
}

export interface MarkerWrite {
  readonly topic: string;
  readonly partition: number;
  readonly producerId: number;
  /** Default: 0. A lower one than the partition has seen of it is refused with 47. */
  readonly producerEpoch?: number;
  /** A lower one than the partition has seen for the producer is refused with 52. */
  readonly coordinatorEpoch: number;
  /** How many, 1 to MARKERS_PER_REQUEST. */
  readonly count: number;
  /** Whether the n-th of them is a COMMIT; all are ABORT by default. They are appended in their order. */
  readonly isCommit?: (index: number) => boolean;
  readonly permit?: Permit;
}

/**
 * Writes `count` markers of a producer without data: each takes one offset and is invisible to consumers. One
 * request, sent once: markers are not idempotent. Neither success nor a failure, not even a definite one, says how many
 * were written: the answer has one error for all markers of the producer, so success can hide refusals. On 3.9.1 a topic
 * that was just created got 99 of 700, and the answer was 'no error'. So read the watermark. Needs ALTER or
 * CLUSTER_ACTION on the cluster (31 otherwise). Throws KafkaError, WithheldError without leave.
 */
export async function writeTxnMarkers(cluster: Cluster, write: MarkerWrite): Promise<void> {
  const { topic, partition, count, permit } = write;
  assert(count >= 1 && count <= MARKERS_PER_REQUEST, `a request has 1 to ${MARKERS_PER_REQUEST} markers`);
  const marker = {
    producerId: write.producerId,
    producerEpoch: write.producerEpoch ?? 0,
    topics: [{ name: topic, partitionIndexes: [partition] }],
    coordinatorEpoch: write.coordinatorEpoch,
    transactionVersion: 0,
  };
  const response = await cluster.call(
    writeTxnMarkersApi,
    {
      markers: Array.from({ length: count }, (_, index) => ({
        ...marker,
        transactionResult: write.isCommit?.(index) ?? false,
      })),
    },
    {
      broker: await leaderOf(cluster, topic, partition),
      ...(permit ? { timeoutMs: permit.timeoutMs, mayLeave: () => permit.isGiven() } : {}),
    },
  );
  if (response.markers.length === 0) throw new MalformedFrameError(`WriteTxnMarkers left out ${topic}/${partition}`);
  for (const result of response.markers) only(result.topics[0]?.partitions, 'WriteTxnMarkers', topic, partition);
}
