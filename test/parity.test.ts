/** docs/parity.md has every item and defect of the originals, and names only what exists. */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { runLine } from '#testing/command-line.ts';
import { nameProblem, type TestName } from './test-titles.ts';

const root = join(import.meta.dirname, '..');
const page = readFileSync(join(root, 'docs/parity.md'), 'utf8');
/** Items of each part of the page, each with its defects. */
const parts = JSON.parse(readFileSync(join(import.meta.dirname, 'fixtures/parity-items.json'), 'utf8')) as Record<
  string,
  Record<string, string[]>
>;

interface Row {
  readonly part: string;
  readonly id: string;
  readonly state: string;
  readonly shown: string;
}

test('docs/parity.md has each item of each part, once and in order', () => {
  const ids = Object.keys(parts).map((part) => ({
    part,
    ids: rowsOf(page).flatMap((row) => (row.part === part ? row.id : [])),
  }));
  expect(ids).toEqual(Object.entries(parts).map(([part, items]) => ({ part, ids: Object.keys(items) })));
  expect(rowsOf(page).length).toBe(ids.reduce((sum, { ids: { length } }) => sum + length, 0));
});

test('what it calls done is shown by tests and commands that exist, with a test for each defect', async () => {
  expect(await problemsOf(rowsOf(page))).toEqual([]);
});

test('what shows nothing is noticed', async () => {
  const file = 'test/parity.test.ts';
  const shown = `[it](../${file} "what shows nothing is noticed")`;
  const problems = (id: string, state: string, text: string) =>
    problemsOf(rowsOf(`## CLI\n\n| Item | What |\n|---|---|\n| ${id} | words | ${state} | ${text} |\n`));
  expect(await problems('M-152', 'done', shown)).toEqual([]);
  expect(await problems('M-152', 'done', '`lockstep validate`')).toEqual([]);
  expect(await problems('M-152', 'done', 'surely')).toEqual(['M-152: nothing shows it']);
  expect(await problems('M-152', 'done', '`lockstep no-such-verb`')).toEqual([
    'M-152: no command lockstep no-such-verb',
  ]);
  expect(await problems('M-152', 'open', shown.replace('what', 'whatever'))).toEqual([
    `M-152: ${file} has no test "whatever shows nothing is noticed"`,
  ]);
  expect(await problems('M-151', 'done', shown)).toEqual(['M-151: no test is named reg-M-151']);
  expect(await problems('M-152', 'later', '**sometime**')).toEqual(['M-152: waits for nothing that the page names']);
  expect(await problems('M-152', 'open', '')).toEqual(['M-152: does not say what is missing']);
  expect(await problems('M-152', 'soon', shown)).toEqual(['M-152: has no state']);
});

function rowsOf(text: string): Row[] {
  return text.split(/^## /m).flatMap((section) => {
    const [part = ''] = section.split('\n');
    return [...section.matchAll(/^\| (?!Item )([\w-]+) \| .*? \| (\w+) \| (.*) \|$/gm)].map(
      ([, id = '', state = '', shown = '']) => ({ part, id, state, shown }),
    );
  });
}

async function problemsOf(rows: readonly Row[]): Promise<string[]> {
  const problems = await Promise.all(
    rows.map(async (row) => (await problemsOfRow(row)).map((text) => `${row.id}: ${text}`)),
  );
  return problems.flat();
}

async function problemsOfRow({ part, id, state, shown }: Row): Promise<string[]> {
  const tests = testsOf(shown);
  const wrong = tests.map((name) => nameProblem(name, root)).filter((problem) => problem !== null);
  switch (state) {
    case 'done': {
      const commands = [...shown.matchAll(/`lockstep ([^`]+)`/g)].map(([, words = '']) => words);
      const missing = (
        await Promise.all(commands.map(async (words) => ((await isCommand(words)) ? [] : [words])))
      ).flat();
      const nothing = tests.length + commands.length === 0 ? ['nothing shows it'] : [];
      const unnamed = (parts[part]?.[id] ?? []).filter(
        (defect) => !tests.some(({ title }) => isNamedFor(title, defect)),
      );
      return [
        ...wrong,
        ...nothing,
        ...missing.map((words) => `no command lockstep ${words}`),
        ...unnamed.map((defect) => `no test is named reg-${defect}`),
      ];
    }
    case 'later':
      return capabilities().has(/^\*\*(.+?)\*\*/.exec(shown)?.[1] ?? '')
        ? wrong
        : [...wrong, 'waits for nothing that the page names'];
    case 'open':
      return shown.length > 10 ? wrong : [...wrong, 'does not say what is missing'];
    default:
      return [...wrong, 'has no state'];
  }
}

/** `[words](../file "title")` */
function testsOf(text: string): TestName[] {
  return [...text.matchAll(/\]\(\.\.\/(\S+) "((?:[^"\\]|\\.)*)"\)/g)].map(([, file = '', title = '']) => ({
    file,
    title: title.replaceAll('\\"', '"'),
  }));
}

/** A title begins with the defects that it is for: `reg-M-005b reg-M-074: …`. */
function isNamedFor(title: string, defect: string): boolean {
  return (title.split(':')[0] ?? '').split(/[\s,]+/).includes(`reg-${defect}`);
}

async function isCommand(words: string): Promise<boolean> {
  const verb = words.split(' ').filter((word) => /^[a-z][a-z0-9-]*$/.test(word));
  const { out } = await runLine([...verb, '--help']);
  return out.startsWith(`Usage: lockstep ${verb.join(' ')}`);
}

/** `- **name**: …` above the first part. */
function capabilities(): ReadonlySet<string> {
  const [preamble = ''] = page.split(/^## /m);
  return new Set([...preamble.matchAll(/^- \*\*(.+?)\*\*/gm)].map(([, name = '']) => name));
}
