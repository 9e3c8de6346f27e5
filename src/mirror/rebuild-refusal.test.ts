import { describe, expect, test } from 'vitest';
import { refusalOf, type RebuildFacts } from './rebuild-refusal.ts';
import type { ClaimRecord, FailoverRecord } from './state-records.ts';

const claim: ClaimRecord = {
  mirrorId: 'mirror-id',
  mirrorName: 'east-to-west',
  sourceTopic: 'orders',
  sourceTopicId: 'source-id',
  targetTopicId: 'target-id',
  partitions: 3,
  replaces: null,
  mode: 'mapped',
};
const free: RebuildFacts = {
  mirrorName: 'east-to-west',
  mirrorId: 'mirror-id',
  targetName: 'west',
  pair: { source: 'orders', target: 'copy' },
  targetTopicId: 'target-id',
  partitions: 3,
  partition: null,
  claim,
  failover: null,
  shared: [],
  groupState: 'Empty',
  readers: [],
  copiedOnBy: [],
  unreadable: [],
};
const failover: FailoverRecord = {
  mirrorName: 'east-to-west',
  phase: 'promoted',
  startedAt: 1,
  isSourceLost: false,
  steps: [],
  fence: null,
  cut: null,
  transactions: [],
  loss: null,
  verified: null,
  failback: null,
};

describe('a copy', () => {
  test.each<Partial<RebuildFacts>>([
    {},
    { groupState: null },
    { groupState: 'Dead' },
    { claim: { ...claim, mode: 'identical' } },
    { partitions: 1, partition: 0 },
  ])('of this mirror alone that nobody uses is taken away: %j', (facts) => {
    expect(refusalOf({ ...free, ...facts })).toBe(null);
  });

  test.each<[string, Partial<RebuildFacts>]>([
    ['is not a copy of this mirror', { claim: null }],
    ['mirror "other" has claimed it', { claim: { ...claim, mirrorId: 'other-id', mirrorName: 'other' } }],
    ['is not a copy of this mirror', { targetTopicId: 'created-anew' }],
    ['holds records of others besides', { claim: { ...claim, mode: 'shared' } }],
    ['is the copy of "bills"', { claim: { ...claim, sourceTopic: 'bills' } }],
    ['records of another program in partition 1', { shared: [1] }],
    ['records of another program in partition 0, 1, 2 and 2 more', { shared: [0, 1, 2, 3, 4] }],
    ['Kafka deletes topics, not partitions', { partition: 1 }],
    ['Kafka deletes topics, not partitions', { partitions: 1, partition: 1 }],
    ['was failed over', { failover }],
    ['is being failed over', { failover: { ...failover, phase: 'draining' } }],
    ['is being failed over', { failover: { ...failover, phase: 'stopping' } }],
    ['cannot be seen', { groupState: 'unknown' }],
    ['is in state Stable', { groupState: 'Stable' }],
    ['is in state PreparingRebalance', { groupState: 'PreparingRebalance' }],
    ['read "copy" in group "billing"', { readers: ['billing'] }],
    ['Mirror "west-to-north" copies "copy" on', { copiedOnBy: ['west-to-north'] }],
    ['Partition 2 of 3 of source topic "orders" cannot be read now', { unreadable: [2] }],
  ])('stays: %s, %j', (said, facts) => {
    const refusal = refusalOf({ ...free, ...facts });
    expect(refusal?.code).toBe('REBUILD_REFUSED');
    expect(refusal?.message).toContain(said);
    expect(refusal?.nextStep).not.toBe(null);
  });
});
