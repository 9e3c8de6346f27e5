import type { Clock } from '#util/clock.ts';

/** So many of a code at once: what a broker of a small mirror does to its partitions is said partition by partition. */
const BURST = 20;
const EVERY_MS = 5_000;

/**
 * Holds back warnings that come at every attempt of every partition: of each code 20 at once and then one in 5 s, which
 * says how many were like it. Thousands of partitions that wait for hours would else fill the disk of whoever keeps the log.
 */
export class WarningLimit {
  readonly #clock: Clock;
  readonly #codes = new Map<string, { tokens: number; atMs: number; held: number }>();

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  /** The text to say now, or null. */
  admit(code: string, message: string): string | null {
    const nowMs = this.#clock.monotonic();
    const known = this.#codes.get(code) ?? { tokens: BURST, atMs: nowMs, held: 0 };
    this.#codes.set(code, known);
    known.tokens = Math.min(BURST, known.tokens + (nowMs - known.atMs) / EVERY_MS);
    known.atMs = nowMs;
    if (known.tokens < 1) {
      known.held++;
      return null;
    }
    known.tokens--;
    const { held } = known;
    known.held = 0;
    return held === 0 ? message : `${message} (and ${held} more like it before)`;
  }
}
