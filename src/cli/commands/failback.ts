import { AppError } from '#contract/errors.ts';
import { failbackDecisions, type Exporter, type FailbackDecision, type FailbackReport } from '#contract/failover.ts';
import type { Disk } from '#util/host.ts';
import { printable, printableJson } from '#util/printable.ts';
import type { CommonOptions } from '../context.ts';
import { exitCodes } from '../exit-codes.ts';
import { readMirrors } from '../files.ts';
import { formatCount, formatNumberOf, formatTable } from '../format.ts';
import type { Io } from '../io.ts';
import type { Verb } from '../verb.ts';
import { mirrorOf } from './failover.ts';

interface Options extends CommonOptions {
  readonly mirror?: string;
  readonly diverged?: string;
  readonly export?: string;
  readonly yes?: true;
  readonly dryRun?: true;
}

export const failback: Verb<Options> = {
  summary: 'lead back to the old primary after a failover',
  description:
    'Shows the records that only the old primary has, and changes nothing; with --export they are written to a file, one JSON object a line. With --yes the mirrored topics are deleted on the old primary, so that a mirror the other way round, which is printed, can copy them back with the same offsets, and producers are not denied there any more. Where there are records that only the old primary has, --yes needs a decision, which is recorded.\n\nExit code 3 where something would be deleted, 0 after it was, 5 where something stands in the way.',
  examples: [
    'lockstep failback -f link.yaml',
    'lockstep failback -f link.yaml --export only-east.jsonl',
    'lockstep failback -f link.yaml --diverged export --export only-east.jsonl --yes',
    'lockstep failback -f link.yaml --diverged replay --yes',
    'lockstep failback -f link.yaml --diverged discard --yes',
  ],
  options: {
    '--mirror <name>': 'which one, where the files hold several',
    '--diverged <what>':
      'what becomes of records that only the old primary has: export, replay (they are written to the new primary) or discard',
    '--export <file>':
      'write them to this file, which is written anew, unless it holds what an earlier call has deleted since',
    '--yes': 'delete the topics on the old primary; without it nothing is changed',
    '--dry-run': 'show what would be done, also beside --yes',
  },
  async run({ io, host, app }, options) {
    const documents = readMirrors(host.disk, options.file);
    const mirror = mirrorOf(documents.mirrors, options.mirror);
    const exportTo = options.export ?? null;
    const decision = parseDecision(options.diverged);
    const report = await app.failBackMirror(documents, host, {
      mirror,
      decision,
      isConfirmed: (options.yes ?? false) && !options.dryRun,
      exporter: exportTo === null ? null : exporterOf(host.disk, exportTo),
    });
    io.out(options.json ? `${printableJson({ event: 'failback', ...report })}\n` : describe(io, report));
    return report.isDone ? exitCodes.ok : exitCodes.pending;
  },
};

function exporterOf(disk: Disk, file: string): Exporter {
  const partial = `${file}.partial`;
  let isBegun = false;
  return {
    file,
    begin: () => {
      isBegun = true;
      disk.writeText(partial, '');
    },
    add: (records) => disk.appendText(partial, records.map((record) => `${JSON.stringify(record)}\n`).join('')),
    finish: () => {
      try {
        disk.sync(partial);
        disk.rename(partial, file);
      } catch (error) {
        if (isBegun || (error as NodeJS.ErrnoException).code !== 'ENOENT') throw error;
        refuseMissing(disk, file); // an earlier call, which wrote it, has come that far
      }
    },
  };
}

/** What it holds is deleted next, or is deleted already. */
function refuseMissing(disk: Disk, file: string): void {
  try {
    disk.rename(file, file); // does nothing where there is one, however large it is
  } catch (cause) {
    throw new AppError('FAILOVER_REFUSED', `${file}, to which an earlier call exported, is not here.`, {
      cause,
      nextStep:
        'Give the command where that call ran, or put the file back; another name for --export writes anew what is still on the old primary.',
    });
  }
}

function parseDecision(text: string | undefined): FailbackDecision | null {
  if (text === undefined) return null;
  const found = failbackDecisions.find((each) => each === text);
  if (found !== undefined) return found;
  throw new AppError('REQUEST_INVALID', `--diverged does not know "${text}"`, {
    nextStep: `Write ${failbackDecisions.join(', ')}.`,
  });
}

function describe(io: Io, report: FailbackReport): string {
  const { mirror, oldPrimary, newPrimary, diverged, records, topics, kept, exportedTo, isDone } = report;
  const [titles = '', ...rows] = formatTable(
    [
      { title: 'PARTITION' },
      { title: 'CUT', align: 'right' },
      { title: 'ENDS AT', align: 'right' },
      { title: 'RECORDS', align: 'right' },
    ],
    diverged.map((each) => [
      `${each.topic}/${each.partition}`,
      formatCount(each.from),
      formatCount(each.to),
      formatCount(each.records),
    ]),
  );
  const lines = [
    io.style('bold', printable(`Failback of mirror ${mirror}: ${newPrimary} → ${oldPrimary}`)),
    `  ${formatNumberOf(records, 'record')} only on ${printable(oldPrimary)}${exportedTo === null ? '' : printable(`, written to ${exportedTo}`)}`,
    ...(rows.length > 0 ? ['', `  ${io.style('dim', titles)}`, ...rows.map((row) => `  ${row}`)] : []),
    '',
    `  ${isDone ? 'Deleted' : 'Would delete'} on ${printable(oldPrimary)}: ${topics.length === 0 ? 'nothing' : printable(topics.join(', '))}`,
    ...(kept.length > 0 ? [`  Kept as they are: ${printable(kept.join(', '))}`] : []),
    ...report.next.map((text) => printable(`  ${text}`)),
    '',
    ...report.document.trimEnd().split('\n').map(printable),
  ];
  return `${lines.join('\n')}\n`;
}
