import type { ExportedLedger } from '#contract/exported-ledger.ts';
import { printable, printableJson } from '#util/printable.ts';
import type { CommonOptions } from '../context.ts';
import { exitCodes } from '../exit-codes.ts';
import { readMirrors } from '../files.ts';
import { formatCount, formatTable } from '../format.ts';
import type { Verb } from '../verb.ts';
import { parsePlace } from './rebuild.ts';

export const ledger: Verb<CommonOptions> = {
  summary: 'show what became of each source offset, and where it lies',
  description:
    'Shows the ledger and the offset map of a topic whose offsets are mapped, as its mirror has saved them (10 s ago at most while it runs): source offsets delivered, control, aborted, compacted, filtered, dead-lettered and lost at the source, and the runs of records with their place on both sides. --json has every run. TOPIC is the name on the source, and stands before -f.\n\nWhere offsets are identical there is no map; "lockstep verify" accounts for them.',
  examples: [
    'lockstep ledger orders -f link.yaml',
    'lockstep ledger orders/3 -f link.yaml --json | jq .partitions[].map',
  ],
  options: {},
  async run({ io, host, app }, options, argument) {
    const documents = readMirrors(host.disk, options.file);
    const partitions = await app.exportLedgers(documents, host, parsePlace(argument, 'ledger'));
    if (options.json) io.out(`${printableJson({ partitions })}\n`);
    else io.out(partitions.length === 0 ? 'Its offsets are identical: there is no map.\n' : describe(partitions));
    return exitCodes.ok;
  },
};

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
      { title: 'RUNS', align: 'right' },
    ],
    partitions.map(({ sourceTopic, partition, start, end, counts, unexplained, map }) => [
      printable(`${sourceTopic}/${partition}`),
      ...[start, end, counts.delivered, counts.control, counts.aborted, counts.compacted].map(formatCount),
      formatCount(counts.filtered + counts['dead-lettered'] + counts['lost-at-source']),
      formatCount(unexplained),
      formatCount(map.length),
    ]),
  );
  return `${[titles, ...rows].join('\n')}\n`;
}
