import { deflateSync, gzipSync, zstdCompressSync } from 'node:zlib';
import fc from 'fast-check';
import { compressFrameSync } from 'lz4-napi';
import { compressSync as snappyBlock } from 'snappy';
import { expect, test } from 'vitest';
import { codecs } from '#testing/record-batches.ts';
import { MalformedBatchError } from '../errors.ts';
import { codecNames } from './batch-header.ts';
import type { Codec } from './batch-header.ts';
import { compress, decompress } from './compression.ts';

const MEBIBYTE = 1024 * 1024;
const compressing = codecs.filter((codec) => codec !== 0);
const LZ4_HEADER = Buffer.from('04224d18604082', 'hex');

/** Bytes that a codec shortens, and bytes that it cannot. */
function sample(length: number, kind: 'text' | 'noise'): Buffer {
  const bytes = Buffer.alloc(length, 'lockstep keeps clusters in lockstep; ');
  if (kind === 'noise')
    for (let i = 0, state = 1; i < length; i++) bytes[i] = (state = Math.imul(state, 48_271) >>> 0) >>> 16;
  return bytes;
}

test('every codec gives back what it was given', () => {
  fc.assert(
    fc.property(
      fc.constantFrom(...codecs),
      fc.constantFrom('text', 'noise'),
      fc.nat({ max: 300_000 }),
      (codec, kind, length) => {
        const bytes = sample(length, kind);
        expect(decompress(codec, compress(codec, bytes), { outputBytesMax: Math.max(1, length) }).equals(bytes)).toBe(
          true,
        );
      },
    ),
  );
});

test('a Uint8Array that is a part of a larger one is compressed and decompressed as that part', () => {
  const bytes = sample(1000, 'text');
  for (const codec of codecs) {
    const part = new Uint8Array(bytes.buffer, bytes.byteOffset + 100, 300);
    const compressed = compress(codec, part);
    const larger = new Uint8Array(compressed.length + 20);
    larger.set(compressed, 9);
    const output = decompress(codec, larger.subarray(9, 9 + compressed.length), { outputBytesMax: 300 });
    expect(output.equals(bytes.subarray(100, 400))).toBe(true);
  }
});

test("snappy is written in Kafka's xerial framing, 32 KB of input a block", () => {
  const compressed = compress(2, sample(70_000, 'text'));
  expect(compressed.subarray(0, 16).toString('hex')).toBe('82534e41505059000000000100000001');
  const blocks: number[] = [];
  for (let at = 16; at < compressed.length; at += 4 + compressed.readInt32BE(at))
    blocks.push(compressed.readInt32BE(at));
  expect(blocks).toHaveLength(3);
});

test('lz4 is written in independent blocks of 64 KB, stored where they do not get shorter', () => {
  const compressed = compress(3, Buffer.concat([sample(65_536, 'noise'), sample(65_536, 'text'), sample(10, 'text')]));
  expect(compressed.subarray(0, 7).toString('hex')).toBe('04224d18604082');
  expect(compressed.readUInt32LE(7)).toBe(0x8000_0000 + 65_536);
  expect(compressed.readUInt32LE(7 + 4 + 65_536)).toBeLessThan(65_536);
  expect(compressed.readUInt32LE(compressed.length - 4)).toBe(0);
});

test('a bare snappy block, as librdkafka writes it, is read', () => {
  const bytes = sample(100_000, 'text');
  expect(decompress(2, snappyBlock(bytes), { outputBytesMax: 100_000 }).equals(bytes)).toBe(true);
});

test.each([
  ['with checksums', { contentChecksum: true, blockChecksums: true }, 5000],
  ['with blocks of 4 MB', {}, 9 * MEBIBYTE],
  ['with blocks of 256 KB', {}, 100_000],
])('an LZ4 frame %s is read, and its exact size is enough as the bound', (_, options, length) => {
  const bytes = sample(length, 'text');
  const frame = compressFrameSync(bytes, options);
  expect(decompress(3, frame, { outputBytesMax: length }).equals(bytes)).toBe(true);
  expect(() => decompress(3, frame, { outputBytesMax: length - 1 })).toThrow(`they hold more than ${length - 1} bytes`);
});

test('an LZ4 frame that says how much it holds is read', () => {
  const bytes = sample(5000, 'text');
  const header = Buffer.from('04224d1868408813000000000000ff', 'hex');
  const frame = Buffer.concat([header, compress(3, bytes).subarray(LZ4_HEADER.length)]);
  expect(decompress(3, frame, { outputBytesMax: 5000 }).equals(bytes)).toBe(true);
});

test('the size of an LZ4 frame is found exactly whatever the sequences in it', () => {
  fc.assert(
    fc.property(
      fc.array(fc.tuple(fc.nat({ max: 700 }), fc.nat({ max: 3 }), fc.boolean()), { maxLength: 40 }),
      (runs) => {
        const bytes = Buffer.concat(
          runs.map(([length, byte, noise]) => (noise ? sample(length, 'noise') : Buffer.alloc(length, byte))),
        );
        fc.pre(bytes.length > 0);
        const frame = compress(3, bytes);
        expect(decompress(3, frame, { outputBytesMax: bytes.length }).equals(bytes)).toBe(true);
        expect(() => decompress(3, frame, { outputBytesMax: bytes.length - 1 })).toThrow(MalformedBatchError);
      },
    ),
  );
});

/** A gigabyte of zeros, put together from one part: making it takes no memory either. */
const bombs: Record<Exclude<Codec, 0>, () => Buffer> = {
  1: () => repeat(gzipSync(Buffer.alloc(MEBIBYTE)), 1024),
  2: () =>
    Buffer.concat([compress(2, Buffer.alloc(0)), repeat(compress(2, Buffer.alloc(32_768)).subarray(16), 32_768)]),
  3: () =>
    Buffer.concat([LZ4_HEADER, repeat(compress(3, Buffer.alloc(65_536)).subarray(7, -4), 16_384), Buffer.alloc(4)]),
  // Magic, no content size, a window of 128 KB, then blocks of one byte that is repeated 128 KB long.
  4: () =>
    Buffer.concat([
      Buffer.from('28b52ffd0038', 'hex'),
      repeat(Buffer.from('02001000', 'hex'), 8192),
      Buffer.from('010000', 'hex'),
    ]),
};

function repeat(part: Buffer, times: number): Buffer {
  return Buffer.alloc(part.length * times, part);
}

test.each(compressing.map((codec) => [codecNames[codec], codec] as const))(
  'a %s bomb is refused, and its memory is not taken',
  (_, codec) => {
    const bomb = bombs[codec]();
    expect(bomb.length).toBeLessThan(64 * MEBIBYTE);
    const peak = process.resourceUsage().maxRSS;
    expect(() => decompress(codec, bomb, { outputBytesMax: 4 * MEBIBYTE })).toThrow(
      'they hold more than 4194304 bytes',
    );
    expect((process.resourceUsage().maxRSS - peak) * 1024).toBeLessThan(512 * MEBIBYTE);
  },
);

test('a snappy block that claims gigabytes is refused by its claim', () => {
  const claim = Buffer.from('ffffffff0f00', 'hex');
  const framed = Buffer.concat([compress(2, Buffer.alloc(0)), Buffer.from('00000006', 'hex'), claim]);
  for (const bytes of [claim, framed]) {
    expect(() => decompress(2, bytes, { outputBytesMax: MEBIBYTE })).toThrow('they hold more than 1048576 bytes');
  }
});

test('the claims of many snappy blocks are added up', () => {
  const block = snappyBlock(Buffer.alloc(32_768));
  const size = Buffer.alloc(4);
  size.writeInt32BE(block.length);
  const framed = Buffer.concat([
    compress(2, Buffer.alloc(0)),
    ...Array.from({ length: 64 }, () => [size, block]).flat(),
  ]);
  expect(decompress(2, framed, { outputBytesMax: 2 * MEBIBYTE })).toHaveLength(2 * MEBIBYTE);
  expect(() => decompress(2, framed, { outputBytesMax: 2 * MEBIBYTE - 1 })).toThrow(MalformedBatchError);
});

test.each([
  ['gzip that is zlib', 1, deflateSync(Buffer.from('x'))],
  ['gzip that is cut', 1, gzipSync(sample(5000, 'noise')).subarray(0, 2000)],
  ['snappy of nothing', 2, Buffer.alloc(0)],
  ['a xerial block size that is cut', 2, Buffer.concat([compress(2, Buffer.alloc(0)), Buffer.from('0000', 'hex')])],
  ['lz4 of nothing', 3, Buffer.alloc(0)],
  ['lz4 without an end mark', 3, compress(3, sample(5000, 'text')).subarray(0, -4)],
  ['lz4 that is cut', 3, compress(3, sample(5000, 'noise')).subarray(0, 2000)],
  ['an LZ4 block, not a frame', 3, snappyBlock(sample(100, 'text'))],
  ['zstd that is cut', 4, zstdCompressSync(sample(5000, 'noise')).subarray(0, 2000)],
  ['zstd of nothing', 4, Buffer.alloc(0)],
] as const)('%s is malformed, and the message names the codec', (_, codec, bytes) => {
  expect(() => decompress(codec, bytes, { outputBytesMax: MEBIBYTE })).toThrow(MalformedBatchError);
  expect(() => decompress(codec, bytes, { outputBytesMax: MEBIBYTE })).toThrow(
    `the ${codecNames[codec]} records of a batch cannot be read: `,
  );
});

test.each([
  [
    'a xerial block past the end',
    2,
    Buffer.concat([compress(2, Buffer.alloc(0)), Buffer.from('00000100', 'hex')]),
    'a snappy block runs past the end',
  ],
  ['an LZ4 frame of blocks of 4 KB', 3, Buffer.from('04224d18603082', 'hex'), 'their LZ4 frame header is damaged'],
  [
    'an LZ4 block past the end',
    3,
    Buffer.concat([LZ4_HEADER, Buffer.from('ffff0000', 'hex')]),
    'an LZ4 block runs past the end',
  ],
  ['an LZ4 frame of linked blocks', 3, Buffer.from('04224d18404000', 'hex'), 'their LZ4 frame has linked blocks'],
  ['an LZ4 frame without its end', 3, LZ4_HEADER, 'their LZ4 frame is cut'],
] as const)('%s is found before the library sees it', (_, codec, bytes, message) => {
  expect(() => decompress(codec, bytes, { outputBytesMax: MEBIBYTE })).toThrow(message);
});

test('damaged bytes are malformed, or other bytes within the bound', () => {
  const originals = new Map<Codec, Buffer>(compressing.map((codec) => [codec, compress(codec, sample(3000, 'text'))]));
  const frames = [
    compressFrameSync(sample(3000, 'text'), { contentChecksum: true, blockChecksums: true }),
    snappyBlock(sample(3000, 'text')),
  ];
  fc.assert(
    fc.property(
      fc.constantFrom(...compressing),
      fc.boolean(),
      fc.array(fc.tuple(fc.nat(), fc.integer({ min: 0, max: 255 })), { minLength: 1, maxLength: 4 }),
      fc.nat({ max: 40 }),
      (codec, other, changes, cut) => {
        const original = other && codec === 3 ? frames[0]! : other && codec === 2 ? frames[1]! : originals.get(codec)!;
        const bytes = Buffer.from(original.subarray(0, cut < 20 ? original.length : original.length - cut));
        for (const [at, value] of changes) bytes[at % bytes.length] = value;
        try {
          expect(decompress(codec, bytes, { outputBytesMax: 10_000 }).length).toBeLessThanOrEqual(10_000);
        } catch (error) {
          if (!(error instanceof MalformedBatchError)) throw error;
        }
      },
    ),
    { numRuns: 1000 },
  );
});
