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

/** Attempts are counted one after another; so many may wait for that. */
const WAITING_MAX = 500;

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
  #waiting = 0;

  constructor({ throttles, clock }: { readonly throttles: Throttles; readonly clock: Clock }) {
    this.#throttles = throttles;
    this.#clock = clock;
  }

  /**
   * Counts an attempt before it is made, as a failure until `succeeded`: a thousand at the same time are then a thousand, not one.
   * Throws RATE_LIMITED when it is too early.
   */
  async begin(attempt: Attempt): Promise<void> {
    await this.#check(attempt); // a flood that is refused anyway needs no turn
    if (this.#waiting >= WAITING_MAX)
      throw new AppError('SERVER_BUSY', 'Too many people sign in at this moment.', {
        nextStep: 'Try again in a few seconds.',
      });
    this.#waiting++;
    const counted = this.#turn.then(() => this.#count(attempt)).finally(() => this.#waiting--);
    this.#turn = counted.catch(() => undefined); // the caller has the error; the next one has its turn all the same
    await counted;
  }

  async succeeded(attempt: Attempt): Promise<void> {
    // What others have failed from the same address stays counted: one's own account must not buy free guesses at others'.
    await this.#throttles.clear(accountKey(attempt));
  }

  async #count(attempt: Attempt): Promise<void> {
    await this.#check(attempt);
    for (const { key, policy } of limitsOf(attempt)) await this.#throttles.fail(key, policy);
  }

  async #check(attempt: Attempt): Promise<void> {
    const throttles = await Promise.all(limitsOf(attempt).map(({ key }) => this.#throttles.get(key)));
    const now = this.#clock.now();
    const until = Math.max(...throttles.map((each) => each.until));
    if (until <= now) return;
    throw new AppError('RATE_LIMITED', 'Too many attempts to sign in.', {
      details: { retryAfterMs: until - now },
      nextStep: `Try again in ${Math.ceil((until - now) / 1000)} seconds.`,
    });
  }
}

function limitsOf(attempt: Attempt): { key: string; policy: ThrottlePolicy }[] {
  return [
    { key: accountKey(attempt), policy: ACCOUNT },
    { key: `address:${addressKey(attempt.address)}`, policy: ADDRESS },
  ];
}

function accountKey({ account, device }: Attempt): string {
  return device === null ? `account:${sha256(account.toLowerCase())}` : `device:${sha256(device)}`;
}
