/**
 * Going on after a restore that has shortened the log, when the longer one is lost. What was signed cannot be signed again
 * in another way, so a new log begins, with a name and a key of its own; behind its start it says which checkpoint of the old
 * one was known last, and what of it was restored. The old directory stays as it is: evidence.
 */
import { logActions, type AuditEntry } from '#contract/audit.ts';
import { AppError } from '#contract/errors.ts';
import { AuditLog, ownEvent, type AuditLogOptions } from './audit-log.ts';
import { parseCheckpoint } from './checkpoint.ts';
import { listIfThere } from './log-disk.ts';
import { sha256 } from './commitment.ts';
import type { VerifierKey } from './note.ts';

export interface Restored {
  /** The checkpoint that is there, and the largest one that an anchor has. */
  readonly found: string;
  readonly anchored: string;
  readonly key: VerifierKey;
}

/** Throws AppError REQUEST_INVALID where nothing was rolled back, or the new log is none. */
export async function adoptRestore(
  options: AuditLogOptions,
  restored: Restored,
): Promise<{ log: AuditLog; entry: AuditEntry }> {
  const [found, anchored] = [restored.found, restored.anchored].map((note) => parseCheckpoint(note, [restored.key]));
  const isSigned = [found, anchored].every((checkpoint) => checkpoint?.signers.length === 1);
  if (!found || !anchored || !isSigned || found.size >= anchored.size)
    throw refused('the checkpoints do not show that the log was shortened');
  if (options.key.verifier.name === found.origin)
    throw refused(`the new log has to have another name than ${found.origin}`);
  if (listIfThere(options.disk, options.directory).length > 0) throw refused(`${options.directory} is not empty`);
  const log = await AuditLog.open(options);
  const entry = await log.record({
    ...ownEvent(logActions.adoptRestore),
    resource: { type: 'log', id: found.origin },
    evidence: [
      { kind: 'restored-checkpoint', digest: sha256(found.note), size: found.size },
      { kind: 'abandoned-checkpoint', digest: sha256(anchored.note), size: anchored.size },
    ],
  });
  await log.publish();
  return { log, entry };
}

function refused(problem: string): AppError {
  return new AppError('REQUEST_INVALID', `The restored audit log cannot be adopted: ${problem}.`, {
    nextStep:
      'Give the checkpoint of the restored log, the larger one of an anchor, and an empty directory and a new key for the log that goes on.',
  });
}
