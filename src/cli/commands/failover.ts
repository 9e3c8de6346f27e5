import { AppError } from '#contract/errors.ts';
import type { FailoverEvent, FailoverEvidence, FailoverLoss, FailoverPlan } from '#contract/failover.ts';
import type { Documents, MirrorResource } from '#contract/resources.ts';
import type { RunEvent } from '#contract/status.ts';
import { printable, printableJson } from '#util/printable.ts';
import type { CommonOptions, Context } from '../context.ts';
import { exitCodes } from '../exit-codes.ts';
import { readMirrors } from '../files.ts';
import { formatCount, formatDuration, formatNumberOf } from '../format.ts';
import type { Io } from '../io.ts';
import { LinePrinter } from '../progress/line-printer.ts';
import { reportError } from '../report-error.ts';
import type { Verb } from '../verb.ts';

interface Options extends CommonOptions {
  readonly mirror?: string;
  readonly yes?: true;
  readonly dryRun?: true;
  readonly abandon?: true;
  readonly sourceLost?: true;
  readonly force?: true;
  /** False with --no-fence. */
  readonly fence?: boolean;
  readonly settleWithin?: string;
  readonly drainWithin?: string;
  readonly groupsWithin?: string;
  readonly verifyTail?: string;
  readonly verifyWithin?: string;
  readonly evidence?: string;
}

export const failover: Verb<Options> = {
  summary: 'move producers and consumers of a mirror to its target',
  description:
    'Shows what would be done, and changes nothing. With --yes it is done, step by step: producers are kept out of the source (an ACL that denies WRITE, where the source answers and has an authorizer), what they wrote is copied to the end, every process of the mirror stops, the ends of both sides are compared, transactions that the end of the copy cuts in two are aborted on the target, consumer groups get their places, and the mirror is marked as failed over: it refuses to run from then on.\n\nEach step is kept in the state topic of the target. Whatever interrupts it: the same command goes on where it stopped. docs/failover.md says what is promised and what is not.\n\nExit code 3 where nothing was done yet, 0 when producers and consumers may start on the target, 5 where something stands in the way.',
  examples: [
    'lockstep failover -f link.yaml',
    'lockstep failover -f link.yaml --yes --evidence failover.json',
    'lockstep failover -f link.yaml --source-lost --yes',
    'lockstep failover -f link.yaml --abandon',
  ],
  options: {
    '--mirror <name>': 'which one, where the files hold several',
    '--yes': 'do it; without it nothing is changed',
    '--dry-run': 'show what would be done, also beside --yes',
    '--source-lost': 'give the source up: do not ask it for anything',
    '--no-fence': 'do not keep producers out of the source: they are stopped already',
    '--force': 'go on although partitions have stopped, differ, or are not copied to the end',
    '--abandon': 'give up a failover that is not done, so that the mirror can run again',
    '--settle-within <seconds>': 'how long transactions of the source may take to end behind the fence; 90 by default',
    '--drain-within <seconds>': 'how long the rest may take to be copied; 300 by default',
    '--groups-within <seconds>': 'how long consumers of the source may take to read to the end; 10 by default',
    '--verify-tail <offsets>':
      'how many offsets at the end of each partition are compared; 10000 by default, 0 for none',
    '--verify-within <seconds>': 'how long that may take; 30 by default',
    '--evidence <file>': 'write what was done, found and measured as JSON',
  },
  async run(context, options) {
    const { io, host, app } = context;
    const documents = readMirrors(host.disk, options.file);
    const mirror = mirrorOf(documents.mirrors, options.mirror);
    const which = { mirror, isSourceLost: options.sourceLost ?? false };
    if (options.abandon && options.dryRun)
      throw new AppError('REQUEST_INVALID', '--dry-run shows nothing of --abandon', {
        nextStep: 'Leave one of them out; "lockstep failover -f FILE" shows how far the failover came.',
      });
    if (options.abandon) {
      await app.abandonMirrorFailover(documents, host, which);
      const text = `The failover of mirror ${mirror.metadata.name} is given up; it can run again.`;
      io.out(
        options.json
          ? `${printableJson({ event: 'failover-abandoned', mirror: mirror.metadata.name })}\n`
          : `${text}\n`,
      );
      return exitCodes.ok;
    }
    if (!options.yes || options.dryRun) {
      const plan = await app.planMirrorFailover(documents, host, which);
      io.out(options.json ? `${printableJson({ event: 'failover-plan', ...plan })}\n` : describePlan(io, plan));
      return plan.isPromoted ? exitCodes.ok : exitCodes.pending;
    }
    const stop = new AbortController();
    io.onInterrupt(() => stop.abort());
    const doing = doIt(context, { documents, mirror, options, signal: stop.signal });
    const evidence = await unlessInterrupted(context, doing, { signal: stop.signal, json: options.json ?? false });
    if (evidence === null) return exitCodes.interrupted;
    if (options.evidence !== undefined)
      host.disk.writeText(options.evidence, `${JSON.stringify({ version: context.version, ...evidence }, null, 2)}\n`);
    io.out(options.json ? `${printableJson({ event: 'failover', ...evidence })}\n` : describeEvidence(io, evidence));
    return exitCodes.ok;
  },
};

/** Null, and the error is told, where somebody has interrupted it. */
export async function unlessInterrupted<T>(
  { io }: Context,
  doing: Promise<T>,
  { signal, json }: { readonly signal: AbortSignal; readonly json: boolean },
): Promise<T | null> {
  try {
    return await doing;
  } catch (error) {
    if (!signal.aborted) throw error;
    reportError(io, error, { json });
    return null;
  }
}

function doIt(
  context: Context,
  of: {
    readonly documents: Documents;
    readonly mirror: MirrorResource;
    readonly options: Options;
    readonly signal: AbortSignal;
  },
): Promise<FailoverEvidence> {
  const { documents, mirror, options, signal } = of;
  return context.app.failOverMirror(documents, context.host, {
    mirror,
    isSourceLost: options.sourceLost ?? false,
    isFenced: options.fence ?? true,
    isForced: options.force ?? false,
    settleWithinMs: 1_000 * parseCount('--settle-within', options.settleWithin ?? '90'),
    drainWithinMs: 1_000 * parseCount('--drain-within', options.drainWithin ?? '300'),
    groupsWithinMs: 1_000 * parseCount('--groups-within', options.groupsWithin ?? '10'),
    verifyTail: parseCount('--verify-tail', options.verifyTail ?? '10000'),
    verifyWithinMs: 1_000 * parseCount('--verify-within', options.verifyWithin ?? '30'),
    signal,
    onEvent: printerOf(context, options.json ?? false),
  });
}

/** The one that is named, or the only one. Throws AppError RESOURCE_NOT_FOUND, REQUEST_INVALID. */
export function mirrorOf(mirrors: readonly MirrorResource[], name: string | undefined): MirrorResource {
  const names = mirrors.map(({ metadata }) => metadata.name).join(', ');
  if (name === undefined) {
    const [only, second] = mirrors;
    if (only && !second) return only;
    throw new AppError('REQUEST_INVALID', `the files hold several mirrors: ${names}`, {
      nextStep: 'Name one with --mirror, and take them one after the other.',
    });
  }
  const found = mirrors.find(({ metadata }) => metadata.name === name);
  if (found) return found;
  throw new AppError('RESOURCE_NOT_FOUND', `no file holds a Mirror "${name}"`, { nextStep: `There are: ${names}.` });
}

export function parseCount(option: string, text: string): number {
  if (/^\d{1,9}$/.test(text)) return Number(text);
  throw new AppError('REQUEST_INVALID', `${option}: "${text}" is no whole number`, {
    nextStep: `Write a whole number from 0, as in ${option} 30.`,
  });
}

/** Steps and what the mirror says while it drains; its progress is for machines only. */
export function printerOf({ io, host }: Context, isJson: boolean): (event: FailoverEvent | RunEvent) => void {
  if (isJson) return (event) => io.out(`${printableJson(event)}\n`);
  const lines = new LinePrinter(io, host.clock);
  return (event) => {
    if (event.event !== 'failover-step') return lines.print(event);
    if (event.state === 'begun') return lines.note(io.style('bold', `${event.step} …`));
    for (const text of event.said) lines.note(`  ${printable(text)}`);
    lines.note(io.style('dim', `  ${event.step}: done in ${formatDuration(event.tookMs ?? 0)}`));
  };
}

function describePlan(io: Io, plan: FailoverPlan): string {
  const { mirror, source, target, topics, partitions, lag, done } = plan;
  const lines = [
    io.style('bold', printable(`Failover of mirror ${mirror}: ${source} → ${target}`)),
    `  source       ${plan.isSourceReachable ? 'answers' : 'does not answer, or is given up'}`,
    `  copies       ${formatNumberOf(topics, 'topic')}, ${formatNumberOf(partitions, 'partition')}; ${lag === null ? 'how much is not copied is unknown' : `${formatCount(lag)} offsets not copied`}; ${formatNumberOf(plan.openTransactions, 'partition')} with an open transaction`,
    `  fence        ${plan.fence}`,
    `  groups       ${plan.groups}`,
    ...(done.length > 0 ? [`  done         ${done.join(', ')}`] : []),
    '',
    `  ${plan.isPromoted ? io.style('green', 'It is done: the target has writers of its own.') : io.style('yellow', 'Nothing was changed. --yes does it.')}`,
  ];
  return `${lines.join('\n')}\n`;
}

export function describeLoss({ records, ms }: FailoverLoss): string {
  if (records === null)
    return 'unknown: the source could not be asked, or only the mirror knows how far it is (mapped offsets)';
  if (records === 0) return 'nothing: all that the source had is on the target';
  return `${formatNumberOf(records, 'offset')} of the source not copied, the first of them ${ms === null ? 'of an unknown time' : `${formatDuration(ms)} old`}`;
}

function describeEvidence(io: Io, evidence: FailoverEvidence): string {
  const lines = [
    io.style('bold', printable(`Mirror ${evidence.mirror} is failed over: ${evidence.source} → ${evidence.target}`)),
    `  RTO          ${formatDuration(evidence.rtoMs)}, from the start of the first command`,
    `  RPO          ${describeLoss(evidence.rpo)}`,
    `  fence        ${evidence.fence?.why ?? `producers denied on ${formatNumberOf(evidence.fence?.topics.length ?? 0, 'topic')} of the source`}`,
    `  transactions ${evidence.transactions.length === 0 ? 'none was cut in two' : `${formatCount(evidence.transactions.length)} cut in two`}`,
    '',
    ...evidence.next.map((text) => printable(`  ${text}`)),
  ];
  return `${lines.join('\n')}\n`;
}
