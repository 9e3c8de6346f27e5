/** What each step of a failover does on the clusters; procedure.ts says in which order, and keeps what was done. */
import { AppError } from '#contract/errors.ts';
import type { FailoverStep, TopicCut, VerifiedCounts } from '#contract/failover.ts';
import type { MirrorResource } from '#contract/resources.ts';
import { compileTopicRules, planTopics, withMerges } from '#contract/topic-rules.ts';
import { groupIdOf } from '#jobs/ownership.ts';
import { toAppError } from '#jobs/app-error.ts';
import { aclText } from '#kafka/acls.ts';
import type { Cluster } from '#kafka/cluster.ts';
import { KafkaError } from '#kafka/errors.ts';
import { hasMembers, listGroups, readGroupOffsets } from '#kafka/groups.ts';
import { isDenied } from '#kafka/permissions.ts';
import { openBatch } from '#kafka/records/open-batch.ts';
import { readTail } from '#kafka/simple-log.ts';
import { sleep } from '#util/clock.ts';
import { GroupMemory } from '../group-memory.ts';
import { isIdle, readGroupState } from '../group-state.ts';
import type { SyncedTopic } from '../group-places.ts';
import { GroupSync, selectGroups } from '../group-sync.ts';
import type { MirrorOutcome } from '../mirror.ts';
import { readEnds, readLogStart, readWatermarks } from '../offsets.ts';
import type { FailoverRecord } from '../state-records.ts';
import { TRANSACTIONAL_ID_PREFIX, type StateTopic, type TopicClaim } from '../state-topic.ts';
import { openRoutes } from '../source-provenance.ts';
import { readSyncedTopics } from '../synced-topics.ts';
import { abortCutTransactions, findCutTransactions } from './cut-transactions.ts';
import { cutOf } from './cut-places.ts';
import { copyGroups, type GroupCopies } from './group-copies.ts';
import { denialOf, lowerFence, raiseFence, type Fence } from './fence.ts';
import { findTopics } from './find-topics.ts';
import { withGrown } from './grown-topics.ts';
import type { FailoverPort, StepOutcome } from './procedure.ts';
import { Settling } from './settling.ts';

const STILL_MS = 1_000;
const POLL_MS = 250;
/** The session timeout of a process that was killed is 20 s. */
const STOP_WITHIN_MS = 60_000;
const NAMED_MAX = 20;

export interface FailoverOptions {
  readonly resource: MirrorResource;
  /** Null where it does not answer, or is given up. */
  readonly source: Cluster | null;
  readonly target: Cluster;
  readonly state: StateTopic;
  readonly mirrorId: string;
  readonly isFenced: boolean;
  /** Why not. Default: the option that says so. */
  readonly notFenced?: string;
  /** Goes on although partitions have stopped, differ, or are not drained in time. */
  readonly isForced: boolean;
  /** How long transactions of the source may take to end once producers are kept out. */
  readonly settleWithinMs: number;
  /** How long consumers of the source may take to reach the cut. */
  readonly groupsWithinMs: number;
  /** In a drill: groups get their places under names of their own, and the source's are not waited for. */
  readonly groupsAs?: GroupCopies | null;
  /** Runs the mirror until it has caught up, in the time that is given for it. */
  drain(source: Cluster): Promise<MirrorOutcome>;
  /** Compares the ends of both sides. */
  verify(): Promise<VerifiedCounts>;
}

export function createSteps(options: FailoverOptions): Pick<FailoverPort, 'run'> {
  const steps: Record<FailoverStep, FailoverPort['run']> = {
    fence: async (_, record, save) => fence(options, record, save),
    drain: async () => drain(options),
    stop: async (_, __, save) => stop(options, save),
    verify: async () => verify(options),
    cut: async (_, record, save) => cut(options, record, save),
    groups: async (_, record) => moveGroups(options, record),
    promote: async (_, record) => promote(options, record),
  };
  return { run: (step, record, save) => steps[step](step, record, save) };
}

/** Topics that the mirror copies, as far as they are there. Throws KafkaError. */
export async function claimedTopics({
  target,
  state,
  mirrorId,
}: Pick<FailoverOptions, 'target' | 'state' | 'mirrorId'>): Promise<TopicClaim[]> {
  await state.load();
  const claims = state.claimsOf(mirrorId);
  const found = await findTopics(
    target,
    claims.map(({ targetTopic }) => targetTopic),
  );
  return claims.filter(({ targetTopicId }, i) => found[i]?.topicId === targetTopicId);
}

// ---- fence

type Save = (changes: Partial<FailoverRecord>) => Promise<FailoverRecord>;

async function fence(options: FailoverOptions, record: FailoverRecord, save: Save): Promise<StepOutcome> {
  const raised = await fenceOf(options, record, save);
  const { topics, why } = raised;
  const said =
    why === null
      ? [
          `Producers are denied WRITE on ${topics.length} topics of the source, everybody but its super.users.`,
          ...(await settle(options)),
        ]
      : [`NOT FENCED: ${why}. What producers write to the source from now on may be missing on the target: stop them.`];
  return { said, changes: { fence: { topics: [...topics], why } } };
}

async function fenceOf(options: FailoverOptions, record: FailoverRecord, save: Save): Promise<Fence> {
  const { source, isFenced } = options;
  const before = record.fence?.topics ?? [];
  if (source === null) return { topics: before, why: 'the source does not answer, or is given up' };
  if (!isFenced) return { topics: before, why: options.notFenced ?? '--no-fence' };
  const saveFence = (raised: Fence): Promise<unknown> =>
    save({ fence: { topics: [...raised.topics], why: raised.why } });
  return raiseFence(source, await sourceTopics(options, source), { before, save: saveFence });
}

/** What the rules name now, and what was copied. */
async function sourceTopics(options: FailoverOptions, source: Cluster): Promise<string[]> {
  const { spec } = options.resource;
  const found = (await source.refresh('all')).filter(({ errorCode }) => errorCode === 0);
  const named = withMerges(planTopics(compileTopicRules(spec.topics), found), spec);
  const { pairs } = await openRoutes(options.resource, { source, target: options.target })(named);
  const there = new Set(found.map(({ name }) => name));
  const copied = (await claimedTopics(options)).map(({ sourceTopic }) => sourceTopic);
  return [...new Set([...pairs.map((pair) => pair.source), ...copied.filter((topic) => there.has(topic))])].toSorted();
}

/** What was on its way lands, and what is open ends, before it is read how far there is to go. */
async function settle(options: FailoverOptions): Promise<string[]> {
  const { source, settleWithinMs } = options;
  if (source === null) return [];
  const topics = await sourceTopics(options, source);
  const places = topics.flatMap((topic) =>
    (source.topicOf(topic)?.partitions ?? []).map(({ partition }) => ({ topic, partition })),
  );
  const startedMs = source.clock.monotonic();
  const settling = new Settling(settleWithinMs);
  for (;;) {
    const found = await readEnds(source, places);
    const ends = found.map((end) => end?.highWatermark ?? null);
    const open = found.filter((end) => end && (end.highWatermark ?? 0) > end.stableOffset).length;
    const rest = settling.look(source.clock.monotonic() - startedMs, { ends, open });
    if (rest === 'at rest') return ['Nothing is written to them any more, and no transaction is open.'];
    if (rest === 'open transactions')
      return [
        `${open} partitions of the source have a transaction open: what stands behind its first record is not copied.`,
      ];
    if (rest === 'unreadable')
      return [
        `${ends.filter((end) => end === null).length} partitions of the source cannot be read: whether transactions are open there is not known.`,
      ];
    if (rest === 'still written') return ['THEY ARE STILL BEING WRITTEN TO, by a super.user: stop the producers.'];
    await sleep(source.clock, STILL_MS);
  }
}

export function placesOf(
  claims: readonly TopicClaim[],
  side: 'sourceTopic' | 'targetTopic',
): { topic: string; partition: number }[] {
  return claims.flatMap((claim) =>
    Array.from({ length: claim.partitions }, (_, partition) => ({ topic: claim[side], partition })),
  );
}

// ---- drain, stop, verify

async function drain(options: FailoverOptions): Promise<StepOutcome> {
  const { source, isForced } = options;
  if (source === null) return { said: ['The source is not read any more: what is on the target stays.'], changes: {} };
  const outcome = await options.drain(source);
  if (outcome === 'caught-up')
    return { said: ['Everything that the source had decided is on the target.'], changes: {} };
  const what =
    outcome === 'incidents'
      ? 'partitions have stopped with incidents and are not copied to the end'
      : 'not everything of the source was copied in the time that --drain-within gives';
  if (!isForced) throw refused(`Not drained: ${what}.`, GO_ON);
  return { said: [`NOT DRAINED: ${what}; --force.`], changes: {} };
}

const GO_ON =
  'The same command goes on from here; --force accepts it as it is; --source-lost gives the source up; --abandon gives the failover up.';

async function stop({ target, mirrorId }: FailoverOptions, save: Save): Promise<StepOutcome> {
  await save({ phase: 'stopping' });
  const groupId = groupIdOf(mirrorId);
  const deadline = target.clock.monotonic() + STOP_WITHIN_MS;
  for (let idle = 0; idle < 2;) {
    const group = await readGroupState(target, groupId);
    if (group === 'unknown')
      throw refused(
        `Whether processes of the mirror still run cannot be seen: the right to describe group "${groupId}" on "${target.name}" is missing.`,
        'Grant DESCRIBE on groups that begin with "lockstep-", or use the credentials of the mirror, and give the same command again.',
      );
    idle = isIdle(group) ? idle + 1 : 0;
    if (target.clock.monotonic() > deadline)
      throw refused(
        `Processes of the mirror still run: group "${groupId}" is in state ${group}.`,
        'Stop them, and give the same command again.',
      );
    await sleep(target.clock, POLL_MS);
  }
  return { said: ['No process of the mirror writes any more.'], changes: {} };
}

async function verify(options: FailoverOptions): Promise<StepOutcome> {
  const { source, isForced } = options;
  if (source === null) return { said: ['Not verified: there is no source to compare with.'], changes: {} };
  const compared = await options.verify();
  const { identical, different, failed, records } = compared;
  const all = placesOf(await claimedTopics(options), 'sourceTopic').length;
  const unverified = Math.max(compared.unverified, all - identical - different - failed); // not reached in time
  const verified = { ...compared, unverified };
  const said = `${records} records of ${identical + different + unverified + failed} partitions are the same; ${different} partitions differ, ${unverified} could not be compared as a whole, ${failed} not at all.`;
  if (different > 0 && !isForced)
    throw refused(`Source and target differ: ${said}`, `"lockstep verify -f FILE" names what differs. ${GO_ON}`);
  if (failed > 0 && !isForced)
    throw refused(
      `Not all could be compared: ${said}`,
      `"lockstep verify -f FILE" names what could not be, and why. ${GO_ON}`,
    );
  return { said: [said], changes: { verified } };
}

// ---- cut

/** Where the partitions of a topic end. Throws AppError FAILOVER_REFUSED where that of one could not be read. */
export function knownEnds(
  ends: readonly (number | null)[],
  { cluster, topic }: { readonly cluster: string; readonly topic: string },
): number[] {
  return ends.map((end, partition) => {
    if (end !== null) return end;
    throw refused(
      `Where ${topic}/${partition} ends on cluster "${cluster}" could not be read.`,
      'See that it has a leader, and give the same command again.',
    );
  });
}

/** Where the copy ends is kept before anything is aborted: the markers of that stand behind it. */
async function cut(options: FailoverOptions, record: FailoverRecord, save: Save): Promise<StepOutcome> {
  const { target, mirrorId } = options;
  const claims = await claimedTopics(options);
  const known = record.cut ?? (await readCut(options, claims));
  const found = await findCutTransactions(
    target,
    placesOf(claims, 'targetTopic'),
    `${TRANSACTIONAL_ID_PREFIX}${mirrorId}`,
  );
  const listed = new Set(record.transactions.map(keyOf));
  const transactions = [...record.transactions, ...found.filter((each) => !listed.has(keyOf(each)))];
  await save({ cut: known.map(mutable), transactions });
  await abortCutTransactions(target, found);
  const places = placesOf(claims, 'targetTopic');
  const ends = new Map<string, number | null>();
  for (const [i, end] of (await readWatermarks(target, places)).entries())
    ends.set(`${places[i]?.topic}/${places[i]?.partition}`, end);
  const cutAt = known.map((topic) => ({
    ...topic,
    partitions: topic.partitions.map(([from, end], partition): [number, number] => [
      from,
      ends.get(`${topic.targetTopic}/${partition}`) ?? end,
    ]),
  }));
  const loss = await measureLoss(options, cutAt);
  const named = transactions.map(
    ({ topic, partition, from, to, transactionalId }) =>
      `Transaction ${transactionalId ?? '(not ours)'} on ${topic}/${partition}, offsets ${from} to ${to - 1}, is cut in two: ${transactionalId === null ? 'left as it is' : 'aborted'}.`,
  );
  const more = named.length > NAMED_MAX ? [`${named.length - NAMED_MAX} more transactions were cut in two.`] : [];
  const lost =
    loss.records === null
      ? 'How much the source had beyond the cut is not known.'
      : `The source had ${loss.records} offsets beyond the cut.`;
  return {
    said: [lost, ...named.slice(0, NAMED_MAX), ...more],
    changes: { cut: cutAt.map(mutable), loss, transactions },
  };
}

const keyOf = ({ topic, partition, from }: { topic: string; partition: number; from: number }): string =>
  `${topic}/${partition}/${from}`;

function mutable(topic: TopicCut): NonNullable<FailoverRecord['cut']>[number] {
  return { ...topic, partitions: topic.partitions.map(([source, target]) => [source, target]) };
}

/** The ends of the copies once they have stood still: nobody of the mirror writes, and what was on its way has landed. */
async function readCut({ target, state }: FailoverOptions, claims: readonly TopicClaim[]): Promise<TopicCut[]> {
  const places = placesOf(claims, 'targetTopic');
  let ends = await readWatermarks(target, places);
  for (;;) {
    await sleep(target.clock, STILL_MS);
    const now = await readWatermarks(target, places);
    const isStill = now.every((end, i) => end === ends[i]);
    ends = now;
    if (isStill) break;
  }
  await state.load();
  let next = 0;
  return claims.map((claim) => {
    const found = ends.slice(next, (next += claim.partitions));
    return cutOf(state, claim, knownEnds(found, { cluster: target.name, topic: claim.targetTopic }));
  });
}

/** What the source has beyond the cut; unknown where it cannot be asked. */
export async function measureLoss(
  { source }: Pick<FailoverOptions, 'source'>,
  cutAt: readonly TopicCut[],
): Promise<{ records: number | null; ms: number | null }> {
  if (source === null) return { records: null, ms: null };
  try {
    if (cutAt.length > 0) await source.refresh(cutAt.map(({ sourceTopic }) => sourceTopic));
    const places = cutAt.flatMap((cut) =>
      withGrown(source, cut).partitions.map(([from], partition) => ({ topic: cut.sourceTopic, partition, from })),
    );
    const ends = await readWatermarks(source, places);
    let records = 0;
    let firstMs = Infinity;
    for (const [i, { topic, partition, from }] of places.entries()) {
      const end = ends[i];
      if (end === null || end === undefined) return { records: null, ms: null };
      if (end <= from) continue;
      records += end - from;
      const { batches } = await readTail(source, {
        topic,
        partition,
        fromOffset: Math.max(from, await readLogStart(source, topic, partition)),
        maxBytes: 1,
        isUncommitted: true,
      });
      for (const { buffer, at } of batches) {
        const batch = openBatch(buffer, at);
        if (batch.count > 0) firstMs = Math.min(firstMs, batch.recordAt(0).timestamp);
      }
    }
    const ms = records === 0 ? 0 : Number.isFinite(firstMs) ? Math.max(0, source.clock.now() - firstMs) : null;
    return { records, ms };
  } catch (error) {
    if (!(error instanceof KafkaError)) throw error;
    return { records: null, ms: null };
  }
}

// ---- groups

async function moveGroups(options: FailoverOptions, record: FailoverRecord): Promise<StepOutcome> {
  const { resource, source, target, state, mirrorId, groupsAs } = options;
  if (groupsAs && source) return copyGroups({ source, target, readTopics: () => syncedTopics(options) }, groupsAs);
  const settings = resource.spec.sync.groups;
  if (settings === null)
    return { said: ['Consumer groups are not synchronised by this mirror (sync.groups).'], changes: {} };
  if (source === null) {
    const said =
      'Consumer groups stand on the target where the mirror last put them: they skip nothing, and read again what they had read since.';
    return { said: [said], changes: {} };
  }
  const waited = await awaitGroups(options, record.cut ?? []);
  const said: string[] = [];
  const sync = new GroupSync({
    mirror: resource.metadata.name,
    settings,
    source,
    target,
    clock: target.clock,
    memory: new GroupMemory(state, { mirrorId, clock: target.clock }),
    isLeader: () => true,
    readTopics: () => syncedTopics(options),
    onEvent: ({ inPlace, leftAlone }) => {
      said.push(`${inPlace} consumer groups stand where they stood on the source.`);
      for (const { group, why } of leftAlone.slice(0, NAMED_MAX)) said.push(`Group "${group}" was left alone: ${why}.`);
    },
    onFailure: () => {},
  });
  await sync.pass();
  await sync.end();
  await state.load();
  return {
    said: [...waited, ...(said.length > 0 ? said : [`No consumer group of mirror ${mirrorId} had to move.`])],
    changes: {},
  };
}

async function syncedTopics(options: FailoverOptions): Promise<SyncedTopic[]> {
  const { resource, state } = options;
  const claims = await claimedTopics(options);
  return readSyncedTopics({
    topics: claims.map(({ mode = 'identical', ...claim }) => ({
      ...claim,
      copy: { mode: mode === 'identical' ? 'identical' : 'mapped', isShared: mode === 'shared', why: '' },
    })),
    partitions: placesOf(claims, 'sourceTopic').map((place) => ({
      ...place,
      isHeld: false,
      position: null,
      incident: null,
      places: null,
    })),
    state,
    isWhole: resource.spec.start.at === 'earliest',
  });
}

/** Consumers of the source go on reading behind the fence: until they are at the cut, or gone, their places move. */
async function awaitGroups(options: FailoverOptions, cutAt: readonly TopicCut[]): Promise<string[]> {
  const { resource, source, groupsWithinMs } = options;
  const settings = resource.spec.sync.groups;
  if (source === null || settings === null) return [];
  const isMeant = selectGroups(settings);
  const ends = new Map(
    cutAt.flatMap(({ sourceTopic, partitions }) =>
      partitions.map(([end], partition) => [`${sourceTopic}/${partition}`, end] as const),
    ),
  );
  const deadline = source.clock.monotonic() + groupsWithinMs;
  for (;;) {
    const active = (await listGroups(source)).filter((group) => isMeant(group) && hasMembers(group));
    const committed = await readGroupOffsets(
      source,
      active.flatMap(({ groupId, type }) => (type === 'share' ? [] : [groupId])),
    );
    const behind = [...committed].filter(
      ([, offsets]) =>
        offsets instanceof KafkaError ||
        offsets.some(({ topic, partition, offset }) => offset < (ends.get(`${topic}/${partition}`) ?? 0)),
    );
    if (behind.length === 0) return [];
    if (source.clock.monotonic() >= deadline)
      return behind
        .slice(0, NAMED_MAX)
        .map(
          ([group]) =>
            `Group "${group}" still has consumers on the source that have not read to the cut: what they commit from now on is not followed, and is read again on the target. Stop them.`,
        );
    await sleep(source.clock, POLL_MS);
  }
}

// ---- promote

async function promote(options: FailoverOptions, record: FailoverRecord): Promise<StepOutcome> {
  const { target, state, mirrorId } = options;
  const said = [`The topics on "${target.name}" belong to their own writers from now on.`];
  // A mirror that copies ACLs has copied our denials too.
  const fenced = new Set(record.fence?.topics ?? []);
  const targets = (await claimedTopics(options)).filter(({ sourceTopic }) => fenced.has(sourceTopic));
  const copied = new Set(
    state
      .appliedOf(mirrorId)
      .flatMap((each) =>
        each.what === 'acl'
          ? [`${each.acl.permission} ${each.acl.principal} ${each.acl.operation} ${each.acl.name}`]
          : [],
      ),
  );
  const ours = targets.filter(({ targetTopic }) => copied.has(`deny User:* WRITE ${targetTopic}`));
  try {
    await lowerFence(
      target,
      ours.map(({ targetTopic }) => targetTopic),
    );
  } catch (error) {
    if (!isDenied(error)) throw error;
    for (const { targetTopic } of ours)
      said.push(`Take this away, which hinders writers: ${aclText(denialOf(targetTopic))}.`);
  }
  return { said, changes: { phase: 'promoted' } };
}

/** Undoes what can be undone, so that the mirror can run again. Throws AppError where something cannot. */
export async function abandon(options: Pick<FailoverOptions, 'source' | 'state' | 'mirrorId'>): Promise<void> {
  const { source, state, mirrorId } = options;
  const record = state.failover(mirrorId);
  if (!record) throw refused('No failover of this mirror was begun.', 'There is nothing to give up.');
  if (record.phase === 'promoted' || record.transactions.some(({ transactionalId }) => transactionalId !== null))
    throw refused(
      `The failover of mirror "${record.mirrorName}" cannot be given up: ${record.phase === 'promoted' ? 'it is done' : 'transactions were aborted on the target that go on at the source'}.`,
      record.phase === 'promoted'
        ? '"lockstep failback -f FILE" leads back.'
        : 'Let it go on: lockstep failover -f FILE --yes',
    );
  const topics = record.fence?.topics ?? [];
  if (topics.length > 0 && source === null)
    throw refused('The source does not answer, and producers are denied WRITE there.', 'Try again when it does.');
  if (source) await lowerFence(source, topics);
  await state.putFailover(mirrorId, null);
}

export function refused(message: string, nextStep: string, cause?: unknown): AppError {
  return new AppError('FAILOVER_REFUSED', message, { nextStep, cause });
}

/** Of what a step throws, as the command says it. */
export function stepFailed(error: unknown, step: FailoverStep): AppError {
  if (error instanceof AppError) return error;
  return toAppError(error, `failover, step ${step}`);
}
