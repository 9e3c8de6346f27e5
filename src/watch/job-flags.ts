/**
 * What stands out in a job, judged anew from figures each time that somebody asks: nothing is remembered, so a flag falls when
 * its reason ends, and rises again when that comes back. What the figures do not say is null, neither true nor false.
 */

export interface FlagLimits {
  /** Lag in records beyond which it is critical. */
  readonly criticalLag: number;
  /** Percent of the partitions that stand still, beyond which errors are many. */
  readonly highErrorRate: number;
  /** A side that does nothing for so long stands still. */
  readonly stallMs: number;
  /** Incidents that began within `spikeMs`, beyond which they are a spike. */
  readonly spikeErrors: number;
  readonly spikeMs: number;
  readonly severity: {
    readonly mediumLag: number;
    readonly highLag: number;
    readonly mediumErrorRate: number;
    readonly highErrorRate: number;
  };
}

/** Of one job, at `now`. */
export interface JobFigures {
  readonly now: number;
  /** When it was started; null: it does not run. */
  readonly since: number | null;
  /** It could not run at all. */
  readonly hasFailed: boolean;
  readonly lagRecords: number | null;
  readonly partitions: number;
  /** Of those, how many stand still by an incident. */
  readonly standing: number;
  /** When the source said last where each partition ends that is copied here; null: not since the start. */
  readonly sourceHeardAt: readonly (number | null)[];
  /** Within the last `stallMs`, by all processes; null: nothing was measured. */
  readonly copied: number | null;
  /** Lag as it was measured within the last `stallMs`, the oldest first. */
  readonly lags: readonly number[];
  /** Incidents that began within the last `spikeMs`. */
  readonly errorsBegun: number;
}

export type Severity = 'none' | 'low' | 'medium' | 'high';

export interface JobFlags {
  /** Share of the partitions that stand still, 0 to 1. */
  readonly errorRate: number | null;
  readonly criticalLag: boolean | null;
  readonly highErrorRate: boolean | null;
  readonly sourceStalled: boolean | null;
  readonly targetStalled: boolean | null;
  readonly errorSpike: boolean;
  readonly severity: Severity | null;
}

export function flagsOf(figures: JobFigures, limits: FlagLimits): JobFlags {
  // A job that does not run has the figures of when it did: they are no lag of now.
  const lag = figures.since === null ? null : figures.lagRecords;
  const errorRate = errorRateOf(figures);
  const sourceStalled = sourceStalledOf(figures, limits);
  const flags = {
    criticalLag: lag === null ? null : lag > limits.criticalLag,
    highErrorRate: errorRate === null ? null : isBeyond(errorRate, limits.highErrorRate),
    sourceStalled,
    targetStalled: targetStalledOf(figures, limits, sourceStalled),
    errorSpike: figures.errorsBegun > limits.spikeErrors,
  };
  const isFlagged = Object.values(flags).includes(true);
  return { errorRate, ...flags, severity: severityOf({ lag, errorRate, isFlagged }, limits.severity) };
}

/** Without partitions there is no rate: the original divided by zero here. */
function errorRateOf({ since, hasFailed, partitions, standing }: JobFigures): number | null {
  if (hasFailed) return 1;
  return since === null || partitions === 0 ? null : standing / partitions;
}

/** It does not say where its partitions end. A source that is merely quiet says so again and again. */
function sourceStalledOf({ now, since, sourceHeardAt }: JobFigures, { stallMs }: FlagLimits): boolean | null {
  if (since === null || sourceHeardAt.length === 0) return null;
  return sourceHeardAt.some((at) => now - Math.max(at ?? 0, since) > stallMs);
}

/**
 * The source has had more all the time, and nothing of it arrived. The lag also falls where nothing is counted, because what is
 * passed over holds no records to copy: that is no standstill.
 */
function targetStalledOf(
  { now, since, lagRecords, copied, lags }: JobFigures,
  { stallMs }: FlagLimits,
  sourceStalled: boolean | null,
): boolean | null {
  if (since === null) return null;
  if (lagRecords === 0 || (copied ?? 0) > 0) return false;
  if (now - since <= stallMs) return false;
  // Of a target nothing can be said while nothing comes from the source.
  const [first] = lags;
  if (sourceStalled === true || copied === null || lagRecords === null || first === undefined) return null;
  return lags.every((lag) => lag > 0) && lagRecords >= first;
}

function severityOf(
  { lag, errorRate, isFlagged }: { lag: number | null; errorRate: number | null; isFlagged: boolean },
  limits: FlagLimits['severity'],
): Severity | null {
  const reaches = (lagLimit: number, rateLimit: number): boolean =>
    (lag !== null && lag > lagLimit) || (errorRate !== null && isBeyond(errorRate, rateLimit));
  if (reaches(limits.highLag, limits.highErrorRate)) return 'high';
  if (reaches(limits.mediumLag, limits.mediumErrorRate)) return 'medium';
  if (isFlagged) return 'low';
  return lag === null || errorRate === null ? null : 'none';
}

function isBeyond(rate: number, percent: number): boolean {
  return rate * 100 > percent;
}
