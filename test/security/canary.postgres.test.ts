/**
 * A secret in every place that takes or gives one: none of them is found again in the files of the database, backups, logs, the
 * audit log, figures, or any answer but the one that hands it over.
 */
import { readFileSync, readdirSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { Secret, TOTP } from 'otpauth';
import { afterAll, beforeAll, expect, onTestFinished, test } from 'vitest';
import { takeBackup } from '#store/backup.ts';
import { newKeyLine, parseKeyring } from '#store/key-encryption.ts';
import type { StoreLocation } from '#store/location.ts';
import { playControlPlane } from '#testing/played-control-plane.ts';
import { PostgresServer } from '#testing/postgres.ts';
import { temporaryDirectory } from '#testing/supervisor.ts';
import { systemHost } from '#util/host.ts';
import { ControlServer } from '../acceptance/control-server.ts';

let server: PostgresServer;
let databases = 0;
beforeAll(async () => {
  server = await PostgresServer.start();
});
afterAll(() => server.down('SIGINT'));

const stores: [string, () => Promise<{ location: StoreLocation; folder: string }>][] = [
  [
    'SQLite',
    async () => {
      const folder = temporaryDirectory('canary');
      return { location: { engine: 'sqlite', path: join(folder, 'lockstep.db') }, folder };
    },
  ],
  [
    'PostgreSQL',
    async () => ({
      location: { engine: 'postgres', url: await server.createDatabase(`canary_${databases++}`) },
      folder: server.dataDirectory,
    }),
  ],
];

test.each(stores)('reg-M-132: no secret that was planted is found again, on %s', async (engine, locate) => {
  const { location, folder } = await locate();
  const plane = await playControlPlane({ location });
  const answers: { path: string; text: string }[] = [];
  const root = await plane.as('root', 'admin');
  const tell = async (...[method, path, body, headers]: Parameters<typeof root>) => {
    const answer = await root(method, path, body, headers);
    answers.push({ path: `${method} ${path}`, text: `${JSON.stringify(answer.headers)}${answer.body}` });
    return answer;
  };
  const planted = new Map<string, string>();
  const plant = (what: string): string => {
    const secret = `canary-${what}-walnut-umbrella-${planted.size}-Zx9`;
    planted.set(what, secret);
    return secret;
  };
  /** What an answer hands over: from then on it is nowhere but there. */
  const handed = (what: string, secret: string): string => {
    planted.set(what, secret);
    answers.pop();
    return secret;
  };

  await tell('PUT', '/api/v1/secrets/east', { value: plant('stored') });
  await tell('PUT', '/api/v1/secrets/east', { value: plant('stored-again') });
  const ann = { username: 'ann', role: 'operator' };
  await tell('POST', '/api/v1/users', { ...ann, password: plant('first-password') }, { 'idempotency-key': 'k' });
  await tell('POST', '/api/v1/users', { ...ann, role: 'none', password: plant('refused-password') });
  const made = await tell('POST', '/api/v1/tokens', { name: 't', scopes: null, expiresInDays: 1 });
  handed('token', made.json<{ token: string }>().token);
  const reset = await tell('POST', '/api/v1/users/ann/reset-password');
  const given = handed('given-password', reset.json<{ password: string }>().password);
  const ticket = await tell('POST', '/api/v1/stream/tickets');
  handed('ticket', ticket.json<{ ticket: string }>().ticket);
  const signIn = (password: string) => tell('POST', '/auth/token', { username: 'ann', password });
  await signIn(plant('wrong-password'));
  handed('session', (await signIn(given)).json<{ token: string }>().token);
  await tell('PUT', '/api/v1/users/change-password', {
    oldPassword: plant('wrong-old-password'),
    newPassword: plant('new-password'),
  });
  const seed = handed('totp-seed', (await tell('POST', '/auth/totp')).json<{ secret: string }>().secret);
  const code = new TOTP({ secret: Secret.fromBase32(seed) }).generate({ timestamp: plane.clock.now() });
  const confirmed = await tell('PUT', '/auth/totp', { code });
  const { recoveryCodes } = confirmed.json<{ recoveryCodes: string[] }>();
  for (const [index, each] of recoveryCodes.entries()) planted.set(`recovery-${index}`, each);
  answers.pop();
  const cluster = { name: 'east', bootstrap: ['b:9092'] };
  const login = { protocol: 'SASL_SSL', mechanism: 'PLAIN', username: 'u' };
  await tell('POST', '/api/v1/clusters', { ...cluster, security: { ...login, password: plant('in-clear') } });
  await tell('POST', '/api/v1/clusters', { ...cluster, api_key: plant('api-key'), api_secret: plant('api-secret') });
  await tell('POST', '/api/v1/clusters', { ...cluster, security: { ...login, password: { store: 'east' } } });
  await tell('PUT', '/api/v1/clusters/east', { ...cluster, connection_string: plant('connection-string') });
  await tell('POST', '/api/v1/config/import', {
    'no.such.option': plant('option-value'),
    'monitoring.token': plant('option-secret'),
  });
  await tell('GET', `/api/v1/jobs?token=${plant('in-address')}`);
  await tell('GET', '/auth/me', undefined, { authorization: `Bearer ${plant('bearer')}` });
  await tell('POST', '/api/v1/clusters', `{"password":"${plant('broken-json')}"`, {
    'content-type': 'application/json',
  });
  for (const path of [
    '/api/v1/users',
    '/api/v1/users/ann',
    '/api/v1/tokens',
    '/api/v1/clusters',
    '/api/v1/clusters/east',
    '/api/v1/secrets',
    '/api/v1/config',
    '/api/v1/events',
    '/api/v1/events/export',
    '/auth/sessions',
    '/auth/me',
    '/health',
  ])
    await tell('GET', path);

  const keys = parseKeyring(newKeyLine('k1'), 'test');
  const backup = join(temporaryDirectory('canary'), 'backup');
  await takeBackup(plane.store, { disk: systemHost.disk, path: backup, keys });
  await plane.server.close();
  await plane.store.close(5_000);
  if (engine === 'PostgreSQL') await server.run('checkpoint');

  const places = [
    ...filesOf(folder).map((path) => ({ place: path, bytes: readFileSync(path) })),
    { place: 'backup', bytes: readFileSync(backup) },
    { place: 'audit log', bytes: Buffer.from(JSON.stringify(plane.audit.entries)) },
    {
      place: 'log',
      bytes: Buffer.from(plane.logged.map((entry) => String(entry.message) + inspected(entry.error)).join()),
    },
    ...answers.map(({ path, text }) => ({ place: `answer of ${path}`, bytes: Buffer.from(text) })),
  ];
  const found = [...planted].flatMap(([what, secret]) =>
    formsOf(secret).flatMap((form) =>
      places.filter(({ bytes }) => bytes.includes(form)).map(({ place }) => `${what} in ${place}`),
    ),
  );
  expect(found).toEqual([]);
  expect(planted.size).toBeGreaterThan(25);
  // The search finds what is there.
  const isThere = (text: string) => places.some(({ place, bytes }) => place.includes(folder) && bytes.includes(text));
  expect(isThere('east')).toBe(true);
});

test.each(stores)(
  'in files, log and audit log of lockstep serve there is none either, on %s',
  async (engine, locate) => {
    const { location, folder } = await locate();
    const env: Record<string, string> = location.engine === 'postgres' ? { LOCKSTEP_DATABASE_URL: location.url } : {};
    const serve = await ControlServer.create({ env });
    onTestFinished(() => void (serve.isRunning && serve.stop()));
    await serve.start();
    const call = await serve.setUp();
    const planted = ['stored', 'given', 'wrong', 'in-clear', 'bearer', 'in-address'].map(
      (what) => `canary-${what}-Zx9-walnut-gravel-otter`,
    );
    const [stored, password, wrong, inClear, bearer, inAddress] = planted;
    expect((await call('PUT', '/api/v1/secrets/east', { value: stored })).status).toBe(200);
    expect((await call('POST', '/api/v1/users', { username: 'ann', role: 'operator', password })).status).toBe(201);
    expect((await call('POST', '/auth/token', { username: 'ann', password: wrong })).status).toBe(401);
    const security = { protocol: 'SASL_PLAINTEXT', mechanism: 'PLAIN', username: 'u', password: inClear };
    expect((await call('POST', '/api/v1/clusters', { name: 'c', bootstrap: ['127.0.0.1:1'], security })).status).toBe(
      400,
    );
    const sealed = { ...security, password: { store: 'east' } };
    await call('POST', '/api/v1/clusters', { name: 'east', bootstrap: ['127.0.0.1:1'], security: sealed });
    await call('GET', '/api/v1/clusters/east/status');
    expect((await serve.as({ authorization: `Bearer ${bearer}` })('GET', '/auth/me')).status).toBe(401);
    await call('GET', `/api/v1/jobs?token=${inAddress}`);
    await serve.stop();
    const places = [serve.directory, ...(engine === 'PostgreSQL' ? [folder] : [])]
      .flatMap(filesOf)
      .map((path) => ({ place: path, bytes: readFileSync(path) }));
    const said = Buffer.from(serve.describe() + JSON.stringify(serve.events));
    const found = planted.flatMap((secret) =>
      formsOf(secret).flatMap((form) =>
        [...places, { place: 'what it says', bytes: said }]
          .filter(({ bytes }) => bytes.includes(form))
          .map(({ place }) => `${secret} in ${place}`),
      ),
    );
    expect(found).toEqual([]);
    expect(places.some(({ bytes }) => bytes.includes('secret.set') || bytes.includes('user.create'))).toBe(true);
  },
);

function formsOf(secret: string): string[] {
  const bytes = Buffer.from(secret);
  const base64 = bytes.toString('base64').replace(/=+$/, '').slice(0, -1);
  return [...new Set([secret, base64, bytes.toString('hex'), encodeURIComponent(secret)])];
}

function inspected(error: unknown): string {
  return error instanceof Error ? `${error.stack}${inspected(error.cause)}` : String(error);
}

function filesOf(folder: string): string[] {
  return readdirSync(folder, { recursive: true, encoding: 'utf8' })
    .map((name) => join(folder, name))
    .filter((path) => statSync(path).isFile());
}
