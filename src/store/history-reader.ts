/** Figures put together from the steps that are still there. */
import { sql } from 'kysely';
import { must } from '#util/assert.ts';
import type { HistoryPoint, MetricsHistory, Sample } from './history.ts';
import type { Series } from './history-series.ts';
import { beginOf, FINEST, readSteps, type StepState } from './history-steps.ts';
import type { Row, Scope } from './scope.ts';

const POINTS_MAX = 720;

type PointRow = Row<'metric_points'>;

export function createHistoryReader(scope: Scope): Omit<MetricsHistory, 'record'> {
  const { db } = scope;
  return {
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
