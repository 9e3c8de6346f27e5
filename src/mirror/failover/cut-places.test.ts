import { describe, expect, test } from 'vitest';
import { MappedState, type MappedStore } from '../mapped-state.ts';
import { mappedKey, pieceKey, type MappedPlace, type MappedRecord } from '../state-records.ts';
import type { MappedStateRecord, TopicClaim } from '../state-topic.ts';
import { cutOf, isSameOffsets } from './cut-places.ts';

class Store implements MappedStore {
  readonly #records = new Map<string, MappedStateRecord['value']>();

  async load(): Promise<void> {}

  mapped(place: MappedPlace): MappedRecord | null {
    return (this.#records.get(mappedKey(place)) as MappedRecord | undefined) ?? null;
  }

  piece: MappedStore['piece'] = (kind, place, index) =>
    (this.#records.get(pieceKey(kind, place, index)) ?? null) as never;

  async putMapped(records: readonly MappedStateRecord[]): Promise<void> {
    for (const { key, value } of records) this.#records.set(key, value);
  }
}

const claim: TopicClaim = {
  mirrorId: 'mirror',
  mirrorName: 'east-to-west',
  sourceTopic: 'orders',
  sourceTopicId: 'source-id',
  targetTopic: 'dr.orders',
  targetTopicId: 'target-id',
  partitions: 2,
  replaces: null,
};

describe('where a copy ends', () => {
  test('with the offsets of the source: where the target does', () => {
    const store = new Store();
    expect(cutOf(store, claim, [70, 40])).toMatchObject({ mode: 'identical', partitions: [[70, 70], [40, 40]] }); // prettier-ignore
    expect(isSameOffsets(store, claim)).toBe(true);
  });

  test('beside another writer: behind the last record of the source, not where the target ends, and the topic is a shared one', async () => {
    const store = new Store();
    const state = MappedState.begin(
      store,
      { sourceTopic: 'orders', targetTopic: 'dr.orders', partition: 1 },
      {
        mirrorId: 'mirror',
        targetTopicId: 'target-id',
        sourceTopicId: 'source-id',
        producerId: 7,
        isShared: true,
        start: 30,
        startOrdinal: 30,
        identicalFrom: 0,
        targetStart: 30,
        leaderEpochs: [],
      },
    );
    state.account({ kind: 'delivered' }, 5); // source offsets 30 to 34, behind ten records of the other one
    state.placed({ source: 30, target: 40, length: 5 });
    await state.save(store);
    expect(cutOf(store, claim, [70, 45])).toMatchObject({ mode: 'shared', partitions: [[70, 70], [35, 45]] }); // prettier-ignore
    expect(isSameOffsets(store, claim)).toBe(false);
  });
});
