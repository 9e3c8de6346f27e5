/** `lockstep serve` as a process between two real clusters: set-up, jobs through the API, kills, and a database in trouble. */
import { renameSync } from 'node:fs';
import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { expect, test } from 'vitest';
import { processMemory } from '#testing/process-stat.ts';
import { createTopics } from '#testing/topic-admin.ts';
import type { ControlServer } from './control-server.ts';
import {
  act,
  addClusters,
  addJob,
  appendTo,
  createServer,
  endOf,
  expectSame,
  expectWholeLog,
  jobOf,
  sharedSides,
  surviveKills,
  untilCopied,
  untilState,
} from './server-suite.ts';

const sides = sharedSides();
const KILLS = 5;
const LONG_MS = 900_000;

async function newServer(): Promise<ControlServer> {
  const server = await createServer();
  await server.start();
  return server;
}

test(
  'from an empty directory to a job that copies, is paused, goes on, and comes back as it was',
  { timeout: LONG_MS },
  async () => {
    await createTopics(sides().source.bootstrap, [{ name: 'orders', partitions: 1 }]);
    await appendTo(sides().source, 'orders', 500);
    const server = await newServer();
    const { rssBytes } = processMemory(server.pid);
    console.log(`idle server: ${Math.round(rssBytes / 1e6)} MB resident`);
    const call = await server.setUp();
    expect((await call('GET', '/health')).body).toMatchObject({ status: 'ok' });
    await addClusters(call, sides());
    expect((await call('GET', '/api/v1/clusters/east/status')).body).toMatchObject({ isReachable: true });

    const id = await addJob(call, 'orders', 'orders');
    expect(await jobOf(call, id)).toMatchObject({ desired: 'stopped', state: 'stopped' });
    await act(call, id, 'start');
    await untilCopied(server, { call, id, end: 500 });

    await act(call, id, 'pause');
    await untilState(server, { call, id, state: 'paused' });
    await appendTo(sides().source, 'orders', 100);
    expect(await server.stop()).toBe(0);
    await server.start();
    expect(await jobOf(call, id)).toMatchObject({ desired: 'paused', state: 'paused' });

    await act(call, id, 'start');
    await untilCopied(server, { call, id, end: 600 });
    const before = (await call('GET', `/api/v1/jobs/${id}/metrics/current`)).body as { since: number };
    await act(call, id, 'restart');
    const hasRestarted = async (): Promise<boolean> => {
      const { since } = (await call('GET', `/api/v1/jobs/${id}/metrics/current`)).body as { since: number | null };
      return since !== null && since > before.since;
    };
    await server.until(hasRestarted, 'the job has begun anew');
    await appendTo(sides().source, 'orders', 50);
    await untilCopied(server, { call, id, end: 650 });
    await expectSame(sides(), 'orders');

    await act(call, id, 'stop');
    await untilState(server, { call, id, state: 'stopped' });
    expect((await call('DELETE', `/api/v1/jobs/${id}`)).status).toBe(204);
    expect(await server.stop()).toBe(0);
    await expectWholeLog(server);
  },
);

test(
  `${KILLS} kills -9 in the middle of changes: jobs come back as they were, the log is whole and says what was open`,
  { timeout: LONG_MS },
  async () => {
    await createTopics(sides().source.bootstrap, [
      { name: 'payments', partitions: 1 },
      { name: 'refunds', partitions: 1 },
    ]);
    await appendTo(sides().source, 'payments', 200);
    const server = await newServer();
    const call = await server.setUp();
    await addClusters(call, sides());
    const running = await addJob(call, 'payments', 'payments');
    const paused = await addJob(call, 'refunds', 'refunds');
    await act(call, running, 'start');
    await act(call, paused, 'pause');
    await untilCopied(server, { call, id: running, end: 200 });
    await surviveKills(server, { call, sides: sides(), topic: 'payments', running, paused, kills: KILLS });
    const settled = (await call('GET', '/api/v1/events?outcome=unknown&limit=1000')).body as { items: object[] };
    expect(settled.items.length).toBe(server.dangling);
    expect(await server.stop()).toBe(0);
    await expectWholeLog(server);
  },
);

test(
  'a database that is locked, or gone, stops no copy; users are told, and all is well when it is back',
  { timeout: LONG_MS },
  async () => {
    await createTopics(sides().source.bootstrap, [{ name: 'clicks', partitions: 1 }]);
    const server = await newServer();
    const call = await server.setUp();
    await addClusters(call, sides());
    const id = await addJob(call, 'clicks', 'clicks');
    await act(call, id, 'start');
    await appendTo(sides().source, 'clicks', 100);
    await untilCopied(server, { call, id, end: 100 });
    const path = join(server.directory, 'lockstep.db');
    const copied = (): Promise<number> => endOf(sides().target, 'clicks');

    const holder = new DatabaseSync(path);
    holder.exec('BEGIN IMMEDIATE');
    await appendTo(sides().source, 'clicks', 100);
    await server.until(async () => (await copied()) === 200, 'records arrive while the database is locked');
    expect((await call('POST', `/api/v1/jobs/${id}/pause`)).status).toBe(503);
    expect((await call('GET', '/health')).body).toMatchObject({
      status: 'degraded',
      checks: [{ name: 'store', status: 'failing' }, { name: 'audit' }, { name: 'jobs', status: 'ok' }],
    });
    holder.exec('ROLLBACK');
    holder.close();
    await act(call, id, 'start');
    expect((await call('GET', '/health')).body).toMatchObject({ status: 'ok' });

    for (const suffix of ['', '-wal', '-shm']) renameSync(`${path}${suffix}`, `${path}.aside${suffix}`);
    await appendTo(sides().source, 'clicks', 100);
    await server.until(async () => (await copied()) === 300, 'records arrive while the database is gone');
    for (const suffix of ['', '-wal', '-shm']) renameSync(`${path}.aside${suffix}`, `${path}${suffix}`);
    await server.until(
      async () => (await call('POST', `/api/v1/jobs/${id}/start`)).status === 202,
      'changes are taken again',
    );
    await untilCopied(server, { call, id, end: 300 });
    await expectSame(sides(), 'clicks');
    expect(await server.stop()).toBe(0);
    await expectWholeLog(server);
  },
);
