/** Bearer tokens for OAUTHBEARER: from a file, or by the client credentials grant (RFC 6749 4.4). */
import type { TokenRef } from '#contract/cluster-security.ts';
import { SecretError } from '#kafka/errors.ts';
import type { SaslCredentials } from '#kafka/security.ts';
import { printable } from '#kafka/sasl.ts';
import { tlsProblemOf } from '#kafka/tls-failure.ts';
import { readPem, readSecret, type SecretHost } from './secret-host.ts';

type Token = Extract<SaslCredentials, { token: string }>;

export interface TokenSource {
  /** Throws SecretError where none can be had. */
  token(): Promise<Token>;
  /** The broker refused the last one. */
  forget(): void;
}

/** A token is asked for again when so much of its time is over, before the sessions that it opened end. */
const FRESH_PART = 0.8;
const EXPIRES_S_MAX = 365 * 24 * 3600;
const REASON_CHARACTERS_MAX = 200;

/** `signal` ends a request that is under way. */
export function createTokenSource(ref: TokenRef, host: SecretHost, signal: AbortSignal): TokenSource {
  if ('file' in ref) {
    return {
      token: async () => ({ token: readSecret(ref, 'token', host).trim(), extensions: {} }),
      forget: () => {},
    };
  }
  return new EndpointTokens(ref, host, signal);
}

class EndpointTokens implements TokenSource {
  readonly #ref: Extract<TokenRef, { endpoint: string }>;
  readonly #host: SecretHost;
  readonly #signal: AbortSignal;
  #kept: { readonly token: string; readonly freshUntilMs: number } | null = null;
  /** Connections that open at the same time share one request. */
  #asking: Promise<string> | null = null;

  constructor(ref: Extract<TokenRef, { endpoint: string }>, host: SecretHost, signal: AbortSignal) {
    this.#ref = ref;
    this.#host = host;
    this.#signal = signal;
  }

  async token(): Promise<Token> {
    const { extensions } = this.#ref;
    if (this.#kept && this.#host.clock.monotonic() < this.#kept.freshUntilMs) {
      return { token: this.#kept.token, extensions };
    }
    this.#asking ??= this.#ask().finally(() => {
      this.#asking = null;
    });
    return { token: await this.#asking, extensions };
  }

  forget(): void {
    this.#kept = null;
  }

  async #ask(): Promise<string> {
    const { endpoint, clientId, clientSecret, scope, ca } = this.#ref;
    const { clock, web } = this.#host;
    const secret = readSecret(clientSecret, 'clientSecret', this.#host);
    const authorities = ca && readPem(ca, 'CERTIFICATE', { what: 'ca', host: this.#host });
    const askedMs = clock.monotonic();
    let answer: { status: number; text: string };
    try {
      answer = await web.postForm(endpoint, {
        headers: { authorization: basic(clientId, secret) },
        ca: authorities,
        signal: this.#signal,
        body: new URLSearchParams({
          grant_type: 'client_credentials',
          ...(scope === null ? {} : { scope }),
        }).toString(),
      });
    } catch (error) {
      const problem = tlsProblemOf(error as Error, { hasServerName: false });
      throw this.#failed(problem === null ? `does not answer (${reasonOf(error)})` : `was not asked: ${problem}`);
    }
    const fields = fieldsOf(answer.text);
    if (answer.status !== 200) {
      const said = typeof fields['error'] === 'string' ? `: ${fields['error'].replaceAll(secret, '(hidden)')}` : '';
      throw this.#failed(`answered ${answer.status}${printable(said, REASON_CHARACTERS_MAX)}`);
    }
    const { access_token: token, expires_in: expires } = fields;
    if (typeof token !== 'string' || token === '') throw this.#failed('answered without an access_token');
    // RFC 6749 5.1 lets it out; some send it as text. Without it nothing is known, so nothing is kept.
    const lifetimeS = Math.min(Number(expires ?? 0) || 0, EXPIRES_S_MAX);
    this.#kept = lifetimeS > 0 ? { token, freshUntilMs: askedMs + lifetimeS * 1000 * FRESH_PART } : null;
    return token;
  }

  #failed(what: string): SecretError {
    const { origin, pathname } = new URL(this.#ref.endpoint); // a query may hold what is nobody's business
    return new SecretError(`"token": ${origin}${pathname} ${what}`);
  }
}

/** RFC 6749 2.3.1: both are encoded as in a form before they are joined. */
function basic(clientId: string, secret: string): string {
  const encoded = [clientId, secret].map((each) => new URLSearchParams({ x: each }).toString().slice(2)).join(':');
  return `Basic ${Buffer.from(encoded).toString('base64')}`;
}

function fieldsOf(text: string): Record<string, unknown> {
  try {
    const value: unknown = JSON.parse(text);
    return typeof value === 'object' && value !== null ? { ...value } : {};
  } catch {
    return {};
  }
}

/** The innermost code, such as ECONNREFUSED: `fetch` itself says only that it failed. */
function reasonOf(error: unknown): string {
  const { cause, code, name } = error as { cause?: unknown; code?: unknown; name?: unknown };
  if (typeof cause === 'object' && cause !== null && ('code' in cause || 'cause' in cause)) return reasonOf(cause);
  if (typeof code === 'string') return code;
  return name === 'TimeoutError' ? 'no answer within 10 s' : printable(String((error as Error).message), 100);
}
