/**
 * What is known of a partition whose offsets differ: the ledger of its source offsets, and where its records lie. It is
 * written to the state topic *before* a record behind a gap is sent, so that the target's log alone says how far a copy came:
 * the n-th record of ours is the n-th delivery of the ledger, and behind the ledger's end follows one source offset after
 * the other. Nothing is concluded from reading the source again, which may have been compacted meanwhile.
 *
 * What the target does not hold any more is forgotten, in whole pieces (`trim`). How it is written is mapped-pieces.ts.
 */
import { assert, must } from '#util/assert.ts';
import { AppError } from '#contract/errors.ts';
import { DispositionLedger, isDispositionCode, type Disposition } from '#contract/disposition-ledger.ts';
import { OffsetMap, type NextPlaces } from '#contract/offset-map.ts';
import type { Permit } from '#kafka/permit.ts';
import { MappedPieces } from './mapped-pieces.ts';
import { PIECE_RUNS, type MappedPlace, type MappedRecord } from './state-records.ts';
import type { MappedStateRecord, PieceOf } from './state-topic.ts';

/** The state topic, as far as mapped partitions need it. */
export interface MappedStore {
  load(): Promise<void>;
  mapped(place: MappedPlace): MappedRecord | null;
  piece<Kind extends 'ledger' | 'placed'>(kind: Kind, place: MappedPlace, index: number): PieceOf<Kind> | null;
  /** At most 512 KB are written in one append: all of it or nothing. */
  putMapped(records: readonly MappedStateRecord[], permit?: Permit): Promise<void>;
}

/** What a copy begins with. */
export type MappedBeginning = Omit<MappedRecord, 'pieces' | 'pieceRuns' | 'mappedFrom'> & {
  readonly pieceRuns?: number;
};

export class MappedState {
  head: MappedRecord;
  readonly ledger: DispositionLedger;
  /** Ordinals to target offsets; only of a shared target, where they do not follow from each other. */
  readonly placements: OffsetMap;
  /** The end of the saved ledger is missing; only with `mayGap`. */
  isTorn = false;
  readonly #pieces: MappedPieces;

  private constructor(head: MappedRecord, pieces: MappedPieces) {
    this.head = head;
    this.ledger = new DispositionLedger(head.start, head.startOrdinal);
    this.placements = new OffsetMap();
    this.#pieces = pieces;
  }

  /** Of a partition that nobody has written to yet. What the state topic has of an earlier topic of that name is taken away. */
  static begin(store: MappedStore, place: MappedPlace, beginning: MappedBeginning): MappedState {
    const { pieceRuns = PIECE_RUNS } = beginning;
    const ranges = store.mapped(place)?.pieces ?? null;
    const pieces = new MappedPieces(store, place, { ranges, isOurs: false, pieceRuns });
    const head = { ...beginning, pieceRuns, mappedFrom: beginning.start, pieces: pieces.none };
    return new MappedState(head, pieces);
  }

  /**
   * As the state topic has it; null for a partition of `targetTopicId` that is not in it. Throws AppError
   * STATE_TOPIC_INVALID where the pieces do not fit together; with `mayGap` those that are missing are unexplained offsets.
   */
  static load(
    store: MappedStore,
    place: MappedPlace,
    targetTopicId: string,
    { mayGap = false } = {},
  ): MappedState | null {
    const head = store.mapped(place);
    if (head?.targetTopicId !== targetTopicId) return null;
    const { pieces: ranges, pieceRuns } = head;
    const state = new MappedState(head, new MappedPieces(store, place, { ranges, isOurs: true, pieceRuns }));
    const isWhole = state.#takeLedger(store, place, mayGap) && state.#takePlaced(store, place, mayGap);
    if (!isWhole) throw piecesBroken(place);
    state.#pieces.saved(state);
    return state;
  }

  #takeLedger(store: MappedStore, place: MappedPlace, mayGap: boolean): boolean {
    const [from, to] = this.head.pieces.ledger;
    for (let index = from; index < to; index++) {
      const piece = store.piece('ledger', place, index);
      const isOurs = piece?.targetTopicId === this.head.targetTopicId;
      const unknown = isOurs ? piece.runs.find((code, at) => at % 2 === 0 && !isDispositionCode(code)) : undefined;
      if (unknown !== undefined) throw newerVersion(place, unknown);
      const isTaken = isOurs && this.ledger.take(piece, { mayGap });
      const isFull = this.ledger.runCount === (index + 1 - from) * this.head.pieceRuns || index === to - 1;
      this.isTorn = !isTaken;
      if (!mayGap && !(isTaken && isFull)) return false;
    }
    return true;
  }

  #takePlaced(store: MappedStore, place: MappedPlace, mayGap: boolean): boolean {
    const [from, to] = this.head.pieces.placed;
    for (let index = from; index < to; index++) {
      const piece = store.piece('placed', place, index);
      const isTaken = piece?.targetTopicId === this.head.targetTopicId && this.placements.take(piece.runs);
      const isFull = this.placements.runCount === (index + 1 - from) * this.head.pieceRuns || index === to - 1;
      if (!mayGap && !(isTaken && isFull)) return false;
    }
    return true;
  }

  /** Replaces what the head says; saved with the next `save`. */
  setHead(change: Partial<Omit<MappedRecord, 'start' | 'startOrdinal' | 'mappedFrom' | 'pieces' | 'pieceRuns'>>): void {
    this.head = { ...this.head, ...change };
    this.#pieces.headChanged();
  }

  /** Nothing is accounted for yet, and it is to begin further on. */
  startAt(start: number): void {
    assert(this.ledger.runCount === 0, 'a start that follows the source');
    this.head = { ...this.head, start, mappedFrom: start };
    this.#pieces.headChanged();
  }

  account(disposition: Disposition, length: number): void {
    this.#pieces.changed('ledger', this.ledger.runCount - 1);
    this.ledger.append(disposition, length);
  }

  placed(run: { readonly source: number; readonly target: number; readonly length: number }): void {
    this.#pieces.changed('placed', this.placements.runCount - 1);
    this.placements.append(run);
  }

  /** The target has lost what it had from its offset `target` on. */
  lost(target: number): void {
    this.placements.truncate(this.placements.nextSource(target));
    this.#pieces.changed('placed', this.placements.runCount - 1);
  }

  /**
   * As many records of ours are on the target, no more and no less: what the ledger has more was never written, and what it
   * has less follows its end without a gap. Below what was forgotten it only empties the ledger.
   */
  settle(ordinal: number): void {
    if (ordinal > this.ledger.ordinal) return this.account({ kind: 'delivered' }, ordinal - this.ledger.ordinal);
    this.ledger.truncate(Math.max(ordinal, this.head.startOrdinal));
    this.#pieces.changed('ledger', this.ledger.runCount - 1);
  }

  /** There is more of it than is kept always. */
  get isLong(): boolean {
    return Math.max(this.ledger.runCount, this.placements.runCount) > this.head.pieceRuns;
  }

  /**
   * Forgets what the target has lost, below its log start, and, below the source's log start, what never came to the target
   * and lies before all that it has: whole pieces, never the last. `ordinal`: as many records of ours are on the target.
   */
  trim(logs: { readonly targetStart: number; readonly sourceStart: number; readonly ordinal: number }): void {
    const { ledger, placements, head } = this;
    const keptFrom = this.#keptFrom(logs);
    const runs = { ledger: ledger.runsBelow(keptFrom), placed: placements.runsBelow(logs.targetStart) };
    const dropped = {
      ledger: this.#pieces.trim('ledger', runs.ledger, ledger.runCount),
      placed: this.#pieces.trim('placed', runs.placed, placements.runCount),
    };
    if (dropped.ledger + dropped.placed === 0) return;
    if (dropped.ledger > 0) ledger.trim(dropped.ledger * head.pieceRuns);
    if (dropped.placed > 0) placements.trim(dropped.placed * head.pieceRuns);
    this.head = { ...this.head, start: ledger.start, startOrdinal: ledger.startOrdinal };
    this.#pieces.headChanged();
  }

  /** Of source offsets below it the target has nothing any more, and what never came to it is not at the source any more. */
  #keptFrom({ targetStart, sourceStart, ordinal }: Parameters<MappedState['trim']>[0]): number {
    const { ledger, placements, head } = this;
    const gone = Math.min(head.isShared ? placements.nextSource(targetStart) : targetStart, ordinal, ledger.ordinal);
    const last = gone > head.startOrdinal ? ledger.offsetOf(gone - 1) : null;
    const next = gone < ledger.ordinal ? ledger.offsetOf(Math.max(gone, head.startOrdinal)) : ledger.end;
    return Math.max(last === null ? head.start : last + 1, Math.min(sourceStart, next ?? head.start));
  }

  /** The first source offset that is not on the target, when as many records of ours are. */
  positionAt(ordinal: number): number {
    return ordinal >= this.ledger.ordinal ? this.ledger.end : must(this.ledger.offsetOf(ordinal), 'delivered record');
  }

  /** Source offsets to target offsets, of the first `ordinal` records, as far back as they are known. Made anew: 24 bytes a run. */
  mapUpTo(ordinal: number): OffsetMap {
    const deliveries = this.ledger.deliveries();
    if (ordinal < this.ledger.ordinal) deliveries.truncate(this.ledger.offsetOf(ordinal) ?? this.ledger.start);
    const mapped = this.head.isShared ? deliveries.followedBy(this.placements) : deliveries;
    const { identicalFrom, mappedFrom } = this.head;
    if (identicalFrom === null || identicalFrom === mappedFrom) return mapped;
    const all = new OffsetMap();
    all.append({ source: identicalFrom, target: identicalFrom, length: mappedFrom - identicalFrom });
    for (const run of mapped.runs()) all.append(run);
    return all;
  }

  /**
   * Where a reader of the source goes on in a target of our own, where the first `ordinal` records are: looked up in the
   * ledger itself, so that asking again costs nothing however much was copied meanwhile.
   */
  placesUpTo(ordinal: number): NextPlaces {
    assert(!this.head.isShared, 'ordinals are offsets only where nobody else writes');
    const { ledger } = this;
    const count = Math.min(ordinal, ledger.ordinal);
    return {
      isEmpty: count === 0,
      sourceEnd: (count > 0 ? (ledger.offsetOf(count - 1) ?? ledger.start - 1) : -1) + 1,
      forgottenBelow: this.head.mappedFrom === ledger.start ? 0 : ledger.start,
      nextTarget: (source) => Math.min(count, ledger.ordinalAt(source)),
    };
  }

  /** Source offsets that the ledger leaves out; where its end is missing, up to the end of the source. */
  unexplainedUpTo(sourceEnd: number): number {
    return this.ledger.balance().unexplained + (this.isTorn ? Math.max(0, sourceEnd - this.ledger.end) : 0);
  }

  /** Writes what has changed. What changes meanwhile is written with the next one. Throws KafkaError. */
  save(store: MappedStore, permit?: Permit): Promise<void> {
    return this.#pieces.save(store, this, permit);
  }
}

function piecesBroken(place: MappedPlace): AppError {
  const { targetTopic, partition } = place;
  return new AppError('STATE_TOPIC_INVALID', `the pieces of ${named(place)} do not fit together`, {
    nextStep: `Somebody has written to the state topic, or deleted from it. Take that right away; then "lockstep rebuild" copies ${targetTopic}/${partition} anew.`,
  });
}

function newerVersion(place: MappedPlace, code: number): AppError {
  const message = `${named(place)} has disposition ${code}, which this Lockstep does not know: a newer version wrote it`;
  return new AppError('STATE_TOPIC_INVALID', message, { nextStep: 'Run the newer Lockstep that wrote it.' });
}

function named({ targetTopic, partition, sourceTopic }: MappedPlace): string {
  return `the offset map of ${sourceTopic}/${partition} into "${targetTopic}"`;
}
