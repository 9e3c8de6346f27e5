/** Failures that are remembered over restarts, and how long to wait after them. */
import type { Scope } from './scope.ts';

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

const NONE: Throttle = { failures: 0, until: 0 };

export function createThrottles({ db, now }: Scope): Throttles {
  const find = (key: string) =>
    db.selectFrom('throttles').selectAll().where('key', '=', key).where('forget_at', '>', now).executeTakeFirst();
  return {
    async get(key) {
      const row = await find(key);
      return row ? { failures: row.failures, until: row.until } : NONE;
    },
    async fail(key, { free, baseMs, maxMs, forgetMs }) {
      const failures = ((await find(key))?.failures ?? 0) + 1;
      const doublings = Math.min(failures - free - 1, 50);
      const until = now + (doublings < 0 ? 0 : Math.min(maxMs, baseMs * 2 ** doublings));
      const columns = { failures, until, last_failure_at: now, forget_at: Math.max(until, now + forgetMs) };
      await db
        .insertInto('throttles')
        .values({ key, ...columns })
        .onConflict((existing) => existing.column('key').doUpdateSet(columns))
        .execute();
      return { failures, until };
    },
    async clear(key) {
      await db.deleteFrom('throttles').where('key', '=', key).execute();
    },
  };
}
