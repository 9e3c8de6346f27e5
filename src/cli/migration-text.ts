/** The account of a migration as people read it: first what to do, then every setting. */
import type { Fate, MigratedSetting, Migration } from '#contract/migration.ts';
import { printable } from '#util/printable.ts';
import { formatNumberOf, formatTable, wrap } from './format.ts';
import type { Io } from './io.ts';

const FATES: readonly (readonly [Fate, string])[] = [
  ['unknown', 'Unknown settings'],
  ['no-equal', 'Settings without an equal'],
  ['different', 'Settings taken over with a difference'],
  ['exact', 'Settings taken over exactly'],
];

/** `out`: where the resources were written; null where they were printed. */
export function describeMigration(io: Io, migration: Migration, out: string | null): string {
  const { resources, clusters, mirrors, settings, defaults, secrets, users, history } = migration;
  const width = Math.min(io.columns(), 120);
  const made = `${formatNumberOf(clusters.length, 'cluster')}, ${formatNumberOf(mirrors.length, 'mirror')}`;
  const where = out === null || resources === '' ? '' : ` in ${out}`;
  const steps = [...new Set(settings.flatMap((setting) => setting.steps))];
  const open = secrets.filter(({ isThere }) => !isThere);
  const lines = [io.style('bold', printable(`${made}${where}`))];
  lines.push(
    ...section(
      io,
      'To do',
      steps.flatMap((step) => wrap(`  ${step}`, width, '      ')),
    ),
  );
  lines.push(
    ...section(
      io,
      'Secrets to put in place',
      open.map(({ key, reference, from }) => {
        const place = 'env' in reference ? `variable ${reference.env}` : `file ${reference.file}`;
        return printable(`  ${place}: ${key}, from ${from}`);
      }),
    ),
  );
  for (const [fate, title] of FATES) {
    const of = settings.filter((setting) => setting.fate === fate);
    lines.push(...section(io, `${title} (${of.length})`, of.length === 0 ? [] : describeSettings(of, width)));
  }
  lines.push(
    ...section(
      io,
      'What the files did not say',
      defaults.flatMap((text) => wrap(`  ${text}`, width, '      ')),
    ),
  );
  const people = users.map(
    ({ name, roles }) => `  ${printable(name)}: ${roles.map(printable).join(', ') || 'no role'}`,
  );
  lines.push(...section(io, 'Users, who set new passwords', people));
  const past = history.map(({ table, shape, rows }) => `  ${table} (${shape}): ${formatNumberOf(rows.length, 'row')}`);
  lines.push(...section(io, 'History, which --history writes', past.map(printable)));
  return `${lines.join('\n')}\n`;
}

function section(io: Io, title: string, lines: readonly string[]): string[] {
  return lines.length === 0 ? [] : ['', io.style('bold', title), ...lines];
}

function describeSettings(settings: readonly MigratedSetting[], width: number): string[] {
  const [, ...rows] = formatTable(
    [{ title: 'SETTING' }, { title: 'BECOMES' }],
    settings.map(({ file, line, setting, to }) => [
      `${setting} (${line === null ? file : `${file}:${line}`})`,
      to.join('; '),
    ]),
  );
  return rows.flatMap((row, index) => [
    `  ${row}`,
    ...(settings[index]?.notes ?? []).flatMap((note) => wrap(`      ${note}`, width, '      ')),
  ]);
}
