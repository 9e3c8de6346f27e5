import { expect, test } from 'vitest';
import { linkOf } from './link.ts';

test('a link is named by what it does', () => {
  expect(linkOf('80ms')).toEqual({ roundTripMs: 80, mbitPerSecond: null, hasStalls: false });
  expect(linkOf('250ms+10Mbit')).toEqual({ roundTripMs: 250, mbitPerSecond: 10, hasStalls: false });
  expect(linkOf('80ms+1000Mbit+stalls')).toEqual({ roundTripMs: 80, mbitPerSecond: 1_000, hasStalls: true });
  expect(() => linkOf('fast')).toThrow("link 'fast'");
});
