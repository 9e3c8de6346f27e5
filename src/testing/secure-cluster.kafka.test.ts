/** The secure listeners, users, ACLs and certificates of the launcher, shown by Kafka's own Java client. */
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { must } from '#util/assert.ts';
import { askJava } from './java-request.ts';
import { startCluster } from './kafka-cluster.ts';
import type { KafkaCluster } from './kafka-cluster.ts';
import { OAuthServer } from './oauth-server.ts';
import { Pki, selfSigned } from './pki.ts';
import type { Certificate } from './pki.ts';
import { temporaryDirectory } from './supervisor.ts';
import { createTopics, runAdmin } from './topic-admin.ts';

type Properties = Readonly<Record<string, string>>;

interface Seen {
  readonly topics?: readonly string[];
  readonly error?: string;
  readonly message?: string;
}

/** Asks through each of these clients for the list of topics. */
async function probe(probes: readonly Properties[]): Promise<Seen[]> {
  const quick = { 'default.api.timeout.ms': '20000', 'request.timeout.ms': '20000' };
  const [line] = await askJava('ClientProbe', { probes: probes.map((each) => ({ ...quick, ...each })) });
  return JSON.parse(must(line, 'answer')) as Seen[];
}

const bootstrap = (addresses: readonly string[]): Properties => ({ 'bootstrap.servers': addresses.join() });
const trusting = (caFile: string): Properties => ({
  'ssl.truststore.type': 'PEM',
  'ssl.truststore.location': caFile,
});
const showing = ({ storeFile }: Certificate): Properties => ({
  'ssl.keystore.type': 'PEM',
  'ssl.keystore.location': storeFile,
});

function login(mechanism: string, user: string, password: string): Properties {
  const module = mechanism === 'PLAIN' ? 'plain.PlainLoginModule' : 'scram.ScramLoginModule';
  return {
    'sasl.mechanism': mechanism,
    'sasl.jaas.config': `org.apache.kafka.common.security.${module} required username="${user}" password="${password}";`,
  };
}

const parse = (part: string): unknown => JSON.parse(Buffer.from(part, 'base64url').toString());

const refusedLogin = { error: 'SaslAuthenticationException' };
const refusedTls = { error: 'SslAuthenticationException' };
const seesOrders: Seen = { topics: ['orders'] };
const seesNothing: Seen = { topics: [] };

describe.each([{ version: '4.3.1', brokers: 3 } as const, { version: '3.9.1', brokers: 1 } as const])(
  'Kafka $version, nodes: $brokers',
  (options) => {
    let oauth: OAuthServer;
    let cluster: KafkaCluster;

    beforeAll(async () => {
      oauth = await OAuthServer.start({ clients: { alice: 'client secret+%' } });
      const users = { alice: 'alice secret', bob: 'bob secret' };
      cluster = await startCluster({ ...options, secure: { users, oauth: oauth.forBrokers } });
      await createTopics(cluster.bootstrap, [{ name: 'orders', partitions: 1 }]);
      await runAdmin(cluster.bootstrap, [
        { addAcls: [{ user: 'alice', operation: 'describe', resource: 'topic', name: 'orders' }] },
      ]);
    });

    afterAll(async () => {
      await cluster.stop();
      await oauth.down();
    });

    const overTls = (): Properties => ({
      ...bootstrap(cluster.doors.saslSsl),
      ...trusting(cluster.pki.caFile),
      'security.protocol': 'SASL_SSL',
    });
    const inTheClear = (): Properties => ({
      ...bootstrap(cluster.doors.saslPlaintext),
      'security.protocol': 'SASL_PLAINTEXT',
    });
    const withTls = (door: readonly string[], ...more: readonly Properties[]): Properties =>
      Object.assign({ ...bootstrap(door), 'security.protocol': 'SSL' }, ...more) as Properties;
    const withToken = (token: string): Properties => {
      const file = join(temporaryDirectory('token'), 'token');
      writeFileSync(file, token);
      return {
        'sasl.mechanism': 'OAUTHBEARER',
        'sasl.login.callback.handler.class':
          'org.apache.kafka.common.security.oauthbearer.OAuthBearerLoginCallbackHandler',
        'sasl.oauthbearer.token.endpoint.url': `file://${file}`,
        'sasl.jaas.config': 'org.apache.kafka.common.security.oauthbearer.OAuthBearerLoginModule required;',
      };
    };

    test('passwords: right ones pass, wrong ones are refused, and who has no ACL sees nothing', async () => {
      const mechanisms = ['PLAIN', 'SCRAM-SHA-256', 'SCRAM-SHA-512'];
      const cases = mechanisms.flatMap((mechanism) => [
        { as: login(mechanism, 'alice', 'alice secret'), expected: seesOrders },
        { as: login(mechanism, 'bob', 'bob secret'), expected: seesNothing },
        { as: login(mechanism, 'bob', 'alice secret'), expected: refusedLogin },
        { as: login(mechanism, 'carol', 'carol secret'), expected: refusedLogin },
      ]);

      for (const door of [overTls(), inTheClear()]) {
        const seen = await probe(cases.map(({ as }) => ({ ...door, ...as })));
        expect(seen).toMatchObject(cases.map(({ expected }) => expected));
      }
    });

    test('TLS: a client that trusts another authority turns away; a client certificate is asked for on its listener', async () => {
      const { doors, pki } = cluster;
      const other = new Pki(temporaryDirectory('other-pki'));
      const trusted = trusting(pki.caFile);
      const stranger = selfSigned(join(temporaryDirectory('self-signed'), 'alice'), { commonName: 'alice' });
      const expired = { notBefore: new Date(Date.now() - 2 * 86_400_000), notAfter: new Date(Date.now() - 86_400_000) };

      const seen = await probe([
        withTls(doors.ssl, trusted),
        withTls(doors.ssl, trusting(other.caFile)),
        withTls(doors.mtls, trusted, showing(pki.issue({ commonName: 'alice' }))),
        withTls(doors.mtls, trusted, showing(pki.issue({ commonName: 'bob' }))),
        withTls(doors.mtls, trusted),
        withTls(doors.mtls, trusted, showing(other.issue({ commonName: 'alice' }))),
        withTls(doors.mtls, trusted, showing(stranger)),
        withTls(doors.mtls, trusted, showing(pki.issue({ commonName: 'alice', ...expired }))),
      ]);

      const refusals = Array.from({ length: 4 }, () => refusedTls);
      expect(seen).toMatchObject([seesOrders, refusedTls, seesOrders, seesNothing, ...refusals]);
    });

    test('tokens: a good one passes; expired, for another audience, from another issuer, altered or by an unknown key they are refused', async () => {
      const past = Math.floor(Date.now() / 1000) - 3600;
      const stranger = await OAuthServer.start({ clients: {} });
      const [head, body, signature] = oauth.token('bob').split('.') as [string, string, string];
      const asAlice = Buffer.from(JSON.stringify({ ...(parse(body) as object), sub: 'alice' })).toString('base64url');

      const seen = await probe(
        [
          oauth.token('alice'),
          oauth.token('bob'),
          oauth.token('alice', { iat: past - 60, exp: past }),
          oauth.token('alice', { aud: 'somebody else' }),
          oauth.token('alice', { iss: 'https://other.test' }),
          [head, asAlice, signature].join('.'),
          stranger.token('alice'),
        ].map((token) => ({ ...overTls(), ...withToken(token) })),
      );

      await stranger.down();
      const refusals = Array.from({ length: 5 }, () => refusedLogin);
      expect(seen).toMatchObject([seesOrders, seesNothing, ...refusals]);
    });
  },
);
