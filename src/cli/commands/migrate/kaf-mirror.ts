import { AppError } from '#contract/errors.ts';
import { printableJson } from '#util/printable.ts';
import type { Migration } from '#contract/migration.ts';
import type { TableFile } from '#util/tables.ts';
import type { Context } from '../../context.ts';
import { readBytes, refuseExisting, writeFile } from '../../files.ts';
import type { Verb } from '../../verb.ts';
import { finishMigration, MIGRATE_ENDS, migrateOptions, type MigrateOptions } from './run.ts';

interface Options extends MigrateOptions {
  readonly history?: string;
}

export const migrateKafMirror: Verb<Options> = {
  summary: 'kaf-mirror: its database and its YAML',
  description: `Turns clusters, jobs and topic mappings of kaf-mirror 1.1 and 1.2 into Clusters and Mirrors. A file that ends with .yml or .yaml is its configuration; another one is its SQLite database, which is opened to be read only.\n\nUsers are listed with their roles; passwords and tokens are left behind, and each sets a new one.\n\n${MIGRATE_ENDS}`,
  examples: [
    'lockstep migrate kaf-mirror data/kaf-mirror.db --out link.yaml',
    'lockstep migrate kaf-mirror data/kaf-mirror.db configs/default.yml --out link.yaml --history history.jsonl',
  ],
  takesFiles: false,
  options: {
    ...migrateOptions,
    '--history <file>': 'write metrics, events, reports and inventories there, a row a line, without secrets',
  },
  async run(context, options, _, args) {
    const { host } = context;
    const migration = await readKafMirror(context, args);
    if (options.history !== undefined) {
      for (const path of [options.history, options.out]) if (path !== undefined) refuseExisting(host.disk, path);
      const lines = migration.history.flatMap(({ table, shape, rows }) =>
        rows.map((row) => `${printableJson({ table, shape, row })}\n`),
      );
      writeFile(host.disk, options.history, lines.join(''));
    }
    return finishMigration(context, migration, options);
  },
};

/** Of its databases and YAML files. Throws AppError CONFIG_INVALID where one of them is not its. */
export async function readKafMirror(context: Context, paths: readonly string[]): Promise<Migration> {
  const opened: TableFile[] = [];
  try {
    const files = paths.map((path) => {
      if (/\.ya?ml$/i.test(path))
        return { path, text: Buffer.from(readBytes(context.host.disk, path)).toString('utf8') };
      const tables = openTables(context, path);
      opened.push(tables);
      return { path, tables };
    });
    return await context.app.migrate({ system: 'kaf-mirror', files });
  } finally {
    for (const tables of opened) tables.close();
  }
}

function openTables({ host }: Context, path: string): TableFile {
  try {
    return host.tables.open(path);
  } catch (cause) {
    readBytes(host.disk, path); // where it cannot be read at all, this says why
    throw new AppError('CONFIG_INVALID', `${path} is no SQLite database that can be read`, {
      cause,
      nextStep: 'Name the database of kaf-mirror, data/kaf-mirror.db; a YAML ends with .yml or .yaml.',
    });
  }
}
