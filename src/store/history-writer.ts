/** What samples add to the figures. */
import { sql } from 'kysely';
import { assert, must } from '#util/assert.ts';
import type { MetricsHistory, PastFigures, Sample, SampleSource } from './history.ts';
import { parts, type Series, seriesName, seriesOf } from './history-series.ts';
import { beginOf, FINEST, historySteps } from './history-steps.ts';
import type { Row, Scope } from './scope.ts';

type PointRow = Row<'metric_points'>;

export function createHistoryWriter(scope: Scope): Pick<MetricsHistory, 'record'> {
  return {
    async record(source, samples) {
      const series = await seriesOf(scope, samples);
      const known = samples.filter((sample) => series.has(seriesName(sample)));
      const points = await pointsOf(scope, source, known, series);
      for (const rows of parts(points)) await addPoints(scope, rows);
      return { leftOut: samples.length - known.length };
    },
  };
}

/** For a job that has none yet. Each step gets its own, since nothing of the past is rolled up any more. */
export async function addPast(scope: Scope, jobId: string, figures: readonly PastFigures[]): Promise<void> {
  const samples = [
    { jobId, topic: null, metric: 'records', kind: 'counter', value: 0 },
    { jobId, topic: null, metric: 'bytes', kind: 'counter', value: 0 },
    { jobId, topic: null, metric: 'lagRecords', kind: 'gauge', value: 0 },
  ] as const;
  const series = await seriesOf(scope, samples);
  const points = new Map<string, PointRow>();
  const add = (row: PointRow): void => {
    const key = `${row.series_id} ${row.step_ms} ${row.at}`;
    const before = points.get(key);
    points.set(key, before ? sumOf(before, row) : row);
  };
  for (const sample of samples) {
    const id = series.get(seriesName(sample))?.id;
    if (id === undefined) continue; // there is no room for another series
    for (const { at, coveredMs, ...past } of figures) {
      const value = past[sample.metric];
      if (value === null) continue;
      const rate = coveredMs === 0 ? 0 : (value / coveredMs) * 1000;
      const figure =
        sample.kind === 'gauge'
          ? { weight: 1, sum: value, min: value, max: value }
          : { weight: coveredMs, sum: value, min: rate, max: rate };
      for (const stepMs of historySteps) add({ series_id: id, step_ms: stepMs, at: beginOf(at, stepMs), ...figure });
    }
  }
  for (const rows of parts([...points.values()])) await addPoints(scope, rows);
}

function sumOf(a: PointRow, b: PointRow): PointRow {
  return {
    ...a,
    weight: a.weight + b.weight,
    sum: a.sum + b.sum,
    min: Math.min(a.min, b.min),
    max: Math.max(a.max, b.max),
  };
}

/** What the samples add to the step that is under way. Notes what counters stand at. */
async function pointsOf(
  { db, now }: Scope,
  source: SampleSource,
  samples: readonly Sample[],
  series: ReadonlyMap<string, Series>,
): Promise<PointRow[]> {
  const last = new Map(
    (await db.selectFrom('metric_counters').selectAll().where('source', '=', source.id).execute()).map((row) => [
      row.series_id,
      row,
    ]),
  );
  const counters: Row<'metric_counters'>[] = [];
  const points: PointRow[] = [];
  for (const sample of samples) {
    const { id, kind } = must(series.get(seriesName(sample)), 'series of a sample');
    assert(kind === sample.kind, `${sample.metric} is a ${kind}`);
    const step = { series_id: id, step_ms: FINEST, at: beginOf(now, FINEST) };
    if (kind === 'gauge') {
      points.push({ ...step, weight: 1, sum: sample.value, min: sample.value, max: sample.value });
      continue;
    }
    const before = last.get(id) ?? { value: 0, at: Math.min(source.startedAt, now) };
    // A counter never falls: what does has begun anew without saying so.
    const added = sample.value < before.value ? sample.value : sample.value - before.value;
    const coveredMs = Math.max(0, now - before.at);
    counters.push({ source: source.id, series_id: id, value: sample.value, at: now });
    if (added === 0 && coveredMs === 0) continue; // the same sample again
    const rate = coveredMs === 0 ? 0 : (added / coveredMs) * 1000;
    points.push({ ...step, weight: coveredMs, sum: added, min: rate, max: rate });
  }
  for (const rows of parts(counters))
    await db
      .insertInto('metric_counters')
      .values(rows)
      .onConflict((existing) =>
        existing
          .columns(['source', 'series_id'])
          .doUpdateSet((build) => ({ value: build.ref('excluded.value'), at: build.ref('excluded.at') })),
      )
      .execute();
  return points;
}

async function addPoints({ db }: Scope, rows: readonly PointRow[]): Promise<void> {
  await db
    .insertInto('metric_points')
    .values(rows)
    .onConflict((existing) =>
      existing.columns(['series_id', 'step_ms', 'at']).doUpdateSet({
        weight: sql`metric_points.weight + excluded.weight`,
        sum: sql`metric_points.sum + excluded.sum`,
        min: sql`case when excluded.min < metric_points.min then excluded.min else metric_points.min end`,
        max: sql`case when excluded.max > metric_points.max then excluded.max else metric_points.max end`,
      }),
    )
    .execute();
}
