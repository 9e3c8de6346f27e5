/** One partition judged: how it is to be read, what it was copied from, and what came of the comparison. */
import type { AppError } from '#contract/errors.ts';
import type { MirrorResource } from '#contract/resources.ts';
import type { Difference, PartitionVerification, VerificationClass } from '#contract/verification.ts';
import { toAppError } from '#jobs/app-error.ts';
import type { Cluster } from '#kafka/cluster.ts';
import { fetchLog, type LogPlace } from '#kafka/fetch-log.ts';
import type { FramePool } from '#kafka/frame.ts';
import { EARLIEST, LATEST, listOffsets } from '#kafka/offsets.ts';
import { isUnknownTopic } from '#kafka/retry.ts';
import { must } from '#util/assert.ts';
import { compareLogs, compareMappedLogs, type CompareRun } from './compare-logs.ts';
import { readRecord, type ComparePolicy } from './compare-partition.ts';
import type { CopyRecord } from './copy-record.ts';
import type { Evidence } from './evidence.ts';
import { DamagedBatchError, type LogBounds, type PartitionLog } from './log-side.ts';
import { StatedFilter } from './stated-filter.ts';
import type { Task, VerifyClusters } from './verify-tasks.ts';

export interface PartitionOptions extends Omit<CompareRun, 'clock' | 'running'> {
  readonly class: VerificationClass;
  /** Goes on behind the first difference of a partition. */
  readonly isFull: boolean;
  /** Without it offsets are taken for identical, and topics for those that were copied. */
  readonly record?: CopyRecord;
  /** Of a partition that is mapped from some offset on, only what lies before it where `from` does. */
  readonly isWindow?: boolean;
  /** Keeps both copies of what differs first. */
  readonly evidence?: Evidence;
}

interface Run {
  readonly clusters: VerifyClusters;
  readonly options: PartitionOptions;
  readonly running: CompareRun['running'];
}

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
  unexplained: null,
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

/** A state of the world is told, never thrown. */
export async function verifyPartition(task: Task, resource: MirrorResource, run: Run): Promise<PartitionVerification> {
  const { pair, partition, source, target } = task;
  const named = { topic: pair.source, targetTopic: pair.target, partition };
  if (task.error) return { ...NOTHING, ...named, ...failedBy(task.error, pair.source) };
  if (!source || !target) {
    const side = source ? 'target' : 'source';
    const message = `the ${side} has no partition ${partition} of topic ${source ? pair.target : pair.source}`;
    const difference: Difference = { kind: 'absent', offset: 0, fields: [], message, source: null, target: null };
    return { ...NOTHING, ...named, verdict: 'different', differences: 1, shown: [difference] };
  }
  const { clusters, options, running } = run;
  const logs = logsOf({ source, target }, clusters);
  const compareRun = { ...options, clock: clusters.clock, running };
  try {
    const policy = policyOf(task, resource, options);
    const { record } = options;
    const exported = (await record?.mapOf(pair, partition)) ?? null;
    const denied = record?.denied ?? null;
    if (denied && mustBeMapped(task, resource)) return { ...NOTHING, ...named, ...mapHidden(denied) };
    if (pair.isMerged && !exported) return { ...NOTHING, ...named, verdict: 'failed', error: MAP_UNKNOWN };
    const ids = exported?.topicIds ?? record?.topicIdsOf(pair) ?? null;
    const anew = ids && (await createdAnew(ids, { source, target }, logs.source));
    if (anew) return { ...NOTHING, ...named, verdict: 'different', differences: 1, shown: [anew] };
    const identicalTo = exported?.isPart === true ? exported.ledger.start : Infinity;
    const isBelow = (options.isWindow ? (options.from ?? 0) : (options.to ?? Infinity) - 1) < identicalTo;
    const isMapped = exported !== null && !(exported.isPart && isBelow);
    const filter = new StatedFilter(task.condition, { topic: pair.source, partition });
    const compared = isMapped
      ? await compareMappedLogs(logs, { exported, policy, filter }, compareRun)
      : await compareLogs(logs, policy, { ...compareRun, to: lower(options.to, identicalTo) });
    const isInDoubt = denied && compared.verdict === 'different' && mayBeMapped(task, resource);
    if (isInDoubt) return { ...NOTHING, ...named, ...mapHidden(denied) };
    const [first, ...others] = compared.shown;
    if (!first || !options.evidence) return { ...named, ...compared };
    const targetOffset = isMapped ? exported.map.nextTarget(first.offset) : first.offset;
    const evidence = await options.evidence.keep(task, first, { logs, targetOffset });
    return { ...named, ...compared, shown: [{ ...first, evidence }, ...others] };
  } catch (error) {
    return { ...NOTHING, ...named, ...failedBy(error, `${pair.source}/${partition}`) };
  }
}

/** Null: none. */
function lower(to: number | null, end: number): number | null {
  const lowest = Math.min(to ?? Infinity, end);
  return lowest === Infinity ? null : lowest;
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

function policyOf({ cleaned }: Task, { spec }: MirrorResource, options: PartitionOptions): ComparePolicy {
  const { transactions, timestamps } = spec;
  return { transactions, timestamps, class: options.class, isFull: options.isFull, cleaned };
}

/** As the brokers of both sides serve it. */
function logsOf(
  places: { readonly source: LogPlace; readonly target: LogPlace },
  { source, target, pool }: VerifyClusters,
): { readonly source: PartitionLog; readonly target: PartitionLog } {
  return { source: partitionLog(source, pool, places.source), target: partitionLog(target, pool, places.target) };
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
