import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, expect, test } from 'vitest';
import { appendResult, dueCells, latestResults, readResults } from './result.ts';
import { resultOf } from './sample-result.ts';

const folders: string[] = [];
afterEach(() => {
  for (const folder of folders.splice(0)) rmSync(folder, { recursive: true });
});

test('results are read in the order in which they were added', () => {
  const folder = mkdtempSync(join(tmpdir(), 'lockstep-results-'));
  folders.push(folder);
  const path = join(folder, 'new', 'results.jsonl');
  expect(readResults(path)).toEqual([]);
  const results = [resultOf({}), resultOf({ system: 'go' })];
  for (const result of results) appendResult(path, result);
  expect(readResults(path)).toEqual(results);
});

test('a cell with a result of these sources is not due again', () => {
  const [done, other] = [resultOf({}), resultOf({ run: 2 })];
  const cells = [done.cell, other.cell];
  expect(dueCells(cells, [done], { sources: 'one', again: false })).toEqual([other.cell]);
  expect(dueCells(cells, [done], { sources: 'one', again: true })).toEqual(cells);
});

test.each([
  ['of other sources', resultOf({}, { sources: 'two' })],
  ['of a cell that failed', resultOf({}, { state: 'failed', reason: 'x' })],
  ['of a cell that was not run', resultOf({}, { state: 'not run', reason: 'x' })],
  ['of less data', resultOf({ gigabytes: 0.1 })],
])('a result %s leaves the cell due', (_what, result) => {
  const { cell } = resultOf({});
  expect(dueCells([cell], [result], { sources: 'one', again: false })).toEqual([cell]);
});

test('the last result of a cell counts', () => {
  const [first, second] = [resultOf({}, { load: 1 }), resultOf({}, { load: 2 })];
  expect(latestResults([first, resultOf({ run: 2 }), second]).map(({ load }) => load)).toEqual([2, 0]);
});
