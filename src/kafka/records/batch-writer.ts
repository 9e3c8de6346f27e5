/**
 * Writes record batches that a broker takes from a producer: records with dense offset deltas, timestamps relative to the
 * first of them, CreateTime. Records are copied as they stand, only the numbers in front of their key change.
 */
import { assert } from '#util/assert.ts';
import { MalformedBatchError } from '../errors.ts';
import { ATTRIBUTE_TRANSACTIONAL, BATCH_HEADER_BYTES, writeBatchHeader } from './batch-header.ts';
import type { BatchProducer, Codec } from './batch-header.ts';
import { compress } from './compression.ts';
import type { OpenBatch, RecordHeader } from './open-batch.ts';
import { sizeOfInt32, sizeOfSafeInt64, writeInt32, writeSafeInt64 } from './varint.ts';

const CAPACITY_BYTES = 64 * 1024;

/** One batch after another: append…, finish, reset, append…. The buffer is kept, so a record costs no allocation. */
export class BatchWriter {
  readonly #initialCapacityBytes: number;
  #buffer: Buffer;
  #codec: Codec;
  #baseOffset: number;
  #at = BATCH_HEADER_BYTES;
  #count = 0;
  #baseTimestamp = -1;
  #maxTimestamp = -1;
  #finished = false;

  /** `capacityBytes` (64 KiB) is what is allocated at once; a batch may grow beyond it. */
  constructor(options: { codec: Codec; baseOffset: number; capacityBytes?: number }) {
    this.#initialCapacityBytes = Math.max(options.capacityBytes ?? CAPACITY_BYTES, BATCH_HEADER_BYTES);
    this.#buffer = Buffer.allocUnsafeSlow(this.#initialCapacityBytes);
    this.#codec = options.codec;
    this.#baseOffset = options.baseOffset;
  }

  /** Records so far. */
  get count(): number {
    return this.#count;
  }

  /** Bytes so far, header included, before compression. */
  get bytes(): number {
    return this.#at;
  }

  /** Bytes of memory that the writer holds. */
  get capacityBytes(): number {
    return this.#buffer.length;
  }

  /** The offset that the next record must have. */
  get nextOffset(): number {
    return this.#baseOffset + this.#count;
  }

  /** Begins the next batch. What finish returned before stays valid. */
  reset(options: { codec: Codec; baseOffset: number }): void {
    this.#codec = options.codec;
    this.#baseOffset = options.baseOffset;
    this.#at = BATCH_HEADER_BYTES;
    this.#count = 0;
    this.#finished = false;
    // One huge record must not cost its memory for as long as the partition is mirrored.
    if (this.#buffer.length > 4 * this.#initialCapacityBytes)
      this.#buffer = Buffer.allocUnsafeSlow(this.#initialCapacityBytes);
  }

  /** Copies record `index` of `batch`, whose offset is nextOffset, with its own timestamp or the one given. */
  append(batch: OpenBatch, index: number, timestamp = batch.timestampOf(index)): void {
    assert(
      batch.offsetOf(index) === this.nextOffset,
      'records are appended in the order of their offsets, without a hole',
    );
    const contentBytes = batch.contentBytes(index);
    const at = this.#beginRecord(timestamp, contentBytes);
    batch.copyContent(index, this.#buffer, at);
    this.#at = at + contentBytes;
  }

  /** Appends a record of our own; it gets nextOffset. */
  appendRecord(record: {
    timestamp: number;
    key: Uint8Array | null;
    value: Uint8Array | null;
    headers?: readonly RecordHeader[];
  }): void {
    const headers = record.headers ?? [];
    let contentBytes = sizeOfNullable(record.key) + sizeOfNullable(record.value) + sizeOfInt32(headers.length);
    for (const header of headers) contentBytes += sizeOfNullable(header.key) + sizeOfNullable(header.value);

    let at = this.#beginRecord(record.timestamp, contentBytes);
    at = writeNullable(this.#buffer, at, record.key);
    at = writeNullable(this.#buffer, at, record.value);
    at = writeInt32(this.#buffer, at, headers.length);
    for (const header of headers) {
      at = writeNullable(this.#buffer, at, header.key);
      at = writeNullable(this.#buffer, at, header.value);
    }
    this.#at = at;
  }

  /**
   * Returns the finished batch, in memory of its own. There is at least one record in it: brokers refuse empty batches.
   * After this the writer waits for reset. `isTransactional`: the batch belongs to a transaction of its producer.
   */
  finish(producer: BatchProducer, options: { readonly isTransactional?: boolean } = {}): Buffer {
    assert(this.#count > 0 && !this.#finished, 'a batch has records and is finished once');
    this.#finished = true;
    const records = this.#buffer.subarray(BATCH_HEADER_BYTES, this.#at);
    const body = compress(this.#codec, records);
    const batch = Buffer.allocUnsafeSlow(BATCH_HEADER_BYTES + body.length);
    body.copy(batch, BATCH_HEADER_BYTES);
    writeBatchHeader(batch, 0, batch.length, {
      attributes: this.#codec | (options.isTransactional ? ATTRIBUTE_TRANSACTIONAL : 0),
      lastOffsetDelta: this.#count - 1,
      baseTimestamp: this.#baseTimestamp,
      maxTimestamp: this.#maxTimestamp,
      producerId: producer.producerId,
      producerEpoch: producer.producerEpoch,
      baseSequence: producer.baseSequence,
      recordCount: this.#count,
    });
    return batch;
  }

  /** Makes room for a record and writes it up to its key; returns where its `contentBytes` belong. */
  #beginRecord(timestamp: number, contentBytes: number): number {
    assert(!this.#finished, 'a finished batch is reset before the next record');
    assert(Number.isSafeInteger(timestamp), 'a timestamp is a safe integer');
    const baseTimestamp = this.#count === 0 ? timestamp : this.#baseTimestamp;
    const timestampDelta = timestamp - baseTimestamp;
    if (!Number.isSafeInteger(timestampDelta)) {
      throw new MalformedBatchError(`timestamps ${baseTimestamp} and ${timestamp} are too far apart for one batch`);
    }
    const length = 1 + sizeOfSafeInt64(timestampDelta) + sizeOfInt32(this.#count) + contentBytes;
    this.#makeRoom(sizeOfInt32(length) + length);

    let at = writeInt32(this.#buffer, this.#at, length);
    this.#buffer[at++] = 0; // attributes, unused in format v2
    at = writeSafeInt64(this.#buffer, at, timestampDelta);
    at = writeInt32(this.#buffer, at, this.#count);
    this.#baseTimestamp = baseTimestamp;
    this.#maxTimestamp = this.#count === 0 ? timestamp : Math.max(timestamp, this.#maxTimestamp);
    this.#count += 1;
    return at;
  }

  #makeRoom(bytes: number): void {
    const needed = this.#at + bytes;
    if (needed <= this.#buffer.length) return;
    const grown = Buffer.allocUnsafeSlow(Math.max(needed, 2 * this.#buffer.length));
    this.#buffer.copy(grown, 0, 0, this.#at);
    this.#buffer = grown;
  }
}

function sizeOfNullable(bytes: Uint8Array | null): number {
  return bytes === null ? 1 : sizeOfInt32(bytes.length) + bytes.length;
}

/** A length of −1 is null. */
function writeNullable(buffer: Buffer, at: number, bytes: Uint8Array | null): number {
  if (bytes === null) return writeInt32(buffer, at, -1);
  const next = writeInt32(buffer, at, bytes.length);
  buffer.set(bytes, next);
  return next + bytes.length;
}
