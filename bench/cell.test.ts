import { expect, test } from 'vitest';
import { byCondition, cellId, interleaved, type Cell } from './cell.ts';

const cell = (more: Partial<Cell>): Cell => ({
  kind: 'copy',
  dataSet: 'n1k_16',
  partitions: 8,
  gigabytes: 0.5,
  system: 'go',
  run: 1,
  ...more,
});

test('a cell is named by everything that its figures depend on', () => {
  const cells = [
    cell({}),
    cell({ run: 2 }),
    cell({ system: 'mm2' }),
    cell({ gigabytes: 1 }),
    cell({ partitions: 1_000 }),
    cell({ dataSet: 'l1k_64' }),
    cell({ kind: 'kill' }),
    cell({ mbPerSecond: 10 }),
    cell({ seconds: 5 }),
    cell({ link: '80ms' }),
  ];
  expect(new Set(cells.map(cellId)).size).toBe(cells.length);
  expect(cellId(cell({}))).toBe('copy n1k_16 8p 0.5GB go #1');
});

test('each round begins with another system, and each system runs as often', () => {
  const order = interleaved(['a', 'b', 'c'], 3).map(({ system, run }) => `${system}${run}`);
  expect(order).toEqual(['a1', 'b1', 'c1', 'b2', 'c2', 'a2', 'c3', 'a3', 'b3']);
});

test('cells that compare come together', () => {
  const cells = [cell({}), cell({ dataSet: 'l1k_64' }), cell({ system: 'mm2' })];
  expect(byCondition(cells).map((group) => group.map(cellId))).toEqual([
    ['copy n1k_16 8p 0.5GB go #1', 'copy n1k_16 8p 0.5GB mm2 #1'],
    ['copy l1k_64 8p 0.5GB go #1'],
  ]);
});
