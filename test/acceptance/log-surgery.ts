/** Changes the log of a stopped broker on its disk, as no client could. */
import { crc32c } from '@node-rs/crc32';
import { readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { KafkaBroker } from '#testing/kafka-broker.ts';
import { assert } from '#util/assert.ts';

/** Offset of the fields in a batch of format v2 (DefaultRecordBatch). */
const field = { length: 8, crc: 17, attributes: 21, lastOffsetDelta: 23, records: 61 };

/** Flips one bit in the last byte of `text` where it last occurs in the last batch, and makes the checksum right again. */
export function alterLastBatch(broker: KafkaBroker, place: string, text: string): void {
  const { path, bytes, starts } = readSegment(broker, place);
  const batch = bytes.subarray(starts.at(-1));
  const at = batch.lastIndexOf(text, undefined, 'latin1');
  assert(at >= 0, `the last batch of ${place} holds "${text}"`);
  const last = at + text.length - 1;
  batch.writeUInt8(batch.readUInt8(last) ^ 1, last);
  batch.writeUInt32BE(crc32c(batch.subarray(field.attributes)), field.crc);
  writeFileSync(path, bytes);
}

/** Takes a batch out of the middle, and returns the offset of its first record: what a disk loses that nobody looks at. */
export function dropMiddleBatch(broker: KafkaBroker, place: string): number {
  const { path, bytes, starts } = readSegment(broker, place);
  const middle = Math.floor(starts.length / 2);
  const [start, end] = [starts[middle], starts[middle + 1]];
  assert(middle > 0 && start !== undefined && end !== undefined, `${place} has three batches`);
  writeFileSync(path, Buffer.concat([bytes.subarray(0, start), bytes.subarray(end)]));
  return Number(bytes.readBigInt64BE(start));
}

/** Swaps the last two batches, each whole and with a right checksum; returns the offset of the first record that moved. */
export function swapLastBatches(broker: KafkaBroker, place: string): number {
  const { path, bytes, starts } = readSegment(broker, place);
  const [first = 0, second = 0] = starts.slice(-2);
  assert(second > first, `${place} has two batches`);
  const [one, other] = [Buffer.from(bytes.subarray(first, second)), Buffer.from(bytes.subarray(second))];
  const base = one.readBigInt64BE();
  // The checksum begins behind base offset, length, epoch and magic.
  other.writeBigInt64BE(base);
  one.writeBigInt64BE(base + BigInt(other.readInt32BE(field.lastOffsetDelta)) + 1n);
  writeFileSync(path, Buffer.concat([bytes.subarray(0, first), other, one]));
  return Number(base);
}

/** Cuts off the last batch: what an unclean election does to a log. */
export function cutLastBatch(broker: KafkaBroker, place: string): void {
  const { path, bytes, starts } = readSegment(broker, place);
  writeFileSync(path, bytes.subarray(0, starts.at(-1)));
}

/**
 * Flips one bit in the records of the batch that holds `offset`, and leaves its checksum wrong: what a bad disk does. The
 * second time it is as before.
 */
export function flipBit(broker: KafkaBroker, place: string, offset: number): void {
  // Without an index a broker would look through the segment as it starts, and cut it off at the damage.
  const { path, bytes, starts } = readSegment(broker, place, { keepsIndexes: true });
  const at = starts.findLast((start) => Number(bytes.readBigInt64BE(start)) <= offset);
  assert(at !== undefined, `${place} holds offset ${offset}`);
  const end = at + 12 + bytes.readInt32BE(at + field.length);
  const middle = Math.floor((at + field.records + end) / 2);
  bytes.writeUInt8(bytes.readUInt8(middle) ^ 1, middle);
  writeFileSync(path, bytes);
}

/** The only segment of a partition (`topic-0`), whole batches only, with where each batch begins. */
function readSegment(
  broker: KafkaBroker,
  place: string,
  { keepsIndexes = false } = {},
): { path: string; bytes: Buffer; starts: number[] } {
  const directory = join(broker.dataDir, place);
  const files = readdirSync(directory);
  const segments = files.filter((name) => name.endsWith('.log'));
  assert(segments.length === 1, `${place} has one segment`);
  // Indexes point into the log; the broker makes new ones.
  for (const name of keepsIndexes ? [] : files) if (name.endsWith('index')) rmSync(join(directory, name));
  const path = join(directory, segments[0] ?? '');
  const file = readFileSync(path);
  const starts: number[] = [];
  let at = 0;
  while (at + field.records <= file.length && file.readInt32BE(at + field.length) > 0) {
    starts.push(at);
    at += 12 + file.readInt32BE(at + field.length);
  }
  return { path, bytes: file.subarray(0, at), starts };
}
