/** Clusters of a server, as people read them. */
import type { ResultOf } from '../../remote/api-client.ts';
import { formatCount, formatFacts, formatMoment, formatRows, UNKNOWN } from '../../format.ts';

export function clusterLines(clusters: readonly Omit<ResultOf<'getCluster'>, 'spec'>[]): string[] {
  const rows = clusters.map((each) => [
    each.name,
    each.status,
    each.provider,
    each.bootstrap.join(', '),
    formatMoment(each.updatedAt),
  ]);
  return formatRows(['NAME', 'STATUS', 'PROVIDER', 'ADDRESSES', 'CHANGED'], rows, 'clusters');
}

export function statusLines(status: ResultOf<'getClusterStatus'>): string[] {
  const { error } = status;
  if (error !== null) {
    const facts: [string, string][] = [
      ['cluster', status.name],
      ['answers', `no: ${error.code}: ${error.message}`],
    ];
    return formatFacts(error.nextStep === null ? facts : [...facts, ['next', error.nextStep]]);
  }
  return formatFacts([
    ['cluster', status.name],
    ['answers', 'yes'],
    ['id', status.clusterId ?? UNKNOWN],
    ['controller', status.controller === null ? UNKNOWN : String(status.controller)],
    ['brokers', status.brokers.map(({ id, address }) => `${id}@${address}`).join(', ') || UNKNOWN],
    ['topics', formatCount(status.topics)],
    ['partitions', formatCount(status.partitions)],
    ['measured', formatMoment(status.measuredAt)],
  ]);
}
