import type { z } from 'zod';
import type { jobRoutes } from '#contract/api/routes/jobs.ts';
import { SERVER, type Permission } from '#contract/api/permissions.ts';
import { AppError } from '#contract/errors.ts';
import type { ShardStatus } from '#contract/status.ts';
import type { TopicView } from '#contract/views.ts';
import type { Json } from '#store/json.ts';
import type { JobText, StoredJob } from '#store/jobs.ts';
import type { Aggregates } from '#store/store.ts';
import { must } from '#util/assert.ts';
import { flagsOf } from '#watch/job-flags.ts';
import type { Caller } from '../auth/caller.ts';
import type { Call, Handlers } from '../http/call.ts';
import { canonicalJson } from '../http/canonical.ts';
import { topicView } from './clusters.ts';
import type { Context } from './context.ts';
import { clusterResource, documentOf, specOf } from './documents.ts';
import { flagLimitsOf, readFigures } from './job-figures.ts';
import { incidentViews, jobResource, jobSummaryOf, lagOf, partitionViews } from './job-views.ts';
import { everyItem, visiblePage } from './pages.ts';

/** How long a job may take to end before a deletion gives up. */
const STOP_MS = 20_000;

type Action = 'startJob' | 'stopJob' | 'pauseJob' | 'restartJob';

export function jobHandlers({ ports, live, configuration }: Context): Pick<Handlers, keyof typeof jobRoutes> {
  const { store, jobs: runner, clusters } = ports;

  const summary = (job: StoredJob) => jobSummaryOf(job, runner.job(job.id));
  const detail = (job: StoredJob) => ({ ...summary(job), spec: specOf(job) });

  /** What is wanted of the job is in the store; who runs it looks there, and finds it after a crash too. */
  const changed = (job: StoredJob): StoredJob => {
    runner.nudge();
    live.changed(job.id);
    return job;
  };

  /** A right on a job is none on other clusters than its own: who connects two clusters must have it on both. */
  const requireThere = (caller: Caller, permission: Permission, { source, target }: JobText): void => {
    const isAllowed = [source, target].every(
      (cluster) => cluster !== null && caller.may(permission, { kind: 'cluster', cluster }),
    );
    if (isAllowed) return;
    throw new AppError('ACCESS_DENIED', `This needs the permission ${permission} on both clusters of the job.`, {
      nextStep: 'Ask an administrator for a role that has it.',
    });
  };

  const create = async (caller: Caller, text: JobText, aggregates: Aggregates) => {
    requireThere(caller, 'jobs:create', text);
    return detail(changed(await aggregates.jobs.create({ ...text, desired: 'stopped' })));
  };

  const replace = async ({ caller, job, ifVersion, store: aggregates }: Call, text: JobText): Promise<StoredJob> => {
    if (text.source !== job.source || text.target !== job.target) requireThere(caller, 'jobs:edit', text);
    const isSame = canonicalJson(text.document) === canonicalJson(job.document);
    const replaced = await aggregates.jobs.replace(job.id, isSame ? { ...text, document: job.document } : text, {
      ifVersion,
    });
    if (replaced.desired === 'started' && !isSame)
      await aggregates.jobs.requestRestart(job.id, { by: caller.identity.userId });
    return changed(must(await store.jobs.get(job.id), 'replaced job'));
  };

  const want =
    (desired: 'started' | 'stopped' | 'paused') =>
    async ({ caller, job, store: aggregates }: Call<Action>) =>
      summary(changed(await aggregates.jobs.setDesired(job.id, desired, { by: caller.identity.userId })));

  /** One by one where not all are the caller's: what one of them meets does not keep the others. */
  const onEach = async (
    { caller }: { readonly caller: Caller },
    permission: Permission,
    { isMeant, act }: { isMeant: (job: StoredJob) => boolean; act: (job: StoredJob) => Promise<StoredJob> },
  ) => {
    const done: string[] = [];
    const failed: { id: string; code: string; message: string }[] = [];
    // All of them first: what is done to one moves it in no list that is still read.
    const jobs: StoredJob[] = [];
    for await (const job of everyItem((request) => store.jobs.list(request))) jobs.push(job);
    for (const job of jobs) {
      if (!caller.may(permission, jobResource(job)) || !isMeant(job)) continue;
      try {
        changed(await act(job));
        done.push(job.id);
      } catch (error) {
        if (!(error instanceof AppError)) throw error;
        failed.push({ id: job.id, code: error.code, message: error.message });
      }
    }
    return { done, failed };
  };

  const topicsOf = async (name: string | null, topics: readonly string[]): Promise<readonly TopicView[]> => {
    const cluster = name === null ? null : await store.clusters.get(name);
    return cluster === null || topics.length === 0 ? [] : clusters.topics(clusterResource(cluster), topics);
  };

  return {
    async listJobs({ caller, query }) {
      const page = await visiblePage<StoredJob, 'name' | 'createdAt' | 'updatedAt'>(query, {
        read: (request) =>
          store.jobs.list({
            ...request,
            filter: {
              ...(query.desired === undefined ? {} : { desired: query.desired }),
              ...(query.cluster === undefined ? {} : { cluster: query.cluster }),
              ...(query.search === undefined ? {} : { nameContains: query.search }),
            },
          }),
        isVisible: (job) => caller.may('jobs:view', jobResource(job)),
        seesAll: caller.may('jobs:view', SERVER),
      });
      return { ...page, items: page.items.map(summary) };
    },

    createJob: ({ caller, stated, store: aggregates }) => create(caller, textOf(stated), aggregates),

    startAllJobs: (call) =>
      onEach(call, 'jobs:start', {
        isMeant: ({ desired }) => desired === 'stopped',
        act: (job) => call.store.jobs.setDesired(job.id, 'started', { by: call.caller.identity.userId }),
      }),

    stopAllJobs: (call) =>
      onEach(call, 'jobs:stop', {
        isMeant: ({ desired }) => desired !== 'stopped',
        act: (job) => call.store.jobs.setDesired(job.id, 'stopped', { by: call.caller.identity.userId }),
      }),

    restartAllJobs: (call) =>
      onEach(call, 'jobs:start', {
        isMeant: ({ desired }) => desired === 'started',
        act: (job) => call.store.jobs.requestRestart(job.id, { by: call.caller.identity.userId }),
      }),

    getJob: async ({ job }) => detail(job),

    updateJob: async (call) => detail(await replace(call as unknown as Call, textOf(call.stated))),

    async deleteJob({ caller, job, ifVersion, store: aggregates }) {
      if (ifVersion !== null && ifVersion !== job.version)
        throw new AppError('RESOURCE_CHANGED', `Job "${job.name}" was changed meanwhile.`, {
          nextStep: 'Read it again.',
        });
      await aggregates.jobs.setDesired(job.id, 'stopped', { by: caller.identity.userId });
      changed(job);
      await runner.stopped(job.id, STOP_MS);
      await aggregates.jobs.delete(job.id, { ifVersion });
      changed(job);
    },

    async cloneJob({ caller, job, body, store: aggregates }) {
      const stated = { ...specOf(job), ...(body.target === undefined ? {} : { target: body.target }), name: body.name };
      return create(caller, textOf(stated), aggregates);
    },

    startJob: want('started'),
    stopJob: want('stopped'),
    pauseJob: want('paused'),
    restartJob: async ({ caller, job, store: aggregates }) =>
      summary(changed(await aggregates.jobs.requestRestart(job.id, { by: caller.identity.userId }))),

    async getJobStatus({ job }) {
      const running = runner.job(job.id);
      return {
        id: job.id,
        desired: job.desired,
        state: running.state,
        failedReason: running.failedReason,
        partitions: partitionViews(running),
        incidents: incidentViews(running),
        measuredAt: running.status?.at ?? null,
      };
    },

    getMappings: async ({ job }) => mappingsOf(job),

    async setMappings(call) {
      const { topics } = call.stated as { topics: Json };
      const stated = { ...specOf(call.job), topics, name: call.job.name };
      return mappingsOf(await replace(call as unknown as Call, textOf(stated)));
    },

    async getLag({ job }) {
      const partitions = partitionViews(runner.job(job.id));
      const known = partitions.flatMap(({ lagRecords }) => (lagRecords === null ? [] : [lagRecords]));
      const times = partitions.flatMap(({ lagMs }) => (lagMs === null ? [] : [lagMs]));
      return {
        lagRecords: known.length === 0 ? null : known.reduce((sum, lag) => sum + lag, 0),
        lagMs: times.length === 0 ? null : Math.max(...times),
        unknown: partitions.length - known.length,
        partitions: partitions.map(({ topic, partition, lagRecords, lagMs, measuredAt }) => ({
          topic,
          partition,
          lagRecords,
          lagMs,
          measuredAt,
        })),
      };
    },

    async getCurrentMetrics({ job }) {
      const running = runner.job(job.id);
      const limits = flagLimitsOf(configuration.resolved.values);
      return {
        messagesReplicated: running.status?.recordsCopied ?? 0,
        bytesTransferred: running.status?.bytesCopied ?? 0,
        currentLag: lagOf(running),
        errorCount: incidentViews(running).length,
        ...flagsOf(await readFigures(ports, job.id, limits), limits),
        since: running.since,
        measuredAt: running.status?.at ?? null,
      };
    },

    async getTopicHealth({ job }) {
      const shards = runner.job(job.id).status?.shards ?? [];
      const named = (key: 'topic' | 'targetTopic'): string[] => [...new Set(shards.map((shard) => shard[key]))];
      const [source, target] = await Promise.all([
        topicsOf(job.source, named('topic')),
        topicsOf(job.target, named('targetTopic')),
      ]);
      return [...source.map(healthOf('source')), ...target.map(healthOf('target'))];
    },

    async getMirrorProgress({ job }) {
      const running = runner.job(job.id);
      return (running.status?.shards ?? []).map((shard) => ({
        sourceTopic: shard.topic,
        targetTopic: shard.targetTopic,
        partitionId: shard.partition,
        sourceOffset: shard.position,
        sourceHighWaterMark: shard.sourceHighWatermark,
        replicationLag: shard.lagRecords,
        status: progressOf(shard, job.desired === 'paused'),
        lastUpdated: shard.measuredAt,
      }));
    },

    async getMirrorGaps({ job }) {
      return incidentViews(runner.job(job.id)).flatMap(({ offsets, at, ...incident }) =>
        offsets === null
          ? []
          : [
              {
                topic: incident.topic,
                partition: incident.partition,
                gapStartOffset: offsets.from,
                gapEndOffset: offsets.to,
                gapSize: offsets.to - offsets.from,
                code: incident.code,
                cause: incident.cause,
                nextStep: incident.nextStep,
                detectedAt: at,
              },
            ],
      );
    },
  };
}

function textOf(stated: unknown): JobText {
  const { name, document } = documentOf('Mirror', stated);
  const { source, target } = stated as { source: string; target: string };
  if (source === target)
    throw new AppError('CLUSTER_SAME', `Source and target are both "${source}".`, {
      nextStep: 'A mirror goes from one cluster to another.',
    });
  return { name, kind: 'Mirror', source, target, document };
}

function mappingsOf(job: StoredJob): { topics: z.core.util.JSONType[]; version: number } {
  return { topics: specOf(job)['topics'] as z.core.util.JSONType[], version: job.version };
}

function healthOf(side: 'source' | 'target') {
  return (topic: TopicView) => {
    const { name, partitions, replicationFactor, underReplicated, offline } = topicView(topic);
    return {
      side,
      topic: name,
      partitions,
      replicationFactor,
      underReplicated,
      healthy: underReplicated === 0 && offline === 0,
    };
  };
}

function progressOf(
  { incident, lagRecords, state }: ShardStatus,
  isPaused: boolean,
): 'active' | 'completed' | 'paused' | 'error' | 'unknown' {
  if (incident !== null && incident.severity === 'error') return 'error';
  if (isPaused) return 'paused';
  if (lagRecords === null || state === 'ended') return 'unknown';
  return lagRecords === 0 ? 'completed' : 'active';
}
