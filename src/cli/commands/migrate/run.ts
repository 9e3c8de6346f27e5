/** What the commands of `lockstep migrate` have in common: where the resources go, and the account beside them. */
import { isOpen, type Migration } from '#contract/migration.ts';
import { printableJson } from '#util/printable.ts';
import type { Context } from '../../context.ts';
import { exitCodes } from '../../exit-codes.ts';
import { refuseExisting, writeFile } from '../../files.ts';
import { describeMigration } from '../../migration-text.ts';

export interface MigrateOptions {
  readonly out?: string;
  readonly json?: true;
}

export const migrateOptions = {
  '--out <file>': 'write the resources there, instead of printing them; never over a file that is there',
};

/** Behind the description of each. */
export const MIGRATE_ENDS =
  'The resources are printed, and the account of every setting goes to standard error; with --out the account is printed. Secrets are never among them: they become references, and the account lists what to put there.\n\nNothing is contacted and nothing else is changed. Exit code 5 where a setting is unknown or somebody has to do something, 0 where nothing is left to do but to put secrets in place.';

/** Prints and writes, and returns the exit code. */
export function finishMigration({ io, host }: Context, migration: Migration, { out, json }: MigrateOptions): number {
  if (out !== undefined && migration.resources !== '') {
    refuseExisting(host.disk, out);
    writeFile(host.disk, out, migration.resources);
  }
  const { history, ...rest } = migration;
  const counts = history.map(({ table, shape, rows }) => ({ table, shape, rows: rows.length }));
  if (json) io.out(`${printableJson({ isOpen: isOpen(migration), ...rest, history: counts, out: out ?? null })}\n`);
  else if (out === undefined) {
    io.out(migration.resources);
    io.err(describeMigration(io, migration, null));
  } else io.out(describeMigration(io, migration, out));
  return isOpen(migration) ? exitCodes.findings : exitCodes.ok;
}
