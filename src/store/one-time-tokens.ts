/** What is good for one use and a short time: the setup token, tickets of streams, resets. Only hashes are kept. */
import { fromJson } from './json.ts';
import type { Scope } from './scope.ts';
import type { Json } from './json.ts';

export interface OneTimeTokens {
  /** With `replace`, earlier ones of the same purpose are worth nothing any more. */
  issue(token: {
    /** `setup`, `stream`, `password-reset`, … */
    readonly purpose: string;
    readonly hash: string;
    readonly lifeMs: number;
    /** What whoever shows it is told: the session that it belongs to, for example. */
    readonly payload: Json;
    readonly replace?: boolean;
  }): Promise<void>;
  /** What it was issued with, once; null: unknown, used, expired, or for another purpose. */
  consume(purpose: string, hash: string): Promise<{ readonly payload: Json } | null>;
  /** Whether one that is still good has been issued for this. */
  isPending(purpose: string): Promise<boolean>;
}

export function createOneTimeTokens({ db, now }: Scope): OneTimeTokens {
  return {
    async issue({ purpose, hash, lifeMs, payload, replace = false }) {
      if (replace) await db.deleteFrom('one_time_tokens').where('purpose', '=', purpose).execute();
      await db
        .insertInto('one_time_tokens')
        .values({
          hash,
          purpose,
          payload: JSON.stringify(payload),
          created_at: now,
          expires_at: now + lifeMs,
          used_at: null,
        })
        .execute();
    },
    async consume(purpose, hash) {
      const row = await db
        .updateTable('one_time_tokens')
        .set({ used_at: now })
        .where('hash', '=', hash)
        .where('purpose', '=', purpose)
        .where('used_at', 'is', null)
        .where('expires_at', '>', now)
        .returning('payload')
        .executeTakeFirst();
      return row ? { payload: fromJson<Json>(row.payload) } : null;
    },
    async isPending(purpose) {
      const row = await db
        .selectFrom('one_time_tokens')
        .select('hash')
        .where('purpose', '=', purpose)
        .where('used_at', 'is', null)
        .where('expires_at', '>', now)
        .executeTakeFirst();
      return row !== undefined;
    },
  };
}
