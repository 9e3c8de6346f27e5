/**
 * The codecs of record batches. What we write is framed as Kafka's own producer frames it, so every client can read it:
 * gzip (RFC 1952), snappy (xerial-snappy.ts), lz4 (lz4-frame.ts), zstd (RFC 8878). A few bytes can claim to hold
 * gigabytes: what comes out is bounded, and memory for more is never taken.
 */
import { gunzipSync, gzipSync, zstdCompressSync, zstdDecompressSync } from 'node:zlib';
import { unreachable } from '#util/assert.ts';
import { MalformedBatchError } from '../errors.ts';
import { codecNames } from './batch-header.ts';
import type { Codec } from './batch-header.ts';
import { compressLz4, decompressLz4 } from './lz4-frame.ts';
import { compressSnappy, decompressSnappy } from './xerial-snappy.ts';

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
 * hold more than `outputBytesMax`, are a MalformedBatchError. For more than that and a block no memory is taken.
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
