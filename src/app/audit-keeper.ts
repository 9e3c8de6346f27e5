/**
 * The audit log of a server: opened over what a process before it has left, held against its anchors, with the intents that were
 * left open settled. While it cannot be opened, nothing is changed that has to be in it; reading and copying go on. One that
 * failed with its disk is opened again as if a process before had left it, when the disk is back.
 */
import type { AuditEntry, AuditEvent } from '#contract/audit.ts';
import { AppError } from '#contract/errors.ts';
import { Anchoring, type Anchor, type AnchorStatus } from '#prove/log/anchor.ts';
import { adoptedBy } from '#prove/log/adopt-restore.ts';
import { AuditLog as Log, ownEvent } from '#prove/log/audit-log.ts';
import { browse, browseForward, type LogFilter } from '#prove/log/browse.ts';
import { createBundle } from '#prove/log/evidence-bundle.ts';
import { LogReader } from '#prove/log/log-reader.ts';
import type { SignerKey } from '#prove/log/note.ts';
import { recover } from '#prove/log/recovery.ts';
import { AuditSpool } from '#prove/log/spool.ts';
import type { AuditFilter, AuditLog, AuditTrail } from '#server/ports.ts';
import type { Store } from '#store/store.ts';
import { sleep, type Clock } from '#util/clock.ts';
import type { Disk } from '#util/host.ts';

/** Until a log that could not be opened, or has failed, is tried again. */
const AGAIN_MS = 30_000;
/** How often the store is shown how far the log has come. */
const SEEN_MS = 60_000;
const EXPORT_PAGE = 1_000;
const CLOSE_MS = 2_000;

/** An intent from before this process, without an outcome. */
export interface DanglingIntent {
  readonly entry: AuditEntry;
  /** Whether the store has its effect; null: it could not be asked. */
  readonly hasEffect: boolean | null;
}

export interface AuditKeeperOptions {
  readonly disk: Disk;
  readonly clock: Clock;
  readonly directory: string;
  readonly key: SignerKey;
  readonly anchors: readonly Anchor[];
  /** Logs of other servers, whose checkpoints stand in the same anchors. */
  readonly otherLogs: readonly string[];
  readonly store: Pick<Store, 'logAnchors'>;
  readonly observers: {
    readonly onOpen: (log: { readonly entries: number; readonly dangling: readonly DanglingIntent[] }) => void;
    /** It takes nothing, an anchor does not answer, or the like. */
    readonly onTrouble: (message: string, error: unknown) => void;
  };
}

export class AuditKeeper implements AuditLog, AuditTrail {
  readonly #options: AuditKeeperOptions;
  readonly #closed = new AbortController();
  readonly #anchoring: Anchoring;
  readonly #spool: AuditSpool;
  readonly #works: Promise<void>[] = [];
  readonly #anchorTrouble = new Map<string, string>();
  /** What failed stays until it is opened again: it can still be read. */
  #log: Log | null = null;
  /** Intents of this process whose effect is under way. */
  readonly #underWay = new Set<number>();
  /** How intents of this process have ended, which the log did not take. */
  readonly #untold = new Map<number, Parameters<AuditLog['settle']>>();
  #unopened: AppError | null = null;
  /** Whether the store has seen it before; null: it did not say. */
  #isSeen: boolean | null = null;
  #abandoned: readonly string[] = [];
  #bundling: Promise<unknown> = Promise.resolve();

  constructor(options: AuditKeeperOptions) {
    const { anchors, directory, key, clock } = options;
    this.#options = options;
    const { signal } = this.#closed;
    const onStrangers = this.#checkStrangers.bind(this);
    this.#anchoring = new Anchoring({ anchors, directory, keys: [key.verifier], clock, signal, onStrangers });
    this.#spool = new AuditSpool(clock, signal);
  }

  /** Resolves when it is open, or when it is known that it cannot be for now: then it is tried again. */
  async open(): Promise<void> {
    if (await this.#tryOpen()) return;
    this.#works.push(this.#openLater(null));
  }

  /** Why it cannot be opened; null where it can. Writes nothing. */
  async examine(): Promise<AppError | null> {
    const { disk, directory, key } = this.#options;
    try {
      const ignored = { onTile: () => {}, onBundle: () => {} };
      const { checkpoint } = recover({ disk, directory, keys: [key.verifier], ...ignored });
      await this.#check(checkpoint ? new LogReader(disk, directory, checkpoint) : null);
      return null;
    } catch (error) {
      if (error instanceof AppError) return error;
      throw error;
    }
  }

  /** What a job does by itself: written when the log can, and never waited for. */
  note(event: AuditEvent, outcome: 'succeeded' | 'failed'): void {
    this.#spool.note(event, outcome);
  }

  async close(): Promise<void> {
    this.#closed.abort();
    const ended = new AbortController();
    const late = sleep(this.#options.clock, CLOSE_MS, ended.signal); // an anchor may hang
    await Promise.race([Promise.all(this.#works), late]);
    ended.abort();
    await this.#log?.close();
  }

  // ---- writing

  async intend(event: AuditEvent): Promise<AuditEntry> {
    const intent = await this.#open().intend(event);
    this.#underWay.add(intent.seq);
    return intent;
  }

  /** What the log does not take now is told to it when it is open again. */
  async settle(...given: Parameters<AuditLog['settle']>): Promise<AuditEntry> {
    const [{ seq }] = given;
    const log = this.#open();
    try {
      return await log.settle(...given);
    } catch (error) {
      if (log !== this.#log) return await this.#open().settle(...given); // opened anew meanwhile
      this.#untold.set(seq, given);
      throw error;
    } finally {
      this.#underWay.delete(seq);
    }
  }

  async record(...given: Parameters<AuditLog['record']>): Promise<AuditEntry> {
    return this.#open().record(...given);
  }

  /** Hands the log over to another key of its name; what both have signed is anchored at once. The next process opens it with `to`. */
  async rotate(to: SignerKey): Promise<void> {
    const log = this.#open();
    await log.rotate(to);
    await this.#anchoring.anchor(log.reader());
    this.#reportAnchors();
  }

  // ---- reading

  isWritable(): boolean {
    return this.#log !== null && this.#log.failure === null;
  }

  /** Entries; null while it is not open. */
  get size(): number | null {
    return this.#log?.size ?? null;
  }

  get anchors(): readonly AnchorStatus[] {
    return this.#anchoring.status;
  }

  async page(...[filter, { before, limit }]: Parameters<AuditTrail['page']>): ReturnType<AuditTrail['page']> {
    return browse(this.#open().reader(), filter, before === null ? { limit } : { before, limit });
  }

  /** Others get their turn between two pages. */
  async *all(filter: AuditFilter): AsyncGenerator<AuditEntry, void, undefined> {
    const reader = this.#open().reader();
    for (let from: number | null = 0; from !== null;) {
      const { entries, next } = browseForward(reader, filter as LogFilter, { from, limit: EXPORT_PAGE });
      yield* entries;
      from = next;
      await sleep(this.#options.clock, 0);
    }
  }

  async entry(seq: number): Promise<AuditEntry | null> {
    const reader = this.#open().reader();
    return seq < reader.size ? reader.entry(seq) : null;
  }

  async proof(seq: number): Promise<string | null> {
    const reader = this.#open().reader();
    return seq < reader.size ? reader.proof(seq) : null;
  }

  /** One at a time: each is a few MB, and takes a while. */
  async bundle(filter: AuditFilter): Promise<Buffer | null> {
    const reader = this.#open().reader();
    const made = this.#bundling.then(() =>
      createBundle(reader, filter as LogFilter, () => sleep(this.#options.clock, 0)),
    );
    this.#bundling = made.catch(() => null); // whoever asked for it hears why
    return made;
  }

  async checkpoint(): ReturnType<AuditTrail['checkpoint']> {
    const { note, size } = this.#open().reader().checkpoint;
    return { note, size, verifierKey: this.#options.key.verifier.text };
  }

  #open(): Log {
    if (this.#log) return this.#log;
    throw new AppError('AUDIT_UNAVAILABLE', 'The audit log is not open, so nothing is changed that has to be in it.', {
      ...(this.#unopened ? { cause: this.#unopened } : {}),
      nextStep: this.#unopened?.nextStep ?? 'Try again in a moment: the server has just begun.',
    });
  }

  // ---- opening

  /** `failed`: the log that is there, and takes nothing any more. */
  async #openLater(failed: Log | null): Promise<void> {
    const { clock } = this.#options;
    const { signal } = this.#closed;
    this.#unopened ??= failed?.failure ?? null;
    while (!signal.aborted && canPass(this.#unopened)) {
      await sleep(clock, AGAIN_MS, signal);
      if (!signal.aborted && (await this.#tryOpen())) return await this.#abandon(failed);
    }
  }

  async #tryOpen(): Promise<boolean> {
    const { disk, clock, directory, key, observers } = this.#options;
    let log: Log | null = null;
    let dangling: readonly DanglingIntent[];
    try {
      log = await Log.open({
        disk,
        directory,
        clock,
        key,
        onFailure: (error) => this.#failed(error),
        beforeSigning: (reader) => this.#check(reader),
      });
      dangling = await this.#settleDangling(log);
      await this.#logRestorations(log);
      if (log.failure) throw log.failure;
    } catch (error) {
      if (!(error instanceof AppError)) throw error;
      this.#unopened = error;
      observers.onTrouble('the audit log cannot be opened: nothing is changed until it can', error);
      await this.#abandon(log);
      return false;
    }
    const isFirst = this.#log === null;
    this.#log = log;
    this.#unopened = null;
    this.#spool.attach(log);
    if (isFirst) this.#works.push(this.#anchor(), this.#showStore());
    await this.#tellUntold(log);
    observers.onOpen({ entries: log.size, dangling });
    return true;
  }

  /** Another one has its place, or it failed before it had one. */
  async #abandon(log: Log | null): Promise<void> {
    await log?.close().catch((error: unknown) => {
      this.#options.observers.onTrouble('the audit log that failed cannot be closed', error);
    });
  }

  /** Of the log that is open; one that fails while it is opened is not there yet. */
  #failed(error: AppError): void {
    const log = this.#log;
    this.#options.observers.onTrouble('the audit log takes nothing any more', error);
    if (log?.failure === error && canPass(error)) this.#works.push(this.#openLater(log));
  }

  /** Those that ended while the log was not there; what is on the disk already needs no telling. */
  async #tellUntold(log: Log): Promise<void> {
    const open = new Set(log.dangling.map(({ seq }) => seq));
    const untold = new Map(this.#untold);
    this.#untold.clear();
    for (const [seq, given] of untold) {
      if (!open.has(seq)) continue;
      await log.settle(...given).catch((error: unknown) => {
        if (!(error instanceof AppError)) throw error;
        this.#untold.set(seq, given); // it has failed again
      });
    }
  }

  /** Nobody knows how they ended for whoever asked; whether the store took them over is known. */
  async #settleDangling(log: Log): Promise<DanglingIntent[]> {
    const { store, observers } = this.#options;
    const left = log.dangling.filter(({ seq }) => !this.#underWay.has(seq) && !this.#untold.has(seq));
    if (left.length === 0) return [];
    const effects = await store.logAnchors.effectsOf(left.map(({ seq }) => seq)).catch((error: unknown) => {
      observers.onTrouble('what became of open intents is not known', error);
      return null;
    });
    const found = left.map((entry) => ({ entry, hasEffect: effects?.includes(entry.seq) ?? null }));
    for (const { entry, hasEffect } of found) {
      const evidence = hasEffect === null ? {} : { evidence: [{ kind: 'effects-in-store', size: Number(hasEffect) }] };
      await log.settle(entry, 'unknown', evidence);
    }
    return found;
  }

  /** A backup that was put in the place of the store: the log says between which of its own checkpoints. */
  async #logRestorations(log: Log): Promise<void> {
    const { store, observers } = this.#options;
    try {
      for (const { id, backupCheckpoint, replacedCheckpoint } of await store.logAnchors.restorationsToLog()) {
        const evidence = [
          { kind: 'backup-checkpoint', checkpoint: backupCheckpoint },
          { kind: 'replaced-checkpoint', checkpoint: replacedCheckpoint },
        ].flatMap(({ kind, checkpoint }) => (checkpoint === null ? [] : [{ kind, size: checkpoint.size }]));
        await log.record({ ...ownEvent('store.restore'), resource: { type: 'store', id: 'database' }, evidence });
        await store.logAnchors.restorationLogged(id);
      }
    } catch (error) {
      observers.onTrouble('restorations of the store are not in the audit log yet', error);
    }
  }

  // ---- what others know of the log

  /** Throws LOG_ROLLED_BACK or LOG_TAMPERED. */
  async #check(reader: LogReader | null): Promise<void> {
    await this.#checkSeen(reader); // first: what it says of the log is asked of the anchors too
    await this.#anchoring.check(reader);
  }

  /** Throws as `#check`. A store that does not answer is shown the log later. */
  async #checkSeen(reader: LogReader | null): Promise<void> {
    const { store, key, directory, observers } = this.#options;
    const { name } = key.verifier;
    const asked = await Promise.all([store.logAnchors.all(), store.logAnchors.abandoned()]).catch((error: unknown) => {
      observers.onTrouble('the store does not say what it has seen of the audit log', error);
      return null;
    });
    if (asked === null) return;
    const [all, abandoned] = asked;
    const seen = all.find(({ origin }) => origin === name);
    this.#isSeen = seen !== undefined;
    this.#abandoned = abandoned;
    if (abandoned.includes(name))
      throw contradiction('LOG_ROLLED_BACK', `The audit log "${name}" in ${directory} was abandoned for another one.`);
    if (seen === undefined)
      return this.#requireAdopted(
        all.map(({ origin }) => origin),
        reader,
        'the store has seen',
      );
    const size = reader?.size ?? 0;
    if (size < seen.size)
      throw contradiction(
        'LOG_ROLLED_BACK',
        `The audit log in ${directory} has ${size} entries; the store has seen ${seen.size}.`,
      );
    if (reader && reader.rootAt(seen.size).toString('base64') !== seen.root)
      throw contradiction(
        'LOG_TAMPERED',
        `The audit log in ${directory} has another root at ${seen.size} entries than the store has seen.`,
      );
  }

  /** Only of a log that nobody knows: whoever may write to an anchor could else stop one that goes on. */
  #checkStrangers(anchor: string, origins: readonly string[], reader: LogReader | null): void {
    if (this.#isSeen !== false) return;
    const { otherLogs, key } = this.#options;
    const others = otherLogs.filter((origin) => origin !== key.verifier.name);
    this.#requireAdopted(
      origins.filter((origin) => !others.includes(origin)),
      reader,
      `${anchor} holds checkpoints of`,
    );
  }

  /** Throws LOG_ROLLED_BACK where one of these logs was there before this one, and this one does not say what became of it. */
  #requireAdopted(origins: readonly string[], reader: LogReader | null, knows: string): void {
    const { key, directory } = this.#options;
    const named = [...this.#abandoned, ...(reader ? adoptedBy(reader) : [])];
    const other = origins.find((origin) => !named.includes(origin));
    if (other === undefined) return;
    const { name } = key.verifier;
    throw contradiction(
      'LOG_ROLLED_BACK',
      other === name
        ? `Nobody has seen the key of the audit log in ${directory}; ${knows} "${other}" under another key.`
        : `Nobody has seen the audit log "${name}" in ${directory}; ${knows} "${other}".`,
    );
  }

  async #showStore(): Promise<void> {
    const { clock, store, observers } = this.#options;
    const { signal } = this.#closed;
    const adopted = adoptedBy(this.#open().reader());
    for (; !signal.aborted; await sleep(clock, SEEN_MS, signal)) {
      const log = this.#open();
      if (log.failure !== null) continue;
      const { origin, size, root } = log.reader().checkpoint;
      try {
        if (adopted.length > 0) await store.logAnchors.abandon(adopted);
        await store.logAnchors.see({ origin, size, root: root.toString('base64') });
      } catch (error) {
        if (isContradiction(error)) log.refuse(error);
        else observers.onTrouble('the store was not shown the audit log', error);
      }
    }
  }

  async #anchor(): Promise<void> {
    try {
      await this.#anchoring.run(() => {
        this.#reportAnchors();
        return this.#open().reader();
      });
    } catch (error) {
      if (!isContradiction(error)) throw error;
      this.#open().refuse(error);
    }
  }

  /** Of the round before; once for each cause. */
  #reportAnchors(): void {
    for (const { name, error } of this.#anchoring.status) {
      if (error === null) this.#anchorTrouble.delete(name);
      else if (this.#anchorTrouble.get(name) !== error) {
        this.#anchorTrouble.set(name, error);
        this.#options.observers.onTrouble(`the audit log is not anchored in ${name}`, new Error(error));
      }
    }
  }
}

/** The disk may come back; a log that contradicts itself, or is another process's by now, needs a person. */
function canPass(error: AppError | null): boolean {
  return error?.code === 'AUDIT_UNAVAILABLE' && error.details['isTaken'] !== true;
}

function isContradiction(error: unknown): error is AppError {
  return error instanceof AppError && (error.code === 'LOG_ROLLED_BACK' || error.code === 'LOG_TAMPERED');
}

function contradiction(code: 'LOG_ROLLED_BACK' | 'LOG_TAMPERED', message: string): AppError {
  return new AppError(code, message, {
    nextStep:
      'Put back the log that was there, with its key. If it is lost, "lockstep admin adopt-restore" begins a new one that names what is gone. A log of another server, in the same anchor, is named in audit.otherLogs.',
  });
}
