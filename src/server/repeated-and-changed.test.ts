/** Idempotency-Key, ETag and If-Match; what the audit log cannot take; what the originals called things. */
import { describe, expect, test } from 'vitest';
import {
  playControlPlane,
  playedIncident,
  playedStatus,
  type Client,
  type ControlPlane,
} from '#testing/played-control-plane.ts';

const clusterOf = (name: string) => ({ name, bootstrap: [`${name}:9092`] });
const jobOf = (name: string) => ({ name, source: 'east', target: 'west', topics: [{ match: 'orders' }] });

async function estate(): Promise<{ plane: ControlPlane; root: Client }> {
  const plane = await playControlPlane();
  const root = await plane.as('root', 'admin');
  for (const name of ['east', 'west']) await root('POST', '/api/v1/clusters', clusterOf(name));
  await root('POST', '/api/v1/jobs', jobOf('a'));
  return { plane, root };
}

describe('Idempotency-Key', () => {
  test('a repeated call gets the answer of the first and changes nothing', async () => {
    const { plane, root } = await estate();
    const key = { 'idempotency-key': 'k1' };
    const first = await root('POST', '/api/v1/jobs', jobOf('b'), key);
    const entries = plane.audit.entries.length;
    const second = await root('POST', '/api/v1/jobs', jobOf('b'), key);
    expect([first.statusCode, second.statusCode]).toEqual([201, 201]);
    expect(second.json()).toEqual(first.json());
    expect(second.headers['idempotency-replayed']).toBe('true');
    expect(plane.audit.entries.length).toBe(entries);
    expect((await root('POST', '/api/v1/jobs', jobOf('b'))).statusCode).toBe(409);
  });

  test('reg-M-124: a key stands for one request of one user', async () => {
    const { plane, root } = await estate();
    const key = { 'idempotency-key': 'k1' };
    await root('POST', '/api/v1/jobs', jobOf('b'), key);
    expect((await root('POST', '/api/v1/jobs', jobOf('c'), key)).json()).toMatchObject({ code: 'REQUEST_REPEATED' });
    const other = await plane.as('other', 'admin');
    expect((await other('POST', '/api/v1/jobs', jobOf('c'), key)).statusCode).toBe(201);
    expect((await root('POST', '/api/v1/jobs', jobOf('d'), { 'idempotency-key': 'a b' })).statusCode).toBe(400);
  });

  test('what failed may be tried again under its key', async () => {
    const { plane, root } = await estate();
    const key = { 'idempotency-key': 'k1' };
    plane.audit.isBroken = true;
    expect((await root('POST', '/api/v1/jobs', jobOf('b'), key)).statusCode).toBe(503);
    plane.audit.isBroken = false;
    expect((await root('POST', '/api/v1/jobs', jobOf('b'), key)).statusCode).toBe(201);
  });

  test('of two at the same time one is done', async () => {
    const { root } = await estate();
    const call = () => root('POST', '/api/v1/jobs', jobOf('b'), { 'idempotency-key': 'k1' });
    const codes = (await Promise.all([call(), call(), call()])).map(({ statusCode }) => statusCode);
    expect(codes.filter((code) => code === 201).length).toBeGreaterThanOrEqual(1);
    expect(codes.every((code) => code === 201 || code === 409)).toBe(true);
    const { items } = (await root('GET', '/api/v1/jobs?search=b')).json<{ items: unknown[] }>();
    expect(items).toHaveLength(1);
  });
});

describe('ETag', () => {
  test('what has not changed is not sent again, and what has is not overwritten', async () => {
    const { root } = await estate();
    const read = await root('GET', '/api/v1/jobs/a');
    const etag = String(read.headers['etag']);
    expect((await root('GET', '/api/v1/jobs/a', undefined, { 'if-none-match': etag })).statusCode).toBe(304);
    const change = { ...jobOf('a'), topics: [{ match: 'payments' }] };
    expect((await root('PUT', '/api/v1/jobs/a', change, { 'if-match': etag })).statusCode).toBe(200);
    for (const stale of [etag, 'W/"1"', '"x"'])
      expect((await root('PUT', '/api/v1/jobs/a', jobOf('a'), { 'if-match': stale })).json()).toMatchObject({
        code: 'RESOURCE_CHANGED',
      });
    expect((await root('DELETE', '/api/v1/jobs/a', undefined, { 'if-match': etag })).statusCode).toBe(412);
    expect((await root('GET', '/api/v1/jobs/a')).json()).toMatchObject({ spec: { topics: [{ match: 'payments' }] } });
  });
});

describe('the audit log', () => {
  test('reg-audit-only-2xx reg-M-133 reg-M-235a: what fails is in it too, and nothing takes effect that is not', async () => {
    const { plane, root } = await estate();
    const before = plane.audit.entries.length;
    expect((await root('POST', '/api/v1/jobs', jobOf('a'))).statusCode).toBe(409);
    expect(plane.audit.entries.slice(before)).toMatchObject([
      { phase: 'intent', action: 'job.create', resource: { type: 'job', id: 'a' } },
      { phase: 'outcome', outcome: 'failed', reason: 'RESOURCE_CONFLICT', parentSeq: before },
    ]);
    plane.audit.isBroken = true;
    expect((await root('POST', '/api/v1/jobs/a/start')).json()).toMatchObject({ code: 'AUDIT_UNAVAILABLE' });
    expect((await root('GET', '/api/v1/jobs/a')).json()).toMatchObject({ desired: 'stopped' });
    expect((await root('GET', '/health')).json()).toMatchObject({ status: 'degraded' });
  });

  test('reg-M-053b: a sign-in is in it, right or wrong, and names its session', async () => {
    const { plane } = await estate();
    await plane.http.inject({ method: 'POST', url: '/auth/token', payload: { username: 'root', password: 'no' } });
    expect(plane.audit.entries.at(-1)).toMatchObject({
      action: 'session.create',
      outcome: 'denied',
      reason: 'AUTH_INVALID',
    });
    await plane.as('root');
    expect(plane.audit.entries.at(-1)).toMatchObject({ action: 'session.create', outcome: 'succeeded' });
  });

  test('reg-M-236 reg-M-063: no secret that the API takes or gives is in it', async () => {
    const { plane, root } = await estate();
    const password = 'canary-walnut-umbrella-7';
    await root('POST', '/api/v1/users', { username: 'x', role: 'operator', password });
    const { token } = (await root('POST', '/api/v1/tokens', { name: 't', scopes: null, expiresInDays: 1 })).json<{
      token: string;
    }>();
    const reset = (await root('POST', '/api/v1/users/x/reset-password')).json<{ password: string }>();
    const text = JSON.stringify([plane.audit.entries, plane.logged]);
    for (const secret of [password, token, reset.password]) expect(text).not.toContain(secret);
  });
});

describe('names of the originals', () => {
  test('reg-M-259: a job in the words of kaf-mirror becomes a mirror, and what has no meaning is refused by name', async () => {
    const { root } = await estate();
    const original = {
      name: 'k',
      source_cluster_name: 'east',
      target_cluster_name: 'west',
      preserve_partitions: true,
      topic_mappings: [
        { source_topic_pattern: 'orders.v1', target_topic_pattern: 'orders.v1', enabled: true },
        { source_topic_pattern: 'orders-(.*)', target_topic_pattern: 'backup-$1', enabled: true },
        { source_topic_pattern: 'off', target_topic_pattern: 'off', enabled: false },
      ],
    };
    expect((await root('POST', '/api/v1/jobs', original)).json()).toMatchObject({
      source: 'east',
      spec: {
        topics: [
          { match: 'orders.v1', to: 'orders.v1' },
          { match: '/^(?:orders-(.*))$/', to: 'backup-$1' },
        ],
      },
    });
    for (const field of ['batch_size', 'parallelism', 'compression'])
      expect((await root('POST', '/api/v1/jobs', { ...original, name: 'l', [field]: 1 })).body).toContain(field);
  });
});

describe('jobs', () => {
  test('reg-M-073: every field of a job can be changed, and one that runs restarts with it', async () => {
    const { plane, root } = await estate();
    await root('POST', '/api/v1/jobs/a/start');
    const before = await plane.store.jobs.getByName('a');
    await root('PUT', '/api/v1/jobs/a', { ...jobOf('a'), timestamps: 'producer' });
    const after = await plane.store.jobs.getByName('a');
    expect(after?.restarts).toBe((before?.restarts ?? 0) + 1);
    expect((await root('GET', '/api/v1/jobs/a')).json()).toMatchObject({ spec: { timestamps: 'producer' } });
  });

  test('a job that is given the text which it has goes on', async () => {
    const { plane, root } = await estate();
    await root('POST', '/api/v1/jobs/a/start');
    const before = await plane.store.jobs.getByName('a');
    const reversed = Object.fromEntries(Object.entries(jobOf('a')).toReversed());
    expect((await root('PUT', '/api/v1/jobs/a', reversed)).statusCode).toBe(200);
    const after = await plane.store.jobs.getByName('a');
    expect(after).toMatchObject({ restarts: before?.restarts, version: 2 });
    expect(JSON.stringify(after?.document)).toBe(JSON.stringify(before?.document));
  });

  test('reg-M-080: start-all leaves alone what is paused, and all say what they did', async () => {
    const { plane, root } = await estate();
    for (const name of ['b', 'c']) await root('POST', '/api/v1/jobs', jobOf(name));
    await root('POST', '/api/v1/jobs/b/pause');
    const started = await root('POST', '/api/v1/jobs/start-all');
    expect(started.json<{ done: string[] }>().done).toHaveLength(2);
    const wanted = async () => {
      const { items } = await plane.store.jobs.list({ limit: 10 });
      return Object.fromEntries(items.map(({ name, desired }) => [name, desired]));
    };
    expect(await wanted()).toEqual({ a: 'started', b: 'paused', c: 'started' });
    await root('POST', '/api/v1/jobs/stop-all');
    expect(await wanted()).toEqual({ a: 'stopped', b: 'stopped', c: 'stopped' });
  });

  test('reg-M-005b: a job that does not end is not deleted', async () => {
    const { plane, root } = await estate();
    plane.runner.isStuck = true;
    expect((await root('DELETE', '/api/v1/jobs/a')).statusCode).toBe(503);
    expect((await root('GET', '/api/v1/jobs/a')).statusCode).toBe(200);
    plane.runner.isStuck = false;
    expect((await root('DELETE', '/api/v1/jobs/a')).statusCode).toBe(204);
    expect((await root('GET', '/api/v1/jobs/a')).statusCode).toBe(404);
  });

  test('reg-M-021b: lag and gaps are those of the runner, and what is not known is not zero', async () => {
    const { plane, root } = await estate();
    const id = (await root('GET', '/api/v1/jobs/a')).json<{ id: string }>().id;
    expect((await root('GET', '/api/v1/jobs/a/lag')).json()).toMatchObject({ lagRecords: null, partitions: [] });
    const status = playedStatus({ incident: playedIncident(), state: 'stopped' });
    plane.runner.play(id, { state: 'running', failedReason: null, status, since: 5 });
    expect((await root('GET', `/api/v1/jobs/${id}/lag`)).json()).toMatchObject({ lagRecords: 10, unknown: 0 });
    expect((await root('GET', '/api/v1/jobs/a/mirror/gaps')).json()).toMatchObject([
      { gapStartOffset: 90, gapEndOffset: 95, gapSize: 5 },
    ]);
    expect((await root('GET', '/api/v1/jobs/a/mirror/progress')).json()).toMatchObject([
      { status: 'error', replicationLag: 10 },
    ]);
    const unknown = playedStatus({ lagRecords: null });
    plane.runner.play(id, { state: 'running', failedReason: null, status: unknown, since: 5 });
    expect((await root('GET', '/api/v1/jobs/a/lag')).json()).toMatchObject({ lagRecords: null, unknown: 1 });
    expect((await root('GET', '/api/v1/jobs/a')).json()).toMatchObject({ lagRecords: null });
  });
});

describe('clusters', () => {
  test('reg-M-069: one that a job uses stays, and one that was taken out of use comes back or is purged', async () => {
    const { plane, root } = await estate();
    await root('POST', '/api/v1/clusters', clusterOf('old'));
    await root('POST', '/api/v1/jobs/a/start');
    expect((await root('DELETE', '/api/v1/clusters/east')).statusCode).toBe(409);
    expect((await root('DELETE', '/api/v1/clusters/old')).json()).toMatchObject({ status: 'inactive' });
    expect((await root('POST', '/api/v1/clusters/old/restore')).json()).toMatchObject({ status: 'active' });
    await root('DELETE', '/api/v1/clusters/old');
    expect((await root('DELETE', '/api/v1/clusters/purge')).json()).toEqual({ purged: [] });
    await plane.clock.advance(1);
    await plane.store.clusters.archive(plane.clock.now());
    expect((await (await plane.as('root'))('DELETE', '/api/v1/clusters/purge')).json()).toEqual({ purged: ['old'] });
  });

  test('presets of providers fill in what a cluster leaves out, and refuse what their owner does not take', async () => {
    const plane = await playControlPlane();
    const root = await plane.as('root', 'admin');
    const listed = (await root('GET', '/api/v1/providers')).json<{ name: string; defaults: object }[]>();
    expect(listed.map(({ name }) => name)).toEqual(['plain', 'confluent', 'redpanda', 'azure', 'msk']);
    expect(listed[3]?.defaults).toEqual({ protocol: 'SASL_SSL', mechanism: 'PLAIN', username: '$ConnectionString' });
    const azure = { name: 'hub', bootstrap: ['hub:9093'], provider: 'azure', security: { password: { store: 'hub' } } };
    expect((await root('POST', '/api/v1/clusters', azure)).statusCode).toBe(201);
    expect((await root('POST', '/api/v1/clusters/test', azure)).json()).toMatchObject({ isReachable: true });
    const msk = {
      ...azure,
      name: 'msk',
      provider: 'msk',
      security: { ...azure.security, mechanism: 'PLAIN', username: 'u' },
    };
    expect((await root('POST', '/api/v1/clusters', msk)).json()).toMatchObject({
      problems: [{ path: 'security.mechanism', message: 'must be SCRAM-SHA-512 with provider msk' }],
    });
  });

  test('reg-secrets-in-clusters-response reg-M-060 reg-M-062: a secret is named, never sent or taken', async () => {
    const { root } = await estate();
    const security = { protocol: 'SASL_SSL', mechanism: 'PLAIN', username: 'u', password: { env: 'KAFKA_EAST' } };
    const made = await root('POST', '/api/v1/clusters', { ...clusterOf('sec'), security });
    expect(made.json()).toMatchObject({ spec: { security: { password: { env: 'KAFKA_EAST' } } } });
    const inClear = await root('POST', '/api/v1/clusters', { ...clusterOf('sec2'), api_key: 'k', api_secret: 's' });
    expect(inClear.statusCode).toBe(400);
  });

  test('topics come in pages that continue where the last one ended', async () => {
    const { plane, root } = await estate();
    const topics = ['c', 'a', 'b', 'd'].map((name) => ({
      name,
      topicId: null,
      isInternal: false,
      partitions: [],
      configs: null,
    }));
    plane.clusters.topicsByCluster = { east: topics };
    const read = async (query: string) =>
      (await root('GET', `/api/v1/clusters/east/topics?${query}`)).json<{
        items: string[];
        next: string | null;
        total: number | null;
      }>();
    const first = await read('limit=3&total=true');
    expect(first).toMatchObject({ items: ['a', 'b', 'c'], total: 4 });
    expect(await read(`limit=3&cursor=${first.next}`)).toMatchObject({ items: ['d'], next: null });
    expect(await read('sort=-name&limit=1')).toMatchObject({ items: ['d'] });
    expect(await read('search=b')).toMatchObject({ items: ['b'] });
    expect((await root('GET', `/api/v1/clusters/east/topics?sort=-name&cursor=${first.next}`)).statusCode).toBe(400);
  });
});
