import { expect, test } from 'vitest';
import { ManualClock } from '#testing/manual-clock.ts';
import { WarningLimit } from './warning-limit.ts';

test('of each code a burst is said, then one in five seconds, with the number of those held back', async () => {
  const clock = new ManualClock();
  const limit = new WarningLimit(clock);
  const said = Array.from({ length: 1_000 }, (_, i) => limit.admit('SHARD_WAITING', `${i} waits`)).filter(Boolean);
  expect(said).toHaveLength(20);
  expect(limit.admit('CLUSTER_UNREACHABLE', 'other')).toBe('other');
  await clock.advance(4_999);
  expect(limit.admit('SHARD_WAITING', 'x')).toBeNull();
  await clock.advance(2);
  expect(limit.admit('SHARD_WAITING', 'x')).toBe('x (and 981 more like it before)');
  expect(limit.admit('SHARD_WAITING', 'x')).toBeNull();
});

test('an hour of a thousand partitions that wait is a few hundred lines', async () => {
  const clock = new ManualClock();
  const limit = new WarningLimit(clock);
  let lines = 0;
  for (let second = 0; second < 3_600; second++) {
    for (let partition = 0; partition < 200; partition++) if (limit.admit('SHARD_WAITING', 'x')) lines++;
    await clock.advance(1_000);
  }
  expect(lines).toBeLessThanOrEqual(20 + 720);
});
