/** Secrets as they lie in the database: encrypted (`vault.ts` seals and opens them). No call gives one in clear. */

/** All of it but `name` and the times is base64. */
export interface SealedSecret {
  /** `store/<name>` for references of resources, `totp/<user id>` … */
  readonly name: string;
  /** Grows with each new value; part of what is authenticated, so an old value cannot be put back under a new version. */
  readonly version: number;
  /** Which key-encryption key wraps the data key. */
  readonly keyId: string;
  readonly wrappedKey: string;
  readonly nonce: string;
  readonly ciphertext: string;
  readonly createdAt: number;
  readonly updatedAt: number;
  readonly updatedBy: string | null;
}

export type SealedValue = Pick<SealedSecret, 'name' | 'version' | 'keyId' | 'wrappedKey' | 'nonce' | 'ciphertext'>;

export interface SealedSecrets {
  get(name: string): Promise<SealedSecret | null>;
  /** Without values, in the order of names; those that begin with `prefix`. */
  list(
    prefix: string,
  ): Promise<readonly Pick<SealedSecret, 'name' | 'version' | 'keyId' | 'createdAt' | 'updatedAt' | 'updatedBy'>[]>;
  /** The highest version that ever stood under the name; 0: none. A deleted one's counts. */
  lastVersion(name: string): Promise<number>;
  /** RESOURCE_CHANGED unless its version is one more than the last. */
  put(secret: SealedValue, by: string | null): Promise<void>;
  /** False: there was none. */
  delete(name: string): Promise<boolean>;
  /** After `name`, at most `limit` that are not wrapped by `keyId`: what a rotation still has to do. */
  wrappedByOthers(
    keyId: string,
    request: { readonly after: string | null; readonly limit: number },
  ): Promise<readonly SealedSecret[]>;
  /** The same value under another key-encryption key; false where it has been changed meanwhile. */
  rewrap(secret: Pick<SealedSecret, 'name' | 'version' | 'keyId' | 'wrappedKey'>): Promise<boolean>;
}
