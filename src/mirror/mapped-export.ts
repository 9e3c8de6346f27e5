/** What the state topic says of a mapped partition, for whoever reads source and target beside the mirror. */
import { AppError } from '#contract/errors.ts';
import type { ExportedLedger } from '#contract/exported-ledger.ts';
import type { DispositionLedger } from '#contract/disposition-ledger.ts';
import type { OffsetMap } from '#contract/offset-map.ts';
import type { TopicPair } from '#contract/topic-rules.ts';
import type { Cluster } from '#kafka/cluster.ts';
import { isDenied } from '#kafka/permissions.ts';
import { MappedState, type MappedStore } from './mapped-state.ts';
import { readStableOffset } from './offsets.ts';
import type { MappedPlace, MappedRecord } from './state-records.ts';
import { StateTopic } from './state-topic.ts';

export interface ExportedMap {
  readonly map: OffsetMap;
  readonly ledger: DispositionLedger;
  readonly isShared: boolean;
  /** From here up to the ledger's start offsets are identical; null where none are. */
  readonly identicalFrom: number | null;
  readonly isPart: boolean;
  readonly producerId: number;
  readonly topicIds: { readonly source: string; readonly target: string };
  /** Which condition the file had, from which source offset on; none before the first. */
  readonly conditions: NonNullable<MappedRecord['conditions']>;
}

/**
 * Looks the map of a partition up in the state topic as of now; null for one that is not mapped. What a running mirror has
 * copied since it saved last is not in it. Throws KafkaError, and AppError STATE_TOPIC_INVALID.
 */
export async function openMaps(
  target: Cluster,
): Promise<(pair: TopicPair, partition: number) => Promise<ExportedMap | null>> {
  const state = await peek(target);
  return async (pair, partition) => {
    const place = { targetTopic: pair.target, partition, sourceTopic: pair.source };
    return state && exportMap(state, place, () => readStableOffset(target, pair.target, partition));
  };
}

/**
 * `readEnd` is asked first: what lies below it was accounted for before it was sent (mapped-state.ts), so the ledger that is
 * read then has it. The other way round a gap that a running mirror saves meanwhile would be missing in front of it.
 */
export async function exportMap(
  store: MappedStore,
  place: MappedPlace,
  readEnd: () => Promise<number>,
): Promise<ExportedMap | null> {
  const known = store.mapped(place);
  if (!known) return null;
  const end = known.isShared ? null : await readEnd();
  await store.load();
  const head = store.mapped(place);
  const mapped = head && MappedState.load(store, place, head.targetTopicId);
  if (!head || !mapped) return null;
  // The n-th record of ours: in a target of our own the log says how many there are, else what was saved.
  const { isShared, identicalFrom } = head;
  const placed = mapped.placements.runCount > 0 ? mapped.placements.sourceEnd : head.startOrdinal;
  const count = isShared || end === null ? placed : end;
  mapped.settle(count);
  return {
    map: mapped.mapUpTo(count),
    ledger: mapped.ledger,
    isShared,
    identicalFrom,
    isPart: identicalFrom !== null,
    producerId: head.producerId,
    topicIds: { source: head.sourceTopicId, target: head.targetTopicId },
    conditions: head.conditions ?? [],
  };
}

/** Of the partitions that are mapped, in their order. Throws as `openMaps`. */
export async function readLedgers(
  target: Cluster,
  question: { readonly mirror: string; readonly pair: TopicPair; readonly partitions: readonly number[] },
): Promise<ExportedLedger[]> {
  const { mirror, pair, partitions } = question;
  const mapOf = await openMaps(target);
  const all: ExportedLedger[] = [];
  for (const partition of partitions) {
    const exported = await mapOf(pair, partition);
    if (!exported) continue;
    const { map, ledger, isShared, identicalFrom } = exported;
    const { start, end, counts, unexplained } = ledger.balance();
    const names = { mirror, sourceTopic: pair.source, targetTopic: pair.target, partition };
    const runs = { dispositions: [...ledger.runs()], map: [...map.runs()] };
    all.push({ ...names, isShared, start, end, identicalFrom, counts, unexplained, ...runs });
  }
  return all;
}

/** A reader that may not see the state topic has identical partitions to look at, and no others. */
async function peek(target: Cluster): Promise<StateTopic | null> {
  try {
    return await StateTopic.peek(target);
  } catch (error) {
    if (isDenied(error) || (error instanceof AppError && isDenied(error.cause))) return null;
    throw error;
  }
}
