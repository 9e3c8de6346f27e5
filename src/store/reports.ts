/** Documents that were made at a moment and never change: compliance reports, validations, checkpoints, resume points. */
import { sql } from 'kysely';
import { type PageOrder, readPage } from './page.ts';
import type { Row, Scope } from './scope.ts';
import { fromJson } from './json.ts';
import type { Json } from './json.ts';
import type { Page, PageRequest } from './page.ts';

export interface StoredReport {
  readonly id: string;
  /** `compliance`, `validation`, `checkpoint`, `resume-points`, … */
  readonly kind: string;
  /** Job id or other subject; null: the whole product. */
  readonly subject: string | null;
  /** The time that it is about; null: a moment. */
  readonly from: number | null;
  readonly to: number | null;
  readonly createdAt: number;
  readonly createdBy: string | null;
  /** What a list shows. */
  readonly summary: Json;
}

export interface ReportFilter {
  readonly kind?: string;
  readonly subject?: string;
  readonly from?: number;
  readonly to?: number;
}

export interface Reports {
  add(report: Omit<StoredReport, 'id' | 'createdAt'> & { readonly body: Json }): Promise<StoredReport>;
  get(id: string): Promise<(StoredReport & { readonly body: Json }) | null>;
  list(request: PageRequest<'createdAt'> & { readonly filter?: ReportFilter }): Promise<Page<StoredReport>>;
  delete(id: string): Promise<boolean>;
}

const order: PageOrder<'createdAt'> = {
  list: 'reports',
  sorts: { createdAt: sql`created_at` },
  first: 'createdAt',
  id: sql`id`,
};

const LISTED = ['id', 'kind', 'subject', 'from_at', 'to_at', 'created_at', 'created_by', 'summary'] as const;

export function createReports({ db, now, newId }: Scope): Reports {
  return {
    async add({ kind, subject, from, to, createdBy, summary, body }) {
      const row: Row<'reports'> = {
        id: newId(),
        kind,
        subject,
        from_at: from,
        to_at: to,
        created_at: now,
        created_by: createdBy,
        summary: JSON.stringify(summary),
        body: JSON.stringify(body),
      };
      await db.insertInto('reports').values(row).execute();
      return toReport(row);
    },
    async get(id) {
      const row = await db.selectFrom('reports').selectAll().where('id', '=', id).executeTakeFirst();
      return row ? { ...toReport(row), body: fromJson<Json>(row.body) } : null;
    },
    list({ filter = {}, ...request }) {
      const { kind, subject, from, to } = filter;
      let query = db.selectFrom('reports').select(LISTED);
      if (kind !== undefined) query = query.where('kind', '=', kind);
      if (subject !== undefined) query = query.where('subject', '=', subject);
      if (from !== undefined) query = query.where('created_at', '>=', from);
      if (to !== undefined) query = query.where('created_at', '<', to);
      return readPage(query, request, { order, toItem: toReport });
    },
    async delete(id) {
      return (await db.deleteFrom('reports').where('id', '=', id).executeTakeFirst()).numDeletedRows > 0n;
    },
  };
}

function toReport(row: Omit<Row<'reports'>, 'body'>): StoredReport {
  return {
    id: row.id,
    kind: row.kind,
    subject: row.subject,
    from: row.from_at,
    to: row.to_at,
    createdAt: row.created_at,
    createdBy: row.created_by,
    summary: fromJson<Json>(row.summary),
  };
}
