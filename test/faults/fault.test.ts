import { expect, test } from 'vitest';
import { isSelected, whatIsMissing } from './fault.ts';

test('without a selection the share runs, with one those that it names', () => {
  const [shared, other] = [{ id: 'a', share: true }, { id: 'a-b' }];
  expect([shared, other].map((spec) => isSelected(spec, undefined))).toEqual([true, false]);
  expect([shared, other].map((spec) => isSelected(spec, ''))).toEqual([true, false]);
  expect([shared, other].map((spec) => isSelected(spec, 'all'))).toEqual([true, true]);
  expect([shared, other].map((spec) => isSelected(spec, 'c,a-b'))).toEqual([false, true]);
});

test('a fault that nobody has seen, or whose outcome nobody has looked at, has failed', () => {
  expect(whatIsMissing([], ['identical'])).toContain('took no effect');
  expect(whatIsMissing(['leader 1→2'], [])).toContain('nobody looked');
  expect(whatIsMissing(['leader 1→2'], ['identical'])).toBeNull();
});
