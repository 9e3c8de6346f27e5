import fc from 'fast-check';
import { expect, test } from 'vitest';
import { noProducer, recordsArbitrary, writeBatch } from '#testing/record-batches.ts';
import { MalformedBatchError } from '../errors.ts';
import * as header from './batch-header.ts';

/** The 71-byte batch of kafka-wire §4, whose CRC was computed by a third party. */
function vectorBatch(fields: {
  attributes: number;
  producerId: number;
  producerEpoch: number;
  baseSequence: number;
}): Buffer {
  const batch = Buffer.alloc(71);
  for (let i = 0; i < 10; i++) batch[61 + i] = i;
  header.writeBatchHeader(batch, 0, 71, {
    ...fields,
    lastOffsetDelta: 0,
    baseTimestamp: 1_700_000_000_000,
    maxTimestamp: 1_700_000_000_000,
    recordCount: 1,
  });
  return batch;
}

test.each([
  [{ attributes: 0, producerId: -1, producerEpoch: -1, baseSequence: -1 }, 0x25ae6170],
  [{ attributes: 0, producerId: 4711, producerEpoch: 3, baseSequence: 42 }, 0xd1e121c0],
  [{ attributes: 0x10, producerId: 99, producerEpoch: 1, baseSequence: 0 }, 0x8d906b4f],
])('the batch of %o has the CRC of the vector', (fields, crc) => {
  const batch = vectorBatch(fields);
  expect(header.crcOf(batch, 0)).toBe(crc);
  expect(header.checkBatchCrc(batch, 0)).toBe(true);
  expect(batch.readInt32BE(8)).toBe(59);
});

test('every field is read where it was written, anywhere in a buffer', () => {
  const buffer = Buffer.concat([
    Buffer.alloc(7, 0xee),
    vectorBatch({ attributes: 0x5b, producerId: 2 ** 40 + 5, producerEpoch: 32_767, baseSequence: 2 ** 31 - 1 }),
  ]);
  buffer.writeBigInt64BE(2n ** 41n, 7);
  buffer.writeInt32BE(9, 7 + 12);
  buffer.writeInt32BE(4, 7 + 23);
  buffer.writeBigInt64BE(-1n, 7 + 27);
  buffer.writeBigInt64BE(-(2n ** 35n), 7 + 35);
  expect({
    baseOffset: header.baseOffsetOf(buffer, 7),
    lastOffset: header.lastOffsetOf(buffer, 7),
    lastOffsetDelta: header.lastOffsetDeltaOf(buffer, 7),
    size: header.sizeOf(buffer, 7),
    leaderEpoch: header.leaderEpochOf(buffer, 7),
    magic: header.magicOf(buffer, 7),
    attributes: header.attributesOf(buffer, 7),
    codecBits: header.attributesOf(buffer, 7) & header.ATTRIBUTE_CODEC_MASK,
    codec: header.codecNames[header.codecOf(buffer, 7)],
    baseTimestamp: header.baseTimestampOf(buffer, 7),
    maxTimestamp: header.maxTimestampOf(buffer, 7),
    producerId: header.producerIdOf(buffer, 7),
    producerEpoch: header.producerEpochOf(buffer, 7),
    baseSequence: header.baseSequenceOf(buffer, 7),
    recordCount: header.recordCountOf(buffer, 7),
  }).toEqual({
    baseOffset: 2 ** 41,
    lastOffset: 2 ** 41 + 4,
    lastOffsetDelta: 4,
    size: 71,
    leaderEpoch: 9,
    magic: 2,
    attributes: 0x5b,
    codecBits: 3,
    codec: 'lz4',
    baseTimestamp: -1,
    maxTimestamp: -(2 ** 35),
    producerId: 2 ** 40 + 5,
    producerEpoch: 32_767,
    baseSequence: 2 ** 31 - 1,
    recordCount: 1,
  });
});

test('an int64 that no number holds exactly is malformed', () => {
  const batch = vectorBatch({ attributes: 0, ...noProducer });
  batch.writeBigInt64BE(2n ** 53n, 27);
  expect(header.baseTimestampOf(vectorBatch({ attributes: 0, ...noProducer }), 0)).toBe(1_700_000_000_000);
  expect(() => header.baseTimestampOf(batch, 0)).toThrow('base timestamp 9007199254740992');
});

test('codec numbers that Kafka does not know are malformed', () => {
  const batch = vectorBatch({ attributes: 5, ...noProducer });
  expect(() => header.codecOf(batch, 0)).toThrow(MalformedBatchError);
});

test('walks over the batches of a Fetch response and ends where it is cut', () => {
  fc.assert(
    fc.property(fc.array(recordsArbitrary(3), { minLength: 1, maxLength: 4 }), fc.nat(), (batches, cut) => {
      const written = batches.map((records, i) => writeBatch(records, { baseOffset: i * 10 }));
      const all = Buffer.concat(written);
      const end = cut % (all.length + 1);
      const sizes: number[] = [];
      let at = 0;
      for (let size = header.batchAt(all, at, end); size > 0; size = header.batchAt(all, at, end)) {
        sizes.push(size);
        at += size;
      }
      const whole = written.map((batch) => batch.length);
      expect(sizes).toEqual(whole.slice(0, sizes.length));
      expect(end - at).toBeLessThan(whole[sizes.length] ?? 1);
    }),
  );
});

test.each([
  ['magic 1', 16, Buffer.from([1]), 'has magic 1'],
  ['magic 0', 16, Buffer.from([0]), 'has magic 0'],
  ['a size below that of a header', 8, Buffer.from('00000030', 'hex'), 'says that it has 60 bytes'],
  ['a negative size', 8, Buffer.from('80000000', 'hex'), 'says that it has -'],
  ['a negative count', 57, Buffer.from('ffffffff', 'hex'), 'has -1 records'],
  ['a negative last offset delta', 23, Buffer.from('ffffffff', 'hex'), 'last offset delta -1'],
  ['a negative base offset', 0, Buffer.from('ffffffffffffffff', 'hex'), 'at offset -1'],
])('a batch of %s is malformed', (_, at, bytes, message) => {
  const batch = vectorBatch({ attributes: 0, ...noProducer });
  expect(header.batchAt(batch, 0, batch.length)).toBe(71);
  bytes.copy(batch, at);
  expect(() => header.batchAt(batch, 0, batch.length)).toThrow(MalformedBatchError);
  expect(() => header.batchAt(batch, 0, batch.length)).toThrow(message);
});

test('any changed bit that the CRC covers is found', () => {
  fc.assert(
    fc.property(recordsArbitrary(3), fc.nat(), fc.nat({ max: 7 }), (records, position, bit) => {
      const batch = writeBatch(records);
      expect(header.checkBatchCrc(batch, 0)).toBe(true);
      const at = 21 + (position % (batch.length - 21));
      batch[at] = batch[at]! ^ (1 << bit);
      expect(header.checkBatchCrc(batch, 0)).toBe(false);
    }),
  );
});
