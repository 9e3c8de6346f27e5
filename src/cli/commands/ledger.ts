import type { ExportedLedger } from '#contract/exported-ledger.ts';
import { printable, printableJson } from '#util/printable.ts';
import { AppError } from '#contract/errors.ts';
import type { CommonOptions } from '../context.ts';
import { exitCodes } from '../exit-codes.ts';
import { readMirrors } from '../files.ts';
import { formatCount, formatTable } from '../format.ts';
import type { Verb } from '../verb.ts';
import { parsePlace } from './rebuild.ts';

interface Options extends CommonOptions {
  readonly recount?: string;
}

const RECOUNT_MAX = 100_000;
const NO_MAP = 'There is no map: its offsets are identical, or nothing of it was copied yet.\n';

export const ledger: Verb<Options> = {
  summary: 'show what became of each source offset, and where it lies',
  description:
    'Shows the ledger and the offset map of a topic whose offsets are mapped, as its mirror has saved them (10 s ago at most while it runs): source offsets delivered, control, aborted, compacted, filtered, dead-lettered and lost at the source (what the source has removed before it was copied, where nobody else writes to the target), and the runs of records with their place on both sides. --json has every run. TOPIC is the name on the source, and stands before -f.\n\nThe newest 100,000 offsets of each partition are read from the source, and recounted by the headers of its batches. UNEXPLAINED is the number of offsets of which the ledger says something else than those, or nothing; it has to be 0, and the exit code is 5 where it is not.\n\nWhat lies below FROM was forgotten, because the target has none of it any more. Where offsets are identical there is no map; "lockstep verify" accounts for them.',
  examples: [
    'lockstep ledger orders -f link.yaml',
    'lockstep ledger orders/3 -f link.yaml --json | jq .partitions[].map',
  ],
  options: {
    '--recount <offsets>': 'as many at the end of each partition are recounted; "all" for all of them, 0 for none',
  },
  async run({ io, host, app }, options, argument) {
    const documents = readMirrors(host.disk, options.file);
    const recountMax = parseRecount(options.recount);
    const partitions = await app.exportLedgers(documents, host, { ...parsePlace(argument, 'ledger'), recountMax });
    if (options.json) io.out(`${printableJson({ partitions })}\n`);
    else io.out(partitions.length === 0 ? NO_MAP : describe(partitions));
    return partitions.some(({ unexplained }) => unexplained > 0) ? exitCodes.findings : exitCodes.ok;
  },
};

/** Throws AppError REQUEST_INVALID. */
function parseRecount(text: string | undefined): number {
  if (text === undefined) return RECOUNT_MAX;
  if (text === 'all') return Infinity;
  if (/^\d{1,15}$/.test(text)) return Number(text);
  throw new AppError('REQUEST_INVALID', `--recount does not know "${text}"`, {
    nextStep: 'Write a number of offsets, or all.',
  });
}

function describe(partitions: readonly ExportedLedger[]): string {
  const [titles = '', ...rows] = formatTable(
    [
      { title: 'PARTITION' },
      { title: 'FROM', align: 'right' },
      { title: 'TO', align: 'right' },
      { title: 'DELIVERED', align: 'right' },
      { title: 'CONTROL', align: 'right' },
      { title: 'ABORTED', align: 'right' },
      { title: 'COMPACTED', align: 'right' },
      { title: 'OTHER', align: 'right' },
      { title: 'UNEXPLAINED', align: 'right' },
      { title: 'RECOUNTED FROM', align: 'right' },
      { title: 'RUNS', align: 'right' },
    ],
    partitions.map(({ sourceTopic, partition, start, end, counts, unexplained, recounted, map }) => [
      printable(`${sourceTopic}/${partition}`),
      ...[start, end, counts.delivered, counts.control, counts.aborted, counts.compacted].map(formatCount),
      formatCount(counts.filtered + counts['dead-lettered'] + counts['lost-at-source']),
      formatCount(unexplained),
      formatCount(recounted?.from ?? null),
      formatCount(map.length),
    ]),
  );
  return `${[titles, ...rows].join('\n')}\n`;
}
