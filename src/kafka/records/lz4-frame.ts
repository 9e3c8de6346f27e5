/**
 * How much an LZ4 frame holds, found without decompressing it. Frames of Kafka clients carry no content size, and our
 * library has no limit to give it, so this is what keeps a small batch from becoming a large one.
 *
 * Frame: magic, FLG, BD, [content size 8], [dictionary id 4], header checksum 1; blocks of uint32 size (the top bit: stored as
 * it is), bytes, [checksum 4]; a size of 0 ends it; [content checksum 4]. Little-endian. (LZ4 frame format 1.6.)
 */
import { MalformedBatchError } from '../errors.ts';

const FRAME_MAGIC = 0x184d_2204;
const FLAG_VERSION_MASK = 0xc0;
const FLAG_VERSION = 0x40;
const FLAG_BLOCK_CHECKSUM = 0x10;
const FLAG_CONTENT_SIZE = 0x08;
const FLAG_DICTIONARY_ID = 0x01;
const BLOCK_STORED = 0x8000_0000;
/** What a byte of a compressed block can add at most: a run of match length, 255 for each. */
const EXPANSION_MAX = 255;

/**
 * Returns an upper bound of the bytes that `frame` holds; where the quick bound exceeds `enough` the exact number.
 * Throws MalformedBatchError when it is no LZ4 frame or does not end where it should.
 */
export function lz4OutputBytes(frame: Buffer, enough: number): number {
  const bound = sumOfBlocks(frame, (size, blockBytesMax) => Math.min(blockBytesMax, size * EXPANSION_MAX));
  return bound <= enough ? bound : sumOfBlocks(frame, (size, _, at) => blockOutputBytes(frame, at, at + size));
}

function sumOfBlocks(
  frame: Buffer,
  outputBytesOf: (size: number, blockBytesMax: number, at: number) => number,
): number {
  if (frame.length < 7 || frame.readUInt32LE(0) !== FRAME_MAGIC) throw new MalformedBatchError('they are no LZ4 frame');
  const flags = frame[4]!;
  const blockSizeId = (frame[5]! >>> 4) & 7;
  if ((flags & FLAG_VERSION_MASK) !== FLAG_VERSION || blockSizeId < 4)
    throw new MalformedBatchError('their LZ4 frame header is damaged');
  const blockBytesMax = 1 << (8 + 2 * blockSizeId);
  const checksumBytes = (flags & FLAG_BLOCK_CHECKSUM) === 0 ? 0 : 4;

  let at = 7 + ((flags & FLAG_CONTENT_SIZE) === 0 ? 0 : 8) + ((flags & FLAG_DICTIONARY_ID) === 0 ? 0 : 4);
  let outputBytes = 0;
  for (;;) {
    if (at + 4 > frame.length) throw new MalformedBatchError('their LZ4 frame is cut');
    const field = frame.readUInt32LE(at);
    at += 4;
    if (field === 0) return outputBytes;
    const stored = field >= BLOCK_STORED;
    const size = stored ? field - BLOCK_STORED : field;
    if (size > frame.length - at) throw new MalformedBatchError('an LZ4 block runs past the end');
    outputBytes += stored ? size : outputBytesOf(size, blockBytesMax, at);
    at += size + checksumBytes;
  }
}

/** Walks the sequences of a compressed block: token, literals, offset, match; each length may be continued by bytes of 255. */
function blockOutputBytes(frame: Buffer, from: number, to: number): number {
  let at = from;
  let outputBytes = 0;
  const lengthOf = (nibble: number): number => {
    let length = nibble;
    if (nibble < 15) return length;
    for (;;) {
      const byte = at < to ? frame[at++]! : 0;
      length += byte;
      if (byte < 255) return length;
    }
  };
  while (at < to) {
    const token = frame[at++]!;
    const literals = lengthOf(token >>> 4);
    outputBytes += literals;
    at += literals + 2; // the offset of the match; the last sequence has none and ends here
    if (at <= to) outputBytes += lengthOf(token & 15) + 4;
  }
  return outputBytes;
}
