/** What becomes of a database in a file when others lock it, when there is no room, and when its writer is killed. */
import { once } from 'node:events';
import { readFileSync, renameSync, truncateSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { createInterface } from 'node:readline';
import { type Kysely, sql } from 'kysely';
import { expect, onTestFinished, test } from 'vitest';
import { AppError } from '#contract/errors.ts';
import { spawnSupervised, temporaryDirectory } from '#testing/supervisor.ts';
import { must } from '#util/assert.ts';
import { systemClock, systemHost } from '#util/host.ts';
import { createRandom } from '#util/random.ts';
import { plainEvent } from '#testing/plain-event.ts';
import type { Database } from './database.ts';
import { openDatabase, openMigrated, parseLocation, type StoreLocation } from './location.ts';
import { createLocalStore, openStore } from './open-store.ts';
import { currentSchema, migrateTo, readSchemaVersion, schemaVersions } from './schema.ts';
import type { Store } from './store.ts';
import { type Tables, tableNames } from './tables.ts';

const options = { clock: systemClock, random: createRandom(1) };

function aFile(): string {
  return join(temporaryDirectory('store'), 'lockstep.db');
}

async function aStore(path = aFile()): Promise<{ store: Store; path: string; database: Database }> {
  const database = await openMigrated({ engine: 'sqlite', path }, systemHost.disk);
  const store = createLocalStore(database, options);
  onTestFinished(() => store.close(1000));
  return { store, path, database };
}

const event = { ...plainEvent, message: 'x'.repeat(3000) };

async function errorOf(promise: Promise<unknown>): Promise<AppError> {
  const error = await promise.then(
    () => null,
    (reason: unknown) => reason,
  );
  expect(error).toBeInstanceOf(AppError);
  return error as AppError;
}

test.each([
  ['lockstep.db', { engine: 'sqlite', path: 'lockstep.db' }],
  ['/var/lib/lockstep/store.db', { engine: 'sqlite', path: '/var/lib/lockstep/store.db' }],
  ['postgres://u:p@h:5432/d', { engine: 'postgres', url: 'postgres://u:p@h:5432/d' }],
  ['postgresql://h/d', { engine: 'postgres', url: 'postgresql://h/d' }],
])('%s is a place for a database', (text, location) => {
  expect(parseLocation(text)).toEqual(location);
});

test.each(['', 'mysql://h/d', 'sqlite://x'])('%j is none', (text) => {
  expect(() => parseLocation(text)).toThrow('LOCKSTEP_DATABASE_URL');
});

test('every migration can be undone and done again, and leaves what was there before it', async () => {
  const database = await openDatabase({ engine: 'sqlite', path: ':memory:' }, systemHost.disk);
  onTestFinished(() => database.close());
  const shapes: string[] = [];
  expect(await readSchemaVersion(database.kysely)).toBe('none');
  for (const version of schemaVersions) {
    shapes.push(await shapeOf(database.kysely));
    await migrateTo(database.kysely, 'sqlite', version);
    expect(await readSchemaVersion(database.kysely)).toBe(version);
  }
  const whole = await shapeOf(database.kysely);
  for (const [i, version] of [...['none', ...schemaVersions.slice(0, -1)].entries()].toReversed()) {
    await migrateTo(database.kysely, 'sqlite', version);
    expect(await shapeOf(database.kysely)).toBe(shapes[i]);
  }
  await migrateTo(database.kysely, 'sqlite', currentSchema);
  expect(await shapeOf(database.kysely)).toBe(whole);
  for (const table of tableNames) expect(whole).toContain(`"${table}"`);
});

async function shapeOf(db: Kysely<Tables>): Promise<string> {
  const { rows } = await sql<{ sql: string }>`
    select sql from sqlite_schema where sql is not null and name not like 'schema_%' and name not like 'sqlite_%'
    order by name`.execute(db);
  return rows.map((row) => row.sql).join('\n');
}

test('nobody but its owner may read the files', async () => {
  const { store, path } = await aStore();
  await store.clusters.create({ name: 'east', document: {} });
  for (const suffix of ['', '-wal', '-shm'])
    expect(must(systemHost.disk.look(`${path}${suffix}`), suffix).permissions & 0o077).toBe(0);
});

test('a database of a newer version, and one of another program, are left alone', async () => {
  const { store, path, database } = await aStore();
  await sql`insert into schema_steps (name, timestamp) values ('9999-later', 'x')`.execute(database.kysely);
  await store.close(1000);
  const newer = await errorOf(openMigrated({ engine: 'sqlite', path }, systemHost.disk));
  expect([newer.code, newer.details['schema']]).toEqual(['STORE_INVALID', '9999-later']);

  const foreign = aFile();
  const other = new DatabaseSync(foreign);
  other.exec('create table theirs (x); insert into theirs values (1)');
  other.close();
  expect((await errorOf(openMigrated({ engine: 'sqlite', path: foreign }, systemHost.disk))).code).toBe(
    'STORE_INVALID',
  );

  const noDatabase = aFile();
  writeFileSync(noDatabase, 'this is no database, and longer than the header of one'.repeat(100));
  expect((await errorOf(openMigrated({ engine: 'sqlite', path: noDatabase }, systemHost.disk))).code).toBe(
    'STORE_INVALID',
  );
  expect(readFileSync(noDatabase, 'utf8')).toContain('this is no database');

  const nowhere = await errorOf(
    openMigrated({ engine: 'sqlite', path: '/no/such/folder/lockstep.db' }, systemHost.disk),
  );
  expect(nowhere.code).toBe('STORE_UNAVAILABLE');
});

test('reg-M-255: while somebody else holds the lock, reads go on and writes end with what they met; then all is well', async () => {
  const { store, path } = await aStore();
  const other = new DatabaseSync(path);
  other.exec('begin exclusive');
  const began = performance.now();
  const write = errorOf(store.clusters.create({ name: 'east', document: {} }));
  expect(await store.clusters.get('east')).toBeNull();
  const error = await write;
  expect([error.code, error.details]).toEqual(['STORE_UNAVAILABLE', { trouble: 'locked', effect: 'none' }]);
  expect(performance.now() - began).toBeLessThan(5000);
  expect(store.health()).toMatchObject({ state: 'locked', lastError: { code: 'STORE_UNAVAILABLE' } });
  other.exec('rollback');
  await store.clusters.create({ name: 'east', document: {} });
  expect(store.health().state).toBe('ok');
  other.close();
});

test('a lock that is let go in time is waited for', async () => {
  const { store, path } = await aStore();
  const other = new DatabaseSync(path);
  other.exec('begin immediate');
  const write = store.clusters.create({ name: 'east', document: {} });
  await store.clusters.get('east'); // the write has been tried, and waits for its next attempt
  other.exec('rollback');
  expect((await write).name).toBe('east');
  other.close();
});

test('without room writes end at once and change nothing; with room again all is well', async () => {
  const { store, database } = await aStore();
  const { rows } = await sql<{ page_count: number }>`pragma page_count`.execute(database.kysely);
  const pages = must(rows[0], 'page count').page_count;
  await sql`pragma max_page_count = ${sql.lit(pages + 4)}`.execute(database.kysely);
  const error = await errorOf(store.events.add(Array.from({ length: 50 }, () => event)));
  expect([error.code, error.details]).toEqual(['STORE_FULL', { trouble: 'full', effect: 'none' }]);
  expect(await store.events.after(0, 10)).toEqual([]);
  expect(store.health().state).toBe('full');
  await sql`pragma max_page_count = 1000000`.execute(database.kysely);
  await store.events.add([event]);
  expect(store.health().state).toBe('ok');
});

test('kill -9 in the middle of writing leaves a database that opens, with all that was said to be done', async () => {
  const path = aFile();
  let before = 0;
  for (let round = 0; round < 2; round += 1) {
    const writer = spawnSupervised(process.execPath, ['src/testing/store-writer-process.ts', path], {
      stdio: ['ignore', 'pipe', 'inherit'],
    });
    const lines = createInterface({ input: must(writer.stdout, 'output') });
    let said = 0;
    for await (const line of lines) {
      said = Number(line);
      if (said === 20) writer.kill('SIGKILL');
    }
    if (writer.exitCode === null && writer.signalCode === null) await once(writer, 'exit');
    expect(writer.signalCode).toBe('SIGKILL');
    const { store, database } = await aStore(path);
    const { rows } = await sql<{ integrity_check: string }>`pragma integrity_check`.execute(database.kysely);
    expect(rows).toEqual([{ integrity_check: 'ok' }]);
    const events = await store.events.after(before, 10_000);
    expect(events.length % 2).toBe(0); // a transaction is there or not
    expect(events.length / 2).toBeGreaterThanOrEqual(said);
    before = must(events.at(-1), 'event').id;
    await store.close(1000);
  }
});

test('in its own thread: calls, errors and bugs come across, and closing ends it', async () => {
  const location: StoreLocation = { engine: 'sqlite', path: aFile() };
  const store = await openStore(location, { clock: systemClock });
  const cluster = await store.clusters.create({ name: 'east', document: { a: [1, 'ü'] } });
  expect(await store.clusters.get('east')).toEqual(cluster);
  const error = await errorOf(store.under(3).clusters.create({ name: 'east', document: {} }));
  expect([error.code, error.nextStep]).toEqual(['RESOURCE_CONFLICT', 'Take another name, or change that one.']);
  await expect(store.events.add([{ ...event, message: null as unknown as string }])).rejects.toThrow('NOT NULL');
  await store.close(1000);
  expect(store.health().state).toBe('closed');
  expect((await errorOf(store.clusters.get('east'))).code).toBe('STORE_UNAVAILABLE');
  await expect(
    openStore({ engine: 'sqlite', path: '/no/such/folder/x.db' }, { clock: systemClock }),
  ).rejects.toMatchObject({
    code: 'STORE_UNAVAILABLE',
  });
});

test.each(['deleted', 'replaced'])('a file that was %s while it is open is noticed by the next write', async (how) => {
  const path = aFile();
  const store = await openStore({ engine: 'sqlite', path }, { clock: systemClock });
  onTestFinished(() => store.close(1000));
  await store.clusters.create({ name: 'east', document: {} });
  await store.maintenance.tidy();
  renameSync(path, `${path}.kept`);
  if (how === 'replaced') writeFileSync(path, readFileSync(`${path}.kept`));
  const error = await errorOf(store.clusters.create({ name: 'west', document: {} }));
  expect([error.code, error.details['trouble']]).toEqual(['STORE_UNAVAILABLE', 'lost']);
  expect(store.health().state).toBe('lost');
  renameSync(`${path}.kept`, path);
  // A first attempt may have been given up, and done all the same: then the second is a conflict.
  const create = () =>
    store.clusters.create({ name: 'west', document: {} }).then(
      () => 'RESOURCE_CONFLICT',
      (error: unknown) => (error as AppError).code,
    );
  await expect.poll(create, { timeout: 30_000 }).toBe('RESOURCE_CONFLICT');
  expect(await store.clusters.get('west')).not.toBeNull();
  expect(await store.clusters.get('east')).not.toBeNull();
});

test('a database file that is damaged while it is open is said to be so, and one that is put back is used again', async () => {
  const path = aFile();
  const store = await openStore({ engine: 'sqlite', path }, { clock: systemClock });
  onTestFinished(() => store.close(1000));
  await store.events.add(Array.from({ length: 500 }, () => event));
  await store.maintenance.tidy(); // all is in the file, nothing in the write-ahead log
  renameSync(path, `${path}.kept`);
  writeFileSync(path, readFileSync(`${path}.kept`));
  truncateSync(`${path}.kept`, 8192);
  const error = await errorOf(store.events.counts({}));
  expect(['STORE_INVALID', 'STORE_UNAVAILABLE']).toContain(error.code);
  await expect
    .poll(() => store.events.counts({}).catch(() => null), { timeout: 30_000 })
    .toEqual([{ type: 't', level: 'info', count: 500 }]);
});
