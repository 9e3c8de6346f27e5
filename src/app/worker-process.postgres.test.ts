/** A worker in this process, on a real PostgreSQL server. */
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import type { OptionKey } from '#contract/options.ts';
import { documentOf } from '#server/features/documents.ts';
import { openStore } from '#store/open-store.ts';
import { Pki } from '#testing/pki.ts';
import { PostgresServer } from '#testing/postgres.ts';
import { waitUntil } from '#testing/process-stat.ts';
import { temporaryDirectory } from '#testing/supervisor.ts';
import { must } from '#util/assert.ts';
import { systemClock, systemHost } from '#util/host.ts';
import type { ProcessEvent } from './announcer.ts';
import { runWorker } from './worker-process.ts';

let server: PostgresServer;
beforeAll(async () => {
  server = await PostgresServer.start();
});
afterAll(() => server.down('SIGINT'));

test('its metrics have the database, and when the certificates of clusters end', async () => {
  const url = await server.createDatabase('worker');
  const directory = temporaryDirectory('worker');
  const pki = new Pki(join(directory, 'pki'));
  const store = await openStore({ engine: 'postgres', url }, { clock: systemClock });
  const security = { protocol: 'SSL', ca: { file: pki.caFile } };
  const spec = { bootstrap: ['east.example:9092'], security };
  await store.clusters.create({ name: 'east', document: documentOf('Cluster', { name: 'east', ...spec }).document });
  await store.close(1_000);
  const flags = new Map<OptionKey, string>([
    ['monitoring.listen', '0'],
    ['secrets.keyFile', join(directory, 'none')],
    ['server.tls.certFile', pki.issue({ commonName: 'server' }).certificateFile],
    ['server.tls.keyFile', join(directory, 'key.pem')],
  ]);
  const events: ProcessEvent[] = [];
  const stop = new AbortController();
  const ended = runWorker(
    { ...systemHost, environment: { LOCKSTEP_DATABASE_URL: url } },
    {
      sources: () => ({ flags, environment: { LOCKSTEP_DATABASE_URL: url } }),
      version: '1.2.3',
      signal: stop.signal,
      onEvent: (event) => void events.push(event),
    },
    () => () => Promise.reject(new Error('there are no jobs')),
  );
  try {
    const listening = () => events.find((event) => event.event === 'metrics');
    await waitUntil(
      () => listening() !== undefined,
      () => `it listens: ${JSON.stringify(events)}`,
      { timeoutMs: 60_000 },
    );
    let text = '';
    await waitUntil(
      async () => {
        text = await (await fetch(must(listening(), 'metrics').url)).text();
        return text.includes('lockstep_certificate_end_timestamp_seconds');
      },
      () => `certificates are shown: ${text}`,
      { timeoutMs: 60_000 },
    );
    expect(text).toContain('\nlockstep_store_state{state="ok"} 1\n');
    const certificates = text.split('\n').filter((line) => line.startsWith('lockstep_certificate_end'));
    expect(certificates).toEqual([expect.stringContaining('{cluster="east",certificate="ca"}')]);
    expect(text).not.toContain('lockstep_audit_log'); // that is a server's
  } finally {
    stop.abort();
    await ended;
  }
});
