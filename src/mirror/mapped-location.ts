/**
 * How far a mapped partition came: what its saved state and the target's log say when a term begins, and whether the source
 * still has what was copied.
 */
import { must } from '#util/assert.ts';
import { AppError } from '#contract/errors.ts';
import { offsetForLeaderEpoch } from '#kafka/offsets.ts';
import type { Permit } from '#kafka/permit.ts';
import { SEQUENCES } from './batch-walk.ts';
import type { MappedContext } from './mapped-context.ts';
import { compareLastMapped, holdsOwn, readSharedPosition } from './mapped-position.ts';
import { MappedState } from './mapped-state.ts';
import { readLogStart, readOffsetAt, readStableOffset, readWatermark } from './offsets.ts';
import { foreignBefore, readPosition, stillWatermark, type TargetPartition } from './shard-position.ts';
import { cutOr } from './source-end.ts';
import { diverged, startBeyondEnd, stateLost, truncated } from './shard-stop.ts';
import type { MappedPlace } from './state-records.ts';

/** As many records of ours are on the target. */
export interface Located {
  readonly ordinal: number;
  readonly isSequenceFree: boolean;
}

export const placeOf = ({ targetTopic, partition, sourceTopic }: MappedContext): MappedPlace => ({
  targetTopic,
  partition,
  sourceTopic,
});

/** Nothing of the partition is known: it begins here. Throws ShardStop where the target holds what it should not, KafkaError. */
export async function beginMapped(context: MappedContext, permit: Permit): Promise<MappedState> {
  const { source, target, store, start, isShared, mirrorId, targetTopicId, pieceRuns } = context;
  const { sourceTopic, targetTopic, partition } = context;
  const earliest = await readLogStart(source, sourceTopic, partition);
  const end = await readStableOffset(source, sourceTopic, partition);
  const first = start.at === 'earliest' ? earliest : Math.max(earliest, await startOffset(context, end));
  if (first > end) throw startBeyondEnd(first, end);
  const targetStart = await readWatermark(target, targetTopic, partition);
  if (!isShared && targetStart > 0) throw stateLost(targetStart, targetTopic);
  const producerId = await context.newProducerId();
  const port = { target, topic: targetTopic, partition, end: targetStart };
  // What a copy whose state was lost has written would be written again.
  if (await holdsOwn(port, new Set([producerId, context.soleProducerId]))) throw stateLost(targetStart, targetTopic);
  const mapped = MappedState.begin(store, placeOf(context), {
    mirrorId,
    targetTopicId,
    sourceTopicId: context.sourceTopicId,
    producerId,
    isShared,
    start: first,
    startOrdinal: 0,
    ...(pieceRuns === undefined ? {} : { pieceRuns }),
    identicalFrom: null,
    targetStart,
    leaderEpochs: [],
  });
  await mapped.save(store, permit);
  return mapped;
}

async function startOffset({ source, sourceTopic, partition, start }: MappedContext, end: number): Promise<number> {
  if (start.at === 'offsets') return start.offsets[sourceTopic]?.[partition] ?? 0;
  if (start.at !== 'timestamp') return end;
  const { timestampMs } = start;
  const found = await readOffsetAt(source, { topic: sourceTopic, partition, timestampMs });
  return found < 0 ? end : found;
}

/** Of a saved ledger of which a part is missing; null where not even that can be told. Throws KafkaError. */
export async function readUnexplained(context: MappedContext): Promise<number | null> {
  const { source, store, sourceTopic, partition, targetTopicId } = context;
  const stableOffset = await readStableOffset(source, sourceTopic, partition);
  try {
    const mapped = MappedState.load(store, placeOf(context), targetTopicId, { mayGap: true });
    return mapped?.unexplainedUpTo(stableOffset) ?? null;
  } catch (error) {
    if (error instanceof AppError) return null;
    throw error;
  }
}

/**
 * How many records of ours the target holds, by its own log, which has to stand still for `stillMs`. Where `signal` aborted
 * the answer means nothing. Throws ShardStop where somebody else wrote what lies there, KafkaError.
 */
export async function locate(
  context: MappedContext,
  mapped: MappedState,
  options: { readonly stillMs: number; readonly signal: AbortSignal; readonly permit: Permit },
): Promise<Located> {
  const located = await readOrdinal(context, mapped, options);
  const { start, startOrdinal } = mapped.head;
  if (options.signal.aborted || located.ordinal >= startOrdinal) return located;
  const cause = `The target holds ${located.ordinal} records of this mirror, and its log began behind ${startOrdinal} of them before: it was truncated.`;
  throw diverged(start, cause); // what comes next is not known any more
}

async function readOrdinal(
  context: MappedContext,
  mapped: MappedState,
  { stillMs, signal, permit }: Parameters<typeof locate>[2],
): Promise<Located> {
  const { target, targetTopic: topic, partition } = context;
  const { isShared, producerId, targetStart, startOrdinal } = mapped.head;
  if (isShared) {
    const port = { target, topic, partition, producerId, targetStart, startOrdinal };
    let hasLost = false;
    const position = await readSharedPosition(port, mapped.placements, {
      stillMs,
      signal,
      onFound: (run) => mapped.placed(run),
      onLost: (from) => {
        mapped.lost(from);
        hasLost = true;
      },
    });
    // Before any of it lies elsewhere: a later start would take the new place for the old one.
    if (hasLost && !signal.aborted) await mapped.save(context.store, permit);
    return position;
  }
  const port = solePort(context, mapped);
  const watermark = await stillWatermark(port, stillMs, signal);
  const { offset, sequence, isSequenceFree } = await readPosition(port, watermark, signal);
  if (!signal.aborted && sequence !== offset % SEQUENCES) {
    const cause = `The batch of ours before offset ${offset} of the target ends with sequence ${sequence - 1}.`;
    throw (await foreignBefore(port, offset)) ?? diverged(offset, cause); // its own offset does not say where it began
  }
  return { ordinal: offset, isSequenceFree };
}

/** A target that only we write to, as positions are read from it. */
export function solePort({ target, targetTopic, partition }: MappedContext, { head }: MappedState): TargetPartition {
  return {
    target,
    topic: targetTopic,
    partition,
    dataProducerId: head.producerId,
    markerProducerId: -1, // none: a control record in the target is not ours
    sequenceOffset: 0,
  };
}

/**
 * The source still has what was copied (exactness.md rules 1 and 8). Returns the leader epoch to go on with. With `compared`
 * the last of so many records that both sides have is compared. Throws ShardStop, KafkaError.
 */
export async function checkMappedSource(
  context: MappedContext,
  mapped: MappedState,
  { leaderEpoch, compared }: { readonly leaderEpoch: number | null; readonly compared: number | null },
): Promise<number> {
  const { source, target, policy, sourceTopic, targetTopic, partition } = context;
  const checkEnd = (): Promise<number> => checkMappedEnd(context, mapped.ledger.end, leaderEpoch);
  const epoch = await checkEnd();
  if (compared === null) return epoch;
  try {
    await compareLastMapped(
      { cluster: source, topic: sourceTopic, partition },
      { cluster: target, topic: targetTopic, partition },
      { map: mapped.mapUpTo(compared), timestamps: policy.timestamps },
    );
  } catch (error) {
    throw await cutOr(error, checkEnd);
  }
  return epoch;
}

/** The source's log reaches `position`, in the leader epoch of what was copied. */
async function checkMappedEnd(context: MappedContext, position: number, leaderEpoch: number | null): Promise<number> {
  const { source, sourceTopic: topic, partition } = context;
  let epoch = must(leaderEpoch, 'leader epoch of the last copied batch');
  if (epoch >= 0) {
    const end = await offsetForLeaderEpoch(source, { topic, partition, leaderEpoch: epoch });
    if (end.endOffset >= 0 && end.endOffset < position) {
      const detail = `its leader's log ends at ${end.endOffset} for leader epoch ${epoch}`;
      throw truncated(end.endOffset, position, detail);
    }
    if (end.leaderEpoch >= 0) epoch = end.leaderEpoch;
  }
  const watermark = await readWatermark(source, topic, partition);
  if (watermark < position) throw truncated(watermark, position, `its log ends at ${watermark}`);
  return epoch;
}
