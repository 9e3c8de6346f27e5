/** Secrets that the server keeps, used to connect to a real cluster with TLS and a login, and changed while it runs. */
import { readdirSync, readFileSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { expect, onTestFinished, test } from 'vitest';
import { sharedClusters } from '#testing/shared-clusters.ts';
import { createTopics } from '#testing/topic-admin.ts';
import { ControlServer } from './control-server.ts';
import { act, addJob, appendTo, untilCopied } from './server-suite.ts';

const FIRST = 'canary-first-5d1c';
const SECOND = 'canary-second-90ab';
const cluster = sharedClusters({ source: { secure: { users: { mirror: FIRST }, authorizer: false } }, target: {} });

test('a cluster is reached with stored secrets, with new ones from the next login on, and none of them lies about', async () => {
  const source = cluster('source');
  await createTopics(source.bootstrap, [{ name: 'vault', partitions: 1 }]);
  await appendTo(source, 'vault', 100);
  const server = await ControlServer.create();
  onTestFinished(async () => {
    if (server.isRunning) await server.kill();
  });
  await server.start();
  const call = await server.setUp();
  const store = async (name: string, value: string) =>
    expect((await call('PUT', `/api/v1/secrets/${name}`, { value })).status).toBe(200);
  await store('east.ca', readFileSync(source.pki.caFile, 'utf8'));
  await store('east.password', 'wrong');
  const security = {
    protocol: 'SASL_SSL',
    mechanism: 'PLAIN',
    username: 'mirror',
    password: { store: 'east.password' },
    ca: { store: 'east.ca' },
  };
  const east = { name: 'east', bootstrap: source.doors.saslSsl, security };
  expect((await call('POST', '/api/v1/clusters', east)).status).toBe(201);
  await call('POST', '/api/v1/clusters', { name: 'west', bootstrap: cluster('target').bootstrap });
  const status = async () =>
    (await call('GET', '/api/v1/clusters/east/status')).body as {
      isReachable: boolean;
      error: { code: string } | null;
    };
  expect(await status()).toMatchObject({ error: { code: 'CLUSTER_AUTHENTICATION_FAILED' } });
  await store('east.password', FIRST);
  await server.until(async () => (await status()).isReachable, 'the new secret is used');
  const id = await addJob(call, 'vault', 'vault');
  await act(call, id, 'start');
  await untilCopied(server, { call, id, end: 100 });

  await source.setUser('mirror', SECOND);
  await store('east.password', SECOND);
  await act(call, id, 'restart');
  await appendTo(source, 'vault', 100);
  await untilCopied(server, { call, id, end: 200 });
  expect((await call('DELETE', '/api/v1/secrets/east.password')).body).toMatchObject({ code: 'RESOURCE_CONFLICT' });
  expect(await server.stop()).toBe(0);
  expect(filesWith(server.directory, [FIRST, SECOND])).toEqual([]);
  expect(JSON.stringify(server.events)).not.toMatch(new RegExp(`${FIRST}|${SECOND}`));
});

/** Below a directory, whatever they are. */
function filesWith(directory: string, texts: readonly string[]): string[] {
  return readdirSync(directory, { recursive: true, encoding: 'utf8' })
    .map((name) => join(directory, name))
    .filter((path) => statSync(path).isFile())
    .filter((path) => texts.some((text) => readFileSync(path).includes(text)));
}
