/**
 * What the store has seen of the audit log, so that neither can be put back to an older state unseen: a log that is behind
 * the last checkpoint seen has been rolled back, and a restored backup takes the newest checkpoint over from what it replaces.
 */

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
  /** LOG_ROLLED_BACK: it is smaller than the last one seen, or as large with another root. */
  see(checkpoint: LogCheckpoint): Promise<void>;
  /** Somebody has decided that the log begins anew from here (`lockstep admin adopt-restore`); what was seen is returned. */
  adopt(checkpoint: LogCheckpoint): Promise<SeenCheckpoint | null>;
  /** Those that are not in the audit log yet, oldest first. */
  restorationsToLog(): Promise<readonly (Restoration & { readonly id: number })[]>;
  restorationLogged(id: number): Promise<void>;
  /** Which of these intents of the log have taken effect here (`Store.under`): tells what became of dangling ones. */
  effectsOf(intents: readonly number[]): Promise<readonly number[]>;
}
