/** Signed tree heads (c2sp.org/tlog-checkpoint). */
import { FormatError, fromBase64 } from './format-error.ts';
import { HASH_BYTES } from './merkle.ts';
import { parseNote, signNote, signersOf, type SignerKey, type VerifierKey } from './note.ts';

export interface Checkpoint {
  readonly origin: string;
  readonly size: number;
  readonly root: Buffer;
}

export interface SignedCheckpoint extends Checkpoint {
  /** Those of the known keys that have signed it. */
  readonly signers: readonly VerifierKey[];
  /** The whole note. */
  readonly note: string;
}

/** The name of the first key is the origin. */
export function signCheckpoint(
  { size, root }: Omit<Checkpoint, 'origin'>,
  keys: readonly [SignerKey, ...SignerKey[]],
): string {
  return signNote(`${keys[0].verifier.name}\n${size}\n${root.toString('base64')}\n`, keys);
}

/**
 * Throws FormatError where it is not one, or where a signature of a known key is wrong. Whether anybody that is known has
 * signed it is for the caller to see.
 */
export function parseCheckpoint(note: string, keys: readonly VerifierKey[]): SignedCheckpoint {
  const parsed = parseNote(note);
  const [origin = '', size = '', root = '', ...extensions] = parsed.text.slice(0, -1).split('\n');
  if (origin === '' || extensions.includes('')) throw new FormatError('a line of the checkpoint is empty');
  if (!/^(0|[1-9]\d{0,14})$/.test(size)) throw new FormatError('the size in the checkpoint is no number');
  const bytes = fromBase64(root, 'the root in the checkpoint');
  if (bytes.length !== HASH_BYTES) throw new FormatError('the root in the checkpoint is no SHA-256');
  return { origin, size: Number(size), root: bytes, signers: signersOf(parsed, keys), note };
}

/** Lines without a signature, an empty line, lines with signatures. */
const NOTES = /(?:(?!\u2014 )[^\n]+\n)+\n(?:\u2014 [^\n]+\n)+/g;

/** The notes in a file that holds several, one behind the other, as a reader of a Kafka topic prints them. */
export function splitNotes(text: string): string[] {
  return `${text}\n`.match(NOTES) ?? [];
}
