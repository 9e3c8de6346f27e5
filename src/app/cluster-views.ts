/** What people are shown of a cluster. */
import type { ClusterResource } from '#contract/resources.ts';
import type { ClusterView, TopicView } from '#contract/views.ts';
import { toAppError } from '#jobs/app-error.ts';
import type { Cluster } from '#kafka/cluster.ts';
import { describeTopicConfigs } from '#kafka/configs.ts';
import type { TopicMetadata } from '#kafka/metadata.ts';
import { EARLIEST, LATEST, listOffsets } from '#kafka/offsets.ts';

type Configs = Readonly<Record<string, string>>;

/** One that does not answer carries its error. */
export async function viewCluster(resource: ClusterResource, connect: () => Promise<Cluster>): Promise<ClusterView> {
  const base = { name: resource.metadata.name, bootstrap: resource.spec.bootstrap };
  try {
    const cluster = await connect();
    const topics = await cluster.refresh('all');
    return {
      ...base,
      clusterId: cluster.clusterId,
      controller: cluster.controllerId,
      brokers: cluster.brokers().map(({ id, host, port, rack }) => ({ id, address: `${host}:${port}`, rack })),
      topics: topics.length,
      partitions: topics.reduce((sum, { partitions }) => sum + partitions.length, 0),
      error: null,
    };
  } catch (error) {
    const { code, message, nextStep } = toAppError(error, `cluster "${base.name}"`);
    return {
      ...base,
      clusterId: null,
      controller: null,
      brokers: [],
      topics: null,
      partitions: null,
      error: { code, message, nextStep: nextStep ?? null },
    };
  }
}

/** Those that are there, by name. Null: all. */
export async function findTopics(cluster: Cluster, names: readonly string[] | null): Promise<TopicMetadata[]> {
  const found = await cluster.refresh(names ?? 'all');
  return found.filter(({ errorCode }) => errorCode === 0).toSorted((a, b) => (a.name < b.name ? -1 : 1));
}

/** Settings of each topic itself; values of sensitive ones are not shown. */
export async function readTopicConfigs(
  cluster: Cluster,
  topics: readonly string[],
): Promise<ReadonlyMap<string, Configs>> {
  const described = await describeTopicConfigs(cluster, topics);
  return new Map(
    described.map(({ topic, configs, error }) => {
      if (error) throw error;
      const own = [...configs].filter(([, entry]) => entry.source === 'topic');
      const shown = own.map(([name, entry]) => [name, entry.sensitive ? '(hidden)' : (entry.value ?? '')]);
      return [topic, Object.fromEntries(shown) as Configs];
    }),
  );
}

/** `configs`: of those of which they were read. */
export async function viewTopics(
  cluster: Cluster,
  topics: readonly TopicMetadata[],
  configs: ReadonlyMap<string, Configs>,
): Promise<TopicView[]> {
  const all = topics.flatMap(({ name, partitions }) => partitions.map(({ partition }) => ({ topic: name, partition })));
  const queries = (timestamp: number) => all.map((each) => ({ ...each, timestamp }));
  const [starts, stable, watermarks] = await Promise.all([
    listOffsets(cluster, queries(EARLIEST)),
    listOffsets(cluster, queries(LATEST), { isolation: 'read_committed' }),
    listOffsets(cluster, queries(LATEST)),
  ]);
  const known = (answer: { offset: number; error: unknown } | undefined): number | null =>
    !answer || answer.error ? null : answer.offset;
  let index = 0;
  return topics.map(({ name, topicId, isInternal, partitions }) => ({
    name,
    topicId,
    isInternal,
    configs: configs.get(name) ?? null,
    partitions: partitions.map(({ partition, leader, leaderEpoch, replicas, isr }) => {
      const at = index++;
      return {
        partition,
        leader: leader < 0 ? null : leader,
        leaderEpoch: leaderEpoch < 0 ? null : leaderEpoch,
        replicas,
        inSyncReplicas: isr,
        logStart: known(starts[at]),
        stableOffset: known(stable[at]),
        highWatermark: known(watermarks[at]),
      };
    }),
  }));
}
