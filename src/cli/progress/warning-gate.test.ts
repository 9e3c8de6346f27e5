import { expect, test } from 'vitest';
import type { RunEvent } from '#contract/status.ts';
import { WarningGate } from './warning-gate.ts';

const warning = (message: string, code: 'SHARD_WAITING' | 'TOPIC_RULE_EMPTY' = 'SHARD_WAITING', mirror = 'm') =>
  ({ event: 'warning', mirror, code, message, at: 0 }) satisfies RunEvent;

test('of warnings that come at every attempt one in ten seconds is shown, with the number of those held back', () => {
  const gate = new WarningGate();
  expect(gate.admit(warning('a/0 waits'), 0)).toEqual(['m: warning SHARD_WAITING: a/0 waits']);
  expect(gate.admit(warning('a/1 waits'), 1)).toEqual([]);
  expect(gate.admit(warning('a/0 waits'), 9_999)).toEqual([]);
  expect(gate.admit(warning('a/1 waits'), 10_000)).toEqual([
    'm: warning SHARD_WAITING: a/1 waits (and 2 more warnings like it before)',
  ]);
});

test('each mirror has its own, and what is said once is always shown', () => {
  const gate = new WarningGate();
  expect(gate.admit(warning('a/0 waits'), 0)).toHaveLength(1);
  expect(gate.admit(warning('a/0 waits', 'SHARD_WAITING', 'other'), 0)).toHaveLength(1);
  expect(gate.admit(warning('rule 1', 'TOPIC_RULE_EMPTY'), 0)).toHaveLength(1);
  expect(gate.admit(warning('rule 2', 'TOPIC_RULE_EMPTY'), 0)).toHaveLength(1);
});
