/** The figures by which it is judged what stands out in a job: from its status, from the history and from incidents that are kept. */
import type { OptionValues } from '#contract/options.ts';
import type { FlagLimits, JobFigures } from '#watch/job-flags.ts';
import type { ServerPorts } from '../ports.ts';
import { LAG, RECORDS } from './history-keeper.ts';
import { incidentViews, lagOf } from './job-views.ts';

export function flagLimitsOf(values: OptionValues): FlagLimits {
  return {
    criticalLag: values['monitoring.flags.criticalLag'],
    highErrorRate: values['monitoring.flags.highErrorRate'],
    stallMs: values['monitoring.flags.stallAfter'],
    spikeErrors: values['monitoring.flags.spikeErrors'],
    spikeMs: values['monitoring.flags.spikeWindow'],
    severity: {
      mediumLag: values['monitoring.severity.mediumLag'],
      highLag: values['monitoring.severity.highLag'],
      mediumErrorRate: values['monitoring.severity.mediumErrorRate'],
      highErrorRate: values['monitoring.severity.highErrorRate'],
    },
  };
}

export async function readFigures(
  { store, jobs, clock }: Pick<ServerPorts, 'store' | 'jobs' | 'clock'>,
  jobId: string,
  { stallMs, spikeMs }: Pick<FlagLimits, 'stallMs' | 'spikeMs'>,
): Promise<JobFigures> {
  const now = clock.now();
  const [series, begun] = await Promise.all([
    store.history.read({ jobId, topic: null, metrics: [RECORDS, LAG], from: now - stallMs, to: now }),
    store.incidents.list({ limit: 1, withTotal: true, filter: { jobId, openedFrom: now - spikeMs } }),
  ]);
  const pointsOf = (name: string) => series.find(({ metric }) => metric === name)?.points ?? [];
  const added = pointsOf(RECORDS).map((point) => point.added ?? 0);
  const running = jobs.job(jobId);
  const shards = running.status?.shards ?? [];
  return {
    now,
    since: running.since,
    hasFailed: running.failure !== undefined && running.failure !== null,
    lagRecords: lagOf(running),
    partitions: shards.length,
    standing: incidentViews(running).length,
    // One that stands still is not asked for, and one that is elsewhere seldom.
    sourceHeardAt: shards.flatMap(({ state, incident, measuredAt }) =>
      incident === null && state !== 'elsewhere' ? [measuredAt] : [],
    ),
    copied: added.length === 0 ? null : added.reduce((sum, each) => sum + each, 0),
    lags: pointsOf(LAG).map(({ min }) => min),
    errorsBegun: begun.total ?? 0,
  };
}
