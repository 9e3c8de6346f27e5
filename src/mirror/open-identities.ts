/**
 * Whose transactions are open on the target is found from the source's batch where they begin (exactness.md rule 6). What is open
 * for long may be compacted away there until the next start needs it, so it is recorded, once for each that lasts.
 */
import type { Clock } from '#util/clock.ts';
import { KafkaError } from '#kafka/errors.ts';
import type { OpenTransaction } from './transaction-slots.ts';

/** Most end sooner, and cost nothing then; a broker's cleaner takes longer than this to come by (log.cleaner.backoff.ms: 15 s). */
const LONG_MS = 5_000;

export interface OpenIdentitiesOptions {
  readonly clock: Clock;
  /** The source's producer id by the offset of the first record: all that are open, in the place of what was saved before. Throws KafkaError. */
  save(open: ReadonlyMap<number, number>): Promise<void>;
}

export class OpenIdentities {
  readonly #options: OpenIdentitiesOptions;
  /** Monotonic time when a transaction was first seen open, by the offset of its first record. */
  #seen = new Map<number, number>();
  #saved: ReadonlySet<number> = new Set();
  #isSaving = false;

  constructor(options: OpenIdentitiesOptions) {
    this.#options = options;
  }

  /** To be called now and then with what is open: saves it when one has lasted that is not saved. Never throws for a state of the world. */
  async look(open: readonly OpenTransaction[]): Promise<void> {
    const now = this.#options.clock.monotonic();
    this.#seen = new Map(open.map(({ firstOffset }) => [firstOffset, this.#seen.get(firstOffset) ?? now]));
    const isDue = [...this.#seen].some(([at, sinceMs]) => now - sinceMs >= LONG_MS && !this.#saved.has(at));
    if (isDue && !this.#isSaving) await this.save(open);
  }

  /** Saves what is open, unless it is saved. What fails is tried again with the next look. */
  async save(open: readonly OpenTransaction[]): Promise<void> {
    if (open.every(({ firstOffset }) => this.#saved.has(firstOffset))) return;
    this.#isSaving = true;
    try {
      await this.#options.save(new Map(open.map(({ firstOffset, producerId }) => [firstOffset, producerId])));
      this.#saved = new Set(open.map(({ firstOffset }) => firstOffset));
    } catch (error) {
      if (!(error instanceof KafkaError)) throw error;
    } finally {
      this.#isSaving = false;
    }
  }
}
