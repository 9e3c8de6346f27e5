import { expect, test } from 'vitest';
import { PASSWORD, playControlPlane } from '#testing/played-control-plane.ts';

interface Page {
  readonly items: readonly { readonly seq: number; readonly action: string; readonly actor: string | null }[];
  readonly next: string | null;
}

test('reg-M-110 reg-M-236: all of the log can be read, page by page, and no secret is in it', async () => {
  const plane = await playControlPlane();
  const root = await plane.as('root', 'admin');
  for (let times = 0; times < 130; times++) await root('POST', '/api/v1/jobs/start-all');
  await root('PUT', '/api/v1/secrets/a', { value: 'canary-41' });
  await root('PUT', '/api/v1/users/change-password', {
    old_password: PASSWORD,
    new_password: 'lantern-goose-mellow-tide',
  });
  const seen: number[] = [];
  let text = '';
  for (let path: string | null = '/api/v1/events?limit=100'; path !== null;) {
    const page = await root('GET', path);
    text += page.body;
    const { items, next } = page.json<Page>();
    seen.push(...items.map(({ seq }) => seq));
    path = next === null ? null : `/api/v1/events?limit=100&cursor=${next}`;
  }
  expect(seen).toEqual(plane.audit.entries.map(({ seq }) => seq).toReversed());
  expect(seen.length).toBeGreaterThan(260);
  for (const secret of ['canary-41', PASSWORD, 'lantern-goose-mellow-tide']) expect(text).not.toContain(secret);
});

test('one entry and its proof, under a checkpoint that can be kept', async () => {
  const plane = await playControlPlane();
  const root = await plane.as('root', 'admin');
  await root('POST', '/api/v1/jobs/start-all');
  const { seq } = plane.audit.entries.find(({ action }) => action === 'job.start-all') ?? { seq: -1 };
  const path = `/api/v1/events/${seq}`;
  expect((await root('GET', path)).json()).toMatchObject({ seq, actor: 'root', phase: 'intent', resource: 'job *' });
  expect((await root('GET', `${path}/proof`)).json()).toMatchObject({ code: 'RESOURCE_NOT_FOUND' });
  expect((await root('GET', '/api/v1/events/checkpoint')).statusCode).toBe(404);
  plane.audit.signedSize = seq + 1;
  const proof = await root('GET', `${path}/proof`);
  expect(proof.body).toBe(`played proof of ${seq}\n`);
  expect(proof.headers['content-type']).toBe('text/plain; charset=utf-8');
  expect((await root('GET', '/api/v1/events/checkpoint')).json()).toMatchObject({ size: seq + 1 });
  expect((await root('GET', '/api/v1/events/999999')).statusCode).toBe(404);
  expect((await root('GET', '/api/v1/events/-1')).statusCode).toBe(400);
});

test('from where somebody asked is shown, and in the log only as a commitment, until it is erased', async () => {
  const plane = await playControlPlane();
  const root = await plane.as('root', 'admin');
  const client = { 'user-agent': 'curl/8.5' };
  await root('POST', '/api/v1/jobs/start-all', undefined, client);
  await root('POST', '/api/v1/jobs/stop-all', undefined, client);
  const [first, second] = plane.audit.entries.filter(
    ({ phase, action }) => phase === 'intent' && action.endsWith('-all'),
  );
  expect(first?.origin).toEqual({
    addressCommitment: expect.stringMatching(/^[0-9a-f]{64}$/),
    userAgentCommitment: expect.stringMatching(/^[0-9a-f]{64}$/),
  });
  expect(second?.origin).toEqual(first?.origin); // of one day
  expect(JSON.stringify(plane.audit.entries)).not.toMatch(/curl|127\.0\.0\.1/);
  const shown = async () => (await root('GET', `/api/v1/events/${first?.seq}`)).json<Record<string, unknown>>();
  expect(await shown()).toMatchObject({ address: '127.0.0.1', userAgent: 'curl/8.5' });
  expect((await root('GET', '/api/v1/events/export?action=job')).body).toContain(',127.0.0.1,curl/8.5');

  expect((await root('POST', '/api/v1/events/personal-data/erase', { value: 'curl/8.5' })).json()).toEqual({
    erased: 1,
  });
  expect(await shown()).toMatchObject({ address: '127.0.0.1', userAgent: null });
  expect(plane.audit.entries.slice(-2)).toMatchObject([
    { action: 'events.erase', phase: 'intent', resource: { type: 'events', id: '*' } },
    { action: 'events.erase', outcome: 'succeeded' },
  ]);
  await root('POST', '/api/v1/jobs/start-all', undefined, client);
  const again = plane.audit.entries.findLast(({ phase, action }) => phase === 'intent' && action.endsWith('-all'));
  expect(again?.origin?.addressCommitment).toBe(first?.origin?.addressCommitment);
  expect(again?.origin?.userAgentCommitment).not.toBe(first?.origin?.userAgentCommitment);
});

test('a store that keeps nothing now costs the entry its origin, and nothing else', async () => {
  const plane = await playControlPlane();
  const root = await plane.as('root', 'admin');
  Object.assign(plane.store.personal, { keep: () => Promise.reject(new Error('full')) });
  expect((await root('POST', '/api/v1/jobs/start-all', undefined, { 'user-agent': 'new' })).statusCode).toBe(202);
  const intent = plane.audit.entries.findLast(({ action }) => action === 'job.start-all');
  expect(intent?.origin?.userAgentCommitment).toBeUndefined();
  expect(plane.logged).toMatchObject([{ message: 'what an entry of the audit log commits to was not kept' }]);
});

test('people are found and shown by name, also those who were deleted; their names are not in the log', async () => {
  const plane = await playControlPlane();
  const root = await plane.as('root', 'admin');
  const ben = await plane.as('ben', 'operator');
  await ben('POST', '/api/v1/jobs/start-all');
  const created = await root('POST', '/api/v1/users', { username: 'eve', role: 'monitoring', kind: 'service' });
  expect(created.statusCode).toBe(201);
  expect((await root('DELETE', '/api/v1/users/ben')).statusCode).toBe(204);
  const items = async (query: string) =>
    (await root('GET', `/api/v1/events?${query}`)).json<{ items: { actor: string; resource: string }[] }>().items;
  expect(await items('actor=ben&action=job')).toMatchObject([{ actor: 'ben' }, { actor: 'ben' }]);
  expect((await items('action=user.delete')).at(-1)).toMatchObject({ actor: 'root', resource: 'user ben' });
  expect((await items('action=user.create')).map(({ resource }) => resource)).toEqual(['user eve', 'user eve']);
  expect(JSON.stringify(plane.audit.entries)).not.toMatch(/"(?:ben|eve|root)"/);
});

test('evidence is a file of its own, audited, and not of more than it can hold', async () => {
  const plane = await playControlPlane();
  const root = await plane.as('root', 'admin');
  await root('POST', '/api/v1/jobs/start-all');
  const path = '/api/v1/events/export/evidence?action=job';
  const evidence = await root('GET', path);
  expect(evidence.headers).toMatchObject({
    'content-type': 'application/zip',
    'content-disposition': 'attachment; filename="evidence.zip"',
  });
  expect(evidence.body).toBe('played bundle of 2\n');
  expect(plane.audit.entries.slice(-2)).toMatchObject([
    { action: 'events.export', phase: 'intent' },
    { action: 'events.export', outcome: 'succeeded' },
  ]);
  plane.audit.bundleMax = 1;
  expect((await root('GET', path)).json()).toMatchObject({ code: 'REQUEST_INVALID' });
});

test('an export as JSON has what a list has, for the same filter', async () => {
  const plane = await playControlPlane();
  const root = await plane.as('root', 'admin');
  await root('POST', '/api/v1/jobs/start-all');
  const listed = (await root('GET', '/api/v1/events?action=job')).json<Page>().items;
  const exported = await root('GET', '/api/v1/events/export/json?action=job');
  expect(exported.headers['content-disposition']).toBe('attachment; filename="audit-log.json"');
  expect(exported.json()).toEqual(listed.toReversed());
  expect((await root('GET', '/api/v1/events/export/json?action=nothing')).json()).toEqual([]);
});
