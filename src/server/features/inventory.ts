import type { inventoryRoutes } from '#contract/api/routes/inventory.ts';
import { AppError } from '#contract/errors.ts';
import type { TopicView } from '#contract/views.ts';
import { saveSnapshot, type InventoryPartition, type InventoryTopic } from '#store/inventory.ts';
import type { Handlers } from '../http/call.ts';
import { topicView } from './clusters.ts';
import type { Context } from './context.ts';
import { clusterResource } from './documents.ts';
import { storePage } from './pages.ts';

export function inventoryHandlers({ ports }: Context): Pick<Handlers, keyof typeof inventoryRoutes> {
  const { store, clusters } = ports;

  return {
    listSnapshots: ({ job, query }) =>
      store.inventory.list({
        ...storePage(query),
        filter: { jobId: job.id, ...(query.side === undefined ? {} : { side: query.side }) },
      }),

    async takeSnapshots({ caller, job, store: aggregates }) {
      const taken = [];
      for (const side of ['source', 'target'] as const) {
        const name = job[side];
        const cluster = name === null ? null : await store.clusters.get(name);
        if (cluster === null) continue;
        const resource = clusterResource(cluster);
        const [view, topics, groups] = await Promise.all([
          clusters.describe(resource),
          clusters.topics(resource, null),
          clusters.groups(resource),
        ]);
        const { clusterId, controller, brokers } = view;
        taken.push(
          await saveSnapshot(aggregates.inventory, {
            about: {
              cluster: cluster.name,
              jobId: job.id,
              side,
              trigger: 'manual',
              takenBy: caller.identity.userId,
              facts: { clusterId, controller, brokers: brokers.map((broker) => ({ ...broker })) },
            },
            topics: topics.map(inventoryTopic),
            partitions: topics.flatMap(inventoryPartitions),
            groups,
            offsets: [],
          }),
        );
      }
      return taken;
    },

    getSnapshot: async ({ snapshot }) => snapshot,

    listSnapshotTopics: ({ snapshot, query }) =>
      store.inventory.topics(snapshot.id, {
        ...storePage(query),
        filter: query.search === undefined ? {} : { nameContains: query.search },
      }),

    listSnapshotGroups: ({ snapshot, query }) =>
      store.inventory.groups(snapshot.id, {
        ...storePage(query),
        filter: query.search === undefined ? {} : { groupIdContains: query.search },
      }),

    async compareSnapshots({ snapshot, params, query }) {
      const other = await store.inventory.get(params.other);
      if (other?.cluster !== snapshot.cluster)
        throw new AppError('RESOURCE_NOT_FOUND', `Cluster "${snapshot.cluster}" has no snapshot ${params.other}.`, {
          nextStep: 'Compare two of one cluster.',
        });
      return store.inventory.differences(
        { from: snapshot.id, to: other.id },
        { ...storePage(query), filter: query.kind === undefined ? {} : { kind: query.kind } },
      );
    },
  };
}

function inventoryTopic(topic: TopicView): InventoryTopic {
  const { name, partitions, replicationFactor, underReplicated } = topicView(topic);
  const counts = topic.partitions.map(({ logStart, highWatermark }) =>
    logStart === null || highWatermark === null ? null : highWatermark - logStart,
  );
  return {
    name,
    topicId: topic.topicId,
    isInternal: topic.isInternal,
    partitions,
    replicationFactor,
    underReplicated,
    // Offsets that a partition spans: without compaction and transactions, its records.
    records: counts.includes(null) ? null : counts.reduce<number>((sum, each) => sum + (each ?? 0), 0),
    configs: topic.configs,
  };
}

function inventoryPartitions({ name, partitions }: TopicView): InventoryPartition[] {
  return partitions.map(({ partition, leader, replicas, inSyncReplicas, logStart, highWatermark }) => ({
    topic: name,
    partition,
    leader,
    replicas,
    inSyncReplicas,
    logStart,
    highWatermark,
  }));
}
