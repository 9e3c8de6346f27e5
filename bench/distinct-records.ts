/** What a partition holds of records that were numbered by their keys (`key-0`, `key-1` …), whatever else came twice. */
import { RawReader } from '#testing/raw-reader.ts';
import { partitionsUpTo } from '#testing/workload.ts';

export interface Account {
  /** In the logs, whatever they are. */
  readonly records: number;
  /** Of those that were written to the source. */
  readonly lost: number;
  readonly duplicates: number;
}

/** `recordsPerPartition` were written to each partition of the source, with numbers below `keys`. Throws for another key. */
export async function accountOf(
  bootstrap: readonly string[],
  topic: string,
  written: { readonly partitions: number; readonly recordsPerPartition: number; readonly keys: number },
): Promise<Account> {
  const { partitions, recordsPerPartition, keys } = written;
  const reader = new RawReader(bootstrap);
  let [records, distinct] = [0, 0];
  try {
    for (const partition of partitionsUpTo(partitions)) {
      const { logStart, highWatermark } = await reader.bounds(topic, partition);
      const tally = new KeyTally(keys);
      for await (const batch of reader.batches(topic, partition, { from: logStart, to: highWatermark }))
        if (!batch.isControl) for (const { key } of batch.records()) tally.add(key);
      records += tally.records;
      distinct += tally.distinct;
    }
  } finally {
    reader.close();
  }
  return { records, lost: recordsPerPartition * partitions - distinct, duplicates: records - distinct };
}

export class KeyTally {
  records = 0;
  distinct = 0;
  readonly #seen: Uint8Array;

  /** Keys are `key-N` with N below `count`. */
  constructor(count: number) {
    this.#seen = new Uint8Array(count);
  }

  add(key: Buffer | null): void {
    const number = Number(/^key-(\d+)$/.exec(key?.toString('latin1') ?? '')?.[1] ?? NaN);
    if (!(number < this.#seen.length)) throw new Error(`a record with key ${String(key)} was never written`);
    this.records += 1;
    if (this.#seen[number]) return;
    this.#seen[number] = 1;
    this.distinct += 1;
  }
}
