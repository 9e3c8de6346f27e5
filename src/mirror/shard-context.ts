/** What a shard is given: the clusters, the mirror's identity and choices, and whom it tells. */
import type { Clock } from '#util/clock.ts';
import type { Random } from '#util/random.ts';
import type { MirrorStart } from '#contract/resources.ts';
import type { Incident, ReencodeReason } from '#contract/status.ts';
import type { Term } from '#jobs/ownership.ts';
import type { Cluster } from '#kafka/cluster.ts';
import type { KafkaError } from '#kafka/errors.ts';
import type { Fetcher } from '#kafka/fetcher.ts';
import type { FramePool } from '#kafka/frame.ts';
import type { Producer } from '#kafka/producer.ts';
import type { Permit } from '#kafka/permit.ts';
import type { BatchWriter } from '#kafka/records/batch-writer.ts';
import type { WalkPolicy } from './batch-walk.ts';

/** One fetcher per source broker and one producer per target broker, made when first asked for and again after a loss. */
export interface DataPath {
  fetcherOf(brokerId: number): Promise<Fetcher>;
  producerOf(brokerId: number, lane?: number): Promise<Producer>;
}

/** What a partition's record in the state topic says. */
export interface PartitionState {
  /** S: the first offset that is copied. */
  readonly logStart: number;
  /** K: the sequence of an offset is (offset + K) mod 2^31 where nothing else tells. */
  readonly sequenceOffset: number;
  /** Leader epochs of the source as they appeared: [epoch, first offset]. Empty: nothing has been copied, S may still move. */
  readonly leaderEpochs: readonly (readonly [number, number])[];
  /** What is below was written by others, and is the same on both sides. */
  readonly adoptedBelow?: number | undefined;
}

export interface PartitionStates {
  /** Takes in what other workers of the mirror have written. */
  load(): Promise<void>;
  partition(targetTopic: string, partition: number): PartitionState | undefined;
  putPartition(targetTopic: string, partition: number, state: PartitionState, permit: Permit): Promise<void>;
  /** Where transactions are preserved: the source's producer id by the offset of the first record, as far as it was recorded. */
  openTransactions?(targetTopic: string, partition: number): ReadonlyMap<number, number>;
  putOpenTransactions?(
    targetTopic: string,
    partition: number,
    open: ReadonlyMap<number, number>,
    permit: Permit,
  ): Promise<void>;
}

/** Held by the shards of a topic that align their log start: DeleteRecords needs `delete` in cleanup.policy meanwhile. */
export interface LogStartGate {
  enter(): Promise<void>;
  leave(): Promise<void>;
}

export interface ShardContext {
  readonly mirrorName: string;
  readonly source: Cluster;
  readonly target: Cluster;
  readonly clock: Clock;
  readonly random: Random;
  readonly pool: FramePool;
  /** The shard is ours, and may be written to, for so long. */
  readonly term: Pick<Term, 'takeover' | 'lost' | 'mayWrite'>;
  readonly state: PartitionStates;
  readonly dataPath: DataPath;
  readonly logStartGate: LogStartGate;
  readonly sourceTopic: string;
  readonly sourceTopicId: string;
  readonly targetTopic: string;
  readonly targetTopicId: string;
  readonly partition: number;
  readonly policy: WalkPolicy;
  /** Of the transactional ids under which transactions are preserved. */
  readonly transactionalIdPrefix?: string;
  /** Shared by the shards of a mirror; used within one turn of the event loop only. */
  readonly writer: BatchWriter;
  /** The target topic's max.message.bytes. */
  readonly batchBytesMax: number;
  /** The same as of now. Throws KafkaError. */
  readBatchBytesMax(): Promise<number>;
  readonly dataProducerId: number;
  readonly markerProducerId: number;
  readonly start: MirrorStart;
  /** How long the target's brokers remember a producer (producer-memory.ts), in ms; it may change. */
  expirationMs(): number;
  /** How many offsets may be filled before the first record. */
  readonly fillOffsetsMax: number;
  countBytes(reason: ReencodeReason | null, bytes: number): void;
  /** It goes on by itself; `error` is what it waits out. */
  onTrouble(shard: { readonly topic: string; readonly partition: number }, error: KafkaError): void;
  onIncident(incident: Incident): void;
  /** What `onIncident` said last is over: the partition goes on. */
  onIncidentEnded(incident: Incident): void;
}
