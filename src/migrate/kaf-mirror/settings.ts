/**
 * What becomes of what kaf-mirror keeps: columns of its database and keys of its YAML. docs/migration/kaf-mirror.md shows
 * this table; `[]` stands for every row, place or name.
 */
import type { Fate } from '#contract/migration.ts';

export interface KafMirrorRow {
  /** `table[].column` of the database, `key.key` of the YAML; with `.*` at its end everything below. */
  readonly path: string;
  /** Null: decided by the value. */
  readonly fate: Fate | null;
  readonly to: string | null;
  readonly how: string;
}

const SERVER = 'It belongs to the server, and is no resource: `lockstep serve` has a configuration of its own.';
const PASSING = 'Batches are passed through as they are.';

export const databaseRows: readonly KafMirrorRow[] = [
  { path: 'kafka_clusters[].name', fate: null, to: 'Cluster', how: 'A name has small letters, digits, "-" and ".".' },
  { path: 'kafka_clusters[].provider', fate: null, to: 'Cluster: provider', how: 'plain, confluent, redpanda, azure.' },
  { path: 'kafka_clusters[].brokers', fate: null, to: 'Cluster: bootstrap', how: 'As there.' },
  {
    path: 'kafka_clusters[].cluster_id',
    fate: null,
    to: 'Cluster: id',
    how: "Confluent's is not taken over: the id is recorded at the first contact.",
  },
  {
    path: 'kafka_clusters[].security_config',
    fate: null,
    to: 'Cluster: security',
    how: 'kaf-mirror does not use it when a job runs; here it is used. Passwords become references.',
  },
  { path: 'kafka_clusters[].api_key', fate: null, to: 'Cluster: security.username', how: 'As there.' },
  { path: 'kafka_clusters[].api_secret', fate: null, to: 'Cluster: security.password', how: 'Becomes a reference.' },
  {
    path: 'kafka_clusters[].connection_string',
    fate: null,
    to: 'Cluster: security.password',
    how: 'Becomes a reference.',
  },
  {
    path: 'kafka_clusters[].status',
    fate: null,
    to: null,
    how: 'A cluster that is inactive or archived is taken over if a job uses it.',
  },
  { path: 'kafka_clusters[].*', fate: 'no-equal', to: null, how: 'Times of changes are not kept.' },
  { path: 'replication_jobs[].id', fate: 'no-equal', to: null, how: 'A Mirror is known by its name.' },
  { path: 'replication_jobs[].name', fate: null, to: 'Mirror', how: 'A name has small letters, digits, "-" and ".".' },
  { path: 'replication_jobs[].source_cluster_name', fate: 'exact', to: 'Mirror: source', how: 'As there.' },
  { path: 'replication_jobs[].target_cluster_name', fate: 'exact', to: 'Mirror: target', how: 'As there.' },
  {
    path: 'replication_jobs[].status',
    fate: null,
    to: null,
    how: 'A job that is paused or failed becomes a Mirror like any other, and a step says so.',
  },
  { path: 'replication_jobs[].failed_reason', fate: 'no-equal', to: null, how: 'Incidents are found anew.' },
  { path: 'replication_jobs[].batch_size', fate: 'no-equal', to: null, how: PASSING },
  {
    path: 'replication_jobs[].parallelism',
    fate: 'no-equal',
    to: null,
    how: 'It had no effect; processes share partitions.',
  },
  {
    path: 'replication_jobs[].compression',
    fate: null,
    to: null,
    how: 'Batches keep the codec of the source, as with none.',
  },
  {
    path: 'replication_jobs[].preserve_partitions',
    fate: null,
    to: null,
    how: 'Partitions are always preserved; kaf-mirror did not, whatever was set.',
  },
  { path: 'replication_jobs[].*', fate: 'no-equal', to: null, how: 'Times of changes are not kept.' },
  {
    path: 'topic_mappings[].source_topic_pattern',
    fate: null,
    to: 'Mirror: topics[].match',
    how: 'An exact name, or an RE2 expression. kaf-mirror 1.2 matched expressions anywhere in a name: without a rename that is kept, with one they match the whole name.',
  },
  {
    path: 'topic_mappings[].target_topic_pattern',
    fate: null,
    to: 'Mirror: topics[].to',
    how: 'Empty or the same as the source: no `to`.',
  },
  { path: 'topic_mappings[].enabled', fate: null, to: null, how: 'One that is off becomes no rule.' },
  { path: 'topic_mappings[].*', fate: 'exact', to: null, how: 'Says which job it is of.' },
  { path: 'users[].username', fate: 'different', to: 'users', how: 'Listed with its roles; each sets a new password.' },
  { path: 'users[].password_hash', fate: 'no-equal', to: null, how: 'bcrypt hashes are left behind.' },
  { path: 'users[].is_initial', fate: 'exact', to: 'users', how: 'Shown beside the user.' },
  { path: 'users[].*', fate: 'no-equal', to: null, how: 'Times of changes are not kept.' },
  {
    path: 'user_roles',
    fate: 'exact',
    to: 'users',
    how: 'admin, operator, monitoring and compliance are the same roles.',
  },
  { path: 'roles', fate: 'exact', to: 'users', how: 'See `user_roles`.' },
  { path: 'permissions', fate: 'no-equal', to: null, how: 'Permissions follow from the role.' },
  { path: 'role_permissions', fate: 'no-equal', to: null, how: 'Permissions follow from the role.' },
  { path: 'api_tokens', fate: 'no-equal', to: null, how: 'Tokens are made anew.' },
  { path: 'configuration', fate: 'exact', to: null, how: 'Each key of `full_config` is read as one of the YAML.' },
];

/** Tables about the past, which are copied as they are, without secrets. */
export const historyTables: readonly string[] = [
  'aggregated_metrics',
  'replication_metrics',
  'ai_insights',
  'operational_events',
  'compliance_reports',
  'job_inventory_snapshots',
  'cluster_inventory',
  'topic_inventory',
  'partition_inventory',
  'consumer_group_inventory',
  'consumer_group_offsets',
  'connection_inventory',
  'mirror_progress',
  'mirror_progress_history',
  'resume_points',
  'migration_checkpoints',
  'mirror_state_analysis',
  'mirror_gaps',
];

export const fileRows: readonly KafMirrorRow[] = [
  { path: 'clusters.*', fate: null, to: 'Cluster', how: 'Each becomes a Cluster, with its `security` as above.' },
  {
    path: 'source_cluster.*',
    fate: null,
    to: 'Cluster source',
    how: 'With `target_cluster` and `topic_mappings` it becomes a Mirror.',
  },
  { path: 'target_cluster.*', fate: null, to: 'Cluster target', how: 'See `source_cluster`.' },
  {
    path: 'topic_mappings[].*',
    fate: null,
    to: 'Mirror: topics',
    how: 'Where the file says source and target. Between `clusters` it says neither, and kaf-mirror starts no job from them.',
  },
  {
    path: 'topics[].*',
    fate: 'no-equal',
    to: null,
    how: 'kaf-mirror does not read this key; its name is `topic_mappings`.',
  },
  { path: 'replication.batch_size', fate: 'no-equal', to: null, how: PASSING },
  { path: 'replication.parallelism', fate: 'no-equal', to: null, how: 'It had no effect; processes share partitions.' },
  { path: 'replication.compression', fate: null, to: null, how: 'Batches keep the codec of the source, as with none.' },
  { path: 'replication.job_id', fate: 'no-equal', to: null, how: 'A Mirror is known by its name.' },
  {
    path: 'replication.topic_discovery_interval',
    fate: null,
    to: 'Mirror: refreshMs',
    how: 'kaf-mirror always took 5 minutes; here it counts, up to an hour. `0` cannot be had: new topics are always looked for.',
  },
  {
    path: 'server.mode',
    fate: 'no-equal',
    to: null,
    how: 'There is one mode: what is checked, and what is told of an error, is the same for everybody.',
  },
  {
    path: 'server.admin_email',
    fate: 'no-equal',
    to: null,
    how: 'Nothing is sent to an address: what happens is told by metrics, their alerts and the log.',
  },
  {
    path: 'server.web_path',
    fate: 'no-equal',
    to: null,
    how: 'No page is read from a folder: all that the server shows is part of the program.',
  },
  { path: 'server.*', fate: 'no-equal', to: null, how: SERVER },
  { path: 'database.*', fate: 'no-equal', to: null, how: SERVER },
  {
    path: 'logging.*',
    fate: 'no-equal',
    to: null,
    how: 'It belongs to the server, and is no resource: `logging.level`, `.directory`, `.maxSize`, `.maxBackups` and `.maxAge` of its own configuration.',
  },
  { path: 'monitoring.*', fate: 'no-equal', to: null, how: SERVER },
  { path: 'compliance.*', fate: 'no-equal', to: null, how: SERVER },
  { path: 'ai.*', fate: 'no-equal', to: null, how: 'There is no assistant yet.' },
];

/** Of several rows the longest. */
export function kafMirrorRowOf(rows: readonly KafMirrorRow[], name: string): KafMirrorRow | null {
  const path = name.replaceAll(/\[[^\]]*\]/g, '[]');
  let best: KafMirrorRow | null = null;
  for (const row of rows) {
    const stem = row.path.replace(/\.?\*$/, '');
    const isMeant =
      path === stem || (row.path.endsWith('*') && (path.startsWith(`${stem}.`) || path.startsWith(`${stem}[`)));
    if (isMeant && (best === null || row.path.length > best.path.length)) best = row;
  }
  return best;
}
