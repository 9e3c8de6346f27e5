/** What is known about the demo at a moment, and at its end: plain values for the view and the lines. */
import type { FinalComparison, LiveDifference } from '#testing/live-compare.ts';
import type { WorkloadSummary } from '#testing/workload.ts';
import type { MirrorState } from './mirror-run.ts';
import type { Planted } from './plant.ts';

/** Null is not known. Offsets are sums over the partitions of a topic. */
export interface TopicRow {
  readonly name: string;
  readonly partitions: number;
  /** Where the copy on west ends. */
  readonly position: number | null;
  readonly lag: number | null;
  readonly behindMs: number | null;
  readonly perSecond: number | null;
}

export interface Snapshot {
  readonly elapsedMs: number;
  readonly linkFile: string;
  readonly topics: readonly TopicRow[];
  readonly total: TopicRow;
  readonly traffic: { readonly records: number; readonly committed: number; readonly aborted: number };
  readonly mirror: {
    readonly state: MirrorState;
    readonly inStateMs: number;
    readonly pid: number | null;
    readonly kills: number;
    /** By the running process, as it says itself. */
    readonly copied: number | null;
    readonly incident: string | null;
    readonly ending: string;
  };
  readonly proof: {
    readonly compared: number;
    readonly comparedAgoMs: number | null;
    readonly rounds: number;
    readonly roundAgoMs: number | null;
    readonly differences: number;
    readonly first: LiveDifference | null;
  };
  readonly planted: Planted | null;
  /** What happened, oldest first. */
  readonly events: readonly { readonly atMs: number; readonly text: string }[];
}

export interface Ending {
  readonly traffic: WorkloadSummary;
  readonly comparison: FinalComparison;
  readonly kills: number;
}
