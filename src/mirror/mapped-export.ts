/** What the state topic says of a mapped partition, for whoever reads source and target beside the mirror. */
import { AppError } from '#contract/errors.ts';
import type { ExportedLedger } from '#contract/exported-ledger.ts';
import type { DispositionLedger } from '#contract/disposition-ledger.ts';
import type { OffsetMap } from '#contract/offset-map.ts';
import type { TopicPair } from '#contract/topic-rules.ts';
import type { Cluster } from '#kafka/cluster.ts';
import { describeTopicConfigs } from '#kafka/configs.ts';
import { isDenied } from '#kafka/permissions.ts';
import { LedgerRecount, recountLog } from './ledger-recount.ts';
import { MappedState, type MappedStore } from './mapped-state.ts';
import { readLogStart, readStableOffset } from './offsets.ts';
import type { MappedPlace, MappedRecord } from './state-records.ts';
import { StateTopic } from './state-topic.ts';

export interface ExportedMap {
  readonly map: OffsetMap;
  readonly ledger: DispositionLedger;
  readonly isShared: boolean;
  /** From here up to the ledger's start offsets are identical; null where none are. */
  readonly identicalFrom: number | null;
  readonly isPart: boolean;
  /** Where the ledger began; up to its start it is forgotten, as the target has none of it any more. */
  readonly mappedFrom: number;
  /** The end of the saved ledger is missing. */
  readonly isTorn: boolean;
  /** Source offsets that the saved ledger leaves out; where its end is missing, up to the end of the source. */
  unexplainedUpTo(sourceEnd: number): number;
  /** A record was copied: from then on the start does not follow the source any more. */
  readonly hasBegun: boolean;
  readonly producerId: number;
  readonly topicIds: { readonly source: string; readonly target: string };
  /** Which condition the file had, from which source offset on; none before the first. */
  readonly conditions: NonNullable<MappedRecord['conditions']>;
}

/**
 * Looks the map of a partition up in the state topic as of now; null for one that is not mapped. What a running mirror has
 * copied since it saved last is not in it. Throws KafkaError, and AppError STATE_TOPIC_INVALID; with `mayGap` what is missing
 * in the saved ledger is unexplained instead.
 */
export async function openMaps(
  target: Cluster,
  options: { readonly mayGap?: boolean } = {},
): Promise<(pair: TopicPair, partition: number) => Promise<ExportedMap | null>> {
  const state = await peek(target);
  return async (pair, partition) => {
    const place = { targetTopic: pair.target, partition, sourceTopic: pair.source };
    return state && exportMap(state, place, () => readStableOffset(target, pair.target, partition), options);
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
  { mayGap = false }: { readonly mayGap?: boolean } = {},
): Promise<ExportedMap | null> {
  const known = store.mapped(place);
  if (!known) return null;
  const end = known.isShared ? null : await readEnd();
  await store.load();
  const head = store.mapped(place);
  const mapped = head && MappedState.load(store, place, head.targetTopicId, { mayGap });
  if (!head || !mapped) return null;
  // The n-th record of ours: in a target of our own the log says how many there are, else what was saved.
  const { isShared, identicalFrom } = head;
  const placed = mapped.placements.runCount > 0 ? mapped.placements.sourceEnd : head.startOrdinal;
  const count = isShared || end === null ? placed : end;
  if (!mapped.isTorn) mapped.settle(count);
  return {
    map: mapped.mapUpTo(count),
    ledger: mapped.ledger,
    isShared,
    identicalFrom,
    isPart: identicalFrom !== null && head.start === head.mappedFrom,
    mappedFrom: head.mappedFrom,
    isTorn: mapped.isTorn,
    unexplainedUpTo: (sourceEnd) => mapped.unexplainedUpTo(sourceEnd),
    hasBegun: head.leaderEpochs.length > 0,
    producerId: head.producerId,
    topicIds: { source: head.sourceTopicId, target: head.targetTopicId },
    conditions: head.conditions ?? [],
  };
}

export interface LedgerQuestion {
  readonly mirror: string;
  readonly pair: TopicPair;
  readonly partitions: readonly number[];
  /** As many offsets at the end of each ledger are read from the source and recounted. */
  readonly recountMax: number;
}

/**
 * Of the partitions that are mapped, in their order. What the source has removed before it was copied is lost: the mirror has
 * stopped there, or will (SHARD_RETENTION_LOSS). Throws as `openMaps`, but for a ledger of which a part is missing: that is
 * unexplained.
 */
export async function readLedgers(clusters: LedgerClusters, question: LedgerQuestion): Promise<ExportedLedger[]> {
  const { mirror, pair, partitions } = question;
  const mapOf = await openMaps(clusters.target, { mayGap: true });
  const isCleaned = await isCompacted(clusters.source, pair.source);
  const all: ExportedLedger[] = [];
  for (const partition of partitions) {
    const exported = await mapOf(pair, partition);
    if (!exported) continue;
    const { map, ledger, isShared, identicalFrom, mappedFrom } = exported;
    const recounted = await recountExported(clusters.source, exported, { ...question, partition, isCleaned });
    const { start, end, counts } = ledger.balance();
    const names = { mirror, sourceTopic: pair.source, targetTopic: pair.target, partition };
    const runs = { dispositions: [...ledger.runs()], map: [...map.runs()] };
    all.push({ ...names, isShared, start, end, identicalFrom, mappedFrom, counts, ...recounted, ...runs });
  }
  return all;
}

interface LedgerClusters {
  readonly source: Cluster;
  readonly target: Cluster;
}

/** What the source had, as far as it has it still, against what the saved ledger explains. */
async function recountExported(
  source: Cluster,
  exported: ExportedMap,
  question: LedgerQuestion & { readonly partition: number; readonly isCleaned: boolean },
): Promise<Pick<ExportedLedger, 'unexplained' | 'firstUnexplained' | 'recounted'>> {
  const { ledger, isShared, hasBegun, isTorn } = exported;
  const { pair, partition, recountMax, isCleaned } = question;
  const log = { topic: pair.source, partition };
  const logStart = await readLogStart(source, log.topic, partition);
  const stableOffset = await readStableOffset(source, log.topic, partition);
  const to = Math.min(ledger.end, stableOffset);
  const from = Math.max(ledger.start, logStart, to - recountMax);
  // In a target that others write to as well, what was copied is known only as it was saved last.
  const lost = hasBegun && !isShared && !isTorn ? logStart - ledger.end : 0;
  if (lost > 0) ledger.append({ kind: 'lost-at-source' }, lost);
  const unexplained = exported.unexplainedUpTo(stableOffset);
  if (from >= to) return { unexplained, firstUnexplained: null, recounted: null };
  const recount = new LedgerRecount(ledger, from, { isCleaned });
  await recountLog(source, { ...log, to }, recount);
  const others = recount.unexplained - ledger.tally(from, to).nothing; // those are in both numbers
  return { unexplained: unexplained + others, firstUnexplained: recount.first, recounted: { from, to } };
}

/** Where it cannot be asked too: what compaction may have taken is not held against the ledger. */
async function isCompacted(source: Cluster, topic: string): Promise<boolean> {
  const [described] = await describeTopicConfigs(source, [topic]);
  return described?.configs.get('cleanup.policy')?.value?.includes('compact') ?? true;
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
