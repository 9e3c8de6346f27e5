/** Keys that Vault's transit engine wraps; a server in the place of Vault, asked over HTTP. */
import { expect, onTestFinished, test } from 'vitest';
import { resolveOptions } from '#contract/option-values.ts';
import type { OptionKey } from '#contract/options.ts';
import { openMigrated } from '#store/location.ts';
import { createLocalStore } from '#store/open-store.ts';
import { createVault } from '#store/vault.ts';
import { MemoryDisk } from '#testing/command-line.ts';
import { ManualClock } from '#testing/manual-clock.ts';
import { PlayedTransit } from '#testing/played-transit.ts';
import { systemHost } from '#util/host.ts';
import { createRandom } from '#util/random.ts';
import { hasKeyring, keyringOf } from './server-options.ts';

const KEYS = `first:${Buffer.alloc(32, 7).toString('base64')}`;
const DATA_KEY = Buffer.alloc(32, 9);

async function played({
  files = {},
  given = {},
}: { files?: Record<string, string>; given?: Partial<Record<OptionKey, unknown>> } = {}) {
  const transit = await PlayedTransit.start();
  onTestFinished(() => transit.stop());
  const disk = new MemoryDisk({ '/token': `${transit.token}\n`, ...files });
  const host = { ...systemHost, disk, environment: {} } as never;
  const stated: Partial<Record<OptionKey, unknown>> = {
    'secrets.transit.address': transit.address,
    'secrets.transit.tokenFile': '/token',
    'secrets.keyFile': '/lockstep.key',
    ...given,
  };
  const { values } = resolveOptions({ file: new Map(Object.entries(stated) as [OptionKey, unknown][]) });
  return { transit, disk, host, values, keys: () => keyringOf(values, host, { isNew: true }) };
}

test('what is wrapped is opened in its place alone, and no key is made on this machine', async () => {
  const { transit, disk, keys, values } = await played();
  const ring = keys();
  expect(ring.currentId).toBe('transit:transit/lockstep');
  const wrapped = await ring.wrap(DATA_KEY, 'secrets/store/a/1');
  expect(Buffer.from(wrapped).toString()).toMatch(/^vault:v1:/);
  expect(Buffer.from(await ring.unwrap(wrapped, 'secrets/store/a/1', ring.currentId))).toEqual(DATA_KEY);
  const moved = ring.unwrap(wrapped, 'secrets/store/b/1', ring.currentId);
  await expect(moved).rejects.toMatchObject({
    code: 'SECRET_UNAVAILABLE',
    message: expect.stringContaining('altered'),
  });
  expect([disk.secrets.size, hasKeyring(values, { disk } as never)]).toEqual([0, true]);
  expect(transit.asked[0]).toBe('POST /v1/transit/encrypt/lockstep');
});

test('a token that was renewed is used at once; nothing that was shown or refused is in an error', async () => {
  const { transit, disk, keys } = await played();
  const ring = keys();
  transit.token = 'hvs.renewed';
  const refused = await ring.wrap(DATA_KEY, 'x').catch((error: unknown) => error);
  expect(refused).toMatchObject({ code: 'SECRET_UNAVAILABLE', message: expect.stringContaining('the token may not') });
  expect(JSON.stringify([refused, String((refused as Error).stack)])).not.toMatch(/hvs\.|CQkJCQ/);
  disk.files.set('/token', 'hvs.renewed');
  await ring.wrap(DATA_KEY, 'x');
  disk.files.delete('/token');
  await expect(ring.wrap(DATA_KEY, 'x')).rejects.toMatchObject({ code: 'SECRET_UNAVAILABLE' });
});

test.each<[string, (transit: PlayedTransit) => unknown]>([
  ['is sealed', (transit) => (transit.outage = { status: 503, body: '{"errors":["Vault is sealed"]}' })],
  ['is a page of somebody else', (transit) => (transit.outage = { status: 200, body: '<html>' })],
  ['answers without what was asked for', (transit) => (transit.outage = { status: 200, body: '{"data":{}}' })],
  ['is gone', (transit) => transit.stop().then(() => onTestFinished(() => {}))],
])('where it %s, stored secrets are not to be had for now', async (_, break_) => {
  const { transit, keys } = await played();
  const ring = keys();
  await break_(transit);
  await expect(ring.wrap(DATA_KEY, 'x')).rejects.toMatchObject({
    code: 'SECRET_UNAVAILABLE',
    nextStep: expect.stringContaining('secrets.transit'),
  });
});

test('secrets that a key file has wrapped are wrapped anew, and need the file no more', async () => {
  const { transit, disk, host, values, keys } = await played({ files: { '/lockstep.key': KEYS } });
  const memory = { look: () => null, createAppendFile: () => Promise.reject(new Error('in memory')) };
  const database = await openMigrated({ engine: 'sqlite', path: ':memory:' }, memory);
  const store = createLocalStore(database, { clock: new ManualClock(), random: createRandom(1) });
  const before = keyringOf({ ...values, 'secrets.transit.address': null }, host, { isNew: false });
  await createVault(store.secrets, before).write('store/password', 'old-and-good', null);
  const vault = createVault(store.secrets, keys());
  expect(await vault.read('store/password')).toBe('old-and-good');
  expect(await vault.rotate()).toEqual({ rewrapped: 1, left: 0 });
  disk.files.delete('/lockstep.key');
  const after = createVault(store.secrets, keys());
  expect(await after.read('store/password')).toBe('old-and-good');
  transit.outage = { status: 503, body: '' };
  await expect(after.read('store/password')).rejects.toMatchObject({ code: 'SECRET_UNAVAILABLE' });
  await store.close(0);
});

test.each([
  [{ 'secrets.transit.tokenFile': null }, /tokenFile is missing/],
  [{ 'secrets.transit.address': 'http://vault.example:8200' }, /https:\/\//],
] as const)('%j is refused at the start', async (given, message) => {
  const { keys } = await played({ given });
  expect(keys).toThrow(expect.objectContaining({ code: 'CONFIG_INVALID', message: expect.stringMatching(message) }));
});
