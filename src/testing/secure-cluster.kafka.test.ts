/** The secure listeners, users, ACLs and certificates of the launcher, shown by Kafka's own Java client. */
import { once } from 'node:events';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { connect } from 'node:tls';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { must } from '#util/assert.ts';
import { askJava } from './java-request.ts';
import { startCluster } from './kafka-cluster.ts';
import type { KafkaBroker } from './kafka-broker.ts';
import type { KafkaCluster } from './kafka-cluster.ts';
import { OAuthServer } from './oauth-server.ts';
import { Pki, selfSigned } from './pki.ts';
import type { Certificate } from './pki.ts';
import { waitUntil } from './process-stat.ts';
import { temporaryDirectory } from './supervisor.ts';
import { createTopics, describeReplicas, runAdmin } from './topic-admin.ts';
import type { Acl, PartitionReplicas } from './topic-admin.ts';

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

/** Of the certificate that a server shows. */
async function serialNumber(address: string): Promise<string> {
  const [host = '', port = ''] = address.split(':');
  const socket = connect({ host, port: Number(port), rejectUnauthorized: false });
  await once(socket, 'secureConnect');
  const { serialNumber: serial } = socket.getPeerCertificate();
  socket.destroy();
  return serial;
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

    const listAcls = async (): Promise<unknown[]> =>
      (await runAdmin(cluster.bootstrap, [{ describeAcls: 'all' }]))[0] as unknown[];
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

    // What changes while brokers run is the same on both versions; it is shown where all three have to follow.
    if (options.brokers === 1) return;

    test('ACLs and passwords that change count for the next login', async () => {
      const carol = { ...inTheClear(), ...login('SCRAM-SHA-256', 'carol', 'carol secret') };
      const carolPlain = { ...inTheClear(), ...login('PLAIN', 'carol', 'carol secret') };
      const acls: Acl[] = [
        { user: 'carol', operation: 'read', resource: 'topic', name: 'ord', pattern: 'prefixed' },
        {
          user: 'carol',
          operation: 'describe',
          resource: 'topic',
          name: 'orders',
          permission: 'deny',
          host: '10.0.0.1',
        },
      ];
      const before = await listAcls();

      await cluster.setUser('carol', 'carol secret');
      await runAdmin(cluster.bootstrap, [{ addAcls: acls }]);
      expect(await probe([carol, carolPlain])).toEqual([seesOrders, seesOrders]);
      const all = [...before, ...acls.map((acl) => ({ pattern: 'literal', permission: 'allow', host: '*', ...acl }))];
      const added = await listAcls();
      expect(added).toHaveLength(all.length);
      expect(added).toEqual(expect.arrayContaining(all));

      await runAdmin(cluster.bootstrap, [{ removeAcls: acls }]);
      expect(await probe([carol])).toEqual([seesNothing]);
      expect(await listAcls()).toEqual(before);
      await expect(runAdmin(cluster.bootstrap, [{ removeAcls: acls }])).rejects.toThrow('no such ACL');

      await cluster.setUser('carol', 'another one');
      expect(await probe([carol, carolPlain])).toMatchObject([refusedLogin, refusedLogin]);
      expect(await probe([{ ...carol, ...login('SCRAM-SHA-512', 'carol', 'another one') }])).toEqual([seesNothing]);
      await cluster.setUser('carol', null);
      expect(await probe([{ ...carol, ...login('PLAIN', 'carol', 'another one') }])).toMatchObject([refusedLogin]);
    });

    test('certificates change on running brokers: their own, and whose they trust', async () => {
      const { doors, pki } = cluster;
      const next = new Pki(join(temporaryDirectory('next-pki'), 'pki'), { commonName: 'Next CA' });
      const trusted = trusting(pki.caFile);
      const before = await Promise.all(doors.ssl.map(serialNumber));
      const client = next.issue({ commonName: 'alice' });
      const asNext = withTls(doors.mtls, trusted, showing(client));
      expect(await probe([asNext])).toMatchObject([refusedTls]);

      await cluster.trustClientsOf([pki.caFile, next.caFile]);
      expect(await probe([asNext])).toEqual([seesOrders]);
      await cluster.useCertificate(pki.issue({ commonName: 'broker' }));
      const after = await Promise.all(doors.ssl.map(serialNumber));
      for (const [i, serial] of after.entries()) expect(serial).not.toBe(before[i]);
      expect(await probe([withTls(doors.ssl, trusted)])).toEqual([seesOrders]);

      await cluster.useCertificate(next.issue({ commonName: 'broker' }));
      expect(await probe([withTls(doors.ssl, trusted), withTls(doors.ssl, trusting(next.caFile))])).toMatchObject([
        refusedTls,
        seesOrders,
      ]);
      await cluster.trustClientsOf([pki.caFile]);
      expect(await probe([withTls(doors.mtls, trusting(next.caFile), showing(client))])).toMatchObject([refusedTls]);

      await cluster.useCertificate(pki.issue({ commonName: 'broker' }));
      expect(await probe([withTls(doors.ssl, trusted)])).toEqual([seesOrders]);
    });

    test('an expired certificate and one of another host come with a restart', async () => {
      const { doors, pki } = cluster;
      const first = must(cluster.brokers[0], 'broker');
      const asks = [withTls(doors.ssl.slice(0, 1), trusting(pki.caFile))];
      const yesterday = new Date(Date.now() - 86_400_000);
      const expired = { notBefore: new Date(yesterday.getTime() - 86_400_000), notAfter: yesterday };

      for (const bad of [
        pki.issue({ commonName: 'broker', ...expired }),
        pki.issue({ commonName: 'broker', hosts: ['other.test'] }),
      ]) {
        cluster.installCertificate(first, bad);
        await first.restart();
        expect(await probe(asks)).toMatchObject([refusedTls]);
      }
      cluster.installCertificate(first, pki.issue({ commonName: 'broker' }));
      await first.restart();
      expect(await probe(asks)).toEqual([seesOrders]);
    });

    test('the signing key of the tokens changes, and brokers take the new one', async () => {
      const before = { ...overTls(), ...withToken(oauth.token('alice')) };
      oauth.rotateKey();
      const after = { ...overTls(), ...withToken(oauth.token('alice')) };
      const each = cluster.doors.saslSsl.flatMap((door) => [
        { ...after, ...bootstrap([door]) },
        { ...before, ...bootstrap([door]) },
      ]);

      const expected = each.map((_, i) => i % 2 === 0);
      let isLetIn: boolean[] = [];

      // A broker asks for the keys again when a token names one that it does not know.
      await waitUntil(
        async () => {
          isLetIn = (await probe(each)).map(({ error }) => error === undefined);
          return isLetIn.join() === expected.join();
        },
        'every broker takes the new key and no longer the old one',
        { timeoutMs: 90_000 },
      );

      expect(isLetIn).toEqual(expected);
    });
  },
);

test('the token endpoint gives tokens to known clients only, and is gone and back at the same address', async () => {
  const server = await OAuthServer.start({ clients: { alice: 'client secret+%' } });
  const ask = async (
    form: Record<string, string>,
    headers: Record<string, string> = {},
  ): Promise<[number, unknown]> => {
    const response = await fetch(server.tokenUrl, { method: 'POST', body: new URLSearchParams(form), headers });
    return [response.status, await response.json()];
  };
  const grant = { grant_type: 'client_credentials' };
  const basic = (user: string, secret: string): Record<string, string> => ({
    authorization: `Basic ${Buffer.from([user, secret].map(encodeURIComponent).join(':')).toString('base64')}`,
  });
  const given = [200, { access_token: expect.any(String), token_type: 'Bearer', expires_in: 3600 }];

  expect(await ask({ ...grant, scope: 'kafka' }, basic('alice', 'client secret+%'))).toEqual(given);
  expect(await ask({ ...grant, client_id: 'alice', client_secret: 'client secret+%' })).toEqual(given);
  expect(await ask(grant, basic('alice', 'wrong'))).toEqual([401, { error: 'invalid_client' }]);
  expect(await ask(grant)).toEqual([401, { error: 'invalid_client' }]);
  expect(await ask({ grant_type: 'password' })).toEqual([400, { error: 'unsupported_grant_type' }]);
  expect(server.issued).toBe(2);
  expect(server.requests[0]).toEqual({ clientId: 'alice', scope: 'kafka', status: 200 });

  await server.down();
  await expect(ask(grant)).rejects.toThrow('fetch failed');
  await server.up();
  expect(await ask(grant, basic('alice', 'client secret+%'))).toEqual(given);
  await server.down();
});

test('leaders move: to the first of new replicas, back by election, and to one that has fallen behind', async () => {
  const cluster = await startCluster({ brokers: 3 });
  const [first, , third] = cluster.brokers as [KafkaBroker, KafkaBroker, KafkaBroker];
  const place = { topic: 'moved', partition: 0 };
  const alwaysThere = cluster.bootstrap.slice(1, 2);
  const now = async (): Promise<PartitionReplicas> =>
    must((await describeReplicas(alwaysThere, 'moved'))[0], 'partition');
  const until = (what: string, holds: (seen: PartitionReplicas) => boolean): Promise<void> =>
    waitUntil(async () => holds(await now()), what, { timeoutMs: 60_000 });
  await createTopics(cluster.bootstrap, [{ name: 'moved', partitions: 1, replicationFactor: 1 }]);

  for (const replicas of [[2, 3], [3, 2], [1], [3, 1]]) {
    await runAdmin(alwaysThere, [{ reassign: [{ ...place, replicas }] }]);
    expect(await now()).toMatchObject({ leader: replicas[0], replicas });
  }

  await third.kill();
  await until('the other replica leads', ({ leader }) => leader === 1);
  await third.start();
  await until('both are in sync', ({ inSync }) => inSync.length === 2);
  await runAdmin(alwaysThere, [{ electLeaders: 'preferred', partitions: [place] }]);
  expect(await now()).toMatchObject({ leader: 3 });

  await first.kill();
  await until('only broker 3 is in sync', ({ inSync }) => inSync.join() === '3');
  await Promise.all([third.kill(), first.start([1, 2])]);
  await until('nobody leads', ({ leader }) => leader === -1);
  await runAdmin(alwaysThere, [{ electLeaders: 'unclean', partitions: [place] }]);
  expect(await now()).toMatchObject({ leader: 1 });
  await cluster.stop();
}, 300_000);
