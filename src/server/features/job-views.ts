/** Jobs as the API shows them: what is wanted from the store, what is from the runner. Unknown is null. */
import type { z } from 'zod';
import type { incidentSchema, jobSummary, partitionStatus } from '#contract/api/routes/jobs.ts';
import type { Resource } from '#contract/api/permissions.ts';
import type { Incident, ShardStatus } from '#contract/status.ts';
import type { StoredJob } from '#store/jobs.ts';
import type { RunningJob } from '../ports.ts';

export function jobResource({ name, source, target }: StoredJob): Extract<Resource, { kind: 'job' }> {
  return { kind: 'job', job: name, source, target };
}

export function jobSummaryOf(job: StoredJob, running: RunningJob): z.input<typeof jobSummary> {
  return {
    id: job.id,
    name: job.name,
    kind: job.kind,
    source: job.source,
    target: job.target,
    desired: job.desired,
    state: running.state,
    failedReason: running.failedReason,
    lagRecords: lagOf(running),
    incidents: running.status === null ? null : incidentViews(running).length,
    createdAt: job.createdAt,
    updatedAt: job.updatedAt,
    version: job.version,
  };
}

/** The sum where all of it is known. */
export function lagOf({ status }: RunningJob): number | null {
  const lags = status?.shards.map(({ lagRecords }) => lagRecords) ?? [];
  return status === null || lags.includes(null) ? null : lags.reduce<number>((sum, lag) => sum + (lag ?? 0), 0);
}

export function partitionViews({ status }: RunningJob): z.input<typeof partitionStatus>[] {
  return (status?.shards ?? []).map(partitionView);
}

export function incidentViews({ status }: RunningJob): z.input<typeof incidentSchema>[] {
  return (status?.shards ?? []).flatMap(({ incident }) => (incident === null ? [] : [incidentView(incident)]));
}

function partitionView(shard: ShardStatus): z.input<typeof partitionStatus> {
  return {
    topic: shard.topic,
    targetTopic: shard.targetTopic,
    partition: shard.partition,
    state: shard.state,
    position: shard.position,
    sourceLogStart: shard.sourceLogStart,
    sourceStableOffset: shard.sourceStableOffset,
    sourceHighWatermark: shard.sourceHighWatermark,
    lagRecords: shard.lagRecords,
    lagMs: shard.lagMs,
    measuredAt: shard.measuredAt,
    recordsCopied: shard.recordsCopied,
    bytesCopied: shard.bytesCopied,
    incident: shard.incident === null ? null : incidentView(shard.incident),
  };
}

export function incidentView({ mirror: _, ...incident }: Incident): z.input<typeof incidentSchema> {
  return incident;
}
