/** Proofs that need nothing but a key to be verified (c2sp.org/tlog-proof). The entry itself is the extra data. */
import { auditEntrySchema, type AuditEntry } from '#contract/audit.ts';
import type { EntryVerification } from '#contract/log-verification.ts';
import { canonicalJson } from '#util/canonical-json.ts';
import { parseCheckpoint } from './checkpoint.ts';
import { FormatError, fromBase64 } from './format-error.ts';
import { HASH_BYTES, leafHash, rootOfInclusion } from './merkle.ts';
import type { VerifierKey } from './note.ts';

const MAGIC = 'c2sp.org/tlog-proof@v1';
/** Of a tree of as many entries as a number can count. */
const PATH_MAX = 64;

export interface TlogProof {
  /** Null where there is none. */
  readonly extra: Buffer | null;
  readonly index: number;
  readonly path: readonly Buffer[];
  readonly checkpoint: string;
}

export function formatProof({ extra, index, path, checkpoint }: TlogProof): string {
  const lines = [
    MAGIC,
    ...(extra === null ? [] : [`extra ${extra.toString('base64')}`]),
    `index ${index}`,
    ...path.map((sibling) => sibling.toString('base64')),
  ];
  return `${lines.join('\n')}\n\n${checkpoint}`;
}

/** Throws FormatError. */
export function parseProof(text: string): TlogProof {
  const end = text.indexOf('\n\n');
  if (end < 0) throw new FormatError('the proof has no checkpoint');
  const [magic, ...lines] = text.slice(0, end).split('\n');
  if (magic !== MAGIC) throw new FormatError(`the proof does not begin with ${MAGIC}`);
  const extra = lines[0]?.startsWith('extra ') ? fromBase64(lines[0].slice('extra '.length), 'the extra data') : null;
  const [indexLine = '', ...path] = extra === null ? lines : lines.slice(1);
  const index = /^index (0|[1-9]\d{0,14})$/.exec(indexLine)?.[1];
  if (index === undefined) throw new FormatError('the proof has no index');
  if (path.length > PATH_MAX) throw new FormatError('the proof has too many hashes');
  const hashes = path.map((line) => fromBase64(line, 'a hash of the proof'));
  if (hashes.some(({ length }) => length !== HASH_BYTES)) throw new FormatError('a hash of the proof is no SHA-256');
  return { extra, index: Number(index), path: hashes, checkpoint: text.slice(end + 2) };
}

/** Whether the proof shows that its entry is in the log of `key`. Throws nothing: what is wrong is the answer. */
export function verifyProof(text: string, keys: readonly VerifierKey[]): EntryVerification {
  let known: Omit<EntryVerification, 'verdict' | 'problem'> = {
    origin: null,
    index: 0,
    size: null,
    signedBy: null,
    entry: null,
  };
  try {
    const { extra, index, path, checkpoint } = parseProof(text);
    known = { ...known, index };
    if (extra === null) throw new FormatError('the proof holds no entry');
    const { origin, size, root, signers } = parseCheckpoint(checkpoint, keys);
    const signer = signers.find(({ name }) => name === origin);
    known = { ...known, origin, size, signedBy: signer?.text ?? null };
    if (!signer) throw new FormatError('the checkpoint is not signed by the key');
    if (!rootOfInclusion(leafHash(extra), index, size, path)?.equals(root))
      throw new FormatError('the path does not lead from the entry to the root of the checkpoint');
    known = { ...known, entry: entryOf(extra, index) };
    return { ...known, verdict: 'verified', problem: null };
  } catch (error) {
    if (error instanceof FormatError) return { ...known, verdict: 'tampered', problem: error.message };
    throw error;
  }
}

/** Throws FormatError for what this version would not have written at that place. */
function entryOf(bytes: Buffer, index: number): AuditEntry {
  const text = bytes.toString('utf8');
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch {
    throw new FormatError('the entry is not JSON');
  }
  const parsed = auditEntrySchema.safeParse(value);
  if (!parsed.success) throw new FormatError('the entry is none of an audit log');
  if (canonicalJson(parsed.data) !== text) throw new FormatError('the entry is not canonical JSON');
  if (parsed.data.seq !== index) throw new FormatError('the entry says another index than the proof');
  return parsed.data;
}
