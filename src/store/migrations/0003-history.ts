/** Events, incidents, and figures over time. */
import type { Kysely } from 'kysely';
import type { ColumnTypes } from './column-types.ts';

async function up(db: Kysely<unknown>, types: ColumnTypes): Promise<void> {
  await createEvents(db, types);
  await createIncidents(db, types);
  await createMetrics(db, types);
}

async function createEvents({ schema }: Kysely<unknown>, types: ColumnTypes): Promise<void> {
  const { text, whole } = types;
  await schema
    .createTable('events')
    .addColumn('id', types.serial, (column) => types.isSerial(column))
    .addColumn('at', whole, (column) => column.notNull())
    .addColumn('type', text, (column) => column.notNull())
    .addColumn('level', text, (column) => column.notNull())
    .addColumn('job_id', text)
    .addColumn('cluster', text)
    .addColumn('topic', text)
    .addColumn('actor', text)
    .addColumn('message', text, (column) => column.notNull())
    .addColumn('data', text, (column) => column.notNull())
    .execute();
  await schema.createIndex('events_by_time').on('events').column('at').execute();
  for (const column of ['type', 'job_id'])
    await schema.createIndex(`events_by_${column}`).on('events').columns([column, 'id']).execute();
}

async function createIncidents({ schema }: Kysely<unknown>, types: ColumnTypes): Promise<void> {
  const { text, whole, flag } = types;
  await schema
    .createTable('incidents')
    .addColumn('id', types.serial, (column) => types.isSerial(column))
    .addColumn('job_id', text, (column) => column.notNull()) // stays for reports when the job is gone
    .addColumn('code', text, (column) => column.notNull())
    .addColumn('severity', text, (column) => column.notNull())
    .addColumn('topic', text)
    .addColumn('partition', whole)
    .addColumn('offset_from', whole)
    .addColumn('offset_to', whole)
    .addColumn('cause', text, (column) => column.notNull())
    .addColumn('consequence', text, (column) => column.notNull())
    .addColumn('next_step', text, (column) => column.notNull())
    .addColumn('ends_by_itself', flag, (column) => column.notNull())
    .addColumn('opened_at', whole, (column) => column.notNull())
    .addColumn('last_seen_at', whole, (column) => column.notNull())
    .addColumn('closed_at', whole)
    .addColumn('resolution', text, (column) => column.notNull())
    .addColumn('resolution_note', text)
    .addColumn('resolved_by', text)
    .addColumn('resolved_at', whole)
    .execute();
  await schema.createIndex('incidents_by_job').on('incidents').columns(['job_id', 'closed_at']).execute();
  await schema.createIndex('incidents_by_opened').on('incidents').columns(['opened_at', 'id']).execute();
  await schema.createIndex('incidents_by_closed').on('incidents').column('closed_at').execute();
}

async function createMetrics({ schema }: Kysely<unknown>, types: ColumnTypes): Promise<void> {
  const { text, whole, real } = types;
  await schema
    .createTable('metric_series')
    .addColumn('id', types.serial, (column) => types.isSerial(column))
    .addColumn('job_id', text, (column) => column.notNull()) // stays for reports when the job is gone
    .addColumn('topic', text, (column) => column.notNull())
    .addColumn('metric', text, (column) => column.notNull())
    .addColumn('kind', text, (column) => column.notNull())
    .addUniqueConstraint('metric_series_name', ['job_id', 'topic', 'metric'])
    .execute();
  await schema
    .createTable('metric_counters')
    .addColumn('source', text, (column) => column.notNull())
    .addColumn('series_id', whole, (column) => column.notNull().references('metric_series.id').onDelete('cascade'))
    .addColumn('value', real, (column) => column.notNull())
    .addColumn('at', whole, (column) => column.notNull())
    .addPrimaryKeyConstraint('metric_counters_key', ['source', 'series_id'])
    .execute();
  await schema.createIndex('metric_counters_by_series').on('metric_counters').column('series_id').execute();
  await schema.createIndex('metric_counters_by_time').on('metric_counters').column('at').execute();
  await schema
    .createTable('metric_points')
    .addColumn('series_id', whole, (column) => column.notNull().references('metric_series.id').onDelete('cascade'))
    .addColumn('step_ms', whole, (column) => column.notNull())
    .addColumn('at', whole, (column) => column.notNull())
    .addColumn('weight', real, (column) => column.notNull())
    .addColumn('sum', real, (column) => column.notNull())
    .addColumn('min', real, (column) => column.notNull())
    .addColumn('max', real, (column) => column.notNull())
    .addPrimaryKeyConstraint('metric_points_key', ['series_id', 'step_ms', 'at'])
    .modifyEnd(types.keyed)
    .execute();
  await schema.createIndex('metric_points_by_time').on('metric_points').columns(['step_ms', 'at']).execute();
}

async function down({ schema }: Kysely<unknown>): Promise<void> {
  for (const table of ['metric_points', 'metric_counters', 'metric_series', 'incidents', 'events'])
    await schema.dropTable(table).execute();
}

export const history = { up, down };
