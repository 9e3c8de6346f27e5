import { expect, test } from 'vitest';
import { columns, figures, implausible, type FigureName, type Figures } from './figure.ts';

const plausible: Figures = Object.fromEntries(columns.copy.map((name): [FigureName, number] => [name, 5]));

test('figures that are there and of this world pass, whatever their size', () => {
  expect(implausible('copy', plausible, { hasBrokers: true })).toEqual([]);
});

test.each([0, -1, NaN, Infinity])('a wall of %d MB/s is not plausible', (mbPerSecond) => {
  expect(implausible('copy', { ...plausible, mbPerSecond }, { hasBrokers: true })).toHaveLength(1);
});

test('a figure that is missing is named; those of brokers only where there are brokers', () => {
  const { targetCpuPerGb: _target, ...rest } = plausible;
  expect(implausible('copy', rest, { hasBrokers: true })).toEqual(['targetCpuPerGb is missing']);
  expect(implausible('copy', rest, { hasBrokers: false })).toEqual([]);
});

test('every column can be judged', () => {
  for (const names of Object.values(columns)) for (const name of names) expect(figures[name].plausible).toHaveLength(2);
});
