/**
 * Lines in files of a bounded size, number and age, for their owner alone.
 *
 * Lines are written to `NAME-<start>.jsonl`. Before it would become too large it is moved aside, to `NAME-<start>.<number>.jsonl`, and
 * a new one begun: each of these steps leaves every line in one file, once, so a process that is killed between them loses
 * nothing, and the next one has a file of its own. Whoever appends waits for nothing: a disk that hangs delays the lines alone.
 */
import { type Clock, sleep } from './clock.ts';
import type { AppendFile, Disk } from './host.ts';

export type LogDisk = Pick<Disk, 'makeDirectory' | 'createAppendFile' | 'move' | 'discard' | 'filesOf'>;

export interface LogLimits {
  /** A line that is larger alone has a file of its own. */
  readonly fileBytesMax: number;
  /** Files besides the one that is written to. */
  readonly filesMax: number;
  /** Since they were written to last. */
  readonly ageMs: number;
}

export interface RotatingLogOptions {
  readonly directory: string;
  readonly name: string;
  readonly limits: LogLimits;
  readonly clock: Clock;
  /** Once, where nothing more is written; and each time that old files could not be taken away. */
  readonly onTrouble: (trouble: 'ended' | 'kept', error: unknown) => void;
}

/** What may wait for the disk. */
const WAITING_CHARS_MAX = 16 * 1024 * 1024;
/** Another process may still write to a file without a number that was written to since then. */
const LIVE_MS = 10 * 60_000;
const LOOK_MS = 3_600_000;
const CLOSE_MS = 2_000;
/** Of processes that start in the same millisecond. */
const NAMES_MAX = 100;

export class RotatingLog {
  readonly #disk: LogDisk;
  readonly #options: RotatingLogOptions;
  readonly #stem: string;
  #file: AppendFile;
  #bytes = 0;
  #moved = 0;
  #lookedAt: number;
  #waiting: string[] = [];
  #waitingChars = 0;
  #writing: Promise<void> | null = null;
  #isEnded = false;

  private constructor(disk: LogDisk, options: RotatingLogOptions, { stem, file }: { stem: string; file: AppendFile }) {
    this.#disk = disk;
    this.#options = options;
    this.#stem = stem;
    this.#file = file;
    this.#lookedAt = options.clock.monotonic();
  }

  /** Makes the directory, begins a file and takes old ones away. Rejects with what the disk says where it cannot begin. */
  static async open(disk: LogDisk, options: RotatingLogOptions): Promise<RotatingLog> {
    disk.makeDirectory(options.directory);
    const log = new RotatingLog(disk, options, await begin(disk, options));
    await log.#takeAway();
    return log;
  }

  /** The file that is written to. */
  get path(): string {
    return pathOf(this.#options.directory, `${this.#stem}.jsonl`);
  }

  /** With its line feed. */
  append(line: string): void {
    if (this.#isEnded) return;
    this.#waiting.push(line);
    this.#waitingChars += line.length;
    if (this.#waitingChars > WAITING_CHARS_MAX) this.#end(new Error('the disk does not keep up'));
    else this.#writing ??= this.#write().finally(() => (this.#writing = null));
  }

  /** Resolves when what was appended is in a file, and survives the loss of power, or never will be. */
  async written(): Promise<void> {
    await this.#writing;
  }

  /** Gives the disk some time for what still waits. */
  async close(): Promise<void> {
    const { clock } = this.#options;
    const isDone = new AbortController();
    const late = sleep(clock, CLOSE_MS, isDone.signal).then(() => {
      if (!isDone.signal.aborted) this.#end(new Error('the disk does not answer'));
    });
    await Promise.race([this.written(), late]);
    isDone.abort();
    if (this.#isEnded) return;
    this.#isEnded = true;
    await this.#file.close();
  }

  async #write(): Promise<void> {
    try {
      while (this.#waiting.length > 0 && !this.#isEnded) {
        if (this.#options.clock.monotonic() - this.#lookedAt >= LOOK_MS) await this.#takeAway();
        await this.#writePart();
      }
    } catch (error) {
      this.#end(error);
    }
  }

  /** As many lines as the file has room for. */
  async #writePart(): Promise<void> {
    const { fileBytesMax } = this.#options.limits;
    const parts: Buffer[] = [];
    let bytes = this.#bytes;
    for (const line of this.#waiting) {
      const part = Buffer.from(line);
      if (bytes > 0 && bytes + part.length > fileBytesMax) break;
      bytes += part.length;
      parts.push(part);
    }
    if (parts.length === 0) return this.#rotate();
    await this.#file.append(Buffer.concat(parts));
    this.#bytes = bytes;
    for (const line of this.#waiting.splice(0, parts.length)) this.#waitingChars -= line.length;
  }

  async #rotate(): Promise<void> {
    const { directory } = this.#options;
    await this.#file.close();
    await this.#disk.move(this.path, pathOf(directory, `${this.#stem}.${++this.#moved}.jsonl`));
    this.#file = await this.#disk.createAppendFile(this.path);
    this.#bytes = 0;
    await this.#takeAway();
  }

  #end(error: unknown): void {
    if (this.#isEnded) return;
    this.#isEnded = true;
    this.#waiting = [];
    this.#options.onTrouble('ended', error);
  }

  /** Files of earlier runs among them: a process that is started again and again fills no disk either. */
  async #takeAway(): Promise<void> {
    const { clock, directory, name, limits, onTrouble } = this.#options;
    this.#lookedAt = clock.monotonic();
    try {
      const now = clock.now();
      const isOurs = new RegExp(`^${name}-[\\dTZ-]+(\\.\\d+)?\\.jsonl$`);
      const old = (await this.#disk.filesOf(directory))
        .filter((file) => isOurs.test(file.name) && pathOf(directory, file.name) !== this.path)
        .toSorted((a, b) => b.writtenAt - a.writtenAt || b.name.localeCompare(a.name, 'en', { numeric: true }));
      const isMoved = (file: string): boolean => /\.\d+\.jsonl$/.test(file);
      const gone = old.filter(
        ({ name: file, writtenAt }, i) =>
          now - writtenAt > limits.ageMs || (i >= limits.filesMax && (isMoved(file) || now - writtenAt > LIVE_MS)),
      );
      for (const file of gone) await this.#disk.discard(pathOf(directory, file.name));
    } catch (error) {
      onTrouble('kept', error);
    }
  }
}

async function begin(
  disk: LogDisk,
  { directory, name, clock }: RotatingLogOptions,
): Promise<{ stem: string; file: AppendFile }> {
  const first = `${name}-${new Date(clock.now()).toISOString().replace(/[:.]/g, '-')}`;
  for (let number = 1; ; number++) {
    const stem = number === 1 ? first : `${first}-${number}`;
    try {
      return { stem, file: await disk.createAppendFile(pathOf(directory, `${stem}.jsonl`)) };
    } catch (error) {
      const isTaken = error instanceof Error && 'code' in error && error.code === 'EEXIST';
      if (!isTaken || number === NAMES_MAX) throw error;
    }
  }
}

function pathOf(directory: string, file: string): string {
  return `${directory}/${file}`;
}
