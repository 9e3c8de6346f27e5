/** Creating topics and partitions, through the controller, until every broker's metadata can be expected to have them. */
import { must } from '#util/assert.ts';
import type { Cluster } from './cluster.ts';
import { BrokerError, MalformedFrameError } from './errors.ts';
import type { Broker, TopicMetadata } from './metadata.ts';
import { LATEST, listOffsets } from './offsets.ts';
import { createPartitions as createPartitionsApi } from './protocol/create-partitions.ts';
import { createTopics } from './protocol/create-topics.ts';
import { deleteTopics } from './protocol/delete-topics.ts';
import { describeCluster as describeClusterApi } from './protocol/describe-cluster.ts';
import { errorOf } from './protocol/error-codes.ts';
import { noLeader, retrying } from './retry.ts';

export const TOPIC_ALREADY_EXISTS = 36;
const ENDPOINT_BROKERS = 1;

export interface NewTopic {
  readonly name: string;
  readonly partitions: number;
  readonly replicationFactor: number;
  readonly configs?: ReadonlyMap<string, string>;
}

/**
 * Creates a topic and returns its metadata once every partition has a leader. Throws KafkaError: TOPIC_ALREADY_EXISTS
 * (36), also where an attempt whose answer was lost has created it; INVALID_REPLICATION_FACTOR (38), INVALID_CONFIG (40),
 * POLICY_VIOLATION (44), an authorisation error.
 */
export async function createTopic(cluster: Cluster, topic: NewTopic): Promise<TopicMetadata> {
  const create = async () => {
    const response = await cluster.call(
      createTopics,
      {
        topics: [
          {
            name: topic.name,
            numPartitions: topic.partitions,
            replicationFactor: topic.replicationFactor,
            assignments: [],
            configs: [...(topic.configs ?? [])].map(([name, value]) => ({ name, value })),
          },
        ],
        timeoutMs: cluster.requestTimeoutMs,
        validateOnly: false,
      },
      { broker: 'controller' },
    );
    throwError(response.topics[0], 'CreateTopics', topic.name);
  };
  await retrying(cluster, create, { repeatable: true, topics: [topic.name] });
  return awaitPartitions(cluster, topic.name, topic.partitions);
}

/** Deletes the topic with this id, whatever has its name by then. `name` is for messages. Throws KafkaError: UNKNOWN_TOPIC_ID (100). */
export async function deleteTopic(
  cluster: Cluster,
  { name, topicId }: { readonly name: string; readonly topicId: string },
): Promise<void> {
  const remove = async () => {
    const response = await cluster.call(
      deleteTopics,
      { topics: [{ name: null, topicId }], timeoutMs: cluster.requestTimeoutMs },
      { broker: 'controller' },
    );
    throwError(response.responses[0], 'DeleteTopics', name);
  };
  await retrying(cluster, remove, { repeatable: false, topics: [name] });
}

/**
 * Raises the number of partitions to `count` and waits until each has a leader. Throws KafkaError: INVALID_PARTITIONS (37)
 * when it is no raise, also where an attempt whose answer was lost has done it.
 */
export async function createPartitions(
  cluster: Cluster,
  { topic, count }: { readonly topic: string; readonly count: number },
): Promise<TopicMetadata> {
  const create = async () => {
    const response = await cluster.call(
      createPartitionsApi,
      { topics: [{ name: topic, count, assignments: null }], timeoutMs: cluster.requestTimeoutMs, validateOnly: false },
      { broker: 'controller' },
    );
    throwError(response.results[0], 'CreatePartitions', topic);
  };
  await retrying(cluster, create, { repeatable: true, topics: [topic] });
  return awaitPartitions(cluster, topic, count);
}

/**
 * The metadata of a topic that has at least `count` partitions, each with a leader that serves it: metadata names a
 * leader before that broker has taken over, and some requests then fail in part without saying so (writeTxnMarkers).
 * Throws KafkaError when it does not come to that.
 */
export async function awaitPartitions(cluster: Cluster, name: string, count: number): Promise<TopicMetadata> {
  const look = async () => {
    const topic = must((await cluster.refresh([name]))[0], 'metadata of the topic');
    for (let partition = 0; partition < count; partition++) {
      if (cluster.leaderOf(name, partition) === null) throw noLeader(cluster, name, partition);
    }
    return topic;
  };
  const topic = await retrying(cluster, look, { repeatable: true });
  const queries = Array.from({ length: count }, (_, partition) => ({ topic: name, partition, timestamp: LATEST }));
  for (const { error } of await listOffsets(cluster, queries)) if (error) throw error;
  return topic;
}

/** Cluster id, controller and brokers, as the cluster describes itself. Throws KafkaError. */
export function describeCluster(
  cluster: Cluster,
): Promise<{ clusterId: string; controllerId: number; brokers: Broker[] }> {
  const ask = async () => {
    const response = await cluster.call(
      describeClusterApi,
      { includeClusterAuthorizedOperations: false, endpointType: ENDPOINT_BROKERS, includeFencedBrokers: false },
      { broker: 'any' },
    );
    throwError(response, 'DescribeCluster', `cluster "${cluster.name}"`);
    const brokers = response.brokers.map(({ brokerId, host, port, rack }) => ({
      id: brokerId,
      host,
      port,
      rack: rack ?? null,
    }));
    return { clusterId: response.clusterId, controllerId: response.controllerId, brokers };
  };
  return retrying(cluster, ask, { repeatable: true });
}

function throwError(
  result: { readonly errorCode: number; readonly errorMessage: string | null } | undefined,
  api: string,
  subject: string,
): void {
  if (!result) throw new MalformedFrameError(`${api} left out ${subject}`);
  if (result.errorCode !== 0) throw new BrokerError(errorOf(result.errorCode), api, subject, result.errorMessage);
}
