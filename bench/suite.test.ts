import { expect, test } from 'vitest';
import { cellId } from './cell.ts';
import { coreDataSets } from './data-set.ts';
import { parseOptions } from './options.ts';
import { cellsOf, suiteNames } from './suite.ts';

test('the core has every row of the goals with all peers three times, 1,000 partitions, and latency', () => {
  const ids = cellsOf(['core']).map(cellId);
  for (const dataSet of coreDataSets)
    for (const system of ['relay', 'go', 'mm2', 'mm2-default', 'lockstep'])
      for (const run of [1, 2, 3]) expect(ids).toContain(`copy ${dataSet} 8p 0.5GB ${system} #${run}`);
  expect(ids).toContain('copy n1k_16 1000p 0.5GB lockstep #3');
  expect(ids).toContain('latency n1k_16 8p 10MB/s 30s mm2 #3');
});

test('no cell is there twice, also of suites that overlap', () => {
  const ids = cellsOf([...suiteNames]).map(cellId);
  expect(new Set(ids).size).toBe(ids.length);
});

test('a smoke never passes for a cell of another suite', () => {
  const smoke = new Set(cellsOf(['smoke']).map(cellId));
  expect(
    cellsOf(['core', 'full'])
      .map(cellId)
      .filter((id) => smoke.has(id)),
  ).toEqual([]);
});

test('the command line goes before the suite', () => {
  const options = parseOptions([
    'core',
    '--dataset',
    'l1k_64',
    '--systems',
    'go,lockstep',
    '--gb',
    '0.1',
    '--runs',
    '1',
  ]);
  expect(cellsOf(options?.suites ?? [], options?.choice).map(cellId)).toEqual([
    'copy l1k_64 8p 0.1GB go #1',
    'copy l1k_64 8p 0.1GB lockstep #1',
  ]);
});

test.each([[['dance']], [['--systems', 'kafka']], [['--dataset', 'x']], [['--gb', '0']], [['--runs', '1.5']]])(
  '%j is refused',
  (args) => {
    expect(() => parseOptions(args)).toThrow(/'.+' is/);
  },
);
