import { expect, test } from 'vitest';
import { count, type Outcome, summaryLine } from './summary.ts';

const outcomes: Outcome[] = [
  { name: 'a.test.ts > one', state: 'passed' },
  { name: 'a.test.ts > two', state: 'failed' },
  { name: 'a.test.ts > three', state: 'skipped' },
];

test('a skipped test without a reason counts as failed and is named', () => {
  const counts = count(outcomes, 0, []);
  expect(counts.unlisted).toEqual(['a.test.ts > three']);
  expect(summaryLine(counts)).toBe('1 passed, 2 failed');
});

test('a skipped test that is listed with its reason is counted as skipped', () => {
  const counts = count(outcomes, 0, [{ test: 'a.test.ts > three', reason: 'needs a rack of brokers' }]);
  expect(counts.unlisted).toEqual([]);
  expect(summaryLine(counts)).toBe('1 passed, 1 failed, 1 skipped');
});

test('an empty reason is none', () => {
  expect(count(outcomes, 0, [{ test: 'a.test.ts > three', reason: '' }]).unlisted).toEqual(['a.test.ts > three']);
});

test('a test that never started counts like a skipped one', () => {
  expect(count([{ name: 'a.test.ts > four', state: 'pending' }], 0, []).failed).toBe(1);
});

test('errors outside of tests count as failures', () => {
  expect(summaryLine(count(outcomes.slice(0, 1), 2, []))).toBe('1 passed, 2 failed');
});
