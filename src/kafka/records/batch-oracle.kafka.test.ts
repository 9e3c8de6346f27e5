/** Kafka's own classes as the other side: they read what we write, and we read what they write. */
import fc from 'fast-check';
import { beforeAll, describe, expect, test } from 'vitest';
import { runJava } from '#testing/java.ts';
import { codecs, producerArbitrary, recordsArbitrary, recordsOf, writeBatch } from '#testing/record-batches.ts';
import type { RecordInput } from '#testing/record-batches.ts';
import { createRandom } from '#util/random.ts';
import * as header from './batch-header.ts';
import { BatchWriter } from './batch-writer.ts';
import { patchBatchHeader } from './header-patch.ts';
import { openBatch } from './open-batch.ts';
import type { BatchRecord } from './open-batch.ts';

/** What BatchOracle.java prints of a batch. */
interface JavaBatch {
  readonly name: string;
  readonly batch: string;
  readonly error?: string;
  readonly baseOffset: number;
  readonly lastOffset: number;
  readonly codec: string;
  readonly logAppendTime: boolean;
  readonly maxTimestamp: number;
  readonly leaderEpoch: number;
  readonly producerId: number;
  readonly producerEpoch: number;
  readonly baseSequence: number;
  readonly transactional: boolean;
  readonly control: boolean;
  readonly deleteHorizon: boolean;
  readonly count: number;
  readonly records: readonly JavaRecord[];
}

interface JavaRecord {
  readonly offset: number;
  readonly timestamp: number;
  readonly key: string | null;
  readonly value: string | null;
  readonly headers: readonly { readonly key: string; readonly value: string | null }[];
}

const seed = Number(process.env['SEED'] ?? Date.now() % 2 ** 31);

const producer = { producerId: 4711, producerEpoch: 3, baseSequence: 2 ** 31 - 1 };

async function runOracle(args: readonly string[], input = ''): Promise<JavaBatch[]> {
  const { stdout, stderr, code } = await runJava('BatchOracle', args, { input });
  expect(stderr).toBe('');
  expect(code).toBe(0);
  return stdout
    .split('\n')
    .filter((line) => line !== '')
    .map((line) => JSON.parse(line) as JavaBatch);
}

const readByJava = (batches: readonly Buffer[]): Promise<JavaBatch[]> =>
  runOracle(['read'], batches.map((batch) => `${batch.toString('base64')}\n`).join(''));

function toJava(record: BatchRecord): JavaRecord {
  const base64 = (bytes: Buffer | null): string | null => bytes?.toString('base64') ?? null;
  const headers = record.headers.map(({ key, value }) => ({ key: key.toString('base64'), value: base64(value) }));
  return { ...record, key: base64(record.key), value: base64(record.value), headers };
}

/** Java shows header keys as text: bytes that are no UTF-8 could not be compared. */
function withTextKeys(record: RecordInput): RecordInput {
  return {
    ...record,
    headers: record.headers.map(({ key, value }) => ({ key: Buffer.from(key.map((byte) => byte & 0x7f)), value })),
  };
}

describe(`Kafka's own classes (seed ${seed})`, () => {
  let written: JavaBatch[];

  beforeAll(async () => {
    written = await runOracle(['write', String(seed)]);
  });

  test('what Java writes, compacts, empties and marks is read here as Java reads it', () => {
    expect(written).toHaveLength(36);
    for (const java of written) {
      const buffer = Buffer.from(java.batch, 'base64');
      const batch = openBatch(buffer, 0);
      const has = (attribute: number): boolean => (batch.attributes & attribute) !== 0;
      expect({
        name: java.name,
        batch: java.batch,
        baseOffset: batch.baseOffset,
        lastOffset: header.lastOffsetOf(buffer, 0),
        codec: header.codecNames[batch.codec],
        logAppendTime: has(header.ATTRIBUTE_LOG_APPEND_TIME),
        maxTimestamp: batch.maxTimestamp,
        leaderEpoch: header.leaderEpochOf(buffer, 0),
        producerId: header.producerIdOf(buffer, 0),
        producerEpoch: header.producerEpochOf(buffer, 0),
        baseSequence: header.baseSequenceOf(buffer, 0),
        transactional: has(header.ATTRIBUTE_TRANSACTIONAL),
        control: has(header.ATTRIBUTE_CONTROL),
        deleteHorizon: has(header.ATTRIBUTE_DELETE_HORIZON),
        count: batch.count,
        records: recordsOf(batch).map(toJava),
      }).toEqual(java);
    }
  });

  test('the collection of Java holds what makes it worth reading', () => {
    const has = (is: (batch: JavaBatch) => boolean): boolean => written.some(is);
    expect(has((batch) => batch.deleteHorizon && batch.count < batch.lastOffset - batch.baseOffset + 1)).toBe(true);
    expect(has((batch) => batch.count === 0)).toBe(true);
    expect(has((batch) => batch.control)).toBe(true);
    expect(
      has((batch) => batch.logAppendTime && new Set(batch.records.map(({ timestamp }) => timestamp)).size === 1),
    ).toBe(true);
    expect(new Set(written.filter(({ count }) => count > 0).map(({ codec }) => codec)).size).toBe(5);
  });

  test('what is patched here is valid there and holds the same records', async () => {
    const clear = header.ATTRIBUTE_LOG_APPEND_TIME | header.ATTRIBUTE_TRANSACTIONAL;
    const patched = written.map(({ batch }) => {
      const buffer = Buffer.from(batch, 'base64');
      patchBatchHeader(buffer, 0, producer, clear);
      return buffer;
    });
    const read = await readByJava(patched);
    expect(read).toHaveLength(written.length);
    for (const [i, original] of written.entries()) {
      const contentOf = ({ offset, timestamp, ...content }: JavaRecord, baseOffset: number): object => ({
        delta: offset - baseOffset,
        // Without the bit the producers' times are seen again.
        timestamp: original.logAppendTime ? null : timestamp,
        ...content,
      });
      expect(read[i]).toMatchObject({
        baseOffset: 0,
        leaderEpoch: -1,
        ...producer,
        transactional: false,
        logAppendTime: false,
      });
      expect(read[i]!.records.map((each) => contentOf(each, 0))).toEqual(
        original.records.map((each) => contentOf(each, original.baseOffset)),
      );
    }
  });

  test('batches of Java, with holes and of every codec, merged here are read there record by record', async () => {
    const sources = written.filter(({ control }) => !control);
    const merged = codecs.map((codec) => {
      const writer = new BatchWriter({ codec, baseOffset: 0 });
      for (const { batch } of sources) {
        const buffer = Buffer.from(batch, 'base64');
        let source = openBatch(buffer, 0);
        for (let i = 0; i < source.count; i++) {
          // The writer takes offsets without holes only: the record gets the one that it will have.
          const shift = writer.nextOffset - source.offsetOf(i);
          if (shift !== 0) {
            buffer.writeBigInt64BE(BigInt(source.baseOffset + shift));
            source = openBatch(buffer, 0);
          }
          writer.append(source, i);
        }
      }
      return writer.finish(producer);
    });
    const records = sources.flatMap((source) => source.records).map((record, offset) => ({ ...record, offset }));
    const read = await readByJava(merged);
    expect(read.map((batch) => [batch.codec, batch.count])).toEqual(
      codecs.map((codec) => [header.codecNames[codec], records.length]),
    );
    for (const batch of read) expect(batch.records).toEqual(records);
  });

  test('what is written here is valid there and holds the same records, up to 5 MB each', async () => {
    const cases = fc.sample(
      fc
        .tuple(fc.constantFrom(...codecs), recordsArbitrary(30), producerArbitrary)
        .map(([codec, records, by]) => ({ codec, records, by })),
      { seed, numRuns: 100 },
    );
    const random = createRandom(seed);
    const noise = Buffer.from(Array.from({ length: 100_000 }, () => Math.floor(random.next() * 256)));
    for (const codec of codecs) {
      const value = Buffer.concat([Buffer.alloc(5 * 1024 * 1024 - 100_000, 'lockstep'), noise]);
      cases.push({ codec, records: [{ timestamp: 1, key: null, value, headers: [] }], by: producer });
    }
    const inputs = cases.map(({ codec, records, by }) => ({ codec, by, records: records.map(withTextKeys) }));
    const read = await readByJava(inputs.map(({ codec, records, by }) => writeBatch(records, { codec, producer: by })));
    expect(read).toHaveLength(inputs.length);
    for (const [i, { codec, records, by }] of inputs.entries()) {
      expect(read[i]).toMatchObject({ codec: header.codecNames[codec], lastOffset: records.length - 1, ...by });
      expect(read[i]!.records).toEqual(records.map((record, offset) => toJava({ offset, ...record })));
    }
  });

  test('a byte that was damaged before the header was patched is found there', async () => {
    const damaged = written.map(({ batch }, i) => {
      const buffer = Buffer.from(batch, 'base64');
      const at = 61 + ((seed + i) % Math.max(1, buffer.length - 61));
      if (buffer.length > 61) buffer[at] = buffer[at]! ^ 0x20;
      else buffer[26] = 1;
      patchBatchHeader(buffer, 0, producer, 0);
      return buffer;
    });
    for (const { error } of await readByJava(damaged)) expect(error).toMatch('CorruptRecordException');
  });
});
