/** What is good for one use and a short time: the setup token, tickets of streams, resets. Only hashes are kept. */
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
