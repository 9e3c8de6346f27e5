/** The target's side of a partition's transactions, over the wire: what `transaction-writer.ts` asks for. */
import { must } from '#util/assert.ts';
import { sleep } from '#util/clock.ts';
import type { Cluster } from '#kafka/cluster.ts';
import { describeBrokerConfig } from '#kafka/configs.ts';
import { BrokerError, WithheldError } from '#kafka/errors.ts';
import { isDenied } from '#kafka/permissions.ts';
import type { Permit } from '#kafka/permit.ts';
import type { Producer } from '#kafka/producer.ts';
import { describeProducers, writeTxnMarkers } from '#kafka/producers.ts';
import {
  ATTRIBUTE_CONTROL,
  ATTRIBUTE_TRANSACTIONAL,
  attributesOf,
  baseOffsetOf,
  lastOffsetOf,
  producerIdOf,
} from '#kafka/records/batch-header.ts';
import { readTail } from '#kafka/simple-log.ts';
import {
  addToTransaction,
  describeTransactions,
  endTransaction,
  initTransactionalId,
  transactionProtocolOf,
} from '#kafka/transactions.ts';
import { readWatermark } from './offsets.ts';
import type { TransactionPort } from './transaction-writer.ts';

const OFFSET_OUT_OF_RANGE = 1;
/** transaction.max.timeout.ms of a broker unless somebody sets it. */
const DEFAULT_LIMIT_MS = 900_000;
/** A broker serves one request of a connection at a time, and each step of a transaction waits for its answer. */
const LANES = 8;
/** How far the batches of an open transaction are looked through. */
const OPEN_BYTES_MAX = 16 * 1024 * 1024;

export interface TransactionPlace {
  readonly source: Cluster;
  readonly sourceTopic: string;
  readonly target: Cluster;
  readonly targetTopic: string;
  readonly partition: number;
  /** Of all transactional ids of the mirror. */
  readonly idPrefix: string;
  readonly permit?: Permit;
  readonly signal: AbortSignal;
  /** See TransactionPort. */
  recordedProducerAt(firstOffset: number): number | null;
  /** To the partition's leader, on a connection that is not everybody's. Throws KafkaError. */
  producer(lane: number): Promise<Producer>;
}

/**
 * Names, not ids of topics: of a topic that was created anew the transactions that are open under its name must be known,
 * as their ends would be written to it.
 */
export function transactionalIdOf(
  { idPrefix, targetTopic, partition }: Pick<TransactionPlace, 'idPrefix' | 'targetTopic' | 'partition'>,
  slot: number,
): string {
  return `${idPrefix}-${targetTopic}-${partition}-${slot}`;
}

/** 1 to LANES: partitions of a topic take them in turn. */
function laneOf(topic: string, partition: number): number {
  let sum = partition;
  for (let i = 0; i < topic.length; i++) sum += topic.charCodeAt(i);
  return 1 + (sum % LANES);
}

export function createTransactionPort(place: TransactionPlace): TransactionPort {
  const { source, sourceTopic, target, targetTopic: topic, partition, signal } = place;
  const permit = place.permit ? { permit: place.permit } : {};
  const lane = laneOf(topic, partition);
  const idOf = (slot: number): string => transactionalIdOf(place, slot);
  return {
    describe: (slots) => describeTransactions(target, slots.map(idOf)),
    producers: () => describeProducers(target, { topic, partition }),
    init: async (slot) =>
      initTransactionalId(target, idOf(slot), { timeoutMs: await readTransactionLimit(target), ...permit }),
    protocolOf: (slot) => transactionProtocolOf(target, { transactionalId: idOf(slot), topic, partition }),
    add: (slot, producer) =>
      addToTransaction(target, { transactionalId: idOf(slot), producer, topic, partition, lane, ...permit }),
    produce: async (slot, batch) =>
      (await place.producer(lane)).produceAlone(idOf(slot), { targetTopic: topic, partition, ...permit }, batch),
    end: (slot, producer, how) =>
      endTransaction(target, { transactionalId: idOf(slot), producer, lane, ...how, ...permit }),
    mark: ({ producerId, producerEpoch }, { isCommit, coordinatorEpoch }) =>
      writeTxnMarkers(target, {
        topic,
        partition,
        producerId,
        producerEpoch,
        coordinatorEpoch,
        count: 1,
        isCommit: () => isCommit,
        ...permit,
      }),
    watermark: () => readWatermark(target, topic, partition, lane),
    recordedProducerAt: (firstOffset) => place.recordedProducerAt(firstOffset),
    sourceProducerAt: (offset) => transactionalProducerAt(source, { topic: sourceTopic, partition, offset }),
    offsetsOf: async (producerId, fromOffset) => {
      const read = { topic, partition, fromOffset, maxBytes: OPEN_BYTES_MAX, isUncommitted: true };
      const { batches } = await readTail(target, read);
      return batches
        .filter(({ buffer, at }) => isTransactionalData(buffer, at) && producerIdOf(buffer, at) === producerId)
        .map(({ buffer, at }) => baseOffsetOf(buffer, at));
    },
    pause: async (ms) => {
      await sleep(target.clock, (ms * (1 + target.random.next())) / 2, signal);
      if (signal.aborted) throw new WithheldError(target.name); // what was sent was answered: nothing is on its way
    },
    now: () => target.clock.monotonic(),
  };
}

/** How long a transaction may be open on the target, as far as we may know: brokers refuse a longer timeout. Throws KafkaError. */
async function readTransactionLimit(target: Cluster): Promise<number> {
  const broker = must(target.brokers()[0], 'broker');
  try {
    const configs = await describeBrokerConfig(target, broker.id);
    return Number(configs.get('transaction.max.timeout.ms')?.value ?? DEFAULT_LIMIT_MS);
  } catch (error) {
    if (!isDenied(error)) throw error;
    return DEFAULT_LIMIT_MS;
  }
}

async function transactionalProducerAt(
  cluster: Cluster,
  { topic, partition, offset }: { readonly topic: string; readonly partition: number; readonly offset: number },
): Promise<number | null> {
  try {
    const { batches } = await readTail(cluster, { topic, partition, fromOffset: offset, maxBytes: 1 });
    for (const { buffer, at } of batches) {
      const holdsIt = baseOffsetOf(buffer, at) <= offset && lastOffsetOf(buffer, at) >= offset;
      if (holdsIt && isTransactionalData(buffer, at)) return producerIdOf(buffer, at);
    }
  } catch (error) {
    if (!(error instanceof BrokerError) || error.code !== OFFSET_OUT_OF_RANGE) throw error;
  }
  return null;
}

function isTransactionalData(buffer: Buffer, at: number): boolean {
  return (attributesOf(buffer, at) & (ATTRIBUTE_TRANSACTIONAL | ATTRIBUTE_CONTROL)) === ATTRIBUTE_TRANSACTIONAL;
}
