/** docs/permissions.md against the rights as data: LOCKSTEP_WRITE_PAGES=1 writes its tables. */
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import type { Right } from '#contract/plan.ts';
import { mirrorSchema } from '#contract/resources.ts';
import { permissionsOf, RIGHTS, rightsOf, type RightRow } from '#mirror/rights.ts';
import { must } from '#util/assert.ts';

const path = join(import.meta.dirname, '../docs/permissions.md');

/** Every right with the names of the document in the place of topics. */
function rights(): Right[] {
  const access = (cluster: string) => ({ cluster, bootstrap: cluster, principal: 'User:NAME', how: '' });
  return [true, false].flatMap((configs) => {
    const mirror = mirrorSchema.parse({
      apiVersion: 'lockstep/v1',
      kind: 'Mirror',
      metadata: { name: 'any' },
      spec: {
        source: 's',
        target: 't',
        topics: [{ match: 'TOPIC', to: 'COPY' }],
        transactions: 'committed-only',
        sync: {
          configs,
          groups: { match: ['GROUP'], deleted: 'delete', checkpoints: true },
          acls: true,
          quotas: true,
          users: true,
        },
      },
    });
    const accesses = { source: access('SOURCE:9092'), target: access('TARGET:9092') };
    if (configs) return [...permissionsOf(mirror, accesses).rights];
    const [source, target] = ['TOPIC', 'COPY'].map((name) => ({ name, pattern: 'literal' as const }));
    const topic = { source: must(source, 'source'), target: must(target, 'target'), changesConfigs: false };
    const settled = { ...topic, targetIsMissing: false, beginsLater: false, mayHaveHoles: false };
    return rightsOf(
      mirror,
      { stateIsMissing: false, mirrorIsNew: false, markersNeedClusterAction: false, topics: [settled] },
      accesses,
    );
  });
}

const RESOURCES: Readonly<Record<RightRow['on'], string>> = {
  'source topic': 'topic `TOPIC`',
  'target topic': 'topic `COPY`',
  'state topic': 'topic `__lockstep.state`',
  'transactional ids': 'transactional ids `lockstep-*`',
  groups: 'groups `lockstep-*`',
  'source groups': 'group `GROUP`',
  'target groups': 'group `GROUP`',
  'checkpoint topics': 'topics `NAME.checkpoints.internal`, `NAME.heartbeats` (name of the source)',
  cluster: 'the cluster',
};

function tableOf(rows: readonly RightRow[]): string {
  const all = rights();
  const lines = rows.map((row) => {
    const { command } = must(
      all.find(({ side, operation, why }) => side === row.side && operation === row.operation && why === row.why),
      `${row.operation} on the ${row.on}`,
    );
    return [row.side, RESOURCES[row.on], row.operation, row.when, row.why, row.without, `\`${command}\``];
  });
  const titles = ['Cluster', 'Resource', 'Operation', 'Needed', 'Why', 'Without it', 'Command'];
  return [titles, titles.map(() => '---'), ...lines].map((cells) => `| ${cells.join(' | ')} |`).join('\n');
}

const rows: readonly RightRow[] = Object.values(RIGHTS);
const TABLES: Readonly<Record<string, readonly RightRow[]>> = {
  least: rows.filter(({ stops }) => stops !== 'plan'),
  plan: rows.filter(({ stops }) => stops === 'plan'),
};

/** The cells of a table, whatever the width of its columns. */
const cellsOf = (table: string): string[][] =>
  table
    .split('\n')
    .filter((line) => line.startsWith('|') && !/^\|[ |:-]+$/.test(line))
    .map((line) =>
      line
        .split('|')
        .slice(1, -1)
        .map((cell) => cell.trim()),
    );

test.each(Object.keys(TABLES))('docs/permissions.md has the table "%s" of the rights that are checked', (name) => {
  const block = new RegExp(`(<!-- ${name} -->\\n\\n)([^]*?)(\\n\\n<!-- end -->)`);
  const table = tableOf(must(TABLES[name], 'table'));
  const document = readFileSync(path, 'utf8');
  if (process.env['LOCKSTEP_WRITE_PAGES'] === '1') writeFileSync(path, document.replace(block, `$1${table}$3`));
  const written = block.exec(readFileSync(path, 'utf8'))?.[2] ?? '';
  expect(cellsOf(written)).toEqual(cellsOf(table));
});

test('a right that the table lacks is noticed', () => {
  const table = tableOf(must(TABLES['least'], 'table'));
  expect(cellsOf(table.split('\n').slice(0, -1).join('\n'))).not.toEqual(cellsOf(table));
});
