/** The server over TLS: what it speaks, and whom a client certificate makes somebody. */
import { readFileSync } from 'node:fs';
import { request } from 'node:https';
import type { AddressInfo } from 'node:net';
import { join } from 'node:path';
import { text } from 'node:stream/consumers';
import { connect, type ConnectionOptions } from 'node:tls';
import { expect, onTestFinished, test } from 'vitest';
import { Pki, type Certificate } from '#testing/pki.ts';
import { playControlPlane } from '#testing/played-control-plane.ts';
import { temporaryDirectory } from '#testing/supervisor.ts';

const read = (path: string): string => readFileSync(path, 'utf8');

async function listening() {
  const pki = new Pki(join(temporaryDirectory('tls'), 'ca'));
  const { certificateFile, keyFile } = pki.issue({ commonName: 'server' });
  const tls = { certificate: read(certificateFile), key: read(keyFile), clientAuthorities: read(pki.caFile) };
  const plane = await playControlPlane({ settings: { tls } });
  await plane.http.listen({ host: '127.0.0.1', port: 0 });
  onTestFinished(() => plane.server.close());
  const { port } = plane.http.server.address() as AddressInfo;
  return { pki, plane, port, ca: read(pki.caFile) };
}

/** What was agreed on; null where nothing was. */
function handshake(options: ConnectionOptions): Promise<string | null> {
  return new Promise((resolve) => {
    const socket = connect({ host: '127.0.0.1', servername: 'localhost', ...options }, () => {
      resolve(`${socket.getProtocol()} ${socket.getCipher().name}`);
      socket.destroy();
    });
    socket.on('error', () => resolve(null));
  });
}

test('speaks 1.2 with authenticated encryption and 1.3, and nothing older', async () => {
  const { port, ca } = await listening();
  const speak = (options: ConnectionOptions) => handshake({ port, ca, ...options });
  expect(await speak({})).toMatch(/^TLSv1\.3 TLS_AES_256_GCM_SHA384$/);
  expect(await speak({ maxVersion: 'TLSv1.2' })).toMatch(/^TLSv1\.2 ECDHE-\w+-(?:AES\d+-GCM|CHACHA20)/);
  const old = { minVersion: 'TLSv1', ciphers: 'DEFAULT:@SECLEVEL=0' } as const;
  expect(await speak({ ...old, maxVersion: 'TLSv1.1' })).toBeNull();
  for (const ciphers of ['ECDHE-RSA-AES256-SHA384', 'AES256-GCM-SHA384', 'ECDHE-ECDSA-AES128-SHA'])
    expect(await speak({ maxVersion: 'TLSv1.2', ciphers }), ciphers).toBeNull();
});

test('reg-M-135: a certificate of another authority is nobody, one of ours is who it was given to', async () => {
  const { pki, plane, port, ca } = await listening();
  const root = await plane.as('root', 'admin');
  await plane.as('worker', 'monitoring');
  const subject = 'DNS:worker-1.lockstep.test';
  const given = await root('POST', '/api/v1/users/worker/certificates', { subject });
  expect(given.statusCode, given.body).toBe(201);
  const ask = (shown: Certificate | null): Promise<{ status: number | undefined; body: string }> =>
    new Promise((resolve, reject) => {
      const own = shown === null ? {} : { cert: read(shown.certificateFile), key: read(shown.keyFile) };
      const asking = request(
        { host: '127.0.0.1', servername: 'localhost', port, path: '/auth/me', ca, agent: false, ...own },
        (answer) => void text(answer).then((body) => resolve({ status: answer.statusCode, body }), reject),
      );
      asking.on('error', reject);
      asking.end();
    });
  const hosts = ['worker-1.lockstep.test'];
  const known = await ask(pki.issue({ commonName: 'worker', hosts }));
  expect(known.status, known.body).toBe(200);
  expect(JSON.parse(known.body)).toMatchObject({ username: 'worker', roles: ['monitoring'] });
  const stranger = new Pki(join(temporaryDirectory('tls'), 'stranger')).issue({ commonName: 'worker', hosts });
  const past = pki.issue({ commonName: 'worker', hosts, notBefore: new Date(0), notAfter: new Date(1e11) });
  for (const shown of [null, stranger, past, pki.issue({ commonName: 'worker', hosts: ['worker-2.lockstep.test'] })])
    expect((await ask(shown)).status).toBe(401);
});
