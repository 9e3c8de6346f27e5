import { describe, expect, test } from 'vitest';
import { IDLE_BYTES_PER_SECOND, IDLE_WEIGHT, LEVEL_MAX, levelOf, ShardLoads, weightOfLevel } from './shard-load.ts';

const MB = 1024 * 1024;

describe('a level', () => {
  test('is 0 for an idle shard, and four more for each doubling', () => {
    expect([levelOf(0), weightOfLevel(0)]).toEqual([0, IDLE_WEIGHT]);
    expect([levelOf(MB), levelOf(2 * MB), levelOf(4 * MB)]).toEqual([36, 40, 44]);
    expect(levelOf(Infinity)).toBe(LEVEL_MAX);
  });

  test('weighs what it stands for, to within a tenth, in whole numbers', () => {
    for (const rate of [10_000, 123_456, 5 * MB, 700 * MB]) {
      const weight = weightOfLevel(levelOf(rate));
      expect(Number.isSafeInteger(weight * 100_000)).toBe(true);
      expect(weight / (IDLE_WEIGHT * (1 + rate / IDLE_BYTES_PER_SECOND))).toBeCloseTo(1, 0.9);
    }
    expect(Number.isSafeInteger(weightOfLevel(LEVEL_MAX) * 50_000)).toBe(true);
  });
});

/** Every 10 s; `rates` in bytes per second. */
function measure(loads: ShardLoads, rates: Record<string, number>, { fromMs = 0, forMs = 60_000 } = {}): number {
  for (let atMs = fromMs; atMs <= fromMs + forMs; atMs += 10_000)
    loads.sample(new Map(Object.entries(rates).map(([shard, rate]) => [shard, (rate * atMs) / 1000])), atMs);
  return fromMs + forMs;
}

describe('what this process copies', () => {
  test('is told of shards that were measured for 30 s', () => {
    const loads = new ShardLoads();
    measure(loads, { a: MB, b: 0 }, { forMs: 20_000 });
    expect(loads.tell(['a', 'b', 'c'], 20_000)).toEqual(new Map());
    measure(loads, { a: MB, b: 0 }, { fromMs: 30_000, forMs: 0 });
    expect(loads.tell(['a', 'b', 'c'], 30_000)).toEqual(
      new Map([
        ['a', 36],
        ['b', 0],
      ]),
    );
  });

  test('is measured anew when a shard was somebody else’s meanwhile', () => {
    const loads = new ShardLoads();
    measure(loads, { a: MB, b: MB });
    loads.sample(new Map([['b', 70 * MB]]), 70_000);
    loads.sample(
      new Map([
        ['a', 60 * MB],
        ['b', 80 * MB],
      ]),
      80_000,
    );
    expect(loads.tell(['a', 'b'], 80_000)).toEqual(new Map([['b', 36]]));
  });

  test('follows a change within minutes, and a burst hardly', () => {
    const loads = new ShardLoads();
    loads.sample(new Map([['a', 0]]), 0);
    for (let at = 1; at <= 30; at++) loads.sample(new Map([['a', MB * at * 10]]), at * 10_000);
    loads.sample(new Map([['a', MB * (300 + 100)]]), 310_000); // ten times as much for 10 s
    expect(loads.tell(['a'], 310_000).get('a')).toBeLessThan(levelOf(3 * MB));
    for (let at = 32; at <= 62; at++) loads.sample(new Map([['a', MB * 400]]), at * 10_000);
    expect(loads.tell(['a'], 620_000).get('a')).toBeLessThan(levelOf(MB / 10));
  });

  test('has shifted when it is a quarter more or less than was told, and that was 5 minutes ago', () => {
    const loads = new ShardLoads();
    measure(loads, { a: 10 * MB }, { forMs: 100_000 });
    loads.tell(['a'], 100_000);
    expect(loads.hasShifted(1_000_000)).toBe(false);
    const counts = (atMs: number, rate: number): Map<string, number> =>
      new Map([['a', 1000 * MB + (rate * (atMs - 100_000)) / 1000]]);
    for (let atMs = 110_000; atMs <= 390_000; atMs += 10_000) loads.sample(counts(atMs, 20 * MB), atMs);
    expect([loads.hasShifted(399_000), loads.hasShifted(400_000)]).toEqual([false, true]);
    loads.tell(['a'], 400_000);
    expect(loads.hasShifted(800_000)).toBe(false);
  });

  test('has not shifted by less than a megabyte a second', () => {
    const loads = new ShardLoads();
    measure(loads, { a: MB / 2 }, { forMs: 400_000 });
    expect(loads.hasShifted(400_000)).toBe(false);
  });
});
