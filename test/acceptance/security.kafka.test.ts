/**
 * Each way to a secure listener of real brokers, from the resource file to the wire, and what each refuses. Where a
 * broker's certificate is wrong, a TLS server of the test shows it and passes everything on to a broker, so that a check
 * which is left out ends in a cluster that answers.
 */
import { readFileSync, rmSync, writeFileSync } from 'node:fs';
import { connect } from 'node:net';
import type { AddressInfo } from 'node:net';
import { join } from 'node:path';
import { createServer } from 'node:tls';
import { afterAll, beforeAll, describe, expect, onTestFinished, test, vi } from 'vitest';
import { parseDocuments } from '#contract/documents.ts';
import { startCluster } from '#testing/kafka-cluster.ts';
import type { KafkaCluster } from '#testing/kafka-cluster.ts';
import { OAuthServer } from '#testing/oauth-server.ts';
import { Pki, selfSigned } from '#testing/pki.ts';
import type { Certificate } from '#testing/pki.ts';
import { temporaryDirectory } from '#testing/supervisor.ts';
import { createTopics, runAdmin } from '#testing/topic-admin.ts';
import { systemHost as host } from '#util/host.ts';
import { must } from '#util/assert.ts';
import { describeClusters } from '../../src/main.ts';

/** Stands in every secret, and so in no output. */
const CANARY = 'Canary9x';
const ALICE = `${CANARY} alice "=,%`;

let oauth: OAuthServer;
let cluster: KafkaCluster;
let strangers: Pki;
const directory = temporaryDirectory('security');

beforeAll(async () => {
  // What some set for the whole machine must not matter: with it Node checks no certificate, unless told to.
  vi.stubEnv('NODE_TLS_REJECT_UNAUTHORIZED', '0');
  oauth = await OAuthServer.start({ clients: { alice: `${CANARY} client secret+%` } });
  cluster = await startCluster({ secure: { users: { alice: ALICE }, oauth: oauth.forBrokers } });
  strangers = new Pki(join(directory, 'strangers'), { commonName: 'Strangers' });
  await createTopics(cluster.bootstrap, [
    { name: 'orders', partitions: 1 },
    { name: 'hidden', partitions: 1 },
  ]);
  await runAdmin(cluster.bootstrap, [
    { addAcls: [{ user: 'alice', operation: 'describe', resource: 'topic', name: 'orders' }] },
  ]);
  vi.stubEnv('ALICE_PASSWORD', ALICE);
  vi.stubEnv('CLIENT_SECRET', `${CANARY} client secret+%`);
});

afterAll(async () => {
  vi.unstubAllEnvs();
  await cluster.stop();
  await oauth.down();
});

/** What `lockstep clusters list` would show. */
async function describeOne(bootstrap: readonly string[], security: object) {
  const text = JSON.stringify({
    apiVersion: 'lockstep/v1',
    kind: 'Cluster',
    metadata: { name: 'east' },
    spec: { bootstrap, security },
  });
  const [view] = await describeClusters(parseDocuments([{ path: 'c.yaml', text }]), host);
  expect(JSON.stringify(view)).not.toContain(CANARY);
  return must(view, 'view');
}

async function expectIn(bootstrap: readonly string[], security: object, topics: number): Promise<void> {
  const view = await describeOne(bootstrap, security);
  expect(view.error).toBeNull();
  expect(view).toMatchObject({ clusterId: cluster.clusterId, topics });
}

async function expectRefused(
  bootstrap: readonly string[],
  security: object,
  expected: { code: string; message: string },
): Promise<void> {
  const view = await describeOne(bootstrap, security);
  expect(view.error?.message).toContain(expected.message);
  expect(view).toMatchObject({ clusterId: null, error: { code: expected.code } });
}

const file = (path: string) => ({ file: path });
const ca = () => file(cluster.pki.caFile);
const showing = ({ certificateFile, keyFile }: Certificate) => ({
  certificate: file(certificateFile),
  key: file(keyFile),
});
const passwordFile = (password: string): { file: string } => {
  const path = join(temporaryDirectory('password'), 'password');
  writeFileSync(path, `${password}\n`);
  return { file: path };
};
const overTls = (mechanism: string, more: object = {}) => ({
  protocol: 'SASL_SSL',
  mechanism,
  ca: ca(),
  ...(mechanism === 'OAUTHBEARER' ? {} : { username: 'alice', password: { env: 'ALICE_PASSWORD' } }),
  ...more,
});
const fromEndpoint = (more: object = {}) => ({
  token: { endpoint: oauth.tokenUrl, clientId: 'alice', clientSecret: { env: 'CLIENT_SECRET' }, ...more },
});
const tokenFile = (token: string) => ({ token: passwordFile(token) });

const passwords = ['PLAIN', 'SCRAM-SHA-256', 'SCRAM-SHA-512'];

describe('the right secrets open', () => {
  test('the encrypted listener', async () => {
    await expectIn(cluster.doors.ssl, { protocol: 'SSL', ca: ca() }, 2);
  });

  test('the listener that wants a client certificate, with a plain and an encrypted key', async () => {
    const security = { protocol: 'SSL', ca: ca() };
    const plain = cluster.pki.issue({ commonName: 'alice' });
    await expectIn(cluster.doors.mtls, { ...security, ...showing(plain) }, 1);
    const locked = cluster.pki.issue({ commonName: 'alice', keyPassword: `${CANARY} key` });
    const keyPassword = passwordFile(`${CANARY} key`);
    await expectIn(cluster.doors.mtls, { ...security, ...showing(locked), keyPassword }, 1);
  });

  test.each(passwords)('both login listeners by %s', async (mechanism) => {
    await expectIn(cluster.doors.saslSsl, overTls(mechanism), 1);
    const security = { protocol: 'SASL_PLAINTEXT', mechanism, username: 'alice', password: passwordFile(ALICE) };
    await expectIn(cluster.doors.saslPlaintext, security, 1);
  });

  test('the login listener by a token from the endpoint and from a file', async () => {
    await expectIn(cluster.doors.saslSsl, overTls('OAUTHBEARER', fromEndpoint({ scope: 'kafka' })), 1);
    expect(oauth.requests.at(-1)).toEqual({ clientId: 'alice', scope: 'kafka', status: 200 });
    await expectIn(cluster.doors.saslSsl, overTls('OAUTHBEARER', tokenFile(oauth.token('alice'))), 1);
  });

  test('the login listener by a token from an encrypted endpoint of a private authority', async () => {
    const endpoint = await encryptedEndpoint(strangers.issue({ commonName: 'identity' }));
    const login = fromEndpoint({ endpoint, ca: file(strangers.caFile) });
    const before = oauth.requests.length;
    await expectIn(cluster.doors.saslSsl, overTls('OAUTHBEARER', login), 1);
    expect(oauth.requests.length).toBeGreaterThan(before);
  });

  test('a listener whose certificate carries another name, where that name is given', async () => {
    const front = await tlsFront(cluster.pki.issue({ commonName: 'kafka', hosts: ['kafka.internal'] }));
    await expectIn([front], { protocol: 'SSL', ca: ca(), serverName: 'kafka.internal' }, 2);
  });
});

describe('a login is refused', () => {
  const failed = (message: string) => ({ code: 'CLUSTER_AUTHENTICATION_FAILED', message });

  test.each(passwords)('with a wrong password and for an unknown user by %s', async (mechanism) => {
    const wrong = { password: passwordFile(`${CANARY} wrong`) };
    const words = `by ${mechanism} failed: the broker answered SASL_AUTHENTICATION_FAILED (58)`;
    await expectRefused(cluster.doors.saslSsl, overTls(mechanism, wrong), failed(`user "alice" ${words}`));
    await expectRefused(
      cluster.doors.saslSsl,
      overTls(mechanism, { username: 'nobody' }),
      failed(`user "nobody" ${words}`),
    );
  });

  test.each([
    ['has expired', () => oauth.token('alice', { exp: Math.floor(Date.now() / 1000) - 600 })],
    ['is for another audience', () => oauth.token('alice', { aud: 'elsewhere' })],
    ['is of another issuer', () => oauth.token('alice', { iss: 'https://elsewhere.test' })],
    ['is none', () => `${CANARY}.no.token`],
  ])('with a token that %s', async (_, token) => {
    await expectRefused(
      cluster.doors.saslSsl,
      overTls('OAUTHBEARER', tokenFile(token())),
      failed('our token by OAUTHBEARER failed: it refused the token: invalid_token'),
    );
  });

  test('with a good token while the broker cannot reach the key set', async () => {
    oauth.rotateKey();
    const token = oauth.token('alice');
    await oauth.down();
    onTestFinished(() => oauth.up());
    const security = overTls('OAUTHBEARER', tokenFile(token));
    await expectRefused(cluster.doors.saslSsl, security, failed('it refused the token: invalid_token'));
  });

  test('at a listener that takes none, and without one at a listener that wants it', async () => {
    await expectRefused(cluster.doors.ssl, overTls('PLAIN'), failed('this listener takes no login'));
    await expectRefused(
      cluster.doors.saslSsl,
      { protocol: 'SSL', ca: ca() },
      failed('does this listener want a login'),
    );
    await expectRefused(cluster.doors.saslPlaintext, {}, failed('does this listener want a login'));
  });
});

describe('a secret is not there', () => {
  const unavailable = (message: string) => ({ code: 'SECRET_UNAVAILABLE', message });

  test('where its file has vanished, is empty, or its variable is not set', async () => {
    const password = passwordFile(ALICE);
    await expectIn(cluster.doors.saslSsl, overTls('PLAIN', { password }), 1);
    rmSync(password.file);
    const security = (ref: object) => overTls('PLAIN', { password: ref });
    await expectRefused(cluster.doors.saslSsl, security(password), unavailable(`file ${password.file} is not there`));
    await expectRefused(cluster.doors.saslSsl, security(passwordFile('')), unavailable('is empty'));
    await expectRefused(
      cluster.doors.saslSsl,
      security({ env: 'NO_SUCH_VARIABLE' }),
      unavailable('environment variable NO_SUCH_VARIABLE is not set'),
    );
  });

  test('where the token endpoint is down or refuses the client', async () => {
    const security = overTls('OAUTHBEARER', fromEndpoint());
    await oauth.down();
    await expectRefused(
      cluster.doors.saslSsl,
      security,
      unavailable(`${oauth.tokenUrl} does not answer (ECONNREFUSED)`),
    );
    await oauth.up();
    const wrong = overTls('OAUTHBEARER', fromEndpoint({ clientSecret: passwordFile(`${CANARY} wrong`) }));
    await expectRefused(cluster.doors.saslSsl, wrong, unavailable('answered 401: invalid_client'));
  });

  test('where the token endpoint shows a certificate that is not trusted or for another host: it hears no secret', async () => {
    const strange = await encryptedEndpoint(strangers.issue({ commonName: 'identity' }));
    const elsewhere = await encryptedEndpoint(strangers.issue({ commonName: '127.0.0.1', hosts: ['identity.test'] }));
    const untrusted = 'was not asked: its certificate is of an authority that is not trusted here';
    const before = oauth.requests.length;
    for (const [token, message] of [
      [{ endpoint: strange }, untrusted],
      [{ endpoint: strange, ca: ca() }, untrusted],
      [{ endpoint: elsewhere, ca: file(strangers.caFile) }, 'is for DNS:identity.test, not for the host'],
      [{ endpoint: strange, ca: file('/nowhere/ca.pem') }, '"ca": file /nowhere/ca.pem is not there'],
    ] as const)
      await expectRefused(cluster.doors.saslSsl, overTls('OAUTHBEARER', fromEndpoint(token)), unavailable(message));
    expect(oauth.requests).toHaveLength(before);
  });

  test('where a certificate or key is none', async () => {
    const none = { protocol: 'SSL', ca: passwordFile('no PEM') };
    await expectRefused(cluster.doors.ssl, none, unavailable('holds no CERTIFICATE in PEM'));
  });
});

describe('no encrypted connection comes about', () => {
  const failed = (message: string) => ({ code: 'CLUSTER_TLS_FAILED', message });
  const day = 24 * 3_600_000;

  test.each<[string, () => Certificate, string]>([
    [
      'has expired',
      () => cluster.pki.issue({ commonName: 'b', notBefore: new Date(Date.now() - 9 * day), days: 2 }),
      'its certificate has expired',
    ],
    [
      'is not valid yet',
      () => cluster.pki.issue({ commonName: 'b', notBefore: new Date(Date.now() + 2 * day), days: 2 }),
      'its certificate is not valid yet',
    ],
    [
      'is signed by itself',
      () => selfSigned(join(directory, 'self'), { commonName: 'b' }),
      'its certificate is signed by itself',
    ],
    [
      'is of an unknown authority',
      () => strangers.issue({ commonName: 'b' }),
      'is of an authority that is not trusted',
    ],
    [
      'is for another host',
      () => cluster.pki.issue({ commonName: '127.0.0.1', hosts: ['kafka.internal', '127.0.0.2'] }),
      'is for DNS:kafka.internal, IP Address:127.0.0.2, not for the host that was asked',
    ],
  ])('with a broker whose certificate %s', async (_, certificate, message) => {
    const front = await tlsFront(certificate());
    await expectRefused([front], { protocol: 'SSL', ca: ca() }, failed(message));
  });

  test('with a broker of a private authority where "ca" is not given', async () => {
    await expectRefused(cluster.doors.ssl, { protocol: 'SSL' }, failed('is of an authority that is not trusted'));
  });

  test("without, with a stranger's and with an expired client certificate", async () => {
    const security = { protocol: 'SSL', ca: ca() };
    await expectRefused(cluster.doors.mtls, security, failed('client certificate'));
    const stranger = showing(strangers.issue({ commonName: 'alice' }));
    await expectRefused(cluster.doors.mtls, { ...security, ...stranger }, failed('our certificate'));
    const old = cluster.pki.issue({ commonName: 'alice', notBefore: new Date(Date.now() - 9 * day), days: 2 });
    await expectRefused(cluster.doors.mtls, { ...security, ...showing(old) }, failed('our certificate has expired'));
  });

  test('with a key of another certificate, and with a wrong password of the key', async () => {
    const [one, other] = [cluster.pki.issue({ commonName: 'alice' }), cluster.pki.issue({ commonName: 'alice' })];
    const security = { protocol: 'SSL', ca: ca(), certificate: file(one.certificateFile) };
    await expectRefused(
      cluster.doors.mtls,
      { ...security, key: file(other.keyFile) },
      failed('our key does not fit our certificate'),
    );
    const locked = cluster.pki.issue({ commonName: 'alice', keyPassword: `${CANARY} key` });
    const keyPassword = passwordFile(`${CANARY} wrong`);
    await expectRefused(
      cluster.doors.mtls,
      { protocol: 'SSL', ca: ca(), ...showing(locked), keyPassword },
      failed('our key cannot be read'),
    );
  });

  test('with a listener in plaintext, nor without encryption with a listener that has it', async () => {
    await expectRefused(
      cluster.bootstrap,
      { protocol: 'SSL', ca: ca() },
      failed('is it a listener without encryption?'),
    );
    const plain = await describeOne(cluster.doors.ssl, {});
    expect(plain.error).toMatchObject({ code: 'CLUSTER_NOT_KAFKA' });
  });
});

/** The token endpoint behind a certificate. */
async function encryptedEndpoint(certificate: Certificate): Promise<string> {
  return `https://${await tlsFront(certificate, new URL(oauth.tokenUrl).host)}/token`;
}

/** Shows `certificate` and passes what it hears on, to the plain listener of a broker by default. Returns `host:port`. */
async function tlsFront(
  { certificateFile, keyFile }: Certificate,
  behind = must(cluster.bootstrap[0], 'broker'),
): Promise<string> {
  const [address = '', port = ''] = behind.split(':');
  const server = createServer({ cert: readFileSync(certificateFile), key: readFileSync(keyFile) }, (client) => {
    const broker = connect(Number(port), address);
    client.pipe(broker).pipe(client);
    for (const side of [client, broker]) {
      side.on('error', () => {});
      side.on('close', () => [client, broker].forEach((each) => each.destroy()));
    }
  });
  server.on('tlsClientError', () => {});
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  onTestFinished(() => void server.close());
  return `127.0.0.1:${(server.address() as AddressInfo).port}`;
}
