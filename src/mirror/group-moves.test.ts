import fc from 'fast-check';
import { expect, test } from 'vitest';
import { OffsetMap } from '#contract/offset-map.ts';
import type { GroupOffset } from '#kafka/groups.ts';
import {
  ACTIVE,
  digestOf,
  identicalPlace,
  mappedPlace,
  MOVED_ON_TARGET,
  movesOf,
  NOT_BEGUN,
  placeKey,
  RENEW_MS,
  type GroupFacts,
  type Note,
  type TargetLog,
  type Translate,
} from './group-moves.ts';

const FULL: TargetLog = { copyStart: 0, isBegun: true, logStart: 0, end: 1_000 };
const commit = (offset: number, more: Partial<GroupOffset> = {}): GroupOffset => ({
  topic: 'orders',
  partition: 0,
  offset,
  leaderEpoch: 3,
  metadata: '',
  ...more,
});
const KEY = placeKey('orders', 0);
const NOW_MS = 1_000;

/** One partition of one group. */
function moved(
  source: GroupOffset,
  {
    target,
    note,
    log = FULL,
    ...more
  }: { target?: GroupOffset; note?: Note; log?: TargetLog } & Partial<
    Pick<GroupFacts, 'isActive' | 'expires' | 'nowMs' | 'unsure'>
  >,
) {
  return movesOf(
    {
      groupId: 'g',
      source: [source],
      target: new Map(target ? [[KEY, target]] : []),
      isActive: false,
      notes: new Map(note ? [[KEY, note]] : []),
      unsure: new Set(),
      expires: true,
      nowMs: NOW_MS,
      ...more,
    },
    (_topic, _partition, offset) => identicalPlace(offset, log),
  );
}
const placesOf = (moves: ReturnType<typeof moved>): number[] => moves.moves.map(({ offset }) => offset);
const ours = (offset: number, metadata = ''): GroupOffset => commit(offset, { leaderEpoch: -1, metadata });
const noted = (source: number, target = source): Note => ({
  source,
  target,
  metadata: '',
  isBounded: source !== target,
  isOurs: true,
  writtenMs: NOW_MS,
});

test('a group that the target does not have gets its place, with its metadata, before anything is copied', () => {
  const empty = { copyStart: 0, isBegun: false, logStart: 0, end: 0 };
  const result = moved(commit(7, { metadata: 'host-1' }), { log: empty });
  expect(result.moves).toEqual([{ topic: 'orders', partition: 0, offset: 0, metadata: 'host-1' }]);
  expect(result.notes.get(KEY)).toMatchObject({ source: 7, target: 0, metadata: digestOf('host-1'), isBounded: true });
});

test('a place beyond the end of the target is held there, and followed when more is copied', () => {
  expect(placesOf(moved(commit(7), { target: ours(0), note: noted(7, 0), log: { ...FULL, end: 5 } }))).toEqual([5]);
  expect(placesOf(moved(commit(7), { target: ours(5), note: noted(7, 5), log: { ...FULL, end: 9 } }))).toEqual([7]);
});

test('a place below the start of the target is the first record that is there', () => {
  expect(placesOf(moved(commit(7), { log: { ...FULL, logStart: 40 } }))).toEqual([40]);
});

test('there is no place in a log that holds filler', () => {
  for (const log of [
    { copyStart: 100, logStart: 0, end: 0 },
    { copyStart: 100, logStart: 0, end: 50 },
    { copyStart: 100, logStart: 0, end: 100 },
    { copyStart: 100, logStart: 100, end: 130 }, // the source deletes what was to be copied: the start moves again
  ])
    expect(moved(commit(120), { log: { ...log, isBegun: false } })).toMatchObject({ moves: [], leftAlone: NOT_BEGUN });
  const aligned = { copyStart: 100, isBegun: false, logStart: 100, end: 100 };
  for (const from of [80, 100, 120]) {
    const result = moved(commit(from), { log: aligned });
    expect(placesOf(result)).toEqual([100]);
    expect(result.notes.get(KEY)?.isBounded, 'until something is copied it may move').toBe(true);
  }
});

test('a rewind at the source is followed, of what we wrote and of nothing else', () => {
  expect(placesOf(moved(commit(10), { target: ours(90), note: noted(90) }))).toEqual([10]);
  for (const note of [undefined, { ...noted(90), isOurs: false }]) {
    const of = { target: ours(90), ...(note ? { note } : {}) };
    expect(moved(commit(10), of), 'a commit without an epoch').toMatchObject({ moves: [], leftAlone: MOVED_ON_TARGET });
  }
});

test('what stands where the source stands is ours only if we wrote it, or may have', () => {
  const found = moved(commit(50), { target: ours(50) });
  expect([found.moves, found.notes.get(KEY)?.isOurs]).toEqual([[], false]);
  const again = { target: ours(50), note: found.notes.get(KEY) ?? noted(50) };
  expect(moved(commit(10), again)).toMatchObject({ moves: [], leftAlone: MOVED_ON_TARGET });

  const unsure = new Set([KEY]);
  expect(moved(commit(50), { target: ours(50), unsure }).notes.get(KEY)?.isOurs).toBe(true);
  expect(moved(commit(50), { target: commit(50), unsure }).notes.get(KEY)?.isOurs, 'of a reader').toBe(false);
  expect(moved(commit(10), { target: ours(50), unsure })).toMatchObject({ moves: [], leftAlone: MOVED_ON_TARGET });
  expect(placesOf(moved(commit(60), { target: ours(50), unsure }))).toEqual([60]);
});

test('what consumers of the target have committed is not moved back, and not at all while the source stands still', () => {
  const stays = { moves: [], leftAlone: MOVED_ON_TARGET };
  expect(moved(commit(10), { target: commit(90) })).toMatchObject(stays);
  expect(moved(commit(10), { target: commit(90), note: noted(50) })).toMatchObject(stays);
  expect(moved(commit(50), { target: commit(40), note: noted(50) })).toMatchObject(stays);
  expect(moved(commit(50), { target: ours(40), note: noted(50) })).toMatchObject(stays); // reset by an administrator
  expect(placesOf(moved(commit(95), { target: commit(90), note: noted(50) }))).toEqual([95]);
});

test('nobody moves what is already there, whoever put it there', () => {
  const settled = { moves: [], leftAlone: null };
  expect(moved(commit(50), { target: ours(50), note: noted(50) })).toMatchObject(settled);
  expect(moved(commit(50), { target: commit(50), note: noted(50) })).toMatchObject(settled);
  expect(moved(commit(50), { target: commit(50) })).toMatchObject(settled);
});

test('a place that has expired on the target is written again', () => {
  expect(placesOf(moved(commit(50), { note: noted(50) }))).toEqual([50]);
});

test('what we wrote is written again each day, and once after a start, before it expires', () => {
  const facts = { target: ours(50), note: noted(50) };
  expect(placesOf(moved(commit(50), { ...facts, nowMs: NOW_MS + RENEW_MS - 1 }))).toEqual([]);
  const renewed = moved(commit(50), { ...facts, nowMs: NOW_MS + RENEW_MS });
  expect(placesOf(renewed)).toEqual([50]);
  expect(renewed.notes.get(KEY)?.writtenMs).toBe(NOW_MS + RENEW_MS);
  const restored = { ...noted(50), writtenMs: -Infinity };
  expect(placesOf(moved(commit(50), { target: ours(50), note: restored }))).toEqual([50]);
  const late = { nowMs: NOW_MS + 2 * RENEW_MS };
  expect(placesOf(moved(commit(50), { target: commit(50), note: noted(50), ...late })), 'of a reader').toEqual([]);
  expect(placesOf(moved(commit(50), { ...facts, expires: false, ...late })), 'of a share group').toEqual([]);
});

test('metadata follows, as long as the place is ours', () => {
  const note = { ...noted(50), metadata: digestOf('a') };
  expect(moved(commit(50, { metadata: 'b' }), { target: ours(50, 'a'), note }).moves).toMatchObject([
    { metadata: 'b' },
  ]);
  expect(moved(commit(50, { metadata: 'b' }), { target: ours(50, 'c'), note }).moves, 'of somebody else').toEqual([]);
  expect(moved(commit(50, { metadata: 'b' }), { target: commit(50, { metadata: 'a' }) }).moves).toEqual([]);
});

test('of a share group the start follows forwards, and backwards only where the mirror has written it', () => {
  expect(placesOf(moved(ours(60), { target: ours(50), expires: false }))).toEqual([60]);
  expect(moved(ours(40), { target: ours(50), expires: false })).toMatchObject({ leftAlone: MOVED_ON_TARGET });
  expect(placesOf(moved(ours(40), { target: ours(50), note: noted(50), expires: false }))).toEqual([40]);
});

test('what is left alone stays left alone in the next round', () => {
  const facts = { target: commit(40), note: noted(50) };
  const first = moved(commit(50), facts);
  expect(first.leftAlone).toBe(MOVED_ON_TARGET);
  const note = first.notes.get(KEY);
  expect(moved(commit(50), { ...facts, ...(note ? { note } : {}) }).leftAlone).toBe(MOVED_ON_TARGET);
  expect(moved(commit(50), { ...facts, isActive: true }).notes.get(KEY)).toEqual(noted(50));
});

test('a partition that cannot be translated is left alone, and the others of the group move', () => {
  const facts: GroupFacts = {
    groupId: 'g',
    source: [commit(5), commit(6, { partition: 1 })],
    target: new Map(),
    isActive: false,
    notes: new Map(),
    unsure: new Set(),
    expires: true,
    nowMs: NOW_MS,
  };
  const translate: Translate = (_topic, partition, offset) =>
    partition === 0 ? { offset: null, why: 'stopped' } : identicalPlace(offset, FULL);
  expect(movesOf(facts, translate)).toMatchObject({ moves: [{ partition: 1, offset: 6 }], leftAlone: 'stopped' });
});

// ---- whatever the state of the two sides

/** Few, so that places meet. */
const offset = fc.integer({ min: 0, max: 8 });
const anyLog = fc
  .record({ copyStart: fc.integer({ min: 0, max: 4 }), isBegun: fc.boolean(), logStart: offset, length: offset })
  .map(({ length, ...log }): TargetLog => ({ ...log, end: log.logStart + length }));
const anyCommit = fc.record({ offset, leaderEpoch: fc.constantFrom(-1, 0, 4), metadata: fc.constantFrom('', 'm') });
const anyNote = fc.record({
  writtenMs: fc.constantFrom(NOW_MS, NOW_MS - RENEW_MS),
  source: offset,
  target: offset,
  metadata: fc.constantFrom('', digestOf('m')),
  isBounded: fc.boolean(),
  isOurs: fc.boolean(),
});
const anyFacts = fc
  .record({
    source: anyCommit,
    target: fc.option(anyCommit, { nil: undefined }),
    note: fc.option(anyNote, { nil: undefined }),
    log: anyLog,
    isActive: fc.boolean(),
    expires: fc.boolean(),
    unsure: fc.constantFrom(new Set<string>(), new Set([KEY])),
    isAsNoted: fc.boolean(),
  })
  .map(({ isAsNoted, ...facts }) => ({
    ...facts,
    target:
      facts.note && isAsNoted
        ? { offset: facts.note.target, leaderEpoch: -1, metadata: facts.note.metadata === '' ? '' : 'm' }
        : facts.target,
  }));

interface AnyFacts extends Pick<GroupFacts, 'isActive' | 'expires' | 'unsure'> {
  readonly source: Partial<GroupOffset>;
  readonly target: Partial<GroupOffset> | undefined;
  readonly note: Note | undefined;
  readonly log: TargetLog;
}

function anyMove({ source, target, note, log, ...more }: AnyFacts) {
  return moved(commit(0, source), {
    ...(target ? { target: commit(0, target) } : {}),
    ...(note ? { note } : {}),
    log,
    ...more,
  });
}

/** Offsets of the records that a target of ours holds: all of the source from the start of the copy, but for holes. */
function nextRecord(log: TargetLog, from: number, holes: ReadonlySet<number>): number | null {
  for (let at = Math.max(from, log.logStart); at < log.end; at++) if (!holes.has(at)) return at;
  return null;
}

test('no place is ever moved but to the one from which the next record is exactly the next one that the target has', () => {
  fc.assert(
    fc.property(anyFacts, fc.uniqueArray(offset), (facts, holes) => {
      const gone = new Set(holes);
      const { log, source } = facts;
      for (const { offset: to } of anyMove(facts).moves) {
        expect(to).toBeGreaterThanOrEqual(Math.max(log.logStart, log.copyStart));
        expect(to, 'never where nothing is').toBeLessThanOrEqual(log.isBegun ? log.end : log.copyStart);
        // None of those that the source's readers have still before them is skipped, and none behind them is repeated but what is held.
        expect(nextRecord(log, to, gone)).toBe(nextRecord(log, source.offset, gone));
        expect(to, 'held as far on as there is something').toBeGreaterThanOrEqual(Math.min(source.offset, log.end));
      }
    }),
    { numRuns: 20_000 },
  );
});

test('by a map the next record is exactly the next one of the source that was copied, wherever it lies', () => {
  const anyMap = fc
    .array(fc.record({ sourceGap: fc.nat(3), targetGap: fc.nat(3), length: fc.integer({ min: 1, max: 3 }) }), {
      minLength: 1,
      maxLength: 5,
    })
    .map((runs) => {
      const map = new OffsetMap();
      for (const { sourceGap, targetGap, length } of runs)
        map.append({ source: map.sourceEnd + sourceGap, target: map.targetEnd + targetGap, length });
      return map;
    });
  fc.assert(
    fc.property(anyMap, fc.nat(30), fc.nat(4), fc.nat(4), (map, from, deleted, missing) => {
      const ends = { logStart: deleted, end: Math.max(deleted, map.targetEnd - missing) };
      const place = mappedPlace(from, map, ends);
      const to = place.offset ?? -1;
      expect(to).toBeGreaterThanOrEqual(ends.logStart);
      expect(to).toBeLessThanOrEqual(ends.end);
      const copied = Array.from({ length: ends.end - ends.logStart }, (_, i) => ends.logStart + i);
      const unread = copied.filter((at) => (map.sourceOf(at) ?? -1) >= from);
      const read = copied.filter((at) => at >= to && map.sourceOf(at) !== null);
      expect(read).toEqual(unread);
      const isThere = map.sourceOf(to) !== null && (map.sourceOf(to) ?? -1) >= from && to < ends.end;
      expect('isBounded' in place && !place.isBounded && !isThere && to !== ends.end).toBe(false);
    }),
    { numRuns: 2_000 },
  );
});

test('while a map is empty there is no place: what lies there is of others', () => {
  expect(mappedPlace(7, new OffsetMap(), { logStart: 0, end: 100 })).toEqual({ offset: null, why: NOT_BEGUN });
});

test('a group with members is never moved, and says so', () => {
  fc.assert(
    fc.property(anyFacts, (facts) => {
      expect(anyMove({ ...facts, isActive: true })).toMatchObject({ moves: [], leftAlone: ACTIVE });
    }),
  );
});

test('a place is only moved back where the source moved back and nobody has read from it on the target', () => {
  let seen = 0;
  fc.assert(
    fc.property(anyFacts, (facts) => {
      const { target, note, source } = facts;
      const isBack = target !== undefined && anyMove(facts).moves.some(({ offset: to }) => to < target.offset);
      if (isBack) seen++;
      const isOurs = target?.leaderEpoch === -1 && note?.isOurs === true && note.target === target.offset;
      const stoodStill =
        note?.source === source.offset && note.metadata === digestOf(source.metadata) && !note.isBounded;
      return !isBack || (isOurs && !stoodStill);
    }),
    { numRuns: 20_000 },
  );
  expect(seen).toBeGreaterThan(20);
});

test('once its moves are made, nothing is left to do', () => {
  fc.assert(
    fc.property(anyFacts, (facts) => {
      const first = anyMove(facts);
      const made = first.moves[0];
      if (!made) return;
      const target = { offset: made.offset, metadata: made.metadata, leaderEpoch: -1 };
      const second = anyMove({ ...facts, target, note: first.notes.get(KEY) });
      expect(second).toMatchObject({ moves: [], leftAlone: null });
      const note = first.notes.get(KEY);
      const restored = note && { ...note, isBounded: true, writtenMs: -Infinity };
      const restarted = anyMove({ ...facts, target, note: restored, expires: true });
      expect(placesOf(restarted), 'after a restart it is renewed').toEqual([made.offset]);
    }),
    { numRuns: 20_000 },
  );
});
