import type { EntryVerification } from '#contract/log-verification.ts';
import { printable, printableJson } from '#util/printable.ts';
import { exitCodes } from '../../exit-codes.ts';
import { formatCount } from '../../format.ts';
import type { Io } from '../../io.ts';
import type { Verb } from '../../verb.ts';
import { readKey, readText } from './inputs.ts';
import { formatEntries, timeOf } from './verify.ts';

interface Options {
  readonly vkey?: string;
  readonly json?: true;
}

export const verifyLogEntry: Verb<Options> = {
  summary: 'verify that one entry is in an audit log',
  description:
    'Reads a proof (c2sp.org/tlog-proof), which holds the entry, the path from it to the root, and the signed checkpoint, and needs nothing else than the public key of the log. Prints the entry.\n\nExit code 0: the entry is in the log that has signed the checkpoint. 5: it is not, or the proof is none.',
  examples: [
    'lockstep log entry 5512009.tlog-proof --vkey audit.vkey',
    'lockstep log entry 5512009.tlog-proof --vkey audit.vkey --json',
  ],
  options: { '--vkey <key>': 'public key of the log, or a file that holds it' },
  takesFiles: false,
  async run({ io, host, app }, options, file) {
    const result = app.verifyLogProof(readText(host.disk, file), readKey(host.disk, options.vkey));
    io.out(options.json ? `${printableJson(result)}\n` : describe(io, result));
    return result.verdict === 'verified' ? exitCodes.ok : exitCodes.findings;
  },
};

function describe(io: Io, { verdict, origin, index, size, entry, problem }: EntryVerification): string {
  if (verdict !== 'verified' || entry === null)
    return `${io.style('red', printable(`LOG_TAMPERED: ${problem ?? 'no entry'}.`))}\n`;
  const { actor, action, resource, phase, outcome, reason } = entry;
  const lines = [
    io.style('bold', printable(`Entry ${formatCount(index)} of ${formatEntries(size ?? 0)} of ${origin ?? ''}`)),
    '',
    `  time      ${timeOf(entry.ts)}`,
    printable(`  actor     ${actor.kind} ${actor.id}, ${actor.authn}`),
    printable(
      `  action    ${action}, ${phase}${outcome === undefined ? '' : ` ${outcome}`}${reason === undefined ? '' : ` ${reason}`}`,
    ),
    printable(
      `  resource  ${resource.type} ${resource.id}${resource.cluster === undefined ? '' : ` on ${resource.cluster}`}`,
    ),
    printable(`  entry     ${JSON.stringify(entry)}`),
    '',
    io.style('green', '  verified.'),
  ];
  return `${lines.join('\n')}\n`;
}
