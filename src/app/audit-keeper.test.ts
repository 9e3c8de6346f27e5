import { describe, expect, test } from 'vitest';
import type { AuditEvent } from '#contract/audit.ts';
import type { Anchor } from '#prove/log/anchor.ts';
import { readFound } from '#prove/log/adopt-restore.ts';
import { AuditLog } from '#prove/log/audit-log.ts';
import { signCheckpoint } from '#prove/log/checkpoint.ts';
import { verifyBundle } from '#prove/log/evidence-bundle.ts';
import { signerKeyOf, type SignerKey } from '#prove/log/note.ts';
import type { LogAnchors } from '#store/log-anchors.ts';
import { event, LOG_DIRECTORY, LOG_KEY, OTHER_KEY, playedAnchors } from '#testing/audit-events.ts';
import { ManualClock, settle } from '#testing/manual-clock.ts';
import { SimulatedDisk } from '#testing/simulated-disk.ts';
import { must } from '#util/assert.ts';
import { AuditKeeper, type DanglingIntent } from './audit-keeper.ts';

function played({
  disk = new SimulatedDisk(),
  store = {},
  anchors = [],
  otherLogs = [],
}: {
  disk?: SimulatedDisk;
  store?: Partial<LogAnchors>;
  anchors?: readonly Anchor[];
  otherLogs?: readonly string[];
} = {}) {
  const clock = new ManualClock();
  const dangling: DanglingIntent[] = [];
  const troubles: string[] = [];
  const keeper = new AuditKeeper({
    disk,
    clock,
    directory: LOG_DIRECTORY,
    key: LOG_KEY,
    anchors,
    otherLogs,
    store: { logAnchors: playedAnchors(store) },
    observers: {
      onOpen: (log) => void dangling.push(...log.dangling),
      onTrouble: (message) => void troubles.push(message),
    },
  });
  return { keeper, clock, disk, dangling, troubles };
}

/** A process that was killed between the intents and the outcomes of two changes. */
async function killedLog(): Promise<SimulatedDisk> {
  const disk = new SimulatedDisk();
  const clock = new ManualClock();
  const log = await AuditLog.open({ disk, directory: LOG_DIRECTORY, clock, key: LOG_KEY, onFailure: () => {} });
  await log.intend(event('job.start'));
  await log.intend(event('job.stop'));
  await log.publish();
  return disk.afterKill();
}

const change: AuditEvent = event('job.pause');

async function outcomesOf(keeper: AuditKeeper, intent: number): Promise<string[]> {
  const { entries } = await keeper.page({}, { before: null, limit: 100 });
  return entries
    .filter(({ parentSeq }) => parentSeq === intent)
    .map(({ outcome, reason }) => [outcome, reason].filter((each) => each !== undefined).join(' '));
}

test('intents that were left open are settled as unknown, and it is told which took effect in the store', async () => {
  const disk = await killedLog();
  const { keeper, dangling } = played({ disk, store: { effectsOf: async (intents) => intents.slice(0, 1) } });
  await keeper.open();
  expect(dangling.map(({ entry, hasEffect }) => [entry.action, hasEffect])).toEqual([
    ['job.start', true],
    ['job.stop', false],
  ]);
  await keeper.close();
  const again = played({ disk: disk.afterKill() });
  await again.keeper.open();
  expect(again.dangling).toEqual([]);
  const { entries } = await again.keeper.page({ outcome: 'unknown' }, { before: null, limit: 10 });
  expect(entries.map(({ action, evidence }) => [action, evidence])).toEqual([
    ['job.stop', [{ kind: 'effects-in-store', size: 0 }]],
    ['job.start', [{ kind: 'effects-in-store', size: 1 }]],
  ]);
  await again.keeper.close();
});

test('where the store cannot be asked, what became of them stays open', async () => {
  const { keeper, dangling } = played({
    disk: await killedLog(),
    store: { effectsOf: () => Promise.reject(new Error('locked')) },
  });
  await keeper.open();
  expect(dangling.map(({ hasEffect }) => hasEffect)).toEqual([null, null]);
  await keeper.close();
});

test('a log that cannot be opened refuses changes, and is tried again', async () => {
  const disk = new SimulatedDisk();
  disk.breakAt(1, 'ENOSPC');
  const { keeper, clock, troubles } = played({ disk });
  await keeper.open();
  expect(keeper.isWritable()).toBe(false);
  await expect(keeper.intend(change)).rejects.toMatchObject({ code: 'AUDIT_UNAVAILABLE' });
  expect(troubles).toEqual(['the audit log cannot be opened: nothing is changed until it can']);
  await clock.advance(30_000);
  await settle();
  expect(keeper.isWritable()).toBe(true);
  expect(await keeper.intend(change)).toMatchObject({ phase: 'intent', action: 'job.pause' });
  await keeper.close();
});

test('a log that failed with its disk is opened again, with what this process knows of its intents', async () => {
  const seen: number[] = [];
  const { keeper, clock, disk, dangling, troubles } = played({
    store: { see: async ({ size }) => void seen.push(size) },
  });
  await keeper.open();
  const [told, untold, underWay] = [
    await keeper.intend(change),
    await keeper.intend(change),
    await keeper.intend(change),
  ];
  await keeper.settle(told, 'succeeded');
  disk.breakAt(disk.changes + 1, 'ENOSPC');
  await expect(keeper.settle(untold, 'failed', { reason: 'CLUSTER_REFUSED' })).rejects.toMatchObject({
    code: 'AUDIT_UNAVAILABLE',
    cause: { code: 'ENOSPC' },
  });
  expect(troubles).toEqual(['the audit log takes nothing any more']);
  expect(keeper.isWritable()).toBe(false);
  await expect(keeper.intend(change)).rejects.toMatchObject({ code: 'AUDIT_UNAVAILABLE' });
  expect((await keeper.page({}, { before: null, limit: 10 })).entries.at(-1)?.action).toBe('log.start');

  await clock.advance(30_000);
  await settle();
  expect(keeper.isWritable()).toBe(true);
  await keeper.settle(underWay, 'succeeded');
  await clock.advance(1_001); // a checkpoint
  const settled = await Promise.all([told, untold, underWay].map(({ seq }) => outcomesOf(keeper, seq)));
  expect(settled).toEqual([['succeeded'], ['failed CLUSTER_REFUSED'], ['succeeded']]);
  expect([dangling, troubles.length]).toEqual([[], 1]);
  const { seq } = await keeper.record(change, 'succeeded');
  await clock.advance(61_000);
  expect(seen.at(-1), 'the store is shown the log that is open now').toBeGreaterThan(seq);

  disk.breakAt(disk.changes + 1, 'EIO');
  await expect(keeper.record(change, 'succeeded')).rejects.toMatchObject({ code: 'AUDIT_UNAVAILABLE' });
  await clock.advance(30_000);
  await settle();
  expect(await keeper.record(change, 'succeeded'), 'and once more').toMatchObject({ action: 'job.pause' });
  await keeper.close();
});

test('a log that another process has opened is left to it', async () => {
  const { keeper, clock, disk } = played();
  await keeper.open();
  const other = await AuditLog.open({ disk, directory: LOG_DIRECTORY, clock, key: LOG_KEY, onFailure: () => {} });
  await expect(keeper.record(change, 'succeeded')).rejects.toMatchObject({ details: { isTaken: true } });
  await clock.advance(120_000);
  await settle();
  expect(keeper.isWritable()).toBe(false);
  expect(await other.record(change)).toMatchObject({ action: 'job.pause' });
  await keeper.close();
  await other.close();
});

test('a log that is shorter than what the store has seen is not gone on with, now or later', async () => {
  const root = Buffer.alloc(32).toString('base64');
  const seen = { origin: LOG_KEY.verifier.name, size: 100, root, seenAt: 0 };
  const { keeper, clock } = played({ disk: await killedLog(), store: { all: async () => [seen] } });
  await keeper.open();
  await clock.advance(120_000);
  await expect(keeper.record(change, 'succeeded')).rejects.toMatchObject({
    code: 'AUDIT_UNAVAILABLE',
    cause: { code: 'LOG_ROLLED_BACK' },
  });
  await keeper.close();
});

test('a log with another past than the store has seen is not gone on with', async () => {
  const seen = { origin: LOG_KEY.verifier.name, size: 2, root: Buffer.alloc(32).toString('base64'), seenAt: 0 };
  const { keeper } = played({ disk: await killedLog(), store: { all: async () => [seen] } });
  await keeper.open();
  await expect(keeper.intend(change)).rejects.toMatchObject({ cause: { code: 'LOG_TAMPERED' } });
  await keeper.close();
});

describe('a log that nobody has seen', () => {
  const root = Buffer.alloc(32).toString('base64');
  const other = { origin: 'old-host/lockstep-audit', size: 100, root, seenAt: 0 };
  const refused = { cause: { code: 'LOG_ROLLED_BACK' } };
  const holding = (...keys: readonly SignerKey[]): Anchor => ({
    name: 'played',
    latest: async () => ['junk', ...keys.map((key) => signCheckpoint({ size: 100, root: Buffer.alloc(32) }, [key]))],
    publish: async () => {},
  });

  test('is not begun where the store has seen another', async () => {
    const { keeper } = played({ store: { all: async () => [other] } });
    await keeper.open();
    await expect(keeper.intend(change)).rejects.toMatchObject(refused);
    await keeper.close();
  });

  test.each([
    ['another log', signerKeyOf('old-host/lockstep-audit', Buffer.alloc(32, 3))],
    ['this one under another key', OTHER_KEY],
  ])('is not begun where an anchor holds %s, and nothing of it', async (_, key) => {
    const { keeper } = played({ anchors: [holding(key)] });
    await keeper.open();
    await expect(keeper.intend(change)).rejects.toMatchObject(refused);
    await keeper.close();
  });

  test('is begun where the logs in the anchor are said to be of other servers', async () => {
    const theirs = signerKeyOf('theirs/lockstep-audit', Buffer.alloc(32, 3));
    const { keeper } = played({ anchors: [holding(theirs)], otherLogs: [theirs.verifier.name] });
    await keeper.open();
    expect(keeper.isWritable()).toBe(true);
    await keeper.close();
  });

  test('one that the store knows is not stopped by what others write to its anchors', async () => {
    const disk = await killedLog();
    const { size, root, origin } = must(readFound(disk, LOG_DIRECTORY), 'log').checkpoint;
    const seen = { origin, size, root: root.toString('base64'), seenAt: 0 };
    const { keeper } = played({ disk, store: { all: async () => [seen, other] }, anchors: [holding(OTHER_KEY)] });
    await keeper.open();
    expect(keeper.isWritable()).toBe(true);
    await keeper.close();
  });

  test('one that was abandoned is not gone on with, whole as it is', async () => {
    const { keeper } = played({ store: { abandoned: async () => [LOG_KEY.verifier.name] } });
    await keeper.open();
    await expect(keeper.intend(change)).rejects.toMatchObject(refused);
    await keeper.close();
  });
});

test('the store and the anchors are shown how far the log has come, once a minute', async () => {
  const seen: number[] = [];
  const notes: string[] = [];
  const anchor: Anchor = {
    name: 'played',
    latest: async () => [],
    publish: async (note) => void notes.push(note),
  };
  const { keeper, clock } = played({
    anchors: [anchor],
    store: { see: async ({ size }) => void seen.push(size) },
  });
  await keeper.open();
  await settle();
  expect([seen, notes.length]).toEqual([[1], 1]);
  await keeper.record(change, 'succeeded');
  await clock.advance(60_000);
  expect(seen).toEqual([1, 2]);
  expect(notes).toHaveLength(2);
  await keeper.close();
});

test('an anchor that does not answer is told once, and holds nothing up', async () => {
  const { keeper, clock, troubles } = played({
    anchors: [{ name: 'gone', latest: () => Promise.reject(new Error('no route')), publish: async () => {} }],
  });
  await keeper.open();
  for (let minutes = 0; minutes < 3; minutes++) await clock.advance(60_000);
  expect(keeper.isWritable()).toBe(true);
  expect(troubles).toEqual(['the audit log is not anchored in gone']);
  await keeper.close();
});

test('entries are read page by page, and all of them the oldest first; each can be proven', async () => {
  const { keeper, clock } = played();
  await keeper.open();
  for (let i = 0; i < 3; i++) await keeper.record(change, 'succeeded');
  await clock.advance(1_000); // the next checkpoint
  const { entries, next } = await keeper.page({ action: 'job' }, { before: null, limit: 2 });
  expect(entries.map(({ seq }) => seq)).toEqual([3, 2]);
  expect(next).toBe(2);
  const seqs: number[] = [];
  const reading = (async () => {
    for await (const { seq } of keeper.all({ action: 'job' })) seqs.push(seq);
  })();
  while (clock.pending > 0 && seqs.length < 3) await clock.advance(0);
  await clock.advance(0);
  await reading;
  expect(seqs).toEqual([1, 2, 3]);
  expect(await keeper.entry(2)).toMatchObject({ seq: 2, action: 'job.pause' });
  expect([await keeper.entry(9), await keeper.proof(9)]).toEqual([null, null]);
  expect(await keeper.proof(2)).toContain('c2sp.org/tlog-proof@v1');
  expect(await keeper.checkpoint()).toMatchObject({ size: 4, verifierKey: LOG_KEY.verifier.text });
  await keeper.close();
});

test('entries are handed out as evidence that is verified with the key alone, those of many as well', async () => {
  const { keeper, clock } = played();
  await keeper.open();
  for (let i = 0; i < 120; i++) await keeper.record(change, 'succeeded');
  await clock.advance(1_000); // the next checkpoint
  const [making, others] = [keeper.bundle({ action: 'job' }), keeper.bundle({ action: 'nothing' })];
  for (let turns = 0; turns < 20; turns++) await clock.advance(0);
  const made = must(await making, 'bundle');
  expect(verifyBundle(made, LOG_KEY.verifier)).toMatchObject({ verdict: 'verified', entries: 120, isContiguous: true });
  expect(verifyBundle(must(await others, 'bundle'), LOG_KEY.verifier)).toMatchObject({ entries: 0 });
  await keeper.close();
});

test('what jobs did before the log was open is in it afterwards', async () => {
  const { keeper, clock } = played();
  keeper.note(event('job.incident'), 'failed');
  await keeper.open();
  await settle();
  await clock.advance(1_000);
  const { entries } = await keeper.page({ action: 'job.incident' }, { before: null, limit: 5 });
  expect(entries).toMatchObject([{ phase: 'event', outcome: 'failed' }]);
  await keeper.close();
});
