/** Sessions of the console and the command line. Only hashes of what the client holds are kept. */
import type { Identity } from './identity.ts';

export interface Session {
  readonly id: string;
  readonly userId: string;
  /** How the user proved itself: `password`, `totp`, `webauthn`, `oidc`, `recovery-code`. */
  readonly methods: readonly string[];
  readonly createdAt: number;
  readonly lastSeenAt: number;
  /** Ends at the earlier of both; the first moves on with each use. */
  readonly idleUntil: number;
  readonly expiresAt: number;
  /** When it was last proved anew, for what asks for that. */
  readonly steppedUpAt: number | null;
  readonly address: string | null;
  readonly userAgent: string | null;
}

export interface NewSession {
  readonly userId: string;
  /** SHA-256 of the token, hexadecimal. */
  readonly hash: string;
  readonly methods: readonly string[];
  readonly idleMs: number;
  readonly lifeMs: number;
  readonly address: string | null;
  readonly userAgent: string | null;
}

export interface Sessions {
  create(session: NewSession): Promise<Session>;
  /** Null: unknown, ended, expired, or of a disabled user. */
  find(hash: string): Promise<{ readonly session: Session; readonly identity: Identity } | null>;
  /** It is in use. Call it once a minute, not at each request. */
  touch(id: string): Promise<void>;
  /** Under a new token, after a login or a step-up; what was proved is added. RESOURCE_NOT_FOUND when it has ended. */
  rotate(id: string, change: { readonly hash: string; readonly methods: readonly string[] }): Promise<Session>;
  /** The living ones, latest use first. */
  list(userId: string): Promise<readonly Session[]>;
  /** False: there is none of that id, or it is not this user's (null: whoever's). */
  end(id: string, userId: string | null): Promise<boolean>;
  /** How many ended. */
  endAll(userId: string, exceptId: string | null): Promise<number>;
}
