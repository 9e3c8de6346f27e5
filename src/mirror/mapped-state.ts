/**
 * What is known of a partition whose offsets differ: the ledger of its source offsets, and where its records lie. It is
 * written to the state topic *before* a record behind a gap is sent, so that the target's log alone says how far a copy came:
 * the n-th record of ours is the n-th delivery of the ledger, and behind the ledger's end follows one source offset after
 * the other. Nothing is concluded from reading the source again, which may have been compacted meanwhile.
 */
import { must } from '#util/assert.ts';
import { AppError } from '#contract/errors.ts';
import { DispositionLedger, type Disposition } from '#contract/disposition-ledger.ts';
import { OffsetMap } from '#contract/offset-map.ts';
import type { Permit } from '#kafka/permit.ts';
import { mappedKey, pieceKey, PIECE_RUNS, type MappedPlace, type MappedRecord } from './state-records.ts';
import type { MappedStateRecord, PieceOf } from './state-topic.ts';

/** The state topic, as far as mapped partitions need it. */
export interface MappedStore {
  load(): Promise<void>;
  mapped(place: MappedPlace): MappedRecord | null;
  pieces<Kind extends 'ledger' | 'placed'>(kind: Kind, place: MappedPlace): readonly PieceOf<Kind>[];
  putMapped(records: readonly MappedStateRecord[], permit?: Permit): Promise<void>;
}

export class MappedState {
  head: MappedRecord;
  readonly ledger: DispositionLedger;
  /** Ordinals to target offsets; only of a shared target, where they do not follow from each other. */
  readonly placements: OffsetMap;
  readonly #place: MappedPlace;
  #isHeadSaved: boolean;
  /** The first run that may not stand in the state topic as it is here. */
  readonly #unsaved = { ledger: 0, placed: 0 };
  readonly #pieces = { ledger: 0, placed: 0 };

  private constructor(place: MappedPlace, head: MappedRecord, isHeadSaved: boolean) {
    this.#place = place;
    this.head = head;
    this.ledger = new DispositionLedger(head.start, head.startOrdinal);
    this.placements = new OffsetMap();
    this.#isHeadSaved = isHeadSaved;
  }

  /** Of a partition that nobody has written to yet. */
  static begin(place: MappedPlace, head: MappedRecord): MappedState {
    return new MappedState(place, head, false);
  }

  /**
   * As the state topic has it; null for a partition of `targetTopicId` that is not in it. Throws AppError
   * STATE_TOPIC_INVALID where the pieces do not fit together.
   */
  static load(store: MappedStore, place: MappedPlace, targetTopicId: string): MappedState | null {
    const head = store.mapped(place);
    if (head?.targetTopicId !== targetTopicId) return null;
    const state = new MappedState(place, head, true);
    const ledger = store.pieces('ledger', place).filter((piece) => piece.targetTopicId === targetTopicId);
    const placed = store.pieces('placed', place).filter((piece) => piece.targetTopicId === targetTopicId);
    const isWhole =
      ledger.every((piece) => state.ledger.take(piece)) && placed.every(({ runs }) => state.placements.take(runs));
    if (!isWhole) throw piecesBroken(place);
    state.#pieces.ledger = ledger.length;
    state.#pieces.placed = placed.length;
    state.#unsaved.ledger = state.ledger.runCount;
    state.#unsaved.placed = state.placements.runCount;
    return state;
  }

  /** Replaces what the head says; saved with the next `save`. */
  setHead(change: Partial<MappedRecord>): void {
    this.head = { ...this.head, ...change };
    this.#isHeadSaved = false;
  }

  account(disposition: Disposition, length: number): void {
    this.#unsaved.ledger = Math.min(this.#unsaved.ledger, Math.max(0, this.ledger.runCount - 1));
    this.ledger.append(disposition, length);
  }

  placed(run: { readonly source: number; readonly target: number; readonly length: number }): void {
    this.#unsaved.placed = Math.min(this.#unsaved.placed, Math.max(0, this.placements.runCount - 1));
    this.placements.append(run);
  }

  /**
   * As many records of ours are on the target, no more and no less: what the ledger has more was never written, and what it
   * has less follows its end without a gap.
   */
  settle(ordinal: number): void {
    if (ordinal > this.ledger.ordinal) return this.account({ kind: 'delivered' }, ordinal - this.ledger.ordinal);
    this.ledger.truncate(ordinal);
    this.#unsaved.ledger = Math.min(this.#unsaved.ledger, Math.max(0, this.ledger.runCount - 1));
  }

  /** The first source offset that is not on the target, when as many records of ours are. */
  positionAt(ordinal: number): number {
    return ordinal >= this.ledger.ordinal ? this.ledger.end : must(this.ledger.offsetOf(ordinal), 'delivered record');
  }

  /** Source offsets to target offsets, of the first `ordinal` records. */
  mapUpTo(ordinal: number): OffsetMap {
    const deliveries = this.ledger.deliveries();
    if (ordinal < this.ledger.ordinal) deliveries.truncate(must(this.ledger.offsetOf(ordinal), 'delivered record'));
    const mapped = this.head.isShared ? deliveries.followedBy(this.placements) : deliveries;
    const { identicalFrom, start } = this.head;
    if (identicalFrom === null || identicalFrom === start) return mapped;
    const all = new OffsetMap();
    all.append({ source: identicalFrom, target: identicalFrom, length: start - identicalFrom });
    for (const run of mapped.runs()) all.append(run);
    return all;
  }

  /** Writes what has changed. What changes meanwhile is written with the next one. Throws KafkaError. */
  async save(store: MappedStore, permit?: Permit): Promise<void> {
    const records: MappedStateRecord[] = [];
    if (!this.#isHeadSaved) records.push({ kind: 'mapped', key: mappedKey(this.#place), value: this.head });
    records.push(
      ...this.#changed('ledger', this.ledger.runCount),
      ...this.#changed('placed', this.placements.runCount),
    );
    if (records.length === 0) return;
    const before = { ...this.#unsaved };
    const { head } = this;
    this.#isHeadSaved = true;
    this.#unsaved.ledger = this.ledger.runCount;
    this.#unsaved.placed = this.placements.runCount;
    try {
      await store.putMapped(records, permit);
    } catch (error) {
      this.#isHeadSaved = false;
      for (const kind of ['ledger', 'placed'] as const)
        this.#unsaved[kind] = Math.min(this.#unsaved[kind], before[kind]);
      throw error;
    }
    if (this.head !== head) this.#isHeadSaved = false;
  }

  /** Pieces from the first that has changed on; those behind the last are taken away. */
  #changed(kind: 'ledger' | 'placed', runCount: number): MappedStateRecord[] {
    const { mirrorId, targetTopicId } = this.head;
    const count = Math.ceil(runCount / PIECE_RUNS);
    const records: MappedStateRecord[] = [];
    for (let index = Math.floor(this.#unsaved[kind] / PIECE_RUNS); index < count; index++) {
      const [from, to] = [index * PIECE_RUNS, Math.min(runCount, (index + 1) * PIECE_RUNS)];
      if (from <= this.#unsaved[kind] && this.#unsaved[kind] >= to) continue;
      const key = pieceKey(kind, this.#place, index);
      const ids = { mirrorId, targetTopicId };
      if (kind === 'ledger') {
        const { start, ordinal, runs } = this.ledger.encode(from, to);
        records.push({ kind, key, value: { ...ids, start, ordinal, runs: [...runs] } });
      } else records.push({ kind, key, value: { ...ids, runs: [...this.placements.encode(from, to)] } });
    }
    for (let index = count; index < this.#pieces[kind]; index++)
      records.push({ kind, key: pieceKey(kind, this.#place, index), value: null });
    this.#pieces[kind] = count;
    return records;
  }
}

function piecesBroken({ targetTopic, partition, sourceTopic }: MappedPlace): AppError {
  return new AppError(
    'STATE_TOPIC_INVALID',
    `the pieces of the offset map of ${sourceTopic}/${partition} into "${targetTopic}" do not fit together`,
    {
      nextStep: `Somebody has written to the state topic, or deleted from it. Take that right away; then "lockstep rebuild" copies ${targetTopic}/${partition} anew.`,
    },
  );
}
