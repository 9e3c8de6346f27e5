/** Clusters as somebody has described them, with the identity that was met first. */
import type { Json } from './json.ts';
import type { Page, PageRequest } from './page.ts';

/** Deleted ones are `inactive` first, can be restored, and are archived after a while. */
export type ClusterState = 'active' | 'inactive' | 'archived';

export interface StoredCluster {
  readonly name: string;
  /** Resource document (`kind: Cluster`). Secrets in it are references. */
  readonly document: Json;
  readonly state: ClusterState;
  readonly stateChangedAt: number;
  /** `cluster.id` as it was at first contact. */
  readonly pinnedId: string | null;
  readonly version: number;
  readonly createdAt: number;
  readonly updatedAt: number;
}

export type ClusterSort = 'name' | 'createdAt' | 'updatedAt';

export interface Clusters {
  /** RESOURCE_CONFLICT: there is one of that name, in whatever state. */
  create(cluster: { readonly name: string; readonly document: Json }): Promise<StoredCluster>;
  get(name: string): Promise<StoredCluster | null>;
  list(
    request: PageRequest<ClusterSort> & {
      readonly filter?: { readonly state?: ClusterState; readonly nameContains?: string };
    },
  ): Promise<Page<StoredCluster>>;
  /** RESOURCE_NOT_FOUND; RESOURCE_CHANGED when it is not at `ifVersion` any more. */
  replace(name: string, document: Json, options: { readonly ifVersion: number | null }): Promise<StoredCluster>;
  /** Whose id is pinned already keeps it: what is pinned is returned. */
  pin(name: string, clusterId: string): Promise<string>;
  /** Forgets the pinned id: somebody says that another cluster is meant from now on. */
  unpin(name: string, options: { readonly ifVersion: number | null }): Promise<StoredCluster>;
  /** active → inactive; RESOURCE_CONFLICT names the jobs that use it. */
  deactivate(name: string, options: { readonly ifVersion: number | null }): Promise<StoredCluster>;
  /** inactive or archived → active. */
  restore(name: string, options: { readonly ifVersion: number | null }): Promise<StoredCluster>;
  /** inactive since `beforeMs` → archived: their names. */
  archive(beforeMs: number): Promise<readonly string[]>;
  /** Deletes the archived ones: their names. */
  purge(): Promise<readonly string[]>;
}
