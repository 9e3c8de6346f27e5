/** What its jobs have copied, as kaf-mirror kept it: in aggregated_metrics, a row for each round of its collector. */
import type { MigratedFigures, MigratedHistory } from '#contract/migration.ts';

/** A collector that says nothing for longer was not running. */
const ROUND_MS_MAX = 600_000;

type Row = MigratedHistory['rows'][number];

/** In the order of time. Rows of jobs that became no mirror, and without a time that can be read, are left out. */
export function figuresOf(
  history: readonly MigratedHistory[],
  mirrorOfJob: ReadonlyMap<string, string>,
): MigratedFigures[] {
  const rows = history.filter(({ table }) => table === 'aggregated_metrics').flatMap(({ rows: all }) => all);
  const timed = rows.flatMap((row) => {
    const mirror = mirrorOfJob.get(String(row['job_id']));
    const at = timeOf(row['timestamp']);
    return mirror === undefined || at === null ? [] : [{ mirror, at, row }];
  });
  const before = new Map<string, number>();
  return timed
    .toSorted((a, b) => a.at - b.at)
    .map(({ mirror, at, row }) => {
      const passedMs = at - (before.get(mirror) ?? at);
      before.set(mirror, at);
      return {
        mirror,
        at,
        coveredMs: passedMs <= ROUND_MS_MAX ? passedMs : 0,
        records: countOf(row, 'messages_replicated_delta'),
        bytes: countOf(row, 'bytes_transferred_delta'),
        lagRecords: typeof row['avg_lag'] === 'number' ? Math.max(0, row['avg_lag']) : null,
      };
    });
}

/** Its counters could begin anew: what is below 0 was nothing. */
function countOf(row: Row, column: string): number {
  const value = row[column];
  return typeof value === 'number' ? Math.max(0, value) : 0;
}

/** SQLite's `2026-11-21 11:16:12`, in UTC, with Go's fraction and zone or without; null for what is none. */
function timeOf(value: Row[string] | undefined): number | null {
  const text = typeof value === 'string' ? value.trim() : '';
  const match = /^(\d{4}-\d\d-\d\d)[ T](\d\d:\d\d:\d\d)(?:\.(\d{1,9}))?\s*(Z|[+-]\d\d:?\d\d)?/.exec(text);
  if (!match) return null;
  const [, date = '', time = '', fraction = '0', zone = 'Z'] = match;
  const offset = zone === 'Z' ? zone : zone.replace(/^(...)(\d\d)$/, '$1:$2');
  const at = Date.parse(`${date}T${time}.${fraction.padEnd(3, '0').slice(0, 3)}${offset}`);
  return Number.isNaN(at) ? null : at;
}
