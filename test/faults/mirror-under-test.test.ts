import { expect, test } from 'vitest';
import type { ErrorCode } from '#contract/errors.ts';
import type { Incident } from '#contract/status.ts';
import { expectOutages, openIncidents, waitsForStart } from './mirror-under-test.ts';
import type { Waits } from './mirror-under-test.ts';

function outage(code: ErrorCode, cluster = 'west'): Incident {
  return {
    code,
    severity: 'warning',
    cause: `3 partitions have waited for 30 s: cluster "${cluster}": no answer.`,
  } as Incident;
}

function judge(codes: readonly (ErrorCode | Incident)[], waits?: Waits): void {
  const outages = codes.map((code) => (typeof code === 'string' ? outage(code) : code));
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
  const mayWait = [{ code: 'CLUSTER_UNREACHABLE', side: 'target' }] as const;
  judge([], { mayWait });
  judge(['CLUSTER_UNREACHABLE'], { mayWait });
  judge(['SHARD_WAITING', 'CLUSTER_UNREACHABLE'], { mayWait, outages: ['SHARD_WAITING'] });
  expect(() => judge(['CLUSTER_UNREACHABLE', 'CLUSTER_UNREACHABLE'], { mayWait })).toThrow(/CLUSTER_UNREACHABLE/);
  expect(() => judge(['SHARD_WAITING'], { mayWait })).toThrow(/SHARD_WAITING/);
});

test('an outage of the other cluster, under the same code, fails', () => {
  const mayWait = waitsForStart('target');
  judge(['CLUSTER_UNREACHABLE', 'SHARD_WAITING'], { mayWait });
  for (const code of ['CLUSTER_UNREACHABLE', 'SHARD_WAITING'] as const)
    expect(() => judge([outage(code, 'east')], { mayWait })).toThrow(code);
});

test('an outage that has not ended is open, also when an earlier one of the same cluster has', () => {
  const first = { ...outage('CLUSTER_UNREACHABLE'), at: 1 };
  const again = { ...first, at: 2 };
  const begins = (incident: Incident) => ({ event: 'incident', incident }) as const;
  const ends = (incident: Incident) => ({ event: 'incident-ended', incident, at: 3 }) as const;
  expect(openIncidents([begins(first), ends(first)])).toEqual([]);
  expect(openIncidents([begins(first), ends(first), begins(again)])).toEqual([again]);
});
