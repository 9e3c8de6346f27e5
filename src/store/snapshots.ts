import { type SelectQueryBuilder, sql } from 'kysely';
import {
  type Inventory,
  type InventoryGroup,
  type InventoryGroupOffset,
  type InventoryPartition,
  type InventoryTopic,
  ITEMS_MAX,
  type Snapshot,
  type SnapshotDifference,
  type SnapshotTrigger,
  type TopicSort,
} from './inventory.ts';
import { fromJson, type Json } from './json.ts';
import { beginsWith, contains, type PageOrder, readPage } from './page.ts';
import { conflict, flag, notFound, type Row, type Scope } from './scope.ts';
import { toItems } from './snapshot-items.ts';
import type { Tables } from './tables.ts';

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

/** Each row takes 12 parameters, and SQLite has 32,766 of them. */
const ROWS_MAX = 500;

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
