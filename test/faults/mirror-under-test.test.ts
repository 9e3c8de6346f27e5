import { expect, test } from 'vitest';
import type { ErrorCode } from '#contract/errors.ts';
import type { Incident } from '#contract/status.ts';
import { expectOutages } from './mirror-under-test.ts';
import type { Waits } from './mirror-under-test.ts';

function judge(codes: readonly ErrorCode[], waits?: Waits): void {
  const outages = codes.map((code) => ({ code }) as Incident);
  expectOutages({ code: 130, events: [], stderr: '', incidents: [], outages }, waits);
}

test('an outage that no fault names fails', () => {
  judge([]);
  expect(() => judge(['CLUSTER_UNREACHABLE'])).toThrow(/CLUSTER_UNREACHABLE/);
});

test('an outage that the fault names must be told, exactly once', () => {
  const outages = ['SHARD_WAITING'] as const;
  judge(['SHARD_WAITING'], { outages });
  expect(() => judge([], { outages })).toThrow(/SHARD_WAITING/);
  expect(() => judge(['SHARD_WAITING', 'SHARD_WAITING'], { outages })).toThrow(/SHARD_WAITING/);
});

test('an outage that a slow machine makes may be told once, and no other', () => {
  const mayWait = ['CLUSTER_UNREACHABLE'] as const;
  judge([], { mayWait });
  judge(['CLUSTER_UNREACHABLE'], { mayWait });
  judge(['SHARD_WAITING', 'CLUSTER_UNREACHABLE'], { mayWait, outages: ['SHARD_WAITING'] });
  expect(() => judge(['CLUSTER_UNREACHABLE', 'CLUSTER_UNREACHABLE'], { mayWait })).toThrow(/CLUSTER_UNREACHABLE/);
  expect(() => judge(['SHARD_WAITING'], { mayWait })).toThrow(/SHARD_WAITING/);
});
