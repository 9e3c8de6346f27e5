import { assert } from '#util/assert.ts';

const UUID_BYTES = 16;
const CLASSIC_STRING_BYTES_MAX = 0x7fff;

/**
 * Writes Kafka's primitive types (protocol guide, KIP-482) into a buffer of its own, which doubles when it is full.
 * Values come from our own code, so one that does not fit its type is a broken invariant: the buffer's own RangeError,
 * or an InvariantError where the buffer would not notice.
 */
export class Writer {
  #buffer: Buffer;
  #length = 0;

  constructor(initialBytes = 256) {
    this.#buffer = Buffer.allocUnsafeSlow(Math.max(16, initialBytes));
  }

  /** Bytes written so far. */
  get length(): number {
    return this.#length;
  }

  /** What was written, as a view: it is overwritten when the writer is used on. */
  finish(): Buffer {
    return this.#buffer.subarray(0, this.#length);
  }

  boolean(value: boolean): void {
    this.int8(value ? 1 : 0);
  }

  int8(value: number): void {
    const at = this.#reserve(1);
    this.#buffer.writeInt8(value, at);
  }

  int16(value: number): void {
    const at = this.#reserve(2);
    this.#buffer.writeInt16BE(value, at);
  }

  uint16(value: number): void {
    const at = this.#reserve(2);
    this.#buffer.writeUInt16BE(value, at);
  }

  int32(value: number): void {
    const at = this.#reserve(4);
    this.#buffer.writeInt32BE(value, at);
  }

  uint32(value: number): void {
    const at = this.#reserve(4);
    this.#buffer.writeUInt32BE(value, at);
  }

  /** A safe integer, in two halves: a BigInt would cost an allocation per value. */
  int64(value: number): void {
    assert(Number.isSafeInteger(value), 'an int64 is a safe integer');
    const high = Math.floor(value / 0x1_0000_0000);
    const at = this.#reserve(8);
    this.#buffer.writeInt32BE(high, at);
    this.#buffer.writeUInt32BE(value - high * 0x1_0000_0000, at + 4);
  }

  /** Any number: writeDoubleBE would take what is missing for NaN. */
  float64(value: number): void {
    assert(typeof value === 'number', 'a float64 is a number');
    const at = this.#reserve(8);
    this.#buffer.writeDoubleBE(value, at);
  }

  /** 0 to 2^32 − 1. */
  unsignedVarint(value: number): void {
    assert(value >>> 0 === value, 'an unsigned varint has at most 32 bits');
    let at = this.#reserve(5);
    let rest = value;
    while (rest > 0x7f) {
      this.#buffer[at++] = (rest & 0x7f) | 0x80;
      rest >>>= 7;
    }
    this.#buffer[at++] = rest;
    this.#length = at;
  }

  /** As Kafka's Uuid.toString gives it: 22 characters of base64url. */
  uuid(value: string): void {
    assert(value.length === 22, 'a uuid has 22 characters');
    const at = this.#reserve(UUID_BYTES);
    const written = this.#buffer.write(value, at, UUID_BYTES, 'base64url');
    assert(written === UUID_BYTES, 'a uuid is base64url');
  }

  string(value: string): void {
    const bytes = Buffer.byteLength(value);
    assert(bytes <= CLASSIC_STRING_BYTES_MAX, 'a string of a classic version has at most 32767 bytes');
    this.int16(bytes);
    this.#text(value, bytes);
  }

  nullableString(value: string | null): void {
    if (value === null) this.int16(-1);
    else this.string(value);
  }

  compactString(value: string): void {
    const bytes = Buffer.byteLength(value);
    this.unsignedVarint(bytes + 1);
    this.#text(value, bytes);
  }

  compactNullableString(value: string | null): void {
    if (value === null) this.unsignedVarint(0);
    else this.compactString(value);
  }

  bytes(value: Uint8Array): void {
    this.int32(value.length);
    this.#raw(value);
  }

  nullableBytes(value: Uint8Array | null): void {
    if (value === null) this.int32(-1);
    else this.bytes(value);
  }

  compactBytes(value: Uint8Array): void {
    this.unsignedVarint(value.length + 1);
    this.#raw(value);
  }

  compactNullableBytes(value: Uint8Array | null): void {
    if (value === null) this.unsignedVarint(0);
    else this.compactBytes(value);
  }

  /** The head of an array; −1 for a null one. */
  arrayLength(length: number, compact: boolean): void {
    if (compact) this.unsignedVarint(length + 1);
    else this.int32(length);
  }

  array<T>(
    compact: boolean,
    version: number,
    elements: readonly T[] | null,
    write: (writer: Writer, element: T, version: number) => void,
  ): void {
    this.arrayLength(elements === null ? -1 : elements.length, compact);
    if (elements === null) return;
    for (const element of elements) write(this, element, version);
  }

  noTaggedFields(): void {
    this.unsignedVarint(0);
  }

  #text(value: string, bytes: number): void {
    const at = this.#reserve(bytes);
    this.#buffer.write(value, at, bytes, 'utf8');
  }

  #raw(value: Uint8Array): void {
    const at = this.#reserve(value.length);
    this.#buffer.set(value, at);
  }

  /** Where `bytes` bytes may be written. */
  #reserve(bytes: number): number {
    const at = this.#length;
    const length = at + bytes;
    if (length > this.#buffer.length) {
      const grown = Buffer.allocUnsafeSlow(Math.max(length, this.#buffer.length * 2));
      this.#buffer.copy(grown, 0, 0, at);
      this.#buffer = grown;
    }
    this.#length = length;
    return at;
  }
}
