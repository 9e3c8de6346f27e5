/**
 * Where a partition stands, read from the target's own log (exactness.md rules 1 and 2): the watermark is the position, and the
 * next sequence follows the last batch of ours. Nothing of it is kept elsewhere, so losing Lockstep's memory loses nothing.
 */
import { must } from '#util/assert.ts';
import { sleep } from '#util/clock.ts';
import { TIMES } from '#jobs/ownership.ts';
import type { Cluster } from '#kafka/cluster.ts';
import { BrokerError } from '#kafka/errors.ts';
import { describeProducers, type ProducerState } from '#kafka/producers.ts';
import { errorOf } from '#kafka/protocol/error-codes.ts';
import {
  attributesOf,
  ATTRIBUTE_CONTROL,
  ATTRIBUTE_TRANSACTIONAL,
  ATTRIBUTE_LOG_APPEND_TIME,
  baseOffsetOf,
  baseSequenceOf,
  lastOffsetDeltaOf,
  lastOffsetOf,
  producerEpochOf,
  producerIdOf,
} from '#kafka/records/batch-header.ts';
import { openBatch, type BatchRecord } from '#kafka/records/open-batch.ts';
import { readTail, type RawBatch } from '#kafka/simple-log.ts';
import { readLogEnd, readLogStart, readStableOffset, readWatermark } from './offsets.ts';
import { AbortedTransactions, SEQUENCES } from './batch-walk.ts';
import { IN_FLIGHT_MAX } from './producer-memory.ts';
import { diverged, stampedByTarget, transactionCut, type ShardStop } from './shard-stop.ts';
import type { OpenTransaction } from './transaction-slots.ts';
import { firstWrongControl } from './transaction-tail.ts';

/** How far back the last batch of ours is looked for; behind so many control records the broker's producer state is asked instead. */
const TAIL_BYTES_MAX = 4 * 1024 * 1024;
const HOLES_BYTES_MAX = 16 * 1024 * 1024;
/** More than twice what a process has on its way to one partition, five requests of 1 MB: each look goes twice as far back. */
const SEARCH_BYTES_MAX = 16 * 1024 * 1024;
/** So many ends of transactions may have been written in front of them. */
const CONTROLS_BEFORE = 16;
const TAIL_OFFSETS_FIRST = 1;
const TAIL_OFFSETS_MAX = 65_536;
const OFFSET_OUT_OF_RANGE = 1;
const REPLICATION_WAIT_MS = 100;
const REPLICATION_POLLS_MAX = 300;
const NOT_ENOUGH_REPLICAS_AFTER_APPEND = 20;
const CONCURRENT_TRANSACTIONS = 51;

export interface TargetPartition {
  readonly target: Cluster;
  readonly topic: string;
  readonly partition: number;
  readonly dataProducerId: number;
  readonly markerProducerId: number;
  /** K of rule 2: the sequence of an offset is (offset + K) mod 2^31 where no batch of ours and no broker tells. */
  readonly sequenceOffset: number;
  /** Batches below are not the mirror's, and belong there: it has taken the copy over as it was. */
  readonly adoptedBelow?: number;
  /** Where transactions are preserved: the producer ids by which ours are open now. Whose the closed ones are, the source tells. */
  readonly transactionProducerIds?: ReadonlySet<number>;
  /** What is open on the target, with the source's producer ids; set with the former. */
  readonly openTransactions?: readonly OpenTransaction[];
  /** Whether the leader knows of them what it did when they were read; set with the former. */
  isAsFound?(states: readonly ProducerState[]): boolean;
}

/** The next offset to copy, the sequence its record gets, and the last data batch that the target holds. */
export interface Position {
  readonly offset: number;
  readonly sequence: number;
  /** The broker has no sequence of our producer: it takes whatever comes first. */
  readonly isSequenceFree: boolean;
  readonly lastBatch: Buffer | null;
  /** From here up to `offset` the target holds only control records: behind the last batch, or as far back as was read. */
  readonly controlsFrom: number;
}

/**
 * The watermark once it has not moved for `stillMs`: what an earlier self still had on its way has landed. It only grows,
 * so the same value at both ends of that time means that it stood still in between. What still grows when a write of ours
 * would long have ended is another program's: its records say so, and else it would be waited for without end.
 */
export async function stillWatermark(port: TargetPartition, stillMs: number, signal: AbortSignal): Promise<number> {
  const { target, topic, partition } = port;
  const deadline = target.clock.monotonic() + TIMES.writeTimeoutMs + stillMs;
  let watermark = await readWatermark(target, topic, partition);
  for (;;) {
    if (stillMs === 0 || signal.aborted) return watermark;
    await sleep(target.clock, stillMs, signal);
    const now = await readWatermark(target, topic, partition);
    if (now === watermark || target.clock.monotonic() > deadline) return now;
    watermark = now;
  }
}

/**
 * The position at `watermark`, or at a later one when the log has grown meanwhile. A tail beyond the watermark is ours and
 * not replicated yet (rule 1): it is waited for, since what is written now would land behind it. Throws ShardStop when the
 * end of the log is not ours, KafkaError when it cannot be read or its followers do not come.
 */
export async function readPosition(port: TargetPartition, watermark: number, signal: AbortSignal): Promise<Position> {
  const { target, topic, partition } = port;
  const logStart = await readLogStart(target, topic, partition);
  let offset = watermark;
  for (let polls = 0; ; polls++) {
    const { batch: lastBatch, plain, controlsFrom } = await lastOwnBatch(port, logStart, offset);
    const known = await ownLastSequence(port);
    const end = await readLogEnd(target, topic, partition); // after both: nothing was appended before it that they miss
    const isSequenceFree = known === null || known === -1;
    const last = plain ? lastSequenceOf(plain) : known;
    const isComplete = end === offset && (isSequenceFree || known === last);
    if (isComplete || signal.aborted) {
      const sequence = last === null ? offset + port.sequenceOffset : last + 1;
      return { offset, sequence: sequence % SEQUENCES, isSequenceFree, lastBatch, controlsFrom };
    }
    const now = await readWatermark(target, topic, partition);
    if (now !== offset) {
      offset = now;
      polls = -1;
    } else if (polls >= REPLICATION_POLLS_MAX) {
      throw new BrokerError(
        errorOf(NOT_ENOUGH_REPLICAS_AFTER_APPEND),
        'ListOffsets',
        `${topic}/${partition}`,
        `the leader has batches of ours behind the watermark ${offset}, and its followers do not take them`,
      );
    } else await sleep(target.clock, REPLICATION_WAIT_MS, signal);
  }
}

/**
 * The last batch of ours below `end`, looked for in growing steps, and the last one with our data PID among what was read for
 * it; null when only control records of ours are within reach. What was appended since `end` was read (by a request of ours that was believed lost, or by another worker) is
 * left out: its sequence belongs to a later offset, and together with `end` the broker would take a copy of what it has.
 */
async function lastOwnBatch(
  port: TargetPartition,
  logStart: number,
  end: number,
): Promise<{ batch: Buffer | null; plain: Buffer | null; controlsFrom: number }> {
  const { target, topic, partition } = port;
  let controlsFrom = end;
  if (end <= logStart) return { batch: null, plain: null, controlsFrom };
  for (let back = TAIL_OFFSETS_FIRST; ; back *= 16) {
    const from = Math.max(logStart, end - back);
    const { batches, isComplete } = await readTail(target, {
      topic,
      partition,
      fromOffset: from,
      maxBytes: TAIL_BYTES_MAX,
      isUncommitted: preserves(port),
    });
    let found: Buffer | null = null;
    let plain: Buffer | null = null;
    for (const batch of batches.map(bytesOf)) {
      if (baseOffsetOf(batch, 0) >= end) break;
      if (!isOwn(port, batch)) throw foreign((await firstForeign(port, end)) ?? batch);
      if (!isControl(batch)) found = batch;
      if (!isTransactional(batch)) plain = batch;
    }
    if (!isComplete) return { batch: null, plain: null, controlsFrom }; // the end is not among what was read
    if (found) return { batch: found, plain, controlsFrom: lastOffsetOf(found, 0) + 1 };
    controlsFrom = from;
    if (from === logStart || back >= TAIL_OFFSETS_MAX) return { batch: null, plain: null, controlsFrom };
  }
}

/**
 * The first batch below `end` that is as `isMeant` says, as far back as what one process has on its way at most, and further
 * where that is cheap: the last one alone does not say where a difference begins.
 */
async function firstInTail(
  port: TargetPartition,
  end: number,
  isMeant: (batch: Buffer) => boolean,
): Promise<Buffer | null> {
  const { target, topic, partition } = port;
  const logStart = await readLogStart(target, topic, partition);
  let first: Buffer | null = null;
  for (let back = 16; back <= TAIL_OFFSETS_MAX; back *= 2) {
    const fromOffset = Math.max(logStart, end - back);
    const read = { topic, partition, fromOffset, maxBytes: SEARCH_BYTES_MAX, isUncommitted: preserves(port) };
    const { batches, isComplete } = await readTail(target, read);
    first = batches.map(bytesOf).find((batch) => baseOffsetOf(batch, 0) < end && isMeant(batch)) ?? first;
    if (!isComplete || fromOffset === logStart) break;
  }
  return first;
}

/** The stop that names the first batch of another program below `end`, as far back as is read; null without one. Throws KafkaError. */
export async function foreignBefore(port: TargetPartition, end: number): Promise<ShardStop | null> {
  const batch = await firstForeign(port, end);
  return batch ? foreign(batch) : null;
}

function firstForeign(port: TargetPartition, end: number): Promise<Buffer | null> {
  return firstInTail(port, end, (batch) => !isOwn(port, batch));
}

function hasAppendTime(batch: Buffer): boolean {
  return (attributesOf(batch, 0) & ATTRIBUTE_LOG_APPEND_TIME) !== 0;
}

function isControl(batch: Buffer): boolean {
  return (attributesOf(batch, 0) & ATTRIBUTE_CONTROL) !== 0;
}

function isTransactional(batch: Buffer): boolean {
  return (attributesOf(batch, 0) & ATTRIBUTE_TRANSACTIONAL) !== 0;
}

function preserves(port: TargetPartition): boolean {
  return port.transactionProducerIds !== undefined;
}

/**
 * Our epoch is always 0, or none without ids: a higher one is of a program that uses our transactional id. Transactions have
 * epochs and, when those run out, producer ids that change: what is theirs is compared with the source instead.
 */
function isOwn(port: TargetPartition, batch: Buffer): boolean {
  if (preserves(port) && isTransactional(batch)) return true;
  if (lastOffsetOf(batch, 0) < (port.adoptedBelow ?? 0)) return true;
  const { dataProducerId, markerProducerId } = port;
  const producerId = isControl(batch) ? markerProducerId : dataProducerId;
  return producerIdOf(batch, 0) === producerId && producerEpochOf(batch, 0) <= 0;
}

function foreign(batch: Buffer): ShardStop {
  const offset = baseOffsetOf(batch, 0);
  const what = isControl(batch) ? 'control record' : 'batch';
  return diverged(
    offset,
    `The target holds a ${what} at offset ${offset} that this mirror did not write (producer id ${producerIdOf(batch, 0)}, epoch ${producerEpochOf(batch, 0)}).`,
  );
}

/** Of the batch as it was written: compaction of the target takes records out of it, and their sequences stay used. */
function lastSequenceOf(batch: Buffer): number {
  return (baseSequenceOf(batch, 0) + lastOffsetDeltaOf(batch, 0)) % SEQUENCES;
}

/**
 * Last sequence of our data PID as the leader knows it; null when it has forgotten us. An open transaction that is not ours
 * stops us: its records would pass for ours that are not replicated yet, or for holes.
 */
async function ownLastSequence(port: TargetPartition): Promise<number | null> {
  const { target, topic, partition, dataProducerId } = port;
  const states = await describeProducers(target, { topic, partition });
  const open = states.filter(
    ({ producerId, currentTxnStartOffset }) =>
      currentTxnStartOffset >= 0 && !port.transactionProducerIds?.has(producerId),
  );
  if (open.length > 0) {
    const offset = Math.min(...open.map(({ currentTxnStartOffset }) => currentTxnStartOffset));
    throw diverged(offset, `Another program has had a transaction open in the target since offset ${offset}.`);
  }
  if (port.isAsFound?.(states) === false)
    throw new BrokerError(
      errorOf(CONCURRENT_TRANSACTIONS),
      'DescribeProducers',
      `${topic}/${partition}`,
      'a write to a transaction that was believed lost has landed meanwhile',
    );
  return states.find(({ producerId }) => producerId === dataProducerId)?.lastSequence ?? null;
}

/**
 * Compares the last record of a target batch that the source still has (exactness.md rule 1), and returns its offset; null
 * where the source has none of them any more. Throws ShardStop when it differs, and where there is nothing to compare with
 * and another program wrote in front.
 */
export async function compareLastRecord(
  source: { cluster: Cluster; topic: string; partition: number },
  target: { readonly port: TargetPartition; readonly batch: Buffer },
  options: { readonly timestamps: 'append' | 'producer' | 'target' },
): Promise<number | null> {
  const targetBatch = target.batch;
  const first = baseOffsetOf(targetBatch, 0);
  const last = lastOffsetOf(targetBatch, 0);
  const onSource = new Map<number, BatchRecord & { readonly hasAppendTime: boolean }>();
  for (const fromOffset of first === last ? [last] : [last, first]) {
    for (const bytes of await readFirst(source, fromOffset)) {
      if (attributesOf(bytes, 0) & ATTRIBUTE_CONTROL) continue;
      const batch = openBatch(bytes, 0);
      for (let i = 0; i < batch.count; i++)
        onSource.set(batch.offsetOf(i), { ...batch.recordAt(i), hasAppendTime: hasAppendTime(bytes) });
    }
    if (onSource.has(last)) break;
  }
  const isStamped = (batch: Buffer): boolean => !isControl(batch) && hasAppendTime(batch);
  if (isStamped(targetBatch) && options.timestamps !== 'target') {
    const batch = (await firstInTail(target.port, last + 1, isStamped)) ?? targetBatch;
    throw stampedByTarget(baseOffsetOf(batch, 0), target.port.topic);
  }
  const copied = openBatch(targetBatch, 0);
  for (let i = copied.count - 1; i >= 0; i--) {
    const offset = copied.offsetOf(i);
    const original = onSource.get(offset);
    if (!original) continue;
    const hasSameTime =
      options.timestamps === 'append' || (options.timestamps === 'producer' && !original.hasAppendTime);
    const difference = differenceOf(original, copied.recordAt(i), { timestamps: hasSameTime });
    if (difference) {
      const intruder = await firstForeign(target.port, last + 1);
      throw intruder
        ? foreign(intruder)
        : diverged(offset, `The record at offset ${offset} differs between source and target in its ${difference}.`);
    }
    return offset;
  }
  // Nothing to compare with. What another program wrote in front of it, while it was on its way, put it in a wrong place.
  const intruder = await firstForeign(target.port, last + 1);
  if (intruder) throw foreign(intruder);
  return null;
}

/**
 * What a process had on its way when it was killed, up to five batches, ends with `last` and has to lie side by side and in
 * the order of its sequences: another program may have written in between, or a broker that has forgotten us may have taken
 * one before the other (exactness.md rules 2 and 4). Records that are alike, or gone from the source, would not show it.
 * Returns from where on control records may have come in between. Throws ShardStop where they do not, KafkaError.
 */
export async function checkOrder(port: TargetPartition, last: Buffer): Promise<number> {
  const { target, topic, partition } = port;
  const logStart = await readLogStart(target, topic, partition);
  let stop: ShardStop | null = null;
  let behind = last;
  let controlsFrom = baseOffsetOf(last, 0);
  for (let left = IN_FLIGHT_MAX; left > 0; left--) {
    const at = baseOffsetOf(behind, 0) - 1;
    if (at < Math.max(logStart, port.adoptedBelow ?? 0)) break;
    const read = { topic, partition, fromOffset: at, toOffset: at + 1, maxBytes: 1, isUncommitted: preserves(port) };
    const batch = (await readTail(target, read)).batches.map(bytesOf)[0];
    if (!batch || lastOffsetOf(batch, 0) !== at) break; // compaction has taken it
    if (!isOwn(port, batch)) throw foreign((await firstForeign(port, at + 1)) ?? batch);
    controlsFrom = Math.max(logStart, port.adoptedBelow ?? 0, at - CONTROLS_BEFORE);
    if (isTransactional(batch) || isTransactional(behind)) break; // nothing else is on its way beside those, and holes
    const follows = baseSequenceOf(behind, 0) === (lastSequenceOf(batch) + 1) % SEQUENCES;
    if (!follows && port.dataProducerId >= 0) stop = outOfOrder(behind); // without an id there are no sequences (tests only)
    behind = batch;
  }
  if (stop) throw stop;
  return controlsFrom;
}

function outOfOrder(batch: Buffer): ShardStop {
  const offset = baseOffsetOf(batch, 0);
  const cause = `The batch of this mirror at offset ${offset} of the target does not follow the one before it: one between them was never appended.`;
  return diverged(offset, cause);
}

/**
 * Behind our last data batch, as far as was read, the target holds only control records of ours, and its end is believed to be the position.
 * Markers are not idempotent: one that landed late, or one too many, stands in the place of a record, and a restart would
 * take it for a hole. So the source must show no record at any offset from `from` up to, not including, `to`. Throws
 * ShardStop where it does, KafkaError when it cannot be read. Below the source's log start it believes. Records of aborted
 * transactions may make it long: 16 MB of them are held at once.
 */
export async function checkHoles(
  source: { cluster: Cluster; topic: string; partition: number },
  range: { readonly from: number; readonly to: number },
): Promise<void> {
  const { cluster, topic, partition } = source;
  const from = Math.max(range.from, await readLogStart(cluster, topic, partition));
  if (from >= range.to) return;
  for (let fromOffset = from; ;) {
    const read = { topic, partition, fromOffset, toOffset: range.to, maxBytes: HOLES_BYTES_MAX };
    const { batches, isComplete } = await readTail(cluster, read);
    let aborted = new AbortedTransactions([]);
    let listed: RawBatch['aborted'] | null = null;
    for (const batch of batches) {
      if (batch.aborted !== listed) aborted = new AbortedTransactions((listed = batch.aborted));
      const offset = firstRecordIn(bytesOf(batch), { from, to: range.to }, aborted);
      if (offset === null) continue;
      throw diverged(offset, `The target holds a control record at offset ${offset}, where the source holds a record.`);
    }
    if (isComplete) return;
    fromOffset = lastOffsetOf(bytesOf(must(batches.at(-1), 'batch')), 0) + 1;
  }
}

/**
 * Where transactions are preserved, the control records of the target at `from` up to, not including, `to` must be the
 * source's: a coordinator ends what is open for too long at a place that nobody chose, and a marker may land late. Throws
 * ShardStop where one is not, KafkaError when it cannot be read. Beyond 16 MB, and below the source's log start, it believes.
 */
export async function checkControls(
  source: { cluster: Cluster; topic: string; partition: number },
  port: TargetPartition,
  range: { readonly from: number; readonly to: number },
): Promise<void> {
  const { cluster, topic, partition } = source;
  const stableOffset = await readStableOffset(cluster, topic, partition);
  const from = Math.max(range.from, await readLogStart(cluster, topic, partition));
  if (from >= range.to) return;
  const read = { fromOffset: from, toOffset: range.to, maxBytes: HOLES_BYTES_MAX };
  const onSource =
    from < stableOffset ? (await readTail(cluster, { topic, partition, ...read })).batches.map(bytesOf) : [];
  const place = { topic: port.topic, partition: port.partition };
  const { batches } = await readTail(port.target, { ...place, ...read, isUncommitted: true });
  // An end that was believed lost may be written behind the position meanwhile: the next look has it.
  const onTarget = batches.map(bytesOf).filter((batch) => baseOffsetOf(batch, 0) < range.to);
  const found = firstWrongControl({ batches: onSource, stableOffset }, onTarget, {
    from,
    markerProducerId: port.markerProducerId,
    open: port.openTransactions ?? [],
  });
  if (!found) return;
  if (found.producerId !== port.markerProducerId)
    throw (await foreignTransaction(port, found)) ?? transactionCut(found.offset, null);
  throw diverged(
    found.offset,
    `The target holds a control record at offset ${found.offset}, where the source holds a record.`,
  );
}

/** The transaction that ends there is another program's: it is wrong from its first batch on. */
async function foreignTransaction(
  port: TargetPartition,
  { producerId, offset }: { readonly producerId: number; readonly offset: number },
): Promise<ShardStop | null> {
  if (port.transactionProducerIds?.has(producerId)) return null;
  const first = await firstInTail(port, offset + 1, (batch) => producerIdOf(batch, 0) === producerId);
  return first ? foreign(first) : null;
}

/** Offset of the first record that a batch shows to a read_committed reader within the range; null for none. */
function firstRecordIn(
  batch: Buffer,
  range: { readonly from: number; readonly to: number },
  aborted: AbortedTransactions,
): number | null {
  const attributes = attributesOf(batch, 0);
  const producerId = producerIdOf(batch, 0);
  const last = lastOffsetOf(batch, 0);
  if (attributes & ATTRIBUTE_CONTROL) {
    aborted.end(producerId, last);
    return null;
  }
  if (attributes & ATTRIBUTE_TRANSACTIONAL && aborted.covers(producerId, last)) return null;
  const opened = openBatch(batch, 0);
  for (let i = 0; i < opened.count; i++) {
    const offset = opened.offsetOf(i);
    if (offset >= range.from && offset < range.to) return offset;
  }
  return null;
}

/** The batch that holds `offset`, or the next one where compaction removed it; none where retention has passed it. */
export async function readFirst(
  { cluster, topic, partition }: { cluster: Cluster; topic: string; partition: number },
  offset: number,
): Promise<Buffer[]> {
  try {
    const { batches } = await readTail(cluster, { topic, partition, fromOffset: offset, maxBytes: 1 });
    return batches.map(bytesOf);
  } catch (error) {
    if (error instanceof BrokerError && error.code === OFFSET_OUT_OF_RANGE) return [];
    throw error;
  }
}

function bytesOf({ buffer, at, size }: RawBatch): Buffer {
  return buffer.subarray(at, at + size);
}

/** The first part that differs. Of records that are all alike, as heartbeats are, only the times tell which is which. */
export function differenceOf(a: BatchRecord, b: BatchRecord, compare: { readonly timestamps: boolean }): string | null {
  if (!isEqual(a.key, b.key)) return 'key';
  if (!isEqual(a.value, b.value)) return 'value';
  if (a.headers.length !== b.headers.length) return 'headers';
  const isSame = a.headers.every((header, i) => {
    const other = must(b.headers[i], 'header');
    return isEqual(header.key, other.key) && isEqual(header.value, other.value);
  });
  if (!isSame) return 'headers';
  return compare.timestamps && a.timestamp !== b.timestamp ? 'timestamp' : null;
}

function isEqual(a: Buffer | null, b: Buffer | null): boolean {
  return a === null || b === null ? a === b : a.equals(b);
}
