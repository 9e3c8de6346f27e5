/** Clusters, jobs and reports. */
import type { Kysely } from 'kysely';
import type { ColumnTypes } from './column-types.ts';

async function up({ schema }: Kysely<unknown>, { text, whole }: ColumnTypes): Promise<void> {
  await schema
    .createTable('clusters')
    .addColumn('name', text, (column) => column.primaryKey().notNull())
    .addColumn('document', text, (column) => column.notNull())
    .addColumn('state', text, (column) => column.notNull())
    .addColumn('state_changed_at', whole, (column) => column.notNull())
    .addColumn('pinned_id', text)
    .addColumn('version', whole, (column) => column.notNull())
    .addColumn('created_at', whole, (column) => column.notNull())
    .addColumn('updated_at', whole, (column) => column.notNull())
    .execute();
  await schema
    .createTable('jobs')
    .addColumn('id', text, (column) => column.primaryKey().notNull())
    .addColumn('name', text, (column) => column.notNull().unique())
    .addColumn('kind', text, (column) => column.notNull())
    .addColumn('source', text, (column) => column.references('clusters.name'))
    .addColumn('target', text, (column) => column.references('clusters.name'))
    .addColumn('document', text, (column) => column.notNull())
    .addColumn('desired', text, (column) => column.notNull())
    .addColumn('desired_changed_at', whole, (column) => column.notNull())
    .addColumn('desired_changed_by', text)
    .addColumn('restarts', whole, (column) => column.notNull())
    .addColumn('version', whole, (column) => column.notNull())
    .addColumn('created_at', whole, (column) => column.notNull())
    .addColumn('updated_at', whole, (column) => column.notNull())
    .execute();
  for (const column of ['source', 'target'])
    await schema.createIndex(`jobs_by_${column}`).on('jobs').column(column).execute();
  await schema
    .createTable('reports')
    .addColumn('id', text, (column) => column.primaryKey().notNull())
    .addColumn('kind', text, (column) => column.notNull())
    .addColumn('subject', text)
    .addColumn('from_at', whole)
    .addColumn('to_at', whole)
    .addColumn('created_at', whole, (column) => column.notNull())
    .addColumn('created_by', text)
    .addColumn('summary', text, (column) => column.notNull())
    .addColumn('body', text, (column) => column.notNull())
    .execute();
  await schema.createIndex('reports_by_kind').on('reports').columns(['kind', 'created_at', 'id']).execute();
  await schema.createIndex('reports_by_time').on('reports').columns(['created_at', 'id']).execute();
}

async function down({ schema }: Kysely<unknown>): Promise<void> {
  for (const table of ['reports', 'jobs', 'clusters']) await schema.dropTable(table).execute();
}

export const resources = { up, down };
