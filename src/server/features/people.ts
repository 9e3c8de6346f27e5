/** Users, service accounts, roles, tokens and certificates. */
import type { peopleRoutes } from '#contract/api/routes/people.ts';
import {
  isBuiltInRole,
  namedResourcesOf,
  permissionNames,
  SERVER,
  type Grant,
  type Permission,
} from '#contract/api/permissions.ts';
import { AppError } from '#contract/errors.ts';
import type { CertificateIdentity } from '#store/certificates.ts';
import type { Role } from '#store/roles.ts';
import type { ApiToken } from '#store/tokens.ts';
import { ADMIN_ROLE, type User } from '#store/users.ts';
import type { Caller } from '../auth/caller.ts';
import { createCredential } from '../auth/credential.ts';
import { checkNewPassword } from '../auth/password-policy.ts';
import type { Handlers } from '../http/call.ts';
import { secondFactorsOf } from './account.ts';
import type { Context } from './context.ts';
import { storePage } from './pages.ts';

const DAY_MS = 24 * 3_600_000;

type KnownGrant = Grant & { readonly permission: Permission };

export function peopleHandlers({ ports }: Context): Pick<Handlers, keyof typeof peopleRoutes> {
  const { store, clock, entropy, passwords } = ports;

  const userNamed = async (name: string): Promise<User> => {
    const user = await store.users.getByName(name);
    if (user !== null) return user;
    throw new AppError('RESOURCE_NOT_FOUND', `There is no user "${name}".`, {
      nextStep: 'GET /api/v1/users shows those that there are.',
    });
  };

  /** Somebody else than the caller; and an administrator is another administrator's business only. */
  const otherUser = async (caller: Caller, name: string): Promise<User> => {
    const user = await userNamed(name);
    if (user.id === caller.identity.userId)
      throw new AppError('ACCESS_DENIED', 'Nobody does this to the own account.', {
        nextStep: 'Ask another administrator.',
      });
    if (user.roles.includes(ADMIN_ROLE)) requireAdmin(caller);
    return user;
  };

  const roleNamed = async (name: string): Promise<Role> => {
    const role = await store.roles.get(name);
    if (role !== null) return role;
    throw new AppError('RESOURCE_NOT_FOUND', `There is no role "${name}".`, {
      nextStep: 'GET /api/v1/roles shows those that there are.',
    });
  };

  /** Nobody gives more than they have, or a right to create users would be a right to everything. */
  const grantable = async (caller: Caller, name: string): Promise<Role> => {
    const role = await roleNamed(name);
    requireGrants(caller, role.grants);
    return role;
  };

  return {
    async listUsers({ query }) {
      const page = await store.users.list({
        ...storePage(query),
        filter: {
          ...(query.kind === undefined ? {} : { kind: query.kind }),
          ...(query.role === undefined ? {} : { role: query.role }),
          ...(query.search === undefined ? {} : { nameContains: query.search }),
        },
      });
      return { ...page, items: page.items.map(userView) };
    },

    async createUser({ caller, body, store: aggregates }) {
      const { username, role, kind, password } = body;
      requireCreate(caller, role);
      await grantable(caller, role);
      if ((password !== undefined) !== (kind === 'local'))
        throw new AppError(
          'REQUEST_INVALID',
          'A local user needs a password to begin with, a service account takes none.',
          {
            nextStep: kind === 'local' ? 'Send "password".' : 'Leave "password" out, and create a token for it.',
          },
        );
      if (password !== undefined) checkNewPassword(password, username);
      const user = await aggregates.users.create({
        name: username,
        kind,
        roles: [role],
        ownerId: kind === 'service' ? caller.identity.userId : null,
        ...(password === undefined ? {} : { passwordHash: await passwords.hash(password), mustChangePassword: true }),
      });
      return userView(user);
    },

    getUser: async ({ params }) => userView(await userNamed(params.username)),

    async setUserRole({ caller, params, body, ifVersion, store: aggregates }) {
      const user = await otherUser(caller, params.username);
      await grantable(caller, body.role);
      return userView(await aggregates.users.setRoles(user.id, [body.role], { ifVersion }));
    },

    async setUserStatus({ caller, params, body, ifVersion, store: aggregates }) {
      const user = await otherUser(caller, params.username);
      return userView(await aggregates.users.setDisabled(user.id, body.isDisabled, { ifVersion }));
    },

    async deleteUser({ caller, params, ifVersion, store: aggregates }) {
      const user = await otherUser(caller, params.username);
      await aggregates.users.delete(user.id, { ifVersion });
    },

    async resetUserPassword({ caller, params, store: aggregates }) {
      requireAdmin(caller);
      const user = await otherUser(caller, params.username);
      if (user.kind !== 'local')
        throw new AppError('RESOURCE_CONFLICT', `"${user.name}" has no password here.`, {
          nextStep: 'The identity provider, or a token, is how this one signs in.',
        });
      const password = Buffer.from(entropy.bytes(18)).toString('base64url');
      const hash = await passwords.hash(password);
      await aggregates.users.setPassword(user.id, hash, { mustChange: true, exceptSessionId: null });
      await aggregates.tokens.revokeAll(user.id);
      return { password };
    },

    async endUserSessions({ caller, params, store: aggregates }) {
      const user = await otherUser(caller, params.username);
      await aggregates.sessions.endAll(user.id, null);
    },

    listCertificates: async ({ params }) =>
      (await store.certificates.list((await userNamed(params.username)).id)).map(certificateView),

    async addCertificate({ caller, params, body, store: aggregates }) {
      const user = await userNamed(params.username);
      requireGrants(caller, await grantsOf(user));
      const { subject, fingerprint } = body;
      return certificateView(
        await aggregates.certificates.add({ userId: user.id, subject, fingerprint, expiresAt: null }),
      );
    },

    async revokeCertificate({ params, store: aggregates }) {
      if (!(await aggregates.certificates.revoke(params.id)))
        throw new AppError('RESOURCE_NOT_FOUND', 'There is no such certificate.', {
          nextStep: 'GET /api/v1/users/NAME/certificates shows those of a user.',
        });
    },

    listRoles: async () => (await store.roles.list()).map(roleView),

    getRole: async ({ params }) => roleView(await roleNamed(params.name)),

    async createRole({ caller, body, store: aggregates }) {
      requireEffective(body.grants);
      requireGrants(caller, body.grants);
      if (isBuiltInRole(body.name)) throw builtIn(body.name);
      return roleView(await aggregates.roles.create(body));
    },

    async updateRole({ caller, params, body, ifVersion, store: aggregates }) {
      requireEffective(body.grants);
      requireGrants(caller, body.grants);
      await roleNamed(params.name);
      if (isBuiltInRole(params.name)) throw builtIn(params.name);
      return roleView(await aggregates.roles.replace({ name: params.name, ...body }, { ifVersion }));
    },

    async deleteRole({ params, ifVersion, store: aggregates }) {
      await roleNamed(params.name);
      if (isBuiltInRole(params.name)) throw builtIn(params.name);
      await aggregates.roles.delete(params.name, { ifVersion });
    },

    async listTokens({ caller }) {
      const ofAll = caller.may('users:list', SERVER);
      const tokens = await store.tokens.list(ofAll ? null : caller.identity.userId);
      return tokens.map(tokenView);
    },

    async createToken({ caller, body, store: aggregates }) {
      const owner = body.owner === undefined ? caller.identity.userId : await serviceAccount(caller, body.owner);
      requireNotToken(caller);
      const { text, hash } = createCredential('token', entropy);
      const token = await aggregates.tokens.create({
        userId: owner,
        name: body.name,
        hash,
        scopes: body.scopes,
        allowedRanges: body.allowedRanges,
        createdBy: caller.identity.userId,
        expiresAt: clock.now() + body.expiresInDays * DAY_MS,
      });
      return { ...tokenView(token), token: text };
    },

    async revokeToken({ caller, params, store: aggregates }) {
      const token = await store.tokens.get(params.id);
      const isOwn = token?.userId === caller.identity.userId;
      const owner = token === null || isOwn ? null : await store.users.get(token.userId);
      const isOfService = owner?.kind === 'service' && caller.may('users:create', SERVER);
      if (token === null || !(isOwn || isOfService))
        throw new AppError('RESOURCE_NOT_FOUND', 'There is no such token of yours.', {
          details: { isRefusal: token !== null },
          nextStep: 'GET /api/v1/tokens shows them.',
        });
      await aggregates.tokens.revoke(token.id, null);
    },
  };

  /** Whoever makes a credential for somebody can act as that one. */
  async function serviceAccount(caller: Caller, name: string): Promise<string> {
    if (!caller.may('users:create', SERVER))
      throw new AppError('ACCESS_DENIED', 'This needs the permission users:create.', {
        nextStep: 'Ask an administrator to create the token.',
      });
    const user = await userNamed(name);
    if (user.kind !== 'service')
      throw new AppError('ACCESS_DENIED', `"${name}" is a person, who creates tokens alone.`, {
        nextStep: 'Create a service account.',
      });
    requireGrants(caller, await grantsOf(user));
    return user.id;
  }

  async function grantsOf(user: User): Promise<Grant[]> {
    const roles = await Promise.all(user.roles.map((name) => store.roles.get(name)));
    return roles.flatMap((role) => [...(role?.grants ?? [])]);
  }
}

/** A token that could make tokens would outlive its own revocation. */
function requireNotToken({ proof }: Caller): void {
  if (proof.kind !== 'token') return;
  throw new AppError('ACCESS_DENIED', 'A token does not make tokens.', { nextStep: 'Sign in to create one.' });
}

function requireAdmin({ identity }: Caller): void {
  if (identity.roles.includes(ADMIN_ROLE)) return;
  throw new AppError('ACCESS_DENIED', 'Only an administrator does this to an administrator, or to passwords.', {
    nextStep: 'Ask an administrator.',
  });
}

function requireCreate(caller: Caller, role: string): void {
  if (caller.may('users:create', { kind: 'role', role })) return;
  throw new AppError('ACCESS_DENIED', `This needs the permission users:create, on the role "${role}" at least.`, {
    nextStep: 'Give a role for which you have it, or ask an administrator.',
  });
}

/** What a caller gives somebody is what the caller has; everything covers what is named. */
function requireGrants(caller: Caller, grants: readonly Grant[]): void {
  const has = ({ permission, resource }: Grant): boolean =>
    caller.grants.some(
      (own) =>
        own.permission === permission &&
        (own.resource.kind === 'any' || JSON.stringify(own.resource) === JSON.stringify(resource)),
    );
  const missing = grants.find((grant) => permissionNames.some((name) => name === grant.permission) && !has(grant));
  if (missing === undefined) return;
  throw new AppError('ACCESS_DENIED', `This would give ${missing.permission}, which you do not have there yourself.`, {
    nextStep: 'Ask somebody who has it.',
  });
}

/** A grant that never covers anything looks like a right that somebody has. */
function requireEffective(grants: readonly KnownGrant[]): void {
  const inert = grants.find(({ permission, resource: { kind } }) => {
    return kind !== 'any' && !namedResourcesOf(permission).includes(kind);
  });
  if (inert === undefined) return;
  const { permission, resource } = inert;
  const kinds = ['any', ...namedResourcesOf(permission)].join(', ');
  throw new AppError('REQUEST_INVALID', `${permission} on a resource of kind "${resource.kind}" would allow nothing.`, {
    nextStep: `Grant it on one of: ${kinds}.`,
  });
}

function builtIn(name: string): AppError {
  return new AppError('RESOURCE_CONFLICT', `The role "${name}" comes with the program.`, {
    nextStep: 'Create a role of another name.',
  });
}

function userView(user: User) {
  const { id, kind, roles, isInitial, isDisabled, mustChangePassword, createdAt, lastLoginAt, version } = user;
  return {
    id,
    username: user.name,
    kind,
    roles,
    isInitial,
    isDisabled,
    secondFactors: secondFactorsOf(user),
    mustChangePassword,
    createdAt,
    lastLoginAt,
    version,
  };
}

function roleView({ name, description, isBuiltIn, grants, users, version }: Role) {
  return { name, description, isBuiltIn, grants, users, version };
}

function tokenView(token: ApiToken) {
  const { id, name, userId, scopes, allowedRanges, createdAt, expiresAt, revokedAt, lastUsedAt, lastUsedFrom } = token;
  return {
    id,
    name,
    ownerId: userId,
    scopes,
    allowedRanges,
    createdAt,
    expiresAt,
    revokedAt,
    lastUsedAt,
    lastUsedFrom,
  };
}

function certificateView({ userId: _, ...certificate }: CertificateIdentity) {
  return certificate;
}
