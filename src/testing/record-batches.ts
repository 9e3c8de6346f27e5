/** Random records and batches for tests of everything that reads or writes batches. */
import fc from 'fast-check';
import { BatchWriter } from '#kafka/records/batch-writer.ts';
import type { BatchRecord, OpenBatch } from '#kafka/records/open-batch.ts';
import type { BatchProducer, Codec } from '#kafka/records/batch-header.ts';

export const codecs = [0, 1, 2, 3, 4] as const satisfies readonly Codec[];

export const noProducer: BatchProducer = { producerId: -1, producerEpoch: -1, baseSequence: -1 };

/** A record as it is before it has an offset. */
export type RecordInput = Omit<BatchRecord, 'offset'>;

const bytesArbitrary = (maxLength: number): fc.Arbitrary<Buffer> =>
  fc.oneof(
    { weight: 4, arbitrary: fc.uint8Array({ maxLength }).map((bytes) => Buffer.from(bytes)) },
    // Long runs: what codecs shorten, and lengths that need varints of several bytes.
    { weight: 1, arbitrary: fc.nat({ max: 3000 }).map((length) => Buffer.alloc(length, 'lockstep ')) },
  );

const timestampArbitrary = fc.oneof(
  fc.constantFrom(-1, 0, 1, 1_700_000_000_000, 2 ** 31 - 1, 2 ** 31, -(2 ** 31), 2 ** 51, -(2 ** 51)),
  fc.integer({ min: 1_700_000_000_000 - 2 ** 40, max: 1_700_000_000_000 + 2 ** 40 }),
);

/** Null and empty keys and values, empty and repeated header keys, null header values, any order of timestamps. */
const recordArbitrary: fc.Arbitrary<RecordInput> = fc.record({
  timestamp: timestampArbitrary,
  key: fc.option(bytesArbitrary(40)),
  value: fc.option(bytesArbitrary(200)),
  headers: fc.array(fc.record({ key: bytesArbitrary(3), value: fc.option(bytesArbitrary(20)) }), { maxLength: 4 }),
});

export const recordsArbitrary = (maxLength = 20): fc.Arbitrary<RecordInput[]> =>
  fc.array(recordArbitrary, { minLength: 1, maxLength });

export const producerArbitrary: fc.Arbitrary<BatchProducer> = fc.record({
  producerId: fc.oneof(fc.constantFrom(-1, 0, 2 ** 32, Number.MAX_SAFE_INTEGER), fc.maxSafeNat()),
  producerEpoch: fc.integer({ min: -1, max: 32_767 }),
  baseSequence: fc.oneof(fc.constantFrom(-1, 0, 2 ** 31 - 1), fc.nat()),
});

/** The batch of these records as a broker keeps it: with a base offset. */
export function writeBatch(
  records: readonly RecordInput[],
  options: { codec?: Codec; baseOffset?: number; producer?: BatchProducer } = {},
): Buffer {
  const { codec = 0, baseOffset = 0, producer = noProducer } = options;
  const writer = new BatchWriter({ codec, baseOffset });
  for (const record of records) writer.appendRecord(record);
  const batch = writer.finish(producer);
  batch.writeBigInt64BE(BigInt(baseOffset));
  return batch;
}

export function recordsOf(batch: OpenBatch): BatchRecord[] {
  return Array.from({ length: batch.count }, (_, i) => batch.recordAt(i));
}
