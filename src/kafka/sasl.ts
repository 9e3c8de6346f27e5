/** One login by SASL: what each mechanism says and expects to hear, over whatever carries the messages. */
import { SecretError } from './errors.ts';
import type { Sasl, SaslCredentials } from './security.ts';
import { SaslError, scram } from './sasl-scram.ts';

type Say = (message: Buffer) => Promise<Buffer>;

/**
 * Speaks the client's side of `sasl.mechanism`. `say` sends one message and resolves with the server's; it throws when
 * the server refuses, and what it throws goes through. Throws SaslError when the server breaks the exchange, and
 * SecretError when the credentials cannot be said in this mechanism.
 */
export async function exchange(sasl: Sasl, credentials: SaslCredentials, say: Say): Promise<void> {
  if ('token' in credentials) return oauthBearer(credentials, say);
  const { username, password } = credentials;
  switch (sasl.mechanism) {
    case 'PLAIN':
      return plain(username, password, say);
    case 'SCRAM-SHA-256':
      return scram({ hash: 'sha256', username, password, nonce: sasl.nonce(), say });
    case 'SCRAM-SHA-512':
      return scram({ hash: 'sha512', username, password, nonce: sasl.nonce(), say });
    case 'OAUTHBEARER':
      throw new SecretError('OAUTHBEARER needs a token');
  }
}

/** RFC 4616: nothing stands in front of the first NUL, since we act for nobody else. */
async function plain(username: string, password: string, say: Say): Promise<void> {
  if (`${username}${password}`.includes('\0')) throw new SecretError('user name and password may not hold a NUL');
  await say(Buffer.from(`\0${username}\0${password}`));
}

/** RFC 6750 2.1: what a token is made of. A %x01 in it would end it in the middle. */
const TOKEN = /^[A-Za-z0-9\-._~+/]+=*$/;
/** KIP-342. */
const EXTENSION_NAME = /^[A-Za-z]+$/;
const EXTENSION_VALUE = /^[\x20-\x7e\t\r\n]+$/;
const REASON_CHARACTERS_MAX = 200;

/**
 * RFC 7628. A token that is not accepted is answered with a JSON text instead of nothing; the server fails the login only
 * after it has heard %x01 (3.2.3), and with it says no more than that.
 */
async function oauthBearer(
  { token, extensions }: Extract<SaslCredentials, { token: string }>,
  say: Say,
): Promise<void> {
  if (!TOKEN.test(token)) throw new SecretError('the token has characters that no bearer token has (RFC 6750)');
  const pairs = Object.entries(extensions).map(([name, value]) => {
    if (!EXTENSION_NAME.test(name) || name === 'auth' || !EXTENSION_VALUE.test(value))
      throw new SecretError(`the SASL extension "${name}" is none that can be sent (KIP-342)`);
    return `${name}=${value}\u0001`;
  });
  const answer = await say(Buffer.from(`n,,\u0001auth=Bearer ${token}\u0001${pairs.join('')}\u0001`));
  if (answer.length === 0) return;
  const reason = reasonOf(answer);
  try {
    await say(Buffer.from('\u0001'));
  } catch (error) {
    throw new SaslError(`it refused the token${reason}`, { cause: error });
  }
  throw new SaslError(`it refused the token${reason}, and then did not end the login`);
}

/** `{"status":"invalid_token","scope":"…"}`; nothing of it is believed to be short or printable. */
function reasonOf(answer: Buffer): string {
  try {
    const said: unknown = JSON.parse(answer.toString('utf8'));
    const status = typeof said === 'object' && said !== null && 'status' in said ? said.status : null;
    return typeof status === 'string' ? `: ${printable(status, REASON_CHARACTERS_MAX)}` : '';
  } catch {
    return '';
  }
}

/** `text` on one line, cut to a length that a message can carry. */
export function printable(text: string, charactersMax: number): string {
  const line = text.replaceAll(/[\p{Cc}\p{Cf}\p{Cs}]+/gu, ' ').trim();
  return line.length <= charactersMax ? line : `${line.slice(0, charactersMax)}…`;
}
