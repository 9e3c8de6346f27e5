/** Incidents of jobs from their first to their last moment, and what people made of them. */
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
  | 'jobId'
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
