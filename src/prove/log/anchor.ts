/**
 * Anchors keep checkpoints where whoever can change the log cannot change them. Before it signs anything, a log is held
 * against them: one that is shorter than it was, or another, is never signed.
 */
import { AppError } from '#contract/errors.ts';
import { sleep, type Clock } from '#util/clock.ts';
import { parseCheckpoint, type Checkpoint } from './checkpoint.ts';
import { FormatError } from './format-error.ts';
import type { LogReader } from './log-reader.ts';
import type { VerifierKey } from './note.ts';
import { tampered } from './recovery.ts';

/** What a truncated tail can be long at most, in time. */
const ANCHOR_MS = 60_000;
/** At a start; one that does not answer is asked before it is given anything. */
const START_DEADLINE_MS = 10_000;

export interface Anchor {
  /** For people: `topic __lockstep.audit.checkpoints on west`. */
  readonly name: string;
  /** The notes that were anchored last, the newest last; foreign ones may be among them. Rejects where it does not answer. */
  latest(): Promise<readonly string[]>;
  /** Resolves when the note is as safe there as the anchor makes it. */
  publish(note: string): Promise<void>;
}

export interface AnchorStatus {
  readonly name: string;
  /** Entries of the last checkpoint that it holds; null where that is not known. */
  readonly size: number | null;
  readonly at: number | null;
  readonly error: string | null;
}

export interface AnchoringOptions {
  readonly anchors: readonly Anchor[];
  readonly directory: string;
  readonly keys: readonly VerifierKey[];
  readonly clock: Clock;
  readonly signal: AbortSignal;
  /** The anchor holds checkpoints of others, and none of this log. Throws AppError LOG_ROLLED_BACK where one of them is the log that should be here. */
  readonly onStrangers?: (anchor: string, origins: readonly string[], reader: LogReader | null) => void;
}

export class Anchoring {
  readonly #options: AnchoringOptions;
  /** Of each anchor; one that is not in here has not been asked yet. */
  readonly #status = new Map<string, AnchorStatus>();
  readonly #asked = new Set<string>();

  constructor(options: AnchoringOptions) {
    this.#options = options;
  }

  get status(): readonly AnchorStatus[] {
    return this.#options.anchors.map(
      ({ name }) => this.#status.get(name) ?? { name, size: null, at: null, error: 'it has not been asked yet' },
    );
  }

  /** For AuditLog.open. Throws AppError LOG_ROLLED_BACK or LOG_TAMPERED; an anchor that does not answer is left for later. */
  async check(reader: LogReader | null): Promise<void> {
    await Promise.all(
      this.#options.anchors.map((anchor) => this.#guarded(anchor, () => this.#inTime(() => this.#ask(anchor, reader)))),
    );
  }

  /** Gives each anchor the newest checkpoint, now. Throws as `check`. */
  async anchor(reader: LogReader): Promise<void> {
    await Promise.all(this.#options.anchors.map((anchor) => this.#guarded(anchor, () => this.#anchor(anchor, reader))));
  }

  async #inTime(action: () => Promise<void>): Promise<void> {
    const ended = new AbortController();
    const late = sleep(this.#options.clock, START_DEADLINE_MS, ended.signal).then(() => {
      throw new Error(`it did not answer within ${START_DEADLINE_MS} ms`);
    });
    try {
      await Promise.race([action(), late]);
    } finally {
      ended.abort();
    }
  }

  /** Gives each anchor the newest checkpoint, once a minute. Resolves when the signal aborts; throws as `check`. */
  async run(read: () => LogReader): Promise<void> {
    const { clock, signal } = this.#options;
    while (!signal.aborted) {
      await this.anchor(read());
      await sleep(clock, ANCHOR_MS, signal);
    }
  }

  async #anchor(anchor: Anchor, reader: LogReader): Promise<void> {
    const { name } = anchor;
    if (!this.#asked.has(name)) await this.#ask(anchor, reader);
    const { size, note } = reader.checkpoint;
    if (this.#status.get(name)?.size === size) return;
    await anchor.publish(note);
    this.#status.set(name, { name, size, at: this.#options.clock.now(), error: null });
  }

  async #ask(anchor: Anchor, reader: LogReader | null): Promise<void> {
    const { directory, keys, onStrangers } = this.#options;
    let size: number | null = null;
    const strangers = new Set<string>();
    for (const note of await anchor.latest()) {
      const known = ownCheckpoint(note, keys);
      if (!known) {
        const origin = statedCheckpoint(note)?.origin;
        if (origin !== undefined) strangers.add(origin);
        continue;
      }
      if (known.size > (reader?.size ?? 0))
        throw rolledBack(directory, anchor.name, { is: reader?.size ?? 0, was: known.size });
      if (reader && !reader.rootAt(known.size).equals(known.root))
        throw tampered({ directory }, `${anchor.name} holds a checkpoint of ${known.size} entries with another root`);
      size = Math.max(size ?? 0, known.size);
    }
    if (size === null && strangers.size > 0) onStrangers?.(anchor.name, [...strangers], reader);
    this.#asked.add(anchor.name);
    this.#status.set(anchor.name, { name: anchor.name, size, at: null, error: null });
  }

  /** What contradicts goes on up; everything else is the anchor's trouble. */
  async #guarded(anchor: Anchor, action: () => Promise<void>): Promise<void> {
    try {
      await action();
    } catch (error) {
      if (error instanceof AppError && (error.code === 'LOG_ROLLED_BACK' || error.code === 'LOG_TAMPERED')) throw error;
      const before = this.#status.get(anchor.name);
      const message = error instanceof Error ? error.message : String(error);
      this.#status.set(anchor.name, {
        name: anchor.name,
        size: before?.size ?? null,
        at: before?.at ?? null,
        error: message,
      });
    }
  }
}

/** Null for what another has written, or could have. */
export function ownCheckpoint(note: string, keys: readonly VerifierKey[]): { size: number; root: Buffer } | null {
  try {
    const checkpoint = parseCheckpoint(note, keys);
    return checkpoint.signers.some(({ name }) => name === checkpoint.origin) ? checkpoint : null;
  } catch (error) {
    if (error instanceof FormatError) return null;
    throw error;
  }
}

/** Whoever has signed it; null where it is no checkpoint. */
export function statedCheckpoint(note: string): Checkpoint | null {
  try {
    return parseCheckpoint(note, []);
  } catch (error) {
    if (error instanceof FormatError) return null;
    throw error;
  }
}

function rolledBack(directory: string, anchor: string, { is, was }: { is: number; was: number }): AppError {
  return new AppError(
    'LOG_ROLLED_BACK',
    `The audit log in ${directory} has ${is} entries; ${anchor} holds a checkpoint of ${was}.`,
    {
      details: { size: is, anchored: was },
      nextStep:
        'A backup was restored, or its end was cut off. Look for the longer log first; if it is lost, "lockstep admin adopt-restore" begins a new one that names the entries that are gone.',
    },
  );
}
