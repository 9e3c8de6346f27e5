/**
 * What a partition holds, small enough to keep for millions of records: for each record its offset, time, fate and
 * fingerprints in typed arrays (about 40 bytes), never its content.
 */
import { crc32c } from '@node-rs/crc32';
import { crc32 } from 'node:zlib';
import { assert } from '#util/assert.ts';
import type { RawBatch, RawRecord } from '../raw-batch.ts';

/** What became of an offset that holds something. An offset below the end that holds nothing was compacted away. */
export const fates = ['delivered', 'aborted', 'open', 'commit', 'abort', 'other-control'] as const;
export type Fate = (typeof fates)[number];

/** One record or control record. */
export interface Entry {
  readonly offset: number;
  readonly fate: Fate;
  readonly timestamp: number;
  readonly isLogAppendTime: boolean;
  /** 53 bits over key, value and headers: equal content has an equal id, and in practice only equal content. */
  readonly id: number;
  readonly keyHash: number;
  readonly valueHash: number;
  readonly headersHash: number;
}

/** Entries in ascending order of offset. */
export class Entries {
  #capacity = 1024;
  #offsets = new Float64Array(this.#capacity);
  #timestamps = new Float64Array(this.#capacity);
  #ids = new Float64Array(this.#capacity);
  #keys = new Float64Array(this.#capacity);
  #values = new Float64Array(this.#capacity);
  #headers = new Uint32Array(this.#capacity);
  /** Fate in the low bits, 0x80 for append time. */
  #flags = new Uint8Array(this.#capacity);
  #length = 0;

  get length(): number {
    return this.#length;
  }

  push(entry: Entry): void {
    if (this.#length === this.#capacity) this.#grow();
    const at = this.#length++;
    this.#offsets[at] = entry.offset;
    this.#timestamps[at] = entry.timestamp;
    this.#ids[at] = entry.id;
    this.#keys[at] = entry.keyHash;
    this.#values[at] = entry.valueHash;
    this.#headers[at] = entry.headersHash;
    this.#flags[at] = fates.indexOf(entry.fate) | (entry.isLogAppendTime ? 0x80 : 0);
  }

  /** The outcome of a transaction is known only when its marker comes. */
  setFate(at: number, fate: Fate): void {
    this.#flags[at] = (this.#flags[at]! & 0x80) | fates.indexOf(fate);
  }

  offset(at: number): number {
    return this.#offsets[at]!;
  }

  fate(at: number): Fate {
    return fates[this.#flags[at]! & 0x7f]!;
  }

  id(at: number): number {
    return this.#ids[at]!;
  }

  keyHash(at: number): number {
    return this.#keys[at]!;
  }

  at(at: number): Entry {
    assert(at >= 0 && at < this.#length, 'an entry of the history');
    return {
      offset: this.#offsets[at]!,
      fate: this.fate(at),
      timestamp: this.#timestamps[at]!,
      isLogAppendTime: (this.#flags[at]! & 0x80) !== 0,
      id: this.#ids[at]!,
      keyHash: this.#keys[at]!,
      valueHash: this.#values[at]!,
      headersHash: this.#headers[at]!,
    };
  }

  #grow(): void {
    this.#capacity *= 2;
    const copy = <T extends Float64Array | Uint32Array | Uint8Array>(grown: T, old: T): T => {
      grown.set(old);
      return grown;
    };
    this.#offsets = copy(new Float64Array(this.#capacity), this.#offsets);
    this.#timestamps = copy(new Float64Array(this.#capacity), this.#timestamps);
    this.#ids = copy(new Float64Array(this.#capacity), this.#ids);
    this.#keys = copy(new Float64Array(this.#capacity), this.#keys);
    this.#values = copy(new Float64Array(this.#capacity), this.#values);
    this.#headers = copy(new Uint32Array(this.#capacity), this.#headers);
    this.#flags = copy(new Uint8Array(this.#capacity), this.#flags);
  }
}

export interface PartitionHistory {
  readonly topic: string;
  readonly partition: number;
  readonly logStart: number;
  readonly lastStable: number;
  readonly highWatermark: number;
  readonly entries: Entries;
  /** Offsets that two batches of the log claim. No broker should ever show one. */
  readonly overlaps: readonly number[];
}

/** What of a record counts as its content. */
export type Content = Pick<RawRecord, 'key' | 'value' | 'body' | 'headerBytes'>;

/** No 32-bit hash has this value: a null key or value is not an empty one. */
const nullHash = -1;

function fingerprintOf(content: Content): Pick<Entry, 'id' | 'keyHash' | 'valueHash' | 'headersHash'> {
  return {
    // Two polynomials: 32 bits alone would meet by chance among 200,000 records.
    id: crc32c(content.body) * 2 ** 21 + (crc32(content.body) % 2 ** 21),
    keyHash: content.key === null ? nullHash : crc32c(content.key),
    valueHash: content.value === null ? nullHash : crc32c(content.value),
    headersHash: crc32c(content.headerBytes),
  };
}

const noContent = { id: 0, keyHash: nullHash, valueHash: nullHash, headersHash: 0 };

/**
 * Builds the history of a partition from its batches in the order of the log. Which transactions were aborted follows
 * from their markers, not from the broker's list of aborted transactions, so that list is not taken on trust.
 */
export class HistoryBuilder {
  readonly #entries = new Entries();
  readonly #overlaps: number[] = [];
  /** Producer id → its records of the transaction that is open. */
  readonly #open = new Map<number, number[]>();
  readonly #range: { from: number; to: number };
  #next: number;

  /** Records outside of `range` are left out: a batch may begin before the log start. */
  constructor(range: { from: number; to: number }) {
    this.#range = range;
    this.#next = range.from;
  }

  add(batch: RawBatch): void {
    if (batch.isControl) return this.#addControl(batch);
    const open = batch.isTransactional ? this.#openOf(batch.producerId) : null;
    for (const record of batch.records()) {
      if (!this.#takes(record.offset)) continue;
      open?.push(this.#entries.length);
      this.#entries.push({
        offset: record.offset,
        fate: open ? 'open' : 'delivered',
        timestamp: record.timestamp,
        isLogAppendTime: batch.isLogAppendTime,
        ...fingerprintOf(record),
      });
    }
  }

  finish(where: Omit<PartitionHistory, 'entries' | 'overlaps'>): PartitionHistory {
    return { ...where, entries: this.#entries, overlaps: this.#overlaps };
  }

  #addControl(batch: RawBatch): void {
    if (batch.recordCount === 0) return; // emptied by compaction
    if (batch.marker !== null) {
      const fate = batch.marker === 'commit' ? 'delivered' : 'aborted';
      for (const at of this.#openOf(batch.producerId)) this.#entries.setFate(at, fate);
      this.#open.delete(batch.producerId);
    }
    if (!this.#takes(batch.lastOffset)) return;
    const fate = batch.marker ?? 'other-control';
    this.#entries.push({
      offset: batch.lastOffset,
      fate,
      timestamp: batch.maxTimestamp,
      isLogAppendTime: false,
      ...noContent,
    });
  }

  #openOf(producerId: number): number[] {
    const open = this.#open.get(producerId) ?? [];
    this.#open.set(producerId, open);
    return open;
  }

  #takes(offset: number): boolean {
    if (offset < this.#range.from || offset >= this.#range.to) return false;
    if (offset < this.#next) {
      this.#overlaps.push(offset);
      return false;
    }
    this.#next = offset + 1;
    return true;
  }
}
