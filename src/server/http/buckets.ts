/** Token buckets by key: so many requests a second on average, and so many at once. */
import type { Clock } from '#util/clock.ts';

const KEYS_MAX = 20_000;

export interface BucketLimits {
  readonly perSecond: number;
  readonly burst: number;
}

export class Buckets {
  readonly #clock: Clock;
  readonly #limits: () => BucketLimits;
  /** In the order of last use. */
  readonly #buckets = new Map<string, { tokens: number; at: number }>();

  /** `limits` may change: what holds is asked at each turn. */
  constructor({ clock, limits }: { readonly clock: Clock; readonly limits: () => BucketLimits }) {
    this.#clock = clock;
    this.#limits = limits;
  }

  /** 0: taken; else in how many milliseconds there will be one. */
  take(key: string): number {
    const now = this.#clock.monotonic();
    const { perSecond, burst } = this.#limits();
    const known = this.#buckets.get(key) ?? { tokens: burst, at: now };
    const tokens = Math.min(burst, known.tokens + ((now - known.at) / 1000) * perSecond);
    this.#buckets.delete(key);
    this.#buckets.set(key, { tokens: tokens < 1 ? tokens : tokens - 1, at: now });
    if (this.#buckets.size > KEYS_MAX) this.#forgetOldest();
    return tokens >= 1 ? 0 : ((1 - tokens) / perSecond) * 1000;
  }

  /** Whoever has not asked for longest has a full bucket, or soon will. */
  #forgetOldest(): void {
    const [oldest] = this.#buckets.keys();
    if (oldest !== undefined) this.#buckets.delete(oldest);
  }
}
