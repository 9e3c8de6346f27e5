/**
 * Keys that a server cannot do without. Where nothing depends on one yet it is made, in a file that its owner alone may read;
 * where something does, a new one in its place would only hide that it is lost.
 */
import { AppError } from '#contract/errors.ts';
import { formatSignerKey, parseSignerKey, type SignerKey } from '#prove/log/note.ts';
import { newKeyLine, parseKeyring, readKeyring, type KeyEncryption } from '#store/key-encryption.ts';
import type { Host } from './host.ts';

const SEED_BYTES = 32;

interface KeyFile {
  readonly path: string;
  /** Nothing depends on it yet. */
  readonly isNew: boolean;
}

/** Of stored secrets. `text`: where it stands elsewhere than in a file. Throws CONFIG_INVALID, SECRET_UNAVAILABLE. */
export function openKeyring(
  host: Pick<Host, 'disk'>,
  { path, isNew, text }: KeyFile & { readonly text: string | null },
): KeyEncryption {
  if (text !== null) return parseKeyring(text, 'secrets.key');
  if (isNew && host.disk.look(path) === null) create(host, path, `${newKeyLine('first')}\n`);
  return readKeyring(host.disk, path);
}

/** Of the audit log; `name` is the log's from its first entry on. Throws CONFIG_INVALID, SECRET_UNAVAILABLE. */
export function openSigner(
  host: Pick<Host, 'disk' | 'entropy'>,
  { path, isNew, name }: KeyFile & { readonly name: string },
): SignerKey {
  const facts = host.disk.look(path);
  if (facts === null && isNew) create(host, path, `${formatSignerKey(name, host.entropy.bytes(SEED_BYTES))}\n`);
  else if (facts === null)
    throw new AppError('SECRET_UNAVAILABLE', `The key of the audit log, ${path}, is not there.`, {
      nextStep: 'Put it back. Another key cannot go on with this log.',
    });
  else if ((facts.permissions & 0o077) !== 0)
    throw invalid(path, `others than its owner may read it (mode ${facts.permissions.toString(8)}): chmod 400`);
  try {
    return parseSignerKey(host.disk.readText(path).trim());
  } catch (error) {
    throw invalid(path, error instanceof Error ? error.message : 'it holds no key');
  }
}

function create({ disk }: Pick<Host, 'disk'>, path: string, text: string): void {
  try {
    disk.createSecret(path, text);
    disk.sync(path);
  } catch (cause) {
    throw new AppError('SECRET_UNAVAILABLE', `The key file ${path} cannot be made.`, {
      cause,
      nextStep: 'Name a place where the server may write, or put a key there yourself.',
    });
  }
}

function invalid(path: string, problem: string): AppError {
  return new AppError('CONFIG_INVALID', `The key in ${path} cannot be used: ${problem}.`);
}
