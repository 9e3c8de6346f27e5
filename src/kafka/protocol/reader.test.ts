import { expect, test } from 'vitest';
import { InvariantError } from '#util/assert.ts';
import { MalformedFrameError } from '../errors.ts';
import { Reader } from './reader.ts';

/** Of the given bytes (hex) only, though the buffer goes on behind them. */
function readerOf(hex: string): Reader {
  const bytes = Buffer.from(hex, 'hex');
  return new Reader(Buffer.concat([bytes, Buffer.alloc(64, 1)]), 0, bytes.length);
}

test.each<[string, string, (reader: Reader) => unknown, unknown]>([
  ['int8', '80', (reader) => reader.int8(), -128],
  ['int16', '8000', (reader) => reader.int16(), -32768],
  ['uint16', 'ffff', (reader) => reader.uint16(), 65535],
  ['int32', '80000000', (reader) => reader.int32(), -2147483648],
  ['uint32', 'ffffffff', (reader) => reader.uint32(), 4294967295],
  ['int64 −1', 'ffffffffffffffff', (reader) => reader.int64(), -1],
  ['int64 2^53 − 1', '001fffffffffffff', (reader) => reader.int64(), Number.MAX_SAFE_INTEGER],
  ['int64 1 − 2^53', 'ffe0000000000001', (reader) => reader.int64(), Number.MIN_SAFE_INTEGER],
  ['float64', '3ff8000000000000', (reader) => reader.float64(), 1.5],
  ['boolean, any byte but 0', '02', (reader) => reader.boolean(), true],
  ['varint 300', 'ac02', (reader) => reader.unsignedVarint(), 300],
  ['varint 2^32 − 1', 'ffffffff0f', (reader) => reader.unsignedVarint(), 4294967295],
  ['uuid as Kafka prints it', 'fb0102030405060700000000000000ff', (reader) => reader.uuid(), '-wECAwQFBgcAAAAAAAAA_w'],
  ['string', '0003e282ac', (reader) => reader.string(), '€'],
  ['null string', 'ffff', (reader) => reader.nullableString(), null],
  ['compact string', '04e282ac', (reader) => reader.compactString(), '€'],
  ['compact null string', '00', (reader) => reader.compactNullableString(), null],
  ['bytes', '0000000200ff', (reader) => reader.bytes(), Buffer.from([0, 255])],
  ['null bytes', 'ffffffff', (reader) => reader.nullableBytes(), null],
  ['compact bytes', '0300ff', (reader) => reader.compactBytes(), Buffer.from([0, 255])],
  ['compact null bytes', '00', (reader) => reader.compactNullableBytes(), null],
  ['null array', 'ffffffff', (reader) => reader.arrayLength(false), -1],
  ['compact null array', '00', (reader) => reader.arrayLength(true), -1],
  ['array', '000000020102', (reader) => reader.array(false, 0, (from) => from.int8()), [1, 2]],
  ['compact array', '030102', (reader) => reader.array(true, 0, (from) => from.int8()), [1, 2]],
])('reads %s', (_, hex, read, expected) => {
  const reader = readerOf(hex);

  expect(read(reader)).toEqual(expected);
  expect(reader.position).toBe(reader.end);
});

test.each<[string, string, (reader: Reader) => unknown]>([
  ['an int8 that is not there', '', (reader) => reader.int8()],
  ['an int64 that ends early', '00000000000000', (reader) => reader.int64()],
  ['an int64 of 2^53', '0020000000000000', (reader) => reader.int64()],
  ['an int64 of −2^63', '8000000000000000', (reader) => reader.int64()],
  ['a uuid that ends early', '00'.repeat(15), (reader) => reader.uuid()],
  ['a varint of 33 bits', 'ffffffff1f', (reader) => reader.unsignedVarint()],
  ['a varint of six bytes', '808080808001', (reader) => reader.unsignedVarint()],
  ['a varint that ends early', '80', (reader) => reader.unsignedVarint()],
  ['a string longer than what is left', '000261', (reader) => reader.string()],
  ['a string of length −2', 'fffe', (reader) => reader.nullableString()],
  ['null for a string', 'ffff', (reader) => reader.string()],
  ['null for a compact string', '00', (reader) => reader.compactString()],
  ['a compact string of 4 GB', 'ffffffff0f', (reader) => reader.compactString()],
  ['bytes of 2 GB', '7fffffff', (reader) => reader.bytes()],
  ['bytes of length −2', 'fffffffe', (reader) => reader.nullableBytes()],
  ['null for bytes', 'ffffffff', (reader) => reader.bytes()],
  ['null for compact bytes', '00', (reader) => reader.compactBytes()],
  ['null for an array', 'ffffffff', (reader) => reader.array(false, 0, (from) => from.int8())],
  ['an array of length −2', 'fffffffe', (reader) => reader.nullableArray(false, 0, (from) => from.int8())],
  ['a tagged field that ends behind the frame', '01000201', (reader) => reader.skipTaggedFields()],
  ['more tagged fields than there are bytes', 'ffffffff0f', (reader) => reader.skipTaggedFields()],
])('%s is malformed', (_, hex, read) => {
  expect(() => read(readerOf(hex))).toThrow(MalformedFrameError);
});

test.each([
  ['classic', '7fffffff0102', false],
  ['compact', 'ffffffff0f0102', true],
  ['one more than the bytes that are left', '040102', true],
])('a count of elements that cannot be there is malformed before an element is read: %s', (_, hex, compact) => {
  let reads = 0;
  const read = (): unknown => readerOf(hex).array(compact, 0, () => reads++);

  expect(read).toThrow(MalformedFrameError);
  expect(reads).toBe(0);
});

test('known tagged fields are read, unknown ones are passed over', () => {
  const reader = readerOf('03 00 02 0007 05 03 aabbcc 09 00'.replaceAll(' ', '') + '2a');
  const seen: number[] = [];

  reader.taggedFields((tag) => {
    if (tag !== 0) return false;
    seen.push(reader.int16());
    return true;
  });

  expect(seen).toEqual([7]);
  expect(reader.int8()).toBe(0x2a);
});

test('a known tagged field whose value is longer or shorter than it says is malformed', () => {
  const readInt16 = (reader: Reader): void =>
    reader.taggedFields(() => {
      reader.int16();
      return true;
    });

  expect(() => readInt16(readerOf('0100010007'))).toThrow(MalformedFrameError);
  expect(() => readInt16(readerOf('010003000700'))).toThrow(MalformedFrameError);
});

test('bytes stay as they were when the frame is used again', () => {
  const buffer = Buffer.from('020a', 'hex');
  const bytes = new Reader(buffer, 0, buffer.length).compactBytes();

  buffer.fill(0);

  expect(bytes).toEqual(Buffer.from([0x0a]));
});

test('a reader does not begin or end outside its buffer', () => {
  expect(() => new Reader(Buffer.alloc(4), 0, 5)).toThrow(InvariantError);
  expect(() => new Reader(Buffer.alloc(4), 3, 2)).toThrow(InvariantError);
  expect(() => new Reader(Buffer.alloc(4), -1, 2)).toThrow(InvariantError);
});
