import fc from 'fast-check';
import { expect, test } from 'vitest';
import { editDistance, nearest } from './nearest.ts';

test.each([
  ['bootsrap', 'bootstrap'],
  ['BootStrap', 'bootstrap'],
  ['soruce', 'source'],
  ['sources', 'source'],
  ['colour', null],
  ['', null],
])('the nearest key to %j is %j', (word, expected) => {
  expect(nearest(word, ['bootstrap', 'source', 'target'])).toBe(expected);
});

test.each([
  ['', 'abc', 3],
  ['kitten', 'sitting', 3],
  ['ab', 'ba', 1],
  ['same', 'same', 0],
])('%j and %j are %i edits apart', (a, b, distance) => {
  expect(editDistance(a, b)).toBe(distance);
});

test('the distance is symmetric, and zero only between equal words', () => {
  const word = fc.string({ maxLength: 8 });
  fc.assert(
    fc.property(word, word, (a, b) => {
      expect(editDistance(a, b)).toBe(editDistance(b, a));
      expect(editDistance(a, b) === 0).toBe(a === b);
    }),
  );
});
