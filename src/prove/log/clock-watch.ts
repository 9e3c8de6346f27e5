/** The times of entries: never going back, and saying where the wall clock was set. */
import type { Clock } from '#util/clock.ts';

/** A clock that is kept by NTP moves by less between two looks. */
const STEP_MS = 1_000;

export class ClockWatch {
  readonly #clock: Clock;
  #lastTs: number;
  /** Wall clock minus monotonic clock, as last seen. */
  #difference: number;

  constructor(clock: Clock, lastTs: number) {
    this.#clock = clock;
    this.#lastTs = lastTs;
    this.#difference = clock.now() - clock.monotonic();
  }

  get lastTs(): number {
    return this.#lastTs;
  }

  /** By how much the wall clock was set since the last look, in milliseconds: negative for back, 0 for not. */
  step(): number {
    const difference = this.#clock.now() - this.#clock.monotonic();
    const step = Math.round(difference - this.#difference);
    if (Math.abs(step) < STEP_MS) return 0;
    this.#difference = difference;
    return step;
  }

  /** Of the next entry. */
  next(): { ts: number; clock: 'wall' | 'held' } {
    const now = this.#clock.now();
    const clock = now < this.#lastTs ? 'held' : 'wall';
    this.#lastTs = Math.max(now, this.#lastTs);
    return { ts: this.#lastTs, clock };
  }
}
