/** Faults inside Kafka's own fields: error codes, leaders, addresses, records. In the versions that the mirror speaks. */
import { Reader } from '#kafka/protocol/reader.ts';
import { apiKeys } from './fault-rule.ts';
import type { Fault } from './fault-rule.ts';
import { rewrite } from './fault-kinds.ts';
import type { ProxiedFrame } from './fault-kinds.ts';

/**
 * Writes an error code over every one of an answer, of partitions and topics. What the broker has done is done: a
 * Produce that is answered with an error has been appended. An answer that has no place for a code (a Fetch without
 * news) is not altered. Throws for a request whose answers it does not know.
 */
export function errorCode(code: number): Fault {
  return rewrite(`error ${code}`, (answer) => {
    const places = errorPlaces(answer);
    for (const at of places) answer.frame.writeInt16BE(code, at);
    if (answer.apiKey === apiKeys.Produce && code !== 0) {
      for (const at of places) answer.frame.writeBigInt64BE(-1n, at + 2); // base offset, as brokers answer with errors
    }
    return places.length > 0;
  });
}

/** Metadata: the leader of partitions becomes another broker, in place; `leaderOf` gets the true one. */
export function moveLeader(leaderOf: (leader: number, partition: number, topic: string) => number): Fault {
  return rewrite('move leader', (answer) => {
    let isMoved = false;
    const metadata = walkMetadata(answer);
    for (const { topic, partition, leader, leaderAt } of metadata.partitions) {
      const moved = leaderOf(leader, partition, topic);
      answer.frame.writeInt32BE(moved, leaderAt);
      isMoved ||= moved !== leader;
    }
    return isMoved;
  });
}

/** Metadata: brokers advertise another address; `addressOf` gets the true one and returns null to leave it. */
export function advertise(
  addressOf: (broker: { id: number; host: string; port: number }) => { host: string; port: number } | null,
): Fault {
  return rewrite('advertise', (answer) => {
    const parts: Buffer[] = [];
    let copied = 0;
    for (const { id, host, port, hostAt, end } of walkMetadata(answer).brokers) {
      const address = addressOf({ id, host, port });
      if (address === null) continue;
      const portBytes = Buffer.alloc(4);
      portBytes.writeInt32BE(address.port);
      const name = Buffer.from(address.host); // up to 126 bytes: a length of one byte
      parts.push(answer.frame.subarray(copied, hostAt), Buffer.from([name.length + 1]), name, portBytes);
      copied = end;
    }
    return copied === 0 ? null : Buffer.concat([...parts, answer.frame.subarray(copied)]);
  });
}

/**
 * Flips one bit of a record batch that its CRC covers, in Fetch answers and Produce requests. Frames without a whole
 * batch are not altered.
 */
export function flipRecordBit(): Fault {
  return rewrite('flip a bit of records', (frame) => {
    const ranges = recordRanges(frame).filter(({ start, end }) => end - start > CRC_END);
    const range = ranges[Math.floor(frame.random.next() * ranges.length)];
    if (range === undefined) return false;
    const batchEnd = range.start + 12 + frame.frame.readInt32BE(range.start + 8);
    if (batchEnd > range.end) return false;
    flipBit(frame, range.start + CRC_END, batchEnd);
    return true;
  });
}

/** Flips a bit anywhere between two places of the frame, which are counted from the body's start, or back from its end. */
export function flipBitWithin(from: number, to: number): Fault {
  return rewrite('flip a bit', (frame) => {
    const end = to <= 0 ? frame.frame.length + to : frame.start + to;
    if (end <= frame.start + from) return false;
    flipBit(frame, frame.start + from, end);
    return true;
  });
}

/** Base offset, length, leader epoch, magic and the CRC itself: the CRC covers what follows. */
const CRC_END = 21;

function flipBit({ frame, random }: ProxiedFrame, from: number, to: number): void {
  const at = from + Math.floor(random.next() * (to - from));
  frame.writeUInt8(frame.readUInt8(at) ^ (1 << Math.floor(random.next() * 8)), at);
}

/** Where the error codes of an answer stand. */
function errorPlaces(answer: ProxiedFrame): number[] {
  const reader = new Reader(answer.frame, answer.start, answer.frame.length);
  const places: number[] = [];
  const place = (): void => {
    places.push(reader.position);
    reader.int16();
  };
  const each = (read: () => void): void => {
    for (let left = reader.arrayLength(true); left > 0; left--) {
      read();
      reader.skipTaggedFields();
    }
  };
  switch (answer.apiKey) {
    case apiKeys.Produce:
      each(() => {
        reader.compactString();
        each(() => {
          reader.int32();
          place();
          reader.position += 24; // base offset, append time, log start
          each(() => {
            reader.int32();
            reader.compactNullableString();
          });
          reader.compactNullableString();
        });
      });
      break;
    case apiKeys.Fetch:
      walkFetch(reader, place);
      break;
    case apiKeys.Metadata:
      places.push(...walkMetadata(answer).errors);
      break;
    case apiKeys.ListOffsets:
      reader.int32();
      each(() => {
        reader.compactString();
        each(() => {
          reader.int32();
          place();
          reader.position += 20; // timestamp, offset, leader epoch
        });
      });
      break;
    case apiKeys.CreateTopics:
      reader.int32();
      each(() => {
        reader.compactString();
        if (answer.apiVersion >= 7) reader.uuid();
        place();
        reader.compactNullableString();
        reader.position += 6; // partitions, replication factor
        each(() => {
          reader.compactString();
          reader.compactNullableString();
          reader.position += 3; // read-only, source, sensitive
        });
      });
      break;
    case apiKeys.DeleteRecords:
      reader.int32();
      each(() => {
        reader.compactString();
        each(() => {
          reader.position += 12; // partition, low watermark
          place();
        });
      });
      break;
    case apiKeys.InitProducerId:
      reader.int32();
      place();
      break;
    case apiKeys.OffsetForLeaderEpoch:
      reader.int32();
      each(() => {
        reader.compactString();
        each(() => {
          place();
          reader.position += 16; // partition, leader epoch, end offset
        });
      });
      break;
    case apiKeys.WriteTxnMarkers:
      each(() => {
        reader.int64();
        each(() => {
          reader.compactString();
          each(() => {
            reader.int32();
            place();
          });
        });
      });
      break;
    default:
      throw new Error(`the places of error codes in answers to request ${answer.apiKey} are not known here`);
  }
  return places;
}

interface MetadataPlaces {
  readonly brokers: { id: number; host: string; port: number; hostAt: number; end: number }[];
  readonly partitions: { topic: string; partition: number; leader: number; leaderAt: number }[];
  readonly errors: number[];
}

function walkMetadata({ frame, start }: ProxiedFrame): MetadataPlaces {
  const reader = new Reader(frame, start, frame.length);
  const places: MetadataPlaces = { brokers: [], partitions: [], errors: [] };
  reader.int32(); // throttle time
  for (let left = reader.arrayLength(true); left > 0; left--) {
    const id = reader.int32();
    const hostAt = reader.position;
    const host = reader.compactString();
    const port = reader.int32();
    places.brokers.push({ id, host, port, hostAt, end: reader.position });
    reader.compactNullableString();
    reader.skipTaggedFields();
  }
  reader.compactNullableString();
  reader.int32(); // controller
  for (let left = reader.arrayLength(true); left > 0; left--) {
    places.errors.push(reader.position);
    reader.int16();
    const topic = reader.compactNullableString() ?? '';
    reader.uuid();
    reader.boolean();
    for (let more = reader.arrayLength(true); more > 0; more--) {
      places.errors.push(reader.position);
      reader.int16();
      const partition = reader.int32();
      const leaderAt = reader.position;
      places.partitions.push({ topic, partition, leader: reader.int32(), leaderAt });
      reader.int32(); // leader epoch
      for (let lists = 3; lists > 0; lists--) reader.array(true, 0, (from) => from.int32());
      reader.skipTaggedFields();
    }
    reader.int32(); // operations
    reader.skipTaggedFields();
  }
  return places;
}

/** Calls `place` where the error of each partition stands, and returns where the records are. */
function walkFetch(reader: Reader, place: () => void): { start: number; end: number }[] {
  const ranges: { start: number; end: number }[] = [];
  reader.position += 10; // throttle time, error and session id
  for (let topics = reader.arrayLength(true); topics > 0; topics--) {
    reader.uuid();
    for (let partitions = reader.arrayLength(true); partitions > 0; partitions--) {
      reader.int32();
      place();
      reader.position += 24; // high watermark, last stable offset, log start
      for (let aborted = reader.arrayLength(true); aborted > 0; aborted--) {
        reader.position += 16;
        reader.skipTaggedFields();
      }
      reader.int32(); // preferred replica
      ranges.push(takeRecords(reader));
      reader.skipTaggedFields();
    }
    reader.skipTaggedFields();
  }
  return ranges;
}

function takeRecords(reader: Reader): { start: number; end: number } {
  const bytes = Math.max(0, reader.unsignedVarint() - 1);
  const start = reader.position;
  reader.position += bytes;
  return { start, end: reader.position };
}

function recordRanges(frame: ProxiedFrame): { start: number; end: number }[] {
  const reader = new Reader(frame.frame, frame.start, frame.frame.length);
  if (frame.apiKey === apiKeys.Fetch && frame.direction === 'response') return walkFetch(reader, () => reader.int16());
  if (frame.apiKey !== apiKeys.Produce || frame.direction !== 'request') return [];
  const ranges: { start: number; end: number }[] = [];
  reader.compactNullableString(); // transactional id
  reader.position += 6; // acks, timeout
  for (let topics = reader.arrayLength(true); topics > 0; topics--) {
    reader.compactString();
    for (let partitions = reader.arrayLength(true); partitions > 0; partitions--) {
      reader.int32();
      ranges.push(takeRecords(reader));
      reader.skipTaggedFields();
    }
    reader.skipTaggedFields();
  }
  return ranges;
}
