/**
 * What a database's error means, by its code and never by its text.
 * SQLite: primary result codes (sqlite.org/rescode.html). PostgreSQL: SQLSTATE (appendix A of its manual).
 */
import { AppError } from '#contract/errors.ts';

export type Trouble =
  /** Somebody else holds a lock: nothing was changed. */
  | 'locked'
  /** Another transaction came first, or would have made the same key: nothing was changed, and it may be tried again. */
  | 'raced'
  | 'full'
  /** It does not answer, or not any more. What a change under way came to is not known. */
  | 'lost'
  | 'damaged';

const SQLITE: Readonly<Record<number, Trouble>> = {
  5: 'locked', // BUSY
  6: 'locked', // LOCKED
  8: 'lost', // READONLY: the file system was mounted so, or the file was replaced
  10: 'lost', // IOERR
  11: 'damaged', // CORRUPT
  13: 'full', // FULL
  14: 'lost', // CANTOPEN
  23: 'lost', // AUTH
  26: 'damaged', // NOTADB
};
const SQLITE_CONSTRAINT = 19;
/** Of PRIMARYKEY, UNIQUE and ROWID; the others are ours to keep. */
const SQLITE_KEYS = new Set([1555, 2067, 2579]);

const POSTGRES: Readonly<Record<string, Trouble>> = {
  '40001': 'raced', // serialization_failure
  '40P01': 'raced', // deadlock_detected
  '23505': 'raced', // unique_violation
  '55P03': 'locked', // lock_not_available
  '57014': 'locked', // query_canceled: statement_timeout
  '53100': 'full', // disk_full
  XX001: 'damaged', // data_corrupted
  XX002: 'damaged', // index_corrupted
};
/** 08 connection, 25006 read only (a standby), 28 login, 3D no such database, 53 resources, 57P shutdown, 58 system error. */
const POSTGRES_LOST = /^(08|25006|28|3D|53|57P|58)/;
const NETWORK = /^(E[A-Z]+|ERR_SOCKET.*)$/;

/** Null: no trouble of the store, but a bug of ours or an answer. */
export function troubleOf(error: unknown): Trouble | null {
  if (!(error instanceof Error)) return null;
  const { code, errcode } = error as { code?: unknown; errcode?: unknown };
  if (typeof errcode === 'number') {
    if ((errcode & 0xff) === SQLITE_CONSTRAINT) return SQLITE_KEYS.has(errcode) ? 'raced' : null;
    return SQLITE[errcode & 0xff] ?? null;
  }
  if (isPoolError(error)) return 'lost';
  if (typeof code !== 'string') return null;
  if (Object.hasOwn(POSTGRES, code)) return POSTGRES[code] ?? null;
  return POSTGRES_LOST.test(code) || NETWORK.test(code) ? 'lost' : null;
}

/** Without a code: no connection in time, one that ended while a query was under way, and, of Kysely, a pool that is closed. */
function isPoolError({ message }: Error): boolean {
  return /^(timeout exceeded when trying to connect|Connection terminated|Query read timeout|Client has encountered a connection error|driver has already been destroyed)/.test(
    message,
  );
}

/** `effect`: whether what was asked for may have been done. */
export function storeError(trouble: Trouble, cause: unknown, effect: 'none' | 'unknown'): AppError {
  const details = { trouble, effect };
  switch (trouble) {
    case 'locked':
      return new AppError('STORE_UNAVAILABLE', 'The database is locked by somebody else.', {
        cause,
        details,
        nextStep:
          'Find the program that holds it (a copy, a backup, a shell in the middle of a transaction) and end that.',
      });
    case 'raced':
      return new AppError('RESOURCE_CONFLICT', 'Somebody else is changing the same.', {
        cause,
        details,
        nextStep: 'Read it again, and repeat the change if it is still wanted.',
      });
    case 'full':
      return new AppError('STORE_FULL', 'There is no room for the database.', {
        cause,
        details,
        nextStep:
          'Make room where it lies, or shorten what is kept (docs/operating/store.md). Records are copied meanwhile.',
      });
    case 'lost':
      return new AppError('STORE_UNAVAILABLE', 'The database does not answer.', {
        cause,
        details,
        nextStep: 'See whether its disk or its server is there. Records are copied meanwhile.',
      });
    case 'damaged':
      return new AppError('STORE_INVALID', 'The database is damaged.', {
        cause,
        details,
        nextStep:
          'Stop the server, move the damaged file aside with those beside it (-wal, -shm), and restore the last backup (docs/operating/store.md).',
      });
  }
}
