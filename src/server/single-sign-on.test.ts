/** Signing in at an identity provider, and what a malicious one may answer. */
import { createHash, generateKeyPairSync, sign, type KeyObject } from 'node:crypto';
import { describe, expect, test } from 'vitest';
import { playControlPlane, type ControlPlane } from '#testing/played-control-plane.ts';
import type { WebClient } from '#util/host.ts';
import { outboundCheck } from './auth/address-check.ts';
import type { SignOnSettings } from './settings.ts';

const ISSUER = 'https://idp.test';
const CLIENT = 'lockstep';
const keys = generateKeyPairSync('ec', { namedCurve: 'P-256' });
const otherKeys = generateKeyPairSync('ec', { namedCurve: 'P-256' });

const settings: SignOnSettings = {
  issuer: ISSUER,
  clientId: CLIENT,
  clientSecret: () => 'client secret',
  scopes: ['profile'],
  ca: () => null,
  mayBePrivate: false,
  roles: [{ claim: 'groups', value: 'kafka-operators', role: 'operator' }],
  acceptedAcr: [],
};

type Claims = Record<string, unknown>;

/** What the played provider does otherwise than an honest one. */
interface Malice {
  readonly claims?: (claims: Claims) => Claims;
  readonly token?: (token: string, claims: Claims) => string;
  readonly key?: KeyObject;
  readonly algorithm?: string;
  readonly discovery?: (document: Claims) => Claims;
  readonly answer?: (answer: Claims) => Claims;
  readonly tokenStatus?: number;
  readonly tokenHeaders?: Record<string, string>;
  readonly callback?: (query: URLSearchParams) => void;
}

const base64 = (value: unknown): string => Buffer.from(JSON.stringify(value)).toString('base64url');

function jwt(claims: Claims, { key = keys.privateKey, algorithm = 'ES256' }: Malice): string {
  const input = `${base64({ alg: algorithm, kid: 'k1', typ: 'JWT' })}.${base64(claims)}`;
  const signature =
    algorithm === 'none'
      ? ''
      : sign('sha256', Buffer.from(input), { key, dsaEncoding: 'ieee-p1363' }).toString('base64url');
  return `${input}.${signature}`;
}

/** `nonce`: what the browser was sent to the provider with. */
function provider(malice: Malice, asked: URL[], sent: { nonce: string; challenge: string }): WebClient {
  const json = (value: unknown, status = 200, headers: Record<string, string> = {}) => ({
    status,
    headers: { 'content-type': 'application/json', ...headers },
    text: JSON.stringify(value),
  });
  return {
    async send({ url, method, body }) {
      const to = new URL(url);
      asked.push(to);
      if (to.pathname === '/.well-known/openid-configuration') {
        const document = {
          issuer: ISSUER,
          authorization_endpoint: `${ISSUER}/authorize`,
          token_endpoint: `${ISSUER}/token`,
          jwks_uri: `${ISSUER}/keys`,
          id_token_signing_alg_values_supported: ['ES256'],
          authorization_response_iss_parameter_supported: true,
        };
        return json(malice.discovery?.(document) ?? document);
      }
      if (to.pathname === '/keys')
        return json({ keys: [{ ...keys.publicKey.export({ format: 'jwk' }), kid: 'k1', alg: 'ES256', use: 'sig' }] });
      if (to.pathname !== '/token' || method !== 'POST') return json({ error: 'not found' }, 404);
      const form = new URLSearchParams(body ?? '');
      const challenge = createHash('sha256')
        .update(form.get('code_verifier') ?? '')
        .digest('base64url');
      if (form.get('code') !== 'good code' || challenge !== sent.challenge)
        return json({ error: 'invalid_grant' }, 400);
      const now = Math.floor(Date.now() / 1000);
      const honest = {
        iss: ISSUER,
        aud: CLIENT,
        sub: 'subject-1',
        iat: now,
        exp: now + 300,
        nonce: sent.nonce,
        preferred_username: 'ann',
        groups: ['kafka-operators'],
      };
      const claims = malice.claims?.(honest) ?? honest;
      const token = jwt(claims, malice);
      const answer = { access_token: 'a', token_type: 'Bearer', id_token: malice.token?.(token, claims) ?? token };
      return json(malice.answer?.(answer) ?? answer, malice.tokenStatus ?? 200, malice.tokenHeaders);
    },
  };
}

async function signOn(malice: Malice = {}, more: Partial<SignOnSettings> = {}) {
  const asked: URL[] = [];
  const sent = { nonce: '', challenge: '' };
  const plane = await playControlPlane({
    settings: { signOn: { ...settings, ...more } },
    given: { file: new Map([['auth.secondFactorRoles', ['operator']]]) },
    web: provider(malice, asked, sent),
  });
  await plane.as('root', 'admin');
  return { plane, asked, ...(await walk(plane, malice, sent)) };
}

/** The browser's way: to the provider, and back with its answer. */
async function walk(plane: ControlPlane, malice: Malice, sent: { nonce: string; challenge: string }) {
  const started = await plane.http.inject('/auth/oidc/start');
  if (started.statusCode !== 302) return { started, finished: started, cookies: {}, query: '' };
  const to = new URL(String(started.headers['location']));
  sent.nonce = to.searchParams.get('nonce') ?? '';
  sent.challenge = to.searchParams.get('code_challenge') ?? '';
  const answer = new URLSearchParams({ code: 'good code', state: to.searchParams.get('state') ?? '', iss: ISSUER });
  malice.callback?.(answer);
  const query = answer.toString();
  const cookies = Object.fromEntries(started.cookies.map(({ name, value }) => [name, value]));
  const finished = await plane.http.inject({ url: `/auth/oidc/callback?${query}`, cookies });
  return { started, finished, cookies, query };
}

test('an honest answer signs in, with the role that the groups give and no second factor asked for', async () => {
  const { plane, started, finished } = await signOn();
  const to = new URL(String(started.headers['location']));
  expect(to.origin).toBe(ISSUER);
  expect(to.searchParams.get('code_challenge_method')).toBe('S256');
  expect(to.searchParams.get('redirect_uri')).toBe('https://lockstep.test/auth/oidc/callback');
  expect(finished.statusCode, finished.body).toBe(200);
  const session = finished.cookies.find(({ name }) => name === 'lockstep-session');
  const me = await plane.http.inject({ url: '/auth/me', cookies: { 'lockstep-session': session?.value ?? '' } });
  expect(me.json()).toMatchObject({ username: 'ann', kind: 'oidc', roles: ['operator'] });
  expect(plane.audit.entries.at(-1)).toMatchObject({ action: 'session.create', outcome: 'succeeded' });
});

test('who somebody is, is issuer and subject: a name that is taken is given to nobody', async () => {
  const { plane } = await signOn({ claims: (claims) => ({ ...claims, preferred_username: 'root' }) });
  const { items } = await plane.store.users.list({ limit: 10, filter: { kind: 'oidc' } });
  expect(items).toHaveLength(1);
  expect(items[0]?.name).toMatch(/^sso-/);
  expect((await plane.store.users.getByName('root'))?.kind).toBe('local');
});

test('an answer counts once', async () => {
  const { plane, query, cookies } = await signOn();
  const again = await plane.http.inject({ url: `/auth/oidc/callback?${query}`, cookies });
  expect(again.statusCode).toBe(401);
});

const set = (name: string, value: unknown) => ({ claims: (claims: Claims) => ({ ...claims, [name]: value }) });
const without = (name: string) => ({ claims: ({ [name]: _, ...claims }: Claims) => claims });
const past = Math.floor(Date.now() / 1000) - 3_600;

describe('refused is', () => {
  test.each<[string, Malice]>([
    ['a token of nobody: alg none', { algorithm: 'none' }],
    ['a token that another key signed', { key: otherKeys.privateKey }],
    ['a token without its signature', { token: (token) => token.replace(/\.[^.]*$/, '.') }],
    ['a token that says HS256', { algorithm: 'HS256' }],
    [
      'a token whose claims were changed behind the signature',
      {
        token: (token, claims) =>
          token.replace(/\.[^.]+\./, `.${base64({ ...claims, groups: ['kafka-operators', 'x'] })}.`),
      },
    ],
    ['no token', { answer: ({ id_token: _, ...answer }) => answer }],
    ['another issuer', set('iss', 'https://evil.test')],
    ['an issuer with a slash more', set('iss', `${ISSUER}/`)],
    ['another audience', set('aud', 'other')],
    ['several audiences without saying for whom', set('aud', [CLIENT, 'other'])],
    [
      'several audiences, for another one',
      {
        claims: (claims) => ({ ...claims, aud: [CLIENT, 'other'], azp: 'other' }),
      },
    ],
    ['another nonce', set('nonce', 'replayed')],
    ['no nonce', without('nonce')],
    ['an expired token', { claims: (claims) => ({ ...claims, iat: past, exp: past + 60 }) }],
    ['a token that never expires', without('exp')],
    ['a token of nobody: no subject', without('sub')],
    ['somebody without a role here', set('groups', ['others'])],
    ['a group that only contains the name of one', set('groups', 'kafka-operators-not')],
    ['another state', { callback: (query) => query.set('state', 'x') }],
    ['no state', { callback: (query) => query.delete('state') }],
    ['another code', { callback: (query) => query.set('code', 'stolen') }],
    ['the answer of another provider', { callback: (query) => query.set('iss', 'https://evil.test') }],
    ['the answer of nobody', { callback: (query) => query.delete('iss') }],
    ['an error', { callback: (query) => query.set('error', 'access_denied') }],
    [
      'a redirection of the token endpoint',
      { tokenStatus: 302, tokenHeaders: { location: 'http://169.254.169.254/' } },
    ],
  ])('%s', async (_what, malice) => {
    const { plane, finished, asked } = await signOn(malice);
    expect(finished.statusCode, finished.body).toBe(401);
    expect(finished.cookies.some(({ name, value }) => name === 'lockstep-session' && value !== '')).toBe(false);
    expect(await plane.store.users.count()).toBe(1);
    expect(asked.every(({ host }) => host === 'idp.test')).toBe(true);
    expect(plane.audit.entries.at(-1)).toMatchObject({ outcome: 'denied', reason: 'AUTH_INVALID' });
  });

  test.each<[string, Malice]>([
    ['a description of another issuer', { discovery: (document) => ({ ...document, issuer: 'https://evil.test' }) }],
    [
      'a token endpoint without TLS',
      { discovery: (document) => ({ ...document, token_endpoint: 'http://idp.test/token' }) },
    ],
  ])('%s', async (_what, malice) => {
    const { finished, plane } = await signOn(malice);
    expect([401, 502]).toContain(finished.statusCode);
    expect(await plane.store.users.count()).toBe(1);
  });

  test('a way of making sure that is not enough', async () => {
    const { finished } = await signOn(set('acr', 'password'), { acceptedAcr: ['mfa'] });
    expect(finished.statusCode).toBe(401);
    expect((await signOn(set('acr', 'mfa'), { acceptedAcr: ['mfa'] })).finished.statusCode).toBe(200);
  });

  test('a callback that no browser of ours began', async () => {
    const plane = await playControlPlane({ settings: { signOn: settings } });
    expect((await plane.http.inject('/auth/oidc/callback?code=x&state=y')).statusCode).toBe(401);
  });

  test('everything where no provider is set up', async () => {
    const plane = await playControlPlane();
    expect((await plane.http.inject('/auth/oidc/start')).statusCode).toBe(404);
  });
});

describe('where the server connects to', () => {
  test.each([
    '169.254.169.254',
    '127.0.0.1',
    '10.1.2.3',
    '::1',
    '::ffff:127.0.0.1',
    'fd00:ec2::254',
    '64:ff9b::7f00:1',
    '0.0.0.0',
    'x',
  ])('not to %s', (address) => {
    expect(outboundCheck({ mayBePrivate: false })(address)).not.toBeNull();
  });

  test('to this network where it is said, and to metadata services never', () => {
    const check = outboundCheck({ mayBePrivate: true });
    expect(check('10.1.2.3')).toBeNull();
    expect(check('127.0.0.1')).toBeNull();
    expect(check('169.254.169.254')).not.toBeNull();
    expect(outboundCheck({ mayBePrivate: false })('93.184.216.34')).toBeNull();
  });
});
