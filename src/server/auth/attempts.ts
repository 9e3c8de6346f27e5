/**
 * How often somebody may guess. Failures are counted by account and by address, and each beyond the first few makes the next one
 * wait twice as long, up to a minute: never for good, or guessing wrong would be a way to lock somebody out. A browser that has
 * signed in to the account before is counted by itself, so whoever guesses from elsewhere does not keep its owner out either.
 */
import { AppError } from '#contract/errors.ts';
import type { Throttles, ThrottlePolicy } from '#store/throttles.ts';
import type { Clock } from '#util/clock.ts';
import { addressKey } from '../http/transport.ts';
import { sha256 } from './credential.ts';

const ACCOUNT: ThrottlePolicy = { free: 5, baseMs: 1_000, maxMs: 60_000, forgetMs: 15 * 60_000 };
const ADDRESS: ThrottlePolicy = { free: 20, baseMs: 1_000, maxMs: 60_000, forgetMs: 15 * 60_000 };

export interface Attempt {
  readonly account: string;
  readonly address: string;
  /** Id of a browser that has signed in to this account before. */
  readonly device: string | null;
}

export class Attempts {
  readonly #throttles: Throttles;
  readonly #clock: Clock;
  #turn: Promise<unknown> = Promise.resolve();

  constructor({ throttles, clock }: { readonly throttles: Throttles; readonly clock: Clock }) {
    this.#throttles = throttles;
    this.#clock = clock;
  }

  /**
   * Counts an attempt before it is made, as a failure until `succeeded`: a thousand at the same time are then a thousand, not one.
   * Throws RATE_LIMITED when it is too early.
   */
  begin(attempt: Attempt): Promise<void> {
    const counted = this.#turn.then(() => this.#count(attempt));
    this.#turn = counted.catch(() => undefined); // the caller has the error; the next one has its turn all the same
    return counted;
  }

  async succeeded(attempt: Attempt): Promise<void> {
    // What others have failed from the same address stays counted: one's own account must not buy free guesses at others'.
    await this.#throttles.clear(accountKey(attempt));
  }

  async #count(attempt: Attempt): Promise<void> {
    const limits = [
      { key: accountKey(attempt), policy: ACCOUNT },
      { key: `address:${addressKey(attempt.address)}`, policy: ADDRESS },
    ];
    const now = this.#clock.now();
    const until = Math.max(...(await Promise.all(limits.map(({ key }) => this.#throttles.get(key)))).map((each) => each.until));
    if (until > now)
      throw new AppError('RATE_LIMITED', 'Too many attempts to sign in.', {
        details: { retryAfterMs: until - now },
        nextStep: `Try again in ${Math.ceil((until - now) / 1000)} seconds.`,
      });
    for (const { key, policy } of limits) await this.#throttles.fail(key, policy);
  }
}

function accountKey({ account, device }: Attempt): string {
  return device === null ? `account:${sha256(account.toLowerCase())}` : `device:${sha256(device)}`;
}
