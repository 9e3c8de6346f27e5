/**
 * When a cluster is asked to log us in, over all our connections to it: several wrong passwords at once, at whichever
 * brokers, lock a user out. So credentials that no broker has taken yet are shown to one broker at a time, the refusal of one
 * is the refusal of all that were under way with it, and the next is tried after a growing, jittered distance. Credentials
 * that a broker has taken go to any number at once. Sessions that are renewed (session.ts) do not come here: their
 * connections stand, and have a deadline.
 */
import { isDeepStrictEqual } from 'node:util';
import { Backoff } from '#util/backoff.ts';
import { sleep, type Clock } from '#util/clock.ts';
import type { Random } from '#util/random.ts';
import { untilAborted } from '#util/until-aborted.ts';
import { ConnectionError } from './errors.ts';
import type { SaslCredentials } from './security.ts';

/** Between a refusal and the next login, as between attempts at one address (shared-connection.ts). */
const REFUSED_BASE_MS = 100;
const REFUSED_MAX_MS = 5_000;
/** Who hangs in a login holds the others up no longer: half of what a group member may be out of reach (jobs/ownership.ts). */
const TURN_MS = 5_000;

export interface LoginAttempt {
  /** `host:port` */
  readonly address: string;
  readonly credentials: SaslCredentials;
  /** What `begin` has resolved with. */
  readonly begun: number;
  /** Aborts when the connection is gone, with the ConnectionError that says why as its reason. */
  readonly gone: AbortSignal;
}

export class LoginTurns {
  readonly #clock: Clock;
  readonly #backoff: Backoff;
  #notBeforeMs = 0;
  /** How many times all that were under way were refused; the last refusal. */
  #refusals = 0;
  #refusal: ConnectionError | null = null;
  /** What a broker has taken last, and none has refused since. */
  #proven: SaslCredentials | null = null;
  /** Resolves when the turn that somebody has is over; null while nobody has it. */
  #turn: Promise<void> | null = null;

  constructor(clock: Clock, random: Random) {
    this.#clock = clock;
    this.#backoff = new Backoff(random, { baseMs: REFUSED_BASE_MS, maxMs: REFUSED_MAX_MS });
  }

  /**
   * To be awaited before credentials are read and a broker is connected to: resolves when the distance to the last refusal
   * is kept, or as soon as `signal` aborts. So credentials that are corrected meanwhile are the ones that are shown.
   */
  async begin(signal?: AbortSignal): Promise<number> {
    for (;;) {
      const waitMs = this.#notBeforeMs - this.#clock.monotonic();
      if (waitMs <= 0 || signal?.aborted) return this.#refusals;
      await sleep(this.#clock, waitMs, signal);
    }
  }

  /**
   * Calls `login` when it may be. Throws what it throws; the refusal of another, where the attempt began before that and has
   * nothing better to show; the reason of `gone`, where the connection ends before its turn.
   */
  async logIn(attempt: LoginAttempt, login: () => Promise<void>): Promise<void> {
    const endTurn = await this.#turnOf(attempt);
    try {
      await login();
      this.#taken(attempt.credentials);
    } catch (error) {
      if (error instanceof ConnectionError && error.failure === 'authentication') this.#refused(attempt, error);
      throw error;
    } finally {
      endTurn();
    }
  }

  /** Resolves with what ends it. */
  async #turnOf({ address, credentials, begun, gone }: LoginAttempt): Promise<() => void> {
    while (!isDeepStrictEqual(credentials, this.#proven)) {
      if (this.#refusal && begun < this.#refusals) {
        throw new ConnectionError('authentication', address, this.#refusal.message, { definite: true });
      }
      if (!this.#turn) return this.#takeTurn();
      await untilAborted(this.#turn, gone);
      gone.throwIfAborted();
    }
    return () => {};
  }

  #takeTurn(): () => void {
    const { promise, resolve } = Promise.withResolvers<void>();
    const end = (): void => {
      cancel();
      if (this.#turn === promise) this.#turn = null;
      resolve();
    };
    const cancel = this.#clock.schedule(TURN_MS, end);
    this.#turn = promise;
    return end;
  }

  #taken(credentials: SaslCredentials): void {
    this.#proven = credentials;
    this.#backoff.reset();
  }

  #refused({ credentials, begun }: LoginAttempt, error: ConnectionError): void {
    if (isDeepStrictEqual(credentials, this.#proven)) this.#proven = null;
    if (begun < this.#refusals) return; // of those that went at once, the first has told all
    this.#refusals++;
    this.#refusal = error;
    this.#notBeforeMs = this.#clock.monotonic() + this.#backoff.next();
  }
}
