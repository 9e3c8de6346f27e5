/**
 * Entries to be handed to somebody who has neither the log nor Lockstep: a zip file.
 *
 *   report.json           what was asked for, and how many entries that are
 *   checkpoint            under which all of them are proven
 *   proofs/SEQ.tlog-proof each entry with its proof
 *   entries.csv           the same entries as a table, for people
 */
import { z } from 'zod';
import type { AuditEntry } from '#contract/audit.ts';
import type { BundleVerification } from '#contract/log-verification.ts';
import { readZip, ZipError, ZipWriter } from '#util/zip.ts';
import { browseForward, type LogFilter, type LogPage } from './browse.ts';
import { parseCheckpoint, type SignedCheckpoint } from './checkpoint.ts';
import { FormatError } from './format-error.ts';
import { csvHeader, csvOf } from './log-csv.ts';
import type { LogReader } from './log-reader.ts';
import type { VerifierKey } from './note.ts';
import { parseProof, verifyProof } from './tlog-proof.ts';

/** What a verifier unpacks at most. */
const BUNDLE_BYTES_MAX = 1024 * 1024 * 1024;
/** Of a bundle that is made while people wait, in the memory of a server. */
const ENTRIES_MAX = 10_000;
/** Some milliseconds each. */
const ENTRIES_A_TURN = 50;
const SCANNED_A_TURN = 1_000;
const PROBLEMS_MAX = 20;

const reportSchema = z.strictObject({
  v: z.literal(1),
  origin: z.string(),
  size: z.number().int().nonnegative(),
  entries: z.number().int().nonnegative(),
  filter: z.record(z.string(), z.union([z.string(), z.number()])),
});

/**
 * Null where there are more than ENTRIES_MAX: narrow the filter. `turn` is awaited between some of the entries, so that others get
 * theirs.
 */
export async function createBundle(
  reader: LogReader,
  filter: LogFilter,
  turn: () => Promise<void>,
): Promise<Buffer | null> {
  const { origin, size, note } = reader.checkpoint;
  const zip = new ZipWriter();
  const rows: string[] = [];
  for (let from: number | null = 0; from !== null;) {
    const page: LogPage = browseForward(reader, filter, { from, limit: ENTRIES_A_TURN, scanMax: SCANNED_A_TURN });
    if (rows.length + page.entries.length > ENTRIES_MAX) return null;
    for (const entry of page.entries) {
      rows.push(csvOf(entry));
      zip.add(proofName(entry.seq), Buffer.from(reader.proof(entry.seq)));
    }
    from = page.next;
    await turn();
  }
  const report = { v: 1, origin, size, entries: rows.length, filter };
  zip.add('report.json', Buffer.from(`${JSON.stringify(report, null, 2)}\n`));
  zip.add('checkpoint', Buffer.from(note));
  zip.add('entries.csv', Buffer.from(`${csvHeader()}${rows.join('')}`));
  return zip.end();
}

/** Throws nothing: what is wrong is the answer. */
export function verifyBundle(zip: Buffer, key: VerifierKey): BundleVerification {
  const nothing = { origin: null, size: null, signedBy: null, entries: 0, from: null, to: null, isContiguous: false };
  let files: Map<string, Buffer>;
  let report: z.infer<typeof reportSchema>;
  let checkpoint: SignedCheckpoint;
  try {
    files = readZip(zip, { bytesMax: BUNDLE_BYTES_MAX });
    report = reportSchema.parse(JSON.parse(textOf(files, 'report.json')));
    checkpoint = parseCheckpoint(textOf(files, 'checkpoint'), [key]);
  } catch (error) {
    if (error instanceof FormatError) return { ...nothing, verdict: 'tampered', problems: [error.message] };
    const problem = error instanceof ZipError ? error.message : 'report.json is none of an evidence bundle';
    return { ...nothing, verdict: 'error', problems: [problem] };
  }
  const contradictions: string[] = [];
  const entries = entriesIn(files, checkpoint, { key, report: (problem) => contradictions.push(problem) });
  const signer = checkpoint.signers.find(({ name }) => name === checkpoint.origin);
  if (!signer) contradictions.push('the checkpoint is not signed by the key');
  if (report.origin !== checkpoint.origin || report.size !== checkpoint.size)
    contradictions.push('report.json names another log than the checkpoint');
  if (textOf(files, 'entries.csv') !== `${csvHeader()}${entries.map(csvOf).join('')}`)
    contradictions.push('entries.csv says something else than the proofs');
  const missing = report.entries - entries.length;
  const isShort = missing > 0 && contradictions.every((problem) => problem.startsWith('entries.csv'));
  const problems =
    missing === 0
      ? contradictions
      : [`report.json counts ${report.entries} entries, ${entries.length} are proven`, ...contradictions];
  const [first, last] = [entries[0], entries.at(-1)];
  return {
    verdict: problems.length === 0 ? 'verified' : isShort ? 'incomplete' : 'tampered',
    origin: checkpoint.origin,
    size: checkpoint.size,
    signedBy: signer?.text ?? null,
    entries: entries.length,
    from: first?.ts ?? null,
    to: last?.ts ?? null,
    isContiguous: first !== undefined && last !== undefined && last.seq - first.seq + 1 === entries.length,
    problems: problems.slice(0, PROBLEMS_MAX),
  };
}

/** Those that are proven, in the order of the log. */
function entriesIn(
  files: ReadonlyMap<string, Buffer>,
  checkpoint: SignedCheckpoint,
  { key, report }: { readonly key: VerifierKey; readonly report: (problem: string) => void },
): AuditEntry[] {
  const entries: AuditEntry[] = [];
  for (const [name, bytes] of files) {
    if (!name.startsWith('proofs/')) continue;
    const { verdict, entry, problem } = verifyProof(bytes.toString(), [key]);
    if (verdict !== 'verified' || !entry) report(`${name}: ${problem ?? 'it holds no entry'}`);
    else if (name !== proofName(entry.seq)) report(`${name} is of entry ${entry.seq}`);
    else if (parseProof(bytes.toString()).checkpoint !== checkpoint.note) report(`${name} is under another checkpoint`);
    else entries.push(entry);
  }
  return entries.toSorted((a, b) => a.seq - b.seq);
}

function proofName(seq: number): string {
  return `proofs/${seq}.tlog-proof`;
}

/** Throws FormatError where it is not there. */
function textOf(files: ReadonlyMap<string, Buffer>, name: string): string {
  const bytes = files.get(name);
  if (!bytes) throw new FormatError(`${name} is missing`);
  return bytes.toString();
}
