import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import fc from 'fast-check';
import { expect, onTestFinished, test } from 'vitest';
import { temporaryDirectory } from '#testing/supervisor.ts';
import { must } from '#util/assert.ts';
import { systemClock, systemHost } from '#util/host.ts';
import { createRandom } from '#util/random.ts';
import { open, seal } from './envelope.ts';
import { newKeyLine, parseKeyring, readKeyring } from './key-encryption.ts';
import { openMigrated } from './location.ts';
import { createLocalStore } from './open-store.ts';
import type { Store } from './store.ts';
import { createVault } from './vault.ts';

const CANARY = 'canary-5f2e-of-a-secret';

async function aStore(path = ':memory:'): Promise<Store> {
  const database = await openMigrated({ engine: 'sqlite', path }, systemHost.disk);
  const store = createLocalStore(database, { clock: systemClock, random: createRandom(1) });
  onTestFinished(() => store.close(1000));
  return store;
}

test('reg-M-271: a secret comes back as it was set, and stands nowhere in the files of the database in clear', async () => {
  const path = join(temporaryDirectory('vault'), 'lockstep.db');
  const store = await aStore(path);
  const vault = createVault(store.secrets, parseKeyring(newKeyLine('k1'), 'test'));
  await vault.write('store/east', `${CANARY} ü`, 'u');
  await vault.write('store/east', `${CANARY} second`, 'u');
  expect(await vault.read('store/east')).toBe(`${CANARY} second`);
  expect(await vault.read('store/none')).toBeNull();
  expect(JSON.stringify(await vault.list(''))).not.toContain(CANARY);
  const files = ['', '-wal'].map((suffix) => readFileSync(`${path}${suffix}`));
  for (const form of [CANARY, Buffer.from(CANARY).toString('base64').slice(0, -2), Buffer.from(CANARY).toString('hex')])
    expect(files.some((bytes) => bytes.includes(form))).toBe(false);
  expect(files.some((bytes) => bytes.includes('store/east'))).toBe(true); // the search would find it
  expect(await vault.delete('store/east')).toBe(true);
  expect(await vault.read('store/east')).toBeNull();
});

test('what is moved to another name, put back after it was replaced, or altered, does not open', async () => {
  const store = await aStore();
  const keys = parseKeyring(newKeyLine('k1'), 'test');
  const vault = createVault(store.secrets, keys);
  await vault.write('store/a', 'first', null);
  const first = must(await store.secrets.get('store/a'), 'secret');
  await vault.write('store/a', 'second', null);
  await store.secrets.put({ ...first, version: 3 }, null);
  await expect(vault.read('store/a')).rejects.toMatchObject({ code: 'SECRET_UNAVAILABLE' });
  await store.secrets.put({ ...first, name: 'store/b' }, null);
  await expect(vault.read('store/b')).rejects.toMatchObject({ code: 'SECRET_UNAVAILABLE' });
});

test('no bit of an envelope can be changed, and none opens elsewhere', async () => {
  const keys = parseKeyring(newKeyLine('k1'), 'test');
  const flip = (text: string, bit: number): string => {
    const bytes = Buffer.from(text, 'base64');
    bytes[(bit >> 3) % bytes.length]! ^= 1 << (bit & 7);
    return bytes.toString('base64');
  };
  await fc.assert(
    fc.asyncProperty(fc.uint8Array({ maxLength: 40 }), fc.nat(10_000), async (plain, bit) => {
      const envelope = await seal(plain, 'here', keys);
      expect([...(await open(envelope, 'here', keys))]).toEqual([...plain]);
      await expect(open(envelope, 'there', keys)).rejects.toMatchObject({ code: 'SECRET_UNAVAILABLE' });
      for (const part of ['wrappedKey', 'nonce', 'ciphertext'] as const) {
        const altered = { ...envelope, [part]: flip(envelope[part], bit) };
        await expect(open(altered, 'here', keys)).rejects.toMatchObject({ code: 'SECRET_UNAVAILABLE' });
      }
    }),
    { numRuns: 50 },
  );
});

test('a rotation wraps all by the current key, while secrets are set and taken away; then the old key can go', async () => {
  const store = await aStore();
  const [oldLine, newLine] = [newKeyLine('2025'), newKeyLine('2026')];
  const before = createVault(store.secrets, parseKeyring(oldLine, 'test'));
  for (let i = 0; i < 120; i++) await before.write(`store/${i}`, `value ${i}`, null);
  const during = createVault(store.secrets, parseKeyring(`# keys\n${newLine}\n\n${oldLine}\n`, 'test'));
  const rotation = during.rotate();
  await Promise.all([during.write('store/7', 'anew', null), during.delete('store/119')]);
  expect((await rotation).left).toBe(0);
  expect(await during.rotate()).toEqual({ rewrapped: 0, left: 0 });
  const after = createVault(store.secrets, parseKeyring(newLine, 'test'));
  expect(await after.read('store/7')).toBe('anew');
  expect(await after.read('store/118')).toBe('value 118');
  await expect(before.read('store/118')).rejects.toMatchObject({ code: 'SECRET_UNAVAILABLE' });
});

test('keys that cannot be used are refused without a word of them', () => {
  const line = newKeyLine('a');
  const [, key = ''] = line.split(':');
  for (const text of ['', '# nothing', 'nokey', 'a:short', `${line}\n${line}`, `${line},b:${key.slice(4)}`]) {
    let message = '';
    try {
      parseKeyring(text, 'LOCKSTEP_KEYS');
    } catch (error) {
      message = (error as Error).message;
    }
    expect(message).toContain('LOCKSTEP_KEYS');
    expect(message).not.toContain(key.slice(4, 20));
  }
  expect(parseKeyring(`${newKeyLine('b')},${line}`, 'x').currentId).toBe('b');
});

test('a key file that others may read, or that is not there, is refused', () => {
  const disk = (permissions: number | null) => ({
    readText: () => newKeyLine('a'),
    look: () => (permissions === null ? null : { identity: '1', permissions }),
  });
  expect(readKeyring(disk(0o400), '/keys').currentId).toBe('a');
  expect(() => readKeyring(disk(0o440), '/keys')).toThrow('chmod 400');
  expect(() => readKeyring(disk(null), '/keys')).toThrow('is not there');
});
