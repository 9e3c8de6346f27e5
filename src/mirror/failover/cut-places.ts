/** Where a copy ends, as an offset of its source, by what the state topic says of each partition. */
import type { TopicCut } from '#contract/failover.ts';
import { MappedState, type MappedStore } from '../mapped-state.ts';
import type { TopicClaim } from '../state-topic.ts';

/**
 * `ends`: of the target's partitions. A partition that went on beside another writer (`onMisalignment: map`) is mapped though the
 * claim of its topic does not say it: its target has more than the source gave. Throws AppError STATE_TOPIC_INVALID.
 */
export function cutOf(store: MappedStore, claim: TopicClaim, ends: readonly number[]): TopicCut {
  const { sourceTopic, sourceTopicId, targetTopic, targetTopicId } = claim;
  let { mode = 'identical' } = claim;
  const partitions = ends.map((end, partition): readonly [number, number] => {
    const mapped = MappedState.load(store, { sourceTopic, targetTopic, partition }, targetTopicId);
    if (mapped === null) return [mode === 'identical' ? end : 0, end];
    if (mapped.head.isShared) mode = 'shared';
    mapped.settle(mapped.head.isShared ? mapped.placements.sourceEnd : end);
    return [mapped.ledger.end, end];
  });
  return { sourceTopic, sourceTopicId, targetTopic, targetTopicId, mode, partitions };
}

/** Whether the target's end alone says where the copy of each partition ends. */
export function isSameOffsets(store: Pick<MappedStore, 'mapped'>, claim: TopicClaim): boolean {
  const { sourceTopic, targetTopic, targetTopicId, partitions, mode = 'identical' } = claim;
  const all = Array.from({ length: partitions }, (_, partition) => partition);
  return (
    mode === 'identical' &&
    all.every((partition) => store.mapped({ sourceTopic, targetTopic, partition })?.targetTopicId !== targetTopicId)
  );
}
