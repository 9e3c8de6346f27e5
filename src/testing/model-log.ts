/**
 * A partition of a target broker, as small as it can be and still refuse what Kafka refuses (ProducerAppendInfo,
 * ProducerStateEntry, LogValidator): other bytes than the CRC says, control and inner gaps, sequences out of order. What it
 * holds is read back with the decoder of the checker, which shares no code with the mirror.
 */
import { assert, must } from '#util/assert.ts';
import { controlBatch } from './source-batches.ts';
import { parseBatches, type RawBatch, type RawRecord } from './raw-batch.ts';

const BATCHES_REMEMBERED = 5;
const SEQUENCES = 2 ** 31;
const BASE_SEQUENCE_AT = 53;
const CORRUPT_MESSAGE = 2;
const INVALID_RECORD = 87;
const OUT_OF_ORDER_SEQUENCE_NUMBER = 45;
const INVALID_PRODUCER_EPOCH = 47;
const TRANSACTION_COORDINATOR_FENCED = 52;

export interface ModelProducer {
  readonly producerId: number;
  producerEpoch: number;
  lastSequence: number;
  lastTimestamp: number;
  coordinatorEpoch: number;
  /** −1 when it has no open transaction. */
  currentTxnStartOffset: number;
  readonly last: { readonly sequence: number; readonly lastSequence: number; readonly baseOffset: number }[];
}

export class ModelLog {
  readonly batches: Buffer[] = [];
  readonly producers = new Map<number, ModelProducer>();
  leaderEpoch = 0;
  logStart = 0;
  end = 0;
  refusals = 0;
  /** [epoch, its first offset] of the leaders that have appended. */
  readonly #epochs: [epoch: number, from: number][] = [];
  /** The lowest sequence with which somebody has asked to take part, until it does (VerificationStateEntry). */
  readonly #asked = new Map<number, { producerEpoch: number; sequence: number }>();
  readonly #ended: { producerId: number; first: number; end: number; isCommit: boolean }[] = [];

  /**
   * What a produce request of this one batch is answered with; `isTransactional` when the request names a transactional id,
   * `isImplicit` when it lets the partition take part: then an unknown producer has to begin at 0 (ProducerAppendInfo.checkSequence).
   */
  append(
    bytes: Buffer,
    options: { isTransactional?: boolean; isImplicit?: boolean } = {},
  ): { errorCode: number; baseOffset: number } {
    const errorCode = this.#check(bytes, options.isTransactional ?? false);
    if (errorCode !== 0) return this.#refuse(errorCode);
    const [batch] = parseBatches(bytes);
    const count = batch!.recordCount;
    const lastSequence = (batch!.baseSequence + count - 1) % SEQUENCES;
    if (batch!.producerId >= 0) {
      const known = this.producers.get(batch!.producerId);
      if (options.isImplicit && !known && batch!.baseSequence !== 0) return this.#refuse(OUT_OF_ORDER_SEQUENCE_NUMBER);
      const isNewEpoch = batch!.producerEpoch > (known?.producerEpoch ?? -1);
      if (known && known.producerEpoch > batch!.producerEpoch) return this.#refuse(INVALID_PRODUCER_EPOCH);
      if (known && isNewEpoch) {
        if (batch!.baseSequence !== 0) return this.#refuse(OUT_OF_ORDER_SEQUENCE_NUMBER);
        this.#forget(known, batch!.producerEpoch);
      }
      const again = known?.last.find(
        (each) => each.sequence === batch!.baseSequence && each.lastSequence === lastSequence,
      );
      if (again) return { errorCode: 0, baseOffset: again.baseOffset };
      const asked = options.isTransactional ? this.#asked.get(batch!.producerId) : undefined;
      if (asked && batch!.baseSequence > asked.sequence) return this.#refuse(OUT_OF_ORDER_SEQUENCE_NUMBER);
      if (known && batch!.baseSequence !== (known.lastSequence + 1) % SEQUENCES)
        return this.#refuse(OUT_OF_ORDER_SEQUENCE_NUMBER);
    }
    const baseOffset = this.#store(bytes, count);
    if (options.isTransactional) this.#asked.delete(batch!.producerId);
    if (batch!.producerId >= 0) {
      const state = this.#producer(batch!.producerId);
      state.producerEpoch = batch!.producerEpoch;
      state.lastSequence = lastSequence;
      state.lastTimestamp = batch!.maxTimestamp;
      if (options.isTransactional && state.currentTxnStartOffset < 0) state.currentTxnStartOffset = baseOffset;
      state.last.push({ sequence: batch!.baseSequence, lastSequence, baseOffset });
      if (state.last.length > BATCHES_REMEMBERED) state.last.shift();
    }
    return { errorCode: 0, baseOffset };
  }

  /** Markers of a producer, aborts by default; one whose coordinator is older than the last seen is refused. */
  appendMarkers(producerId: number, coordinatorEpoch: number, count: number, isCommit = false): number {
    const state = this.#producer(producerId);
    if (coordinatorEpoch < state.coordinatorEpoch) return TRANSACTION_COORDINATOR_FENCED;
    state.coordinatorEpoch = coordinatorEpoch;
    for (let i = 0; i < count; i++) this.#store(controlBatch({ baseOffset: 0, producerId, isCommit }), 1);
    return 0;
  }

  /** The marker that ends a transaction, as its coordinator writes it: a higher epoch than before begins its sequences anew. */
  appendEnd(
    producer: { readonly producerId: number; readonly producerEpoch: number },
    isCommit: boolean,
    isImplicit = false,
  ): number {
    const state = this.#producer(producer.producerId);
    if (state.currentTxnStartOffset >= 0)
      this.#ended.push({ ...producer, first: state.currentTxnStartOffset, end: this.end, isCommit });
    if (producer.producerEpoch > state.producerEpoch) this.#forget(state, producer.producerEpoch);
    state.currentTxnStartOffset = -1;
    // with KIP-890 who asks under the epoch of the marker is already the next one (UnifiedLog.updateProducers)
    const isNext = isImplicit && this.#asked.get(producer.producerId)?.producerEpoch === producer.producerEpoch;
    if (!isNext) this.#asked.delete(producer.producerId);
    state.coordinatorEpoch = Math.max(state.coordinatorEpoch, 0); // of a coordinator that has never moved
    const { producerId, producerEpoch } = producer;
    return this.#store(controlBatch({ baseOffset: 0, producerId, producerEpoch, isCommit }), 1);
  }

  /**
   * Of a batch of who has nothing open, before the coordinator is asked about it: an epoch older than the log's is refused
   * at once (UnifiedLog.maybeStartTransactionVerification).
   */
  askToTakePart(producer: { readonly producerId: number; readonly producerEpoch: number }, batch: Buffer): number {
    const { producerId, producerEpoch } = producer;
    if ((this.producers.get(producerId)?.producerEpoch ?? -1) > producerEpoch) return INVALID_PRODUCER_EPOCH;
    const sequence = batch.readInt32BE(BASE_SEQUENCE_AT);
    const asked = this.#asked.get(producerId);
    const isLower = asked?.producerEpoch === producerEpoch && sequence < asked.sequence;
    if (!asked || producerEpoch > asked.producerEpoch || isLower)
      this.#asked.set(producerId, { producerEpoch, sequence });
    return 0;
  }

  /** UnifiedLog.hasOngoingTransaction: under this very epoch. */
  isOpen({ producerId, producerEpoch }: { readonly producerId: number; readonly producerEpoch: number }): boolean {
    const state = this.producers.get(producerId);
    return state !== undefined && state.currentTxnStartOffset >= 0 && state.producerEpoch === producerEpoch;
  }

  /**
   * Everything below it is decided. Where records of what is open were deleted, it is the base offset of the batch that holds
   * the first offset left, below the log's start if that is inside (UnifiedLog.maybeIncrementFirstUnstableOffset).
   */
  get stableOffset(): number {
    const open = [...this.producers.values()].map((state) => state.currentTxnStartOffset).filter((each) => each >= 0);
    const stable = Math.min(this.end, ...open);
    if (stable >= this.logStart) return stable;
    const [holding] = this.batches;
    return holding ? Number(holding.readBigInt64BE(0)) : this.end;
  }

  /**
   * What a fetch at read_committed of [from, to) lists as aborted: nothing where there is nothing to read, else also what begins
   * behind `to`, up to the next entry of the offset index, of which this log has none (LocalLog.read, addAbortedTransactions).
   */
  aborted(from: number, to: number): { producerId: number; firstOffset: number }[] {
    if (from >= to) return [];
    return this.#ended
      .filter(({ end, isCommit }) => !isCommit && end >= from)
      .map(({ producerId, first }) => ({ producerId, firstOffset: first }));
  }

  /** Where a leader epoch ends, as LeaderEpochFileCache.endOffsetFor answers; −1 and −1 where it is not known. */
  endOfEpoch(epoch: number): { leaderEpoch: number; endOffset: number } {
    if (epoch > this.leaderEpoch) return { leaderEpoch: -1, endOffset: -1 };
    if (this.#epochs.length === 0 || epoch === this.leaderEpoch) return { leaderEpoch: epoch, endOffset: this.end };
    const next = this.#epochs.find(([each]) => each > epoch);
    if (!next) {
      const isLatest = this.#epochs.at(-1)?.[0] === epoch;
      return isLatest ? { leaderEpoch: epoch, endOffset: this.end } : { leaderEpoch: -1, endOffset: -1 };
    }
    const floor = this.#epochs.findLast(([each]) => each <= epoch);
    return { leaderEpoch: floor ? floor[0] : epoch, endOffset: next[1] };
  }

  /** What an unclean election does: a new leader, whose log ends at `offset`, the base of a batch or the end. Not played with producers. */
  truncate(offset: number): void {
    assert(this.producers.size === 0, 'a log without producers is truncated');
    while (this.batches.length > 0 && lastOffsetOf(must(this.batches.at(-1), 'batch')) >= offset) this.batches.pop();
    this.end = offset;
    this.leaderEpoch++;
    while ((this.#epochs.at(-1)?.[1] ?? -1) >= offset) this.#epochs.pop();
  }

  deleteBefore(offset: number): void {
    this.logStart = Math.max(this.logStart, offset);
    while (this.batches.length > 0 && lastOffsetOf(this.batches[0]!) < this.logStart) this.batches.shift();
  }

  /** From the batch that holds `offset` or comes next, whole batches below `end` until `maxBytes` are exceeded; at least one. */
  read(offset: number, maxBytes: number, end = Infinity): Buffer {
    const found: Buffer[] = [];
    let bytes = 0;
    for (const batch of this.batches) {
      if (lastOffsetOf(batch) < offset) continue;
      if (lastOffsetOf(batch) >= end) break;
      if (found.length > 0 && bytes + batch.length > maxBytes) break;
      found.push(batch);
      bytes += batch.length;
    }
    return Buffer.concat(found);
  }

  parsed(): RawBatch[] {
    return parseBatches(Buffer.concat(this.batches));
  }

  /** What a reader gets: without control records. */
  records(): RawRecord[] {
    return this.parsed().flatMap((batch) => (batch.isControl ? [] : [...batch.records()]));
  }

  /** What a reader at read_committed gets. */
  committedRecords(): RawRecord[] {
    const isAborted = (batch: RawBatch): boolean =>
      this.#ended.some(
        ({ producerId, first, end, isCommit }) =>
          !isCommit && batch.producerId === producerId && batch.baseOffset >= first && batch.baseOffset < end,
      );
    const stable = this.stableOffset;
    return this.parsed()
      .filter((batch) => !batch.isControl && batch.baseOffset < stable)
      .flatMap((batch) => (batch.isTransactional && isAborted(batch) ? [] : [...batch.records()]));
  }

  #check(bytes: Buffer, isTransactional: boolean): number {
    let batches: RawBatch[];
    try {
      batches = parseBatches(bytes);
    } catch {
      return CORRUPT_MESSAGE;
    }
    const [batch] = batches;
    if (batches.length !== 1 || !batch || batch.bytes !== bytes.length) return INVALID_RECORD;
    const offsets = [...batch.records()].map(({ offset }) => offset);
    const isDense =
      offsets.length > 0 && batch.lastOffset === offsets.length - 1 && offsets.every((offset, i) => offset === i);
    const isPlain =
      batch.baseOffset === 0 &&
      !batch.isControl &&
      batch.isTransactional === isTransactional &&
      !batch.isLogAppendTime &&
      !batch.hasDeleteHorizon;
    return isDense && isPlain ? 0 : INVALID_RECORD;
  }

  #store(bytes: Buffer, count: number): number {
    const stored = Buffer.from(bytes);
    const baseOffset = this.end;
    if ((this.#epochs.at(-1)?.[0] ?? -1) < this.leaderEpoch) this.#epochs.push([this.leaderEpoch, baseOffset]);
    stored.writeBigInt64BE(BigInt(baseOffset), 0);
    stored.writeInt32BE(this.leaderEpoch, 12);
    this.batches.push(stored);
    this.end += count;
    return baseOffset;
  }

  #producer(producerId: number): ModelProducer {
    let state = this.producers.get(producerId);
    if (!state) {
      state = {
        producerId,
        producerEpoch: 0,
        lastSequence: -1,
        lastTimestamp: -1,
        coordinatorEpoch: -1,
        currentTxnStartOffset: -1,
        last: [],
      };
      this.producers.set(producerId, state);
    }
    return state;
  }

  #forget(state: ModelProducer, producerEpoch: number): void {
    state.producerEpoch = producerEpoch;
    state.lastSequence = -1;
    state.last.length = 0;
  }

  #refuse(errorCode: number): { errorCode: number; baseOffset: number } {
    this.refusals++;
    return { errorCode, baseOffset: -1 };
  }
}

function lastOffsetOf(batch: Buffer): number {
  return Number(batch.readBigInt64BE(0)) + batch.readInt32BE(23);
}
