/** How many bytes the logs of partitions take on the disks of their leaders. */
import type { Cluster } from './cluster.ts';
import { BrokerError } from './errors.ts';
import { describeLogDirs } from './protocol/describe-log-dirs.ts';
import { errorOf } from './protocol/error-codes.ts';
import { retrying } from './retry.ts';

const CLUSTER_AUTHORIZATION_FAILED = 31;

/**
 * By `topic/partition`, of those that were asked for and have a leader: bytes as they lie on the leader's disk. Needs
 * DESCRIBE on the cluster. Throws KafkaError; CLUSTER_AUTHORIZATION_FAILED (31) without it.
 */
export async function partitionSizes(
  cluster: Cluster,
  partitions: readonly { readonly topic: string; readonly partition: number }[],
): Promise<ReadonlyMap<string, number>> {
  const byLeader = Map.groupBy(partitions, ({ topic, partition }) => cluster.leaderOf(topic, partition) ?? -1);
  const sizes = new Map<string, number>();
  for (const [leader, led] of byLeader) {
    if (leader < 0) continue;
    const byTopic = Map.groupBy(led, ({ topic }) => topic);
    const topics = [...byTopic].map(([topic, each]) => ({ topic, partitions: each.map(({ partition }) => partition) }));
    const ask = () => cluster.call(describeLogDirs, { topics }, { broker: leader });
    const response = await retrying(cluster, ask, { repeatable: true });
    // Before version 3 an answer without directories is all that says it (KafkaApis.handleDescribeLogDirsRequest).
    const code = response.errorCode || (response.results.length === 0 ? CLUSTER_AUTHORIZATION_FAILED : 0);
    if (code !== 0) throw new BrokerError(errorOf(code), 'DescribeLogDirs', `cluster "${cluster.name}"`);
    for (const { topics: found } of response.results)
      for (const { name, partitions: logs } of found)
        for (const log of logs) if (!log.isFutureKey) sizes.set(`${name}/${log.partitionIndex}`, log.partitionSize);
  }
  return sizes;
}
