/** A server or a worker from its start to its end: what it says goes to the terminal, and to its log. */
import { resolveOptions, type OptionSources } from '#contract/option-values.ts';
import type { ServeEvent } from '#contract/serve-events.ts';
import type { RunEvent } from '#contract/status.ts';
import type { Context } from '../context.ts';
import { exitCodes } from '../exit-codes.ts';
import { type ConfigOptions, readSources } from '../options.ts';
import { openEventLog } from './event-log.ts';
import { printProcess } from './process-printer.ts';

export interface ProcessOptions extends ConfigOptions {
  readonly json?: true;
}

export interface Running {
  /** Read anew at each call. */
  readonly sources: () => OptionSources;
  readonly version: string;
  /** Aborts when somebody wants it to end. */
  readonly signal: AbortSignal;
  readonly onEvent: (event: ServeEvent | RunEvent) => void;
}

/** Returns the exit code. Throws what `start` throws. */
export async function runProcess(
  context: Context,
  options: ProcessOptions,
  { name, start }: { readonly name: 'serve' | 'worker'; readonly start: (running: Running) => Promise<void> },
): Promise<number> {
  const sources = (): OptionSources => readSources(context, options, name);
  const log = await openEventLog(context, resolveOptions(sources()).values, name);
  const print = printProcess(context, { isJson: options.json === true });
  const stop = new AbortController();
  context.io.onInterrupt(() => stop.abort());
  try {
    await start({
      sources,
      version: context.version,
      signal: stop.signal,
      onEvent(event) {
        log?.write(event);
        print(event);
      },
    });
  } finally {
    await log?.close();
  }
  return exitCodes.ok;
}
