import { expect, test } from 'vitest';
import type { Cluster } from '#kafka/cluster.ts';
import type { StateTopic, TopicClaim } from '../state-topic.ts';
import { lossNow } from './drill.ts';

test('what a lost source would cost is unknown, not nothing, as soon as a copy has mapped offsets', async () => {
  const claim: TopicClaim = {
    mirrorId: 'mirror',
    mirrorName: 'east-to-west',
    sourceTopic: 'orders',
    sourceTopicId: 'source-id',
    targetTopic: 'orders',
    targetTopicId: 'target-id',
    partitions: 1,
    replaces: null,
    mode: 'mapped',
  };
  const cluster = { name: 'east' } as unknown as Cluster;
  const { rpo } = await lossNow({ source: cluster, target: cluster }, { state: {} as StateTopic }, [claim]);
  expect(rpo).toEqual({ records: null, ms: null });
});
