import type { ClusterView } from '#contract/views.ts';
import { printable, printableJson } from '#util/printable.ts';
import type { CommonOptions } from '../../context.ts';
import { exitCodes } from '../../exit-codes.ts';
import { readDocuments } from '../../files.ts';
import { formatCount, formatTable, UNKNOWN } from '../../format.ts';
import type { Verb } from '../../verb.ts';

export const listClusters: Verb<CommonOptions> = {
  summary: 'show each cluster with its id, brokers and size',
  description:
    'Contacts each cluster of the files and shows its id, brokers and size.\n\nExit code 1 where one does not answer.',
  examples: [
    'lockstep clusters list -f link.yaml',
    'lockstep clusters list -f link.yaml --json | jq .clusters[].clusterId',
  ],
  options: {},
  async run({ io, host, app }, options) {
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
