/**
 * When a cluster is asked to log us in, over all our connections to it: several wrong passwords at once, at whichever
 * brokers, lock a user out. So credentials that no broker has taken yet are shown to one broker at a time, the refusal of one
 * is the refusal of all that were under way with them, and the next is tried after a growing, jittered distance. Credentials
 * that a broker has taken go to any number at once; a broker that refuses those is taken to be wrong itself (its users, its
 * key set), and only it is held off, until a second one refuses them too. What is refused before credentials are shown (the
 * mechanism) says nothing of other brokers. Sessions that are renewed (session.ts) do not come here: their connections
 * stand, and have a deadline.
 */
import { hash } from 'node:crypto';
import { Backoff } from '#util/backoff.ts';
import { sleep, type Clock } from '#util/clock.ts';
import type { Random } from '#util/random.ts';
import { untilAborted } from '#util/until-aborted.ts';
import { LoginRefusedError } from './errors.ts';
import type { SaslCredentials } from './security.ts';

/** Between a refusal and the next login, as between attempts at one address (shared-connection.ts). */
const REFUSED_MS = { baseMs: 100, maxMs: 5_000 };
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

/** An attempt with a digest of its credentials: nothing here keeps a password. */
interface Login {
  readonly address: string;
  readonly begun: number;
  readonly digest: string;
}

interface Refusal {
  /** Counted over the whole cluster: an attempt that has begun with a smaller number began before. */
  readonly number: number;
  /** Of the credentials; null where none were shown. */
  readonly digest: string | null;
  readonly message: string;
}

/** Of all addresses, or of one. */
class HoldOff {
  readonly backoff: Backoff;
  notBeforeMs = 0;
  /** The last. */
  refusal: Refusal | null = null;

  constructor(random: Random) {
    this.backoff = new Backoff(random, REFUSED_MS);
  }

  /** What an attempt that has begun before it need not hear from a broker again. */
  toldTo({ begun, digest }: { begun: number; digest: string | null }): Refusal | null {
    return this.refusal && this.refusal.digest === digest && begun < this.refusal.number ? this.refusal : null;
  }
}

export class LoginTurns {
  readonly #clock: Clock;
  readonly #random: Random;
  readonly #all: HoldOff;
  /** By address, of those that have refused for themselves alone and taken nothing since. */
  readonly #own = new Map<string, HoldOff>();
  #refusals = 0;
  /** Digest of what a broker has taken last; null again where that is refused by all. */
  #proven: string | null = null;
  /** Who was shown credentials and refused them since any address has last taken some. */
  readonly #refusing = new Set<string>();
  /** Resolves when the turn that somebody has is over; null while nobody has it. */
  #turn: Promise<void> | null = null;

  constructor(clock: Clock, random: Random) {
    this.#clock = clock;
    this.#random = random;
    this.#all = new HoldOff(random);
  }

  /**
   * To be awaited before credentials are read and a broker is connected to: resolves when the distance to the last refusal,
   * that of all and that of `address`, is kept, or as soon as `signal` aborts. So credentials that are corrected meanwhile
   * are the ones that are shown. Null: for an address that is not chosen yet.
   */
  async begin(address: string | null, signal?: AbortSignal): Promise<number> {
    for (;;) {
      const ownMs = (address !== null && this.#own.get(address)?.notBeforeMs) || 0;
      const waitMs = Math.max(this.#all.notBeforeMs, ownMs) - this.#clock.monotonic();
      if (waitMs <= 0 || signal?.aborted) return this.#refusals;
      await sleep(this.#clock, waitMs, signal);
    }
  }

  /**
   * Calls `login` when it may be. Throws what it throws; the refusal of another, where the attempt began before that and has
   * the same to show; the reason of `gone`, where the connection ends before its turn.
   */
  async logIn({ address, begun, credentials, gone }: LoginAttempt, login: () => Promise<void>): Promise<void> {
    const attempt = { address, begun, digest: digestOf(credentials) };
    const endTurn = await this.#turnOf(attempt, gone);
    try {
      await login();
      this.#taken(attempt);
    } catch (error) {
      if (error instanceof LoginRefusedError) this.#refused(attempt, error);
      throw error;
    } finally {
      endTurn();
    }
  }

  /** Resolves with what ends it. */
  async #turnOf(login: Login, gone: AbortSignal): Promise<() => void> {
    while (login.digest !== this.#proven || this.#isDoubted(login.address)) {
      this.#throwIfTold(login);
      if (!this.#turn) return this.#takeTurn();
      await untilAborted(this.#turn, gone);
      gone.throwIfAborted();
    }
    return () => {};
  }

  #throwIfTold(login: Login): void {
    const ofAll = this.#all.toldTo(login);
    const told = ofAll ?? this.#own.get(login.address)?.toldTo(login);
    if (!told) return;
    const error = new LoginRefusedError(login.address, told.message, { wasShown: true });
    error.isOfAllBrokers = ofAll !== null;
    throw error;
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

  /** Logins work: only addresses that have refused for themselves are still held off. */
  #taken({ address, digest }: Login): void {
    this.#proven = digest;
    this.#refusing.clear();
    this.#own.delete(address);
    this.#all.notBeforeMs = 0;
    this.#all.backoff.reset();
  }

  #refused(login: Login, error: LoginRefusedError): void {
    const { address, digest } = login;
    if (!error.wasShown) return this.#holdOff(this.#ownOf(address), { ...login, digest: null }, error);
    this.#refusing.add(address);
    error.isOfAllBrokers = this.#refusing.size > 1 || (digest !== this.#proven && !this.#isDoubted(address));
    if (error.isOfAllBrokers && digest === this.#proven) this.#proven = null;
    this.#holdOff(error.isOfAllBrokers ? this.#all : this.#ownOf(address), login, error);
  }

  #holdOff(
    holdOff: HoldOff,
    login: { readonly begun: number; readonly digest: string | null },
    { message }: LoginRefusedError,
  ): void {
    if (holdOff.toldTo(login)) return; // of those that went at once, the first has told all
    holdOff.refusal = { number: ++this.#refusals, digest: login.digest, message };
    holdOff.notBeforeMs = this.#clock.monotonic() + holdOff.backoff.next();
  }

  /**
   * Has refused for itself alone and taken nothing since: what it is shown next goes there in turn, for the password may have
   * been changed, and should it refuse that too it is still itself that is wrong, whatever has come into the file meanwhile.
   */
  #isDoubted(address: string): boolean {
    return this.#own.has(address);
  }

  #ownOf(address: string): HoldOff {
    let own = this.#own.get(address);
    if (!own) {
      own = new HoldOff(this.#random);
      this.#own.set(address, own);
    }
    return own;
  }
}

/**
 * All tokens count as one: after a refusal we always have a new one, so a broker that cannot check them would be shown what
 * none has taken each time, and hold up all others. Tokens are not guessed, so refusals of them lock no user out.
 */
function digestOf(credentials: SaslCredentials): string {
  const shown = 'token' in credentials ? { extensions: credentials.extensions } : credentials;
  return hash('sha256', JSON.stringify(shown));
}
