/** docs/migration against what the migrations decide by: LOCKSTEP_WRITE_PAGES=1 writes its tables. */
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import type { Fate } from '#contract/migration.ts';
import { databaseRows, fileRows, historyTables, type KafMirrorRow } from '#migrate/kaf-mirror/settings.ts';
import { settingRows, type Level } from '#migrate/mirror-maker/settings.ts';
import { resourceRows } from '#migrate/strimzi/settings.ts';
import { must } from '#util/assert.ts';

const WORDS: Readonly<Record<Fate, string>> = {
  exact: 'exactly',
  different: 'with a difference',
  'no-equal': 'no equal',
  unknown: 'unknown',
};

/** `|` within a cell would end it. */
function tableOf(titles: readonly string[], rows: readonly (readonly string[])[]): string {
  const escaped = rows.map((row) => row.map((cell) => cell.replaceAll('|', '\\|')));
  return [titles, titles.map(() => '---'), ...escaped].map((cells) => `| ${cells.join(' | ')} |`).join('\n');
}

/** Rows that only differ in their keys are one line. */
function settingTable(level: Level): string {
  const groups = Map.groupBy(
    settingRows.filter((row) => row.level === level),
    ({ samples, to, how }) => JSON.stringify([Object.keys(samples), to, how]),
  );
  const lines = [...groups.values()].map((rows) => {
    const [first] = rows;
    const { samples, to, how } = must(first, 'a row');
    const taken = (Object.keys(samples) as Fate[]).map((fate) => WORDS[fate]).join(', ');
    return [rows.map(({ key }) => `\`${key}\``).join(', '), to === null ? '–' : `\`${to}\``, taken, how];
  });
  return tableOf(['Setting', 'Here', 'Taken over', 'How'], lines);
}

function kafMirrorTable(rows: readonly KafMirrorRow[]): string {
  return tableOf(
    ['There', 'Here', 'Taken over', 'How'],
    rows.map(({ path, to, fate, how }) => [
      `\`${path}\``,
      to ?? '–',
      fate === null ? 'by its value' : WORDS[fate],
      how,
    ]),
  );
}

const TABLES: readonly (readonly [page: string, name: string, text: string])[] = [
  ['mirror-maker-2.md', 'mirror', settingTable('mirror')],
  ['mirror-maker-2.md', 'cluster', settingTable('cluster')],
  ['mirror-maker-2.md', 'worker', settingTable('worker')],
  [
    'strimzi.md',
    'resource',
    tableOf(
      ['Part', 'Here', 'Taken over', 'How'],
      resourceRows.map(({ path, to, fate, how }) => [
        `\`${path}\``,
        to ?? '–',
        fate === null ? 'by its value' : WORDS[fate],
        how,
      ]),
    ),
  ],
  ['kaf-mirror.md', 'database', kafMirrorTable(databaseRows)],
  ['kaf-mirror.md', 'file', kafMirrorTable(fileRows)],
  ['kaf-mirror.md', 'history', historyTables.map((table) => `- \`${table}\``).join('\n')],
];

const spaceless = (text: string): string => text.replaceAll(/[ -]+/g, ' ');

test.each(TABLES)('docs/migration/%s has the table "%s" that the migration goes by', (page, name, table) => {
  const path = join(import.meta.dirname, '../docs/migration', page);
  const block = new RegExp(`(<!-- ${name} -->\\n\\n)([^]*?)(\\n*<!-- end -->)`);
  const document = readFileSync(path, 'utf8');
  if (process.env['LOCKSTEP_WRITE_PAGES'] === '1')
    writeFileSync(
      path,
      document.replace(block, () => `<!-- ${name} -->\n\n${table}\n\n<!-- end -->`),
    );
  const written = block.exec(readFileSync(path, 'utf8'))?.[2] ?? '';
  expect(spaceless(written)).toBe(spaceless(table));
});

test('a setting is in one row of its level', () => {
  const keys = settingRows.map(({ level, key }) => `${level} ${key}`);
  expect(keys.filter((key, index) => keys.indexOf(key) !== index)).toEqual([]);
});
