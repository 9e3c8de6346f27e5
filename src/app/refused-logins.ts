/**
 * Clusters that have refused the server's login. Somebody's page asks for its cluster every few seconds, and each login with a
 * wrong password brings the user nearer to being locked out: so whoever asks meanwhile is told the last refusal at once, and
 * the next login is tried after a growing, jittered distance. What was corrected, here or in the resource, is tried at once.
 */
import { AppError } from '#contract/errors.ts';
import { Backoff } from '#util/backoff.ts';
import type { Clock } from '#util/clock.ts';
import type { Random } from '#util/random.ts';

/** Nobody waits for these logins, as they do for those of a job (kafka/login-turns.ts): they may be rarer. */
const BASE_MS = 5_000;
const MAX_MS = 60_000;
/** Descriptions of clusters that are no more are among them, and nobody says which. */
const REFUSALS_MAX = 1_000;

/** As a person is told of it. */
export type Refusal = Pick<AppError, 'message' | 'nextStep'>;

interface Refused {
  /** What was shown. */
  readonly secret: string | null;
  readonly refusal: Refusal;
  readonly backoff: Backoff;
  readonly notBeforeMs: number;
}

export class RefusedLogins {
  readonly #clock: Clock;
  readonly #random: Random;
  /** By what clusters are described as, those that were refused last at the end. */
  readonly #refused = new Map<string, Refused>();

  constructor(clock: Clock, random: Random) {
    this.#clock = clock;
    this.#random = random;
  }

  /** Calls `connect`, or throws the last refusal of the same secret where it is too early for another. Null: not known. */
  async attempt<T>(cluster: string, secret: string | null, connect: () => Promise<T>): Promise<T> {
    const last = this.#refused.get(cluster);
    if (last?.secret === secret) this.#holdBack(last);
    try {
      const connected = await connect();
      this.#refused.delete(cluster);
      return connected;
    } catch (error) {
      if (error instanceof AppError && error.code === 'CLUSTER_AUTHENTICATION_FAILED')
        this.refused(cluster, secret, error);
      throw error;
    }
  }

  /** A login of the cluster was refused. */
  refused(cluster: string, secret: string | null, refusal: Refusal): void {
    const last = this.#refused.get(cluster);
    const isAgain = last?.secret === secret;
    const backoff = isAgain ? last.backoff : new Backoff(this.#random, { baseMs: BASE_MS, maxMs: MAX_MS });
    const notBeforeMs = this.#clock.monotonic() + backoff.next();
    this.#refused.delete(cluster);
    this.#refused.set(cluster, { secret, refusal, backoff, notBeforeMs });
    const [oldest] = this.#refused.keys();
    if (this.#refused.size > REFUSALS_MAX && oldest !== undefined) this.#refused.delete(oldest);
  }

  #holdBack({ refusal: { message, nextStep }, notBeforeMs }: Refused): void {
    const waitMs = notBeforeMs - this.#clock.monotonic();
    if (waitMs <= 0) return;
    const seconds = Math.ceil(waitMs / 1_000);
    throw new AppError('CLUSTER_AUTHENTICATION_FAILED', message, {
      details: { retryAfterMs: waitMs },
      nextStep:
        `${nextStep ?? ''} So that its user is not locked out, the same secret is shown again in ${seconds} s; another one at once.`.trim(),
    });
  }
}
