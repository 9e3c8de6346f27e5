import { metricTable } from '#watch/metric-table.ts';
import { must } from '#util/assert.ts';

const PLACE = /(<!-- metrics -->\n)[\s\S]*(<!-- \/metrics -->)/;

/** docs/metrics.md with its table as the metrics are. Those of kaf-mirror are in a section of their own. */
export function withMetrics(page: string): string {
  must(PLACE.exec(page), 'place of the table');
  const rows = Object.entries(metricTable).map(
    ([name, { type, labels, help }]) =>
      `| \`${name}\` | ${type} | ${labels.map((label) => `\`${label}\``).join(', ') || '–'} | ${help} |`,
  );
  const table = ['| Metric | Type | Labels | Is |', '|---|---|---|---|', ...rows].join('\n');
  return page.replace(PLACE, (_, begin: string, end: string) => `${begin}\n${table}\n\n${end}`);
}
