/**
 * Snappy as Kafka has it, in the framing of the xerial library: "\x82SNAPPY\0", int32 version 1, int32 compatible with 1,
 * then blocks of at most 32 KB of input, each behind its int32 size; big-endian. One bare snappy block, as librdkafka
 * writes it, is read too: Kafka's own reader does the same.
 */
import { compressSync, uncompressSync } from 'snappy';
import { MalformedBatchError } from '../errors.ts';
import { ByteSink } from './byte-sink.ts';

const MAGIC = Buffer.from('\x82SNAPPY\0', 'latin1');
const HEADER = Buffer.concat([MAGIC, Buffer.from([0, 0, 0, 1, 0, 0, 0, 1])]);
const SIZE_BYTES = 4;
const BLOCK_BYTES = 32 * 1024;

/** A copy of 64 bytes takes three (format_description.txt of snappy); rounded up. */
const EXPANSION_MAX = 22;

/** Into memory of V8's own: for blocks of this size faster than memory that V8 is told of and has to give back. */
const COPY_OUTPUT = { asBuffer: true, copyOutputData: true };

export function compressSnappy(bytes: Buffer): Buffer {
  const parts: Buffer[] = [HEADER];
  for (let at = 0; at < bytes.length; at += BLOCK_BYTES) {
    const block = compressSync(bytes.subarray(at, at + BLOCK_BYTES), COPY_OUTPUT);
    const size = Buffer.allocUnsafe(SIZE_BYTES);
    size.writeInt32BE(block.length);
    parts.push(size, block);
  }
  return Buffer.concat(parts);
}

/** Blocks say in front how much they hold: one that would pass `outputBytesMax` in all is refused before it is read. */
export function decompressSnappy(bytes: Buffer, outputBytesMax: number): Buffer {
  const output = new ByteSink(outputBytesMax);
  for (const block of bytes.subarray(0, MAGIC.length).equals(MAGIC) ? xerialBlocks(bytes) : [bytes]) {
    const outputBytes = outputBytesOf(block);
    output.checkRoom(outputBytes);
    if (outputBytes > block.length * EXPANSION_MAX)
      throw new MalformedBatchError('a snappy block cannot hold what it says');
    output.append(uncompressSync(block, COPY_OUTPUT) as Buffer);
  }
  return output.finish();
}

/** One after the other: a batch can have a block for every few bytes. */
function* xerialBlocks(bytes: Buffer): Generator<Buffer, void, undefined> {
  for (let at = HEADER.length; at < bytes.length;) {
    const size = at + SIZE_BYTES <= bytes.length ? bytes.readInt32BE(at) : -1;
    at += SIZE_BYTES;
    if (size < 0 || size > bytes.length - at) throw new MalformedBatchError('a snappy block runs past the end');
    yield bytes.subarray(at, at + size);
    at += size;
  }
}

/** A varint of at most 32 bits. */
function outputBytesOf(block: Buffer): number {
  let outputBytes = 0;
  for (let i = 0; i < 5; i++) {
    const byte = block[i];
    if (byte === undefined) break;
    outputBytes += (byte & 0x7f) * 128 ** i;
    if (byte < 0x80) return outputBytes;
  }
  throw new MalformedBatchError('a snappy block does not say how much it holds');
}
