import { expect, test } from 'vitest';
import type { TopicMetadata } from '#kafka/metadata.ts';
import { findTopics } from './find-topics.ts';

const UNKNOWN_TOPIC = 3;
const TOPIC_AUTHORIZATION_FAILED = 29;

const clusterWith = (errorCode: number) => ({
  refresh: async (): Promise<TopicMetadata[]> => [
    { name: 'orders', topicId: 'id', isInternal: false, errorCode, partitions: [] },
  ],
});

test('a topic that is gone is told from one that may not be seen', async () => {
  expect(await findTopics(clusterWith(0), ['orders'])).toMatchObject([{ topicId: 'id' }]);
  expect(await findTopics(clusterWith(UNKNOWN_TOPIC), ['orders'])).toEqual([null]);
  await expect(findTopics(clusterWith(TOPIC_AUTHORIZATION_FAILED), ['orders'])).rejects.toThrow('orders');
});
