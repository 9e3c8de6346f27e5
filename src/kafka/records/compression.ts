/**
 * The codecs of record batches. What we write is framed as Kafka's own producer frames it, so every client can read it:
 *   gzip    RFC 1952
 *   snappy  xerial framing: "\x82SNAPPY\0", int32 version 1, int32 compatible with 1, then blocks of at most 32 KB of
 *           input, each behind its int32 size. Read besides: one bare snappy block (librdkafka writes that)
 *   lz4     LZ4 frame, independent blocks of 64 KB, no checksums (Java refuses frames with linked blocks)
 *   zstd    RFC 8878
 * A few bytes can claim to hold gigabytes: what comes out is bounded before memory is taken for it.
 */
import { gunzipSync, gzipSync, zstdCompressSync, zstdDecompressSync } from 'node:zlib';
import { compressSync as lz4CompressBlock, decompressFrameSync as lz4DecompressFrame } from 'lz4-napi';
import { compressSync as snappyCompressBlock, uncompressSync as snappyDecompressBlock } from 'snappy';
import { unreachable } from '#util/assert.ts';
import { MalformedBatchError } from '../errors.ts';
import { codecNames } from './batch-header.ts';
import type { Codec } from './batch-header.ts';
import { lz4OutputBytes } from './lz4-frame.ts';

const XERIAL_MAGIC = Buffer.from('\x82SNAPPY\0', 'latin1');
const XERIAL_HEADER = Buffer.concat([XERIAL_MAGIC, Buffer.from([0, 0, 0, 1, 0, 0, 0, 1])]);
const XERIAL_BLOCK_BYTES = 32 * 1024;

/** Magic, FLG 0x60 (version 1, independent blocks), BD 0x40 (64 KB), and the checksum of the two. */
const LZ4_FRAME_HEADER = Buffer.from('04224d18604082', 'hex');
const LZ4_BLOCK_BYTES = 64 * 1024;
const LZ4_STORED = 0x8000_0000;
const LZ4_END_MARK = Buffer.alloc(4);

/** The size of the buffers that zlib fills one after another; it joins them when there is more than one. */
const ZLIB_CHUNK_BYTES_MIN = 1024;
const ZLIB_CHUNK_BYTES_MAX = 1024 * 1024;

/** Compresses `bytes`, the records of a batch. Codec 0 returns them as they are, not copied. */
export function compress(codec: Codec, bytes: Uint8Array): Buffer {
  switch (codec) {
    case 0:
      return toBuffer(bytes);
    case 1:
      return gzipSync(bytes, { chunkSize: chunkBytesFor(bytes.length) });
    case 2:
      return compressSnappy(toBuffer(bytes));
    case 3:
      return compressLz4(toBuffer(bytes));
    case 4:
      return zstdCompressSync(bytes, { chunkSize: chunkBytesFor(bytes.length) });
    default:
      return unreachable(codec);
  }
}

/**
 * Decompresses the records of a batch. Codec 0 returns them as they are, not copied. Damaged bytes, and bytes that
 * hold more than `outputBytesMax`, are a MalformedBatchError; not much more than that is ever taken in memory.
 */
export function decompress(codec: Codec, bytes: Uint8Array, options: { outputBytesMax: number }): Buffer {
  const { outputBytesMax } = options;
  try {
    switch (codec) {
      case 0:
        return toBuffer(bytes);
      case 1:
        return gunzipSync(bytes, zlibBounds(bytes.length, outputBytesMax));
      case 2:
        return decompressSnappy(toBuffer(bytes), outputBytesMax);
      case 3:
        return decompressLz4(toBuffer(bytes), outputBytesMax);
      case 4:
        return zstdDecompressSync(bytes, zlibBounds(bytes.length, outputBytesMax));
      default:
        return unreachable(codec);
    }
  } catch (error) {
    throw toMalformed(error, codec, outputBytesMax);
  }
}

function compressSnappy(bytes: Buffer): Buffer {
  const parts: Buffer[] = [XERIAL_HEADER];
  for (let at = 0; at < bytes.length; at += XERIAL_BLOCK_BYTES) {
    const block = snappyCompressBlock(bytes.subarray(at, at + XERIAL_BLOCK_BYTES), { copyOutputData: true });
    const size = Buffer.allocUnsafe(4);
    size.writeInt32BE(block.length);
    parts.push(size, block);
  }
  return Buffer.concat(parts);
}

function decompressSnappy(bytes: Buffer, outputBytesMax: number): Buffer {
  if (!bytes.subarray(0, XERIAL_MAGIC.length).equals(XERIAL_MAGIC)) {
    refuseAbove(outputBytesMax, snappyOutputBytes(bytes));
    return snappyDecompress(bytes);
  }
  const blocks: Buffer[] = [];
  let outputBytes = 0;
  for (let at = XERIAL_HEADER.length; at < bytes.length;) {
    const size = at + 4 <= bytes.length ? bytes.readInt32BE(at) : -1;
    at += 4;
    if (size < 0 || size > bytes.length - at) throw new MalformedBatchError('a snappy block runs past the end');
    const block = bytes.subarray(at, at + size);
    outputBytes += snappyOutputBytes(block);
    blocks.push(block);
    at += size;
  }
  refuseAbove(outputBytesMax, outputBytes);
  return blocks.length === 1 ? snappyDecompress(blocks[0]!) : Buffer.concat(blocks.map(snappyDecompress));
}

function snappyDecompress(block: Buffer): Buffer {
  // Copied into memory of V8's: faster for blocks of this size than memory that V8 has to be told of and give back.
  return snappyDecompressBlock(block, { asBuffer: true, copyOutputData: true }) as Buffer;
}

/** A snappy block begins with the number of bytes that it holds, as a varint of at most 32 bits. */
function snappyOutputBytes(block: Buffer): number {
  let size = 0;
  for (let i = 0; i < 5; i++) {
    const byte = block[i];
    if (byte === undefined) break;
    size += (byte & 0x7f) * 128 ** i;
    if (byte < 0x80) return size;
  }
  throw new MalformedBatchError('a snappy block does not say how much it holds');
}

function compressLz4(bytes: Buffer): Buffer {
  const parts: Buffer[] = [LZ4_FRAME_HEADER];
  for (let at = 0; at < bytes.length; at += LZ4_BLOCK_BYTES) {
    const input = bytes.subarray(at, at + LZ4_BLOCK_BYTES);
    // The library puts the size of the input in front, four bytes; a frame has the size of the block there.
    const block = lz4CompressBlock(input);
    if (block.length - 4 < input.length) {
      block.writeUInt32LE(block.length - 4);
      parts.push(block);
    } else {
      const size = Buffer.allocUnsafe(4);
      size.writeUInt32LE(LZ4_STORED + input.length);
      parts.push(size, input);
    }
  }
  parts.push(LZ4_END_MARK);
  return Buffer.concat(parts);
}

function decompressLz4(bytes: Buffer, outputBytesMax: number): Buffer {
  refuseAbove(outputBytesMax, lz4OutputBytes(bytes, outputBytesMax));
  return lz4DecompressFrame(bytes);
}

function refuseAbove(outputBytesMax: number, outputBytes: number): void {
  if (outputBytes > outputBytesMax)
    throw new MalformedBatchError(`they hold ${outputBytes} bytes, more than ${outputBytesMax}`);
}

function zlibBounds(inputBytes: number, outputBytesMax: number): { maxOutputLength: number; chunkSize: number } {
  return { maxOutputLength: outputBytesMax, chunkSize: chunkBytesFor(Math.min(inputBytes * 4, outputBytesMax)) };
}

function chunkBytesFor(outputBytes: number): number {
  return Math.max(ZLIB_CHUNK_BYTES_MIN, Math.min(ZLIB_CHUNK_BYTES_MAX, outputBytes));
}

function toMalformed(error: unknown, codec: Codec, outputBytesMax: number): unknown {
  if (error instanceof MalformedBatchError) {
    return new MalformedBatchError(`the ${codecNames[codec]} records of a batch cannot be read: ${error.message}`);
  }
  if (!(error instanceof Error) || !('code' in error)) return error;
  const reason = error.code === 'ERR_BUFFER_TOO_LARGE' ? `they hold more than ${outputBytesMax} bytes` : error.message;
  return new MalformedBatchError(`the ${codecNames[codec]} records of a batch cannot be read: ${reason}`, {
    cause: error,
  });
}

function toBuffer(bytes: Uint8Array): Buffer {
  return Buffer.isBuffer(bytes) ? bytes : Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
}
