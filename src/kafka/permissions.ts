/**
 * What our principal may do, asked without writing anything. Brokers list it where the principal may DESCRIBE
 * (KIP-430). For the rest there are requests that are authorised before they could have an effect, and that cannot
 * have one: they name a topic that cannot exist, or only validate.
 */
import type { Cluster } from './cluster.ts';
import { configsOf, describeTopicConfigs, type Configs } from './configs.ts';
import { BrokerError, MalformedFrameError } from './errors.ts';
import { assertAnswered } from './metadata.ts';
import { addPartitionsToTxn } from './protocol/add-partitions-to-txn.ts';
import { createTopics } from './protocol/create-topics.ts';
import { deleteGroups } from './protocol/delete-groups.ts';
import { describeCluster } from './protocol/describe-cluster.ts';
import { errorOf } from './protocol/error-codes.ts';
import { heartbeat } from './protocol/heartbeat.ts';
import { incrementalAlterConfigs } from './protocol/incremental-alter-configs.ts';
import { initProducerId } from './protocol/init-producer-id.ts';
import { metadata } from './protocol/metadata.ts';
import { offsetFetch } from './protocol/offset-fetch.ts';
import { writeTxnMarkers } from './protocol/write-txn-markers.ts';
import { retrying } from './retry.ts';
import type { NewTopic } from './topics.ts';

const NONE = 0;
const UNKNOWN_TOPIC_OR_PARTITION = 3;
const TOPIC_AUTHORIZATION_FAILED = 29;
const GROUP_AUTHORIZATION_FAILED = 30;
const CLUSTER_AUTHORIZATION_FAILED = 31;
const TRANSACTIONAL_ID_AUTHORIZATION_FAILED = 53;
/** TOPIC_, GROUP_, CLUSTER_, TRANSACTIONAL_ID_ and DELEGATION_TOKEN_AUTHORIZATION_FAILED. */
const AUTHORISATION = new Set([29, 30, 31, 53, 65]);
const ENDPOINT_BROKERS = 1;
const RESOURCE_TOPIC = 2;
const NO_TOPIC_ID = 'AAAAAAAAAAAAAAAAAAAAAA';
const TOPICS_PER_REQUEST = 1_000;
/** No topic has this name: brokers do not create one with a question mark (org.apache.kafka.common.internals.Topic). */
const IMPOSSIBLE_TOPIC = 'lockstep?preflight';

/** AclOperation of Kafka. */
export type Operation =
  | 'READ'
  | 'WRITE'
  | 'CREATE'
  | 'DELETE'
  | 'ALTER'
  | 'DESCRIBE'
  | 'CLUSTER_ACTION'
  | 'DESCRIBE_CONFIGS'
  | 'ALTER_CONFIGS'
  | 'IDEMPOTENT_WRITE';

/** By AclOperation.code, which is the number of the bit. */
const OPERATIONS: Readonly<Record<number, Operation>> = {
  3: 'READ',
  4: 'WRITE',
  5: 'CREATE',
  6: 'DELETE',
  7: 'ALTER',
  8: 'DESCRIBE',
  9: 'CLUSTER_ACTION',
  10: 'DESCRIBE_CONFIGS',
  11: 'ALTER_CONFIGS',
  12: 'IDEMPOTENT_WRITE',
};

/** `hidden`: we may not DESCRIBE the resource, so nothing that implies it is ours. `unknown`: the broker does not tell. */
export type Operations = ReadonlySet<Operation> | 'hidden' | 'unknown';

/** Nobody tries it again by itself: what is missing is somebody's to give. */
type DeniedError = BrokerError & { readonly retryable: false };

/** Whether a failure says that a right is missing. */
export function isDenied(error: unknown): error is DeniedError {
  return error instanceof BrokerError && AUTHORISATION.has(error.code);
}

/** Kafka's operation that a request is authorised by (KafkaApis), and what our rights on topics imply. */
const RIGHTS: Readonly<Record<string, string>> = {
  Produce: 'WRITE on the topic',
  Fetch: 'READ on the topic',
  DescribeProducers: 'READ on the topic',
  ListOffsets: 'DESCRIBE on the topic, which READ implies',
  Metadata: 'DESCRIBE on the topic, which READ implies',
  OffsetForLeaderEpoch: 'DESCRIBE on the topic, which READ implies',
  DeleteRecords: 'DELETE on the topic',
  CreateTopics: 'CREATE on the topic, or on the cluster',
  CreatePartitions: 'ALTER on the topic',
  DescribeConfigs: 'DESCRIBE_CONFIGS on the topic',
  IncrementalAlterConfigs: 'ALTER_CONFIGS on the topic',
  FindCoordinator: 'WRITE on the transactional id',
  InitProducerId: 'WRITE on the transactional id',
  WriteTxnMarkers: 'ALTER or CLUSTER_ACTION on the cluster',
  DescribeAcls: 'DESCRIBE on the cluster',
  CreateAcls: 'ALTER on the cluster',
  DeleteAcls: 'ALTER on the cluster',
  DescribeClientQuotas: 'DESCRIBE_CONFIGS on the cluster',
  AlterClientQuotas: 'ALTER_CONFIGS on the cluster',
  DescribeUserScramCredentials: 'DESCRIBE on the cluster',
};

/** The right that was missing: `WRITE on the topic`. */
export function rightOf({ api, code }: BrokerError): string {
  if (code === GROUP_AUTHORIZATION_FAILED) return 'READ on the group';
  if (code === TRANSACTIONAL_ID_AUTHORIZATION_FAILED) return 'WRITE on the transactional id';
  return RIGHTS[api] ?? `the right that ${api} needs`;
}

/** By topic, of those that exist and of those that do not. Throws KafkaError. */
export async function topicOperations(
  cluster: Cluster,
  topics: readonly string[],
): Promise<ReadonlyMap<string, Operations>> {
  const found = new Map<string, Operations>();
  for (let from = 0; from < topics.length; from += TOPICS_PER_REQUEST) {
    const names = topics.slice(from, from + TOPICS_PER_REQUEST);
    const ask = () =>
      cluster.call(
        metadata,
        {
          topics: names.map((name) => ({ topicId: NO_TOPIC_ID, name })),
          allowAutoTopicCreation: false,
          includeTopicAuthorizedOperations: true,
        },
        { broker: 'any' },
      );
    const response = await retrying(cluster, ask, { repeatable: true });
    assertAnswered(response, names);
    for (const topic of response.topics) {
      const isHidden = topic.errorCode === TOPIC_AUTHORIZATION_FAILED;
      found.set(topic.name ?? '', isHidden ? 'hidden' : operationsOf(topic.topicAuthorizedOperations));
    }
  }
  return found;
}

/** Throws KafkaError. */
export async function clusterOperations(cluster: Cluster): Promise<Operations> {
  const ask = async () => {
    const response = await cluster.call(
      describeCluster,
      { includeClusterAuthorizedOperations: true, endpointType: ENDPOINT_BROKERS, includeFencedBrokers: false },
      { broker: 'any' },
    );
    if (response.errorCode !== NONE)
      throw new BrokerError(errorOf(response.errorCode), 'DescribeCluster', cluster.name, response.errorMessage);
    return response.clusterAuthorizedOperations;
  };
  const bits = await retrying(cluster, ask, { repeatable: true });
  return bits === 0 ? 'hidden' : operationsOf(bits); // KafkaApis: 0 without DESCRIBE on the cluster
}

/**
 * Whether control records may be written: ALTER or CLUSTER_ACTION on the cluster, which KafkaApis asks before it looks at
 * the topic. Null when the answer is neither yes nor no. Throws KafkaError.
 */
export async function mayWriteMarkers(cluster: Cluster): Promise<boolean | null> {
  const marker = {
    producerId: 0,
    producerEpoch: 0,
    transactionResult: false,
    topics: [{ name: IMPOSSIBLE_TOPIC, partitionIndexes: [0] }],
    coordinatorEpoch: 0,
    transactionVersion: 0,
  };
  const ask = () => cluster.call(writeTxnMarkers, { markers: [marker] }, { broker: 'any' });
  const { markers } = await retrying(cluster, ask, { repeatable: true });
  return verdict(markers[0]?.topics[0]?.partitions[0]?.errorCode, CLUSTER_AUTHORIZATION_FAILED);
}

/**
 * Whether only CLUSTER_ACTION allows control records: ALTER does since 3.8 (KIP-1037), whose brokers are the first to
 * speak InitProducerId 5 (KIP-890). Throws KafkaError.
 */
export async function markersNeedClusterAction(cluster: Cluster): Promise<boolean> {
  const connection = await cluster.connection('any');
  return (connection.offered(initProducerId.key)?.max ?? 0) < 5;
}

/**
 * Whether InitProducerId may be asked with this transactional id: WRITE on it, which AddPartitionsToTxn needs too and is
 * asked first there. Null when the answer is neither yes nor no. Throws KafkaError.
 */
export async function mayWriteTransactionalId(cluster: Cluster, transactionalId: string): Promise<boolean | null> {
  const request = {
    v3AndBelowTransactionalId: transactionalId,
    v3AndBelowProducerId: 0,
    v3AndBelowProducerEpoch: 0,
    v3AndBelowTopics: [{ name: IMPOSSIBLE_TOPIC, partitions: [0] }],
  };
  const ask = () => cluster.call(addPartitionsToTxn, request, { broker: 'any' });
  const { resultsByTopicV3AndBelow: topics } = await retrying(cluster, ask, { repeatable: true });
  return verdict(topics[0]?.resultsByPartition[0]?.partitionErrorCode, TRANSACTIONAL_ID_AUTHORIZATION_FAILED);
}

/**
 * Whether we may take part in a group, which need not exist: READ, which KafkaApis asks before it looks for the member. A
 * heartbeat of a member that nobody is changes nothing, and any broker refuses it. Throws KafkaError.
 */
export async function mayReadGroup(cluster: Cluster, groupId: string): Promise<boolean> {
  const ask = () => cluster.call(heartbeat, { groupId, generationId: 0, memberId: 'nobody' }, { broker: 'any' });
  const { errorCode } = await retrying(cluster, ask, { repeatable: true });
  return errorCode !== GROUP_AUTHORIZATION_FAILED;
}

/** Whether we may see what a group has committed: DESCRIBE, asked about no topic at all. Throws KafkaError. */
export async function mayDescribeGroup(cluster: Cluster, groupId: string): Promise<boolean> {
  const ask = () => cluster.call(offsetFetch, { groups: [{ groupId, topics: [] }] }, { broker: 'any' });
  const { groups } = await retrying(cluster, ask, { repeatable: true });
  return groups[0]?.errorCode !== GROUP_AUTHORIZATION_FAILED;
}

/** Whether we may delete a group, by one that must not exist: it would be deleted. Throws KafkaError. */
export async function mayDeleteGroup(cluster: Cluster, missingGroupId: string): Promise<boolean> {
  const ask = () => cluster.call(deleteGroups, { groupsNames: [missingGroupId] }, { broker: 'any' });
  const { results } = await retrying(cluster, ask, { repeatable: true });
  return results[0]?.errorCode !== GROUP_AUTHORIZATION_FAILED;
}

/** What a request about the topic that cannot exist says of the right that comes before the topic. */
function verdict(errorCode: number | undefined, denied: number): boolean | null {
  if (errorCode === denied) return false;
  return errorCode === UNKNOWN_TOPIC_OR_PARTITION || errorCode === TOPIC_AUTHORIZATION_FAILED ? true : null;
}

/** Which of the topics have settings that we may read; a topic need not exist. Throws KafkaError. */
export async function mayDescribeConfigs(cluster: Cluster, topics: readonly string[]): Promise<Map<string, boolean>> {
  const described = await describeTopicConfigs(cluster, topics);
  return new Map(described.map(({ topic, error }) => [topic, error?.code !== TOPIC_AUTHORIZATION_FAILED]));
}

/** Whether settings of the topic may be changed; none is. Throws KafkaError. */
export async function mayAlterConfigs(cluster: Cluster, topic: string): Promise<boolean> {
  const ask = () =>
    cluster.call(
      incrementalAlterConfigs,
      { resources: [{ resourceType: RESOURCE_TOPIC, resourceName: topic, configs: [] }], validateOnly: true },
      { broker: 'controller' },
    );
  const { responses } = await retrying(cluster, ask, { repeatable: true });
  return responses[0]?.errorCode !== TOPIC_AUTHORIZATION_FAILED;
}

/** What the controller makes of a topic that it was asked to validate. */
export interface ValidatedTopic {
  /** Why it would refuse. */
  readonly error: BrokerError | null;
  /** The settings that the topic would have (KIP-525); null without DESCRIBE_CONFIGS on it, and on error. */
  readonly configs: Configs | null;
}

/** Has the controller validate the creation of topics, with the rights to it, and create none. By topic. Throws KafkaError. */
export async function validateCreation(
  cluster: Cluster,
  topics: readonly NewTopic[],
): Promise<ReadonlyMap<string, ValidatedTopic>> {
  if (topics.length === 0) return new Map();
  const request = {
    topics: topics.map(({ name, partitions, replicationFactor, configs }) => ({
      name,
      numPartitions: partitions,
      replicationFactor,
      assignments: [],
      configs: [...(configs ?? [])].map(([key, value]) => ({ name: key, value })),
    })),
    timeoutMs: cluster.requestTimeoutMs,
    validateOnly: true,
  };
  const ask = () => cluster.call(createTopics, request, { broker: 'controller' });
  const response = await retrying(cluster, ask, { repeatable: true });
  const results = new Map(response.topics.map((topic) => [topic.name, topic]));
  return new Map(
    topics.map(({ name }): [string, ValidatedTopic] => {
      const result = results.get(name);
      if (!result) throw new MalformedFrameError(`CreateTopics left out ${name}`);
      const { errorCode, errorMessage, topicConfigErrorCode } = result;
      if (errorCode !== NONE) {
        const error = new BrokerError(errorOf(errorCode), 'CreateTopics', name, errorMessage);
        return [name, { error, configs: null }];
      }
      const configs = topicConfigErrorCode === NONE && result.configs ? configsOf(result.configs) : null;
      return [name, { error: null, configs }];
    }),
  );
}

/** AclEntry.supportedOperations of the resource, of those which are ours; negative where the broker does not tell. */
function operationsOf(bits: number): Operations {
  if (bits < 0) return 'unknown';
  return new Set(Object.entries(OPERATIONS).flatMap(([bit, name]) => (bits & (1 << Number(bit)) ? [name] : [])));
}
