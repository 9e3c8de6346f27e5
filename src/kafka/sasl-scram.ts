/**
 * SCRAM (RFC 5802, with SHA-256: RFC 7677) as Kafka speaks it: no channel binding, and user name and password as UTF-8
 * without SASLprep (ScramFormatter.normalize). A server that prepares them and one that does not would disagree about
 * what SASLprep changes, so that is refused here rather than as a wrong password there.
 */
import { createHash, createHmac, pbkdf2, timingSafeEqual } from 'node:crypto';
import { promisify } from 'node:util';
import { SecretError } from './errors.ts';

/** RFC 7677 4 asks for 4096 at least, and so do Kafka's brokers (ScramMechanism). */
const ITERATIONS_MIN = 4_096;
/** Half a second of one core: a server may not ask for more. Kafka's brokers allow 16,384 (ScramMechanism). */
const ITERATIONS_MAX = 1_000_000;
const NO_CHANNEL_BINDING = 'n,,';

/** The server broke the exchange, or did not prove that it knows the password. */
export class SaslError extends Error {
  override name = 'SaslError';
}

export interface ScramOptions {
  readonly hash: 'sha256' | 'sha512';
  readonly username: string;
  readonly password: string;
  readonly nonce: string;
  /** Sends a message to the server and resolves with its answer. */
  readonly say: (message: Buffer) => Promise<Buffer>;
}

/** Resolves when each side has proved to the other that it knows the password. Throws SaslError, SecretError or what `say` throws. */
export async function scram({ hash, username, password, nonce, say }: ScramOptions): Promise<void> {
  requirePrepared(username, 'user name');
  requirePrepared(password, 'password');
  const clientFirst = `n=${username.replaceAll('=', '=3D').replaceAll(',', '=2C')},r=${nonce}`;
  const serverFirst = (await say(Buffer.from(NO_CHANNEL_BINDING + clientFirst))).toString('utf8');
  const challenge = readServerFirst(serverFirst, nonce);

  const withoutProof = `c=${Buffer.from(NO_CHANNEL_BINDING).toString('base64')},r=${challenge.nonce}`;
  const authMessage = `${clientFirst},${serverFirst},${withoutProof}`;
  const hmac = (key: Buffer, text: string): Buffer => createHmac(hash, key).update(text).digest();
  const keyBytes = hash === 'sha256' ? 32 : 64;
  const salted = await promisify(pbkdf2)(password, challenge.salt, challenge.iterations, keyBytes, hash);
  const clientKey = hmac(salted, 'Client Key');
  const signature = hmac(createHash(hash).update(clientKey).digest(), authMessage);
  const proof = clientKey.map((byte, index) => byte ^ (signature[index] ?? 0));

  const serverFinal = (await say(Buffer.from(`${withoutProof},p=${Buffer.from(proof).toString('base64')}`))).toString();
  const refusal = /^e=([^,]*)/.exec(serverFinal);
  if (refusal) throw new SaslError(`it answered ${JSON.stringify(refusal[1])}`);
  const theirs = Buffer.from(/^v=([A-Za-z0-9+/]+=*)(?:,|$)/.exec(serverFinal)?.[1] ?? '', 'base64');
  const ours = hmac(hmac(salted, 'Server Key'), authMessage);
  if (theirs.length !== ours.length || !timingSafeEqual(theirs, ours)) {
    throw new SaslError('it did not prove that it knows the password: its signature is wrong');
  }
}

/** `r=<nonce>,s=<salt>,i=<iterations>`; extensions may follow, a mandatory one (`m=`) may not stand before it. */
function readServerFirst(message: string, ourNonce: string): { nonce: string; salt: Buffer; iterations: number } {
  const match = /^r=([!-+\--~]+),s=([A-Za-z0-9+/]+={0,2}),i=([1-9]\d{0,8})(?:,|$)/.exec(message);
  if (!match) throw new SaslError('its first SCRAM message cannot be read');
  const [, nonce = '', salt = '', iterations = ''] = match;
  if (!nonce.startsWith(ourNonce) || nonce === ourNonce) throw new SaslError('its nonce does not continue ours');
  const count = Number(iterations);
  if (count < ITERATIONS_MIN || count > ITERATIONS_MAX) {
    throw new SaslError(`it asks for ${count} iterations; ${ITERATIONS_MIN} to ${ITERATIONS_MAX} are accepted`);
  }
  return { nonce, salt: Buffer.from(salt, 'base64'), iterations: count };
}

/** What SASLprep (RFC 4013) maps to a space or to nothing, or prohibits; what it changes beyond that, NFKC shows. */
const UNPREPARED = new RegExp(
  [
    String.raw`[\p{Cc}\p{Cs}\p{Co}\p{Cn}\p{Cf}\p{Zl}\p{Zp}]`, // control, format, private, unassigned, separators
    String.raw`(?! )\p{Zs}`, // spaces that are none
    String.raw`\u034F|[\u180B-\u180D]|[\uFE00-\uFE0F]`, // joiners and selectors: mapped to nothing
    String.raw`[\u2FF0-\u2FFB]|[\uFFFC\uFFFD]|\u0340|\u0341`, // prohibited marks
  ].join('|'),
  'u',
);

function requirePrepared(text: string, what: string): void {
  if (!UNPREPARED.test(text) && text.normalize('NFKC') === text) return;
  throw new SecretError(
    `the ${what} has characters that SASLprep (RFC 4013) changes or forbids, such as a no-break space, a ligature or a control character; brokers disagree about them`,
  );
}
