/** What docs/guarantees.md promises and docs/acceptance.md lists is shown by tests that exist. */
import { readFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { describe, expect, test } from 'vitest';
import { formatAcceptance } from './acceptance/acceptance-page.ts';
import { lists } from './acceptance/lists.ts';
import { declares, nameProblem, type TestName } from './test-titles.ts';

const root = dirname(dirname(fileURLToPath(import.meta.url)));
const items = lists.flatMap((list) => list.items);

describe('docs/acceptance.md', () => {
  test('is what the lists say; npm run gen makes it', () => {
    expect(readFileSync(join(root, 'docs/acceptance.md'), 'utf8')).toBe(formatAcceptance(lists));
  });

  test('names only tests that exist', () => {
    const names = items.flatMap(({ coverage }) => coverage.by);
    expect([...new Set(names.map((name) => nameProblem(name, root)).filter((problem) => problem !== null))]).toEqual(
      [],
    );
  });

  test('has each item once, with tests where it claims some, and with what is missing where it does not', () => {
    const ids = items.map(({ id }) => id);
    expect(ids.filter((id, at) => ids.indexOf(id) !== at)).toEqual([]);
    const needsTests = items.filter(({ coverage: { state } }) => state === 'covered' || state === 'partly');
    expect(needsTests.filter(({ coverage }) => coverage.by.length === 0)).toEqual([]);
    expect(items.filter(({ coverage: { state, text } }) => state !== 'covered' && text === '')).toEqual([]);
  });

  test('has every cell of 17 scenarios in 5 modes, and every fault and check that it is to have', () => {
    const ids = new Set(items.map(({ id }) => id));
    const cells = range(1, 17).flatMap((scenario) => range(1, 5).map((mode) => `A${scenario} M${mode}`));
    const checks = [...range(1, 13), 15, 17, 18].map((check) => `R${check}`);
    const others = [...range(1, 9).map((n) => `S${n}`), ...range(1, 8).map((n) => `P${n}`)];
    const faults = [
      [0, 7],
      [10, 18],
      [20, 35],
      [40, 47],
      [50, 63],
    ].flatMap(([from = 0, to = 0]) => range(from, to).map((n) => `F${String(n).padStart(2, '0')}`));
    expect([...cells, ...checks, ...others, ...faults].filter((id) => !ids.has(id))).toEqual([]);
    expect(items.filter(({ id }) => id.startsWith('cmp-'))).toHaveLength(74);
  });
});

test('a title is found as it stands, and only then', () => {
  const text = [
    `test('plain', () => {});`,
    'test.each([1, 2])(`of ${a} and %s`, () => {});',
    `const cases = [{ name: 'a row' }];`,
    `test.each(cases)('%s', async () => {});`,
    `const other = 'no test';`,
  ].join('\n');
  for (const title of ['plain', 'of ${a} and %s', 'a row']) expect(declares(text, title, false)).toBe(true);
  for (const title of ['plai', 'no test', 'of 1 and 2']) expect(declares(text, title, false)).toBe(false);
  const faults = "fault({ id: 'a-fault' }, run); fault({ id: `of-${side}-one` }, run);";
  for (const id of ['a-fault', 'of-source-one']) expect(declares(faults, id, true)).toBe(true);
  for (const id of ['fault', 'of-source-two']) expect(declares(faults, id, true)).toBe(false);
  const missing: TestName = { file: 'test/nowhere.test.ts', title: 'x' };
  expect(nameProblem(missing, root)).toBe('test/nowhere.test.ts does not exist');
});

function range(from: number, to: number): number[] {
  return Array.from({ length: to - from + 1 }, (_, at) => from + at);
}
