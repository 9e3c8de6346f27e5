/** What was on a cluster at a moment: topics, partitions, groups. Any two snapshots can be compared. */
import type { Json } from './json.ts';
import type { Page, PageRequest } from './page.ts';

export type SnapshotTrigger = 'startup' | 'periodic' | 'manual';

export interface Snapshot {
  readonly id: number;
  readonly cluster: string;
  /** The job for which it was taken, and which side of it; null: for none. */
  readonly jobId: string | null;
  readonly side: 'source' | 'target' | null;
  readonly trigger: SnapshotTrigger;
  /** User id of a manual one. */
  readonly takenBy: string | null;
  readonly takenAt: number;
  /** Cluster id, controller, brokers, connections, as they were. */
  readonly facts: Json;
  readonly topics: number;
  readonly partitions: number;
  readonly groups: number;
}

export interface InventoryTopic {
  readonly name: string;
  readonly topicId: string | null;
  readonly isInternal: boolean;
  readonly partitions: number;
  readonly replicationFactor: number;
  /** Partitions that have fewer replicas in sync than replicas. */
  readonly underReplicated: number;
  /** Null: not known. */
  readonly records: number | null;
  /** Settings that differ from the cluster's defaults; null: not read. */
  readonly configs: Readonly<Record<string, string>> | null;
}

export interface InventoryPartition {
  readonly topic: string;
  readonly partition: number;
  readonly leader: number | null;
  readonly replicas: readonly number[];
  readonly inSyncReplicas: readonly number[];
  readonly logStart: number | null;
  readonly highWatermark: number | null;
}

export interface InventoryGroup {
  readonly groupId: string;
  readonly state: string;
  readonly protocol: string;
  /** Null: not known. */
  readonly members: number | null;
}

export interface InventoryGroupOffset {
  readonly groupId: string;
  readonly topic: string;
  readonly partition: number;
  readonly offset: number;
  readonly highWatermark: number | null;
  readonly lagRecords: number | null;
}

export type InventoryItems =
  | { readonly kind: 'topics'; readonly items: readonly InventoryTopic[] }
  | { readonly kind: 'partitions'; readonly items: readonly InventoryPartition[] }
  | { readonly kind: 'groups'; readonly items: readonly InventoryGroup[] }
  | { readonly kind: 'offsets'; readonly items: readonly InventoryGroupOffset[] };

export interface SnapshotFilter {
  readonly cluster?: string;
  readonly jobId?: string;
  readonly side?: 'source' | 'target';
  readonly trigger?: SnapshotTrigger;
}

export interface TopicFilter {
  readonly nameContains?: string;
  readonly namePrefix?: string;
  readonly isInternal?: boolean;
  readonly isUnderReplicated?: boolean;
}

export type TopicSort = 'name' | 'partitions' | 'replicationFactor' | 'underReplicated' | 'records';

export interface SnapshotDifference {
  readonly kind: 'topic' | 'partition' | 'group' | 'offset';
  /** `orders`, `orders/3`, `billing`, `billing orders/3`. */
  readonly name: string;
  readonly change: 'added' | 'removed' | 'changed';
  /** The item as it was in the first and as it is in the second; null where there is none. */
  readonly before: Json;
  readonly after: Json;
}

export interface Inventory {
  /** One that is not completed is nowhere to be seen, and pruned after an hour. */
  begin(snapshot: Pick<Snapshot, 'cluster' | 'jobId' | 'side' | 'trigger' | 'takenBy' | 'facts'>): Promise<number>;
  /** At most 2,000 at a time (`saveSnapshot` cuts them). */
  add(snapshotId: number, items: InventoryItems): Promise<void>;
  complete(snapshotId: number): Promise<Snapshot>;
  get(snapshotId: number): Promise<Snapshot | null>;
  /** The latest that is complete. */
  latest(cluster: string): Promise<Snapshot | null>;
  list(request: PageRequest<'takenAt'> & { readonly filter?: SnapshotFilter }): Promise<Page<Snapshot>>;
  topics(
    snapshotId: number,
    request: PageRequest<TopicSort> & { readonly filter?: TopicFilter },
  ): Promise<Page<InventoryTopic>>;
  partitions(snapshotId: number, topic: string): Promise<readonly InventoryPartition[]>;
  groups(
    snapshotId: number,
    request: PageRequest<'groupId' | 'members'> & { readonly filter?: { readonly groupIdContains?: string } },
  ): Promise<Page<InventoryGroup>>;
  offsets(snapshotId: number, groupId: string): Promise<readonly InventoryGroupOffset[]>;
  /** What became of the first to give the second; ordered by kind and name. */
  differences(
    change: { readonly from: number; readonly to: number },
    request: PageRequest<'name'> & { readonly filter?: { readonly kind?: SnapshotDifference['kind'] } },
  ): Promise<Page<SnapshotDifference>>;
  delete(snapshotId: number): Promise<boolean>;
}

export const ITEMS_MAX = 2000;

export interface WholeSnapshot {
  readonly about: Parameters<Inventory['begin']>[0];
  readonly topics: readonly InventoryTopic[];
  readonly partitions: readonly InventoryPartition[];
  readonly groups: readonly InventoryGroup[];
  readonly offsets: readonly InventoryGroupOffset[];
}

/** In pieces, between which others get their turn. One that is interrupted is never seen. */
export async function saveSnapshot(inventory: Inventory, snapshot: WholeSnapshot): Promise<Snapshot> {
  const id = await inventory.begin(snapshot.about);
  for (const kind of ['topics', 'partitions', 'groups', 'offsets'] as const)
    for (let first = 0; first < snapshot[kind].length; first += ITEMS_MAX)
      await inventory.add(id, { kind, items: snapshot[kind].slice(first, first + ITEMS_MAX) } as InventoryItems);
  return inventory.complete(id);
}
