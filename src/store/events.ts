/** What happened, for people to read: pruned by age. What must not be pruned is in the audit log. */
import { type SelectQueryBuilder, sql } from 'kysely';
import { type PageOrder, readPage } from './page.ts';
import type { Row, Scope } from './scope.ts';
import { fromJson } from './json.ts';
import type { Tables } from './tables.ts';
import type { Json } from './json.ts';
import type { Page, PageRequest } from './page.ts';

export type EventLevel = 'info' | 'warning' | 'error';

export interface StoredEvent {
  /** Grows in the order in which they were written. */
  readonly id: number;
  readonly at: number;
  /** `job.started`, `topic.created`, … */
  readonly type: string;
  readonly level: EventLevel;
  readonly jobId: string | null;
  readonly cluster: string | null;
  readonly topic: string | null;
  /** User id; null: the product itself. */
  readonly actor: string | null;
  readonly message: string;
  readonly data: Json;
}

export type NewEvent = Omit<StoredEvent, 'id'>;

export interface EventFilter {
  readonly type?: string;
  readonly level?: EventLevel;
  readonly jobId?: string;
  readonly cluster?: string;
  readonly topic?: string;
  /** From this moment on. */
  readonly from?: number;
  /** Before this moment. */
  readonly to?: number;
}

export interface Events {
  add(events: readonly NewEvent[]): Promise<void>;
  get(id: number): Promise<StoredEvent | null>;
  list(request: PageRequest<'id'> & { readonly filter?: EventFilter }): Promise<Page<StoredEvent>>;
  /** Those after `id`, oldest first, at most `limit`: how a stream catches up. */
  after(id: number, limit: number): Promise<readonly StoredEvent[]>;
  counts(
    filter: EventFilter,
  ): Promise<readonly { readonly type: string; readonly level: EventLevel; readonly count: number }[]>;
}

const order: PageOrder<'id'> = { list: 'events', sorts: { id: sql`id` }, first: 'id', id: sql`id` };

/** Each row takes 9 parameters, and PostgreSQL has 65,535 of them. */
const ROWS_MAX = 1000;

export function createEvents({ db }: Scope): Events {
  return {
    async add(events) {
      for (let first = 0; first < events.length; first += ROWS_MAX) {
        const rows = events.slice(first, first + ROWS_MAX).map((event) => ({
          at: event.at,
          type: event.type,
          level: event.level,
          job_id: event.jobId,
          cluster: event.cluster,
          topic: event.topic,
          actor: event.actor,
          message: event.message,
          data: JSON.stringify(event.data),
        }));
        await db.insertInto('events').values(rows).execute();
      }
    },
    async get(id) {
      const row = await db.selectFrom('events').selectAll().where('id', '=', id).executeTakeFirst();
      return row ? toEvent(row) : null;
    },
    list({ filter = {}, ...request }) {
      return readPage(narrow(db.selectFrom('events'), filter).selectAll(), request, { order, toItem: toEvent });
    },
    async after(id, limit) {
      const rows = await db.selectFrom('events').selectAll().where('id', '>', id).orderBy('id').limit(limit).execute();
      return rows.map(toEvent);
    },
    async counts(filter) {
      const rows = await narrow(db.selectFrom('events'), filter)
        .select((build) => ['type', 'level', build.fn.countAll<number>().as('count')])
        .groupBy(['type', 'level'])
        .orderBy('type')
        .orderBy('level')
        .execute();
      return rows.map(({ type, level, count }) => ({ type, level: level as EventLevel, count }));
    },
  };
}

function narrow(
  query: SelectQueryBuilder<Tables, 'events', object>,
  { type, level, jobId, cluster, topic, from, to }: EventFilter,
): SelectQueryBuilder<Tables, 'events', object> {
  const equal = { type, level, job_id: jobId, cluster, topic };
  for (const [column, value] of Object.entries(equal))
    if (value !== undefined) query = query.where(column as keyof typeof equal, '=', value);
  if (from !== undefined) query = query.where('at', '>=', from);
  return to === undefined ? query : query.where('at', '<', to);
}

function toEvent(row: Row<'events'>): StoredEvent {
  return {
    id: row.id,
    at: row.at,
    type: row.type,
    level: row.level as EventLevel,
    jobId: row.job_id,
    cluster: row.cluster,
    topic: row.topic,
    actor: row.actor,
    message: row.message,
    data: fromJson<Json>(row.data),
  };
}
