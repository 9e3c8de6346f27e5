/** Authenticator applications (RFC 6238), recovery codes and security keys (Web Authentication). */
import { Secret, TOTP } from 'otpauth';
import { AppError } from '#contract/errors.ts';
import type { Json } from '#store/json.ts';
import type { Aggregates } from '#store/store.ts';
import type { WebauthnCredential } from '#store/users.ts';
import type { Clock } from '#util/clock.ts';
import type { Entropy, ServerPorts } from '../ports.ts';
import { sha256 } from './credential.ts';

/** Loaded when it is used: few servers have a security key to look at, and it is 20 packages. */
const webauthn = () => import('@simplewebauthn/server');

const PERIOD_SECONDS = 30;
const RECOVERY_CODES = 10;
const RECOVERY_BYTES = 15;

export interface SecondFactorPorts {
  readonly vault: ServerPorts['vault'];
  readonly clock: Clock;
  readonly entropy: Entropy;
  /** Where our pages are, as the browser says it, and the domain that security keys are made for. */
  readonly origins: readonly string[];
  readonly domain: string;
}

export type Method = 'totp' | 'webauthn' | 'recovery-code';

/** Options for a browser, and the challenge that its answer must carry. */
export interface Ceremony {
  readonly challenge: string;
  readonly options: Json;
}

/** Each call is told on which aggregates it works, so that what it changes is noted under the caller's intent. */
export class SecondFactors {
  readonly #ports: SecondFactorPorts;

  constructor(ports: SecondFactorPorts) {
    this.#ports = ports;
  }

  /** A new secret, which counts when a code of it was given. */
  async startTotp(userId: string, username: string): Promise<{ secret: string; uri: string }> {
    const secret = new Secret({ buffer: new Uint8Array(this.#ports.entropy.bytes(20)).buffer });
    await this.#ports.vault.write(pendingTotp(userId), secret.base32, userId);
    return { secret: secret.base32, uri: totpOf(secret.base32, username).toString() };
  }

  /** New recovery codes. Throws AUTH_INVALID for a wrong code, RESOURCE_CONFLICT where nothing was begun. */
  async confirmTotp(store: Aggregates, userId: string, code: string): Promise<string[]> {
    const { vault } = this.#ports;
    const secret = await vault.read(pendingTotp(userId));
    if (secret === null)
      throw new AppError('RESOURCE_CONFLICT', 'No authenticator application was begun with.', {
        nextStep: 'Begin with POST /auth/totp.',
      });
    this.#stepOf(secret, code);
    await vault.write(activeTotp(userId), secret, userId);
    await store.users.setTotp(userId, true);
    await this.#spendCode(store, userId, secret, code); // behind setTotp, which forgets what was used of an earlier secret
    await vault.delete(pendingTotp(userId));
    const codes = Array.from({ length: RECOVERY_CODES }, () => recoveryCode(this.#ports.entropy));
    await store.users.setRecoveryCodes(userId, codes.map(recoveryHash));
    return codes;
  }

  async removeTotp(store: Aggregates, userId: string): Promise<void> {
    await store.users.setTotp(userId, false);
    await store.users.setRecoveryCodes(userId, []);
    await this.#ports.vault.delete(activeTotp(userId));
  }

  /** Throws AUTH_INVALID: wrong, or used before. */
  async useTotp(store: Aggregates, userId: string, code: string): Promise<void> {
    const secret = await this.#ports.vault.read(activeTotp(userId));
    if (secret === null) throw wrong();
    await this.#spendCode(store, userId, secret, code);
  }

  async useRecoveryCode(store: Aggregates, userId: string, code: string): Promise<void> {
    if (!(await store.users.useRecoveryCode(userId, recoveryHash(code)))) throw wrong();
  }

  async askForKey(credentials: readonly WebauthnCredential[]): Promise<Ceremony> {
    const options = await (
      await webauthn()
    ).generateAuthenticationOptions({
      rpID: this.#ports.domain,
      challenge: new Uint8Array(this.#ports.entropy.bytes(32)),
      allowCredentials: credentials.map(({ credentialId, transports }) => ({
        id: credentialId,
        transports: [...transports] as never[],
      })),
      userVerification: 'preferred',
    });
    return { challenge: options.challenge, options: withoutUnset(options) };
  }

  async useKey(store: Aggregates, userId: string, shown: { challenge: string; response: unknown }): Promise<void> {
    const response = shown.response as { id?: unknown };
    const known = typeof response.id === 'string' ? await store.users.webauthn(response.id) : null;
    if (known === null || known.userId !== userId) throw wrong();
    const { verified, authenticationInfo } = await (
      await webauthn()
    )
      .verifyAuthenticationResponse({
        response: response as never,
        expectedChallenge: shown.challenge,
        expectedOrigin: [...this.#ports.origins],
        expectedRPID: this.#ports.domain,
        requireUserVerification: false, // it is the second factor, the password was the first
        credential: {
          id: known.credentialId,
          publicKey: new Uint8Array(Buffer.from(known.publicKey, 'base64url')),
          counter: known.counter,
        },
      })
      .catch(() => ({ verified: false, authenticationInfo: null })); // whatever a stranger's bytes make it throw is a no
    if (!verified || authenticationInfo === null) throw wrong();
    if (!(await store.users.useWebauthn(known.credentialId, authenticationInfo.newCounter))) throw wrong();
  }

  async askForNewKey(user: { id: string; name: string }, known: readonly WebauthnCredential[]): Promise<Ceremony> {
    const options = await (
      await webauthn()
    ).generateRegistrationOptions({
      rpName: 'Lockstep',
      rpID: this.#ports.domain,
      userName: user.name,
      userID: new Uint8Array(Buffer.from(user.id)),
      challenge: new Uint8Array(this.#ports.entropy.bytes(32)),
      attestationType: 'none',
      excludeCredentials: known.map(({ credentialId }) => ({ id: credentialId })),
      authenticatorSelection: { residentKey: 'discouraged', userVerification: 'preferred' },
    });
    return { challenge: options.challenge, options: withoutUnset(options) };
  }

  async addKey(
    store: Aggregates,
    userId: string,
    shown: { name: string; challenge: string; response: unknown },
  ): Promise<string> {
    const { verified, registrationInfo } = await (
      await webauthn()
    )
      .verifyRegistrationResponse({
        response: shown.response as never,
        expectedChallenge: shown.challenge,
        expectedOrigin: [...this.#ports.origins],
        expectedRPID: this.#ports.domain,
        requireUserVerification: false,
      })
      .catch(() => ({ verified: false as const, registrationInfo: undefined }));
    if (!verified || !registrationInfo) throw wrong();
    const { id, publicKey, counter, transports } = registrationInfo.credential;
    await store.users.addWebauthn({
      credentialId: id,
      userId,
      name: shown.name,
      publicKey: Buffer.from(publicKey).toString('base64url'),
      counter,
      transports: transports ?? [],
    });
    return id;
  }

  /** Each counts once. */
  async #spendCode(store: Aggregates, userId: string, secret: string, code: string): Promise<void> {
    if (!(await store.users.useTotpStep(userId, this.#stepOf(secret, code)))) throw wrong();
  }

  /** The 30 seconds that a code is of: those of now, or those before or after. Throws AUTH_INVALID. */
  #stepOf(secret: string, code: string): number {
    const now = this.#ports.clock.now();
    const delta = totpOf(secret, '').validate({ token: code, timestamp: now, window: 1 });
    if (delta === null) throw wrong();
    return Math.floor(now / 1000 / PERIOD_SECONDS) + delta;
  }
}

/** What a user can prove itself with besides the password. */
export function methodsOf(facts: { hasTotp: boolean; webauthn: number; recoveryCodesLeft: number }): Method[] {
  return [
    ...(facts.hasTotp ? (['totp'] as const) : []),
    ...(facts.webauthn > 0 ? (['webauthn'] as const) : []),
    ...(facts.recoveryCodesLeft > 0 ? (['recovery-code'] as const) : []),
  ];
}

function totpOf(secret: string, username: string): TOTP {
  return new TOTP({ issuer: 'Lockstep', label: username, secret: Secret.fromBase32(secret), period: PERIOD_SECONDS });
}

/** The library leaves fields that it was not given as undefined, which is no JSON. */
function withoutUnset(options: object): Json {
  return JSON.parse(JSON.stringify(options)) as Json;
}

function activeTotp(userId: string): string {
  return `totp/${userId}`;
}

function pendingTotp(userId: string): string {
  return `totp-pending/${userId}`;
}

/** 120 bits, so its plain SHA-256 is enough to keep. */
function recoveryCode(entropy: Entropy): string {
  const text = new Secret({ buffer: new Uint8Array(entropy.bytes(RECOVERY_BYTES)).buffer }).base32;
  return (text.match(/.{1,6}/g) ?? []).join('-');
}

function recoveryHash(code: string): string {
  return sha256(code.toUpperCase().replaceAll(/[^A-Z2-7]/g, ''));
}

function wrong(): AppError {
  return new AppError('AUTH_INVALID', 'The second factor is not right, or was used before.', {
    nextStep: 'Try again with a new code.',
  });
}
