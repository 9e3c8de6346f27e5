/**
 * `onMisalignment: map`: a partition whose offsets were identical goes on mapped behind what another program wrote. Up to
 * there offsets are the same; what we had on its way lies behind, and its sequences, which go on from ours before, say
 * which records it holds.
 */
import { must } from '#util/assert.ts';
import type { Cluster } from '#kafka/cluster.ts';
import type { Permit } from '#kafka/permit.ts';
import { describeProducers } from '#kafka/producers.ts';
import {
  ATTRIBUTE_CONTROL,
  ATTRIBUTE_TRANSACTIONAL,
  attributesOf,
  baseSequenceOf,
  lastOffsetDeltaOf,
  lastOffsetOf,
  producerIdOf,
} from '#kafka/records/batch-header.ts';
import { readTail } from '#kafka/simple-log.ts';
import { SEQUENCES } from './batch-walk.ts';
import { MappedState, type MappedStore } from './mapped-state.ts';
import { readLogStart } from './offsets.ts';
import type { PartitionState } from './shard-context.ts';
import type { MappedPlace } from './state-records.ts';

/** How far back the sequence of the last record in its place is looked for. */
const TAIL_OFFSETS = [16, 4_096, 65_536];
const TAIL_BYTES = 16 * 1024 * 1024;

export interface Misaligned {
  readonly target: Cluster;
  readonly store: MappedStore;
  readonly place: MappedPlace;
  readonly mirrorId: string;
  readonly targetTopicId: string;
  readonly sourceTopicId: string;
  readonly producerIds: { readonly data: number; readonly marker: number };
  /** What was recorded of the partition while its offsets were identical. */
  readonly record: PartitionState;
  /** The first offset that is not the source's. */
  readonly at: number;
  readonly permit: Permit;
}

/**
 * Records that the partition is mapped from `at` on; false where it cannot be told exactly what lies there: a transaction
 * is open, or what stands directly before `at` is not ours. Throws KafkaError, AppError STATE_TOPIC_INVALID.
 */
export async function mapBehind(misaligned: Misaligned): Promise<boolean> {
  const { target, store, place, targetTopicId, sourceTopicId, record, at, producerIds, mirrorId } = misaligned;
  await store.load();
  if (MappedState.load(store, place, targetTopicId)) return true; // another process was first
  const { targetTopic: topic, partition } = place;
  const states = await describeProducers(target, { topic, partition });
  if (states.some(({ currentTxnStartOffset }) => currentTxnStartOffset >= 0)) return false;
  const first = (at + record.sequenceOffset) % SEQUENCES;
  const startOrdinal = at === record.logStart ? first : await sequenceBehind(misaligned);
  if (startOrdinal === null) return false;
  const state = MappedState.begin(store, place, {
    mirrorId,
    targetTopicId,
    sourceTopicId,
    producerId: producerIds.data,
    isShared: true,
    start: at,
    startOrdinal,
    identicalFrom: record.logStart,
    targetStart: at,
    leaderEpochs: record.leaderEpochs.map(([epoch, offset]) => [epoch, offset]),
  });
  await state.save(store, misaligned.permit);
  return true;
}

/** The sequence that follows our last record below `at`; null where the log does not say it, or is not ours up to there. */
async function sequenceBehind({ target, place, producerIds, at }: Misaligned): Promise<number | null> {
  const { targetTopic: topic, partition } = place;
  const logStart = await readLogStart(target, topic, partition);
  for (const back of TAIL_OFFSETS) {
    const fromOffset = Math.max(logStart, at - back);
    const { batches } = await readTail(target, { topic, partition, fromOffset, toOffset: at, maxBytes: TAIL_BYTES });
    const before = batches.filter((batch) => lastOffsetOf(batch.buffer, batch.at) < at);
    const last = before.at(-1);
    if (!last || lastOffsetOf(last.buffer, last.at) !== at - 1) return null;
    const kinds = before.map((batch) => kindOf(batch, producerIds));
    if (kinds.at(-1) === null) return null;
    const index = kinds.lastIndexOf('data');
    if (index >= 0) {
      const { buffer, at: start } = must(before[index], 'batch');
      return (baseSequenceOf(buffer, start) + lastOffsetDeltaOf(buffer, start) + 1) % SEQUENCES;
    }
    if (fromOffset === logStart) return null;
  }
  return null;
}

/** Null for what we did not write, and for transactions. */
function kindOf(
  { buffer, at }: { readonly buffer: Buffer; readonly at: number },
  { data, marker }: Misaligned['producerIds'],
): 'data' | 'hole' | null {
  const attributes = attributesOf(buffer, at);
  const producerId = producerIdOf(buffer, at);
  if ((attributes & ATTRIBUTE_CONTROL) !== 0) return producerId === marker ? 'hole' : null;
  return (attributes & ATTRIBUTE_TRANSACTIONAL) === 0 && producerId === data ? 'data' : null;
}
