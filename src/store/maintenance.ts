/** What keeps the database small and quick. `runMaintenance` calls these in turn; each call is short. */
import { sql } from 'kysely';
import { countSeries, SERIES_MAX } from './history-series.ts';
import { closeForgottenDumps } from './dumps.ts';
import { pruneSteps, rollUpSteps } from './history-steps.ts';
import { readFact } from './facts.ts';
import { currentSchema } from './schema.ts';
import { type TableName, tableNames } from './tables.ts';
import type { Scope } from './scope.ts';

export interface Retention {
  /** Events, and incidents that have closed. */
  readonly eventsMs: number;
  /** Snapshots of the inventory; the latest of each cluster and side, and manual ones, stay four times as long. */
  readonly inventoryMs: number;
  readonly reportsMs: number;
  /** Inactive clusters are archived. */
  readonly inactiveClustersMs: number;
  /** Sessions, tokens, one-time tokens, idempotency keys and throttles that are over stay so long. */
  readonly expiredMs: number;
  /** What the audit log says of people only by commitments and ids: addresses, user agents, names that were typed, names of deleted users. */
  readonly personalMs: number;
  /** How long each resolution of the figures is kept, finest first. */
  readonly history: readonly { readonly stepMs: number; readonly keepMs: number }[];
}

export interface StoreSize {
  /** Without SQLite's write-ahead log, which is a few MB but in the middle of large writes. */
  readonly databaseBytes: number;
  readonly rows: Readonly<Record<string, number>>;
  readonly series: number;
  readonly seriesMax: number;
}

export interface Maintenance {
  /** Deletes at most some thousand rows of what is older; true: there is more. */
  prune(retention: Retention): Promise<boolean>;
  /** Coarser steps from finer ones, up to now. */
  rollUp(retention: Retention): Promise<void>;
  /** Gives free pages back (SQLite) and refreshes what the planner knows. */
  tidy(): Promise<void>;
  size(): Promise<StoreSize>;
  schemaVersion(): Promise<string>;
  /** Grows whenever something of its kind changed, by whomever: servers that share a database ask for it every half second. */
  versions(): Promise<Versions>;
}

export interface Versions {
  /** Users, roles, sessions, tokens, certificates. */
  readonly identities: number;
  /** Clusters, jobs, and what they are wanted to do. */
  readonly resources: number;
  readonly configuration: number;
}

const HOUR = 3_600_000;
const DAY = 24 * HOUR;

export const defaultRetention: Retention = {
  eventsMs: 30 * DAY,
  inventoryMs: 30 * DAY,
  reportsMs: 400 * DAY,
  inactiveClustersMs: 3 * DAY,
  expiredMs: DAY,
  personalMs: 400 * DAY,
  history: [
    { stepMs: 10_000, keepMs: 2 * HOUR },
    { stepMs: 60_000, keepMs: 2 * DAY },
    { stepMs: 600_000, keepMs: 8 * DAY },
    { stepMs: HOUR, keepMs: 31 * DAY },
    { stepMs: DAY, keepMs: 400 * DAY },
  ],
};

export const noVersions: Versions = { identities: 0, resources: 0, configuration: 0 };

/** So many rows are deleted in a moment, and others wait no longer. */
const ROWS_MAX = 5000;

export function createMaintenance(scope: Scope): Maintenance {
  const { db, database } = scope;
  return {
    async prune(retention) {
      const counts = [
        ...(await pruneEvents(scope, retention)),
        ...(await pruneInventory(scope, retention)),
        ...(await pruneExpired(scope, retention)),
        ...(await prunePersonal(scope, retention)),
      ];
      const isMore = await pruneSteps(scope, retention.history, ROWS_MAX);
      await pruneSeries(db);
      return isMore || counts.some((count) => count >= ROWS_MAX);
    },
    rollUp: () => rollUpSteps(scope),
    async tidy() {
      await closeForgottenDumps(scope);
      if (database.engine === 'sqlite') await tidySqlite(scope); // PostgreSQL's autovacuum does it by itself
    },
    async size() {
      const rows = await Promise.all(tableNames.map(async (table) => [table, await countRows(scope, table)] as const));
      const sizes = database.engine === 'sqlite' ? await sqliteSizes(scope) : await postgresSizes(scope);
      return { ...sizes, rows: Object.fromEntries(rows), series: await countSeries(db), seriesMax: SERIES_MAX };
    },
    schemaVersion: () => Promise.resolve(currentSchema),
    versions: () => readFact(scope, 'versions', noVersions),
  };
}

async function pruneEvents(
  { db, now }: Scope,
  { eventsMs, reportsMs, inactiveClustersMs }: Retention,
): Promise<number[]> {
  await db
    .updateTable('clusters')
    .set({ state: 'archived', state_changed_at: now, updated_at: now })
    .where('state', '=', 'inactive')
    .where('state_changed_at', '<', now - inactiveClustersMs)
    .execute();
  const jobs = db.selectFrom('jobs').select('id');
  // A report that came while the job was deleted.
  await db
    .updateTable('incidents')
    .set({ closed_at: now })
    .where('closed_at', 'is', null)
    .where('job_id', 'not in', jobs)
    .execute();
  const before = now - eventsMs;
  const events = db.selectFrom('events').select('id').where('at', '<', before).limit(ROWS_MAX);
  const incidents = db.selectFrom('incidents').select('id').where('closed_at', '<', before).limit(ROWS_MAX);
  const reports = db
    .selectFrom('reports')
    .select('id')
    .where('created_at', '<', now - reportsMs)
    .limit(ROWS_MAX);
  return [
    await countDeleted(db.deleteFrom('events').where('id', 'in', events)),
    await countDeleted(db.deleteFrom('incidents').where('id', 'in', incidents)),
    await countDeleted(db.deleteFrom('reports').where('id', 'in', reports)),
  ];
}

/** Of jobs that are gone, when nothing is left of them. */
async function pruneSeries(db: Scope['db']): Promise<void> {
  await db
    .deleteFrom('metric_series')
    .where('job_id', 'not in', db.selectFrom('jobs').select('id'))
    .where((build) =>
      build.not(
        build.exists(build.selectFrom('metric_points').select('at').whereRef('series_id', '=', 'metric_series.id')),
      ),
    )
    .execute();
}

/** Items first: a snapshot may have more of them than can go at once. */
async function pruneInventory({ db, now }: Scope, { inventoryMs }: Retention): Promise<number[]> {
  const latest = db
    .selectFrom('snapshots')
    .select((build) => build.fn.max('id').as('id'))
    .where('is_complete', '=', 1)
    .groupBy(['cluster', 'side']);
  const old = db
    .selectFrom('snapshots')
    .select('id')
    .where((build) =>
      build.or([
        build.and([build('is_complete', '=', 0), build('taken_at', '<', now - HOUR)]),
        build.and([
          build('is_complete', '=', 1),
          build('id', 'not in', latest),
          build(
            'taken_at',
            '<',
            build
              .case()
              .when('taken_for', '=', 'manual')
              .then(now - 4 * inventoryMs)
              .else(now - inventoryMs)
              .end(),
          ),
        ]),
      ]),
    );
  const ids = (await old.execute()).map(({ id }) => id);
  if (ids.length === 0) return [];
  const items = db
    .selectFrom('snapshot_items')
    .select(['snapshot_id', 'kind', 'name'])
    .where('snapshot_id', 'in', ids)
    .limit(ROWS_MAX);
  const deleted = await countDeleted(
    db
      .deleteFrom('snapshot_items')
      .where((build) =>
        build(build.refTuple('snapshot_id', 'kind', 'name'), 'in', items.$asTuple('snapshot_id', 'kind', 'name')),
      ),
  );
  if (deleted < ROWS_MAX) await db.deleteFrom('snapshots').where('id', 'in', ids).execute();
  return [deleted];
}

async function pruneExpired({ db, now }: Scope, { expiredMs }: Retention): Promise<number[]> {
  const before = now - expiredMs;
  const sessions = db
    .selectFrom('sessions')
    .select('id')
    .where((build) => build.or([build('expires_at', '<', before), build('idle_until', '<', before)]))
    .limit(ROWS_MAX);
  const tokens = db
    .selectFrom('api_tokens')
    .select('id')
    .where((build) => build.or([build('expires_at', '<', before), build('revoked_at', '<', before)]))
    .limit(ROWS_MAX);
  const oneTime = db.selectFrom('one_time_tokens').select('hash').where('expires_at', '<', before).limit(ROWS_MAX);
  const keys = db
    .selectFrom('idempotency_keys')
    .select(['user_id', 'key'])
    .where('expires_at', '<', before)
    .limit(ROWS_MAX);
  const throttles = db.selectFrom('throttles').select('key').where('forget_at', '<', before).limit(ROWS_MAX);
  // A process that has said nothing for so long is gone, and its counters with it.
  const counters = db
    .selectFrom('metric_counters')
    .select(['source', 'series_id'])
    .where('at', '<', now - 31 * DAY)
    .limit(ROWS_MAX);
  // An intent is dangling only until the log has been read after a crash.
  const effects = db
    .selectFrom('log_effects')
    .select('intent')
    .where('at', '<', now - 31 * DAY)
    .limit(ROWS_MAX);
  return [
    await countDeleted(db.deleteFrom('sessions').where('id', 'in', sessions)),
    await countDeleted(db.deleteFrom('api_tokens').where('id', 'in', tokens)),
    await countDeleted(db.deleteFrom('one_time_tokens').where('hash', 'in', oneTime)),
    await countDeleted(
      db
        .deleteFrom('idempotency_keys')
        .where((build) => build(build.refTuple('user_id', 'key'), 'in', keys.$asTuple('user_id', 'key'))),
    ),
    await countDeleted(db.deleteFrom('throttles').where('key', 'in', throttles)),
    await countDeleted(
      db
        .deleteFrom('metric_counters')
        .where((build) => build(build.refTuple('source', 'series_id'), 'in', counters.$asTuple('source', 'series_id'))),
    ),
    await countDeleted(db.deleteFrom('log_effects').where('intent', 'in', effects)),
  ];
}

async function prunePersonal({ db, now }: Scope, { personalMs }: Retention): Promise<number[]> {
  const before = now - personalMs;
  const values = db.selectFrom('personal_values').select('commitment').where('created_at', '<', before).limit(ROWS_MAX);
  const users = db.selectFrom('former_users').select('id').where('deleted_at', '<', before).limit(ROWS_MAX);
  return [
    await countDeleted(db.deleteFrom('personal_values').where('commitment', 'in', values)),
    await countDeleted(db.deleteFrom('former_users').where('id', 'in', users)),
  ];
}

async function countDeleted(query: {
  executeTakeFirst(): Promise<{ numDeletedRows: bigint } | undefined>;
}): Promise<number> {
  return Number((await query.executeTakeFirst())?.numDeletedRows ?? 0n);
}

async function tidySqlite({ db }: Scope): Promise<void> {
  await sql`pragma incremental_vacuum(2000)`.execute(db);
  await sql`pragma optimize`.execute(db);
  await sql`pragma wal_checkpoint(passive)`.execute(db);
}

async function countRows({ db }: Scope, table: TableName): Promise<number> {
  const { rows } = await sql<{ count: number }>`select count(*) as count from ${sql.table(table)}`.execute(db);
  return rows[0]?.count ?? 0;
}

async function sqliteSizes({ db }: Scope): Promise<Pick<StoreSize, 'databaseBytes'>> {
  const { rows } = await sql<{ bytes: number }>`
    select page_count * page_size as bytes from pragma_page_count(), pragma_page_size()`.execute(db);
  return { databaseBytes: rows[0]?.bytes ?? 0 };
}

async function postgresSizes({ db }: Scope): Promise<Pick<StoreSize, 'databaseBytes'>> {
  const { rows } = await sql<{ bytes: number }>`select pg_database_size(current_database()) as bytes`.execute(db);
  return { databaseBytes: rows[0]?.bytes ?? 0 };
}
