/** Passwords, second factors and sessions: how somebody comes in. */
import { AppError } from '#contract/errors.ts';
import type { Session } from '#store/sessions.ts';
import type { Aggregates } from '#store/store.ts';
import type { LoginFacts, User } from '#store/users.ts';
import { must } from '#util/assert.ts';
import type { ServerPorts } from '../ports.ts';
import type { HotSettings } from '../settings.ts';
import { Attempts, type Attempt } from './attempts.ts';
import { createCredential } from './credential.ts';
import { methodsOf, type Method, type SecondFactors } from './second-factors.ts';

/** From where somebody signs in. */
export interface Origin {
  readonly address: string;
  readonly userAgent: string | null;
}

export interface NewSession {
  readonly text: string;
  readonly session: Session;
}

/** For how long a step-up counts. */
export const STEP_UP_MS = 5 * 60_000;
export const CHALLENGE_MS = 5 * 60_000;

export class SignIn {
  readonly #ports: ServerPorts;
  readonly #hot: () => HotSettings;
  readonly #attempts: Attempts;
  readonly #factors: SecondFactors;
  /** Of a password that nobody has: so that an unknown name takes as long as a known one. */
  readonly #dummyHash: Promise<string>;

  constructor(options: {
    readonly ports: ServerPorts;
    readonly hot: () => HotSettings;
    readonly factors: SecondFactors;
  }) {
    this.#ports = options.ports;
    this.#hot = options.hot;
    this.#factors = options.factors;
    this.#attempts = new Attempts({ throttles: options.ports.store.throttles, clock: options.ports.clock });
    this.#dummyHash = options.ports.passwords.hash('nobody has this password');
  }

  /** Resolves when it can sign people in. */
  async ready(): Promise<void> {
    await this.#dummyHash;
  }

  /** Throws AUTH_INVALID, the same whatever was wrong; RATE_LIMITED. */
  async checkPassword(attempt: Attempt, password: string): Promise<LoginFacts> {
    await this.#attempts.begin(attempt);
    const { store, passwords } = this.#ports;
    const facts = await store.users.loginFacts(attempt.account);
    const hash = facts?.passwordHash ?? null;
    const { isRight, isWeak } = await passwords.verify(hash ?? (await this.#dummyHash), password);
    if (facts === null || hash === null || !isRight || facts.isDisabled) throw notRight();
    if (isWeak) await store.users.rehashPassword(facts.userId, { from: hash, to: await passwords.hash(password) });
    if (methodsOf(facts).length === 0) await this.#attempts.succeeded(attempt);
    return facts;
  }

  /** The second step; counts as an attempt of its own. Throws AUTH_INVALID, RATE_LIMITED. */
  async checkFactor(attempt: Attempt, check: () => Promise<void>): Promise<void> {
    await this.#attempts.begin(attempt);
    await check();
    await this.#attempts.succeeded(attempt);
  }

  methods(facts: LoginFacts): Method[] {
    return methodsOf(facts);
  }

  get factors(): SecondFactors {
    return this.#factors;
  }

  async createSession(
    store: Aggregates,
    user: { readonly userId: string; readonly methods: readonly string[] },
    from: Origin & { readonly isProgram: boolean },
  ): Promise<NewSession> {
    const { text, hash } = createCredential('session', this.#ports.entropy);
    const { idleMs, lifeMs } = this.#hot().sessions;
    const session = await store.sessions.create({
      userId: user.userId,
      hash,
      methods: user.methods,
      // A program does nothing for hours between two calls of its person.
      idleMs: from.isProgram ? lifeMs : idleMs,
      lifeMs,
      address: from.address,
      userAgent: from.userAgent,
    });
    await store.users.recordLogin(user.userId);
    return { text, session };
  }

  /** The same session under a new token; the old one is worth nothing any more. */
  async rotate(store: Aggregates, session: Session, method: string): Promise<NewSession> {
    const { text, hash } = createCredential('session', this.#ports.entropy);
    return { text, session: await store.sessions.rotate(session.id, { hash, methods: [method] }) };
  }

  /** The user of an identity provider, created or given the roles that the provider says. */
  async signedOn(
    store: Aggregates,
    who: {
      readonly issuer: string;
      readonly subject: string;
      readonly name: string | null;
      readonly roles: readonly string[];
    },
  ): Promise<User> {
    const known = await store.users.getByOidc(who.issuer, who.subject);
    if (known === null) return this.#createSignedOn(store, who);
    if (known.isDisabled) throw notRight();
    const isSame = known.roles.length === who.roles.length && known.roles.every((role) => who.roles.includes(role));
    return isSame ? known : store.users.setRoles(known.id, who.roles, { ifVersion: null });
  }

  /** A name is for people; who somebody is, is issuer and subject. So a name that is taken, or none, is no obstacle. */
  async #createSignedOn(
    store: Aggregates,
    {
      issuer,
      subject,
      name,
      roles,
    }: { issuer: string; subject: string; name: string | null; roles: readonly string[] },
  ): Promise<User> {
    const wanted = name !== null && /^[A-Za-z0-9][A-Za-z0-9._@+-]{0,98}[A-Za-z0-9]$/.test(name) ? name : null;
    const isFree = wanted !== null && (await store.users.getByName(wanted)) === null;
    const unique = `sso-${Buffer.from(this.#ports.entropy.bytes(8)).toString('hex')}`;
    return store.users.create({
      name: isFree ? must(wanted, 'free name') : unique,
      kind: 'oidc',
      displayName: name?.slice(0, 200) ?? null,
      roles,
      oidc: { issuer, subject },
    });
  }
}

function notRight(): AppError {
  return new AppError('AUTH_INVALID', 'The user name or the password is not right.', {
    nextStep: 'Try again; an administrator can reset the password.',
  });
}
