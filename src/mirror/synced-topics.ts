/** What the offsets of consumer groups are translated by: topics as they are copied now, and where their copies began. */
import { AppError } from '#contract/errors.ts';
import type { NextPlaces } from '#contract/offset-map.ts';
import type { Incident } from '#contract/status.ts';
import { NOT_BEGUN } from './group-moves.ts';
import type { CopyStart, SyncedTopic } from './group-places.ts';
import { SavedPlaces } from './saved-places.ts';
import type { StateTopic } from './state-topic.ts';
import type { PreparedTopic } from './target-topics.ts';

interface CopiedPartition {
  readonly topic: string;
  readonly partition: number;
  /** This process copies it. */
  readonly isHeld: boolean;
  /** Null until source and target have been compared. */
  readonly position: number | null;
  readonly incident: Incident | null;
  /** Of a mapped one that this process copies. */
  readonly places: NextPlaces | null;
}

type CopiedTopic = Omit<SyncedTopic, 'copyStarts'> & Pick<PreparedTopic, 'copy'>;

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
  topic: CopiedTopic,
  copied: CopiedPartition,
  { state, isWhole }: Pick<CopiedTopics, 'state' | 'isWhole'>,
): CopyStart {
  const { sourceTopic, targetTopic, targetTopicId, copy } = topic;
  const { partition, isHeld, position, incident } = copied;
  if (incident && !incident.endsByItself) return `a partition has stopped: ${incident.code}`;
  if (isHeld && position === null) return NOT_BEGUN;
  try {
    const head = state.mapped({ sourceTopic, targetTopic, partition });
    const isShared = copy.isShared || (head?.targetTopicId === targetTopicId && head.isShared);
    if (isShared) return 'a target topic has records of others too, between which a group has no place of its own';
    if (copy.mode === 'mapped')
      return { readPlaces: () => (isHeld ? copied.places : savedPlaces(topic, partition, state)) };
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

/** As another process has saved it last, every few seconds; what it has that is not on the target yet is cut off there. */
function savedPlaces(
  { sourceTopic, targetTopic, targetTopicId }: CopiedTopic,
  partition: number,
  state: StateTopic,
): NextPlaces | null {
  try {
    return SavedPlaces.of(state, { sourceTopic, targetTopic, partition }, targetTopicId);
  } catch (error) {
    if (!(error instanceof AppError)) throw error;
    return null; // who copies the partition says it
  }
}
