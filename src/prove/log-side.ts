/**
 * One side of a comparison: the raw batches of a partition in the order of their offsets, with what became of each offset
 * (a record, a control record, a record of an aborted transaction, nothing). The next answer is on its way while one is
 * looked at, so a side holds two frames at most.
 */
import { must } from '#util/assert.ts';
import { AppError } from '#contract/errors.ts';
import type { Dispositions } from '#contract/verification.ts';
import { BrokerError, MalformedBatchError } from '#kafka/errors.ts';
import type { FetchedLog } from '#kafka/fetch-log.ts';
import {
  ATTRIBUTE_CONTROL,
  ATTRIBUTE_LOG_APPEND_TIME,
  ATTRIBUTE_TRANSACTIONAL,
  BATCH_HEADER_BYTES,
  attributesOf,
  baseOffsetOf,
  baseTimestampOf,
  batchAt,
  checkBatchCrc,
  codecOf,
  lastOffsetOf,
  maxTimestampOf,
  producerIdOf,
  recordCountOf,
} from '#kafka/records/batch-header.ts';
import { decompress } from '#kafka/records/compression.ts';
import { RecordCursor } from './record-cursor.ts';

const OFFSET_OUT_OF_RANGE = 1;
/** As much as the mirror opens at most. */
const BODY_BYTES_MAX = 256 * 1024 * 1024;
/** So many answers without a batch, none of them held back by a quota, say that nothing is there. */
const EMPTY_ANSWERS = 3;
/** A new leader shows its watermark a little later; each answer takes 100 ms. */
const BEHIND_END_ANSWERS = 100;

export interface LogBounds {
  readonly start: number;
  /** Last stable offset. */
  readonly stable: number;
  /** High watermark. */
  readonly end: number;
}

/** A partition of one cluster, as the verifier reads it. */
export interface PartitionLog {
  bounds(): Promise<LogBounds>;
  /** Throws KafkaError; OFFSET_OUT_OF_RANGE (1) when `offset` is not in the log. */
  fetch(offset: number): Promise<FetchedLog>;
}

export interface LogBatch {
  readonly buffer: Buffer;
  readonly at: number;
  readonly size: number;
  readonly base: number;
  readonly last: number;
  readonly count: number;
  readonly kind: 'data' | 'aborted' | 'control';
}

/** Offsets [from, to) that retention took while they were waited for. */
export interface LostPart {
  readonly from: number;
  readonly to: number;
}

/** A batch that cannot be read, also when it is fetched again. */
export class DamagedBatchError extends Error {
  readonly offset: number;

  constructor(offset: number, cause: Error) {
    super(cause.message, { cause });
    this.offset = offset;
  }
}

export class LogSide {
  /** What is looked at; null before `step`, and behind the end. */
  batch: LogBatch | null = null;
  isEnded = false;
  /** Of the record at hand; −1 while no record is open. */
  offset = -1;
  records: RecordCursor | null = null;
  /** Data records and offsets of control and aborted ones met in the range. */
  readonly seen = { data: 0, aborted: 0, control: 0 };
  readonly lost: LostPart[] = [];
  readonly #log: PartitionLog;
  /** Below it nothing is looked at: the beginning of the range, or the log start where that has passed it. */
  #from: number;
  readonly #to: number;
  /** The next offset to account for. */
  #position: number;
  #answer: FetchedLog | null = null;
  #next: Promise<FetchedLog> | null = null;
  #at = 0;
  #aborted = new AbortedRanges([]);
  #isEmpty = false;
  #damagedAt = -1;
  #timestampBase = 0;
  #appendTime: number | null = null;
  #skipped: { base: number; last: number; kind: LogBatch['kind'] }[] = [];

  /** Offsets [from, to) of `log`. */
  constructor(log: PartitionLog, range: { from: number; to: number }) {
    this.#log = log;
    this.#from = this.#position = range.from;
    this.#to = range.to;
  }

  /** Moves to the next batch that reaches into the range, if it has come already. */
  step(): boolean {
    this.batch = null;
    this.#close();
    if (this.isEnded || this.#position >= this.#to) return this.#end();
    const answer = this.#answer;
    if (!answer) return false;
    const { buffer } = answer.frame;
    for (;;) {
      const size = this.#untilDamage(() => batchAt(buffer, this.#at, answer.fetched.end));
      if (size === 0) return false;
      const at = this.#at;
      const batch = this.#untilDamage(() => this.#batchAt(buffer, at, size));
      if (batch.base >= this.#to) return this.#end();
      this.#at += size;
      if (batch.last < this.#position) continue;
      this.batch = batch;
      this.#position = batch.last + 1;
      return true;
    }
  }

  /** Moves to the next batch or the end. Throws KafkaError, DamagedBatchError, and AppError where the log has become shorter. */
  async advance(): Promise<void> {
    let empty = 0;
    let behindEnd = 0;
    for (;;) {
      try {
        if (this.step()) return;
      } catch (error) {
        if (!(error instanceof DamagedBatchError) || this.wasReloaded(error.offset)) throw error;
        await this.reload(error.offset);
      }
      if (empty === EMPTY_ANSWERS) return void this.#end();
      await this.#fetch();
      if (!this.#isEmpty || !this.#answer || this.#answer.isThrottled) continue;
      const stable = this.#answer.fetched.lastStableOffset;
      if (stable > this.#position) empty++;
      else if (++behindEnd === BEHIND_END_ANSWERS) throw endsBefore(stable, this.#position);
    }
  }

  /** Fetches from `offset` anew, once: damage on the way passes, damage on the disk stays. */
  async reload(offset: number): Promise<void> {
    this.#damagedAt = offset;
    this.batch = null;
    this.#close();
    await this.#drop();
    this.#position = Math.max(offset, this.#from);
  }

  /** Whether bytes at `offset` were damaged before and have been fetched again. */
  wasReloaded(offset: number): boolean {
    return this.#damagedAt === offset;
  }

  /** Nothing below `offset` is looked at any more. */
  async seek(offset: number): Promise<void> {
    this.batch = null;
    this.#close();
    await this.#drop();
    this.#position = this.#from = Math.max(this.#position, offset);
  }

  /** Whether the batch lies within the range as a whole, so that its header says all about it. */
  get isWhole(): boolean {
    const { base, last } = must(this.batch, 'batch');
    return base >= this.#from && last < this.#to;
  }

  /** Done with the batch at hand. */
  leave(): void {
    this.batch = null;
    this.#close();
  }

  /** Takes the whole batch at hand for records that were looked at. */
  take(): void {
    const { kind, count } = must(this.batch, 'batch');
    if (kind === 'aborted') this.seen.aborted += count;
    else this.seen.data += count;
    this.leave();
  }

  /** Takes the batch at hand for what holds no record to compare. */
  skip(): void {
    const { base, last, kind, count } = must(this.batch, 'batch');
    const within = Math.min(last + 1, this.#to) - Math.max(base, this.#from);
    if (kind === 'control') this.seen.control += within;
    else if (kind === 'aborted') this.seen.aborted += Math.min(within, count);
    const before = this.#skipped.at(-1);
    if (before && before.kind === kind && before.last + 1 === base) before.last = last;
    else this.#skipped.push({ base, last, kind });
    if (this.#skipped.length > SKIPPED_KEPT) this.#skipped.shift();
    this.leave();
  }

  /** What stands at an offset without a record to compare; null for nothing, or for longer ago than is remembered. */
  kindAt(offset: number): LogBatch['kind'] | null {
    return this.#skipped.find(({ base, last }) => base <= offset && offset <= last)?.kind ?? null;
  }

  /** Opens the batch at hand at its first record in the range; false where it has none. Throws DamagedBatchError. */
  open(): boolean {
    const { buffer, at, size, count, base } = must(this.batch, 'batch');
    return this.#untilDamage(() => {
      this.#checkCrc(buffer, at);
      const codec = codecOf(buffer, at);
      const packed = buffer.subarray(at + BATCH_HEADER_BYTES, at + size);
      const body = count === 0 ? packed : decompress(codec, packed, { outputBytesMax: BODY_BYTES_MAX });
      this.#timestampBase = baseTimestampOf(buffer, at);
      this.#appendTime =
        (attributesOf(buffer, at) & ATTRIBUTE_LOG_APPEND_TIME) === 0 ? null : maxTimestampOf(buffer, at);
      this.records = new RecordCursor(body, { at: 0, end: body.length, count });
      this.offset = base - 1;
      return this.nextRecord();
    });
  }

  /** Moves to the next record of the opened batch that lies in the range. Throws DamagedBatchError. */
  nextRecord(): boolean {
    const records = must(this.records, 'opened batch');
    const { base, last, kind } = must(this.batch, 'batch');
    return this.#untilDamage(() => {
      while (records.next()) {
        const offset = base + records.offsetDelta;
        if (offset > last) throw new MalformedBatchError('a record lies behind the last offset of its batch');
        if (offset < this.#from) continue;
        if (offset >= this.#to) break;
        this.offset = offset;
        if (kind === 'aborted') this.seen.aborted++;
        else this.seen.data++;
        return true;
      }
      this.#close();
      return false;
    });
  }

  /** Milliseconds, as readers see the time of the record at hand. */
  get timestamp(): number {
    return this.#appendTime ?? this.producerTimestamp;
  }

  /** As its producer wrote it, also where the broker has put its own over it. */
  get producerTimestamp(): number {
    return this.#timestampBase + must(this.records, 'record').timestampDelta;
  }

  /** Throws DamagedBatchError. */
  checkCrc(): void {
    const { buffer, at } = must(this.batch, 'batch');
    this.#untilDamage(() => this.#checkCrc(buffer, at));
  }

  /** `from` to `to`, after everything was met. */
  dispositions(range: { from: number; to: number }): Dispositions {
    const { data, aborted, control } = this.seen;
    const lost = this.lost.reduce((sum, { from, to }) => sum + to - from, 0);
    return { aborted, control, absent: Math.max(0, range.to - range.from - lost - data - aborted - control) };
  }

  async close(): Promise<void> {
    this.batch = null;
    this.#close();
    await this.#drop();
  }

  #checkCrc(buffer: Buffer, at: number): void {
    if (!checkBatchCrc(buffer, at)) throw new MalformedBatchError('its CRC does not match its bytes');
  }

  #close(): void {
    this.records = null;
    this.offset = -1;
  }

  #end(): boolean {
    this.isEnded = true;
    this.batch = null;
    return true;
  }

  #batchAt(buffer: Buffer, at: number, size: number): LogBatch {
    const base = baseOffsetOf(buffer, at);
    const last = lastOffsetOf(buffer, at);
    const attributes = attributesOf(buffer, at);
    const producerId = producerIdOf(buffer, at);
    const count = recordCountOf(buffer, at);
    let kind: LogBatch['kind'] = 'data';
    if (attributes & ATTRIBUTE_CONTROL) {
      kind = 'control';
      this.#aborted.end(producerId, last);
    } else if (attributes & ATTRIBUTE_TRANSACTIONAL && this.#aborted.covers(producerId, last)) kind = 'aborted';
    return { buffer, at, size, base, last, count, kind };
  }

  async #fetch(): Promise<void> {
    const next = this.#next ?? this.#log.fetch(this.#position);
    this.#next = null;
    this.#answer?.frame.release();
    this.#answer = null;
    let answer: FetchedLog;
    try {
      answer = await next;
    } catch (error) {
      if (!(error instanceof BrokerError) || error.code !== OFFSET_OUT_OF_RANGE) throw error;
      return this.#retention(error);
    }
    this.#answer = answer;
    this.#at = answer.fetched.start;
    this.#aborted = new AbortedRanges(answer.fetched.aborted);
    this.#prefetch(answer);
  }

  /** Asks for what follows the answer while it is looked at. */
  #prefetch({ frame, fetched }: FetchedLog): void {
    this.#isEmpty = false;
    let behind = -1;
    try {
      for (let at = fetched.start, size = 0; (size = batchAt(frame.buffer, at, fetched.end)) > 0; at += size)
        behind = lastOffsetOf(frame.buffer, at) + 1;
    } catch (error) {
      if (error instanceof MalformedBatchError) return; // it is met again where it is looked at
      throw error;
    }
    this.#isEmpty = behind < 0;
    if (behind < 0 || behind >= this.#to) return;
    const next = this.#log.fetch(behind);
    next.catch(() => {}); // told to who waits for it
    this.#next = next;
  }

  /** The log starts later than we stand: what is between is lost to us. Ends the side where it ends before, too. */
  async #retention(error: BrokerError): Promise<void> {
    const { start } = await this.#log.bounds();
    if (start <= this.#position) throw error; // the log ends before: truncated, or another leader
    const to = Math.min(start, this.#to);
    this.lost.push({ from: this.#position, to });
    this.#position = this.#from = to;
    if (to >= this.#to) this.#end();
  }

  async #drop(): Promise<void> {
    this.#answer?.frame.release();
    this.#answer = null;
    const next = this.#next;
    this.#next = null;
    if (next)
      await next.then(
        ({ frame }) => frame.release(),
        () => {}, // nobody waits for it any more
      );
  }

  #untilDamage<T>(action: () => T): T {
    try {
      return action();
    } catch (error) {
      if (!(error instanceof MalformedBatchError)) throw error;
      throw new DamagedBatchError(this.batch?.base ?? this.#position, error);
    }
  }
}

function endsBefore(stable: number, position: number): AppError {
  return new AppError(
    'CLUSTER_ANSWER_INVALID',
    `its log ends at offset ${stable} now, and reached ${position} before`,
    {
      nextStep: 'Look for an unclean election or a truncation in the logs of the brokers, then verify again.',
    },
  );
}

/** Runs of batches without records that are remembered, to say what stands where the other side has one. */
const SKIPPED_KEPT = 64;

/**
 * Which batches of an answer belong to aborted transactions. The leader lists all of those that touch it by producer and
 * first offset; one ends at the next control record of its producer (KIP-98).
 */
class AbortedRanges {
  readonly #listed: { readonly producerId: number; readonly firstOffset: number }[];
  readonly #open = new Set<number>();

  constructor(listed: FetchedLog['fetched']['aborted']) {
    this.#listed = listed.toSorted((a, b) => b.firstOffset - a.firstOffset); // the next one last
  }

  covers(producerId: number, offset: number): boolean {
    for (let next = this.#listed.at(-1); next && next.firstOffset <= offset; next = this.#listed.at(-1)) {
      this.#open.add(next.producerId);
      this.#listed.pop();
    }
    return this.#open.has(producerId);
  }

  end(producerId: number, offset: number): void {
    this.covers(producerId, offset);
    this.#open.delete(producerId);
  }
}
