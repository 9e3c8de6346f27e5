/** What the terminal dashboard knows and where somebody is in it: a value, changed by live events and keys alone. */
import type { LiveEvent } from '#contract/api/routes/watching.ts';
import type { ResultOf } from '../remote/api-client.ts';

export const VIEWS = ['clusters', 'jobs', 'incidents', 'compliance'] as const;
export type View = (typeof VIEWS)[number];

export type Job = ResultOf<'listJobs'>['items'][number];
export type Partition = ResultOf<'getJobStatus'>['partitions'][number];
export type Incident = ResultOf<'getJobStatus'>['incidents'][number];
export type Cluster = ResultOf<'listClusters'>['items'][number];
export type ClusterStatus = ResultOf<'getClusterStatus'>;
export type Report = ResultOf<'listReports'>[number];

export interface JobBoard {
  readonly job: Job;
  readonly partitions: readonly Partition[];
  readonly incidents: readonly Incident[];
  /** When the server said so. */
  readonly at: number;
}

export interface Board {
  readonly jobs: ReadonlyMap<string, JobBoard>;
  readonly clusters: readonly Cluster[];
  /** What they answered when they were asked last; those that were not asked are missing. */
  readonly statuses: ReadonlyMap<string, ClusterStatus>;
  /** Null: not allowed to see them. */
  readonly reports: readonly Report[] | null;
  readonly view: View;
  readonly row: number;
  /** Shows one thing instead of the list. */
  readonly isOpen: boolean;
  /** Live: events come. Not live: since when, and why. */
  readonly link: { readonly isLive: boolean; readonly since: number; readonly why: string | null };
  /** What is asked before it is done. */
  readonly asked: { readonly action: Action; readonly job: Job } | null;
  /** What came of the last thing that was done. */
  readonly note: string | null;
}

export type Action = 'start' | 'stop' | 'pause' | 'restart';

export const ACTION_KEYS: Readonly<Record<string, Action>> = { s: 'start', t: 'stop', p: 'pause', x: 'restart' };

export function emptyBoard(view: View, now: number): Board {
  return {
    jobs: new Map(),
    clusters: [],
    statuses: new Map(),
    reports: null,
    view,
    row: 0,
    isOpen: false,
    link: { isLive: false, since: now, why: null },
    asked: null,
    note: null,
  };
}

/** The board after an event of the stream. */
export function afterEvent(board: Board, event: LiveEvent): Board {
  switch (event.type) {
    case 'reset': // the whole state follows
      return { ...board, jobs: new Map() };
    case 'job': {
      const before = board.jobs.get(event.job.id);
      // Incidents of a job that still has them follow; those that are over do not.
      const job: JobBoard = { job: event.job, partitions: before?.partitions ?? [], incidents: [], at: event.at };
      return withJob(board, job);
    }
    case 'job-deleted': {
      const jobs = new Map(board.jobs);
      jobs.delete(event.id);
      return within({ ...board, jobs });
    }
    case 'progress': {
      const before = board.jobs.get(event.id);
      return before ? withJob(board, { ...before, partitions: event.partitions, at: event.at }) : board;
    }
    case 'incident': {
      const before = board.jobs.get(event.id);
      return before ? withJob(board, { ...before, incidents: [...before.incidents, event.incident] }) : board;
    }
    default: // of a newer server
      return board;
  }
}

function withJob(board: Board, job: JobBoard): Board {
  return { ...board, jobs: new Map(board.jobs).set(job.job.id, job) };
}

/** In the order in which they are shown. */
export function jobsOf({ jobs }: Board): JobBoard[] {
  return [...jobs.values()].toSorted((a, b) => order(a.job.name, b.job.name));
}

export function incidentsOf(board: Board): { readonly job: Job; readonly incident: Incident }[] {
  return jobsOf(board)
    .flatMap(({ job, incidents }) => incidents.map((incident) => ({ job, incident })))
    .toSorted((a, b) => order(a.incident.severity, b.incident.severity) || b.incident.at - a.incident.at);
}

function order(a: string, b: string): number {
  return a < b ? -1 : a > b ? 1 : 0;
}

export function rowsOf(board: Board): number {
  switch (board.view) {
    case 'clusters':
      return board.clusters.length;
    case 'jobs':
      return board.jobs.size;
    case 'incidents':
      return incidentsOf(board).length;
    case 'compliance':
      return board.reports?.length ?? 0;
  }
}

/** With the row where there is one. */
function within(board: Board): Board {
  return { ...board, row: Math.max(0, Math.min(board.row, rowsOf(board) - 1)) };
}

function jobAt(board: Board): JobBoard | null {
  return board.view === 'jobs' ? (jobsOf(board)[board.row] ?? null) : null;
}

/** Moves of a key that changes nothing but where somebody looks; null: it is none. */
export function afterMove(board: Board, key: string): Board | null {
  const view = VIEWS[Number(key) - 1];
  if (view !== undefined) return { ...board, view, row: 0, isOpen: false, asked: null, note: null };
  const step = (by: number): Board => within({ ...board, row: board.row + by, asked: null, note: null });
  const turn = (by: number): Board => {
    const next = VIEWS[(VIEWS.indexOf(board.view) + by + VIEWS.length) % VIEWS.length] ?? board.view;
    return { ...board, view: next, row: 0, isOpen: false, asked: null, note: null };
  };
  switch (key) {
    case 'up':
    case 'k':
      return step(-1);
    case 'down':
    case 'j':
      return step(1);
    case 'left':
    case 'h':
      return turn(-1);
    case 'right':
    case 'l':
      return turn(1);
    case 'tab':
    case 'return':
      return { ...board, isOpen: rowsOf(board) > 0 && !board.isOpen, asked: null, note: null };
    case 'b':
    case 'escape':
      return { ...board, isOpen: false, asked: null, note: null };
    default:
      return null;
  }
}

/** What a key asks to be done with the job at the row, where the caller may do it. */
export function afterAsk(board: Board, key: string, allowed: ReadonlySet<Action>): Board {
  const action = ACTION_KEYS[key];
  const at = jobAt(board);
  if (action === undefined || at === null || !allowed.has(action)) return { ...board, asked: null };
  return { ...board, asked: { action, job: at.job }, note: null };
}
