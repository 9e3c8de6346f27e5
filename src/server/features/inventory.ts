import type { inventoryRoutes } from '#contract/api/routes/inventory.ts';
import { AppError } from '#contract/errors.ts';
import type { ClusterResource } from '#contract/resources.ts';
import type { ClusterView, TopicView } from '#contract/views.ts';
import {
  saveSnapshot,
  type InventoryPartition,
  type InventoryTopic,
  type Snapshot,
  type WholeSnapshot,
} from '#store/inventory.ts';
import type { StoredJob } from '#store/jobs.ts';
import type { Json } from '#store/json.ts';
import type { Handlers } from '../http/call.ts';
import { topicView } from './clusters.ts';
import type { Context } from './context.ts';
import { clusterResource } from './documents.ts';
import { storePage } from './pages.ts';

export function inventoryHandlers({ ports }: Context): Pick<Handlers, keyof typeof inventoryRoutes> {
  const { store } = ports;

  return {
    listSnapshots: ({ job, query }) =>
      store.inventory.list({
        ...storePage(query),
        filter: { jobId: job.id, ...(query.side === undefined ? {} : { side: query.side }) },
      }),

    async takeSnapshots({ caller, job, store: aggregates }) {
      const takenBy = caller.identity.userId;
      const taken = [];
      for (const whole of await wholeSnapshots(ports, job, { trigger: 'manual', takenBy }))
        taken.push(await saveSnapshot(aggregates.inventory, whole));
      return taken;
    },

    async getFullInventory({ job, query: { limit } }) {
      const found = [];
      for (const side of ['source', 'target'] as const) {
        const { items } = await store.inventory.list({ limit: 1, descending: true, filter: { jobId: job.id, side } });
        const [snapshot] = items;
        if (!snapshot) continue;
        found.push({
          snapshot,
          cluster: factsOf(snapshot).cluster,
          connections: factsOf(snapshot).connections,
          topics: await store.inventory.topics(snapshot.id, { limit }),
          groups: await store.inventory.groups(snapshot.id, { limit }),
        });
      }
      return found;
    },

    getSnapshotCluster: async ({ snapshot }) => factsOf(snapshot).cluster,
    getSnapshotConnections: async ({ snapshot }) => factsOf(snapshot).connections,
    listSnapshotPartitions: ({ snapshot, query }) => store.inventory.partitions(snapshot.id, query.topic),
    listSnapshotOffsets: ({ snapshot, query }) => store.inventory.offsets(snapshot.id, query.group),

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

/** Of both clusters of a job, or of none: half of an inventory would be taken for all of it. Rejects as `ClusterAsker` does. */
export async function wholeSnapshots(
  ports: Pick<Context['ports'], 'store' | 'clusters' | 'clock'>,
  job: StoredJob,
  by: Pick<Snapshot, 'trigger' | 'takenBy'>,
): Promise<readonly WholeSnapshot[]> {
  const found: WholeSnapshot[] = [];
  for (const side of ['source', 'target'] as const) {
    const name = job[side];
    const cluster = name === null ? null : await ports.store.clusters.get(name);
    if (cluster === null) continue;
    const { facts, ...parts } = await partsOf(ports, clusterResource(cluster), side);
    const about = { ...by, cluster: cluster.name, jobId: job.id, side, facts: facts as unknown as Json };
    found.push({ ...parts, about });
  }
  return found;
}

interface Connection {
  readonly type: 'source_consumer' | 'target_producer';
  readonly provider: string;
  readonly protocol: string;
  readonly mechanism: string | null;
  readonly isEncrypted: boolean;
  readonly responseMs: number;
}

interface Facts extends Pick<ClusterView, 'clusterId' | 'controller' | 'brokers'> {
  readonly connections: readonly Connection[];
}

/** Topics are named, so that their settings come with them. */
async function partsOf(
  { clusters, clock }: Pick<Context['ports'], 'clusters' | 'clock'>,
  resource: ClusterResource,
  side: 'source' | 'target',
): Promise<Omit<WholeSnapshot, 'about'> & { readonly facts: Facts }> {
  const askedAt = clock.monotonic();
  const { clusterId, controller, brokers, error } = await clusters.describe(resource);
  const responseMs = clock.monotonic() - askedAt;
  if (error) throw new AppError(error.code, error.message, error.nextStep === null ? {} : { nextStep: error.nextStep });
  const topics = await clusters.topics(resource, await clusters.topicNames(resource));
  const { provider, protocol, sasl, tls } = resource.spec.security;
  const connection = {
    type: side === 'source' ? 'source_consumer' : 'target_producer',
    provider,
    protocol,
    mechanism: sasl?.mechanism ?? null,
    isEncrypted: tls !== null,
    responseMs,
  } as const;
  return {
    facts: { clusterId, controller, brokers, connections: [connection] },
    topics: topics.map(inventoryTopic),
    partitions: topics.flatMap(inventoryPartitions),
    groups: await clusters.groups(resource),
    offsets: await clusters.groupOffsets(resource),
  };
}

/** Of a snapshot that something else took there may be less. */
function factsOf({ facts }: Snapshot): { cluster: Omit<Facts, 'connections'>; connections: readonly Connection[] } {
  const {
    clusterId = null,
    controller = null,
    brokers = [],
    connections = [],
  } = (facts ?? {}) as unknown as Partial<Facts>;
  return { cluster: { clusterId, controller, brokers }, connections };
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
