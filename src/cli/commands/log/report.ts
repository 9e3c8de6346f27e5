import type { BundleVerification } from '#contract/log-verification.ts';
import { printable, printableJson } from '#util/printable.ts';
import { formatCount } from '../../format.ts';
import type { Io } from '../../io.ts';
import type { Verb } from '../../verb.ts';
import { readBytes, readKey } from './inputs.ts';
import { formatEntries, timeOf, VERDICT_CODES, VERDICT_EXIT_CODES } from './verify.ts';

interface Options {
  readonly vkey?: string;
  readonly json?: true;
}

export const verifyLogReport: Verb<Options> = {
  summary: 'verify an evidence bundle',
  description:
    'Reads a zip file of entries of an audit log, each with the proof that it is in the log, under one signed checkpoint. Needs nothing else than the public key of the log.\n\nExit code 0: every entry is proven. 5: tampered, or incomplete (the table names entries whose proof is not there). 1: it is no evidence bundle.',
  examples: [
    'lockstep log report evidence-2026-11.zip --vkey audit.vkey',
    'lockstep log report evidence-2026-11.zip --vkey audit.vkey --json',
  ],
  options: { '--vkey <key>': 'public key of the log, or a file that holds it' },
  takesFiles: false,
  async run({ io, host, app }, options, file) {
    const result = app.verifyEvidence(readBytes(host.disk, file), readKey(host.disk, options.vkey));
    io.out(options.json ? `${printableJson(result)}\n` : describe(io, result, file));
    return VERDICT_EXIT_CODES[result.verdict];
  },
};

function describe(io: Io, result: BundleVerification, file: string): string {
  const { verdict, origin, entries, size, from, to, isContiguous, problems } = result;
  const between = from === null || to === null ? '' : `, of ${timeOf(from)} to ${timeOf(to)}`;
  const lines = [
    io.style(
      'bold',
      printable(`${file}: ${formatEntries(entries)} of ${formatCount(size)} of ${origin ?? '(unknown)'}${between}`),
    ),
    '',
    `  ${isContiguous ? 'every entry between the first and the last is there' : 'a selection: entries between those that are there may be missing'}`,
    ...problems.map((problem) => io.style(verdict === 'incomplete' ? 'yellow' : 'red', printable(`  ${problem}`))),
    verdict === 'verified'
      ? io.style('green', '  verified.')
      : io.style('red', `  ${VERDICT_CODES[verdict]}: ${verdict}.`),
  ];
  return `${lines.join('\n')}\n`;
}
