import type { TopicView } from '#contract/views.ts';
import { assert } from '#util/assert.ts';
import { printable, printableJson } from '#util/printable.ts';
import { exitCodes } from '../../exit-codes.ts';
import { readDocuments } from '../../files.ts';
import { formatCount, formatTable } from '../../format.ts';
import type { Io } from '../../io.ts';
import { OR_FILES, runRemotely, type RemoteOptions } from '../../remote/remote-verb.ts';
import { SERVER_OPTIONS } from '../../remote/server-choice.ts';
import type { Verb } from '../../verb.ts';
import { chosenCluster } from './cluster-option.ts';
import { topicOfServer } from './of-server.ts';

interface Options extends RemoteOptions {
  readonly file?: readonly string[];
  readonly cluster?: string;
}

export const getTopic: Verb<Options> = {
  summary: 'show one topic: with -f its partitions and settings, else what the server says of it',
  examples: ['lockstep topics get orders -f link.yaml --cluster east', 'lockstep topics get orders --cluster east'],
  options: { '--cluster <name>': 'which cluster; may be left out where the files hold one', ...SERVER_OPTIONS },
  takesFiles: 'optional',
  async run(context, options, name) {
    const { io, host, app } = context;
    if (options.file === undefined)
      return runRemotely(context, options, (remote) => topicOfServer(remote, options.cluster, name), OR_FILES);
    const documents = readDocuments(host.disk, options.file);
    const cluster = chosenCluster(documents, options.cluster);
    const [topic] = await app.describeTopics(documents, host, { cluster, topic: name });
    assert(topic !== undefined, 'describeTopics throws TOPIC_NOT_FOUND or returns the topic');
    if (options.json) io.out(`${printableJson({ cluster, topic })}\n`);
    else io.out(describe(io, topic));
    return exitCodes.ok;
  },
};

function describe(io: Io, topic: TopicView): string {
  const [titles = '', ...rows] = formatTable(
    [
      { title: 'PARTITION', align: 'right' },
      { title: 'LEADER', align: 'right' },
      { title: 'EPOCH', align: 'right' },
      { title: 'LOG START', align: 'right' },
      { title: 'STABLE', align: 'right' },
      { title: 'END', align: 'right' },
      { title: 'REPLICAS' },
      { title: 'IN SYNC' },
    ],
    topic.partitions.map((partition) => [
      String(partition.partition),
      partition.leader === null ? 'none' : String(partition.leader),
      formatCount(partition.leaderEpoch),
      formatCount(partition.logStart),
      formatCount(partition.stableOffset),
      formatCount(partition.highWatermark),
      partition.replicas.join(','),
      partition.inSyncReplicas.join(','),
    ]),
  );
  const heading = `${io.style('bold', printable(topic.name))}${topic.isInternal ? ' (internal)' : ''}${topic.topicId === null ? '' : `  id ${topic.topicId}`}`;
  const configs = Object.entries(topic.configs ?? {}).map(([key, value]) => printable(`  ${key} = ${value}`));
  return `${[heading, '', io.style('dim', titles), ...rows, ...(configs.length === 0 ? [] : ['', 'Settings that differ from the default:', ...configs])].join('\n')}\n`;
}
