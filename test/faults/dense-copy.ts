/** Where offsets are mapped: what read_committed readers of the source see lies on the target, in its order, and nothing else. */
import { expect } from 'vitest';
import type { PartitionHistory } from '#testing/checker/history.ts';
import { readHistories } from '#testing/checker/read-history.ts';
import { must } from '#util/assert.ts';
import type { ClusterPair } from './mirror-under-test.ts';

/** Of topics to which nobody else writes. Returns the number of records; does not look at any map. */
export async function expectDenseCopies({ source, target }: ClusterPair, topics: readonly string[]): Promise<number> {
  let records = 0;
  for (const topic of topics) {
    const [from, to] = [await readHistories(source.bootstrap, topic), await readHistories(target.bootstrap, topic)];
    for (const history of from) {
      const [expected, copied] = [delivered(history), delivered(must(to[history.partition], 'target partition'))];
      const differsAt = expected.findIndex(
        (record, at) => record.id !== copied[at]?.id || record.timestamp !== copied[at]?.timestamp,
      );
      const place = `${topic}/${history.partition}`;
      expect(differsAt, `${place}: the first delivered record of the source that is not on the target`).toBe(-1);
      expect(copied.length, `${place}: records on the target`).toBe(expected.length);
      records += expected.length;
    }
  }
  expect(records, 'records were compared').toBeGreaterThan(0);
  return records;
}

function delivered({ entries }: PartitionHistory): { readonly id: number; readonly timestamp: number }[] {
  const records = [];
  for (let at = 0; at < entries.length; at++)
    if (entries.fate(at) === 'delivered') {
      const { id, timestamp } = entries.at(at);
      records.push({ id, timestamp });
    }
  return records;
}
