/**
 * Zig-zag varints as records use them (Kafka's ByteUtils): seven bits a byte, lowest first, the high bit says that
 * another follows; at most 5 bytes for an int32 and 10 for an int64. Longer forms than needed are read, never written.
 */
import { MalformedBatchError } from '../errors.ts';

/** Reads forward through `buffer` and never past `end`; whatever does not fit is a MalformedBatchError. */
export class VarintCursor {
  readonly buffer: Uint8Array;
  readonly end: number;
  at: number;

  constructor(buffer: Uint8Array, at: number, end: number) {
    this.buffer = buffer;
    this.at = at;
    this.end = end;
  }

  byte(): number {
    if (this.at >= this.end) throw new MalformedBatchError('it ends in the middle of a field');
    return this.buffer[this.at++]!;
  }

  int32(): number {
    const first = this.byte();
    if (first < 0x80) return (first >>> 1) ^ -(first & 1);
    let zigzag = first & 0x7f;
    for (let shift = 7; shift < 28; shift += 7) {
      const byte = this.byte();
      zigzag |= (byte & 0x7f) << shift;
      if (byte < 0x80) return (zigzag >>> 1) ^ -(zigzag & 1);
    }
    const last = this.byte();
    if (last > 0x0f) throw new MalformedBatchError('a varint has more than 32 bits');
    zigzag |= last << 28;
    return (zigzag >>> 1) ^ -(zigzag & 1);
  }

  /** An int64 that is a safe integer. */
  safeInt64(): number {
    const first = this.byte();
    const negative = (first & 1) === 1;
    // -n - 1 has the magnitude n: the sign bit stands apart, so nothing beyond 2^53 has to be exact.
    let magnitude = (first & 0x7f) >>> 1;
    let weight = 64;
    for (let byte = first, bytes = 1; byte >= 0x80; bytes++) {
      if (bytes === 10) throw new MalformedBatchError('a varlong has more than 10 bytes');
      byte = this.byte();
      magnitude += (byte & 0x7f) * weight;
      weight *= 128;
    }
    const value = negative ? -magnitude - 1 : magnitude;
    if (!Number.isSafeInteger(value)) throw new MalformedBatchError('a timestamp delta is beyond ±2^53');
    return value;
  }

  /** Steps over `bytes` bytes. */
  skip(bytes: number): void {
    if (bytes > this.end - this.at) {
      throw new MalformedBatchError(
        `a field of ${bytes} bytes does not fit into the ${this.end - this.at} that are left`,
      );
    }
    this.at += bytes;
  }
}

/** Bytes that `value`, an int32, takes. */
export function sizeOfInt32(value: number): number {
  const zigzag = ((value << 1) ^ (value >> 31)) >>> 0;
  return zigzag < 0x80 ? 1 : Math.trunc((38 - Math.clz32(zigzag)) / 7);
}

/** Bytes that `value`, a safe integer, takes. */
export function sizeOfSafeInt64(value: number): number {
  if (value === (value | 0)) return sizeOfInt32(value);
  let size = 1;
  for (let left = Math.floor(magnitudeOf(value) / 64); left > 0; left = Math.floor(left / 128)) size += 1;
  return size;
}

/** Writes `value`, an int32, and returns the position behind it. The caller has made room. */
export function writeInt32(buffer: Uint8Array, at: number, value: number): number {
  let left = ((value << 1) ^ (value >> 31)) >>> 0;
  let next = at;
  while (left >= 0x80) {
    buffer[next++] = (left & 0x7f) | 0x80;
    left >>>= 7;
  }
  buffer[next++] = left;
  return next;
}

/** Writes `value`, a safe integer, and returns the position behind it. The caller has made room. */
export function writeSafeInt64(buffer: Uint8Array, at: number, value: number): number {
  if (value === (value | 0)) return writeInt32(buffer, at, value);
  const magnitude = magnitudeOf(value);
  let byte = (magnitude % 64) * 2 + (value < 0 ? 1 : 0);
  let next = at;
  for (let left = Math.floor(magnitude / 64); left > 0; left = Math.floor(left / 128)) {
    buffer[next++] = byte | 0x80;
    byte = left % 128;
  }
  buffer[next++] = byte;
  return next;
}

function magnitudeOf(value: number): number {
  return value < 0 ? -value - 1 : value;
}
