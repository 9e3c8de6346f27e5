/** What deploy/ ships for Prometheus and Grafana, held against the metrics that exist and the pages that it points to. */
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { parse } from 'yaml';
import { metricTable } from '#watch/metric-table.ts';
import { dashboards, formatDashboard } from './dashboards.ts';

const root = join(import.meta.dirname, '../..');

interface Rule {
  readonly alert: string;
  readonly expr: string;
  readonly labels: { readonly severity: string };
  readonly annotations: { readonly summary: string; readonly description: string; readonly runbook_url: string };
}

const rules = readdirSync(join(root, 'deploy/prometheus'))
  .filter((name) => name.endsWith('.rules.yaml'))
  .flatMap((name) => {
    const { groups } = parse(readFileSync(join(root, 'deploy/prometheus', name), 'utf8')) as {
      groups: { rules: Rule[] }[];
    };
    return groups.flatMap((group) => group.rules);
  });

/** Metrics of an expression that no Lockstep exposes. `up` is Prometheus' own. */
function unknownMetrics(expr: string): string[] {
  const names = expr.replaceAll(/"[^"]*"/g, '""').match(/\b(?:lockstep|process|kaf_mirror)_\w+/g) ?? [];
  const known = new Set(Object.keys(metricTable));
  return names.filter((name) => {
    const base = name.replace(/_(?:bucket|sum|count)$/, '');
    const row = (metricTable as Record<string, { type: string }>)[base];
    return !known.has(name) && row?.type !== 'histogram';
  });
}

/** Labels that an expression selects or groups by, and that none of its metrics has. */
function unknownLabels(expr: string): string[] {
  const metrics = expr.match(/\b(?:lockstep|process)_\w+/g) ?? [];
  const rows = metrics.map((name) => name.replace(/_(?:bucket|sum|count)$/, ''));
  const known = new Set(
    rows.flatMap((name) => [...((metricTable as Record<string, { labels: readonly string[] }>)[name]?.labels ?? [])]),
  );
  for (const given of ['instance', 'job', 'le']) known.add(given); // Prometheus' own
  const selected = [...expr.matchAll(/[{,]\s*(\w+)\s*(?:=~|!~|!=|=)\s*"/g)].map((match) => match[1] ?? '');
  const grouped = [...expr.matchAll(/\b(?:by|without|on|ignoring)\s*\(([^)]*)\)/g)].flatMap((match) =>
    (match[1] ?? '').split(',').map((label) => label.trim()),
  );
  return [...selected, ...grouped].filter((label) => !known.has(label));
}

test('the judges of expressions see what is wrong', () => {
  expect(unknownMetrics('sum(lockstep_mirror_lag) + lockstep_mirror_lag_records')).toEqual(['lockstep_mirror_lag']);
  expect(unknownMetrics('rate(lockstep_mirror_lag_distribution_seconds_bucket[5m])')).toEqual([]);
  expect(unknownMetrics('lockstep_mirror_lag_records_bucket')).toEqual(['lockstep_mirror_lag_records_bucket']);
  expect(unknownLabels('sum by (job_name, code) (lockstep_mirror_lag_records{topics="x"})')).toEqual([
    'topics',
    'code',
  ]);
});

test('every metric and label of the alert rules exists', () => {
  expect(rules.length).toBeGreaterThan(10);
  expect(rules.flatMap(({ expr }) => unknownMetrics(expr))).toEqual([]);
  expect(rules.flatMap(({ alert, expr }) => unknownLabels(expr).map((label) => `${alert}: ${label}`))).toEqual([]);
});

test('every alert has a severity, words for people, and a page that exists', () => {
  expect(new Set(rules.map(({ alert }) => alert)).size).toBe(rules.length);
  for (const { labels, annotations } of rules) {
    expect(['critical', 'warning']).toContain(labels.severity);
    expect(annotations.summary).not.toBe('');
    expect(annotations.description).not.toBe('');
    expect(existsSync(join(root, annotations.runbook_url)), annotations.runbook_url).toBe(true);
  }
});

test('every metric and label of the dashboards exists', () => {
  const queries = dashboards
    .flatMap(({ rows }) => Object.values(rows).flat())
    .flatMap(({ queries: each }) => Object.keys(each));
  expect(queries.length).toBeGreaterThan(20);
  expect(queries.flatMap(unknownMetrics)).toEqual([]);
  expect(queries.flatMap((query) => unknownLabels(query).map((label) => `${query}: ${label}`))).toEqual([]);
});

test('the dashboards that ship are those of the list', () => {
  const shipped = readdirSync(join(root, 'deploy/grafana')).toSorted();
  expect(shipped).toEqual(dashboards.map(({ uid }) => `${uid}.json`).toSorted());
  for (const dashboard of dashboards)
    expect(readFileSync(join(root, 'deploy/grafana', `${dashboard.uid}.json`), 'utf8')).toBe(
      formatDashboard(dashboard),
    );
});

test('every metric of ours is on a dashboard or in a rule, or is an original name', () => {
  const text = JSON.stringify([dashboards, rules]);
  const unused = Object.keys(metricTable).filter((name) => !text.includes(name) && !name.startsWith('kaf_mirror'));
  expect(unused).toEqual([
    'lockstep_build_info',
    'lockstep_mirror_position_offset',
    'lockstep_mirror_source_stable_offset',
    'lockstep_mirror_outages_total',
    'lockstep_incidents_total',
    'process_start_time_seconds',
  ]);
});
