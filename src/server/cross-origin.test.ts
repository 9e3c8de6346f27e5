import { expect, test } from 'vitest';
import { playControlPlane, type ControlPlane } from '#testing/played-control-plane.ts';

const OPS = 'https://ops.example';

const preflight = (plane: ControlPlane, origin: string) =>
  plane.http.inject({
    method: 'OPTIONS',
    url: '/api/v1/jobs',
    headers: { origin, 'access-control-request-method': 'POST' },
  });

test('reg-M-130: other sites read what the configuration lets them, from the moment it does, and never with the cookie', async () => {
  const plane = await playControlPlane();
  const root = await plane.as('root', 'admin');
  expect((await preflight(plane, OPS)).headers).not.toHaveProperty('access-control-allow-origin');
  await root('PUT', '/api/v1/config/options/server.cors.allowedOrigins', { value: [OPS] });
  const asked = await preflight(plane, OPS);
  expect(asked.statusCode).toBe(204);
  expect(asked.headers).toMatchObject({
    'access-control-allow-origin': OPS,
    'access-control-allow-methods': 'GET, POST, PUT, DELETE',
    vary: 'Origin',
  });
  expect(asked.headers).not.toHaveProperty('access-control-allow-credentials');
  const theirs = { origin: OPS, 'sec-fetch-site': 'cross-site' };
  const read = await root('GET', '/api/v1/jobs', undefined, theirs);
  expect(read.headers).toMatchObject({ 'access-control-allow-origin': OPS, 'x-content-type-options': 'nosniff' });
  expect((await root('POST', '/api/v1/jobs/start-all', undefined, theirs)).statusCode).toBe(202);
  for (const origin of ['https://evil.example', 'null', `${OPS}.evil.example`]) {
    expect((await preflight(plane, origin)).headers).not.toHaveProperty('access-control-allow-origin');
    const refused = await root('POST', '/api/v1/jobs/start-all', undefined, { ...theirs, origin });
    expect(refused.json()).toMatchObject({ code: 'REQUEST_FORGED' });
  }
  const every = await root('PUT', '/api/v1/config/options/server.cors.allowedOrigins', { value: ['*'] });
  expect(every.json()).toMatchObject({ code: 'CONFIG_INVALID' });
});

test('a request with our cookie from an allowed site is refused all the same', async () => {
  const plane = await playControlPlane({ given: { file: new Map([['server.cors.allowedOrigins', [OPS]]]) } });
  await plane.as('root', 'admin');
  const signedIn = await plane.http.inject({
    method: 'POST',
    url: '/auth/session',
    headers: { origin: 'https://lockstep.test', 'sec-fetch-site': 'same-origin' },
    payload: { username: 'root', password: 'gravel-otter-pinwheel-sunday' },
  });
  const cookie = String(signedIn.headers['set-cookie']).split(';')[0] ?? '';
  const change = (headers: Record<string, string>) =>
    plane.http.inject({ method: 'POST', url: '/api/v1/jobs/start-all', headers: { cookie, ...headers } });
  const own = { origin: 'https://lockstep.test', 'sec-fetch-site': 'same-origin' };
  expect((await change(own)).statusCode).toBe(202);
  expect((await change({ origin: OPS, 'sec-fetch-site': 'cross-site' })).json()).toMatchObject({
    code: 'REQUEST_FORGED',
  });
});
