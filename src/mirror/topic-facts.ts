/** What the two clusters and the state topic say about pairs of topics: asked in few requests for many pairs, nothing written. */
import { must } from '#util/assert.ts';
import { AppError } from '#contract/errors.ts';
import type { TopicPair } from '#contract/topic-rules.ts';
import type { Cluster } from '#kafka/cluster.ts';
import { describeTopicConfigs, type Configs } from '#kafka/configs.ts';
import type { TopicMetadata } from '#kafka/metadata.ts';
import { LATEST, listOffsets } from '#kafka/offsets.ts';
import { BrokerError, type KafkaError } from '#kafka/errors.ts';
import { isDenied } from '#kafka/permissions.ts';
import { errorOf } from '#kafka/protocol/error-codes.ts';
import type { ClaimRecord } from './state-records.ts';
import { STATE_TOPIC, type StateTopic } from './state-topic.ts';

const UNKNOWN_TOPIC_OR_PARTITION = 3;

export interface TopicFacts {
  readonly pair: TopicPair;
  readonly source: TopicMetadata;
  /** Null without the right to read them. */
  readonly sourceConfigs: Configs | null;
  /** Null when the target topic does not exist. */
  readonly target: {
    readonly metadata: TopicMetadata;
    /** Null without the right to read them. */
    readonly configs: Configs | null;
    /** No partition has, or ever had, an offset. */
    readonly isEmpty: boolean;
  } | null;
  /** The right that is missing where settings of either topic are null. */
  readonly configsDenied: BrokerError | null;
  /** The valid one for the target's name, of whichever mirror. */
  readonly claim: ClaimRecord | null;
}

export interface TargetFacts {
  readonly brokerCount: number;
  /** Names of topic settings that its brokers know; null when there is no topic to learn them from. */
  readonly knownConfigs: ReadonlySet<string> | null;
}

/** Why the facts of one pair could not be learnt: a cluster's refusal, or STATE_TOPIC_INVALID of its claim. */
export type FactsError = KafkaError | AppError;

/** One entry per pair, in their order: its facts, or why they could not be learnt. Throws KafkaError when a cluster does not answer at all. */
export async function readTopicFacts(
  clusters: { readonly source: Cluster; readonly target: Cluster; readonly state: StateTopic | null },
  pairs: readonly TopicPair[],
): Promise<(TopicFacts | FactsError)[]> {
  const { source, target, state } = clusters;
  const [sources, targets] = await Promise.all([
    readTopics(
      source,
      pairs.map((pair) => pair.source),
    ),
    readTopics(
      target,
      pairs.map((pair) => pair.target),
    ),
  ]);
  const existing = pairs.flatMap(({ target: name }) =>
    targets.get(name)?.metadata ? [must(targets.get(name)?.metadata, 'metadata')] : [],
  );
  const isEmpty = await readEmptiness(target, existing);
  await state?.load(); // after the offsets: whoever wrote the records that they show has claimed the topic before
  return pairs.map((pair) => {
    const from = must(sources.get(pair.source), 'answer about a source topic');
    const to = must(targets.get(pair.target), 'answer about a target topic');
    const emptiness = isEmpty.get(pair.target) ?? true;
    const error = from.error ?? (from.metadata ? null : unknownTopic(pair.source)) ?? to.error;
    if (error) return error;
    if (typeof emptiness !== 'boolean') return emptiness;
    const claim = claimOf(state, pair.target);
    if (claim instanceof AppError) return claim;
    return {
      pair,
      source: must(from.metadata, 'source topic'),
      sourceConfigs: from.configs,
      target: to.metadata ? { metadata: to.metadata, configs: to.configs, isEmpty: emptiness } : null,
      configsDenied: from.configsDenied ?? to.configsDenied,
      claim,
    };
  });
}

/** One record that cannot be read is the matter of its topic alone. */
function claimOf(state: StateTopic | null, targetTopic: string): ClaimRecord | null | AppError {
  try {
    return state?.claim(targetTopic) ?? null;
  } catch (error) {
    if (error instanceof AppError) return error;
    throw error;
  }
}

/** What holds for all topics of a target. Throws KafkaError. */
export async function readTargetFacts(target: Cluster): Promise<TargetFacts> {
  const any = target.topicOf(STATE_TOPIC)
    ? STATE_TOPIC
    : (await target.refresh('all')).find(({ errorCode }) => errorCode === 0)?.name;
  const [described] = any === undefined ? [] : await describeTopicConfigs(target, [any]);
  const knownConfigs = described && !described.error ? new Set(described.configs.keys()) : null;
  return { brokerCount: target.brokers().length, knownConfigs };
}

interface TopicAnswer {
  /** Null when the topic does not exist, or on error. */
  readonly metadata: TopicMetadata | null;
  /** Null without the right to read them. */
  readonly configs: Configs | null;
  readonly configsDenied: BrokerError | null;
  readonly error: KafkaError | null;
}

async function readTopics(cluster: Cluster, names: readonly string[]): Promise<Map<string, TopicAnswer>> {
  const topics = await cluster.refresh([...new Set(names)]);
  const there = topics.filter(({ errorCode }) => errorCode === 0);
  const described = await describeTopicConfigs(
    cluster,
    there.map(({ name }) => name),
  );
  const configs = new Map(described.map((each) => [each.topic, each]));
  return new Map(
    topics.map((topic): [string, TopicAnswer] => {
      const { name, errorCode } = topic;
      const isThere = errorCode === 0;
      const answer = configs.get(name);
      const unread = answer?.error ?? null;
      const configsDenied = isDenied(unread) ? unread : null; // a copy can do without: only its settings do not follow
      const isKnown = isThere || errorCode === UNKNOWN_TOPIC_OR_PARTITION;
      const error = isKnown ? null : new BrokerError(errorOf(errorCode), 'Metadata', name);
      return [
        name,
        {
          metadata: isThere ? topic : null,
          configs: unread ? null : (answer?.configs ?? null),
          configsDenied,
          error: configsDenied ? error : (unread ?? error),
        },
      ];
    }),
  );
}

/** By topic: whether all its partitions end at 0, or why that could not be learnt. */
async function readEmptiness(
  cluster: Cluster,
  topics: readonly TopicMetadata[],
): Promise<Map<string, boolean | KafkaError>> {
  const queries = topics.flatMap(({ name, partitions }) =>
    partitions.map(({ partition }) => ({ topic: name, partition, timestamp: LATEST })),
  );
  const answers = await listOffsets(cluster, queries);
  const empty = new Map<string, boolean | KafkaError>();
  for (const [i, { topic }] of queries.entries()) {
    const { offset, error } = must(answers[i], 'answer of ListOffsets');
    const before = empty.get(topic) ?? true;
    empty.set(topic, typeof before === 'boolean' ? (error ?? (before && offset === 0)) : before);
  }
  return empty;
}

function unknownTopic(name: string): BrokerError {
  return new BrokerError(errorOf(UNKNOWN_TOPIC_OR_PARTITION), 'Metadata', name);
}
