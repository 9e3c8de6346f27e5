/**
 * `lockstep verify`: source and target of a mirror compared by a reader of its own, with its own credentials. It reads both
 * logs; what the mirror has written down about its copies is judged by them. It writes nothing, and works while producers
 * and the mirror do.
 */
import { must } from '#util/assert.ts';
import { sleep, type Clock } from '#util/clock.ts';
import { AppError } from '#contract/errors.ts';
import type { MirrorResource, StatedCondition } from '#contract/resources.ts';
import {
  compileTopicRules,
  filterOf,
  planTopics,
  withMerges,
  type TopicPair,
  type TopicPlan,
} from '#contract/topic-rules.ts';
import type {
  Difference,
  MirrorVerification,
  PartitionVerification,
  UnverifiedPart,
  VerificationClass,
  VerifyProgress,
} from '#contract/verification.ts';
import { toAppError } from '#jobs/app-error.ts';
import type { Cluster } from '#kafka/cluster.ts';
import { describeTopicConfigs } from '#kafka/configs.ts';
import { BrokerError, KafkaError } from '#kafka/errors.ts';
import { fetchLog, type LogPlace } from '#kafka/fetch-log.ts';
import type { FramePool } from '#kafka/frame.ts';
import type { TopicMetadata } from '#kafka/metadata.ts';
import { EARLIEST, LATEST, listOffsets } from '#kafka/offsets.ts';
import { errorOf } from '#kafka/protocol/error-codes.ts';
import { isUnknownTopic, retrying } from '#kafka/retry.ts';
import { MappedComparison, type MappedExport } from './compare-mapped.ts';
import { Comparison, readRecord, type ComparePolicy } from './compare-partition.ts';
import type { CopyRecord } from './copy-record.ts';
import { DamagedBatchError, type LogBounds, type PartitionLog } from './log-side.ts';
import { StatedFilter } from './stated-filter.ts';

/** Partitions at a time. Each holds two frames of 1 MB on each side: 16 MB, but for larger batches. */
const WORKERS = 4;
/** Beside the period in which a mirror looks for topics: what it takes to create one. */
const CREATION_MS = 2_000;
const UNKNOWN_TOPIC = 3;
/** How often, a second apart, a source that ends before its copy is asked again. */
const END_QUESTIONS = 4;

export interface VerifyClusters {
  readonly source: Cluster;
  readonly target: Cluster;
  readonly pool: FramePool;
  readonly clock: Clock;
}

export interface VerifyOptions {
  readonly class: VerificationClass;
  /** Goes on behind the first difference of a partition. */
  readonly isFull: boolean;
  /** Offsets of every partition; null for all that is there. */
  readonly from: number | null;
  readonly to: number | null;
  /** Of each partition only so many offsets before its end. */
  readonly tail?: number;
  readonly progressMs: number;
  readonly signal: AbortSignal;
  /** Without it offsets are taken for identical, and topics for those that were copied. */
  readonly record?: CopyRecord;
  /** What the rules take in and the mirror does not copy, since it comes from the target: `pairs` are the others. */
  readonly withoutReturns?: (plan: TopicPlan) => Promise<TopicPlan>;
  onProgress(progress: VerifyProgress): void;
}

interface Task {
  readonly pair: TopicPair;
  readonly partition: number;
  /** Null where there is no such partition. */
  readonly source: LogPlace | null;
  readonly target: LogPlace | null;
  readonly cleaned: ComparePolicy['cleaned'];
  /** The condition on its records that the file has. */
  readonly condition: StatedCondition | null;
  /** Why the topic cannot be looked at. */
  readonly error: BrokerError | null;
}

/**
 * Compares all partitions that the mirror's rules name. A partition that cannot be read is `failed` and leaves the others
 * alone; what `signal` cut off is missing. Throws AppError TOPIC_RULE_EMPTY, and KafkaError where a cluster does not answer.
 */
export async function verifyMirror(
  resource: MirrorResource,
  clusters: VerifyClusters,
  options: VerifyOptions,
): Promise<MirrorVerification> {
  const { clock } = clusters;
  const { notes, tasks } = await tasksOf(resource, clusters, options);
  const partitions: PartitionVerification[] = [];
  const running = new Set<Running>();
  const progress = (): VerifyProgress => progressOf(resource.metadata.name, tasks.length, [partitions, running]);
  const ended = new AbortController();
  const report = async (): Promise<void> => {
    for (;;) {
      await sleep(clock, options.progressMs, ended.signal);
      if (ended.signal.aborted) return;
      options.onProgress(progress());
    }
  };
  const reported = report();
  const waiting = tasks.values();
  const work = async (): Promise<void> => {
    for (const task of waiting) {
      if (options.signal.aborted) return;
      const verified = await verifyPartition(task, resource, { clusters, options, running });
      if (!options.signal.aborted) partitions.push(verified);
    }
  };
  try {
    await Promise.all(Array.from({ length: WORKERS }, work));
  } finally {
    ended.abort();
    await reported;
  }
  const { source, target } = resource.spec;
  return {
    mirror: resource.metadata.name,
    source,
    target,
    class: options.class,
    partitions: partitions.toSorted((a, b) =>
      a.topic < b.topic ? -1 : a.topic > b.topic ? 1 : a.partition - b.partition,
    ),
    notes,
  };
}

// ---- which partitions

async function tasksOf(
  resource: MirrorResource,
  { source, target, clock }: VerifyClusters,
  { signal, record, withoutReturns }: Pick<VerifyOptions, 'signal' | 'record' | 'withoutReturns'>,
): Promise<{ notes: string[]; tasks: Task[] }> {
  const rules = compileTopicRules(resource.spec.topics);
  let returns: string[] = [];
  const look = async (): Promise<{ plan: TopicPlan; sides: [Topics, Topics] }> => {
    const found = await retrying(source, () => source.refresh('all'), { repeatable: true });
    const named = withMerges(planTopics(rules, found), resource.spec);
    const plan = (await withoutReturns?.(named)) ?? named;
    returns = named.pairs.filter((pair) => !plan.pairs.includes(pair)).map((pair) => pair.source);
    const names = plan.pairs.map((pair) => pair.target);
    const copies = await retrying(target, () => target.refresh(names), { repeatable: true });
    return { plan, sides: [topicsOf(found), topicsOf(copies)] };
  };
  let { plan, sides } = await look();
  if (plan.pairs.some((pair) => isShort(pair, sides))) {
    // A topic that the source has just got: the mirror has until the end of its period.
    await sleep(clock, resource.spec.refreshMs + CREATION_MS, signal);
    ({ plan, sides } = await look());
  }
  if (plan.pairs.length === 0) {
    throw new AppError(
      'TOPIC_RULE_EMPTY',
      `mirror "${resource.metadata.name}": no rule matches a topic of the source`,
      {
        nextStep:
          '"lockstep topics list" shows the topics that the source lets us see; READ or DESCRIBE is needed for each.',
      },
    );
  }
  await record?.refresh();
  const notes = [
    ...notesOf(plan),
    ...returns.map((topic) => `not compared: ${topic}: it comes from the target`),
    ...(record?.denied ? [`${record.denied.message}: whether topics were created anew is not known`] : []),
  ];
  const cleaned = {
    source: await cleanedOf(
      source,
      plan.pairs.map((pair) => pair.source),
      notes,
    ),
    target: await cleanedOf(
      target,
      plan.pairs.flatMap((pair) => (sides[1].has(pair.target) ? [pair.target] : [])),
      notes,
    ),
  };
  const mapped = new Set<string>();
  for (const pair of plan.pairs)
    if (sides[1].has(pair.target) && (await isMapped(pair, record))) mapped.add(pair.source);
  const tasks = plan.pairs.flatMap((pair) => {
    const [from, to] = [sides[0].get(pair.source), sides[1].get(pair.target)];
    const error = errorOfTopic(from) ?? errorOfTopic(to);
    // Of a target that others write to as well, partitions of theirs are no matter of ours.
    const theirs = mapped.has(pair.source) ? 0 : (to?.partitions.length ?? 0);
    const count = error ? 1 : Math.max(from?.partitions.length ?? 0, theirs);
    const is = { source: cleaned.source.has(pair.source), target: cleaned.target.has(pair.target) };
    const condition = filterOf(rules, { name: pair.source, isInternal: from?.isInternal ?? false });
    return Array.from({ length: count }, (_, partition): Task => {
      const places = { source: placeOf(from, partition), target: placeOf(to, partition) };
      return { pair, partition, ...places, cleaned: is, condition, error };
    });
  });
  return { notes, tasks };
}

/** A map that cannot be read is one as well: its partition says so, and the others are compared. */
async function isMapped(pair: TopicPair, record: CopyRecord | undefined): Promise<boolean> {
  try {
    return Boolean(await record?.mapOf(pair, 0));
  } catch (error) {
    if (!(error instanceof KafkaError) && !(error instanceof AppError)) throw error;
    return true;
  }
}

type Topics = ReadonlyMap<string, TopicMetadata>;

function topicsOf(answers: readonly TopicMetadata[]): Topics {
  return new Map(answers.flatMap((topic) => (topic.errorCode === UNKNOWN_TOPIC ? [] : [[topic.name, topic]])));
}

/** A right that is missing, or a partition without a leader for now. */
function errorOfTopic(topic: TopicMetadata | undefined): BrokerError | null {
  return topic && topic.errorCode !== 0 ? new BrokerError(errorOf(topic.errorCode), 'Metadata', topic.name) : null;
}

function isShort(pair: TopicPair, [sources, targets]: [Topics, Topics]): boolean {
  return (targets.get(pair.target)?.partitions.length ?? 0) < (sources.get(pair.source)?.partitions.length ?? 0);
}

function placeOf(topic: TopicMetadata | undefined, partition: number): LogPlace | null {
  return topic && partition < topic.partitions.length ? { topic: topic.name, topicId: topic.topicId, partition } : null;
}

function notesOf({ unmatchedRules, conflicts, invalid }: TopicPlan): string[] {
  return [
    ...unmatchedRules.map((rule) => `rule ${rule + 1} of the file matches no topic that the source shows`),
    ...conflicts.map(
      ({ target, sources }) => `not compared: ${sources.join(', ')} would all be ${target} on the target`,
    ),
    ...invalid.map(({ source, problem }) => `not compared: ${source}: ${problem}`),
  ];
}

/** Those of `topics` that are compacted; where it may not be asked, none, and a note says so. */
async function cleanedOf(cluster: Cluster, topics: readonly string[], notes: string[]): Promise<Set<string>> {
  const described = await describeTopicConfigs(cluster, topics);
  const cleaned = described.flatMap(({ topic, configs, error }) => {
    if (error)
      notes.push(
        `${topic} on ${cluster.name}: cleanup.policy is not known (DESCRIBE_CONFIGS is needed); a record that compaction took counts as a difference`,
      );
    return configs.get('cleanup.policy')?.value?.includes('compact') ? [topic] : [];
  });
  return new Set(cleaned);
}

// ---- one partition

interface Run {
  readonly clusters: VerifyClusters;
  readonly options: VerifyOptions;
  readonly running: Set<Running>;
}

/** What is told of a comparison while it goes on. */
type Running = Pick<Comparison, 'records' | 'bytes' | 'differences'>;

const NOTHING = {
  from: null,
  provenThrough: null,
  sourceStart: null,
  sourceEnd: null,
  targetStart: null,
  targetEnd: null,
  lag: null,
  records: 0,
  compacted: 0,
  source: null,
  target: null,
  differences: 0,
  shown: [],
  unverified: [],
  bytes: { whole: 0, byRecord: 0 },
  error: null,
} as const satisfies Partial<PartitionVerification>;

/** Without it, records of several source topics cannot be told apart. */
const MAP_UNKNOWN = {
  code: 'STATE_TOPIC_INVALID',
  message: 'its map of offsets is not in the state topic of the target: nothing was copied yet, or it was lost',
};

async function verifyPartition(task: Task, resource: MirrorResource, run: Run): Promise<PartitionVerification> {
  const { pair, partition, source, target } = task;
  const named = { topic: pair.source, targetTopic: pair.target, partition };
  if (task.error) return { ...NOTHING, ...named, ...failedBy(task.error, pair.source) };
  if (!source || !target) {
    const side = source ? 'target' : 'source';
    const message = `the ${side} has no partition ${partition} of topic ${source ? pair.target : pair.source}`;
    const difference: Difference = { kind: 'absent', offset: 0, fields: [], message, source: null, target: null };
    return { ...NOTHING, ...named, verdict: 'different', differences: 1, shown: [difference] };
  }
  const { clusters } = run;
  const logs = {
    source: partitionLog(clusters.source, clusters.pool, source),
    target: partitionLog(clusters.target, clusters.pool, target),
  };
  try {
    const policy = policyOf(task, resource, run.options);
    const { record } = run.options;
    const exported = (await record?.mapOf(pair, partition)) ?? null;
    const denied = record?.denied ?? null;
    if (denied && mustBeMapped(task, resource)) return { ...NOTHING, ...named, ...mapHidden(denied) };
    if (pair.isMerged && !exported) return { ...NOTHING, ...named, verdict: 'failed', error: MAP_UNKNOWN };
    const ids = exported?.topicIds ?? record?.topicIdsOf(pair) ?? null;
    const anew = ids && (await createdAnew(ids, { source, target }, logs.source));
    if (anew) return { ...NOTHING, ...named, verdict: 'different', differences: 1, shown: [anew] };
    const isBelow = exported?.isPart === true && (run.options.to ?? Infinity) <= exported.ledger.start;
    if (exported && !isBelow) {
      const filter = new StatedFilter(task.condition, { topic: pair.source, partition });
      return { ...named, ...(await compareMappedLogs(logs, { exported, policy, filter }, run)) };
    }
    const compared = await compareLogs(logs, policy, run);
    const isInDoubt = compared.verdict === 'different' && mayBeMapped(task, resource);
    return denied && isInDoubt ? { ...NOTHING, ...named, ...mapHidden(denied) } : { ...named, ...compared };
  } catch (error) {
    return { ...NOTHING, ...named, ...failedBy(error, `${pair.source}/${partition}`) };
  }
}

/** Whose offsets are the same for certain only where the mirror has written nothing else down. */
function mustBeMapped({ pair, condition }: Task, { spec }: MirrorResource): boolean {
  return pair.isMerged === true || condition !== null || spec.offsets === 'mapped';
}

/** `auto` maps a compacted topic whose holes may not be filled, and `onMisalignment: map` what others have written to. */
function mayBeMapped({ cleaned }: Task, { spec }: MirrorResource): boolean {
  return spec.offsets === 'auto' && (cleaned.source || spec.onMisalignment === 'map');
}

function mapHidden({ code, message }: AppError): Pick<PartitionVerification, 'verdict' | 'error'> {
  const hidden = `its offsets may be mapped, and the map may not be read (READ on __lockstep.state of the target is missing): ${message}`;
  return { verdict: 'failed', error: { code, message: hidden } };
}

/**
 * The copy was made of, or into, a topic that is gone: what stands under its name now is another one, whatever it holds.
 * Names the first record that the source has.
 */
async function createdAnew(
  topicIds: { readonly source: string; readonly target: string },
  now: { readonly source: LogPlace; readonly target: LogPlace },
  source: PartitionLog,
): Promise<Difference | null> {
  const side = (['source', 'target'] as const).find((each) => topicIds[each] !== now[each].topicId);
  if (!side) return null;
  const { start, stable } = await source.bounds();
  const first = start < stable ? await readRecord(source, start, stable) : null;
  const message = `topic ${now[side].topic} of the ${side} was created anew since it was copied: what was copied is gone, or is of the topic before`;
  return {
    kind: 'absent',
    offset: first?.offset ?? start,
    fields: [],
    message,
    source: first?.shown ?? null,
    target: null,
  };
}

/** Throws what is no state of the world. */
function failedBy(error: unknown, subject: string): Pick<PartitionVerification, 'verdict' | 'error'> {
  if (isUnknownTopic(error)) {
    const message = `${subject}: the topic was deleted, or created anew, while it was read`;
    return { verdict: 'failed', error: { code: 'TOPIC_RECREATED', message } };
  }
  const { code, message } = toAppError(error instanceof DamagedBatchError ? error.cause : error, subject);
  return { verdict: 'failed', error: { code, message } };
}

function policyOf({ cleaned }: Task, { spec }: MirrorResource, options: VerifyOptions): ComparePolicy {
  const { transactions, timestamps } = spec;
  return { transactions, timestamps, class: options.class, isFull: options.isFull, cleaned };
}

type Compared = Omit<PartitionVerification, 'topic' | 'targetTopic' | 'partition'>;

/** The target's ends first: what is on it then has been on the source before. */
export async function compareLogs(
  logs: { readonly source: PartitionLog; readonly target: PartitionLog },
  policy: ComparePolicy,
  run: {
    readonly clusters: Pick<VerifyClusters, 'clock'>;
    readonly options: Pick<VerifyOptions, 'from' | 'to' | 'tail' | 'signal'>;
    readonly running: Set<Running>;
  },
): Promise<Compared> {
  const { options } = run;
  const target = await logs.target.bounds();
  const source = await sourceBounds(logs.source, target.end, run);
  const last = Math.min(source.stable, target.stable, options.to ?? Infinity);
  const window = { from: Math.max(options.from ?? 0, last - (options.tail ?? Infinity)), to: options.to ?? Infinity };
  const from = Math.max(source.start, target.start, window.from);
  const to = last;
  const comparison = new Comparison(logs, { from, to: Math.max(from, to) }, policy);
  run.running.add(comparison);
  try {
    const compared = await comparison.run(options.signal);
    const isBeyond = target.end > source.stable && window.to > source.stable;
    const beyond = isBeyond ? [await differenceBeyond(logs.target, source.stable, target)] : [];
    const differences = compared.differences + beyond.length;
    const unverified = [...unreadable(source, target, window), ...compared.unverified];
    // With transactions preserved it is one of the source's that is being copied.
    if (policy.transactions === 'committed-only' && target.stable < Math.min(target.end, source.stable, window.to))
      unverified.push({
        from: target.stable,
        to: Math.min(target.end, source.stable, window.to),
        reason: 'a transaction that is open on the target hides it',
      });
    const provenThrough = to >= from ? compared.provenThrough : null;
    return {
      verdict: differences > 0 ? 'different' : unverified.length > 0 ? 'unverified' : 'identical',
      from: provenThrough === null ? null : from,
      provenThrough,
      sourceStart: source.start,
      sourceEnd: source.stable,
      targetStart: target.start,
      targetEnd: target.stable,
      lag: Math.max(0, source.stable - (provenThrough ?? source.start)),
      records: comparison.records,
      compacted: compared.compacted,
      source: compared.source,
      target: compared.target,
      differences,
      shown: [...compared.shown, ...beyond],
      unverified,
      bytes: { ...comparison.bytes },
      error: null,
    };
  } finally {
    run.running.delete(comparison);
  }
}

/** What the map places, as far as both sides still have it. */
export async function compareMappedLogs(
  logs: { readonly source: PartitionLog; readonly target: PartitionLog },
  options: { readonly exported: MappedExport; readonly policy: ComparePolicy; readonly filter: StatedFilter },
  run: {
    readonly clusters: Pick<VerifyClusters, 'clock'>;
    readonly options: Pick<VerifyOptions, 'from' | 'to' | 'signal'>;
    readonly running: Set<Running>;
  },
): Promise<Compared> {
  try {
    return await compareMappedOnce(logs, { ...options, isDamageFinal: false }, run);
  } catch (error) {
    if (!(error instanceof DamagedBatchError)) throw error;
    return compareMappedOnce(logs, { ...options, isDamageFinal: true }, run); // damage on the way passes
  }
}

async function compareMappedOnce(
  logs: Parameters<typeof compareMappedLogs>[0],
  options: Parameters<typeof compareMappedLogs>[1] & { readonly isDamageFinal: boolean },
  run: Parameters<typeof compareMappedLogs>[2],
): Promise<Compared> {
  const { map, ledger, isShared, isPart } = options.exported;
  const target = await logs.target.bounds();
  const source = await sourceBounds(logs.source, ledger.end, run);
  const window = { from: run.options.from ?? 0, to: run.options.to ?? Infinity };
  const first = Math.max(ledger.start, window.from);
  // What retention took from the target is not there to be compared.
  const kept = map.runCount > 0 && target.start > map.runAt(0).target ? map.nextSource(target.start) : first;
  const from = Math.max(first, kept, source.start);
  const to = Math.max(from, Math.min(ledger.end, source.stable, window.to));
  const comparison = new MappedComparison(logs, { from, to, targetEnd: target.stable }, options);
  run.running.add(comparison);
  try {
    const { provenThrough, shown, unverified } = await comparison.run(run.options.signal);
    const isBeyond = ledger.end > source.stable && window.to > source.stable;
    const beyond = isBeyond ? [await mappedBeyond(logs.target, options.exported, { source, target })] : [];
    const isEmpty = map.runCount === 0 && source.stable > ledger.end;
    const parts = [
      isPart
        ? {
            from: source.start,
            to: ledger.start,
            reason: `offsets are identical there: --to ${ledger.start} compares them`,
          }
        : {
            from: source.start,
            to: Math.min(ledger.start, source.stable),
            reason: `the copy begins at offset ${ledger.start}`,
          },
      { from: first, to: Math.min(from, ledger.end), reason: 'one side has not got it any more' },
      ...(isEmpty ? [{ from: ledger.end, to: source.stable, reason: 'the target holds nothing of it' }] : []),
      ...(window.from > ledger.end
        ? [{ from: window.from, to: window.from + 1, reason: `the copy reaches to offset ${ledger.end} only` }]
        : []),
    ].map((part) => ({ ...part, from: Math.max(part.from, window.from), to: Math.min(part.to, window.to) }));
    const all = [...parts.filter((part) => part.from < part.to), ...unverified];
    const { records, compacted, seen } = comparison;
    const differences = comparison.differences + beyond.length;
    return {
      verdict: differences > 0 ? 'different' : all.length > 0 ? 'unverified' : 'identical',
      from,
      provenThrough,
      sourceStart: source.start,
      sourceEnd: source.stable,
      targetStart: target.start,
      targetEnd: target.stable,
      lag: Math.max(0, source.stable - provenThrough),
      records,
      compacted,
      source: { control: seen.control, aborted: seen.aborted, absent: seen.compacted },
      target: null,
      differences,
      shown: [...shown, ...beyond],
      unverified: all,
      bytes: { ...comparison.bytes },
      mapping: { runs: map.runCount, isShared, others: comparison.others, unexplained: comparison.unexplained },
      error: null,
    };
  } finally {
    run.running.delete(comparison);
  }
}

/** What the target holds by the map, and the source does not. */
async function mappedBeyond(
  log: PartitionLog,
  { map, ledger }: MappedExport,
  { source, target }: { readonly source: LogBounds; readonly target: LogBounds },
): Promise<Difference> {
  const place = Math.max(map.nextTarget(source.stable), target.start);
  const found = place < target.stable ? await readRecord(log, place, target.stable) : null;
  return {
    kind: 'beyond',
    offset: source.stable,
    fields: [],
    message: `the source ends at offset ${source.stable}, and its copy goes on to ${ledger.end}: the source was truncated or created anew, or another program wrote to the target`,
    source: null,
    target: found?.shown ?? null,
  };
}

/** A leader that has just been elected may show an end that is too low for a moment. */
async function sourceBounds(
  log: PartitionLog,
  targetEnd: number,
  { clusters, options }: { clusters: Pick<VerifyClusters, 'clock'>; options: Pick<VerifyOptions, 'signal'> },
): Promise<LogBounds> {
  let bounds = await log.bounds();
  for (let questions = 1; bounds.stable < targetEnd && questions < END_QUESTIONS; questions++) {
    await sleep(clusters.clock, 1_000, options.signal);
    bounds = await log.bounds();
  }
  return bounds;
}

async function differenceBeyond(target: PartitionLog, from: number, { stable, end }: LogBounds): Promise<Difference> {
  const first = stable > from ? await readRecord(target, from, stable) : null;
  return {
    kind: 'beyond',
    offset: first?.offset ?? from,
    fields: [],
    message: `the source ends at offset ${from}, and the target goes on to ${end}: the source was truncated or created anew, or another program wrote to the target`,
    source: null,
    target: first?.shown ?? null,
  };
}

/** What one side has not got any more, or not yet at all. */
function unreadable(
  source: LogBounds,
  target: LogBounds,
  window: { readonly from: number; readonly to: number },
): UnverifiedPart[] {
  const parts: UnverifiedPart[] = [];
  const add = (from: number, to: number, reason: string): void => {
    const part = { from: Math.max(from, window.from), to: Math.min(to, window.to), reason };
    if (part.from < part.to) parts.push(part);
  };
  const isEmpty = target.start === target.stable;
  if (isEmpty && source.stable > source.start) add(source.start, source.stable, 'the target holds nothing of it');
  else if (source.start < target.start)
    add(source.start, Math.min(target.start, source.stable), `the target's log begins at offset ${target.start}`);
  else add(target.start, Math.min(source.start, target.stable), `the source's log begins at offset ${source.start}`);
  const end = Math.min(source.stable, target.stable);
  if (window.from > end)
    add(window.from, Math.min(window.to, window.from + 1), `both sides reach to offset ${end} only`);
  return parts;
}

function partitionLog(cluster: Cluster, pool: FramePool, place: LogPlace): PartitionLog {
  return {
    bounds: () => boundsOf(cluster, place),
    fetch: (offset) => fetchLog(cluster, pool, { ...place, offset }),
  };
}

async function boundsOf(cluster: Cluster, { topic, partition }: LogPlace): Promise<LogBounds> {
  const queries = [EARLIEST, LATEST].map((timestamp) => ({ topic, partition, timestamp }));
  const committed = await listOffsets(cluster, queries, { isolation: 'read_committed' });
  const latest = await listOffsets(cluster, queries.slice(1));
  const [start, stable, end] = [...committed, ...latest].map(({ offset, error }) => {
    if (error) throw error;
    return offset;
  });
  return { start: must(start, 'log start'), stable: must(stable, 'stable offset'), end: must(end, 'watermark') };
}

function progressOf(
  mirror: string,
  total: number,
  [done, running]: readonly [readonly PartitionVerification[], ReadonlySet<Running>],
): VerifyProgress {
  const all = [...done, ...running];
  const sum = (of: (each: PartitionVerification | Running) => number): number =>
    all.reduce((n, each) => n + of(each), 0);
  return {
    mirror,
    partitions: total,
    partitionsDone: done.length,
    records: sum(({ records }) => records),
    bytes: { whole: sum(({ bytes }) => bytes.whole), byRecord: sum(({ bytes }) => bytes.byRecord) },
    differences: sum(({ differences }) => differences),
  };
}
