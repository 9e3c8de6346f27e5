/**
 * Fetch, by hand: the records of each partition are left where they are, as a range of the response's frame.
 * Version 13 only (Kafka 3.1 and later): topics by id, so that a topic that was deleted and created again under the same
 * name is an error and never a continuation (KIP-516), with the leader epoch fenced both ways (KIP-320, KIP-595).
 *
 *   request   replica_id max_wait_ms min_bytes max_bytes isolation_level session_id session_epoch
 *             [topic_id [partition current_leader_epoch fetch_offset last_fetched_epoch log_start_offset partition_max_bytes]]
 *             [forgotten: topic_id [partition]] rack_id
 *   response  throttle_time_ms error_code session_id
 *             [topic_id [partition error_code high_watermark last_stable_offset log_start_offset
 *                        [aborted: producer_id first_offset]? preferred_read_replica records? {0: diverging_epoch}]]
 */
import { MalformedFrameError } from './errors.ts';
import type { Reader } from './protocol/reader.ts';
import { Writer } from './protocol/writer.ts';

export const fetchApi = { key: 1, name: 'Fetch', minVersion: 13, maxVersion: 13, flexibleVersion: 12 } as const;

const CONSUMER_REPLICA_ID = -1;
const READ_UNCOMMITTED = 0;
const READ_COMMITTED = 1;
const NO_LOG_START = -1;
const DIVERGING_EPOCH_TAG = 0;

export interface FetchPosition {
  readonly topicId: string;
  readonly partition: number;
  /** The leader epoch that we know for the partition, −1 for 'do not check'. */
  readonly leaderEpoch: number;
  readonly offset: number;
  /** Leader epoch of the last batch that we have, −1 for none: the leader answers with `diverging` where its log differs. */
  readonly lastFetchedEpoch: number;
  readonly maxBytes: number;
}

export interface FetchRequest {
  readonly maxWaitMs: number;
  readonly minBytes: number;
  readonly maxBytes: number;
  /** Default: read_committed, where the leader stops at the last stable offset. */
  readonly isUncommitted?: boolean;
  readonly sessionId: number;
  readonly sessionEpoch: number;
  readonly positions: readonly FetchPosition[];
  /** Partitions that leave the session. */
  readonly forgotten: readonly { readonly topicId: string; readonly partition: number }[];
}

export interface FetchedPartition {
  readonly topicId: string;
  readonly partition: number;
  readonly errorCode: number;
  readonly highWatermark: number;
  readonly lastStableOffset: number;
  readonly logStartOffset: number;
  /** Aborted transactions that intersect the returned range, as the leader lists them. */
  readonly aborted: readonly { readonly producerId: number; readonly firstOffset: number }[];
  /** Where the leader's log ends for the epoch that we named, when it does not continue our log. */
  readonly diverging: { readonly epoch: number; readonly endOffset: number } | null;
  /** The records are the bytes [start, end) of the response's buffer; the last batch may be cut. */
  readonly start: number;
  readonly end: number;
}

/** The body of a request as a consumer. */
export function encodeFetch(request: FetchRequest): Buffer {
  const writer = new Writer(128 + request.positions.length * 64);
  writer.int32(CONSUMER_REPLICA_ID);
  writer.int32(request.maxWaitMs);
  writer.int32(request.minBytes);
  writer.int32(request.maxBytes);
  writer.int8(request.isUncommitted ? READ_UNCOMMITTED : READ_COMMITTED);
  writer.int32(request.sessionId);
  writer.int32(request.sessionEpoch);
  writeByTopic(writer, request.positions, (position) => {
    writer.int32(position.partition);
    writer.int32(position.leaderEpoch);
    writer.int64(position.offset);
    writer.int32(position.lastFetchedEpoch);
    writer.int64(NO_LOG_START);
    writer.int32(position.maxBytes);
    writer.unsignedVarint(0);
  });
  writeByTopic(writer, request.forgotten, ({ partition }) => writer.int32(partition));
  writer.unsignedVarint(1); // no rack
  writer.unsignedVarint(0);
  return writer.finish();
}

export interface FetchResponse {
  readonly throttleTimeMs: number;
  readonly errorCode: number;
  readonly sessionId: number;
  readonly partitions: readonly FetchedPartition[];
}

export function decodeFetch(reader: Reader): FetchResponse {
  const throttleTimeMs = reader.int32();
  const errorCode = reader.int16();
  const sessionId = reader.int32();
  const partitions: FetchedPartition[] = [];
  const topicCount = reader.arrayLength(true);
  for (let i = 0; i < topicCount; i++) {
    const topicId = reader.uuid();
    const partitionCount = reader.arrayLength(true);
    for (let j = 0; j < partitionCount; j++) partitions.push(readPartition(reader, topicId));
    reader.skipTaggedFields();
  }
  reader.skipTaggedFields();
  return { throttleTimeMs, errorCode, sessionId, partitions };
}

function readPartition(reader: Reader, topicId: string): FetchedPartition {
  const partition = reader.int32();
  const errorCode = reader.int16();
  const highWatermark = reader.int64();
  const lastStableOffset = reader.int64();
  const logStartOffset = reader.int64();
  const aborted = readAborted(reader);
  reader.int32(); // preferred read replica: none without a rack
  const recordBytes = Math.max(0, reader.unsignedVarint() - 1);
  if (recordBytes > reader.end - reader.position)
    throw new MalformedFrameError(`${recordBytes} bytes of records beyond the frame`);
  const start = reader.position;
  reader.position += recordBytes;
  const diverging = readDiverging(reader);
  return {
    topicId,
    partition,
    errorCode,
    highWatermark,
    lastStableOffset,
    logStartOffset,
    aborted,
    diverging,
    start,
    end: start + recordBytes,
  };
}

function readAborted(reader: Reader): { producerId: number; firstOffset: number }[] {
  const count = Math.max(0, reader.arrayLength(true)); // null with read_uncommitted
  const aborted = [];
  for (let i = 0; i < count; i++) {
    aborted.push({ producerId: reader.int64(), firstOffset: reader.int64() });
    reader.skipTaggedFields();
  }
  return aborted;
}

function readDiverging(reader: Reader): { epoch: number; endOffset: number } | null {
  let diverging: { epoch: number; endOffset: number } | null = null;
  const count = reader.unsignedVarint();
  for (let i = 0; i < count; i++) {
    const tag = reader.unsignedVarint();
    const size = reader.unsignedVarint();
    if (size > reader.end - reader.position)
      throw new MalformedFrameError(`a tagged field of ${size} bytes beyond the frame`);
    const next = reader.position + size;
    if (tag === DIVERGING_EPOCH_TAG) diverging = { epoch: reader.int32(), endOffset: reader.int64() };
    reader.position = next;
  }
  return diverging;
}

/** Entries come grouped by topic already, or nearly so: consecutive ones of one topic share an entry of the array. */
function writeByTopic<T extends { readonly topicId: string }>(
  writer: Writer,
  items: readonly T[],
  write: (item: T) => void,
): void {
  const groups: T[][] = [];
  const byTopic = new Map<string, T[]>();
  for (const item of items) {
    const group = byTopic.get(item.topicId);
    if (group) group.push(item);
    else {
      const created = [item];
      byTopic.set(item.topicId, created);
      groups.push(created);
    }
  }
  writer.unsignedVarint(groups.length + 1);
  for (const group of groups) {
    writer.uuid(group[0]!.topicId);
    writer.unsignedVarint(group.length + 1);
    for (const item of group) write(item);
    writer.unsignedVarint(0);
  }
}
