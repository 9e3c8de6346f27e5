import type { Random } from './random.ts';

/**
 * Exponential back-off with equal jitter: the n-th call of `next` gives a delay in milliseconds, drawn from
 * [cap/2, cap) where cap doubles from `baseMs` up to `maxMs`. `reset` after a success.
 */
export class Backoff {
  readonly #random: Random;
  readonly #baseMs: number;
  readonly #maxMs: number;
  #attempts = 0;

  constructor(random: Random, options: { baseMs: number; maxMs: number }) {
    this.#random = random;
    this.#baseMs = options.baseMs;
    this.#maxMs = options.maxMs;
  }

  next(): number {
    const cap = Math.min(this.#maxMs, this.#baseMs * 2 ** Math.min(this.#attempts, 30));
    this.#attempts++;
    return cap / 2 + (this.#random.next() * cap) / 2;
  }

  reset(): void {
    this.#attempts = 0;
  }
}
