import { expect, test } from 'vitest';
import type { Anchor } from '#prove/log/anchor.ts';
import { parseCheckpoint } from '#prove/log/checkpoint.ts';
import { formatSignerKey, type SignerKey } from '#prove/log/note.ts';
import { verifyLog } from '#prove/log/verify-log.ts';
import { event, LOG_DIRECTORY, LOG_KEY, playedAnchors } from '#testing/audit-events.ts';
import { ManualClock, settle } from '#testing/manual-clock.ts';
import { SimulatedDisk } from '#testing/simulated-disk.ts';
import { systemClock } from '#util/host.ts';
import { AuditKeeper } from './audit-keeper.ts';
import { openSigner } from './key-files.ts';
import { rotateLogKey } from './log-key-rotation.ts';

const PATH = '/audit.key';

function withKey(): SimulatedDisk {
  const disk = new SimulatedDisk();
  disk.createSecret(PATH, `${formatSignerKey(LOG_KEY.verifier.name, Buffer.alloc(32, 7))}\n`);
  return disk;
}

const hostOf = (disk: SimulatedDisk) => ({ disk, entropy: { bytes: (count: number) => Buffer.alloc(count, 9) } });

const keyOf = (disk: SimulatedDisk): SignerKey => openSigner(hostOf(disk), { path: PATH, isNew: false, name: '' });

async function opened(disk: SimulatedDisk, anchors: readonly Anchor[] = []): Promise<AuditKeeper> {
  const keeper = new AuditKeeper({
    disk,
    clock: new ManualClock(),
    directory: LOG_DIRECTORY,
    key: keyOf(disk),
    anchors,
    otherLogs: [],
    store: { logAnchors: playedAnchors() },
    observers: { onOpen: () => {}, onTrouble: () => {} },
  });
  await keeper.open();
  await settle();
  return keeper;
}

test('the next start signs with the new key, and whoever trusts the first one verifies that', async () => {
  const disk = withKey();
  const notes: string[] = [];
  const anchor: Anchor = { name: 'a', latest: async () => [], publish: async (note) => void notes.push(note) };
  const keeper = await opened(disk, [anchor]);
  const rotation = await rotateLogKey(hostOf(disk), {
    path: PATH,
    key: keyOf(disk),
    rotate: (to) => keeper.rotate(to),
  });
  await keeper.close();
  expect(rotation).toEqual({ from: LOG_KEY.verifier.text, to: keyOf(disk).verifier.text });
  expect(rotation.to).not.toBe(rotation.from);
  const keys = [LOG_KEY.verifier, keyOf(disk).verifier];
  const anchored = notes.map((note) => parseCheckpoint(note, keys).signers.length);
  expect(anchored).toEqual([1, 2]); // the next start finds what its key has signed

  const next = await opened(disk);
  await next.record(event(), 'succeeded');
  await next.close();
  const verified = await verifyLog(disk, LOG_DIRECTORY, { clock: systemClock, key: LOG_KEY.verifier });
  expect(verified).toMatchObject({ verdict: 'verified', rotations: 1, signedBy: rotation.to });
});

test.each(['before the log knows of it', 'after it'])('where the disk fails %s, the old key goes on', async (when) => {
  const disk = withKey();
  const keeper = await opened(disk);
  const fail = async (to: SignerKey): Promise<void> => {
    if (when === 'after it') await keeper.rotate(to);
    throw new Error('the disk is gone');
  };
  const rotating = rotateLogKey(hostOf(disk), { path: PATH, key: keyOf(disk), rotate: fail });
  await expect(rotating).rejects.toThrow('the disk is gone');
  await keeper.close();
  expect(keyOf(disk).verifier.text).toBe(LOG_KEY.verifier.text);
  const next = await opened(disk);
  expect(next.isWritable()).toBe(true);
  await rotateLogKey(hostOf(disk), { path: PATH, key: keyOf(disk), rotate: (to) => next.rotate(to) });
  await next.close();
  const last = await opened(disk);
  expect(last.isWritable()).toBe(true);
  await last.close();
  const verified = await verifyLog(disk, LOG_DIRECTORY, { clock: systemClock, key: LOG_KEY.verifier });
  expect(verified).toMatchObject({ verdict: 'verified' });
});
