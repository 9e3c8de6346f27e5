/** What a snapshot holds, as rows: all kinds in one table, so that one query compares two snapshots. */
import type { InventoryItems, InventoryTopic } from './inventory.ts';
import { flag, type Row } from './scope.ts';

export type ItemRow = Omit<Row<'snapshot_items'>, 'snapshot_id'>;

const NO_COLUMNS = { partitions: 0, replication_factor: 0, under_replicated: 0, size: 0, is_internal: 0 } as const;

export function toItems(added: InventoryItems): ItemRow[] {
  switch (added.kind) {
    case 'topics':
      return added.items.map(topicItem);
    case 'partitions':
      return added.items.map((item) => {
        const { topic, partition, leader, replicas, inSyncReplicas } = item;
        const compared = JSON.stringify({ leader, replicas, inSyncReplicas });
        return { ...NO_COLUMNS, ...itemColumns('partition', `${topic}/${partition}`, item), parent: topic, compared };
      });
    case 'groups':
      return added.items.map((item) => ({
        ...NO_COLUMNS,
        ...itemColumns('group', item.groupId, item),
        size: item.members ?? -1,
      }));
    case 'offsets':
      return added.items.map((item) => {
        const { groupId, topic, partition, offset } = item;
        const columns = itemColumns('offset', `${groupId} ${topic}/${partition}`, item);
        return { ...NO_COLUMNS, ...columns, parent: groupId, compared: String(offset) };
      });
  }
}

function topicItem(item: InventoryTopic): ItemRow {
  const { name, topicId, isInternal, partitions, replicationFactor, underReplicated, records, configs } = item;
  const settings = configs && Object.entries(configs).toSorted(([a], [b]) => (a < b ? -1 : 1));
  return {
    ...itemColumns('topic', name, item),
    compared: JSON.stringify({ topicId, partitions, replicationFactor, underReplicated, settings }),
    partitions,
    replication_factor: replicationFactor,
    under_replicated: underReplicated,
    size: records ?? -1,
    is_internal: flag(isInternal),
  };
}

function itemColumns(
  kind: string,
  name: string,
  item: object,
): Pick<ItemRow, 'kind' | 'name' | 'parent' | 'item' | 'compared'> {
  const text = JSON.stringify(item);
  return { kind, name, parent: '', item: text, compared: text };
}
