/** What a cluster says about its brokers and topics, in our words, and the merge of a newer answer into an older one. */
import { MalformedFrameError } from './errors.ts';
import type { MetadataResponse } from './protocol/metadata.ts';

/** What a broker says of a topic whose partitions it does not all know; it passes, or that topic is not copied. */
const LEADER_NOT_AVAILABLE = 5;

export interface Broker {
  readonly id: number;
  readonly host: string;
  readonly port: number;
  readonly rack: string | null;
}

export interface PartitionMetadata {
  readonly partition: number;
  /** Broker id of the leader, −1 when there is none at the moment. */
  readonly leader: number;
  readonly leaderEpoch: number;
  readonly replicas: readonly number[];
  readonly isr: readonly number[];
  readonly errorCode: number;
}

export interface TopicMetadata {
  readonly name: string;
  /** Stays the same for the life of the topic; a topic that is created again under its name has another (KIP-516). */
  readonly topicId: string;
  readonly isInternal: boolean;
  /** 0, or why the answer is incomplete: 3 unknown topic, 29 no right to describe it, 5 a leader or a partition is missing. */
  readonly errorCode: number;
  /** By partition number, from 0 without gaps when errorCode is 0. */
  readonly partitions: readonly PartitionMetadata[];
}

/** Throws MalformedFrameError for a port that there cannot be. */
export function brokersOf(response: MetadataResponse): Broker[] {
  return response.brokers.map(({ nodeId, host, port, rack }) => {
    if (port < 1 || port > 65_535)
      throw new MalformedFrameError(`Metadata says that broker ${nodeId} has port ${port}`);
    return { id: nodeId, host, port, rack: rack ?? null };
  });
}

export function topicsOf(response: MetadataResponse): TopicMetadata[] {
  return response.topics.map(({ name, topicId, isInternal, errorCode, partitions: answers }) => {
    const partitions = answers.map(partitionOf).toSorted((a, b) => a.partition - b.partition);
    const isWhole = partitions.every(({ partition }, i) => partition === i);
    return {
      name: name ?? '',
      topicId,
      isInternal,
      errorCode: errorCode === 0 && !isWhole ? LEADER_NOT_AVAILABLE : errorCode,
      partitions: isWhole ? partitions : [],
    };
  });
}

/** Throws MalformedFrameError for a topic that was asked for and not answered. */
export function assertAnswered(response: MetadataResponse, names: readonly string[]): void {
  const answered = new Set(response.topics.map(({ name }) => name));
  const missing = names.find((name) => !answered.has(name));
  if (missing !== undefined) throw new MalformedFrameError(`Metadata left out topic ${missing}`);
}

function partitionOf(answer: MetadataResponse['topics'][number]['partitions'][number]): PartitionMetadata {
  return {
    partition: answer.partitionIndex,
    leader: answer.leaderId,
    leaderEpoch: answer.leaderEpoch,
    replicas: answer.replicaNodes,
    isr: answer.isrNodes,
    errorCode: answer.errorCode,
  };
}

/**
 * The newer answer, except for partitions where the older one knows a higher leader epoch: brokers learn of a new
 * leader one after the other, so a later answer from another broker may be behind (KIP-320).
 */
export function mergeTopic(older: TopicMetadata | undefined, newer: TopicMetadata): TopicMetadata {
  if (!older || older.topicId !== newer.topicId) return newer;
  const partitions = newer.partitions.map((partition) => {
    const known = older.partitions[partition.partition];
    return known && known.leaderEpoch > partition.leaderEpoch ? known : partition;
  });
  return { ...newer, partitions };
}
