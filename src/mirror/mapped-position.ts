/**
 * How many records of a mapped partition are on the target, read from its own log. In a target that only we write to it is
 * where the log ends; in a shared one our batches are looked for from the last saved one on, by their producer id, and their
 * sequences say which records they hold: the sequence of a record is its ordinal.
 */
import { sleep } from '#util/clock.ts';
import type { OffsetMap } from '#contract/offset-map.ts';
import type { Cluster } from '#kafka/cluster.ts';
import { BrokerError } from '#kafka/errors.ts';
import { describeProducers } from '#kafka/producers.ts';
import { errorOf } from '#kafka/protocol/error-codes.ts';
import {
  ATTRIBUTE_CONTROL,
  ATTRIBUTE_LOG_APPEND_TIME,
  attributesOf,
  baseOffsetOf,
  baseSequenceOf,
  lastOffsetDeltaOf,
  lastOffsetOf,
  producerEpochOf,
  producerIdOf,
} from '#kafka/records/batch-header.ts';
import { openBatch } from '#kafka/records/open-batch.ts';
import { readTail } from '#kafka/simple-log.ts';
import { SEQUENCES } from './batch-walk.ts';
import { readLogEnd, readLogStart, readStableOffset, readWatermark } from './offsets.ts';
import { differenceOf, readFirst } from './shard-position.ts';
import { diverged, type ShardStop } from './shard-stop.ts';

const TAIL_BYTES = 4 * 1024 * 1024;
const TAIL_OFFSETS = 65_536;
const POLL_MS = 100;
const POLLS_MAX = 300;
const NOT_ENOUGH_REPLICAS_AFTER_APPEND = 20;
/** Records whose originals are looked for, one request each, where compaction or retention has taken them. */
const COMPARED_MAX = 16;
/** Nothing of ours is so far behind another: a sequence beyond it is none of ours. */
const SEQUENCES_AHEAD_MAX = 2 ** 30;

export interface SharedTarget {
  readonly target: Cluster;
  readonly topic: string;
  readonly partition: number;
  readonly producerId: number;
  /** Where our batches are looked for when none is known, and the ordinal of the first. */
  readonly targetStart: number;
  readonly startOrdinal: number;
}

export interface SharedPosition {
  /** Of the next record. */
  readonly ordinal: number;
  /** The broker has no sequence of ours: it takes whatever comes first. */
  readonly isSequenceFree: boolean;
}

/**
 * Completes `placements` by what the log holds behind them, and returns how many records of ours there are. What the target
 * has lost of them, with all that lay behind its offset `from`, is told by `onLost`, which takes it out. `stillMs`: our
 * last sequence has to stay the same for so long, so that what an earlier owner had on its way has landed. Throws ShardStop
 * where our producer id was used by somebody else, KafkaError.
 */
export async function readSharedPosition(
  port: SharedTarget,
  placements: OffsetMap,
  options: {
    readonly stillMs: number;
    readonly signal: AbortSignal;
    onFound: OffsetMap['append'];
    onLost(from: number): void;
  },
): Promise<SharedPosition> {
  const { target, topic, partition } = port;
  const { stillMs, signal } = options;
  let watermark: number | null = null;
  for (let polls = 0; ; polls++) {
    const before = await lastSequence(port);
    if (watermark === null && stillMs > 0 && !signal.aborted) {
      await sleep(target.clock, stillMs, signal);
      if ((await lastSequence(port)) !== before) continue;
    }
    watermark ??= await readWatermark(target, topic, partition);
    const isFree = before === null || before === -1;
    // What is saved ends with the last one that the broker knows: there is nothing behind it to look for.
    if (!isFree && before === lastOf(port, placements))
      return { ordinal: nextOf(port, placements), isSequenceFree: false };
    await dropLost(port, placements, (from) => options.onLost(from));
    // An open transaction of somebody else hides what lies behind its beginning.
    const stable = await readStableOffset(target, topic, partition);
    const isCut = await findOwn(port, placements, options.onFound);
    const known = await lastSequence(port);
    const isFreeNow = known === null || known === -1;
    const isComplete = isFreeNow ? stable >= watermark : known === lastOf(port, placements);
    if (isComplete || signal.aborted) return { ordinal: nextOf(port, placements), isSequenceFree: isFreeNow };
    if (polls >= POLLS_MAX) {
      // What was never looked at has expired: its last sequence still says how many there were.
      const isExpired = isCut && stable >= watermark && known !== null;
      const ahead = isExpired ? aheadOf(port, placements, (known + 1) % SEQUENCES) : Infinity;
      if (ahead > SEQUENCES_AHEAD_MAX) throw notSeen(port);
      return { ordinal: nextOf(port, placements) + ahead, isSequenceFree: false };
    }
    await sleep(target.clock, POLL_MS, signal);
  }
}

/** An election may have cut the log below what it had acknowledged, and others may have written there since (exactness.md, Mapped). */
async function dropLost(port: SharedTarget, placements: OffsetMap, onLost: (from: number) => void): Promise<void> {
  const { target, topic, partition, producerId } = port;
  const [logStart, end] = [await readLogStart(target, topic, partition), await readLogEnd(target, topic, partition)];
  while (placements.runCount > 0 && placements.targetEnd > logStart) {
    const last = placements.targetEnd - 1;
    if (last >= end) {
      onLost(end);
      continue;
    }
    const read = { topic, partition, fromOffset: last, toOffset: last + 1, maxBytes: 1, isUncommitted: true };
    const { buffer, at } = (await readTail(target, read)).batches[0] ?? { buffer: null, at: 0 };
    const isThere = buffer && baseOffsetOf(buffer, at) <= last && lastOffsetOf(buffer, at) >= last;
    if (!isThere || producerIdOf(buffer, at) === producerId) return; // compaction has taken it, or not even that
    onLost(baseOffsetOf(buffer, at));
  }
}

/** The ordinal of the record behind the last one that has a place. */
function nextOf({ startOrdinal }: SharedTarget, placements: OffsetMap): number {
  return placements.runCount === 0 ? startOrdinal : placements.sourceEnd;
}

function lastOf(port: SharedTarget, placements: OffsetMap): number | null {
  const next = nextOf(port, placements);
  return next === 0 ? null : (next - 1) % SEQUENCES;
}

async function lastSequence({ target, topic, partition, producerId }: SharedTarget): Promise<number | null> {
  const states = await describeProducers(target, { topic, partition });
  return states.find((each) => each.producerId === producerId)?.lastSequence ?? null;
}

/** How far a sequence lies behind the last record that has a place. */
function aheadOf(port: SharedTarget, placements: OffsetMap, sequence: number): number {
  return (sequence - (nextOf(port, placements) % SEQUENCES) + SEQUENCES) % SEQUENCES;
}

/** True where the log begins behind the last record that has a place: what lay in between may have been ours. */
async function findOwn(port: SharedTarget, placements: OffsetMap, onFound: OffsetMap['append']): Promise<boolean> {
  const { target, topic, partition, producerId, targetStart } = port;
  const logStart = await readLogStart(target, topic, partition);
  const behindLast = placements.runCount === 0 ? targetStart : placements.targetEnd;
  let from = Math.max(logStart, behindLast);
  let isWhole = from === behindLast; // nothing is missing behind our last batch
  for (;;) {
    const { batches, isComplete } = await readTail(target, {
      topic,
      partition,
      fromOffset: from,
      maxBytes: TAIL_BYTES,
    });
    for (const { buffer, at } of batches) {
      const [base, last] = [baseOffsetOf(buffer, at), lastOffsetOf(buffer, at)];
      isWhole &&= base <= from;
      from = last + 1;
      const isOwn = producerIdOf(buffer, at) === producerId && (attributesOf(buffer, at) & ATTRIBUTE_CONTROL) === 0;
      if (!isOwn || last < placements.targetEnd) continue;
      const expected = nextOf(port, placements);
      const ahead = aheadOf(port, placements, baseSequenceOf(buffer, at));
      if (ahead > SEQUENCES_AHEAD_MAX || producerEpochOf(buffer, at) !== 0 || base < placements.targetEnd)
        throw diverged(
          base,
          `The target holds a batch at offset ${base} with our producer id ${producerId} that this mirror did not write.`,
        );
      if (ahead > 0 && isWhole) throw neverAppended(port, { base, ahead });
      isWhole = true;
      // Compaction of the target takes whole batches: their ordinals have no place any more.
      onFound({ source: expected + ahead, target: base, length: lastOffsetDeltaOf(buffer, at) + 1 });
    }
    if (isComplete || batches.length === 0) return logStart > behindLast;
  }
}

/** A broker that has forgotten a producer takes a batch in front of the one that it has just refused. */
function neverAppended(
  { topic, partition }: SharedTarget,
  { base, ahead }: { base: number; ahead: number },
): ShardStop {
  const place = `offset ${base} of ${topic}/${partition}`;
  const cause = `The batch of this mirror at ${place} on the target does not follow the one before it: ${ahead} records between them were never appended.`;
  return diverged(base, cause);
}

/**
 * Whether a partition holds batches of these producers, as far as its leader remembers them or its last 65,536 offsets show.
 * Throws KafkaError.
 */
export async function holdsOwn(
  port: Pick<SharedTarget, 'target' | 'topic' | 'partition'> & { readonly end: number },
  producerIds: ReadonlySet<number>,
): Promise<boolean> {
  const { target, topic, partition, end } = port;
  if (end === 0) return false;
  const states = await describeProducers(target, { topic, partition });
  if (states.some(({ producerId }) => producerIds.has(producerId))) return true;
  const fromOffset = Math.max(await readLogStart(target, topic, partition), end - TAIL_OFFSETS);
  const { batches } = await readTail(target, { topic, partition, fromOffset, maxBytes: TAIL_BYTES });
  return batches.some(({ buffer, at }) => producerIds.has(producerIdOf(buffer, at)));
}

function notSeen({ topic, partition }: SharedTarget): BrokerError {
  return new BrokerError(
    errorOf(NOT_ENOUGH_REPLICAS_AFTER_APPEND),
    'ListOffsets',
    `${topic}/${partition}`,
    'the end of the log cannot be read: a transaction of another program is open, or followers do not come',
  );
}

/**
 * Compares the last record of ours that both sides still have, up to one batch back. Throws ShardStop where it differs,
 * KafkaError when it cannot be read.
 */
export async function compareLastMapped(
  source: { readonly cluster: Cluster; readonly topic: string; readonly partition: number },
  target: { readonly cluster: Cluster; readonly topic: string; readonly partition: number },
  last: { readonly map: OffsetMap; readonly timestamps: 'append' | 'producer' | 'target' },
): Promise<void> {
  const { map, timestamps } = last;
  if (map.runCount === 0) return;
  for (const bytes of await readFirst(target, map.targetEnd - 1)) {
    if ((attributesOf(bytes, 0) & ATTRIBUTE_CONTROL) !== 0) continue;
    const copied = openBatch(bytes, 0);
    for (let i = copied.count - 1; i >= Math.max(0, copied.count - COMPARED_MAX); i--) {
      const [offset, from] = [copied.offsetOf(i), map.sourceOf(copied.offsetOf(i))];
      if (from === null) continue;
      const original = await readOne(source, from);
      if (!original) continue;
      const hasSameTime = timestamps === 'append' || (timestamps === 'producer' && !original.hasAppendTime);
      const difference = differenceOf(original.record, copied.recordAt(i), { timestamps: hasSameTime });
      if (difference === null) return;
      throw diverged(
        from,
        `The record at offset ${from} of the source and its copy at offset ${offset} of the target differ in their ${difference}.`,
      );
    }
  }
}

async function readOne(source: Parameters<typeof readFirst>[0], offset: number) {
  for (const bytes of await readFirst(source, offset)) {
    if ((attributesOf(bytes, 0) & ATTRIBUTE_CONTROL) !== 0) continue;
    const hasAppendTime = (attributesOf(bytes, 0) & ATTRIBUTE_LOG_APPEND_TIME) !== 0;
    const batch = openBatch(bytes, 0);
    for (let i = 0; i < batch.count; i++)
      if (batch.offsetOf(i) === offset) return { record: batch.recordAt(i), hasAppendTime };
  }
  return null;
}
