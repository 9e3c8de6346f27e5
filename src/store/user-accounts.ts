/** Who there is, and what they may do. */
import { sql } from 'kysely';
import { must } from '#util/assert.ts';
import { contains, type PageOrder, readPage } from './page.ts';
import { checkVersion, conflict, flag, notFound, type Scope } from './scope.ts';
import { endSessions } from './sessions.ts';
import type { UserRow } from './tables.ts';
import type { UserProofs } from './user-proofs.ts';
import { changeUser, findUser, nameKey, readUser, readUserRow, toUsers } from './user-rows.ts';
import { ADMIN_ROLE, type NewUser, type User, type Users, type UserSort } from './users.ts';

export type UserAccounts = Omit<Users, keyof UserProofs>;

const order: PageOrder<UserSort> = {
  list: 'users',
  sorts: {
    name: sql`users.name_key`,
    createdAt: sql`users.created_at`,
    lastLoginAt: sql`coalesce(users.last_login_at, -1)`,
  },
  first: 'name',
  id: sql`users.id`,
};

export function createUserAccounts(scope: Scope): UserAccounts {
  const { db, now } = scope;
  const users: UserAccounts = {
    async create(user) {
      return readUser(scope, await insertUser(scope, user, false));
    },
    async createInitial(user) {
      const { count } = await db
        .selectFrom('users')
        .select((build) => build.fn.countAll<number>().as('count'))
        .executeTakeFirstOrThrow();
      return count > 0 ? null : readUser(scope, await insertUser(scope, user, true));
    },
    get: (id) => findUser(scope, (query) => query.where('id', '=', id)),
    getByName: (name) => findUser(scope, (query) => query.where('name_key', '=', nameKey(name))),
    getByOidc: (issuer, subject) =>
      findUser(scope, (query) => query.where('oidc_issuer', '=', issuer).where('oidc_subject', '=', subject)),
    async list({ filter = {}, ...request }) {
      const { kind, role, isDisabled, nameContains } = filter;
      let query = db.selectFrom('users').selectAll('users');
      if (kind !== undefined) query = query.where('kind', '=', kind);
      if (isDisabled !== undefined) query = query.where('is_disabled', '=', flag(isDisabled));
      if (nameContains !== undefined) query = query.where(contains(sql`users.name_key`, nameKey(nameContains)));
      if (role !== undefined)
        query = query.where('id', 'in', db.selectFrom('user_roles').select('user_id').where('role', '=', role));
      const page = await readPage(query, request, { order, toItem: (row) => row });
      return { ...page, items: await toUsers(scope, page.items) };
    },
    async count() {
      const { count } = await db
        .selectFrom('users')
        .select((build) => build.fn.countAll<number>().as('count'))
        .executeTakeFirstOrThrow();
      return count;
    },
    setRoles: (id, roles, { ifVersion }) =>
      guarded(scope, id, ifVersion, async () => {
        await db.deleteFrom('user_roles').where('user_id', '=', id).execute();
        await addRoles(scope, id, roles);
      }),
    setDisabled: (id, isDisabled, { ifVersion }) =>
      guarded(scope, id, ifVersion, async () => {
        await db
          .updateTable('users')
          .set({ is_disabled: flag(isDisabled) })
          .where('id', '=', id)
          .execute();
      }),
    async setDisplayName(id, displayName) {
      await changeUser(scope, id, { display_name: displayName });
      return readUser(scope, id);
    },
    async delete(id, { ifVersion }) {
      const user = await readUserRow(scope, id);
      checkVersion('user', user.version, ifVersion);
      if (user.is_initial)
        throw conflict(`"${user.name}" set Lockstep up and cannot be deleted.`, 'Disable it instead.');
      const admins = await countAdmins(scope);
      await db.deleteFrom('users').where('id', '=', id).execute();
      // What the audit log says of the id stays readable.
      await db.insertInto('former_users').values({ id, name: user.name, deleted_at: now }).execute();
      await db.deleteFrom('secrets').where('name', '=', `totp/${id}`).execute();
      await assertAdminStays(scope, admins);
    },
    async loginFacts(name) {
      const row = await db.selectFrom('users').selectAll().where('name_key', '=', nameKey(name)).executeTakeFirst();
      if (!row) return null;
      const { count } = await db
        .selectFrom('recovery_codes')
        .select((build) => build.fn.countAll<number>().as('count'))
        .where('user_id', '=', row.id)
        .where('used_at', 'is', null)
        .executeTakeFirstOrThrow();
      const [user] = await toUsers(scope, [row]);
      const { webauthn } = must(user, 'user');
      return {
        userId: row.id,
        passwordHash: row.password_hash,
        isDisabled: row.is_disabled === 1,
        mustChangePassword: row.must_change_password === 1,
        hasTotp: row.has_totp === 1,
        webauthn,
        recoveryCodesLeft: count,
      };
    },
    async setPassword(id, passwordHash, { mustChange, exceptSessionId }) {
      await changeUser(scope, id, {
        password_hash: passwordHash,
        must_change_password: flag(mustChange),
        password_changed_at: now,
      });
      await endSessions(scope, id, exceptSessionId);
      return readUser(scope, id);
    },
    async rehashPassword(id, { from, to }) {
      const { numUpdatedRows } = await db
        .updateTable('users')
        .set({ password_hash: to })
        .where('id', '=', id)
        .where('password_hash', '=', from)
        .executeTakeFirst();
      return numUpdatedRows > 0n;
    },
    async recordLogin(id) {
      await db.updateTable('users').set({ last_login_at: now }).where('id', '=', id).execute();
    },
  };
  return users;
}

async function insertUser(scope: Scope, user: NewUser, isInitial: boolean): Promise<string> {
  const { db, now, newId } = scope;
  const { name, kind, displayName = null, roles, passwordHash = null, oidc = null, ownerId = null } = user;
  if (await db.selectFrom('users').select('id').where('name_key', '=', nameKey(name)).executeTakeFirst())
    throw conflict(`There is a user "${name}" already.`, 'Take another name.');
  if (oidc !== null && (await createUserAccounts(scope).getByOidc(oidc.issuer, oidc.subject)))
    throw conflict(`"${oidc.subject}" of ${oidc.issuer} is a user already.`, 'Sign in as that one.');
  if (ownerId !== null) await readUserRow(scope, ownerId);
  const id = newId();
  const row: UserRow = {
    id,
    name,
    name_key: nameKey(name),
    kind,
    display_name: displayName,
    password_hash: passwordHash,
    password_changed_at: passwordHash === null ? null : now,
    must_change_password: flag(user.mustChangePassword ?? false),
    oidc_issuer: oidc?.issuer ?? null,
    oidc_subject: oidc?.subject ?? null,
    owner_id: ownerId,
    is_initial: flag(isInitial),
    is_disabled: 0,
    has_totp: 0,
    totp_last_step: null,
    last_login_at: null,
    version: 1,
    created_at: now,
    updated_at: now,
  };
  await db.insertInto('users').values(row).execute();
  await addRoles(scope, id, roles);
  return id;
}

async function addRoles({ db }: Scope, userId: string, roles: readonly string[]): Promise<void> {
  const wanted = [...new Set(roles)];
  if (wanted.length === 0) return;
  const there = await db.selectFrom('roles').select('name').where('name', 'in', wanted).execute();
  const unknown = wanted.find((role) => !there.some(({ name }) => name === role));
  if (unknown !== undefined) throw notFound('role', unknown);
  await db
    .insertInto('user_roles')
    .values(wanted.map((role) => ({ user_id: userId, role })))
    .execute();
}

/** A change of what a user may do: its sessions end, and an admin who can sign in stays. */
async function guarded(scope: Scope, id: string, ifVersion: number | null, apply: () => Promise<void>): Promise<User> {
  const { version } = await readUserRow(scope, id);
  checkVersion('user', version, ifVersion);
  const admins = await countAdmins(scope);
  await apply();
  await changeUser(scope, id, {});
  await assertAdminStays(scope, admins);
  await endSessions(scope, id, null);
  return readUser(scope, id);
}

/** A service account has the role without being somebody who could repair anything. */
async function countAdmins({ db }: Scope): Promise<number> {
  const { count } = await db
    .selectFrom('users')
    .innerJoin('user_roles', 'user_roles.user_id', 'users.id')
    .select((build) => build.fn.countAll<number>().as('count'))
    .where('user_roles.role', '=', ADMIN_ROLE)
    .where('users.is_disabled', '=', 0)
    .where((build) => build.or([build('users.kind', '=', 'oidc'), build('users.password_hash', 'is not', null)]))
    .executeTakeFirstOrThrow();
  return count;
}

async function assertAdminStays(scope: Scope, before: number): Promise<void> {
  if (before === 0 || (await countAdmins(scope)) > 0) return;
  throw conflict('Nobody who can sign in would have the role "admin" any more.', 'Give it to somebody else first.');
}
