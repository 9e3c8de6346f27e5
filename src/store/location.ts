/** Where the database is, and how it is opened. */
import { AppError } from '#contract/errors.ts';
import type { Disk } from '#util/host.ts';
import type { Database } from './database.ts';
import { openPostgres } from './postgres.ts';
import { currentSchema, migrateTo } from './schema.ts';
import { openSqlite } from './sqlite.ts';
import { storeError, troubleOf } from './trouble.ts';

export type StoreLocation =
  | { readonly engine: 'sqlite'; readonly path: string }
  | { readonly engine: 'postgres'; readonly url: string };

const STATEMENT_MS = 5000;

/** `postgres://…` is a server, everything else the path of a file. Throws AppError CONFIG_INVALID for another scheme. */
export function parseLocation(text: string): StoreLocation {
  const scheme = /^([a-z][a-z0-9+.-]*):\/\//.exec(text)?.[1];
  if (scheme === undefined && text !== '') return { engine: 'sqlite', path: text };
  if (scheme === 'postgres' || scheme === 'postgresql') return { engine: 'postgres', url: text };
  throw new AppError(
    'CONFIG_INVALID',
    'LOCKSTEP_DATABASE_URL is neither the path of a file nor a postgres:// address.',
  );
}

/** As it is, of whatever version. Throws AppError. */
export function openDatabase(location: StoreLocation, disk: Pick<Disk, 'look'>): Database {
  return location.engine === 'sqlite'
    ? openSqlite(location.path, disk)
    : openPostgres({ url: location.url, deadlineMs: STATEMENT_MS });
}

/** With the schema that this program works with. Throws AppError; what was opened is closed again. */
export async function openMigrated(location: StoreLocation, disk: Pick<Disk, 'look'>): Promise<Database> {
  const database = openDatabase(location, disk);
  try {
    await migrateTo(database.kysely, database.engine, currentSchema);
    return database;
  } catch (error) {
    await database.close();
    const trouble = error instanceof AppError ? null : troubleOf(error);
    throw trouble === null ? error : storeError(trouble, error, 'none');
  }
}
