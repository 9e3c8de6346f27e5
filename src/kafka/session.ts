/**
 * Keeps one connection logged in: the first login, and where the broker says how long the session lives, the next one on
 * the same connection before it ends (KIP-368). A broker cuts a connection that is used after its session has ended.
 */
import { Backoff } from '#util/backoff.ts';
import { sleep, type Clock } from '#util/clock.ts';
import type { Api } from './api.ts';
import { ConnectionError, KafkaError, LoginRefusedError, SecretError } from './errors.ts';
import { errorOf } from './protocol/error-codes.ts';
import { saslAuthenticate } from './protocol/sasl-authenticate.ts';
import { saslHandshake } from './protocol/sasl-handshake.ts';
import { exchange, printable } from './sasl.ts';
import { SaslError } from './sasl-scram.ts';
import type { Sasl, SaslCredentials } from './security.ts';

/** A login begins again when 80 to 90 % of the session are over: behind the renewal of tokens, and not all at once. */
const RENEW_FROM = 0.8;
const RENEW_SPREAD = 0.1;
/** Without new credentials by then the connection is given up while that is in order, before the broker cuts it. */
const GIVE_UP_AT = 0.97;
const RENEW_MIN_MS = 100;
/** What timers can carry (2^31 − 1 ms, 24 days). */
const RENEW_MAX_MS = 0x7fff_ffff;
const CREDENTIALS_RETRY_MS = { baseMs: 200, maxMs: 5_000 };
const REFUSAL_CHARACTERS_MAX = 300;
const UNSUPPORTED_MECHANISM = 33;
const ILLEGAL_STATE = 34;

export type Call = <Request, Response>(api: Api<Request, Response>, request: Request) => Promise<Response>;

/** A connection as a session uses it. */
export interface SessionConnection {
  /** `host:port` */
  readonly address: string;
  readonly isOpen: boolean;
  /**
   * Waits until what is in flight is answered, then `action` has the connection to itself; requests that come meanwhile
   * are held and sent afterwards. When `action` throws, the connection ends with its error.
   */
  exclusively(action: (call: Call) => Promise<void>): Promise<void>;
  onClose(listener: () => void): void;
}

/**
 * Logs in, and from then on again in time. Throws ConnectionError (LoginRefusedError; `secret`: there is nothing
 * to log in with); the connection has then ended.
 */
export async function startSession(
  connection: SessionConnection,
  sasl: Sasl,
  options: { readonly clock: Clock; readonly credentials: SaslCredentials },
): Promise<void> {
  const session = new Session(connection, sasl, options.clock);
  await session.logIn(options.credentials);
}

class Session {
  readonly #connection: SessionConnection;
  readonly #sasl: Sasl;
  readonly #clock: Clock;
  readonly #ended = new AbortController();
  #cancel = (): void => {};

  constructor(connection: SessionConnection, sasl: Sasl, clock: Clock) {
    this.#connection = connection;
    this.#sasl = sasl;
    this.#clock = clock;
    connection.onClose(() => {
      this.#cancel();
      this.#ended.abort();
    });
  }

  async logIn(credentials: SaslCredentials): Promise<void> {
    let lifetimeMs = 0;
    const startedMs = this.#clock.monotonic();
    await this.#connection.exclusively(async (call) => {
      lifetimeMs = await logInOnce(call, { address: this.#connection.address, sasl: this.#sasl, credentials });
    });
    if (lifetimeMs <= 0 || !this.#connection.isOpen) return;
    const part = RENEW_FROM + RENEW_SPREAD * this.#sasl.random.next();
    const delayMs = Math.min(Math.max(lifetimeMs * part, RENEW_MIN_MS), RENEW_MAX_MS);
    this.#cancel = this.#clock.schedule(delayMs, () => {
      void this.#renew(startedMs + lifetimeMs * GIVE_UP_AT);
    });
  }

  /** Credentials first, while the connection works on: requests are held for the login only. */
  async #renew(giveUpMs: number): Promise<void> {
    try {
      await this.logIn(await this.#credentialsUntil(giveUpMs));
    } catch (error) {
      if (!(error instanceof KafkaError)) throw error;
      // Any other loss of the connection is told to those who use it.
      const failure = error instanceof ConnectionError ? error.failure : null;
      if (failure === 'authentication' || (failure === 'secret' && this.#connection.isOpen)) {
        this.#sasl.onTrouble(error);
      }
      // A failed login has ended the connection already; without credentials nothing has been asked yet. Then this ends it,
      // once what is in flight is answered. That it throws the same error again is no news: it is told already.
      if (this.#connection.isOpen) await this.#connection.exclusively(() => Promise.reject(error)).catch(() => {});
    }
  }

  async #credentialsUntil(giveUpMs: number): Promise<SaslCredentials> {
    const backoff = new Backoff(this.#sasl.random, CREDENTIALS_RETRY_MS);
    for (let isFirst = true; ; isFirst = false) {
      try {
        return await this.#sasl.credentials();
      } catch (error) {
        if (!(error instanceof SecretError)) throw error;
        const delayMs = backoff.next();
        if (this.#ended.signal.aborted || this.#clock.monotonic() + delayMs > giveUpMs) {
          throw atAddress(error, this.#connection.address);
        }
        if (isFirst) this.#sasl.onTrouble(atAddress(error, this.#connection.address));
        await sleep(this.#clock, delayMs, this.#ended.signal);
      }
    }
  }
}

/** The same error, with the broker for which the secret was needed. */
export function atAddress(error: SecretError, address: string): SecretError {
  return new SecretError(`${address}: ${error.message}`, { address, cause: error.cause });
}

/** One login. Resolves with the lifetime of the session in milliseconds, 0 when it has no end. */
async function logInOnce(
  call: Call,
  { address, sasl, credentials }: { address: string; sasl: Sasl; credentials: SaslCredentials },
): Promise<number> {
  let lifetimeMs = 0;
  let wasShown = false;
  const say = async (message: Buffer): Promise<Buffer> => {
    const answer = await call(saslAuthenticate, { authBytes: message });
    if (answer.errorCode !== 0) {
      throw new SaslError(refusalOf(answer.errorCode, withoutSecrets(answer.errorMessage ?? '', credentials)));
    }
    lifetimeMs = answer.sessionLifetimeMs;
    return answer.authBytes;
  };
  try {
    const { errorCode, mechanisms } = await call(saslHandshake, { mechanism: sasl.mechanism });
    if (errorCode !== 0) throw new SaslError(handshakeRefusal(errorCode, mechanisms));
    wasShown = true;
    await exchange(sasl, credentials, say);
    return lifetimeMs;
  } catch (error) {
    if (error instanceof SecretError) throw atAddress(error, address);
    if (!(error instanceof SaslError)) throw error;
    if (wasShown) sasl.refused();
    const who = 'token' in credentials ? 'our token' : `user "${credentials.username}"`;
    const message = `${address}: the login of ${who} by ${sasl.mechanism} failed: ${error.message}`;
    throw new LoginRefusedError(address, message, { wasShown });
  }
}

function handshakeRefusal(errorCode: number, mechanisms: readonly string[]): string {
  if (errorCode === ILLEGAL_STATE) return 'this listener takes no login (its protocol is not SASL_…)';
  if (errorCode !== UNSUPPORTED_MECHANISM) return refusalOf(errorCode, '');
  const offered = mechanisms.map((name) => printable(name, 30)).slice(0, 20);
  return `the broker offers ${offered.length === 0 ? 'no mechanism' : `only ${offered.join(', ')}`}`;
}

function refusalOf(errorCode: number, said: string): string {
  const { name, code } = errorOf(errorCode);
  return `the broker answered ${name} (${code})${said === '' ? '' : `: ${printable(said, REFUSAL_CHARACTERS_MAX)}`}`;
}

/** Brokers do not repeat passwords and tokens; should one do it, it ends here. */
function withoutSecrets(text: string, credentials: SaslCredentials): string {
  const secret = 'token' in credentials ? credentials.token : credentials.password;
  return secret === '' ? text : text.replaceAll(secret, '(hidden)');
}
