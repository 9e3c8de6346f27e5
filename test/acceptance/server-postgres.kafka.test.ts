/** The same server on PostgreSQL: kills, a worker beside it, and another server that takes its place. */
import { expect, onTestFinished, test } from 'vitest';
import { PostgresServer } from '#testing/postgres.ts';
import { createTopics } from '#testing/topic-admin.ts';
import {
  act,
  addClusters,
  addJob,
  appendTo,
  createServer,
  endOf,
  expectSame,
  expectWholeLog,
  sharedSides,
  surviveKills,
  untilCopied,
} from './server-suite.ts';

const sides = sharedSides();
const KILLS = 2;
const LONG_MS = 900_000;

test(
  `${KILLS} kills -9 in the middle of changes; then a worker copies on while another server takes the place of a killed one`,
  { timeout: LONG_MS },
  async () => {
    const postgres = await PostgresServer.start();
    onTestFinished(() => postgres.down('SIGKILL'));
    const env = { LOCKSTEP_DATABASE_URL: await postgres.createDatabase('control') };
    await createTopics(sides().source.bootstrap, [
      { name: 'payments', partitions: 1 },
      { name: 'refunds', partitions: 1 },
    ]);
    await appendTo(sides().source, 'payments', 100);
    const server = await createServer({ env });
    await server.start();
    const call = await server.setUp();
    await addClusters(call, sides());
    const running = await addJob(call, 'payments', 'payments');
    const paused = await addJob(call, 'refunds', 'refunds');
    await act(call, running, 'start');
    await act(call, paused, 'pause');
    await untilCopied(server, { call, id: running, end: 100 });
    await surviveKills(server, { call, sides: sides(), topic: 'payments', running, paused, kills: KILLS });

    const worker = await createServer({ env, verb: 'worker' });
    worker.begin();
    await worker.until(() => worker.events.some((event) => event.event === 'started'), 'the worker runs the job');
    const standby = await createServer({ env, directory: server.directory });
    standby.begin();
    await standby.until(() => standby.saw('standing-by'), 'the second server waits');
    const before = await endOf(sides().source, 'payments');
    await server.kill();
    await appendTo(sides().source, 'payments', 50);
    const copied = async (): Promise<boolean> => (await endOf(sides().target, 'payments')) === before + 50;
    await worker.until(copied, 'records arrive without the server');
    await standby.until(() => standby.saw('listening'), 'the second server answers');
    const there = standby.as({});
    expect((await there('GET', '/health')).body).toMatchObject({ status: 'ok' });
    await expectSame(sides(), 'payments');
    expect(await worker.stop()).toBe(0);
    expect(await standby.stop()).toBe(0);
    await expectWholeLog(server);
  },
);
