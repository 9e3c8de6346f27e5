/** What browsers are told, and what is refused of what they send for others. */
import { describe, expect, test } from 'vitest';
import { operationIds, routeOf } from '#contract/api/routes.ts';
import { AppError } from '#contract/errors.ts';
import { PASSWORD, playControlPlane, type ControlPlane } from '#testing/played-control-plane.ts';

async function signedIn(): Promise<{ plane: ControlPlane; session: string }> {
  const plane = await playControlPlane();
  await plane.as('root', 'admin');
  const answer = await plane.http.inject({
    method: 'POST',
    url: '/auth/session',
    payload: { username: 'root', password: PASSWORD },
  });
  return { plane, session: answer.cookies.find(({ name }) => name === 'lockstep-session')?.value ?? '' };
}

describe('changes that a browser sends', () => {
  test.each<[string, Record<string, string>, number]>([
    ['of our own pages', { 'sec-fetch-site': 'same-origin', origin: 'https://lockstep.test' }, 201],
    ['that a person typed', { 'sec-fetch-site': 'none' }, 201],
    ['of an old browser, of our own pages', { origin: 'https://lockstep.test' }, 201],
    ['of another site', { 'sec-fetch-site': 'cross-site', origin: 'https://evil.test' }, 403],
    ['of a neighbour on our domain', { 'sec-fetch-site': 'same-site', origin: 'https://evil.lockstep.test' }, 403],
    ['of an old browser, of another site', { origin: 'https://evil.test' }, 403],
    ['of a page without origin', { origin: 'null' }, 403],
    ['that say nothing', {}, 403],
    ['that contradict themselves', { 'sec-fetch-site': 'same-origin', origin: 'https://evil.test' }, 403],
  ])('%s', async (_what, headers, status) => {
    const { plane, session } = await signedIn();
    const answer = await plane.http.inject({
      method: 'POST',
      url: '/api/v1/clusters',
      payload: { name: 'east', bootstrap: ['b:9092'] },
      cookies: { 'lockstep-session': session },
      headers,
    });
    expect(answer.statusCode, answer.body).toBe(status);
  });

  test('every change of the contract is refused from another site, before its body is looked at', async () => {
    const { plane, session } = await signedIn();
    for (const id of operationIds.filter((each) => routeOf(each).method !== 'GET')) {
      const { method, path } = routeOf(id);
      const answer = await plane.http.inject({
        method,
        url: path.replaceAll(/:\w+/g, 'x'),
        payload: '{"not json',
        cookies: { 'lockstep-session': session },
        headers: { 'content-type': 'application/json', 'sec-fetch-site': 'cross-site', origin: 'https://evil.test' },
      });
      expect(`${id} ${answer.json<{ code: string }>().code}`).toBe(`${id} REQUEST_FORGED`);
    }
  });

  test('a form, or text that is JSON, is no body', async () => {
    const { plane } = await signedIn();
    const root = await plane.as('root');
    for (const type of ['text/plain', 'application/x-www-form-urlencoded', 'multipart/form-data; boundary=x'])
      expect((await root('POST', '/api/v1/clusters', '{"name":"a"}', { 'content-type': type })).statusCode).toBe(415);
  });

  test('a GET changes nothing: all of the contract that are audited say what they export', () => {
    const audited = operationIds.filter((id) => routeOf(id).method === 'GET' && routeOf(id).audit !== null);
    expect(audited.toSorted()).toEqual(['exportEvents', 'exportEventsAsJson', 'exportEvidence', 'finishSignOn']);
  });
});

describe('headers', () => {
  test('reg-cors-hardcoded reg-M-130: no answer lets another site read it', async () => {
    const { plane } = await signedIn();
    const headers = { origin: 'https://gofiber.io', 'access-control-request-method': 'POST' };
    const preflight = await plane.http.inject({ method: 'OPTIONS', url: '/api/v1/jobs', headers });
    const read = await plane.http.inject({ url: '/health', headers });
    expect(preflight.statusCode).toBe(405);
    for (const answer of [preflight, read])
      expect(Object.keys(answer.headers).filter((name) => name.startsWith('access-control'))).toEqual([]);
  });

  test('every answer carries them, errors too', async () => {
    const { plane } = await signedIn();
    const root = await plane.as('root');
    const paths = ['/health', '/nowhere', '/api/v1/jobs', '/api/v1/jobs/none', '/docs', '/openapi.json', '/%'];
    for (const path of paths) {
      const { headers } = await root('GET', path);
      expect(headers, path).toMatchObject({
        'x-content-type-options': 'nosniff',
        'referrer-policy': 'no-referrer',
        'cross-origin-opener-policy': 'same-origin',
        'cross-origin-resource-policy': 'same-origin',
        'cache-control': 'no-store',
      });
      expect(headers['content-security-policy'], path).toContain("default-src 'none'");
      expect(headers['content-security-policy'], path).toContain("frame-ancestors 'none'");
      expect(headers['strict-transport-security'], path).toBeUndefined();
    }
  });

  test('over TLS browsers are told to stay there', async () => {
    const plane = await playControlPlane({
      given: { file: new Map([['server.trustedProxies' as const, ['127.0.0.1']]]) },
    });
    const { headers } = await plane.http.inject({ url: '/health', headers: { 'x-forwarded-proto': 'https' } });
    expect(headers['strict-transport-security']).toBe('max-age=31536000; includeSubDomains');
  });

  test('the page of the description has no script, and its style is the one with the nonce', async () => {
    const { plane } = await signedIn();
    const { body, headers } = await plane.http.inject('/docs');
    const nonce = /style-src 'nonce-([^']+)'/.exec(String(headers['content-security-policy']))?.[1];
    expect(body).toContain(`<style nonce="${nonce}">`);
    expect(body).not.toMatch(/<script|javascript:|\son\w+=|style="/i);
    expect(body).toContain('/api/v1/jobs');
    expect((await plane.http.inject('/swagger/index.html')).headers['location']).toBe('/docs');
  });
});

describe('methods', () => {
  test('what an address does not have is refused with those that it has', async () => {
    const { plane } = await signedIn();
    const root = await plane.as('root');
    const byPath = Map.groupBy(operationIds, (id) => routeOf(id).path.replaceAll(/:\w+/g, 'x'));
    for (const [url, ids] of byPath) {
      const has = new Set(ids.map((id) => routeOf(id).method));
      for (const method of ['TRACE', 'OPTIONS', 'HEAD', 'PATCH', 'QUERY', 'PROPFIND'] as const) {
        const answer = await plane.http.inject({ method: method as 'OPTIONS', url });
        expect(`${method} ${url} ${answer.statusCode}`).toBe(`${method} ${url} 405`);
        expect(new Set(String(answer.headers['allow']).split(', '))).toEqual(has);
      }
    }
    expect((await root('GET', '/api/v1/clusters/purge')).statusCode).toBe(404);
    expect((await plane.http.inject({ method: 'OPTIONS', url: '/nowhere' })).statusCode).toBe(404);
  });
});

describe('hostile input', () => {
  const bodies: [string, string, number][] = [
    ['repeated keys', '{"name":"a","name":"b","bootstrap":["b:1"]}', 400],
    ['repeated keys in other spelling', '{"name":"a","\\u006eame":"b","bootstrap":["b:1"]}', 400],
    ['a prototype', '{"name":"a","bootstrap":["b:1"],"__proto__":{"x":1}}', 400],
    ['depth', `${'['.repeat(5_000)}${']'.repeat(5_000)}`, 400],
    ['half of it', '{"name":"a"', 400],
    ['a text', '"name"', 400],
    ['unknown fields', '{"name":"a","bootstrap":["b:1"],"isAdmin":true}', 400],
    ['both names of a field', '{"name":"a","bootstrap":["b:1"],"brokers":["b:1"]}', 400],
    ['a secret in clear', '{"name":"a","bootstrap":["b:1"],"security":{"password":"hunter2hunter2"}}', 400],
    ['a mebibyte', `{"name":"${'a'.repeat(1024 * 1024)}"}`, 413],
  ];

  test.each(bodies)('a body with %s', async (_what, payload, status) => {
    const plane = await playControlPlane();
    const root = await plane.as('root', 'admin');
    const answer = await root('POST', '/api/v1/clusters', payload, { 'content-type': 'application/json' });
    expect(answer.statusCode, answer.body).toBe(status);
    expect(answer.headers['content-type']).toMatch(/^application\/problem\+json\b/);
    expect(answer.body).not.toContain('hunter2');
    expect(plane.logged).toEqual([]);
  });

  test.each([
    ['a way up', '/api/v1/jobs/..%2f..%2fetc%2fpasswd'],
    ['a null', '/api/v1/jobs/%00'],
    ['half a letter', '/api/v1/jobs/%E0%A4%A'],
    ['a header', '/api/v1/jobs/a%0d%0aset-cookie:x'],
    ['a long name', `/api/v1/jobs/${'a'.repeat(5_000)}`],
    ['no items', '/api/v1/jobs?limit=0'],
    ['more than there are', '/api/v1/jobs?limit=1e9'],
    ['two limits', '/api/v1/jobs?limit=1&limit=2'],
    ['another order', '/api/v1/jobs?sort=;drop'],
    ['another cursor', '/api/v1/jobs?cursor=%7B'],
    ['a statement', '/api/v1/users?search=%27%20OR%201=1--&nonsense=1'],
    ['a cursor of nothing', '/api/v1/events?cursor=x'],
    ['two slashes', '//api/v1/jobs'],
    ['capitals', '/API/V1/JOBS'],
  ])('%s in an address', async (_what, path) => {
    const plane = await playControlPlane();
    const root = await plane.as('root', 'admin');
    const answer = await root('GET', path);
    expect([400, 404, 414]).toContain(answer.statusCode);
    expect(answer.headers['set-cookie']).toBeUndefined();
    expect(answer.json()).toMatchObject({ status: answer.statusCode, requestId: answer.headers['x-request-id'] });
  });

  test('what goes wrong inside is told to nobody but the log', async () => {
    const plane = await playControlPlane();
    const root = await plane.as('root', 'admin');
    plane.clusters.topicNames = async () => {
      throw new TypeError('SELECT secret FROM /etc/shadow');
    };
    await root('POST', '/api/v1/clusters', { name: 'east', bootstrap: ['b:1'] });
    const answer = await root('GET', '/api/v1/clusters/east/topics');
    expect(answer.statusCode).toBe(500);
    expect(answer.body).not.toContain('SELECT');
    expect(plane.logged).toMatchObject([{ requestId: answer.headers['x-request-id'] }]);
  });

  test.each([
    '<img src=x onerror=alert(1)>',
    '"><script>alert(1)</script>',
    '[x](javascript:alert(1))',
    '\u001b[2J\u001b]0;x\u0007',
    '\u202egpj.exe',
    'a\r\nset-cookie: x=1',
    '\u0000',
    '=cmd|x',
  ])(
    'reg-stored-xss-in-names-and-markdown reg-M-131: %j from a broker is a text in JSON, and no more',
    async (name) => {
      const plane = await playControlPlane();
      const root = await plane.as('root', 'admin');
      await root('POST', '/api/v1/clusters', { name: 'east', bootstrap: ['b:1'] });
      plane.clusters.topicsByCluster = {
        east: [{ name, topicId: null, isInternal: false, partitions: [], configs: { [name]: name } }],
      };
      for (const path of ['topics', `topic-details?topics=${encodeURIComponent(name)}`]) {
        const answer = await root('GET', `/api/v1/clusters/east/${path}`);
        expect(answer.headers['content-type']).toBe('application/json; charset=utf-8');
        expect(answer.headers['x-content-type-options']).toBe('nosniff');
        expect(answer.headers['set-cookie']).toBeUndefined();
        expect(JSON.stringify(answer.json<{ items: unknown[] }>().items)).toContain(JSON.stringify(name).slice(1, -1));
      }
      plane.clusters.topicNames = async () => {
        throw new AppError('CLUSTER_REFUSED', `The broker said: ${name}`);
      };
      const refused = await root('GET', '/api/v1/clusters/east/topics');
      expect(refused.headers['content-type']).toMatch(/^application\/problem\+json\b/);
      // eslint-disable-next-line no-control-regex
      expect(refused.json<{ detail: string }>().detail).not.toMatch(/[\u0000-\u001f\u202e]/);
    },
  );

  test('signing out empties what the browser has kept', async () => {
    const { plane, session } = await signedIn();
    const answer = await plane.http.inject({
      method: 'DELETE',
      url: '/auth/session',
      cookies: { 'lockstep-session': session },
      headers: { 'sec-fetch-site': 'same-origin', origin: 'https://lockstep.test' },
    });
    expect(answer.statusCode).toBe(204);
    expect(answer.headers['clear-site-data']).toBe('"cache", "storage"');
    expect(answer.cookies.find(({ name }) => name === 'lockstep-session')).toMatchObject({ value: '' });
  });

  test('formulas in an export are text', async () => {
    const plane = await playControlPlane();
    const root = await plane.as('root', 'admin');
    await plane.audit.record(
      {
        actor: { id: '=cmd|x', kind: 'user', authn: 'password' },
        action: 'job.start',
        resource: { type: 'job', id: 'a"b' },
      },
      'succeeded',
    );
    const { body, headers } = await root('GET', '/api/v1/events/export?action=job.start');
    expect(headers['content-disposition']).toBe('attachment; filename="audit-log.csv"');
    expect(body.split('\r\n')[1]).toBe(
      `2,2023-11-14T22:13:20.000Z,event,succeeded,job.start,"'=cmd|x","job a""b",,,,,`,
    );
  });
});
