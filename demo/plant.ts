/**
 * Alters one record of a running cluster below Kafka: a character of a value in a log segment is changed and the
 * batch's checksum corrected, so that neither the broker nor a consumer can notice by itself. The bytes are written
 * over in place: a broker serves fetches from the page cache, and appends only at the end of the file.
 */
import { closeSync, existsSync, openSync, readFileSync, readdirSync, writeSync } from 'node:fs';
import { join } from 'node:path';
import { crc32c } from '@node-rs/crc32';

export interface Planted {
  readonly topic: string;
  readonly partition: number;
  readonly offset: number;
}

/** Record batch v2 (DefaultRecordBatch): where its fields are. */
const LENGTH_AT = 8;
const MAGIC_AT = 16;
const CRC_AT = 17;
const ATTRIBUTES_AT = 21;
const RECORDS_AT = 61;
const CODEC_MASK = 0x07;
const CONTROL_MASK = 0x20;
/** The live traffic writes its sequence number behind this into each value. */
const MARK = '"seq":';

/**
 * Alters the newest record of an uncompressed batch with another one behind it, in the first partition of `topic` that has
 * one, on a one-node cluster with this data directory. Returns which, or null while there is none. Not of the last batch:
 * a mirror that starts again compares that one, and would rightly refuse to go on.
 */
export function plantDifference(dataDir: string, topic: string, partitions: number): Planted | null {
  for (let partition = 0; partition < partitions; partition += 1) {
    const folder = join(dataDir, `${topic}-${partition}`);
    const segment = existsSync(folder) ? newestSegment(folder) : null;
    const offset = segment === null ? null : alterNewest(segment);
    if (offset !== null) return { topic, partition, offset };
  }
  return null;
}

function newestSegment(folder: string): string | null {
  const name = readdirSync(folder)
    .filter((file) => file.endsWith('.log'))
    .sort()
    .at(-1);
  return name === undefined ? null : join(folder, name);
}

/** Alters the last record of the last fitting batch of a segment that has data behind it; returns its offset. */
function alterNewest(segment: string): number | null {
  const log = readFileSync(segment);
  interface Alterable {
    readonly batch: Buffer;
    readonly at: number;
    readonly place: RecordPlace;
  }
  let found: Alterable | null = null;
  let last: Alterable | null = null;
  for (let at = 0; at + RECORDS_AT <= log.length;) {
    const end = at + 12 + log.readInt32BE(at + LENGTH_AT);
    if (end > log.length) break; // still being appended
    const batch = log.subarray(at, end);
    if (!isControl(batch)) found = last;
    const place = isAlterable(batch) ? lastAlterable(batch) : null;
    if (place !== null) last = { batch, at, place };
    at = end;
  }
  if (found === null) return null;
  const { batch, at, place } = found;
  batch[place.digitAt] = otherDigit(batch[place.digitAt] ?? 0);
  batch.writeUInt32BE(crc32c(batch.subarray(ATTRIBUTES_AT)), CRC_AT);
  // One write from the checksum to the end: a fetch at this moment should see both or neither.
  const file = openSync(segment, 'r+');
  try {
    writeSync(file, batch, CRC_AT, batch.length - CRC_AT, at + CRC_AT);
  } finally {
    closeSync(file);
  }
  return Number(batch.readBigInt64BE(0)) + place.offsetDelta;
}

function isControl(batch: Buffer): boolean {
  return (batch.readInt16BE(ATTRIBUTES_AT) & CONTROL_MASK) !== 0;
}

function isAlterable(batch: Buffer): boolean {
  return batch[MAGIC_AT] === 2 && !isControl(batch) && (batch.readInt16BE(ATTRIBUTES_AT) & CODEC_MASK) === 0;
}

interface RecordPlace {
  readonly offsetDelta: number;
  readonly digitAt: number;
}

/** The last record of an uncompressed batch whose value names its sequence number, and where that number begins. */
function lastAlterable(batch: Buffer): RecordPlace | null {
  let last: RecordPlace | null = null;
  for (let at = RECORDS_AT; at < batch.length;) {
    const end = skipVarint(batch, at) + readVarint(batch, at);
    // DefaultRecord: length, attributes int8, timestamp delta, offset delta, key length, key, value length, value.
    const offsetDeltaAt = skipVarint(batch, skipVarint(batch, at) + 1);
    const keyLengthAt = skipVarint(batch, offsetDeltaAt);
    const valueLengthAt = skipVarint(batch, keyLengthAt) + Math.max(0, readVarint(batch, keyLengthAt));
    const valueAt = skipVarint(batch, valueLengthAt);
    const value = batch.subarray(valueAt, valueAt + Math.max(0, readVarint(batch, valueLengthAt)));
    const mentioned = value.indexOf(MARK);
    if (mentioned >= 0)
      last = { offsetDelta: readVarint(batch, offsetDeltaAt), digitAt: valueAt + mentioned + MARK.length };
    at = end;
  }
  return last;
}

function otherDigit(byte: number): number {
  return byte === 0x39 ? 0x38 : 0x39; // 9, or 8 where it was 9
}

/** A zigzag varint of at most 32 bits; longer ones (timestamps) are only skipped. */
function readVarint(bytes: Buffer, at: number): number {
  let raw = 0;
  for (let shift = 0; ; shift += 7, at += 1) {
    const byte = bytes[at] ?? 0;
    raw |= (byte & 0x7f) << shift;
    if (byte < 0x80) return (raw >>> 1) ^ -(raw & 1);
  }
}

function skipVarint(bytes: Buffer, at: number): number {
  while ((bytes[at] ?? 0) >= 0x80) at += 1;
  return at + 1;
}
