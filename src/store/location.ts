/** Where the database is, and how it is opened. */
import { AppError } from '#contract/errors.ts';
import type { Disk } from '#util/host.ts';
import type { Database } from './database.ts';
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

type StoreDisk = Pick<Disk, 'look' | 'createAppendFile'>;

/** As it is, of whatever version. Throws AppError. */
export async function openDatabase(location: StoreLocation, disk: StoreDisk): Promise<Database> {
  // Whoever has the one engine need not load the other.
  if (location.engine === 'postgres') {
    const { openPostgres } = await import('./postgres.ts');
    return openPostgres({ url: location.url, deadlineMs: STATEMENT_MS });
  }
  await createPrivately(location.path, disk);
  return openSqlite(location.path, disk);
}

/** Hashes of passwords and tokens are in it: SQLite by itself would let everybody read it whom the umask lets. */
async function createPrivately(path: string, disk: StoreDisk): Promise<void> {
  if (path === ':memory:' || disk.look(path) !== null) return;
  try {
    await (await disk.createAppendFile(path)).close();
  } catch (error) {
    if ((error as { code?: unknown }).code === 'EEXIST') return; // another process was quicker
    throw storeError('lost', error, 'none');
  }
}

/** With the schema that this program works with. Throws AppError; what was opened is closed again. */
export async function openMigrated(location: StoreLocation, disk: StoreDisk): Promise<Database> {
  const database = await openDatabase(location, disk);
  try {
    await migrateTo(database.kysely, database.engine, currentSchema);
    return database;
  } catch (error) {
    await database.close();
    const trouble = error instanceof AppError ? null : troubleOf(error);
    throw trouble === null ? error : storeError(trouble, error, 'none');
  }
}
