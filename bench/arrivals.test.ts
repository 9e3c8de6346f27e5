import { describe, expect, test } from 'vitest';
import { addedLatency, type Arrivals } from './arrivals.ts';

const seen = (...places: readonly (readonly [end: number, timeMs: number])[]): Arrivals => ({
  ends: places.map(([end]) => end),
  times: places.map(([, timeMs]) => timeMs),
});

describe('the added latency', () => {
  test('is counted for each record, however they come in groups', () => {
    const source = seen([10, 100], [30, 110]);
    const target = seen([5, 101], [20, 112], [30, 115]);
    expect(addedLatency(source, target, 0)).toEqual([
      { value: 1, weight: 5 },
      { value: 12, weight: 5 },
      { value: 2, weight: 10 },
      { value: 5, weight: 10 },
    ]);
  });

  test('leaves out what came before, and what is not there yet', () => {
    const source = seen([10, 100], [20, 110], [30, 120]);
    const target = seen([20, 113]);
    expect(addedLatency(source, target, 105)).toEqual([{ value: 3, weight: 10 }]);
  });

  test('can be less than nothing where the source was seen late', () => {
    expect(addedLatency(seen([1, 100]), seen([1, 99.5]), 0)).toEqual([{ value: -0.5, weight: 1 }]);
  });

  test('is unknown without arrivals', () => {
    expect(addedLatency(seen([5, 1]), seen(), 0)).toEqual([]);
  });
});
