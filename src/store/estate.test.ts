/** A backup of another installation, sealed with its key, in this one. */
import { join } from 'node:path';
import { expect, onTestFinished, test } from 'vitest';
import { temporaryDirectory } from '#testing/supervisor.ts';
import { systemClock, systemHost } from '#util/host.ts';
import { createRandom } from '#util/random.ts';
import { restoreBackup, takeBackup } from './backup.ts';
import type { Database } from './database.ts';
import { readEstate } from './estate.ts';
import { newKeyLine, parseKeyring, type KeyEncryption } from './key-encryption.ts';
import { openMigrated } from './location.ts';
import { createLocalStore } from './open-store.ts';
import type { Store } from './store.ts';
import { createVault, type Vault } from './vault.ts';

const { disk } = systemHost;

interface Installation {
  readonly database: Database;
  readonly store: Store;
  readonly keys: KeyEncryption;
  readonly vault: Vault;
}

/** Each with a key of its own, all of the same name, as first keys are. */
async function install(): Promise<Installation> {
  const keys = parseKeyring(newKeyLine('first'), 'test');
  const database = await openMigrated({ engine: 'sqlite', path: ':memory:' }, disk);
  const store = createLocalStore(database, { clock: systemClock, random: createRandom(1) });
  onTestFinished(() => store.close(1000));
  await store.roles.syncBuiltIn([{ name: 'admin', description: '', grants: [] }]);
  return { database, store, keys, vault: createVault(store.secrets, keys) };
}

async function backUp({
  store,
  keys,
}: Installation): Promise<{ disk: typeof disk; path: string; keys: KeyEncryption }> {
  const path = join(temporaryDirectory('estate'), 'other.backup');
  await takeBackup(store, { disk, path, keys });
  return { disk, path, keys };
}

async function fill({ store, vault }: Installation): Promise<void> {
  const { id } = await store.users.create({
    name: 'Ben',
    kind: 'local',
    roles: ['admin'],
    passwordHash: 'canary-hash',
  });
  await store.users.create({ name: 'robot', kind: 'service', roles: [], ownerId: id });
  await store.roles.create({ name: 'desk', description: 'd', grants: [] });
  for (const name of ['north', 'south', 'gone']) await store.clusters.create({ name, document: { name } });
  await store.clusters.pin('south', 'id-south');
  await store.clusters.deactivate('gone', { ifVersion: null });
  const job = { name: 'j', kind: 'Mirror', source: 'north', target: 'south', document: { a: 1 } };
  await store.jobs.create({ ...job, desired: 'started' });
  await store.configuration.write(
    { 'backups.every': '1d', 'compliance.schedule.weekly': true, 'server.publicUrl': 'https://there.test' },
    { ifVersion: null, by: null, replace: true },
  );
  await vault.write('store/pw', 'canary-old', null);
  await vault.write('store/pw', 'canary-pw', null);
  await vault.write('store/gone', 'canary-gone', null);
  await vault.delete('store/gone');
  await vault.write(`totp/${id}`, 'canary-totp', null);
}

test('its secrets are sealed for this installation, and what proves an identity stays there', async () => {
  const [other, own] = [await install(), await install()];
  await fill(other);
  const place = await backUp(other);
  const { estate, summary } = await readEstate(place, { secrets: own.store.secrets, keys: own.keys });
  expect(estate).toMatchObject({
    clusters: [
      { name: 'north', document: { name: 'north' }, pinnedId: null },
      { name: 'south', document: { name: 'south' }, pinnedId: 'id-south' },
    ],
    roles: [{ name: 'desk', description: 'd', grants: [] }],
    jobs: [{ name: 'j', kind: 'Mirror', source: 'north', target: 'south', document: { a: 1 } }],
    schedules: { 'backups.every': '1d', 'compliance.schedule.weekly': true },
  });
  expect(estate.users.toSorted((a, b) => (a.name < b.name ? -1 : 1))).toEqual([
    { name: 'Ben', kind: 'local', displayName: null, roles: ['admin'], oidc: null, owner: null, isDisabled: false },
    { name: 'robot', kind: 'service', displayName: null, roles: [], oidc: null, owner: 'Ben', isDisabled: false },
  ]);
  expect(estate.secrets).toMatchObject([{ sealed: { name: 'store/pw', version: 1 }, isSame: false }]);
  expect(JSON.stringify(estate)).not.toContain('canary');
  expect(summary.digest).toMatch(/^[0-9a-f]{64}$/);
  await own.store.imports.take(estate);
  expect(await own.vault.read('store/pw')).toBe('canary-pw');
});

test('a secret that is the same here is known as that, and another comes after what was deleted', async () => {
  const [other, own] = [await install(), await install()];
  await fill(other);
  await own.vault.write('store/pw', 'canary-pw', null);
  const place = await backUp(other);
  const read = async () => (await readEstate(place, { secrets: own.store.secrets, keys: own.keys })).estate.secrets;
  expect(await read()).toMatchObject([{ isSame: true }]);
  await own.vault.delete('store/pw');
  expect(await read()).toMatchObject([{ sealed: { version: 2 }, isSame: false }]);
});

test('nothing of it is read with another key', async () => {
  const [other, own] = [await install(), await install()];
  await fill(other);
  const { path } = await backUp(other);
  const place = { disk, path, keys: own.keys };
  await expect(readEstate(place, { secrets: own.store.secrets, keys: own.keys })).rejects.toMatchObject({
    code: 'BACKUP_INVALID',
  });
});

test('in place of the own database its secrets open with the own key', async () => {
  const [other, own] = [await install(), await install()];
  await fill(other);
  const place = await backUp(other);
  await restoreBackup(own.database, { ...place, ownKeys: own.keys, now: systemClock.now() });
  expect(await own.vault.read('store/pw')).toBe('canary-pw');
  expect(await own.vault.read('store/gone')).toBeNull();
  expect(await own.store.jobs.getByName('j')).toMatchObject({ desired: 'started' });
});
