import { expect, test } from 'vitest';
import { MemoryDisk } from '#testing/command-line.ts';
import { openKeyring, openSigner } from './key-files.ts';

const entropy = { bytes: (count: number) => Buffer.alloc(count, 7) };
const LOG = { path: '/audit.key', name: 'lockstep.example/audit' };

test('keys are made where nothing depends on them yet, for their owner alone, and used from then on', async () => {
  const disk = new MemoryDisk();
  const made = openKeyring({ disk }, { path: '/store.key', text: null, isNew: true });
  expect(disk.secrets).toEqual(new Set(['/store.key']));
  const wrapped = await made.wrap(Buffer.from('data key'), 'place');
  const again = openKeyring({ disk }, { path: '/store.key', text: null, isNew: false });
  expect(Buffer.from(await again.unwrap(wrapped, 'place', made.currentId)).toString()).toBe('data key');
  const signer = openSigner({ disk, entropy }, { ...LOG, isNew: true });
  expect(openSigner({ disk, entropy }, { ...LOG, name: 'another', isNew: false }).verifier.text).toBe(
    signer.verifier.text,
  );
});

test('a key that something depends on is not replaced by a new one', () => {
  const disk = new MemoryDisk();
  const keyring = () => openKeyring({ disk }, { path: '/store.key', text: null, isNew: false });
  expect(keyring).toThrow(expect.objectContaining({ code: 'SECRET_UNAVAILABLE' }));
  const signer = () => openSigner({ disk, entropy }, { ...LOG, isNew: false });
  expect(signer).toThrow(expect.objectContaining({ code: 'SECRET_UNAVAILABLE' }));
  expect(disk.files.size).toBe(0);
});

test('a key that others may read, or that is none, is refused without a word of what it is', () => {
  const disk = new MemoryDisk({ '/audit.key': 'PRIVATE+KEY+wrong' });
  const signer = () => openSigner({ disk, entropy }, { ...LOG, isNew: false });
  expect(signer).toThrow(expect.objectContaining({ code: 'CONFIG_INVALID' }));
  expect(signer).not.toThrow(/wrong/);
  disk.look = () => ({ identity: 'x', permissions: 0o644 });
  expect(signer).toThrow(/mode 644.*chmod 400/);
});
