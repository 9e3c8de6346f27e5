/** Signing in and out, and what belongs to one's own account. */
import type { accountRoutes } from '#contract/api/routes/account.ts';
import { AppError } from '#contract/errors.ts';
import type { Json } from '#store/json.ts';
import type { Aggregates } from '#store/store.ts';
import type { LoginFacts, User } from '#store/users.ts';
import { must } from '#util/assert.ts';
import type { Caller } from '../auth/caller.ts';
import { createCredential, readCredential } from '../auth/credential.ts';
import { checkNewPassword } from '../auth/password-policy.ts';
import { CHALLENGE_MS, STEP_UP_MS, type NewSession } from '../auth/sign-in.ts';
import type { SignOnState } from '../auth/single-sign-on.ts';
import type { Call, Handlers } from '../http/call.ts';
import { requireSafe } from '../http/pipeline.ts';
import { UNNAMED } from '../personal-notes.ts';
import type { Context } from './context.ts';

const DEVICE_MS = 365 * 24 * 3_600_000;
const SIGN_ON_MS = 10 * 60_000;

export function accountHandlers(context: Context): Pick<Handlers, keyof typeof accountRoutes> {
  const { ports, signIn, devices, settings } = context;
  const { store, clock, entropy } = ports;

  const attemptOf = (call: Pick<Call, 'origin' | 'cookies' | 'concerns'>, account: string) => {
    call.concerns(account);
    return { account, address: call.origin.address, device: devices.read(call.cookies.read('device'), account) };
  };

  const actorFor = (userId: string, authn: 'password' | 'oidc' | 'setup-token') => ({
    actor: { id: userId, kind: 'user' as const, authn },
    resource: { type: 'session', id: userId },
  });

  /** Signs a browser in. Whatever session it had before is not continued: its token may be known to somebody. */
  const giveSession = (call: Pick<Call, 'cookies'>, { text, session }: NewSession, username: string) => {
    call.cookies.set('session', text, null);
    call.cookies.set('device', devices.mark(username), DEVICE_MS);
    return session.expiresAt;
  };

  /** A challenge that is good once, for who has got so far. */
  const issueChallenge = async (purpose: string, payload: Json): Promise<string> => {
    const { text, hash } = createCredential('once', entropy);
    await store.oneTimeTokens.issue({ purpose, hash, lifeMs: CHALLENGE_MS, payload });
    return text;
  };

  const consumeChallenge = async (purpose: string, text: string): Promise<Json> => {
    const credential = readCredential(text);
    const found = credential?.kind === 'once' ? await store.oneTimeTokens.consume(purpose, credential.hash) : null;
    if (found !== null) return found.payload;
    throw new AppError('AUTH_INVALID', 'This took too long, or was done before.', { nextStep: 'Begin again.' });
  };

  /** Methods of a sign-in with the password alone, for programs: a security key cannot answer there. */
  const checkProgramFactors = async (
    aggregates: Aggregates,
    call: Call<'getToken'>,
    facts: LoginFacts,
  ): Promise<string[]> => {
    const methods = signIn.methods(facts);
    if (methods.length === 0) return ['password'];
    const { username, code, recoveryCode } = call.body;
    const attempt = attemptOf(call, username);
    if (code !== undefined) {
      await signIn.checkFactor(attempt, () => signIn.factors.useTotp(aggregates, facts.userId, code));
      return ['password', 'totp'];
    }
    if (recoveryCode !== undefined) {
      await signIn.checkFactor(attempt, () => signIn.factors.useRecoveryCode(aggregates, facts.userId, recoveryCode));
      return ['password', 'recovery-code'];
    }
    throw new AppError('AUTH_INVALID', 'This account needs a code of its second factor.', {
      nextStep: 'Send "code" from the authenticator application, or "recoveryCode"; or use an API token.',
    });
  };

  const userOf = async (caller: Caller): Promise<User> =>
    must(await store.users.get(caller.identity.userId), 'signed-in user');

  const sessionOf = ({ proof }: Caller) => {
    if (proof.kind === 'session') return proof;
    throw new AppError('RESOURCE_CONFLICT', 'This is for people who have signed in, not for tokens and certificates.', {
      nextStep: 'Sign in with user name and password.',
    });
  };

  return {
    async setUp(call) {
      requireSafe(call.connection.request);
      const { setupToken, username, password } = call.body;
      checkNewPassword(password, username);
      const hash = await ports.passwords.hash(password);
      await signIn.checkFactor(
        attemptOf(call, 'setup'),
        async () => void (await consumeChallenge('setup', setupToken)),
      );
      const made = await call.record(
        {
          actor: { id: 'anonymous', kind: 'anonymous', authn: 'setup-token' },
          resource: { type: 'user', id: UNNAMED },
          account: username,
        },
        async (aggregates) => {
          const user = await aggregates.users.createInitial({
            name: username,
            kind: 'local',
            roles: ['admin'],
            passwordHash: hash,
          });
          if (user === null)
            throw new AppError('RESOURCE_CONFLICT', 'There is an administrator already.', { nextStep: 'Sign in.' });
          return signIn.createSession(
            aggregates,
            { userId: user.id, methods: ['password'] },
            { ...call.origin, isProgram: false },
          );
        },
      );
      return {
        state: 'signed-in',
        username,
        expiresAt: giveSession(call, made, username),
        mustChangePassword: false,
      };
    },

    async signIn(call) {
      requireSafe(call.connection.request);
      const { username, password } = call.body;
      const facts = await signIn.checkPassword(attemptOf(call, username), password);
      const methods = signIn.methods(facts);
      if (methods.length > 0) {
        const keys = facts.webauthn > 0 ? await store.users.webauthnOf(facts.userId) : [];
        const ceremony = keys.length > 0 ? await signIn.factors.askForKey(keys) : null;
        const challenge = await issueChallenge('second-factor', {
          userId: facts.userId,
          username,
          webauthn: ceremony?.challenge ?? null,
        });
        return { state: 'second-factor', challenge, methods, webauthn: (ceremony?.options ?? null) as never };
      }
      const made = await call.record(actorFor(facts.userId, 'password'), (aggregates) =>
        signIn.createSession(
          aggregates,
          { userId: facts.userId, methods: ['password'] },
          { ...call.origin, isProgram: false },
        ),
      );
      return {
        state: 'signed-in',
        username,
        expiresAt: giveSession(call, made, username),
        mustChangePassword: facts.mustChangePassword,
      };
    },

    async finishSignIn(call) {
      requireSafe(call.connection.request);
      const { challenge, factor } = call.body;
      const { userId, username, webauthn } = (await consumeChallenge('second-factor', challenge)) as {
        userId: string;
        username: string;
        webauthn: string | null;
      };
      await signIn.checkFactor(attemptOf(call, username), async () => {
        if (factor.method === 'totp') await signIn.factors.useTotp(store, userId, factor.code);
        else if (factor.method === 'recovery-code') await signIn.factors.useRecoveryCode(store, userId, factor.code);
        else await signIn.factors.useKey(store, userId, { challenge: webauthn ?? '', response: factor.response });
      });
      const user = must(await store.users.get(userId), 'user of a challenge');
      const made = await call.record(actorFor(userId, 'password'), (aggregates) =>
        signIn.createSession(
          aggregates,
          { userId, methods: ['password', factor.method] },
          { ...call.origin, isProgram: false },
        ),
      );
      return {
        state: 'signed-in',
        username: user.name,
        expiresAt: giveSession(call, made, user.name),
        mustChangePassword: user.mustChangePassword,
      };
    },

    async getToken(call) {
      requireSafe(call.connection.request);
      const { username, password } = call.body;
      const facts = await signIn.checkPassword(attemptOf(call, username), password);
      const methods = await checkProgramFactors(store, call, facts);
      const { text, session } = await call.record(actorFor(facts.userId, 'password'), (aggregates) =>
        signIn.createSession(aggregates, { userId: facts.userId, methods }, { ...call.origin, isProgram: true }),
      );
      return { token: text, expiresAt: session.expiresAt, mustChangePassword: facts.mustChangePassword };
    },

    async signOut({ caller, store: aggregates, connection: { reply }, cookies }) {
      const { proof, identity } = caller;
      if (proof.kind === 'session') await aggregates.sessions.end(proof.session.id, identity.userId);
      else if (proof.kind === 'token') await aggregates.tokens.revoke(proof.token.id, identity.userId);
      cookies.clear('session');
      void reply.header('clear-site-data', '"cache", "storage"');
    },

    async resetToken(call) {
      const { caller, store: aggregates } = call;
      const { session } = sessionOf(caller);
      const { userId } = caller.identity;
      await aggregates.tokens.revokeAll(userId);
      await aggregates.sessions.endAll(userId, null);
      const made = await signIn.createSession(
        aggregates,
        { userId, methods: session.methods },
        { ...call.origin, isProgram: true },
      );
      return { token: made.text, expiresAt: made.session.expiresAt };
    },

    async getMe({ caller }) {
      const user = await userOf(caller);
      const { proof } = caller;
      const provedAt = proof.kind === 'session' ? Math.max(proof.session.steppedUpAt ?? 0, proof.session.createdAt) : 0;
      return {
        id: user.id,
        username: user.name,
        kind: user.kind,
        isInitial: user.isInitial,
        createdAt: user.createdAt,
        roles: user.roles,
        grants: caller.grants,
        signedInBy: proof.kind,
        mustChangePassword: user.mustChangePassword,
        secondFactors: secondFactorsOf(user),
        steppedUpUntil: provedAt + STEP_UP_MS > clock.now() ? provedAt + STEP_UP_MS : null,
      };
    },

    async stepUp(call) {
      const { caller, body } = call;
      const { session, via } = sessionOf(caller);
      const { userId, name } = caller.identity;
      const attempt = attemptOf(call, name);
      if (body.method === 'password') {
        const facts = await signIn.checkPassword(attempt, body.password);
        // Where there is a second factor, the password alone proves less than signing in did.
        if (signIn.methods(facts).length > 0)
          throw new AppError('AUTH_INVALID', 'This account proves itself with its second factor.', {
            nextStep: 'Send a code of the authenticator application, or use the security key.',
          });
      } else if (body.method === 'totp')
        await signIn.checkFactor(attempt, () => signIn.factors.useTotp(call.store, userId, body.code));
      else {
        const { webauthn } = (await consumeChallenge(`step-up/${userId}`, body.challenge)) as { webauthn: string };
        await signIn.checkFactor(attempt, () =>
          signIn.factors.useKey(call.store, userId, { challenge: webauthn, response: body.response }),
        );
      }
      const rotated = await signIn.rotate(call.store, session, body.method);
      if (via === 'cookie') call.cookies.set('session', rotated.text, null);
      return { steppedUpUntil: clock.now() + STEP_UP_MS, token: via === 'cookie' ? null : rotated.text };
    },

    async getStepUpOptions({ caller }) {
      const { userId } = caller.identity;
      const keys = await store.users.webauthnOf(userId);
      if (keys.length === 0)
        throw new AppError('RESOURCE_CONFLICT', 'This account has no security key.', {
          nextStep: 'Prove it with the password or a code.',
        });
      const ceremony = await signIn.factors.askForKey(keys);
      const challenge = await issueChallenge(`step-up/${userId}`, { webauthn: ceremony.challenge });
      return { challenge, webauthn: ceremony.options as never };
    },

    async listSessions({ caller }) {
      const own = caller.proof.kind === 'session' ? caller.proof.session.id : null;
      const sessions = await store.sessions.list(caller.identity.userId);
      return sessions.map((session) => ({
        id: session.id,
        methods: session.methods,
        address: session.address,
        userAgent: session.userAgent,
        createdAt: session.createdAt,
        lastSeenAt: session.lastSeenAt,
        expiresAt: session.expiresAt,
        isCurrent: session.id === own,
      }));
    },

    async endSession({ caller, params, store: aggregates }) {
      if (!(await aggregates.sessions.end(params.id, caller.identity.userId)))
        throw new AppError('RESOURCE_NOT_FOUND', 'There is no such session of yours.', {
          nextStep: 'GET /auth/sessions shows them.',
        });
    },

    async changePassword(call) {
      const { caller, body, store: aggregates } = call;
      const { session } = sessionOf(caller);
      const { name, userId, kind } = caller.identity;
      if (kind !== 'local')
        throw new AppError('RESOURCE_CONFLICT', 'This account has no password here.', {
          nextStep: 'Change it at the identity provider.',
        });
      await signIn.checkPassword(attemptOf(call, name), body.oldPassword);
      checkNewPassword(body.newPassword, name);
      const hash = await ports.passwords.hash(body.newPassword);
      await aggregates.users.setPassword(userId, hash, { mustChange: false, exceptSessionId: session.id });
      await aggregates.tokens.revokeAll(userId);
    },

    async startTotp({ caller }) {
      if ((await userOf(caller)).hasTotp)
        throw new AppError('RESOURCE_CONFLICT', 'This account has an authenticator application.', {
          nextStep: 'Take it away first.',
        });
      return signIn.factors.startTotp(caller.identity.userId, caller.identity.name);
    },

    confirmTotp: async ({ caller, body, store: aggregates }) => ({
      recoveryCodes: await signIn.factors.confirmTotp(aggregates, caller.identity.userId, body.code),
    }),

    async removeTotp({ caller, store: aggregates }) {
      if (!(await userOf(caller)).hasTotp)
        throw new AppError('RESOURCE_NOT_FOUND', 'This account has no authenticator application.');
      await signIn.factors.removeTotp(aggregates, caller.identity.userId);
    },

    async listPasskeys({ caller }) {
      const keys = await store.users.webauthnOf(caller.identity.userId);
      return keys.map(({ credentialId, name, createdAt, lastUsedAt }) => ({
        id: credentialId,
        name,
        createdAt,
        lastUsedAt,
      }));
    },

    async getPasskeyOptions({ caller }) {
      const { userId, name } = caller.identity;
      const known = await store.users.webauthnOf(userId);
      const ceremony = await signIn.factors.askForNewKey({ id: userId, name }, known);
      const challenge = await issueChallenge(`passkey/${userId}`, { webauthn: ceremony.challenge });
      return { challenge, webauthn: ceremony.options as never };
    },

    async addPasskey({ caller, body, store: aggregates }) {
      const { userId } = caller.identity;
      const { webauthn } = (await consumeChallenge(`passkey/${userId}`, body.challenge)) as { webauthn: string };
      const { name, response } = body;
      return { id: await signIn.factors.addKey(aggregates, userId, { name, challenge: webauthn, response }) };
    },

    async removePasskey({ caller, params, store: aggregates }) {
      if (!(await aggregates.users.removeWebauthn(caller.identity.userId, params.id)))
        throw new AppError('RESOURCE_NOT_FOUND', 'This account has no such security key.', {
          nextStep: 'GET /auth/passkeys shows those that it has.',
        });
    },

    async startSignOn(call) {
      requireSafe(call.connection.request);
      const { url, remembered } = await signOnOf(context).start();
      const { text, hash } = createCredential('once', entropy);
      await store.oneTimeTokens.issue({ purpose: 'sign-on', hash, lifeMs: SIGN_ON_MS, payload: { ...remembered } });
      call.cookies.set('sign-on', text, SIGN_ON_MS);
      return url;
    },

    async finishSignOn(call) {
      requireSafe(call.connection.request);
      const signOn = signOnOf(context);
      const remembered = await consumeChallenge('sign-on', call.cookies.read('sign-on') ?? '');
      call.cookies.clear('sign-on');
      const who = await signOn.finish(call.rawQuery, remembered as unknown as SignOnState);
      const made = await call.record(actorFor('anonymous', 'oidc'), async (aggregates) => {
        const user = await signIn.signedOn(aggregates, who);
        const session = await signIn.createSession(
          aggregates,
          { userId: user.id, methods: ['oidc'] },
          { ...call.origin, isProgram: false },
        );
        return { user, session };
      });
      giveSession(call, made.session, made.user.name);
      // A redirection would go on the identity provider's behalf, without the new cookie, which is for our own pages' only.
      return `<!doctype html><html lang="en"><head><meta charset="utf-8"><title>Signed in</title><meta http-equiv="refresh" content="0; url=${new URL('/', settings.publicUrl).href}"></head><body><a href="/">Go on</a></body></html>`;
    },
  };
}

export function secondFactorsOf({ hasTotp, webauthn }: User): ('totp' | 'webauthn')[] {
  return [...(hasTotp ? (['totp'] as const) : []), ...(webauthn > 0 ? (['webauthn'] as const) : [])];
}

function signOnOf({ signOn }: Context) {
  if (signOn !== null) return signOn;
  throw new AppError('RESOURCE_NOT_FOUND', 'No identity provider is set up here.', {
    nextStep: 'Sign in with user name and password.',
  });
}
