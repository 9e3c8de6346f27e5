import fc from 'fast-check';
import { expect, test } from 'vitest';
import { crc32c, crc32cShift, crc32cStep } from './crc32c.ts';

test.each([
  ['the ASCII digits', Buffer.from('123456789'), 0xe3069283],
  ['32 zeros', Buffer.alloc(32), 0x8a9136aa],
  ['32 ones', Buffer.alloc(32, 0xff), 0x62a8ab43],
  ['0x00 to 0x1F', Buffer.from(Array.from({ length: 32 }, (_, i) => i)), 0x46dd794e],
])('the CRC-32C of %s is that of RFC 3720', (_, bytes, crc) => {
  expect(crc32c(bytes)).toBe(crc);
});

const rawOf = (bytes: Uint8Array): number => bytes.reduce(crc32cStep, 0) >>> 0;

test('the raw checksum of the vector of kafka-wire and its shift by 14 bytes', () => {
  const difference = Buffer.from('ffffffffffffed98fffcffffffd5', 'hex');
  expect(rawOf(difference)).toBe(0x7c96e29b);
  expect(crc32cShift(0x7c96e29b, 14)).toBe(0xf44f40b0);
});

test('a shift is what as many zero bytes do', () => {
  fc.assert(
    fc.property(fc.uint8Array({ minLength: 1, maxLength: 64 }), fc.nat({ max: 5000 }), (bytes, zeros) => {
      expect(crc32cShift(rawOf(bytes), zeros)).toBe(rawOf(Buffer.concat([bytes, Buffer.alloc(zeros)])));
    }),
  );
});

test('shifts add up, to the greatest length that a batch can have', () => {
  fc.assert(
    fc.property(
      fc.integer(),
      fc.nat({ max: 2 ** 31 - 1 }),
      fc.double({ min: 0, max: 1, noNaN: true }),
      (crc, zeros, part) => {
        const first = Math.floor(zeros * part);
        expect(crc32cShift(crc32cShift(crc, first), zeros - first)).toBe(crc32cShift(crc, zeros));
        expect(crc32cShift(crc, zeros) === 0).toBe(crc === 0);
      },
    ),
  );
});

test('messages of equal length differ in their CRC by the raw checksum of their difference', () => {
  fc.assert(
    fc.property(
      fc.uint8Array({ minLength: 1, maxLength: 300 }),
      fc.uint8Array({ minLength: 300, maxLength: 300 }),
      (a, noise) => {
        const b = a.map((byte, i) => byte ^ noise[i]!);
        expect((crc32c(a) ^ crc32c(b)) >>> 0).toBe(rawOf(noise.subarray(0, a.length)));
      },
    ),
  );
});
