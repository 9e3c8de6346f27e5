/** Pages that `npm run gen` makes are current. */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { commandTable } from '#cli/command-table.ts';
import { formatCommands } from '#cli/docs-page.ts';
import { optionKeys } from '#contract/options.ts';
import { metricTable } from '#watch/metric-table.ts';
import { formatConfiguration } from './configuration-page.ts';
import { withMetrics } from './metrics-page.ts';

const read = (page: string): string => readFileSync(join(import.meta.dirname, '../../docs', page), 'utf8');

test('docs/configuration.md shows every option as it is', () => {
  const page = read('configuration.md');
  expect(page).toBe(formatConfiguration());
  for (const key of optionKeys) expect(page).toContain(`### \`${key}\``);
});

test('docs/metrics.md lists every metric as it is', () => {
  const page = read('metrics.md');
  expect(page).toBe(withMetrics(page));
  for (const name of Object.keys(metricTable)) expect(page).toContain(`| \`${name}\` |`);
});

test('docs/cli.md shows every command as it is', () => {
  const nouns = commandTable(() => {
    throw new Error('only completion asks for the tree of commands');
  });
  const page = read('cli.md');
  expect(page).toBe(formatCommands(nouns));
  const paths = nouns.flatMap(({ name, verbs }) =>
    Object.keys(verbs).map((spec) => (name === null ? spec : `${name} ${spec}`)),
  );
  for (const path of paths) expect(page).toContain(`### \`lockstep ${path}\``);
});
