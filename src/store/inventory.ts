/** What was on a cluster at a moment: topics, partitions, groups. Any two snapshots can be compared. */
import { type SelectQueryBuilder, sql } from 'kysely';
import { beginsWith, contains, type PageOrder, readPage } from './page.ts';
import { type Row, type Scope, conflict, flag, notFound } from './scope.ts';
import { fromJson } from './json.ts';
import type { Tables } from './tables.ts';
import type { Json } from './json.ts';
import type { Page, PageRequest } from './page.ts';

export type SnapshotTrigger = 'startup' | 'periodic' | 'manual';

export interface Snapshot {
  readonly id: number;
  readonly cluster: string;
  /** The job for which it was taken, and which side of it; null: for none. */
  readonly jobId: string | null;
  readonly side: 'source' | 'target' | null;
  readonly trigger: SnapshotTrigger;
  /** User id of a manual one. */
  readonly takenBy: string | null;
  readonly takenAt: number;
  /** Cluster id, controller, brokers, connections, as they were. */
  readonly facts: Json;
  readonly topics: number;
  readonly partitions: number;
  readonly groups: number;
}

export interface InventoryTopic {
  readonly name: string;
  readonly topicId: string | null;
  readonly isInternal: boolean;
  readonly partitions: number;
  readonly replicationFactor: number;
  /** Partitions that have fewer replicas in sync than replicas. */
  readonly underReplicated: number;
  /** Null: not known. */
  readonly records: number | null;
  /** Settings that differ from the cluster's defaults; null: not read. */
  readonly configs: Readonly<Record<string, string>> | null;
}

export interface InventoryPartition {
  readonly topic: string;
  readonly partition: number;
  readonly leader: number | null;
  readonly replicas: readonly number[];
  readonly inSyncReplicas: readonly number[];
  readonly logStart: number | null;
  readonly highWatermark: number | null;
}

export interface InventoryGroup {
  readonly groupId: string;
  readonly state: string;
  readonly protocol: string;
  readonly members: number;
}

export interface InventoryGroupOffset {
  readonly groupId: string;
  readonly topic: string;
  readonly partition: number;
  readonly offset: number;
  readonly highWatermark: number | null;
  readonly lagRecords: number | null;
}

export type InventoryItems =
  | { readonly kind: 'topics'; readonly items: readonly InventoryTopic[] }
  | { readonly kind: 'partitions'; readonly items: readonly InventoryPartition[] }
  | { readonly kind: 'groups'; readonly items: readonly InventoryGroup[] }
  | { readonly kind: 'offsets'; readonly items: readonly InventoryGroupOffset[] };

export interface SnapshotFilter {
  readonly cluster?: string;
  readonly jobId?: string;
  readonly side?: 'source' | 'target';
  readonly trigger?: SnapshotTrigger;
}

export interface TopicFilter {
  readonly nameContains?: string;
  readonly namePrefix?: string;
  readonly isInternal?: boolean;
  readonly isUnderReplicated?: boolean;
}

export type TopicSort = 'name' | 'partitions' | 'replicationFactor' | 'underReplicated' | 'records';

export interface SnapshotDifference {
  readonly kind: 'topic' | 'partition' | 'group' | 'offset';
  /** `orders`, `orders/3`, `billing`, `billing orders/3`. */
  readonly name: string;
  readonly change: 'added' | 'removed' | 'changed';
  /** The item as it was in the first and as it is in the second; null where there is none. */
  readonly before: Json;
  readonly after: Json;
}

export interface Inventory {
  /** One that is not completed is nowhere to be seen, and pruned after an hour. */
  begin(snapshot: Pick<Snapshot, 'cluster' | 'jobId' | 'side' | 'trigger' | 'takenBy' | 'facts'>): Promise<number>;
  /** At most 2,000 at a time (`saveSnapshot` cuts them). */
  add(snapshotId: number, items: InventoryItems): Promise<void>;
  complete(snapshotId: number): Promise<Snapshot>;
  get(snapshotId: number): Promise<Snapshot | null>;
  /** The latest that is complete. */
  latest(cluster: string): Promise<Snapshot | null>;
  list(request: PageRequest<'takenAt'> & { readonly filter?: SnapshotFilter }): Promise<Page<Snapshot>>;
  topics(
    snapshotId: number,
    request: PageRequest<TopicSort> & { readonly filter?: TopicFilter },
  ): Promise<Page<InventoryTopic>>;
  partitions(snapshotId: number, topic: string): Promise<readonly InventoryPartition[]>;
  groups(
    snapshotId: number,
    request: PageRequest<'groupId' | 'members'> & { readonly filter?: { readonly groupIdContains?: string } },
  ): Promise<Page<InventoryGroup>>;
  offsets(snapshotId: number, groupId: string): Promise<readonly InventoryGroupOffset[]>;
  /** What became of the first to give the second; ordered by kind and name. */
  differences(
    change: { readonly from: number; readonly to: number },
    request: PageRequest<'name'> & { readonly filter?: { readonly kind?: SnapshotDifference['kind'] } },
  ): Promise<Page<SnapshotDifference>>;
  delete(snapshotId: number): Promise<boolean>;
}

export interface WholeSnapshot {
  readonly about: Parameters<Inventory['begin']>[0];
  readonly topics: readonly InventoryTopic[];
  readonly partitions: readonly InventoryPartition[];
  readonly groups: readonly InventoryGroup[];
  readonly offsets: readonly InventoryGroupOffset[];
}

/** In pieces, between which others get their turn. One that is interrupted is never seen. */
export async function saveSnapshot(inventory: Inventory, snapshot: WholeSnapshot): Promise<Snapshot> {
  const id = await inventory.begin(snapshot.about);
  for (const kind of ['topics', 'partitions', 'groups', 'offsets'] as const)
    for (let first = 0; first < snapshot[kind].length; first += ITEMS_MAX)
      await inventory.add(id, { kind, items: snapshot[kind].slice(first, first + ITEMS_MAX) } as InventoryItems);
  return inventory.complete(id);
}

const byTime: PageOrder<'takenAt'> = {
  list: 'snapshots',
  sorts: { takenAt: sql`taken_at` },
  first: 'takenAt',
  id: sql`id`,
};
const byTopic: PageOrder<TopicSort> = {
  list: 'topics',
  sorts: {
    name: sql`name`,
    partitions: sql`partitions`,
    replicationFactor: sql`replication_factor`,
    underReplicated: sql`under_replicated`,
    records: sql`size`,
  },
  first: 'name',
  id: sql`name`,
};
const byGroup: PageOrder<'groupId' | 'members'> = {
  list: 'groups',
  sorts: { groupId: sql`name`, members: sql`size` },
  first: 'groupId',
  id: sql`name`,
};
const byDifference: PageOrder<'name'> = {
  list: 'differences',
  sorts: { name: sql`kind` },
  first: 'name',
  id: sql`name`,
};

const ITEMS_MAX = 2000;
/** Each row takes 11 parameters, and SQLite has 32,766 of them. */
const ROWS_MAX = 500;

type ItemRow = Omit<Row<'snapshot_items'>, 'snapshot_id'>;

export function createInventory({ db, now }: Scope): Inventory {
  const snapshots = () => db.selectFrom('snapshots').selectAll().where('is_complete', '=', 1);
  const get = async (id: number): Promise<Snapshot | null> => {
    const row = await snapshots().where('id', '=', id).executeTakeFirst();
    return row ? toSnapshot(row) : null;
  };
  const unfinished = async (id: number): Promise<void> => {
    const row = await db.selectFrom('snapshots').select('is_complete').where('id', '=', id).executeTakeFirst();
    if (!row) throw notFound('snapshot', String(id));
    if (row.is_complete) throw conflict(`Snapshot ${id} is complete.`, 'Begin another one.');
  };
  const items = async (id: number, kind: string, parent: string): Promise<string[]> => {
    const rows = await db
      .selectFrom('snapshot_items')
      .select('item')
      .where('snapshot_id', '=', id)
      .where('kind', '=', kind)
      .where('parent', '=', parent)
      .execute();
    return rows.map(({ item }) => item);
  };
  return {
    async begin({ cluster, jobId, side, trigger, takenBy, facts }) {
      const { id } = await db
        .insertInto('snapshots')
        .values({
          cluster,
          job_id: jobId,
          side,
          taken_for: trigger,
          taken_by: takenBy,
          taken_at: now,
          facts: JSON.stringify(facts),
          is_complete: 0,
          topics: 0,
          partitions: 0,
          groups: 0,
        })
        .returning('id')
        .executeTakeFirstOrThrow();
      return id;
    },
    async add(id, added) {
      await unfinished(id);
      if (added.items.length > ITEMS_MAX)
        throw conflict(`${added.items.length} items at once are too many.`, `Add at most ${ITEMS_MAX} at a time.`);
      const rows = toItems(added).map((row) => ({ snapshot_id: id, ...row }));
      for (let first = 0; first < rows.length; first += ROWS_MAX)
        await db
          .insertInto('snapshot_items')
          .values(rows.slice(first, first + ROWS_MAX))
          .execute();
    },
    async complete(id) {
      await unfinished(id);
      const counts = await db
        .selectFrom('snapshot_items')
        .select((build) => ['kind', build.fn.countAll<number>().as('count')])
        .where('snapshot_id', '=', id)
        .groupBy('kind')
        .execute();
      const countOf = (kind: string): number => counts.find((each) => each.kind === kind)?.count ?? 0;
      const row = await db
        .updateTable('snapshots')
        .set({
          is_complete: 1,
          topics: countOf('topic'),
          partitions: countOf('partition'),
          groups: countOf('group'),
        })
        .where('id', '=', id)
        .returningAll()
        .executeTakeFirstOrThrow();
      return toSnapshot(row);
    },
    get,
    async latest(cluster) {
      const row = await snapshots()
        .where('cluster', '=', cluster)
        .orderBy('taken_at', 'desc')
        .orderBy('id', 'desc')
        .limit(1)
        .executeTakeFirst();
      return row ? toSnapshot(row) : null;
    },
    list({ filter = {}, ...request }) {
      const { cluster, jobId, side, trigger } = filter;
      let query = snapshots();
      if (cluster !== undefined) query = query.where('cluster', '=', cluster);
      if (jobId !== undefined) query = query.where('job_id', '=', jobId);
      if (side !== undefined) query = query.where('side', '=', side);
      if (trigger !== undefined) query = query.where('taken_for', '=', trigger);
      return readPage(query, request, { order: byTime, toItem: toSnapshot });
    },
    topics(id, { filter = {}, ...request }) {
      const { nameContains, namePrefix, isInternal, isUnderReplicated } = filter;
      let query = itemsOf(db, id, 'topic');
      if (nameContains !== undefined) query = query.where(contains(sql`name`, nameContains));
      if (namePrefix !== undefined) query = query.where(beginsWith(sql`name`, namePrefix));
      if (isInternal !== undefined) query = query.where('is_internal', '=', flag(isInternal));
      if (isUnderReplicated !== undefined) query = query.where('under_replicated', isUnderReplicated ? '>' : '=', 0);
      return readPage(query, request, { order: byTopic, toItem: ({ item }) => fromJson<InventoryTopic>(item) });
    },
    async partitions(id, topic) {
      const found = (await items(id, 'partition', topic)).map((item) => fromJson<InventoryPartition>(item));
      return found.toSorted((a, b) => a.partition - b.partition);
    },
    groups(id, { filter = {}, ...request }) {
      let query = itemsOf(db, id, 'group');
      if (filter.groupIdContains !== undefined) query = query.where(contains(sql`name`, filter.groupIdContains));
      return readPage(query, request, { order: byGroup, toItem: ({ item }) => fromJson<InventoryGroup>(item) });
    },
    async offsets(id, groupId) {
      const found = (await items(id, 'offset', groupId)).map((item) => fromJson<InventoryGroupOffset>(item));
      return found.toSorted((a, b) => (a.topic === b.topic ? a.partition - b.partition : a.topic < b.topic ? -1 : 1));
    },
    async differences({ from, to }, { filter = {}, ...request }) {
      for (const id of [from, to]) if ((await get(id)) === null) throw notFound('snapshot', String(id));
      let query = db.selectFrom(differences(db, from, to).as('differences')).selectAll();
      if (filter.kind !== undefined) query = query.where('kind', '=', filter.kind);
      return readPage(query, request, {
        order: byDifference,
        toItem: ({ kind, name, before, after }) => ({
          kind: kind as SnapshotDifference['kind'],
          name,
          change: before === null ? 'added' : after === null ? 'removed' : 'changed',
          before: before === null ? null : fromJson<Json>(before),
          after: after === null ? null : fromJson<Json>(after),
        }),
      });
    },
    async delete(id) {
      return (await db.deleteFrom('snapshots').where('id', '=', id).executeTakeFirst()).numDeletedRows > 0n;
    },
  };
}

function itemsOf(db: Scope['db'], id: number, kind: string) {
  return db.selectFrom('snapshot_items').select('item').where('snapshot_id', '=', id).where('kind', '=', kind);
}

interface Difference {
  kind: string;
  name: string;
  before: string | null;
  after: string | null;
}

/** What the first has and the second has not, or otherwise, and what only the second has. */
function differences(
  db: Scope['db'],
  from: number,
  to: number,
): SelectQueryBuilder<Tables, 'snapshot_items', Difference> {
  const kept = db
    .selectFrom('snapshot_items as old')
    .leftJoin('snapshot_items as new', (join) =>
      join.onRef('new.kind', '=', 'old.kind').onRef('new.name', '=', 'old.name').on('new.snapshot_id', '=', to),
    )
    .select(['old.kind', 'old.name'])
    .select([sql<string | null>`old.item`.as('before'), sql<string | null>`new.item`.as('after')])
    .where('old.snapshot_id', '=', from)
    .where((build) =>
      build.or([build('new.compared', 'is', null), build('new.compared', '!=', build.ref('old.compared'))]),
    );
  const added = db
    .selectFrom('snapshot_items as new')
    .leftJoin('snapshot_items as old', (join) =>
      join.onRef('old.kind', '=', 'new.kind').onRef('old.name', '=', 'new.name').on('old.snapshot_id', '=', from),
    )
    .select(['new.kind', 'new.name'])
    .select([sql<string | null>`old.item`.as('before'), sql<string | null>`new.item`.as('after')])
    .where('new.snapshot_id', '=', to)
    .where('old.name', 'is', null);
  return kept.unionAll(added) as unknown as SelectQueryBuilder<Tables, 'snapshot_items', Difference>;
}

const NO_COLUMNS = { partitions: 0, replication_factor: 0, under_replicated: 0, size: 0, is_internal: 0 } as const;

function toItems(added: InventoryItems): ItemRow[] {
  switch (added.kind) {
    case 'topics':
      return added.items.map(topicItem);
    case 'partitions':
      return added.items.map((item) => {
        const { topic, partition, leader, replicas, inSyncReplicas } = item;
        const compared = JSON.stringify({ leader, replicas, inSyncReplicas });
        return { ...NO_COLUMNS, ...itemColumns('partition', `${topic}/${partition}`, item), parent: topic, compared };
      });
    case 'groups':
      return added.items.map((item) => ({
        ...NO_COLUMNS,
        ...itemColumns('group', item.groupId, item),
        size: item.members,
      }));
    case 'offsets':
      return added.items.map((item) => {
        const { groupId, topic, partition, offset } = item;
        const columns = itemColumns('offset', `${groupId} ${topic}/${partition}`, item);
        return { ...NO_COLUMNS, ...columns, parent: groupId, compared: String(offset) };
      });
  }
}

function topicItem(item: InventoryTopic): ItemRow {
  const { name, topicId, isInternal, partitions, replicationFactor, underReplicated, records, configs } = item;
  const settings = configs && Object.entries(configs).toSorted(([a], [b]) => (a < b ? -1 : 1));
  return {
    ...itemColumns('topic', name, item),
    compared: JSON.stringify({ topicId, partitions, replicationFactor, underReplicated, settings }),
    partitions,
    replication_factor: replicationFactor,
    under_replicated: underReplicated,
    size: records ?? -1,
    is_internal: flag(isInternal),
  };
}

function itemColumns(
  kind: string,
  name: string,
  item: object,
): Pick<ItemRow, 'kind' | 'name' | 'parent' | 'item' | 'compared'> {
  const text = JSON.stringify(item);
  return { kind, name, parent: '', item: text, compared: text };
}

function toSnapshot(row: Row<'snapshots'>): Snapshot {
  return {
    id: row.id,
    cluster: row.cluster,
    jobId: row.job_id,
    side: row.side as Snapshot['side'],
    trigger: row.taken_for as SnapshotTrigger,
    takenBy: row.taken_by,
    takenAt: row.taken_at,
    facts: fromJson<Json>(row.facts),
    topics: row.topics,
    partitions: row.partitions,
    groups: row.groups,
  };
}
