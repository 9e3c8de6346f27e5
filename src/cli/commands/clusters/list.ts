import type { ClusterView } from '#contract/views.ts';
import { printable, printableJson } from '#util/printable.ts';
import { exitCodes } from '../../exit-codes.ts';
import { readDocuments } from '../../files.ts';
import { formatCount, formatTable, UNKNOWN } from '../../format.ts';
import { LIST_OPTIONS, listed, type ListOptions } from '../../remote/list.ts';
import { OR_FILES, runRemotely, type Remote, type RemoteOptions, type Shown } from '../../remote/remote-verb.ts';
import { SERVER_OPTIONS } from '../../remote/server-choice.ts';
import { choiceFrom } from '../../remote/values.ts';
import type { Verb } from '../../verb.ts';
import { clusterLines } from './shown.ts';

interface Options extends RemoteOptions, ListOptions {
  readonly file?: readonly string[];
  readonly status?: string;
}

export const listClusters: Verb<Options> = {
  summary: 'show the clusters of files, or those of the server',
  description:
    'With -f: contacts each cluster of the files and shows its id, brokers and size; exit code 1 where one does not answer. Without it: the clusters that the server knows.',
  examples: [
    'lockstep clusters list -f link.yaml',
    'lockstep clusters list -f link.yaml --json | jq .clusters[].clusterId',
    'lockstep clusters list --status archived',
  ],
  options: {
    '--status <status>': 'of the server: only those that are active, inactive or archived',
    ...LIST_OPTIONS,
    ...SERVER_OPTIONS,
  },
  takesFiles: 'optional',
  async run(context, options) {
    const { io, host, app } = context;
    if (options.file === undefined)
      return runRemotely(context, options, (remote) => ofServer(remote, options), OR_FILES);
    const clusters = await app.describeClusters(readDocuments(host.disk, options.file), host);
    if (options.json) io.out(`${printableJson({ clusters })}\n`);
    else {
      const [titles = '', ...rows] = formatTable(
        [
          { title: 'NAME' },
          { title: 'CLUSTER ID' },
          { title: 'BROKERS', align: 'right' },
          { title: 'TOPICS', align: 'right' },
          { title: 'PARTITIONS', align: 'right' },
          { title: 'ADDRESSES' },
        ],
        clusters.map(cells),
      );
      io.out(
        `${io.style('dim', titles)}\n${rows.map((row, index) => `${clusters[index]?.error ? io.style('red', row) : row}\n`).join('')}`,
      );
      for (const { error } of clusters) {
        if (error !== null)
          io.err(
            `${error.code}: ${printable(error.message)}\n${error.nextStep === null ? '' : `next: ${printable(error.nextStep)}\n`}`,
          );
      }
    }
    return clusters.some((cluster) => cluster.error !== null) ? exitCodes.failed : exitCodes.ok;
  },
};

async function ofServer({ api }: Remote, options: Options): Promise<Shown> {
  const { query, wanted } = listed(options);
  const status =
    options.status === undefined
      ? {}
      : { status: choiceFrom('--status', options.status, ['active', 'inactive', 'archived']) };
  const clusters = await api.all('listClusters', { query: { ...query, ...status } }, wanted);
  return { json: { clusters }, lines: clusterLines(clusters) };
}

function cells(cluster: ClusterView): string[] {
  const addresses = cluster.brokers.map(
    (broker) => `${broker.id}@${broker.address}${broker.rack === null ? '' : ` (${broker.rack})`}`,
  );
  return [
    cluster.name,
    cluster.clusterId ?? UNKNOWN,
    cluster.error === null ? formatCount(cluster.brokers.length) : UNKNOWN,
    formatCount(cluster.topics),
    formatCount(cluster.partitions),
    (cluster.error === null ? addresses : cluster.bootstrap).join(', '),
  ];
}
