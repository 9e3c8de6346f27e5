import { resolveOptions, type OptionSources } from '#contract/option-values.ts';
import { exitCodes } from '../exit-codes.ts';
import { type ConfigOptions, optionFlags, readSources } from '../options.ts';
import { openEventLog } from '../progress/event-log.ts';
import { printProcess } from '../progress/process-printer.ts';
import type { Verb } from '../verb.ts';

interface Options extends ConfigOptions {
  readonly json?: true;
}

export const worker: Verb<Options> = {
  summary: "run a server's jobs in one more process",
  description:
    "Runs the jobs of a server's database (PostgreSQL) beside it, until SIGTERM or Ctrl-C: the partitions of each mirror are shared between the processes, and those of one that is gone go to the others. Secrets of clusters have to be where they are named on this machine too.\n\nExit code 0 after SIGTERM or Ctrl-C, 1 when it could not begin, 2 when an option is wrong.",
  examples: [
    'LOCKSTEP_DATABASE_URL=postgres://lockstep@db/lockstep lockstep worker',
    'lockstep worker --config /etc/lockstep/lockstep.yaml --metrics 9464',
  ],
  options: optionFlags('worker'),
  takesFiles: false,
  async run(context, options) {
    const { io, host, app, version } = context;
    const sources = (): OptionSources => readSources(context, options, 'worker');
    const log = await openEventLog(context, resolveOptions(sources()).values, 'worker');
    const print = printProcess(context, { isJson: options.json === true });
    const stop = new AbortController();
    io.onInterrupt(() => stop.abort());
    try {
      await app.work(host, {
        sources,
        version,
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
  },
};
