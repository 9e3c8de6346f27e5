/** The host's own edges: what a token endpoint may not do to us. */
import { readFileSync } from 'node:fs';
import { createServer } from 'node:http';
import type { RequestListener } from 'node:http';
import { createServer as createTlsServer } from 'node:https';
import type { AddressInfo } from 'node:net';
import { join } from 'node:path';
import { expect, onTestFinished, test, vi } from 'vitest';
import { Pki } from '#testing/pki.ts';
import { temporaryDirectory } from '#testing/supervisor.ts';
import { systemDisk, systemNonce, systemWeb } from './host.ts';

async function serve(answer: RequestListener): Promise<string> {
  const server = createServer(answer);
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  onTestFinished(() => {
    server.close();
    server.closeAllConnections();
  });
  return `http://127.0.0.1:${(server.address() as AddressInfo).port}/token`;
}

const post = (url: string, { signal = new AbortController().signal, ca = null as string | null } = {}) =>
  systemWeb.postForm(url, { headers: { authorization: 'Basic x' }, body: 'a=b', ca, signal });

test('a form is posted with its headers, and the answer comes whatever its status', async () => {
  const url = await serve((request, response) => {
    const { method, headers } = request;
    request.on('data', (body: Buffer) => {
      response.writeHead(400);
      response.end(JSON.stringify([method, headers.authorization, headers['content-type'], body.toString()]));
    });
  });
  expect(await post(url)).toEqual({
    status: 400,
    text: '["POST","Basic x","application/x-www-form-urlencoded","a=b"]',
  });
});

test('a redirection is an answer: nothing is sent to where it points', async () => {
  let requests = 0;
  const url = await serve((_, response) => {
    requests++;
    response.writeHead(307, { location: '/elsewhere' });
    response.end();
  });
  expect(await post(url)).toMatchObject({ status: 307 });
  expect(requests).toBe(1);
});

test('an answer larger than 64 KiB is not read to its end', async () => {
  const answerOf = (bytes: number): Promise<string> => serve((_, response) => void response.end('x'.repeat(bytes)));
  expect((await post(await answerOf(65_536))).text).toHaveLength(65_536);
  await expect(post(await answerOf(65_537))).rejects.toThrow('larger than 65536 bytes');
});

test('a signal gives up at once', async () => {
  const url = await serve(() => {});
  const abort = new AbortController();
  const asked = post(url, { signal: abort.signal });
  abort.abort();
  await expect(asked).rejects.toThrow('aborted');
});

test('an https:// endpoint is believed by its authority and its name only, whatever the environment says', async () => {
  vi.stubEnv('NODE_TLS_REJECT_UNAUTHORIZED', '0');
  onTestFinished(() => void vi.unstubAllEnvs());
  const pki = new Pki(join(temporaryDirectory('host'), 'pki'));
  const ca = readFileSync(pki.caFile, 'utf8');
  const serveTls = async (hosts: readonly string[]): Promise<{ url: string; heard: string[] }> => {
    const { certificateFile, keyFile } = pki.issue({ commonName: 'identity', hosts });
    const heard: string[] = [];
    const settings = { cert: readFileSync(certificateFile), key: readFileSync(keyFile) };
    const server = createTlsServer(settings, (request, response) => {
      heard.push(String(request.headers.authorization));
      response.end('{}');
    });
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    onTestFinished(() => {
      server.close();
      server.closeAllConnections();
    });
    return { url: `https://127.0.0.1:${(server.address() as AddressInfo).port}/token`, heard };
  };
  const right = await serveTls(['127.0.0.1', 'localhost']);
  expect(await post(right.url, { ca })).toEqual({ status: 200, text: '{}' });
  expect(await post(right.url.replace('127.0.0.1', 'localhost'), { ca })).toMatchObject({ status: 200 });
  await expect(post(right.url)).rejects.toMatchObject({ code: 'UNABLE_TO_VERIFY_LEAF_SIGNATURE' });
  expect(right.heard).toHaveLength(2);
  const other = await serveTls(['identity.test', '127.0.0.2']);
  await expect(post(other.url, { ca })).rejects.toMatchObject({ code: 'ERR_TLS_CERT_ALTNAME_INVALID' });
  expect(other.heard).toEqual([]);
});

test('nonces fit into SCRAM and differ', () => {
  const nonces = Array.from({ length: 1_000 }, systemNonce);
  expect(new Set(nonces).size).toBe(1_000);
  for (const nonce of nonces) expect(nonce).toMatch(/^[A-Za-z0-9_-]{24}$/);
});

test('files are written whole, grow only at their end, and are replaced by a rename', async () => {
  const directory = temporaryDirectory('disk');
  const at = (name: string): string => join(directory, name);
  await systemDisk.writeDurably(at('a'), Buffer.from('longer'));
  await systemDisk.writeDurably(at('a'), Buffer.from('a'));
  expect(systemDisk.readBytes(at('a'))).toEqual(Buffer.from('a'));
  const file = await systemDisk.createAppendFile(at('grows'));
  await file.append(Buffer.from('one '));
  await file.append(Buffer.from('two'));
  await file.close();
  expect(systemDisk.readText(at('grows'))).toBe('one two');
  await expect(systemDisk.createAppendFile(at('grows'))).rejects.toMatchObject({ code: 'EEXIST' });
  systemDisk.rename(at('grows'), at('a'));
  systemDisk.makeDirectory(at('b/c'));
  await systemDisk.syncDirectory(directory);
  expect(systemDisk.list(directory).toSorted()).toEqual(['a', 'b']);
  systemDisk.remove(at('b'));
  systemDisk.remove(at('b'));
  expect(systemDisk.list(directory)).toEqual(['a']);
  expect(systemDisk.readText(at('a'))).toBe('one two');
  expect(() => systemDisk.readBytes(at('b'))).toThrow(expect.objectContaining({ code: 'ENOENT' }));
});
