/** Where secrets come from, and that they are read anew and told to nobody. */
import { describe, expect, test } from 'vitest';
import type { ClusterSecurity, TokenRef } from '#contract/cluster-security.ts';
import { SecretError } from '#kafka/errors.ts';
import type { Security } from '#kafka/security.ts';
import { ManualClock } from '#testing/manual-clock.ts';
import { must } from '#util/assert.ts';
import { createSecurity } from './cluster-secrets.ts';

const SECRET = 'canary-Zx81';

/** A host with files, variables and a token endpoint that a test changes while it runs. */
class PlayedHost {
  readonly files = new Map<string, string>();
  readonly environment: Record<string, string | undefined> = {};
  readonly clock = new ManualClock();
  readonly random = { next: () => 0 };
  readonly asked: { url: string; headers: Readonly<Record<string, string>>; body: string; ca: string | null }[] = [];
  answer: () => Promise<{ status: number; text: string }> = () => Promise.reject(new Error('no endpoint'));
  readonly nonce = () => 'nonce';
  readonly disk = {
    readText: (path: string): string => {
      const text = this.files.get(path);
      if (text === undefined) throw Object.assign(new Error(`ENOENT, ${SECRET}`), { code: 'ENOENT' });
      return text;
    },
  };
  readonly web = {
    postForm: (
      url: string,
      request: { headers: Readonly<Record<string, string>>; body: string; ca: string | null },
    ) => {
      this.asked.push({ url, ...request });
      return this.answer();
    },
  };

  security(settings: Partial<ClusterSecurity>): Security {
    const whole = { protocol: 'SASL_SSL', provider: 'plain', tls: null, sasl: null, ...settings } as const;
    return must(createSecurity(whole, this, { onTrouble: () => {}, signal: new AbortController().signal }), 'security');
  }

  /** What a login by token is given now. */
  async token(token: TokenRef, security = this.security({ sasl: { mechanism: 'OAUTHBEARER', token } })) {
    return must(security.sasl, 'login').credentials();
  }
}

const password = (ref: { env: string } | { file: string }) =>
  ({ mechanism: 'PLAIN', username: 'mirror', password: ref }) as const;

/** The message of the SecretError with which `attempt` ends. */
async function refusal(attempt: () => unknown): Promise<string> {
  const error = await (async () => attempt())().then(
    () => null,
    (reason: unknown) => reason,
  );
  expect(error).toBeInstanceOf(SecretError);
  const { message, cause, stack } = error as Error;
  expect(`${message}${stack}${JSON.stringify(cause)}`).not.toContain(SECRET);
  return message;
}

test('a plaintext cluster has none', () => {
  const plaintext = { protocol: 'PLAINTEXT', provider: 'plain', tls: null, sasl: null } as const;
  expect(
    createSecurity(plaintext, new PlayedHost(), { onTrouble: () => {}, signal: new AbortController().signal }),
  ).toBeUndefined();
});

test('a password is read at each login, without the line break at its end', async () => {
  const host = new PlayedHost();
  const { sasl } = host.security({ sasl: password({ file: 'pw' }) });
  host.files.set('pw', ' one \r\n');
  expect(await sasl?.credentials()).toEqual({ username: 'mirror', password: ' one ' });
  host.files.set('pw', 'two\n\n');
  expect(await sasl?.credentials()).toEqual({ username: 'mirror', password: 'two\n' });
  host.files.delete('pw');
  expect(await refusal(() => sasl?.credentials())).toBe('"password": file pw is not there');
  host.files.set('pw', '\n');
  expect(await refusal(() => sasl?.credentials())).toBe('"password": file pw is empty');
});

test('a variable is read at each login', async () => {
  const host = new PlayedHost();
  const { sasl } = host.security({ sasl: password({ env: 'PW' }) });
  expect(await refusal(() => sasl?.credentials())).toBe('"password": environment variable PW is not set');
  host.environment['PW'] = SECRET;
  expect(await sasl?.credentials()).toEqual({ username: 'mirror', password: SECRET });
});

test('certificates and keys are read at each connect, and must be PEM', async () => {
  const host = new PlayedHost();
  const certificate = '-----BEGIN CERTIFICATE-----\nA\n-----END CERTIFICATE-----';
  const key = '-----BEGIN ENCRYPTED PRIVATE KEY-----\nA\n-----END ENCRYPTED PRIVATE KEY-----';
  for (const [path, text] of Object.entries({ ca: certificate, certificate, key, pw: SECRET }))
    host.files.set(path, text);
  const tls = must(
    host.security({
      tls: {
        ca: { file: 'ca' },
        identity: { certificate: { file: 'certificate' }, key: { file: 'key' }, keyPassword: { file: 'pw' } },
        serverName: null,
      },
    }).tls,
    'TLS',
  );
  const identity = { certificate, key, keyPassword: SECRET };
  expect(tls('broker-1')).toEqual({ serverName: 'broker-1', ca: certificate, identity });
  host.files.set('ca', `${certificate}\n${certificate}`);
  expect(tls('broker-2')).toMatchObject({ serverName: 'broker-2', ca: `${certificate}\n${certificate}` });
  host.files.set('key', SECRET);
  expect(await refusal(() => tls('broker-1'))).toBe('"key": file key holds no PRIVATE KEY in PEM');
  host.files.set('ca', key);
  expect(await refusal(() => tls('broker-1'))).toBe('"ca": file ca holds no CERTIFICATE in PEM');
});

test('the name that certificates must carry can be another than the host', () => {
  const host = new PlayedHost();
  const { tls } = host.security({ tls: { ca: null, identity: null, serverName: 'kafka.internal' } });
  expect(tls?.('10.0.0.1')).toEqual({ serverName: 'kafka.internal', ca: null, identity: null });
});

describe('tokens', () => {
  const endpoint = {
    endpoint: 'https://id.example/token?tenant=7',
    clientId: 'a:b',
    clientSecret: { env: 'CLIENT' },
    scope: 'kafka',
    ca: null,
    extensions: { logicalCluster: 'lkc-1' },
  };
  const granted = (token: string, expires?: unknown) => () =>
    Promise.resolve({ status: 200, text: JSON.stringify({ access_token: token, expires_in: expires }) });
  const played = (): PlayedHost => {
    const host = new PlayedHost();
    host.environment['CLIENT'] = `${SECRET} +%`;
    host.answer = granted('one', 100);
    return host;
  };

  test('from a file are read each time', async () => {
    const host = new PlayedHost();
    host.files.set('token', ' one\n');
    expect(await host.token({ file: 'token' })).toEqual({ token: 'one', extensions: {} });
  });

  test('from an endpoint are asked for by the client credentials grant (RFC 6749 4.4 and 2.3.1)', async () => {
    const host = played();
    expect(await host.token(endpoint)).toEqual({ token: 'one', extensions: { logicalCluster: 'lkc-1' } });
    const [request] = host.asked;
    expect(request?.body).toBe('grant_type=client_credentials&scope=kafka');
    const [, basic = ''] = request?.headers['authorization']?.split(' ') ?? [];
    expect(Buffer.from(basic, 'base64').toString()).toBe(`a%3Ab:${SECRET}+%2B%25`);
  });

  test('are kept for 80 % of their life, or until the broker refuses one', async () => {
    const host = played();
    const security = host.security({ sasl: { mechanism: 'OAUTHBEARER', token: endpoint } });
    const token = async () => ((await host.token(endpoint, security)) as { token: string }).token;
    expect(await Promise.all([token(), token()]), 'asked at once').toEqual(['one', 'one']);
    host.answer = granted('two', '100');
    await host.clock.advance(79_999);
    expect([await token(), host.asked.length]).toEqual(['one', 1]);
    await host.clock.advance(1);
    expect([await token(), host.asked.length]).toEqual(['two', 2]);
    security.sasl?.refused();
    host.answer = granted('three');
    expect([await token(), await token(), host.asked.length], 'without a life it is not kept').toEqual([
      'three',
      'three',
      4,
    ]);
  });

  test.each<[string, () => Promise<{ status: number; text: string }>, string]>([
    [
      'does not answer',
      () => Promise.reject(Object.assign(new Error('x'), { code: 'ECONNREFUSED' })),
      'does not answer (ECONNREFUSED)',
    ],
    [
      'is slow',
      () => Promise.reject(Object.assign(new Error('x'), { name: 'TimeoutError' })),
      'does not answer (no answer within 10 s)',
    ],
    [
      'refuses',
      () => Promise.resolve({ status: 401, text: JSON.stringify({ error: `invalid ${SECRET} +%\u0007` }) }),
      'answered 401: invalid (hidden)',
    ],
    [
      'shows the certificate of an authority that is not trusted',
      () => Promise.reject(Object.assign(new Error('x'), { code: 'UNABLE_TO_VERIFY_LEAF_SIGNATURE' })),
      'was not asked: its certificate is of an authority that is not trusted here; "ca" must hold that authority (UNABLE_TO_VERIFY_LEAF_SIGNATURE)',
    ],
    [
      'shows the certificate of another host',
      () =>
        Promise.reject(
          Object.assign(new Error('x'), {
            code: 'ERR_TLS_CERT_ALTNAME_INVALID',
            cert: { subjectaltname: 'DNS:id.example' },
          }),
        ),
      'was not asked: its certificate is for DNS:id.example, not for the host that was asked (ERR_TLS_CERT_ALTNAME_INVALID)',
    ],
    ['redirects', () => Promise.resolve({ status: 302, text: '' }), 'answered 302'],
    ['answers with a page', () => Promise.resolve({ status: 200, text: '<html>' }), 'answered without an access_token'],
    ['answers with null', () => Promise.resolve({ status: 200, text: 'null' }), 'answered without an access_token'],
  ])('of an endpoint that %s are a secret that is not there', async (_, answer, message) => {
    const host = played();
    host.answer = answer;
    expect(await refusal(() => host.token(endpoint))).toBe(`"token": https://id.example/token ${message}`);
  });

  test('are asked for with authorities that are read anew for each request', async () => {
    const host = played();
    const token = { ...endpoint, ca: { file: 'ca' } };
    const pem = (name: string) => `-----BEGIN CERTIFICATE-----\n${name}\n-----END CERTIFICATE-----`;
    const security = host.security({ sasl: { mechanism: 'OAUTHBEARER', token } });
    expect(await refusal(() => host.token(token, security))).toBe('"ca": file ca is not there');
    host.files.set('ca', SECRET);
    expect(await refusal(() => host.token(token, security))).toBe('"ca": file ca holds no CERTIFICATE in PEM');
    host.files.set('ca', pem('old'));
    await host.token(token, security);
    host.files.set('ca', pem('new'));
    await host.clock.advance(80_000);
    await host.token(token, security);
    expect(host.asked.map(({ ca }) => ca)).toEqual([pem('old'), pem('new')]);
  });

  test('are not asked for without the client secret', async () => {
    const host = played();
    delete host.environment['CLIENT'];
    expect(await refusal(() => host.token(endpoint))).toBe('"clientSecret": environment variable CLIENT is not set');
    expect(host.asked).toEqual([]);
  });
});
