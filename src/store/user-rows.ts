/** A user's row, and what else is read with it. */
import type { SelectQueryBuilder } from 'kysely';
import { must } from '#util/assert.ts';
import { type Scope, notFound } from './scope.ts';
import type { Tables, UserRow } from './tables.ts';
import type { User, UserKind } from './users.ts';

/** What two names must differ in: not in case, and not in how an accent is written. */
export function nameKey(name: string): string {
  return name.normalize('NFKC').toLowerCase();
}

export async function readUserRow({ db }: Scope, id: string): Promise<UserRow> {
  const row = await db.selectFrom('users').selectAll().where('id', '=', id).executeTakeFirst();
  if (!row) throw notFound('user', id);
  return row;
}

export async function changeUser({ db, now }: Scope, id: string, columns: Partial<UserRow>): Promise<void> {
  const { numUpdatedRows } = await db
    .updateTable('users')
    .set((build) => ({ ...columns, version: build('version', '+', 1), updated_at: now }))
    .where('id', '=', id)
    .executeTakeFirst();
  if (numUpdatedRows === 0n) throw notFound('user', id);
}

export async function findUser(
  scope: Scope,
  narrow: (query: SelectQueryBuilder<Tables, 'users', UserRow>) => SelectQueryBuilder<Tables, 'users', UserRow>,
): Promise<User | null> {
  const row = await narrow(scope.db.selectFrom('users').selectAll()).executeTakeFirst();
  if (!row) return null;
  const [user] = await toUsers(scope, [row]);
  return must(user, 'user');
}

export async function readUser(scope: Scope, id: string): Promise<User> {
  return must(await findUser(scope, (query) => query.where('id', '=', id)), 'user');
}

export async function toUsers({ db }: Scope, rows: readonly UserRow[]): Promise<User[]> {
  if (rows.length === 0) return [];
  const ids = rows.map(({ id }) => id);
  const roles = await db.selectFrom('user_roles').selectAll().where('user_id', 'in', ids).orderBy('role').execute();
  const credentials = await db
    .selectFrom('webauthn_credentials')
    .select((build) => ['user_id', build.fn.countAll<number>().as('count')])
    .where('user_id', 'in', ids)
    .groupBy('user_id')
    .execute();
  return rows.map((row) => ({
    id: row.id,
    name: row.name,
    kind: row.kind as UserKind,
    displayName: row.display_name,
    roles: roles.filter(({ user_id }) => user_id === row.id).map(({ role }) => role),
    isInitial: row.is_initial === 1,
    isDisabled: row.is_disabled === 1,
    mustChangePassword: row.must_change_password === 1,
    hasTotp: row.has_totp === 1,
    webauthn: credentials.find(({ user_id }) => user_id === row.id)?.count ?? 0,
    ownerId: row.owner_id,
    lastLoginAt: row.last_login_at,
    passwordChangedAt: row.password_changed_at,
    version: row.version,
    createdAt: row.created_at,
    updatedAt: row.updated_at,
  }));
}
