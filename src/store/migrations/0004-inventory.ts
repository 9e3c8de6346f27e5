/** Snapshots of what was on a cluster. All kinds of items are one table: then one query compares two snapshots. */
import type { Kysely } from 'kysely';
import type { ColumnTypes } from './column-types.ts';

async function up({ schema }: Kysely<unknown>, types: ColumnTypes): Promise<void> {
  const { text, whole, flag } = types;
  await schema
    .createTable('snapshots')
    .addColumn('id', types.serial, (column) => types.isSerial(column))
    .addColumn('cluster', text, (column) => column.notNull())
    .addColumn('job_id', text, (column) => column.references('jobs.id').onDelete('cascade'))
    .addColumn('side', text)
    .addColumn('taken_for', text, (column) => column.notNull())
    .addColumn('taken_by', text)
    .addColumn('taken_at', whole, (column) => column.notNull())
    .addColumn('facts', text, (column) => column.notNull())
    .addColumn('is_complete', flag, (column) => column.notNull())
    .addColumn('topics', whole, (column) => column.notNull())
    .addColumn('partitions', whole, (column) => column.notNull())
    .addColumn('groups', whole, (column) => column.notNull())
    .execute();
  await schema.createIndex('snapshots_by_cluster').on('snapshots').columns(['cluster', 'taken_at']).execute();
  await schema.createIndex('snapshots_by_job').on('snapshots').column('job_id').execute();
  await schema
    .createTable('snapshot_items')
    .addColumn('snapshot_id', whole, (column) => column.notNull().references('snapshots.id').onDelete('cascade'))
    .addColumn('kind', text, (column) => column.notNull())
    .addColumn('name', text, (column) => column.notNull())
    .addColumn('parent', text, (column) => column.notNull())
    .addColumn('item', text, (column) => column.notNull())
    .addColumn('compared', text, (column) => column.notNull())
    .addColumn('partitions', whole, (column) => column.notNull())
    .addColumn('replication_factor', whole, (column) => column.notNull())
    .addColumn('under_replicated', whole, (column) => column.notNull())
    .addColumn('size', whole, (column) => column.notNull())
    .addColumn('is_internal', flag, (column) => column.notNull())
    .addPrimaryKeyConstraint('snapshot_items_key', ['snapshot_id', 'kind', 'name'])
    .modifyEnd(types.keyed)
    .execute();
  await schema
    .createIndex('snapshot_items_by_parent')
    .on('snapshot_items')
    .columns(['snapshot_id', 'kind', 'parent'])
    .execute();
}

async function down({ schema }: Kysely<unknown>): Promise<void> {
  for (const table of ['snapshot_items', 'snapshots']) await schema.dropTable(table).execute();
}

export const inventory = { up, down };
