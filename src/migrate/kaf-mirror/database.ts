/** Reads the database of kaf-mirror: what stands in it, table by table, in each of the shapes that its tables have had. */
import type { MigratedHistory, MigratedUser } from '#contract/migration.ts';
import type { Cell, TableFile } from '#util/tables.ts';
import type { Report, Setting } from '../report.ts';
import { Redaction } from './redact.ts';
import { databaseRows, historyTables, kafMirrorRowOf } from './settings.ts';

type Row = Readonly<Record<string, Cell>>;

export interface JobRow {
  readonly id: string;
  /** By column. */
  readonly settings: ReadonlyMap<string, Setting>;
  readonly mappings: readonly ReadonlyMap<string, Setting>[];
}

export interface KafMirrorDatabase {
  readonly clusters: readonly ReadonlyMap<string, Setting>[];
  readonly jobs: readonly JobRow[];
  readonly users: readonly MigratedUser[];
  readonly history: readonly MigratedHistory[];
  /** The text of `full_config`; null where there is none. */
  readonly fullConfig: string | null;
}

/** Null where it is not a database of kaf-mirror. */
export function readDatabase(file: string, tables: TableFile, report: Report): KafMirrorDatabase | null {
  const has = (table: string): boolean => tables.columns.has(table);
  if (!has('kafka_clusters') || !has('replication_jobs')) return null;
  const rowsOf = (table: string): Row[] => (has(table) ? [...tables.rows(table)] : []);
  const settings = (table: string, label: string, row: Row): ReadonlyMap<string, Setting> => {
    const map = new Map<string, Setting>();
    for (const [column, value] of Object.entries(row)) {
      const setting = { file, line: null, name: `${table}[${label}].${column}`, value: textOf(value) };
      report.expect(setting);
      map.set(column, setting);
    }
    return map;
  };
  const clusters = rowsOf('kafka_clusters').map((row) => settings('kafka_clusters', textOf(row['name'] ?? null), row));
  const mappings = rowsOf('topic_mappings').map((row) => ({
    job: textOf(row['job_id'] ?? null),
    columns: settings('topic_mappings', textOf(row['id'] ?? null), row),
  }));
  const jobs = rowsOf('replication_jobs').map((row): JobRow => {
    const id = textOf(row['id'] ?? null);
    return {
      id,
      settings: settings('replication_jobs', textOf(row['name'] ?? null), row),
      mappings: mappings.flatMap(({ job, columns }) => (job === id ? [columns] : [])),
    };
  });
  const redaction = new Redaction();
  for (const cluster of clusters)
    for (const column of ['api_secret', 'api_key', 'connection_string'])
      redaction.know(cluster.get(column)?.value ?? '');
  const users = rowsOf('users').map((row) => userOf(row, { rowsOf, settings }));
  const configuration = rowsOf('configuration').find((row) => row['key'] === 'full_config');
  for (const secret of secretsIn(clusters, textOf(configuration?.['value'] ?? null))) redaction.know(secret);
  tellOthers(file, tables, report);
  return {
    clusters,
    jobs,
    users,
    history: historyTables.flatMap((table) => historyOf(table, { tables, redaction })),
    fullConfig: configuration === undefined ? null : textOf(configuration['value'] ?? null),
  };
}

function userOf(
  row: Row,
  {
    rowsOf,
    settings,
  }: {
    readonly rowsOf: (table: string) => Row[];
    readonly settings: (table: string, label: string, row: Row) => unknown;
  },
): MigratedUser {
  const name = textOf(row['username'] ?? null);
  settings('users', name, row);
  const roleIds = rowsOf('user_roles').flatMap((each) => (each['user_id'] === row['id'] ? [each['role_id']] : []));
  const roles = rowsOf('roles').flatMap((each) => (roleIds.includes(each['id']) ? [textOf(each['name'] ?? null)] : []));
  return { name, roles, wasInitial: row['is_initial'] === 1, mustSetPassword: true };
}

/** Tables that are no settings one by one, each as one. */
function tellOthers(file: string, tables: TableFile, report: Report): void {
  const single = new Set(['kafka_clusters', 'replication_jobs', 'topic_mappings', 'users']);
  for (const table of tables.columns.keys()) {
    if (single.has(table) || table.startsWith('sqlite_')) continue;
    let count = 0;
    for (const _ of tables.rows(table)) count++;
    const setting = { file, line: null, name: table, value: `${count} rows` };
    const row = kafMirrorRowOf(databaseRows, table);
    const foreign = table === 'roles' ? foreignRoles(tables) : [];
    if (foreign.length > 0)
      report.tell(setting, 'no-equal', {
        note: `There is no role ${foreign.join(', ')}.`,
        step: 'Give the users of these roles others.',
      });
    else if (historyTables.includes(table))
      report.tell(setting, 'exact', { to: 'history', note: 'Secrets in it are taken out.' });
    else if (row?.fate) report.tell(setting, row.fate, { note: row.how, ...(row.to === null ? {} : { to: row.to }) });
    else report.tell(setting, 'unknown', { step: `See what ${table} was for.` });
  }
}

/** Those that Lockstep has not. */
function foreignRoles(tables: TableFile): string[] {
  const known = ['admin', 'operator', 'monitoring', 'compliance'];
  return [...tables.rows('roles')].map((row) => textOf(row['name'] ?? null)).filter((name) => !known.includes(name));
}

function historyOf(
  table: string,
  { tables, redaction }: { readonly tables: TableFile; readonly redaction: Redaction },
): MigratedHistory[] {
  const columns = tables.columns.get(table);
  if (columns === undefined) return [];
  const rows = [...tables.rows(table)].map((row) =>
    Object.fromEntries(Object.entries(row).map(([column, value]) => [column, redaction.cell(column, value)])),
  );
  return rows.length === 0 ? [] : [{ table, shape: shapeOf(table, columns), rows }];
}

/** The six tables of the mirror's state have two shapes: that of the base schema, and that of its fourth migration. */
const STATE_TABLES: readonly string[] = [
  'mirror_progress',
  'mirror_progress_history',
  'resume_points',
  'migration_checkpoints',
  'mirror_state_analysis',
  'mirror_gaps',
];
const BASE_COLUMNS: Readonly<Record<string, string>> = {
  mirror_progress: 'source_topic',
  mirror_progress_history: 'source_topic',
  resume_points: 'safe_resume_offset',
  migration_checkpoints: 'target_high_water_marks',
  mirror_state_analysis: 'analyzer_version',
  mirror_gaps: 'gap_start_offset',
};

function shapeOf(table: string, columns: readonly string[]): string {
  if (!STATE_TABLES.includes(table)) return 'base';
  return columns.includes(BASE_COLUMNS[table] ?? '') && !columns.includes('topic_name') ? 'base' : 'migration-4';
}

/** Of security_config and full_config, by the names of their keys. */
function secretsIn(clusters: readonly ReadonlyMap<string, Setting>[], fullConfig: string): string[] {
  const texts = [...clusters.map((cluster) => cluster.get('security_config')?.value ?? ''), fullConfig];
  return texts.flatMap((text) => secretValues(parseJson(text)));
}

function secretValues(value: unknown): string[] {
  if (typeof value !== 'object' || value === null) return [];
  return Object.entries(value).flatMap(([key, each]) =>
    typeof each === 'string' && /password|secret|token|api_?key|connection_?string|jaas/i.test(key)
      ? [each]
      : secretValues(each),
  );
}

/** Undefined where it is none. */
export function parseJson(text: string): unknown {
  try {
    return JSON.parse(text) as unknown;
  } catch (error) {
    if (error instanceof SyntaxError) return undefined;
    throw error;
  }
}

function textOf(value: Cell): string {
  if (value === null) return '';
  return typeof value === 'object' ? Buffer.from(value).toString('utf8') : String(value);
}
