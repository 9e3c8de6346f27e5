import { statSync } from 'node:fs';
import type { AddressInfo } from 'node:net';
import { join } from 'node:path';
import { createServer, type TlsOptions as ServerOptions } from 'node:tls';
import { beforeAll, describe, expect, onTestFinished, test } from 'vitest';
import { MemoryDisk } from '#testing/command-line.ts';
import { temporaryDirectory } from '#testing/supervisor.ts';
import { systemClock, systemHost, systemProbeTls } from '#util/host.ts';
import { factsOf, parseCertificates, problemsOf } from './certificate-facts.ts';
import { makeCertificateFiles } from './certificate-files.ts';
import { expiryOf } from './expiry.ts';
import { inspectServer } from './inspect-server.ts';

const DAY_MS = 86_400_000;
const disk = new MemoryDisk();
const text = (name: string): string => disk.readText(`certs/${name}`);
const request = {
  directory: 'certs',
  hosts: ['lockstep.example', '127.0.0.1', '::1'],
  organisation: 'Bank, O=Evil',
  days: 90,
};

beforeAll(async () => {
  await makeCertificateFiles({ disk, clock: systemClock }, request);
});

const now = (): number => systemClock.now();
const serverPair = () => ({ certificate: text('server.pem'), key: text('server-key.pem'), ca: text('ca.pem') });
const clientPair = () => ({ certificate: text('client.pem'), key: text('client-key.pem'), ca: text('ca.pem') });

describe('certificates that are made', () => {
  test('fit together, each for its purpose', () => {
    expect(problemsOf(serverPair(), { purpose: 'server', now: now() })).toEqual([]);
    expect(problemsOf(clientPair(), { purpose: 'client', now: now() })).toEqual([]);
    expect(problemsOf(clientPair(), { purpose: 'server', now: now() })).toEqual([
      'the certificate is not one for servers (extendedKeyUsage)',
      'the certificate names no host (subjectAltName); nobody would believe it',
    ]);
  });

  test('reg-M-175 reg-M-270: name the hosts, and nothing in a name becomes another attribute', () => {
    const [server] = (parseCertificates(text('server.pem')) ?? []).map(factsOf);
    expect(server?.hosts).toEqual(['lockstep.example', '127.0.0.1', '0:0:0:0:0:0:0:1']);
    expect(server?.subject).toBe('CN=lockstep.example, O=Bank\\, O=Evil');
    const [authority] = (parseCertificates(text('ca.pem')) ?? []).map(factsOf);
    expect(authority?.isAuthority).toBe(true);
  });

  test('keys are for their owner alone, on a disk too', async () => {
    expect([...disk.secrets].toSorted()).toEqual(['certs/ca-key.pem', 'certs/client-key.pem', 'certs/server-key.pem']);
    const directory = join(temporaryDirectory('certificates'), 'certs');
    await makeCertificateFiles(systemHost, { ...request, directory });
    expect(statSync(join(directory, 'server-key.pem')).mode & 0o777).toBe(0o600);
  });

  test('replace nothing; the authority that is there signs the next ones', async () => {
    await expect(makeCertificateFiles({ disk, clock: systemClock }, request)).rejects.toThrow('is there already');
    const renewed = new MemoryDisk({ 'certs/ca.pem': text('ca.pem'), 'certs/ca-key.pem': text('ca-key.pem') });
    const made = await makeCertificateFiles({ disk: renewed, clock: systemClock }, request);
    expect(made.isAuthorityKept).toBe(true);
    const pair = { certificate: renewed.readText('certs/server.pem'), key: renewed.readText('certs/server-key.pem') };
    expect(problemsOf({ ...pair, ca: text('ca.pem') }, { purpose: 'server', now: now() })).toEqual([]);
  });

  test('are not made with half an authority, or for names that are none', async () => {
    const half = new MemoryDisk({ 'certs/ca.pem': text('ca.pem') });
    await expect(makeCertificateFiles({ disk: half, clock: systemClock }, request)).rejects.toThrow('ca.pem is there');
    for (const hosts of [[], ['a b'], ['x\n'], ['$(id)']])
      await expect(
        makeCertificateFiles({ disk: new MemoryDisk(), clock: systemClock }, { ...request, hosts }),
      ).rejects.toThrow('is no host name');
  });
});

describe('a pair', () => {
  test.each([
    [
      'a key of another',
      () => ({ ...serverPair(), key: text('client-key.pem') }),
      'the key is not that of the certificate',
    ],
    ['no key', () => ({ ...serverPair(), key: 'x' }), 'the key file holds no private key in PEM'],
    [
      'no certificate',
      () => ({ ...serverPair(), certificate: 'x' }),
      'the certificate file holds no certificate in PEM',
    ],
    ['no authority', () => ({ ...serverPair(), ca: 'x' }), 'the authority file holds no certificate in PEM'],
    ['another authority', () => ({ ...serverPair(), ca: text('client.pem') }), 'not signed by the authority'],
    [
      'a chain in disorder',
      () => ({ ...serverPair(), certificate: `${text('server.pem')}${text('client.pem')}`, ca: null }),
      'the certificate 1 of the chain is not signed by the one behind it',
    ],
  ])('with %s is refused', (_, pair, problem) => {
    expect(problemsOf(pair(), { purpose: 'server', now: now() }).join('\n')).toContain(problem);
  });

  test('is refused before and after its time', () => {
    expect(problemsOf(serverPair(), { purpose: 'server', now: now() - DAY_MS })[0]).toContain('holds only from');
    expect(problemsOf(serverPair(), { purpose: 'server', now: now() + 91 * DAY_MS })[0]).toContain('ended on');
    expect(problemsOf(serverPair(), { purpose: 'server', now: now() + 3651 * DAY_MS }).at(-1)).toContain(
      'the authority ended',
    );
  });
});

test.each([
  [0, 'ok', 89],
  [61, 'warning', 28],
  [84, 'failed', 5],
  [100, 'failed', -11],
])('%i days on, the end is judged %s', (days, verdict, left) => {
  expect(expiryOf(text('server.pem'), now() + days * DAY_MS)).toMatchObject({ verdict, days: left });
});

test('of several certificates the first to end counts', () => {
  expect(expiryOf(`${text('ca.pem')}${text('server.pem')}`, now())?.days).toBe(89);
  expect(expiryOf('nothing', now())).toBeNull();
});

async function serve(options: ServerOptions): Promise<{ host: string; port: number }> {
  const server = createServer(options, (socket) => socket.on('error', () => {}));
  server.on('tlsClientError', () => {});
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  onTestFinished(() => void server.close());
  return { host: '127.0.0.1', port: (server.address() as AddressInfo).port };
}

describe('a server that is looked at', () => {
  const own = () => ({ cert: text('server.pem'), key: text('server-key.pem') });
  const inspect = (address: { host: string; port: number }, more = {}) =>
    inspectServer(
      { probeTls: systemProbeTls, clock: systemClock },
      { ...address, serverName: 'lockstep.example', ca: text('ca.pem'), identity: null, ...more },
    );

  test('is believed by its authority and its name', async () => {
    const shown = await inspect(await serve(own()));
    expect(shown).toMatchObject({ protocol: 'TLSv1.3', problem: null, expiry: { verdict: 'ok', days: 89 } });
    expect(shown.chain[0]?.subject).toContain('lockstep.example');
  });

  test('is not believed without its authority, or under another name', async () => {
    const address = await serve(own());
    expect((await inspect(address, { ca: null })).problem).toMatch(
      /UNABLE_TO_VERIFY|SELF_SIGNED|unable to|self-signed/i,
    );
    expect((await inspect(address, { serverName: 'other.example' })).problem).toMatch(/ALTNAME|altnames/i);
  });

  test('that does not speak TLS is an error', async () => {
    const { createServer: createPlain } = await import('node:net');
    const server = createPlain((socket) => socket.on('error', () => {}).end('HTTP/1.1 400 Bad Request\r\n\r\n'));
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    onTestFinished(() => void server.close());
    await expect(inspect({ host: '127.0.0.1', port: (server.address() as AddressInfo).port })).rejects.toThrow(
      /SSL routines|EPROTO|wrong version/,
    );
  });
});
