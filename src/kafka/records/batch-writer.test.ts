import { Reader, readRecordsBatches } from '@platformatic/kafka';
import fc from 'fast-check';
import { expect, test } from 'vitest';
import {
  codecs,
  noProducer,
  producerArbitrary,
  recordsArbitrary,
  recordsOf,
  writeBatch,
} from '#testing/record-batches.ts';
import type { RecordInput } from '#testing/record-batches.ts';
import { InvariantError } from '#util/assert.ts';
import { MalformedBatchError } from '../errors.ts';
import * as header from './batch-header.ts';
import { BatchWriter } from './batch-writer.ts';
import { openBatch } from './open-batch.ts';

const record = (fields: Partial<RecordInput> = {}): RecordInput => ({
  timestamp: 1000,
  key: null,
  value: Buffer.from('v'),
  headers: [],
  ...fields,
});

test('the header of a finished batch is what a broker takes from a producer', () => {
  fc.assert(
    fc.property(
      fc.constantFrom(...codecs),
      recordsArbitrary(5),
      producerArbitrary,
      fc.nat(),
      (codec, records, producer, baseOffset) => {
        const writer = new BatchWriter({ codec, baseOffset });
        for (const each of records) writer.appendRecord(each);
        const batch = writer.finish(producer);
        expect(header.batchAt(batch, 0, batch.length)).toBe(batch.length);
        expect(header.checkBatchCrc(batch, 0)).toBe(true);
        expect({
          baseOffset: header.baseOffsetOf(batch, 0),
          leaderEpoch: header.leaderEpochOf(batch, 0),
          attributes: header.attributesOf(batch, 0),
          lastOffsetDelta: header.lastOffsetDeltaOf(batch, 0),
          baseTimestamp: header.baseTimestampOf(batch, 0),
          maxTimestamp: header.maxTimestampOf(batch, 0),
          producerId: header.producerIdOf(batch, 0),
          producerEpoch: header.producerEpochOf(batch, 0),
          baseSequence: header.baseSequenceOf(batch, 0),
          recordCount: header.recordCountOf(batch, 0),
        }).toEqual({
          baseOffset: 0,
          leaderEpoch: -1,
          attributes: codec,
          lastOffsetDelta: records.length - 1,
          baseTimestamp: records[0]!.timestamp,
          maxTimestamp: Math.max(...records.map((each) => each.timestamp)),
          ...producer,
          recordCount: records.length,
        });
      },
    ),
  );
});

test('merged batches hold the records of all of them, in order, whatever codecs they come from and go to', () => {
  const source = fc.tuple(fc.constantFrom(...codecs), recordsArbitrary(5));
  fc.assert(
    fc.property(
      fc.array(source, { minLength: 1, maxLength: 6 }),
      fc.constantFrom(...codecs),
      fc.nat({ max: 2 ** 40 }),
      (sources, codec, baseOffset) => {
        const writer = new BatchWriter({ codec, baseOffset, capacityBytes: 100 });
        let offset = baseOffset;
        for (const [sourceCodec, records] of sources) {
          const batch = openBatch(writeBatch(records, { codec: sourceCodec, baseOffset: offset }), 0);
          for (let i = 0; i < batch.count; i++) writer.append(batch, i);
          offset += records.length;
          expect(writer.nextOffset).toBe(offset);
        }
        const merged = openBatch(writer.finish(noProducer), 0);
        const expected = sources.flatMap(([, records]) => records).map((each, i) => ({ offset: i, ...each }));
        expect(recordsOf(merged)).toEqual(expected);
        expect(merged.maxTimestamp).toBe(Math.max(...expected.map((each) => each.timestamp)));
      },
    ),
  );
});

test('the tail of a batch, copied record by record, is the batch that its records alone would be', () => {
  fc.assert(
    fc.property(recordsArbitrary(), fc.nat(), (records, start) => {
      const from = start % records.length;
      const batch = openBatch(writeBatch(records, { baseOffset: 500 }), 0);
      const writer = new BatchWriter({ codec: 0, baseOffset: 500 + from });
      for (let i = from; i < records.length; i++) writer.append(batch, i);
      expect(writer.finish(noProducer).equals(writeBatch(records.slice(from)))).toBe(true);
    }),
  );
});

test('a timestamp that is given takes the place of the record’s own', () => {
  const batch = openBatch(writeBatch([record({ timestamp: 5 }), record({ timestamp: 6 })]), 0);
  const writer = new BatchWriter({ codec: 0, baseOffset: 0 });
  writer.append(batch, 0, 900);
  writer.append(batch, 1, 800);
  const written = openBatch(writer.finish(noProducer), 0);
  expect([written.timestampOf(0), written.timestampOf(1), written.maxTimestamp]).toEqual([900, 800, 900]);
});

test('the size so far is the size of the uncompressed batch', () => {
  fc.assert(
    fc.property(recordsArbitrary(), (records) => {
      const writer = new BatchWriter({ codec: 0, baseOffset: 0, capacityBytes: 1 });
      expect(writer.bytes).toBe(61);
      for (const each of records) writer.appendRecord(each);
      expect(writer.count).toBe(records.length);
      const { bytes } = writer;
      expect(writer.finish(noProducer)).toHaveLength(bytes);
    }),
  );
});

test('what was finished stays as it is when the writer goes on', () => {
  const writer = new BatchWriter({ codec: 0, baseOffset: 0 });
  writer.appendRecord(record({ value: Buffer.from('first') }));
  const first = writer.finish(noProducer);
  writer.reset({ codec: 3, baseOffset: 70 });
  expect([writer.count, writer.bytes, writer.nextOffset]).toEqual([0, 61, 70]);
  writer.appendRecord(record({ timestamp: -1, value: Buffer.from('second') }));
  const second = openBatch(writer.finish(noProducer), 0);
  expect(openBatch(first, 0).recordAt(0).value?.toString()).toBe('first');
  expect(second.recordAt(0)).toMatchObject({ timestamp: -1, value: Buffer.from('second') });
  expect([second.codec, second.maxTimestamp]).toEqual([3, -1]);
});

test('records of 5 MB survive, and their memory is given back', () => {
  const value = Buffer.alloc(5 * 1024 * 1024, 'lockstep');
  for (const codec of codecs) {
    const source = openBatch(writeBatch([record({ value })], { codec }), 0);
    const writer = new BatchWriter({ codec, baseOffset: 0, capacityBytes: 1000 });
    writer.append(source, 0);
    expect(openBatch(writer.finish(noProducer), 0).recordAt(0).value?.equals(value)).toBe(true);
    expect(writer.capacityBytes).toBeGreaterThan(value.length);
    writer.reset({ codec, baseOffset: 0 });
    expect(writer.capacityBytes).toBe(1000);
    writer.appendRecord(record());
    expect(writer.finish(noProducer).equals(writeBatch([record()], { codec }))).toBe(true);
  }
});

test('timestamps that no varlong can tell apart exactly are refused, and the batch goes on without them', () => {
  const writer = new BatchWriter({ codec: 0, baseOffset: 0 });
  writer.appendRecord(record({ timestamp: Number.MAX_SAFE_INTEGER }));
  expect(() => writer.appendRecord(record({ timestamp: -2 }))).toThrow(MalformedBatchError);
  expect(writer.finish(noProducer).equals(writeBatch([record({ timestamp: Number.MAX_SAFE_INTEGER })]))).toBe(true);
});

test.each<[string, (writer: BatchWriter) => void]>([
  ['a record at another offset', (writer) => writer.append(openBatch(writeBatch([record()], { baseOffset: 9 }), 0), 0)],
  ['finishing without records', (writer) => void writer.finish(noProducer)],
  ['a timestamp that is no integer', (writer) => writer.appendRecord(record({ timestamp: 0.5 }))],
  [
    'a record behind the end',
    (writer) => {
      writer.appendRecord(record());
      writer.finish(noProducer);
      writer.appendRecord(record());
    },
  ],
])('%s is a bug of the caller', (_, act) => {
  expect(() => act(new BatchWriter({ codec: 0, baseOffset: 10 }))).toThrow(InvariantError);
});

test('@platformatic/kafka reads what we write', () => {
  fc.assert(
    fc.property(fc.constantFrom(...codecs), recordsArbitrary(), producerArbitrary, (codec, records, producer) => {
      const written = writeBatch(records, { codec, producer, baseOffset: 3 });
      const [batch, ...others] = readRecordsBatches(Reader.from(written));
      expect(others).toEqual([]);
      expect(batch).toMatchObject({
        firstOffset: 3n,
        producerId: BigInt(producer.producerId),
        firstSequence: producer.baseSequence,
      });
      const read = batch!.records.map((each) => ({
        timestamp: Number(batch!.firstTimestamp + each.timestampDelta),
        key: each.key,
        value: each.value,
        headers: each.headers.map(([key, value]) => ({ key, value })),
      }));
      expect(read).toEqual(records);
    }),
  );
});
