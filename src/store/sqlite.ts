/**
 * A database in one file, by Node's own SQLite. Everything here blocks its thread: the server runs it in one of its own
 * (store-thread.ts), tests and commands that do nothing else in theirs.
 */
import { DatabaseSync, type SQLInputValue, type StatementSync } from 'node:sqlite';
import { Kysely, type SqliteDatabase, SqliteDialect, type SqliteStatement } from 'kysely';
import type { Disk } from '#util/host.ts';
import type { Database } from './database.ts';
import type { Tables } from './tables.ts';
import { storeError, troubleOf } from './trouble.ts';

/** Waiting for a lock stops the thread; longer waits are attempts (local-caller.ts), between which others get their turn. */
const BUSY_MS = 100;
const STATEMENTS_MAX = 500;

const PRAGMAS = [
  'auto_vacuum = incremental', // before the first table; Maintenance.tidy gives pages back
  'journal_mode = wal',
  'synchronous = normal', // what is committed survives our death; the last moment before a power cut may be missing
  'foreign_keys = on',
  'wal_autocheckpoint = 1000',
  'journal_size_limit = 67108864',
  'trusted_schema = off',
];

/** `:memory:` for one that ends with the process. Throws AppError. */
export function openSqlite(path: string, disk: Pick<Disk, 'look'>): Database {
  let handle: DatabaseSync;
  try {
    handle = openHandle(path);
  } catch (error) {
    const trouble = troubleOf(error);
    throw trouble === null ? error : storeError(trouble, error, 'none');
  }
  const adapter = new StatementCache(handle, path === ':memory:' ? () => {} : presenceCheck(path, disk));
  const kysely = new Kysely<Tables>({ dialect: new SqliteDialect({ database: adapter }) });
  return {
    engine: 'sqlite',
    kysely,
    close: async () => {
      await kysely.destroy();
      adapter.close();
    },
    snapshot: () => Promise.resolve(openSnapshot(path, kysely)),
    now: null,
  };
}

function openHandle(path: string): DatabaseSync {
  const handle = new DatabaseSync(path, { timeout: BUSY_MS });
  try {
    for (const pragma of PRAGMAS) handle.exec(`pragma ${pragma}`);
    return handle;
  } catch (error) {
    handle.close();
    throw error;
  }
}

/** SQLITE_READONLY_DBMOVED */
const MOVED = 1032;

/**
 * SQLite goes on writing to a file that was deleted or replaced, and all of it would be gone with the process (in WAL mode
 * it does not look; measured). So it is looked for before each transaction: a few microseconds.
 */
function presenceCheck(path: string, disk: Pick<Disk, 'look'>): () => void {
  const identity = disk.look(path)?.identity;
  return () => {
    if (disk.look(path)?.identity === identity) return;
    throw Object.assign(new Error(`another file is at ${path}, or none`), { errcode: MOVED });
  };
}

/** A second connection that goes on reading what was there when it began, whatever is written meanwhile (WAL). */
function openSnapshot(path: string, kysely: Kysely<Tables>): { kysely: Kysely<Tables>; close: () => Promise<void> } {
  if (path === ':memory:') return { kysely, close: () => Promise.resolve() }; // has one connection; only tests use it
  const handle = new DatabaseSync(path, { timeout: BUSY_MS, readOnly: true });
  handle.exec('begin');
  handle.prepare('select count(*) from sqlite_schema').get(); // the transaction begins with the first look
  const reading = new Kysely<Tables>({
    dialect: new SqliteDialect({ database: new StatementCache(handle, () => {}) }),
  });
  return { kysely: reading, close: () => reading.destroy() };
}

/** What Kysely's SQLite dialect asks of a database, with the statements that were prepared last. */
class StatementCache implements SqliteDatabase {
  readonly #handle: DatabaseSync;
  readonly #checkPresence: () => void;
  readonly #statements = new Map<string, SqliteStatement>();

  constructor(handle: DatabaseSync, checkPresence: () => void) {
    this.#handle = handle;
    this.#checkPresence = checkPresence;
  }

  prepare(text: string): SqliteStatement {
    // SQLite has rolled back by itself after some errors, and would then hide the error behind another.
    if (text === 'rollback' && !this.#handle.isTransaction) return nothing;
    if (text === 'begin') this.#checkPresence();
    // A transaction is for writing: one that begins by reading could not be continued once somebody else has written.
    const sql = text === 'begin' ? 'begin immediate' : text;
    const cached = this.#statements.get(sql);
    if (cached) {
      this.#statements.delete(sql);
      this.#statements.set(sql, cached);
      return cached;
    }
    const prepared = statement(this.#handle.prepare(sql));
    this.#statements.set(sql, prepared);
    const [oldest] = this.#statements.keys();
    if (this.#statements.size > STATEMENTS_MAX && oldest !== undefined) this.#statements.delete(oldest);
    return prepared;
  }

  close(): void {
    this.#statements.clear();
    if (this.#handle.isOpen) this.#handle.close();
  }
}

const nothing: SqliteStatement = {
  reader: false,
  all: () => [],
  run: () => ({ changes: 0, lastInsertRowid: 0 }),
  iterate: () => [][Symbol.iterator](),
};

function statement(prepared: StatementSync): SqliteStatement {
  const values = (parameters: readonly unknown[]): SQLInputValue[] => parameters as SQLInputValue[];
  return {
    reader: prepared.columns().length > 0,
    all: (parameters) => prepared.all(...values(parameters)),
    run: (parameters) => prepared.run(...values(parameters)),
    iterate: (parameters) => prepared.iterate(...values(parameters)),
  };
}
