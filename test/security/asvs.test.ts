/** security/asvs.yaml goes through every requirement of OWASP ASVS 5.0.0 of levels 1 and 2, and names only what exists. */
import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { parse } from 'yaml';
import { nameProblem, type TestName } from '../test-titles.ts';

interface Item {
  readonly id: string;
  readonly level: number;
  readonly control?: string;
  readonly tests?: readonly TestName[];
  /** `docs/page.md#heading` */
  readonly documents?: readonly string[];
  readonly notApplicable?: string;
  readonly open?: string;
}

const root = join(import.meta.dirname, '../..');
const items = parse(readFileSync(join(root, 'security/asvs.yaml'), 'utf8')) as Item[];
/** Ids with their levels, as the standard has them. */
const standard = JSON.parse(readFileSync(join(root, 'test/fixtures/asvs-5.0.0.json'), 'utf8')) as Record<
  string,
  number
>;

test('has every requirement of levels 1 and 2, once, with its level', () => {
  expect(items.map(({ id }) => id)).toEqual(Object.keys(standard));
  expect(items.filter(({ id, level }) => standard[id] !== level)).toEqual([]);
  const levels = Object.values(standard);
  expect([1, 2].map((level) => levels.filter((each) => each === level).length)).toEqual([70, 183]);
});

test('each has a test, a document, a reason why it does not apply, or what is missing', () => {
  expect(items.flatMap(problemsOf)).toEqual([]);
});

test('what shows nothing is noticed', () => {
  const file = 'test/security/asvs.test.ts';
  const good = { id: '1.1.1', level: 2, control: 'c', tests: [{ file, title: 'what shows nothing is noticed' }] };
  expect(problemsOf(good)).toEqual([]);
  expect(problemsOf({ ...good, tests: [{ file, title: 'none' }] })).toEqual([`1.1.1: ${file} has no test "none"`]);
  expect(problemsOf({ id: '1.1.1', level: 2 })).toEqual(['1.1.1: says nothing']);
  expect(problemsOf({ ...good, notApplicable: 'There is none.' })).toEqual(['1.1.1: says two things']);
  expect(problemsOf({ id: '1.1.1', level: 2, notApplicable: 'no' })).toEqual(['1.1.1: gives no reason']);
  expect(problemsOf({ id: '1.1.1', level: 2, control: 'c', documents: ['docs/security.md#nowhere'] })).toEqual([
    '1.1.1: docs/security.md#nowhere leads nowhere',
  ]);
});

function problemsOf({ id, control, tests = [], documents = [], notApplicable, open }: Item): string[] {
  const said = [control, notApplicable, open].filter((text) => text !== undefined);
  const problems = [
    ...(said.length === 0 ? ['says nothing'] : []),
    ...(said.length > 1 ? ['says two things'] : []),
    ...(control !== undefined && tests.length + documents.length === 0 ? ['is shown by nothing'] : []),
    ...([notApplicable, open].some((text) => text !== undefined && text.length < 10) ? ['gives no reason'] : []),
    ...tests.map((name) => nameProblem(name, root)).filter((problem) => problem !== null),
    ...documents.filter((place) => !leadsSomewhere(place)).map((place) => `${place} leads nowhere`),
  ];
  return problems.map((problem) => `${id}: ${problem}`);
}

function leadsSomewhere(place: string): boolean {
  const [path = '', anchor = ''] = place.split('#');
  if (!existsSync(join(root, path))) return false;
  const headings = [...readFileSync(join(root, path), 'utf8').matchAll(/^#+ (.+)$/gm)].map(([, text = '']) =>
    text
      .toLowerCase()
      .replaceAll(/[^\w -]/g, '')
      .replaceAll(' ', '-'),
  );
  return headings.includes(anchor);
}
