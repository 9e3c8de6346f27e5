/**
 * A batch whose records can be reached. A record, behind its length (all numbers zig-zag varints but the attributes):
 *   attributes int8 · timestampDelta · offsetDelta · key length (−1 null) · key · value length (−1 null) · value ·
 *   header count · per header: key length · key · value length (−1 null) · value
 * Opening walks through all of them once, so that everything behind it may believe the bytes. Nothing is copied:
 * an uncompressed batch is read where it lies, and is valid as long as the buffer is.
 */
import { MalformedBatchError } from '../errors.ts';
import {
  ATTRIBUTE_LOG_APPEND_TIME,
  BATCH_HEADER_BYTES,
  attributesOf,
  baseOffsetOf,
  baseTimestampOf,
  batchAt,
  checkBatchCrc,
  codecOf,
  lastOffsetDeltaOf,
  maxTimestampOf,
  recordCountOf,
} from './batch-header.ts';
import type { Codec } from './batch-header.ts';
import { decompress } from './compression.ts';
import { VarintCursor } from './varint.ts';

/** Keys are bytes: brokers do not check that they are UTF-8, and the same key may come twice. */
export interface RecordHeader {
  readonly key: Buffer;
  readonly value: Buffer | null;
}

/** Key, value and headers are slices of the batch. */
export interface BatchRecord {
  readonly offset: number;
  /** Milliseconds; −1 where the producer gave none. */
  readonly timestamp: number;
  readonly key: Buffer | null;
  readonly value: Buffer | null;
  readonly headers: readonly RecordHeader[];
}

/**
 * A producer's batch is 1 MB by default after compression, and repetitive data shrinks to a hundredth and less; beyond this
 * we rather stop than be killed for the memory.
 */
const BODY_BYTES_MAX = 256 * 1024 * 1024;

/** Length, attributes, two deltas, key length, value length and header count: one byte each at least. */
const RECORD_BYTES_MIN = 7;

/** Per record: where it ends, where its key length stands, its offset delta. */
const INDEX_INTS = 3;

/** Below this, a loop is faster than the call into the runtime that copies. Measured on Node 24. */
const COPY_BYTES_MIN = 24;

/** An opened batch; made by openBatch only. */
export class OpenBatch {
  readonly count: number;
  readonly baseOffset: number;
  readonly codec: Codec;
  /** All bits, as the header has them. */
  readonly attributes: number;
  readonly maxTimestamp: number;
  readonly #baseTimestamp: number;
  readonly #body: Buffer;
  readonly #bodyAt: number;
  readonly #index: Int32Array;

  constructor(buffer: Buffer, at: number, body: Buffer, options: { bodyAt: number; bodyEnd: number }) {
    this.count = recordCountOf(buffer, at);
    this.baseOffset = baseOffsetOf(buffer, at);
    this.codec = codecOf(buffer, at);
    this.attributes = attributesOf(buffer, at);
    this.maxTimestamp = maxTimestampOf(buffer, at);
    this.#baseTimestamp = baseTimestampOf(buffer, at);
    this.#body = body;
    this.#bodyAt = options.bodyAt;
    this.#index = indexRecords(new VarintCursor(body, options.bodyAt, options.bodyEnd), {
      count: this.count,
      lastOffsetDelta: lastOffsetDeltaOf(buffer, at),
      baseTimestamp: this.#baseTimestamp,
    });
  }

  /** Offset in the partition of record `i` (0..count-1). */
  offsetOf(i: number): number {
    return this.baseOffset + this.#index[i * INDEX_INTS + 2]!;
  }

  /** Milliseconds. All records of a LogAppendTime batch have the batch's maxTimestamp, as Kafka's own reader has it. */
  timestampOf(i: number): number {
    if ((this.attributes & ATTRIBUTE_LOG_APPEND_TIME) !== 0) return this.maxTimestamp;
    const cursor = this.#cursorAt(this.#startOf(i), i);
    cursor.int32();
    cursor.byte();
    return this.#baseTimestamp + cursor.safeInt64();
  }

  /** Bytes that record `i` takes in the uncompressed batch, its length field included. */
  recordBytes(i: number): number {
    return this.#index[i * INDEX_INTS]! - this.#startOf(i);
  }

  recordAt(i: number): BatchRecord {
    const cursor = this.#cursorAt(this.#index[i * INDEX_INTS + 1]!, i);
    return {
      offset: this.offsetOf(i),
      timestamp: this.timestampOf(i),
      key: this.#bytesAt(cursor),
      value: this.#bytesAt(cursor),
      headers: Array.from({ length: cursor.int32() }, () => ({
        key: this.#bytesAt(cursor)!,
        value: this.#bytesAt(cursor),
      })),
    };
  }

  /** Bytes of key, value and headers of record `i` as they stand behind its offset delta. */
  contentBytes(i: number): number {
    return this.#index[i * INDEX_INTS]! - this.#index[i * INDEX_INTS + 1]!;
  }

  /** Copies what contentBytes counts to `target` at `at`, where the caller has made room. */
  copyContent(i: number, target: Buffer, at: number): void {
    const from = this.#index[i * INDEX_INTS + 1]!;
    const to = this.#index[i * INDEX_INTS]!;
    if (to - from >= COPY_BYTES_MIN) {
      this.#body.copy(target, at, from, to);
      return;
    }
    const body = this.#body;
    for (let k = from, t = at; k < to; k++, t++) target[t] = body[k]!;
  }

  #startOf(i: number): number {
    return i === 0 ? this.#bodyAt : this.#index[(i - 1) * INDEX_INTS]!;
  }

  #cursorAt(at: number, i: number): VarintCursor {
    return new VarintCursor(this.#body, at, this.#index[i * INDEX_INTS]!);
  }

  #bytesAt(cursor: VarintCursor): Buffer | null {
    const size = cursor.int32();
    if (size < 0) return null;
    cursor.skip(size);
    return this.#body.subarray(cursor.at - size, cursor.at);
  }
}

/**
 * Opens the batch at `at` of `buffer`: checks its CRC (unless `checkCrc` is false), decompresses up to `bodyBytesMax`
 * bytes (256 MiB) and finds its records. A batch that compaction has emptied has count 0.
 * Throws MalformedBatchError, with the base offset, on everything that is not as message format v2 has it.
 */
export function openBatch(
  buffer: Buffer,
  at: number,
  options: { bodyBytesMax?: number; checkCrc?: boolean } = {},
): OpenBatch {
  const size = batchAt(buffer, at, buffer.length);
  if (size === 0) throw new MalformedBatchError('a record batch is cut off');
  try {
    if (options.checkCrc !== false && !checkBatchCrc(buffer, at))
      throw new MalformedBatchError('its CRC does not match its bytes');
    const codec = codecOf(buffer, at);
    if (codec === 0 || size === BATCH_HEADER_BYTES) {
      return new OpenBatch(buffer, at, buffer, { bodyAt: at + BATCH_HEADER_BYTES, bodyEnd: at + size });
    }
    const compressed = buffer.subarray(at + BATCH_HEADER_BYTES, at + size);
    const body = decompress(codec, compressed, { outputBytesMax: options.bodyBytesMax ?? BODY_BYTES_MAX });
    return new OpenBatch(buffer, at, body, { bodyAt: 0, bodyEnd: body.length });
  } catch (error) {
    if (!(error instanceof MalformedBatchError)) throw error;
    throw new MalformedBatchError(
      `the record batch at offset ${baseOffsetOf(buffer, at)} is damaged: ${error.message}`,
      {
        cause: error.cause,
      },
    );
  }
}

function indexRecords(
  cursor: VarintCursor,
  batch: { count: number; lastOffsetDelta: number; baseTimestamp: number },
): Int32Array {
  // Before memory is taken for it: the count is a field like any other.
  if (batch.count > (cursor.end - cursor.at) / RECORD_BYTES_MIN) {
    throw new MalformedBatchError(`${batch.count} records do not fit into ${cursor.end - cursor.at} bytes`);
  }
  const index = new Int32Array(batch.count * INDEX_INTS);
  let offsetDeltaMin = 0;
  for (let at = 0; at < index.length; at += INDEX_INTS) {
    const length = cursor.int32();
    const end = cursor.at + length;
    if (length < 0 || end > cursor.end) throw new MalformedBatchError('a record runs past the end');
    cursor.byte(); // attributes, unused in format v2
    if (!Number.isSafeInteger(batch.baseTimestamp + cursor.safeInt64()))
      throw new MalformedBatchError('a timestamp is beyond ±2^53');
    const offsetDelta = cursor.int32();
    if (offsetDelta < offsetDeltaMin || offsetDelta > batch.lastOffsetDelta) {
      throw new MalformedBatchError(
        `a record has offset delta ${offsetDelta}, not one of ${offsetDeltaMin} to ${batch.lastOffsetDelta}`,
      );
    }
    offsetDeltaMin = offsetDelta + 1;
    index[at] = end;
    index[at + 1] = cursor.at;
    index[at + 2] = offsetDelta;
    skipContent(cursor);
    if (cursor.at !== end) throw new MalformedBatchError('a record is not as long as it says');
  }
  if (cursor.at !== cursor.end)
    throw new MalformedBatchError(`${cursor.end - cursor.at} bytes stand behind the last record`);
  return index;
}

function skipContent(cursor: VarintCursor): void {
  skipNullable(cursor);
  skipNullable(cursor);
  const headerCount = cursor.int32();
  if (headerCount < 0) throw new MalformedBatchError(`a record has ${headerCount} headers`);
  for (let i = 0; i < headerCount; i++) {
    const keyBytes = cursor.int32();
    if (keyBytes < 0) throw new MalformedBatchError('a header has no key');
    cursor.skip(keyBytes);
    skipNullable(cursor);
  }
}

function skipNullable(cursor: VarintCursor): void {
  const size = cursor.int32();
  if (size < -1) throw new MalformedBatchError(`a field has ${size} bytes`);
  if (size > 0) cursor.skip(size);
}
