/** The target's side of a partition's transactions, over the wire: what `transaction-writer.ts` asks for. */
import { must } from '#util/assert.ts';
import { sleep } from '#util/clock.ts';
import type { Cluster } from '#kafka/cluster.ts';
import { describeBrokerConfig } from '#kafka/configs.ts';
import { BrokerError, WithheldError } from '#kafka/errors.ts';
import { isDenied } from '#kafka/permissions.ts';
import type { Permit } from '#kafka/permit.ts';
import type { OutgoingBatch, Producer } from '#kafka/producer.ts';
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
  type ProducerIdentity,
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

/** One of each partition: methods, since closures would take 2 KB of it. */
export class TargetTransactions implements TransactionPort {
  readonly #place: TransactionPlace;
  readonly #lane: number;

  constructor(place: TransactionPlace) {
    this.#place = place;
    this.#lane = laneOf(place.targetTopic, place.partition);
  }

  #idOf(slot: number): string {
    return transactionalIdOf(this.#place, slot);
  }

  get #partition(): { readonly topic: string; readonly partition: number } {
    return { topic: this.#place.targetTopic, partition: this.#place.partition };
  }

  get #permit(): { readonly permit?: Permit } {
    const { permit } = this.#place;
    return permit ? { permit } : {};
  }

  describe(...[slots, how]: Parameters<TransactionPort['describe']>): ReturnType<TransactionPort['describe']> {
    const ids = slots.map((slot) => this.#idOf(slot));
    return describeTransactions(this.#place.target, ids, how);
  }

  producers(): ReturnType<TransactionPort['producers']> {
    return describeProducers(this.#place.target, this.#partition);
  }

  async init(slot: number): ReturnType<TransactionPort['init']> {
    const { target } = this.#place;
    const timeoutMs = await readTransactionLimit(target);
    return initTransactionalId(target, this.#idOf(slot), { timeoutMs, ...this.#permit });
  }

  protocolOf(slot: number): ReturnType<TransactionPort['protocolOf']> {
    return transactionProtocolOf(this.#place.target, { transactionalId: this.#idOf(slot), ...this.#partition });
  }

  add(slot: number, producer: ProducerIdentity): Promise<void> {
    const place = { transactionalId: this.#idOf(slot), ...this.#partition, lane: this.#lane };
    return addToTransaction(this.#place.target, { ...place, producer, ...this.#permit });
  }

  async produce(slot: number, batch: OutgoingBatch): ReturnType<TransactionPort['produce']> {
    const { targetTopic, partition } = this.#place;
    const producer = await this.#place.producer(this.#lane);
    return producer.produceAlone(this.#idOf(slot), { targetTopic, partition, ...this.#permit }, batch);
  }

  end(
    slot: number,
    producer: ProducerIdentity,
    how: Parameters<TransactionPort['end']>[2],
  ): ReturnType<TransactionPort['end']> {
    const place = { transactionalId: this.#idOf(slot), lane: this.#lane };
    return endTransaction(this.#place.target, { ...place, producer, ...how, ...this.#permit });
  }

  mark(
    { producerId, producerEpoch }: ProducerIdentity,
    { isCommit, coordinatorEpoch }: Parameters<TransactionPort['mark']>[1],
  ): Promise<void> {
    const marker = { producerId, producerEpoch, coordinatorEpoch, count: 1, isCommit: () => isCommit };
    return writeTxnMarkers(this.#place.target, { ...this.#partition, ...marker, ...this.#permit });
  }

  watermark(): Promise<number> {
    const { target, targetTopic, partition } = this.#place;
    return readWatermark(target, targetTopic, partition, this.#lane);
  }

  recordedProducerAt(firstOffset: number): number | null {
    return this.#place.recordedProducerAt(firstOffset);
  }

  sourceProducerAt(offset: number): Promise<number | null> {
    const { source, sourceTopic: topic, partition } = this.#place;
    return transactionalProducerAt(source, { topic, partition, offset });
  }

  async offsetsOf(producerId: number, fromOffset: number): Promise<readonly number[]> {
    const read = { ...this.#partition, fromOffset, maxBytes: OPEN_BYTES_MAX, isUncommitted: true };
    const { batches } = await readTail(this.#place.target, read);
    return batches
      .filter(({ buffer, at }) => isTransactionalData(buffer, at) && producerIdOf(buffer, at) === producerId)
      .map(({ buffer, at }) => baseOffsetOf(buffer, at));
  }

  async pause(ms: number): Promise<void> {
    const { target, signal } = this.#place;
    await sleep(target.clock, (ms * (1 + target.random.next())) / 2, signal);
    if (signal.aborted) throw new WithheldError(target.name); // what was sent was answered: nothing is on its way
  }

  now(): number {
    return this.#place.target.clock.monotonic();
  }
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
