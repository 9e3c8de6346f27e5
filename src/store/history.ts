/**
 * Figures over time, per job and per topic of a job.
 *
 * Counters come in as a process counts them (since it started) and are stored as what was added since it last said so: a
 * restart, of the process or of ours, neither adds nor loses, and the same sample twice adds nothing. Each stored figure
 * knows the time that it covers, so a rate is right across a gap too: it is spread over the gap, never shown as a peak.
 */
import { sql } from 'kysely';
import { assert, must } from '#util/assert.ts';
import { beginOf, FINEST, readSteps, type StepState } from './history-steps.ts';
import { type Row, type Scope, notFound } from './scope.ts';

export interface Sample {
  readonly jobId: string;
  /** Null: of the job as a whole. */
  readonly topic: string | null;
  /** `records`, `bytes`, `lagRecords`, … */
  readonly metric: string;
  readonly kind: 'counter' | 'gauge';
  readonly value: number;
}

export interface SampleSource {
  /** Names one run of one process: a counter that begins anew has another. */
  readonly id: string;
  /** When its counters were 0. */
  readonly startedAt: number;
}

export interface HistoryQuery {
  readonly jobId: string;
  readonly topic: string | null;
  readonly metrics: readonly string[];
  readonly from: number;
  readonly to: number;
  /** At most so many points of each metric (default 720): decides how long a step is. */
  readonly pointsMax?: number;
}

export interface HistoryPoint {
  /** Beginning of the step. */
  readonly at: number;
  /** Of a counter what was added, of a gauge null. */
  readonly added: number | null;
  /** Of a counter per second, of a gauge its mean. */
  readonly mean: number;
  /** The lowest and highest that was measured within: of a counter, rates between two samples. */
  readonly min: number;
  readonly max: number;
}

export interface HistorySeries {
  readonly metric: string;
  readonly kind: 'counter' | 'gauge';
  readonly stepMs: number;
  /** Steps in which nothing was measured are missing: not known is not zero. */
  readonly points: readonly HistoryPoint[];
}

export interface MetricsHistory {
  /** Series beyond the limit (20,000) are not begun; says how many samples that left out. */
  record(source: SampleSource, samples: readonly Sample[]): Promise<{ readonly leftOut: number }>;
  read(query: HistoryQuery): Promise<readonly HistorySeries[]>;
  /** What was added to counters of a job within [from, to), and for how much of that time something was measured. */
  totals(query: {
    readonly jobId: string | null;
    readonly metrics: readonly string[];
    readonly from: number;
    readonly to: number;
  }): Promise<
    readonly { readonly jobId: string; readonly metric: string; readonly added: number; readonly coveredMs: number }[]
  >;
  topics(jobId: string): Promise<readonly string[]>;
}

export const SERIES_MAX = 20_000;
const POINTS_MAX = 720;
/** Rows of at most 7 parameters. */
const ROWS_MAX = 1000;

type Series = Row<'metric_series'>;
type PointRow = Row<'metric_points'>;

export function createMetricsHistory(scope: Scope): MetricsHistory {
  const { db } = scope;
  return {
    async record(source, samples) {
      const series = await seriesOf(scope, samples);
      const known = samples.filter((sample) => series.has(nameOf(sample)));
      const points = await pointsOf(scope, source, known, series);
      for (const rows of parts(points)) await addPoints(scope, rows);
      return { leftOut: samples.length - known.length };
    },
    async read({ jobId, topic, metrics, from, to, pointsMax = POINTS_MAX }) {
      if (metrics.length === 0) return [];
      const series = await db
        .selectFrom('metric_series')
        .selectAll()
        .where('job_id', '=', jobId)
        .where('topic', '=', topic ?? '')
        .where('metric', 'in', metrics)
        .orderBy('metric')
        .execute();
      const wantedMs = Math.max(FINEST, (to - from) / pointsMax);
      const { rows, stepMs } = await readPoints(scope, { series, from, to, wantedMs });
      return series.map(({ id, metric, kind }) => ({
        metric,
        kind: kind as Sample['kind'],
        stepMs,
        points: rows.filter((row) => row.series_id === id).map((row) => toPoint(row, kind)),
      }));
    },
    async totals({ jobId, metrics, from, to }) {
      if (metrics.length === 0) return [];
      let query = db
        .selectFrom('metric_series')
        .selectAll()
        .where('topic', '=', '')
        .where('kind', '=', 'counter')
        .where('metric', 'in', metrics)
        .orderBy('job_id')
        .orderBy('metric');
      if (jobId !== null) query = query.where('job_id', '=', jobId);
      const series = await query.execute();
      const { rows } = await readPoints(scope, { series, from, to, wantedMs: (to - from) / POINTS_MAX });
      return series.flatMap(({ id, job_id, metric }) => {
        const own = rows.filter((row) => row.series_id === id);
        if (own.length === 0) return [];
        const sum = (column: 'sum' | 'weight'): number => own.reduce((total, row) => total + row[column], 0);
        return [{ jobId: job_id, metric, added: sum('sum'), coveredMs: sum('weight') }];
      });
    },
    async topics(jobId) {
      const rows = await db
        .selectFrom('metric_series')
        .select('topic')
        .distinct()
        .where('job_id', '=', jobId)
        .where('topic', '!=', '')
        .orderBy('topic')
        .execute();
      return rows.map(({ topic }) => topic);
    },
  };
}

function nameOf({ jobId, topic, metric }: Pick<Sample, 'jobId' | 'topic' | 'metric'>): string {
  return JSON.stringify([jobId, topic ?? '', metric]);
}

/** By name; new ones are begun as far as there is room. */
async function seriesOf({ db }: Scope, samples: readonly Sample[]): Promise<Map<string, Series>> {
  const jobIds = [...new Set(samples.map(({ jobId }) => jobId))];
  if (jobIds.length === 0) return new Map();
  const jobs = await db.selectFrom('jobs').select('id').where('id', 'in', jobIds).execute();
  const missing = jobIds.find((id) => !jobs.some((job) => job.id === id));
  if (missing !== undefined) throw notFound('job', missing);
  const rows = await db.selectFrom('metric_series').selectAll().where('job_id', 'in', jobIds).execute();
  const series = new Map(rows.map((row) => [nameOf({ jobId: row.job_id, topic: row.topic, metric: row.metric }), row]));
  const fresh = new Map(
    samples.filter((sample) => !series.has(nameOf(sample))).map((sample) => [nameOf(sample), sample]),
  );
  if (fresh.size === 0) return series;
  const room = Math.max(0, SERIES_MAX - (await countSeries(db)));
  for (const some of parts([...fresh.values()].slice(0, room))) {
    const begun = await db
      .insertInto('metric_series')
      .values(some.map(({ jobId, topic, metric, kind }) => ({ job_id: jobId, topic: topic ?? '', metric, kind })))
      .returningAll()
      .execute();
    for (const row of begun) series.set(nameOf({ jobId: row.job_id, topic: row.topic, metric: row.metric }), row);
  }
  return series;
}

export async function countSeries(db: Scope['db']): Promise<number> {
  const { count } = await db
    .selectFrom('metric_series')
    .select((build) => build.fn.countAll<number>().as('count'))
    .executeTakeFirstOrThrow();
  return count;
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
    const { id, kind } = must(series.get(nameOf(sample)), 'series of a sample');
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

function* parts<T>(all: readonly T[]): Generator<readonly T[]> {
  for (let first = 0; first < all.length; first += ROWS_MAX) yield all.slice(first, first + ROWS_MAX);
}

interface PointsQuery {
  readonly series: readonly Series[];
  readonly from: number;
  readonly to: number;
  /** A step should be so long, or not much longer. */
  readonly wantedMs: number;
}

/** Those of the step that is chosen as far as it is complete, from there on of the finer ones in turn, put together. */
async function readPoints(
  scope: Scope,
  { series, from, to, wantedMs }: PointsQuery,
): Promise<{ readonly rows: readonly PointRow[]; readonly stepMs: number }> {
  const steps = await readSteps(scope);
  const chosen = chooseStep(steps, from, wantedMs);
  const stepMs = Math.max(1, Math.ceil(wantedMs / chosen.stepMs)) * chosen.stepMs;
  if (series.length === 0) return { rows: [], stepMs };
  const begin = sql<number>`(at / ${sql.lit(stepMs)}) * ${sql.lit(stepMs)}`;
  const rows = await scope.db
    .selectFrom('metric_points')
    .select(['series_id', sql<number>`${sql.lit(stepMs)}`.as('step_ms'), begin.as('at')])
    .select((build) => [
      build.fn.sum<number>('weight').as('weight'),
      build.fn.sum<number>('sum').as('sum'),
      build.fn.min('min').as('min'),
      build.fn.max('max').as('max'),
    ])
    .where(
      'series_id',
      'in',
      series.map(({ id }) => id),
    )
    .where((build) =>
      build.or(
        piecesOf(steps, chosen, { from, to }).map((piece) =>
          build.and([build('step_ms', '=', piece.stepMs), build('at', '>=', piece.from), build('at', '<', piece.to)]),
        ),
      ),
    )
    .groupBy(['series_id', begin])
    .orderBy('series_id')
    .orderBy(begin)
    .execute();
  return { rows, stepMs };
}

interface Piece {
  readonly stepMs: number;
  readonly from: number;
  readonly to: number;
}

function piecesOf(steps: readonly StepState[], chosen: StepState, time: { from: number; to: number }): Piece[] {
  const pieces: Piece[] = [];
  let from = beginOf(time.from, chosen.stepMs);
  for (const { stepMs, rolledUntil } of steps.filter((step) => step.stepMs <= chosen.stepMs).toReversed()) {
    const to = stepMs === FINEST ? time.to : Math.min(time.to, beginOf(rolledUntil, stepMs));
    if (to <= from) continue;
    pieces.push({ stepMs, from, to });
    from = to;
  }
  return pieces;
}

/** The coarsest that is fine enough and reaches back to `from`; else the finest that reaches so far; else the one that reaches furthest. */
function chooseStep(steps: readonly StepState[], from: number, wantedMs: number): StepState {
  const reaching = steps.filter((step) => step.keptFrom <= from);
  return must(
    reaching.findLast((step) => step.stepMs <= wantedMs) ?? reaching[0] ?? steps.at(-1),
    'a step of the history',
  );
}

function toPoint({ at, weight, sum, min, max }: PointRow, kind: string): HistoryPoint {
  if (kind === 'gauge') return { at, added: null, mean: sum / weight, min, max };
  return { at, added: sum, mean: weight === 0 ? 0 : (sum / weight) * 1000, min, max };
}
