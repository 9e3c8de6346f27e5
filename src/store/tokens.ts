/** API tokens of users and service accounts. Only hashes of them are kept. */
import { fromJson } from './json.ts';
import { readIdentity } from './identity.ts';
import { type Row, type Scope, conflict } from './scope.ts';
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

export function createApiTokens(scope: Scope): ApiTokens {
  const { db, now, newId } = scope;
  const living = () =>
    db.selectFrom('api_tokens').selectAll().where('revoked_at', 'is', null).where('expires_at', '>', now);
  const revoke = async (column: 'id' | 'user_id', value: string, userId: string | null): Promise<number> => {
    let query = db
      .updateTable('api_tokens')
      .set({ revoked_at: now })
      .where(column, '=', value)
      .where('revoked_at', 'is', null);
    if (userId !== null) query = query.where('user_id', '=', userId);
    return Number((await query.executeTakeFirst()).numUpdatedRows);
  };
  return {
    async create({ userId, name, hash, scopes, allowedRanges, createdBy, expiresAt }) {
      if (await living().where('user_id', '=', userId).where('name', '=', name).executeTakeFirst())
        throw conflict(`There is a token "${name}" already.`, 'Take another name, or revoke that token.');
      const row: Row<'api_tokens'> = {
        id: newId(),
        user_id: userId,
        name,
        hash,
        scopes: scopes && JSON.stringify(scopes),
        allowed_ranges: JSON.stringify(allowedRanges),
        created_by: createdBy,
        created_at: now,
        expires_at: expiresAt,
        revoked_at: null,
        last_used_at: null,
        last_used_from: null,
      };
      await db.insertInto('api_tokens').values(row).execute();
      return toToken(row);
    },
    async find(hash) {
      const row = await living().where('hash', '=', hash).executeTakeFirst();
      const identity = row ? await readIdentity(scope, row.user_id) : null;
      return row && identity ? { token: toToken(row), identity } : null;
    },
    async get(id) {
      const row = await db.selectFrom('api_tokens').selectAll().where('id', '=', id).executeTakeFirst();
      return row ? toToken(row) : null;
    },
    async list(userId) {
      let query = db.selectFrom('api_tokens').selectAll().orderBy('created_at', 'desc').orderBy('id');
      if (userId !== null) query = query.where('user_id', '=', userId);
      return (await query.execute()).map(toToken);
    },
    revoke: async (id, userId) => (await revoke('id', id, userId)) > 0,
    revokeAll: (userId) => revoke('user_id', userId, null),
    async touch(id, from) {
      await db
        .updateTable('api_tokens')
        .set({ last_used_at: now, last_used_from: from })
        .where('id', '=', id)
        .execute();
    },
  };
}

function toToken(row: Row<'api_tokens'>): ApiToken {
  return {
    id: row.id,
    userId: row.user_id,
    name: row.name,
    scopes: row.scopes === null ? null : fromJson<string[]>(row.scopes),
    allowedRanges: fromJson<string[]>(row.allowed_ranges),
    createdBy: row.created_by,
    createdAt: row.created_at,
    expiresAt: row.expires_at,
    revokedAt: row.revoked_at,
    lastUsedAt: row.last_used_at,
    lastUsedFrom: row.last_used_from,
  };
}
