/**
 * LZ4 frames (format 1.6) around the blocks of the library, which gives no way to bound what a frame holds and takes
 * five times as long for the same blocks. Little-endian:
 *   magic, FLG, BD, [content size 8], [dictionary id 4], header checksum 1;
 *   blocks of uint32 size (top bit: stored as it is), bytes, [checksum 4]; a size of 0 ends it; [content checksum 4].
 * Checksums are not looked at: the CRC of the batch covers all of it.
 */
import { compressSync, uncompressSync } from 'lz4-napi';
import { MalformedBatchError } from '../errors.ts';
import { ByteSink } from './byte-sink.ts';

const FRAME_MAGIC = 0x184d_2204;
const FLAG_VERSION_MASK = 0xc0;
const FLAG_VERSION = 0x40;
const FLAG_INDEPENDENT_BLOCKS = 0x20;
const FLAG_BLOCK_CHECKSUM = 0x10;
const FLAG_CONTENT_SIZE = 0x08;
const FLAG_DICTIONARY_ID = 0x01;
const BLOCK_STORED = 0x8000_0000;
const SIZE_BYTES = 4;

/** What a byte of a compressed block can stand for at most: one more 255 of a match's length. */
const EXPANSION_MAX = 255;

/** What Kafka's producer writes: version 1, independent blocks, no checksums; 64 KB; the checksum of the two bytes. */
const HEADER = Buffer.from('04224d18604082', 'hex');
const BLOCK_BYTES = 64 * 1024;
const END_MARK = Buffer.alloc(SIZE_BYTES);

export function compressLz4(bytes: Buffer): Buffer {
  const parts: Buffer[] = [HEADER];
  for (let at = 0; at < bytes.length; at += BLOCK_BYTES) {
    const input = bytes.subarray(at, at + BLOCK_BYTES);
    // The library puts the size of its input in front, four bytes too: a frame has the size of the block there.
    const block = compressSync(input);
    if (block.length - SIZE_BYTES < input.length) {
      block.writeUInt32LE(block.length - SIZE_BYTES);
      parts.push(block);
    } else {
      const size = Buffer.allocUnsafe(SIZE_BYTES);
      size.writeUInt32LE(BLOCK_STORED + input.length);
      parts.push(size, input);
    }
  }
  parts.push(END_MARK);
  return Buffer.concat(parts);
}

/**
 * Reads one frame. Takes memory for `outputBytesMax` and one block (4 MB) at most. Frames of linked blocks are malformed:
 * no batch in a Kafka broker has them, its own reader refuses them (Lz4BlockInputStream).
 */
export function decompressLz4(frame: Buffer, outputBytesMax: number): Buffer {
  const { firstBlockAt, blockBytesMax, checksumBytes } = readFrameHeader(frame);
  const output = new ByteSink(outputBytesMax);
  for (let at = firstBlockAt; ; at += checksumBytes) {
    if (at + SIZE_BYTES > frame.length) throw new MalformedBatchError('their LZ4 frame is cut');
    const field = frame.readUInt32LE(at);
    const size = field & ~BLOCK_STORED;
    if (size === 0) break; // stored or not (Lz4BlockInputStream)
    if (size > blockBytesMax) throw new MalformedBatchError('an LZ4 block is larger than its frame allows');
    const end = at + SIZE_BYTES + size;
    if (end > frame.length) throw new MalformedBatchError('an LZ4 block runs past the end');
    const block =
      field >= BLOCK_STORED
        ? frame.subarray(at + SIZE_BYTES, end)
        : decompressBlock(frame.subarray(at, end), Math.min(blockBytesMax, size * EXPANSION_MAX));
    output.append(block);
    at = end;
  }
  return output.finish();
}

/** The library wants the size of the output in front, or more than that, and gives back as much as there is. */
function decompressBlock(sizeAndBlock: Buffer, outputBytesMax: number): Buffer {
  const input = Buffer.from(sizeAndBlock);
  input.writeUInt32LE(outputBytesMax);
  return uncompressSync(input);
}

function readFrameHeader(frame: Buffer): { firstBlockAt: number; blockBytesMax: number; checksumBytes: number } {
  if (frame.length < HEADER.length || frame.readUInt32LE(0) !== FRAME_MAGIC) {
    throw new MalformedBatchError('they are no LZ4 frame');
  }
  const flags = frame[4]!;
  const has = (flag: number): boolean => (flags & flag) !== 0;
  // 4 to 7 for 64 KB, 256 KB, 1 MB and 4 MB.
  const blockSizeId = (frame[5]! >>> 4) & 7;
  if ((flags & FLAG_VERSION_MASK) !== FLAG_VERSION || blockSizeId < 4) {
    throw new MalformedBatchError('their LZ4 frame header is damaged');
  }
  if (!has(FLAG_INDEPENDENT_BLOCKS) || has(FLAG_DICTIONARY_ID)) {
    throw new MalformedBatchError('their LZ4 frame has linked blocks or a dictionary, which Kafka does not allow');
  }
  return {
    firstBlockAt: HEADER.length + (has(FLAG_CONTENT_SIZE) ? 8 : 0),
    blockBytesMax: 1 << (8 + 2 * blockSizeId),
    checksumBytes: has(FLAG_BLOCK_CHECKSUM) ? 4 : 0,
  };
}
