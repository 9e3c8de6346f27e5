/** Secrets as they lie in the database: encrypted (`vault.ts` seals and opens them). No call gives one in clear. */
import { AppError } from '#contract/errors.ts';
import { must } from '#util/assert.ts';
import { beginsWith } from './page.ts';
import { sql } from 'kysely';
import type { Row, Scope } from './scope.ts';

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

export function createSealedSecrets({ db, now }: Scope): SealedSecrets {
  const find = (name: string) => db.selectFrom('secrets').selectAll().where('name', '=', name).executeTakeFirst();
  const lastVersion = async (name: string): Promise<number> => (await find(name))?.version ?? 0;
  return {
    async get(name) {
      const row = await find(name);
      return row ? secretOf(row) : null;
    },
    async list(prefix) {
      const rows = await db
        .selectFrom('secrets')
        .selectAll()
        .where('ciphertext', 'is not', null)
        .where(beginsWith(sql`name`, prefix))
        .orderBy('name')
        .execute();
      return rows.map(toSecret).map(({ name, version, keyId, createdAt, updatedAt, updatedBy }) => ({
        name,
        version,
        keyId,
        createdAt,
        updatedAt,
        updatedBy,
      }));
    },
    lastVersion,
    async put({ name, version, keyId, wrappedKey, nonce, ciphertext }, by) {
      const last = await lastVersion(name);
      if (version !== last + 1)
        throw new AppError('RESOURCE_CHANGED', `Secret "${name}" has been changed meanwhile.`, {
          nextStep: 'Set it again if it is still wanted.',
        });
      const columns = {
        version,
        key_id: keyId,
        wrapped_key: wrappedKey,
        nonce,
        ciphertext,
        updated_at: now,
        updated_by: by,
      };
      await db
        .insertInto('secrets')
        .values({ name, ...columns, created_at: now })
        .onConflict((existing) => existing.column('name').doUpdateSet(columns))
        .execute();
    },
    async delete(name) {
      const { numUpdatedRows } = await db
        .updateTable('secrets')
        .set({ key_id: null, wrapped_key: null, nonce: null, ciphertext: null, updated_at: now })
        .where('name', '=', name)
        .where('ciphertext', 'is not', null)
        .executeTakeFirst();
      return numUpdatedRows > 0n;
    },
    async wrappedByOthers(keyId, { after, limit }) {
      let query = db.selectFrom('secrets').selectAll().where('key_id', '!=', keyId).orderBy('name').limit(limit);
      if (after !== null) query = query.where('name', '>', after);
      return (await query.execute()).map(toSecret);
    },
    async rewrap({ name, version, keyId, wrappedKey }) {
      const { numUpdatedRows } = await db
        .updateTable('secrets')
        .set({ key_id: keyId, wrapped_key: wrappedKey })
        .where('name', '=', name)
        .where('version', '=', version)
        .where('ciphertext', 'is not', null)
        .executeTakeFirst();
      return numUpdatedRows > 0n;
    },
  };
}

/** Null: it was deleted. */
export function secretOf(row: Row<'secrets'>): SealedSecret | null {
  return row.ciphertext === null ? null : toSecret(row);
}

function toSecret(row: Row<'secrets'>): SealedSecret {
  return {
    name: row.name,
    version: row.version,
    keyId: must(row.key_id, 'key id'),
    wrappedKey: must(row.wrapped_key, 'wrapped key'),
    nonce: must(row.nonce, 'nonce'),
    ciphertext: must(row.ciphertext, 'ciphertext'),
    createdAt: row.created_at,
    updatedAt: row.updated_at,
    updatedBy: row.updated_by,
  };
}
