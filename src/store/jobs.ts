/** Jobs as somebody has described them, and what they are wanted to do; what they do is not kept here. */
import { sql } from 'kysely';
import { contains, type PageOrder, readPage } from './page.ts';
import { type Row, type Scope, checkVersion, conflict, notFound } from './scope.ts';
import { fromJson } from './json.ts';
import type { Json } from './json.ts';
import type { Page, PageRequest } from './page.ts';

/** Survives restarts: a paused job stays paused. `start-all` begins those that are stopped, and leaves paused ones alone. */
export type DesiredState = 'started' | 'stopped' | 'paused';

export interface StoredJob {
  readonly id: string;
  readonly name: string;
  /** `Mirror`, `Verify`, … */
  readonly kind: string;
  /** Names of clusters; null where the kind has none, or it is another job's. */
  readonly source: string | null;
  readonly target: string | null;
  readonly document: Json;
  readonly desired: DesiredState;
  readonly desiredChangedAt: number;
  /** User id; null: nobody asked, it was created so or imported. */
  readonly desiredChangedBy: string | null;
  /** Grows with each request to restart, so that whoever runs it sees one that it has not done yet. */
  readonly restarts: number;
  /** Of document and name; starting and stopping leave it alone. */
  readonly version: number;
  readonly createdAt: number;
  readonly updatedAt: number;
}

export interface JobText {
  readonly name: string;
  readonly kind: string;
  readonly source: string | null;
  readonly target: string | null;
  readonly document: Json;
}

export type JobSort = 'name' | 'createdAt' | 'updatedAt';

export interface JobFilter {
  readonly kind?: string;
  readonly desired?: DesiredState;
  /** As source or target. */
  readonly cluster?: string;
  readonly nameContains?: string;
}

export interface Jobs {
  /** RESOURCE_CONFLICT: the name is a job's; RESOURCE_NOT_FOUND: there is no active cluster of that name. */
  create(job: JobText & { readonly desired: DesiredState }): Promise<StoredJob>;
  get(id: string): Promise<StoredJob | null>;
  getByName(name: string): Promise<StoredJob | null>;
  list(request: PageRequest<JobSort> & { readonly filter?: JobFilter }): Promise<Page<StoredJob>>;
  /** Also a new name, clusters or kind. As `create`, and RESOURCE_NOT_FOUND, RESOURCE_CHANGED. */
  replace(id: string, job: JobText, options: { readonly ifVersion: number | null }): Promise<StoredJob>;
  setDesired(id: string, desired: DesiredState, options: { readonly by: string | null }): Promise<StoredJob>;
  /** All that are `from` become `to`: those that changed. */
  setDesiredOfAll(change: {
    readonly from: readonly DesiredState[];
    readonly to: DesiredState;
    readonly by: string | null;
  }): Promise<readonly StoredJob[]>;
  /** It is wanted to end and begin again; becomes `started`. */
  requestRestart(id: string, options: { readonly by: string | null }): Promise<StoredJob>;
  /**
   * Reports still count what it did: its own figures and its incidents, which end now, stay as long as those of other jobs; figures of
   * topics go. RESOURCE_CONFLICT unless it is wanted stopped: who runs it must have ended first.
   */
  delete(id: string, options: { readonly ifVersion: number | null }): Promise<void>;
}

const order: PageOrder<JobSort> = {
  list: 'jobs',
  sorts: { name: sql`name`, createdAt: sql`created_at`, updatedAt: sql`updated_at` },
  first: 'name',
  id: sql`id`,
};

export function createJobs(scope: Scope): Jobs {
  const { db, now, newId } = scope;
  const read = async (id: string): Promise<Row<'jobs'>> => {
    const row = await db.selectFrom('jobs').selectAll().where('id', '=', id).executeTakeFirst();
    if (!row) throw notFound('job', id);
    return row;
  };
  const find = async (column: 'id' | 'name', value: string): Promise<StoredJob | null> => {
    const row = await db.selectFrom('jobs').selectAll().where(column, '=', value).executeTakeFirst();
    return row ? toJob(row) : null;
  };
  const change = async (row: Row<'jobs'>, columns: Partial<Row<'jobs'>>): Promise<StoredJob> => {
    await db.updateTable('jobs').set(columns).where('id', '=', row.id).execute();
    return toJob({ ...row, ...columns });
  };
  const wanted = (desired: DesiredState, by: string | null) => ({
    desired,
    desired_changed_at: now,
    desired_changed_by: by,
  });
  return {
    async create({ desired, ...text }) {
      await checkText(scope, text, null);
      const row: Row<'jobs'> = {
        id: newId(),
        ...toColumns(text),
        ...wanted(desired, null),
        restarts: 0,
        version: 1,
        created_at: now,
        updated_at: now,
      };
      await db.insertInto('jobs').values(row).execute();
      return toJob(row);
    },
    get: (id) => find('id', id),
    getByName: (name) => find('name', name),
    list({ filter = {}, ...request }) {
      const { kind, desired, cluster, nameContains } = filter;
      let query = db.selectFrom('jobs').selectAll();
      if (kind !== undefined) query = query.where('kind', '=', kind);
      if (desired !== undefined) query = query.where('desired', '=', desired);
      if (cluster !== undefined)
        query = query.where((build) => build.or([build('source', '=', cluster), build('target', '=', cluster)]));
      if (nameContains !== undefined) query = query.where(contains(sql`name`, nameContains));
      return readPage(query, request, { order, toItem: toJob });
    },
    async replace(id, text, { ifVersion }) {
      const row = await read(id);
      checkVersion(`job "${row.name}"`, row.version, ifVersion);
      await checkText(scope, text, id);
      return change(row, { ...toColumns(text), version: row.version + 1, updated_at: now });
    },
    async setDesired(id, desired, { by }) {
      const row = await read(id);
      return row.desired === desired ? toJob(row) : change(row, wanted(desired, by));
    },
    async setDesiredOfAll({ from, to, by }) {
      if (from.length === 0) return [];
      const rows = await db
        .updateTable('jobs')
        .set(wanted(to, by))
        .where('desired', 'in', from)
        .where('desired', '!=', to)
        .returningAll()
        .execute();
      return rows.map(toJob).toSorted((a, b) => (a.name < b.name ? -1 : 1));
    },
    async requestRestart(id, { by }) {
      const row = await read(id);
      return change(row, { ...wanted('started', by), restarts: row.restarts + 1 });
    },
    async delete(id, { ifVersion }) {
      const row = await read(id);
      checkVersion(`job "${row.name}"`, row.version, ifVersion);
      if (row.desired !== 'stopped') throw conflict(`Job "${row.name}" is not stopped.`, 'Stop it first.');
      await db
        .updateTable('incidents')
        .set({ closed_at: now })
        .where('job_id', '=', id)
        .where('closed_at', 'is', null)
        .execute();
      await db.deleteFrom('metric_series').where('job_id', '=', id).where('topic', '!=', '').execute();
      await db.deleteFrom('jobs').where('id', '=', id).execute();
    },
  };
}

async function checkText({ db }: Scope, { name, source, target }: JobText, ownId: string | null): Promise<void> {
  const namesake = await db.selectFrom('jobs').select('id').where('name', '=', name).executeTakeFirst();
  if (namesake && namesake.id !== ownId) throw conflict(`There is a job "${name}" already.`, 'Take another name.');
  for (const cluster of [source, target]) {
    if (cluster === null) continue;
    const row = await db
      .selectFrom('clusters')
      .select('name')
      .where('name', '=', cluster)
      .where('state', '=', 'active')
      .executeTakeFirst();
    if (!row) throw notFound('active cluster', cluster);
  }
}

function toColumns({ name, kind, source, target, document }: JobText) {
  return { name, kind, source, target, document: JSON.stringify(document) };
}

function toJob(row: Row<'jobs'>): StoredJob {
  return {
    id: row.id,
    name: row.name,
    kind: row.kind,
    source: row.source,
    target: row.target,
    document: fromJson<Json>(row.document),
    desired: row.desired as DesiredState,
    desiredChangedAt: row.desired_changed_at,
    desiredChangedBy: row.desired_changed_by,
    restarts: row.restarts,
    version: row.version,
    createdAt: row.created_at,
    updatedAt: row.updated_at,
  };
}
