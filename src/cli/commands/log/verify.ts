import { AppError, type ErrorCode } from '#contract/errors.ts';
import {
  incompleteKinds,
  type LogFinding,
  type LogProgress,
  type LogVerdict,
  type LogVerification,
} from '#contract/log-verification.ts';
import { printable, printableJson } from '#util/printable.ts';
import { exitCodes } from '../../exit-codes.ts';
import { formatCount, formatDuration, formatNumberOf } from '../../format.ts';
import type { Io } from '../../io.ts';
import type { Verb } from '../../verb.ts';
import { readKey, readText, unreadable } from './inputs.ts';

interface Options {
  readonly vkey?: string;
  readonly since?: string;
  readonly anchors?: string;
  readonly json?: true;
}

const PROGRESS_MS = 1_000;

export const verifyAuditLog: Verb<Options> = {
  summary: 'verify an audit log from its files',
  description:
    'Reads the directory of an audit log, without a server and without a database: hashes every entry, builds the tree anew, and compares it with the tiles, with the signed checkpoint, with an older checkpoint (--since) and with checkpoints from anchors (--anchors), and the entries with each other: sequence, times, intents and outcomes, silences, changes of the key.\n\nThe key has to come from elsewhere than the log. Without an older checkpoint or anchors nobody can see a log that was written anew by whoever has its signing key.\n\nExit code 0: verified. 5: tampered (something contradicts) or incomplete (nothing contradicts, and not everything is there); "verdict" says which. 1: there is no log.',
  examples: [
    'lockstep log verify /var/lib/lockstep/audit --vkey audit.vkey',
    'lockstep log verify ./audit --vkey audit.vkey --since checkpoint-of-march --anchors anchors.txt --json',
  ],
  options: {
    '--vkey <key>': 'public key of the log, or a file that holds it',
    '--since <checkpoint>': 'a file with an older checkpoint: the log has to go on from it',
    '--anchors <file>': 'a file with checkpoints from anchors, one behind the other',
  },
  takesFiles: false,
  async run({ io, host, app }, options, directory) {
    const key = readKey(host.disk, options.vkey);
    const since = options.since === undefined ? null : readText(host.disk, options.since);
    const anchors = options.anchors === undefined ? null : readText(host.disk, options.anchors);
    const stop = new AbortController();
    io.onInterrupt(() => stop.abort());
    const startedMs = host.clock.monotonic();
    const onProgress = progressPrinter(io, () => host.clock.monotonic(), options.json ?? false);
    let result: LogVerification;
    try {
      result = await app.verifyLogDirectory(directory, host, { key, since, anchors, signal: stop.signal, onProgress });
    } catch (error) {
      if (stop.signal.aborted) return exitCodes.interrupted;
      throw error instanceof AppError ? error : unreadable(directory, error);
    }
    const seconds = (host.clock.monotonic() - startedMs) / 1000;
    if (options.json)
      io.out(`${printableJson({ event: 'verified', code: VERDICT_CODES[result.verdict], seconds, ...result })}\n`);
    else io.out(describe(io, result, { directory, seconds }));
    return VERDICT_EXIT_CODES[result.verdict];
  },
};

export const VERDICT_EXIT_CODES: Readonly<Record<LogVerdict, number>> = {
  verified: exitCodes.ok,
  tampered: exitCodes.findings,
  incomplete: exitCodes.findings,
  error: exitCodes.failed,
};

/** As docs/errors.md has them. */
export const VERDICT_CODES = {
  verified: null,
  tampered: 'LOG_TAMPERED',
  incomplete: 'LOG_INCOMPLETE',
  error: 'LOG_INVALID',
} as const satisfies Record<LogVerdict, ErrorCode | null>;

/** Once a second, and nothing for what is done within the first. */
function progressPrinter(io: Io, nowMs: () => number, isJson: boolean): (progress: LogProgress) => void {
  let nextMs = nowMs() + PROGRESS_MS;
  return ({ entries, size }) => {
    if (nowMs() < nextMs) return;
    nextMs = nowMs() + PROGRESS_MS;
    if (isJson) io.out(`${printableJson({ event: 'progress', entries, size })}\n`);
    else io.err(io.style('dim', `${formatCount(entries)} of ${formatEntries(size)}\n`));
  };
}

function describe(
  io: Io,
  result: LogVerification,
  { directory, seconds }: { directory: string; seconds: number },
): string {
  if (result.verdict === 'error')
    return `${io.style('red', printable(`LOG_INVALID: there is no checkpoint in ${directory}.`))}\n`;
  const lines = [
    io.style('bold', printable(`Audit log ${result.origin ?? '(unknown)'}: ${formatEntries(result.size)}`)),
    '',
    `  root         ${result.root ?? '–'}`,
    printable(`  signed by    ${result.signedBy ?? '–'}`),
    `  time         ${timeOf(result.from)} to ${timeOf(result.to)}`,
    `  read         ${formatEntries(result.entries)} in ${seconds.toFixed(1)} s`,
    `  starts       ${formatCount(result.starts)}, ${formatNumberOf(result.rotations, 'change')} of the key`,
    `  compared     ${comparedWith(result)}`,
    ...(result.openIntents.length === 0
      ? []
      : [`  under way    ${formatEntries(result.openIntents.length)} at the end without an outcome yet`]),
    ...result.silences
      .filter(({ endsWithStart }) => endsWithStart)
      .map(({ seq, ms }) => `  not running  ${formatDuration(ms)} before entry ${formatCount(seq)}`),
    '',
    ...result.findings.map((finding) => describeFinding(io, finding)),
    ...moreOf(result),
    describeVerdict(io, result),
  ];
  return `${lines.join('\n')}\n`;
}

function comparedWith({ since, anchors }: LogVerification): string {
  const parts = [
    ...(since === null ? [] : [`the checkpoint of ${formatEntries(since)}`]),
    ...(anchors === null
      ? []
      : [
          `${formatNumberOf(anchors.checked, 'anchor')}${anchors.ignored > 0 ? `, ${formatCount(anchors.ignored)} of others ignored` : ''}`,
        ]),
  ];
  return parts.length === 0
    ? 'with nothing outside of it: only an older checkpoint or anchors show a log that was written anew'
    : parts.join(', ');
}

function describeFinding(io: Io, { kind, seq, message }: LogFinding): string {
  const style = incompleteKinds.some((each) => each === kind) ? 'yellow' : 'red';
  return io.style(style, printable(`  ${kind}${seq === null ? '' : ` at entry ${formatCount(seq)}`}: ${message}`));
}

/** Of kinds of which not all are shown. */
function moreOf({ counts, findings }: LogVerification): string[] {
  return Object.entries(counts).flatMap(([kind, count]) => {
    const more = count - findings.filter((finding) => finding.kind === kind).length;
    return more > 0 ? [`  ${kind}: ${formatCount(more)} more`] : [];
  });
}

function describeVerdict(io: Io, { verdict }: LogVerification): string {
  switch (verdict) {
    case 'verified':
      return io.style('green', '  verified.');
    case 'incomplete':
      return io.style('yellow', `  ${VERDICT_CODES[verdict]}: nothing contradicts, and not everything is there.`);
    case 'tampered':
      return io.style('red', `  ${VERDICT_CODES[verdict]}: something contradicts.`);
    case 'error':
      return io.style('red', `  ${VERDICT_CODES[verdict]}: there is no log.`);
  }
}

export function formatEntries(count: number): string {
  return `${formatCount(count)} ${count === 1 ? 'entry' : 'entries'}`;
}

/** Day and time in UTC. */
export function timeOf(ts: number | null): string {
  return ts === null ? '–' : `${new Date(ts).toISOString().slice(0, 19)}Z`;
}
