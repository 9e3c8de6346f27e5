/**
 * Every setting that MirrorMaker 2 of Kafka 2.4 to 4.3 has, and what becomes of it. docs/migration/mirror-maker-2.md shows
 * this table; mirror-spec.ts and ../client-security.ts decide about those that `depends` marks, and a test holds each
 * `sample` against what they decide.
 */
import type { Fate } from '#contract/migration.ts';

/** `mirror`: of a connector; `cluster`: of clients, behind an alias; `worker`: of the process. */
export type Level = 'mirror' | 'cluster' | 'worker';

export interface SettingRow {
  /** With `*` at its end: everything that begins so. */
  readonly key: string;
  readonly level: Level;
  /** What can become of it, with a value that has each. One: it is always that. */
  readonly samples: Partial<Readonly<Record<Fate, string>>>;
  /** The key of ours, as the page shows it. */
  readonly to: string | null;
  readonly how: string;
  /** Whether mirror-spec.ts or client-security.ts decides. */
  readonly isDecided: boolean;
}

type Samples = SettingRow['samples'];

/** What is decided by its value. */
function depends(level: Level, key: string, to: string | null, samples: Samples, how: string): SettingRow {
  return { key, level, samples, to, how, isDecided: true };
}

/** What is the same whatever its value. */
function fixed(level: Level, fate: Fate, keys: string, how: string, to: string | null = null): SettingRow[] {
  return keys.split(' ').map((key) => ({ key, level, samples: { [fate]: '1' }, to, how, isDecided: false }));
}

const NEEDS_NONE = 'There is nothing of the kind to set.';
const TUNING =
  'Batches are passed through as they are, in as many requests as the brokers take: there is nothing to tune.';
const CONNECT = 'Kafka Connect is not needed.';
const OFFSET_SYNCS = 'Offsets are exact, so there is no topic of offset pairs.';
const HEARTBEATS = "Lag is measured; `sync.groups.checkpoints` writes heartbeats for MirrorMaker 2's client.";

export const settingRows: readonly SettingRow[] = [
  depends('mirror', 'enabled', 'Mirror', { exact: 'true' }, 'A pair that is enabled becomes a Mirror; no other does.'),
  depends(
    'mirror',
    'topics',
    'topics[].match',
    { exact: 'orders, payments\\..*', 'no-equal': '(a)\\1' },
    'Each expression becomes a rule: an exact name where it is one, else an RE2 expression that matches the same names. `.` matches any character, as in Java.',
  ),
  ...['topics.exclude', 'topics.blacklist'].map((key) =>
    depends(
      'mirror',
      key,
      'topics[].exclude',
      { exact: '.*\\.replica', 'no-equal': '(?=a).*' },
      'Each expression becomes a rule, anchored at both ends.',
    ),
  ),
  depends(
    'mirror',
    'replication.policy.class',
    'topics[].to',
    {
      exact: 'org.apache.kafka.connect.mirror.DefaultReplicationPolicy',
      different: 'org.apache.kafka.connect.mirror.IdentityReplicationPolicy',
      'no-equal': 'com.example.OwnPolicy',
    },
    'DefaultReplicationPolicy: `to: alias.$0`. IdentityReplicationPolicy: no `to`; names that end with "heartbeats" are not prefixed here. Of a class of your own the names are not known.',
  ),
  depends(
    'mirror',
    'replication.policy.separator',
    'topics[].to',
    { exact: '-', 'no-equal': '/' },
    'It stands between alias and name.',
  ),
  ...fixed(
    'mirror',
    'no-equal',
    'replication.policy.internal.topic.separator.enabled',
    'It is about topics that are not needed here.',
  ),
  depends(
    'mirror',
    'replication.factor',
    'targetReplicationFactor',
    { exact: '3', different: '-1', 'no-equal': 'three' },
    "With -1 the source's is taken, not the default of the target's brokers. Unset, MirrorMaker 2 takes 2; here the source's is taken.",
  ),
  depends(
    'mirror',
    'refresh.topics.enabled',
    null,
    { exact: 'true', 'no-equal': 'false' },
    'New topics and partitions are always looked for.',
  ),
  depends(
    'mirror',
    'refresh.topics.interval.seconds',
    'refreshMs',
    { exact: '60', different: '7200', 'no-equal': 'often' },
    'At most an hour. Unset, MirrorMaker 2 takes 600 s; here it is 5 s.',
  ),
  depends(
    'mirror',
    'sync.topic.configs.enabled',
    'sync.configs',
    { different: 'true', exact: 'false' },
    'Retention is never shortened unless `allowWeaker` is written; settings are compared every 30 s.',
  ),
  depends(
    'mirror',
    'use.defaults.from',
    'sync.configs.defaultsFrom',
    { exact: 'source', 'no-equal': 'elsewhere' },
    'As there.',
  ),
  ...['config.properties.exclude', 'config.properties.blacklist'].map((key) =>
    depends(
      'mirror',
      key,
      'sync.configs.exclude',
      { exact: 'min\\.insync\\.replicas', 'no-equal': '(?<=a)b' },
      'Each expression becomes an entry. What an exact copy needs of timestamps and sizes is set all the same.',
    ),
  ),
  depends(
    'mirror',
    'sync.topic.acls.enabled',
    'sync.acls',
    { different: 'true', exact: 'false' },
    'MirrorMaker 2 copies literal ACLs of topics without ALLOW WRITE; `acls: true` copies those of groups, transactional ids and the cluster too, and never more than reading.',
  ),
  depends(
    'mirror',
    'sync.group.offsets.enabled',
    'sync.groups',
    { exact: 'true' },
    'Places are exact at any lag, and follow rewinds.',
  ),
  depends(
    'mirror',
    'sync.group.offsets.interval.seconds',
    'sync.groups.everyMs',
    { exact: '30', different: '7200', 'no-equal': 'often' },
    'At most an hour. Unset, MirrorMaker 2 takes 60 s; here it is 5 s.',
  ),
  depends(
    'mirror',
    'groups',
    'sync.groups.match',
    { exact: 'shop-.*', 'no-equal': '(a)\\1' },
    'Each expression becomes an entry.',
  ),
  ...['groups.exclude', 'groups.blacklist'].map((key) =>
    depends(
      'mirror',
      key,
      'sync.groups.exclude',
      { exact: 'console-.*', 'no-equal': '(?=a).*' },
      'Each expression becomes an entry, anchored at both ends.',
    ),
  ),
  depends(
    'mirror',
    'emit.checkpoints.enabled',
    'sync.groups.checkpoints',
    { exact: 'true' },
    'Checkpoints come with `sync.groups` only. Where groups are not synchronised there are none, and a step says so.',
  ),
  ...fixed(
    'mirror',
    'different',
    'emit.checkpoints.interval.seconds',
    'Checkpoints are written in each round of `sync.groups.everyMs`.',
  ),
  ...fixed(
    'mirror',
    'different',
    'refresh.groups.enabled refresh.groups.interval.seconds',
    'New groups are looked for in each round of `sync.groups.everyMs`.',
  ),
  ...fixed('mirror', 'different', 'sync.topic.configs.interval.seconds', 'Settings are compared every 30 s.'),
  ...fixed('mirror', 'different', 'sync.topic.acls.interval.seconds', 'ACLs are compared every 15 s.'),
  ...['consumer.auto.offset.reset', 'source.consumer.auto.offset.reset'].map((key) =>
    depends(
      'mirror',
      key,
      'start',
      { exact: 'earliest', different: 'latest', 'no-equal': 'none' },
      'Partitions that appear later are copied from their beginning.',
    ),
  ),
  ...['consumer.isolation.level', 'source.consumer.isolation.level'].map((key) =>
    depends(
      'mirror',
      key,
      'transactions',
      { exact: 'read_committed', different: 'read_uncommitted' },
      'read_committed: `committed-only`. read_uncommitted: `preserve`, by which aborted records stay aborted and do not become real.',
    ),
  ),
  ...['topic.filter.class', 'group.filter.class', 'config.property.filter.class'].map((key) =>
    depends(
      'mirror',
      key,
      null,
      {
        exact: `org.apache.kafka.connect.mirror.Default${key === 'topic.filter.class' ? 'Topic' : key === 'group.filter.class' ? 'Group' : 'ConfigProperty'}Filter`,
        'no-equal': 'com.example.OwnFilter',
      },
      'Of a class of your own it is not known what it chooses.',
    ),
  ),
  depends(
    'mirror',
    'forwarding.admin.class',
    null,
    { exact: 'org.apache.kafka.clients.admin.ForwardingAdmin', 'no-equal': 'com.example.OwnAdmin' },
    "Topics are created by Kafka's own requests.",
  ),
  ...['key.converter', 'value.converter'].map((key) =>
    depends(
      'mirror',
      key,
      null,
      {
        exact: 'org.apache.kafka.connect.converters.ByteArrayConverter',
        'no-equal': 'org.apache.kafka.connect.json.JsonConverter',
      },
      'Bytes are copied as they are.',
    ),
  ),
  depends(
    'mirror',
    'transforms',
    'topics[]',
    { 'no-equal': 'route' },
    'A rename is a `to` of a topic rule; a Filter is a `condition`; values are not looked at.',
  ),
  ...fixed('mirror', 'no-equal', 'transforms.* predicates predicates.*', 'See `transforms`.'),
  ...fixed(
    'mirror',
    'no-equal',
    'tasks.max tasks.max.enforce',
    'The processes of a mirror share its partitions among themselves.',
  ),
  ...fixed('mirror', 'no-equal', 'offset.lag.max offset-syncs.* emit.offset-syncs.enabled', OFFSET_SYNCS),
  ...fixed(
    'mirror',
    'no-equal',
    'emit.heartbeats.enabled emit.heartbeats.interval.seconds heartbeats.topic.replication.factor heartbeats.replication.enabled',
    HEARTBEATS,
  ),
  ...fixed(
    'mirror',
    'no-equal',
    'checkpoints.topic.replication.factor',
    'Topics of checkpoints are created with what the target can hold.',
  ),
  ...fixed('mirror', 'no-equal', 'admin.timeout.ms consumer.poll.timeout.ms', 'Every request has a deadline.'),
  ...fixed(
    'mirror',
    'no-equal',
    'metric.names.formats metric.reporters metrics.* auto.include.jmx.reporter',
    'Metrics have their own names and ways out.',
  ),
  ...fixed('mirror', 'no-equal', 'errors.*', 'What cannot be copied exactly stops its partition; nothing is left out.'),
  ...fixed(
    'mirror',
    'no-equal',
    'producer.* source.producer.* target.producer.* consumer.* source.consumer.* target.consumer.* admin.* source.admin.* target.admin.*',
    TUNING,
  ),
  ...fixed('mirror', 'no-equal', 'producer.override.* consumer.override.* admin.override.*', TUNING),
  ...fixed(
    'mirror',
    'exact',
    'name connector.class source.cluster.alias target.cluster.alias',
    'They say which mirror it is.',
    'Mirror',
  ),
  ...fixed('mirror', 'exact', 'config.providers config.providers.*', 'See there for the process.'),
  ...fixed(
    'mirror',
    'no-equal',
    'plugin.version connector.plugin.version config.action.reload topic.creation.* exactly.once.support transaction.boundary transaction.boundary.interval.ms offsets.storage.topic task.* key.converter.* value.converter.* header.converter header.converter.*',
    'Bytes are copied as they are; Kafka Connect is not needed.',
  ),

  depends(
    'cluster',
    'bootstrap.servers',
    'bootstrap',
    { exact: 'a.example:9092', 'no-equal': 'nowhere' },
    "A protocol in front of a host says nothing and is left out, as in Kafka's clients.",
  ),
  depends('cluster', 'security.protocol', 'security.protocol', { exact: 'SSL' }, 'As there.'),
  depends(
    'cluster',
    'sasl.mechanism',
    'security.mechanism',
    { exact: 'SCRAM-SHA-512', 'no-equal': 'GSSAPI' },
    'GSSAPI and AWS_MSK_IAM are not built.',
  ),
  depends(
    'cluster',
    'sasl.jaas.config',
    'security.username, security.password, security.token',
    { exact: 'x.ScramLoginModule required username="a" password="b";', 'no-equal': '${file:/etc/secrets:jaas}' },
    'The user name is taken over, the password becomes a reference.',
  ),
  depends(
    'cluster',
    'ssl.truststore.location',
    'security.ca',
    { different: '/etc/trust.jks' },
    'A PEM file is taken as it is; of a store a step says how it is converted.',
  ),
  depends('cluster', 'ssl.truststore.certificates', 'security.ca', { different: 'PEM' }, 'They are written to a file.'),
  depends('cluster', 'ssl.truststore.type', null, { exact: 'PKCS12' }, 'PEM or a store to be converted.'),
  depends('cluster', 'ssl.truststore.password', null, { exact: 'x' }, 'Not needed.'),
  depends(
    'cluster',
    'ssl.keystore.location',
    'security.certificate, security.key',
    { different: '/etc/key.p12' },
    'A PEM file is taken as it is; of a store a step says how it is converted.',
  ),
  ...['ssl.keystore.key', 'ssl.keystore.certificate.chain'].map((key) =>
    depends(
      'cluster',
      key,
      key.endsWith('key') ? 'security.key' : 'security.certificate',
      { 'no-equal': 'PEM' },
      'Both together become references.',
    ),
  ),
  depends('cluster', 'ssl.keystore.type', null, { exact: 'PKCS12' }, 'PEM or a store to be converted.'),
  depends('cluster', 'ssl.keystore.password', null, { exact: 'x' }, 'Needed for the conversion only.'),
  depends(
    'cluster',
    'ssl.key.password',
    'security.keyPassword',
    { exact: 'x' },
    'Of a PEM key it becomes a reference.',
  ),
  depends(
    'cluster',
    'ssl.endpoint.identification.algorithm',
    null,
    { exact: 'https', 'no-equal': '' },
    'Names in certificates are always checked.',
  ),
  ...[
    'sasl.oauthbearer.token.endpoint.url',
    'sasl.oauthbearer.client.credentials.client.id',
    'sasl.oauthbearer.client.credentials.client.secret',
    'sasl.oauthbearer.scope',
  ].map((key) => depends('cluster', key, 'security.token', { exact: 'x' }, 'With mechanism OAUTHBEARER.')),
  ...['sasl.login.callback.handler.class', 'sasl.client.callback.handler.class'].map((key) =>
    depends(
      'cluster',
      key,
      null,
      { 'no-equal': 'com.example.Login' },
      'What a class of your own does is not known; with OAUTHBEARER tokens are fetched by the client credentials grant.',
    ),
  ),
  ...fixed('cluster', 'no-equal', 'sasl.kerberos.service.name', 'GSSAPI is not built.'),
  ...fixed(
    'cluster',
    'no-equal',
    'sasl.login.class sasl.login.* sasl.kerberos.* sasl.oauthbearer.*',
    'Logins are repeated before a session or a token ends.',
  ),
  ...fixed(
    'cluster',
    'no-equal',
    'ssl.engine.factory.class ssl.protocol ssl.provider ssl.enabled.protocols ssl.cipher.suites ssl.keymanager.algorithm ssl.trustmanager.algorithm ssl.secure.random.implementation security.providers',
    'TLS is 1.2 or later, with what Node has.',
  ),
  ...['consumer.auto.offset.reset', 'consumer.isolation.level'].map((key) =>
    depends(
      'cluster',
      key,
      key.endsWith('reset') ? 'start' : 'transactions',
      { exact: key.endsWith('reset') ? 'earliest' : 'read_committed' },
      'As for a mirror, of each that reads there.',
    ),
  ),
  ...fixed('cluster', 'no-equal', 'consumer.* producer.* admin.*', TUNING),
  ...fixed(
    'cluster',
    'no-equal',
    'offset.storage.* config.storage.* status.storage.* offset.flush.* group.id',
    CONNECT,
  ),
  ...fixed(
    'cluster',
    'no-equal',
    'client.id client.rack client.dns.lookup request.timeout.ms default.api.timeout.ms retries retry.backoff.ms retry.backoff.max.ms reconnect.backoff.ms reconnect.backoff.max.ms connections.max.idle.ms metadata.* send.buffer.bytes receive.buffer.bytes socket.connection.setup.timeout.ms socket.connection.setup.timeout.max.ms enable.metrics.push metrics.* metric.reporters auto.include.jmx.reporter session.timeout.ms heartbeat.interval.ms rebalance.timeout.ms worker.* scheduled.rebalance.max.delay.ms bootstrap.controllers',
    NEEDS_NONE,
  ),

  depends(
    'worker',
    'clusters',
    'Cluster',
    { exact: 'a, b' },
    'Each becomes a Cluster; a name has small letters, digits, "-" and ".".',
  ),
  ...fixed(
    'worker',
    'exact',
    'config.providers config.providers.*',
    'References of `env` and `directory` are taken over; of others a step says which value is to be put where.',
    'references',
  ),
  ...fixed('worker', 'no-equal', 'exactly.once.source.support', 'Copies are exact without it.'),
  ...fixed(
    'worker',
    'no-equal',
    'dedicated.mode.enable.internal.rest listeners listeners.* rest.* admin.listeners admin.listeners.* access.control.* response.http.headers.config plugin.path plugin.discovery offset.storage.* config.storage.* status.storage.* offset.flush.* group.id key.converter key.converter.* value.converter value.converter.* header.converter header.converter.* internal.* task.* worker.* connect.* inter.worker.* scheduled.rebalance.max.delay.ms connector.client.config.override.policy topic.creation.enable topic.tracking.allow.reset topic.tracking.enable connect.protocol',
    CONNECT,
  ),
];

/** The row of a setting; of several the longest. */
export function rowOf(level: Level, key: string): SettingRow | null {
  let best: SettingRow | null = null;
  for (const row of settingRows) {
    if (row.level !== level) continue;
    const isMeant = row.key.endsWith('*') ? key.startsWith(row.key.slice(0, -1)) : key === row.key;
    if (isMeant && (best === null || row.key.length > best.key.length)) best = row;
  }
  return best;
}

export function fateOf({ samples }: SettingRow): Fate | null {
  const [fate, ...others] = Object.keys(samples) as Fate[];
  return others.length === 0 ? (fate ?? null) : null;
}
