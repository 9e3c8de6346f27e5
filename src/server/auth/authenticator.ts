/**
 * Finds out who asks. What the store said is believed for half a second: a role that was changed, and a session that was ended,
 * by this server or another one, count within a second. A change through this server counts at once (`forget`).
 */
import { AppError } from '#contract/errors.ts';
import type { Json } from '#store/json.ts';
import type { Store } from '#store/store.ts';
import type { Clock } from '#util/clock.ts';
import { isWithin } from '../http/transport.ts';
import { Caller, type Proof, type ShownCertificate } from './caller.ts';
import { readCredential } from './credential.ts';

const BELIEVED_MS = 500;
const REMEMBERED_MAX = 10_000;
const TOUCH_MS = 60_000;

export interface Shown {
  readonly cookie: string | undefined;
  readonly authorization: string | undefined;
  readonly certificate: ShownCertificate | null;
  readonly address: string;
}

export class Authenticator {
  readonly #store: Store;
  readonly #clock: Clock;
  readonly #believed = new Map<string, { readonly caller: Promise<Caller | null>; readonly until: number }>();
  readonly #touched = new Map<string, number>();

  constructor({ store, clock }: { readonly store: Store; readonly clock: Clock }) {
    this.#store = store;
    this.#clock = clock;
  }

  /** Null: nothing was shown. Throws AUTH_INVALID where what was shown is nobody's. */
  async identify({ cookie, authorization, certificate, address }: Shown): Promise<Caller | null> {
    const caller =
      authorization !== undefined
        ? await this.#byHeader(authorization)
        : cookie !== undefined
          ? await this.#bySession(cookie, 'cookie')
          : certificate !== null
            ? await this.#believe(`c:${certificate.fingerprint}`, () => this.#byCertificate(certificate))
            : null;
    if (caller === null) {
      if (authorization === undefined && cookie === undefined) return null; // a certificate that is nobody's says nothing
      throw invalid();
    }
    this.#checkRanges(caller, address);
    this.#touch(caller, address);
    return caller;
  }

  /** The caller as it is now; null: no longer. */
  again({ proof }: Caller): Promise<Caller | null> {
    switch (proof.kind) {
      case 'session':
        return this.#findSession(proof.hash, proof.via);
      case 'token':
        return this.#findToken(proof.hash);
      case 'certificate':
        return this.#byCertificate(proof.shown);
    }
  }

  /** The caller for whom the ticket of a stream was made, as it is now; null: no longer. `payload`: as it was issued. */
  byTicket(payload: Json): Promise<Caller | null> {
    const ticket = payload as
      | { readonly kind: 'session' | 'token'; readonly hash: string }
      | { readonly kind: 'certificate'; readonly subjects: readonly string[]; readonly fingerprint: string };
    switch (ticket.kind) {
      case 'session':
        return this.#findSession(ticket.hash, 'header');
      case 'token':
        return this.#findToken(ticket.hash);
      case 'certificate':
        return this.#byCertificate(ticket);
    }
  }

  /** Somebody's rights or sessions were changed. */
  forget(): void {
    this.#believed.clear();
  }

  async #byHeader(authorization: string): Promise<Caller | null> {
    const [, text = ''] = /^Bearer ([\w.~+/=-]+)$/i.exec(authorization) ?? [];
    const credential = readCredential(text);
    if (credential?.kind === 'session') return this.#bySession(text, 'header');
    if (credential?.kind !== 'token') return null;
    return this.#believe(`t:${credential.hash}`, () => this.#findToken(credential.hash));
  }

  async #bySession(text: string, via: 'cookie' | 'header'): Promise<Caller | null> {
    const credential = readCredential(text);
    if (credential?.kind !== 'session') return null;
    return this.#believe(`${via}:${credential.hash}`, () => this.#findSession(credential.hash, via));
  }

  async #findSession(hash: string, via: 'cookie' | 'header'): Promise<Caller | null> {
    const found = await this.#store.sessions.find(hash);
    return found && new Caller(found.identity, { kind: 'session', session: found.session, hash, via });
  }

  async #findToken(hash: string): Promise<Caller | null> {
    const found = await this.#store.tokens.find(hash);
    return found && new Caller(found.identity, { kind: 'token', token: found.token, hash });
  }

  async #byCertificate(shown: ShownCertificate): Promise<Caller | null> {
    const found = await this.#store.certificates.find(shown);
    return found && new Caller(found.identity, { kind: 'certificate', certificate: found.certificate, shown });
  }

  #believe(key: string, find: () => Promise<Caller | null>): Promise<Caller | null> {
    const now = this.#clock.monotonic();
    const known = this.#believed.get(key);
    if (known && known.until > now) return known.caller;
    if (this.#believed.size >= REMEMBERED_MAX) this.#believed.clear();
    const caller = find();
    this.#believed.set(key, { caller, until: now + BELIEVED_MS });
    caller.catch(() => this.#believed.delete(key)); // whoever asked gets the error; the next one asks anew
    return caller;
  }

  #checkRanges({ proof }: Caller, address: string): void {
    const ranges = proof.kind === 'token' ? proof.token.allowedRanges : [];
    if (ranges.length > 0 && !isWithin(address, ranges)) throw invalid();
  }

  /** Nobody waits for it, and a store that takes no writes keeps nobody from reading: at worst it counts as idle. */
  #touch({ proof }: Caller, address: string): void {
    const { key, touch } = touchOf(proof, this.#store, address);
    const now = this.#clock.monotonic();
    if (now - (this.#touched.get(key) ?? Number.NEGATIVE_INFINITY) < TOUCH_MS) return;
    if (this.#touched.size >= REMEMBERED_MAX) this.#touched.clear();
    this.#touched.set(key, now);
    touch().catch((error: unknown) => {
      if (!(error instanceof AppError)) throw error;
    });
  }
}

function touchOf(proof: Proof, store: Store, address: string): { key: string; touch: () => Promise<void> } {
  switch (proof.kind) {
    case 'session':
      return { key: proof.session.id, touch: () => store.sessions.touch(proof.session.id) };
    case 'token':
      return { key: proof.token.id, touch: () => store.tokens.touch(proof.token.id, address) };
    case 'certificate':
      return { key: proof.certificate.id, touch: () => store.certificates.touch(proof.certificate.id) };
  }
}

function invalid(): AppError {
  return new AppError('AUTH_INVALID', 'The session or token is not valid, or no longer.', {
    nextStep: 'Sign in again, or take another token.',
  });
}
