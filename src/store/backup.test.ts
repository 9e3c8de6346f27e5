import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { sql } from 'kysely';
import { expect, onTestFinished, test } from 'vitest';
import { fillStore } from '#testing/filled-store.ts';
import { temporaryDirectory } from '#testing/supervisor.ts';
import { must } from '#util/assert.ts';
import { systemClock, systemHost } from '#util/host.ts';
import { createRandom } from '#util/random.ts';
import { plainEvent } from '#testing/plain-event.ts';
import { restoreBackup, takeBackup, verifyBackup } from './backup.ts';
import type { Database } from './database.ts';
import { newKeyLine, parseKeyring } from './key-encryption.ts';
import { openMigrated } from './location.ts';
import { createLocalStore, openStore } from './open-store.ts';
import type { Store } from './store.ts';

const { disk } = systemHost;
const keys = parseKeyring(newKeyLine('k1'), 'test');

async function aStore(path = ':memory:'): Promise<{ database: Database; store: Store }> {
  const database = await openMigrated({ engine: 'sqlite', path }, disk);
  const store = createLocalStore(database, { clock: systemClock, random: createRandom(1) });
  onTestFinished(() => store.close(1000));
  return { database, store };
}

function aPath(): string {
  return join(temporaryDirectory('backup'), 'lockstep.backup');
}

const now = (): number => systemClock.now();

test('a backup restores all that was there, but nothing that was only good for a moment', async () => {
  const { store } = await aStore();
  const { userId, jobId } = await fillStore(store);
  const path = aPath();
  const taken = await takeBackup(store, { disk, path, keys });
  expect(taken.rows).toMatchObject({ users: 9, events: 1203, jobs: 1, snapshot_items: 1, log_checkpoints: 1 });
  expect(taken.rows['sessions']).toBeUndefined();
  expect(await verifyBackup({ disk, path, keys })).toEqual(taken);

  const other = await aStore();
  await other.store.clusters.create({ name: 'what was there before', document: {} });
  expect(await restoreBackup(other.database, { disk, path, keys, now: now() })).toEqual(taken);
  expect(await other.store.users.get(userId)).toEqual(await store.users.get(userId));
  expect((await other.store.users.getByName('robot-3'))?.ownerId).toBe(userId);
  expect(await other.store.jobs.get(jobId)).toMatchObject({ desired: 'paused' });
  expect(await other.store.clusters.get('what was there before')).toBeNull();
  expect(await other.store.sessions.find('s')).toBeNull();
  expect((await other.store.configuration.read()).values).toEqual({ a: [1, null, 'ü\u{1F600}'] });
  const [last] = (await other.store.events.list({ limit: 1, descending: true })).items;
  await other.store.events.add([{ ...must(last, 'event'), message: 'after' }]);
  expect((await other.store.events.after(must(last, 'event').id, 5)).map(({ message }) => message)).toEqual(['after']);
});

test('reg-M-440 reg-M-190: a backup is of one moment, whatever is written while it is taken, and others go on meanwhile', async () => {
  const path = join(temporaryDirectory('backup'), 'lockstep.db');
  const store = await openStore({ engine: 'sqlite', path }, { clock: systemClock });
  onTestFinished(() => store.close(1000));
  await fillStore(store);
  const { id } = await store.dumps.open();
  await store.clusters.create({ name: 'later', document: {} });
  const rows: unknown[] = [];
  for (let part = await store.dumps.next(id); part !== null; part = await store.dumps.next(id)) {
    await store.events.add([{ ...plainEvent, at: 0, type: 'late' }]);
    rows.push(...part.rows);
  }
  await store.dumps.close(id);
  expect(JSON.stringify(rows)).not.toContain('late');
  expect(rows.length).toBeGreaterThan(1203);
  await expect(store.dumps.next(id)).rejects.toMatchObject({ code: 'RESOURCE_NOT_FOUND' });
});

test('what reads for a backup that nobody goes on with is closed', async () => {
  const path = join(temporaryDirectory('backup'), 'lockstep.db');
  const database = await openMigrated({ engine: 'sqlite', path }, disk);
  let ahead = 0;
  const clock = { ...systemClock, now: () => systemClock.now() + ahead };
  const store = createLocalStore(database, { clock, random: createRandom(1) });
  onTestFinished(() => store.close(1000));
  await fillStore(store);
  const { id } = await store.dumps.open();
  ahead = 4 * 60_000;
  await store.maintenance.tidy();
  expect(await store.dumps.next(id)).not.toBeNull();
  ahead += 6 * 60_000;
  await store.maintenance.tidy();
  await expect(store.dumps.next(id)).rejects.toMatchObject({ code: 'RESOURCE_NOT_FOUND' });
});

test('a backup that was altered, cut off, or sealed with another key, restores nothing', async () => {
  const { store, database } = await aStore();
  await fillStore(store);
  const path = aPath();
  await takeBackup(store, { disk, path, keys });
  const whole = readFileSync(path);
  expect(whole.includes('Anna')).toBe(false);
  const before = await store.maintenance.size();
  const places = [0, 20, 40, 200, whole.length >> 1, whole.length - 1];
  const damaged = [
    ...places.map((place) => Buffer.from(whole.map((byte, i) => (i === place ? byte ^ 1 : byte)))),
    ...[10, 100, whole.length >> 1, whole.length - 1].map((length) => whole.subarray(0, length)),
    Buffer.concat([whole, whole.subarray(-100)]),
    withoutLastFrame(whole),
  ];
  for (const bytes of damaged) {
    const altered = aPath();
    writeFileSync(altered, bytes);
    const place = { disk, path: altered, keys };
    await expect(verifyBackup(place)).rejects.toMatchObject({ code: 'BACKUP_INVALID' });
    await expect(restoreBackup(database, { ...place, now: now() })).rejects.toMatchObject({ code: 'BACKUP_INVALID' });
  }
  const others = parseKeyring(newKeyLine('k1'), 'test');
  await expect(verifyBackup({ disk, path, keys: others })).rejects.toMatchObject({ code: 'BACKUP_INVALID' });
  await expect(takeBackup(store, { disk, path: join(path, 'nowhere'), keys })).rejects.toThrow('ENOTDIR');
  expect((await store.maintenance.size()).rows).toEqual(before.rows);
});

/** Whole frames, but one too few. */
function withoutLastFrame(file: Buffer): Buffer {
  let at = file.indexOf(10, file.indexOf(10) + 1) + 1;
  for (;;) {
    const next = at + 4 + file.readUInt32BE(at);
    if (next === file.length) return file.subarray(0, at);
    at = next;
  }
}

test('a restored database knows the newest checkpoint that was seen, that it was restored, and what was revoked', async () => {
  const { store, database } = await aStore();
  const { tokenId, userId } = await fillStore(store);
  const path = aPath();
  await takeBackup(store, { disk, path, keys });
  await store.logAnchors.see({ origin: 'log', size: 25, root: 'root-25' });
  await store.tokens.revoke(tokenId, userId);
  const versions = await store.maintenance.versions();
  const at = now();
  const { takenAt } = await restoreBackup(database, { disk, path, keys, now: at });
  await expect(store.logAnchors.see({ origin: 'log', size: 24, root: 'root-24' })).rejects.toMatchObject({
    code: 'LOG_ROLLED_BACK',
  });
  await expect(store.logAnchors.see({ origin: 'log', size: 10, root: 'root-10' })).rejects.toMatchObject({
    code: 'LOG_ROLLED_BACK',
  });
  const [restoration] = await store.logAnchors.restorationsToLog();
  expect(restoration).toEqual({
    id: 1,
    restoredAt: at,
    takenAt,
    backupCheckpoint: { origin: 'log', size: 10, root: 'root-10' },
    replacedCheckpoint: { origin: 'log', size: 25, root: 'root-25' },
  });
  await store.logAnchors.restorationLogged(1);
  expect(await store.logAnchors.restorationsToLog()).toEqual([]);
  expect(await store.tokens.find('h')).toBeNull();
  const after = await store.maintenance.versions();
  expect(after.identities).toBeGreaterThan(versions.identities);
});

test('reg-M-441 reg-M-193: nothing is restored under a server that runs, and nothing of another version', async () => {
  const { store, database } = await aStore();
  await fillStore(store);
  const path = aPath();
  await takeBackup(store, { disk, path, keys });
  await store.leases.hold('server', { holder: 'host-1', lifeMs: 60_000 });
  const restore = () => restoreBackup(database, { disk, path, keys, now: now() });
  await expect(restore()).rejects.toMatchObject({ code: 'RESOURCE_CONFLICT' });
  await store.leases.release('server', 'host-1');
  await restore();
  // A restore that fails in the middle leaves what was there.
  await sql`create trigger stop_it before insert on jobs begin select raise(abort, 'stopped'); end`.execute(
    database.kysely,
  );
  await store.clusters.create({ name: 'stays', document: {} });
  await expect(restore()).rejects.toThrow('stopped');
  expect(await store.clusters.get('stays')).not.toBeNull();
});
