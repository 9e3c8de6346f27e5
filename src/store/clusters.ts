/** Clusters as somebody has described them, with the identity that was met first. */
import { sql } from 'kysely';
import { contains, type PageOrder, readPage } from './page.ts';
import { type Row, type Scope, checkVersion, conflict, notFound } from './scope.ts';
import { fromJson } from './json.ts';
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

const order: PageOrder<ClusterSort> = {
  list: 'clusters',
  sorts: { name: sql`name`, createdAt: sql`created_at`, updatedAt: sql`updated_at` },
  first: 'name',
  id: sql`name`,
};

export function createClusters({ db, now }: Scope): Clusters {
  const read = (name: string) => db.selectFrom('clusters').selectAll().where('name', '=', name).executeTakeFirst();
  const change = async (
    name: string,
    ifVersion: number | null,
    columns: Partial<Row<'clusters'>>,
  ): Promise<StoredCluster> => {
    const row = await read(name);
    if (!row) throw notFound('cluster', name);
    checkVersion(`cluster "${name}"`, row.version, ifVersion);
    const changed = { ...columns, version: row.version + 1, updated_at: now };
    await db.updateTable('clusters').set(changed).where('name', '=', name).execute();
    return toCluster({ ...row, ...changed });
  };
  const state = (name: ClusterState) => ({ state: name, state_changed_at: now });
  return {
    async create({ name, document }) {
      const there = await read(name);
      if (there)
        throw conflict(
          `There is a cluster "${name}" already (${there.state}).`,
          there.state === 'active'
            ? 'Take another name, or change that one.'
            : 'Restore it, or purge archived clusters.',
        );
      const row: Row<'clusters'> = {
        name,
        document: JSON.stringify(document),
        ...state('active'),
        pinned_id: null,
        version: 1,
        created_at: now,
        updated_at: now,
      };
      await db.insertInto('clusters').values(row).execute();
      return toCluster(row);
    },
    async get(name) {
      const row = await read(name);
      return row ? toCluster(row) : null;
    },
    list({ filter = {}, ...request }) {
      let query = db.selectFrom('clusters').selectAll();
      if (filter.state !== undefined) query = query.where('state', '=', filter.state);
      if (filter.nameContains !== undefined) query = query.where(contains(sql`name`, filter.nameContains));
      return readPage(query, request, { order, toItem: toCluster });
    },
    replace: (name, document, { ifVersion }) => change(name, ifVersion, { document: JSON.stringify(document) }),
    async pin(name, clusterId) {
      const row = await read(name);
      if (!row) throw notFound('cluster', name);
      if (row.pinned_id === null) await change(name, null, { pinned_id: clusterId });
      return row.pinned_id ?? clusterId;
    },
    unpin: (name, { ifVersion }) => change(name, ifVersion, { pinned_id: null }),
    async deactivate(name, { ifVersion }) {
      const users = await db
        .selectFrom('jobs')
        .select('name')
        .where((build) => build.or([build('source', '=', name), build('target', '=', name)]))
        .where('desired', '!=', 'stopped')
        .orderBy('name')
        .execute();
      if (users.length > 0)
        throw conflict(
          `Cluster "${name}" is in use by ${users.map((job) => `"${job.name}"`).join(', ')}.`,
          'Stop those jobs first.',
        );
      return change(name, ifVersion, state('inactive'));
    },
    restore: (name, { ifVersion }) => change(name, ifVersion, state('active')),
    async archive(beforeMs) {
      const rows = await db
        .updateTable('clusters')
        .set({ ...state('archived'), updated_at: now })
        .where('state', '=', 'inactive')
        .where('state_changed_at', '<', beforeMs)
        .returning('name')
        .execute();
      return rows.map(({ name }) => name).toSorted();
    },
    async purge() {
      const rows = await db
        .deleteFrom('clusters')
        .where('state', '=', 'archived')
        .where(sql<boolean>`not exists (select 1 from jobs where source = clusters.name or target = clusters.name)`)
        .returning('name')
        .execute();
      return rows.map(({ name }) => name).toSorted();
    },
  };
}

function toCluster(row: Row<'clusters'>): StoredCluster {
  return {
    name: row.name,
    document: fromJson<Json>(row.document),
    state: row.state as ClusterState,
    stateChangedAt: row.state_changed_at,
    pinnedId: row.pinned_id,
    version: row.version,
    createdAt: row.created_at,
    updatedAt: row.updated_at,
  };
}
