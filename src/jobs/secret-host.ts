/** What secrets are read from, and how one is read. */
import type { Clock } from '#util/clock.ts';
import type { Web } from '#util/host.ts';
import type { Random } from '#util/random.ts';
import type { SecretRef } from '#contract/cluster-security.ts';
import { SecretError } from '#kafka/errors.ts';

export interface SecretHost {
  readonly disk: { readText(path: string): string };
  readonly environment: Readonly<Record<string, string | undefined>>;
  readonly web: Pick<Web, 'postForm'>;
  readonly clock: Clock;
  readonly random: Random;
  readonly nonce: () => string;
}

/** Larger than any secret, certificate bundle or token; what is larger is the wrong file. */
const SECRET_CHARACTERS_MAX = 4 * 1024 * 1024;

/** The secret without the line break that editors and `echo` leave behind it. Throws SecretError, which names the place. */
export function readSecret(ref: SecretRef, what: string, host: Pick<SecretHost, 'disk' | 'environment'>): string {
  const value = 'env' in ref ? host.environment[ref.env] : readFile(ref.file, what, host);
  if (value === undefined) throw new SecretError(`"${what}": ${placeOf(ref)} is not set`);
  const text = value.replace(/\r?\n$/, '');
  if (text === '') throw new SecretError(`"${what}": ${placeOf(ref)} is empty`);
  if (text.length > SECRET_CHARACTERS_MAX) throw new SecretError(`"${what}": ${placeOf(ref)} is too large`);
  return text;
}

function readFile(path: string, what: string, host: Pick<SecretHost, 'disk'>): string {
  try {
    return host.disk.readText(path);
  } catch (error) {
    const { code } = error as { code?: unknown };
    const reason = code === 'ENOENT' ? 'is not there' : `cannot be read (${String(code)})`;
    throw new SecretError(`"${what}": ${placeOf({ file: path })} ${reason}`);
  }
}

/** A secret that is PEM. Node ignores authorities in which it finds no certificate: whoever shows one would then seem to be of an unknown one. */
export function readPem(ref: SecretRef, label: string, options: { what: string; host: SecretHost }): string {
  const text = readSecret(ref, options.what, options.host);
  if (new RegExp(`-----BEGIN [A-Z ]*${label}-----`).test(text)) return text;
  throw new SecretError(`"${options.what}": ${placeOf(ref)} holds no ${label} in PEM`);
}

/** For messages. */
function placeOf(ref: SecretRef): string {
  return 'env' in ref ? `environment variable ${ref.env}` : `file ${ref.file}`;
}
