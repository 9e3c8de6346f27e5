/**
 * Secrets: sealed before they leave this thread, so that neither the database nor the thread that it lives in ever has one in
 * clear. What resources name as `{ store: NAME }` is `store/NAME` here, a user's TOTP secret `totp/ID`.
 */
import { open, rewrap, seal, type Envelope } from './envelope.ts';
import type { KeyEncryption } from './key-encryption.ts';
import type { SealedSecrets, SealedValue } from './sealed-secrets.ts';

/** Of secrets that resources refer to; others are the server's own. */
export const RESOURCE_SECRETS = 'store/';

export interface Vault {
  /** RESOURCE_CHANGED when somebody else sets it at the same time. */
  write(name: string, value: string, by: string | null): Promise<void>;
  /** Null: there is none. Throws SECRET_UNAVAILABLE. */
  read(name: string): Promise<string | null>;
  delete(name: string): Promise<boolean>;
  /** Names, versions and times, and no value. */
  list: SealedSecrets['list'];
  /**
   * Wraps by the current key what others have wrapped. May be interrupted and repeated at any time; when nothing is `left`,
   * the other keys can be taken away.
   */
  rotate(): Promise<{ readonly rewrapped: number; readonly left: number }>;
}

const BATCH = 100;

export function createVault(secrets: SealedSecrets, keys: KeyEncryption): Vault {
  return {
    async write(name, value, by) {
      const version = (await secrets.lastVersion(name)) + 1;
      await secrets.put(await sealSecret({ name, version, value }, keys), by);
    },
    async read(name) {
      const secret = await secrets.get(name);
      return secret && openSecret(secret, keys);
    },
    delete: (name) => secrets.delete(name),
    list: (prefix) => secrets.list(prefix),
    async rotate() {
      let rewrapped = 0;
      let after: string | null = null;
      for (;;) {
        const found = await secrets.wrappedByOthers(keys.currentId, { after, limit: BATCH });
        for (const secret of found) {
          const { keyId, wrappedKey } = await rewrapSecret(secret, { from: keys, to: keys });
          // False: it was set anew meanwhile, and so by the current key.
          if (await secrets.rewrap({ name: secret.name, version: secret.version, keyId, wrappedKey })) rewrapped++;
        }
        after = found.at(-1)?.name ?? null;
        if (after === null || found.length < BATCH) break;
      }
      const left = await secrets.wrappedByOthers(keys.currentId, { after: null, limit: BATCH });
      return { rewrapped, left: left.length };
    },
  };
}

export async function sealSecret(
  { name, version, value }: { readonly name: string; readonly version: number; readonly value: string },
  keys: KeyEncryption,
): Promise<SealedValue> {
  return { name, version, ...(await seal(Buffer.from(value, 'utf8'), placeOf({ name, version }), keys)) };
}

/** Throws SECRET_UNAVAILABLE. */
export async function openSecret(secret: SealedValue, keys: KeyEncryption): Promise<string> {
  return (await open(secret, placeOf(secret), keys)).toString('utf8');
}

/** Throws SECRET_UNAVAILABLE. */
export function rewrapSecret(
  secret: SealedValue,
  { from, to }: { readonly from: KeyEncryption; readonly to: KeyEncryption },
): Promise<Envelope> {
  return rewrap(secret, placeOf(secret), {
    ...to,
    unwrap: (wrapped, context, keyId) => from.unwrap(wrapped, context, keyId),
  });
}

function placeOf({ name, version }: { readonly name: string; readonly version: number }): string {
  return `secrets/${name}/${version}`;
}
