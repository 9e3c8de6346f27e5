/**
 * AES-256-GCM with a key of its own for each value, which is kept wrapped beside it. `place` (table, row, version) is
 * authenticated with the value and with the key: what is moved elsewhere, or put back after it was replaced, does not open.
 */
import { createCipheriv, createDecipheriv, randomBytes } from 'node:crypto';
import { AppError } from '#contract/errors.ts';
import type { KeyEncryption } from './key-encryption.ts';

/** All but `keyId` in base64. */
export interface Envelope {
  readonly keyId: string;
  readonly wrappedKey: string;
  readonly nonce: string;
  readonly ciphertext: string;
}

const TAG_BYTES = 16;

export async function seal(plain: Uint8Array, place: string, keys: KeyEncryption): Promise<Envelope> {
  const dataKey = randomBytes(32);
  const nonce = randomBytes(12);
  const cipher = createCipheriv('aes-256-gcm', dataKey, nonce).setAAD(Buffer.from(place));
  const ciphertext = Buffer.concat([cipher.update(plain), cipher.final(), cipher.getAuthTag()]);
  const wrapped = await keys.wrap(dataKey, place);
  dataKey.fill(0);
  return {
    keyId: keys.currentId,
    wrappedKey: toBase64(wrapped),
    nonce: toBase64(nonce),
    ciphertext: toBase64(ciphertext),
  };
}

/** Throws SECRET_UNAVAILABLE. */
export async function open(
  { keyId, wrappedKey, nonce, ciphertext }: Envelope,
  place: string,
  keys: KeyEncryption,
): Promise<Buffer> {
  const dataKey = await keys.unwrap(fromBase64(wrappedKey), place, keyId);
  const sealed = fromBase64(ciphertext);
  try {
    const decipher = createDecipheriv('aes-256-gcm', dataKey, fromBase64(nonce), { authTagLength: TAG_BYTES })
      .setAAD(Buffer.from(place))
      .setAuthTag(sealed.subarray(-TAG_BYTES));
    return Buffer.concat([decipher.update(sealed.subarray(0, -TAG_BYTES)), decipher.final()]);
  } catch (cause) {
    throw new AppError('SECRET_UNAVAILABLE', `The sealed value of "${place}" was altered, or belongs elsewhere.`, {
      cause,
      nextStep: 'Set the secret again, and find out who wrote to the database.',
    });
  } finally {
    dataKey.fill(0);
  }
}

/** The same value, its key wrapped by the current one. */
export async function rewrap(envelope: Envelope, place: string, keys: KeyEncryption): Promise<Envelope> {
  const dataKey = await keys.unwrap(fromBase64(envelope.wrappedKey), place, envelope.keyId);
  const wrapped = await keys.wrap(dataKey, place);
  dataKey.fill(0);
  return { ...envelope, keyId: keys.currentId, wrappedKey: toBase64(wrapped) };
}

function toBase64(bytes: Uint8Array): string {
  return Buffer.from(bytes).toString('base64');
}

function fromBase64(text: string): Buffer {
  return Buffer.from(text, 'base64');
}
