/** Users, service accounts, roles and API tokens. */
import { z } from 'zod';
import { parseIpRange } from '#util/ip-address.ts';
import { pageOf, pageQuery, resourceName, time } from '../common.ts';
import { permissionNames } from '../permissions.ts';
import { defineRoute, empty, json, on } from '../route.ts';

/** Case is kept and does not distinguish: two users whose names differ in nothing else cannot be told apart by people. */
export const username = () =>
  z
    .string()
    .min(1)
    .max(100)
    .regex(/^[A-Za-z0-9](?:[A-Za-z0-9._@+-]*[A-Za-z0-9])?$/, 'must be letters, digits and . _ @ + - between them');

/** Any characters, none stripped; what else it must be is decided where passwords are checked (PASSWORD_UNFIT). */
export const newPassword = () => z.string().min(1).max(1024);

const grantedName = () => z.string().min(1).max(249);

const grantResource = z
  .discriminatedUnion('kind', [
    z.strictObject({ kind: z.literal('any') }),
    z.strictObject({ kind: z.literal('cluster'), name: grantedName() }),
    z.strictObject({ kind: z.literal('job'), name: grantedName() }),
    z.strictObject({ kind: z.literal('topicPrefix'), prefix: grantedName(), cluster: grantedName().nullable() }),
    z.strictObject({ kind: z.literal('role'), name: grantedName() }),
  ])
  .describe(
    'A grant on clusters covers jobs between them, and their topics; users:create on a role creates users with that role',
  )
  .meta({ id: 'GrantResource' });

const grantSchema = z
  .strictObject({ permission: z.enum(permissionNames), resource: grantResource })
  .meta({ id: 'Grant' });

const grants = () => z.array(grantSchema).min(1).max(1000);

/** What a version of the program wrote that knew other permissions is shown as it is. */
export const shownGrant = z
  .strictObject({ permission: z.string(), resource: grantResource })
  .meta({ id: 'ShownGrant' });

const roleName = () => resourceName();

const description = () => z.string().max(500).default('');

/** `local` has a password here, `oidc` signs in at the identity provider, `service` has tokens and certificates only. */
const userKind = z.enum(['local', 'oidc', 'service']);

const userSchema = z
  .strictObject({
    id: z.string(),
    username: z.string(),
    kind: userKind,
    roles: z.array(z.string()),
    isInitial: z.boolean(),
    isDisabled: z.boolean(),
    secondFactors: z.array(z.enum(['totp', 'webauthn'])),
    mustChangePassword: z.boolean(),
    createdAt: time(),
    lastLoginAt: time().nullable(),
    version: z.int(),
  })
  .meta({ id: 'User' });

const roleSchema = z
  .strictObject({
    name: z.string(),
    description: z.string(),
    isBuiltIn: z.boolean(),
    grants: z.array(shownGrant),
    users: z.int().describe('How many have it'),
    version: z.int(),
  })
  .meta({ id: 'Role' });

const tokenSchema = z
  .strictObject({
    id: z.string(),
    name: z.string(),
    ownerId: z.string(),
    scopes: z
      .array(z.string())
      .nullable()
      .describe('At most these permissions, and never more than the owner may; null: all of them'),
    allowedRanges: z.array(z.string()).describe('Addresses from where it is taken; empty: from anywhere'),
    createdAt: time(),
    expiresAt: time(),
    revokedAt: time().nullable(),
    lastUsedAt: time().nullable(),
    lastUsedFrom: z.string().nullable(),
  })
  .meta({ id: 'Token' });

const certificateSchema = z
  .strictObject({
    id: z.string(),
    subject: z.string(),
    fingerprint: z.string().nullable(),
    createdAt: time(),
    expiresAt: time().nullable(),
    revokedAt: time().nullable(),
    lastUsedAt: time().nullable(),
  })
  .meta({ id: 'CertificateIdentity' });

const byUsername = z.strictObject({ username: username() });
const byRole = z.strictObject({ name: roleName() });

export const peopleRoutes = {
  listUsers: defineRoute({
    method: 'GET',
    path: '/api/v1/users',
    tag: 'users',
    summary: 'Users and service accounts.',
    access: on('users:list', 'server'),
    audit: null,
    query: z.strictObject({
      ...pageQuery(['name', 'createdAt', 'lastLoginAt']),
      role: roleName().optional(),
      kind: userKind.optional(),
    }),
    answer: json(pageOf(userSchema)),
  }),
  createUser: defineRoute({
    method: 'POST',
    path: '/api/v1/users',
    tag: 'users',
    summary:
      'Creates a user, who has to change the password at the first sign-in, or a service account, which has none.',
    access: on('users:create', 'named'),
    audit: 'user.create',
    isRepeatable: true,
    needsStepUp: true,
    body: z.strictObject({
      username: username(),
      role: roleName(),
      kind: z.enum(['local', 'service']).default('local'),
      password: newPassword().optional().describe('Of a local user: good for the first sign-in'),
    }),
    answer: json(userSchema, 201),
    errors: ['RESOURCE_CONFLICT', 'RESOURCE_NOT_FOUND', 'PASSWORD_UNFIT', 'SERVER_BUSY'],
  }),
  getUser: defineRoute({
    method: 'GET',
    path: '/api/v1/users/:username',
    tag: 'users',
    summary: 'One user.',
    access: on('users:list', 'server'),
    audit: null,
    hasVersion: true,
    params: byUsername,
    answer: json(userSchema),
  }),
  setUserRole: defineRoute({
    method: 'PUT',
    path: '/api/v1/users/:username/role',
    tag: 'users',
    summary: 'Replaces the role. It holds at once: for open streams too.',
    access: on('users:assign-roles', 'server'),
    audit: 'user.set-role',
    needsStepUp: true,
    hasVersion: true,
    params: byUsername,
    body: z.strictObject({ role: roleName() }),
    answer: json(userSchema),
    errors: ['RESOURCE_CONFLICT'],
  }),
  setUserStatus: defineRoute({
    method: 'PUT',
    path: '/api/v1/users/:username/status',
    tag: 'users',
    summary: 'Disables a user, whose sessions end, or enables one again.',
    access: on('users:assign-roles', 'server'),
    audit: 'user.set-status',
    needsStepUp: true,
    hasVersion: true,
    params: byUsername,
    body: z.strictObject({ isDisabled: z.boolean() }),
    answer: json(userSchema),
    errors: ['RESOURCE_CONFLICT'],
  }),
  deleteUser: defineRoute({
    method: 'DELETE',
    path: '/api/v1/users/:username',
    tag: 'users',
    summary: 'Deletes a user with sessions and tokens. Not oneself, not the initial user, not the last administrator.',
    access: on('users:delete', 'server'),
    audit: 'user.delete',
    needsStepUp: true,
    hasVersion: true,
    params: byUsername,
    answer: empty,
    errors: ['RESOURCE_CONFLICT'],
  }),
  resetUserPassword: defineRoute({
    method: 'POST',
    path: '/api/v1/users/:username/reset-password',
    tag: 'users',
    summary:
      'Gives a user a random password, which is shown once and has to be changed; sessions and tokens end, second factors stay.',
    access: on('users:create', 'server'),
    audit: 'user.reset-password',
    needsStepUp: true,
    params: byUsername,
    answer: json(z.strictObject({ password: z.string() })),
    errors: ['RESOURCE_CONFLICT', 'SERVER_BUSY'],
  }),
  endUserSessions: defineRoute({
    method: 'DELETE',
    path: '/api/v1/users/:username/sessions',
    tag: 'users',
    summary: 'Ends all sessions of a user.',
    access: on('users:assign-roles', 'server'),
    audit: 'user.end-sessions',
    params: byUsername,
    answer: empty,
  }),
  listCertificates: defineRoute({
    method: 'GET',
    path: '/api/v1/users/:username/certificates',
    tag: 'users',
    summary: 'Which names in client certificates stand for a user.',
    access: on('users:list', 'server'),
    audit: null,
    params: byUsername,
    answer: json(z.array(certificateSchema)),
  }),
  addCertificate: defineRoute({
    method: 'POST',
    path: '/api/v1/users/:username/certificates',
    tag: 'users',
    summary: 'Lets a name in client certificates stand for a user.',
    access: on('users:create', 'server'),
    audit: 'certificate.add',
    isRepeatable: true,
    needsStepUp: true,
    params: byUsername,
    body: z.strictObject({
      subject: z
        .string()
        .max(300)
        .regex(/^(?:DNS|URI|email):\S+$/, 'must be a subject alternative name: DNS:…, URI:… or email:…'),
      fingerprint: z
        .string()
        .regex(/^[0-9a-f]{64}$/, 'must be a SHA-256 in hexadecimal')
        .nullable()
        .default(null)
        .describe('Only this certificate; null: any of a trusted authority'),
    }),
    answer: json(certificateSchema, 201),
    errors: ['RESOURCE_CONFLICT'],
  }),
  revokeCertificate: defineRoute({
    method: 'DELETE',
    path: '/api/v1/certificates/:id',
    tag: 'users',
    summary: 'Lets a name in client certificates stand for nobody.',
    access: on('users:create', 'server'),
    audit: 'certificate.revoke',
    params: z.strictObject({ id: z.string().min(1).max(100) }),
    answer: empty,
  }),
  listRoles: defineRoute({
    method: 'GET',
    path: '/api/v1/roles',
    tag: 'users',
    summary: 'The built-in roles and those of this installation.',
    access: on('users:list', 'server'),
    audit: null,
    answer: json(z.array(roleSchema)),
  }),
  getRole: defineRoute({
    method: 'GET',
    path: '/api/v1/roles/:name',
    tag: 'users',
    summary: 'One role.',
    access: on('users:list', 'server'),
    audit: null,
    hasVersion: true,
    params: byRole,
    answer: json(roleSchema),
  }),
  createRole: defineRoute({
    method: 'POST',
    path: '/api/v1/roles',
    tag: 'users',
    summary: 'Creates a role: permissions, each within clusters, topic prefixes or jobs.',
    access: on('roles:manage', 'server'),
    audit: 'role.create',
    isRepeatable: true,
    needsStepUp: true,
    body: z.strictObject({ name: roleName(), description: description(), grants: grants() }),
    answer: json(roleSchema, 201),
    errors: ['RESOURCE_CONFLICT'],
  }),
  updateRole: defineRoute({
    method: 'PUT',
    path: '/api/v1/roles/:name',
    tag: 'users',
    summary: 'Replaces the grants of a role, at once for all who have it.',
    access: on('roles:manage', 'server'),
    audit: 'role.update',
    hasVersion: true,
    needsStepUp: true,
    params: byRole,
    body: z.strictObject({ description: description(), grants: grants() }),
    answer: json(roleSchema),
    errors: ['RESOURCE_CONFLICT'],
  }),
  deleteRole: defineRoute({
    method: 'DELETE',
    path: '/api/v1/roles/:name',
    tag: 'users',
    summary: 'Deletes a role that nobody has.',
    access: on('roles:manage', 'server'),
    audit: 'role.delete',
    hasVersion: true,
    needsStepUp: true,
    params: byRole,
    answer: empty,
    errors: ['RESOURCE_CONFLICT'],
  }),
  listTokens: defineRoute({
    method: 'GET',
    path: '/api/v1/tokens',
    tag: 'users',
    summary: 'The own API tokens; with users:list those of all.',
    access: { kind: 'signed-in' },
    audit: null,
    answer: json(z.array(tokenSchema)),
  }),
  createToken: defineRoute({
    method: 'POST',
    path: '/api/v1/tokens',
    tag: 'users',
    summary: 'Creates an API token for oneself, or with users:create for a service account. The token is shown once.',
    access: { kind: 'signed-in' },
    audit: 'token.create',
    needsStepUp: true,
    body: z.strictObject({
      name: z.string().min(1).max(100),
      owner: username().optional(),
      scopes: z.array(z.enum(permissionNames)).min(1).max(100).nullable(),
      allowedRanges: z
        .array(
          z
            .string()
            .max(60)
            .refine((text) => parseIpRange(text) !== null, 'must be an address or a range such as 10.0.0.0/8'),
        )
        .max(100)
        .default([]),
      expiresInDays: z.int().min(1).max(365),
    }),
    answer: json(tokenSchema.extend({ token: z.string() }).meta({ id: 'NewToken' }), 201),
    errors: ['RESOURCE_NOT_FOUND', 'RESOURCE_CONFLICT', 'ACCESS_DENIED'],
  }),
  revokeToken: defineRoute({
    method: 'DELETE',
    path: '/api/v1/tokens/:id',
    tag: 'users',
    summary: 'Revokes one of the own tokens; with users:create one of a service account.',
    access: { kind: 'signed-in' },
    audit: 'token.revoke',
    params: z.strictObject({ id: z.string().min(1).max(100) }),
    answer: empty,
  }),
};
