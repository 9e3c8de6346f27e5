import type { OptionValues } from '#contract/options.ts';
import type { Documents } from '#contract/resources.ts';
import { parseUntil, type Until } from '#contract/until.ts';
import type { RunEvent } from '#contract/status.ts';
import type { RunOutcome } from '../../main.ts';
import type { CommonOptions, Context } from '../context.ts';
import { exitCodes } from '../exit-codes.ts';
import { readJobs } from '../files.ts';
import { monitoringOf } from '#contract/monitoring-settings.ts';
import { type ConfigOptions, optionFlags, readOptions } from '../options.ts';
import { openEventLog, type EventLog } from '../progress/event-log.ts';
import { JsonPrinter } from '../progress/json-printer.ts';
import { LinePrinter } from '../progress/line-printer.ts';
import { LivePrinter } from '../progress/live-printer.ts';
import type { Printer } from '../progress/printer.ts';
import type { Verb } from '../verb.ts';

interface Options extends CommonOptions, ConfigOptions {
  readonly until?: string;
}

export const run: Verb<Options> = {
  summary: 'run the mirrors and verifications of the files, no server needed',
  description:
    'Runs the mirrors of the files, and the verifications (kind Verify) that go on proving their copies, until Ctrl-C, or until --until.\n\nFiles with a Verify and no Mirror run that alone, as a process of its own with the rights of its own clusters; with --until it ends when all that both sides hold then is proven.\n\nCtrl-C ends it in good order within 10 s, a second one at once; what was acknowledged is on the target, and the next run goes on there.\n\nExit code 0 when --until was reached, 5 when a partition stopped with an incident, 1 when it could not run, 130 after Ctrl-C.',
  examples: [
    'lockstep run -f link.yaml',
    'lockstep run -f link.yaml --until caught-up',
    'lockstep run -f link.yaml --until time=30s --json',
    'lockstep run -f clusters.yaml -f link.yaml --log /var/log/lockstep',
    'lockstep run -f link.yaml --metrics 9464',
    'lockstep run -f link.yaml --config lockstep.yaml',
  ],
  options: {
    '--until <when>': 'end at: caught-up, offset=N, time=30s (5m, 2h) or time=2026-11-21T18:00:00Z',
    ...optionFlags('run'),
  },
  async run(context, options) {
    const { host } = context;
    const until = options.until === undefined ? undefined : parseUntil(options.until, host.clock.now());
    const documents = readJobs(host.disk, options.file);
    const { values } = readOptions(context, options, 'run');
    const printer = printerFor(context, options);
    const log = await openEventLog(context, values, 'run');
    try {
      return await runLogged(context, options, { until, documents, values, printer, log });
    } finally {
      await log?.close();
    }
  },
};

interface Prepared {
  readonly until: Until | undefined;
  readonly documents: Documents;
  readonly values: OptionValues;
  readonly printer: Printer;
  readonly log: EventLog | null;
}

async function runLogged(
  { io, host, app, version }: Context,
  { json }: Options,
  { until, documents, values, printer, log }: Prepared,
): Promise<number> {
  const stop = new AbortController();
  io.onInterrupt(() => {
    printer.note('stopping: waiting for what is in flight; Ctrl-C again ends at once');
    stop.abort();
  });
  if (!json) {
    const copied = documents.mirrors.map(({ metadata, spec }) => [metadata.name, spec] as const);
    const proven = documents.verifications.map(({ metadata, spec }) => [metadata.name, spec.mirror.spec] as const);
    for (const [name, spec] of [...copied, ...proven])
      printer.note(`${name}: connecting to ${spec.source} and ${spec.target}`);
  }
  const settings = monitoringOf(values);
  const show = (event: RunEvent): void => {
    log?.write(event);
    printer.print(event);
  };
  const monitoring = settings
    ? await app.openMonitoring(documents, host, { settings, version, onWarning: show })
    : null;
  if (monitoring?.address) printer.note(`metrics: http://${monitoring.address}/metrics`);
  try {
    const outcome = await app.runMirrors(documents, host, {
      ...(until === undefined ? {} : { until }),
      progressMs: printer.progressMs,
      signal: stop.signal,
      onEvent(event) {
        monitoring?.observe(event);
        show(event);
      },
    });
    return EXIT_CODES[outcome];
  } finally {
    await monitoring?.close();
  }
}

const EXIT_CODES: Readonly<Record<RunOutcome, number>> = {
  'caught-up': exitCodes.ok,
  'until-reached': exitCodes.ok,
  incidents: exitCodes.findings,
  interrupted: exitCodes.interrupted,
  failed: exitCodes.failed,
};

function printerFor({ io, host }: Context, options: Options): Printer {
  if (options.json) return new JsonPrinter(io);
  return io.isTty ? new LivePrinter(io, host.clock) : new LinePrinter(io, host.clock);
}
