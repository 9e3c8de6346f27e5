/**
 * From fetched batches to what is written to the target: the one place that decides, batch by batch, whether bytes pass
 * through or are written anew, and that accounts for every source offset (exactness.md).
 *
 *   control batch, aborted or compacted offsets        → a hole: as many control records on the target
 *   under `transactions: preserve`                     → batches keep their transaction, and a control batch says what it ends
 *   dense batch within limits                          → passed through; only its header is patched, in place
 *   small neighbours                                   → merged (below 4–8 KB a batch costs the broker more than its bytes)
 *   too large · begins before the position · with gaps · LogAppendTime under `timestamps: append` → written anew
 *
 * Pure but for the frame it patches: given the same bytes and cursor it gives the same items.
 */
import { isDeepStrictEqual } from 'node:util';
import { assert } from '#util/assert.ts';
import type { Disposition } from '#contract/disposition-ledger.ts';
import type { ReencodeReason } from '#contract/status.ts';
import { MalformedBatchError } from '#kafka/errors.ts';
import type { FetchedPartition } from '#kafka/fetch.ts';
import type { Frame } from '#kafka/frame.ts';
import {
  ATTRIBUTE_CONTROL,
  ATTRIBUTE_DELETE_HORIZON,
  ATTRIBUTE_LOG_APPEND_TIME,
  ATTRIBUTE_TRANSACTIONAL,
  attributesOf,
  baseOffsetOf,
  batchAt,
  codecOf,
  lastOffsetDeltaOf,
  lastOffsetOf,
  leaderEpochOf,
  producerIdOf,
  recordCountOf,
  type BatchProducer,
  type Codec,
} from '#kafka/records/batch-header.ts';
import type { BatchWriter } from '#kafka/records/batch-writer.ts';
import { patchBatchHeader } from '#kafka/records/header-patch.ts';
import { openBatch, type OpenBatch } from '#kafka/records/open-batch.ts';
import type { RecordFilter, Verdict } from './record-filter.ts';
import { isCommit } from './transaction-tail.ts';

/** Sequences are int32 and wrap from 2^31 − 1 to 0 (DefaultRecordBatch.incrementSequence). */
export const SEQUENCES = 2 ** 31;
const CONTROL: Disposition = { kind: 'control' };
const ABORTED: Disposition = { kind: 'aborted' };
const COMPACTED: Disposition = { kind: 'compacted' };
/** Each batch of a transaction is a round trip, so larger ones are merged too where they are cheap to write anew. */
const TRANSACTION_MERGE_FACTOR = 8;
const BASE_TIMESTAMP_AT = 27;
const MAX_TIMESTAMP_AT = 35;
/** Of the upper half of an int64: below it, and above its negative, deltas of a batch stay within ±2^53. */
const EXACT_HIGH = 2 ** 20;
/** Never in what we write: the time is a CreateTime, the horizon is the source cleaner's; nor, but in a transaction, the third. */
const ALWAYS_CLEARED = ATTRIBUTE_LOG_APPEND_TIME | ATTRIBUTE_DELETE_HORIZON;
const CLEARED_ATTRIBUTES = ALWAYS_CLEARED | ATTRIBUTE_TRANSACTIONAL;

export interface WalkPolicy {
  readonly transactions: 'preserve' | 'committed-only';
  readonly timestamps: 'append' | 'producer' | 'target';
  /** The mirror's data PID; −1 writes without sequences (tests only: it removes the guard). */
  readonly producerId: number;
  /** A batch below this is merged with its neighbours, up to `mergedBytesMax`. */
  readonly mergeBelowBytes: number;
  readonly mergedBytesMax: number;
  /** Leaves records out: they are holes too. Where offsets are to be identical nothing may be left out. */
  readonly filter?: RecordFilter;
  /** Holes say what became of their offsets; those of different kinds are items of their own. */
  readonly isAccounted?: boolean;
}

/** One batch for the target: bytes [start, end) of buffer, source offsets baseOffset to baseOffset + count − 1. */
export interface DataItem {
  readonly kind: 'data';
  readonly buffer: Buffer;
  readonly start: number;
  readonly end: number;
  /** The frame that holds the bytes of a batch that passes through; null for one that was written anew. */
  readonly frame: Frame | null;
  readonly baseOffset: number;
  readonly count: number;
  /** For the lag in seconds; rounded where a producer wrote nonsense beyond 2^53. */
  readonly newestTimestamp: number;
  /** Null: passed through. */
  readonly reason: ReencodeReason | null;
  /** Bytes of the source's batches that this item stands for, for the counts. */
  readonly sourceBytes: number;
  /** Under `preserve`, of a batch of a transaction: the source's. Who writes it sets the producer's fields of the header. */
  readonly transaction?: { readonly producerId: number };
}

/** `count` offsets from baseOffset that hold no record for readers. */
export interface HoleItem {
  readonly kind: 'hole';
  readonly baseOffset: number;
  readonly count: number;
  /** Under `isAccounted`. */
  readonly disposition?: Disposition;
  /** Under `preserve`: the transaction of the source that its control record, the only one of this item, ends. */
  readonly ends?: { readonly producerId: number; readonly isCommit: boolean };
}

export type WalkItem = DataItem | HoleItem;

/** The next source offset to account for, and the sequence that the next record gets. */
export interface Cursor {
  offset: number;
  sequence: number;
}

/** Why a walk ended before the end of the fetched bytes. The cursor stands at the offset concerned. */
export type WalkStop =
  | { readonly kind: 'too-large'; readonly offset: number; readonly bytes: number }
  /** A batch is not as message format v2 has it; what lies before it is among the items. */
  | { readonly kind: 'damaged'; readonly offset: number; readonly error: MalformedBatchError }
  /** A condition says neither yes nor no of the record there. */
  | { readonly kind: 'undecided'; readonly offset: number; readonly rule: number; readonly why: string }
  /** The leader epoch of the batches changed: it is recorded before anything of the new epoch is written. */
  | { readonly kind: 'leader-epoch'; readonly epoch: number; readonly offset: number };

export interface WalkResult {
  readonly items: WalkItem[];
  readonly stop: WalkStop | null;
  /** Size of the largest whole batch met, so that the next fetch can ask for enough. */
  readonly largestBatchBytes: number;
}

export class BatchWalk {
  readonly #policy: WalkPolicy;
  readonly #writer: BatchWriter;
  /** A batch above this is split; lowered when the target refuses one as too large. */
  batchBytesMax: number;
  /** What the target topic said that it accepts: one record above it is not even tried. */
  readonly #recordBytesMax: number;
  /** Leader epoch of the last batch; null before the first. */
  leaderEpoch: number | null;
  #items: WalkItem[] = [];
  #small: SmallRun | null = null;
  /** Where the cursor stood when a batch beyond the last stable offset was left to the next fetch. */
  #beyondStableAt = -1;
  #cursor: Cursor = { offset: 0, sequence: 0 };

  /** `writer` is only used during a walk, so all partitions of a process share one. */
  constructor(policy: WalkPolicy, options: { writer: BatchWriter; batchBytesMax: number; leaderEpoch: number | null }) {
    this.#policy = policy;
    this.#writer = options.writer;
    this.batchBytesMax = options.batchBytesMax;
    this.#recordBytesMax = options.batchBytesMax;
    this.leaderEpoch = options.leaderEpoch;
  }

  /**
   * Turns the records of one fetch response into items, in offset order and without overlap, and moves the cursor past them.
   * Items that pass through hold a reference to `frame`.
   */
  walk(frame: Frame, fetched: FetchedPartition, cursor: Cursor): WalkResult {
    this.#items = [];
    this.#small = null;
    this.#cursor = cursor;
    const aborted = new AbortedTransactions(fetched.aborted);
    const buffer = frame.buffer;
    let largest = 0;
    const stop = this.#untilDamage(() => {
      for (let at = fetched.start; ;) {
        const size = batchAt(buffer, at, fetched.end);
        if (size === 0) return null;
        largest = Math.max(largest, size);
        if (this.#isBeyondStable(buffer, at, fetched.lastStableOffset)) return null;
        const early = lastOffsetOf(buffer, at) < cursor.offset ? null : this.#batch(frame, { at, size }, aborted);
        if (early) return early;
        at += size;
      }
    });
    const late = this.#untilDamage(() => this.#flushSmall());
    return { items: this.#items, stop: late ?? stop, largestBatchBytes: largest };
  }

  /** Damage ends the walk as other stops do: what lies before it is whole and can be copied. */
  #untilDamage(step: () => WalkStop | null): WalkStop | null {
    try {
      return step();
    } catch (error) {
      if (!(error instanceof MalformedBatchError)) throw error;
      return { kind: 'damaged', offset: this.#cursor.offset, error };
    }
  }

  /**
   * A read_committed answer ends before the last stable offset, which brokers read a moment before the records (Partition.
   * readRecords): what is beyond is asked for again. Still beyond, it is damage: the base offset of a batch is not under its
   * CRC, and would else be taken for a hole of any length and filled on the target. Throws MalformedBatchError.
   */
  #isBeyondStable(buffer: Buffer, at: number, stableOffset: number): boolean {
    const last = lastOffsetOf(buffer, at);
    if (last < stableOffset) return false;
    if (this.#beyondStableAt === this.#cursor.offset)
      throw new MalformedBatchError(`a batch ends at offset ${last}, beyond the last stable offset ${stableOffset}`);
    this.#beyondStableAt = this.#cursor.offset;
    return true;
  }

  #batch(frame: Frame, batch: { at: number; size: number }, aborted: AbortedTransactions): WalkStop | null {
    const { at, size } = batch;
    const buffer = frame.buffer;
    const base = baseOffsetOf(buffer, at);
    const last = lastOffsetOf(buffer, at);
    const attributes = attributesOf(buffer, at);
    const epoch = leaderEpochOf(buffer, at);
    if (epoch !== this.leaderEpoch) return { kind: 'leader-epoch', epoch, offset: Math.max(base, this.#cursor.offset) };
    if (base > this.#cursor.offset) this.#hole(base - this.#cursor.offset, COMPACTED);
    const producerId = producerIdOf(buffer, at);
    if (attributes & ATTRIBUTE_CONTROL) {
      aborted.end(producerId, last);
      this.#control(frame, batch);
      return null;
    }
    const isTransactional = (attributes & ATTRIBUTE_TRANSACTIONAL) !== 0;
    const isAborted = !this.#preserves && isTransactional && aborted.covers(producerId, last);
    if (isAborted || recordCountOf(buffer, at) === 0) {
      this.#hole(last + 1 - this.#cursor.offset, isAborted ? ABORTED : COMPACTED);
      return null;
    }
    const reason = this.#reasonToReencode(buffer, batch);
    const mergeable = reason === null || reason === 'append-time';
    const isSmall = size < this.#mergeBelow(buffer, at) && (reason !== null || hasExactTimes(buffer, at));
    if (mergeable && isSmall) this.#addSmall(frame, batch, reason ?? 'merged');
    else if (reason !== null) return this.#rewrite(buffer, batch, reason);
    else this.#passThrough(frame, batch);
    return null;
  }

  #mergeBelow(buffer: Buffer, at: number): number {
    const isCheap = this.#transactionOf(buffer, at) !== null && codecOf(buffer, at) === 0;
    return this.#policy.mergeBelowBytes * (isCheap ? TRANSACTION_MERGE_FACTOR : 1);
  }

  get #preserves(): boolean {
    return this.#policy.transactions === 'preserve';
  }

  /** Of the batch at `at`, which is none of control records; null where it is to be a plain one. */
  #transactionOf(buffer: Buffer, at: number): Transaction | null {
    const isKept = this.#preserves && (attributesOf(buffer, at) & ATTRIBUTE_TRANSACTIONAL) !== 0;
    return isKept ? { producerId: producerIdOf(buffer, at) } : null;
  }

  #control(frame: Frame, { at }: { at: number }): void {
    const { buffer } = frame;
    const count = lastOffsetOf(buffer, at) + 1 - this.#cursor.offset;
    if (!this.#preserves || count !== 1 || recordCountOf(buffer, at) !== 1) return this.#hole(count, CONTROL);
    const ends = { producerId: producerIdOf(buffer, at), isCommit: isCommit(buffer, at) };
    this.#flushSmall();
    this.#items.push({ kind: 'hole', baseOffset: this.#cursor.offset, count, ends });
    this.#cursor.offset += count;
  }

  #reasonToReencode(buffer: Buffer, { at, size }: { at: number; size: number }): ReencodeReason | null {
    if (baseOffsetOf(buffer, at) < this.#cursor.offset) return 'trimmed';
    if (recordCountOf(buffer, at) !== lastOffsetDeltaOf(buffer, at) + 1) return 'gaps';
    if (this.#policy.filter && this.#leavesOut(this.#open(buffer, at))) return 'gaps';
    if (attributesOf(buffer, at) & ATTRIBUTE_LOG_APPEND_TIME && this.#policy.timestamps === 'append')
      return 'append-time';
    return size > this.batchBytesMax ? 'split' : null;
  }

  #passThrough(frame: Frame, { at, size }: { at: number; size: number }): void {
    this.#flushSmall();
    const count = recordCountOf(frame.buffer, at);
    const baseOffset = baseOffsetOf(frame.buffer, at);
    assert(baseOffset === this.#cursor.offset, 'a batch that passes through begins at the cursor');
    const newest = newestTimestampOf(frame.buffer, at);
    const transaction = this.#transactionOf(frame.buffer, at);
    const cleared = transaction ? ALWAYS_CLEARED : CLEARED_ATTRIBUTES;
    patchBatchHeader(frame.buffer, at, this.#producer(transaction), cleared);
    frame.retain();
    this.#items.push({
      kind: 'data',
      buffer: frame.buffer,
      start: at,
      end: at + size,
      frame,
      baseOffset,
      count,
      newestTimestamp: newest,
      reason: null,
      sourceBytes: size,
      ...(transaction ? { transaction } : {}),
    });
    this.#advance(count, transaction);
  }

  #producer(transaction: Transaction | null): BatchProducer {
    return producerOf(transaction ? -1 : this.#policy.producerId, this.#cursor.sequence);
  }

  /** Offsets without a record: consecutive ones are one item. */
  #hole(count: number, disposition: Disposition): void {
    this.#flushSmall();
    const last = this.#items.at(-1);
    const baseOffset = this.#cursor.offset;
    const isAccounted = this.#policy.isAccounted ?? false;
    if (last?.kind === 'hole' && !last.ends && (!isAccounted || isDeepStrictEqual(last.disposition, disposition)))
      this.#items[this.#items.length - 1] = { ...last, count: last.count + count };
    else this.#items.push({ kind: 'hole', baseOffset, count, ...(isAccounted ? { disposition } : {}) });
    this.#cursor.offset += count;
  }

  #leavesOut(batch: OpenBatch): boolean {
    for (let i = 0; i < batch.count; i++) if (this.#verdictOn(batch, i)) return true;
    return false;
  }

  #verdictOn(batch: OpenBatch, index: number): Verdict | null {
    return this.#policy.filter?.verdictOn(batch.recordAt(index)) ?? null;
  }

  /** A lone small batch passes through; from its second neighbour of the same codec on they become one. */
  #addSmall(frame: Frame, batch: { at: number; size: number }, reason: 'merged' | 'append-time'): void {
    const codec = codecOf(frame.buffer, batch.at);
    const transaction = this.#transactionOf(frame.buffer, batch.at);
    const run = this.#small;
    if (
      run &&
      run.codec === codec &&
      run.transaction?.producerId === transaction?.producerId &&
      run.reason === reason &&
      run.bytes + batch.size <= Math.min(this.#policy.mergedBytesMax, this.batchBytesMax)
    ) {
      run.batches.push(batch);
      run.bytes += batch.size;
    } else {
      this.#flushSmall();
      const nextOffset = this.#cursor.offset;
      this.#small = { frame, codec, reason, transaction, batches: [batch], bytes: batch.size, nextOffset };
    }
    // The cursor stands behind the run, so that what follows is judged against it; #flushSmall gives the sequences.
    this.#cursor.offset += recordCountOf(frame.buffer, batch.at);
  }

  /** Returns null; throws MalformedBatchError at the first damaged batch of the run, with the cursor at it. */
  #flushSmall(): null {
    const run = this.#small;
    if (!run) return null;
    this.#small = null;
    this.#cursor.offset = run.nextOffset;
    if (run.batches.length === 1 && run.reason === 'merged') {
      this.#passThrough(run.frame, run.batches[0]!);
      return null;
    }
    this.#writer.reset({ codec: run.codec, baseOffset: run.nextOffset });
    let bytes = 0;
    try {
      for (const { at, size } of run.batches) {
        this.#appendAll(this.#open(run.frame.buffer, at));
        bytes += size;
      }
    } finally {
      if (this.#writer.count > 0) this.#finish(run.reason, bytes, run.transaction);
    }
    return null;
  }

  /** Writes the records of a batch from the cursor on anew, with a hole for each gap and a cut at each limit. */
  #rewrite(buffer: Buffer, { at, size }: { at: number; size: number }, reason: ReencodeReason): WalkStop | null {
    this.#flushSmall();
    const last = lastOffsetOf(buffer, at);
    const transaction = this.#transactionOf(buffer, at);
    const batch = this.#open(buffer, at);
    let sourceBytes = size; // counted once, with the first piece
    let first = 0;
    while (first < batch.count && batch.offsetOf(first) < this.#cursor.offset) first++;
    while (first < batch.count) {
      const gap = batch.offsetOf(first) - this.#cursor.offset;
      if (gap > 0) this.#hole(gap, COMPACTED);
      const verdict = this.#verdictOn(batch, first);
      if (verdict?.kind === 'undecided') return { ...verdict, offset: batch.offsetOf(first) };
      if (verdict) {
        this.#hole(1, verdict);
        first++;
        continue;
      }
      const next = this.#writePiece(batch, first);
      const bytes = this.#finish(reason, sourceBytes, transaction);
      if (bytes > this.#recordBytesMax && next === first + 1) return this.#tooLarge(bytes);
      sourceBytes = 0;
      first = next;
    }
    if (last >= this.#cursor.offset) this.#hole(last + 1 - this.#cursor.offset, COMPACTED);
    return null;
  }

  /** Appends records from index `first` on while they are consecutive and fit. Returns the index of the first that was left. */
  #writePiece(batch: OpenBatch, first: number): number {
    this.#writer.reset({ codec: batch.codec, baseOffset: batch.offsetOf(first) });
    let i = first;
    do {
      this.#writer.append(batch, i);
      i++;
    } while (
      i < batch.count &&
      batch.offsetOf(i) === this.#writer.nextOffset &&
      this.#writer.bytes + batch.recordBytes(i) + 16 <= this.batchBytesMax &&
      this.#verdictOn(batch, i) === null
    );
    return i;
  }

  /** The one record that does not fit is taken back: nothing of it may be sent. */
  #tooLarge(bytes: number): WalkStop {
    const item = this.#items.pop();
    assert(item?.kind === 'data', 'the last item is the record that does not fit');
    this.#cursor.offset = item.baseOffset;
    if (!item.transaction) this.#cursor.sequence = (this.#cursor.sequence - item.count + SEQUENCES) % SEQUENCES;
    return { kind: 'too-large', offset: item.baseOffset, bytes };
  }

  /** Under `timestamps: producer` and `target` the readers see what the producer wrote, so the append time is taken off first. */
  #open(buffer: Buffer, at: number): OpenBatch {
    if (this.#policy.timestamps === 'append' || !(attributesOf(buffer, at) & ATTRIBUTE_LOG_APPEND_TIME))
      return openBatch(buffer, at);
    const base = buffer.subarray(at, at + 8);
    const kept = Buffer.from(base);
    patchBatchHeader(buffer, at, producerOf(-1, -1), ATTRIBUTE_LOG_APPEND_TIME);
    kept.copy(base); // the patch zeroes baseOffset, which the records' offsets are counted from
    return openBatch(buffer, at);
  }

  #appendAll(batch: OpenBatch): void {
    for (let i = 0; i < batch.count; i++) this.#writer.append(batch, i);
  }

  /** Ends the batch being written and queues it. Returns its size. */
  #finish(reason: ReencodeReason, sourceBytes: number, transaction: Transaction | null): number {
    const count = this.#writer.count;
    const batch = this.#writer.finish(this.#producer(transaction), { isTransactional: transaction !== null });
    this.#items.push({
      kind: 'data',
      buffer: batch,
      start: 0,
      end: batch.length,
      frame: null,
      baseOffset: this.#cursor.offset,
      count,
      newestTimestamp: newestTimestampOf(batch, 0),
      reason,
      sourceBytes,
      ...(transaction ? { transaction } : {}),
    });
    this.#advance(count, transaction);
    return batch.length;
  }

  /** Records of a transaction have the sequences of its own producer. */
  #advance(count: number, transaction: Transaction | null): void {
    this.#cursor.offset += count;
    if (!transaction) this.#cursor.sequence = (this.#cursor.sequence + count) % SEQUENCES;
  }
}

/** The producer fields of a batch of ours: epoch 0 for ever (exactness.md rule 2); none where `producerId` is −1. */
export function producerOf(producerId: number, sequence: number): BatchProducer {
  if (producerId < 0) return { producerId: -1, producerEpoch: -1, baseSequence: -1 };
  return { producerId, producerEpoch: 0, baseSequence: sequence };
}

/** Times in nanoseconds are beyond 2^53, and what cannot be written anew as it was passes through. */
function hasExactTimes(buffer: Buffer, at: number): boolean {
  return [BASE_TIMESTAMP_AT, MAX_TIMESTAMP_AT].every((field) => {
    const high = buffer.readInt32BE(at + field);
    return high >= -EXACT_HIGH && high < EXACT_HIGH;
  });
}

/** maxTimestamp as it stands, without the check for exactness: passing bytes through must not depend on what they say. */
function newestTimestampOf(buffer: Buffer, at: number): number {
  return buffer.readInt32BE(at + MAX_TIMESTAMP_AT) * 2 ** 32 + buffer.readUInt32BE(at + MAX_TIMESTAMP_AT + 4);
}

interface Transaction {
  readonly producerId: number;
}

interface SmallRun {
  readonly frame: Frame;
  readonly transaction: Transaction | null;
  readonly codec: Codec;
  readonly reason: 'merged' | 'append-time';
  readonly batches: { at: number; size: number }[];
  bytes: number;
  readonly nextOffset: number;
}

/**
 * Which transactional batches of one fetch response were aborted. The leader lists every aborted transaction that touches the
 * response, so the state begins anew with each (as in Fetcher's consumer of the Java client).
 */
export class AbortedTransactions {
  readonly #listed: FetchedPartition['aborted'];
  /** How many of them have begun. */
  #begun = 0;
  readonly #active = new Set<number>();

  constructor(listed: FetchedPartition['aborted']) {
    this.#listed = listed.toSorted((a, b) => a.firstOffset - b.firstOffset);
  }

  /** True when the transaction of `producerId` that a batch ending at `lastOffset` belongs to was aborted. */
  covers(producerId: number, lastOffset: number): boolean {
    for (; this.#begun < this.#listed.length && this.#listed[this.#begun]!.firstOffset <= lastOffset; this.#begun++)
      this.#active.add(this.#listed[this.#begun]!.producerId);
    return this.#active.has(producerId);
  }

  /**
   * A marker of `producerId` was met: its transaction, aborted or not, ends here. The batches of an aborted one may all be
   * compacted away, so what is listed up to here is taken in first: it must not fall on the producer's next transaction.
   */
  end(producerId: number, offset: number): void {
    this.covers(producerId, offset);
    this.#active.delete(producerId);
  }
}
