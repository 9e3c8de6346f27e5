/** Defects of kaf-mirror that no other test is named for. */
import { expect, test } from 'vitest';
import { AppError } from '#contract/errors.ts';
import {
  PASSWORD,
  playControlPlane,
  playedStatus,
  type Client,
  type ControlPlane,
} from '#testing/played-control-plane.ts';

async function estate(): Promise<{ plane: ControlPlane; root: Client }> {
  const plane = await playControlPlane();
  const root = await plane.as('root', 'admin');
  for (const name of ['east', 'west']) await root('POST', '/api/v1/clusters', { name, bootstrap: [`${name}:9092`] });
  for (const name of ['a', 'b'])
    await root('POST', '/api/v1/jobs', { name, source: 'east', target: 'west', topics: [{ match: 'orders' }] });
  return { plane, root };
}

test('reg-M-050: health names what fails, and a program sees it by the word alone', async () => {
  const { plane, root } = await estate();
  expect((await root('GET', '/health')).json()).toMatchObject({ status: 'ok' });
  plane.audit.isBroken = true;
  expect((await root('GET', '/health')).json()).toMatchObject({
    status: 'degraded',
    checks: [{ name: 'store', status: 'ok' }, { name: 'audit', status: 'failing' }, { name: 'jobs' }],
  });
});

test('reg-M-120 reg-M-121: a token is exchanged for another, and ends at a sign-out', async () => {
  const { plane } = await estate();
  await plane.as('ann', 'operator');
  const signIn = { method: 'POST', url: '/auth/token', payload: { username: 'ann', password: PASSWORD } } as const;
  const { token } = (await plane.http.inject(signIn)).json<{ token: string }>();
  const by = (text: string, method: 'GET' | 'POST' | 'DELETE' = 'GET', url = '/auth/me') =>
    plane.http.inject({ method, url, headers: { authorization: `Bearer ${text}` } });
  const exchanged = (await by(token, 'POST', '/api/v1/auth/reset-token')).json<{ token: string }>();
  expect((await by(token)).statusCode).toBe(401);
  expect((await by(exchanged.token)).statusCode).toBe(200);
  expect((await by(exchanged.token, 'DELETE', '/auth/session')).statusCode).toBe(204);
  expect((await by(exchanged.token)).statusCode).toBe(401);
});

test('reg-M-005f: a job that does not stop holds up no other one', async () => {
  const { plane, root } = await estate();
  const releases: (() => void)[] = [];
  plane.runner.stopped = () => new Promise((resolve) => void releases.push(resolve));
  const deleting = root('DELETE', '/api/v1/jobs/a');
  expect((await root('POST', '/api/v1/jobs/b/start')).statusCode).toBe(202);
  expect((await root('POST', '/api/v1/jobs/b/stop')).statusCode).toBe(202);
  await expect.poll(() => releases.length).toBe(1);
  releases[0]?.();
  expect((await deleting).statusCode).toBe(204);
});

test('reg-M-005a reg-M-084: paused is not stopped, and other mappings restart what runs', async () => {
  const { plane, root } = await estate();
  const job = async () => await plane.store.jobs.getByName('a');
  await root('POST', '/api/v1/jobs/a/pause');
  expect(await job()).toMatchObject({ desired: 'paused' });
  await root('POST', '/api/v1/jobs/a/stop');
  expect(await job()).toMatchObject({ desired: 'stopped' });
  await root('POST', '/api/v1/jobs/a/start');
  const before = (await job())?.restarts ?? 0;
  const changed = await root('PUT', '/api/v1/jobs/a/mappings', { topics: [{ match: 'payments' }] });
  expect(changed.statusCode, changed.body).toBe(200);
  expect(await job()).toMatchObject({ restarts: before + 1, desired: 'started' });
});

test('reg-M-086: a history has as many points as are asked for, however long it is', async () => {
  const { plane, root } = await estate();
  const id = (await plane.store.jobs.getByName('a'))?.id ?? '';
  const since = plane.clock.now();
  for (let beat = 0; beat < 60; beat++) {
    const status = playedStatus({ recordsCopied: beat * 100 });
    plane.runner.play(id, { state: 'running', failedReason: null, status, since });
    await plane.clock.advance(10_000);
  }
  const read = async (points: number) => {
    const answer = await root('GET', `/api/v1/jobs/a/metrics/history?range=2h&points=${points}`);
    const { series } = answer.json<{ series: { metric: string; points: { added: number }[] }[] }>();
    return series.find(({ metric }) => metric === 'records')?.points ?? [];
  };
  const few = await read(5);
  expect(few.length).toBeLessThanOrEqual(5);
  const sum = (points: readonly { added: number }[]) => points.reduce((total, { added }) => total + added, 0);
  expect(sum(few)).toBe(sum(await read(2_000)));
  expect((await root('GET', '/api/v1/jobs/a/metrics/history?points=1000000')).statusCode).toBe(400);
});

test('reg-M-004b reg-M-089: topics and their settings are those of the clusters of the store', async () => {
  const { plane, root } = await estate();
  const topic = (name: string, configs: Record<string, string>) => ({
    name,
    topicId: null,
    isInternal: false,
    partitions: [],
    configs,
  });
  plane.clusters.topicsByCluster = {
    east: [topic('orders', { 'compression.type': 'zstd' })],
    west: [topic('copies', {})],
  };
  const details = await root('GET', '/api/v1/clusters/east/topic-details?topics=orders');
  expect(details.body).toContain('zstd');
  expect((await root('GET', '/api/v1/topics/source')).body).toContain('orders');
  expect((await root('GET', '/api/v1/topics/target')).body).toContain('copies');
});

test('who is signed in reads on while the store takes no writes', async () => {
  const plane = await playControlPlane();
  const root = await plane.as('root', 'admin');
  let touches = 0;
  const touch = () => {
    touches++;
    return Promise.reject(new AppError('STORE_UNAVAILABLE', 'The database is locked by somebody else.'));
  };
  Object.assign(plane.store.sessions, { touch });
  await plane.clock.advance(61_000);
  expect((await root('GET', '/api/v1/jobs')).statusCode).toBe(200);
  expect(touches).toBe(1);
});
