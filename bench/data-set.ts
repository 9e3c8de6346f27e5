/** What is copied: records of one size in batches of one size in one codec. */
import type { Codec } from '#testing/workload.ts';

export interface DataSet {
  /** `n1k_16`: codec (none, lz4, zstd), bytes of a value, `_`, KB of a batch; `_1` is one record a batch, `_1m` 1 MB. */
  readonly name: string;
  readonly description: string;
  readonly codec: Codec;
  readonly valueBytes: number;
  /** The producer's batch.size; null: one record a batch. */
  readonly batchBytes: number | null;
  /** Value, key and the record's own fields: what a gigabyte is counted in, compressed or not, so that codecs compare. */
  readonly recordBytes: number;
}

/** Keys such as `key-12345`, lengths and deltas, in round figures. */
const BESIDE_VALUE_BYTES = 16;

const codecsByLetter = { n: 'none', l: 'lz4', z: 'zstd' } as const satisfies Record<string, Codec>;
const valuesBySize = { '100': 100, '1k': 1_024, '10k': 10_240 } as const;
const batchesBySize = { '1': null, '4': 4_096, '16': 16_384, '64': 65_536, '1m': 1_048_576 } as const;

const descriptionOfValue = { '100': '100 B', '1k': '1 KB', '10k': '10 KB' } as const;

/** Throws for a name that is none. */
export function dataSetOf(name: string): DataSet {
  const [, letter = '', size = '', batch = ''] = /^([nlz])(100|1k|10k)_(1|4|16|64|1m)$/.exec(name) ?? [];
  if (!isKey(codecsByLetter, letter) || !isKey(valuesBySize, size) || !isKey(batchesBySize, batch))
    throw new Error(`'${name}' is no data set; one is called like n1k_16: [nlz] (100|1k|10k) _ (1|4|16|64|1m)`);
  const [codec, valueBytes, batchBytes] = [codecsByLetter[letter], valuesBySize[size], batchesBySize[batch]];
  const packing = batchBytes === null ? 'one a batch' : `in ${batch === '1m' ? '1 MB' : `${batch} KB`} batches`;
  return {
    name,
    description: `${descriptionOfValue[size]} records, ${packing}, ${codec === 'none' ? 'uncompressed' : codec}`,
    codec,
    valueBytes,
    batchBytes,
    recordBytes: valueBytes + BESIDE_VALUE_BYTES,
  };
}

/** The rows of design §9 and of the goals. */
export const coreDataSets: readonly string[] = ['n1k_16', 'n1k_1m', 'l1k_64', 'z1k_64', 'n100_16', 'n1k_1', 'z1k_1'];

/** All codecs, sizes and batches that a record fits into more than once, or alone. */
export const allDataSets: readonly string[] = Object.keys(codecsByLetter).flatMap((letter) =>
  Object.entries(valuesBySize).flatMap(([size, valueBytes]) =>
    Object.entries(batchesBySize)
      .filter(([, batchBytes]) => batchBytes === null || batchBytes >= valueBytes)
      .map(([batch]) => `${letter}${size}_${batch}`),
  ),
);

/** What the broker holds of a topic. */
export interface BatchSizes {
  /** Looked at. */
  readonly batches: number;
  readonly bytesMedian: number;
  readonly bytesMax: number;
  readonly recordsMedian: number;
  /** Logical bytes for each byte in the log. */
  readonly compression: number;
}

function isKey<T extends object>(table: T, key: string): key is Extract<keyof T, string> {
  return Object.hasOwn(table, key);
}
