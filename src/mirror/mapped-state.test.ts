import { describe, expect, test } from 'vitest';
import { createRandom } from '#util/random.ts';
import { exportMap } from './mapped-export.ts';
import { MappedState, type MappedStore } from './mapped-state.ts';
import { encodeState, mappedKey, pieceKey, PIECE_RUNS, type MappedPlace, type MappedRecord } from './state-records.ts';
import type { MappedStateRecord } from './state-topic.ts';

const place: MappedPlace = { targetTopic: 'all.orders', partition: 3, sourceTopic: 'eu.orders' };
const head: MappedRecord = {
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
const seed = Number(process.env['LOCKSTEP_SEED'] ?? Date.now() % 1_000_000);

class Store implements MappedStore {
  readonly records = new Map<string, MappedStateRecord['value']>();
  /** Of the last put. */
  written: readonly MappedStateRecord[] = [];
  isBroken = false;

  /** Shown from the next `load` on. */
  readonly #saved = new Map<string, MappedStateRecord['value']>();
  isLoadedLate = false;

  async load(): Promise<void> {
    for (const [key, value] of this.#saved) this.records.set(key, value);
  }

  mapped(): MappedRecord | null {
    return (this.records.get(mappedKey(place)) as MappedRecord | undefined) ?? null;
  }

  pieces: MappedStore['pieces'] = (kind) => {
    const pieces: unknown[] = [];
    for (let piece; (piece = this.records.get(pieceKey(kind, place, pieces.length)));) pieces.push(piece);
    return pieces as never;
  };

  async putMapped(records: readonly MappedStateRecord[]): Promise<void> {
    if (this.isBroken) throw new Error('refused');
    this.written = records;
    for (const { key, value } of records)
      if (value === null) this.records.delete(key);
      else (this.isLoadedLate ? this.#saved : this.records).set(key, structuredClone(value));
  }
}

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

describe('the state of a mapped partition', () => {
  test('is read as it was saved, whatever was added or cut in between', async () => {
    const random = createRandom(seed);
    process.stdout.write(`mapped state: seed ${seed}\n`);
    for (let round = 0; round < 4; round++) {
      const store = new Store();
      let state = MappedState.begin(place, head);
      for (let step = 0; step < 8; step++) {
        extend(state, Math.floor(random.next() * 900), random);
        if (random.next() < 0.3) state.setHead({ leaderEpochs: [[step, state.ledger.end]] });
        store.isBroken = random.next() < 0.2;
        const isSaved = await state.save(store).then(
          () => true,
          () => false,
        );
        expect(isSaved).toBe(!store.isBroken);
        store.isBroken = false;
        await state.save(store);
        expect(told(MappedState.load(store, place, 'target-id'))).toEqual(told(state));
        if (random.next() < 0.5) state = MappedState.load(store, place, 'target-id')!;
        // What was planned and never written is planned anew.
        plan(state, Math.floor(random.next() * 900), random);
        await state.save(store);
        if (random.next() < 0.5) state = MappedState.load(store, place, 'target-id')!;
        state.settle(state.placements.sourceEnd);
        await state.save(store);
        expect(told(MappedState.load(store, place, 'target-id'))).toEqual(told(state));
      }
      for (const { value } of [...store.records].map(([key, each]) => ({ key, value: each })))
        expect(encodeState(value)?.length).toBeLessThan(50_000);
    }
  });

  test('is written in pieces: a small change rewrites the last one only', async () => {
    const store = new Store();
    const random = createRandom(1);
    const state = MappedState.begin(place, head);
    extend(state, 2_600, random);
    await state.save(store);
    expect(store.written.length).toBe(1 + Math.ceil(state.ledger.runCount / PIECE_RUNS) + 3);
    store.written = [];
    await state.save(store);
    expect(store.written).toEqual([]);
    extend(state, 1, random);
    await state.save(store);
    expect(store.written.map(({ kind }) => kind)).toEqual(['ledger', 'placed']);
  });

  test('of an earlier topic says nothing, and pieces that do not fit are not believed', async () => {
    const store = new Store();
    const state = MappedState.begin(place, head);
    extend(state, 1_500, createRandom(2));
    await state.save(store);
    expect(MappedState.load(store, place, 'another-id')).toBe(null);
    store.records.set(pieceKey('ledger', place, 1), store.records.get(pieceKey('ledger', place, 0))!);
    expect(() => MappedState.load(store, place, 'target-id')).toThrow('do not fit together');
  });

  test('is exported with the gaps that a running mirror saves while the end of its target is read', async () => {
    const store = new Store();
    const state = MappedState.begin(place, { ...head, isShared: false, targetStart: 0 });
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
