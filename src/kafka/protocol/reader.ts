import { assert } from '#util/assert.ts';
import { MalformedFrameError } from '../errors.ts';

const NULL_LENGTH = -1;
/**
 * Of a few bytes each a hostile answer can hold elements by the million, and each becomes an object of a hundred bytes and
 * more. Elements of honest answers take 7 bytes (ApiVersions, of which there are 70) and mostly 20 and more.
 */
const OBJECTS_MIN = 16_384;
const BYTES_PER_OBJECT = 8;
const NO_BYTES = Buffer.alloc(0);

/**
 * Reads Kafka's primitive types (protocol guide, KIP-482) from the bytes [position, end) of a buffer that it does not own.
 * Every read is checked against `end` and throws MalformedFrameError instead of passing it; no count or length from the
 * wire is trusted before it is known to fit into what is left. What it returns never refers to the buffer.
 *
 * Strings, bytes and arrays have two encodings: the classic one with a length of 2 or 4 bytes, −1 for null, and the
 * compact one of flexible versions with an unsigned varint of length + 1, 0 for null.
 */
export class Reader {
  readonly buffer: Buffer;
  /** Of the next byte; may be moved, up to `end`. */
  position: number;
  readonly end: number;
  #objectsLeft: number;

  constructor(buffer: Buffer, position: number, end: number) {
    assert(0 <= position && position <= end && end <= buffer.length, 'a reader stays within its buffer');
    this.buffer = buffer;
    this.position = position;
    this.end = end;
    this.#objectsLeft = OBJECTS_MIN + (end - position) / BYTES_PER_OBJECT;
  }

  boolean(): boolean {
    return this.buffer.readInt8(this.#take(1)) !== 0;
  }

  int8(): number {
    return this.buffer.readInt8(this.#take(1));
  }

  int16(): number {
    return this.buffer.readInt16BE(this.#take(2));
  }

  uint16(): number {
    return this.buffer.readUInt16BE(this.#take(2));
  }

  int32(): number {
    return this.buffer.readInt32BE(this.#take(4));
  }

  uint32(): number {
    return this.buffer.readUInt32BE(this.#take(4));
  }

  /**
   * An offset, id or duration. Beyond ±(2^53 − 1) it is malformed: a broker that appends a million records a second needs
   * 285 years to come there.
   */
  int64(): number {
    const value = this.timestamp();
    if (Number.isSafeInteger(value)) return value;
    const exact = this.buffer.readBigInt64BE(this.position - 8);
    throw new MalformedFrameError(`the number ${exact}, beyond ±2^53, which no offset or id of a broker reaches`);
  }

  /** The time of a record, as its producer chose it (nanoseconds, nonsense): rounded where it is beyond ±(2^53 − 1). */
  timestamp(): number {
    const at = this.#take(8); // in two halves: a BigInt would cost an allocation per value
    return this.buffer.readInt32BE(at) * 0x1_0000_0000 + this.buffer.readUInt32BE(at + 4);
  }

  float64(): number {
    return this.buffer.readDoubleBE(this.#take(8));
  }

  /** 0 to 2^32 − 1, in at most five bytes of seven bits, lowest first. */
  unsignedVarint(): number {
    let value = 0;
    for (let shift = 0; shift <= 28; shift += 7) {
      const byte = this.buffer.readUInt8(this.#take(1));
      if (shift === 28 && byte > 0x0f) break;
      value |= (byte & 0x7f) << shift;
      if (byte < 0x80) return value >>> 0;
    }
    throw new MalformedFrameError(`a varint of more than 32 bits before byte ${this.position}`);
  }

  /** As Kafka's Uuid.toString: 22 characters of base64url. */
  uuid(): string {
    const at = this.#take(16);
    return this.buffer.toString('base64url', at, at + 16);
  }

  string(): string {
    return this.#text(this.#present(this.int16()));
  }

  nullableString(): string | null {
    const length = this.int16();
    return length === NULL_LENGTH ? null : this.#text(length);
  }

  compactString(): string {
    return this.#text(this.#present(this.unsignedVarint() - 1));
  }

  compactNullableString(): string | null {
    const length = this.unsignedVarint() - 1;
    return length === NULL_LENGTH ? null : this.#text(length);
  }

  /** A copy: the frame may be used again while somebody still holds the value. */
  bytes(): Buffer {
    return this.#copy(this.#present(this.int32()));
  }

  nullableBytes(): Buffer | null {
    const length = this.int32();
    return length === NULL_LENGTH ? null : this.#copy(length);
  }

  compactBytes(): Buffer {
    return this.#copy(this.#present(this.unsignedVarint() - 1));
  }

  compactNullableBytes(): Buffer | null {
    const length = this.unsignedVarint() - 1;
    return length === NULL_LENGTH ? null : this.#copy(length);
  }

  /** Number of elements that follow, −1 for a null array. Never more than there are bytes: no element takes less than one. */
  arrayLength(compact: boolean): number {
    const length = compact ? this.unsignedVarint() - 1 : this.int32();
    if (length < NULL_LENGTH || length > this.end - this.position) {
      throw new MalformedFrameError(`an array of ${length} elements in ${this.end - this.position} bytes`);
    }
    return length;
  }

  array<T>(compact: boolean, version: number, read: (reader: Reader, version: number) => T): T[] {
    return this.#elements(this.#present(this.arrayLength(compact)), version, read);
  }

  nullableArray<T>(compact: boolean, version: number, read: (reader: Reader, version: number) => T): T[] | null {
    const length = this.arrayLength(compact);
    return length === NULL_LENGTH ? null : this.#elements(length, version, read);
  }

  skipTaggedFields(): void {
    this.taggedFields(() => false);
  }

  /** Calls `read` for each tagged field; it consumes the whole value and returns true, or returns false for a tag that it does not know. */
  taggedFields(read: (tag: number) => boolean): void {
    const count = this.unsignedVarint();
    for (let i = 0; i < count; i++) {
      const tag = this.unsignedVarint();
      const size = this.unsignedVarint();
      if (size > this.end - this.position) throw new MalformedFrameError(`tagged field ${tag} ends behind the frame`);
      const next = this.position + size;
      if (!read(tag)) this.position = next;
      else if (this.position !== next)
        throw new MalformedFrameError(`tagged field ${tag} does not fill its ${size} bytes`);
    }
  }

  #take(bytes: number): number {
    const at = this.position;
    if (bytes > this.end - at) throw new MalformedFrameError(`${bytes} bytes needed where ${this.end - at} are left`);
    this.position = at + bytes;
    return at;
  }

  #present(length: number): number {
    if (length === NULL_LENGTH)
      throw new MalformedFrameError(`null for a value that is never null, before byte ${this.position}`);
    return length;
  }

  #text(length: number): string {
    const at = this.#take(this.#notNegative(length));
    return this.buffer.toString('utf8', at, at + length);
  }

  #copy(length: number): Buffer {
    const at = this.#take(this.#notNegative(length));
    return length === 0 ? NO_BYTES : Buffer.from(this.buffer.subarray(at, at + length));
  }

  #notNegative(length: number): number {
    if (length < 0) throw new MalformedFrameError(`a length of ${length} before byte ${this.position}`);
    return length;
  }

  #elements<T>(length: number, version: number, read: (reader: Reader, version: number) => T): T[] {
    const elements: T[] = [];
    for (let i = 0; i < length; i++) {
      const element = read(this, version);
      if (typeof element === 'object' && --this.#objectsLeft < 0)
        throw new MalformedFrameError(`more elements than an answer of ${this.end} bytes has`);
      elements.push(element);
    }
    return elements;
  }
}
