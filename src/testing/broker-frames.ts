/** Frames as a broker reads and writes them: the other side of src/kafka/{connection,fetch,produce}.ts, for played brokers. */
import { Reader } from '#kafka/protocol/reader.ts';
import { Writer } from '#kafka/protocol/writer.ts';
import { must } from '#util/assert.ts';

export const PRODUCE = 0;
export const METADATA = 3;
export const API_VERSIONS = 18;
export const SASL_HANDSHAKE = 17;
export const SASL_AUTHENTICATE = 36;

export interface RequestFrame {
  readonly apiKey: number;
  readonly apiVersion: number;
  readonly correlationId: number;
  /** At the body. */
  readonly reader: Reader;
}

/** A request of a flexible version, without the length in front. */
export function parseRequest(frame: Buffer): RequestFrame {
  const reader = new Reader(frame, 0, frame.length);
  const apiKey = reader.int16();
  const apiVersion = reader.int16();
  const correlationId = reader.int32();
  reader.nullableString(); // client id
  if (apiKey !== SASL_HANDSHAKE) reader.skipTaggedFields();
  return { apiKey, apiVersion, correlationId, reader };
}

/** A response with its length; all of ours have a flexible header but ApiVersions and SaslHandshake. */
export function responseFrame(request: RequestFrame, body: Buffer): Buffer {
  const header = Buffer.alloc(request.apiKey === API_VERSIONS || request.apiKey === SASL_HANDSHAKE ? 8 : 9);
  header.writeInt32BE(header.length - 4 + body.length, 0);
  header.writeInt32BE(request.correlationId, 4);
  return Buffer.concat([header, body]);
}

/** [key, lowest, highest] of each API. */
export function apiVersionsBody(apis: readonly (readonly [number, number, number])[]): Buffer {
  const writer = new Writer();
  writer.int16(0);
  writer.unsignedVarint(apis.length + 1);
  for (const api of apis) {
    for (const field of api) writer.int16(field);
    writer.noTaggedFields();
  }
  writer.int32(0);
  writer.noTaggedFields();
  return writer.finish();
}

/** Metadata 12, of a cluster that names no brokers and no topics. */
export function metadataBody(clusterId: string): Buffer {
  const writer = new Writer();
  writer.int32(0);
  writer.arrayLength(0, true);
  writer.compactNullableString(clusterId);
  writer.int32(-1);
  writer.arrayLength(0, true);
  writer.noTaggedFields();
  return writer.finish();
}

/** SaslHandshake 1. */
export function saslHandshakeBody(errorCode: number, mechanisms: readonly string[]): Buffer {
  const writer = new Writer();
  writer.int16(errorCode);
  writer.int32(mechanisms.length);
  for (const name of mechanisms) writer.string(name);
  return writer.finish();
}

/** SaslAuthenticate 2, without bytes of the mechanism. */
export function saslAuthenticateBody(errorCode: number, message: string | null, lifetimeMs = 0): Buffer {
  const writer = new Writer();
  writer.int16(errorCode);
  writer.compactNullableString(message);
  writer.compactBytes(Buffer.alloc(0));
  writer.int64(lifetimeMs);
  writer.noTaggedFields();
  return writer.finish();
}

export interface FetchAsked {
  readonly maxWaitMs: number;
  readonly maxBytes: number;
  readonly isolation: number;
  readonly sessionId: number;
  readonly sessionEpoch: number;
  readonly positions: readonly {
    readonly topicId: string;
    readonly partition: number;
    readonly leaderEpoch: number;
    readonly offset: number;
    readonly lastFetchedEpoch: number;
    readonly maxBytes: number;
  }[];
  readonly forgotten: readonly { readonly topicId: string; readonly partition: number }[];
}

/** Fetch 13. */
export function readFetch(reader: Reader): FetchAsked {
  reader.int32(); // replica
  const maxWaitMs = reader.int32();
  reader.int32(); // least bytes
  const maxBytes = reader.int32();
  const isolation = reader.int8();
  const sessionId = reader.int32();
  const sessionEpoch = reader.int32();
  const positions = readByTopic(reader, (topicId) => {
    const partition = reader.int32();
    const leaderEpoch = reader.int32();
    const offset = reader.int64();
    const lastFetchedEpoch = reader.int32();
    reader.int64(); // log start, of followers
    const partitionBytes = reader.int32();
    reader.skipTaggedFields();
    return { topicId, partition, leaderEpoch, offset, lastFetchedEpoch, maxBytes: partitionBytes };
  });
  const forgotten = readByTopic(reader, (topicId) => ({ topicId, partition: reader.int32() }));
  return { maxWaitMs, maxBytes, isolation, sessionId, sessionEpoch, positions, forgotten };
}

export interface FetchAnswer {
  readonly topicId: string;
  readonly partition: number;
  readonly errorCode?: number;
  readonly highWatermark?: number;
  readonly lastStableOffset?: number;
  readonly logStartOffset?: number;
  /** Null: no list, as brokers say it when nothing was aborted. */
  readonly aborted?: readonly { readonly producerId: number; readonly firstOffset: number }[] | null;
  readonly diverging?: { readonly epoch: number; readonly endOffset: number };
  readonly records?: Buffer | null;
}

export function fetchBody(answer: {
  readonly throttleTimeMs?: number;
  readonly errorCode?: number;
  readonly sessionId?: number;
  readonly partitions?: readonly FetchAnswer[];
}): Buffer {
  const writer = new Writer();
  writer.int32(answer.throttleTimeMs ?? 0);
  writer.int16(answer.errorCode ?? 0);
  writer.int32(answer.sessionId ?? 0);
  writeByTopic(writer, answer.partitions ?? [], (partition) => writer.uuid(partition.topicId), writeFetched);
  writer.noTaggedFields();
  return writer.finish();

  function writeFetched(partition: FetchAnswer): void {
    writer.int32(partition.partition);
    writer.int16(partition.errorCode ?? 0);
    writer.int64(partition.highWatermark ?? 0);
    writer.int64(partition.lastStableOffset ?? 0);
    writer.int64(partition.logStartOffset ?? 0);
    writer.unsignedVarint(partition.aborted ? partition.aborted.length + 1 : 0);
    for (const { producerId, firstOffset } of partition.aborted ?? []) {
      writer.int64(producerId);
      writer.int64(firstOffset);
      writer.noTaggedFields();
    }
    writer.int32(-1); // preferred replica
    writer.compactNullableBytes(partition.records ?? null);
    if (!partition.diverging) return writer.noTaggedFields();
    writer.unsignedVarint(1);
    writer.unsignedVarint(0);
    writer.unsignedVarint(13);
    writer.int32(partition.diverging.epoch);
    writer.int64(partition.diverging.endOffset);
    writer.noTaggedFields();
  }
}

export interface ProduceAsked {
  readonly transactionalId: string | null;
  readonly acks: number;
  readonly timeoutMs: number;
  readonly batches: readonly { readonly topic: string; readonly partition: number; readonly records: Buffer }[];
}

/** Produce 9 to 12. */
export function readProduce(reader: Reader): ProduceAsked {
  const transactionalId = reader.compactNullableString();
  const acks = reader.int16();
  const timeoutMs = reader.int32();
  const batches: { topic: string; partition: number; records: Buffer }[] = [];
  for (let topics = reader.arrayLength(true); topics > 0; topics--) {
    const topic = reader.compactString();
    for (let partitions = reader.arrayLength(true); partitions > 0; partitions--) {
      const partition = reader.int32();
      batches.push({ topic, partition, records: must(reader.compactNullableBytes(), 'records') });
      reader.skipTaggedFields();
    }
    reader.skipTaggedFields();
  }
  reader.skipTaggedFields();
  return { transactionalId, acks, timeoutMs, batches };
}

export interface ProduceAnswer {
  readonly topic: string;
  readonly partition: number;
  readonly errorCode?: number;
  readonly baseOffset?: number;
  readonly logAppendTimeMs?: number;
  readonly errorMessage?: string;
}

export function produceBody(answers: readonly ProduceAnswer[], throttleTimeMs = 0): Buffer {
  const writer = new Writer();
  writeByTopic(
    writer,
    answers.map((answer) => ({ ...answer, topicId: answer.topic })),
    ({ topic }) => writer.compactString(topic),
    (answer) => {
      writer.int32(answer.partition);
      writer.int16(answer.errorCode ?? 0);
      writer.int64(answer.baseOffset ?? -1);
      writer.int64(answer.logAppendTimeMs ?? -1);
      writer.int64(0); // log start
      writer.unsignedVarint(1); // no record errors
      writer.compactNullableString(answer.errorMessage ?? null);
      writer.noTaggedFields();
    },
  );
  writer.int32(throttleTimeMs);
  writer.noTaggedFields();
  return writer.finish();
}

function readByTopic<T>(reader: Reader, read: (topicId: string) => T): T[] {
  const items: T[] = [];
  for (let topics = reader.arrayLength(true); topics > 0; topics--) {
    const topicId = reader.uuid();
    for (let partitions = reader.arrayLength(true); partitions > 0; partitions--) items.push(read(topicId));
    reader.skipTaggedFields();
  }
  return items;
}

function writeByTopic<T extends { readonly topicId: string }>(
  writer: Writer,
  items: readonly T[],
  writeTopic: (first: T) => void,
  write: (item: T) => void,
): void {
  const groups = Map.groupBy(items, ({ topicId }) => topicId);
  writer.unsignedVarint(groups.size + 1);
  for (const group of groups.values()) {
    writeTopic(group[0]!);
    writer.unsignedVarint(group.length + 1);
    for (const item of group) write(item);
    writer.noTaggedFields();
  }
}
