/**
 * Which records a mirror leaves out, by conditions on what a record says about itself. The conditions come compiled: the
 * language in which files will state them (CEL) is not built yet, and a file that has them is refused.
 */
import type { BatchRecord } from '#kafka/records/open-batch.ts';

/** What a condition may look at. Never the value: that is the business of who reads it. */
export interface RecordFacts {
  readonly key: Buffer | null;
  readonly headers: BatchRecord['headers'];
  /** Null for a deletion. */
  readonly valueBytes: number | null;
  /** Milliseconds. */
  readonly timestamp: number;
}

/** True for a record that is copied. The same answer for the same record, always: what it said is never asked again. */
export type RecordCondition = (record: RecordFacts) => boolean;

export class RecordFilter {
  readonly #conditions: readonly RecordCondition[];

  /** A record is copied where all of them hold. Their indexes name them in the ledger. */
  constructor(conditions: readonly RecordCondition[]) {
    this.#conditions = conditions;
  }

  /** Index of the first condition that does not hold; null for a record that is copied. */
  ruleAgainst({ key, headers, value, timestamp }: BatchRecord): number | null {
    const facts = { key, headers, valueBytes: value?.length ?? null, timestamp };
    const index = this.#conditions.findIndex((condition) => !condition(facts));
    return index < 0 ? null : index;
  }
}
