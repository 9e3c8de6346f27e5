/** What happened, for people to read: pruned by age. What must not be pruned is in the audit log. */
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
