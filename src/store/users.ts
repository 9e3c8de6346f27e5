/** People and machines that may have roles, and what they prove themselves with. */
import { type SelectQueryBuilder, sql } from 'kysely';
import { must } from '#util/assert.ts';
import { fromJson } from './json.ts';
import { contains, type PageOrder, readPage } from './page.ts';
import { type Row, type Scope, checkVersion, conflict, flag, notFound } from './scope.ts';
import { endSessions } from './sessions.ts';
import type { Tables, UserRow } from './tables.ts';
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

export function createUsers(scope: Scope): Users {
  return { ...createAccounts(scope), ...createProofs(scope) };
}

type Proofs = Pick<
  Users,
  | 'setTotp'
  | 'useTotpStep'
  | 'setRecoveryCodes'
  | 'useRecoveryCode'
  | 'addWebauthn'
  | 'webauthnOf'
  | 'webauthn'
  | 'useWebauthn'
  | 'removeWebauthn'
>;

function createAccounts(scope: Scope): Omit<Users, keyof Proofs> {
  const { db, now } = scope;
  const users: Omit<Users, keyof Proofs> = {
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
      await change(scope, id, { display_name: displayName });
      return readUser(scope, id);
    },
    async delete(id, { ifVersion }) {
      const user = await rowOf(scope, id);
      checkVersion('user', user.version, ifVersion);
      if (user.is_initial)
        throw conflict(`"${user.name}" set Lockstep up and cannot be deleted.`, 'Disable it instead.');
      const admins = await countAdmins(scope);
      await db.deleteFrom('users').where('id', '=', id).execute();
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
      await change(scope, id, {
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

function createProofs(scope: Scope): Proofs {
  const { db, now } = scope;
  return {
    async setTotp(id, isOn) {
      await change(scope, id, { has_totp: flag(isOn), totp_last_step: null });
      return readUser(scope, id);
    },
    async useTotpStep(id, step) {
      const { numUpdatedRows } = await db
        .updateTable('users')
        .set({ totp_last_step: step })
        .where('id', '=', id)
        .where((build) => build.or([build('totp_last_step', 'is', null), build('totp_last_step', '<', step)]))
        .executeTakeFirst();
      return numUpdatedRows > 0n;
    },
    async setRecoveryCodes(id, hashes) {
      await rowOf(scope, id);
      await db.deleteFrom('recovery_codes').where('user_id', '=', id).execute();
      const rows = hashes.map((hash) => ({ user_id: id, hash, used_at: null }));
      if (rows.length > 0) await db.insertInto('recovery_codes').values(rows).execute();
    },
    async useRecoveryCode(id, hash) {
      const { numUpdatedRows } = await db
        .updateTable('recovery_codes')
        .set({ used_at: now })
        .where('user_id', '=', id)
        .where('hash', '=', hash)
        .where('used_at', 'is', null)
        .executeTakeFirst();
      return numUpdatedRows > 0n;
    },
    async addWebauthn({ credentialId, userId, name, publicKey, counter, transports }) {
      await rowOf(scope, userId);
      if (
        await db
          .selectFrom('webauthn_credentials')
          .selectAll()
          .where('credential_id', '=', credentialId)
          .executeTakeFirst()
      )
        throw conflict('This authenticator is registered already.', 'Use another one, or remove it first.');
      await db
        .insertInto('webauthn_credentials')
        .values({
          credential_id: credentialId,
          user_id: userId,
          name,
          public_key: publicKey,
          counter,
          transports: JSON.stringify(transports),
          created_at: now,
          last_used_at: null,
        })
        .execute();
    },
    async webauthnOf(userId) {
      const rows = await db
        .selectFrom('webauthn_credentials')
        .selectAll()
        .where('user_id', '=', userId)
        .orderBy('created_at')
        .orderBy('credential_id')
        .execute();
      return rows.map(toCredential);
    },
    async webauthn(credentialId) {
      const row = await db
        .selectFrom('webauthn_credentials')
        .selectAll()
        .where('credential_id', '=', credentialId)
        .executeTakeFirst();
      return row ? toCredential(row) : null;
    },
    async useWebauthn(credentialId, counter) {
      const { numUpdatedRows } = await db
        .updateTable('webauthn_credentials')
        .set({ counter, last_used_at: now })
        .where('credential_id', '=', credentialId)
        .where((build) => (counter === 0 ? build('counter', '=', 0) : build('counter', '<', counter)))
        .executeTakeFirst();
      return numUpdatedRows > 0n;
    },
    async removeWebauthn(userId, credentialId) {
      const { numDeletedRows } = await db
        .deleteFrom('webauthn_credentials')
        .where('user_id', '=', userId)
        .where('credential_id', '=', credentialId)
        .executeTakeFirst();
      return numDeletedRows > 0n;
    },
  };
}

/** What two names must differ in: not in case, and not in how an accent is written. */
function nameKey(name: string): string {
  return name.normalize('NFKC').toLowerCase();
}

async function insertUser(scope: Scope, user: NewUser, isInitial: boolean): Promise<string> {
  const { db, now, newId } = scope;
  const { name, kind, displayName = null, roles, passwordHash = null, oidc = null, ownerId = null } = user;
  if (await db.selectFrom('users').select('id').where('name_key', '=', nameKey(name)).executeTakeFirst())
    throw conflict(`There is a user "${name}" already.`, 'Take another name.');
  if (oidc !== null && (await createAccounts(scope).getByOidc(oidc.issuer, oidc.subject)))
    throw conflict(`"${oidc.subject}" of ${oidc.issuer} is a user already.`, 'Sign in as that one.');
  if (ownerId !== null) await rowOf(scope, ownerId);
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
  const { version } = await rowOf(scope, id);
  checkVersion('user', version, ifVersion);
  const admins = await countAdmins(scope);
  await apply();
  await change(scope, id, {});
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

async function rowOf({ db }: Scope, id: string): Promise<UserRow> {
  const row = await db.selectFrom('users').selectAll().where('id', '=', id).executeTakeFirst();
  if (!row) throw notFound('user', id);
  return row;
}

async function change({ db, now }: Scope, id: string, columns: Partial<UserRow>): Promise<void> {
  const { numUpdatedRows } = await db
    .updateTable('users')
    .set((build) => ({ ...columns, version: build('version', '+', 1), updated_at: now }))
    .where('id', '=', id)
    .executeTakeFirst();
  if (numUpdatedRows === 0n) throw notFound('user', id);
}

async function findUser(
  scope: Scope,
  narrow: (query: SelectQueryBuilder<Tables, 'users', UserRow>) => SelectQueryBuilder<Tables, 'users', UserRow>,
): Promise<User | null> {
  const row = await narrow(scope.db.selectFrom('users').selectAll()).executeTakeFirst();
  if (!row) return null;
  const [user] = await toUsers(scope, [row]);
  return must(user, 'user');
}

async function readUser(scope: Scope, id: string): Promise<User> {
  return must(await findUser(scope, (query) => query.where('id', '=', id)), 'user');
}

async function toUsers({ db }: Scope, rows: readonly UserRow[]): Promise<User[]> {
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

function toCredential(row: Row<'webauthn_credentials'>): WebauthnCredential {
  return {
    credentialId: row.credential_id,
    userId: row.user_id,
    name: row.name,
    publicKey: row.public_key,
    counter: row.counter,
    transports: fromJson<string[]>(row.transports),
    createdAt: row.created_at,
    lastUsedAt: row.last_used_at,
  };
}
