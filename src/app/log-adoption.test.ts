import { expect, test } from 'vitest';
import type { Anchor } from '#prove/log/anchor.ts';
import { formatSignerKey } from '#prove/log/note.ts';
import { verifyLog } from '#prove/log/verify-log.ts';
import type { LogAnchors, SeenCheckpoint } from '#store/log-anchors.ts';
import { event, LOG_DIRECTORY, LOG_KEY, openLog, OTHER_KEY } from '#testing/audit-events.ts';
import { ManualClock } from '#testing/manual-clock.ts';
import { SimulatedDisk } from '#testing/simulated-disk.ts';
import { createRandom } from '#util/random.ts';
import { systemClock } from '#util/host.ts';
import { parseTrustedKey } from '#prove/log/trusted-key.ts';
import { AuditKeeper } from './audit-keeper.ts';
import { openSigner } from './key-files.ts';
import { adoptLog, foreseeAdoption, type LogAdoptionOptions } from './log-adoption.ts';

const KEY_FILE = '/audit.key';
const OLD = LOG_KEY.verifier.name;

/** Keeps what it is shown, as the one of the database does. */
class PlayedAnchors {
  seen: SeenCheckpoint[] = [];
  gone: string[] = [];
  readonly port: LogAnchors = {
    last: async (origin) => this.seen.find((each) => each.origin === origin) ?? null,
    all: async () => this.seen,
    see: async (checkpoint) => {
      this.seen = [...this.seen.filter(({ origin }) => origin !== checkpoint.origin), { ...checkpoint, seenAt: 0 }];
    },
    abandoned: async () => this.gone,
    abandon: async (origins) => {
      this.gone = [...new Set([...this.gone, ...origins])];
    },
    restorationsToLog: async () => [],
    restorationLogged: async () => {},
    effectsOf: async () => [],
  };
}

/** A server whose log had five entries when the database saw it last, and of which a copy of three was put back. */
async function rolledBack() {
  const clock = new ManualClock();
  const { log, disk: whole } = await openLog({ clock });
  await log.record(event());
  await log.record(event());
  await log.publish();
  const disk = whole.afterPowerLoss(createRandom(3));
  await log.record(event());
  await log.close();
  const { origin, size, root, note } = log.reader().checkpoint;
  for (const each of [disk, whole]) each.createSecret(KEY_FILE, `${formatSignerKey(OLD, Buffer.alloc(32, 7))}\n`);
  const store = new PlayedAnchors();
  await store.port.see({ origin, size, root: root.toString('base64') });
  return { disk, whole, clock, store, note };
}

function optionsOf(
  { disk, store, clock }: { disk: SimulatedDisk; store: PlayedAnchors; clock: ManualClock },
  { anchors = [], otherLogs = [] }: { anchors?: readonly Anchor[]; otherLogs?: readonly string[] } = {},
) {
  const troubles: string[] = [];
  const options: LogAdoptionOptions = {
    host: { disk, clock, entropy: { bytes: (count) => Buffer.alloc(count, 11) } },
    values: { 'audit.directory': LOG_DIRECTORY, 'audit.keyFile': KEY_FILE, 'audit.otherLogs': [...otherLogs] },
    store: { logAnchors: store.port },
    anchorsOf: () => anchors,
    actor: { id: 'admin', kind: 'system', authn: 'local' },
    onTrouble: (message) => void troubles.push(message),
  };
  return { options, troubles };
}

function keeperOf({ host, values, store }: LogAdoptionOptions): AuditKeeper {
  return new AuditKeeper({
    ...host,
    directory: LOG_DIRECTORY,
    key: openSigner(host, { path: KEY_FILE, isNew: false, name: '' }),
    anchors: [],
    otherLogs: values['audit.otherLogs'],
    store,
    observers: { onOpen: () => {}, onTrouble: () => {} },
  });
}

test('a log that was put back is given up for a new one, which says from which entry to which it is gone', async () => {
  const played = await rolledBack();
  const { options } = optionsOf(played);
  const lost = [{ origin: OLD, kept: 3, from: 3, to: 4 }];
  expect(await foreseeAdoption(options)).toEqual({ why: expect.stringContaining('5'), lost, begun: null });
  const { begun, ...found } = await adoptLog(options);
  expect(found).toMatchObject({ lost });
  expect(begun).toMatchObject({
    origin: `${OLD}-2`,
    directory: LOG_DIRECTORY,
    oldDirectory: '/audit.lost-20231114T221320Z',
    oldKeyFile: '/audit.key.lost-20231114T221320Z',
  });
  const key = parseTrustedKey(begun?.verifierKey ?? '');
  const verified = await verifyLog(played.disk, LOG_DIRECTORY, { clock: systemClock, key });
  expect(verified).toMatchObject({ verdict: 'verified', origin: `${OLD}-2` });
  const old = await verifyLog(played.disk, begun?.oldDirectory ?? '', { clock: systemClock, key: LOG_KEY.verifier });
  expect(old).toMatchObject({ verdict: 'verified', size: 3 });
  expect(played.store.gone).toEqual([OLD]);

  const keeper = keeperOf(options);
  await keeper.open();
  expect(keeper.isWritable()).toBe(true);
  await keeper.close();
  await expect(adoptLog(options)).rejects.toMatchObject({ code: 'REQUEST_INVALID' }); // it is whole again
});

test('the longer log, found after it was given up, is not gone on with', async () => {
  const played = await rolledBack();
  await adoptLog(optionsOf(played).options);
  const { options } = optionsOf({ ...played, disk: played.whole });
  const keeper = keeperOf(options);
  await keeper.open();
  await expect(keeper.intend(event())).rejects.toMatchObject({ cause: { code: 'LOG_ROLLED_BACK' } });
  await keeper.close();
  const { lost, begun } = await adoptLog(options); // the log that goes on is not there: that is what is lost now
  expect(lost.map(({ origin, kept }) => [origin, kept])).toEqual([[`${OLD}-2`, 0]]);
  expect(begun).toMatchObject({ origin: `${OLD}-3` });
});

test('directory and key are gone: all that the database knows of is, and anchors that know more say how much', async () => {
  const { store, clock, note, whole } = await rolledBack();
  store.seen = store.seen.map((seen) => ({ ...seen, size: 4 }));
  const disk = new SimulatedDisk();
  const anchors: Anchor[] = [
    { name: 'played', latest: async () => ['junk', note], publish: async () => {} },
    { name: 'gone', latest: () => Promise.reject(new Error('no route')), publish: async () => {} },
  ];
  const { options, troubles } = optionsOf({ disk, store, clock }, { anchors });
  const { lost, begun } = await adoptLog(options);
  expect(lost).toEqual([{ origin: OLD, kept: 0, from: 0, to: 4 }]);
  expect(begun).toMatchObject({ oldDirectory: null, oldKeyFile: null });
  expect(troubles).toContain('what the log has lost is not known of gone');
  expect(whole.look(KEY_FILE)).not.toBeNull();
});

test('only the key is lost: nothing else is', async () => {
  const { whole: disk, store, clock } = await rolledBack();
  disk.remove(KEY_FILE);
  const { lost, begun } = await adoptLog(optionsOf({ disk, store, clock }).options);
  expect(lost).toEqual([{ origin: OLD, kept: 5, from: null, to: null }]);
  expect(begun).toMatchObject({ oldKeyFile: null, oldDirectory: expect.any(String) });
});

test('checkpoints of a log that others have written say nothing of it, and logs of other servers are none of ours', async () => {
  const played = await rolledBack();
  const { log } = await openLog({ key: OTHER_KEY, directory: '/forged' });
  for (let i = 0; i < 20; i++) await log.record(event());
  await log.publish();
  const forged = log.reader().checkpoint.note;
  const anchors: Anchor[] = [
    {
      name: 'played',
      latest: async () => [forged, forged.replaceAll(OLD, 'theirs/lockstep-audit')],
      publish: async () => {},
    },
  ];
  const { lost } = await foreseeAdoption(optionsOf(played, { anchors }).options);
  expect(lost).toEqual([{ origin: OLD, kept: 3, from: 3, to: 4 }]);
});

test('a log of which nothing is lost is not given up, nor one that only the disk or the database keeps from opening', async () => {
  const { whole: disk, store, clock } = await rolledBack();
  const before = disk.list('/');
  await expect(adoptLog(optionsOf({ disk, store, clock }).options)).rejects.toMatchObject({ code: 'REQUEST_INVALID' });
  const none = optionsOf({ disk: new SimulatedDisk(), store: new PlayedAnchors(), clock });
  await expect(adoptLog(none.options)).rejects.toMatchObject({ code: 'REQUEST_INVALID' });
  expect(disk.list('/')).toEqual(before);
});

test('an attempt that died before the new log took its place is no hindrance', async () => {
  const played = await rolledBack();
  played.disk.makeDirectory('/audit.new/journal');
  played.disk.createSecret('/audit.key.new', 'half a key');
  const { begun } = await adoptLog(optionsOf(played).options);
  expect(begun).toMatchObject({ origin: `${OLD}-2` });
});
