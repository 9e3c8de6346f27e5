import { readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, onTestFinished, test } from 'vitest';
import { temporaryDirectory } from '#testing/supervisor.ts';
import { createRandom } from '#util/random.ts';
import { systemClock, systemDisk as disk } from '#util/host.ts';
import { createBackups, restoreRequested } from './backups.ts';
import { newKeyLine, parseKeyring } from './key-encryption.ts';
import { openMigrated } from './location.ts';
import { createLocalStore } from './open-store.ts';
import type { Store } from './store.ts';

const keys = parseKeyring(newKeyLine('k1'), 'test');

async function openAt(path: string): Promise<{ store: Store; close: () => Promise<void> }> {
  const store = createLocalStore(await openMigrated({ engine: 'sqlite', path }, disk), {
    clock: systemClock,
    random: createRandom(1),
  });
  onTestFinished(() => store.close(1000));
  return { store, close: () => store.close(1000) };
}

test('what was asked to be restored is there after the next start, and the audit log was not put back', async () => {
  const directory = temporaryDirectory('backups');
  const path = join(directory, 'lockstep.db');
  const options = { disk, directory: join(directory, 'backups'), keys };
  const first = await openAt(path);
  await first.store.clusters.create({ name: 'before', document: {} });
  await first.store.logAnchors.see({ origin: 'log', size: 10, root: 'A' });
  const backups = createBackups(first.store, { ...options, clock: systemClock });
  const { name } = await backups.take();
  await first.store.clusters.create({ name: 'after', document: {} });
  await first.store.logAnchors.see({ origin: 'log', size: 20, root: 'B' });
  await backups.requestRestore(name);
  await first.close();

  const database = await openMigrated({ engine: 'sqlite', path }, disk);
  const restored = await restoreRequested(database, { ...options, now: systemClock.now() });
  expect(restored).toMatchObject({ name, summary: { rows: { clusters: 1 } } });
  expect(await restoreRequested(database, { ...options, now: systemClock.now() })).toBeNull();
  await database.close();

  const { store } = await openAt(path);
  expect((await store.clusters.list({ limit: 10 })).items.map((cluster) => cluster.name)).toEqual(['before']);
  expect(await store.logAnchors.last('log')).toMatchObject({ size: 20, root: 'B' });
  expect(await store.logAnchors.restorationsToLog()).toMatchObject([{ replacedCheckpoint: { size: 20 } }]);
  await expect(store.logAnchors.see({ origin: 'log', size: 15, root: 'C' })).rejects.toMatchObject({
    code: 'LOG_ROLLED_BACK',
  });
});

test('a restore that does not succeed changes nothing, and is asked for again at the next start', async () => {
  const directory = temporaryDirectory('backups');
  const path = join(directory, 'lockstep.db');
  const options = { disk, directory: join(directory, 'backups'), keys };
  const { store, close } = await openAt(path);
  const backups = createBackups(store, { ...options, clock: systemClock });
  const { name } = await backups.take();
  await store.clusters.create({ name: 'kept', document: {} });
  await backups.requestRestore(name);
  const file = join(options.directory, name);
  const bytes = readFileSync(file);
  writeFileSync(file, bytes.subarray(0, bytes.length - 1));
  await expect(backups.verify(name)).rejects.toMatchObject({ code: 'BACKUP_INVALID' });
  await close();
  const database = await openMigrated({ engine: 'sqlite', path }, disk);
  const request = { ...options, now: systemClock.now() };
  await expect(restoreRequested(database, request)).rejects.toMatchObject({ code: 'BACKUP_INVALID' });
  await expect(restoreRequested(database, request)).rejects.toMatchObject({ code: 'BACKUP_INVALID' });
  await database.close();
  const again = await openAt(path);
  expect(await again.store.clusters.get('kept')).not.toBeNull();
});

test('a backup that cannot be written leaves nothing behind', async () => {
  const directory = temporaryDirectory('backups');
  const { store } = await openAt(join(directory, 'lockstep.db'));
  const full = {
    ...disk,
    rename: () => {
      throw Object.assign(new Error('no room'), { code: 'ENOSPC' });
    },
  };
  const options = { disk: full, directory: join(directory, 'backups'), keys, clock: systemClock };
  const backups = createBackups(store, options);
  await expect(backups.take()).rejects.toMatchObject({ code: 'BACKUP_FAILED' });
  expect(readdirSync(options.directory)).toEqual([]);
  expect(backups.list()).toEqual([]);
});
