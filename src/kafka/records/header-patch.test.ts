import fc from 'fast-check';
import { expect, test } from 'vitest';
import { createRandom } from '#util/random.ts';
import { producerArbitrary } from '#testing/record-batches.ts';
import * as header from './batch-header.ts';
import { crc32c } from './crc32c.ts';
import { patchBatchHeader } from './header-patch.ts';

/** A batch of `size` bytes whose every byte from the attributes on is random, at `at` of a larger buffer. */
function randomBatch(size: number, options: { seed: number; at: number }): Buffer {
  const { seed, at } = options;
  const random = createRandom(seed);
  const noise = Buffer.from(Array.from({ length: 1021 }, () => Math.floor(random.next() * 256)));
  const buffer = Buffer.alloc(at + size + 5, noise);
  buffer.writeInt32BE(size - 12, at + 8);
  buffer[at + 16] = 2;
  buffer.writeUInt32BE(crc32c(buffer.subarray(at + 21, at + size)), at + 17);
  return buffer;
}

const sizeArbitrary = fc.oneof(
  { weight: 3, arbitrary: fc.integer({ min: 61, max: 200 }) },
  { weight: 3, arbitrary: fc.integer({ min: 61, max: 70_000 }) },
  { weight: 1, arbitrary: fc.integer({ min: 61, max: 16 * 1024 * 1024 }) },
);

test('a patched batch is what the same batch with a CRC computed anew would be, and nothing around it changes', () => {
  fc.assert(
    fc.property(
      sizeArbitrary,
      fc.integer(),
      fc.nat({ max: 9 }),
      producerArbitrary,
      fc.nat({ max: 127 }),
      (size, seed, at, producer, clear) => {
        const buffer = randomBatch(size, { seed, at });
        const expected = Buffer.from(buffer);
        expected.fill(0, at, at + 8);
        expected.writeInt32BE(-1, at + 12);
        expected.writeInt16BE(expected.readInt16BE(at + 21) & ~clear, at + 21);
        expected.writeBigInt64BE(BigInt(producer.producerId), at + 43);
        expected.writeInt16BE(producer.producerEpoch, at + 51);
        expected.writeInt32BE(producer.baseSequence, at + 53);
        expected.writeUInt32BE(crc32c(expected.subarray(at + 21, at + size)), at + 17);

        patchBatchHeader(buffer, at, producer, clear);
        expect(buffer.equals(expected)).toBe(true);
      },
    ),
    { numRuns: 200 },
  );
});

test('a byte of the body that was damaged before or after the patch is still found', () => {
  fc.assert(
    fc.property(
      fc.integer({ min: 62, max: 5000 }),
      fc.integer(),
      fc.nat(),
      fc.integer({ min: 1, max: 255 }),
      fc.boolean(),
      (size, seed, position, flip, before) => {
        const batch = randomBatch(size, { seed, at: 0 });
        const at = 61 + (position % (size - 61));
        const damage = (): void => void (batch[at] = batch[at]! ^ flip);
        if (before) damage();
        patchBatchHeader(batch, 0, { producerId: 1, producerEpoch: 0, baseSequence: 7 }, 0);
        if (!before) damage();
        expect(header.checkBatchCrc(batch, 0)).toBe(false);
        damage();
        expect(header.checkBatchCrc(batch, 0)).toBe(true);
      },
    ),
  );
});

test('the vector of kafka-wire: from transactional by producer 99 to 4711/3/42', () => {
  const batch = Buffer.alloc(71);
  for (let i = 0; i < 10; i++) batch[61 + i] = i;
  const times = { baseTimestamp: 1_700_000_000_000, maxTimestamp: 1_700_000_000_000 };
  header.writeBatchHeader(batch, 0, 71, {
    attributes: 0x10,
    producerId: 99,
    producerEpoch: 1,
    baseSequence: 0,
    lastOffsetDelta: 0,
    recordCount: 1,
    ...times,
  });
  expect(header.crcOf(batch, 0)).toBe(0x8d906b4f);
  patchBatchHeader(batch, 0, { producerId: 4711, producerEpoch: 3, baseSequence: 42 }, header.ATTRIBUTE_TRANSACTIONAL);
  expect(header.crcOf(batch, 0)).toBe(0xd1e121c0);
  expect(header.attributesOf(batch, 0)).toBe(0);
});

test('the last sequence before the wrap and the first behind it are written as they are given', () => {
  const batch = randomBatch(100, { seed: 1, at: 0 });
  for (const baseSequence of [2 ** 31 - 1, 0]) {
    patchBatchHeader(batch, 0, { producerId: 5, producerEpoch: 0, baseSequence }, 0);
    expect(header.baseSequenceOf(batch, 0)).toBe(baseSequence);
    expect(header.checkBatchCrc(batch, 0)).toBe(true);
  }
});
