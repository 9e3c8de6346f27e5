/**
 * Whether a file declares a test of a title, read from its text: pages that name tests are held to it without running them.
 * A title is written as it stands in the source, so `${…}` and `%s` stay; of a fault it is the id.
 */
import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';

/** A test as a page names it. */
export interface TestName {
  /** From the root of the repository. */
  readonly file: string;
  readonly title: string;
}

const LITERAL = String.raw`'(?:[^'\\]|\\.)*'|"(?:[^"\\]|\\.)*"|\`[^\`]*\``;
const CALL = new RegExp(
  // `test('…'`, and `test.each([…])('…'`, whose table may be long.
  String.raw`(?:\b(?:test|it)(?:\.\w+)*|\)|\}\s*\`)\(\s*(${LITERAL})\s*,`,
  'g',
);
const ROW_NAME = new RegExp(String.raw`\bname: (${LITERAL})`, 'g');
/** `id: '…'`, one of two of a condition, or the first of a row of a table. */
const ID = /^(?=.*\bid: [^`]*$|\s*\[').*$/gm;
const WORD = /'([a-z0-9-]+)'/g;
const ID_TEMPLATE = /\bid: `([^`]*)/g;

/** What is wrong with the name of a test; null where its file has it. */
export function nameProblem({ file, title }: TestName, root: string): string | null {
  const path = join(root, file);
  if (!existsSync(path)) return `${file} does not exist`;
  const text = readFileSync(path, 'utf8');
  return declares(text, title, file.endsWith('.fault.test.ts')) ? null : `${file} has no test "${title}"`;
}

export function declares(text: string, title: string, isFault: boolean): boolean {
  if (isFault) {
    if ((text.match(ID) ?? []).some((line) => allOf(line, WORD).includes(title))) return true;
    return allOf(text, ID_TEMPLATE).some((template) => patternOf(template).test(title));
  }
  const titles = allOf(text, CALL).map(unquoted);
  // Tests of a table are named by its rows.
  return titles.includes(title) || (titles.includes('%s') && allOf(text, ROW_NAME).map(unquoted).includes(title));
}

/** `${…}` stands for anything that an id can hold; what is behind a nested template is not looked at. */
function patternOf(template: string): RegExp {
  const parts = template.split(/\$\{[^}]*\}?/).map((part) => part.replaceAll(/[^\w-]/g, String.raw`\$&`));
  return new RegExp(`^${parts.join('[a-z0-9-]+')}${template.endsWith('? ') ? '.*' : ''}$`);
}

function allOf(text: string, pattern: RegExp): string[] {
  return [...text.matchAll(pattern)].map((match) => match[1] ?? '');
}

function unquoted(literal: string): string {
  return literal.slice(1, -1).replaceAll(/\\(['"`\\])/g, '$1');
}
