/** A database on a PostgreSQL server, for more than one Lockstep server, by `pg`. */
import { Kysely, PostgresDialect, sql } from 'kysely';
import pg from 'pg';
import { assert } from '#util/assert.ts';
import type { Database } from './database.ts';
import { PATIENCE_MS } from './patience.ts';
import type { Tables } from './tables.ts';

export interface PostgresOptions {
  /** `postgres://user:password@host:port/database`, as libpq writes it; `LOCKSTEP_DATABASE_URL`. */
  readonly url: string;
  /** Default: 10. */
  readonly connectionsMax?: number;
  /** How long a statement may take, and a connection to come about. */
  readonly deadlineMs: number;
}

const INT8 = 20;
const NUMERIC = 1700;

/** The driver gives 64-bit numbers as text; ours are all below 2^53. */
const types: pg.CustomTypesConfig = {
  getTypeParser: ((oid: number, format?: 'text' | 'binary') =>
    oid === INT8 || oid === NUMERIC ? toNumber : pg.types.getTypeParser(oid, format as 'text')) as never,
};

function toNumber(text: string): number {
  const value = Number(text);
  assert(!Number.isInteger(value) || Number.isSafeInteger(value), `${text} is a safe integer`);
  return value;
}

/** Connects with the first query. */
export function openPostgres({ url, connectionsMax = 10, deadlineMs }: PostgresOptions): Database {
  const pool = new pg.Pool({
    connectionString: url,
    max: connectionsMax,
    connectionTimeoutMillis: deadlineMs,
    idleTimeoutMillis: 60_000,
    keepAlive: true,
    application_name: 'lockstep',
    statement_timeout: deadlineMs,
    lock_timeout: PATIENCE_MS,
    idle_in_transaction_session_timeout: 2 * deadlineMs,
    query_timeout: 2 * deadlineMs, // where the network swallows the answer, nobody else says so
    types,
  });
  pool.on('error', () => {}); // of an idle connection: the pool drops it, and the next query says what is wrong
  const kysely = new Kysely<Tables>({ dialect: new PostgresDialect({ pool }) });
  return {
    engine: 'postgres',
    kysely,
    close: () => kysely.destroy(),
    async snapshot() {
      const transaction = await kysely
        .startTransaction()
        .setIsolationLevel('repeatable read')
        .setAccessMode('read only')
        .execute();
      await sql`set local statement_timeout = 0`.execute(transaction);
      await sql`set local idle_in_transaction_session_timeout = 0`.execute(transaction);
      return { kysely: transaction, close: () => transaction.rollback().execute() };
    },
    async now() {
      const { rows } = await sql<{ now: number }>`
        select floor(extract(epoch from clock_timestamp()) * 1000)::bigint as now`.execute(kysely);
      return rows[0]?.now ?? Number.NaN;
    },
  };
}
