import { expect, test } from 'vitest';
import type { Span } from '#contract/span.ts';
import { PASSWORD, playControlPlane, type Client, type ControlPlane } from '#testing/played-control-plane.ts';
import { must } from '#util/assert.ts';

const TRACE = '4bf92f3577b34da6a3ce929d0e0e4736';
const CALLER = '00f067aa0ba902b7';

interface Traced {
  readonly plane: ControlPlane;
  readonly ann: Client;
  readonly spans: Span[];
}

async function traced(percent = 100): Promise<Traced> {
  const spans: Span[] = [];
  const plane = await playControlPlane({ traces: { percent, take: (span) => void spans.push(span) } });
  const ann = await plane.as('ann', 'admin');
  spans.length = 0;
  return { plane, ann, spans };
}

const named = (spans: readonly Span[], name: string): Span =>
  must(
    spans.find((span) => span.name === name),
    name,
  );

test('a request is a span by the conventions for HTTP, and each call that it makes is one below it', async () => {
  const { ann, spans, plane } = await traced();
  const answer = await ann('PUT', '/api/v1/config/options/server.cors.allowedOrigins', { value: [] });
  expect(answer.statusCode).toBe(200);
  const root = named(spans, 'PUT /api/v1/config/options/:key');
  expect(root).toMatchObject({
    kind: 'server',
    parentSpanId: null,
    isFailed: false,
    attributes: {
      'http.request.method': 'PUT',
      'url.path': '/api/v1/config/options/server.cors.allowedOrigins',
      'http.route': '/api/v1/config/options/:key',
      'http.response.status_code': 200,
      'lockstep.request.id': answer.headers['x-request-id'],
    },
  });
  expect(root.traceId).toMatch(/^[\da-f]{32}$/);
  expect(root.spanId).toMatch(/^[\da-f]{16}$/);
  expect([root.startMs, root.endMs >= root.startMs]).toEqual([plane.clock.now(), true]);
  // Before the body was read, after it, and in the store of the intent.
  for (const name of ['store.sessions.find', 'audit.intend', 'store.configuration.write', 'audit.settle'])
    expect(named(spans, name), name).toMatchObject({ kind: 'internal', traceId: root.traceId, isFailed: false });
  const ids = new Set(spans.map(({ spanId }) => spanId));
  expect(ids.size).toBe(spans.length);
  expect(spans.filter((span) => span !== root && !ids.has(must(span.parentSpanId, 'parent')))).toEqual([]);
});

test('requests that go on side by side do not mix', async () => {
  const { ann, spans } = await traced();
  const paths = ['/api/v1/jobs', '/api/v1/clusters', '/api/v1/users'];
  await Promise.all(paths.map((path) => ann('GET', path)));
  const roots = paths.map((path) => named(spans, `GET ${path}`));
  expect(new Set(roots.map(({ traceId }) => traceId)).size).toBe(3);
  const lists = ['store.jobs.list', 'store.clusters.list', 'store.users.list'].map((name) => named(spans, name));
  expect(lists.map(({ traceId }) => traceId)).toEqual(roots.map(({ traceId }) => traceId));
});

test.each([
  { what: 'is continued', traceparent: `00-${TRACE}-${CALLER}-01`, expected: [[TRACE, CALLER]] },
  { what: 'of a later version is continued', traceparent: `cc-${TRACE}-${CALLER}-01-x`, expected: [[TRACE, CALLER]] },
  { what: 'that does not sample is obeyed', traceparent: `00-${TRACE}-${CALLER}-00`, expected: [] },
])('a traceparent $what', async ({ traceparent, expected }) => {
  const { ann, spans } = await traced();
  await ann('GET', '/api/v1/jobs', undefined, { traceparent });
  const roots = spans.filter(({ kind }) => kind === 'server');
  expect(roots.map(({ traceId, parentSpanId }) => [traceId, parentSpanId])).toEqual(expected);
});

test.each([
  'nonsense',
  `00-${TRACE.toUpperCase()}-${CALLER}-01`,
  `00-${'0'.repeat(32)}-${CALLER}-01`,
  `00-${TRACE}-${'0'.repeat(16)}-01`,
  `ff-${TRACE}-${CALLER}-01`,
  `00-${TRACE}-${CALLER}-01-x`,
  `00-${TRACE}-${CALLER}-1`,
])('a traceparent that cannot be read is none: %s', async (traceparent) => {
  const { ann, spans } = await traced();
  await ann('GET', '/api/v1/jobs', undefined, { traceparent });
  const root = named(spans, 'GET /api/v1/jobs');
  expect([root.parentSpanId, root.traceId === TRACE]).toEqual([null, false]);
});

test('nothing is traced unasked where none are wanted, and what a caller asks for is', async () => {
  const { ann, spans } = await traced(0);
  await ann('GET', '/api/v1/jobs');
  expect(spans).toEqual([]);
  await ann('GET', '/api/v1/jobs', undefined, { traceparent: `00-${TRACE}-${CALLER}-01` });
  expect(spans.length).toBeGreaterThan(1);
});

test('what goes wrong is marked where it did: a refusal of the caller is no failure of the server', async () => {
  const { ann, spans, plane } = await traced();
  expect((await ann('GET', '/api/v1/jobs/none')).statusCode).toBe(404);
  const refused = named(spans, 'GET /api/v1/jobs/:id');
  expect([refused.isFailed, refused.attributes['http.response.status_code']]).toEqual([false, 404]);
  expect((await ann('GET', '/nowhere')).statusCode).toBe(404);
  expect(named(spans, 'GET').attributes).not.toHaveProperty('http.route');
  spans.length = 0;
  await plane.store.close(0);
  expect((await ann('GET', '/api/v1/jobs')).statusCode).toBe(503);
  const failed = named(spans, 'GET /api/v1/jobs');
  expect([failed.isFailed, failed.attributes['error.type']]).toEqual([true, '503']);
  const cause = spans.find((span) => span.kind === 'internal' && span.isFailed);
  expect(cause?.attributes).toEqual({ 'error.type': 'STORE_UNAVAILABLE' });
});

test('streams have no span, nor has what the server does by itself', async () => {
  const { plane, spans } = await traced();
  const payload = { username: 'ann', password: PASSWORD };
  const { token } = (await plane.http.inject({ method: 'POST', url: '/auth/token', payload })).json<{
    token: string;
  }>();
  expect(named(spans, 'POST /auth/token').attributes).not.toHaveProperty('error.type');
  spans.length = 0;
  const headers = { authorization: `Bearer ${token}` };
  const stream = await plane.http.inject({ url: '/api/v1/stream', headers, payloadAsStream: true });
  expect(stream.statusCode).toBe(200);
  await plane.clock.advance(3_600_000);
  await plane.server.close();
  expect(spans).toEqual([]);
});
