import type { Check } from '#contract/check.ts';
import { AppError } from '#contract/errors.ts';
import { printable, printableJson } from '#util/printable.ts';
import type { Context } from '../context.ts';
import { exitCodes } from '../exit-codes.ts';
import { readDocuments } from '../files.ts';
import { type ConfigOptions, readOptions } from '../options.ts';
import type { Style } from '../io.ts';
import type { Verb } from '../verb.ts';

interface Options extends ConfigOptions {
  readonly file?: readonly string[];
  readonly json?: true;
}

const STYLES: Readonly<Record<Check['verdict'], Style>> = {
  ok: 'green',
  warning: 'yellow',
  failed: 'red',
  unknown: 'dim',
};

export const doctor: Verb<Options> = {
  summary: 'look at everything around Lockstep that could stand in its way',
  description:
    'Looks at this machine (Node, limits), the options, and with -f at the clusters and mirrors of the files: whether they answer, what their certificates say and when they end, clocks, rights and settings. Changes nothing. Each finding says what to do.\n\nExit code 5 where a check failed; warnings and what could not be learnt end with 0.',
  examples: [
    'lockstep doctor',
    'lockstep doctor -f link.yaml',
    'lockstep doctor -f link.yaml --config lockstep.yaml --json',
  ],
  options: {
    '-f, --file <file...>': 'YAML files with Cluster, Mirror and Verify documents',
    '--config <file>': 'file with options; without it the one that LOCKSTEP_CONFIG names',
  },
  takesFiles: false,
  async run(context, options) {
    const { io, host, app } = context;
    const checks = [checkOptions(context, options)];
    const documents = options.file ? readDocuments(host.disk, options.file) : null;
    checks.push(...(await app.diagnose(documents, host)));
    if (options.json) io.out(`${printableJson({ checks })}\n`);
    else for (const check of checks) io.out(linesOf(context, check));
    return checks.some(({ verdict }) => verdict === 'failed') ? exitCodes.findings : exitCodes.ok;
  },
};

function checkOptions(context: Context, options: Options): Check {
  const base = { subject: 'this machine', what: 'options' };
  try {
    const { sources } = readOptions(context, options, 'run');
    const stated = Object.values(sources).filter((source) => source !== 'default').length;
    return { ...base, verdict: 'ok', found: `valid, ${stated} stated`, nextStep: null };
  } catch (error) {
    if (!(error instanceof AppError)) throw error;
    return { ...base, verdict: 'failed', found: error.message, nextStep: error.nextStep };
  }
}

function linesOf({ io }: Context, { subject, what, verdict, found, nextStep }: Check): string {
  const lines = found.split('\n').map(printable);
  const head = `${io.style(STYLES[verdict], verdict.padEnd(7))}  ${printable(subject)}: ${printable(what)}: ${lines.join('\n           ')}\n`;
  return nextStep === null
    ? head
    : `${head}         next: ${nextStep.split('\n').map(printable).join('\n               ')}\n`;
}
