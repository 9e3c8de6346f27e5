import { describe, expect, test } from 'vitest';
import { parse } from 'yaml';
import type { FailbackDecision, TopicCut } from '#contract/failover.ts';
import { mirrorSchema } from '#contract/resources.ts';
import { decidedBefore, documentOf } from './failback.ts';

const cut: TopicCut = {
  sourceTopic: 'orders',
  sourceTopicId: 'a',
  targetTopic: 'dr.orders',
  targetTopicId: 'b',
  mode: 'identical',
  partitions: [],
};

describe('what an earlier call decided', () => {
  const kept = (decision: FailbackDecision, records: number) => ({
    failback: { decision, records, at: 0, topics: ['orders'], replay: null },
  });

  test('is asked for again where there was nothing to decide about: records that come later are not discarded', () => {
    expect(decidedBefore(kept('discard', 0))).toBeNull();
  });

  test('holds where there were records', () => {
    expect(decidedBefore(kept('replay', 3))).toBe('replay');
    expect(decidedBefore({ failback: null })).toBeNull();
  });
});

test('the mirror that leads back stands in a file that holds, whatever the names of the first one', () => {
  const written = { apiVersion: 'lockstep/v1', kind: 'Mirror', metadata: { name: 'm'.repeat(100) } };
  const spec = { source: 'true', target: '2026', topics: [{ match: 'orders' }] };
  const document = parse(documentOf(mirrorSchema.parse({ ...written, spec }), [cut])) as object;
  expect(mirrorSchema.parse(document)).toMatchObject({
    metadata: { name: `${'m'.repeat(95)}-back` },
    spec: { source: '2026', target: 'true' },
  });
});
