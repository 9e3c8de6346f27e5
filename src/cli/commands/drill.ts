import { AppError } from '#contract/errors.ts';
import type { FailoverEvidence } from '#contract/failover.ts';
import { printable, printableJson } from '#util/printable.ts';
import type { CommonOptions } from '../context.ts';
import { exitCodes } from '../exit-codes.ts';
import { readMirrors } from '../files.ts';
import { formatCount, formatDuration, formatNumberOf } from '../format.ts';
import type { Io } from '../io.ts';
import type { Verb } from '../verb.ts';
import { describeLoss, mirrorOf, parseCount, printerOf, unlessInterrupted } from './failover.ts';

interface Options extends CommonOptions {
  readonly mirror?: string;
  readonly copies?: string;
  readonly keep?: true;
  readonly drainWithin?: string;
  readonly verifyTail?: string;
  readonly verifyWithin?: string;
  readonly evidence?: string;
}

export const drill: Verb<Options> = {
  summary: 'rehearse a failover without changing anything',
  description:
    'Goes through the steps of a failover while the mirror runs on, and only looks: whether producers could be kept out, how long the rest takes to be copied, whether the ends of both sides are the same, what would be cut in two, which consumer groups would move. Each step is timed. Nothing is written to either cluster.\n\nWith --copies the failover is really done, of copies beside the live topics: they are made of the source by a mirror of their own, under names that begin with the prefix, drained, compared, cut and promoted, and consumer groups get their places on them under names that begin with it too. Then all of it is deleted, unless --keep is given. The mirror, its topics and its groups are not touched.\n\nExit code 5 where source and target differ, else 0.',
  examples: [
    'lockstep drill -f link.yaml',
    'lockstep drill -f link.yaml --evidence drill.json',
    'lockstep drill -f link.yaml --copies drill. --evidence drill.json',
  ],
  options: {
    '--mirror <name>': 'which one, where the files hold several',
    '--copies <prefix>': 'fail copies over, under names that begin so',
    '--keep': 'do not delete the copies, so that consumers can be tried on them',
    '--drain-within <seconds>': 'how long the rest may take to be copied; 60 by default',
    '--verify-tail <offsets>':
      'how many offsets at the end of each partition are compared; 10000 by default, 0 for none',
    '--verify-within <seconds>': 'how long that may take; 30 by default',
    '--evidence <file>': 'write what was found and measured as JSON',
  },
  async run(context, options) {
    const { io, host, app } = context;
    const documents = readMirrors(host.disk, options.file);
    const stop = new AbortController();
    io.onInterrupt(() => stop.abort());
    const drilling = app.drillMirror(documents, host, {
      mirror: mirrorOf(documents.mirrors, options.mirror),
      isSourceLost: false,
      copies: copiesOf(options),
      drainWithinMs: 1_000 * parseCount('--drain-within', options.drainWithin ?? '60'),
      verifyTail: parseCount('--verify-tail', options.verifyTail ?? '10000'),
      verifyWithinMs: 1_000 * parseCount('--verify-within', options.verifyWithin ?? '30'),
      signal: stop.signal,
      onEvent: printerOf(context, options.json ?? false),
    });
    const evidence = await unlessInterrupted(context, drilling, { signal: stop.signal, json: options.json ?? false });
    if (evidence === null) return exitCodes.interrupted;
    if (options.evidence !== undefined)
      host.disk.writeText(options.evidence, `${JSON.stringify({ version: context.version, ...evidence }, null, 2)}\n`);
    io.out(options.json ? `${printableJson({ event: 'drill', ...evidence })}\n` : describe(io, evidence));
    if (stop.signal.aborted) return exitCodes.interrupted; // what it found is what it had looked at
    return (evidence.verified?.different ?? 0) > 0 ? exitCodes.findings : exitCodes.ok;
  },
};

function copiesOf({ copies: prefix, keep }: Options): { prefix: string; isKept: boolean } | null {
  if (prefix !== undefined) return { prefix, isKept: keep ?? false };
  if (!keep) return null;
  throw new AppError('REQUEST_INVALID', '--keep says nothing without --copies', {
    nextStep: 'Name the prefix of the copies, as in --copies drill.',
  });
}

function describe(io: Io, evidence: FailoverEvidence): string {
  const { mirror, source, target, rtoMs, rpo, transactions, copies } = evidence;
  if (copies) return describeCopies(io, evidence, copies);
  const lines = [
    io.style('bold', printable(`Drill of mirror ${mirror}: ${source} → ${target}; nothing was changed`)),
    `  time         ${formatDuration(rtoMs)} for all steps, as far as looking goes`,
    `  RPO          with the source lost when it began: ${describeLoss(rpo)}`,
    `  transactions ${formatCount(transactions.length)} would have been cut in two then`,
  ];
  return `${lines.join('\n')}\n`;
}

function describeCopies(
  io: Io,
  { mirror, source, target, rtoMs, rpo, next }: FailoverEvidence,
  { prefix, topics, copiedMs, behind, isKept }: NonNullable<FailoverEvidence['copies']>,
): string {
  const head = `Drill of mirror ${mirror}: ${source} → ${target}, on copies of ${formatNumberOf(topics, 'topic')} (${prefix}…)`;
  const lines = [
    io.style('bold', printable(head)),
    `  copies       made in ${formatDuration(copiedMs)}, ${isKept ? 'kept' : 'deleted again'}; at the cut: ${describeLoss(behind)}`,
    `  RTO          ${formatDuration(rtoMs)} for all steps, with producers that went on`,
    `  RPO          of the live mirror, with the source lost when it began: ${describeLoss(rpo)}`,
    ...next.map((text) => printable(`  ${text}`)),
  ];
  return `${lines.join('\n')}\n`;
}
