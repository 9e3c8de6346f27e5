/**
 * Alignment of the log start (exactness.md rule 5): filler batches take the offsets below S, then DeleteRecords(S) removes them,
 * so that the first record copied gets the source's own offset. Filler carries the data PID and the same sequence rule as
 * data, so two processes that align at once do not double it. A crash in between leaves filler that the next start continues.
 */
import { assert } from '#util/assert.ts';
import type { Cluster } from '#kafka/cluster.ts';
import type { Permit } from '#kafka/permit.ts';
import { BatchWriter } from '#kafka/records/batch-writer.ts';
import { patchBatchHeader } from '#kafka/records/header-patch.ts';
import { openBatch } from '#kafka/records/open-batch.ts';
import { appendBatch } from '#kafka/simple-log.ts';
import { producerOf, SEQUENCES } from './batch-walk.ts';
import type { TargetPartition } from './shard-position.ts';
import { diverged } from './shard-stop.ts';

/** Brokers hold the list of records while they validate a batch: one of 10 million took 6.5 s. */
const RECORDS_PER_BATCH_MAX = 500_000;
/**
 * More than this is not filled where the file leaves the choice of offsets: so long an alignment should be asked for.
 * Such a partition is one for mapped offsets.
 */
export const FILL_OFFSETS_MAX = 1_000_000_000;
const ZSTD = 4;
/** Compacted topics refuse records without a key. */
const FILLER_KEY = Buffer.from('f');
const FILLER_VALUE = Buffer.alloc(0);

/**
 * Appends filler from `position.offset` up to `logStart`, or until `signal` aborts, and returns where it came to. Throws
 * ShardStop when an append lands elsewhere, KafkaError when one fails: then the position is read again.
 */
export async function fillLogStart(
  port: TargetPartition,
  position: { readonly offset: number; readonly sequence: number },
  options: {
    readonly logStart: number;
    readonly permit?: Permit;
    readonly signal: AbortSignal;
    onProgress(offset: number): void;
  },
): Promise<{ offset: number; sequence: number }> {
  assert(position.offset <= options.logStart, 'alignment fills up to the log start, never beyond');
  let { offset, sequence } = position;
  let fullBatch: Buffer | null = null; // every full batch has the same bytes but for its sequence
  while (offset < options.logStart) {
    if (options.signal.aborted) return { offset, sequence };
    const count = Math.min(RECORDS_PER_BATCH_MAX, options.logStart - offset);
    const isFull = count === RECORDS_PER_BATCH_MAX;
    const batch: Buffer = isFull && fullBatch ? fullBatch : writeFiller(port.target, count);
    if (isFull) fullBatch = batch;
    patchBatchHeader(batch, 0, producerOf(port.dataProducerId, sequence), 0);
    await append(port, batch, { expected: offset, ...(options.permit ? { permit: options.permit } : {}) });
    offset += count;
    sequence = (sequence + count) % SEQUENCES;
    options.onProgress(offset);
  }
  return { offset, sequence };
}

/** Whether a batch of ours below the log start is filler, not data. */
export function isFiller(batch: Buffer): boolean {
  const { key, value } = openBatch(batch, 0).recordAt(0);
  return key?.equals(FILLER_KEY) === true && value?.length === 0;
}

function writeFiller({ clock }: Cluster, count: number): Buffer {
  const writer = new BatchWriter({ codec: ZSTD, baseOffset: 0 });
  const timestamp = clock.now();
  for (let i = 0; i < count; i++) writer.appendRecord({ timestamp, key: FILLER_KEY, value: FILLER_VALUE });
  return writer.finish(producerOf(-1, -1));
}

async function append(
  { target, topic, partition }: TargetPartition,
  batch: Buffer,
  { expected, permit }: { readonly expected: number; readonly permit?: Permit },
): Promise<void> {
  const { baseOffset } = await appendBatch(target, { topic, partition, batch, ...(permit ? { permit } : {}) });
  if (baseOffset !== expected) {
    throw diverged(
      expected,
      `Filler for offset ${expected} landed at ${baseOffset}: another program writes to the target.`,
    );
  }
}
