/** `lockstep failover`: the clusters of one mirror, from what stands in the state topic to the evidence of what was done. */
import type { FailoverEvent, FailoverEvidence, FailoverPlan } from '#contract/failover.ts';
import type { Access } from '#contract/plan.ts';
import type { MirrorResource } from '#contract/resources.ts';
import type { RunEvent } from '#contract/status.ts';
import type { Cluster } from '#kafka/cluster.ts';
import type { FramePool } from '#kafka/frame.ts';
import type { Clock } from '#util/clock.ts';
import { sleep } from '#util/clock.ts';
import type { Random } from '#util/random.ts';
import { Mirror, type MirrorOutcome } from '../mirror.ts';
import { readEnds, readWatermarks } from '../offsets.ts';
import { mirrorIdOf, type FailoverRecord, type MirrorRecord } from '../state-records.ts';
import { StateTopic } from '../state-topic.ts';
import { runFailover } from './procedure.ts';
import { abandon, claimedTopics, createSteps, refused, stepFailed, type FailoverOptions } from './steps.ts';

export interface FailoverRun extends Pick<
  FailoverOptions,
  'isFenced' | 'notFenced' | 'isForced' | 'settleWithinMs' | 'groupsWithinMs' | 'groupsAs' | 'verify'
> {
  readonly resource: MirrorResource;
  /** Null where it does not answer, or is given up. */
  readonly source: Cluster | null;
  readonly target: Cluster;
  readonly pool: FramePool;
  readonly clock: Clock;
  readonly random: Random;
  /** For people: host and process id. */
  readonly process: string;
  /** On the target. */
  readonly access: Access;
  readonly drainWithinMs: number;
  readonly signal: AbortSignal;
  onEvent(event: FailoverEvent | RunEvent): void;
}

/** What it takes to run the mirror itself. */
export type RunOptions = Pick<
  FailoverRun,
  'resource' | 'source' | 'target' | 'clock' | 'random' | 'pool' | 'process' | 'access' | 'signal' | 'onEvent'
>;

export interface FailoverState {
  readonly state: StateTopic;
  readonly mirrorId: string;
  readonly mirror: MirrorRecord;
}

/** What the target knows of the mirror. Throws AppError FAILOVER_REFUSED where it has never run, KafkaError. */
export async function openFailover(resource: MirrorResource, target: Cluster): Promise<FailoverState> {
  const state = await StateTopic.peek(target);
  const mirror = state?.mirrorNamed(resource.metadata.name) ?? null;
  if (!state || !mirror)
    throw refused(
      `Cluster "${target.name}" has no copy by a mirror "${resource.metadata.name}".`,
      'Compare the name of the Mirror and the addresses of its target; "lockstep plan -f FILE" shows what a run would do.',
    );
  return { state, mirror, mirrorId: mirrorIdOf(mirror) };
}

/** What a failover would find now. Changes nothing. Throws as `openFailover`. */
export async function planFailover({
  resource,
  source,
  target,
}: Pick<FailoverRun, 'resource' | 'source' | 'target'>): Promise<FailoverPlan> {
  const { state, mirrorId } = await openFailover(resource, target);
  const claims = await claimedTopics({ target, state, mirrorId });
  const places = claims.flatMap(({ sourceTopic, targetTopic, partitions, mode = 'identical' }) =>
    Array.from({ length: partitions }, (_, partition) => ({ sourceTopic, targetTopic, partition, mode })),
  );
  const ends = await readEnds(
    target,
    places.map(({ targetTopic: topic, partition }) => ({ topic, partition })),
  );
  const sourceEnds = source
    ? await readWatermarks(
        source,
        places.map(({ sourceTopic: topic, partition }) => ({ topic, partition })),
      )
    : null;
  let lag: number | null = sourceEnds ? 0 : null;
  for (const [i, { mode }] of places.entries()) {
    const [from, to] = [ends[i]?.highWatermark ?? null, sourceEnds?.[i] ?? null];
    lag = lag === null || from === null || to === null || mode !== 'identical' ? null : lag + Math.max(0, to - from);
  }
  const record = state.failover(mirrorId);
  return {
    mirror: resource.metadata.name,
    source: resource.spec.source,
    target: resource.spec.target,
    isSourceReachable: source !== null,
    done: record?.steps.map(({ step }) => step) ?? [],
    isPromoted: record?.phase === 'promoted',
    topics: claims.length,
    partitions: places.length,
    lag,
    openTransactions: ends.filter((end) => end && (end.highWatermark ?? 0) > end.stableOffset).length,
    fence: source
      ? 'deny WRITE on these topics of the source to everybody, where it has an authorizer and we may (ALTER on the cluster)'
      : 'none: the source does not answer, or is given up',
    groups:
      resource.spec.sync.groups === null
        ? 'not synchronised by this mirror'
        : 'moved to where they stand on the source',
  };
}

/** Goes through all steps, from where an earlier call stopped. Throws AppError with what stands in the way. */
export async function failOver(run: FailoverRun): Promise<FailoverEvidence> {
  const { resource, source, target, clock } = run;
  const { state, mirror, mirrorId } = await openFailover(resource, target);
  const name = resource.metadata.name;
  const tell = (event: Omit<FailoverEvent, 'event' | 'mirror' | 'at'>): void =>
    run.onEvent({ event: 'failover-step', mirror: name, ...event, at: clock.now() });
  const { run: runStep } = createSteps({ ...run, state, mirrorId, drain: (from) => drain(run, from) });
  const record = await runFailover(
    {
      now: () => clock.now(),
      load: async () => {
        await state.load();
        return state.failover(mirrorId);
      },
      save: (saved) => state.putFailover(mirrorId, saved),
      run: async (step, saved, save) => {
        if (run.signal.aborted)
          throw refused(`Interrupted before the step ${step}.`, 'The same command goes on from here.');
        try {
          return await runStep(step, saved, save);
        } catch (error) {
          throw stepFailed(error, step);
        }
      },
      onBegin: (step) => tell({ step, state: 'begun', said: [], tookMs: null }),
      onEnd: (step, said, tookMs) => tell({ step, state: 'done', said, tookMs }),
    },
    { name, isSourceLost: source === null },
  );
  return evidenceOf(record, mirror, resource, target);
}

/** Gives up a failover that is not done. Throws AppError FAILOVER_REFUSED, KafkaError. */
export async function abandonFailover({
  resource,
  source,
  target,
}: Pick<FailoverRun, 'resource' | 'source' | 'target'>): Promise<void> {
  const { state, mirrorId } = await openFailover(resource, target);
  await abandon({ source, state, mirrorId });
}

/** The mirror itself copies what there is as of now, beside the processes that run it. */
export function runUntilCaughtUp(run: RunOptions, source: Cluster, signal: AbortSignal): Promise<MirrorOutcome> {
  const { resource, target, clock, random, pool, process, access } = run;
  const mirror = new Mirror({
    resource,
    source,
    target,
    clock,
    random,
    pool,
    process,
    access,
    until: { kind: 'caught-up' },
    progressMs: 1_000,
    onEvent: (event) => run.onEvent(event),
  });
  return mirror.run(signal);
}

async function drain(run: FailoverRun, source: Cluster): Promise<MirrorOutcome> {
  const { clock, drainWithinMs, signal } = run;
  const ended = new AbortController();
  const late = new AbortController();
  const timer = sleep(clock, drainWithinMs, ended.signal).then(() => late.abort());
  try {
    return await runUntilCaughtUp(run, source, AbortSignal.any([signal, late.signal]));
  } finally {
    ended.abort();
    await timer;
  }
}

function evidenceOf(
  record: FailoverRecord,
  mirror: MirrorRecord,
  resource: MirrorResource,
  target: Cluster,
): FailoverEvidence {
  const endedAt = record.steps.at(-1)?.endedAt ?? record.startedAt;
  return {
    mirror: mirror.name,
    source: resource.spec.source,
    sourceClusterId: mirror.sourceClusterId,
    target: resource.spec.target,
    targetClusterId: mirror.targetClusterId,
    outcome: 'promoted',
    isSourceLost: record.isSourceLost,
    startedAt: record.startedAt,
    endedAt,
    rtoMs: endedAt - record.startedAt,
    rpo: record.loss ?? { records: null, ms: null },
    fence: record.fence,
    steps: record.steps,
    cut: record.cut ?? [],
    transactions: record.transactions,
    verified: record.verified,
    next: nextOf(record, resource, target),
  };
}

function nextOf(record: FailoverRecord, { spec, metadata }: MirrorResource, target: Cluster): string[] {
  const renamed = (record.cut ?? []).filter(({ sourceTopic, targetTopic }) => sourceTopic !== targetTopic);
  const brokers = target.brokers().map(({ host, port }) => `${host}:${port}`);
  return [
    `Producers and consumers: bootstrap.servers=${brokers.join(',')} (cluster "${target.name}").`,
    ...(renamed.length > 0
      ? [
          `Topics have other names there: ${renamed
            .slice(0, 10)
            .map((each) => `${each.sourceTopic} is ${each.targetTopic}`)
            .join(', ')}${renamed.length > 10 ? ', …' : ''}.`,
        ]
      : []),
    ...(spec.sync.groups === null
      ? ['Consumer groups have no places there by this mirror: set them before consumers start.']
      : []),
    ...(record.fence?.why === null
      ? [`Producers stay denied on "${spec.source}" until "lockstep failback" takes that away.`]
      : [`Keep producers of "${spec.source}" stopped, also when it comes back: what they write there is only there.`]),
    `Do not run mirror "${metadata.name}" any more: it refuses. "lockstep failback -f FILE" leads back.`,
  ];
}
