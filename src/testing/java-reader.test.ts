import { expect, test } from 'vitest';
import type { ShownRecord } from './java-reader.ts';
import { firstDifferentChunk, firstDifferentPair, formatDifferences } from './java-reader.ts';

const record = (offset: number, changes: Partial<ShownRecord> = {}): ShownRecord => ({
  topic: 't',
  partition: 0,
  offset,
  timestamp: 1000,
  timestampType: 'CreateTime',
  key: '6b',
  value: '76',
  headers: [],
  ...changes,
});

test('the first chunk that differs is found by content and by absence', () => {
  expect(
    firstDifferentChunk(
      [
        [0, 'a'],
        [1, 'b'],
      ],
      [
        [0, 'a'],
        [1, 'c'],
      ],
    ),
  ).toBe(1);
  expect(
    firstDifferentChunk(
      [
        [0, 'a'],
        [7, 'b'],
      ],
      [[0, 'a']],
    ),
  ).toBe(7);
  expect(
    firstDifferentChunk(
      [[3, 'a']],
      [
        [2, 'x'],
        [3, 'a'],
      ],
    ),
  ).toBe(2);
});

test('records are compared by offset: a missing one does not make all behind it differ', () => {
  const source = [record(1), record(2), record(3)];
  expect(firstDifferentPair(source, [record(1), record(2), record(3)], 'equal')).toBeNull();
  expect(firstDifferentPair(source, [record(1), record(3)], 'equal')).toEqual({ source: record(2), target: null });
  expect(firstDifferentPair([record(1)], [record(1), record(2)], 'equal')).toEqual({ source: null, target: record(2) });
});

test('topic names and leader epochs may differ, a null value is not an empty one', () => {
  expect(firstDifferentPair([record(1)], [record(1, { topic: 'copy', leaderEpoch: 4 })], 'equal')).toBeNull();
  expect(firstDifferentPair([record(1, { value: null })], [record(1, { value: '' })], 'equal')).not.toBeNull();
  const order = [
    ['a', '31'],
    ['b', null],
  ] as const;
  expect(
    firstDifferentPair([record(1, { headers: order })], [record(1, { headers: order.toReversed() })], 'equal'),
  ).not.toBeNull();
});

test('timestamps count by value and type, by value, or not at all', () => {
  const appended = [record(1, { timestampType: 'LogAppendTime' })];
  expect(firstDifferentPair(appended, [record(1)], 'equal')).not.toBeNull();
  expect(firstDifferentPair(appended, [record(1)], 'append')).toBeNull();
  expect(firstDifferentPair(appended, [record(1, { timestamp: 1001 })], 'append')).not.toBeNull();
  expect(firstDifferentPair(appended, [record(1, { timestamp: 1001 })], 'ignore')).toBeNull();
});

test('a difference is told with its place and both sides', () => {
  const text = formatDifferences([
    { topic: 't', partition: 3, kind: 'record', offset: 9, source: 'no record', target: record(9).key },
  ]);
  expect(text).toBe('t-3 at offset 9: record differs\n  source "no record"\n  target "6b"');
});
