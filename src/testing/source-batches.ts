/**
 * Batches as a source log holds them, also those that no producer may send and BatchWriter does not write: with gaps,
 * emptied by compaction, with append times, delete horizons and control records.
 */
import { writeBatchHeader, type Codec } from '#kafka/records/batch-header.ts';
import { compress } from '#kafka/records/compression.ts';
import type { RecordHeader } from '#kafka/records/open-batch.ts';
import { writeInt32, writeSafeInt64 } from '#kafka/records/varint.ts';

export const LOG_APPEND_TIME = 8;
export const TRANSACTIONAL = 16;
export const CONTROL = 32;
export const DELETE_HORIZON = 64;

export interface SourceRecord {
  readonly timestamp: number;
  readonly key: Buffer | null;
  readonly value: Buffer | null;
  readonly headers?: readonly RecordHeader[];
}

export interface SourceBatch {
  readonly baseOffset: number;
  /** By offset delta; null is a record that compaction has removed. */
  readonly records: readonly (SourceRecord | null)[];
  readonly codec?: Codec;
  /** Bits beside the codec. */
  readonly attributes?: number;
  readonly leaderEpoch?: number;
  readonly producerId?: number;
  /** Default: 0, or −1 without a producer. */
  readonly producerEpoch?: number;
  readonly baseSequence?: number;
  readonly baseTimestamp?: number;
  /** Default: the largest of the records. */
  readonly maxTimestamp?: number;
}

/** The bytes of a batch with offset, leader epoch and CRC as a broker serves it. */
export function sourceBatch(batch: SourceBatch): Buffer {
  const present = batch.records.filter((record) => record !== null);
  const baseTimestamp = batch.baseTimestamp ?? present[0]?.timestamp ?? -1;
  const body = compress(batch.codec ?? 0, recordBytes(batch.records, baseTimestamp));
  const bytes = Buffer.concat([Buffer.alloc(61), body]);
  const producerId = batch.producerId ?? -1;
  writeBatchHeader(bytes, 0, bytes.length, {
    attributes: (batch.codec ?? 0) | (batch.attributes ?? 0),
    lastOffsetDelta: batch.records.length - 1,
    baseTimestamp,
    maxTimestamp: batch.maxTimestamp ?? Math.max(-1, ...present.map(({ timestamp }) => timestamp)),
    producerId,
    producerEpoch: batch.producerEpoch ?? (producerId < 0 ? -1 : 0),
    baseSequence: batch.baseSequence ?? (producerId < 0 ? -1 : 0),
    recordCount: present.length,
  });
  bytes.writeBigInt64BE(BigInt(batch.baseOffset), 0);
  bytes.writeInt32BE(batch.leaderEpoch ?? 0, 12);
  return bytes;
}

/** The marker that ends a transaction. */
export function controlBatch(marker: {
  readonly baseOffset: number;
  readonly producerId: number;
  readonly producerEpoch?: number;
  readonly isCommit: boolean;
  readonly leaderEpoch?: number;
}): Buffer {
  const key = Buffer.from([0, 0, 0, marker.isCommit ? 1 : 0]);
  return sourceBatch({
    baseOffset: marker.baseOffset,
    records: [{ timestamp: 1_700_000_000_000, key, value: Buffer.alloc(6) }],
    attributes: TRANSACTIONAL | CONTROL,
    producerId: marker.producerId,
    producerEpoch: marker.producerEpoch ?? 0,
    baseSequence: -1,
    ...(marker.leaderEpoch === undefined ? {} : { leaderEpoch: marker.leaderEpoch }),
  });
}

function recordBytes(records: readonly (SourceRecord | null)[], baseTimestamp: number): Buffer {
  const parts: Buffer[] = [];
  for (const [delta, record] of records.entries()) {
    if (!record) continue;
    const headers = record.headers ?? [];
    const content = Buffer.concat([
      Buffer.from([0]),
      number64(record.timestamp - baseTimestamp),
      number32(delta),
      nullable(record.key),
      nullable(record.value),
      number32(headers.length),
      ...headers.flatMap(({ key, value }) => [nullable(key), nullable(value)]),
    ]);
    parts.push(number32(content.length), content);
  }
  return Buffer.concat(parts);
}

function nullable(bytes: Buffer | null): Buffer {
  return bytes === null ? number32(-1) : Buffer.concat([number32(bytes.length), bytes]);
}

function number32(value: number): Buffer {
  const bytes = Buffer.alloc(5);
  return bytes.subarray(0, writeInt32(bytes, 0, value));
}

function number64(value: number): Buffer {
  const bytes = Buffer.alloc(10);
  return bytes.subarray(0, writeSafeInt64(bytes, 0, value));
}
