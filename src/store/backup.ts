/**
 * Backups: taken while everything runs, verified without a database, and restored into one of either engine. Restoring
 * replaces all that is in the database in one transaction, and cannot make it forget:
 * - the newest checkpoint of the audit log that either side has seen stays, so a log that was put back with it is found out;
 * - that it happened, and between which checkpoints, is kept until it is in the audit log;
 * - what was revoked stays revoked.
 */
import { createHash, type Hash } from 'node:crypto';
import { sql } from 'kysely';
import { AppError } from '#contract/errors.ts';
import type { Disk } from '#util/host.ts';
import { readFrames, writeFrames } from './backup-file.ts';
import type { Database } from './database.ts';
import { type DumpPart, type DumpRow, dumpedTables } from './dumps.ts';
import { readFact, writeFact } from './facts.ts';
import type { KeyEncryption } from './key-encryption.ts';
import { ABANDONED_LOGS, createLogAnchors, type LogCheckpoint } from './log-anchors.ts';
import { noVersions } from './maintenance.ts';
import { conflict, type Row, type Scope } from './scope.ts';
import { currentSchema } from './schema.ts';
import { secretOf } from './sealed-secrets.ts';
import type { Store } from './store.ts';
import { type TableName, tableNames } from './tables.ts';
import { rewrapSecret } from './vault.ts';

export interface BackupSummary {
  readonly takenAt: number;
  readonly schema: string;
  readonly keyId: string;
  /** Rows of each table. */
  readonly rows: Readonly<Record<string, number>>;
  /** Of the rows in their order: two backups of the same content have the same. */
  readonly digest: string;
  readonly checkpoints: readonly LogCheckpoint[];
}

/** The last line of a file. */
type Ending = Pick<BackupSummary, 'rows' | 'digest' | 'checkpoints'>;

export interface BackupPlace {
  readonly disk: Disk;
  readonly path: string;
  readonly keys: KeyEncryption;
}

/** To a new file. The database is read piece by piece, and others go on using it. */
export async function takeBackup(store: Store, { disk, path, keys }: BackupPlace): Promise<BackupSummary> {
  const { id, takenAt, schema } = await store.dumps.open();
  const account = new Account();
  try {
    await writeFrames(disk, { path, keys, takenAt, schema }, partsOf(store, id, account), () => account.ending());
  } finally {
    await store.dumps.close(id);
  }
  return { takenAt, schema, keyId: keys.currentId, ...account.ending() };
}

async function* partsOf(store: Store, id: string, account: Account): AsyncGenerator<DumpPart> {
  for (let part = await store.dumps.next(id); part !== null; part = await store.dumps.next(id)) {
    account.add(part);
    yield part;
  }
}

/** Reads all of it. Throws BACKUP_INVALID. */
export async function verifyBackup(place: BackupPlace): Promise<BackupSummary> {
  return readBackup(place, () => Promise.resolve());
}

export interface RestoreOptions extends BackupPlace {
  readonly now: number;
  /** Of this installation, where it is not the one that took the backup: the secrets in it are for these then. */
  readonly ownKeys?: KeyEncryption;
}

/**
 * All or nothing: where it does not succeed, the database is as it was. No server may run on it: RESOURCE_CONFLICT while
 * somebody holds a lease. Throws BACKUP_INVALID.
 */
export async function restoreBackup(database: Database, options: RestoreOptions): Promise<BackupSummary> {
  const { now } = options;
  const { schema } = await verifyBackup(options);
  assertSchema(schema);
  return database.kysely.transaction().execute(async (db) => {
    const scope: Scope = { db, database, now, newId: () => '' };
    await assertUnused(scope);
    const replaced = await rememberReplaced(scope);
    for (const table of tableNames.toReversed()) await db.deleteFrom(table).execute();
    const owners: DumpRow[] = [];
    const summary = await readBackup(options, async ({ table, rows }) => {
      if (table === 'users') owners.push(...rows.filter((row) => row['owner_id'] !== null));
      await load(scope, table, table === 'secrets' ? await rewrapRows(rows, options) : rows);
    });
    for (const { id, owner_id } of owners)
      await db
        .updateTable('users')
        .set({ owner_id: owner_id as string })
        .where('id', '=', id as string)
        .execute();
    if (database.engine === 'postgres') await advanceSerials(scope);
    await keepReplaced(scope, replaced, summary);
    await assertComplete(scope, summary);
    return summary;
  });
}

/** Throws BACKUP_INVALID. */
export function assertSchema(schema: string): void {
  if (schema === currentSchema) return;
  throw new AppError('BACKUP_INVALID', `The backup has schema "${schema}", and this version "${currentSchema}".`, {
    nextStep: 'Restore it with the version that took it, then start this one, which upgrades the database.',
  });
}

async function rewrapRows(rows: readonly DumpRow[], { keys, ownKeys }: RestoreOptions): Promise<readonly DumpRow[]> {
  if (ownKeys === undefined) return rows;
  return Promise.all(
    rows.map(async (row) => {
      const secret = secretOf(row as unknown as Row<'secrets'>);
      if (secret === null) return row;
      const { keyId, wrappedKey } = await rewrapSecret(secret, { from: keys, to: ownKeys });
      return { ...row, key_id: keyId, wrapped_key: wrappedKey };
    }),
  );
}

/** Says what is in the file, after `onPart` has had each part of it. */
export async function readBackup(
  { disk, path, keys }: BackupPlace,
  onPart: (part: DumpPart) => Promise<void>,
): Promise<BackupSummary> {
  const account = new Account();
  for await (const { head, line, isLast } of readFrames(disk, path, keys)) {
    if (!isLast) {
      const part = line as DumpPart; // sealed by us: nobody else can have written it
      account.add(part);
      await onPart(part);
      continue;
    }
    const ending = line as Ending;
    const own = account.ending();
    if (own.digest !== ending.digest)
      throw new AppError('BACKUP_INVALID', `The backup ${path} is not what was read when it was taken.`);
    return { takenAt: head.takenAt, schema: head.schema, keyId: head.keyId, ...own };
  }
  throw new AppError('BACKUP_INVALID', `The backup ${path} has no end.`);
}

/** What went through, so that both ends can be compared. */
class Account {
  readonly #rows: Record<string, number> = {};
  readonly #hash: Hash = createHash('sha256');
  readonly #checkpoints: LogCheckpoint[] = [];

  add({ table, rows }: DumpPart): void {
    this.#rows[table] = (this.#rows[table] ?? 0) + rows.length;
    for (const row of rows) this.#hash.update(`${table} ${JSON.stringify(row)}\n`);
    if (table === 'log_checkpoints')
      this.#checkpoints.push(
        ...rows.map(({ origin, size, root }) => ({ origin: String(origin), size: Number(size), root: String(root) })),
      );
  }

  ending(): Ending {
    return { rows: this.#rows, digest: this.#hash.copy().digest('hex'), checkpoints: this.#checkpoints };
  }
}

async function assertUnused({ db, database, now }: Scope): Promise<void> {
  const moment = database.now === null ? now : await database.now();
  const lease = await db.selectFrom('leases').selectAll().where('expires_at', '>', moment).executeTakeFirst();
  if (lease)
    throw conflict(
      `"${lease.holder}" uses the database (lease "${lease.name}").`,
      'Stop the servers first; after a kill, wait until the lease is over (three minutes at most).',
    );
}

interface Replaced {
  readonly checkpoints: readonly LogCheckpoint[];
  readonly versions: typeof noVersions;
  readonly abandonedLogs: readonly string[];
  readonly tokens: readonly { id: string; revoked_at: number | null }[];
  readonly certificates: readonly { id: string; revoked_at: number | null }[];
}

async function rememberReplaced(scope: Scope): Promise<Replaced> {
  const { db } = scope;
  return {
    checkpoints: await db.selectFrom('log_checkpoints').select(['origin', 'size', 'root']).execute(),
    versions: await readFact(scope, 'versions', noVersions),
    abandonedLogs: await readFact(scope, ABANDONED_LOGS, []),
    tokens: await db
      .selectFrom('api_tokens')
      .select(['id', 'revoked_at'])
      .where('revoked_at', 'is not', null)
      .execute(),
    certificates: await db
      .selectFrom('certificates')
      .select(['id', 'revoked_at'])
      .where('revoked_at', 'is not', null)
      .execute(),
  };
}

async function keepReplaced(scope: Scope, replaced: Replaced, summary: BackupSummary): Promise<void> {
  const { db, now } = scope;
  const origins = new Set([...replaced.checkpoints, ...summary.checkpoints].map(({ origin }) => origin));
  for (const origin of origins) {
    const of = (checkpoints: readonly LogCheckpoint[]) => checkpoints.find((each) => each.origin === origin) ?? null;
    const [before, after] = [of(replaced.checkpoints), of(summary.checkpoints)];
    if (before !== null && (after === null || after.size < before.size)) {
      await db.deleteFrom('log_checkpoints').where('origin', '=', origin).execute();
      await db
        .insertInto('log_checkpoints')
        .values({ ...before, seen_at: now })
        .execute();
    }
    await noteRestoration(scope, summary.takenAt, after, before);
  }
  if (replaced.abandonedLogs.length > 0) await createLogAnchors(scope).abandon(replaced.abandonedLogs);
  if (origins.size === 0) await noteRestoration(scope, summary.takenAt, null, null);
  for (const { id, revoked_at } of replaced.tokens)
    await db.updateTable('api_tokens').set({ revoked_at }).where('id', '=', id).execute();
  for (const { id, revoked_at } of replaced.certificates)
    await db.updateTable('certificates').set({ revoked_at }).where('id', '=', id).execute();
  // Whoever compares versions must see that everything may be different.
  const restored = await readFact(scope, 'versions', noVersions);
  const later = (kind: keyof typeof noVersions): number => Math.max(restored[kind], replaced.versions[kind]) + 1;
  await writeFact(scope, 'versions', {
    identities: later('identities'),
    resources: later('resources'),
    configuration: later('configuration'),
  });
}

async function noteRestoration(
  { db, now }: Scope,
  takenAt: number,
  backup: LogCheckpoint | null,
  replaced: LogCheckpoint | null,
): Promise<void> {
  await db
    .insertInto('restorations')
    .values({
      restored_at: now,
      taken_at: takenAt,
      backup_checkpoint: backup && JSON.stringify(backup),
      replaced_checkpoint: replaced && JSON.stringify(replaced),
      is_logged: 0,
    })
    .execute();
}

/** SQLite takes 32,766 parameters. */
const PARAMETERS_MAX = 30_000;

async function load({ db }: Scope, table: TableName, rows: readonly DumpRow[]): Promise<void> {
  const columns = Object.keys(rows[0] ?? {});
  const size = Math.max(1, Math.floor(PARAMETERS_MAX / Math.max(1, columns.length)));
  const names = sql.join(columns.map((column) => sql.ref(column)));
  for (let first = 0; first < rows.length; first += size) {
    const values = rows.slice(first, first + size).map((row) => {
      // Owners of users may come later in the file.
      const cells = columns.map((column) =>
        table === 'users' && column === 'owner_id' ? sql`null` : sql`${row[column]}`,
      );
      return sql`(${sql.join(cells)})`;
    });
    await sql`insert into ${sql.table(table)} (${names}) values ${sql.join(values)}`.execute(db);
  }
}

const SERIALS: readonly TableName[] = ['restorations', 'events', 'incidents', 'metric_series', 'snapshots'];

/** PostgreSQL does not count the numbers that were given to it. */
async function advanceSerials({ db }: Scope): Promise<void> {
  for (const table of SERIALS)
    await sql`
      select setval(pg_get_serial_sequence(${table}, 'id'), coalesce((select max(id) from ${sql.table(table)}), 0) + 1, false)
    `.execute(db);
}

async function assertComplete({ db }: Scope, { rows }: BackupSummary): Promise<void> {
  const CHANGED: readonly TableName[] = ['facts', 'log_checkpoints', 'restorations'];
  for (const table of dumpedTables.filter((name) => !CHANGED.includes(name))) {
    const { rows: counted } = await sql<{ count: number }>`select count(*) as count from ${sql.table(table)}`.execute(
      db,
    );
    if (counted[0]?.count !== (rows[table] ?? 0))
      throw new AppError('BACKUP_INVALID', `After restoring, table ${table} has not the rows of the backup.`);
  }
}
