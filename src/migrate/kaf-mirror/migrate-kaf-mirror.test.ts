import { DatabaseSync } from 'node:sqlite';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { parseDocuments } from '#contract/documents.ts';
import { isOpen, type Migration } from '#contract/migration.ts';
import type { Documents } from '#contract/resources.ts';
import { fatesOf, fixturePath, fixtureText, leaksIn } from '#testing/migration-fixtures.ts';
import { systemHost } from '#util/host.ts';
import { migrateKafMirror } from './migrate-kaf-mirror.ts';

let folder = '';

beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'lockstep-kaf-mirror-'));
});

afterEach(() => rmSync(folder, { recursive: true, force: true }));

function documentsOf({ resources }: Migration): Documents {
  return parseDocuments([{ path: 'migrated.yaml', text: resources }]);
}

function ofDatabase(path: string): Migration {
  const tables = systemHost.tables.open(path);
  try {
    return migrateKafMirror([{ path: 'kaf-mirror.db', tables }]);
  } finally {
    tables.close();
  }
}

/** The tables that every version has, and what `more` adds. */
function database(more: string): string {
  const path = join(folder, 'kaf-mirror.db');
  const file = new DatabaseSync(path);
  file.exec(`
    CREATE TABLE kafka_clusters (name TEXT, provider TEXT, cluster_id TEXT, brokers TEXT, security_config TEXT,
      api_key TEXT, api_secret TEXT, connection_string TEXT, status TEXT);
    CREATE TABLE replication_jobs (id TEXT, name TEXT, source_cluster_name TEXT, target_cluster_name TEXT, status TEXT,
      batch_size INTEGER, parallelism INTEGER, compression TEXT, preserve_partitions BOOLEAN);
    CREATE TABLE topic_mappings (id INTEGER, job_id TEXT, source_topic_pattern TEXT, target_topic_pattern TEXT, enabled BOOLEAN);
    ${more}`);
  file.close();
  return path;
}

const TWO_CLUSTERS = `
  INSERT INTO kafka_clusters VALUES ('src', 'plain', '', 'a:9092', '', '', '', NULL, 'active');
  INSERT INTO kafka_clusters VALUES ('dst', 'plain', '', 'b:9092', '', '', '', NULL, 'active');`;

test('what its jobs have copied is that of the mirrors, in the order of time', () => {
  const migration = ofDatabase(
    database(`${TWO_CLUSTERS}
      INSERT INTO replication_jobs VALUES ('id-1', 'Orders', 'src', 'dst', 'active', 1, 1, 'none', 1);
      INSERT INTO replication_jobs VALUES ('id-2', 'nothing', 'src', 'dst', 'active', 1, 1, 'none', 1);
      INSERT INTO topic_mappings VALUES (1, 'id-1', 'orders', 'orders', 1);
      CREATE TABLE aggregated_metrics (job_id TEXT, timestamp DATETIME, messages_replicated_delta INTEGER,
        bytes_transferred_delta INTEGER, messages_consumed_delta INTEGER, bytes_consumed_delta INTEGER, avg_lag INTEGER,
        error_count_delta INTEGER);
      INSERT INTO aggregated_metrics VALUES ('id-1', '2026-11-21 11:16:43', 5, 50, 5, 50, 7, 0);
      INSERT INTO aggregated_metrics VALUES ('id-1', '2026-11-21 11:16:13', 3, 30, 3, 30, -1, 0);
      INSERT INTO aggregated_metrics VALUES ('id-1', '2026-11-21 15:16:13.994232404+01:00', -4, 40, 3, 30, NULL, 0);
      INSERT INTO aggregated_metrics VALUES ('id-1', 'soon', 9, 90, 9, 90, 9, 0);
      INSERT INTO aggregated_metrics VALUES ('id-2', '2026-11-21 11:16:13', 9, 90, 9, 90, 9, 0);`),
  );
  const first = Date.UTC(2026, 10, 21, 11, 16, 13);
  const mirror = 'orders';
  expect(migration.figures).toEqual([
    { mirror, at: first, coveredMs: 0, records: 3, bytes: 30, lagRecords: 0 },
    { mirror, at: first + 30_000, coveredMs: 30_000, records: 5, bytes: 50, lagRecords: 7 },
    { mirror, at: Date.UTC(2026, 10, 21, 14, 16, 13, 994), coveredMs: 0, records: 0, bytes: 40, lagRecords: null },
  ]);
});

test('reg-M-290b: a database that kaf-mirror 1.2.0 has written', () => {
  const migration = ofDatabase(fixturePath('kaf-mirror-1.2.0.db'));
  const { clusters, mirrors } = documentsOf(migration);
  expect(clusters.map(({ metadata, spec }) => [metadata.name, spec.bootstrap])).toEqual([
    ['src', ['127.0.0.1:19092']],
    ['dst', ['127.0.0.1:29092']],
  ]);
  expect(mirrors.map(({ metadata, spec }) => [metadata.name, spec.source, spec.target, spec.topics])).toEqual([
    ['j', 'src', 'dst', [{ match: 'n1k_16', to: null }]],
  ]);
  expect(migration.users).toEqual([
    { name: 'admin@localhost', roles: ['admin'], wasInitial: true, mustSetPassword: true },
  ]);
  expect(migration.history.map(({ table, shape, rows }) => [table, shape, rows.length])).toEqual([
    ['operational_events', 'base', 4],
    ['job_inventory_snapshots', 'base', 3],
    ['cluster_inventory', 'base', 6],
    ['topic_inventory', 'base', 93],
    ['partition_inventory', 'base', 744],
    ['consumer_group_inventory', 'base', 1],
    ['consumer_group_offsets', 'base', 8],
    ['connection_inventory', 'base', 6],
    ['mirror_progress', 'base', 8],
    ['mirror_progress_history', 'base', 8],
    ['resume_points', 'base', 8],
    ['mirror_state_analysis', 'base', 1],
  ]);
  expect(migration.history[0]?.rows[0]).toMatchObject({
    event_type: 'POST /api/v1/clusters',
    initiator: 'admin@localhost',
  });
  expect(Object.entries(fatesOf(migration)).filter(([, fate]) => fate === 'unknown')).toEqual([]);
  expect([isOpen(migration), leaksIn(migration)]).toEqual([false, []]);
});

test('reg-M-290a: the tables of its fourth migration are read, too', () => {
  const migration = ofDatabase(
    database(`
      CREATE TABLE mirror_progress (id INTEGER, job_id TEXT, topic_name TEXT, partition_id INTEGER, source_offset INTEGER,
        target_offset INTEGER, is_synced BOOLEAN);
      INSERT INTO mirror_progress VALUES (1, 'j', 'orders', 0, 10, 9, 0);
      CREATE TABLE mirror_gaps (id INTEGER, job_id TEXT, topic_name TEXT, gap_type TEXT);
      INSERT INTO mirror_gaps VALUES (1, 'j', 'orders', 'replication_lag');
      CREATE TABLE migration_checkpoints (id INTEGER, job_id TEXT, checkpoint_type TEXT);
      INSERT INTO migration_checkpoints VALUES (1, 'j', 'validation');`),
  );
  expect(migration.history).toEqual([
    {
      table: 'mirror_progress',
      shape: 'migration-4',
      rows: [
        {
          id: 1,
          job_id: 'j',
          topic_name: 'orders',
          partition_id: 0,
          source_offset: 10,
          target_offset: 9,
          is_synced: 0,
        },
      ],
    },
    {
      table: 'migration_checkpoints',
      shape: 'migration-4',
      rows: [{ id: 1, job_id: 'j', checkpoint_type: 'validation' }],
    },
    {
      table: 'mirror_gaps',
      shape: 'migration-4',
      rows: [{ id: 1, job_id: 'j', topic_name: 'orders', gap_type: 'replication_lag' }],
    },
  ]);
});

test('reg-M-023a: logins of providers become references, and secrets come out nowhere', () => {
  const migration = ofDatabase(
    database(`
      INSERT INTO kafka_clusters VALUES ('cc', 'confluent', 'lkc-1', 'pkc-1.eu.confluent.cloud:9092', '', 'KEY1', 'canary-api-1', '', 'active');
      INSERT INTO kafka_clusters VALUES ('eh', 'azure', '', 'ns.servicebus.windows.net:9093', '', '', '', 'canary-conn-1', 'active');
      INSERT INTO kafka_clusters VALUES ('rp', 'redpanda', '', 'r:9092', '{"enabled":true,"sasl_mechanism":"SCRAM-SHA-256","username":"u","password":"canary-rp-1"}', '', '', '', 'active');
      INSERT INTO kafka_clusters VALUES ('old', 'plain', '', 'o:9092', '', '', '', '', 'inactive');
      INSERT INTO kafka_clusters VALUES ('krb', 'plain', '', 'k:9092', '{"enabled":true,"sasl_mechanism":"GSSAPI","kerberos":{"service_name":"kafka"}}', '', '', '', 'active');
      CREATE TABLE operational_events (id INTEGER, event_type TEXT, details TEXT);
      INSERT INTO operational_events VALUES (1, 'POST /api/v1/clusters', '{"api_secret":"canary-api-1"} and canary-rp-1');
      INSERT INTO operational_events VALUES (2, 'POST /api/v1/users', '{"username":"x","password":"canary-user-1"}');
      CREATE TABLE configuration (key TEXT, value TEXT);
      INSERT INTO configuration VALUES ('full_config', '{"replication":{"batch_size":5},"ai":{"token":"canary-ai-1"}}');
      INSERT INTO operational_events VALUES (3, 'PUT /api/v1/config', 'now canary-ai-1');`),
  );
  const { clusters } = documentsOf(migration);
  expect(
    clusters.map(({ metadata, spec: { id, security } }) => [metadata.name, id, security.provider, security.sasl]),
  ).toEqual([
    ['cc', null, 'confluent', { mechanism: 'PLAIN', username: 'KEY1', password: { env: 'CC_PASSWORD' } }],
    ['eh', null, 'azure', { mechanism: 'PLAIN', username: '$ConnectionString', password: { env: 'EH_PASSWORD' } }],
    ['rp', null, 'redpanda', { mechanism: 'SCRAM-SHA-256', username: 'u', password: { env: 'RP_PASSWORD' } }],
    ['krb', null, 'plain', { mechanism: 'SCRAM-SHA-512', username: 'replace-me', password: { env: 'KRB_PASSWORD' } }],
  ]);
  expect(fatesOf(migration)).toMatchObject({
    'kafka_clusters[krb].security_config.sasl_mechanism': 'no-equal',
    'kafka_clusters[old].name': 'exact',
    'configuration[full_config].replication.batch_size': 'no-equal',
    'configuration[full_config].ai.token': 'no-equal',
  });
  expect(leaksIn(migration)).toEqual([]);
});

test('jobs that stand still, mappings that are off and jobs without any are named', () => {
  const migration = ofDatabase(
    database(`${TWO_CLUSTERS}
      INSERT INTO replication_jobs VALUES ('1', 'My Job', 'src', 'dst', 'paused', 8000, 4, 'zstd', 0);
      INSERT INTO topic_mappings VALUES (1, '1', 'orders', 'orders', 1);
      INSERT INTO topic_mappings VALUES (2, '1', 'audit', 'audit', 0);
      INSERT INTO replication_jobs VALUES ('2', 'empty', 'src', 'dst', 'active', 1000, 4, 'none', 1);
      INSERT INTO replication_jobs VALUES ('3', 'lost', 'src', 'gone', 'active', 1000, 4, 'none', 1);
      INSERT INTO topic_mappings VALUES (3, '3', 'orders', 'orders', 1);`),
  );
  expect(documentsOf(migration).mirrors.map(({ metadata, spec }) => [metadata.name, spec.topics])).toEqual([
    ['my-job', [{ match: 'orders', to: null }]],
  ]);
  const fates = fatesOf(migration);
  expect([
    fates['replication_jobs[My Job].status'],
    fates['replication_jobs[My Job].compression'],
    fates['replication_jobs[empty].name'],
    fates['replication_jobs[lost].name'],
  ]).toEqual(['no-equal', 'different', 'no-equal', 'no-equal']);
});

test('a role that is none of the four is named', () => {
  const migration = ofDatabase(
    database(`
      CREATE TABLE users (id INTEGER, username TEXT, password_hash BLOB, is_initial BOOLEAN);
      INSERT INTO users VALUES (1, 'ann', x'24', 0);
      CREATE TABLE roles (id INTEGER, name TEXT);
      INSERT INTO roles VALUES (1, 'operator'), (2, 'auditor');
      CREATE TABLE user_roles (user_id INTEGER, role_id INTEGER);
      INSERT INTO user_roles VALUES (1, 2), (1, 1);`),
  );
  expect(migration.users).toEqual([
    { name: 'ann', roles: ['operator', 'auditor'], wasInitial: false, mustSetPassword: true },
  ]);
  expect(migration.settings.find(({ setting }) => setting === 'roles')).toMatchObject({
    fate: 'no-equal',
    notes: ['There is no role auditor.'],
  });
});

test('a table that nobody knows is unknown', () => {
  const migration = ofDatabase(database('CREATE TABLE mystery (a TEXT); INSERT INTO mystery VALUES (1);'));
  expect(fatesOf(migration)['mystery']).toBe('unknown');
});

test('the YAML that the database ran with', () => {
  const migration = migrateKafMirror([fixtureText('kaf-mirror-default.yml')]);
  expect([migration.resources, isOpen(migration)]).toEqual(['', false]);
});

test('reg-M-257 reg-M-260: YAML with source, target and mappings becomes a mirror', () => {
  const migration = migrateKafMirror([fixtureText('kaf-mirror.yml')]);
  const { clusters, mirrors } = documentsOf(migration);
  expect(clusters[0]?.spec.security.sasl).toEqual({
    mechanism: 'SCRAM-SHA-256',
    username: 'reader',
    password: { env: 'SOURCE_PASSWORD' },
  });
  expect(clusters[1]?.spec.bootstrap).toEqual(['target-1:9092', 'target-2:9092']);
  expect(mirrors[0]?.spec).toMatchObject({
    refreshMs: 120_000,
    topics: [
      { match: 'orders', to: null },
      { match: '/events-(.*)/', to: 'backup-$1' },
      { match: '/.*user.*/', to: null },
    ],
  });
  expect([fatesOf(migration)['mystery'], leaksIn(migration)]).toEqual(['unknown', []]);
});

test('acc-M-251 acc-M-252: what has no meaning here is named with the reason, from the YAML and from the database', () => {
  const reasons = {
    'server.mode': /one mode/,
    'server.admin_email': /sent to an address/,
    'server.web_path': /read from a folder/,
  };
  const server = { mode: 'development', admin_email: 'ops@bank.example', web_path: './web' };
  const ofFile = migrateKafMirror([{ path: 'c.yml', text: JSON.stringify({ server }) }]);
  const ofTables = ofDatabase(
    database(`CREATE TABLE configuration (key TEXT, value TEXT);
      INSERT INTO configuration VALUES ('full_config', '${JSON.stringify({ server })}');`),
  );
  for (const [{ settings }, place] of [
    [ofFile, ''],
    [ofTables, 'configuration[full_config].'],
  ] as const)
    for (const [name, reason] of Object.entries(reasons))
      expect(settings.find(({ setting }) => setting === `${place}${name}`)).toMatchObject({
        fate: 'no-equal',
        notes: [expect.stringMatching(reason)],
      });
  expect([isOpen(ofFile), isOpen(ofTables)]).toEqual([false, false]);
});

test('mappings beside several clusters belong to nobody, as in kaf-mirror', () => {
  const migration = migrateKafMirror([
    {
      path: 'c.yml',
      text: 'clusters: { a: { brokers: "x:1" } }\ntopic_mappings: [{ source: t, target: t, enabled: true }]\n',
    },
  ]);
  expect([migration.clusters, migration.mirrors, isOpen(migration)]).toEqual([['a'], [], true]);
});

test('what is not of kaf-mirror is refused', () => {
  const path = join(folder, 'other.db');
  const file = new DatabaseSync(path);
  file.exec('CREATE TABLE a (b TEXT)');
  file.close();
  expect(() => ofDatabase(path)).toThrow('it has no tables kafka_clusters and replication_jobs');
  expect(() => migrateKafMirror([{ path: 'x.yml', text: '- a\n' }])).toThrow('it is no YAML mapping');
});
