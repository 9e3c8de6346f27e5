/** What `lockstep rebuild` deletes, or has deleted, so that the next run copies it anew. */

export interface RebuildPartition {
  readonly partition: number;
  /** Offsets [from, to) of the target. */
  readonly from: number;
  readonly to: number;
  /** Of them, those below which the source has nothing any more: what is there is only on the target. Null where not known. */
  readonly goneBelow: number | null;
}

export interface RebuildPlan {
  readonly mirror: string;
  /** Names of Clusters. */
  readonly source: string;
  readonly target: string;
  readonly sourceTopic: string;
  readonly targetTopic: string;
  readonly targetTopicId: string;
  readonly mode: 'identical' | 'mapped';
  readonly partitions: readonly RebuildPartition[];
  /** False for a plan: nothing was changed. */
  readonly isDone: boolean;
}
