import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { barChart } from './chart.ts';
import { formatTable, formatUnmeasured } from './report.ts';
import { rowsOf } from './row.ts';
import { resultOf } from './sample-result.ts';
import { chartsFolder, chartsOf, performancePage, readReference, withFigures } from './update-docs.ts';

const failed = resultOf({ system: 'mm2' }, { state: 'failed', reason: 'it ended\nlog' });
const rows = rowsOf([
  resultOf({}, { figures: { cpuPerGb: 1 } }),
  resultOf({ run: 2 }, { figures: { cpuPerGb: 3 } }),
  resultOf({ run: 3 }, { figures: { cpuPerGb: 2 } }),
  failed,
]);

test('a table has the median of the runs with its spread, and a dash where nothing was measured', () => {
  const [, , ours = '', theirs = ''] = formatTable(rows).split('\n');
  expect(ours).toMatch(/lockstep \| +3 \|.* 2\.00 \(1\.00–3\.00\) \|/);
  expect(theirs).toMatch(/mm2 +\| +0 \| +– \| +– \|/);
});

test('what was not measured is named with its reason', () => {
  expect(formatUnmeasured(rows)).toBe('- copy n1k_16 8p 1GB, mm2: failed: it ended');
});

test('a chart has a bar for each system that was measured', () => {
  const chart = barChart(rows, 'cpuPerGb') ?? '';
  expect(chart.match(/<rect /g)).toHaveLength(1);
  expect(chart).toContain('>2.00</text>');
  expect(barChart(rows, 'p99Ms')).toBeNull();
});

test('docs/performance.md and its charts show the kept results', () => {
  const page = readFileSync(performancePage, 'utf8');
  expect(withFigures(page, readReference()), 'run: node bench/update-docs.ts').toBe(page);
  expect(() => withFigures('# Performance\n', readReference())).toThrow('has no line');
  for (const [name, chart] of chartsOf(readReference()))
    expect(readFileSync(join(chartsFolder, name), 'utf8'), `${name}: run node bench/update-docs.ts`).toBe(chart);
});
