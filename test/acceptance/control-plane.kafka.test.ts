/** What the API says of a mirror, its log and its backups, against real clusters and a server that is stopped and started. */
import { cpSync, renameSync, rmSync } from 'node:fs';
import { expect, onTestFinished, test } from 'vitest';
import { ANCHOR_TOPIC } from '#prove/log/kafka-anchor.ts';
import { parseVerifierKey } from '#prove/log/note.ts';
import { verifyProof } from '#prove/log/tlog-proof.ts';
import { runGroups } from '#testing/group-client.ts';
import { sharedClusters } from '#testing/shared-clusters.ts';
import { createTopics } from '#testing/topic-admin.ts';
import { ControlServer } from './control-server.ts';
import { act, addClusters, addJob, appendTo, endOf, expectWholeLog, untilCopied } from './server-suite.ts';

const cluster = sharedClusters({ source: {}, target: {} });

async function newServer(env: Readonly<Record<string, string>> = {}): Promise<ControlServer> {
  const server = await ControlServer.create({ env });
  onTestFinished(async () => {
    if (server.isRunning) await server.kill();
  });
  await server.start();
  return server;
}

test('the state of a mirror is what both clusters say: unknown, then behind nothing, with the places of groups', async () => {
  await createTopics(cluster('source').bootstrap, [{ name: 'ledger', partitions: 1 }]);
  await appendTo(cluster('source'), 'ledger', 300);
  const server = await newServer();
  const call = await server.setUp();
  await addClusters(call, { source: cluster('source'), target: cluster('target') });
  const id = await addJob(call, 'ledger', 'ledger');
  const mirror = `/api/v1/jobs/${id}/mirror`;
  const before = await call('POST', `${mirror}/validate-mirror`);
  expect(before, JSON.stringify(before.body)).toMatchObject({
    status: 201,
    body: { migrationSafe: false, riskLevel: 'high', mirrorAnalysis: { partitions: 1, missing: 1 } },
  });
  await act(call, id, 'start');
  await untilCopied(server, { call, id, end: 300 });
  expect((await call('POST', `${mirror}/validate-mirror`)).body).toMatchObject({
    migrationSafe: true,
    riskLevel: 'low',
    gapsDetected: 0,
    offsetComparison: [
      {
        sourceTopic: 'ledger',
        position: 300,
        lagRecords: 0,
        source: { logStart: 0, highWatermark: 300 },
        target: { logStart: 0, highWatermark: 300 },
        state: 'in-sync',
      },
    ],
  });
  expect((await call('POST', `${mirror}/resume-points`)).body).toMatchObject({
    points: [{ safeResumeOffset: 300, targetOffset: 300, validationStatus: 'validated' }],
  });
  await runGroups(cluster('source').bootstrap, [{ commit: { billing: { ledger: { 0: 120 } } } }]);
  const checkpoint = await call('POST', `${mirror}/checkpoint`, { checkpoint_type: 'pre_migration' });
  expect(checkpoint.body).toMatchObject({
    type: 'pre_migration',
    groupOffsets: {
      source: [{ groupId: 'billing', topic: 'ledger', offset: 120, highWatermark: 300, lagRecords: 180 }],
    },
  });
  expect((await call('POST', `/api/v1/jobs/${id}/force-restart`)).body).toMatchObject({
    health: { healthy: true },
    validation: { migrationSafe: true },
  });
  const taken = (await call('POST', `/api/v1/jobs/${id}/inventory/snapshots`)).body as { id: number }[];
  expect((await call('GET', `/api/v1/inventory/snapshots/${taken[0]?.id}/topics?search=ledger`)).body).toMatchObject({
    items: [{ name: 'ledger', records: 300, configs: expect.any(Object) }],
  });
  expect(await server.stop()).toBe(0);
});

test('an entry and a report are proven by the key of the log alone', async () => {
  const server = await newServer();
  const call = await server.setUp();
  await call('POST', '/api/v1/jobs/start-all');
  const made = await call('POST', '/api/v1/compliance/report/daily');
  const signed = async () =>
    (await call('GET', `${made.headers.get('location')}/signed`)).body as {
      digest: string;
      entry: number;
      proof: string;
    };
  await server.until(async () => (await signed()).proof !== null, 'a checkpoint covers the report');
  const { digest, proof } = await signed();
  const key = parseVerifierKey(server.verifierKey);
  expect(verifyProof(proof, [key])).toMatchObject({
    verdict: 'verified',
    entry: { action: 'compliance.sign', change: { afterDigest: digest } },
  });
  const [started] = ((await call('GET', '/api/v1/events?action=job.start-all')).body as { items: { seq: number }[] })
    .items;
  const ofEntry = (await call('GET', `/api/v1/events/${started?.seq}/proof`)).body as string;
  expect(verifyProof(ofEntry, [key])).toMatchObject({ verdict: 'verified', entry: { action: 'job.start-all' } });
  expect((await call('GET', '/api/v1/events/checkpoint')).body).toMatchObject({ verifierKey: server.verifierKey });
  expect(await server.stop()).toBe(0);
});

test('a backup that was asked for is restored at the next start, and the audit log goes on and says so', async () => {
  const server = await newServer({ LOCKSTEP_BACKUPS_DIRECTORY: 'backups' });
  const call = await server.setUp();
  const add = (name: string) => call('POST', '/api/v1/clusters', { name, bootstrap: ['127.0.0.1:1'] });
  const names = async () =>
    ((await call('GET', '/api/v1/clusters')).body as { items: { name: string }[] }).items.map(({ name }) => name);
  await add('before');
  const made = await call('POST', '/api/v1/tokens', { name: 'after the restore', scopes: null, expiresInDays: 1 });
  const { token } = made.body as { token: string };
  await call('PUT', '/api/v1/secrets/canary', { value: 'canary-9f31' });
  const taken = await call('POST', '/api/v1/backups');
  expect(taken.status, JSON.stringify(taken.body)).toBe(201);
  const { name } = taken.body as { name: string };
  await add('after');
  expect((await call('POST', `/api/v1/backups/${name}/restore`)).status).toBe(202);
  expect(await names()).toEqual(['after', 'before']);
  expect(await server.stop()).toBe(0);
  await server.start();
  const again = server.as({ authorization: `Bearer ${token}` }); // sessions do not come back with a backup
  const restored = (await again('GET', '/api/v1/clusters')).body as { items: { name: string }[] };
  expect(restored.items.map((each) => each.name)).toEqual(['before']);
  expect((await again('GET', '/api/v1/backups')).body).toMatchObject({ restoreRequested: null });
  expect((await again('GET', '/api/v1/secrets')).body).toMatchObject([{ name: 'canary', version: 1 }]);
  const counted = async (query: string): Promise<number> =>
    ((await again('GET', `/api/v1/events?${query}&outcome=succeeded`)).body as { items: object[] }).items.length;
  // Entries are read under the newest checkpoint, which comes a moment after them.
  await server.until(
    async () => (await counted('action=store.restore')) === 1,
    'the log says that there was a restore',
  );
  expect(await counted('action=cluster.create')).toBe(2); // what was taken back is in the log all the same
  expect(await server.stop()).toBe(0);
  await expectWholeLog(server);
});

test('a server that was put back as a whole is found out by the checkpoints on a cluster, and changes nothing', async () => {
  const server = await newServer({ LOCKSTEP_AUDIT_ANCHOR_CLUSTERS: 'west' });
  const call = await server.setUp();
  await addClusters(call, { source: cluster('source'), target: cluster('target') });
  expect(await server.stop()).toBe(0);
  const before = `${server.directory}.before`;
  cpSync(server.directory, before, { recursive: true });
  await server.start(); // and gives the cluster a checkpoint
  expect((await call('POST', '/api/v1/jobs/start-all')).status).toBe(202);
  await server.until(
    async () => (await endOf(cluster('target'), ANCHOR_TOPIC)) > 0,
    'the checkpoint is on the cluster',
  );
  expect(await server.stop()).toBe(0);

  rmSync(server.directory, { recursive: true });
  renameSync(before, server.directory);
  await server.start();
  const told = server.events.filter((event) => event.event === 'trouble');
  expect(told.map(({ code }) => code)).toContain('LOG_ROLLED_BACK');
  const refused = await call('POST', '/api/v1/jobs/start-all');
  expect(refused).toMatchObject({ status: 503, body: { code: 'AUDIT_UNAVAILABLE' } });
  expect((await call('GET', '/api/v1/clusters')).status).toBe(200);
  expect(await server.stop()).toBe(0);
});

test('reg-M-250: the server listens at the address that it is told, and at no other', async () => {
  const server = await newServer({ LOCKSTEP_SERVER_HOST: '127.0.0.3' });
  const { port } = new URL(server.url);
  expect((await fetch(`http://127.0.0.3:${port}/health`)).status).toBe(200);
  await expect(fetch(`http://127.0.0.1:${port}/health`)).rejects.toThrow('fetch failed');
  expect(await server.stop()).toBe(0);
});
