import type { PartitionView, TopicView } from '#contract/views.ts';
import { printableJson } from '#util/printable.ts';
import { exitCodes } from '../../exit-codes.ts';
import { readDocuments } from '../../files.ts';
import { formatCount, formatNumberOf, formatTable } from '../../format.ts';
import { LIST_OPTIONS, listed, type ListOptions } from '../../remote/list.ts';
import { OR_FILES, runRemotely, type Remote, type RemoteOptions, type Shown } from '../../remote/remote-verb.ts';
import { SERVER_OPTIONS } from '../../remote/server-choice.ts';
import type { Verb } from '../../verb.ts';
import { chosenCluster } from './cluster-option.ts';
import { chosenOfServer, topicLines } from './of-server.ts';

interface Options extends RemoteOptions, ListOptions {
  readonly file?: readonly string[];
  readonly cluster?: string;
  readonly internal?: true;
}

export const listTopics: Verb<Options> = {
  summary: 'list the topics of a cluster of files, or of the server',
  examples: [
    'lockstep topics list -f link.yaml --cluster east',
    'lockstep topics list --cluster east',
    'lockstep topics list -f link.yaml --cluster east --internal --json',
  ],
  options: {
    '--cluster <name>': 'which cluster; may be left out where the files hold one',
    ...LIST_OPTIONS,
    ...SERVER_OPTIONS,
    '--internal': "list Kafka's own topics and those that begin with __ too",
  },
  takesFiles: 'optional',
  async run(context, options) {
    const { io, host, app } = context;
    if (options.file === undefined)
      return runRemotely(context, options, (remote) => ofServer(remote, options), OR_FILES);
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

async function ofServer({ api, io }: Remote, options: Options): Promise<Shown> {
  const name = await chosenOfServer({ api, io }, options.cluster);
  const { query, wanted } = listed(options);
  const found = await api.all('getTopicDetails', { params: { name }, query }, wanted);
  const topics = options.internal ? found : found.filter((topic) => !topic.name.startsWith('__'));
  return { json: { cluster: name, topics }, lines: topicLines(topics) };
}

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
