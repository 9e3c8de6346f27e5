import { z } from 'zod';
import { checkOffsets, mirrorKeys, topicRule } from '../../resources.ts';
import { anyJson, count, foreignName, pageOf, pageQuery, resourceName, time } from '../common.ts';
import { statedFromOriginal } from '../original-job.ts';
import { defineRoute, empty, json, on } from '../route.ts';
import { CANNOT_BE_ASKED } from './clusters.ts';

/** A job's id or its name. */
const byId = z.strictObject({ id: resourceName() });

const statedJob = z.strictObject({ name: resourceName(), ...mirrorKeys() }).check(checkOffsets);

/** Field names of kaf-mirror; what of its fields means nothing here is refused by name. */
const aliases = {
  source_cluster_name: 'source',
  target_cluster_name: 'target',
  topic_mappings: 'topics',
};

const statedTopics = z.strictObject({ topics: z.array(topicRule).min(1) });

/** `desired` is what somebody asked for and survives restarts; `state` is what is. */
export const jobSummary = z
  .strictObject({
    id: z.string(),
    name: z.string(),
    kind: z.string(),
    source: z.string().nullable(),
    target: z.string().nullable(),
    desired: z.enum(['started', 'paused', 'stopped']),
    state: z.enum(['starting', 'running', 'paused', 'stopping', 'stopped', 'failed']),
    failedReason: z.string().nullable(),
    lagRecords: count().nullable(),
    incidents: count().nullable().describe('Partitions that stand still now'),
    createdAt: time(),
    updatedAt: time(),
    version: z.int(),
  })
  .meta({ id: 'JobSummary' });

const jobDetail = jobSummary
  .extend({ spec: z.record(z.string(), anyJson).describe('As it was stated') })
  .meta({ id: 'Job' });

export const incidentSchema = z
  .strictObject({
    code: z.string(),
    severity: z.enum(['error', 'warning']),
    topic: foreignName().nullable(),
    partition: z.int().nullable(),
    offsets: z.strictObject({ from: z.int(), to: z.int() }).nullable(),
    cause: z.string(),
    consequence: z.string(),
    nextStep: z.string(),
    endsByItself: z.boolean(),
    at: time(),
  })
  .meta({ id: 'Incident' });

export const partitionStatus = z
  .strictObject({
    topic: foreignName(),
    targetTopic: foreignName(),
    partition: z.int(),
    state: z.enum(['starting', 'aligning', 'copying', 'elsewhere', 'stopped', 'ended']),
    position: z.int().nullable().describe('Next source offset whose record the target has not acknowledged'),
    sourceLogStart: z.int().nullable(),
    sourceStableOffset: z.int().nullable(),
    sourceHighWatermark: z.int().nullable(),
    lagRecords: count().nullable(),
    lagMs: z.number().nullable(),
    measuredAt: time().nullable(),
    recordsCopied: count().describe('Since the job was started'),
    bytesCopied: count(),
    incident: incidentSchema.nullable(),
  })
  .meta({ id: 'PartitionStatus' });

const jobStatus = z
  .strictObject({
    id: z.string(),
    desired: jobSummary.shape.desired,
    state: jobSummary.shape.state,
    failedReason: z.string().nullable(),
    partitions: z.array(partitionStatus),
    incidents: z.array(incidentSchema),
    measuredAt: time().nullable(),
  })
  .meta({ id: 'JobStatus' });

const manyDone = z
  .strictObject({
    done: z.array(z.string()),
    failed: z.array(z.strictObject({ id: z.string(), code: z.string(), message: z.string() })),
  })
  .meta({ id: 'ManyDone' });

/** Starting, stopping and the like, which differ in little but their names. */
function action<const Path extends string, const Name extends string>(
  path: Path,
  options: {
    readonly summary: string;
    readonly permission: 'jobs:start' | 'jobs:stop' | 'jobs:pause';
    readonly audit: Name;
  },
) {
  const { summary, permission, audit } = options;
  return defineRoute({
    method: 'POST',
    path: `/api/v1/jobs/:id/${path}`,
    tag: 'jobs',
    summary,
    access: on(permission, { job: 'id' }),
    audit,
    isRepeatable: true,
    params: byId,
    answer: json(jobSummary, 202),
    errors: ['RESOURCE_CONFLICT'],
  });
}

function actionOnAll<const Path extends string, const Name extends string>(
  path: Path,
  options: { readonly summary: string; readonly permission: 'jobs:start' | 'jobs:stop'; readonly audit: Name },
) {
  const { summary, permission, audit } = options;
  return defineRoute({
    method: 'POST',
    path: `/api/v1/jobs/${path}`,
    tag: 'jobs',
    summary,
    access: on(permission, 'listed'),
    audit,
    isRepeatable: true,
    answer: json(manyDone, 202),
  });
}

export const jobRoutes = {
  listJobs: defineRoute({
    method: 'GET',
    path: '/api/v1/jobs',
    tag: 'jobs',
    summary: 'The jobs.',
    access: on('jobs:view', 'listed'),
    audit: null,
    query: z.strictObject({
      ...pageQuery(['name', 'createdAt', 'updatedAt']),
      desired: jobSummary.shape.desired.optional(),
      cluster: resourceName().optional().describe('As source or target'),
    }),
    answer: json(pageOf(jobSummary)),
  }),
  createJob: defineRoute({
    method: 'POST',
    path: '/api/v1/jobs',
    tag: 'jobs',
    summary: 'Creates a job, which stands until it is started.',
    access: on('jobs:create', 'named'),
    audit: 'job.create',
    isRepeatable: true,
    body: statedJob,
    aliases,
    fromOriginal: statedFromOriginal,
    answer: json(jobDetail, 201),
    errors: ['RESOURCE_CONFLICT', 'RESOURCE_NOT_FOUND', 'CLUSTER_SAME'],
  }),
  startAllJobs: actionOnAll('start-all', {
    summary: 'Starts the jobs that are stopped. Those that are paused stay so.',
    permission: 'jobs:start',
    audit: 'job.start-all',
  }),
  stopAllJobs: actionOnAll('stop-all', { summary: 'Stops all jobs.', permission: 'jobs:stop', audit: 'job.stop-all' }),
  restartAllJobs: actionOnAll('restart-all', {
    summary: 'Restarts the jobs that run.',
    permission: 'jobs:start',
    audit: 'job.restart-all',
  }),
  getJob: defineRoute({
    method: 'GET',
    path: '/api/v1/jobs/:id',
    tag: 'jobs',
    summary: 'One job, as it was stated.',
    access: on('jobs:view', { job: 'id' }),
    audit: null,
    hasVersion: true,
    params: byId,
    answer: json(jobDetail),
  }),
  updateJob: defineRoute({
    method: 'PUT',
    path: '/api/v1/jobs/:id',
    tag: 'jobs',
    summary: 'Replaces what is stated of a job. One that runs restarts with it.',
    access: on('jobs:edit', { job: 'id' }),
    audit: 'job.update',
    hasVersion: true,
    params: byId,
    body: statedJob,
    aliases,
    fromOriginal: statedFromOriginal,
    answer: json(jobDetail),
    errors: ['RESOURCE_CONFLICT', 'CLUSTER_SAME', 'ACCESS_DENIED'],
  }),
  deleteJob: defineRoute({
    method: 'DELETE',
    path: '/api/v1/jobs/:id',
    tag: 'jobs',
    summary: 'Stops a job, then deletes it. What it has copied stays.',
    access: on('jobs:delete', { job: 'id' }),
    audit: 'job.delete',
    hasVersion: true,
    needsStepUp: true,
    params: byId,
    answer: empty,
  }),
  cloneJob: defineRoute({
    method: 'POST',
    path: '/api/v1/jobs/:id/clone',
    tag: 'jobs',
    summary: 'Creates a job with what is stated of another one, under a new name.',
    access: on('jobs:view', { job: 'id' }),
    audit: 'job.clone',
    isRepeatable: true,
    params: byId,
    body: z.strictObject({ name: resourceName(), target: resourceName().optional() }),
    answer: json(jobDetail, 201),
    errors: ['RESOURCE_CONFLICT', 'RESOURCE_NOT_FOUND', 'CLUSTER_SAME'],
  }),
  startJob: action('start', { summary: 'Starts a job, or resumes it.', permission: 'jobs:start', audit: 'job.start' }),
  stopJob: action('stop', {
    summary: 'Stops a job: what is on its way is waited for, within a deadline.',
    permission: 'jobs:stop',
    audit: 'job.stop',
  }),
  pauseJob: action('pause', {
    summary: 'Pauses a job. It stays so over restarts of the server, until it is started.',
    permission: 'jobs:pause',
    audit: 'job.pause',
  }),
  restartJob: action('restart', {
    summary: 'Stops a job and starts it.',
    permission: 'jobs:start',
    audit: 'job.restart',
  }),
  getJobStatus: defineRoute({
    method: 'GET',
    path: '/api/v1/jobs/:id/status',
    tag: 'jobs',
    summary: 'Positions, lag and incidents of each partition, as measured last.',
    access: on('jobs:view', { job: 'id' }),
    audit: null,
    params: byId,
    answer: json(jobStatus),
  }),
  getMappings: defineRoute({
    method: 'GET',
    path: '/api/v1/jobs/:id/mappings',
    tag: 'jobs',
    summary: 'The topic rules of a job.',
    access: on('jobs:view', { job: 'id' }),
    audit: null,
    hasVersion: true,
    params: byId,
    answer: json(z.strictObject({ topics: z.array(anyJson), version: z.int() })),
  }),
  setMappings: defineRoute({
    method: 'PUT',
    path: '/api/v1/jobs/:id/mappings',
    tag: 'jobs',
    summary: 'Replaces the topic rules of a job. One that runs restarts with them.',
    access: on('jobs:edit', { job: 'id' }),
    audit: 'job.set-mappings',
    hasVersion: true,
    params: byId,
    body: statedTopics,
    aliases: { topic_mappings: 'topics' },
    fromOriginal: statedFromOriginal,
    answer: json(z.strictObject({ topics: z.array(anyJson), version: z.int() })),
  }),
  getLag: defineRoute({
    method: 'GET',
    path: '/api/v1/jobs/:id/lag',
    tag: 'jobs',
    summary: 'What of the source the target has not acknowledged yet, per partition; null where it is not known.',
    access: on('metrics:view', { job: 'id' }),
    audit: null,
    params: byId,
    answer: json(
      z
        .strictObject({
          lagRecords: count().nullable(),
          lagMs: z.number().nullable().describe('Of the partition that is furthest behind'),
          unknown: count().describe('Partitions whose lag is not known, and not in the sum'),
          partitions: z.array(
            z.strictObject({
              topic: foreignName(),
              partition: z.int(),
              lagRecords: count().nullable(),
              lagMs: z.number().nullable(),
              measuredAt: time().nullable(),
            }),
          ),
        })
        .meta({ id: 'Lag' }),
    ),
  }),
  getCurrentMetrics: defineRoute({
    method: 'GET',
    path: '/api/v1/jobs/:id/metrics/current',
    tag: 'jobs',
    summary: 'Totals of a job since it was started, and what stands out in it (docs/metrics.md).',
    access: on('metrics:view', { job: 'id' }),
    audit: null,
    params: byId,
    answer: json(
      z
        .strictObject({
          messagesReplicated: count(),
          bytesTransferred: count(),
          currentLag: count().nullable(),
          errorCount: count().describe('Partitions that stand still'),
          errorRate: z.number().min(0).max(1).nullable().describe('Their share of the partitions'),
          criticalLag: z.boolean().nullable(),
          highErrorRate: z.boolean().nullable(),
          sourceStalled: z.boolean().nullable().describe('It has not said for long where its partitions end'),
          targetStalled: z
            .boolean()
            .nullable()
            .describe('Nothing has arrived there for long, though the source has more'),
          errorSpike: z.boolean().describe('Incidents began just now'),
          severity: z.enum(['none', 'low', 'medium', 'high']).nullable(),
          since: time().nullable(),
          measuredAt: time().nullable(),
        })
        .meta({ id: 'CurrentMetrics' }),
    ),
  }),
  getTopicHealth: defineRoute({
    method: 'GET',
    path: '/api/v1/jobs/:id/topic-health',
    tag: 'jobs',
    summary: 'Replicas of the topics of a job, on both sides, as the clusters say now.',
    access: on('jobs:view', { job: 'id' }),
    audit: null,
    params: byId,
    answer: json(
      z.array(
        z
          .strictObject({
            side: z.enum(['source', 'target']),
            topic: foreignName(),
            partitions: count(),
            replicationFactor: count(),
            underReplicated: count(),
            healthy: z.boolean(),
          })
          .meta({ id: 'TopicHealth' }),
      ),
    ),
    errors: CANNOT_BE_ASKED,
  }),
  getMirrorProgress: defineRoute({
    method: 'GET',
    path: '/api/v1/jobs/:id/mirror/progress',
    tag: 'state',
    summary: 'How far each partition is copied.',
    access: on('mirror_state:view', { job: 'id' }),
    audit: null,
    params: byId,
    answer: json(
      z.array(
        z
          .strictObject({
            sourceTopic: foreignName(),
            targetTopic: foreignName(),
            partitionId: z.int(),
            sourceOffset: z.int().nullable().describe('Next offset to copy'),
            sourceHighWaterMark: z.int().nullable(),
            replicationLag: count().nullable(),
            status: z.enum(['active', 'completed', 'paused', 'error', 'unknown']),
            lastUpdated: time().nullable(),
          })
          .meta({ id: 'MirrorProgress' }),
      ),
    ),
  }),
  getMirrorGaps: defineRoute({
    method: 'GET',
    path: '/api/v1/jobs/:id/mirror/gaps',
    tag: 'state',
    summary: 'Ranges of source offsets that are not on the target and that an incident names.',
    access: on('mirror_state:view', { job: 'id' }),
    audit: null,
    params: byId,
    answer: json(
      z.array(
        z
          .strictObject({
            topic: foreignName().nullable(),
            partition: z.int().nullable(),
            gapStartOffset: z.int(),
            gapEndOffset: z.int().describe('One past the last'),
            gapSize: count(),
            code: z.string(),
            cause: z.string(),
            nextStep: z.string(),
            detectedAt: time(),
          })
          .meta({ id: 'MirrorGap' }),
      ),
    ),
  }),
};
