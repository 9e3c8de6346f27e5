import { expect, test } from 'vitest';
import { Backoff } from './backoff.ts';
import { createRandom } from './random.ts';

const limits = { baseMs: 50, maxMs: 5_000 };

test('doubles up to its maximum, and begins anew after a success', () => {
  const longest = new Backoff({ next: () => 1 - Number.EPSILON }, limits);
  const delays = (count: number) => Array.from({ length: count }, () => Math.round(longest.next()));
  expect(delays(10)).toEqual([50, 100, 200, 400, 800, 1_600, 3_200, 5_000, 5_000, 5_000]);
  longest.reset();
  expect(delays(2)).toEqual([50, 100]);
});

test('spreads delays over the upper half, so that those who failed together do not come back together', () => {
  const delays = Array.from({ length: 200 }, (_, seed) => {
    const backoff = new Backoff(createRandom(seed), limits);
    for (let i = 0; i < 9; i++) backoff.next();
    return backoff.next();
  });
  expect(Math.min(...delays)).toBeGreaterThanOrEqual(2_500);
  expect(Math.max(...delays)).toBeLessThan(5_000);
  expect(Math.max(...delays) - Math.min(...delays)).toBeGreaterThan(2_000);
});

test('stays at its maximum for ever', () => {
  const backoff = new Backoff({ next: () => 0 }, limits);
  for (let i = 0; i < 5_000; i++) backoff.next();
  expect(backoff.next()).toBe(2_500);
});
