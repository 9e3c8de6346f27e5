/**
 * The log on a disk whose power ends, or which fails, at any of its changes: what was acknowledged is there afterwards, what
 * was signed still holds, and the log verifies before anybody has repaired anything.
 */
import { expect, test } from 'vitest';
import type { AuditEntry } from '#contract/audit.ts';
import { AppError } from '#contract/errors.ts';
import { event, LOG_DIRECTORY, LOG_KEY, openLog } from '#testing/audit-events.ts';
import { ManualClock, settle } from '#testing/manual-clock.ts';
import { PowerLossError, SimulatedDisk } from '#testing/simulated-disk.ts';
import { createRandom, type Random } from '#util/random.ts';
import { systemClock } from '#util/host.ts';
import type { AuditLog } from './audit-log.ts';
import { verifyLog } from './verify-log.ts';

const SEED = Number(process.env['LOCKSTEP_SEED'] ?? 1);
const RUNS = process.env['LOCKSTEP_FULL'] ? 3_000 : 20;

/** What is known outside of the log of what it must hold. */
interface Known {
  readonly acknowledged: Map<number, AuditEntry>;
  checkpoint: string | null;
  size: number;
}

test.each(Array.from({ length: RUNS }, (_, i) => SEED + i))(
  'a log that loses power three times has everything that was acknowledged (seed %i)',
  async (seed) => {
    const random = createRandom(seed);
    const known: Known = { acknowledged: new Map(), checkpoint: null, size: 0 };
    const clock = new ManualClock();
    let disk = new SimulatedDisk();
    for (let round = 0; round < 3; round++) {
      disk.breakAt(1 + Math.floor(random.next() ** 2 * 400), 'power');
      await liveUntilBroken(disk, clock, random, known);
      disk = random.next() < 0.8 ? disk.afterPowerLoss(random) : disk.afterKill();
      await expectAsSigned(disk, known);
      const { log } = await openLog({ disk, clock });
      await expectAcknowledged(log, known);
      for (const intent of log.dangling) known.acknowledged.set(...pair(await log.settle(intent, 'unknown')));
      await log.publish();
      remember(log, known);
      expect(await verified(disk, known)).toMatchObject({ verdict: 'verified', size: log.size, openIntents: [] });
      disk = disk.afterKill(); // the next process takes over from one that lives
    }
  },
);

test.each(Array.from({ length: RUNS }, (_, i) => SEED + i))(
  'a log whose disk fails refuses from then on, and goes on when it is opened again (seed %i)',
  async (seed) => {
    const random = createRandom(seed);
    const known: Known = { acknowledged: new Map(), checkpoint: null, size: 0 };
    const clock = new ManualClock();
    const disk = new SimulatedDisk();
    disk.breakAt(1 + Math.floor(random.next() ** 2 * 400), random.next() < 0.5 ? 'EIO' : 'ENOSPC');
    await liveUntilBroken(disk, clock, random, known);
    await expectAsSigned(disk, known);
    const { log } = await openLog({ disk, clock });
    await expectAcknowledged(log, known);
  },
);

test.each(Array.from({ length: RUNS }, (_, i) => SEED + i))(
  'what either of two processes has acknowledged is there when power ends in the middle of it (seed %i)',
  async (seed) => {
    const random = createRandom(seed);
    const clock = new ManualClock();
    const { log: first, disk, failures } = await openLog({ clock, journalBytesMax: 5_000 });
    const acknowledged: AuditEntry[] = [await first.record(event())];
    const logs = [first];
    const turns = Math.floor(random.next() * 40);
    let isOpening = true;
    const opening = waitTurns(turns)
      .then(async () => {
        disk.breakAt(disk.changes + 1 + Math.floor(random.next() * 60), 'power');
        logs.push((await openLog({ disk, clock })).log);
      })
      .catch(expectUnavailable)
      .finally(() => (isOpening = false));
    while (isOpening || logs.some(({ failure }) => failure === null)) {
      for (const log of logs) void log.record(event()).then((entry) => acknowledged.push(entry), expectUnavailable);
      if (random.next() < 0.1) void first.publish();
      await waitTurns(Math.floor(random.next() * 4));
    }
    await opening;
    expect(failures).toHaveLength(1);
    const after = disk.afterPowerLoss(random);
    const { log } = await openLog({ disk: after, clock });
    const reader = log.reader();
    for (const entry of acknowledged) expect(reader.entry(entry.seq)).toEqual(entry);
    const found = await verifyLog(after, LOG_DIRECTORY, { clock: systemClock, key: LOG_KEY.verifier });
    expect(found.verdict).toBe('verified');
  },
);

async function waitTurns(turns: number): Promise<void> {
  for (let left = turns; left > 0; left--) await Promise.resolve();
}

/** Writes, waits and closes at random, until the disk breaks. */
async function liveUntilBroken(disk: SimulatedDisk, clock: ManualClock, random: Random, known: Known): Promise<void> {
  const opened = await openLog({ disk, clock, journalBytesMax: 20_000 }).catch((error: unknown) => {
    if (!(error instanceof AppError)) throw error;
    return null;
  });
  if (!opened) return;
  const { log, failures } = opened;
  const intents: AuditEntry[] = [];
  const acknowledge = (entry: AuditEntry): void => {
    known.acknowledged.set(entry.seq, entry);
    if (entry.phase === 'intent') intents.push(entry);
  };
  const noted = (promise: Promise<AuditEntry>): void => void promise.then(acknowledge, expectUnavailable);
  while (failures.length === 0) {
    const choice = random.next();
    if (choice < 0.4)
      for (let left = Math.floor(random.next() * 100); left > 0; left--) noted(log.record(event('topics.view')));
    else if (choice < 0.6) noted(log.intend(event('jobs.stop')));
    else if (choice < 0.7 && intents.length > 0) noted(log.settle(intents.shift()!, 'succeeded'));
    else if (choice < 0.9) await clock.advance(Math.floor(random.next() * 3_000));
    else await settle();
    remember(log, known);
  }
  await settle();
  remember(log, known);
  await expect(log.record(event())).rejects.toMatchObject({ code: 'AUDIT_UNAVAILABLE' });
}

function expectUnavailable(error: unknown): void {
  expect(error).toMatchObject({ code: 'AUDIT_UNAVAILABLE' });
  const { cause, message } = error as Error;
  const isOfDisk = cause instanceof PowerLossError || (cause as { code?: string } | undefined)?.code !== undefined;
  expect(isOfDisk || message.startsWith('Another process has opened')).toBe(true);
}

function remember(log: AuditLog, known: Known): void {
  const { checkpoint } = log.reader();
  [known.checkpoint, known.size] = [checkpoint.note, checkpoint.size];
}

/** The files alone, as an auditor finds them who takes them from a machine that is down. */
async function expectAsSigned(disk: SimulatedDisk, known: Known): Promise<void> {
  if (known.checkpoint === null) return;
  const found = await verified(disk, known);
  expect(found.size).toBeGreaterThanOrEqual(known.size);
  expect(Object.keys(found.counts).filter((kind) => kind !== 'intent-without-outcome')).toEqual([]);
}

async function expectAcknowledged(log: AuditLog, known: Known): Promise<void> {
  const reader = log.reader();
  for (const [seq, entry] of known.acknowledged) expect(reader.entry(seq)).toEqual(entry);
  const entries = Array.from({ length: reader.size }, (_, seq) => reader.entry(seq));
  const settled = new Set(entries.map(({ parentSeq }) => parentSeq));
  const open = entries.filter(({ phase, seq }) => phase === 'intent' && !settled.has(seq));
  expect(log.dangling).toEqual(open);
}

function verified(disk: SimulatedDisk, known: Known) {
  const since = known.checkpoint === null ? {} : { since: known.checkpoint };
  return verifyLog(disk, LOG_DIRECTORY, { clock: systemClock, key: LOG_KEY.verifier, ...since });
}

function pair(entry: AuditEntry): [number, AuditEntry] {
  return [entry.seq, entry];
}
