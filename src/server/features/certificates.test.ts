import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { Pki } from '#testing/pki.ts';
import { playControlPlane } from '#testing/played-control-plane.ts';
import { temporaryDirectory } from '#testing/supervisor.ts';
import { ConfigurationKeeper } from '../configuration-keeper.ts';
import { certificateWatch } from './certificate-watch.ts';

const DAY_MS = 24 * 3_600_000;

test('acc-M-270: certificates are registered with their ends, and people are told at each step, once', async () => {
  const pki = new Pki(join(temporaryDirectory('register'), 'ca'));
  const plane = await playControlPlane({
    given: {
      file: new Map([
        ['server.tls.certFile', 'server.pem'],
        ['server.tls.keyFile', 'key.pem'],
      ]),
    },
  });
  const now = plane.clock.now();
  const pem = (commonName: string, days: number) =>
    readFileSync(
      pki.issue({ commonName, notBefore: new Date(now - DAY_MS), notAfter: new Date(now + days * DAY_MS) })
        .certificateFile,
      'utf8',
    );
  plane.certificates.set('{"file":"server.pem"}', pem('server', 31));
  plane.certificates.set('{"file":"/run/secrets/ca.pem"}', pem('authority', 400));
  const root = await plane.as('root', 'admin');
  const cluster = { bootstrap: ['b:1'], security: { protocol: 'SSL', ca: { file: '/run/secrets/ca.pem' } } };
  await root('POST', '/api/v1/clusters', { ...cluster, name: 'east' });
  await root('POST', '/api/v1/clusters', {
    ...cluster,
    name: 'west',
    security: { protocol: 'SSL', ca: { file: '/run/secrets/gone.pem' } },
  });
  expect((await root('GET', '/api/v1/certificates')).json()).toMatchObject([
    { use: 'cluster-authority', of: 'west', level: 'unknown', trouble: { code: 'SECRET_UNAVAILABLE' } },
    { use: 'server', of: null, level: 'ok', daysLeft: 31 },
    { use: 'cluster-authority', of: 'east', level: 'ok', daysLeft: 400 },
  ]);
  await plane.server.close(); // what it does by itself is called here instead
  const configuration = await ConfigurationKeeper.open(plane.ports);
  configuration.close();
  const watch = certificateWatch({ ports: plane.ports, configuration });
  const told: string[] = [];
  for (let day = 0; day <= 32; day++) {
    await watch.run();
    await watch.run();
    const { items } = await plane.store.events.list({ limit: 100 });
    told.push(...items.slice(told.length).map(({ message, level }) => `${day} ${level} ${message.includes('west')}`));
    await plane.clock.advance(DAY_MS);
  }
  expect(told).toEqual(['0 error true', '1 info false', '17 warning false', '24 error false', '31 error false']);
  expect(plane.logged.map(({ message }) => message).at(-1)).toMatch(
    /^The certificate \(server, CN=server\) ended on 2023-/,
  );
});

test('a role sees the certificates of what it may see, and notices are for those who may read events', async () => {
  const plane = await playControlPlane();
  const root = await plane.as('root', 'admin');
  for (const name of ['east', 'west'])
    await root('POST', '/api/v1/clusters', {
      name,
      bootstrap: ['b:1'],
      security: { protocol: 'SSL', ca: { file: `/run/secrets/${name}.pem` } },
    });
  const grants = [{ permission: 'clusters:view', resource: { kind: 'cluster', name: 'east' } as const }];
  await plane.store.roles.create({ name: 'narrow', description: '', grants });
  const narrow = await plane.as('nina', 'narrow');
  expect((await narrow('GET', '/api/v1/certificates')).json()).toMatchObject([{ of: 'east' }]);
  expect((await narrow('GET', '/api/v1/notices')).statusCode).toBe(403);
  const event = { at: 1, level: 'info', jobId: null, topic: null, actor: null, message: 'm', data: {} } as const;
  await plane.store.events.add([
    { ...event, type: 'certificate.ends', cluster: 'east' },
    { ...event, type: 'other', cluster: null },
  ]);
  expect((await root('GET', '/api/v1/notices?cluster=east&total=true')).json()).toMatchObject({
    items: [{ type: 'certificate.ends', message: 'm' }],
    total: 1,
  });
});
