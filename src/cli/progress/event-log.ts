/** What a process says of itself and of its jobs, as lines of JSON in files (`logging.…`). */
import { AppError } from '#contract/errors.ts';
import type { OptionValues } from '#contract/options.ts';
import type { ServeEvent } from '#contract/serve-events.ts';
import type { RunEvent } from '#contract/status.ts';
import { printableJson } from '#util/printable.ts';
import { RotatingLog, type RotatingLogOptions } from '#util/rotating-log.ts';
import type { Context } from '../context.ts';

/** Progress is written this often; a mirror of a thousand partitions would else write a megabyte a second. */
const PROGRESS_MS = 5_000;
const MEGABYTE = 1_000_000;

type LoggedEvent = RunEvent | ServeEvent;

export class EventLog {
  readonly #lines: Pick<RotatingLog, 'append' | 'close'>;
  readonly #progressAt = new Map<string, number>();

  constructor(lines: Pick<RotatingLog, 'append' | 'close'>) {
    this.#lines = lines;
  }

  /** Waits for nothing. */
  write(event: LoggedEvent): void {
    if (!this.#isTooSoon(event)) this.#lines.append(`${printableJson(withoutSecret(event))}\n`);
  }

  close(): Promise<void> {
    return this.#lines.close();
  }

  #isTooSoon(event: LoggedEvent): boolean {
    if (event.event !== 'progress' && event.event !== 'verifying') return false;
    const { at } = event.status;
    const of = 'job' in event.status ? `job ${event.status.job}` : event.status.mirror;
    const before = this.#progressAt.get(of);
    if (before !== undefined && Math.abs(at - before) < PROGRESS_MS) return true;
    this.#progressAt.set(of, at);
    return false;
  }
}

/** Null where `logging.directory` is not set. Throws REQUEST_INVALID: who wants a log does not start without it. */
export async function openEventLog(
  { host, io }: Pick<Context, 'host' | 'io'>,
  values: OptionValues,
  name: 'run' | 'serve' | 'worker',
): Promise<EventLog | null> {
  const directory = values['logging.directory'];
  if (directory === null) return null;
  const options: RotatingLogOptions = {
    directory,
    name,
    clock: host.clock,
    limits: {
      fileBytesMax: values['logging.maxSize'] * MEGABYTE,
      filesMax: values['logging.maxBackups'],
      ageMs: values['logging.maxAge'],
    },
    onTrouble(trouble, error) {
      const what =
        trouble === 'ended' ? 'the log ends here, all else goes on' : 'files of the log that are too old stay there';
      io.err(`${what}: ${error instanceof Error ? error.message : 'the disk refuses it'}\n`);
    },
  };
  try {
    return new EventLog(await RotatingLog.open(host.disk, options));
  } catch (cause) {
    throw new AppError('REQUEST_INVALID', `--log: cannot write to ${directory}`, {
      cause,
      nextStep: 'Name a directory that can be written.',
    });
  }
}

/** The token of the first administrator is for the terminal alone. */
function withoutSecret(event: LoggedEvent): LoggedEvent {
  return event.event === 'setup-token' ? { ...event, token: null } : event;
}
