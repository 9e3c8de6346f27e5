/**
 * Names transactions of the source that have been open for long: nothing behind the first record of one is copied, and what
 * was copied before it and ends behind it stays open on the target as long, which has its own limit (exactness.md rule 6).
 */
import { sleep, type Clock } from '#util/clock.ts';
import { BrokerError, KafkaError } from '#kafka/errors.ts';
import type { ProducerState } from '#kafka/producers.ts';
import type { ListedTransaction } from '#kafka/transactions.ts';

const LOOK_MS = 15_000;
/** Kafka's own clients have a transaction.timeout.ms of 60 s: what is open for longer is meant to be, or nobody's any more. */
const LONG_MS = 60_000;

/** A partition of the source that this process copies. */
export interface HeldPartition {
  readonly topic: string;
  readonly partition: number;
  /** As last measured; null before the first time. */
  readonly sourceStableOffset: number | null;
  readonly sourceHighWatermark: number | null;
}

export interface OpenTransactionsOptions {
  readonly clock: Clock;
  partitions(): readonly HeldPartition[];
  /** The source's producers of a partition. Throws KafkaError. */
  producers(topic: string, partition: number): Promise<readonly ProducerState[]>;
  /** What the source's coordinators show us of these producers. Throws KafkaError. */
  transactions(producerIds: readonly number[]): Promise<readonly ListedTransaction[]>;
  onLong(message: string): void;
}

export class OpenTransactions {
  readonly #options: OpenTransactionsOptions;
  /** By partition: where it is held back, since when (monotonic), and whether that was told. */
  readonly #held = new Map<string, { readonly at: number; readonly sinceMs: number; isTold: boolean }>();

  constructor(options: OpenTransactionsOptions) {
    this.#options = options;
  }

  async run(signal: AbortSignal): Promise<void> {
    while (!signal.aborted) {
      await sleep(this.#options.clock, LOOK_MS, signal);
      if (!signal.aborted) await this.look();
    }
  }

  /** Tells each transaction that holds a partition back for long, once. */
  async look(): Promise<void> {
    const now = this.#options.clock.monotonic();
    for (const partition of this.#options.partitions()) {
      const name = `${partition.topic}/${partition.partition}`;
      const at = partition.sourceStableOffset ?? 0;
      const isHeld = at < (partition.sourceHighWatermark ?? at);
      const known = this.#held.get(name);
      if (!isHeld) this.#held.delete(name);
      else if (known?.at !== at) this.#held.set(name, { at, sinceMs: now, isTold: false });
      else if (!known.isTold && now - known.sinceMs >= LONG_MS)
        known.isTold = await this.#tell(partition, { at, ageMs: now - known.sinceMs });
    }
  }

  /** False where it could not be asked: then it is, the next time. */
  async #tell(partition: HeldPartition, { at, ageMs }: { at: number; ageMs: number }): Promise<boolean> {
    const { topic, partition: index, sourceHighWatermark } = partition;
    try {
      const producers = await this.#options.producers(topic, index);
      const open = producers.find(({ currentTxnStartOffset }) => currentTxnStartOffset === at);
      if (!open) return false;
      const listed = await this.#options.transactions([open.producerId]);
      const waiting = (sourceHighWatermark ?? at) - at;
      this.#options.onLong(
        `${topic}/${index} of the source is held back since ${Math.round(ageMs / 1000)} s by a transaction that is open from offset ${at} on, of producer id ${open.producerId}${whose(listed)}; ${waiting} offsets wait behind it`,
      );
      return true;
    } catch (error) {
      if (error instanceof BrokerError && !error.retryable) return true; // not ours to know
      if (!(error instanceof KafkaError)) throw error;
      return false;
    }
  }
}

/** Coordinators leave out what we may not DESCRIBE. */
function whose(listed: readonly ListedTransaction[]): string {
  const known = listed[0];
  if (!known)
    return ' (no coordinator shows us its transactional id: either the right to see it is missing, or it hangs)';
  if (known.status === 'Ongoing') return `, transactional id "${known.transactionalId}"`;
  return `, transactional id "${known.transactionalId}" (it hangs: its coordinator has it as ${known.status}, and nobody will end it but kafka-transactions.sh abort)`;
}
