/** Documents that were made at a moment and never change: compliance reports, validations, checkpoints, resume points. */
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
