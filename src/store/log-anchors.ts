/**
 * What the store has seen of the audit log, so that neither can be put back to an older state unseen: a log that is behind
 * the last checkpoint seen has been rolled back, and a restored backup takes the newest checkpoint over from what it replaces.
 */
import { AppError } from '#contract/errors.ts';
import { readFact, writeFact } from './facts.ts';
import { fromJson } from './json.ts';
import type { Row, Scope } from './scope.ts';

/** A signed checkpoint's facts, as the log gives them. */
export interface LogCheckpoint {
  readonly origin: string;
  /** Number of entries. */
  readonly size: number;
  /** Root hash of the tree of that size, base64. */
  readonly root: string;
}

export interface SeenCheckpoint extends LogCheckpoint {
  readonly seenAt: number;
}

/** A backup was put in the place of this database. */
export interface Restoration {
  readonly restoredAt: number;
  /** When the backup had been taken. */
  readonly takenAt: number;
  /** Of the backup and of what was replaced; null: none had been seen. What lies between is in the log, and not in the database. */
  readonly backupCheckpoint: LogCheckpoint | null;
  readonly replacedCheckpoint: LogCheckpoint | null;
}

export interface LogAnchors {
  last(origin: string): Promise<SeenCheckpoint | null>;
  all(): Promise<readonly SeenCheckpoint[]>;
  /**
   * LOG_ROLLED_BACK: it is smaller than the last one seen, or as large with another root; it was abandoned; or it is seen for
   * the first time, and another that nobody has abandoned was seen before.
   */
  see(checkpoint: LogCheckpoint): Promise<void>;
  /** Logs that one which goes on has named as lost (`lockstep admin adopt-restore`): none of them is gone on with any more. */
  abandoned(): Promise<readonly string[]>;
  abandon(origins: readonly string[]): Promise<void>;
  /** Those that are not in the audit log yet, oldest first. */
  restorationsToLog(): Promise<readonly (Restoration & { readonly id: number })[]>;
  restorationLogged(id: number): Promise<void>;
  /** Which of these intents of the log have taken effect here (`Store.under`): tells what became of dangling ones. */
  effectsOf(intents: readonly number[]): Promise<readonly number[]>;
}

/** Names of logs; a restored backup forgets none of them. */
export const ABANDONED_LOGS = 'abandonedLogs';

export function createLogAnchors(scope: Scope): LogAnchors {
  const { db, now } = scope;
  const last = async (origin: string): Promise<SeenCheckpoint | null> => {
    const row = await db.selectFrom('log_checkpoints').selectAll().where('origin', '=', origin).executeTakeFirst();
    return row ? toSeen(row) : null;
  };
  const all = async (): Promise<SeenCheckpoint[]> =>
    (await db.selectFrom('log_checkpoints').selectAll().orderBy('origin').execute()).map(toSeen);
  const abandoned = (): Promise<string[]> => readFact(scope, ABANDONED_LOGS, []);
  const checkFirstSeen = async (origin: string, gone: readonly string[]): Promise<void> => {
    const other = (await all()).find((seen) => !gone.includes(seen.origin));
    if (other)
      throw lost(`The audit log is "${origin}"; the database has seen ${other.size} entries of "${other.origin}".`);
  };
  const write = async ({ origin, size, root }: LogCheckpoint): Promise<void> => {
    await db
      .insertInto('log_checkpoints')
      .values({ origin, size, root, seen_at: now })
      .onConflict((existing) => existing.column('origin').doUpdateSet({ size, root, seen_at: now }))
      .execute();
  };
  return {
    last,
    all,
    async see(checkpoint) {
      const { origin } = checkpoint;
      const gone = await abandoned();
      if (gone.includes(origin)) throw lost(`The audit log "${origin}" was abandoned for another one.`);
      const seen = await last(origin);
      if (seen === null) await checkFirstSeen(origin, gone);
      else checkNotRolledBack(seen, checkpoint);
      if (seen === null || seen.size < checkpoint.size) await write(checkpoint);
    },
    abandoned,
    async abandon(origins) {
      const gone = new Set([...(await abandoned()), ...origins]);
      await writeFact(scope, ABANDONED_LOGS, [...gone].toSorted());
    },
    async restorationsToLog() {
      const rows = await db.selectFrom('restorations').selectAll().where('is_logged', '=', 0).orderBy('id').execute();
      return rows.map(toRestoration);
    },
    async restorationLogged(id) {
      await db.updateTable('restorations').set({ is_logged: 1 }).where('id', '=', id).execute();
    },
    async effectsOf(intents) {
      if (intents.length === 0) return [];
      const rows = await db
        .selectFrom('log_effects')
        .select('intent')
        .where('intent', 'in', intents)
        .orderBy('intent')
        .execute();
      return rows.map(({ intent }) => intent);
    },
  };
}

function checkNotRolledBack(seen: SeenCheckpoint, { origin, size, root }: LogCheckpoint): void {
  if (size > seen.size || (size === seen.size && root === seen.root)) return;
  const what =
    size < seen.size
      ? `has ${size} entries, and had ${seen.size} before`
      : `has another root than before at ${size} entries`;
  const details = { origin, seen: { size: seen.size, root: seen.root, at: seen.seenAt }, shown: { size, root } };
  throw lost(`The audit log "${origin}" ${what}.`, details);
}

function lost(message: string, details: Readonly<Record<string, unknown>> = {}): AppError {
  return new AppError('LOG_ROLLED_BACK', message, {
    details,
    nextStep:
      'Put back the log that was there, with its key. If it is lost, "lockstep admin adopt-restore" begins a new one that names what is gone.',
  });
}

function toSeen({ origin, size, root, seen_at }: Row<'log_checkpoints'>): SeenCheckpoint {
  return { origin, size, root, seenAt: seen_at };
}

function toRestoration(row: Row<'restorations'>): Restoration & { id: number } {
  const checkpoint = (text: string | null): LogCheckpoint | null => (text === null ? null : fromJson(text));
  return {
    id: row.id,
    restoredAt: row.restored_at,
    takenAt: row.taken_at,
    backupCheckpoint: checkpoint(row.backup_checkpoint),
    replacedCheckpoint: checkpoint(row.replaced_checkpoint),
  };
}
