/** Configurations of topics and brokers: read with where each value comes from, and changed entry by entry (KIP-339). */
import type { Cluster } from './cluster.ts';
import { BrokerError, MalformedFrameError } from './errors.ts';
import { describeConfigs, type DescribeConfigsResponse } from './protocol/describe-configs.ts';
import { errorOf } from './protocol/error-codes.ts';
import { incrementalAlterConfigs } from './protocol/incremental-alter-configs.ts';
import { retrying } from './retry.ts';

const TOPIC = 2;
const BROKER = 4;
const SET = 0;
const DELETE = 1;
/** A topic has about 40 entries of 100 bytes: an answer stays below a few MB. */
const TOPICS_PER_REQUEST = 500;

/** Who set a value: the topic itself, a broker (its file or dynamically), the whole cluster dynamically, or nobody. */
export type ConfigSource = 'topic' | 'broker' | 'cluster' | 'default' | 'other';

/** DescribeConfigsResponse.ConfigSource of Kafka. */
const SOURCES: Readonly<Record<number, ConfigSource>> = {
  1: 'topic',
  2: 'broker',
  3: 'cluster',
  4: 'broker',
  5: 'default',
};

export interface ConfigEntry {
  /** Null when it is sensitive or has none. */
  readonly value: string | null;
  readonly source: ConfigSource;
  readonly sensitive: boolean;
  readonly readOnly: boolean;
}

/** By name. */
export type Configs = ReadonlyMap<string, ConfigEntry>;

export interface DescribedTopic {
  readonly topic: string;
  /** Empty on error. */
  readonly configs: Configs;
  readonly error: BrokerError | null;
}

type Result = DescribeConfigsResponse['results'][number];

/** The effective configuration of each topic, in their order; one that is refused has its error. Throws KafkaError when nothing could be asked. */
export async function describeTopicConfigs(cluster: Cluster, topics: readonly string[]): Promise<DescribedTopic[]> {
  const described: DescribedTopic[] = [];
  for (let from = 0; from < topics.length; from += TOPICS_PER_REQUEST) {
    const chunk = topics.slice(from, from + TOPICS_PER_REQUEST);
    const results = await describe(cluster, 'any', TOPIC, chunk);
    const byName = new Map(results.map((result) => [result.resourceName, result]));
    for (const topic of chunk) described.push(toDescribed(topic, byName.get(topic)));
  }
  return described;
}

/** The effective configuration of a broker, asked of itself. Throws KafkaError. */
export async function describeBrokerConfig(cluster: Cluster, brokerId: number): Promise<Configs> {
  const results = await describe(cluster, brokerId, BROKER, [String(brokerId)]);
  const { configs, error } = toDescribed(`broker ${brokerId}`, results[0]);
  if (error) throw error;
  return configs;
}

/**
 * Sets and removes entries of a topic's own configuration; all of them or none. Throws KafkaError: INVALID_CONFIG (40),
 * POLICY_VIOLATION (44), TOPIC_AUTHORIZATION_FAILED (29).
 */
export async function alterTopicConfigs(
  cluster: Cluster,
  topic: string,
  change: { readonly set: ReadonlyMap<string, string>; readonly remove: readonly string[] },
): Promise<void> {
  const configs = [
    ...[...change.set].map(([name, value]) => ({ name, configOperation: SET, value })),
    ...change.remove.map((name) => ({ name, configOperation: DELETE, value: null })),
  ];
  const ask = async () => {
    const response = await cluster.call(
      incrementalAlterConfigs,
      { resources: [{ resourceType: TOPIC, resourceName: topic, configs }], validateOnly: false },
      { broker: 'controller' },
    );
    const result = response.responses[0];
    if (!result) throw new MalformedFrameError(`IncrementalAlterConfigs left out ${topic}`);
    if (result.errorCode !== 0)
      throw new BrokerError(errorOf(result.errorCode), 'IncrementalAlterConfigs', topic, result.errorMessage);
  };
  await retrying(cluster, ask, { repeatable: false, topics: [topic] });
}

function describe(
  cluster: Cluster,
  broker: number | 'any',
  type: number,
  names: readonly string[],
): Promise<readonly Result[]> {
  const ask = async () => {
    const response = await cluster.call(
      describeConfigs,
      {
        resources: names.map((name) => ({ resourceType: type, resourceName: name, configurationKeys: null })),
        includeSynonyms: false,
        includeDocumentation: false,
      },
      { broker },
    );
    return response.results;
  };
  return retrying(cluster, ask, { repeatable: true });
}

function toDescribed(topic: string, result: Result | undefined): DescribedTopic {
  if (!result) throw new MalformedFrameError(`DescribeConfigs left out ${topic}`);
  if (result.errorCode !== 0) {
    const error = new BrokerError(errorOf(result.errorCode), 'DescribeConfigs', topic, result.errorMessage);
    return { topic, configs: new Map(), error };
  }
  const entries = result.configs.map(
    ({ name, value, configSource, isSensitive, readOnly }) =>
      [
        name,
        { value: value ?? null, source: SOURCES[configSource] ?? 'other', sensitive: isSensitive, readOnly },
      ] as const,
  );
  return { topic, configs: new Map(entries), error: null };
}
