/**
 * Data keys that the transit engine of HashiCorp Vault (1.13 or newer) or OpenBao wraps: the key that wraps them never leaves it.
 * `associated_data` ties what is wrapped to its place, which a key of an AEAD type checks (aes256-gcm96, the default).
 */
import { AppError } from '#contract/errors.ts';
import type { KeyEncryption } from '#store/key-encryption.ts';
import type { WebAnswer, WebClient } from '#util/host.ts';

export interface TransitOptions {
  /** `https://…`; plain HTTP only to this machine. */
  readonly address: string;
  readonly mount: string;
  /** Its name there. */
  readonly key: string;
  /** Read for each request: an agent keeps it fresh. Throws SECRET_UNAVAILABLE. */
  readonly token: () => string;
  readonly ca: () => string | null;
  readonly web: Pick<WebClient, 'send'>;
  /** Opens what was wrapped before the transit engine was used; null: nothing was. */
  readonly others: KeyEncryption | null;
}

export function createTransitKeys(options: TransitOptions): KeyEncryption {
  const { address, mount, key, others } = options;
  const currentId = `transit:${mount}/${key}`;
  const ask = async (action: 'encrypt' | 'decrypt', body: object, field: string): Promise<string> => {
    const answer = await send(options, `${address.replace(/\/$/, '')}/v1/${mount}/${action}/${key}`, body);
    if (answer.status !== 200) throw refused(currentId, action, answer);
    const value = fieldOf(answer.text, field);
    if (value === null) throw unavailable(`${currentId} answered ${action} with something else than a ${field}.`);
    return value;
  };
  return {
    currentId,
    async wrap(dataKey, context) {
      const body = { plaintext: base64(dataKey), associated_data: base64(Buffer.from(context)) };
      return Buffer.from(await ask('encrypt', body, 'ciphertext'));
    },
    async unwrap(wrapped, context, keyId) {
      if (keyId === currentId) {
        const ciphertext = Buffer.from(wrapped).toString();
        const body = { ciphertext, associated_data: base64(Buffer.from(context)) };
        return Buffer.from(await ask('decrypt', body, 'plaintext'), 'base64');
      }
      if (others) return others.unwrap(wrapped, context, keyId);
      throw unavailable(`What the key "${keyId}" has wrapped is not for ${currentId}.`);
    },
  };
}

async function send(options: TransitOptions, url: string, body: object): Promise<WebAnswer> {
  const { web, token, ca } = options;
  try {
    return await web.send({
      url,
      method: 'POST',
      headers: { 'x-vault-token': token(), 'x-vault-request': 'true', 'content-type': 'application/json' },
      body: JSON.stringify(body),
      ca: ca(),
      signal: new AbortController().signal, // `send` ends by itself
    });
  } catch (cause) {
    if (cause instanceof AppError) throw cause;
    throw unavailable(`${new URL(url).host}, which wraps the keys of stored secrets, does not answer.`, cause);
  }
}

/** What it says of a request that it refuses may quote the request: only the status is told. */
function refused(keyId: string, action: string, { status }: WebAnswer): AppError {
  if (action === 'decrypt' && status === 400) return unavailable(`What ${keyId} has wrapped was altered.`);
  const why = status === 403 ? 'the token may not' : `status ${status}`;
  return unavailable(`${keyId} does not ${action}: ${why}.`);
}

function fieldOf(text: string, name: string): string | null {
  try {
    const { data } = JSON.parse(text) as { data?: Record<string, unknown> };
    const value = data?.[name];
    return typeof value === 'string' ? value : null;
  } catch {
    return null; // a proxy's page, say
  }
}

function base64(bytes: Uint8Array): string {
  return Buffer.from(bytes).toString('base64');
}

function unavailable(message: string, cause?: unknown): AppError {
  return new AppError('SECRET_UNAVAILABLE', message, {
    ...(cause === undefined ? {} : { cause }),
    nextStep: 'Look at secrets.transit.* and at what Vault says of them: stored secrets are opened when it answers.',
  });
}
