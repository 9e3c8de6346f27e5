/**
 * The writer of the audit log: one process, one queue.
 *
 *   record ──► queue ──► journal, fsync ──► acknowledged ──► tiles, bundles ──► checkpoint ──► anchors
 *              bounded    many entries       (the caller      once a second, when the log has grown
 *              in bytes   at a time           goes on)
 *
 * An entry that was acknowledged is in the log after any crash, at its place. Nothing is written again after an error: a
 * disk that fails leaves it open what it has (fsync after a failed fsync says nothing), so the log refuses from then on,
 * with everything that has to be logged, and a new `open` reads what is there.
 */
import {
  auditEventSchema,
  HEARTBEAT_MS,
  logActions,
  type AuditEntry,
  type AuditEvent,
  type AuditOutcome,
  type AuditPhase,
} from '#contract/audit.ts';
import { AppError } from '#contract/errors.ts';
import { assert, must } from '#util/assert.ts';
import { canonicalJson, type Json } from '#util/canonical-json.ts';
import type { Clock } from '#util/clock.ts';
import type { AppendFile } from '#util/host.ts';
import { parseCheckpoint, signCheckpoint, type SignedCheckpoint } from './checkpoint.ts';
import { ClockWatch } from './clock-watch.ts';
import { encodeBundle, ENTRY_BYTES_MAX } from './entry-bundle.ts';
import { encodeFrame, encodeHeader, JOURNAL_DIRECTORY, journalName } from './journal.ts';
import type { LogDisk } from './log-disk.ts';
import { LogReader } from './log-reader.ts';
import { leafHash } from './merkle.ts';
import type { SignerKey } from './note.ts';
import { Publication } from './publication.ts';
import { generations, recover, type Recovered } from './recovery.ts';
import { rotationOf } from './rotation.ts';
import { TILE_WIDTH } from './tile-path.ts';
import type { TileTree } from './tile-tree.ts';

const CHECKPOINT_MS = 1_000;
const QUEUE_BYTES_MAX = 8 * 1024 * 1024;
/** One write: what is behind it waits no longer than a disk needs for this. */
const GROUP_BYTES_MAX = 1024 * 1024;
/** What the next start reads again. */
const JOURNAL_BYTES_MAX = 64 * 1024 * 1024;
/** Tiles and bundles in memory; behind that the queue waits for the disk. */
const UNPUBLISHED_BYTES_MAX = 64 * 1024 * 1024;

export interface AuditLogOptions {
  readonly disk: LogDisk;
  readonly directory: string;
  readonly clock: Clock;
  /** The name of the key is the origin of the log. */
  readonly key: SignerKey;
  /** Called once, when the log cannot go on. */
  readonly onFailure: (error: AppError) => void;
  /** What is known elsewhere of this log: asked before anything is signed. Throws AppError where it contradicts. */
  readonly beforeSigning?: (reader: LogReader | null) => Promise<void>;
  readonly journalBytesMax?: number;
  readonly queueBytesMax?: number;
}

/** What an outcome adds to its intent. */
export type Ending = Pick<AuditEvent, 'reason' | 'change' | 'evidence'>;

interface Waiting {
  readonly entry: AuditEntry;
  readonly bytes: Buffer;
  readonly resolve: (entry: AuditEntry) => void;
  readonly reject: (error: AppError) => void;
}

export class AuditLog {
  readonly #options: AuditLogOptions;
  readonly #disk: LogDisk;
  readonly #clock: Clock;
  readonly #watch: ClockWatch;
  readonly #tree: TileTree;
  readonly #publication: Publication;
  /** The first signs; behind a rotation the one before it too, until the process ends. */
  #keys: [SignerKey, ...SignerKey[]];
  /** Of the bundle that is not full. */
  #bundle: Buffer[];
  #openIntents: Map<number, AuditEntry>;
  #nextSeq: number;
  #queue: Waiting[] = [];
  #queueBytes = 0;
  #running: Promise<void> | null = null;
  #publishing: Promise<void> | null = null;
  #checkpoint: SignedCheckpoint | null;
  #journal: { readonly file: AppendFile; readonly generation: number; bytes: number } | null = null;
  /** Where each journal that is still there begins. */
  readonly #journalBases = new Map<number, number>();
  #failure: AppError | null = null;
  #isClosing = false;
  #cancelCheckpoint: (() => void) | null = null;
  #cancelHeartbeat = (): void => {};
  #writtenAtMs = 0;

  /** Intents without an outcome from before this process: what became of them has to be looked up, and settled. */
  readonly dangling: readonly AuditEntry[];

  private constructor(options: AuditLogOptions, recovered: Recovered, publication: Publication) {
    this.#options = options;
    this.#disk = options.disk;
    this.#clock = options.clock;
    this.#keys = [options.key];
    this.#watch = new ClockWatch(options.clock, recovered.lastTs);
    this.#tree = recovered.tree;
    this.#publication = publication;
    this.#bundle = [...recovered.bundle];
    this.#openIntents = new Map(recovered.openIntents);
    this.#nextSeq = recovered.tree.size;
    this.#checkpoint = recovered.checkpoint;
    this.dangling = [...recovered.openIntents.values()];
  }

  /**
   * Takes the log over from whichever process had it, recovers it, and signs what it holds. Throws AppError LOG_TAMPERED
   * or LOG_ROLLED_BACK where that must not be signed, AUDIT_UNAVAILABLE where the disk does not let us.
   */
  static async open(options: AuditLogOptions): Promise<AuditLog> {
    try {
      return await AuditLog.#open(options);
    } catch (error) {
      throw error instanceof AppError ? error : unavailable(options.directory, error);
    }
  }

  static async #open(options: AuditLogOptions): Promise<AuditLog> {
    const { disk, directory, key } = options;
    disk.makeDirectory(`${directory}/${JOURNAL_DIRECTORY}`);
    const before = generations(disk, directory);
    const generation = (before.at(-1) ?? 0) + 1;
    // From here on the process that had the log acknowledges nothing any more: it looks for this file after each write.
    const file = await disk.createAppendFile(journalPath(directory, generation));
    await disk.syncDirectory(`${directory}/${JOURNAL_DIRECTORY}`);
    await disk.syncDirectory(directory);
    await disk.syncDirectory(`${directory}/..`);
    const publication = new Publication(disk, directory, generation);
    const recovered = recover({
      disk,
      directory,
      keys: [key.verifier],
      onTile: (tile) => publication.addTile(tile),
      onBundle: (index, entries) => publication.addBundle(index, entries),
    });
    const { checkpoint } = recovered;
    await options.beforeSigning?.(checkpoint ? new LogReader(disk, directory, checkpoint) : null);
    const log = new AuditLog(options, recovered, publication);
    log.#journal = { file, generation, bytes: 0 };
    for (const each of before) log.#journalBases.set(each, 0);
    await log.#begin(recovered);
    return log;
  }

  async #begin({ unsigned, tornBytes }: Recovered): Promise<void> {
    await this.#writeHeader();
    const found = [
      { kind: 'dangling-intents', size: this.dangling.length },
      { kind: 'recovered-entries', size: unsigned.length },
      { kind: 'torn-bytes', size: tornBytes },
    ].filter(({ size }) => size > 0);
    await this.record({ ...ownEvent(logActions.start), ...(found.length > 0 ? { evidence: found } : {}) });
    await this.publish();
    if (this.#failure) throw this.#failure;
    this.#watchSilence();
  }

  /** Entries that are in the log: acknowledged, and soon under a checkpoint. */
  get size(): number {
    return this.#tree.size;
  }

  /** Why nothing can be logged; null while it can. */
  get failure(): AppError | null {
    return this.#failure;
  }

  /** The log as of its last checkpoint. */
  reader(): LogReader {
    return new LogReader(this.#disk, this.#options.directory, must(this.#checkpoint, 'checkpoint of an open log'));
  }

  /** What has happened, or what was refused. Resolves when it is durable. Throws AppError AUDIT_UNAVAILABLE. */
  record(event: AuditEvent, outcome: AuditOutcome = 'succeeded'): Promise<AuditEntry> {
    return this.#append(event, 'event', { outcome });
  }

  /** What is about to be done: durable before the effect begins. Each needs one `settle`. Throws as `record`. */
  intend(event: AuditEvent): Promise<AuditEntry> {
    return this.#append(event, 'intent', {});
  }

  /** How an intent ended, of this process or from before it. Throws as `record`. */
  settle(intent: AuditEntry, outcome: AuditOutcome, ending: Ending = {}): Promise<AuditEntry> {
    const { actor, action, resource, origin, requestId, pii, seq } = intent;
    assert(this.#openIntents.delete(seq), 'an intent is settled once');
    const event = { actor, action, resource, origin, requestId, pii, ...ending };
    return this.#append(event, 'outcome', { outcome, parentSeq: seq });
  }

  /** Hands the log over to another key of the same name. Both sign until this process ends; the next one opens with `to`. */
  async rotate(to: SignerKey): Promise<AuditEntry> {
    const [from] = this.#keys;
    // Before the entry: a checkpoint that covers it carries both signatures, whoever asks for it.
    this.#keys = [to, from];
    const entry = await this.record({ ...ownEvent(logActions.keyRotate), rotation: rotationOf(from, to) });
    await this.publish();
    return entry;
  }

  /** Takes nothing from now on: somebody knows that this log contradicts what was known of it. */
  refuse(reason: AppError): void {
    this.#fail(reason, []);
  }

  /** Writes what is left, and a last entry that says that this was the end. */
  async close(): Promise<void> {
    this.#isClosing = true;
    this.#stopTimers();
    if (!this.#failure)
      await this.#enqueue(ownEvent(logActions.stop), 'event', { outcome: 'succeeded' }).catch(isReported);
    await this.publish();
    await this.#running;
    await this.#journal?.file.close();
  }

  async #append(
    event: AuditEvent,
    phase: AuditPhase,
    more: Pick<AuditEntry, 'outcome' | 'parentSeq'>,
  ): Promise<AuditEntry> {
    if (this.#failure) throw this.#failure;
    if (this.#isClosing) throw unavailable(this.#options.directory, new Error('it is closed'));
    const step = this.#watch.step();
    if (step !== 0) this.#enqueue(clockStepEvent(step), 'event', { outcome: 'succeeded' }).catch(isReported);
    return this.#enqueue(event, phase, more);
  }

  async #enqueue(
    event: AuditEvent,
    phase: AuditPhase,
    more: Pick<AuditEntry, 'outcome' | 'parentSeq'>,
  ): Promise<AuditEntry> {
    const { queueBytesMax = QUEUE_BYTES_MAX, directory } = this.#options;
    // An outcome is never refused for want of room: its effect is there already, and its intent was let in.
    if (this.#queueBytes > queueBytesMax && phase !== 'outcome')
      throw unavailable(directory, new Error(`${this.#queueBytes} bytes wait for the disk already`));
    const parsed = auditEventSchema.parse({
      ...event,
      resource: { ...event.resource, id: shownId(event.resource.id) },
    });
    const entry: AuditEntry = { ...parsed, ...more, v: 1, seq: this.#nextSeq, phase, ...this.#watch.next() };
    const bytes = Buffer.from(canonicalJson(entry as Json));
    assert(bytes.length <= ENTRY_BYTES_MAX, 'an entry is as short as its schema makes it');
    this.#nextSeq++;
    if (phase === 'intent') this.#openIntents.set(entry.seq, entry);
    this.#writtenAtMs = this.#clock.monotonic();
    const { promise, resolve, reject } = Promise.withResolvers<AuditEntry>();
    this.#queue.push({ entry, bytes, resolve, reject });
    this.#queueBytes += bytes.length;
    this.#running ??= this.#run().finally(() => (this.#running = null));
    return promise;
  }

  async #run(): Promise<void> {
    await Promise.resolve(); // entries of one turn share a write
    while (this.#queue.length > 0 && !this.#failure) {
      const group = this.#takeGroup();
      try {
        await this.#commit(group);
      } catch (error) {
        this.#fail(error, group);
        break;
      }
      for (const { entry, resolve } of group) resolve(entry);
    }
  }

  #takeGroup(): Waiting[] {
    let bytes = 0;
    let count = 0;
    while (count < this.#queue.length && bytes < GROUP_BYTES_MAX)
      bytes += must(this.#queue[count++], 'waiting entry').bytes.length;
    this.#queueBytes -= bytes;
    return this.#queue.splice(0, count);
  }

  async #commit(group: readonly Waiting[]): Promise<void> {
    const journal = must(this.#journal, 'journal');
    const frame = encodeFrame(encodeBundle(group.map(({ bytes }) => bytes)));
    const written = journal.file.append(frame);
    const leaves = group.map(({ bytes }) => leafHash(bytes)); // while the disk writes
    await written;
    this.#checkReplaced();
    journal.bytes += frame.length;
    for (const [i, { bytes }] of group.entries()) this.#add(must(leaves[i], 'leaf hash'), bytes);
    this.#scheduleCheckpoint();
    if (journal.bytes > (this.#options.journalBytesMax ?? JOURNAL_BYTES_MAX)) await this.#nextJournal();
    if (this.#publication.bytes > UNPUBLISHED_BYTES_MAX) await this.#publishOnce();
  }

  #add(leaf: Buffer, bytes: Buffer): void {
    this.#tree.append(leaf);
    this.#bundle.push(bytes);
    if (this.#bundle.length < TILE_WIDTH) return;
    this.#publication.addBundle(this.#tree.size / TILE_WIDTH - 1, this.#bundle);
    this.#bundle = [];
  }

  /**
   * A process that opens the log creates the next journal before it reads the others. So what is durable while there is
   * no later one than ours is what it reads; what becomes so afterwards may be lost, and is not acknowledged.
   */
  #checkReplaced(): void {
    const last = generations(this.#disk, this.#options.directory).at(-1) ?? 0;
    if (last > must(this.#journal, 'journal').generation) throw taken(this.#options.directory);
  }

  async #nextJournal(): Promise<void> {
    const { file: before, generation } = must(this.#journal, 'journal');
    const { directory } = this.#options;
    const file = await this.#disk.createAppendFile(journalPath(directory, generation + 1));
    await this.#disk.syncDirectory(`${directory}/${JOURNAL_DIRECTORY}`);
    this.#journal = { file, generation: generation + 1, bytes: 0 };
    await this.#writeHeader();
    await before.close();
  }

  async #writeHeader(): Promise<void> {
    const { file, generation } = must(this.#journal, 'journal');
    const base = this.#tree.size;
    const openIntents = this.#openIntentsBelow(base);
    this.#journalBases.set(generation, base);
    await file.append(encodeHeader({ v: 1, base, lastTs: this.#watch.lastTs, openIntents }));
  }

  /** Without those that wait in the queue, and with those whose outcome does. */
  #openIntentsBelow(base: number): number[] {
    const settling = this.#queue.map(({ entry }) => entry.parentSeq).filter((seq) => seq !== undefined);
    return [...this.#openIntents.keys(), ...settling].filter((seq) => seq < base).toSorted((a, b) => a - b);
  }

  #scheduleCheckpoint(): void {
    if (this.#cancelCheckpoint || this.#isClosing) return;
    this.#cancelCheckpoint = this.#clock.schedule(CHECKPOINT_MS, () => void this.publish());
  }

  /** Signs what has been acknowledged. Failures go to `onFailure`. */
  async publish(): Promise<void> {
    try {
      await this.#publishOnce();
    } catch (error) {
      this.#fail(error, []);
    }
  }

  /** One at a time; who comes while one is under way waits for the next. */
  async #publishOnce(): Promise<void> {
    while (this.#publishing) await this.#publishing;
    this.#publishing = this.#sign().finally(() => (this.#publishing = null));
    await this.#publishing;
  }

  async #sign(): Promise<void> {
    this.#cancelCheckpoint?.();
    this.#cancelCheckpoint = null;
    const { size } = this.#tree;
    if (this.#failure || size === this.#checkpoint?.size) return;
    const keys = this.#keys;
    const root = this.#tree.root();
    const state = { size, partials: this.#tree.partials(), bundle: [...this.#bundle] };
    const note = await this.#publication.publish(state, {
      sign: () => signCheckpoint({ size, root }, keys),
      check: () => this.#checkReplaced(),
    });
    this.#checkpoint = parseCheckpoint(
      note,
      keys.map(({ verifier }) => verifier),
    );
    this.#removeJournals(size);
    if (this.#tree.size > size) this.#scheduleCheckpoint();
  }

  /** Those all of whose entries are under the checkpoint; a later one begins where each ends. */
  #removeJournals(size: number): void {
    const journals = [...this.#journalBases].toSorted(([a], [b]) => a - b);
    for (const [i, [generation]] of journals.entries()) {
      const next = journals[i + 1];
      if (!next || next[1] > size) return;
      this.#disk.remove(journalPath(this.#options.directory, generation));
      this.#journalBases.delete(generation);
    }
  }

  #watchSilence(): void {
    const look = (): void => {
      if (this.#failure || this.#isClosing) return;
      const quietMs = this.#clock.monotonic() - this.#writtenAtMs;
      if (quietMs >= HEARTBEAT_MS) this.record(ownEvent(logActions.heartbeat)).catch(isReported);
      this.#cancelHeartbeat = this.#clock.schedule(
        quietMs >= HEARTBEAT_MS ? HEARTBEAT_MS : HEARTBEAT_MS - quietMs,
        look,
      );
    };
    this.#cancelHeartbeat = this.#clock.schedule(HEARTBEAT_MS, look);
  }

  /** Tells `group`, and all who wait; the first failure is told to the owner. */
  #fail(error: unknown, group: readonly Waiting[]): void {
    const isFirst = this.#failure === null;
    this.#failure ??= error instanceof AppError ? error : unavailable(this.#options.directory, error);
    for (const { reject } of [...group, ...this.#queue.splice(0)]) reject(this.#failure);
    if (!isFirst) return;
    this.#stopTimers();
    this.#options.onFailure(this.#failure);
  }

  #stopTimers(): void {
    this.#cancelCheckpoint?.();
    this.#cancelHeartbeat();
  }
}

function journalPath(directory: string, generation: number): string {
  return `${directory}/${JOURNAL_DIRECTORY}/${journalName(generation)}`;
}

/** Whoever asked for the log hears of its failure by `onFailure`. */
function isReported(error: unknown): void {
  if (!(error instanceof AppError)) throw error;
}

function unavailable(directory: string, cause: unknown): AppError {
  return new AppError(
    'AUDIT_UNAVAILABLE',
    `The audit log in ${directory} takes no entries, so nothing is changed that has to be in it.`,
    {
      cause,
      nextStep:
        'Reading and copying go on. Mend what the cause names (space, rights, the disk): a server opens its log again by itself.',
    },
  );
}

/** Whoever took it has it: to take it back would begin an exchange without an end. */
function taken(directory: string): AppError {
  return new AppError('AUDIT_UNAVAILABLE', `Another process has opened the audit log in ${directory}.`, {
    details: { isTaken: true },
    nextStep: 'A log is written by one process: stop the other one, then start this server again.',
  });
}

/** An event of the log itself. */
export function ownEvent(action: string): AuditEvent {
  return { actor: { id: 'lockstep', kind: 'system', authn: 'none' }, action, resource: { type: 'log', id: 'audit' } };
}

function clockStepEvent(stepMs: number): AuditEvent {
  const evidence = [{ kind: stepMs < 0 ? 'back-ms' : 'forward-ms', size: Math.abs(stepMs) }];
  return { ...ownEvent(logActions.clockStep), evidence };
}

/** What somebody tried to name may be longer than any resource is called, and must not escape the log by that. */
function shownId(id: string): string {
  const text = id.toWellFormed();
  return text.length <= 256
    ? text || '-'
    : `${text.slice(0, 191).toWellFormed()}~${leafHash(Buffer.from(text)).toString('hex')}`;
}
