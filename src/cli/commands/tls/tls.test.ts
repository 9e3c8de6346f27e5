import { expect, test } from 'vitest';
import { MemoryDisk, runLine } from '#testing/command-line.ts';
import { systemClock } from '#util/host.ts';
import { checkAuthority, checkCertificate, inspectTls, makeCertificates } from '../../../main.ts';

const app = { makeCertificates, checkCertificate, checkAuthority, inspectTls };
const host = { clock: systemClock };

const run = (line: string, disk: MemoryDisk, more = {}) =>
  runLine(line.split(' '), { disk, app, host: { ...host, ...more } });

test('certificates are made, put into the file, and shown by clients', async () => {
  const disk = new MemoryDisk();
  const made = await run('tls generate-certs --dir certs --host a.example --host 10.0.0.1', disk);
  expect(made.err).toBe('');
  expect(made.out).toContain('wrote certs/server-key.pem\n');
  expect((await run('tls generate-certs --dir certs', disk)).err).toContain('certs/server.pem is there already');
  const cert = '--cert certs/server.pem --key certs/server-key.pem --ca certs/ca.pem --client-ca certs/ca.pem';
  const imported = await run(`tls import-cert ${cert}`, disk);
  expect([imported.code, imported.err]).toEqual([0, '']);
  expect(disk.files.get('lockstep.yaml')).toBe(
    'server:\n  tls:\n    certFile: certs/server.pem\n    keyFile: certs/server-key.pem\n    clientCaFile: certs/ca.pem\n',
  );
  const client = await run('tls configure-client --dir certs --url https://a.example:8080', disk);
  expect([client.code, client.err]).toEqual([0, '']);
  expect(disk.files.get('lockstep.yaml')).toContain('client:\n  url: https://a.example:8080\n');
});

test('what does not fit is refused with reasons, and nothing is written', async () => {
  const disk = new MemoryDisk();
  await run('tls generate-certs --dir certs --host a.example', disk);
  const wrong = await run('tls import-cert --cert certs/client.pem --key certs/server-key.pem', disk);
  expect(wrong.code).toBe(5);
  expect(wrong.err).toContain('the key is not that of the certificate\n');
  expect(wrong.err).toMatch(/nothing was changed\n$/);
  const open = await run('tls configure-client --dir certs --url http://a.example', disk);
  expect([open.code, open.err]).toEqual([5, expect.stringContaining('must begin with https://')]);
  expect(disk.files.has('lockstep.yaml')).toBe(false);
  expect((await run('tls import-cert --cert certs/server.pem', disk)).code).toBe(2);
  expect((await run('tls generate-certs --dir other --days 0', disk)).code).toBe(2);
});

test('verify shows what a server shows, and tells by its exit code whether it is believed', async () => {
  const disk = new MemoryDisk();
  await run('tls generate-certs --dir certs --host a.example', disk);
  const shown = { protocol: 'TLSv1.3', cipher: 'TLS_AES_256_GCM_SHA384', chain: [disk.readText('certs/server.pem')] };
  const asked: unknown[] = [];
  const answering = (problem: string | null) => ({
    probeTls: (options: unknown) => {
      asked.push(options);
      return Promise.resolve({ ...shown, problem });
    },
  });
  const good = await run('tls verify https://a.example --ca certs/ca.pem', disk, answering(null));
  expect(good.code).toBe(0);
  expect(good.out).toContain('a.example  TLSv1.3  TLS_AES_256_GCM_SHA384\n');
  expect(good.out).toMatch(/believed\n$/);
  expect(asked[0]).toMatchObject({ host: 'a.example', port: 443, serverName: 'a.example', identity: null });
  const bad = await run(
    'tls verify [::1]:9093 --server-name a.example',
    disk,
    answering('self-signed \u001b[31mcertificate'),
  );
  expect([bad.code, bad.out]).toEqual([
    5,
    expect.stringContaining('not believed: self-signed \\u{1b}[31mcertificate\n'),
  ]);
  expect(asked[1]).toMatchObject({ host: '::1', port: 9093, serverName: 'a.example' });
  expect((await run('tls verify a:1 --insecure', disk, answering('x'))).code).toBe(0);
  const silent = { probeTls: () => Promise.reject(new Error('connect ECONNREFUSED')) };
  const none = await run('tls verify a.example:9093', disk, silent);
  expect([none.code, none.err]).toEqual([
    1,
    expect.stringContaining('CLUSTER_TLS_FAILED: No encrypted connection to a.example:9093'),
  ]);
  expect((await run('tls verify a/b', disk)).code).toBe(2);
});
