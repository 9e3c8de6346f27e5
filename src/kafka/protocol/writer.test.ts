import fc from 'fast-check';
import { expect, test } from 'vitest';
import { InvariantError } from '#util/assert.ts';
import { Reader } from './reader.ts';
import { Writer } from './writer.ts';

/** A value with how it is written and how it is read back. */
interface Primitive {
  readonly value: unknown;
  readonly write: (writer: Writer) => void;
  readonly read: (reader: Reader) => unknown;
}

function primitive<T>(
  values: fc.Arbitrary<T>,
  write: (writer: Writer, value: T) => void,
  read: (reader: Reader) => T,
): fc.Arbitrary<Primitive> {
  return values.map((value) => ({ value, write: (writer) => write(writer, value), read }));
}

const text = fc.string({ unit: 'grapheme', maxLength: 300 });
const bytes = fc.uint8Array({ maxLength: 300 }).map((array): Buffer => Buffer.from(array));
const integer = (min: number, max: number): fc.Arbitrary<number> => fc.integer({ min, max });

const primitives = fc.oneof(
  primitive(
    fc.boolean(),
    (writer, value) => writer.boolean(value),
    (reader) => reader.boolean(),
  ),
  primitive(
    integer(-128, 127),
    (writer, value) => writer.int8(value),
    (reader) => reader.int8(),
  ),
  primitive(
    integer(-0x8000, 0x7fff),
    (writer, value) => writer.int16(value),
    (reader) => reader.int16(),
  ),
  primitive(
    integer(0, 0xffff),
    (writer, value) => writer.uint16(value),
    (reader) => reader.uint16(),
  ),
  primitive(
    integer(-0x8000_0000, 0x7fff_ffff),
    (writer, value) => writer.int32(value),
    (reader) => reader.int32(),
  ),
  primitive(
    integer(0, 0xffff_ffff),
    (writer, value) => writer.uint32(value),
    (reader) => reader.uint32(),
  ),
  primitive(
    fc.maxSafeInteger(),
    (writer, value) => writer.int64(value),
    (reader) => reader.int64(),
  ),
  primitive(
    fc.double(),
    (writer, value) => writer.float64(value),
    (reader) => reader.float64(),
  ),
  primitive(
    integer(0, 0xffff_ffff),
    (writer, value) => writer.unsignedVarint(value),
    (reader) => reader.unsignedVarint(),
  ),
  primitive(
    integer(0, 300),
    (writer, value) => writer.unsignedVarint(value),
    (reader) => reader.unsignedVarint(),
  ),
  primitive(
    fc.uint8Array({ minLength: 16, maxLength: 16 }).map((array) => Buffer.from(array).toString('base64url')),
    (writer, value) => writer.uuid(value),
    (reader) => reader.uuid(),
  ),
  primitive(
    text,
    (writer, value) => writer.string(value),
    (reader) => reader.string(),
  ),
  primitive(
    fc.option(text),
    (writer, value) => writer.nullableString(value),
    (reader) => reader.nullableString(),
  ),
  primitive(
    text,
    (writer, value) => writer.compactString(value),
    (reader) => reader.compactString(),
  ),
  primitive(
    fc.option(text),
    (writer, value) => writer.compactNullableString(value),
    (reader) => reader.compactNullableString(),
  ),
  primitive(
    bytes,
    (writer, value) => writer.bytes(value),
    (reader) => reader.bytes(),
  ),
  primitive(
    fc.option(bytes),
    (writer, value) => writer.nullableBytes(value),
    (reader) => reader.nullableBytes(),
  ),
  primitive(
    bytes,
    (writer, value) => writer.compactBytes(value),
    (reader) => reader.compactBytes(),
  ),
  primitive(
    fc.option(bytes),
    (writer, value) => writer.compactNullableBytes(value),
    (reader) => reader.compactNullableBytes(),
  ),
  ...[true, false].map((compact) =>
    primitive(
      fc.option(fc.array(text, { maxLength: 20 })),
      (writer, value) => writer.array(compact, 0, value, (to, element) => to.string(element)),
      (reader) => reader.nullableArray(compact, 0, (from) => from.string()),
    ),
  ),
);

test('what was written is read back, value by value, however often the buffer grew', () => {
  const seed = Number(process.env['SEED'] ?? Math.floor(Math.random() * 2 ** 31));
  process.stdout.write(`writer round trips: SEED=${seed}\n`);
  const property = fc.property(fc.array(primitives, { maxLength: 40 }), integer(0, 64), (values, initialBytes) => {
    const writer = new Writer(initialBytes);
    for (const { write } of values) write(writer);

    const written = writer.finish();

    expect(written.length).toBe(writer.length);
    const reader = new Reader(written, 0, written.length);
    for (const { value, read } of values) expect(read(reader)).toStrictEqual(value);
    expect(reader.position).toBe(reader.end);
  });
  fc.assert(property, { seed, numRuns: 1000 });
});

test.each<[string, (writer: Writer) => void, string]>([
  ['the shortest varint', (writer) => writer.unsignedVarint(127), '7f'],
  ['a varint of two bytes', (writer) => writer.unsignedVarint(128), '8001'],
  ['the longest varint', (writer) => writer.unsignedVarint(0xffff_ffff), 'ffffffff0f'],
  ['a negative int64', (writer) => writer.int64(-2), 'fffffffffffffffe'],
  ['a uuid', (writer) => writer.uuid('-wECAwQFBgcAAAAAAAAA_w'), 'fb0102030405060700000000000000ff'],
  ['a string by its bytes, not its characters', (writer) => writer.compactString('€'), '04e282ac'],
  ['no tagged fields', (writer) => writer.noTaggedFields(), '00'],
])('writes %s', (_, write, hex) => {
  const writer = new Writer();

  write(writer);

  expect(writer.finish().toString('hex')).toBe(hex);
});

test.each<[string, (writer: Writer) => void, new (...args: never[]) => Error]>([
  ['an int8 of 128', (writer) => writer.int8(128), RangeError],
  ['an int32 of 2^31', (writer) => writer.int32(0x8000_0000), RangeError],
  ['an int64 of 2^53', (writer) => writer.int64(2 ** 53), InvariantError],
  ['half an int64', (writer) => writer.int64(0.5), InvariantError],
  ['a varint below 0', (writer) => writer.unsignedVarint(-1), InvariantError],
  ['a classic string of 32 KB', (writer) => writer.string('x'.repeat(0x8000)), InvariantError],
  ['a uuid with dashes', (writer) => writer.uuid('00000000-0000-0000-0000-000000000000'), InvariantError],
  ['a uuid of other characters', (writer) => writer.uuid('!'.repeat(22)), InvariantError],
])('refuses %s', (_, write, error) => {
  expect(() => write(new Writer())).toThrow(error);
});
