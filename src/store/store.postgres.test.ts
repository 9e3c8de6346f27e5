/** The store on a real PostgreSQL server: all that it does on SQLite, and what only a server can do to it. */
import { join } from 'node:path';
import { sql } from 'kysely';
import { afterAll, beforeAll, describe, expect, onTestFinished, test } from 'vitest';
import type { AppError } from '#contract/errors.ts';
import { fillStore } from '#testing/filled-store.ts';
import { PostgresServer } from '#testing/postgres.ts';
import { testStore } from '#testing/store-suite.ts';
import { temporaryDirectory } from '#testing/supervisor.ts';
import { systemClock, systemHost } from '#util/host.ts';
import { createRandom } from '#util/random.ts';
import { plainEvent } from '#testing/plain-event.ts';
import { restoreBackup, takeBackup } from './backup.ts';
import { newKeyLine, parseKeyring } from './key-encryption.ts';
import { openDatabase, openMigrated, type StoreLocation } from './location.ts';
import { createLocalStore, openStore } from './open-store.ts';
import { currentSchema, migrateTo, readSchemaVersion, schemaVersions } from './schema.ts';
import { tableNames } from './tables.ts';

let server: PostgresServer;
let location: StoreLocation;

beforeAll(async () => {
  server = await PostgresServer.start();
  location = { engine: 'postgres', url: await server.createDatabase('suite') };
});
afterAll(() => server.down('SIGINT'));

describe('as on SQLite', () => {
  testStore(async () => {
    const database = await openMigrated(location, systemHost.disk);
    await sql`truncate ${sql.join(tableNames.map((name) => sql.table(name)))} restart identity`.execute(
      database.kysely,
    );
    return database;
  });
});

test('every migration can be undone and done again, and two servers may migrate at once', async () => {
  const url = await server.createDatabase('migrations');
  const database = await openDatabase({ engine: 'postgres', url }, systemHost.disk);
  onTestFinished(() => database.close());
  const shape = async (): Promise<unknown[]> => {
    const { rows } = await sql`
      select table_name, column_name, data_type, collation_name, is_nullable, column_default
      from information_schema.columns where table_schema = 'public' and table_name not like 'schema_%'
      order by table_name, ordinal_position`.execute(database.kysely);
    return rows;
  };
  const shapes: unknown[][] = [];
  for (const version of schemaVersions) {
    shapes.push(await shape());
    await migrateTo(database.kysely, 'postgres', version);
  }
  const whole = await shape();
  for (const [i, version] of [...['none', ...schemaVersions.slice(0, -1)].entries()].toReversed()) {
    await migrateTo(database.kysely, 'postgres', version);
    expect(await shape()).toEqual(shapes[i]);
  }
  expect(await readSchemaVersion(database.kysely)).toBe('none');
  const both = await Promise.all([1, 2].map(() => openMigrated({ engine: 'postgres', url }, systemHost.disk)));
  for (const each of both) await each.close();
  expect(await shape()).toEqual(whole);
  expect(await readSchemaVersion(database.kysely)).toBe(currentSchema);
});

test('a backup of one engine restores into the other, and is the same again', async () => {
  const path = join(temporaryDirectory('backup'), 'first');
  const keys = parseKeyring(newKeyLine('k1'), 'test');
  const { disk } = systemHost;
  const options = { clock: systemClock, random: createRandom(1) };
  const file = await openMigrated({ engine: 'sqlite', path: ':memory:' }, disk);
  const before = createLocalStore(file, options);
  onTestFinished(() => before.close(1000));
  await fillStore(before);
  const taken = await takeBackup(before, { disk, path, keys });

  const other = await openMigrated({ engine: 'postgres', url: await server.createDatabase('restored') }, disk);
  const after = createLocalStore(other, options);
  onTestFinished(() => after.close(1000));
  await restoreBackup(other, { disk, path, keys, now: systemClock.now() });
  const again = await takeBackup(after, { disk, path: `${path}-again`, keys });
  expect(again.rows).toEqual({ ...taken.rows, restorations: 1 });
  await after.events.add([plainEvent]); // under a number that is not taken
  await restoreBackup(file, { disk, path: `${path}-again`, keys, now: systemClock.now() });
  expect((await before.users.list({ limit: 20 })).items).toEqual((await after.users.list({ limit: 20 })).items);
  expect(await before.history.totals({ jobId: null, metrics: ['records'], from: 0, to: 1e15 })).toEqual(
    await after.history.totals({ jobId: null, metrics: ['records'], from: 0, to: 1e15 }),
  );
});

test('a lock that somebody holds ends calls with what they met; then all is well', async () => {
  const database = await openMigrated(location, systemHost.disk);
  const store = createLocalStore(database, { clock: systemClock, random: createRandom(1) });
  onTestFinished(() => store.close(1000));
  const other = await database.kysely.startTransaction().execute();
  await sql`lock table reports in access exclusive mode`.execute(other);
  const report = { kind: 'k', subject: null, from: null, to: null, createdBy: null, summary: 1, body: 2 };
  await expect(store.reports.add(report)).rejects.toMatchObject({
    code: 'STORE_UNAVAILABLE',
    details: { trouble: 'locked', effect: 'none' },
  });
  expect(store.health().state).toBe('locked');
  await other.rollback().execute();
  await store.reports.add(report);
  expect(store.health().state).toBe('ok');
});

test('a server that is killed and comes back is lost meanwhile, and found again', async () => {
  const store = await openStore(location, { clock: systemClock });
  onTestFinished(() => store.close(1000));
  await store.configuration.write({ a: 1 }, { ifVersion: null, by: null, replace: true });
  await server.down('SIGKILL');
  const began = performance.now();
  await expect(store.configuration.read()).rejects.toMatchObject({
    code: 'STORE_UNAVAILABLE',
    details: { effect: 'none' },
  });
  expect(performance.now() - began).toBeLessThan(6000);
  expect(store.health().state).toBe('lost');
  await server.up();
  const read = () =>
    store.configuration.read().then(
      ({ values }) => values,
      (error: unknown) => (error as AppError).code,
    );
  await expect.poll(read, { timeout: 20_000 }).toEqual({ a: 1 });
  expect(store.health().state).toBe('ok');
});

test('a server that is not there at the start is said to be so', async () => {
  const nowhere = { engine: 'postgres', url: 'postgres://lockstep@127.0.0.1:9/none' } as const;
  await expect(openStore(nowhere, { clock: systemClock })).rejects.toMatchObject({ code: 'STORE_UNAVAILABLE' });
  await expect(
    openStore({ engine: 'postgres', url: server.url('no_such') }, { clock: systemClock }),
  ).rejects.toMatchObject({
    code: 'STORE_UNAVAILABLE',
  });
});
