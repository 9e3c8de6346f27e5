import fc from 'fast-check';
import { expect, test } from 'vitest';
import { parseDocuments } from '#contract/documents.ts';
import { isOpen, type Migration } from '#contract/migration.ts';
import type { Documents } from '#contract/resources.ts';
import { fatesOf, fixtureText, leaksIn } from '#testing/migration-fixtures.ts';
import { migrateStrimzi } from './migrate-strimzi.ts';

function documentsOf({ resources }: Migration): Documents {
  return parseDocuments([{ path: 'migrated.yaml', text: resources }]);
}

function ofText(text: string): Migration {
  return migrateStrimzi([{ path: 'mm2.yaml', text }]);
}

test('v1beta2 with clusters, mirrors and Secrets', () => {
  const migration = migrateStrimzi([fixtureText('strimzi-v1beta2.yaml')]);
  const { clusters, mirrors } = documentsOf(migration);
  const secret = (path: string) => ({ file: `/etc/lockstep/secrets/${path}` });
  expect(clusters.map(({ spec }) => spec.security)).toMatchObject([
    {
      protocol: 'SSL',
      tls: {
        ca: secret('cluster-a-cluster-ca-cert/ca.crt'),
        identity: { certificate: secret('mirror-user/user.crt'), key: secret('mirror-user/user.key') },
      },
    },
    {
      protocol: 'SASL_SSL',
      sasl: { mechanism: 'SCRAM-SHA-512', username: 'mirror', password: secret('mirror-b/password') },
    },
  ]);
  expect(mirrors).toHaveLength(1);
  expect(mirrors[0]?.spec).toMatchObject({
    source: 'cluster-a',
    target: 'cluster-b',
    refreshMs: 60_000,
    targetReplicationFactor: null,
    sync: { acls: null, groups: { match: ['group1', 'group2', 'group3'], everyMs: 60_000, checkpoints: true } },
  });
  expect(mirrors[0]?.spec.topics.slice(0, 4)).toEqual([
    { match: 'orders', to: null },
    { match: '/payments\\..+/', to: null },
    { match: 'clicks', to: null },
    { exclude: '/^.*-test$/' },
  ]);
  expect(Object.entries(fatesOf(migration)).filter(([, fate]) => fate === 'unknown')).toEqual([]);
  expect([isOpen(migration), leaksIn(migration)]).toEqual([true, []]); // the pattern of certificates needs a look
});

test('v1 with one target and a source for each mirror', () => {
  const migration = migrateStrimzi([fixtureText('strimzi-v1.yaml')]);
  const { clusters, mirrors } = documentsOf(migration);
  expect(clusters.map(({ metadata, spec }) => [metadata.name, spec.security.protocol])).toEqual([
    ['hub', 'PLAINTEXT'],
    ['paris', 'SASL_SSL'],
    ['lyon', 'SASL_PLAINTEXT'],
  ]);
  expect(clusters[1]?.spec.security.sasl).toMatchObject({
    mechanism: 'OAUTHBEARER',
    token: { endpoint: 'https://id.example/token', clientId: 'paris-mirror', scope: 'kafka' },
  });
  expect(mirrors[0]?.spec.topics.slice(0, 2)).toEqual([{ match: '/.*/', to: 'Paris.$0' }, { exclude: '/^(?:test-)/' }]);
  expect(mirrors[0]?.spec.sync).toMatchObject({ configs: null, groups: null });
  const fates = fatesOf(migration);
  expect([fates['spec.mirrors[1].sourceConnector.state'], fates['spec.mirrors[1].topicsPattern']]).toEqual([
    'no-equal',
    'no-equal',
  ]);
  expect(leaksIn(migration)).toEqual([]);
});

const small = (mirror: string, cluster = ''): string => `apiVersion: kafka.strimzi.io/v1beta2
kind: KafkaMirrorMaker2
metadata: { name: m }
spec:
  connectCluster: b
  clusters:
    - { alias: a, bootstrapServers: 'a:9092'${cluster} }
    - { alias: b, bootstrapServers: 'b:9092' }
  mirrors:
    - { sourceCluster: a, targetCluster: b${mirror} }
`;

test('without a sourceConnector nothing is copied, and there is no mirror', () => {
  const migration = ofText(small(", topicsPattern: '.*'"));
  expect([migration.clusters, migration.mirrors]).toEqual([['a', 'b'], []]);
  expect(migration.defaults).toContain(
    'a to b: there is no sourceConnector, so nothing is copied and there is no Mirror.',
  );
});

test('a pattern of the resource hides what stands in the config of the connector', () => {
  const migration = ofText(small(', topicsPattern: x, sourceConnector: { config: { topics: y } }'));
  expect(documentsOf(migration).mirrors[0]?.spec.topics[0]).toEqual({ match: 'x', to: 'a.x' });
});

test('oauth with a token endpoint is taken over, and one without needs a look', () => {
  const login = (text: string): Migration => ofText(small(', sourceConnector: {}', `, authentication: ${text}`));
  const good = login(
    '{ type: oauth, tokenEndpointUri: "https://id/token", clientId: m, clientSecret: { secretName: s, key: k } }',
  );
  expect(documentsOf(good).clusters[0]?.spec.security.sasl).toEqual({
    mechanism: 'OAUTHBEARER',
    token: {
      endpoint: 'https://id/token',
      clientId: 'm',
      clientSecret: { file: '/etc/lockstep/secrets/s/k' },
      scope: null,
      ca: null,
      extensions: {},
    },
  });
  expect(isOpen(good)).toBe(false);
  const kept = login('{ type: oauth, accessTokenLocation: /var/run/token }');
  expect(documentsOf(kept).clusters[0]?.spec.security.sasl).toMatchObject({ token: { file: '/var/run/token' } });
  const bad = login('{ type: oauth, clientId: m, username: x }');
  expect([isOpen(bad), fatesOf(bad)['spec.clusters[0].authentication.username']]).toEqual([true, 'no-equal']);
});

test('what nobody knows is unknown, and its value is not repeated', () => {
  const migration = ofText(`${small(', sourceConnector: { config: { topicz: canary-1 } }')}  colour: canary-2\n`);
  const fates = fatesOf(migration);
  expect([fates['spec.colour'], fates['spec.mirrors[0].sourceConnector.config.topicz']]).toEqual([
    'unknown',
    'unknown',
  ]);
  expect(leaksIn(migration)).toEqual([]);
});

test.each([
  ['apiVersion: v1\nkind: Secret\n', 'holds no KafkaMirrorMaker2'],
  ['a: [', 'malformed YAML'],
  ['a: &x [*x]', 'holds no KafkaMirrorMaker2'],
])('%j is refused', (text, message) => {
  expect(() => ofText(text)).toThrow(message);
});

test('whatever stands in the places of values, what comes out is valid and shows no secret', () => {
  const lines = ['strimzi-v1beta2.yaml', 'strimzi-v1.yaml'].map((name) => fixtureText(name).text.split('\n'));
  const change = fc.tuple(
    fc.nat(100),
    fc.constantFrom(
      '',
      '{}',
      '[]',
      'x',
      '"\\a"',
      'true',
      '-1',
      'tls',
      'plain',
      'oauth',
      'custom',
      'cluster-a',
      '${env:X}',
      'https://u:p@id/t',
    ),
  );
  fc.assert(
    fc.property(fc.constantFrom(...lines), fc.array(change, { minLength: 1, maxLength: 5 }), (original, changes) => {
      const changed = original.map((line, index) => {
        const value = changes.find(([at]) => at === index)?.[1];
        const isValue = /^\s*(?:- )?\w+: \S/.test(line) && !line.includes('kind:');
        return value !== undefined && isValue ? line.replace(/: .*/, `: ${value}`) : line;
      });
      const migration = ofText(changed.join('\n'));
      if (migration.resources !== '') documentsOf(migration);
      expect(leaksIn(migration)).toEqual([]);
    }),
    { numRuns: 100 },
  );
});
