import type { clusterRoutes } from '#contract/api/routes/clusters.ts';
import { SERVER } from '#contract/api/permissions.ts';
import { providers } from '#contract/providers.ts';
import { serverClusterSchema, type ClusterResource } from '#contract/resources.ts';
import { AppError } from '#contract/errors.ts';
import type { TopicView } from '#contract/views.ts';
import type { StoredCluster } from '#store/clusters.ts';
import { must } from '#util/assert.ts';
import type { Caller } from '../auth/caller.ts';
import type { Handlers } from '../http/call.ts';
import type { PageQuery } from '#contract/api/common.ts';
import type { Context } from './context.ts';
import { clusterResource, documentOf, specOf } from './documents.ts';
import { refuseHostReferences } from './host-references.ts';
import { everyItem, pageOfList, visiblePage } from './pages.ts';

export function clusterHandlers({ ports, configuration }: Context): Pick<Handlers, keyof typeof clusterRoutes> {
  const { store, clusters } = ports;

  const documentAllowed = (stated: unknown) => {
    const text = documentOf('Cluster', stated);
    refuseHostReferences(text.document, configuration.resolved.values['secrets.allowed']);
    return text;
  };

  const statusOf = (resource: ClusterResource) => clusterStatusOf(ports, resource);

  /** Grants may be on topics whose names begin so; whoever may not even see the cluster does not learn that it is there. */
  const clusterForTopic = async (caller: Caller, name: string, topic: string): Promise<ClusterResource> => {
    const cluster = await store.clusters.get(name);
    const may = caller.may('topics:create', { kind: 'topic', cluster: name, topic });
    if (cluster === null || !(may || caller.may('clusters:view', { kind: 'cluster', cluster: name })))
      throw new AppError('RESOURCE_NOT_FOUND', `There is no cluster "${name}".`, {
        details: { isRefusal: cluster !== null },
        nextStep: 'The list of them shows those that there are.',
      });
    if (!may)
      throw new AppError('ACCESS_DENIED', `This needs the permission topics:create on "${topic}" of "${name}".`, {
        nextStep: 'Ask an administrator for a role that has it.',
      });
    if (cluster.state !== 'active')
      throw new AppError('RESOURCE_CONFLICT', `The cluster "${name}" is ${cluster.state}.`, {
        nextStep: 'Restore it first.',
      });
    return clusterResource(cluster);
  };

  /** Topics of the clusters that are a side of a job, and that the caller may see. */
  const topicsOfSide = async (side: 'source' | 'target', caller: Caller, query: PageQuery) => {
    const names = new Set<string>();
    for await (const job of everyItem((request) => store.jobs.list(request)))
      if (job[side] !== null) names.add(job[side]);
    const visible = [...names].filter((cluster) => caller.may('clusters:view', { kind: 'cluster', cluster }));
    const found = await Promise.all(
      visible.map(async (name) => {
        const cluster = must(await store.clusters.get(name), 'cluster of a job');
        return (await clusters.topicNames(clusterResource(cluster))).map((topic) => ({ cluster: name, topic }));
      }),
    );
    return pageOfList(found.flat(), query, {
      nameOf: ({ cluster, topic }) => `${topic} ${cluster}`,
      keyOf: ({ topic }) => topic,
    });
  };

  return {
    listProviders: async () =>
      Object.entries(providers).map(([name, { defaults, mechanisms, limits }]) => {
        const { protocol = null, mechanism = null, username = null } = defaults;
        return { name, defaults: { protocol, mechanism, username }, mechanisms, limits };
      }),

    async testCluster({ stated }) {
      return statusOf(serverClusterSchema.parse(documentAllowed(stated).document));
    },

    async listClusters({ caller, query }) {
      const page = await visiblePage<StoredCluster, 'name' | 'createdAt' | 'updatedAt'>(query, {
        read: (request) =>
          store.clusters.list({
            ...request,
            filter: {
              ...(query.status === undefined ? {} : { state: query.status }),
              ...(query.search === undefined ? {} : { nameContains: query.search }),
            },
          }),
        isVisible: ({ name }) => caller.may('clusters:view', { kind: 'cluster', cluster: name }),
        seesAll: caller.may('clusters:view', SERVER),
      });
      return { ...page, items: page.items.map(summaryView) };
    },

    async createCluster({ caller, body, stated, store: aggregates }) {
      requireCreate(caller, body.name);
      return detailView(await aggregates.clusters.create(documentAllowed(stated)));
    },

    purgeClusters: async ({ store: aggregates }) => ({ purged: await aggregates.clusters.purge() }),

    getCluster: async ({ cluster }) => detailView(cluster),

    async updateCluster({ cluster, body, stated, ifVersion, store: aggregates }) {
      if (body.name !== cluster.name)
        throw new AppError('REQUEST_INVALID', `A cluster keeps its name, which is "${cluster.name}".`, {
          nextStep: 'Add a cluster under the new name.',
        });
      const { document } = documentAllowed(stated);
      const replaced = await aggregates.clusters.replace(cluster.name, document, { ifVersion });
      ports.jobs.nudge();
      return detailView(replaced);
    },

    deleteCluster: async ({ cluster, ifVersion, store: aggregates }) =>
      summaryView(await aggregates.clusters.deactivate(cluster.name, { ifVersion })),

    restoreCluster: async ({ cluster, store: aggregates }) =>
      summaryView(await aggregates.clusters.restore(cluster.name, { ifVersion: null })),

    getClusterStatus: ({ cluster }) => statusOf(clusterResource(cluster)),

    async listClusterTopics({ cluster, query }) {
      const names = await clusters.topicNames(clusterResource(cluster));
      return pageOfList(names, query, { nameOf: (name) => name });
    },

    async getTopicDetails({ cluster, query }) {
      const topics = await clusters.topics(clusterResource(cluster), query.topics ?? null);
      return pageOfList(topics.map(topicView), query, {
        nameOf: ({ name }) => name,
        keyOf: (topic, field) => (field === 'partitions' || field === 'underReplicated' ? topic[field] : topic.name),
      });
    },

    async foreseeTopic({ caller, params, body }) {
      const resource = await clusterForTopic(caller, params.name, body.name);
      const { configs: settings } = await clusters.foreseeTopic(resource, body);
      return { ...body, settings };
    },

    async createTopic({ caller, params, body }) {
      const resource = await clusterForTopic(caller, params.name, body.name);
      return { name: body.name, ...(await clusters.createTopic(resource, body)) };
    },

    listSourceTopics: ({ caller, query }) => topicsOfSide('source', caller, query),
    listTargetTopics: ({ caller, query }) => topicsOfSide('target', caller, query),
  };
}

export async function clusterStatusOf(
  { clusters, clock }: Pick<Context['ports'], 'clusters' | 'clock'>,
  resource: ClusterResource,
) {
  const { bootstrap: _, ...view } = await clusters.describe(resource);
  return { ...view, isReachable: view.error === null, measuredAt: clock.now() };
}

function requireCreate(caller: Caller, cluster: string): void {
  if (caller.may('clusters:create', { kind: 'cluster', cluster })) return;
  throw new AppError('ACCESS_DENIED', `This needs the permission clusters:create on "${cluster}".`, {
    nextStep: 'Ask an administrator for a role that has it.',
  });
}

/** Partitions that have fewer replicas in sync than replicas, and those without a leader. */
export function topicView({ name, partitions, configs }: TopicView) {
  return {
    name,
    partitions: partitions.length,
    replicationFactor: Math.max(0, ...partitions.map(({ replicas }) => replicas.length)),
    underReplicated: partitions.filter(({ replicas, inSyncReplicas }) => inSyncReplicas.length < replicas.length)
      .length,
    offline: partitions.filter(({ leader }) => leader === null).length,
    compression: configs === null ? null : (configs['compression.type'] ?? 'producer'),
  };
}

function summaryView(cluster: StoredCluster) {
  const { name, state, pinnedId, createdAt, updatedAt, version } = cluster;
  const spec = clusterResource(cluster).spec;
  return {
    name,
    provider: spec.security.provider,
    bootstrap: spec.bootstrap,
    pinnedId,
    status: state,
    createdAt,
    updatedAt,
    version,
  };
}

function detailView(cluster: StoredCluster) {
  return { ...summaryView(cluster), spec: specOf(cluster) };
}
