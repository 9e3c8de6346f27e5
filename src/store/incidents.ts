/** Incidents of jobs from their first to their last moment, and what people made of them. */
import { sql } from 'kysely';
import { type PageOrder, readPage } from './page.ts';
import { type Row, type Scope, flag, notFound } from './scope.ts';
import type { Page, PageRequest } from './page.ts';

export type Resolution = 'unresolved' | 'in-progress' | 'resolved' | 'ignored';

export interface StoredIncident {
  readonly id: number;
  readonly jobId: string;
  readonly code: string;
  readonly severity: 'error' | 'warning';
  readonly topic: string | null;
  readonly partition: number | null;
  /** Source offsets concerned, the second not among them. */
  readonly offsetFrom: number | null;
  readonly offsetTo: number | null;
  readonly cause: string;
  readonly consequence: string;
  readonly nextStep: string;
  readonly endsByItself: boolean;
  readonly openedAt: number;
  readonly lastSeenAt: number;
  /** Null: it is still there. */
  readonly closedAt: number | null;
  readonly resolution: Resolution;
  readonly resolutionNote: string | null;
  readonly resolvedBy: string | null;
  readonly resolvedAt: number | null;
}

export type ReportedIncident = Pick<
  StoredIncident,
  | 'code'
  | 'severity'
  | 'topic'
  | 'partition'
  | 'offsetFrom'
  | 'offsetTo'
  | 'cause'
  | 'consequence'
  | 'nextStep'
  | 'endsByItself'
>;

export interface IncidentFilter {
  readonly jobId?: string;
  readonly code?: string;
  readonly topic?: string;
  readonly severity?: 'error' | 'warning';
  readonly isOpen?: boolean;
  readonly resolution?: Resolution;
  /** There was it in this time. */
  readonly from?: number;
  readonly to?: number;
  /** It began then or later. */
  readonly openedFrom?: number;
}

export interface Incidents {
  /**
   * What a job says of itself now: all that stands still in it. One that is open already (same code, topic and partition) is
   * seen again, what is missing is closed. Repeating it changes nothing. Returns what opened and what closed.
   */
  report(
    jobId: string,
    incidents: readonly ReportedIncident[],
  ): Promise<{ readonly opened: readonly StoredIncident[]; readonly closed: readonly StoredIncident[] }>;
  get(id: number): Promise<StoredIncident | null>;
  list(
    request: PageRequest<'openedAt' | 'lastSeenAt'> & { readonly filter?: IncidentFilter },
  ): Promise<Page<StoredIncident>>;
  /** RESOURCE_NOT_FOUND. */
  resolve(
    id: number,
    change: { readonly resolution: Resolution; readonly note: string | null; readonly by: string },
  ): Promise<StoredIncident>;
}

const order: PageOrder<'openedAt' | 'lastSeenAt'> = {
  list: 'incidents',
  sorts: { openedAt: sql`opened_at`, lastSeenAt: sql`last_seen_at` },
  first: 'openedAt',
  id: sql`id`,
};

/** Reporting the same again is written down this often, not at each report. */
const SEEN_EVERY_MS = 60_000;

export function createIncidents({ db, now }: Scope): Incidents {
  return {
    async report(jobId, incidents) {
      const job = await db.selectFrom('jobs').select('id').where('id', '=', jobId).executeTakeFirst();
      if (!job) throw notFound('job', jobId);
      const open = await db
        .selectFrom('incidents')
        .selectAll()
        .where('job_id', '=', jobId)
        .where('closed_at', 'is', null)
        .execute();
      const reported = new Map(incidents.map((incident) => [keyOf(incident), incident]));
      const known = new Map(open.map((row) => [keyOf(row), row]));
      const opened: StoredIncident[] = [];
      const closed: StoredIncident[] = [];
      for (const [key, incident] of reported) {
        const row = known.get(key);
        if (row === undefined) opened.push(toIncident(await insert(jobId, incident)));
        else if (isOther(row, incident) || now - row.last_seen_at >= SEEN_EVERY_MS)
          await db
            .updateTable('incidents')
            .set({ ...toColumns(incident), last_seen_at: now })
            .where('id', '=', row.id)
            .execute();
      }
      for (const [key, row] of known) {
        if (reported.has(key)) continue;
        await db.updateTable('incidents').set({ closed_at: now }).where('id', '=', row.id).execute();
        closed.push(toIncident({ ...row, closed_at: now }));
      }
      return { opened, closed };
    },
    async get(id) {
      const row = await db.selectFrom('incidents').selectAll().where('id', '=', id).executeTakeFirst();
      return row ? toIncident(row) : null;
    },
    list({ filter = {}, ...request }) {
      const { jobId, code, topic, severity, isOpen, resolution, from, to, openedFrom } = filter;
      let query = db.selectFrom('incidents').selectAll();
      if (jobId !== undefined) query = query.where('job_id', '=', jobId);
      if (code !== undefined) query = query.where('code', '=', code);
      if (topic !== undefined) query = query.where('topic', '=', topic);
      if (severity !== undefined) query = query.where('severity', '=', severity);
      if (isOpen !== undefined) query = query.where('closed_at', isOpen ? 'is' : 'is not', null);
      if (resolution !== undefined) query = query.where('resolution', '=', resolution);
      if (from !== undefined)
        query = query.where((build) => build.or([build('closed_at', 'is', null), build('closed_at', '>=', from)]));
      if (to !== undefined) query = query.where('opened_at', '<', to);
      if (openedFrom !== undefined) query = query.where('opened_at', '>=', openedFrom);
      return readPage(query, request, { order, toItem: toIncident });
    },
    async resolve(id, { resolution, note, by }) {
      const row = await db
        .updateTable('incidents')
        .set({ resolution, resolution_note: note, resolved_by: by, resolved_at: now })
        .where('id', '=', id)
        .returningAll()
        .executeTakeFirst();
      if (!row) throw notFound('incident', String(id));
      return toIncident(row);
    },
  };

  async function insert(jobId: string, incident: ReportedIncident): Promise<Row<'incidents'>> {
    return db
      .insertInto('incidents')
      .values({
        job_id: jobId,
        ...toColumns(incident),
        opened_at: now,
        last_seen_at: now,
        closed_at: null,
        resolution: 'unresolved',
        resolution_note: null,
        resolved_by: null,
        resolved_at: null,
      })
      .returningAll()
      .executeTakeFirstOrThrow();
  }
}

function keyOf({ code, topic, partition }: Pick<StoredIncident, 'code' | 'topic' | 'partition'>): string {
  return JSON.stringify([code, topic, partition]);
}

function isOther(row: Row<'incidents'>, incident: ReportedIncident): boolean {
  return Object.entries(toColumns(incident)).some(([column, value]) => row[column as keyof typeof row] !== value);
}

function toColumns(incident: ReportedIncident) {
  return {
    code: incident.code,
    severity: incident.severity,
    topic: incident.topic,
    partition: incident.partition,
    offset_from: incident.offsetFrom,
    offset_to: incident.offsetTo,
    cause: incident.cause,
    consequence: incident.consequence,
    next_step: incident.nextStep,
    ends_by_itself: flag(incident.endsByItself),
  };
}

function toIncident(row: Row<'incidents'>): StoredIncident {
  return {
    id: row.id,
    jobId: row.job_id,
    code: row.code,
    severity: row.severity as StoredIncident['severity'],
    topic: row.topic,
    partition: row.partition,
    offsetFrom: row.offset_from,
    offsetTo: row.offset_to,
    cause: row.cause,
    consequence: row.consequence,
    nextStep: row.next_step,
    endsByItself: row.ends_by_itself === 1,
    openedAt: row.opened_at,
    lastSeenAt: row.last_seen_at,
    closedAt: row.closed_at,
    resolution: row.resolution as Resolution,
    resolutionNote: row.resolution_note,
    resolvedBy: row.resolved_by,
    resolvedAt: row.resolved_at,
  };
}
