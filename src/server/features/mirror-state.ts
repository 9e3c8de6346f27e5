/** What is asked of both clusters of a mirror, and kept: resume points, validations, checkpoints. */
import type { stateRoutes } from '#contract/api/routes/state.ts';
import { AppError } from '#contract/errors.ts';
import type { InventoryGroupOffset } from '#store/inventory.ts';
import type { Json } from '#store/json.ts';
import type { StoredJob } from '#store/jobs.ts';
import type { StoredReport } from '#store/reports.ts';
import type { Aggregates } from '#store/store.ts';
import { must } from '#util/assert.ts';
import type { Caller } from '../auth/caller.ts';
import type { Handlers } from '../http/call.ts';
import { clusterStatusOf } from './clusters.ts';
import type { Context } from './context.ts';
import { clusterResource } from './documents.ts';
import { BYTES, LAG, RECORDS } from './history-keeper.ts';
import { jobResource, jobSummaryOf } from './job-views.ts';
import { mirrorOf, surveyMirror, type PartitionComparison, type Survey } from './mirror-survey.ts';
import { verdictOf, type KnownIncident, type Verdict } from './mirror-verdict.ts';
import { everyItem, storePage } from './pages.ts';
import { userNameOf } from './user-names.ts';

const DAY_MS = 24 * 3_600_000;
const SHOWN = 50;

const RESUME_POINTS = 'resume-points';
const VALIDATION = 'validation';
const CHECKPOINT = 'checkpoint';

type Period = 'today' | 'yesterday' | 'this-week' | 'last-week';

interface Range {
  readonly from: number;
  readonly to: number;
}

/** In UTC; weeks begin on Monday. What still runs ends now. */
export function rangeOf(period: Period, now: number): Range {
  const today = Math.floor(now / DAY_MS) * DAY_MS;
  const monday = today - ((new Date(today).getUTCDay() + 6) % 7) * DAY_MS;
  switch (period) {
    case 'today':
      return { from: today, to: now };
    case 'yesterday':
      return { from: today - DAY_MS, to: today };
    case 'this-week':
      return { from: monday, to: now };
    case 'last-week':
      return { from: monday - 7 * DAY_MS, to: monday };
  }
}

interface CheckpointBody {
  readonly partitionOffsets: readonly PartitionComparison[];
  readonly groupOffsets: Readonly<Record<'source' | 'target', readonly InventoryGroupOffset[]>>;
}

type CheckpointSummary = Pick<
  {
    readonly type: 'pre_migration' | 'post_migration' | 'recovery';
    reason: string;
    partitions: number;
    groups: number;
  },
  'type' | 'reason' | 'partitions' | 'groups'
>;

interface ResumePoint {
  readonly sourceTopic: string;
  readonly targetTopic: string;
  readonly partition: number;
  readonly safeResumeOffset: number | null;
  readonly targetOffset: number | null;
  readonly validationStatus: 'validated' | 'pending' | 'invalid';
  readonly gapDetected: boolean;
  readonly gapStartOffset: number | null;
  readonly gapEndOffset: number | null;
}

export function mirrorStateHandlers({ ports, live }: Context): Pick<Handlers, keyof typeof stateRoutes> {
  const { store, clusters, jobs: runner, clock } = ports;

  const known = async (job: StoredJob): Promise<readonly KnownIncident[]> => {
    const { status } = runner.job(job.id);
    if (status !== null) return status.shards.flatMap(({ incident }) => (incident === null ? [] : [incident]));
    // It does not run: what stopped it is as true as it was.
    const open: KnownIncident[] = [];
    for await (const { offsetFrom, offsetTo, ...incident } of everyItem((request) =>
      store.incidents.list({ ...request, filter: { jobId: job.id, isOpen: true } }),
    ))
      open.push({
        ...incident,
        offsets: offsetFrom === null || offsetTo === null ? null : { from: offsetFrom, to: offsetTo },
      });
    return open;
  };

  const surveyed = async (job: StoredJob): Promise<Survey> => {
    const survey = await surveyMirror(ports, job);
    const [trouble] = survey.troubles;
    if (trouble) throw trouble;
    return survey;
  };

  const validate = async (job: StoredJob, caller: Caller, aggregates: Aggregates) => {
    const survey = await surveyMirror(ports, job);
    const isRunning = runner.job(job.id).state === 'running';
    const verdict = verdictOf(survey, { incidents: await known(job), isRunning });
    const body = { ...verdict, offsetComparison: survey.partitions };
    const { migrationSafe, riskLevel, gapsDetected } = verdict;
    const kept = await aggregates.reports.add({
      kind: VALIDATION,
      subject: job.id,
      from: null,
      to: null,
      createdBy: caller.identity.userId,
      summary: { migrationSafe, riskLevel, gapsDetected },
      body: body as unknown as Json,
    });
    return { ...(await validationSummary(kept)), ...body };
  };

  const validationSummary = async ({ id, summary, createdAt, createdBy }: StoredReport) => ({
    ...(summary as unknown as Pick<Verdict, 'migrationSafe' | 'riskLevel' | 'gapsDetected'>),
    id,
    validatedAt: createdAt,
    validatedBy: await userNameOf(store, createdBy),
  });

  const checkpointSummary = async ({ id, summary, createdAt, createdBy }: StoredReport) => ({
    ...(summary as unknown as CheckpointSummary),
    id,
    createdAt,
    createdBy: await userNameOf(store, createdBy),
  });

  /** The newest first, of a period where there is one. */
  const latest = async (kind: string, job: StoredJob, limit: number, range: Range | null = null) =>
    (
      await store.reports.list({
        limit,
        descending: true,
        filter: { kind, subject: job.id, ...range },
      })
    ).items;

  const resumePointsOf = async (job: StoredJob, range: Range | null = null) => {
    const [last] = await latest(RESUME_POINTS, job, 1, range);
    const report = last === undefined ? null : await store.reports.get(last.id);
    if (report === null) return { ...NO_POINTS };
    return {
      id: report.id,
      calculatedAt: report.createdAt,
      calculatedBy: await userNameOf(store, report.createdBy),
      ...(report.body as unknown as { migrationCheckpointId: string | null; points: ResumePoint[] }),
    };
  };

  const gapsOf = async (job: StoredJob, range: Range | null) => {
    const gaps = [];
    for await (const incident of everyItem((request) =>
      store.incidents.list({ ...request, filter: { jobId: job.id, ...(range ?? { isOpen: true }) } }),
    )) {
      const { offsetFrom: from, offsetTo: to } = incident;
      if (from === null || to === null) continue;
      const { topic, partition, code, resolution: resolutionStatus, openedAt: detectedAt, closedAt } = incident;
      gaps.push({
        topic,
        partition,
        gapStartOffset: from,
        gapEndOffset: to,
        gapSize: to - from,
        code,
        resolutionStatus,
        detectedAt,
        closedAt,
      });
    }
    return gaps;
  };

  const figuresOf = (job: StoredJob, range: Range, topics: readonly string[]) =>
    Promise.all(
      topics.map(async (topic) => {
        const series = await store.history.read({
          jobId: job.id,
          topic,
          metrics: [RECORDS, BYTES, LAG],
          ...range,
          pointsMax: 1,
        });
        const points = (metric: string) => series.find((each) => each.metric === metric)?.points ?? [];
        const added = (metric: string): number =>
          Math.round(points(metric).reduce((sum, point) => sum + (point.added ?? 0), 0));
        const lags = points(LAG);
        return {
          sourceTopic: topic,
          recordsCopied: added(RECORDS),
          bytesCopied: added(BYTES),
          lagRecordsMean: lags.length === 0 ? null : lags.reduce((sum, { mean }) => sum + mean, 0) / lags.length,
          lagRecordsMax: lags.length === 0 ? null : Math.max(...lags.map(({ max }) => max)),
        };
      }),
    );

  const healthOf = async (job: StoredJob) => {
    const mirror = mirrorOf(job);
    const status = async (name: string) =>
      clusterStatusOf(ports, clusterResource(must(await store.clusters.get(name), 'cluster of a job')));
    const [source, target] = await Promise.all([status(mirror.spec.source), status(mirror.spec.target)]);
    return { healthy: source.isReachable && target.isReachable, source, target };
  };

  /** Places of groups on the topics of one side. */
  const placesOf = async (name: string, topics: ReadonlySet<string>) => {
    const cluster = clusterResource(must(await store.clusters.get(name), 'cluster of a job'));
    return (await clusters.groupOffsets(cluster)).filter(({ topic }) => topics.has(topic));
  };

  return {
    async getMirrorState({ job, query: { period } }) {
      const range = period === undefined ? null : rangeOf(period, clock.now());
      const survey = range === null ? await surveyMirror(ports, job) : null;
      const [resumePoints, checkpoints, validations] = await Promise.all([
        resumePointsOf(job, range),
        latest(CHECKPOINT, job, SHOWN, range),
        latest(VALIDATION, job, SHOWN, range),
      ]);
      return {
        id: job.id,
        period: period ?? null,
        from: range?.from ?? null,
        to: range?.to ?? null,
        progress: survey?.partitions ?? null,
        figures: range === null ? null : await figuresOf(job, range, await store.history.topics(job.id)),
        troubles: (survey?.troubles ?? []).map(({ code, message, nextStep }) => ({ code, message, nextStep })),
        gaps: await gapsOf(job, range),
        resumePoints,
        checkpoints: await Promise.all(checkpoints.map(checkpointSummary)),
        validations: await Promise.all(validations.map(validationSummary)),
      };
    },

    getResumePoints: ({ job }) => resumePointsOf(job),

    async calculateResumePoints({ job, caller, store: aggregates }) {
      const { partitions } = await surveyed(job);
      const incidents = await known(job);
      const [checkpoint] = await latest(CHECKPOINT, job, 1);
      const points = partitions.map((partition) => resumePointOf(partition, incidents));
      await aggregates.reports.add({
        kind: RESUME_POINTS,
        subject: job.id,
        from: null,
        to: null,
        createdBy: caller.identity.userId,
        summary: { partitions: points.length },
        body: { migrationCheckpointId: checkpoint?.id ?? null, points } as unknown as Json,
      });
      return resumePointsOf(job);
    },

    validateMirror: ({ job, caller, store: aggregates }) => validate(job, caller, aggregates),

    async createCheckpoint({ job, caller, body: { type, reason }, store: aggregates }) {
      if (type !== 'recovery' && !caller.may('mirror_state:migrate', jobResource(job)))
        throw new AppError('ACCESS_DENIED', 'This needs the permission mirror_state:migrate.', {
          nextStep: 'Ask an administrator for a role that has it, or record a checkpoint of type recovery.',
        });
      const { partitions } = await surveyed(job);
      const { source, target } = mirrorOf(job).spec;
      const body: CheckpointBody = {
        partitionOffsets: partitions,
        groupOffsets: {
          source: await placesOf(source, new Set(partitions.map(({ sourceTopic }) => sourceTopic))),
          target: await placesOf(target, new Set(partitions.map(({ targetTopic }) => targetTopic))),
        },
      };
      const groups = new Set(body.groupOffsets.source.map(({ groupId }) => groupId));
      const kept = await aggregates.reports.add({
        kind: CHECKPOINT,
        subject: job.id,
        from: null,
        to: null,
        createdBy: caller.identity.userId,
        summary: { type, reason, partitions: partitions.length, groups: groups.size } satisfies CheckpointSummary,
        body: body as unknown as Json,
      });
      return { ...(await checkpointSummary(kept)), ...body };
    },

    async listCheckpoints({ job, query }) {
      const page = await store.reports.list({ ...storePage(query), filter: { kind: CHECKPOINT, subject: job.id } });
      return { ...page, items: await Promise.all(page.items.map(checkpointSummary)) };
    },

    async getCheckpoint({ job, params }) {
      const report = await store.reports.get(params.checkpoint);
      // One of another job is none of this one, whoever may see that one.
      if (report?.kind !== CHECKPOINT || report.subject !== job.id)
        throw new AppError('RESOURCE_NOT_FOUND', `Job "${job.name}" has no checkpoint ${params.checkpoint}.`, {
          nextStep: 'GET /api/v1/jobs/ID/mirror/checkpoints shows those that it has.',
        });
      return { ...(await checkpointSummary(report)), ...(report.body as unknown as CheckpointBody) };
    },

    getJobHealth: ({ job }) => healthOf(job),

    async forceRestartJob({ job, caller, store: aggregates }) {
      const health = await healthOf(job);
      const error = health.source.error ?? health.target.error;
      if (error)
        throw new AppError(error.code, error.message, error.nextStep === null ? {} : { nextStep: error.nextStep });
      const validation = await validate(job, caller, aggregates);
      const restarted = await aggregates.jobs.requestRestart(job.id, { by: caller.identity.userId });
      runner.nudge();
      live.changed(job.id);
      return { job: jobSummaryOf(restarted, runner.job(job.id)), health, validation };
    },
  };
}

const NO_POINTS = { id: null, calculatedAt: null, calculatedBy: null, migrationCheckpointId: null, points: [] };

function resumePointOf(
  { sourceTopic, targetTopic, partition, position, target, state }: PartitionComparison,
  incidents: readonly KnownIncident[],
): ResumePoint {
  const gap = incidents.find((each) => each.topic === sourceTopic && each.partition === partition)?.offsets ?? null;
  const isInvalid = state === 'stopped' || state === 'missing';
  return {
    sourceTopic,
    targetTopic,
    partition,
    safeResumeOffset: position,
    targetOffset: target?.highWatermark ?? null,
    validationStatus: isInvalid ? 'invalid' : position === null || target === null ? 'pending' : 'validated',
    gapDetected: gap !== null,
    gapStartOffset: gap?.from ?? null,
    gapEndOffset: gap?.to ?? null,
  };
}
