/**
 * Records that one side of a compacted topic has and the other has not. Compaction takes a record only when a later one of
 * its key was written, and deletions (tombstones) some time after what they delete. So each is kept in mind until a later
 * record of its key is met; what stays in the end is looked for behind the range, and then named.
 */
import { hash } from 'node:crypto';

export type SideName = 'source' | 'target';

export interface PendingRecord {
  readonly offset: number;
  /** Which side has not got it. */
  readonly absentOn: SideName;
  /** A null value. */
  readonly isDeletion: boolean;
}

/** About 200 bytes each. */
const PENDING_MAX = 200_000;
/** Longer keys are kept as their SHA-256. */
const KEY_BYTES_MAX = 32;

export class CompactionLedger {
  /** Of each key the last one: an earlier one has this as its later record. */
  readonly pending = new Map<string, PendingRecord>();
  /** How many are accounted for. */
  compacted = 0;
  /** Offsets between which some were not kept in mind, for want of room. */
  dropped: { from: number; to: number } | null = null;
  readonly #pendingMax: number;

  constructor(options: { pendingMax?: number } = {}) {
    this.#pendingMax = options.pendingMax ?? PENDING_MAX;
  }

  /** A record of `key` is on at least one side: what was pending of the key has its later record. */
  see(key: Buffer | null): void {
    if (this.pending.size === 0 || key === null) return;
    if (this.pending.delete(nameOf(key))) this.compacted++;
  }

  /** A record is on one side only. */
  absent(key: Buffer | null, record: PendingRecord): void {
    this.see(key);
    if (key === null) this.compacted++; // the cleaner takes every record without a key (Cleaner.shouldRetainRecord)
    else if (this.pending.size < this.#pendingMax) this.pending.set(nameOf(key), record);
    else this.dropped = { from: this.dropped?.from ?? record.offset, to: record.offset + 1 };
  }

  /** What is pending by the name of its key, where a scan of a log may find it. */
  find(key: Buffer | null): { readonly name: string; readonly record: PendingRecord } | null {
    if (key === null) return null;
    const name = nameOf(key);
    const record = this.pending.get(name);
    return record ? { name, record } : null;
  }

  resolve(name: string): void {
    if (this.pending.delete(name)) this.compacted++;
  }
}

function nameOf(key: Buffer): string {
  return key.length <= KEY_BYTES_MAX ? key.toString('latin1') : `#${hash('sha256', key, 'hex')}`;
}
