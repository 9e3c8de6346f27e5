/** Frames that the fuzzer found, or that its findings led to, each with what it did before. */
import { expect, test } from 'vitest';
import { fetchBody } from '#testing/broker-frames.ts';
import { resealed } from '#testing/fuzz/decoder-targets.ts';
import { writeBatch } from '#testing/record-batches.ts';
import { MalformedBatchError, MalformedFrameError } from './errors.ts';
import { decodeFetch } from './fetch.ts';
import { describeProducers } from './protocol/describe-producers.ts';
import { deleteRecords } from './protocol/delete-records.ts';
import { Reader } from './protocol/reader.ts';
import { Writer } from './protocol/writer.ts';
import { compress, decompress } from './records/compression.ts';
import { openBatch } from './records/open-batch.ts';

const LZ4_HEADER = Buffer.from('04224d18604082', 'hex');
const XERIAL_HEADER = compress(2, Buffer.alloc(0));
const END = Buffer.alloc(4);
const bounds = { outputBytesMax: 1024 * 1024 };

test('an answer of elements of three bytes is refused before they have become objects by the million', () => {
  const count = 1_000_000;
  const writer = new Writer();
  writer.int32(0);
  writer.unsignedVarint(count + 1);
  const body = Buffer.concat([writer.finish(), Buffer.alloc(count * 3, Buffer.from([1, 1, 0])), Buffer.alloc(1)]);
  const decode = (): unknown => deleteRecords.readResponse(new Reader(body, 0, body.length), 2);
  expect(decode).toThrow(MalformedFrameError);
  expect(decode).toThrow('more elements than an answer of 3000008 bytes has');
});

test('a producer whose records have times in nanoseconds does not make the answer about it unreadable', () => {
  const writer = new Writer();
  writer.int32(0);
  writer.arrayLength(1, true);
  writer.compactString('orders');
  writer.arrayLength(1, true);
  writer.int32(0);
  writer.int16(0);
  writer.compactNullableString(null);
  writer.arrayLength(1, true);
  writer.int64(7);
  writer.int32(0);
  writer.int32(41);
  const at = writer.length;
  writer.int64(0);
  writer.int32(0);
  writer.int64(-1);
  for (let structs = 0; structs < 4; structs++) writer.noTaggedFields();
  const body = Buffer.from(writer.finish());
  body.writeBigInt64BE(1_795_000_000_000_000_123n, at);
  const { topics } = describeProducers.readResponse(new Reader(body, 0, body.length), 0);
  expect(topics[0]?.partitions[0]?.activeProducers[0]).toMatchObject({ lastSequence: 41, lastTimestamp: 1.795e18 });
});

test('an offset beyond 2^53 is refused, and says so', () => {
  const body = fetchBody({ partitions: [{ topicId: 'AAAAAAAAAAAAAAAAAAAAAQ', partition: 0 }] });
  body.writeBigInt64BE(2n ** 62n, 4 + 2 + 4 + 1 + 16 + 1 + 4 + 2);
  expect(() => decodeFetch(new Reader(body, 0, body.length))).toThrow(
    'the number 4611686018427387904, beyond ±2^53, which no offset or id of a broker reaches',
  );
});

test('blocks of one byte, by the hundred thousand, are one buffer and no list of them', () => {
  const stored = Buffer.from([1, 0, 0, 0x80, 97]);
  const packed = Buffer.from([0, 0, 0, 3, 1, 0, 97]);
  const lz4 = Buffer.concat([LZ4_HEADER, ...Array.from({ length: 100_000 }, () => stored), END]);
  const snappy = Buffer.concat([XERIAL_HEADER, ...Array.from({ length: 100_000 }, () => packed)]);
  expect(decompress(3, lz4, bounds)).toEqual(Buffer.alloc(100_000, 'a'));
  expect(decompress(2, snappy, bounds)).toEqual(Buffer.alloc(100_000, 'a'));
});

test.each([
  [
    'an LZ4 block larger than the frame allows',
    3,
    Buffer.concat([LZ4_HEADER, block(65_537), END]),
    'larger than its frame allows',
  ],
  [
    'a snappy block that says more than it can hold',
    2,
    Buffer.from([0x80, 0x80, 4, 0, 97]),
    'cannot hold what it says',
  ],
] as const)('%s is malformed', (_, codec, bytes, message) => {
  const read = (): Buffer => decompress(codec, bytes, bounds);
  expect(read).toThrow(MalformedBatchError);
  expect(read).toThrow(message);
});

test('an empty LZ4 block ends the frame, stored or not, as in the reader of Kafka itself', () => {
  expect(decompress(3, Buffer.concat([LZ4_HEADER, Buffer.from([0, 0, 0, 0x80])]), bounds)).toEqual(Buffer.alloc(0));
});

function block(size: number): Buffer {
  const bytes = Buffer.alloc(4 + size);
  bytes.writeUInt32LE(size + 0x8000_0000);
  return bytes;
}

test.each([1, 2, 3, 4] as const)('a bomb of codec %i is refused at the bound, with its code', (codec) => {
  const plain = writeBatch([{ timestamp: 1, key: null, value: Buffer.from('a'), headers: [] }]);
  const bomb = Buffer.concat([plain.subarray(0, 61), compress(codec, Buffer.alloc(3 * 1024 * 1024))]);
  bomb.writeInt16BE(codec, 21);
  bomb.writeInt32BE(bomb.length - 12, 8);
  const open = (): unknown => openBatch(resealed(bomb), 0, { bodyBytesMax: bounds.outputBytesMax });
  expect(open).toThrow(MalformedBatchError);
  expect(open).toThrow('they hold more than 1048576 bytes');
});
