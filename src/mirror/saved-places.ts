/**
 * A mapped partition that another process copies, as that one has saved it last: looked up in the pieces as they stand in
 * the state topic, so that nothing is built or kept for it here, however long it is.
 */
import { DispositionLedger } from '#contract/disposition-ledger.ts';
import type { NextPlaces } from '#contract/offset-map.ts';
import type { MappedStore } from './mapped-state.ts';
import type { MappedPlace } from './state-records.ts';

type Store = Pick<MappedStore, 'mapped' | 'piece'>;

/** Of a target that nobody else writes to. What is missing in the pieces has no place: who copies the partition says it. */
export class SavedPlaces implements NextPlaces {
  readonly #store: Store;
  readonly #place: MappedPlace;

  private constructor(store: Store, place: MappedPlace) {
    this.#store = store;
    this.#place = place;
  }

  /** Null for a partition of `targetTopicId` of which nothing is saved. Throws AppError STATE_TOPIC_INVALID. */
  static of(store: Store, place: MappedPlace, targetTopicId: string): SavedPlaces | null {
    return store.mapped(place)?.targetTopicId === targetTopicId ? new SavedPlaces(store, place) : null;
  }

  get isEmpty(): boolean {
    return this.#count === 0;
  }

  get sourceEnd(): number {
    const last = this.#count - 1;
    const [from, to] = this.#range;
    for (let index = to - 1; index >= from; index--) {
      const offset = this.#pieceAt(index)?.offsetOf(last) ?? null;
      if (offset !== null) return offset + 1;
    }
    return this.forgottenBelow;
  }

  get forgottenBelow(): number {
    const head = this.#store.mapped(this.#place);
    return head && head.start > head.mappedFrom ? head.start : 0;
  }

  nextTarget(source: number): number {
    let [low, high] = this.#range;
    while (low + 1 < high) {
      const middle = (low + high) >>> 1;
      if ((this.#pieceAt(middle)?.start ?? Infinity) <= source) low = middle;
      else high = middle;
    }
    return this.#pieceAt(low)?.ordinalAt(source) ?? 0;
  }

  /** The first source offset that is not accounted for. */
  get end(): number {
    return this.#last?.end ?? this.#store.mapped(this.#place)?.start ?? 0;
  }

  get #count(): number {
    return this.#last?.ordinal ?? 0;
  }

  get #last(): DispositionLedger | null {
    return this.#pieceAt(this.#range[1] - 1);
  }

  get #range(): readonly [number, number] {
    return this.#store.mapped(this.#place)?.pieces.ledger ?? [0, 0];
  }

  #pieceAt(index: number): DispositionLedger | null {
    const piece = index < 0 ? null : this.#store.piece('ledger', this.#place, index);
    if (piece === null) return null;
    const ledger = new DispositionLedger(piece.start, piece.ordinal);
    return ledger.take(piece) ? ledger : null;
  }
}
