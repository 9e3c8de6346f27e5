/**
 * Figures over time, per job and per topic of a job.
 *
 * Counters come in as a process counts them (since it started) and are stored as what was added since it last said so: a
 * restart, of the process or of ours, neither adds nor loses, and the same sample twice adds nothing. Each stored figure
 * knows the time that it covers, so a rate is right across a gap too: it is spread over the gap, never shown as a peak.
 */

export interface Sample {
  readonly jobId: string;
  /** Null: of the job as a whole. */
  readonly topic: string | null;
  /** `records`, `bytes`, `lagRecords`, … */
  readonly metric: string;
  readonly kind: 'counter' | 'gauge';
  readonly value: number;
}

export interface SampleSource {
  /** Names one run of one process: a counter that begins anew has another. */
  readonly id: string;
  /** When its counters were 0. */
  readonly startedAt: number;
}

/** Of a job as a whole, from before it was here. */
export interface PastFigures {
  /** The end of the time that they are about. */
  readonly at: number;
  /** How much of it was measured. */
  readonly coveredMs: number;
  readonly records: number;
  readonly bytes: number;
  readonly lagRecords: number | null;
}

export interface HistoryQuery {
  readonly jobId: string;
  readonly topic: string | null;
  readonly metrics: readonly string[];
  readonly from: number;
  readonly to: number;
  /** At most so many points of each metric (default 720): decides how long a step is. */
  readonly pointsMax?: number;
}

export interface HistoryPoint {
  /** Beginning of the step. */
  readonly at: number;
  /** Of a counter what was added, of a gauge null. */
  readonly added: number | null;
  /** Of a counter per second, of a gauge its mean. */
  readonly mean: number;
  /** The lowest and highest that was measured within: of a counter, rates between two samples. */
  readonly min: number;
  readonly max: number;
}

export interface HistorySeries {
  readonly metric: string;
  readonly kind: 'counter' | 'gauge';
  readonly stepMs: number;
  /** Steps in which nothing was measured are missing: not known is not zero. */
  readonly points: readonly HistoryPoint[];
}

export interface MetricsHistory {
  /** Series beyond the limit (20,000) are not begun, and jobs may be gone; says how many samples that left out. */
  record(source: SampleSource, samples: readonly Sample[]): Promise<{ readonly leftOut: number }>;
  read(query: HistoryQuery): Promise<readonly HistorySeries[]>;
  /** What was added to counters of a job within [from, to), and for how much of that time something was measured. */
  totals(query: {
    readonly jobId: string | null;
    readonly metrics: readonly string[];
    readonly from: number;
    readonly to: number;
  }): Promise<
    readonly { readonly jobId: string; readonly metric: string; readonly added: number; readonly coveredMs: number }[]
  >;
  topics(jobId: string): Promise<readonly string[]>;
}
