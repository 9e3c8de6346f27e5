/** People and machines that may have roles, and what they prove themselves with. */
import type { Page, PageRequest } from './page.ts';

/** `service`: a service account, which has tokens and certificates but no password. */
export type UserKind = 'local' | 'oidc' | 'service';

/** Holders of it can do everything; one that can sign in must stay. */
export const ADMIN_ROLE = 'admin';

export interface User {
  readonly id: string;
  /** As it was written; no two users' names differ in case alone. */
  readonly name: string;
  readonly kind: UserKind;
  readonly displayName: string | null;
  readonly roles: readonly string[];
  /** The first one, who set the product up; cannot be deleted. */
  readonly isInitial: boolean;
  readonly isDisabled: boolean;
  readonly mustChangePassword: boolean;
  readonly hasTotp: boolean;
  /** How many WebAuthn credentials. */
  readonly webauthn: number;
  /** Who answers for a service account. */
  readonly ownerId: string | null;
  readonly lastLoginAt: number | null;
  readonly passwordChangedAt: number | null;
  readonly version: number;
  readonly createdAt: number;
  readonly updatedAt: number;
}

export interface NewUser {
  readonly name: string;
  readonly kind: UserKind;
  readonly displayName?: string | null;
  readonly roles: readonly string[];
  /** PHC string (argon2id). Only of a local user, who cannot sign in without one. */
  readonly passwordHash?: string | null;
  readonly mustChangePassword?: boolean;
  /** Only of an oidc user: who the provider says that it is. */
  readonly oidc?: { readonly issuer: string; readonly subject: string } | null;
  readonly ownerId?: string | null;
}

/** What a login compares; never leaves the server. */
export interface LoginFacts {
  readonly userId: string;
  readonly passwordHash: string | null;
  readonly isDisabled: boolean;
  readonly mustChangePassword: boolean;
  readonly hasTotp: boolean;
  readonly webauthn: number;
  readonly recoveryCodesLeft: number;
}

export interface WebauthnCredential {
  /** base64url, as the authenticator gives it. */
  readonly credentialId: string;
  readonly userId: string;
  readonly name: string;
  /** COSE key, base64url. */
  readonly publicKey: string;
  readonly counter: number;
  readonly transports: readonly string[];
  readonly createdAt: number;
  readonly lastUsedAt: number | null;
}

export type UserSort = 'name' | 'createdAt' | 'lastLoginAt';

export interface UserFilter {
  readonly kind?: UserKind;
  readonly role?: string;
  readonly isDisabled?: boolean;
  /** Part of the name, whatever its case. */
  readonly nameContains?: string;
}

/**
 * Each change of who may do what ends the sessions that it concerns, in the same transaction. RESOURCE_CONFLICT where it
 * would leave nobody with the role `admin` who can sign in; RESOURCE_NOT_FOUND for an unknown user or role;
 * RESOURCE_CHANGED where `ifVersion` is not null and not the user's version.
 */
export interface Users {
  /** RESOURCE_CONFLICT: the name, or the provider's subject, is somebody's. */
  create(user: NewUser): Promise<User>;
  /** The first user, if there is none: one of two that try at once gets null. */
  createInitial(user: NewUser): Promise<User | null>;
  get(id: string): Promise<User | null>;
  getByName(name: string): Promise<User | null>;
  getByOidc(issuer: string, subject: string): Promise<User | null>;
  list(request: PageRequest<UserSort> & { readonly filter?: UserFilter }): Promise<Page<User>>;
  count(): Promise<number>;
  /** Replaces all of them. Ends the user's sessions. */
  setRoles(id: string, roles: readonly string[], options: { readonly ifVersion: number | null }): Promise<User>;
  /** Ends the user's sessions; tokens and certificates do not work meanwhile. */
  setDisabled(id: string, isDisabled: boolean, options: { readonly ifVersion: number | null }): Promise<User>;
  setDisplayName(id: string, displayName: string | null): Promise<User>;
  /** With all that is the user's. RESOURCE_CONFLICT for the initial one. */
  delete(id: string, options: { readonly ifVersion: number | null }): Promise<void>;

  loginFacts(name: string): Promise<LoginFacts | null>;
  /** Ends the user's sessions but the one that is named. */
  setPassword(
    id: string,
    passwordHash: string,
    options: { readonly mustChange: boolean; readonly exceptSessionId: string | null },
  ): Promise<User>;
  /** The same password under stronger parameters; false where it is no longer the same. */
  rehashPassword(id: string, change: { readonly from: string; readonly to: string }): Promise<boolean>;
  recordLogin(id: string): Promise<void>;

  /** The secret itself is in the vault as `totp/<id>`. Null takes it away. */
  setTotp(id: string, isOn: boolean): Promise<User>;
  /** Marks a time step as used; false where it, or a later one, was used before. */
  useTotpStep(id: string, step: number): Promise<boolean>;
  /** Replaces all of them. */
  setRecoveryCodes(id: string, hashes: readonly string[]): Promise<void>;
  /** False: unknown or used before. */
  useRecoveryCode(id: string, hash: string): Promise<boolean>;

  addWebauthn(credential: Omit<WebauthnCredential, 'createdAt' | 'lastUsedAt'>): Promise<void>;
  webauthnOf(userId: string): Promise<readonly WebauthnCredential[]>;
  webauthn(credentialId: string): Promise<WebauthnCredential | null>;
  /** Notes a use. False where the counter has not grown, which a copied authenticator shows (both 0: it does not count). */
  useWebauthn(credentialId: string, counter: number): Promise<boolean>;
  removeWebauthn(userId: string, credentialId: string): Promise<boolean>;
}
