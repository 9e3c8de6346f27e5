/** Signing in and out, and what belongs to one's own account. */
import { z } from 'zod';
import { anyJson, time } from '../common.ts';
import { defineRoute, empty, json } from '../route.ts';
import { newPassword, shownGrant, username } from './people.ts';

const typedPassword = () => z.string().min(1).max(1024);

/** Six digits of the application that holds the secret. */
const code = () => z.string().regex(/^\d{6}$/, 'must be six digits');

const recoveryCode = () => z.string().min(8).max(64);

const challenge = () => z.string().min(1).max(200);

/** What a browser's credential API gives and takes; @simplewebauthn/server looks into it. */
const webauthnJson = () => z.record(z.string().max(100), anyJson).describe('As the Web Authentication API says');

const id = () => z.string().min(1).max(100);

const signedIn = z
  .strictObject({
    state: z.literal('signed-in'),
    username: z.string(),
    expiresAt: time(),
    mustChangePassword: z.boolean(),
  })
  .meta({ id: 'SignedIn' });

const secondFactorNeeded = z
  .strictObject({
    state: z.literal('second-factor'),
    challenge: z.string().describe('Goes into the second step, within five minutes'),
    methods: z.array(z.enum(['totp', 'webauthn', 'recovery-code'])),
    webauthn: webauthnJson().nullable().describe('Options for navigator.credentials.get'),
  })
  .meta({ id: 'SecondFactorNeeded' });

const signingIn = {
  kind: 'public',
  why: 'Whoever signs in has not signed in yet. Attempts are limited by account and by address.',
} as const;

const sessionSchema = z
  .strictObject({
    id: z.string(),
    methods: z.array(z.string()),
    address: z.string().nullable(),
    userAgent: z.string().nullable(),
    createdAt: time(),
    lastSeenAt: time(),
    expiresAt: time(),
    isCurrent: z.boolean(),
  })
  .meta({ id: 'Session' });

export const accountRoutes = {
  setUp: defineRoute({
    method: 'POST',
    path: '/auth/setup',
    tag: 'account',
    summary: 'Creates the first administrator with the one-time token that the server printed when it first started.',
    access: { kind: 'public', why: 'There is no user yet; the one-time token stands for one.' },
    audit: 'setup.complete',
    body: z.strictObject({ setupToken: z.string().min(1).max(200), username: username(), password: newPassword() }),
    answer: json(signedIn, 201),
    errors: ['AUTH_INVALID', 'RESOURCE_CONFLICT', 'PASSWORD_UNFIT', 'SERVER_BUSY', 'TLS_REQUIRED'],
  }),
  signIn: defineRoute({
    method: 'POST',
    path: '/auth/session',
    tag: 'account',
    summary: 'Signs a browser in: answers with a session cookie, or says which second factor is needed.',
    access: signingIn,
    audit: 'session.create',
    body: z.strictObject({ username: username(), password: typedPassword() }),
    answer: json(z.discriminatedUnion('state', [signedIn, secondFactorNeeded])),
    errors: ['AUTH_INVALID', 'SERVER_BUSY', 'TLS_REQUIRED'],
  }),
  finishSignIn: defineRoute({
    method: 'POST',
    path: '/auth/session/second-factor',
    tag: 'account',
    summary: 'The second step of signing in.',
    access: signingIn,
    audit: 'session.create',
    body: z.strictObject({
      challenge: challenge(),
      factor: z.discriminatedUnion('method', [
        z.strictObject({ method: z.literal('totp'), code: code() }),
        z.strictObject({ method: z.literal('recovery-code'), code: recoveryCode() }),
        z.strictObject({ method: z.literal('webauthn'), response: webauthnJson() }),
      ]),
    }),
    answer: json(signedIn),
    errors: ['AUTH_INVALID', 'TLS_REQUIRED'],
  }),
  signOut: defineRoute({
    method: 'DELETE',
    path: '/auth/session',
    tag: 'account',
    summary: 'Ends the session, or revokes the token, with which it is called.',
    access: { kind: 'signed-in' },
    audit: 'session.end',
    isOpenToUnready: true,
    answer: empty,
  }),
  getToken: defineRoute({
    method: 'POST',
    path: '/auth/token',
    tag: 'account',
    summary: 'Signs a program of a person in: answers with a token for the Authorization header, for 24 hours at most.',
    access: signingIn,
    audit: 'session.create',
    body: z.strictObject({
      username: username(),
      password: typedPassword(),
      code: code().optional().describe('Where the account has an authenticator application'),
      recoveryCode: recoveryCode().optional(),
    }),
    answer: json(z.strictObject({ token: z.string(), expiresAt: time(), mustChangePassword: z.boolean() })),
    errors: ['AUTH_INVALID', 'SERVER_BUSY', 'TLS_REQUIRED'],
  }),
  resetToken: defineRoute({
    method: 'POST',
    path: '/api/v1/auth/reset-token',
    tag: 'account',
    summary: 'Ends all sessions and revokes all tokens of the account, and answers with a new token.',
    access: { kind: 'signed-in' },
    audit: 'session.reset',
    needsStepUp: true,
    answer: json(z.strictObject({ token: z.string(), expiresAt: time() })),
  }),
  getMe: defineRoute({
    method: 'GET',
    path: '/auth/me',
    tag: 'account',
    summary: 'Who asks, and what they may do.',
    access: { kind: 'signed-in' },
    audit: null,
    isOpenToUnready: true,
    answer: json(
      z
        .strictObject({
          id: z.string(),
          username: z.string(),
          kind: z.enum(['local', 'oidc', 'service']),
          isInitial: z.boolean(),
          createdAt: time(),
          roles: z.array(z.string()),
          grants: z.array(shownGrant).describe('Of a token, what is left of them by its scopes'),
          signedInBy: z.enum(['session', 'token', 'certificate']),
          mustChangePassword: z.boolean(),
          secondFactors: z.array(z.enum(['totp', 'webauthn'])),
          steppedUpUntil: time().nullable(),
        })
        .meta({ id: 'Me' }),
    ),
  }),
  stepUp: defineRoute({
    method: 'POST',
    path: '/auth/step-up',
    tag: 'account',
    summary:
      'Proves that the person is there, for the dangerous actions of the next five minutes; the session gets a new cookie.',
    access: { kind: 'signed-in' },
    isOpenToUnready: true,
    audit: 'session.step-up',
    body: z.discriminatedUnion('method', [
      z.strictObject({ method: z.literal('password'), password: typedPassword() }),
      z.strictObject({ method: z.literal('totp'), code: code() }),
      z.strictObject({ method: z.literal('webauthn'), challenge: challenge(), response: webauthnJson() }),
    ]),
    answer: json(z.strictObject({ steppedUpUntil: time(), token: z.string().nullable() })),
    errors: ['SERVER_BUSY'],
  }),
  getStepUpOptions: defineRoute({
    method: 'POST',
    path: '/auth/step-up/options',
    tag: 'account',
    summary: 'Options for a step-up with a security key.',
    access: { kind: 'signed-in' },
    isOpenToUnready: true,
    audit: null,
    answer: json(z.strictObject({ challenge: z.string(), webauthn: webauthnJson() })),
    errors: ['RESOURCE_CONFLICT'],
  }),
  listSessions: defineRoute({
    method: 'GET',
    path: '/auth/sessions',
    tag: 'account',
    summary: "The account's sessions.",
    access: { kind: 'signed-in' },
    audit: null,
    answer: json(z.array(sessionSchema)),
  }),
  endSession: defineRoute({
    method: 'DELETE',
    path: '/auth/sessions/:id',
    tag: 'account',
    summary: 'Ends one of the own sessions.',
    access: { kind: 'signed-in' },
    audit: 'session.end',
    params: z.strictObject({ id: id() }),
    answer: empty,
  }),
  changePassword: defineRoute({
    method: 'PUT',
    path: '/api/v1/users/change-password',
    tag: 'account',
    summary: 'Changes the own password; all other sessions and tokens of the account end.',
    access: { kind: 'signed-in' },
    audit: 'user.change-password',
    isOpenToUnready: true,
    body: z.strictObject({ oldPassword: typedPassword(), newPassword: newPassword() }),
    aliases: { old_password: 'oldPassword', new_password: 'newPassword' },
    answer: empty,
    errors: ['PASSWORD_UNFIT', 'SERVER_BUSY', 'RESOURCE_CONFLICT'],
  }),
  startTotp: defineRoute({
    method: 'POST',
    path: '/auth/totp',
    tag: 'account',
    summary:
      'Begins with an authenticator application: its secret is shown once and counts when a code of it was given.',
    access: { kind: 'signed-in' },
    isOpenToUnready: true,
    audit: 'second-factor.start',
    needsStepUp: true,
    answer: json(z.strictObject({ secret: z.string(), uri: z.string() })),
    errors: ['RESOURCE_CONFLICT'],
  }),
  confirmTotp: defineRoute({
    method: 'PUT',
    path: '/auth/totp',
    tag: 'account',
    summary: 'Confirms the authenticator application; answers with recovery codes, which are shown once.',
    access: { kind: 'signed-in' },
    isOpenToUnready: true,
    audit: 'second-factor.add',
    needsStepUp: true,
    body: z.strictObject({ code: code() }),
    answer: json(z.strictObject({ recoveryCodes: z.array(z.string()) })),
    errors: ['RESOURCE_CONFLICT'],
  }),
  removeTotp: defineRoute({
    method: 'DELETE',
    path: '/auth/totp',
    tag: 'account',
    summary: 'Takes the authenticator application away.',
    access: { kind: 'signed-in' },
    audit: 'second-factor.remove',
    needsStepUp: true,
    answer: empty,
    errors: ['RESOURCE_NOT_FOUND'],
  }),
  listPasskeys: defineRoute({
    method: 'GET',
    path: '/auth/passkeys',
    tag: 'account',
    summary: "The account's security keys.",
    access: { kind: 'signed-in' },
    isOpenToUnready: true,
    audit: null,
    answer: json(
      z.array(
        z
          .strictObject({ id: z.string(), name: z.string(), createdAt: time(), lastUsedAt: time().nullable() })
          .meta({ id: 'Passkey' }),
      ),
    ),
  }),
  getPasskeyOptions: defineRoute({
    method: 'POST',
    path: '/auth/passkeys/options',
    tag: 'account',
    summary: 'Options for navigator.credentials.create.',
    access: { kind: 'signed-in' },
    isOpenToUnready: true,
    audit: null,
    needsStepUp: true,
    answer: json(z.strictObject({ challenge: z.string(), webauthn: webauthnJson() })),
  }),
  addPasskey: defineRoute({
    method: 'POST',
    path: '/auth/passkeys',
    tag: 'account',
    summary: 'Adds a security key.',
    access: { kind: 'signed-in' },
    isOpenToUnready: true,
    audit: 'second-factor.add',
    needsStepUp: true,
    body: z.strictObject({ name: z.string().min(1).max(100), challenge: challenge(), response: webauthnJson() }),
    answer: json(z.strictObject({ id: z.string() }), 201),
    errors: ['RESOURCE_CONFLICT'],
  }),
  removePasskey: defineRoute({
    method: 'DELETE',
    path: '/auth/passkeys/:id',
    tag: 'account',
    summary: 'Takes a security key away.',
    access: { kind: 'signed-in' },
    audit: 'second-factor.remove',
    needsStepUp: true,
    params: z.strictObject({ id: z.string().min(1).max(1400) }),
    answer: empty,
  }),
  startSignOn: defineRoute({
    method: 'GET',
    path: '/auth/oidc/start',
    tag: 'account',
    summary: "Leads to the identity provider's page.",
    access: signingIn,
    audit: null,
    answer: { kind: 'redirect', status: 302 },
    errors: ['RESOURCE_NOT_FOUND', 'SIGN_ON_UNAVAILABLE', 'TLS_REQUIRED'],
  }),
  finishSignOn: defineRoute({
    method: 'GET',
    path: '/auth/oidc/callback',
    tag: 'account',
    summary: 'Where the identity provider leads back to.',
    access: signingIn,
    audit: 'session.create',
    query: z.looseObject({ state: z.string().max(200).optional() }),
    answer: { kind: 'text', status: 200, media: 'text/html; charset=utf-8' },
    errors: ['RESOURCE_NOT_FOUND', 'AUTH_INVALID', 'SIGN_ON_UNAVAILABLE', 'TLS_REQUIRED'],
  }),
};
