import { expect, test } from 'vitest';
import { FetchWindow } from './fetch-window.ts';

const FIRST_BYTES = 512 * 1024;

/** A way with a round trip and a rate, over which full answers come one after the other. */
function copyOver(window: FetchWindow, way: { roundTripMs: number; bytesPerMs: number }, answers: number) {
  let [total, ms, longest] = [0, 0, 0];
  for (let i = 0; i < answers; i++) {
    const bytes = FIRST_BYTES * window.factor;
    const took = way.roundTripMs + bytes / way.bytesPerMs;
    window.onFull(bytes, took);
    total += bytes;
    ms += took;
    longest = Math.max(longest, took);
  }
  return { bytesPerMs: total / ms, longest };
}

test.each([
  [0.3, 500_000],
  [1, 125_000],
  [5, 1_000_000],
])('a round trip of %d ms at %d bytes a millisecond: it stays as it is', (roundTripMs, bytesPerMs) => {
  const window = new FetchWindow();
  copyOver(window, { roundTripMs, bytesPerMs }, 2_000);
  expect(window.factor).toBe(1);
});

test.each([20, 80, 250])('a round trip of %d ms at 1 GB/s: as much as there may be', (roundTripMs) => {
  const window = new FetchWindow();
  copyOver(window, { roundTripMs, bytesPerMs: 1_000_000 }, 30);
  expect(window.factor * FIRST_BYTES).toBeGreaterThanOrEqual(Math.min(roundTripMs * 50_000, 8 * 1024 * 1024));
  const { bytesPerMs } = copyOver(window, { roundTripMs, bytesPerMs: 1_000_000 }, 5_000);
  const most = (16 * FIRST_BYTES) / (roundTripMs + (16 * FIRST_BYTES) / 1_000_000);
  expect(bytesPerMs, 'what it tries out anew costs little').toBeGreaterThan(0.9 * Math.min(most, 45_000));
});

test('a slow way is full with what partitions ask for: answers stay short', () => {
  const window = new FetchWindow();
  const { longest } = copyOver(window, { roundTripMs: 30, bytesPerMs: 1_250 }, 2_000);
  expect(window.factor).toBe(1);
  expect(longest, 'twice as much was tried').toBeLessThan(1_000);
});

test('a way that becomes slow is not waited for', () => {
  const window = new FetchWindow();
  copyOver(window, { roundTripMs: 80, bytesPerMs: 1_000_000 }, 30);
  expect(window.factor).toBe(16);
  copyOver(window, { roundTripMs: 80, bytesPerMs: 1_250 }, 3);
  expect((FIRST_BYTES * window.factor) / 1_250).toBeLessThan(2_000);
});

test('a way that becomes short is noticed', () => {
  const window = new FetchWindow();
  copyOver(window, { roundTripMs: 80, bytesPerMs: 1_000_000 }, 30);
  copyOver(window, { roundTripMs: 0.5, bytesPerMs: 1_000_000 }, 600);
  expect(window.factor).toBe(1);
});
