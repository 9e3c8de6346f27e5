/** What the offsets of consumer groups are translated by: topics as they are copied now, and where their copies began. */
import { AppError } from '#contract/errors.ts';
import type { Incident } from '#contract/status.ts';
import { NOT_BEGUN } from './group-moves.ts';
import type { CopyStart, SyncedTopic } from './group-sync.ts';
import type { StateTopic } from './state-topic.ts';

interface CopiedPartition {
  readonly topic: string;
  readonly partition: number;
  /** This process copies it. */
  readonly isHeld: boolean;
  /** Null until source and target have been compared. */
  readonly position: number | null;
  readonly incident: Incident | null;
}

type CopiedTopic = Omit<SyncedTopic, 'copyStarts'> & { readonly copy?: { readonly mode: 'identical' | 'mapped' } };

export interface CopiedTopics {
  readonly topics: Iterable<CopiedTopic>;
  readonly partitions: Iterable<CopiedPartition>;
  readonly state: StateTopic;
  /** `start: earliest`. */
  readonly isWhole: boolean;
}

/** Reads what other processes have begun. Throws KafkaError. */
export async function readSyncedTopics({ topics, partitions, state, isWhole }: CopiedTopics): Promise<SyncedTopic[]> {
  await state.load();
  const byTopic = Map.groupBy(partitions, ({ topic }) => topic);
  return [...topics].map((topic) => {
    const copyStarts: CopyStart[] = [];
    for (const each of byTopic.get(topic.sourceTopic) ?? [])
      copyStarts[each.partition] = copyStartOf(topic, each, { state, isWhole });
    return { ...topic, copyStarts };
  });
}

function copyStartOf(
  { targetTopic, targetTopicId, copy }: CopiedTopic,
  { partition, isHeld, position, incident }: CopiedPartition,
  { state, isWhole }: Pick<CopiedTopics, 'state' | 'isWhole'>,
): CopyStart {
  if (incident && !incident.endsByItself) return `a partition has stopped: ${incident.code}`;
  if (isHeld && position === null) return NOT_BEGUN;
  try {
    if (copy?.mode === 'mapped') return 'its offsets are mapped, and groups are not translated by a map yet';
    const record = state.partition(targetTopic, partition);
    if (record?.targetTopicId === targetTopicId)
      return record.leaderEpochs.length > 0 ? record.logStart : { atLeast: record.logStart };
    // Nothing is recorded before the first record is copied, unless the start is chosen, which who copies does at once.
    return isWhole || isHeld ? { atLeast: 0 } : NOT_BEGUN;
  } catch (error) {
    if (!(error instanceof AppError)) throw error;
    return `a partition has stopped: ${error.code}`;
  }
}
