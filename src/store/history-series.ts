/** Which figures there are, of which job and topic. */
import type { Sample } from './history.ts';
import type { Row, Scope } from './scope.ts';

export const SERIES_MAX = 20_000;
/** Rows of at most 7 parameters. */
const ROWS_MAX = 1000;

export type Series = Row<'metric_series'>;

export function seriesName({ jobId, topic, metric }: Pick<Sample, 'jobId' | 'topic' | 'metric'>): string {
  return JSON.stringify([jobId, topic ?? '', metric]);
}

/** By name, of jobs that there are; new ones are begun as far as there is room. */
export async function seriesOf({ db }: Scope, samples: readonly Sample[]): Promise<Map<string, Series>> {
  const named = [...new Set(samples.map(({ jobId }) => jobId))];
  if (named.length === 0) return new Map();
  const jobs = await db.selectFrom('jobs').select('id').where('id', 'in', named).execute();
  const jobIds = new Set(jobs.map(({ id }) => id));
  if (jobIds.size === 0) return new Map();
  const rows = await db
    .selectFrom('metric_series')
    .selectAll()
    .where('job_id', 'in', [...jobIds])
    .execute();
  const series = new Map(
    rows.map((row) => [seriesName({ jobId: row.job_id, topic: row.topic, metric: row.metric }), row]),
  );
  const fresh = new Map(
    samples
      .filter((sample) => jobIds.has(sample.jobId) && !series.has(seriesName(sample)))
      .map((sample) => [seriesName(sample), sample]),
  );
  if (fresh.size === 0) return series;
  const room = Math.max(0, SERIES_MAX - (await countSeries(db)));
  for (const some of parts([...fresh.values()].slice(0, room))) {
    const begun = await db
      .insertInto('metric_series')
      .values(some.map(({ jobId, topic, metric, kind }) => ({ job_id: jobId, topic: topic ?? '', metric, kind })))
      .returningAll()
      .execute();
    for (const row of begun) series.set(seriesName({ jobId: row.job_id, topic: row.topic, metric: row.metric }), row);
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

export function* parts<T>(all: readonly T[]): Generator<readonly T[]> {
  for (let first = 0; first < all.length; first += ROWS_MAX) yield all.slice(first, first + ROWS_MAX);
}
