import { describe, expect, test } from 'vitest';
import type { TopicCut } from '#contract/failover.ts';
import type { TopicMetadata } from '#kafka/metadata.ts';
import { withGrown } from './grown-topics.ts';

const cut: TopicCut = {
  sourceTopic: 'orders',
  sourceTopicId: 'a',
  targetTopic: 'dr.orders',
  targetTopicId: 'b',
  mode: 'identical',
  partitions: [
    [70, 70],
    [40, 41],
  ],
};

function sourceWith(partitions: number) {
  return {
    topicOf: () => ({ name: 'orders', partitions: Array.from({ length: partitions }) }) as unknown as TopicMetadata,
  };
}

describe('a topic that has grown since it was copied', () => {
  test('is cut at the beginning of each partition that the copy never got', () => {
    expect(withGrown(sourceWith(4), cut).partitions).toEqual([
      [70, 70],
      [40, 41],
      [0, 0],
      [0, 0],
    ]);
  });

  test('is the same cut where it has not grown, or is not known', () => {
    expect(withGrown(sourceWith(2), cut)).toBe(cut);
    expect(withGrown({ topicOf: () => undefined }, cut)).toBe(cut);
  });
});
