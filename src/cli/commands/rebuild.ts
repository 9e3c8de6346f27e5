import { AppError } from '#contract/errors.ts';
import type { RebuildPartition, RebuildPlan } from '#contract/rebuild.ts';
import { printable, printableJson } from '#util/printable.ts';
import type { CommonOptions } from '../context.ts';
import { exitCodes } from '../exit-codes.ts';
import { readMirrors } from '../files.ts';
import { formatCount, formatTable } from '../format.ts';
import type { Io } from '../io.ts';
import type { Verb } from '../verb.ts';

interface Options extends CommonOptions {
  readonly yes?: true;
}

export const rebuild: Verb<Options> = {
  summary: 'delete a copy, so that the next run makes it anew',
  description:
    'Shows which target topic would be deleted, with the offsets of each partition and those that are nowhere else any more, and changes nothing. With --yes it deletes that topic, by its id; "lockstep run" then creates and copies it from the beginning.\n\nRefused while a process of the mirror runs or consumers read the copy, after a failover, for a topic that is not a copy of this mirror, and for one that others write to as well, or that another mirror copies back. TOPIC is the name on the source; it stands before -f, which takes all that follows it for files. Kafka deletes topics, not partitions: TOPIC/PARTITION is for topics of one partition.\n\nExit code 3 where something would be deleted, 0 after it was.',
  examples: ['lockstep rebuild orders -f link.yaml', 'lockstep rebuild orders -f link.yaml --yes'],
  options: { '--yes': 'delete; without it nothing is changed' },
  async run({ io, host, app }, options, argument) {
    const documents = readMirrors(host.disk, options.file);
    const { topic, partition } = parsePlace(argument);
    const plan = await app.rebuildCopy(documents, host, { topic, partition, isConfirmed: options.yes ?? false });
    io.out(options.json ? `${printableJson(plan)}\n` : describe(io, plan));
    return plan.isDone ? exitCodes.ok : exitCodes.pending;
  },
};

/** `TOPIC` or `TOPIC/PARTITION`. Throws AppError REQUEST_INVALID. */
export function parsePlace(text: string, verb = 'rebuild'): { topic: string; partition: number | null } {
  const [, topic = '', partition] = /^([^/]+)(?:\/(\d{1,9}))?$/.exec(text) ?? [];
  if (topic !== '') return { topic, partition: partition === undefined ? null : Number(partition) };
  throw new AppError('REQUEST_INVALID', `"${text}" is no topic`, {
    nextStep: `Write the name of the topic on the source, as in: lockstep ${verb} orders -f link.yaml`,
  });
}

function describe(io: Io, plan: RebuildPlan): string {
  const [titles = '', ...rows] = formatTable(
    [
      { title: 'PARTITION', align: 'right' },
      { title: 'FROM', align: 'right' },
      { title: 'TO', align: 'right' },
      { title: 'ONLY ON THE TARGET', align: 'right' },
    ],
    plan.partitions.map((each) => [
      String(each.partition),
      formatCount(each.from),
      formatCount(each.to),
      formatCount(onlyThere(each)),
    ]),
  );
  const verb = plan.isDone ? 'Deleted' : 'Would delete';
  const { targetTopic, target, targetTopicId, sourceTopic, source, mode } = plan;
  const next = plan.isDone
    ? '"lockstep run" copies it from the beginning.'
    : 'Nothing was changed. --yes deletes it; "lockstep run" then copies it from the beginning.';
  const lines = [
    io.style('bold', printable(`${verb} topic ${targetTopic} on ${target} (id ${targetTopicId})`)),
    printable(`  the ${mode} copy of ${sourceTopic} on ${source}, in mirror ${plan.mirror}`),
    '',
    `  ${io.style('dim', titles)}`,
    ...rows.map((row) => `  ${row}`),
    '',
    `  ${io.style(plan.isDone ? 'green' : 'yellow', next)}`,
  ];
  return `${lines.join('\n')}\n`;
}

/** Offsets that the source has not got any more. */
function onlyThere({ from, goneBelow }: RebuildPartition): number | null {
  return goneBelow === null ? null : goneBelow - from;
}
