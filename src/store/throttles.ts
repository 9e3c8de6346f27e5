/** Failures that are remembered over restarts, and how long to wait after them. */

export interface ThrottlePolicy {
  /** So many failures cost nothing. */
  readonly free: number;
  /** The first wait; each further failure doubles it. */
  readonly baseMs: number;
  readonly maxMs: number;
  /** After so long without one, failures are forgotten. */
  readonly forgetMs: number;
}

export interface Throttle {
  readonly failures: number;
  /** Nothing is tried before; a moment that has passed: now. */
  readonly until: number;
}

/** Keys are the caller's: `account:<name>`, `address:<ip>`. Hash what comes from outside, they are stored as they are. */
export interface Throttles {
  get(key: string): Promise<Throttle>;
  fail(key: string, policy: ThrottlePolicy): Promise<Throttle>;
  clear(key: string): Promise<void>;
}
