/** API tokens of users and service accounts. Only hashes of them are kept. */
import type { Identity } from './identity.ts';

export interface ApiToken {
  readonly id: string;
  readonly userId: string;
  readonly name: string;
  /** Permissions that it is limited to; null: all of its owner's. */
  readonly scopes: readonly string[] | null;
  /** Addresses and ranges that it may come from; empty: any. */
  readonly allowedRanges: readonly string[];
  readonly createdBy: string;
  readonly createdAt: number;
  readonly expiresAt: number;
  readonly revokedAt: number | null;
  readonly lastUsedAt: number | null;
  readonly lastUsedFrom: string | null;
}

export interface NewApiToken {
  readonly userId: string;
  readonly name: string;
  /** SHA-256 of the secret part, hexadecimal. */
  readonly hash: string;
  readonly scopes: readonly string[] | null;
  readonly allowedRanges: readonly string[];
  readonly createdBy: string;
  readonly expiresAt: number;
}

export interface ApiTokens {
  /** RESOURCE_CONFLICT: the owner has a living one of that name. */
  create(token: NewApiToken): Promise<ApiToken>;
  /** Null: unknown, revoked, expired, or of a disabled owner. */
  find(hash: string): Promise<{ readonly token: ApiToken; readonly identity: Identity } | null>;
  get(id: string): Promise<ApiToken | null>;
  /** Of one owner or, with null, of all; revoked and expired ones too until they are pruned. Newest first. */
  list(userId: string | null): Promise<readonly ApiToken[]>;
  /** False: there is none, or it is not this user's (null: whoever's). */
  revoke(id: string, userId: string | null): Promise<boolean>;
  revokeAll(userId: string): Promise<number>;
  /** It is in use. Call it once a minute, not at each request. */
  touch(id: string, from: string | null): Promise<void>;
}
