import type { RunEvent } from '#contract/status.ts';
import type { Disk } from '#util/host.ts';
import { printableJson } from '#util/printable.ts';

/** The log of a run is this file and the one before it. */
const FILE_BYTES_MAX = 128 * 1024 * 1024;
/** Progress is written this often; a mirror of a thousand partitions would else write a megabyte a second. */
const PROGRESS_MS = 5_000;

type EventDisk = Pick<Disk, 'makeDirectory' | 'appendText' | 'rename'>;

/**
 * Appends the events of a run as lines of JSON to `DIRECTORY/run-<start>.jsonl`. Beyond 128 MiB the file becomes
 * `run-<start>.1.jsonl`, in the place of the one before, and a new one begins: a run keeps 256 MiB at most. A disk that is
 * full does not stop a mirror: `onFailure` is told once, and the log ends there.
 */
export class EventLog {
  readonly path: string;
  readonly #disk: EventDisk;
  readonly #onFailure: (error: unknown) => void;
  readonly #bytesMax: number;
  #bytes = 0;
  readonly #progressAt = new Map<string, number>();
  #failed = false;

  /** Makes the directory. Throws what the disk throws: a run that shall be logged does not start without its log. */
  constructor(
    disk: EventDisk,
    directory: string,
    options: { startedAt: number; onFailure: (error: unknown) => void; fileBytesMax?: number },
  ) {
    this.#disk = disk;
    this.#bytesMax = options.fileBytesMax ?? FILE_BYTES_MAX;
    this.#onFailure = options.onFailure;
    this.path = `${directory}/run-${new Date(options.startedAt).toISOString().replace(/[:.]/g, '-')}.jsonl`;
    disk.makeDirectory(directory);
    disk.appendText(this.path, '');
  }

  write(event: RunEvent): void {
    if (this.#failed || this.#isTooSoon(event)) return;
    try {
      this.#append(`${printableJson(event)}\n`);
    } catch (error) {
      this.#failed = true;
      this.#onFailure(error);
    }
  }

  #append(line: string): void {
    const bytes = Buffer.byteLength(line);
    if (this.#bytes + bytes > this.#bytesMax) {
      this.#disk.rename(this.path, this.path.replace(/jsonl$/, '1.jsonl'));
      this.#bytes = 0;
    }
    this.#disk.appendText(this.path, line);
    this.#bytes += bytes;
  }

  #isTooSoon(event: RunEvent): boolean {
    if (event.event !== 'progress' && event.event !== 'verifying') return false;
    const { at } = event.status;
    const of = 'job' in event.status ? `job ${event.status.job}` : event.status.mirror;
    const before = this.#progressAt.get(of);
    if (before !== undefined && Math.abs(at - before) < PROGRESS_MS) return true;
    this.#progressAt.set(of, at);
    return false;
  }
}
