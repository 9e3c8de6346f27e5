/**
 * Who wraps data keys. The keyring below has its keys from a file or an environment variable; a key management service is
 * another implementation, in which the key never leaves the service.
 */
import { createCipheriv, createDecipheriv, randomBytes } from 'node:crypto';
import { AppError } from '#contract/errors.ts';
import type { Disk } from '#util/host.ts';

export interface KeyEncryption {
  /** Which key wraps what is wrapped now. */
  readonly currentId: string;
  /** With the current key. `context` is authenticated: what is wrapped for one place cannot be unwrapped for another. */
  wrap(dataKey: Uint8Array, context: string): Promise<Uint8Array>;
  /** Throws SECRET_UNAVAILABLE: there is no such key, or the wrapped one is not what it was. */
  unwrap(wrapped: Uint8Array, context: string, keyId: string): Promise<Uint8Array>;
}

interface Key {
  readonly id: string;
  readonly bytes: Buffer;
}

const KEY_BYTES = 32;
const KEY_LINE = /^([A-Za-z0-9._-]{1,64}):([A-Za-z0-9+/]{43}=)$/;

/** A line of a key file, with a new key: what `openssl rand` would give, and a name to tell it from the next one. */
export function newKeyLine(id: string): string {
  return `${id}:${randomBytes(KEY_BYTES).toString('base64')}`;
}

/**
 * Keys as `id:base64` of 32 bytes each, one to a line or separated by commas. The first one is current, the others open what
 * was wrapped before. Throws CONFIG_INVALID, without a word of the keys.
 */
export function parseKeyring(text: string, what: string): KeyEncryption {
  const lines = text
    .split(/[\n,]/)
    .map((line) => line.trim())
    .filter((line) => line !== '' && !line.startsWith('#'));
  const keys = lines.map((line, i): Key => {
    const [, id, base64] = KEY_LINE.exec(line) ?? [];
    if (id === undefined || base64 === undefined)
      throw invalid(what, `key ${i + 1} is not "id:" and 32 bytes in base64`);
    return { id, bytes: Buffer.from(base64, 'base64') };
  });
  const [current] = keys;
  if (current === undefined) throw invalid(what, 'it holds no key');
  const twice = keys.find(({ id }, i) => keys.findIndex((other) => other.id === id) !== i);
  if (twice) throw invalid(what, `two keys are called "${twice.id}"`);
  return createKeyring(current, keys);
}

/** From a file that only its owner may read. */
export function readKeyring(disk: Pick<Disk, 'readText' | 'look'>, path: string): KeyEncryption {
  const facts = disk.look(path);
  if (facts === null)
    throw new AppError('SECRET_UNAVAILABLE', `The key file ${path} is not there.`, {
      nextStep: 'Put it back. Without it nothing can be opened that was sealed with it.',
    });
  if ((facts.permissions & 0o077) !== 0)
    throw invalid(path, `others than its owner may read it (mode ${facts.permissions.toString(8)}): chmod 400`);
  return parseKeyring(disk.readText(path), path);
}

function createKeyring(current: Key, keys: readonly Key[]): KeyEncryption {
  return {
    currentId: current.id,
    wrap: (dataKey, context) => Promise.resolve(sealBytes(current.bytes, dataKey, `${current.id} ${context}`)),
    unwrap(wrapped, context, keyId) {
      const key = keys.find(({ id }) => id === keyId);
      if (!key) return Promise.reject(unavailable(`The key "${keyId}" is not among those that were given.`));
      const opened = openBytes(key.bytes, wrapped, `${keyId} ${context}`);
      return opened === null
        ? Promise.reject(unavailable(`What key "${keyId}" has wrapped was altered.`))
        : Promise.resolve(opened);
    },
  };
}

const NONCE_BYTES = 12;
const TAG_BYTES = 16;

/** AES-256-GCM: nonce, ciphertext, tag. A nonce is random: fewer than 2^32 are ever drawn for one key (NIST SP 800-38D 8.3). */
function sealBytes(key: Uint8Array, plain: Uint8Array, context: string): Buffer {
  const nonce = randomBytes(NONCE_BYTES);
  const cipher = createCipheriv('aes-256-gcm', key, nonce).setAAD(Buffer.from(context));
  return Buffer.concat([nonce, cipher.update(plain), cipher.final(), cipher.getAuthTag()]);
}

/** Null: the key or the context is another, or a bit was changed. */
function openBytes(key: Uint8Array, sealed: Uint8Array, context: string): Buffer | null {
  if (sealed.length < NONCE_BYTES + TAG_BYTES) return null;
  const decipher = createDecipheriv('aes-256-gcm', key, sealed.subarray(0, NONCE_BYTES), { authTagLength: TAG_BYTES })
    .setAAD(Buffer.from(context))
    .setAuthTag(sealed.subarray(-TAG_BYTES));
  try {
    return Buffer.concat([decipher.update(sealed.subarray(NONCE_BYTES, -TAG_BYTES)), decipher.final()]);
  } catch {
    return null; // the tag does not fit: that is what it is for
  }
}

function invalid(what: string, problem: string): AppError {
  return new AppError('CONFIG_INVALID', `The keys of ${what} cannot be used: ${problem}.`);
}

function unavailable(message: string): AppError {
  return new AppError('SECRET_UNAVAILABLE', message, {
    nextStep: 'Give Lockstep the key that was used, beside the current one, or set the secret again.',
  });
}
