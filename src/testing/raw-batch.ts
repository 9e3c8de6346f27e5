/**
 * Record batches, message format v2, as the raw reader sees them; the layout is that of Kafka's DefaultRecordBatch and
 * DefaultRecord. Written apart from src/kafka on purpose (see wire-client.ts); only the codec libraries are shared.
 */
import { crc32c } from '@node-rs/crc32';
import { createRequire } from 'node:module';
import { gunzipSync, zstdDecompressSync } from 'node:zlib';
import type * as Lz4 from 'lz4-napi';
import type * as Snappy from 'snappy';
import { assert, must } from '#util/assert.ts';

const require = createRequire(import.meta.url);
const lz4 = require('lz4-napi') as typeof Lz4;
const snappy = require('snappy') as typeof Snappy;

export type RawCodec = 'none' | 'gzip' | 'snappy' | 'lz4' | 'zstd';
const codecNames: readonly RawCodec[] = ['none', 'gzip', 'snappy', 'lz4', 'zstd'];

export interface RawBatch {
  readonly baseOffset: number;
  readonly lastOffset: number;
  /** Bytes in the log, header included. */
  readonly bytes: number;
  readonly leaderEpoch: number;
  readonly attributes: number;
  readonly codec: RawCodec;
  readonly isLogAppendTime: boolean;
  readonly isTransactional: boolean;
  readonly isControl: boolean;
  readonly hasDeleteHorizon: boolean;
  readonly producerId: number;
  readonly producerEpoch: number;
  readonly baseSequence: number;
  readonly maxTimestamp: number;
  /** 0 in a batch that compaction has emptied. */
  readonly recordCount: number;
  /** Whether the batch has a record that is no longer there between its first and last offset. */
  readonly hasInnerGap: boolean;
  /** What a control batch says; null in a data batch and for control records of other kinds. */
  readonly marker: 'abort' | 'commit' | null;
  /** Decodes the records, one at a time: none is kept. */
  records(): Iterable<RawRecord>;
}

export interface RawRecord {
  readonly offset: number;
  /** As a reader sees it: the append time where the batch carries one. */
  readonly timestamp: number;
  readonly key: Buffer | null;
  readonly value: Buffer | null;
  readonly headers: readonly (readonly [Buffer, Buffer | null])[];
  /** Key length to the end of the headers as they are in the batch. */
  readonly body: Buffer;
  /** The headers as they are in the batch, their count in front. */
  readonly headerBytes: Buffer;
}

const headerBytes = 61;

/**
 * Splits what a Fetch returned into its batches and checks the CRC of each. A batch cut off at the end is left out,
 * as brokers may send one. Throws on a wrong CRC or another message format.
 */
export function parseBatches(bytes: Buffer): RawBatch[] {
  const batches: RawBatch[] = [];
  for (let at = 0; at + 12 <= bytes.length;) {
    const size = 12 + bytes.readInt32BE(at + 8);
    if (at + size > bytes.length) break;
    batches.push(parseBatch(bytes.subarray(at, at + size)));
    at += size;
  }
  return batches;
}

function parseBatch(bytes: Buffer): RawBatch {
  const baseOffset = Number(bytes.readBigInt64BE(0));
  const magic = bytes.readInt8(16);
  assert(magic === 2, `batch at offset ${baseOffset} has message format ${magic}`);
  const crc = bytes.readUInt32BE(17);
  assert(crc32c(bytes.subarray(21)) === crc, `batch at offset ${baseOffset} has a wrong CRC`);
  const attributes = bytes.readInt16BE(21);
  const lastOffsetDelta = bytes.readInt32BE(23);
  const recordCount = bytes.readInt32BE(57);
  const isControl = (attributes & 0x20) !== 0;
  const batch = {
    baseOffset,
    lastOffset: baseOffset + lastOffsetDelta,
    bytes: bytes.length,
    leaderEpoch: bytes.readInt32BE(12),
    attributes,
    codec: must(codecNames[attributes & 7], `codec of the batch at offset ${baseOffset}`),
    isLogAppendTime: (attributes & 0x08) !== 0,
    isTransactional: (attributes & 0x10) !== 0,
    isControl,
    hasDeleteHorizon: (attributes & 0x40) !== 0,
    producerId: Number(bytes.readBigInt64BE(43)),
    producerEpoch: bytes.readInt16BE(51),
    baseSequence: bytes.readInt32BE(53),
    maxTimestamp: Number(bytes.readBigInt64BE(35)),
    recordCount,
    hasInnerGap: recordCount !== lastOffsetDelta + 1,
    marker: null as RawBatch['marker'],
    records: () => parseRecords(batch, bytes),
  };
  if (isControl && recordCount > 0) batch.marker = markerOf(batch.records());
  return batch;
}

function markerOf(records: Iterable<RawRecord>): RawBatch['marker'] {
  for (const { key } of records) {
    const type = key && key.length >= 4 ? key.readInt16BE(2) : -1;
    return type === 0 ? 'abort' : type === 1 ? 'commit' : null;
  }
  return null;
}

function* parseRecords(batch: RawBatch, bytes: Buffer): Iterable<RawRecord> {
  const body = decompress(batch.codec, bytes.subarray(headerBytes));
  const baseTimestamp = Number(bytes.readBigInt64BE(27));
  const cursor = { bytes: body, at: 0 };
  for (let index = 0; index < batch.recordCount; index++) {
    const end = readVarint(cursor) + cursor.at;
    cursor.at += 1; // attributes, of which there are none
    const timestampDelta = readVarint(cursor);
    const offset = batch.baseOffset + readVarint(cursor);
    const bodyStart = cursor.at;
    const key = readSized(cursor);
    const value = readSized(cursor);
    const headersStart = cursor.at;
    const headers: [Buffer, Buffer | null][] = [];
    for (let left = readVarint(cursor); left > 0; left--) {
      headers.push([must(readSized(cursor), `header key of the record at offset ${offset}`), readSized(cursor)]);
    }
    assert(cursor.at === end, `record at offset ${offset} does not end where its length says`);
    yield {
      offset,
      timestamp: batch.isLogAppendTime ? batch.maxTimestamp : baseTimestamp + timestampDelta,
      key,
      value,
      headers,
      body: body.subarray(bodyStart, end),
      headerBytes: body.subarray(headersStart, end),
    };
  }
  assert(cursor.at === body.length, `batch at offset ${batch.baseOffset} has bytes behind its last record`);
}

interface Cursor {
  readonly bytes: Buffer;
  at: number;
}

/** Zig-zag, up to 53 bits. Arithmetic instead of shifts: timestamp deltas pass 32 bits. */
function readVarint(cursor: Cursor): number {
  let value = 0;
  for (let factor = 1; ; factor *= 128) {
    const byte = must(cursor.bytes[cursor.at++], 'byte of a variable-length integer');
    value += (byte & 0x7f) * factor;
    if (byte < 0x80) break;
  }
  return value % 2 === 0 ? value / 2 : -(value + 1) / 2;
}

function readSized(cursor: Cursor): Buffer | null {
  const length = readVarint(cursor);
  if (length < 0) return null;
  const end = cursor.at + length;
  assert(end <= cursor.bytes.length, 'a field ends behind its batch');
  const field = cursor.bytes.subarray(cursor.at, end);
  cursor.at = end;
  return field;
}

function decompress(codec: RawCodec, bytes: Buffer): Buffer {
  switch (codec) {
    case 'none':
      return bytes;
    case 'gzip':
      return gunzipSync(bytes);
    case 'zstd':
      return zstdDecompressSync(bytes);
    case 'lz4':
      return lz4.decompressFrameSync(bytes);
    case 'snappy':
      return unframeSnappy(bytes);
  }
}

/** snappy-java's framing: magic of 8 bytes, two versions, then blocks with their length in front. */
function unframeSnappy(bytes: Buffer): Buffer {
  if (bytes.subarray(1, 7).toString() !== 'SNAPPY') return snappy.uncompressSync(bytes, { asBuffer: true }) as Buffer;
  const blocks: Buffer[] = [];
  for (let at = 16; at < bytes.length;) {
    const length = bytes.readInt32BE(at);
    blocks.push(snappy.uncompressSync(bytes.subarray(at + 4, at + 4 + length), { asBuffer: true }) as Buffer);
    at += 4 + length;
  }
  return Buffer.concat(blocks);
}
