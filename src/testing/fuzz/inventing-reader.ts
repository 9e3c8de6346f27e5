/**
 * Frames that a decoder accepts, made by the decoder itself: it asks a reader for one value after the other, and this one
 * invents each and notes how it would have stood on the wire. So every API and version has frames of any shape and size
 * without a description of its own.
 */
import type { Reader } from '#kafka/protocol/reader.ts';
import { Writer } from '#kafka/protocol/writer.ts';
import type { Random } from '#util/random.ts';
import { below, oneOf } from './mutations.ts';

interface Values {
  readonly integers: readonly number[];
  readonly int32s: readonly number[];
  readonly longs: readonly number[];
  readonly texts: readonly string[];
  readonly nullChance: number;
}

/** The limits of every type. */
const WILD: Values = {
  integers: [0, 1, -1, 2, 7, 3, 29, 0x7f, 0x7fff, -0x8000],
  int32s: [0, 1, -1, 3, 1000, 0x7fff_ffff, -0x8000_0000],
  longs: [0, 1, -1, 100, 2 ** 31, 2 ** 53 - 1, -(2 ** 53) + 1],
  texts: ['', 'a', 'orders', 'x'.repeat(249), '\u001B[2J\u202E', 'compact', 'ä€😀'],
  nullChance: 0.3,
};
/** What a broker could say about the topic `orders` of one broker. */
const PLAUSIBLE: Values = {
  integers: [0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 6, 7, 3, 29],
  int32s: [0, 0, 0, 1, 1, 2],
  longs: [0, 1, 2, 50, 100],
  texts: ['orders'],
  nullChance: 0.05,
};

/** How values are chosen. `dense`: the smallest values, in arrays as long as the budget lasts: what takes most memory per byte. */
type Shape = 'random' | 'dense';

export interface InventOptions {
  readonly shape: Shape;
  readonly bytesMax: number;
  /** Small numbers, few errors, one name: what a broker could say. */
  readonly plausible?: boolean;
}

class InventingReader {
  readonly #writer = new Writer(1024);
  readonly #random: Random;
  readonly #options: InventOptions;
  readonly #values: Values;
  readonly #bytesMax: number;
  #depth = 0;

  constructor(random: Random, options: InventOptions, bytesMax: number) {
    this.#random = random;
    this.#options = options;
    this.#values = options.plausible ? PLAUSIBLE : WILD;
    this.#bytesMax = bytesMax;
  }

  finish(): Buffer {
    return Buffer.from(this.#writer.finish());
  }

  boolean(): boolean {
    return this.int8() !== 0;
  }

  int8(): number {
    return this.#number([0, 1, -1, 2, 127, -128], (value) => this.#writer.int8(value));
  }

  int16(): number {
    return this.#number(this.#values.integers, (value) => this.#writer.int16(value));
  }

  uint16(): number {
    return this.#number([0, 1, 0xffff], (value) => this.#writer.uint16(value));
  }

  int32(): number {
    return this.#number(this.#values.int32s, (value) => this.#writer.int32(value));
  }

  uint32(): number {
    return this.#number([0, 1, 0xffff_ffff], (value) => this.#writer.uint32(value));
  }

  int64(): number {
    return this.#number(this.#values.longs, (value) => this.#writer.int64(value));
  }

  timestamp(): number {
    return this.int64();
  }

  float64(): number {
    return this.#number([0, 1.5, NaN, Infinity], (value) => this.#writer.float64(value));
  }

  unsignedVarint(): number {
    return this.#number([0, 1, 5, 0xffff_ffff], (value) => this.#writer.unsignedVarint(value));
  }

  uuid(): string {
    const id = this.#isDense
      ? 'AAAAAAAAAAAAAAAAAAAAAA'
      : oneOf(this.#random, ['AAAAAAAAAAAAAAAAAAAAAA', 'AAAAAAAAAAAAAAAAAAAAAQ']);
    this.#writer.uuid(id);
    return id;
  }

  string(): string {
    const text = this.#text();
    this.#writer.string(text);
    return text;
  }

  nullableString(): string | null {
    const text = this.#nullable(() => this.#text());
    this.#writer.nullableString(text);
    return text;
  }

  compactString(): string {
    const text = this.#text();
    this.#writer.compactString(text);
    return text;
  }

  compactNullableString(): string | null {
    const text = this.#nullable(() => this.#text());
    this.#writer.compactNullableString(text);
    return text;
  }

  bytes(): Buffer {
    const bytes = Buffer.from(this.#text());
    this.#writer.bytes(bytes);
    return bytes;
  }

  nullableBytes(): Buffer | null {
    const bytes = this.#nullable(() => Buffer.from(this.#text()));
    this.#writer.nullableBytes(bytes);
    return bytes;
  }

  compactBytes(): Buffer {
    const bytes = Buffer.from(this.#text());
    this.#writer.compactBytes(bytes);
    return bytes;
  }

  compactNullableBytes(): Buffer | null {
    const bytes = this.#nullable(() => Buffer.from(this.#text()));
    this.#writer.compactNullableBytes(bytes);
    return bytes;
  }

  array<T>(compact: boolean, version: number, read: (reader: Reader, version: number) => T): T[] {
    // The count stands in front of elements whose size is not known yet: they are written aside first.
    const outer = this.#writer;
    const inner = new InventingReader(this.#random, this.#options, this.#bytesMax - outer.length);
    inner.#depth = this.#depth + 1;
    const elements: T[] = [];
    const countMax = this.#isDense
      ? this.#depth === 0
        ? Infinity
        : 0
      : this.#options.plausible
        ? 1
        : below(this.#random, 4);
    while (elements.length < countMax && inner.#writer.length < inner.#bytesMax)
      elements.push(read(inner as unknown as Reader, version));
    if (compact) outer.unsignedVarint(elements.length + 1);
    else outer.int32(elements.length);
    for (const byte of inner.#writer.finish()) outer.int8((byte << 24) >> 24);
    return elements;
  }

  nullableArray<T>(compact: boolean, version: number, read: (reader: Reader, version: number) => T): T[] | null {
    if (!this.#isDense && this.#random.next() < this.#values.nullChance) {
      if (compact) this.#writer.unsignedVarint(0);
      else this.#writer.int32(-1);
      return null;
    }
    return this.array(compact, version, read);
  }

  skipTaggedFields(): void {
    if (this.#isDense || this.#random.next() < 0.9) return this.#writer.unsignedVarint(0);
    const size = below(this.#random, 20);
    this.#writer.unsignedVarint(1);
    this.#writer.unsignedVarint(1000 + size);
    this.#writer.unsignedVarint(size);
    for (let i = 0; i < size; i++) this.#writer.int8(below(this.#random, 128));
  }

  taggedFields(): void {
    this.skipTaggedFields();
  }

  get #isDense(): boolean {
    return this.#options.shape === 'dense';
  }

  #number(values: readonly number[], write: (value: number) => void): number {
    const value = this.#isDense ? 0 : oneOf(this.#random, values);
    write(value);
    return value;
  }

  #text(): string {
    return this.#isDense ? '' : oneOf(this.#random, this.#values.texts);
  }

  #nullable<T>(make: () => T): T | null {
    return this.#isDense || this.#random.next() < this.#values.nullChance ? null : make();
  }
}

/** A frame of about `bytesMax` bytes at most that `decode` reads to its end. */
export function inventFrame(decode: (reader: Reader) => unknown, random: Random, options: InventOptions): Buffer {
  const reader = new InventingReader(random, options, options.bytesMax);
  decode(reader as unknown as Reader);
  return reader.finish();
}
