import { describe, expect, test } from 'vitest';
import type { FailbackDecision } from '#contract/failover.ts';
import { decidedBefore } from './failback.ts';

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
