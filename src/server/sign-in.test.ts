import { Secret, TOTP } from 'otpauth';
import { describe, expect, test } from 'vitest';
import type { OptionKey } from '#contract/options.ts';
import { PASSWORD, playControlPlane, type ControlPlane } from '#testing/played-control-plane.ts';
import { SecurityKey } from '#testing/security-key.ts';
import { createPasswordHash } from './auth/password-hash.ts';

const OWN = { 'sec-fetch-site': 'same-origin', origin: 'https://lockstep.test' };

/** A browser over TLS, behind a proxy that is trusted, as it keeps its cookies. */
function browser(plane: ControlPlane, address = '203.0.113.7') {
  const jar = new Map<string, string>();
  const send = async (method: 'GET' | 'POST' | 'PUT' | 'DELETE', url: string, payload?: object) => {
    const answer = await plane.http.inject({
      method,
      url,
      ...(payload ? { payload } : {}),
      cookies: Object.fromEntries(jar),
      headers: { ...OWN, 'x-forwarded-proto': 'https', 'x-forwarded-for': address },
    });
    for (const { name, value } of answer.cookies) jar.set(name, value);
    return answer;
  };
  return { send, jar };
}

const given = (options: readonly (readonly [OptionKey, unknown])[] = []) => ({
  given: { file: new Map<OptionKey, unknown>([['server.trustedProxies', ['127.0.0.1']], ...options]) },
});
const behindProxy = given();

const withUser = async (role = 'operator', options: readonly (readonly [OptionKey, unknown])[] = []) => {
  const plane = await playControlPlane(given(options));
  await plane.as('root', 'admin');
  await plane.as('ann', role);
  return plane;
};

const signIn = { username: 'ann', password: PASSWORD };

describe('the first administrator', () => {
  test('reg-initial-password-in-log reg-M-225: there is no account until the one-time token makes one', async () => {
    const plane = await playControlPlane(behindProxy);
    expect(await plane.store.users.count()).toBe(0);
    const setupToken = await plane.server.issueSetupToken();
    const { send } = browser(plane);
    const body = { setupToken, username: 'root', password: 'cobalt-meadow-thimble-92' };
    expect((await send('POST', '/auth/setup', { ...body, setupToken: `${setupToken}x` })).statusCode).toBe(401);
    const made = await send('POST', '/auth/setup', body);
    expect(made.json()).toMatchObject({ state: 'signed-in', username: 'root' });
    expect((await send('GET', '/auth/me')).json()).toMatchObject({ isInitial: true, roles: ['admin'] });
    expect((await browser(plane).send('POST', '/auth/setup', { ...body, username: 'eve' })).statusCode).toBe(401);
    expect(await plane.server.issueSetupToken()).toBeNull();
    expect(JSON.stringify([plane.logged, plane.audit.entries])).not.toContain(setupToken);
  });

  test('the token is worth nothing after an hour, and after another one was issued', async () => {
    const plane = await playControlPlane(behindProxy);
    const first = await plane.server.issueSetupToken();
    const second = await plane.server.issueSetupToken();
    const setUp = (setupToken: string | null) =>
      browser(plane).send('POST', '/auth/setup', {
        setupToken,
        username: 'root',
        password: 'cobalt-meadow-thimble-92',
      });
    expect((await setUp(first)).statusCode).toBe(401);
    await plane.clock.advance(3_600_001);
    expect((await setUp(second)).statusCode).toBe(401);
  });
});

describe('sessions', () => {
  test('the cookie is of this host alone and closed to scripts, and a second sign-in has another', async () => {
    const plane = await withUser();
    const { send, jar } = browser(plane);
    const answer = await send('POST', '/auth/session', signIn);
    const first = jar.get('__Host-lockstep-session');
    expect(answer.cookies.find(({ name }) => name === '__Host-lockstep-session')).toMatchObject({
      httpOnly: true,
      secure: true,
      sameSite: 'Strict',
      path: '/',
    });
    expect(answer.headers['set-cookie']).not.toContain('Domain');
    await send('POST', '/auth/session', signIn);
    expect(jar.get('__Host-lockstep-session')).not.toBe(first);
  });

  test('the store holds no token, only hashes', async () => {
    const plane = await withUser();
    const { send, jar } = browser(plane);
    await send('POST', '/auth/session', signIn);
    const [session] = await plane.store.sessions.list((await plane.store.users.getByName('ann'))?.id ?? '');
    expect(JSON.stringify(session)).not.toContain(jar.get('__Host-lockstep-session'));
  });

  test.each([
    ['signing out', (plane: ControlPlane, own: ReturnType<typeof browser>) => own.send('DELETE', '/auth/session'), 0],
    ['standing idle', (plane: ControlPlane) => plane.clock.advance(15 * 60_000 + 1), 0],
    [
      'being disabled',
      async (plane: ControlPlane) => (await plane.as('root'))('PUT', '/api/v1/users/ann/status', { isDisabled: true }),
      0,
    ],
    [
      'a change of role',
      async (plane: ControlPlane) => (await plane.as('root'))('PUT', '/api/v1/users/ann/role', { role: 'monitoring' }),
      0,
    ],
    [
      'a change of role by another server',
      async (plane: ControlPlane) => {
        const user = await plane.store.users.getByName('ann');
        await plane.store.users.setRoles(user?.id ?? '', ['monitoring'], { ifVersion: null });
      },
      1_000,
    ],
  ])('ends by %s', async (_what, end, afterMs) => {
    const plane = await withUser();
    const own = browser(plane);
    await own.send('POST', '/auth/session', signIn);
    const shown = new Map(own.jar);
    expect((await own.send('GET', '/auth/me')).statusCode).toBe(200);
    await end(plane, own);
    await plane.clock.advance(afterMs);
    for (const [name, value] of shown) own.jar.set(name, value);
    expect((await own.send('GET', '/auth/me')).statusCode).toBe(401);
  });

  test('lasts no longer than its life, however busy', async () => {
    const plane = await withUser();
    const { send } = browser(plane);
    await send('POST', '/auth/session', signIn);
    for (let minutes = 0; minutes < 12 * 60; minutes += 10) {
      expect((await send('GET', '/auth/me')).statusCode).toBe(200);
      await plane.clock.advance(10 * 60_000);
    }
    expect((await send('GET', '/auth/me')).statusCode).toBe(401);
  });

  test('lasts as long as the options say, of those that begin from then on', async () => {
    const plane = await withUser();
    const [before, after, busy] = [browser(plane), browser(plane), browser(plane)];
    await before.send('POST', '/auth/session', signIn);
    const root = await plane.as('root');
    const auth = { session: { idle: '2m', lifetime: '5m' } };
    expect((await root('POST', '/api/v1/config/import', { auth })).statusCode).toBe(200);
    await after.send('POST', '/auth/session', signIn);
    const program = await plane.as('root');
    await plane.clock.advance(121_000);
    expect((await after.send('GET', '/auth/me')).statusCode).toBe(401);
    expect((await before.send('GET', '/auth/me')).statusCode).toBe(200);
    expect((await program('GET', '/auth/me')).statusCode).toBe(200); // idle or not
    await busy.send('POST', '/auth/session', signIn);
    for (let seconds = 0; seconds < 300; seconds += 100) {
      expect((await busy.send('GET', '/auth/me')).statusCode).toBe(200);
      await plane.clock.advance(100_000);
    }
    expect((await busy.send('GET', '/auth/me')).statusCode).toBe(401);
    expect((await program('GET', '/auth/me')).statusCode).toBe(401);
  });

  test('reg-M-115a reg-M-115b reg-M-226: a changed password ends all others, and every token', async () => {
    const plane = await withUser();
    const own = browser(plane);
    const other = browser(plane);
    await own.send('POST', '/auth/session', signIn);
    await other.send('POST', '/auth/session', signIn);
    const made = await own.send('POST', '/api/v1/tokens', { name: 't', scopes: null, expiresInDays: 1 });
    const { token } = made.json<{ token: string }>();
    const change = { old_password: PASSWORD, newPassword: 'cobalt-meadow-thimble-92' };
    expect((await own.send('PUT', '/api/v1/users/change-password', change)).statusCode).toBe(204);
    expect((await own.send('GET', '/auth/me')).statusCode).toBe(200);
    expect((await other.send('GET', '/auth/me')).statusCode).toBe(401);
    const byToken = await plane.http.inject({ url: '/auth/me', headers: { authorization: `Bearer ${token}` } });
    expect(byToken.statusCode).toBe(401);
    expect(JSON.stringify(plane.audit.entries)).not.toContain('cobalt');
  });

  test('what is dangerous needs a proof of the last five minutes, which changes the cookie', async () => {
    const plane = await withUser('admin');
    const { send, jar } = browser(plane);
    await send('POST', '/auth/session', signIn);
    await plane.clock.advance(6 * 60_000);
    const dangerous = () => send('DELETE', '/api/v1/clusters/purge');
    expect((await dangerous()).json()).toMatchObject({ code: 'STEP_UP_REQUIRED' });
    const before = jar.get('__Host-lockstep-session');
    expect((await send('POST', '/auth/step-up', { method: 'password', password: 'wrong' })).statusCode).toBe(401);
    expect((await send('POST', '/auth/step-up', { method: 'password', password: PASSWORD })).statusCode).toBe(200);
    expect(jar.get('__Host-lockstep-session')).not.toBe(before);
    expect((await dangerous()).statusCode).toBe(200);
    jar.set('__Host-lockstep-session', before ?? '');
    expect((await send('GET', '/auth/me')).statusCode).toBe(401);
  });

  test('whoever was given a password can only change it', async () => {
    const plane = await withUser();
    const root = await plane.as('root');
    const { password } = (await root('POST', '/api/v1/users/ann/reset-password')).json<{ password: string }>();
    const { send } = browser(plane);
    expect((await send('POST', '/auth/session', { username: 'ann', password })).json()).toMatchObject({
      mustChangePassword: true,
    });
    expect((await send('GET', '/api/v1/jobs')).json()).toMatchObject({ code: 'PASSWORD_CHANGE_REQUIRED' });
    const change = { oldPassword: password, newPassword: 'cobalt-meadow-thimble-92' };
    expect((await send('PUT', '/api/v1/users/change-password', change)).statusCode).toBe(204);
    expect((await send('GET', '/api/v1/jobs')).statusCode).toBe(200);
  });

  test('an administrator needs a second factor before anything else', async () => {
    const plane = await withUser('admin', [['auth.secondFactorRoles', ['admin']]]);
    const { send } = browser(plane);
    await send('POST', '/auth/session', signIn);
    expect((await send('GET', '/api/v1/jobs')).json()).toMatchObject({ code: 'SECOND_FACTOR_REQUIRED' });
    await addTotp(plane, send);
    expect((await send('GET', '/api/v1/jobs')).statusCode).toBe(200);
  });

  test('an option says who else needs one, at once', async () => {
    const plane = await withUser('operator');
    const { send } = browser(plane);
    await send('POST', '/auth/session', signIn);
    expect((await send('GET', '/api/v1/jobs')).statusCode).toBe(200);
    const root = await plane.as('root');
    await root('PUT', '/api/v1/config/options/auth.secondFactorRoles', { value: ['operator'] });
    expect((await send('GET', '/api/v1/jobs')).json()).toMatchObject({ code: 'SECOND_FACTOR_REQUIRED' });
    expect((await root('GET', '/api/v1/jobs')).statusCode).toBe(200);
  });
});

type Send = ReturnType<typeof browser>['send'];

async function addTotp(plane: ControlPlane, send: Send): Promise<{ code: () => string; recoveryCodes: string[] }> {
  const { secret } = (await send('POST', '/auth/totp')).json<{ secret: string }>();
  const totp = new TOTP({ secret: Secret.fromBase32(secret) });
  const code = (): string => totp.generate({ timestamp: plane.clock.now() });
  const { recoveryCodes } = (await send('PUT', '/auth/totp', { code: code() })).json<{ recoveryCodes: string[] }>();
  return { code, recoveryCodes };
}

describe('second factors', () => {
  test('a code counts once, and the password alone opens nothing', async () => {
    const plane = await withUser();
    const own = browser(plane);
    await own.send('POST', '/auth/session', signIn);
    const { code } = await addTotp(plane, own.send);
    const later = browser(plane);
    const first = async (client = later) =>
      (await client.send('POST', '/auth/session', signIn)).json<{ state: string; challenge: string }>();
    const begun = await first();
    expect(begun.state).toBe('second-factor');
    expect((await later.send('GET', '/auth/me')).statusCode).toBe(401);
    // The code with which it was confirmed was used then.
    const factor = { method: 'totp', code: code() };
    const second = (challenge: string) => later.send('POST', '/auth/session/second-factor', { challenge, factor });
    expect((await second(begun.challenge)).statusCode).toBe(401);
    await plane.clock.advance(30_000);
    const again = await first();
    factor.code = code();
    expect((await second(again.challenge)).statusCode).toBe(200);
    expect((await later.send('GET', '/auth/me')).statusCode).toBe(200);
    expect((await second((await first()).challenge)).statusCode).toBe(401);
    expect((await second(again.challenge)).statusCode).toBe(401);
  });

  test('programs sign in with the code beside the password, and a recovery code counts once', async () => {
    const plane = await withUser();
    const own = browser(plane);
    await own.send('POST', '/auth/session', signIn);
    const { code, recoveryCodes } = await addTotp(plane, own.send);
    const [recoveryCode] = recoveryCodes;
    expect(recoveryCodes).toHaveLength(10);
    const token = async (more: object) => (await own.send('POST', '/auth/token', { ...signIn, ...more })).statusCode;
    expect(await token({})).toBe(401);
    expect(await token({ recoveryCode })).toBe(200);
    expect(await token({ recoveryCode })).toBe(401);
    await plane.clock.advance(60_000);
    expect(await token({ code: code() })).toBe(200);
  });

  test('reg-reset-bypasses-second-factor: a new password from an administrator leaves it in place', async () => {
    const plane = await withUser();
    const own = browser(plane);
    await own.send('POST', '/auth/session', signIn);
    await addTotp(plane, own.send);
    const { password } = (await (await plane.as('root'))('POST', '/api/v1/users/ann/reset-password')).json<{
      password: string;
    }>();
    const answer = await browser(plane).send('POST', '/auth/session', { username: 'ann', password });
    expect(answer.json()).toMatchObject({ state: 'second-factor' });
  });

  describe('a security key', () => {
    interface Begun {
      readonly challenge: string;
      readonly methods: string[];
      readonly webauthn: { readonly challenge: string; readonly allowCredentials?: { readonly id: string }[] };
    }

    /** Of ann, who is signed in at `own`. */
    const keyed = async (origin = 'https://lockstep.test') => {
      const plane = await withUser();
      const own = browser(plane);
      await own.send('POST', '/auth/session', signIn);
      const key = new SecurityKey(origin);
      const { challenge, webauthn } = (await own.send('POST', '/auth/passkeys/options')).json<Begun>();
      const added = await own.send('POST', '/auth/passkeys', {
        name: 'on my ring',
        challenge,
        response: key.create(webauthn),
      });
      const later = browser(plane);
      const begin = async () => (await later.send('POST', '/auth/session', signIn)).json<Begun>();
      const finish = async (challenge: string, response: object) => {
        const factor = { method: 'webauthn', response };
        return (await later.send('POST', '/auth/session/second-factor', { challenge, factor })).statusCode;
      };
      return { plane, own, key, added, begin, finish };
    };

    test('signs in, each answer once', async () => {
      const { own, key, added, begin, finish } = await keyed();
      expect(added.statusCode).toBe(201);
      const id = key.id.toString('base64url');
      expect((await own.send('GET', '/auth/passkeys')).json()).toMatchObject([{ id, name: 'on my ring' }]);
      const begun = await begin();
      expect(begun).toMatchObject({ methods: ['webauthn'] });
      expect(begun.webauthn.allowCredentials).toMatchObject([{ id }]);
      const answer = key.get(begun.webauthn);
      expect(await finish(begun.challenge, answer)).toBe(200);
      expect(await finish(begun.challenge, answer), 'the challenge was used').toBe(401);
      expect(await finish((await begin()).challenge, answer), 'of another challenge').toBe(401);
      const again = await begin();
      expect(await finish(again.challenge, key.get(again.webauthn))).toBe(200);
    });

    test.each<[string, (key: SecurityKey) => SecurityKey]>([
      ['that was copied, by its counter', (key) => Object.assign(key, { counter: 0 })],
      ['with the id of another', ({ id }) => Object.assign(new SecurityKey('https://lockstep.test'), { id })],
      ['of another site', ({ id }) => Object.assign(new SecurityKey('https://evil.example'), { id })],
    ])('%s does not', async (_, change) => {
      const { key, begin, finish } = await keyed();
      for (let times = 0; times < 3; times++) {
        const begun = await begin();
        expect(await finish(begun.challenge, key.get(begun.webauthn))).toBe(200);
      }
      const other = change(key);
      const begun = await begin();
      expect(await finish(begun.challenge, other.get(begun.webauthn))).toBe(401);
    });

    test('made for another site is not added', async () => {
      const { added } = await keyed('https://evil.example');
      expect(added.json()).toMatchObject({ code: 'AUTH_INVALID' });
    });

    test('proves that somebody is there, and is taken away', async () => {
      const { plane, own, key, begin } = await keyed();
      await plane.clock.advance(6 * 60_000);
      const remove = () => own.send('DELETE', `/auth/passkeys/${key.id.toString('base64url')}`);
      expect((await remove()).json()).toMatchObject({ code: 'STEP_UP_REQUIRED' });
      const { challenge, webauthn } = (await own.send('POST', '/auth/step-up/options')).json<Begun>();
      const response = key.get(webauthn);
      const stepped = await own.send('POST', '/auth/step-up', { method: 'webauthn', challenge, response });
      expect(stepped.statusCode).toBe(200);
      expect((await remove()).statusCode).toBe(204);
      expect(await begin()).toMatchObject({ state: 'signed-in' });
    });
  });

  test('an answer of a security key that nobody has is no answer', async () => {
    const plane = await withUser();
    const { send } = browser(plane);
    await send('POST', '/auth/session', signIn);
    const { challenge } = (await send('POST', '/auth/passkeys/options')).json<{ challenge: string }>();
    const response = {
      id: 'x',
      rawId: 'x',
      type: 'public-key',
      response: { attestationObject: 'AA', clientDataJSON: 'e30' },
    };
    const add = () => send('POST', '/auth/passkeys', { name: 'k', challenge, response });
    expect((await add()).statusCode).toBe(401);
    expect((await add()).statusCode).toBe(401); // and the challenge is spent
    expect(plane.logged).toEqual([]);
  });
});

describe('guessing', () => {
  test('reg-M-053a reg-M-228: many guesses at once are few attempts, and the owner still comes in from a known browser', async () => {
    const plane = await withUser();
    const owner = browser(plane, '198.51.100.1');
    await owner.send('POST', '/auth/session', signIn);
    const guesses = await Promise.all(
      Array.from({ length: 300 }, (_, index) =>
        browser(plane, `203.0.113.${index % 200}`).send('POST', '/auth/session', {
          username: 'ann',
          password: `guess ${index}`,
        }),
      ),
    );
    const tried = guesses.filter(({ statusCode }) => statusCode === 401).length;
    expect(tried).toBeLessThanOrEqual(6);
    expect(guesses.filter(({ statusCode }) => statusCode === 429).length).toBe(300 - tried);
    expect(Number(guesses.at(-1)?.headers['retry-after'])).toBeGreaterThan(0);
    expect((await browser(plane, '198.51.100.9').send('POST', '/auth/session', signIn)).statusCode).toBe(429);
    expect((await owner.send('POST', '/auth/session', signIn)).statusCode).toBe(200);
    await plane.clock.advance(61_000);
    expect((await browser(plane, '198.51.100.9').send('POST', '/auth/session', signIn)).statusCode).toBe(200);
  });

  test('an unknown name is told like a wrong password, after as much work', async () => {
    let verified = 0;
    const hash = async () => '$played$';
    const verify = async () => ({ isRight: ++verified < 0, isWeak: false });
    const plane = await playControlPlane({ passwords: { hash, verify } });
    await plane.store.users.createInitial({ name: 'ann', kind: 'local', roles: ['admin'], passwordHash: '$played$' });
    const answers = await Promise.all(
      ['ann', 'nobody'].map((username) =>
        plane.http.inject({ method: 'POST', url: '/auth/token', payload: { username, password: 'x' } }),
      ),
    );
    const [known, unknown] = answers.map(({ body }) => ({ ...JSON.parse(body), requestId: '' }) as object);
    expect(known).toEqual(unknown);
    expect(verified).toBe(2);
  });

  test('an address that guesses at many accounts is slowed down too', async () => {
    const plane = await withUser();
    const { send } = browser(plane, '203.0.113.50');
    const statuses: number[] = [];
    for (let index = 0; index < 40; index++)
      statuses.push((await send('POST', '/auth/session', { username: `user${index}`, password: 'x' })).statusCode);
    expect(statuses.filter((status) => status === 401).length).toBeLessThanOrEqual(21);
  });
});

describe('API tokens', () => {
  const make = async (plane: ControlPlane, body: object) => {
    const root = await plane.as('root', 'admin');
    const answer = await root('POST', '/api/v1/tokens', { name: 't', scopes: null, expiresInDays: 30, ...body });
    return answer.json<{ token: string; id: string }>();
  };
  const by = (plane: ControlPlane, token: string, url = '/api/v1/jobs', remoteAddress = '127.0.0.1') =>
    plane.http.inject({ url, remoteAddress, headers: { authorization: `Bearer ${token}` } });

  test('are shown once, found by scanners, and good for their scopes only', async () => {
    const plane = await playControlPlane();
    const { token, id } = await make(plane, { scopes: ['jobs:view'] });
    expect(token).toMatch(/^lkt_[A-Za-z0-9_-]{43}[0-9a-f]{8}$/);
    expect((await by(plane, token)).statusCode).toBe(200);
    expect((await by(plane, token, '/api/v1/users')).statusCode).toBe(403);
    const root = await plane.as('root');
    expect((await root('GET', '/api/v1/tokens')).body).not.toContain(token.slice(4, 20));
    expect((await root('DELETE', `/api/v1/tokens/${id}`)).statusCode).toBe(204);
    expect((await by(plane, token)).statusCode).toBe(401);
  });

  test('end with their time, with their owner, and outside of their addresses', async () => {
    const plane = await playControlPlane();
    const here = await make(plane, { allowedRanges: ['10.0.0.0/8'] });
    expect((await by(plane, here.token)).statusCode).toBe(401);
    const { token } = await make(plane, { name: 'u', expiresInDays: 1 });
    await plane.clock.advance(24 * 3_600_000 + 1);
    expect((await by(plane, token)).statusCode).toBe(401);
  });

  test('reg-token-in-logs: a token makes no tokens, and one in an address is none', async () => {
    const plane = await playControlPlane();
    const { token } = await make(plane, {});
    const again = await plane.http.inject({
      method: 'POST',
      url: '/api/v1/tokens',
      payload: { name: 'v', scopes: null, expiresInDays: 1 },
      headers: { authorization: `Bearer ${token}` },
    });
    expect(again.statusCode).toBe(403);
    expect((await plane.http.inject(`/api/v1/jobs?token=${token}`)).statusCode).toBe(401);
  });

  test('credentials over a readable connection are refused, right or wrong', async () => {
    const plane = await playControlPlane();
    const { token } = await make(plane, {});
    expect((await by(plane, token, '/api/v1/jobs', '203.0.113.5')).json()).toMatchObject({ code: 'TLS_REQUIRED' });
    const signing = await plane.http.inject({
      method: 'POST',
      url: '/auth/token',
      remoteAddress: '203.0.113.5',
      payload: { username: 'root', password: PASSWORD },
    });
    expect(signing.json()).toMatchObject({ code: 'TLS_REQUIRED' });
    // Whoever says that it came over TLS is believed only where it is a proxy that is trusted.
    const claimed = await plane.http.inject({
      url: '/api/v1/jobs',
      remoteAddress: '203.0.113.5',
      headers: { authorization: `Bearer ${token}`, 'x-forwarded-proto': 'https', 'x-forwarded-for': '127.0.0.1' },
    });
    expect(claimed.json()).toMatchObject({ code: 'TLS_REQUIRED' });
  });
});

test('reg-M-227 reg-bcrypt-72-byte-truncation: argon2id of at least 46 MiB, upgraded at sign-in', async () => {
  let next = 0;
  const entropy = { bytes: (count: number) => new Uint8Array(count).fill(++next) };
  const weaker = createPasswordHash({ entropy });
  const stronger = createPasswordHash({ entropy, memoryKib: 48 * 1024 });
  const phc = await weaker.hash('caf\u00e9');
  expect(phc).toMatch(/^\$argon2id\$v=19\$m=47104,t=1,p=1\$/);
  expect(await weaker.verify(phc, 'cafe\u0301')).toEqual({ isRight: true, isWeak: false });
  expect(await stronger.verify(phc, 'caf\u00e9')).toEqual({ isRight: true, isWeak: true });
  expect(await weaker.verify(phc, 'cafe')).toMatchObject({ isRight: false });
  const long = await weaker.hash(`${'a'.repeat(80)}b`);
  expect(await weaker.verify(long, `${'a'.repeat(80)}c`)).toMatchObject({ isRight: false });
  expect(() => createPasswordHash({ entropy, memoryKib: 1024 })).toThrow('at least');
});

test('more hashes than may wait are turned away at once', async () => {
  const entropy = { bytes: (count: number) => new Uint8Array(count) };
  const passwords = createPasswordHash({ entropy });
  // Cheap to make, for it is the stored hash that says what verifying costs.
  const phc = `$argon2id$v=19$m=8,t=1,p=1$${'A'.repeat(22)}$${'A'.repeat(43)}`;
  const all = await Promise.allSettled(Array.from({ length: 150 }, () => passwords.verify(phc, 'x')));
  const busy = all.filter((each) => each.status === 'rejected');
  expect(busy).toHaveLength(48);
  expect(busy.every(({ reason }) => (reason as { code: string }).code === 'SERVER_BUSY')).toBe(true);
});
