import type { LightMyRequestResponse } from 'fastify';
import { expect, test } from 'vitest';
import { PASSWORD, playControlPlane, playedStatus, type ControlPlane } from '#testing/played-control-plane.ts';
import { settle } from '#testing/manual-clock.ts';

async function estate(): Promise<ControlPlane> {
  const plane = await playControlPlane();
  await plane.as('root', 'admin');
  for (const name of ['east', 'west']) {
    const document = {
      apiVersion: 'lockstep/v1',
      kind: 'Cluster',
      metadata: { name },
      spec: { bootstrap: ['b:9092'] },
    };
    await plane.store.clusters.create({ name, document });
  }
  for (const name of ['seen', 'hidden']) {
    const spec = { source: 'east', target: 'west', topics: [{ match: 'orders' }] };
    const document = { apiVersion: 'lockstep/v1', kind: 'Mirror', metadata: { name }, spec };
    await plane.store.jobs.create({
      name,
      kind: 'Mirror',
      source: 'east',
      target: 'west',
      document,
      desired: 'stopped',
    });
  }
  const grants = [{ permission: 'jobs:view', resource: { kind: 'job', name: 'seen' } }] as const;
  await plane.store.roles.create({ name: 'narrow', description: '', grants });
  return plane;
}

async function tokenOf(plane: ControlPlane, username: string): Promise<string> {
  const payload = { username, password: PASSWORD };
  return (await plane.http.inject({ method: 'POST', url: '/auth/token', payload })).json<{ token: string }>().token;
}

/** What a stream has sent so far, and whether it was ended. */
async function listen(plane: ControlPlane, username: string, role = username) {
  await plane.as(username, role);
  const headers = { authorization: `Bearer ${await tokenOf(plane, username)}` };
  const answer = (await plane.http.inject({
    url: '/api/v1/stream',
    headers,
    payloadAsStream: true,
  })) as LightMyRequestResponse;
  const heard = {
    text: '',
    isEnded: false,
    names: () => [...heard.text.matchAll(/"name":"(\w+)"/g)].map((match) => match[1]),
  };
  const stream = answer.stream();
  stream.on('data', (chunk: Buffer) => (heard.text += chunk.toString()));
  stream.on('end', () => (heard.isEnded = true));
  await until(() => heard.text !== '');
  return { heard, stream, answer };
}

async function until(isSo: () => boolean): Promise<void> {
  for (let turns = 0; turns < 200 && !isSo(); turns++) await settle();
  expect(isSo()).toBe(true);
}

const change = async (plane: ControlPlane, name: string) => {
  const job = await plane.store.jobs.getByName(name);
  plane.runner.play(job?.id ?? '', { state: 'running', failedReason: null, status: playedStatus(), since: 1 });
  await plane.clock.advance(500);
};

test('a stream begins with the whole state and goes on with what changes, as far as its reader may see', async () => {
  const plane = await estate();
  const { heard, answer } = await listen(plane, 'ann', 'narrow');
  expect(answer.headers['content-type']).toContain('text/event-stream');
  await until(() => heard.names().length === 1);
  expect(heard.text.startsWith('event: reset\n')).toBe(true);
  await change(plane, 'hidden');
  await change(plane, 'seen');
  await until(() => heard.text.includes('event: progress'));
  expect(new Set(heard.names())).toEqual(new Set(['seen']));
  await plane.server.close();
  await until(() => heard.isEnded);
});

test('a deleted job is told to those who could see it', async () => {
  const plane = await estate();
  const all = await listen(plane, 'root', 'admin');
  const narrow = await listen(plane, 'ann', 'narrow');
  await until(() => all.heard.names().length === 2 && narrow.heard.names().length === 1);
  const root = await plane.as('root');
  await root('DELETE', '/api/v1/jobs/hidden');
  await plane.clock.advance(500);
  await until(() => all.heard.text.includes('job-deleted'));
  expect(narrow.heard.text).not.toContain('job-deleted');
  await plane.server.close();
});

test.each([
  [
    'a role is taken away',
    async (plane: ControlPlane, id: string) =>
      void (await plane.store.users.setRoles(id, ['compliance'], { ifVersion: null })),
  ],
  [
    'the user is disabled',
    async (plane: ControlPlane, id: string) =>
      void (await plane.store.users.setDisabled(id, true, { ifVersion: null })),
  ],
  [
    'the session is ended',
    async (plane: ControlPlane, id: string) => void (await plane.store.sessions.endAll(id, null)),
  ],
])('reg-M-052c reg-M-224: a stream ends within a second when %s', async (_what, end) => {
  const plane = await estate();
  const { heard } = await listen(plane, 'ann', 'narrow');
  await plane.clock.advance(500);
  expect(heard.isEnded).toBe(false);
  await end(plane, (await plane.store.users.getByName('ann'))?.id ?? '');
  await plane.clock.advance(1_000);
  await until(() => heard.isEnded);
});

test('what a role no longer covers is not sent a second later, while the stream goes on', async () => {
  const plane = await estate();
  const root = await plane.as('root');
  const made = await root('POST', '/api/v1/tokens', { name: 't', scopes: ['jobs:view'], expiresInDays: 1 });
  expect(made.statusCode).toBe(201);
  const { heard } = await listen(plane, 'ann', 'narrow');
  await until(() => heard.names().length === 1);
  const grants = [{ permission: 'jobs:view', resource: { kind: 'job', name: 'hidden' } }] as const;
  await plane.store.roles.replace({ name: 'narrow', description: '', grants }, { ifVersion: null });
  await plane.clock.advance(1_000);
  await change(plane, 'seen');
  expect(heard.text).not.toContain('event: progress');
});

test('a reader that does not read is cut off, and what it was to be sent has a bound', async () => {
  const plane = await estate();
  const { stream, heard } = await listen(plane, 'root', 'admin');
  stream.pause();
  const topics = Array.from({ length: 500 }, (_, partition) => ({ ...must(playedStatus().shards[0]), partition }));
  const job = await plane.store.jobs.getByName('seen');
  const status = { ...playedStatus(), shards: topics };
  let isClosed = false;
  stream.on('close', () => (isClosed = true));
  for (let beat = 0; beat < 60 && !isClosed; beat++) {
    plane.runner.play(job?.id ?? '', { state: 'running', failedReason: null, status, since: 1 });
    await plane.clock.advance(500);
  }
  const sent = heard.text.length;
  stream.resume();
  await until(() => stream.readableEnded || isClosed);
  expect(heard.text.length - sent).toBeLessThan(4 * 1024 * 1024);
});

function must<T>(value: T | undefined): T {
  if (value === undefined) throw new Error('missing');
  return value;
}

test('reg-M-052a reg-M-052b: a WebSocket takes a ticket once, and tokens in its address never', async () => {
  const plane = await estate();
  const root = await plane.as('root');
  const { ticket } = (await root('POST', '/api/v1/stream/tickets')).json<{ ticket: string }>();
  await plane.http.listen({ host: '127.0.0.1', port: 0 });
  const { port } = plane.http.addresses()[0] as { port: number };
  const open = async (query: string): Promise<string> => {
    const socket = new WebSocket(`ws://127.0.0.1:${port}/ws?${query}`);
    const first = await new Promise<string>((resolve) => {
      socket.addEventListener('message', ({ data }) => resolve(String(data)));
      socket.addEventListener('close', ({ code }) => resolve(`closed ${code}`));
    });
    socket.close();
    return first;
  };
  expect(JSON.parse(await open(`ticket=${ticket}`))).toMatchObject({ type: 'reset' });
  expect(await open(`ticket=${ticket}`)).toBe('closed 1008');
  expect(await open(`ticket=${await tokenOf(plane, 'root')}`)).toBe('closed 1008');
  const foreign = await plane.http.inject({ url: '/ws?ticket=x', headers: { origin: 'https://evil.test' } });
  expect(foreign.json()).toMatchObject({ code: 'REQUEST_FORGED' });
  await plane.server.close();
});
