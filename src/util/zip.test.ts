import fc from 'fast-check';
import { deflateRawSync } from 'node:zlib';
import { expect, test } from 'vitest';
import { readZip, writeZip, ZipError } from './zip.ts';

test('what is written is read again, and the same files are the same bytes', () => {
  const names = fc.string({ unit: 'grapheme', minLength: 1, maxLength: 20 });
  fc.assert(
    fc.property(fc.dictionary(names, fc.uint8Array({ maxLength: 1_000 })), (content) => {
      const files = new Map(Object.entries(content).map(([name, bytes]) => [name, Buffer.from(bytes)]));
      const zip = writeZip(files);
      expect(readZip(zip, { bytesMax: 100_000 })).toEqual(files);
      expect(writeZip(files)).toEqual(zip);
    }),
  );
});

/** Nothing where it is refused; another error than that goes on up. */
function outcomeOf(zip: Buffer): Map<string, Buffer> {
  try {
    return readZip(zip, { bytesMax: 1_000 });
  } catch (error) {
    if (error instanceof ZipError) return new Map();
    throw error;
  }
}

test('damaged bytes are an error, and never too much memory', () => {
  const zip = writeZip(
    new Map([
      ['a', Buffer.from('abcabcabc')],
      ['b', Buffer.alloc(500, 1)],
    ]),
  );
  fc.assert(
    fc.property(fc.nat(zip.length - 1), fc.integer({ min: 1, max: 255 }), fc.nat(zip.length), (at, change, length) => {
      const damaged = Buffer.from(zip);
      damaged[at]! ^= change;
      for (const bytes of [damaged, zip.subarray(0, length)]) {
        const read = Array.from(outcomeOf(bytes).values());
        expect(read.reduce((sum, file) => sum + file.length, 0)).toBeLessThanOrEqual(1_000);
      }
    }),
  );
});

test('a file that grows beyond what may be unpacked is refused, whatever size it states', () => {
  const bomb = writeZip(new Map([['bomb', Buffer.alloc(10_000_000)]]));
  expect(() => readZip(bomb, { bytesMax: 1_000_000 })).toThrow('holds too much');
  const central = bomb.indexOf(Buffer.from('504b0102', 'hex'));
  bomb.writeUInt32LE(10, central + 24);
  expect(() => readZip(bomb, { bytesMax: 1_000_000 })).toThrow(ZipError);
  expect(deflateRawSync(Buffer.alloc(10_000_000)).length).toBeLessThan(20_000);
});
