/** Where mirrors stand, by the offsets that both clusters give at that moment, and what was recorded of it. */
import { z } from 'zod';
import { count, foreignName, groupOffset, pageOf, pageQuery, resourceName, time } from '../common.ts';
import { defineRoute, json, on } from '../route.ts';
import { CANNOT_BE_ASKED, clusterStatus, troubleSchema } from './clusters.ts';
import { jobSummary } from './jobs.ts';

const byJob = z.strictObject({ id: resourceName() });

const offsets = z
  .strictObject({
    logStart: z.int().nullable(),
    stableOffset: z.int().nullable(),
    highWatermark: z.int().nullable(),
  })
  .meta({ id: 'PartitionOffsets' });

const partitionComparison = z
  .strictObject({
    sourceTopic: foreignName(),
    targetTopic: foreignName(),
    partition: z.int(),
    source: offsets.nullable().describe('Null: the source did not tell'),
    target: offsets.nullable().describe('Null: the target has no such partition, or did not tell'),
    position: z
      .int()
      .nullable()
      .describe(
        'Next source offset to copy, as the job says; of one that does not run, where the target of identical offsets ends',
      ),
    lagRecords: count().nullable().describe('Source offsets up to its last stable one that are not on the target'),
    state: z.enum(['in-sync', 'behind', 'stopped', 'missing', 'unknown']),
  })
  .meta({ id: 'PartitionComparison' });

const gap = z
  .strictObject({
    topic: foreignName().nullable(),
    partition: z.int().nullable(),
    gapStartOffset: z.int(),
    gapEndOffset: z.int().describe('One past the last'),
    gapSize: count(),
    code: z.string(),
    resolutionStatus: z.enum(['unresolved', 'in-progress', 'resolved', 'ignored']),
    detectedAt: time(),
    closedAt: time().nullable(),
  })
  .meta({ id: 'RecordedGap' });

const resumePoint = z
  .strictObject({
    sourceTopic: foreignName(),
    targetTopic: foreignName(),
    partition: z.int(),
    safeResumeOffset: z
      .int()
      .nullable()
      .describe('Below it every source offset is on the target; null where that is not known'),
    targetOffset: z.int().nullable().describe('Where the target ended then'),
    validationStatus: z.enum(['validated', 'pending', 'invalid']),
    gapDetected: z.boolean(),
    gapStartOffset: z.int().nullable(),
    gapEndOffset: z.int().nullable(),
  })
  .meta({ id: 'ResumePoint' });

const resumePoints = z
  .strictObject({
    id: z.string().nullable().describe('Null: none were calculated yet'),
    calculatedAt: time().nullable(),
    calculatedBy: z.string().nullable(),
    migrationCheckpointId: z.string().nullable().describe('The last checkpoint before'),
    points: z.array(resumePoint),
  })
  .meta({ id: 'ResumePoints' });

const validationSummary = z
  .strictObject({
    id: z.string(),
    migrationSafe: z.boolean(),
    riskLevel: z.enum(['low', 'medium', 'high']),
    gapsDetected: count(),
    validatedAt: time(),
    validatedBy: z.string().nullable(),
  })
  .meta({ id: 'ValidationSummary' });

const validation = validationSummary
  .extend({
    criticalIssues: z.array(z.string()),
    warnings: z.array(z.string()),
    recommendations: z.array(z.string()),
    mirrorAnalysis: z
      .strictObject({
        partitions: count(),
        inSync: count(),
        behind: count(),
        stopped: count(),
        missing: count(),
        unknown: count(),
      })
      .describe('Partitions by state'),
    offsetComparison: z.array(partitionComparison),
  })
  .meta({ id: 'MirrorValidation' });

const checkpointType = z.enum(['pre_migration', 'post_migration', 'recovery']);

const checkpointSummary = z
  .strictObject({
    id: z.string(),
    type: checkpointType,
    reason: z.string(),
    partitions: count(),
    groups: count(),
    createdAt: time(),
    createdBy: z.string().nullable(),
  })
  .meta({ id: 'CheckpointSummary' });

const checkpoint = checkpointSummary
  .extend({
    partitionOffsets: z.array(partitionComparison),
    groupOffsets: z
      .strictObject({ source: z.array(groupOffset), target: z.array(groupOffset) })
      .describe('Of groups on the topics of the mirror'),
  })
  .meta({ id: 'Checkpoint' });

const figures = z
  .strictObject({
    sourceTopic: foreignName(),
    recordsCopied: count(),
    bytesCopied: count(),
    lagRecordsMean: z.number().nullable(),
    lagRecordsMax: z.number().nullable(),
  })
  .meta({ id: 'TopicFigures' });

const mirrorState = z
  .strictObject({
    id: z.string(),
    period: z.enum(['today', 'yesterday', 'this-week', 'last-week']).nullable(),
    from: time().nullable(),
    to: time().nullable(),
    progress: z.array(partitionComparison).nullable().describe('As it is now; null of a period'),
    figures: z.array(figures).nullable().describe('What was measured in the period; null without one'),
    troubles: z.array(troubleSchema).describe('Why a cluster did not tell'),
    gaps: z.array(gap).describe('Of incidents that are there now, or were in the period'),
    resumePoints: resumePoints.describe('The last ones, of the period where there is one'),
    checkpoints: z.array(checkpointSummary).describe('The last 50'),
    validations: z.array(validationSummary).describe('The last 50'),
  })
  .meta({ id: 'MirrorState' });

const jobHealth = z
  .strictObject({
    healthy: z.boolean(),
    source: clusterStatus,
    target: clusterStatus,
  })
  .meta({ id: 'JobHealth' });

const errors = [...CANNOT_BE_ASKED, 'RESOURCE_CONFLICT'] as const;

export const stateRoutes = {
  getMirrorState: defineRoute({
    method: 'GET',
    path: '/api/v1/jobs/:id/mirror/state',
    tag: 'state',
    summary:
      'Where a mirror stands, by the offsets of both clusters now; or what was measured and recorded in a period (UTC, weeks from Monday).',
    access: on('mirror_state:view', { job: 'id' }),
    audit: null,
    params: byJob,
    query: z.strictObject({ period: z.enum(['today', 'yesterday', 'this-week', 'last-week']).optional() }),
    answer: json(mirrorState),
    errors: ['RESOURCE_CONFLICT'],
  }),
  getResumePoints: defineRoute({
    method: 'GET',
    path: '/api/v1/jobs/:id/mirror/resume-points',
    tag: 'state',
    summary: 'The resume points that were calculated last.',
    access: on('mirror_state:view', { job: 'id' }),
    audit: null,
    params: byJob,
    answer: json(resumePoints),
  }),
  calculateResumePoints: defineRoute({
    method: 'POST',
    path: '/api/v1/jobs/:id/mirror/resume-points',
    tag: 'state',
    summary:
      'Asks both clusters up to where everything is on the target, partition by partition, and keeps the answer.',
    access: on('mirror_state:analyze', { job: 'id' }),
    audit: 'mirror.calculate-resume-points',
    isRepeatable: true,
    params: byJob,
    answer: json(resumePoints, 201),
    errors,
  }),
  validateMirror: defineRoute({
    method: 'POST',
    path: '/api/v1/jobs/:id/mirror/validate-mirror',
    tag: 'state',
    summary:
      'Whether readers can go over to the target now: every partition there, nothing behind, nothing unknown, no incident. Offsets are compared; "lockstep verify" compares records.',
    access: on('mirror_state:analyze', { job: 'id' }),
    audit: 'mirror.validate',
    isRepeatable: true,
    params: byJob,
    answer: json(validation, 201),
    errors,
  }),
  createCheckpoint: defineRoute({
    method: 'POST',
    path: '/api/v1/jobs/:id/mirror/checkpoint',
    tag: 'state',
    summary:
      'Keeps the offsets of both clusters and the places of all groups on these topics, with a reason. Before or after a migration this needs mirror_state:migrate too.',
    access: on('mirror_state:manage', { job: 'id' }),
    audit: 'mirror.checkpoint',
    isRepeatable: true,
    params: byJob,
    body: z
      .strictObject({
        type: checkpointType.default('recovery'),
        reason: z.string().min(1).max(2_000).default('Manual checkpoint'),
      })
      .prefault({}),
    aliases: { checkpoint_type: 'type', migration_reason: 'reason' },
    answer: json(checkpoint, 201),
    errors,
  }),
  listCheckpoints: defineRoute({
    method: 'GET',
    path: '/api/v1/jobs/:id/mirror/checkpoints',
    tag: 'state',
    summary: 'The checkpoints of a mirror.',
    access: on('mirror_state:view', { job: 'id' }),
    audit: null,
    params: byJob,
    query: z.strictObject(pageQuery(['createdAt'])),
    answer: json(pageOf(checkpointSummary)),
  }),
  getCheckpoint: defineRoute({
    method: 'GET',
    path: '/api/v1/jobs/:id/mirror/checkpoints/:checkpoint',
    tag: 'state',
    summary: 'One checkpoint with all that it holds.',
    access: on('mirror_state:view', { job: 'id' }),
    audit: null,
    params: z.strictObject({ id: resourceName(), checkpoint: z.string().min(1).max(100) }),
    answer: json(checkpoint),
  }),
  getJobHealth: defineRoute({
    method: 'GET',
    path: '/api/v1/jobs/:id/health',
    tag: 'jobs',
    summary: 'Whether both clusters of a job answer now, and if not, why.',
    access: on('jobs:view', { job: 'id' }),
    audit: null,
    params: byJob,
    answer: json(jobHealth),
    errors: ['RESOURCE_CONFLICT'],
  }),
  forceRestartJob: defineRoute({
    method: 'POST',
    path: '/api/v1/jobs/:id/force-restart',
    tag: 'jobs',
    summary:
      'Asks both clusters first, and changes nothing where one of them does not answer; then compares offsets, stops the job and starts it anew.',
    access: on('jobs:start', { job: 'id' }),
    audit: 'job.force-restart',
    isRepeatable: true,
    params: byJob,
    answer: json(z.strictObject({ job: jobSummary, health: jobHealth, validation }).meta({ id: 'ForcedRestart' }), 202),
    errors,
  }),
};
