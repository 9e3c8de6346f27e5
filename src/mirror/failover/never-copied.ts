/**
 * What was left out of a copy on purpose: what lies before its start, and what its condition filtered out. Of a topic that is
 * deleted so that it can be copied back, that would be gone.
 */
import type { TopicCut } from '#contract/failover.ts';
import { MappedState, type MappedStore } from '../mapped-state.ts';
import type { PartitionRecord } from '../state-records.ts';

export interface CopyStore extends MappedStore {
  partition(targetTopic: string, partition: number): PartitionRecord | null;
}

/**
 * How many offsets of a partition, from `sourceStart`, where its log begins now, up to the cut: some may hold no record. Throws
 * AppError STATE_TOPIC_INVALID.
 */
export function neverCopied(
  store: CopyStore,
  { sourceTopic, targetTopic, targetTopicId }: TopicCut,
  { partition, sourceStart }: { readonly partition: number; readonly sourceStart: number },
): number {
  const mapped = MappedState.load(store, { sourceTopic, targetTopic, partition }, targetTopicId);
  const record = store.partition(targetTopic, partition);
  const recorded = record?.targetTopicId === targetTopicId ? record.logStart : 0;
  if (mapped === null) return Math.max(0, recorded - sourceStart);
  const { identicalFrom, mappedFrom, start, conditions = [] } = mapped.head;
  let offsets = Math.max(0, (identicalFrom ?? mappedFrom) - sourceStart);
  const forgottenFrom = Math.max(mappedFrom, sourceStart);
  if (conditions.length > 0) offsets += Math.max(0, start - forgottenFrom); // which of these were filtered is forgotten
  for (const { kind, from, to } of mapped.ledger.runs())
    if (kind === 'filtered') offsets += Math.max(0, to - Math.max(from, sourceStart));
  return offsets;
}
