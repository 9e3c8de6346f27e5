/** The versions of the schema, and how a database comes from one to another. */
import type { Kysely } from 'kysely';
import { type Migration, Migrator, NO_MIGRATIONS } from 'kysely/migration';
import { AppError } from '#contract/errors.ts';
import { must } from '#util/assert.ts';
import type { Engine } from './engine.ts';
import { type ColumnTypes, columnTypes } from './migrations/column-types.ts';
import { people } from './migrations/0001-people.ts';
import { resources } from './migrations/0002-resources.ts';
import { history } from './migrations/0003-history.ts';
import { inventory } from './migrations/0004-inventory.ts';
import type { Tables } from './tables.ts';

interface Step {
  up(db: Kysely<unknown>, types: ColumnTypes): Promise<void>;
  down(db: Kysely<unknown>): Promise<void>;
}

const steps: Readonly<Record<string, Step>> = {
  '0001-people': people,
  '0002-resources': resources,
  '0003-history': history,
  '0004-inventory': inventory,
};

export const schemaVersions: readonly string[] = Object.keys(steps);

/** What this program works with. */
export const currentSchema = must(schemaVersions.at(-1), 'schema version');

/** `none`: nothing is left of it. All in one transaction: it succeeds, or the schema is as it was. Throws AppError STORE_INVALID. */
export async function migrateTo(db: Kysely<Tables>, engine: Engine, version: string): Promise<void> {
  const migrator = createMigrator(db, engine);
  await assertKnown(db);
  const { error } = await migrator.migrateTo(version === 'none' ? NO_MIGRATIONS : version);
  if (error !== undefined) throw error as Error;
}

/** `none`: an empty database. */
export async function readSchemaVersion(db: Kysely<Tables>): Promise<string> {
  return (await appliedSteps(db)).at(-1) ?? 'none';
}

/** A database that a newer version has migrated is left alone: what it holds cannot be known here. */
async function assertKnown(db: Kysely<Tables>): Promise<void> {
  const unknown = (await appliedSteps(db)).find((name) => !schemaVersions.includes(name));
  if (unknown === undefined) return;
  throw new AppError('STORE_INVALID', `The database has schema "${unknown}", which this version does not know.`, {
    details: { schema: unknown, known: currentSchema },
    nextStep: 'Start the version of Lockstep that wrote it, or restore a backup that an earlier version has made.',
  });
}

async function appliedSteps(db: Kysely<Tables>): Promise<string[]> {
  const tables = await db.introspection.getTables({ withInternalKyselyTables: true });
  const names = tables.map(({ name }) => name);
  if (!names.includes(MIGRATION_TABLE)) {
    const foreign = names.filter((name) => name !== LOCK_TABLE);
    if (foreign.length === 0) return [];
    throw new AppError('STORE_INVALID', `The database holds tables of another program ("${foreign[0]}").`, {
      nextStep: 'Give Lockstep a database of its own.',
    });
  }
  const rows = await (db as unknown as Kysely<Record<typeof MIGRATION_TABLE, { name: string }>>)
    .selectFrom(MIGRATION_TABLE)
    .select('name')
    .orderBy('name')
    .execute();
  return rows.map(({ name }) => name);
}

const MIGRATION_TABLE = 'schema_steps';
const LOCK_TABLE = 'schema_lock';

function createMigrator(db: Kysely<Tables>, engine: Engine): Migrator {
  const types = columnTypes(engine);
  const migrations = Object.entries(steps).map(([name, step]): [string, Migration] => [
    name,
    { up: (target: Kysely<unknown>) => step.up(target, types), down: (target: Kysely<unknown>) => step.down(target) },
  ]);
  return new Migrator({
    db,
    provider: { getMigrations: () => Promise.resolve(Object.fromEntries(migrations)) },
    migrationTableName: MIGRATION_TABLE,
    migrationLockTableName: LOCK_TABLE,
  });
}
