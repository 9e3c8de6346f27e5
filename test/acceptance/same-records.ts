/** What Kafka's own consumer reads on both sides, also of aborted transactions: nothing may differ. */
import { expect } from 'vitest';
import { compareWithJava, formatDifferences } from '#testing/java-reader.ts';
import type { ComparisonRequest } from '#testing/java-reader.ts';

export async function expectSameRecords(sides: Pick<ComparisonRequest, 'source' | 'target' | 'topics'>): Promise<void> {
  const differences = await compareWithJava({ ...sides, isolation: 'read_uncommitted', timestamps: 'equal' });
  expect(differences, formatDifferences(differences)).toEqual([]);
}
