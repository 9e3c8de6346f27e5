/** Requests as bytes on a socket: what no client library would send. */
import { connect } from 'node:net';
import type { AddressInfo } from 'node:net';
import { text } from 'node:stream/consumers';
import { describe, expect, onTestFinished, test } from 'vitest';
import { playControlPlane } from '#testing/played-control-plane.ts';

async function listening(): Promise<{ ask: (bytes: string) => Promise<string>; logged: readonly unknown[] }> {
  const plane = await playControlPlane();
  await plane.http.listen({ host: '127.0.0.1', port: 0 });
  onTestFinished(() => plane.server.close());
  const { port } = plane.http.server.address() as AddressInfo;
  const ask = async (bytes: string): Promise<string> => {
    const socket = connect(port, '127.0.0.1');
    socket.end(bytes);
    return text(socket);
  };
  return { ask, logged: plane.logged };
}

const head = (more: string, method = 'GET', path = '/health') =>
  `${method} ${path} HTTP/1.1\r\nHost: lockstep.test\r\nConnection: close\r\n${more}\r\n`;

/** Statuses of all answers: of one request there is one. */
const statuses = (answer: string) => [...answer.matchAll(/^HTTP\/1\.1 (\d+)/gm)].map(([, status]) => Number(status));

describe('what is no request', () => {
  test.each([
    ['no HTTP', 'HELO lockstep.test\r\n\r\n', 400],
    ['a TLS greeting', '\u0016\u0003\u0001\u0002\u0000\u0001\r\n\r\n', 400],
    ['two lengths', head('Content-Length: 3\r\nContent-Length: 4\r\n', 'POST', '/auth/token'), 400],
    ['a length and chunks', head('Content-Length: 3\r\nTransfer-Encoding: chunked\r\n', 'POST', '/auth/token'), 400],
    ['chunks twice', head('Transfer-Encoding: chunked, chunked\r\n', 'POST', '/auth/token'), 400],
    ['chunks by another name', head('Transfer-Encoding: xchunked\r\n', 'POST', '/auth/token'), 400],
    ['a folded header', head('X-A: a\r\n b\r\n'), 400],
    ['white space before the colon', head('X-A : a\r\n'), 400],
    ['a header with a bare line end', head('X-A: a\nTransfer-Encoding: chunked\n'), 400],
    ['a header with a null', head('X-A: a\u0000b\r\n'), 400],
    ['a negative length', head('Content-Length: -1\r\n', 'POST', '/auth/token'), 400],
  ])('%s is refused, and nothing behind it is taken for another request', async (_what, bytes, status) => {
    const { ask, logged } = await listening();
    const answer = await ask(`${bytes}0\r\n\r\n${head('', 'DELETE', '/api/v1/clusters/purge')}`);
    expect(statuses(answer)).toEqual([status]);
    expect(logged).toEqual([]);
  });

  test('is answered as everything else is refused', async () => {
    const { ask } = await listening();
    const [heading = '', body = ''] = (await ask('nonsense\r\n\r\n')).split('\r\n\r\n');
    expect(heading).toContain('content-type: application/problem+json');
    expect(heading).toContain("content-security-policy: default-src 'none'");
    expect(heading).toContain('cache-control: no-store');
    expect(JSON.parse(body)).toMatchObject({ status: 400, code: 'REQUEST_INVALID' });
    expect(heading).toContain(`x-request-id: ${(JSON.parse(body) as { requestId: string }).requestId}`);
  });

  test('a head that is too long is said to be so, and one with the longest query is taken', async () => {
    const { ask } = await listening();
    const [heading = '', body = ''] = (await ask(head(`X-A: ${'a'.repeat(60_000)}\r\n`))).split('\r\n\r\n');
    expect(heading).toMatch(/^HTTP\/1\.1 431 /);
    expect(JSON.parse(body)).toMatchObject({ status: 431, code: 'REQUEST_HEAD_TOO_LARGE' });
    const query = `topics=${'t'.repeat(25_000)}&cursor=${'c'.repeat(2_000)}`;
    expect(statuses(await ask(head('', 'GET', `/api/v1/clusters/a/topic-details?${query}`)))).toEqual([401]);
  });
});

test('a name in the Host header is in no answer, and leads nowhere', async () => {
  const { ask } = await listening();
  for (const path of ['/health', '/docs', '/openapi.json', '/swagger/index.html', '/auth/oidc/start', '/nowhere']) {
    const bytes = `GET ${path} HTTP/1.1\r\nHost: evil.test\r\nX-Forwarded-Host: evil.test\r\nConnection: close\r\n\r\n`;
    const answer = await ask(bytes);
    expect(statuses(answer), path).toHaveLength(1);
    expect(answer, path).not.toContain('evil.test');
  }
});
