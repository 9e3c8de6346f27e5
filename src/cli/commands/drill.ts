import type { FailoverEvidence } from '#contract/failover.ts';
import { printable, printableJson } from '#util/printable.ts';
import type { CommonOptions } from '../context.ts';
import { exitCodes } from '../exit-codes.ts';
import { readMirrors } from '../files.ts';
import { formatCount, formatDuration } from '../format.ts';
import type { Io } from '../io.ts';
import type { Verb } from '../verb.ts';
import { describeLoss, mirrorOf, parseCount, printerOf } from './failover.ts';

interface Options extends CommonOptions {
  readonly mirror?: string;
  readonly drainWithin?: string;
  readonly verifyTail?: string;
  readonly verifyWithin?: string;
  readonly evidence?: string;
}

export const drill: Verb<Options> = {
  summary: 'rehearse a failover without changing anything',
  description:
    'Goes through the steps of a failover while the mirror runs on, and only looks: whether producers could be kept out, how long the rest takes to be copied, whether the ends of both sides are the same, what would be cut in two, which consumer groups would move. Each step is timed. Nothing is written to either cluster.\n\nExit code 5 where source and target differ, else 0.',
  examples: ['lockstep drill -f link.yaml', 'lockstep drill -f link.yaml --evidence drill.json'],
  options: {
    '--mirror <name>': 'which one, where the files hold several',
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
    const evidence = await app.drillMirror(documents, host, {
      mirror: mirrorOf(documents.mirrors, options.mirror),
      isSourceLost: false,
      drainWithinMs: 1_000 * parseCount('--drain-within', options.drainWithin ?? '60'),
      verifyTail: parseCount('--verify-tail', options.verifyTail ?? '10000'),
      verifyWithinMs: 1_000 * parseCount('--verify-within', options.verifyWithin ?? '30'),
      signal: stop.signal,
      onEvent: printerOf(context, options.json ?? false),
    });
    if (options.evidence !== undefined)
      host.disk.writeText(options.evidence, `${JSON.stringify({ version: context.version, ...evidence }, null, 2)}\n`);
    io.out(options.json ? `${printableJson({ event: 'drill', ...evidence })}\n` : describe(io, evidence));
    return (evidence.verified?.different ?? 0) > 0 ? exitCodes.findings : exitCodes.ok;
  },
};

function describe(io: Io, { mirror, source, target, rtoMs, rpo, transactions }: FailoverEvidence): string {
  const lines = [
    io.style('bold', printable(`Drill of mirror ${mirror}: ${source} → ${target}; nothing was changed`)),
    `  time         ${formatDuration(rtoMs)} for all steps, as far as looking goes`,
    `  RPO          with the source lost when it began: ${describeLoss(rpo)}`,
    `  transactions ${formatCount(transactions.length)} would have been cut in two then`,
  ];
  return `${lines.join('\n')}\n`;
}
