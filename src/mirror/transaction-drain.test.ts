import { expect, test } from 'vitest';
import { ConnectionError } from '#kafka/errors.ts';
import { ManualClock, settle } from '#testing/manual-clock.ts';
import { describeOpen, drainTransactions, type DrainedPartition } from './transaction-drain.ts';

const UNTIL = Date.UTC(2026, 0, 2, 3, 4, 5);

function partition(index: number, more: Partial<DrainedPartition> = {}): DrainedPartition {
  return {
    targetTopic: 'orders',
    partition: index,
    openTransactions: { count: 1, from: 10 * index },
    drain: async () => {},
    openUntil: async () => UNTIL + index,
    ...more,
  };
}

const nothing = { count: 0, from: null };

test('a stop waits until nothing is open anywhere, and no longer than it may', async () => {
  const clock = new ManualClock();
  const last = Promise.withResolvers<void>();
  let ended = 0;
  const drain = (partitions: readonly DrainedPartition[]): void =>
    void drainTransactions(partitions, { clock, withinMs: 5_000 }).then(() => ended++);
  drain([partition(0), partition(1, { drain: () => last.promise })]);
  drain([partition(0, { drain: () => new Promise(() => {}) })]);
  await clock.advance(1_000);
  expect(ended).toBe(0);
  last.resolve();
  await settle();
  expect(ended).toBe(1);
  await clock.advance(3_900);
  expect(ended).toBe(1);
  await clock.advance(200);
  expect(ended).toBe(2);
});

test('what stays open is told with its places, and when the target aborts the first of it', async () => {
  const clock = new ManualClock();
  const options = { clock, withinMs: 2_000 };
  expect(await describeOpen([partition(0, { openTransactions: nothing })], options)).toBeNull();
  const told = await describeOpen(
    [
      partition(0),
      partition(1, { openTransactions: nothing }),
      partition(2, { openTransactions: { count: 2, from: null } }),
    ],
    options,
  );
  expect(told).toContain('3 transactions are open on the target (orders/0 from offset 0 on, orders/2)');
  expect(told).toContain('start this mirror again before 2026-01-02T03:04:05.000Z (by the clock of the target)');
});

test('of many partitions ten are named, and a deadline that nobody tells is not made up', async () => {
  const clock = new ManualClock();
  const lost = async (): Promise<never> => {
    throw new ConnectionError('closed', 'target', 'lost', { definite: false });
  };
  const many = Array.from({ length: 12 }, (_, i) => partition(i, { openUntil: lost }));
  const telling = describeOpen([...many, partition(12, { openUntil: () => new Promise(() => {}) })], {
    clock,
    withinMs: 2_000,
  });
  await clock.advance(2_000);
  expect(await telling).toContain(
    'orders/9 from offset 90 on, 3 more partitions): start this mirror again before transaction.max.timeout.ms',
  );
});
