import type { PartitionView, TopicView } from '#contract/views.ts';
import { printableJson } from '#util/printable.ts';
import type { CommonOptions } from '../../context.ts';
import { exitCodes } from '../../exit-codes.ts';
import { readDocuments } from '../../files.ts';
import { formatCount, formatNumberOf, formatTable } from '../../format.ts';
import type { Verb } from '../../verb.ts';
import { chosenCluster } from './cluster-option.ts';

interface Options extends CommonOptions {
  readonly cluster?: string;
  readonly internal?: true;
}

export const listTopics: Verb<Options> = {
  summary: 'list the topics of a cluster',
  examples: [
    'lockstep topics list -f link.yaml --cluster east',
    'lockstep topics list -f link.yaml --cluster east --internal --json',
  ],
  options: {
    '--cluster <name>': 'which cluster; may be left out where the files hold one',
    '--internal': "list Kafka's own topics and those that begin with __ too",
  },
  async run({ io, host, app }, options) {
    const documents = readDocuments(host.disk, options.file);
    const cluster = chosenCluster(documents, options.cluster);
    const all = await app.describeTopics(documents, host, { cluster });
    const topics = options.internal ? all : all.filter((topic) => !topic.isInternal && !topic.name.startsWith('__'));
    if (options.json) io.out(`${printableJson({ cluster, topics })}\n`);
    else {
      const [titles = '', ...rows] = formatTable(
        [
          { title: 'TOPIC' },
          { title: 'PARTITIONS', align: 'right' },
          { title: 'REPLICAS', align: 'right' },
          { title: 'OFFSETS HELD', align: 'right' },
          { title: 'STATE' },
        ],
        topics.map((topic) => [
          topic.name,
          formatCount(topic.partitions.length),
          formatCount(topic.partitions[0]?.replicas.length ?? null),
          formatCount(offsetsHeld(topic)),
          stateOf(topic),
        ]),
      );
      io.out(`${io.style('dim', titles)}\n${rows.map((row) => `${row}\n`).join('')}`);
      const hidden = all.length - topics.length;
      if (hidden > 0)
        io.err(
          io.style(
            'dim',
            `${formatNumberOf(hidden, 'internal topic')} not shown; --internal shows ${hidden === 1 ? 'it' : 'them'}\n`,
          ),
        );
    }
    return exitCodes.ok;
  },
};

/** From log start to high watermark: how many offsets, which is at least the number of records. */
function offsetsHeld(topic: TopicView): number | null {
  return topic.partitions.reduce<number | null>(
    (sum, { logStart, highWatermark }) =>
      sum === null || logStart === null || highWatermark === null ? null : sum + highWatermark - logStart,
    0,
  );
}

function stateOf(topic: TopicView): string {
  const leaderless = topic.partitions.filter((partition) => partition.leader === null).length;
  const short = topic.partitions.filter(isShort).length;
  const problems = [
    ...(leaderless > 0 ? [`${leaderless} without leader`] : []),
    ...(short > 0 ? [`${short} under-replicated`] : []),
  ];
  return problems.length === 0 ? 'ok' : problems.join(', ');
}

function isShort(partition: PartitionView): boolean {
  return partition.inSyncReplicas.length < partition.replicas.length;
}
