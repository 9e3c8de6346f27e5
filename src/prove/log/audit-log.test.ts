/** The writer, one behaviour at a time; what a crash leaves is in audit-log.sim.test.ts. */
import { describe, expect, test } from 'vitest';
import type { AuditEntry } from '#contract/audit.ts';
import { AppError } from '#contract/errors.ts';
import { event, LOG_DIRECTORY, LOG_KEY, OTHER_KEY, openLog } from '#testing/audit-events.ts';
import { ManualClock, settle } from '#testing/manual-clock.ts';
import { SimulatedDisk } from '#testing/simulated-disk.ts';
import { systemClock, type AppendFile } from '#util/host.ts';
import { createRandom } from '#util/random.ts';
import { adoptedBy, adoptRestore, lostEntries, lostLogOf, readFound } from './adopt-restore.ts';
import { Anchoring, type Anchor } from './anchor.ts';
import { audited } from './audited.ts';
import { createFileAnchor } from './file-anchor.ts';
import { signerKeyOf } from './note.ts';
import { AuditSpool } from './spool.ts';
import { verifyLog } from './verify-log.ts';

const verify = (disk: SimulatedDisk, more: { since?: string; anchors?: string } = {}) =>
  verifyLog(disk, LOG_DIRECTORY, { clock: systemClock, key: LOG_KEY.verifier, ...more });

test('who waits for a write that fails behind a failure is told too', async () => {
  const held = Promise.withResolvers<never>();
  let isHeld = false;
  class SlowDisk extends SimulatedDisk {
    override async createAppendFile(path: string): Promise<AppendFile> {
      const file = await super.createAppendFile(path);
      return { append: (bytes) => (isHeld ? held.promise : file.append(bytes)), close: () => file.close() };
    }
  }
  const { log, disk, failures } = await openLog({ disk: new SlowDisk() });
  await log.record(event());
  isHeld = true;
  const recording = log.record(event());
  disk.breakAt(disk.changes + 1, 'EIO');
  await log.publish();
  expect(failures).toHaveLength(1);
  held.reject(new Error('it failed, too'));
  await expect(recording).rejects.toMatchObject({ code: 'AUDIT_UNAVAILABLE', cause: { code: 'EIO' } });
  expect(failures).toHaveLength(1);
});

test('a start, what happened, and a stop are in the log under a checkpoint', async () => {
  const { log, disk } = await openLog();
  const entry = await log.record(event('auth.login', { reason: 'AUTH_INVALID' }), 'denied');
  expect(entry).toEqual({
    ...event('auth.login'),
    reason: 'AUTH_INVALID',
    v: 1,
    seq: 1,
    ts: 1_700_000_000_000,
    clock: 'wall',
    phase: 'event',
    outcome: 'denied',
  });
  await log.close();
  const actions = Array.from({ length: 3 }, (_, seq) => log.reader().entry(seq).action);
  expect(actions).toEqual(['log.start', 'auth.login', 'log.stop']);
  expect(await verify(disk)).toMatchObject({ verdict: 'verified', size: 3, starts: 1 });
  await expect(log.record(event())).rejects.toMatchObject({ code: 'AUDIT_UNAVAILABLE' });
});

test('entries of one moment share a write', async () => {
  const { log, disk } = await openLog();
  const before = disk.changes;
  await Promise.all(Array.from({ length: 500 }, () => log.record(event())));
  expect(disk.changes - before).toBe(2); // the bytes, and their sync
});

test('a checkpoint follows within a second, by itself', async () => {
  const { log, clock } = await openLog();
  await log.record(event());
  expect(log.reader().size).toBe(1);
  await clock.advance(1_000);
  for (let turn = 0; turn < 50; turn++) await settle();
  expect(log.reader().size).toBe(2);
});

test('while nothing happens there is a heartbeat a minute, and none beside other entries', async () => {
  const { log, clock } = await openLog();
  await clock.advance(60_000);
  await clock.advance(30_000);
  await log.record(event());
  await clock.advance(59_000);
  await clock.advance(61_000);
  await log.publish();
  const reader = log.reader();
  const found = Array.from({ length: reader.size }, (_, seq) => [
    reader.entry(seq).action,
    reader.entry(seq).ts - 1_700_000_000_000,
  ]);
  expect(found).toEqual([
    ['log.start', 0],
    ['log.heartbeat', 60_000],
    ['jobs.start', 90_000],
    ['log.heartbeat', 150_000],
    ['log.heartbeat', 210_000],
  ]);
});

test('a queue that is full refuses what would begin, and takes the outcomes of what has begun', async () => {
  const { log } = await openLog({ queueBytesMax: 1_000 });
  const intent = await log.intend(event());
  const all = Array.from({ length: 20 }, () =>
    log.record(event()).then(
      () => 'taken',
      (error: AppError) => error.code,
    ),
  );
  const outcome = log.settle(intent, 'succeeded');
  expect(new Set(await Promise.all(all))).toEqual(new Set(['taken', 'AUDIT_UNAVAILABLE']));
  expect(await outcome).toMatchObject({ phase: 'outcome', parentSeq: intent.seq });
  expect(log.failure).toBeNull();
  expect(await log.record(event())).toMatchObject({ seq: log.size - 1 });
});

test('the clock that is set back or on is in the log, and times do not go back', async () => {
  class SetClock extends ManualClock {
    offsetMs = 0;
    override now(): number {
      return super.now() + this.offsetMs;
    }
  }
  const clock = new SetClock();
  const { log, disk } = await openLog({ clock });
  clock.offsetMs = -5_000;
  const after = await log.record(event());
  clock.offsetMs = 60_000;
  await log.record(event());
  await log.close();
  const reader = log.reader();
  expect(reader.entry(1)).toMatchObject({
    action: 'log.clock-step',
    clock: 'held',
    evidence: [{ kind: 'back-ms', size: 5_000 }],
  });
  expect(after).toMatchObject({ ts: reader.entry(0).ts, clock: 'held' });
  expect(reader.entry(3)).toMatchObject({ clock: 'wall', evidence: [{ kind: 'forward-ms', size: 65_000 }] });
  expect((await verify(disk)).verdict).toBe('verified');
});

test('a resource that somebody made up has an id of bounded length, and is in the log', async () => {
  const { log } = await openLog();
  const entry = await log.record(
    event('topics.view', { resource: { type: 'topic', id: 'x\ud800'.repeat(300) } }),
    'denied',
  );
  expect(entry.resource.id).toHaveLength(256);
  expect((await log.record(event('topics.view', { resource: { type: 'topic', id: '' } }))).resource.id).toBe('-');
});

test('what the schema does not know is refused: there is no field for a secret', async () => {
  const { log } = await openLog();
  const withSecret = { ...event(), password: 'hunter2' };
  await expect(log.record(withSecret)).rejects.toThrow('Unrecognized key');
  await expect(log.record(event('jobs.start', { reason: 'the password was hunter2' }))).rejects.toThrow(
    'must be a code',
  );
  expect(await log.record(event())).toMatchObject({ seq: 1 });
});

describe('intents', () => {
  test('an effect happens when its intent is durable, and its outcome follows', async () => {
    const { log, disk } = await openLog();
    const seen: number[] = [];
    const change = { afterDigest: 'a'.repeat(64) };
    const result = await audited(log, { event: event() }, async () => {
      seen.push(log.size);
      return { result: 'done', change };
    });
    expect([result, seen]).toEqual(['done', [2]]);
    await log.publish();
    expect(log.reader().entry(2)).toMatchObject({ phase: 'outcome', outcome: 'succeeded', parentSeq: 1, change });
    expect((await verify(disk)).openIntents).toEqual([]);
  });

  test('a failure is an outcome with its code, and goes on up', async () => {
    const { log } = await openLog();
    const refused = new AppError('CLUSTER_UNREACHABLE', 'west does not answer');
    const outcomeOf = () => 'unknown' as const;
    await expect(audited(log, { event: event(), outcomeOf }, () => Promise.reject(refused))).rejects.toBe(refused);
    await log.publish();
    expect(log.reader().entry(2)).toMatchObject({ outcome: 'unknown', reason: 'CLUSTER_UNREACHABLE' });
  });

  test('reg-audit-insert-error-swallowed: nothing is done where its intent cannot be logged, and what was done is said where its outcome cannot', async () => {
    const { log, disk, failures } = await openLog();
    let done = 0;
    const effect = async () => {
      done++;
      disk.breakAt(disk.changes + 1, 'EIO');
      return { result: null };
    };
    await expect(audited(log, { event: event() }, effect)).rejects.toMatchObject({
      code: 'AUDIT_UNAVAILABLE',
      details: { isDone: true, intent: 1 },
    });
    await expect(audited(log, { event: event() }, effect)).rejects.toMatchObject({
      code: 'AUDIT_UNAVAILABLE',
      details: {},
    });
    expect([done, failures.length]).toEqual([1, 1]);
    const again = await openLog({ disk });
    expect(again.log.dangling).toMatchObject([{ seq: 1, action: 'jobs.start' }]);
  });

  test('one whose outcome waits while the journal changes is found when that outcome is lost', async () => {
    class WatchedDisk extends SimulatedDisk {
      onNextJournal = (): void => {};
      override async createAppendFile(path: string) {
        const file = await super.createAppendFile(path);
        this.onNextJournal();
        return file;
      }
    }
    const disk = new WatchedDisk();
    const { log } = await openLog({ disk, journalBytesMax: 1 });
    const intent = await log.intend(event());
    const lost: Promise<unknown>[] = [];
    disk.onNextJournal = () => {
      disk.onNextJournal = () => {};
      lost.push(log.settle(intent, 'succeeded').catch((error: unknown) => error));
      // The name of the journal, its header and the sync of that; then the outcome, of which half is written.
      disk.breakAt(disk.changes + 4, 'power');
    };
    await Promise.all([log.record(event()), Promise.resolve().then(settle)]);
    expect(await Promise.all(lost)).toMatchObject([{ code: 'AUDIT_UNAVAILABLE' }]);
    const again = await openLog({ disk: disk.afterPowerLoss(createRandom(1)) });
    expect(again.log.dangling.map(({ seq }) => seq)).toEqual([intent.seq]);
  });

  test('one from before a start is reported, by the log and by the verifier, until it is settled', async () => {
    const { log, disk } = await openLog();
    const intent = await log.intend(event('topics.delete'));
    await log.publish();
    expect(await verify(disk)).toMatchObject({ verdict: 'verified', openIntents: [1] });
    const { log: next } = await openLog({ disk: disk.afterKill() });
    expect(next.dangling).toEqual([intent]);
    expect(next.reader().entry(2)).toMatchObject({
      action: 'log.start',
      evidence: [{ kind: 'dangling-intents', size: 1 }],
    });
    expect(await verify(disk)).toMatchObject({ verdict: 'incomplete', counts: { 'intent-without-outcome': 1 } });
    await next.settle(next.dangling[0]!, 'unknown');
    await next.publish();
    expect(await verify(disk)).toMatchObject({ verdict: 'verified', openIntents: [] });
  });
});

test('of two processes the later one has the log: the earlier acknowledges nothing any more', async () => {
  const { log, disk, failures } = await openLog();
  await log.record(event());
  const { log: later } = await openLog({ disk });
  const late = log.record(event('jobs.stop'));
  await expect(late).rejects.toMatchObject({ code: 'AUDIT_UNAVAILABLE' });
  expect(failures).toHaveLength(1);
  await later.record(event());
  await later.close();
  const reader = later.reader();
  expect(Array.from({ length: reader.size }, (_, seq) => reader.entry(seq).action)).toEqual([
    'log.start',
    'jobs.start',
    'log.start',
    'jobs.start',
    'log.stop',
  ]);
  expect((await verify(disk)).verdict).toBe('verified');
});

describe('a log that is not as it was left is not signed', () => {
  const left = async (): Promise<SimulatedDisk> => {
    const { log, disk } = await openLog();
    for (let i = 0; i < 300; i++) void log.record(event());
    await log.close();
    return disk;
  };

  const changed = async (path: string): Promise<SimulatedDisk> => {
    const disk = await left();
    const bytes = disk.readBytes(`${LOG_DIRECTORY}/${path}`);
    bytes[30]! ^= 1;
    await disk.writeDurably(`${LOG_DIRECTORY}/${path}`, bytes);
    return disk;
  };

  test.each([
    ['checkpoint', 'its checkpoint is damaged'],
    ['tile/1/000.p/1', 'do not have the root'],
    ['tile/entries/001.p/46', 'does not hold the entries'],
  ])('with %s changed', async (path, message) => {
    const refused = { code: 'LOG_TAMPERED', message: expect.stringContaining(message) };
    await expect(openLog({ disk: await changed(path) })).rejects.toMatchObject(refused);
  });

  test('but for what is not needed to go on: the verifier finds what is wrong with that', async () => {
    const disk = await changed('tile/0/000');
    expect((await openLog({ disk })).log.size).toBe(303);
    expect(await verify(disk)).toMatchObject({ verdict: 'tampered', counts: { 'entry-differs': 1 } });
  });

  test('with a checkpoint of another key, or a journal that has lost what was signed', async () => {
    const disk = await left();
    await expect(openLog({ disk, key: OTHER_KEY })).rejects.toMatchObject({ code: 'LOG_TAMPERED' });
    const other = new SimulatedDisk();
    const { log } = await openLog({ disk: other });
    await log.close();
    const shorter = other.readBytes(`${LOG_DIRECTORY}/checkpoint`);
    await disk.writeDurably(`${LOG_DIRECTORY}/checkpoint`, shorter);
    await expect(openLog({ disk })).rejects.toMatchObject({ code: 'LOG_TAMPERED' });
  });

  test('with a damaged journal behind which there is more', async () => {
    const { log, disk } = await openLog();
    await log.record(event());
    await log.record(event());
    const [name = ''] = disk.list(`${LOG_DIRECTORY}/journal`);
    const path = `${LOG_DIRECTORY}/journal/${name}`;
    const bytes = disk.readBytes(path);
    bytes[bytes.indexOf('jobs.start')]! ^= 1;
    await disk.writeDurably(path, bytes);
    await expect(openLog({ disk: disk.afterKill() })).rejects.toMatchObject({ code: 'LOG_TAMPERED' });
  });
});

test('a log of which only the files for readers were kept goes on from its checkpoint', async () => {
  const { log, disk } = await openLog();
  const intent = await log.intend(event());
  await log.close();
  disk.remove(`${LOG_DIRECTORY}/journal`);
  const { log: next } = await openLog({ disk });
  expect([next.size, next.dangling]).toEqual([4, [intent]]);
});

describe('keys', () => {
  const next = signerKeyOf(LOG_KEY.verifier.name, Buffer.alloc(32, 9));

  test('who trusts the first key verifies what the next one has signed, by the entry that both have signed', async () => {
    const { log, disk } = await openLog();
    await log.rotate(next);
    await log.close();
    const { log: later } = await openLog({ disk, key: next });
    await later.close();
    expect(await verify(disk)).toMatchObject({ verdict: 'verified', signedBy: next.verifier.text, rotations: 1 });
    const strange = await verifyLog(disk, LOG_DIRECTORY, { clock: systemClock, key: OTHER_KEY.verifier });
    expect(strange).toMatchObject({ verdict: 'tampered', counts: { 'checkpoint-unsigned': 1, 'rotation-invalid': 1 } });
  });
});

describe('anchors', () => {
  const anchoring = (anchors: Anchor[], signal = new AbortController().signal, clock = new ManualClock()) =>
    new Anchoring({ anchors, directory: LOG_DIRECTORY, keys: [LOG_KEY.verifier], clock, signal });

  test('a file keeps checkpoints; a log that is shorter, or another, is not opened', async () => {
    const elsewhere = new SimulatedDisk();
    const anchor = createFileAnchor(elsewhere, '/anchors');
    expect(await anchor.latest()).toEqual([]);
    const { log, disk } = await openLog();
    await log.record(event());
    const early = disk.afterPowerLoss(createRandom(3));
    await log.close();
    await anchor.publish(log.reader().checkpoint.note);
    const check = (reader: Parameters<Anchoring['check']>[0]) => anchoring([anchor]).check(reader);
    const again = await openLog({ disk, beforeSigning: check });
    await again.log.close();
    await expect(openLog({ disk: early, beforeSigning: check })).rejects.toMatchObject({ code: 'LOG_ROLLED_BACK' });
    await expect(openLog({ beforeSigning: check })).rejects.toMatchObject({
      code: 'LOG_ROLLED_BACK',
      details: { size: 0, anchored: 3 },
    });
    const fork = await openLog();
    for (let i = 0; i < 5; i++) await fork.log.record(event('jobs.stop'));
    await fork.log.close();
    await expect(openLog({ disk: fork.disk, beforeSigning: check })).rejects.toMatchObject({ code: 'LOG_TAMPERED' });
    expect(await verify(disk, { anchors: elsewhere.readText('/anchors') })).toMatchObject({
      verdict: 'verified',
      anchors: { checked: 1, ignored: 0 },
    });
    expect((await verify(fork.disk, { anchors: elsewhere.readText('/anchors') })).counts).toEqual({
      'anchor-differs': 1,
    });
  });

  test('each is asked before it is given anything, and one that does not answer holds nobody up', async () => {
    const clock = new ManualClock();
    const stop = new AbortController();
    const given: string[] = [];
    let isAway = true;
    const away = new Error('no broker answers');
    const anchor: Anchor = {
      name: 'topic on west',
      latest: () => (isAway ? Promise.reject(away) : Promise.resolve(['junk'])),
      publish: async (note) => void given.push(note),
    };
    const watch = anchoring([anchor], stop.signal, clock);
    const { log } = await openLog({ beforeSigning: (reader) => watch.check(reader), clock });
    expect(watch.status).toEqual([{ name: 'topic on west', size: null, at: null, error: 'no broker answers' }]);
    const running = watch.run(() => log.reader());
    await settle();
    isAway = false;
    await clock.advance(60_000);
    for (let turn = 0; turn < 20; turn++) await settle();
    expect(given).toHaveLength(1);
    expect(watch.status).toMatchObject([{ size: expect.any(Number), error: null }]);
    stop.abort();
    await running;
  });

  test('one that contradicts while the log runs ends what it takes', async () => {
    const { log, failures } = await openLog();
    const longer = await openLog();
    await longer.log.close();
    const anchor: Anchor = {
      name: 'a',
      latest: async () => [longer.log.reader().checkpoint.note],
      publish: async () => {},
    };
    const running = anchoring([anchor]).run(() => log.reader());
    const refusal = await running.catch((error: unknown) => error);
    expect(refusal).toMatchObject({ code: 'LOG_ROLLED_BACK' });
    log.refuse(refusal as AppError);
    expect(failures).toEqual([refusal]);
    await expect(log.record(event())).rejects.toBe(refusal);
  });

  test('after a restore that has lost entries a new log names them, and the old one stays as it is', async () => {
    const { log, disk } = await openLog();
    const early = disk.afterPowerLoss(createRandom(3));
    await log.record(event());
    await log.close();
    const anchored = log.reader().checkpoint;
    const key = signerKeyOf('lockstep.example/audit-2', Buffer.alloc(32, 10));
    const options = { disk: early, clock: new ManualClock(), directory: '/second', key, onFailure: () => {} };
    const lost = lostLogOf(anchored.origin, [anchored], readFound(early, LOG_DIRECTORY));
    expect([lost.kept, lostEntries(lost)]).toEqual([1, { from: 1, to: 2 }]);
    const actor = { id: 'admin', kind: 'system', authn: 'local' } as const;
    const adopted = await adoptRestore(options, [lost], actor);
    expect(adopted.entries).toMatchObject([
      {
        action: 'log.adopt-restore',
        actor,
        resource: { id: 'lockstep.example/audit' },
        evidence: [
          { kind: 'restored-checkpoint', size: 1 },
          { kind: 'abandoned-checkpoint', size: 3 },
          { kind: 'kept-entries', size: 1 },
          { kind: 'first-lost-entry', size: 1 },
          { kind: 'last-lost-entry', size: 2 },
        ],
      },
    ]);
    const said = await verifyLog(early, '/second', { clock: systemClock, key: key.verifier });
    expect(said).toMatchObject({ verdict: 'verified', origin: 'lockstep.example/audit-2', size: 2 });
    expect(adoptedBy(adopted.log.reader())).toEqual(['lockstep.example/audit']);
    const refused = { code: 'REQUEST_INVALID' };
    const third = { ...options, directory: '/third' };
    await expect(adoptRestore(third, [], actor)).rejects.toMatchObject(refused);
    await expect(adoptRestore(options, [lost], actor)).rejects.toMatchObject(refused);
    await expect(adoptRestore({ ...third, key: LOG_KEY }, [lost], actor)).rejects.toMatchObject(refused);
  });

  test('what is left of a lost log ends where something that is known contradicts it, or its own tiles do', async () => {
    const { log, disk } = await openLog();
    await log.record(event());
    await log.publish();
    const { checkpoint } = log.reader();
    await log.record(event());
    await log.close();
    const { origin } = checkpoint;
    const fork = { origin, size: 3, root: Buffer.alloc(32, 1) };
    expect(lostLogOf(origin, [checkpoint, fork], readFound(disk, LOG_DIRECTORY))).toMatchObject({ kept: 2 });
    expect(lostLogOf(origin, [checkpoint], null)).toMatchObject({ kept: 0, known: { size: 2 }, found: null });
    const whole = lostLogOf(origin, [checkpoint], readFound(disk, LOG_DIRECTORY));
    expect([whole.kept, lostEntries(whole)]).toEqual([4, null]);
    disk.remove(`${LOG_DIRECTORY}/tile/0`);
    expect(readFound(disk, LOG_DIRECTORY)).toBeNull();
    disk.writeText(`${LOG_DIRECTORY}/checkpoint`, 'junk');
    expect(readFound(disk, LOG_DIRECTORY)).toBeNull();
    expect(readFound(disk, '/nowhere')).toBeNull();
  });
});

test('events of jobs wait for the log, in bounded memory, and those that were lost are counted', async () => {
  const clock = new ManualClock();
  const spool = new AuditSpool(clock, new AbortController().signal);
  for (let i = 0; i < 10_003; i++) spool.note(event('shards.stop'));
  await settle();
  expect(spool.waiting).toBe(10_000);
  const { log } = await openLog({ clock });
  spool.attach(log);
  await expect.poll(() => spool.waiting).toBe(0);
  await expect.poll(() => log.size).toBe(10_002);
  await log.publish();
  const last: AuditEntry = log.reader().entry(10_001);
  expect(last).toMatchObject({ action: 'log.spool-overflow', evidence: [{ kind: 'lost-events', size: 3 }] });
});
