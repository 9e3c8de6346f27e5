/** Jobs as somebody has described them, and what they are wanted to do; what they do is not kept here. */
import type { Json } from './json.ts';
import type { Page, PageRequest } from './page.ts';

/** Survives restarts: a paused job stays paused. `stopped` also ends its membership; `paused` keeps it ready. */
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
  /** With its history. RESOURCE_CONFLICT unless it is wanted stopped: who runs it must have ended first. */
  delete(id: string, options: { readonly ifVersion: number | null }): Promise<void>;
}
