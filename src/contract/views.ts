/** A cluster and its topics as `lockstep clusters` and `lockstep topics` show them. null means 'not known'. */
import type { ErrorCode } from './errors.ts';

export interface BrokerView {
  readonly id: number;
  /** `host:port` as the cluster advertises it. */
  readonly address: string;
  readonly rack: string | null;
}

export interface ClusterView {
  /** Its name in the file. */
  readonly name: string;
  readonly bootstrap: readonly string[];
  readonly clusterId: string | null;
  /** Broker id of the controller that clients are told. */
  readonly controller: number | null;
  readonly brokers: readonly BrokerView[];
  /** Topics that our principal may see, internal ones among them. */
  readonly topics: number | null;
  readonly partitions: number | null;
  /** Why nothing more is known. */
  readonly error: { readonly code: ErrorCode; readonly message: string; readonly nextStep: string | null } | null;
}

export interface PartitionView {
  readonly partition: number;
  readonly leader: number | null;
  readonly leaderEpoch: number | null;
  readonly replicas: readonly number[];
  readonly inSyncReplicas: readonly number[];
  readonly logStart: number | null;
  readonly stableOffset: number | null;
  readonly highWatermark: number | null;
}

export interface TopicView {
  readonly name: string;
  readonly topicId: string | null;
  readonly isInternal: boolean;
  readonly partitions: readonly PartitionView[];
  /** Settings that differ from the cluster's defaults; null where they were not asked for. */
  readonly configs: Readonly<Record<string, string>> | null;
}
