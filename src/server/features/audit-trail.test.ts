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
