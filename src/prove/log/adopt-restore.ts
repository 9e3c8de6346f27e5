/**
 * Going on when a log is lost, or was put back to an older state and the longer one is lost. What was signed cannot be signed
 * again in another way, so a new log begins, with a name and a key of its own; behind its start it says of each log before it
 * up to where that is still there, and which checkpoint of it was known last. What is left of the old one stays: evidence.
 */
import { logActions, type AuditEntry, type AuditEvent } from '#contract/audit.ts';
import { AppError } from '#contract/errors.ts';
import { AuditLog, type AuditLogOptions } from './audit-log.ts';
import { parseCheckpoint, type Checkpoint } from './checkpoint.ts';
import { sha256 } from './commitment.ts';
import { FormatError } from './format-error.ts';
import { listIfThere, readIfThere, type ReadableDisk } from './log-disk.ts';
import { LogReader } from './log-reader.ts';
import { CHECKPOINT_PATH } from './tile-path.ts';

/** A log that is not gone on with. */
export interface LostLog {
  readonly origin: string;
  /** As its directory still has it; null: nothing there can be read as it was signed. */
  readonly found: Checkpoint | null;
  /** The largest that anybody knows. */
  readonly known: Checkpoint;
  /** Entries from 0 on that are there, and that nothing which is known contradicts. */
  readonly kept: number;
}

/** Behind the start of a log; one names a handful at most. */
const ADOPTIONS_MAX = 64;

/** The log of a directory as its checkpoint has it, whoever signed that; null where there is none, or its tiles are not those. */
export function readFound(disk: ReadableDisk, directory: string): LogReader | null {
  const note = readIfThere(disk, `${directory}/${CHECKPOINT_PATH}`);
  if (note === null) return null;
  try {
    const checkpoint = parseCheckpoint(note.toString(), []);
    const reader = new LogReader(disk, directory, checkpoint);
    return reader.rootAt(checkpoint.size).equals(checkpoint.root) ? reader : null;
  } catch (error) {
    if (error instanceof FormatError || (error instanceof AppError && error.code === 'LOG_INVALID')) return null;
    throw error;
  }
}

/** What is left of a log of which these checkpoints are known, one at least. */
export function lostLogOf(origin: string, known: readonly Checkpoint[], reader: LogReader | null): LostLog {
  const found = reader?.checkpoint.origin === origin ? reader : null;
  const all = found ? [...known, found.checkpoint] : known;
  const largest = all.reduce((a, b) => (b.size > a.size ? b : a));
  if (!found) return { origin, found: null, known: largest, kept: 0 };
  const shared = known.filter(({ size }) => size <= found.size);
  const fitting = shared.filter(({ size, root }) => found.rootAt(size).equals(root));
  const kept = fitting.length === shared.length ? found.size : Math.max(0, ...fitting.map(({ size }) => size));
  return { origin, found: found.checkpoint, known: largest, kept };
}

/** The entries that are gone, from the first to the last that is known of; null: none. */
export function lostEntries({ kept, known }: LostLog): { readonly from: number; readonly to: number } | null {
  return kept < known.size ? { from: kept, to: known.size - 1 } : null;
}

/** Throws AppError REQUEST_INVALID where the new log is none. */
export async function adoptRestore(
  options: AuditLogOptions,
  lost: readonly LostLog[],
  actor: AuditEvent['actor'],
): Promise<{ log: AuditLog; entries: AuditEntry[] }> {
  const { name } = options.key.verifier;
  if (lost.length === 0 || lost.length > ADOPTIONS_MAX) throw refused(`${lost.length} logs cannot be named as lost`);
  if (lost.some(({ origin }) => origin === name)) throw refused(`the new log has to have another name than ${name}`);
  if (listIfThere(options.disk, options.directory).length > 0) throw refused(`${options.directory} is not empty`);
  const log = await AuditLog.open(options);
  const entries: AuditEntry[] = [];
  for (const each of lost) entries.push(await log.record(adoption(each, actor)));
  await log.publish();
  return { log, entries };
}

/** The logs that this one goes on for, as it says behind its start. */
export function adoptedBy(reader: LogReader): string[] {
  const origins: string[] = [];
  for (let seq = 0; seq < Math.min(reader.size, ADOPTIONS_MAX + 1); seq++) {
    const { action, resource } = reader.entry(seq);
    if (action === logActions.adoptRestore) origins.push(resource.id);
  }
  return origins;
}

function adoption(lost: LostLog, actor: AuditEvent['actor']): AuditEvent {
  const { origin, found, known, kept } = lost;
  const gone = lostEntries(lost);
  return {
    actor,
    action: logActions.adoptRestore,
    resource: { type: 'log', id: origin },
    evidence: [
      ...(found ? [{ kind: 'restored-checkpoint', digest: digestOf(found), size: found.size }] : []),
      { kind: 'abandoned-checkpoint', digest: digestOf(known), size: known.size },
      { kind: 'kept-entries', size: kept },
      ...(gone
        ? [
            { kind: 'first-lost-entry', size: gone.from },
            { kind: 'last-lost-entry', size: gone.to },
          ]
        : []),
    ],
  };
}

/** Of what is signed, without its signatures: whoever has a checkpoint of the old log can compare. */
function digestOf({ origin, size, root }: Checkpoint): string {
  return sha256(`${origin}\n${size}\n${root.toString('base64')}\n`);
}

function refused(problem: string): AppError {
  return new AppError('REQUEST_INVALID', `A new audit log cannot begin: ${problem}.`, {
    nextStep: 'Give it an empty directory, and a new key with a name of its own.',
  });
}
