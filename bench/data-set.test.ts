import { expect, test } from 'vitest';
import { allDataSets, coreDataSets, dataSetOf } from './data-set.ts';

test('a name says codec, record and batch', () => {
  expect(dataSetOf('z100_1m')).toMatchObject({
    codec: 'zstd',
    valueBytes: 100,
    batchBytes: 1_048_576,
    recordBytes: 116,
  });
  expect(dataSetOf('l10k_64').description).toBe('10 KB records, in 64 KB batches, lz4');
  expect(dataSetOf('n1k_1')).toMatchObject({ codec: 'none', valueBytes: 1024, batchBytes: null });
  expect(() => dataSetOf('n1k_17')).toThrow('no data set');
});

test('the core is part of the matrix, which has no batch that one record overfills', () => {
  expect(allDataSets).toEqual(expect.arrayContaining([...coreDataSets]));
  expect(allDataSets).not.toContain('n10k_4');
  expect(allDataSets).toHaveLength(42);
});
