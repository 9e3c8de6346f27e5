import fc from 'fast-check';
import { expect, test } from 'vitest';
import { MalformedBatchError } from '../errors.ts';
import { VarintCursor, sizeOfInt32, sizeOfSafeInt64, writeInt32, writeSafeInt64 } from './varint.ts';

const cursorOf = (hex: string): VarintCursor => {
  const bytes = Buffer.from(hex, 'hex');
  return new VarintCursor(bytes, 0, bytes.length);
};

// Values and bytes of org.apache.kafka.common.utils.ByteUtils.writeVarint and writeVarlong.
test.each([
  [0, '00'],
  [-1, '01'],
  [1, '02'],
  [63, '7e'],
  [-64, '7f'],
  [64, '8001'],
  [8191, 'fe7f'],
  [-8192, 'ff7f'],
  [134_217_727, 'feffff7f'],
  [2_147_483_647, 'feffffff0f'],
  [-2_147_483_648, 'ffffffff0f'],
])('%i is written as %s and read again, as int32 and as int64', (value, hex) => {
  const buffer = Buffer.alloc(10);
  for (const [write, sizeOf] of [
    [writeInt32, sizeOfInt32],
    [writeSafeInt64, sizeOfSafeInt64],
  ] as const) {
    expect(buffer.toString('hex', 0, write(buffer, 0, value))).toBe(hex);
    expect(sizeOf(value)).toBe(hex.length / 2);
  }
  expect(cursorOf(hex).int32()).toBe(value);
  expect(cursorOf(hex).safeInt64()).toBe(value);
});

test('every safe integer is written in the bytes of zig-zag encoding and read again', () => {
  fc.assert(
    fc.property(
      fc.oneof(fc.maxSafeInteger(), fc.constantFrom(2 ** 31, -(2 ** 31) - 1, 2 ** 32, 2 ** 53 - 1, -(2 ** 53) + 1)),
      (value) => {
        const buffer = Buffer.alloc(12);
        const end = writeSafeInt64(buffer, 0, value);
        expect(end).toBe(sizeOfSafeInt64(value));
        expect(new VarintCursor(buffer, 0, end).safeInt64()).toBe(value);
        const zigzag = value < 0 ? BigInt(value) * -2n - 1n : BigInt(value) * 2n;
        const read = [...buffer.subarray(0, end)].reduce(
          (sum, byte, i) => sum + (BigInt(byte & 0x7f) << BigInt(7 * i)),
          0n,
        );
        expect(read).toBe(zigzag);
      },
    ),
  );
});

test.each([
  ['an int32 that is cut', 'ff', 'int32'],
  ['an int32 of 33 bits', 'ffffffff1f', 'int32'],
  ['an int32 of six bytes', '808080808000', 'int32'],
  ['an int64 that is cut', 'ffff', 'safeInt64'],
  ['an int64 of eleven bytes', '8080808080808080808000', 'safeInt64'],
  ['an int64 beyond 2^53', 'ffffffffffffffff7f', 'safeInt64'],
] as const)('%s is malformed', (_, hex, read) => {
  expect(() => cursorOf(hex)[read]()).toThrow(MalformedBatchError);
});

test('a longer form than needed is read', () => {
  expect(cursorOf('8000').int32()).toBe(0);
  expect(cursorOf('828080808000').safeInt64()).toBe(1);
});
