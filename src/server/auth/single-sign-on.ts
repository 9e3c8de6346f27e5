/**
 * Signing in at an OpenID Connect provider: authorization code with PKCE, state and nonce (RFC 9700). openid-client checks the
 * answers; here stands what it is told, and what it cannot know: which addresses may be connected to, and who gets which role.
 */
import {
  allowInsecureRequests,
  authorizationCodeGrant,
  buildAuthorizationUrl,
  calculatePKCECodeChallenge,
  ClientSecretPost,
  customFetch,
  discovery,
  enableNonRepudiationChecks,
  type ClientAuth,
  type Configuration,
  type CustomFetch,
} from 'openid-client';
import { AppError } from '#contract/errors.ts';
import type { Clock } from '#util/clock.ts';
import type { WebClient } from '#util/host.ts';
import type { Entropy } from '../ports.ts';
import type { SignOnSettings } from '../settings.ts';
import { outboundCheck } from './address-check.ts';

/** What has to be remembered until the browser comes back. */
export interface SignOnState {
  readonly state: string;
  readonly nonce: string;
  readonly verifier: string;
}

export interface SignedOn {
  readonly issuer: string;
  readonly subject: string;
  /** What the provider calls the person; for people to read. */
  readonly name: string | null;
  readonly roles: readonly string[];
}

const DISCOVERED_MS = 3_600_000;
const ANSWER_BYTES_MAX = 64 * 1024;

export class SingleSignOn {
  readonly #settings: SignOnSettings;
  readonly #web: WebClient;
  readonly #clock: Clock;
  readonly #entropy: Entropy;
  readonly #redirectUri: string;
  #found: { readonly provider: Promise<Configuration>; readonly at: number } | null = null;

  constructor(options: {
    readonly settings: SignOnSettings;
    readonly publicUrl: string;
    readonly web: WebClient;
    readonly clock: Clock;
    readonly entropy: Entropy;
  }) {
    this.#settings = options.settings;
    this.#web = options.web;
    this.#clock = options.clock;
    this.#entropy = options.entropy;
    this.#redirectUri = new URL('/auth/oidc/callback', options.publicUrl).href;
  }

  async start(): Promise<{ readonly url: string; readonly remembered: SignOnState }> {
    const provider = await this.#provider();
    const remembered = { state: this.#random(), nonce: this.#random(), verifier: this.#random() };
    const url = buildAuthorizationUrl(provider, {
      redirect_uri: this.#redirectUri,
      scope: ['openid', ...this.#settings.scopes.filter((scope) => scope !== 'openid')].join(' '),
      state: remembered.state,
      nonce: remembered.nonce,
      code_challenge: await calculatePKCECodeChallenge(remembered.verifier),
      code_challenge_method: 'S256',
    });
    return { url: url.href, remembered };
  }

  /** `query`: of the address that the browser came back to. Throws AUTH_INVALID, SIGN_ON_UNAVAILABLE. */
  async finish(query: string, { state, nonce, verifier }: SignOnState): Promise<SignedOn> {
    const provider = await this.#provider();
    const answer = await authorizationCodeGrant(provider, new URL(`${this.#redirectUri}?${query}`), {
      pkceCodeVerifier: verifier,
      expectedState: state,
      expectedNonce: nonce,
      idTokenExpected: true,
    }).catch((cause: unknown) => {
      throw refused('The answer of the identity provider cannot be accepted.', cause);
    });
    const claims = answer.claims();
    if (!claims) throw refused('The identity provider says nothing about who has signed in.');
    const { acceptedAcr } = this.#settings;
    if (acceptedAcr.length > 0 && !(typeof claims['acr'] === 'string' && acceptedAcr.includes(claims['acr'])))
      throw refused('The identity provider has not made sure in a way that is asked for here.');
    const roles = this.#rolesOf(claims);
    if (roles.length === 0) throw refused('No role here is for who has signed in.');
    return { issuer: claims.iss, subject: claims.sub, name: nameIn(claims), roles };
  }

  #rolesOf(claims: Readonly<Record<string, unknown>>): string[] {
    const has = (claim: string, value: string): boolean => {
      const found = Object.hasOwn(claims, claim) ? claims[claim] : undefined;
      return Array.isArray(found) ? found.includes(value) : found === value;
    };
    return [...new Set(this.#settings.roles.filter(({ claim, value }) => has(claim, value)).map(({ role }) => role))];
  }

  /** Its description is read anew each hour, so that changed addresses and keys are found; a failure is not remembered. */
  #provider(): Promise<Configuration> {
    const now = this.#clock.monotonic();
    if (this.#found === null || now - this.#found.at > DISCOVERED_MS) {
      const provider = this.#discover();
      const found = { provider, at: now };
      this.#found = found;
      provider.catch(() => {
        if (this.#found === found) this.#found = null;
      });
    }
    return this.#found.provider;
  }

  async #discover(): Promise<Configuration> {
    const { issuer, clientId, mayBePrivate } = this.#settings;
    const execute = [enableNonRepudiationChecks]; // else a signature counts for nothing where TLS brought the token
    // Only this machine: the options refuse http:// elsewhere.
    if (mayBePrivate && issuer.startsWith('http:')) execute.push(allowInsecureRequests);
    try {
      return await discovery(new URL(issuer), clientId, undefined, this.#authenticate, {
        [customFetch]: this.#fetch,
        execute,
        timeout: 10,
      });
    } catch (cause) {
      throw unavailable(cause);
    }
  }

  readonly #authenticate: ClientAuth = (...given) => {
    try {
      ClientSecretPost(this.#settings.clientSecret())(...given);
    } catch (cause) {
      throw unavailable(cause);
    }
  };

  readonly #fetch: CustomFetch = async (url, { method, headers, body, signal }) => {
    try {
      const answer = await this.#web.send({
        url,
        method: method === 'POST' ? 'POST' : 'GET',
        headers,
        body: body === undefined || body === null ? null : bodyText(body),
        ca: this.#settings.ca(),
        bytesMax: ANSWER_BYTES_MAX,
        admit: outboundCheck(this.#settings),
        signal: signal ?? new AbortController().signal,
      });
      return new Response(answer.status === 204 ? null : answer.text, {
        status: answer.status,
        headers: answer.headers,
      });
    } catch (cause) {
      throw unavailable(cause);
    }
  };

  #random(): string {
    return Buffer.from(this.#entropy.bytes(32)).toString('base64url');
  }
}

function bodyText(body: unknown): string {
  if (typeof body === 'string' || body instanceof URLSearchParams) return String(body);
  throw new TypeError('openid-client sends forms');
}

function nameIn(claims: Readonly<Record<string, unknown>>): string | null {
  const name = claims['preferred_username'] ?? claims['email'];
  return typeof name === 'string' ? name : null;
}

/** Why stays in the log: it tells a stranger what was looked at. An unavailable provider is said to be that. */
function refused(message: string, cause?: unknown): AppError {
  for (let each = cause; each instanceof Error; each = each.cause) {
    if (each instanceof AppError && each.code === 'SIGN_ON_UNAVAILABLE') return each;
  }
  return new AppError('AUTH_INVALID', message, {
    cause,
    nextStep: 'Begin anew; where that does not help, the server’s log says why.',
  });
}

function unavailable(cause: unknown): AppError {
  return new AppError('SIGN_ON_UNAVAILABLE', 'The identity provider does not answer as it should.', {
    cause,
    nextStep: 'Try again in a moment, or ask whoever runs the identity provider.',
  });
}
