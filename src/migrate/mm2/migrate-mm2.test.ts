import fc from 'fast-check';
import { expect, test } from 'vitest';
import { parseDocuments } from '#contract/documents.ts';
import { isOpen, type Migration } from '#contract/migration.ts';
import { compileTopicRules, targetOf } from '#contract/topic-rules.ts';
import type { Documents } from '#contract/resources.ts';
import { fatesOf, fixtureBytes, leaksIn } from '#testing/migration-fixtures.ts';
import { must } from '#util/assert.ts';
import { isSecretKey } from '../security-text.ts';
import { settingRows } from '../mirror-maker/settings.ts';
import { migrateMm2 } from './migrate-mm2.ts';

function documentsOf({ resources }: Migration): Documents {
  return parseDocuments([{ path: 'migrated.yaml', text: resources }]);
}

function ofText(text: string): Migration {
  return migrateMm2([{ path: 'mm2.properties', bytes: Buffer.from(text, 'latin1') }]);
}

const SMALL = 'clusters = a, b\na.bootstrap.servers = a:9092\nb.bootstrap.servers = b:9092\na->b.enabled = true\n';

/** Source → target of `names`, as the first mirror has it. */
function copies(migration: Migration, names: readonly string[]): Record<string, string> {
  const [mirror] = documentsOf(migration).mirrors;
  const rules = compileTopicRules(must(mirror, 'a mirror').spec.topics);
  return Object.fromEntries(
    names.flatMap((name) => {
      const found = targetOf(rules, { name, isInternal: false });
      return found === null ? [] : [[name, found.target]];
    }),
  );
}

test('one way with named topics: as the documentation of Kafka shows it', () => {
  const migration = migrateMm2([fixtureBytes('active-passive.properties')]);
  expect([migration.clusters, migration.mirrors]).toEqual([['primary', 'backup'], ['primary-to-backup']]);
  const { clusters, mirrors } = documentsOf(migration);
  expect(clusters.map(({ spec }) => spec.bootstrap)).toEqual([
    ['primary-1.example:9092', 'primary-2.example:9092', 'primary-3.example:9092'],
    ['backup-1.example:9092', 'backup-2.example:9092'],
  ]);
  expect(mirrors[0]?.spec).toMatchObject({
    source: 'primary',
    target: 'backup',
    refreshMs: 60_000,
    targetReplicationFactor: 3,
    start: { at: 'earliest' },
    transactions: 'preserve',
    sync: {
      acls: null,
      configs: { exclude: ['unclean.leader.election.enable', 'min.insync.replicas'], defaultsFrom: 'target' },
      groups: { match: ['/shop-.*/'], everyMs: 30_000, checkpoints: true },
    },
  });
  const names = ['foo1', 'orders', 'ordersX', 'payments.in', 'payments.X', 'backup.foo', 'foo.replica', 'foo.backup.x'];
  expect(copies(migration, names)).toEqual({
    foo1: 'primary.foo1',
    orders: 'primary.orders',
    'payments.in': 'primary.payments.in',
  });
  expect(isOpen(migration)).toBe(false);
  expect(Object.entries(fatesOf(migration)).filter(([, fate]) => fate === 'unknown')).toEqual([]);
});

test('both ways with logins: names, secrets and what is unknown', () => {
  const migration = migrateMm2([fixtureBytes('active-active.properties')]);
  const { clusters, mirrors } = documentsOf(migration);
  expect(clusters[0]?.spec.security).toMatchObject({
    protocol: 'SASL_SSL',
    tls: { ca: { file: 'us-east-ca.pem' } },
    sasl: { mechanism: 'SCRAM-SHA-512', username: 'mirror', password: { env: 'US_EAST_PASSWORD' } },
  });
  const pem = { file: '/etc/kafka/eu-mirror.pem' };
  expect(clusters[1]?.spec.security).toMatchObject({
    protocol: 'SSL',
    tls: {
      ca: { file: '/etc/kafka/eu-ca.pem' },
      identity: { certificate: pem, key: pem, keyPassword: { env: 'EU_KEY_PASSWORD' } },
    },
  });
  expect(migration.secrets).toEqual([
    {
      key: 'Cluster us-east: spec.security.password',
      reference: { env: 'US_EAST_PASSWORD' },
      from: 'US_East.sasl.jaas.config in active-active.properties',
      isThere: false,
    },
    {
      key: 'Cluster eu-west: spec.security.keyPassword',
      reference: { env: 'EU_KEY_PASSWORD' },
      from: 'eu-west.ssl.key.password in active-active.properties, that is ${env:EU_KEY_PASSWORD}',
      isThere: true,
    },
  ]);
  expect(mirrors.map(({ spec }) => [spec.start.at, spec.transactions])).toEqual([
    ['latest', 'preserve'],
    ['earliest', 'committed-only'],
  ]);
  expect(copies(migration, ['orders', 'x-internal', 'mm2-a-internal', 'eu-west-orders', 'a-eu-west-orders'])).toEqual({
    orders: 'US_East-orders',
  });
  const fates = fatesOf(migration);
  expect([fates['topicz'], fates['US_East->eu-west.own.password']]).toEqual(['unknown', 'unknown']);
  expect(migration.settings.find(({ setting }) => setting === 'topicz')?.notes).toEqual([
    'Did somebody mean "topics"?',
  ]);
  expect(fates['US_East.ssl.endpoint.identification.algorithm']).toBe('no-equal');
  expect([isOpen(migration), leaksIn(migration)]).toEqual([true, []]);
});

test('connectors one by one, as Amazon MSK Connect is given them, are one mirror', () => {
  const migration = migrateMm2([fixtureBytes('msk-source.json'), fixtureBytes('msk-checkpoint.properties')]);
  const { clusters, mirrors } = documentsOf(migration);
  expect(clusters.map(({ spec }) => spec.security.sasl)).toEqual([
    { mechanism: 'SCRAM-SHA-512', username: 'replace-me', password: { env: 'OLD_PASSWORD' } },
    { mechanism: 'SCRAM-SHA-512', username: 'migration', password: { env: 'NEW_PASSWORD' } },
  ]);
  expect(mirrors[0]?.spec).toMatchObject({
    refreshMs: 20_000,
    targetReplicationFactor: 3,
    sync: { groups: { match: ['/Exam.*/', '/mm-.*/'], everyMs: 5_000, checkpoints: true } },
  });
  expect(copies(migration, ['ExamOne', 'results', 'amazon_msk_canary', 'Exam.replica'])).toEqual({
    ExamOne: 'ExamOne',
    results: 'results',
  });
  expect(fatesOf(migration)['source.cluster.sasl.mechanism']).toBe('no-equal');
  expect([isOpen(migration), leaksIn(migration)]).toEqual([true, []]);
});

test('a connector that says something else than the one that is taken is named', () => {
  const migration = migrateMm2([
    fixtureBytes('msk-source.json'),
    {
      path: 'checkpoint.json',
      bytes: Buffer.from(
        JSON.stringify({
          name: 'c',
          config: {
            'connector.class': 'MirrorCheckpointConnector',
            'source.cluster.alias': 'old',
            'target.cluster.alias': 'new',
            'target.cluster.bootstrap.servers': 'elsewhere:9092',
            topics: 'other',
          },
        }),
      ),
    },
  ]);
  const open = migration.settings.filter(({ file, steps }) => file === 'checkpoint.json' && steps.length > 0);
  expect(open.map(({ setting }) => setting)).toEqual(['target.cluster.bootstrap.servers', 'topics']);
});

test('of a pair A->B.key hides key, and an older name is hidden by the newer', () => {
  const migration = ofText(
    `${SMALL}topics = a.*\na->b.topics = x, y\ntopics.blacklist = y\ntopics.exclude = z\nreplication.policy.class = org.apache.kafka.connect.mirror.IdentityReplicationPolicy\n`,
  );
  expect(copies(migration, ['a1', 'x', 'y', 'z'])).toEqual({ x: 'x', y: 'y' });
  const told = new Map(migration.settings.map((each) => [each.setting, each.notes]));
  expect(told.get('topics.blacklist')).toEqual(['It is hidden by topics.exclude.']);
  expect(told.get('topics')).toEqual(['No mirror and no cluster here uses it.']);
});

test('what MirrorMaker 2 does not read at the top level is not taken over', () => {
  const migration = ofText(`${SMALL}consumer.auto.offset.reset = latest\n`);
  expect(documentsOf(migration).mirrors[0]?.spec.start).toEqual({ at: 'earliest' });
  expect(migration.settings.find(({ setting }) => setting === 'consumer.auto.offset.reset')).toMatchObject({
    fate: 'no-equal',
    steps: ['See whether consumer.auto.offset.reset was meant to have an effect.'],
  });
  const scoped = ofText(`${SMALL}a->b.source.consumer.auto.offset.reset = latest\n`);
  expect(documentsOf(scoped).mirrors[0]?.spec.start).toEqual({ at: 'latest' });
});

test('where an expression has no equal nothing is copied until somebody has written a rule', () => {
  const included = ofText(`${SMALL}topics = (a)\\\\1\n`);
  expect(copies(included, ['aa', 'a', 'orders'])).toEqual({});
  const excluded = ofText(`${SMALL}topics.exclude = a(?=b).*\n`);
  expect(copies(excluded, ['ab', 'orders'])).toEqual({});
  for (const migration of [included, excluded]) expect(isOpen(migration)).toBe(true);
  const configs = ofText(`${SMALL}config.properties.exclude = (?<=a)b\n`);
  expect(documentsOf(configs).mirrors[0]?.spec.sync.configs).toBeNull();
  const groups = ofText(`${SMALL}sync.group.offsets.enabled = true\ngroups = (a)\\\\1\n`);
  expect(documentsOf(groups).mirrors[0]?.spec.sync.groups).toBeNull();
});

test('internal topics are copied by no rule, even where the list names them', () => {
  const migration = ofText(`${SMALL}topics = __schemas, orders, mm2-x.internal\ntopics.exclude = none\n`);
  expect(copies(migration, ['__schemas', 'orders', 'mm2-x.internal'])).toEqual({ orders: 'a.orders' });
  expect(fatesOf(migration)['topics']).toBe('different');
});

test('a cluster without addresses, or with ones from elsewhere, leads nowhere until they are written', () => {
  const migration = ofText('clusters = a, b\na.bootstrap.servers = ${env:BROKERS}\na->b.enabled = true\n');
  expect(documentsOf(migration).clusters.map(({ spec }) => spec.bootstrap)).toEqual([
    ['replace-me.invalid:9092'],
    ['replace-me.invalid:9092'],
  ]);
  expect(migration.defaults.join('\n')).toContain('b: no file says where it is');
});

test('aliases that would become the same name are kept apart', () => {
  const migration = ofText('clusters = A b, a-b\nA\\ b.bootstrap.servers = x:1\na-b.bootstrap.servers = y:1\n');
  expect(migration.clusters).toEqual(['a-b', 'a-b-2']);
});

test('what is written twice counts the last time, and the other is named', () => {
  const migration = ofText(`${SMALL}topics = a\ntopics = b\n`);
  expect(copies(migration, ['a', 'b'])).toEqual({ b: 'a.b' });
  expect(
    migration.settings.filter(({ setting }) => setting === 'topics').map(({ line, notes }) => [line, notes]),
  ).toEqual([
    [5, ['It is written again in line 6, which counts.']],
    [6, []],
  ]);
});

test.each([
  ['orders = 1\n', 'it has neither "clusters" nor the "connector.class"'],
  ['{ "a": 1', 'it has neither "clusters" nor the "connector.class"'],
  ['clusters = \\u12\n', 'line 1: a "\\u" without four hexadecimal digits'],
])('%j is refused', (text, message) => {
  expect(() => ofText(text)).toThrow(message);
});

test('a secret from the file provider of Kafka is a variable to set, with where it stands now', () => {
  const login =
    'a.security.protocol = SASL_PLAINTEXT\na.sasl.mechanism = PLAIN\na.sasl.jaas.config = x.PlainLoginModule required username="u" password="${file:/etc/s.properties:pw}";\n';
  const { secrets } = ofText(
    `${SMALL}config.providers = file\nconfig.providers.file.class = org.apache.kafka.common.config.provider.FileConfigProvider\n${login}`,
  );
  expect(secrets).toMatchObject([
    { reference: { env: 'A_PASSWORD' }, isThere: false, from: expect.stringContaining('${file:/etc/s.properties:pw}') },
  ]);
  const directory = ofText(
    `${SMALL}${login.replace('${file:/etc/s.properties:pw}', '${directory:/mnt/login:password}')}`,
  );
  expect(directory.secrets).toMatchObject([{ reference: { file: '/mnt/login/password' }, isThere: true }]);
});

test('one client of a cluster that logs in otherwise is named', () => {
  const migration = ofText(`${SMALL}a.consumer.sasl.jaas.config = x required password="canary-1";\n`);
  expect(migration.settings.at(-1)).toMatchObject({
    fate: 'no-equal',
    value: null,
    steps: [expect.stringContaining('login')],
  });
});

test('a connector from a cluster to itself is no mirror', () => {
  const connector = 'connector.class = MirrorSourceConnector\nsource.cluster.alias = a\ntarget.cluster.alias = a\n';
  expect(ofText(connector).mirrors).toEqual([]);
});

test('whatever the settings say, what comes out is valid, accounts for each of them and shows no secret', () => {
  const setting = fc.tuple(
    fc.constantFrom('a->b.', 'b->a.', 'a.', 'b.', ''),
    fc.constantFrom(...settingRows.map(({ key }) => key.replace('*', 'x')), 'sasl.mechanism', 'security.protocol'),
    fc.oneof(
      fc.constantFrom(...settingRows.flatMap(({ samples }) => Object.values(samples))),
      fc.constantFrom(
        '',
        ' ',
        'true',
        'false',
        'latest',
        'PEM',
        '/x',
        '-1',
        '99999999',
        '"',
        '${file:/a:b}',
        '${env:X}',
        '${env:1}',
        '\u00e9\u0007',
      ),
      fc.constantFrom(
        'SASL_SSL',
        'SASL_PLAINTEXT',
        'SSL',
        'PLAIN',
        'OAUTHBEARER',
        'https://id/t',
        'http://x',
        'a'.repeat(245),
      ),
      fc.constant('x required username="u" password="canary-1" clientId="c" clientSecret="canary-2" extension_a1="x";'),
    ),
  );
  fc.assert(
    fc.property(fc.array(setting, { maxLength: 25 }), (settings) => {
      const lines = settings.map(([prefix, key, value]) => {
        const fitting = value.includes('canary') && !isSecretKey(key) ? 'x' : value;
        return `${prefix}${key}=${fitting.replaceAll('\\', '\\\\')}`;
      });
      const text = ['clusters = a, b', 'a->b.enabled = true', 'b->a.enabled=true', ...lines].join('\n');
      const migration = migrateMm2([{ path: 'mm2.properties', bytes: Buffer.from(text, 'utf8') }]);
      if (migration.resources !== '') documentsOf(migration);
      expect(migration.settings).toHaveLength(3 + settings.length);
      expect(leaksIn(migration)).toEqual([]);
    }),
    { numRuns: 200 },
  );
});
