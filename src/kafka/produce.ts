/**
 * Produce, by hand: raw batches of many partitions in one request, written as one gathered write of slices.
 * Versions 9 to 11 (Kafka 2.8 to 3.7 and all later): flexible, topics by name. 12 has the same bytes: of a transaction, its
 * partition need not have been added before (KIP-890).
 *
 *   request   transactional_id? acks timeout_ms [name [index records]]
 *   response  [name [index error_code base_offset log_append_time_ms log_start_offset [record_errors] error_message?]] throttle_time_ms
 */
import type { Reader } from './protocol/reader.ts';

export const produceApi = { key: 0, name: 'Produce', minVersion: 9, maxVersion: 11, flexibleVersion: 9 } as const;
/** For batches of a transaction only. */
export const transactionalProduceApi = { ...produceApi, maxVersion: 12 } as const;

/** Every replica in sync has it: the only setting under which an acknowledgement means that the record stays. */
const ACKS_ALL = -1;
/** Slices up to this size are copied into the request's own bytes: one more entry of a gathered write costs more. */
const COPY_BYTES_MAX = 1024;
/** Flexible header of the body: length of the transactional id, acks, timeout, topic count; and per partition index, length, tags. */
const BODY_OVERHEAD_BYTES = 32;
const TOPIC_OVERHEAD_BYTES = 16;
const PARTITION_OVERHEAD_BYTES = 16;

export interface ProducePartition {
  readonly partition: number;
  /** One record batch: the bytes [start, end) of buffer. The broker takes one batch a partition and request. */
  readonly buffer: Buffer;
  readonly start: number;
  readonly end: number;
}

export interface ProduceTopic {
  readonly name: string;
  readonly partitions: readonly ProducePartition[];
}

export interface ProduceResult {
  readonly topic: string;
  readonly partition: number;
  readonly errorCode: number;
  readonly baseOffset: number;
  /**
   * The time that the broker stamped on the records, milliseconds since the epoch; −1 where it left theirs. For a batch
   * that it had already it is the newest timestamp of what it has (UnifiedLog.append).
   */
  readonly logAppendTimeMs: number;
  readonly logStartOffset: number;
  readonly errorMessage: string | null;
}

/** The body of a request with acks=all, as chunks; large batches are slices of the given buffers, not copies. */
export function encodeProduce(
  topics: readonly ProduceTopic[],
  timeoutMs: number,
  options: { readonly transactionalId?: string } = {},
): Uint8Array[] {
  const transactionalId = options.transactionalId ?? null;
  const own = Buffer.allocUnsafe(ownBytesMax(topics) + Buffer.byteLength(transactionalId ?? ''));
  const chunks: Uint8Array[] = [];
  let at = 0;
  let cut = 0;
  at = writeUnsignedVarint(own, at, transactionalId === null ? 0 : Buffer.byteLength(transactionalId) + 1);
  if (transactionalId !== null) at += own.write(transactionalId, at, 'utf8');
  at = own.writeInt16BE(ACKS_ALL, at);
  at = own.writeInt32BE(timeoutMs, at);
  at = writeUnsignedVarint(own, at, topics.length + 1);
  for (const topic of topics) {
    const nameBytes = Buffer.byteLength(topic.name);
    at = writeUnsignedVarint(own, at, nameBytes + 1);
    at += own.write(topic.name, at, 'utf8');
    at = writeUnsignedVarint(own, at, topic.partitions.length + 1);
    for (const { partition, buffer, start, end } of topic.partitions) {
      at = own.writeInt32BE(partition, at);
      at = writeUnsignedVarint(own, at, end - start + 1);
      if (end - start <= COPY_BYTES_MAX) {
        at += buffer.copy(own, at, start, end);
      } else {
        chunks.push(own.subarray(cut, at), buffer.subarray(start, end));
        cut = at;
      }
      own[at++] = 0;
    }
    own[at++] = 0;
  }
  own[at++] = 0;
  chunks.push(own.subarray(cut, at));
  return chunks;
}

/** One entry per partition, and the throttle time in milliseconds. */
export function decodeProduce(reader: Reader): { results: ProduceResult[]; throttleTimeMs: number } {
  const results: ProduceResult[] = [];
  const topicCount = reader.arrayLength(true);
  for (let i = 0; i < topicCount; i++) {
    const topic = reader.compactString();
    const partitionCount = reader.arrayLength(true);
    for (let j = 0; j < partitionCount; j++) {
      const partition = reader.int32();
      const errorCode = reader.int16();
      const baseOffset = reader.int64();
      const logAppendTimeMs = reader.int64();
      const logStartOffset = reader.int64();
      const recordErrorCount = reader.arrayLength(true);
      let recordError: string | null = null;
      for (let k = 0; k < recordErrorCount; k++) {
        const index = reader.int32();
        const message = reader.compactNullableString();
        recordError ??= `record ${index}: ${message ?? 'refused'}`;
        reader.skipTaggedFields();
      }
      const errorMessage = reader.compactNullableString();
      reader.skipTaggedFields();
      results.push({
        topic,
        partition,
        errorCode,
        baseOffset,
        logAppendTimeMs,
        logStartOffset,
        errorMessage: recordError ?? errorMessage,
      });
    }
    reader.skipTaggedFields();
  }
  const throttleTimeMs = reader.int32();
  reader.skipTaggedFields();
  return { results, throttleTimeMs };
}

function ownBytesMax(topics: readonly ProduceTopic[]): number {
  let bytes = BODY_OVERHEAD_BYTES;
  for (const topic of topics) {
    bytes += TOPIC_OVERHEAD_BYTES + Buffer.byteLength(topic.name);
    for (const { start, end } of topic.partitions) {
      bytes += PARTITION_OVERHEAD_BYTES + (end - start <= COPY_BYTES_MAX ? end - start : 0);
    }
  }
  return bytes;
}

function writeUnsignedVarint(buffer: Buffer, at: number, value: number): number {
  let rest = value;
  let to = at;
  while (rest > 127) {
    buffer[to++] = (rest & 127) | 128;
    rest >>>= 7;
  }
  buffer[to++] = rest;
  return to;
}
