/** docs/acceptance.md, from the lists: nothing in it is written by hand. */
import type { Coverage, Item, List, State } from './coverage.ts';

const states: Readonly<Record<State, string>> = {
  covered: 'covered',
  partly: 'partly',
  open: 'open',
  later: 'comes with',
  none: 'does not apply',
};

const head = `# Acceptance

What the mirror is to be held to, and which tests do it. Made by \`npm run gen\` from \`test/acceptance/lists.ts\`; a test checks that each
named test exists. *Covered*: the tests show the whole item. *Partly*: what is missing is said, and is open. *Open*: no test.
*Comes with*: it needs a part that is not there yet. *Does not apply*: with the reason.
`;

export function formatAcceptance(lists: readonly List[]): string {
  return `${[head, countsOf(lists), ...lists.map(sectionOf)].join('\n')}\n`;
}

function countsOf(lists: readonly List[]): string {
  const kinds = Object.keys(states) as State[];
  const counts = (items: readonly Item[]): string[] =>
    kinds.map((state) => String(items.filter(({ coverage }) => coverage.state === state).length));
  const rows = lists.map(({ title, items }) => row([title, String(items.length), ...counts(items)]));
  const all = lists.flatMap(({ items }) => items);
  return [
    row(['List', 'Items', ...kinds.map((state) => states[state])]),
    row(['---', ...kinds.map(() => '---:'), '---:']),
    ...rows,
    row(['All', String(all.length), ...counts(all)]),
    '',
  ].join('\n');
}

function sectionOf({ title, intro, items }: List): string {
  return [
    `## ${title}\n`,
    ...(intro === '' ? [] : [`${intro}\n`]),
    row(['Id', 'What', 'State', 'Tests', 'Missing, or to be known']),
    row(['---', '---', '---', '---', '---']),
    ...items.map(({ id, says, coverage }) => row([id, says, stateOf(coverage), testsOf(coverage), textOf(coverage)])),
    '',
  ].join('\n');
}

function stateOf({ state, text }: Coverage): string {
  if (state === 'later') return `comes with ${text}`;
  return state === 'partly' || state === 'open' ? `**${states[state]}**` : states[state];
}

const textOf = ({ state, text }: Coverage): string => (state === 'later' ? '' : text);

function testsOf({ by }: Coverage): string {
  return by.map(({ file, title }) => `[${title.replaceAll(/[[\]]/g, String.raw`\$&`)}](../${file})`).join('; ');
}

function row(cells: readonly string[]): string {
  return `| ${cells.map((cell) => cell.replaceAll('|', String.raw`\|`)).join(' | ')} |`;
}
