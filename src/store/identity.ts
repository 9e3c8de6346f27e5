import type { Grant } from '#contract/api/permissions.ts';
import { sql } from 'kysely';
import { fromJson } from './json.ts';
import type { Scope } from './scope.ts';
import type { UserKind } from './users.ts';

/** Who somebody is, and what follows from it now: read together, so that one look-up answers a request. */
export interface Identity {
  readonly userId: string;
  readonly name: string;
  readonly kind: UserKind;
  readonly roles: readonly string[];
  /** Of all of the roles. */
  readonly grants: readonly Grant[];
  /** Until the password is changed, nothing else is allowed. */
  readonly mustChangePassword: boolean;
  readonly hasSecondFactor: boolean;
}

/** Null: there is none of that id, or it is disabled. */
export async function readIdentity({ db }: Pick<Scope, 'db'>, userId: string): Promise<Identity | null> {
  const rows = await db
    .selectFrom('users')
    .leftJoin('user_roles', 'user_roles.user_id', 'users.id')
    .leftJoin('roles', 'roles.name', 'user_roles.role')
    .select([
      'users.name',
      'users.kind',
      'users.must_change_password',
      'users.has_totp',
      'roles.name as role',
      'roles.grants',
    ])
    .select(sql<number>`exists (select 1 from webauthn_credentials where user_id = users.id)`.as('has_webauthn'))
    .where('users.id', '=', userId)
    .where('users.is_disabled', '=', 0)
    .orderBy('roles.name')
    .execute();
  const [user] = rows;
  if (!user) return null;
  return {
    userId,
    name: user.name,
    kind: user.kind as UserKind,
    roles: rows.flatMap(({ role }) => (role === null ? [] : [role])),
    grants: rows.flatMap(({ grants }) => (grants === null ? [] : fromJson<Grant[]>(grants))),
    mustChangePassword: user.must_change_password === 1,
    hasSecondFactor: user.has_totp === 1 || Boolean(user.has_webauthn),
  };
}
