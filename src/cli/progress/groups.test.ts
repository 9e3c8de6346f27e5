import { expect, test } from 'vitest';
import type { RunEvent } from '#contract/status.ts';
import { describeGroups } from './words.ts';

const event: Extract<RunEvent, { event: 'groups' }> = {
  event: 'groups',
  mirror: 'm',
  inPlace: 12,
  leftAlone: [],
  leftAloneCount: 0,
  deleted: [],
  at: 0,
};

test('one line says how many groups are in place', () => {
  expect(describeGroups(event, Infinity)).toEqual(['m: 12 consumer groups in place on the target']);
});

test('the first groups that were left alone are named with the reason, the others counted, and terminal codes shown as text', () => {
  const leftAlone = Array.from({ length: 9 }, (_, i) => ({
    group: `g${i}\u001B[2J`,
    why: 'it has members on the target',
  }));
  const [line = ''] = describeGroups({ ...event, leftAlone, leftAloneCount: 140, deleted: ['old'] }, Infinity);
  expect(line).toContain('deleted as on the source: old; left alone: g0');
  expect(line).toContain('and 135 more left alone');
  expect(line).not.toContain('\u001B');
  expect(describeGroups({ ...event, leftAlone, leftAloneCount: 9 }, 60).every((each) => each.length <= 60)).toBe(true);
});
