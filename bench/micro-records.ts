/**
 * What the data path pays per batch and per record, in nanoseconds: `node bench/micro-records.ts`.
 * The best of several rounds is printed; the rest is the machine's other work.
 */
import { batchAt, checkBatchCrc } from '#kafka/records/batch-header.ts';
import type { Codec } from '#kafka/records/batch-header.ts';
import { codecNames } from '#kafka/records/batch-header.ts';
import { BatchWriter } from '#kafka/records/batch-writer.ts';
import { patchBatchHeader } from '#kafka/records/header-patch.ts';
import { openBatch } from '#kafka/records/open-batch.ts';
import { systemClock } from '#util/host.ts';

const PRODUCER = { producerId: 4711, producerEpoch: 0, baseSequence: 42 };
const ROUNDS = 7;

/** Runs `work` for about 50 ms a round and returns nanoseconds per unit of the best round; `work` does `units` of them. */
function nanosecondsPer(units: number, work: () => void): number {
  let best = Infinity;
  for (let round = 0; round < ROUNDS; round++) {
    const start = systemClock.monotonic();
    let runs = 0;
    while (systemClock.monotonic() - start < 50) {
      work();
      runs += 1;
    }
    best = Math.min(best, ((systemClock.monotonic() - start) * 1e6) / (runs * units));
  }
  return best;
}

function report(what: string, nanoseconds: number): void {
  process.stdout.write(`${what.padEnd(64)} ${nanoseconds.toFixed(nanoseconds < 100 ? 1 : 0).padStart(9)} ns\n`);
}

/** A batch of `count` records with values of about `valueBytes` bytes that compress to a third. */
function createBatch(codec: Codec, count: number, valueBytes: number, baseOffset = 0): Buffer {
  const writer = new BatchWriter({ codec, baseOffset });
  for (let i = 0; i < count; i++) {
    const value = `{"id":${i * 7919},"amount":${(i * 104_729) % 99_991},"note":"${'lorem ipsum '.repeat(valueBytes / 12)}`;
    writer.appendRecord({
      timestamp: 1_700_000_000_000 + i,
      key: Buffer.from(`key-${i}`),
      value: Buffer.from(value.slice(0, valueBytes)),
    });
  }
  const batch = writer.finish({ producerId: -1, producerEpoch: -1, baseSequence: -1 });
  batch.writeBigInt64BE(BigInt(baseOffset));
  return batch;
}

for (const bytes of [100, 16_384, 1_048_576]) {
  const batch = createBatch(0, 1, bytes);
  const patches = 1000;
  const patch = (clearAttributes: number) => (): void => {
    for (let i = 0; i < patches; i++) {
      patchBatchHeader(batch, 0, { producerId: 4711 + i, producerEpoch: 0, baseSequence: i }, clearAttributes);
    }
  };
  report(`patch header, ${batch.length} B`, nanosecondsPer(patches, patch(0)));
  if (bytes === 16_384) {
    const withAttribute = (): void => {
      for (let i = 0; i < patches; i++) {
        batch[22] = 16;
        patchBatchHeader(batch, 0, { producerId: 4711 + i, producerEpoch: 0, baseSequence: i }, 16);
      }
    };
    report(`patch header and clear the transactional bit, ${batch.length} B`, nanosecondsPer(patches, withAttribute));
  }
  report(
    `batchAt, ${batch.length} B`,
    nanosecondsPer(patches, () => {
      for (let i = 0; i < patches; i++) batchAt(batch, 0, batch.length);
    }),
  );
  report(
    `check CRC, ${batch.length} B`,
    nanosecondsPer(1, () => void checkBatchCrc(batch, 0)),
  );
}

for (const codec of [0, 1, 2, 3, 4] as const) {
  const count = 500;
  const batch = createBatch(codec, count, 100);
  const opened = openBatch(batch, 0);
  const writer = new BatchWriter({ codec, baseOffset: 0 });
  const name = `${codecNames[codec]}, ${count} records of 100 B`;
  report(
    `openBatch, per record: ${name}`,
    nanosecondsPer(count, () => void openBatch(batch, 0)),
  );
  report(
    `append, per record: ${name}`,
    nanosecondsPer(count, () => {
      writer.reset({ codec, baseOffset: 0 });
      for (let i = 0; i < count; i++) writer.append(opened, i);
    }),
  );
  report(
    `finish, per record: ${name}`,
    nanosecondsPer(count, () => {
      writer.reset({ codec, baseOffset: 0 });
      for (let i = 0; i < count; i++) writer.append(opened, i);
      writer.finish(PRODUCER);
    }),
  );
}

for (const codec of [0, 1, 2, 3, 4] as const) {
  for (const valueBytes of [100, 1000]) {
    const count = 250;
    const batches = Array.from({ length: count }, (_, i) => createBatch(codec, 1, valueBytes, i));
    const writer = new BatchWriter({ codec, baseOffset: 0, capacityBytes: 512 * 1024 });
    for (const checkCrc of [true, false]) {
      report(
        `merge one-record batches, ${codecNames[codec]}, ${valueBytes} B, ${checkCrc ? 'CRC checked' : 'CRC not checked'}`,
        nanosecondsPer(count, () => {
          writer.reset({ codec, baseOffset: 0 });
          for (const batch of batches) writer.append(openBatch(batch, 0, { checkCrc }), 0);
          writer.finish(PRODUCER);
        }),
      );
    }
  }
}
