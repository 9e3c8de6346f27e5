/**
 * The header of a record batch of message format v2 (KIP-98), read in place: a batch stays a piece of the buffer that
 * the broker filled, named by (buffer, at), and costs no object. Big-endian:
 *
 *    0 int64 baseOffset      8 int32 batchLength (bytes behind this field)    12 int32 partitionLeaderEpoch   16 int8 magic
 *   17 uint32 crc           21 int16 attributes   23 int32 lastOffsetDelta    27 int64 baseTimestamp   35 int64 maxTimestamp
 *   43 int64 producerId     51 int16 producerEpoch    53 int32 baseSequence   57 int32 recordCount     61 records …
 *
 * The CRC-32C covers byte 21 to the end. The accessors believe the buffer; batchAt is asked first whether there is a batch.
 */
import { MalformedBatchError } from '../errors.ts';
import { crc32c } from './crc32c.ts';

export const BATCH_HEADER_BYTES = 61;

const MAGIC_AT = 16;
export const CRC_AT = 17;
/** The first byte that the CRC covers. */
export const ATTRIBUTES_AT = 21;
export const PRODUCER_ID_AT = 43;

const BATCH_LENGTH_AT = 8;
const LEADER_EPOCH_AT = 12;
const LAST_OFFSET_DELTA_AT = 23;
const BASE_TIMESTAMP_AT = 27;
const MAX_TIMESTAMP_AT = 35;
const PRODUCER_EPOCH_AT = 51;
const BASE_SEQUENCE_AT = 53;
const RECORD_COUNT_AT = 57;

/** baseOffset and batchLength stand before the bytes that batchLength counts. */
const LOG_OVERHEAD_BYTES = 12;
const MAGIC = 2;

export const ATTRIBUTE_CODEC_MASK = 7;
/** The timestamp of every record is the batch's maxTimestamp, set by the broker. */
export const ATTRIBUTE_LOG_APPEND_TIME = 8;
export const ATTRIBUTE_TRANSACTIONAL = 16;
export const ATTRIBUTE_CONTROL = 32;
/** baseTimestamp is the time after which compaction may drop the tombstones of this batch (KIP-534). */
export const ATTRIBUTE_DELETE_HORIZON = 64;

export type Codec = 0 | 1 | 2 | 3 | 4;

/** Kafka's name of each codec, by its number in the attributes. */
export const codecNames = ['none', 'gzip', 'snappy', 'lz4', 'zstd'] as const satisfies Record<Codec, string>;

/** The fields that tell a broker which producer wrote a batch, and where in its sequence; −1 each for none. */
export interface BatchProducer {
  readonly producerId: number;
  readonly producerEpoch: number;
  /** int32, wrapped from 2^31 − 1 to 0 by the caller. */
  readonly baseSequence: number;
}

/** What writeBatchHeader puts down; baseOffset, leader epoch, magic and CRC are not the caller's to choose. */
export interface BatchHeader extends BatchProducer {
  readonly attributes: number;
  readonly lastOffsetDelta: number;
  readonly baseTimestamp: number;
  readonly maxTimestamp: number;
  readonly recordCount: number;
}

/**
 * Returns the size in bytes of the batch that begins at `at`, or 0 when only a part of it lies before `end`: brokers cut
 * a Fetch response where its limit is reached (KIP-74). Throws MalformedBatchError on anything that is no batch of format v2.
 */
export function batchAt(buffer: Buffer, at: number, end: number): number {
  if (end - at <= MAGIC_AT) return 0;
  const magic = magicOf(buffer, at);
  if (magic !== MAGIC) {
    throw new MalformedBatchError(
      `a record batch has magic ${magic}; Lockstep reads message format v2 (magic 2), which Kafka writes since 0.11`,
    );
  }
  const size = sizeOf(buffer, at);
  const baseOffset = baseOffsetOf(buffer, at);
  if (size < BATCH_HEADER_BYTES) {
    throw new MalformedBatchError(
      `the record batch at offset ${baseOffset} says that it has ${size} bytes; a header alone has 61`,
    );
  }
  if (size > end - at) return 0;
  if (baseOffset < 0 || lastOffsetDeltaOf(buffer, at) < 0 || recordCountOf(buffer, at) < 0) {
    throw new MalformedBatchError(
      `the record batch at offset ${baseOffset} has ${recordCountOf(buffer, at)} records and last offset delta ${lastOffsetDeltaOf(buffer, at)}`,
    );
  }
  return size;
}

/** Whether the bytes of the batch are those that its CRC was computed of. About 0.2 µs per KB. */
export function checkBatchCrc(buffer: Buffer, at: number): boolean {
  return crc32c(buffer.subarray(at + ATTRIBUTES_AT, at + sizeOf(buffer, at))) === crcOf(buffer, at);
}

/** Offset of the first record that the batch was written with; compaction may have taken it away. */
export function baseOffsetOf(buffer: Buffer, at: number): number {
  return readInt64(buffer, at, 'base offset');
}

/** Bytes of the whole batch, header and length field included. */
export function sizeOf(buffer: Buffer, at: number): number {
  return buffer.readInt32BE(at + BATCH_LENGTH_AT) + LOG_OVERHEAD_BYTES;
}

export function leaderEpochOf(buffer: Buffer, at: number): number {
  return buffer.readInt32BE(at + LEADER_EPOCH_AT);
}

export function magicOf(buffer: Buffer, at: number): number {
  return buffer.readInt8(at + MAGIC_AT);
}

export function crcOf(buffer: Buffer, at: number): number {
  return buffer.readUInt32BE(at + CRC_AT);
}

export function attributesOf(buffer: Buffer, at: number): number {
  return buffer.readInt16BE(at + ATTRIBUTES_AT);
}

/** Throws MalformedBatchError for the numbers 5 to 7, which no Kafka version knows. */
export function codecOf(buffer: Buffer, at: number): Codec {
  const codec = attributesOf(buffer, at) & ATTRIBUTE_CODEC_MASK;
  if (codec > 4) {
    throw new MalformedBatchError(
      `the record batch at offset ${baseOffsetOf(buffer, at)} has unknown compression codec ${codec}`,
    );
  }
  return codec as Codec;
}

export function lastOffsetDeltaOf(buffer: Buffer, at: number): number {
  return buffer.readInt32BE(at + LAST_OFFSET_DELTA_AT);
}

/** The next batch of the partition begins behind this offset, also when compaction has taken the last record. */
export function lastOffsetOf(buffer: Buffer, at: number): number {
  return baseOffsetOf(buffer, at) + lastOffsetDeltaOf(buffer, at);
}

/** Milliseconds; what record timestamps are relative to, also where it is a delete horizon. */
export function baseTimestampOf(buffer: Buffer, at: number): number {
  return readInt64(buffer, at + BASE_TIMESTAMP_AT, 'base timestamp');
}

export function maxTimestampOf(buffer: Buffer, at: number): number {
  return readInt64(buffer, at + MAX_TIMESTAMP_AT, 'max timestamp');
}

export function producerIdOf(buffer: Buffer, at: number): number {
  return readInt64(buffer, at + PRODUCER_ID_AT, 'producer id');
}

export function producerEpochOf(buffer: Buffer, at: number): number {
  return buffer.readInt16BE(at + PRODUCER_EPOCH_AT);
}

export function baseSequenceOf(buffer: Buffer, at: number): number {
  return buffer.readInt32BE(at + BASE_SEQUENCE_AT);
}

/** Records that are there, fewer than lastOffsetDelta + 1 after compaction; 0 where only the producer's state was kept. */
export function recordCountOf(buffer: Buffer, at: number): number {
  return buffer.readInt32BE(at + RECORD_COUNT_AT);
}

/**
 * Writes the header of a finished batch of `size` bytes over the first 61 bytes at `at`, with its CRC. Base offset 0 and
 * leader epoch −1 are what a broker takes from a producer (it refuses another base offset, LogValidator).
 */
export function writeBatchHeader(buffer: Buffer, at: number, size: number, header: BatchHeader): void {
  writeUnassigned(buffer, at);
  buffer.writeInt32BE(size - LOG_OVERHEAD_BYTES, at + BATCH_LENGTH_AT);
  buffer[at + MAGIC_AT] = MAGIC;
  buffer.writeInt16BE(header.attributes, at + ATTRIBUTES_AT);
  buffer.writeInt32BE(header.lastOffsetDelta, at + LAST_OFFSET_DELTA_AT);
  writeInt64(buffer, at + BASE_TIMESTAMP_AT, header.baseTimestamp);
  writeInt64(buffer, at + MAX_TIMESTAMP_AT, header.maxTimestamp);
  writeInt64(buffer, at + PRODUCER_ID_AT, header.producerId);
  buffer.writeInt16BE(header.producerEpoch, at + PRODUCER_EPOCH_AT);
  buffer.writeInt32BE(header.baseSequence, at + BASE_SEQUENCE_AT);
  buffer.writeInt32BE(header.recordCount, at + RECORD_COUNT_AT);
  buffer.writeUInt32BE(crc32c(buffer.subarray(at + ATTRIBUTES_AT, at + size)), at + CRC_AT);
}

/** Base offset 0 and leader epoch −1, which the CRC does not cover: what a batch has before a broker takes it. */
export function writeUnassigned(buffer: Buffer, at: number): void {
  buffer.writeInt32BE(0, at);
  buffer.writeInt32BE(0, at + 4);
  buffer.writeInt32BE(-1, at + LEADER_EPOCH_AT);
}

/** Offsets, times and ids are numbers with us (a BigInt per field costs more than the patch of the whole header). */
function readInt64(buffer: Buffer, at: number, field: string): number {
  const value = buffer.readInt32BE(at) * 0x1_0000_0000 + buffer.readUInt32BE(at + 4);
  if (!Number.isSafeInteger(value)) {
    throw new MalformedBatchError(`a record batch has ${field} ${buffer.readBigInt64BE(at)}, beyond ±2^53`);
  }
  return value;
}

function writeInt64(buffer: Buffer, at: number, value: number): void {
  const high = Math.floor(value / 0x1_0000_0000);
  buffer.writeInt32BE(high, at);
  buffer.writeUInt32BE(value - high * 0x1_0000_0000, at + 4);
}
