/**
 * Places of consumer groups and signs of life as MirrorMaker 2 writes them, for programs that use its client
 * (RemoteClusterUtils.translateOffsets, MirrorClient): `<source>.checkpoints.internal` and `<source>.heartbeats` on the target, as
 * Checkpoint and Heartbeat of connect-mirror-client read them (KIP-382, KIP-545). What is written here is read by nobody of ours.
 */
import type { Cluster } from '#kafka/cluster.ts';
import { BrokerError } from '#kafka/errors.ts';
import { appendRecords, type SimpleRecord } from '#kafka/simple-log.ts';
import { createTopic, TOPIC_ALREADY_EXISTS } from '#kafka/topics.ts';

const VERSION = 0;
/** About 100 KB. */
const RECORDS_PER_BATCH = 1_000;
const REPLICAS = 3;

/** Where a group stands, on both sides. */
export interface Checkpoint {
  readonly groupId: string;
  /** Of the target. */
  readonly topic: string;
  readonly partition: number;
  readonly sourceOffset: number;
  readonly targetOffset: number;
  readonly metadata: string;
}

export const checkpointTopic = (source: string): string => `${source}.checkpoints.internal`;
export const heartbeatTopic = (source: string): string => `${source}.heartbeats`;

export class Checkpoints {
  readonly #target: Cluster;
  readonly #source: string;
  /** By key, what was written last. A restart writes all of them again, which compaction takes away. */
  readonly #written = new Map<string, string>();
  #isThere = false;

  /** `source` is the name that the client knows the source by: its alias. */
  constructor(target: Cluster, source: string) {
    this.#target = target;
    this.#source = source;
  }

  /** Writes what has changed, and a heartbeat. Throws KafkaError; then all is written again by the next call. */
  async write(checkpoints: readonly Checkpoint[]): Promise<void> {
    await this.#createTopics();
    const changed = checkpoints.filter((each) => this.#written.get(keyOf(each)) !== valueOf(each));
    const topic = checkpointTopic(this.#source);
    const timestamp = this.#target.clock.now();
    for (let from = 0; from < changed.length; from += RECORDS_PER_BATCH) {
      const some = changed.slice(from, from + RECORDS_PER_BATCH);
      await this.#append(
        topic,
        some.map((each) => checkpointRecord(each, timestamp)),
      );
      for (const each of some) this.#written.set(keyOf(each), valueOf(each));
    }
    await this.#append(heartbeatTopic(this.#source), [heartbeatRecord(this.#source, this.#target.name, timestamp)]);
  }

  /** Once more does no harm: the last record of a key is the one that counts. */
  async #append(topic: string, records: readonly SimpleRecord[]): Promise<void> {
    await appendRecords(this.#target, { topic, partition: 0, records });
  }

  async #createTopics(): Promise<void> {
    if (this.#isThere) return;
    const replicationFactor = Math.min(REPLICAS, this.#target.brokers().length);
    const configs = new Map([['cleanup.policy', 'compact']]);
    for (const name of [checkpointTopic(this.#source), heartbeatTopic(this.#source)]) {
      const [found] = await this.#target.refresh([name]);
      if (found?.errorCode === 0) continue;
      try {
        await createTopic(this.#target, { name, partitions: 1, replicationFactor, configs });
      } catch (error) {
        if (!(error instanceof BrokerError) || error.code !== TOPIC_ALREADY_EXISTS) throw error;
      }
    }
    this.#isThere = true;
  }
}

/** Checkpoint.serializeKey and serializeValue: the types of Kafka's protocol before compact ones. */
function checkpointRecord(checkpoint: Checkpoint, timestamp: number): SimpleRecord {
  const { groupId, topic, partition, sourceOffset, targetOffset, metadata } = checkpoint;
  return {
    key: Buffer.concat([string(groupId), string(topic), int32(partition)]),
    value: Buffer.concat([int16(VERSION), int64(sourceOffset), int64(targetOffset), string(shortText(metadata))]),
    timestamp,
  };
}

/** Heartbeat.serializeKey and serializeValue. */
function heartbeatRecord(source: string, target: string, timestamp: number): SimpleRecord {
  return {
    key: Buffer.concat([string(source), string(target)]),
    value: Buffer.concat([int16(VERSION), int64(timestamp)]),
    timestamp,
  };
}

function keyOf({ groupId, topic, partition }: Checkpoint): string {
  return `${topic}/${partition}/${groupId}`;
}

function valueOf({ sourceOffset, targetOffset, metadata }: Checkpoint): string {
  return `${sourceOffset} ${targetOffset} ${metadata}`;
}

/** The length of a text is 16 bits; one that is longer says nothing to a reader of checkpoints. */
function shortText(text: string): string {
  return Buffer.byteLength(text) > 32_767 ? '' : text;
}

function string(text: string): Buffer {
  const bytes = Buffer.from(text);
  return Buffer.concat([int16(bytes.length), bytes]);
}

function int16(value: number): Buffer {
  const buffer = Buffer.alloc(2);
  buffer.writeInt16BE(value);
  return buffer;
}

function int32(value: number): Buffer {
  const buffer = Buffer.alloc(4);
  buffer.writeInt32BE(value);
  return buffer;
}

function int64(value: number): Buffer {
  const buffer = Buffer.alloc(8);
  buffer.writeBigInt64BE(BigInt(value));
  return buffer;
}
