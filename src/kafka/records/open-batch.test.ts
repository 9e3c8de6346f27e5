import fc from 'fast-check';
import { expect, test } from 'vitest';
import { codecs, noProducer, recordsArbitrary, recordsOf, writeBatch } from '#testing/record-batches.ts';
import type { RecordInput } from '#testing/record-batches.ts';
import { MalformedBatchError } from '../errors.ts';
import {
  ATTRIBUTE_DELETE_HORIZON,
  ATTRIBUTE_LOG_APPEND_TIME,
  BATCH_HEADER_BYTES,
  batchAt,
  codecNames,
  writeBatchHeader,
} from './batch-header.ts';
import { compress } from './compression.ts';
import { openBatch } from './open-batch.ts';

const record = (fields: Partial<RecordInput> = {}): RecordInput => ({
  timestamp: 1000,
  key: null,
  value: null,
  headers: [],
  ...fields,
});

/** Computes the CRC anew, so that what stands behind it is looked at. */
function sign(batch: Buffer, fields: Partial<Parameters<typeof writeBatchHeader>[3]> = {}): Buffer {
  const header = {
    attributes: batch.readInt16BE(21),
    lastOffsetDelta: batch.readInt32BE(23),
    baseTimestamp: Number(batch.readBigInt64BE(27)),
    maxTimestamp: Number(batch.readBigInt64BE(35)),
    recordCount: batch.readInt32BE(57),
    ...noProducer,
    ...fields,
  };
  const baseOffset = batch.readBigInt64BE();
  writeBatchHeader(batch, 0, batch.length, header);
  batch.writeBigInt64BE(baseOffset);
  return batch;
}

/** An uncompressed batch of these body bytes, given in hex. */
const batchOf = (body: string, fields: Partial<Parameters<typeof writeBatchHeader>[3]> = {}): Buffer =>
  sign(Buffer.concat([Buffer.alloc(BATCH_HEADER_BYTES), Buffer.from(body, 'hex')]), {
    recordCount: 1,
    attributes: 0,
    ...fields,
  });

test('records are read as they were written, with every codec', () => {
  fc.assert(
    fc.property(
      fc.constantFrom(...codecs),
      recordsArbitrary(),
      fc.nat({ max: 2 ** 40 }),
      fc.nat({ max: 30 }),
      (codec, records, baseOffset, before) => {
        const written = writeBatch(records, { codec, baseOffset });
        const buffer = Buffer.concat([Buffer.alloc(before, 1), written, Buffer.alloc(9, 1)]);
        const batch = openBatch(buffer, before);
        expect(batch).toMatchObject({ count: records.length, baseOffset, codec, attributes: codec });
        expect(batch.maxTimestamp).toBe(Math.max(...records.map((each) => each.timestamp)));
        expect(recordsOf(batch)).toEqual(records.map((each, i) => ({ offset: baseOffset + i, ...each })));
      },
    ),
  );
});

test('a record in bytes: the layout of message format v2', () => {
  // length 12, attributes, timestamp delta -3, offset delta 0, key "k", value null, 2 headers: "h" = "", "" = null
  const batch = openBatch(
    batchOf('1800050002' + '6b' + '01' + '04' + '026800' + '0001', { baseTimestamp: 1003, maxTimestamp: 1003 }),
    0,
  );
  expect(recordsOf(batch)).toEqual([
    {
      offset: 0,
      timestamp: 1000,
      key: Buffer.from('k'),
      value: null,
      headers: [
        { key: Buffer.from('h'), value: Buffer.alloc(0) },
        { key: Buffer.alloc(0), value: null },
      ],
    },
  ]);
  expect(batch.recordBytes(0)).toBe(13);
});

test('an uncompressed record is a slice of the buffer that it came in', () => {
  const buffer = writeBatch([record({ value: Buffer.from('here') })]);
  const { value } = openBatch(buffer, 0).recordAt(0);
  expect(value?.buffer).toBe(buffer.buffer);
});

test('the sizes of records add up to the body', () => {
  fc.assert(
    fc.property(recordsArbitrary(), (records) => {
      const written = writeBatch(records);
      const batch = openBatch(written, 0);
      const sum = records.reduce((bytes, _, i) => bytes + batch.recordBytes(i), 0);
      expect(sum).toBe(written.length - BATCH_HEADER_BYTES);
    }),
  );
});

test('all records of a LogAppendTime batch have its max timestamp', () => {
  const batch = sign(writeBatch([record({ timestamp: 5 }), record({ timestamp: 9 })]), {
    attributes: ATTRIBUTE_LOG_APPEND_TIME,
    maxTimestamp: 77,
  });
  expect(recordsOf(openBatch(batch, 0)).map((each) => each.timestamp)).toEqual([77, 77]);
});

test('timestamps are relative to the base timestamp also where that is a delete horizon', () => {
  const batch = sign(writeBatch([record({ timestamp: 5 }), record({ timestamp: 3 })]), {
    attributes: ATTRIBUTE_DELETE_HORIZON,
    baseTimestamp: 1005,
  });
  expect(recordsOf(openBatch(batch, 0)).map((each) => each.timestamp)).toEqual([1005, 1003]);
});

test('a batch that compaction has emptied opens with no records, also where a codec is set', () => {
  for (const codec of codecs) {
    const batch = sign(Buffer.alloc(BATCH_HEADER_BYTES), {
      attributes: codec,
      lastOffsetDelta: 9,
      recordCount: 0,
      baseTimestamp: -1,
      maxTimestamp: -1,
    });
    expect(openBatch(batch, 0)).toMatchObject({ count: 0, codec });
  }
});

test('records between holes keep their offsets', () => {
  const batch = openBatch(batchOf('0c000002010100' + '0c000008010100', { recordCount: 2, lastOffsetDelta: 6 }), 0);
  expect([batch.offsetOf(0), batch.offsetOf(1)]).toEqual([1, 4]);
});

test('a CRC that does not match is found, unless it is not asked for', () => {
  const batch = writeBatch([record({ value: Buffer.from('amount=1') })], { baseOffset: 40 });
  batch[batch.length - 2]! ^= 1;
  expect(() => openBatch(batch, 0)).toThrow(
    'the record batch at offset 40 is damaged: its CRC does not match its bytes',
  );
  expect(openBatch(batch, 0, { checkCrc: false }).count).toBe(1);
});

test.each([
  ['a record past the end', '0e000000010100', {}, 'a record runs past the end'],
  ['a record of negative length', '01000000010100', {}, 'a record runs past the end'],
  ['a record that is shorter than it says', '0e00000001010000', {}, 'not as long as it says'],
  ['a record that is longer than it says', '0a000000010100', {}, 'not as long as it says'],
  ['a key past the end', '0c000000100100', {}, 'a field of 8 bytes does not fit into the 2 that are left'],
  ['a key length below null', '0c000000030100', {}, 'a field has -2 bytes'],
  ['a value length below null', '0c000000010300', {}, 'a field has -2 bytes'],
  ['a negative header count', '0c000000010101', {}, 'a record has -1 headers'],
  ['more headers than bytes', '0c0000000101fc', {}, 'ends in the middle of a field'],
  ['a header without a key', '10000000010102' + '0100', {}, 'a header has no key'],
  ['a varint that never ends', 'ffffffffffffff', {}, 'a varint has more than 32 bits'],
  ['a count above the records', '0c000000010100', { recordCount: 2 }, '2 records do not fit into 7 bytes'],
  ['a count of 2^31 - 1', '0c000000010100', { recordCount: 2 ** 31 - 1 }, 'do not fit'],
  [
    'a count below the records',
    '0c000000010100' + '0c000002010100',
    { lastOffsetDelta: 1 },
    '7 bytes stand behind the last record',
  ],
  ['records of an empty batch', '0c000000010100', { recordCount: 0 }, '7 bytes stand behind the last record'],
  [
    'an offset twice',
    '0c000000010100' + '0c000000010100',
    { recordCount: 2, lastOffsetDelta: 1 },
    'offset delta 0, not one of 1 to 1',
  ],
  ['an offset behind the last', '0c000004010100', { lastOffsetDelta: 1 }, 'offset delta 2, not one of 0 to 1'],
  ['a negative offset delta', '0c000001010100', {}, 'offset delta -1'],
  ['a timestamp that no number holds', '0c000200010100', { baseTimestamp: Number.MAX_SAFE_INTEGER }, 'beyond ±2^53'],
] as const)('%s is malformed', (_, body, fields, message) => {
  const batch = batchOf(body, { lastOffsetDelta: 0, baseTimestamp: 0, maxTimestamp: 0, ...fields });
  expect(() => openBatch(batch, 0)).toThrow(MalformedBatchError);
  expect(() => openBatch(batch, 0)).toThrow(message);
});

test('a batch that is cut off is malformed here', () => {
  const batch = writeBatch([record()]);
  expect(() => openBatch(batch.subarray(0, -1), 0)).toThrow('cut off');
});

test('an unknown codec is malformed', () => {
  expect(() => openBatch(batchOf('0c000000010100', { attributes: 6 }), 0)).toThrow('unknown compression codec 6');
});

test('a body beyond the bound is refused before it is there', () => {
  for (const codec of [1, 2, 3, 4] as const) {
    const batch = writeBatch([record({ value: Buffer.alloc(100_000) })], { codec, baseOffset: 3 });
    expect(openBatch(batch, 0, { bodyBytesMax: 200_000 }).count).toBe(1);
    expect(() => openBatch(batch, 0, { bodyBytesMax: 50_000 })).toThrow(
      new RegExp(`^the record batch at offset 3 is damaged: the ${codecNames[codec]} records .* hold`),
    );
  }
});

const changesArbitrary = fc.array(
  fc.tuple(fc.nat(), fc.oneof(fc.constantFrom(0, 1, 0x7f, 0x80, 0xff), fc.nat({ max: 255 }))),
  { minLength: 1, maxLength: 3 },
);

function change(bytes: Uint8Array, changes: readonly (readonly [number, number])[]): void {
  for (const [at, value] of changes) if (bytes.length > 0) bytes[at % bytes.length] = value;
}

/** Reads all records, or is told by a MalformedBatchError that there is something wrong; any other error is the test's. */
function readOrRefuse(batch: Buffer): 'read' | 'refused' {
  try {
    batchAt(batch, 0, batch.length);
    recordsOf(openBatch(batch, 0, { checkCrc: false, bodyBytesMax: 1_000_000 }));
    return 'read';
  } catch (error) {
    if (!(error instanceof MalformedBatchError)) throw error;
    return 'refused';
  }
}

test('whatever bytes of a batch change, its records can be read or it is malformed', () => {
  const outcomes = { read: 0, refused: 0 };
  fc.assert(
    fc.property(
      fc.constantFrom(...codecs),
      recordsArbitrary(4),
      changesArbitrary,
      fc.nat({ max: 60 }),
      (codec, records, changes, cut) => {
        const batch = writeBatch(records, { codec });
        change(batch, changes);
        outcomes[readOrRefuse(batch.subarray(0, cut < 50 ? batch.length : Math.max(0, batch.length - cut)))] += 1;
      },
    ),
    { numRuns: 1000 },
  );
  expect(outcomes.read).toBeGreaterThan(30);
  expect(outcomes.refused).toBeGreaterThan(30);
});

test('whatever bytes of the records change before they are compressed, they can be read or are malformed', () => {
  const outcomes = { read: 0, refused: 0 };
  fc.assert(
    fc.property(fc.constantFrom(...codecs), recordsArbitrary(4), changesArbitrary, (codec, records, changes) => {
      const plain = writeBatch(records);
      const body = Buffer.from(plain.subarray(BATCH_HEADER_BYTES));
      change(body, changes);
      const batch = Buffer.concat([plain.subarray(0, BATCH_HEADER_BYTES), compress(codec, body)]);
      outcomes[readOrRefuse(sign(batch, { attributes: codec }))] += 1;
    }),
    { numRuns: 1000 },
  );
  expect(outcomes.read).toBeGreaterThan(30);
  expect(outcomes.refused).toBeGreaterThan(30);
});
