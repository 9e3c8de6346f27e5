/**
 * Which transaction of the target stands for which one of the source (exactness.md rule 6). A producer of the source has one
 * transaction open in a partition at a time; each that is open gets a slot, with a transactional id of its own on the target.
 * The end of a transaction on the target writes one control record to each of its partitions, as it does at the source: so a
 * slot belongs to one partition, and the end takes exactly the offset of the source's marker.
 *
 * Pure: it decides, and is told what was done.
 */
import { assert } from '#util/assert.ts';

/** Transactions of one partition that may be open at the same offset. A transactional id stays known for a week (broker default). */
export const SLOTS_MAX = 256;

export interface OpenTransaction {
  readonly slot: number;
  /** The source's. */
  readonly producerId: number;
  /** Of its first record, on both sides. */
  readonly firstOffset: number;
}

export class TransactionSlots {
  readonly #open = new Map<number, OpenTransaction>();
  /** Slots whose transaction is open on the target without a record: the next transaction that begins must take one of them. */
  readonly #begun: number[];
  readonly #slotsMax: number;

  constructor(
    restored: { readonly open: readonly OpenTransaction[]; readonly begun: readonly number[] },
    options: { readonly slotsMax?: number } = {},
  ) {
    this.#begun = restored.begun.toSorted((a, b) => a - b);
    this.#slotsMax = options.slotsMax ?? SLOTS_MAX;
    for (const transaction of restored.open) {
      assert(
        !this.#open.has(transaction.producerId),
        'a producer of the source has one open transaction in a partition',
      );
      this.#open.set(transaction.producerId, transaction);
    }
  }

  get open(): readonly OpenTransaction[] {
    return [...this.#open.values()];
  }

  /** All whose transaction is open on the target, with or without a record. */
  get openSlots(): readonly number[] {
    return [...this.open.map(({ slot }) => slot), ...this.#begun];
  }

  /** A slot whose transaction was begun and holds nothing: its end is a control record like one that fills a hole. */
  get begun(): number | null {
    return this.#begun[0] ?? null;
  }

  /** The open transaction of a producer of the source; null when its next batch begins one, or its marker ends none that has records. */
  of(producerId: number): OpenTransaction | null {
    return this.#open.get(producerId) ?? null;
  }

  /** The slot that the next transaction to begin takes; null when all are taken. The lowest, so that those in use are few. */
  get free(): number | null {
    if (this.begun !== null) return this.begun;
    const taken = new Set(this.open.map(({ slot }) => slot));
    for (let slot = 0; slot < this.#slotsMax; slot++) if (!taken.has(slot)) return slot;
    return null;
  }

  /** Its first record is on the target. */
  begin(transaction: OpenTransaction): void {
    assert(!this.#open.has(transaction.producerId), 'a transaction begins once');
    assert(transaction.slot === this.free, 'a transaction begins in the slot that is next');
    if (transaction.slot === this.begun) this.#begun.shift();
    this.#open.set(transaction.producerId, transaction);
  }

  /** The slot takes part on the target, and holds no record of the source's transaction yet. */
  prepare(slot: number): void {
    assert(slot === this.free, 'the slot that is next is prepared');
    if (slot !== this.begun) this.#begun.unshift(slot);
  }

  /** Its marker is on the target. */
  end({ slot, producerId }: { readonly slot: number; readonly producerId: number | null }): void {
    if (producerId === null) {
      assert(slot === this.begun, 'what ends without a record was begun');
      this.#begun.shift();
    } else {
      assert(this.#open.get(producerId)?.slot === slot, 'what ends is open');
      this.#open.delete(producerId);
    }
  }
}
