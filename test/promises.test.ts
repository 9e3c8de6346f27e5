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

describe('docs/guarantees.md', () => {
  const page = readFileSync(join(root, 'docs/guarantees.md'), 'utf8');

  test('names only tests that exist, and each that it names is used', () => {
    const names = [...definitionsOf(page).values()];
    expect(names.length).toBeGreaterThan(30);
    expect(names.map((name) => nameProblem(name, root)).filter((problem) => problem !== null)).toEqual([]);
    const keys = [...page.matchAll(/^\[([^\]]+)\]: /gm)].map(([, key]) => key);
    expect(keys.filter((key, at) => keys.indexOf(key) !== at)).toEqual([]); // Markdown takes the first, wherever it leads
    const used = new Set(page.split('\n').flatMap(referencesOf));
    expect([...definitionsOf(page).keys()].filter((key) => !used.has(key))).toEqual([]);
  });

  test('has a test for each sentence of what it promises', () => {
    expect(unshownOf(page)).toEqual([]);
    expect([...page.matchAll(/^## G\d/gm)]).toHaveLength(9);
  });

  test('a sentence without a test, or with one that is not named, is noticed', () => {
    const shown = '## G1\n\n- Shown ([a], [in words][a]).\n\n[a]: ../test/a.test.ts "of a"\n';
    expect(unshownOf(shown)).toEqual([]);
    expect(definitionsOf(shown)).toEqual(new Map([['a', { file: 'test/a.test.ts', title: 'of a' }]]));
    expect(unshownOf(shown.replace('([a], [in words][a])', '([b])'))).toEqual(['Shown ([b]).']);
    expect(unshownOf(shown.replace('Shown (', 'More. Shown ('))).toEqual(['More.']);
    expect(unshownOf(shown.replace('- Shown', '- More\n  here.\n- Shown'))).toEqual(['More here.']);
    expect(unshownOf(`${shown}\n## Not shown yet\n\n- More.\n`)).toEqual([]);
  });
});

/** Sections that promise nothing. */
const UNSHOWN = /^(What is not promised|Not shown yet)$/m;

/** Sentences of lists that promise and name no test of the page. */
function unshownOf(page: string): string[] {
  const known = definitionsOf(page);
  const sections = page.split(/^## /m).slice(1);
  const promises = sections.filter((section) => !UNSHOWN.test(section.split('\n')[0] ?? ''));
  const points = promises.flatMap((section) =>
    [...section.matchAll(/^- (.*(?:\n {2}.*)*)/gm)].map((match) => (match[1] ?? '').replaceAll(/\s+/g, ' ')),
  );
  const sentences = points.flatMap((point) => point.split(/(?<=\.) (?=[A-Z`])/));
  return sentences.filter((sentence) => !referencesOf(sentence).some((key) => known.has(key)));
}

/** `[key]: ../file "title of the test"`, by key. */
function definitionsOf(page: string): Map<string, TestName> {
  return new Map(
    [...page.matchAll(/^\[([^\]]+)\]: \.\.\/(\S+) "(.*)"$/gm)].map(([, key = '', file = '', title = '']) => [
      key,
      { file, title },
    ]),
  );
}

/** The keys of `[key]` and `[words][key]`. */
function referencesOf(text: string): string[] {
  return [...text.matchAll(/\[([^\]]+)\](?:\[([^\]]+)\])?(?![(:])/g)].map(([, words = '', key]) => key ?? words);
}

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
  const faults = [
    "fault({ id: 'a-fault' }, run);",
    'fault({ id: `of-${side}-one` }, run);',
    "fault({ id: isLate ? 'late' : 'early' }, run);",
    "['another-row', 'target'],",
    "const side = 'source';",
  ].join('\n');
  for (const id of ['a-fault', 'of-source-one', 'late', 'early', 'another-row'])
    expect(declares(faults, id, true)).toBe(true);
  for (const id of ['fault', 'of-source-two', 'source']) expect(declares(faults, id, true)).toBe(false);
  const missing: TestName = { file: 'test/nowhere.test.ts', title: 'x' };
  expect(nameProblem(missing, root)).toBe('test/nowhere.test.ts does not exist');
});

function range(from: number, to: number): number[] {
  return Array.from({ length: to - from + 1 }, (_, at) => from + at);
}
