import { expect, test } from 'vitest';
import type { MirrorStatus, ShardStatus } from '#contract/status.ts';
import { lagOf, RateMeter } from './rates.ts';

const shard = (lagRecords: number | null, lagMs: number | null = null, measuredAt: number | null = null) =>
  ({ lagRecords, lagMs, measuredAt }) as ShardStatus;
const status = (records: number, ...shards: ShardStatus[]) =>
  ({ recordsCopied: records, bytesCopied: records * 1000, shards }) as unknown as MirrorStatus;

test('a rate is over the last five seconds, and not known from one sample', () => {
  const meter = new RateMeter();
  expect(meter.add(status(0), 0)).toBeNull();
  expect(meter.add(status(1_000), 1_000)).toMatchObject({ recordsPerSecond: 1_000, bytesPerSecond: 1_000_000 });
  for (let second = 2; second <= 20; second++) meter.add(status(1_000 + (second - 1) * 10), second * 1_000);
  expect(meter.add(status(1_200), 21_000)?.recordsPerSecond).toBeCloseTo(10);
});

test('a stall shows as a rate of zero', () => {
  const meter = new RateMeter();
  for (let second = 0; second <= 3; second++) meter.add(status(second * 500), second * 1_000);
  for (let second = 4; second <= 8; second++) meter.add(status(1_500), second * 1_000);
  expect(meter.add(status(1_500), 9_000)?.recordsPerSecond).toBe(0);
});

test.each([
  [1_000, 500, 1_000],
  [1_000, 0, 0],
  [1_000, 1_000, null],
  [1_000, 2_000, null],
  [null, 500, null],
  [1_000, null, null],
])('lag from %s to %s within a second is gone in %s ms', (before, now, etaMs) => {
  const meter = new RateMeter();
  meter.add(status(0, shard(before)), 0);
  expect(meter.add(status(0, shard(now)), 1_000)?.etaMs).toBe(etaMs);
});

test('lag adds up what is known and counts what is not', () => {
  expect(lagOf(status(0, shard(10, 200, 7), shard(null), shard(5, 900, 3), shard(0, null, 9)))).toEqual({
    records: 15,
    ms: 900,
    unknown: 1,
    measuredAt: 3,
  });
  // Of a partition that lags nobody knows how long: the others' time would be too short.
  expect(lagOf(status(0, shard(10, 200), shard(5, null)))).toMatchObject({ records: 15, ms: null });
  expect(lagOf(status(0, shard(null)))).toEqual({ records: null, ms: null, unknown: 1, measuredAt: null });
});
