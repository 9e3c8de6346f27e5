/** What is made of several numbers. */
import { must } from '#util/assert.ts';

export interface Spread {
  readonly median: number;
  readonly least: number;
  readonly most: number;
  readonly count: number;
}

/** The middle value, or the upper one of two. Throws without any. */
export function median(numbers: readonly number[]): number {
  return must(numbers.toSorted((a, b) => a - b)[numbers.length >> 1], 'a value to take the median of');
}

/** Null without any. */
export function spreadOf(numbers: readonly number[]): Spread | null {
  if (numbers.length === 0) return null;
  return {
    median: median(numbers),
    least: Math.min(...numbers),
    most: Math.max(...numbers),
    count: numbers.length,
  };
}

/** `1.27 (1.13–1.49)`; the median alone of a single value; `–` where nothing was measured. */
export function formatSpread(spread: Spread | null, digits: number): string {
  if (spread === null) return '–';
  const middle = spread.median.toFixed(digits);
  if (spread.count < 2) return middle;
  return `${middle} (${spread.least.toFixed(digits)}–${spread.most.toFixed(digits)})`;
}

/** A value that `weight` samples had. */
export interface Weighted {
  readonly value: number;
  readonly weight: number;
}

/**
 * The values below or at which the given shares of all samples lie (nearest rank). `samples` are sorted in place, so that
 * millions need no copy. Throws without any.
 */
export function quantiles(samples: Weighted[], shares: readonly number[]): number[] {
  samples.sort((a, b) => a.value - b.value);
  const total = samples.reduce((sum, { weight }) => sum + weight, 0);
  return shares.map((share) => {
    const rank = Math.max(1, Math.ceil(share * total));
    let seen = 0;
    const found = samples.find(({ weight }) => (seen += weight) >= rank);
    return must(found, 'a sample of that rank').value;
  });
}
