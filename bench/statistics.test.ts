import { describe, expect, test } from 'vitest';
import { formatSpread, median, quantiles, spreadOf } from './statistics.ts';

test('the median is the middle value, or the upper one of two', () => {
  expect(median([3, 1, 2])).toBe(2);
  expect(median([4, 1])).toBe(4);
  expect(() => median([])).toThrow('a value');
});

test('nothing measured is a dash, never a zero', () => {
  expect(spreadOf([])).toBeNull();
  expect(formatSpread(null, 2)).toBe('–');
});

test('a spread shows the least and the most where there are several', () => {
  expect(formatSpread(spreadOf([1.5]), 1)).toBe('1.5');
  expect(formatSpread(spreadOf([3, 1, 2]), 1)).toBe('2.0 (1.0–3.0)');
});

describe('quantiles', () => {
  test('count each value by its weight', () => {
    const samples = [
      { value: 9, weight: 1 },
      { value: 1, weight: 50 },
      { value: 2, weight: 49 },
    ];
    expect(quantiles(samples, [0.5, 0.51, 0.99, 0.999, 1])).toEqual([1, 2, 2, 9, 9]);
  });

  test('are the only value of one sample', () => {
    expect(quantiles([{ value: -0.5, weight: 3 }], [0, 0.5, 1])).toEqual([-0.5, -0.5, -0.5]);
  });
});
