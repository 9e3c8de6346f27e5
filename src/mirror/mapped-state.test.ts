import { describe, expect, test } from 'vitest';
import { must } from '#util/assert.ts';
import { createRandom } from '#util/random.ts';
import { mappedPlace } from './group-moves.ts';
import { exportMap } from './mapped-export.ts';
import { STEP_PIECES } from './mapped-pieces.ts';
import { MappedState, type MappedBeginning, type MappedStore } from './mapped-state.ts';
import { SavedPlaces } from './saved-places.ts';
import { encodeState, mappedKey, pieceKey, PIECE_RUNS, type MappedPlace, type MappedRecord } from './state-records.ts';
import type { MappedStateRecord } from './state-topic.ts';

const place: MappedPlace = { targetTopic: 'all.orders', partition: 3, sourceTopic: 'eu.orders' };
const shared: MappedBeginning = {
  mirrorId: 'mirror',
  targetTopicId: 'target-id',
  sourceTopicId: 'source-id',
  producerId: 7,
  isShared: true,
  start: 100,
  startOrdinal: 0,
  identicalFrom: null,
  targetStart: 5,
  leaderEpochs: [],
};
const sole: MappedBeginning = { ...shared, isShared: false, start: 0, targetStart: 0 };
const seed = Number(process.env['LOCKSTEP_SEED'] ?? Date.now() % 1_000_000);
/** StateTopic's: what one append takes. */
const APPEND_BYTES_MAX = 512 * 1024;

class Store implements MappedStore {
  readonly records = new Map<string, MappedStateRecord['value']>();
  /** Of the last put. */
  written: readonly MappedStateRecord[] = [];
  /** Appends, and their bytes. */
  puts = 0;
  bytes = 0;
  largest = 0;
  /** The process dies when so many are left: the append after them does not come into the log. */
  putsLeft = Infinity;

  /** Shown from the next `load` on. */
  readonly #saved = new Map<string, MappedStateRecord['value']>();
  isLoadedLate = false;

  async load(): Promise<void> {
    for (const [key, value] of this.#saved) this.records.set(key, value);
  }

  mapped(): MappedRecord | null {
    return (this.records.get(mappedKey(place)) as MappedRecord | undefined) ?? null;
  }

  piece: MappedStore['piece'] = (kind, _, index) => (this.records.get(pieceKey(kind, place, index)) ?? null) as never;

  async putMapped(records: readonly MappedStateRecord[]): Promise<void> {
    if (this.putsLeft-- <= 0) throw new Error('refused');
    this.written = records;
    this.puts++;
    const bytes = records.reduce((sum, { key, value }) => sum + key.length + (encodeState(value)?.length ?? 0), 0);
    this.bytes += bytes;
    this.largest = Math.max(this.largest, bytes);
    for (const { key, value } of records)
      if (value === null) this.records.delete(key);
      else (this.isLoadedLate ? this.#saved : this.records).set(key, structuredClone(value));
  }

  /** Records that the head does not name. */
  get leftOver(): number {
    const { ledger, placed } = must(this.mapped(), 'head').pieces;
    return this.records.size - (1 + ledger[1] - ledger[0] + placed[1] - placed[0]);
  }
}

const load = (store: Store): MappedState => MappedState.load(store, place, 'target-id')!;
const told = (state: MappedState | null) =>
  state && [state.head, [...state.ledger.runs()], [...state.placements.runs()], state.ledger.ordinal];

/** A gap and one to three records, so often. */
function plan(state: MappedState, count: number, random: { next(): number }): void {
  for (let i = 0; i < count; i++) {
    state.account({ kind: random.next() < 0.5 ? 'control' : 'compacted' }, 1 + Math.floor(random.next() * 3));
    state.account({ kind: 'delivered' }, 1 + Math.floor(random.next() * 3));
  }
}

/** The same, and every run of records has a place of its own. */
function extend(state: MappedState, count: number, random: { next(): number }): void {
  for (let i = 0; i < count; i++) {
    const source = state.ledger.ordinal;
    plan(state, 1, random);
    const length = state.ledger.ordinal - source;
    state.placed({ source, target: Math.max(state.placements.targetEnd, 5) + 1, length });
  }
}

/** Up to some offset of the target. */
function trimSome(state: MappedState, random: { next(): number }): number {
  const end = state.head.isShared ? state.placements.targetEnd : state.ledger.ordinal;
  const targetStart = Math.floor(end * random.next());
  state.trim({ targetStart, sourceStart: 0, ordinal: state.ledger.ordinal });
  return targetStart;
}

describe('the state of a mapped partition', () => {
  test('is read as it was saved, whatever was added, cut or forgotten in between', async () => {
    const random = createRandom(seed);
    process.stdout.write(`mapped state: seed ${seed}\n`);
    for (let round = 0; round < 8; round++) {
      const store = new Store();
      const pieceRuns = 1 + Math.floor(random.next() * 20);
      let state = MappedState.begin(store, place, { ...shared, pieceRuns });
      for (let step = 0; step < 8; step++) {
        extend(state, Math.floor(random.next() * 500), random);
        if (random.next() < 0.3) state.setHead({ leaderEpochs: [[step, state.ledger.end]] });
        if (random.next() < 0.4) trimSome(state, random);
        store.putsLeft = random.next() < 0.3 ? Math.floor(random.next() * 4) : Infinity;
        await state.save(store).catch(() => {});
        store.putsLeft = Infinity;
        await state.save(store);
        expect(told(load(store))).toEqual(told(state));
        if (random.next() < 0.5) state = load(store);
        // What was planned and never written is planned anew.
        plan(state, Math.floor(random.next() * 500), random);
        await state.save(store);
        if (random.next() < 0.5) state = load(store);
        state.settle(state.placements.sourceEnd);
        await state.save(store);
        expect(told(load(store))).toEqual(told(state));
        expect(store.leftOver).toBe(0);
      }
    }
  });

  test('comes into the log by appends that are each written as a whole', async () => {
    const store = new Store();
    const far = 2 ** 52;
    const state = MappedState.begin(store, place, { ...shared, start: far });
    state.setHead({ leaderEpochs: Array.from({ length: 128 }, (_, i) => [i, far + i]) });
    for (let i = 0; i < 2 * PIECE_RUNS * STEP_PIECES; i++) {
      state.account({ kind: i % 2 === 0 ? 'control' : 'compacted' }, 1_000_000_000);
      if (i % 2 === 0) state.placed({ source: i * 1e9, target: far + i * 1e9, length: 5e8 });
    }
    await state.save(store);
    expect(store.puts).toBeGreaterThan(2);
    expect(store.largest).toBeLessThan(APPEND_BYTES_MAX);
    expect(told(load(store))).toEqual(told(state));
  });

  test('after a crash at any append has all that was sent, and goes on', async () => {
    let crashes = 0;
    for (let round = 0; round < 6; round++)
      for (let isSaved = false, puts = 0; !isSaved; puts++) {
        const random = createRandom(seed + round);
        const { store, state, sent } = await changed(round, random);
        const before = [...load(store).ledger.runs()];
        store.putsLeft = puts;
        isSaved = await state.save(store).then(
          () => true,
          () => false,
        );
        if (!isSaved) crashes++;
        store.putsLeft = Infinity;
        const read = load(store);
        expect(read.ledger.ordinal, 'all that was sent is accounted for').toBeGreaterThanOrEqual(sent);
        expect([...read.placements.runs()].at(-1)).toEqual([...state.placements.runs()].at(-1));
        // Its beginning is that of what was saved last, or of what is being saved: the same as far as it was sent.
        read.settle(sent);
        const runs = [...read.ledger.runs()];
        const known = new Set([...state.ledger.runs(), ...before].map((run) => JSON.stringify(run)));
        expect(runs.slice(0, -1).filter((run) => !known.has(JSON.stringify(run)))).toEqual([]);
        expect(runs[0]?.from).toBe(read.head.start);
        plan(read, 200, random);
        await read.save(store);
        expect(told(load(store))).toEqual(told(read));
        expect(store.leftOver).toBe(0);
      }
    process.stdout.write(`mapped state: a crash at each of ${crashes} appends, seed ${seed}\n`);
    expect(crashes).toBeGreaterThan(30);
  });

  /** Saved, and then changed so that it takes many appends: what was never sent is cut off, what the target lost is forgotten. */
  async function changed(round: number, random: { next(): number }) {
    const store = new Store();
    let state = MappedState.begin(store, place, { ...shared, pieceRuns: 3 });
    extend(state, 400, random);
    const sent = state.placements.sourceEnd;
    if (round % 3 > 0) plan(state, 600, random);
    await state.save(store);
    state = load(store);
    if (round % 3 > 0) state.settle(sent);
    if (round % 2 === 0) trimSome(state, random);
    plan(state, must([0, 3, 700][round % 3], 'length'), random);
    return { store, state, sent };
  }

  test('is written in pieces: a small change rewrites the last one only', async () => {
    const store = new Store();
    const random = createRandom(1);
    const state = MappedState.begin(store, place, shared);
    extend(state, 2_650, random);
    await state.save(store);
    const puts = store.puts;
    await state.save(store);
    expect(store.puts).toBe(puts);
    plan(state, 1, random);
    await state.save(store);
    expect(store.written.map(({ kind }) => kind)).toEqual(['ledger']);
  });

  test('of an earlier topic says nothing, and is taken away when the next one is begun', async () => {
    const store = new Store();
    const old = MappedState.begin(store, place, shared);
    extend(old, 1_500, createRandom(2));
    await old.save(store);
    expect(MappedState.load(store, place, 'another-id')).toBe(null);
    const state = MappedState.begin(store, place, { ...shared, targetTopicId: 'another-id' });
    await state.save(store);
    plan(state, 500, createRandom(3));
    await state.save(store);
    expect(told(MappedState.load(store, place, 'another-id'))).toEqual(told(state));
    expect(store.leftOver).toBe(0);
  });

  test('of which a piece is missing is not believed, and shows what it does not explain', async () => {
    for (const [missing, unexplained] of [
      [0, 600],
      [1, 600],
    ] as const) {
      const store = new Store();
      const state = MappedState.begin(store, place, sole);
      for (let i = 0; i < 300; i++) {
        state.account({ kind: 'control' }, 1);
        state.account({ kind: 'delivered' }, 5);
      }
      await state.save(store);
      store.records.delete(pieceKey('ledger', place, missing));
      expect(() => load(store)).toThrow('do not fit together');
      const damaged = MappedState.load(store, place, 'target-id', { mayGap: true })!;
      expect(damaged.ledger.balance().unexplained).toBe(unexplained);
      expect(damaged.ledger.dispositionAt(missing * 600)).toBe(null);
      const map = damaged.mapUpTo(1_500);
      expect([map.targetOf(missing * 600 + 1), map.targetOf((1 - missing) * 600 + 1)]).toEqual([
        null,
        (1 - missing) * 500,
      ]);
    }
  });

  test('with a disposition of a later version names that version', async () => {
    const store = new Store();
    const state = MappedState.begin(store, place, sole);
    plan(state, 3, createRandom(2));
    await state.save(store);
    const piece = store.piece('ledger', place, 0)!;
    store.records.set(pieceKey('ledger', place, 0), { ...piece, runs: [9, ...piece.runs.slice(1)] });
    expect(() => load(store)).toThrow('has disposition 9, which this Lockstep does not know: a newer version wrote it');
  });

  test('is exported with the gaps that a running mirror saves while the end of its target is read', async () => {
    const store = new Store();
    const state = MappedState.begin(store, place, { ...shared, isShared: false, targetStart: 0 });
    state.account({ kind: 'delivered' }, 10);
    await state.save(store);
    store.isLoadedLate = true;
    const exported = await exportMap(store, place, async () => {
      state.account({ kind: 'compacted' }, 5);
      state.account({ kind: 'delivered' }, 3);
      await state.save(store);
      return 12; // one of the three is still on its way
    });
    expect([...(exported?.map.runs() ?? [])]).toEqual([
      { source: 100, target: 0, length: 10 },
      { source: 115, target: 10, length: 2 },
    ]);
    expect(exported?.ledger.end).toBe(117);
  });
});

describe('what is forgotten', () => {
  test.each([true, false])(
    'is of no use any more: all answers about the rest stay the same, shared: %s',
    async (isShared) => {
      const random = createRandom(seed);
      let forgotten = 0;
      for (let round = 0; round < 30; round++) {
        const beginning = { ...(isShared ? shared : sole), pieceRuns: 1 + Math.floor(random.next() * 8) };
        const [store, whole] = [new Store(), MappedState.begin(new Store(), place, { ...beginning, pieceRuns: 200 })];
        const state = MappedState.begin(store, place, beginning);
        for (const each of [whole, state]) (isShared ? extend : plan)(each, 60, createRandom(seed + round));
        const targetStart = trimSome(state, random);
        await state.save(store);
        const ordinal = Math.max(
          state.head.startOrdinal,
          Math.floor(state.ledger.ordinal * (0.9 + random.next() / 10)),
        );
        const [map, trimmed] = [whole.mapUpTo(ordinal), load(store).mapUpTo(ordinal)];
        forgotten += state.head.start - state.head.mappedFrom;
        for (let offset = state.head.start; offset < state.ledger.end; offset++) {
          expect(state.ledger.dispositionAt(offset)).toEqual(whole.ledger.dispositionAt(offset));
          expect(trimmed.targetOf(offset)).toBe(map.targetOf(offset));
        }
        // Below it nothing lies on the target, so a group goes on where it would have gone on.
        for (let target = targetStart; target < whole.placements.targetEnd; target++)
          expect(trimmed.sourceOf(target)).toBe(map.sourceOf(target));
        const ends = { logStart: targetStart, end: 1e6 };
        if (isShared) continue;
        await state.save(store);
        const all = state.ledger.ordinal;
        for (let offset = 0; offset < state.ledger.end + 3; offset++) {
          const expected = mappedPlace(offset, whole.mapUpTo(ordinal), ends);
          expect(mappedPlace(offset, state.placesUpTo(ordinal), ends), `offset ${offset}`).toEqual(expected);
          expect(mappedPlace(offset, SavedPlaces.of(store, place, 'target-id')!, ends)).toEqual(
            mappedPlace(offset, whole.mapUpTo(all), ends),
          );
        }
      }
      expect(forgotten).toBeGreaterThan(0);
    },
  );

  test('is never what the source still has and the target never had', () => {
    const state = MappedState.begin(new Store(), place, { ...sole, pieceRuns: 2 });
    for (let i = 0; i < 10; i++) {
      state.account({ kind: 'aborted' }, 5);
      state.account({ kind: 'control' }, 1);
    }
    const trim = (sourceStart: number): number => {
      state.trim({ targetStart: 0, sourceStart, ordinal: 0 });
      return state.head.start;
    };
    expect([trim(0), trim(11), trim(12), trim(47), trim(1_000)]).toEqual([0, 6, 12, 42, 54]);
    state.account({ kind: 'delivered' }, 4);
    expect(state.mapUpTo(4).targetOf(60)).toBe(0);
  });

  test('bounds memory and state: a day of 20 transactions a second on a target that keeps an hour', async () => {
    const store = new Store();
    const state = MappedState.begin(store, place, sole);
    const [perSecond, records, hour] = [20, 10, 3_600];
    const kept = perSecond * hour;
    let [runsMax, piecesMax, bytesMax] = [0, 0, 0];
    for (let second = 0; second < 24 * hour; second++) {
      for (let i = 0; i < perSecond; i++) {
        state.account({ kind: 'delivered' }, records);
        state.account({ kind: 'control' }, 1);
      }
      if (second % 10 === 0) await state.save(store);
      if (second % 60 > 0) continue;
      const { ordinal } = state.ledger;
      const targetStart = Math.max(0, ordinal - kept * records);
      state.trim({ targetStart, sourceStart: 0, ordinal });
      await state.save(store);
      runsMax = Math.max(runsMax, state.ledger.runCount);
      piecesMax = Math.max(piecesMax, store.records.size);
    }
    for (const value of store.records.values()) bytesMax += encodeState(value)?.length ?? 0;
    const transactions = 24 * hour * perSecond;
    process.stdout.write(
      `mapped state: ${transactions} transactions in a day, at most ${runsMax} runs in ${piecesMax} records, ${(bytesMax / 1e6).toFixed(1)} MB live, ${(store.bytes / 1e9).toFixed(1)} GB appended\n`,
    );
    // Two runs for each transaction that the target holds, those of a minute between two looks, and a piece.
    const bound = 2 * (kept + 60 * perSecond) + PIECE_RUNS;
    expect(runsMax).toBeLessThanOrEqual(bound);
    expect(piecesMax).toBeLessThanOrEqual(bound / PIECE_RUNS + 2);
    await state.save(store);
    expect(store.leftOver).toBe(0);
    const { start, end } = state.ledger;
    expect(load(store).ledger.balance()).toEqual(state.ledger.balance());
    expect(state.ledger.balance()).toMatchObject({ start, end, unexplained: 0 });
    for (let offset = start; offset < end; offset += 9_973) {
      const [transaction, at] = [Math.floor(offset / (records + 1)), offset % (records + 1)];
      expect(state.placesUpTo(Infinity).nextTarget(offset)).toBe(transaction * records + at);
    }
    const again = await exportMap(store, place, async () => state.ledger.ordinal);
    expect(again?.map.targetOf(end - 2)).toBe(state.ledger.ordinal - 1);
  }, 60_000);
});
