/** Topics through Kafka's own admin client (src/testing/java/TopicAdmin.java). One JVM start, 1 s, for a list of steps. */
import { must } from '#util/assert.ts';
import { askJava } from './java-request.ts';

export interface NewTopic {
  readonly name: string;
  readonly partitions: number;
  /** Default: the cluster's. */
  readonly replicationFactor?: number;
  readonly configs?: Readonly<Record<string, string>>;
}

/** `null` takes a setting away. */
type ConfigChanges = Readonly<Record<string, string | null>>;

export type AdminStep =
  | { readonly create: readonly NewTopic[] }
  | { readonly delete: readonly string[] }
  /** Partition → the offset that becomes its log start. */
  | { readonly deleteRecords: { readonly topic: string; readonly before: Readonly<Record<number, number>> } }
  | { readonly addPartitions: { readonly topic: string; readonly total: number } }
  | { readonly unregisterBroker: number }
  | { readonly setConfigs: { readonly topic: string; readonly configs: ConfigChanges } }
  /** The defaults of all brokers, or the settings of one, without a restart. */
  | { readonly setBrokerConfigs: ConfigChanges; readonly broker?: number }
  /** Bytes per second on each broker, for each client id that has no quota of its own; null takes one away. */
  | { readonly setQuotas: Readonly<Partial<Record<'producer_byte_rate' | 'consumer_byte_rate', number | null>>> }
  | { readonly setClientQuotas: readonly ClientQuota[] }
  /** Answers with lines such as `{user=alice} producer_byte_rate=1000.0`, sorted. */
  | { readonly describeQuotas: 'all' }
  | { readonly addAcls: readonly Acl[] }
  /** Those that are exactly so; throws when one is not there. */
  | { readonly removeAcls: readonly Acl[] }
  /** Answers with an Acl[], sorted. */
  | { readonly describeAcls: 'all' }
  /** User → password, for both SCRAM mechanisms; null takes the user away. */
  | { readonly setScram: Readonly<Record<string, string | null>> }
  /** Topic/partition. `preferred`: the first replica; `unclean`: any that is alive, where no leader is. */
  | { readonly electLeaders: 'preferred' | 'unclean'; readonly partitions: readonly TopicPartition[] }
  /** Waits until the partitions have exactly these replicas and the first of them leads. Answers with the wall time then, in ms. */
  | { readonly reassign: readonly (TopicPartition & { readonly replicas: readonly number[] })[] }
  /** Goes on so many ms after the tool has started, or at once when that has passed: what is to happen at a rate. */
  | { readonly at: number }
  /** Answers with a PartitionReplicas[], also where a partition has no leader. */
  | { readonly describeReplicas: string }
  | { readonly describe: readonly string[] };

/** Broker ids, `inSync` in ascending order; leader −1: none. */
export interface PartitionReplicas {
  readonly partition: number;
  readonly leader: number;
  readonly replicas: readonly number[];
  readonly inSync: readonly number[];
}

export interface TopicPartition {
  readonly topic: string;
  readonly partition: number;
}

interface ClientQuota {
  /** A name, or null for every one without its own. */
  readonly entity: Readonly<Partial<Record<'user' | 'client-id' | 'ip', string | null>>>;
  /** null takes one away. */
  readonly quotas: Readonly<Record<string, number | null>>;
}

/** The words of Kafka's tools: `cluster`, `transactional_id`, `idempotent_write`. */
export interface Acl {
  /** Without the type: `alice`, or `*`. */
  readonly user: string;
  readonly operation: string;
  readonly resource: 'topic' | 'group' | 'cluster' | 'transactional_id' | 'delegation_token' | 'user';
  /** `kafka-cluster` for the cluster. */
  readonly name: string;
  /** Default: literal. */
  readonly pattern?: 'literal' | 'prefixed';
  /** Default: allow. */
  readonly permission?: 'allow' | 'deny';
  /** Default: `*`. */
  readonly host?: string;
}

export interface TopicDescription {
  readonly name: string;
  readonly id: string;
  readonly replicationFactor: number;
  readonly partitions: readonly {
    readonly partition: number;
    readonly leader: number;
    /** Log start. */
    readonly earliest: number;
    readonly lastStable: number;
    /** High watermark. */
    readonly latest: number;
  }[];
  /** What was set on the topic itself. */
  readonly configs: Readonly<Record<string, string>>;
}

/**
 * Runs the steps in order and returns their answers, which only those that describe and `deleteRecords` have.
 * Returns when every broker acts as it was told.
 */
export async function runAdmin(bootstrap: readonly string[], steps: readonly AdminStep[]): Promise<unknown[]> {
  const [answer] = await askJava('TopicAdmin', { bootstrap: bootstrap.join(','), steps });
  return JSON.parse(must(answer, 'answer of TopicAdmin')) as unknown[];
}

/** Creates topics and waits until each partition has a leader. */
export async function createTopics(bootstrap: readonly string[], topics: readonly NewTopic[]): Promise<void> {
  await runAdmin(bootstrap, [{ create: topics }]);
}

export async function deleteTopics(bootstrap: readonly string[], names: readonly string[]): Promise<void> {
  await runAdmin(bootstrap, [{ delete: names }]);
}

export async function describeTopics(
  bootstrap: readonly string[],
  names: readonly string[],
): Promise<TopicDescription[]> {
  const [answer] = await runAdmin(bootstrap, [{ describe: names }]);
  return answer as TopicDescription[];
}

/** Of the partitions of a topic, in order. */
export async function describeReplicas(bootstrap: readonly string[], topic: string): Promise<PartitionReplicas[]> {
  const [answer] = await runAdmin(bootstrap, [{ describeReplicas: topic }]);
  return answer as PartitionReplicas[];
}
