/**
 * `lockstep drill`: a failover that changes nothing. The mirror runs on; each step is looked at and timed as far as looking
 * goes, so that what would stand in the way is known before the night in which it matters.
 */
import {
  failoverSteps,
  type FailoverEvidence,
  type FailoverLoss,
  type FailoverStep,
  type TimedStep,
  type TopicCut,
} from '#contract/failover.ts';
import { groupIdOf } from '#jobs/ownership.ts';
import { readAcls } from '#kafka/acls.ts';
import { isDenied } from '#kafka/permissions.ts';
import { must } from '#util/assert.ts';
import { sleep } from '#util/clock.ts';
import { planGroups } from '../group-plan.ts';
import { isIdle, readGroupState } from '../group-state.ts';
import { readEnds, readWatermarks } from '../offsets.ts';
import { TRANSACTIONAL_ID_PREFIX, type TopicClaim } from '../state-topic.ts';
import { isSameOffsets } from './cut-places.ts';
import { findCutTransactions } from './cut-transactions.ts';
import { openFailover, type FailoverRun, type FailoverState } from './failover.ts';
import { claimedTopics, knownEnds, measureLoss, placesOf, refused } from './steps.ts';

const POLL_MS = 100;
const NAMED_MAX = 20;

type DrillRun = Pick<
  FailoverRun,
  'resource' | 'source' | 'target' | 'clock' | 'drainWithinMs' | 'verify' | 'signal' | 'onEvent'
>;

/** Throws AppError FAILOVER_REFUSED where there is nothing to fail over, KafkaError. */
export async function drill(run: DrillRun): Promise<FailoverEvidence> {
  const { resource, source, target, clock } = run;
  const opened = await openFailover(resource, target);
  if (opened.state.failover(opened.mirrorId))
    throw refused(
      `A failover of mirror "${resource.metadata.name}" was begun already.`,
      '"lockstep failover -f FILE" shows how far it came.',
    );
  const startedAt = clock.now();
  const claims = await claimedTopics({ target, ...opened });
  const { cut, rpo } = await lossNow(run, opened, claims);
  const transactions = await findCutTransactions(
    target,
    placesOf(claims, 'targetTopic'),
    `${TRANSACTIONAL_ID_PREFIX}${opened.mirrorId}`,
  );
  const verified = { counts: null as FailoverEvidence['verified'] };
  const looks: Record<FailoverStep, () => Promise<string[]>> = {
    fence: () => lookAtFence(run, claims),
    drain: () => lookAtDrain(run, opened, claims),
    stop: () => lookAtProcesses(run, opened),
    verify: async () => {
      if (source === null) return ['Nothing could be compared: the source does not answer.'];
      const counts = (verified.counts = await run.verify());
      return [
        `${counts.records} records are the same; ${counts.different} partitions differ, ${counts.unverified} could not be compared as a whole, ${counts.failed} not at all.`,
      ];
    },
    cut: async () => [
      `${transactions.length} transactions were open on the target when the drill began: with the source lost then, they would be aborted.`,
    ],
    groups: () => lookAtGroups(run, claims),
    promote: async () => ['Nothing was changed, and the mirror runs on.'],
  };
  const steps: TimedStep[] = [];
  for (const step of failoverSteps) {
    const at = clock.now();
    run.onEvent({
      event: 'failover-step',
      mirror: resource.metadata.name,
      step,
      state: 'begun',
      said: [],
      tookMs: null,
      at,
    });
    const said = await looks[step]();
    const endedAt = clock.now();
    steps.push({ step, startedAt: at, endedAt, said });
    const done = { event: 'failover-step', mirror: resource.metadata.name, step, state: 'done' } as const;
    run.onEvent({ ...done, said, tookMs: endedAt - at, at: endedAt });
  }
  const endedAt = clock.now();
  return {
    mirror: resource.metadata.name,
    source: resource.spec.source,
    sourceClusterId: opened.mirror.sourceClusterId,
    target: resource.spec.target,
    targetClusterId: opened.mirror.targetClusterId,
    outcome: 'drill',
    isSourceLost: source === null,
    startedAt,
    endedAt,
    rtoMs: endedAt - startedAt,
    rpo,
    fence: null,
    steps,
    cut,
    transactions,
    verified: verified.counts,
    next: [],
  };
}

/** Of copies with the offsets of the source, where they end now; of a mapped one only its process knows how far it is. */
async function cutNow({ target }: Pick<DrillRun, 'target'>, claims: readonly TopicClaim[]): Promise<TopicCut[]> {
  const ends = await readWatermarks(target, placesOf(claims, 'targetTopic'));
  let next = 0;
  return claims.map(({ sourceTopic, sourceTopicId, targetTopic, targetTopicId, partitions }) => {
    const found = ends.slice(next, (next += partitions));
    const at = knownEnds(found, { cluster: target.name, topic: targetTopic }).map((end) => [end, end] as const);
    return { sourceTopic, sourceTopicId, targetTopic, targetTopicId, mode: 'identical', partitions: at };
  });
}

/** What would be missing if the source were lost now: unknown as soon as a part of it is. */
export async function lossNow(
  run: Pick<DrillRun, 'source' | 'target'>,
  { state }: Pick<FailoverState, 'state'>,
  claims: readonly TopicClaim[],
): Promise<{ readonly cut: TopicCut[]; readonly rpo: FailoverLoss }> {
  const same = claims.filter((claim) => isSameOffsets(state, claim));
  const cut = same.length === 0 ? [] : await cutNow(run, same);
  const isWhole = same.length === claims.length;
  return { cut, rpo: isWhole ? await measureLoss(run, cut) : { records: null, ms: null } };
}

async function lookAtFence({ source }: DrillRun, claims: readonly TopicClaim[]): Promise<string[]> {
  if (source === null) return ['Producers could not be kept out: the source does not answer.'];
  try {
    const acls = await readAcls(source);
    if (acls === null) return [`Producers could not be kept out: cluster "${source.name}" has no authorizer.`];
    return [`WRITE on ${claims.length} topics of the source would be denied, where we have ALTER on the cluster.`];
  } catch (error) {
    if (!isDenied(error)) throw error;
    return ['Whether producers can be kept out is not known: DESCRIBE on the source cluster is missing.'];
  }
}

/** What the source has decided as of now, until the running mirror has brought it. */
async function lookAtDrain(run: DrillRun, { state }: FailoverState, claims: readonly TopicClaim[]): Promise<string[]> {
  const { source, target, clock, drainWithinMs, signal } = run;
  if (source === null) return ['The source does not answer: what is on the target would stay.'];
  const same = claims.filter((claim) => isSameOffsets(state, claim));
  const others = claims.length - same.length;
  const besides =
    others === 0
      ? []
      : [`How far ${others} topics with mapped offsets are was not looked at: --copies measures a failover of them.`];
  if (same.length === 0) return besides;
  const goals = await readEnds(source, placesOf(same, 'sourceTopic'));
  const deadline = clock.monotonic() + drainWithinMs;
  for (;;) {
    const ends = await readWatermarks(target, placesOf(same, 'targetTopic'));
    const behind = goals.reduce((sum, goal, i) => sum + Math.max(0, (goal?.stableOffset ?? 0) - (ends[i] ?? 0)), 0);
    if (behind === 0 && !goals.includes(null))
      return [`All that the source had decided is on the target (${goals.length} partitions).`, ...besides];
    if (behind === 0)
      return [
        `${goals.filter((goal) => goal === null).length} partitions of the source could not be read.`,
        ...besides,
      ];
    if (signal.aborted || clock.monotonic() > deadline)
      return [`${behind} offsets were still not copied: see that the mirror runs, and how fast.`, ...besides];
    await sleep(clock, POLL_MS, signal);
  }
}

async function lookAtProcesses({ target }: DrillRun, { mirrorId }: FailoverState): Promise<string[]> {
  const group = await readGroupState(target, groupIdOf(mirrorId));
  if (group === 'unknown')
    return [
      'Whether the mirror runs cannot be seen, and a failover would stop here: DESCRIBE on its group is missing on the target (groups that begin with "lockstep-").',
    ];
  return [
    !isIdle(group)
      ? 'The mirror runs: its processes would stop within seconds.'
      : 'NO PROCESS OF THE MIRROR RUNS: the target falls behind.',
  ];
}

async function lookAtGroups({ resource, source, target }: DrillRun, claims: readonly TopicClaim[]): Promise<string[]> {
  if (source === null) return ['Groups would stand where the mirror last put them.'];
  const pairs = claims.map(({ sourceTopic, targetTopic }) => ({ source: sourceTopic, target: targetTopic }));
  const planned = await planGroups(resource, { source, target }, pairs);
  if (planned === null) return ['Consumer groups are not synchronised by this mirror (sync.groups).'];
  const moving = planned.filter(({ action }) => action === 'sync');
  const left = planned
    .filter(({ partitions }) => partitions !== null && partitions > 0)
    .filter(({ action }) => action === 'leave');
  return [
    `${moving.length} consumer groups would be put where they stand on the source.`,
    ...left
      .slice(0, NAMED_MAX)
      .map(({ group, why }) => `Group "${group}" would be left alone: ${must(why, 'reason')}.`),
  ];
}
