import type { Clock } from '#util/clock.ts';

interface Timer {
  readonly atMs: number;
  readonly callback: () => void;
}

/** A clock that moves only when a test says so. */
export class ManualClock implements Clock {
  #nowMs = 0;
  readonly #timers = new Set<Timer>();
  readonly #settled: () => Promise<void>;

  /** `settled`: resolves when what has been called back has done what it can do without the clock. */
  constructor(settled: () => Promise<void> = settle) {
    this.#settled = settled;
  }

  now(): number {
    return Math.floor(1_700_000_000_000 + this.#nowMs); // as Date.now
  }

  monotonic(): number {
    return this.#nowMs;
  }

  schedule(delayMs: number, callback: () => void): () => void {
    const timer = { atMs: this.#nowMs + delayMs, callback };
    this.#timers.add(timer);
    return () => void this.#timers.delete(timer);
  }

  /** How many timers are set. */
  get pending(): number {
    return this.#timers.size;
  }

  /** Moves on by `ms`, calling back what falls due in its order; then lets promises settle. */
  async advance(ms: number): Promise<void> {
    const untilMs = this.#nowMs + ms;
    if (this.#settled !== settle) await this.#settled(); // what was begun before may still set a timer
    for (;;) {
      const [next] = [...this.#timers].filter(({ atMs }) => atMs <= untilMs).toSorted((a, b) => a.atMs - b.atMs);
      if (!next) break;
      this.#timers.delete(next);
      this.#nowMs = Math.max(this.#nowMs, next.atMs);
      next.callback();
      await this.#settled();
    }
    this.#nowMs = untilMs;
    await this.#settled();
  }
}

/** Resolves when every promise that can settle now has settled. */
export function settle(): Promise<void> {
  return new Promise((resolve) => setImmediate(resolve));
}
