/** Part of `npm run gen`: writes docs/cli.md, docs/configuration.md, the table of docs/metrics.md and deploy/grafana/ from the tables that they show. */
import { readFileSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { commandTable } from '#cli/command-table.ts';
import { formatCommands } from '#cli/docs-page.ts';
import { dashboards, formatDashboard } from '../test/deploy/dashboards.ts';
import { formatConfiguration } from '../test/pages/configuration-page.ts';
import { withMetrics } from '../test/pages/metrics-page.ts';

const noProgram = (): never => {
  throw new Error('only completion asks for the tree of commands');
};

const root = dirname(dirname(fileURLToPath(import.meta.url)));
const metrics = join(root, 'docs', 'metrics.md');
writeFileSync(metrics, withMetrics(readFileSync(metrics, 'utf8')));
writeFileSync(join(root, 'docs', 'cli.md'), formatCommands(commandTable(noProgram)));
writeFileSync(join(root, 'docs', 'configuration.md'), formatConfiguration());
for (const dashboard of dashboards)
  writeFileSync(join(root, 'deploy', 'grafana', `${dashboard.uid}.json`), formatDashboard(dashboard));
