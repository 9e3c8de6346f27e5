import { describe, expect, test } from 'vitest';
import type { TopicCut } from '#contract/failover.ts';
import { MappedState } from '../mapped-state.ts';
import { mappedKey, pieceKey, type MappedPlace, type MappedRecord, type PartitionRecord } from '../state-records.ts';
import type { MappedStateRecord } from '../state-topic.ts';
import { neverCopied, type CopyStore } from './never-copied.ts';

class Store implements CopyStore {
  record: PartitionRecord | null = null;
  readonly #records = new Map<string, MappedStateRecord['value']>();

  async load(): Promise<void> {}

  partition(): PartitionRecord | null {
    return this.record;
  }

  mapped(place: MappedPlace): MappedRecord | null {
    return (this.#records.get(mappedKey(place)) as MappedRecord | undefined) ?? null;
  }

  piece: CopyStore['piece'] = (kind, place, index) =>
    (this.#records.get(pieceKey(kind, place, index)) ?? null) as never;

  async putMapped(records: readonly MappedStateRecord[]): Promise<void> {
    for (const { key, value } of records) this.#records.set(key, value);
  }
}

const place = { sourceTopic: 'orders', targetTopic: 'dr.orders' };
const cut: TopicCut = {
  ...place,
  sourceTopicId: 'source-id',
  targetTopicId: 'target-id',
  mode: 'mapped',
  partitions: [[60, 40]],
};
const count = (store: CopyStore, sourceStart: number) => neverCopied(store, cut, { partition: 0, sourceStart });

describe('what was left out of a copy', () => {
  test('is nothing where the copy began with the source, and what the source has lost since is not counted', () => {
    const store = new Store();
    expect(count(store, 0)).toBe(0);
    store.record = { mirrorId: 'm', targetTopicId: 'target-id', logStart: 20, sequenceOffset: 0, leaderEpochs: [] };
    expect(count(store, 20)).toBe(0);
    expect(count(store, 50)).toBe(0);
  });

  test('is what lies before a start that was chosen', () => {
    const store = new Store();
    store.record = { mirrorId: 'm', targetTopicId: 'target-id', logStart: 20, sequenceOffset: 0, leaderEpochs: [] };
    expect(count(store, 5)).toBe(15);
    store.record = { ...store.record, targetTopicId: 'of an earlier topic' };
    expect(count(store, 5)).toBe(0);
  });

  test('is what its condition filtered out, as far as the source still has it', async () => {
    const store = new Store();
    const state = MappedState.begin(
      store,
      { ...place, partition: 0 },
      {
        mirrorId: 'm',
        targetTopicId: 'target-id',
        sourceTopicId: 'source-id',
        producerId: 7,
        isShared: false,
        start: 10,
        startOrdinal: 0,
        identicalFrom: null,
        targetStart: 0,
        leaderEpochs: [],
      },
    );
    state.account({ kind: 'filtered', rule: 0 }, 10);
    state.account({ kind: 'delivered' }, 40);
    await state.save(store);
    expect([count(store, 0), count(store, 10), count(store, 16), count(store, 30)]).toEqual([20, 10, 4, 0]);
  });
});
