/** Clusters of resources, connected, with their secrets, and held against the identity that they are pinned to. */
import { AppError } from '#contract/errors.ts';
import { withLimits } from '#contract/provider-limits.ts';
import type { ClusterResource } from '#contract/resources.ts';
import { toAppError } from '#jobs/app-error.ts';
import { createSecurity } from '#jobs/cluster-secrets.ts';
import { Cluster } from '#kafka/cluster.ts';
import { FramePool } from '#kafka/frame.ts';
import type { Host } from './host.ts';

/**
 * All bytes on their way through one process. Measured with 16 and 32 MiB: the same speed, and with 16 a tenth less CPU
 * time, since more of what is written is still in the processor's cache.
 */
export const FRAME_BYTES_MAX = 16 * 1024 * 1024;

export type ClusterOf = (name: string) => Promise<Cluster>;

/**
 * Connects clusters as they are asked for, once each, and closes them in the end. `onTrouble` hears of what a cluster's
 * connections live on with for now.
 */
export async function withClusters<T>(
  resources: readonly ClusterResource[],
  host: Host,
  use: (clusterOf: ClusterOf, pool: FramePool) => Promise<T>,
  onTrouble: (cluster: string, error: Error) => void = () => {},
): Promise<T> {
  const pool = new FramePool({ bytesMax: FRAME_BYTES_MAX });
  const clusters: Cluster[] = [];
  const closed = new AbortController();
  const connected = new Map<string, Promise<Cluster>>();
  const connect = (name: string): Promise<Cluster> => {
    const resource = resources.find(({ metadata }) => metadata.name === name);
    if (!resource)
      throw new AppError('RESOURCE_NOT_FOUND', `No file holds a Cluster "${name}".`, {
        nextStep: "Name one of the files' clusters.",
      });
    const cluster = createCluster(resource, host, {
      pool,
      onTrouble: (error) => onTrouble(name, error),
      signal: closed.signal,
    });
    clusters.push(cluster);
    return connectAs(resource, cluster);
  };
  const clusterOf: ClusterOf = async (name) => {
    let cluster = connected.get(name);
    if (!cluster) connected.set(name, (cluster = connect(name)));
    return cluster;
  };
  try {
    return await use(clusterOf, pool);
  } finally {
    closed.abort();
    for (const cluster of clusters) cluster.close();
  }
}

/** Not connected yet. `signal` ends requests for tokens. */
export function createCluster(
  { metadata: { name }, spec }: ClusterResource,
  host: Host,
  {
    pool,
    onTrouble,
    signal,
  }: { readonly pool: FramePool; readonly onTrouble: (error: Error) => void; readonly signal: AbortSignal },
): Cluster {
  const { clock, network, random } = host;
  const { bootstrap, advertised } = spec;
  const security = createSecurity(spec.security, host, { onTrouble, signal });
  const options = { name, bootstrap, advertised, network, clock, random, pool };
  return new Cluster({ ...options, ...(security ? { security } : {}) });
}

/** Throws AppError where it does not answer, or is another one. */
export async function connectAs(resource: ClusterResource, cluster: Cluster): Promise<Cluster> {
  try {
    return await asAppError(`cluster "${resource.metadata.name}"`, async () => {
      await cluster.connect();
      checkIdentity(resource, cluster);
      return cluster;
    });
  } catch (error) {
    throw withLimits(error, resource.spec.security.provider);
  }
}

function checkIdentity({ metadata, spec }: ClusterResource, cluster: Cluster): void {
  if (spec.id === null || spec.id === cluster.clusterId) return;
  throw new AppError(
    'CLUSTER_ID_MISMATCH',
    `Cluster "${metadata.name}" is pinned to the id ${spec.id}, but ${cluster.clusterId} answers at ${spec.bootstrap.join(', ')}.`,
    {
      nextStep: 'Correct the bootstrap addresses; change "id" only if the cluster was really replaced.',
    },
  );
}

export async function asAppError<T>(subject: string, action: () => Promise<T>): Promise<T> {
  try {
    return await action();
  } catch (error) {
    throw toAppError(error, subject);
  }
}
