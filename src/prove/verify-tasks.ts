/** What a verifier has to look at: the partitions that a mirror's rules name, where each is on both sides, and how it is to be read. */
import { sleep, type Clock } from '#util/clock.ts';
import { AppError, type ErrorCode } from '#contract/errors.ts';
import type { MirrorResource, StatedCondition } from '#contract/resources.ts';
import {
  compileTopicRules,
  filterOf,
  planTopics,
  withMerges,
  type TopicPair,
  type TopicPlan,
} from '#contract/topic-rules.ts';
import type { Cluster } from '#kafka/cluster.ts';
import { describeTopicConfigs } from '#kafka/configs.ts';
import { BrokerError, KafkaError } from '#kafka/errors.ts';
import type { LogPlace } from '#kafka/fetch-log.ts';
import type { FramePool } from '#kafka/frame.ts';
import type { TopicMetadata } from '#kafka/metadata.ts';
import { errorOf } from '#kafka/protocol/error-codes.ts';
import { retrying } from '#kafka/retry.ts';
import type { ComparePolicy } from './compare-partition.ts';
import type { CopyRecord } from './copy-record.ts';

/** Beside the period in which a mirror looks for topics: what it takes to create one. */
export const CREATION_MS = 2_000;
const UNKNOWN_TOPIC = 3;

export interface VerifyClusters {
  readonly source: Cluster;
  readonly target: Cluster;
  readonly pool: FramePool;
  readonly clock: Clock;
}

/** About the mirror as a whole; `code` says what it would be as a warning. */
export interface Note {
  readonly code: ErrorCode;
  readonly message: string;
}

export interface TaskOptions {
  readonly signal: AbortSignal;
  /** Gives a topic that the source has just got no time to appear on the target. */
  readonly isHasty?: boolean;
  /** Without it offsets are taken for identical, and topics for those that were copied. */
  readonly record?: CopyRecord;
  /** What the rules take in and the mirror does not copy, since it comes from the target: `pairs` are the others. */
  readonly withoutReturns?: (plan: TopicPlan) => Promise<TopicPlan>;
}

export interface Task {
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

/** Waits for topics that the source has just got. Throws AppError TOPIC_RULE_EMPTY, and KafkaError where a cluster does not answer. */
export async function tasksOf(
  resource: MirrorResource,
  { source, target, clock }: VerifyClusters,
  { signal, isHasty, record, withoutReturns }: TaskOptions,
): Promise<{ notes: Note[]; tasks: Task[] }> {
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
  if (!isHasty && plan.pairs.some((pair) => isShort(pair, sides))) {
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
    ...returns.map((topic) => note('TOPIC_LEFT_OUT', `not compared: ${topic}: it comes from the target`)),
    ...(record?.denied
      ? [note('PERMISSION_DENIED', `${record.denied.message}: whether topics were created anew is not known`)]
      : []),
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

function note(code: ErrorCode, message: string): Note {
  return { code, message };
}

function notesOf({ unmatchedRules, conflicts, invalid }: TopicPlan): Note[] {
  return [
    ...unmatchedRules.map((rule) =>
      note('TOPIC_RULE_EMPTY', `rule ${rule + 1} of the file matches no topic that the source shows`),
    ),
    ...conflicts.map(({ target, sources }) =>
      note('TOPIC_RULE_CONFLICT', `not compared: ${sources.join(', ')} would all be ${target} on the target`),
    ),
    ...invalid.map(({ source, problem }) => note('TOPIC_NAME_INVALID', `not compared: ${source}: ${problem}`)),
  ];
}

/** Those of `topics` that are compacted; where it may not be asked, none, and a note says so. */
async function cleanedOf(cluster: Cluster, topics: readonly string[], notes: Note[]): Promise<Set<string>> {
  const described = await describeTopicConfigs(cluster, topics);
  const cleaned = described.flatMap(({ topic, configs, error }) => {
    if (error)
      notes.push(
        note(
          'PERMISSION_DENIED',
          `${topic} on ${cluster.name}: cleanup.policy is not known (DESCRIBE_CONFIGS is needed); a record that compaction took counts as a difference`,
        ),
      );
    return configs.get('cleanup.policy')?.value?.includes('compact') ? [topic] : [];
  });
  return new Set(cleaned);
}
