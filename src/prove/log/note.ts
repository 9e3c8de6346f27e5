/**
 * Signed notes (c2sp.org/signed-note) with Ed25519, signature type 0x01, and the texts of their keys. Other types are
 * signatures of unknown keys here, and ignored as the specification asks.
 */
import { createPrivateKey, createPublicKey, hash, sign, verify, type KeyObject } from 'node:crypto';
import { FormatError, fromBase64 } from './format-error.ts';

const ED25519 = 0x01;
const KEY_BYTES = 32;
const KEY_ID_BYTES = 4;
/** RFC 8410: what stands before the 32 bytes of a public key as SPKI, and of a seed as PKCS #8, in DER. */
const SPKI_PREFIX = Buffer.from('302a300506032b6570032100', 'hex');
const PKCS8_PREFIX = Buffer.from('302e020100300506032b657004220420', 'hex');
const SIGNATURE_LINE = '\u2014 ';
/** The specification asks for 16 at least. */
const SIGNATURES_MAX = 64;
/** Controls other than the newline, which no note may hold. */
const CONTROL = /[\0-\t\v-\x1f]/;
const KEY_NAME = /^[^\p{White_Space}+]+$/u;
const PRIVATE = 'PRIVATE+KEY+';

export interface VerifierKey {
  readonly name: string;
  /** Eight hexadecimal digits. */
  readonly id: string;
  readonly publicKey: KeyObject;
  /** `name+id+base64`, as it is handed around. */
  readonly text: string;
}

export interface SignerKey {
  readonly verifier: VerifierKey;
  readonly privateKey: KeyObject;
}

export interface Note {
  /** Ends with a newline. */
  readonly text: string;
  readonly signatures: readonly { readonly name: string; readonly id: string; readonly signature: Buffer }[];
}

function verifierKeyOf(name: string, publicKey: Uint8Array): VerifierKey {
  if (!KEY_NAME.test(name)) throw new FormatError('the name of a key is empty, or holds a space or "+"');
  const typed = Buffer.concat([Uint8Array.of(ED25519), publicKey]);
  const id = hash('sha256', Buffer.concat([Buffer.from(`${name}\n`), typed]), 'buffer').toString(
    'hex',
    0,
    KEY_ID_BYTES,
  );
  return {
    name,
    id,
    publicKey: createPublicKey({ key: Buffer.concat([SPKI_PREFIX, publicKey]), format: 'der', type: 'spki' }),
    text: `${name}+${id}+${typed.toString('base64')}`,
  };
}

/** Throws FormatError. */
export function parseVerifierKey(text: string): VerifierKey {
  const { name, id, key } = partsOf(text, 'a verifier key');
  const verifier = verifierKeyOf(name, key);
  if (verifier.id !== id) throw new FormatError('the id of the verifier key is not that of its name and key');
  return verifier;
}

/** From 32 random bytes. */
export function signerKeyOf(name: string, seed: Uint8Array): SignerKey {
  const privateKey = createPrivateKey({ key: Buffer.concat([PKCS8_PREFIX, seed]), format: 'der', type: 'pkcs8' });
  const publicKey = createPublicKey(privateKey).export({ format: 'der', type: 'spki' }).subarray(SPKI_PREFIX.length);
  return { verifier: verifierKeyOf(name, publicKey), privateKey };
}

/** `PRIVATE+KEY+name+id+base64`, as golang.org/x/mod/sumdb/note writes it. Throws FormatError, which does not repeat the text. */
export function parseSignerKey(text: string): SignerKey {
  if (!text.startsWith(PRIVATE)) throw new FormatError(`a signing key begins with ${PRIVATE}`);
  const { name, id, key } = partsOf(text.slice(PRIVATE.length), 'a signing key');
  const signer = signerKeyOf(name, key);
  if (signer.verifier.id !== id) throw new FormatError('the id of the signing key is not that of its name and key');
  return signer;
}

/** The text of `parseSignerKey`: a secret. */
export function formatSignerKey(name: string, seed: Uint8Array): string {
  const { id } = signerKeyOf(name, seed).verifier;
  return `${PRIVATE}${name}+${id}+${Buffer.concat([Uint8Array.of(ED25519), seed]).toString('base64')}`;
}

/** The base64 may hold "+" too. */
function partsOf(text: string, what: string): { name: string; id: string; key: Buffer } {
  const [, name = '', id = '', base64 = ''] = /^([^+]*)\+([0-9a-f]{8})\+(.*)$/.exec(text) ?? [];
  const typed = fromBase64(base64, what);
  if (typed.length !== 1 + KEY_BYTES || typed[0] !== ED25519)
    throw new FormatError(`${what} is not name+id+base64 of an Ed25519 key`);
  return { name, id, key: typed.subarray(1) };
}

/** `text` ends with a newline. */
export function signNote(text: string, keys: readonly SignerKey[]): string {
  const lines = keys.map(({ verifier, privateKey }) => {
    const bytes = [Buffer.from(verifier.id, 'hex'), sign(null, Buffer.from(text), privateKey)];
    return `${SIGNATURE_LINE}${verifier.name} ${Buffer.concat(bytes).toString('base64')}\n`;
  });
  return `${text}\n${lines.join('')}`;
}

/** Throws FormatError. Says nothing of the signatures. */
export function parseNote(note: string): Note {
  if (CONTROL.test(note) || !note.isWellFormed()) throw new FormatError('a note holds a control character');
  const end = note.lastIndexOf('\n\n');
  if (end < 0 || !note.endsWith('\n')) throw new FormatError('a note is text, an empty line, and lines of signatures');
  const lines = note.slice(end + 2, -1).split('\n');
  if (lines.length > SIGNATURES_MAX) throw new FormatError(`a note has more than ${SIGNATURES_MAX} signatures`);
  return { text: note.slice(0, end + 1), signatures: lines.map(parseSignature) };
}

function parseSignature(line: string): Note['signatures'][number] {
  const [name = '', base64 = '', ...rest] = line.slice(SIGNATURE_LINE.length).split(' ');
  if (!line.startsWith(SIGNATURE_LINE) || !KEY_NAME.test(name) || rest.length > 0)
    throw new FormatError('a line of a note is not a signature');
  const bytes = fromBase64(base64, 'a signature');
  if (bytes.length <= KEY_ID_BYTES) throw new FormatError('a signature is too short');
  return { name, id: bytes.toString('hex', 0, KEY_ID_BYTES), signature: bytes.subarray(KEY_ID_BYTES) };
}

/**
 * Those of `keys` that have signed the note. Throws FormatError where a signature that names one of them is wrong: then
 * nothing in the note may be believed.
 */
export function signersOf({ text, signatures }: Note, keys: readonly VerifierKey[]): VerifierKey[] {
  const signed = new Set<VerifierKey>();
  for (const { name, id, signature } of signatures) {
    const key = keys.find((each) => each.name === name && each.id === id);
    if (!key) continue;
    if (!verify(null, Buffer.from(text), key.publicKey, signature))
      throw new FormatError(`the signature of ${name} is wrong`);
    signed.add(key);
  }
  return [...signed];
}

/** Of any text, with one key, as base64. */
export function signText(text: string, { privateKey }: SignerKey): string {
  return sign(null, Buffer.from(text), privateKey).toString('base64');
}

/** Throws FormatError where the signature is not base64. */
export function isSignedText(text: string, signature: string, { publicKey }: VerifierKey): boolean {
  return verify(null, Buffer.from(text), publicKey, fromBase64(signature, 'a signature'));
}
