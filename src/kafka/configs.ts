/** Configurations of topics and brokers: read with where each value comes from, and changed entry by entry (KIP-339). */
import { sleep } from '#util/clock.ts';
import type { Cluster } from './cluster.ts';
import { BrokerError, KafkaError, MalformedFrameError } from './errors.ts';
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
const SHOWN_WITHIN_MS = 5_000;
const SHOWN_POLL_MS = 20;

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
    const results = await describe(cluster, 'any', { type: TOPIC, names: chunk });
    const byName = new Map(results.map((result) => [result.resourceName, result]));
    for (const topic of chunk) described.push(toDescribed(topic, byName.get(topic)));
  }
  return described;
}

/** The effective configuration of a broker, asked of itself. Throws KafkaError. */
export async function describeBrokerConfig(cluster: Cluster, brokerId: number): Promise<Configs> {
  const results = await describe(cluster, brokerId, { type: BROKER, names: [String(brokerId)] });
  const { configs, error } = toDescribed(`broker ${brokerId}`, results[0]);
  if (error) throw error;
  return configs;
}

export interface ConfigChange {
  readonly set: ReadonlyMap<string, string>;
  /** Names that shall have the cluster's default again. */
  readonly remove: readonly string[];
}

/**
 * Sets and removes entries of a topic's own configuration; all of them or none. The controller answers before the brokers
 * have heard of it, so this returns when the topic's leaders show the change, or after 5 s: by then somebody else has
 * changed it again, or we may not see it. Throws KafkaError: INVALID_CONFIG (40),
 * POLICY_VIOLATION (44), TOPIC_AUTHORIZATION_FAILED (29).
 */
export async function alterTopicConfigs(cluster: Cluster, topic: string, change: ConfigChange): Promise<void> {
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
  await awaitShown(cluster, topic, change);
}

async function awaitShown(cluster: Cluster, topic: string, change: ConfigChange): Promise<void> {
  const startedMs = cluster.clock.monotonic();
  const leaders = new Set(cluster.topicOf(topic)?.partitions.flatMap(({ leader }) => (leader < 0 ? [] : [leader])));
  for (const leader of leaders) {
    while (
      !(await isShown(cluster, leader, { topic, change })) &&
      cluster.clock.monotonic() - startedMs < SHOWN_WITHIN_MS
    ) {
      await sleep(cluster.clock, SHOWN_POLL_MS);
    }
  }
}

/** Of a broker that cannot be asked, or refuses to say, nothing more is expected. */
async function isShown(
  cluster: Cluster,
  broker: number,
  { topic, change }: { topic: string; change: ConfigChange },
): Promise<boolean> {
  try {
    const { configs, error } = toDescribed(
      topic,
      (await askConfigs(cluster, broker, { type: TOPIC, names: [topic] }))[0],
    );
    if (error) return true;
    const isSet = [...change.set].every(
      ([name, value]) => configs.get(name)?.source === 'topic' && configs.get(name)?.value === value,
    );
    return isSet && change.remove.every((name) => configs.get(name)?.source !== 'topic');
  } catch (error) {
    if (!(error instanceof KafkaError)) throw error;
    return true;
  }
}

interface Resources {
  readonly type: typeof TOPIC | typeof BROKER;
  readonly names: readonly string[];
}

function describe(cluster: Cluster, broker: number | 'any', resources: Resources): Promise<readonly Result[]> {
  return retrying(cluster, () => askConfigs(cluster, broker, resources), { repeatable: true });
}

/** One attempt. */
async function askConfigs(
  cluster: Cluster,
  broker: number | 'any',
  { type, names }: Resources,
): Promise<readonly Result[]> {
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
}

function toDescribed(topic: string, result: Result | undefined): DescribedTopic {
  if (!result) throw new MalformedFrameError(`DescribeConfigs left out ${topic}`);
  if (result.errorCode !== 0) {
    const error = new BrokerError(errorOf(result.errorCode), 'DescribeConfigs', topic, result.errorMessage);
    return { topic, configs: new Map(), error };
  }
  return { topic, configs: configsOf(result.configs), error: null };
}

/** The entries of an answer of DescribeConfigs or CreateTopics. */
export function configsOf(
  entries: readonly {
    readonly name: string;
    readonly value: string | null;
    readonly configSource: number;
    readonly isSensitive: boolean;
    readonly readOnly: boolean;
  }[],
): Configs {
  return new Map(
    entries.map(({ name, value, configSource, isSensitive, readOnly }) => [
      name,
      { value, source: SOURCES[configSource] ?? 'other', sensitive: isSensitive, readOnly },
    ]),
  );
}
