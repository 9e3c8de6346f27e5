/** Which records of a topic a mirror leaves out, by conditions (contract/record-condition.ts). */
import { ConditionError, type RecordCondition, type RecordFacts } from '#contract/record-condition.ts';
import type { BatchRecord } from '#kafka/records/open-batch.ts';

interface FilterOptions {
  /** Of whose records it is asked. */
  readonly place?: { readonly topic: string; readonly partition: number };
  /** Names the first condition in the ledger, the next number the second. */
  readonly firstRule?: number;
  /** A record of which a condition says neither yes nor no is copied, instead of stopping the partition. */
  readonly deliversOnError?: boolean;
}

/** What a filter says of a record that is not copied. */
export type Verdict =
  | { readonly kind: 'filtered'; readonly rule: number }
  | { readonly kind: 'undecided'; readonly rule: number; readonly why: string };

export class RecordFilter {
  readonly #conditions: readonly RecordCondition[];
  readonly #place: { readonly topic: string; readonly partition: number };
  readonly #firstRule: number;
  readonly #deliversOnError: boolean;

  /** A record is copied where all conditions hold. */
  constructor(conditions: readonly RecordCondition[], options: FilterOptions = {}) {
    this.#conditions = conditions;
    this.#place = options.place ?? { topic: '', partition: 0 };
    this.#firstRule = options.firstRule ?? 0;
    this.#deliversOnError = options.deliversOnError ?? false;
  }

  /** By the first condition that does not hold; null for a record that is copied. */
  verdictOn({ key, headers, value, timestamp }: BatchRecord): Verdict | null {
    const facts = { ...this.#place, key, headers, valueBytes: value?.length ?? null, timestamp };
    for (const [index, condition] of this.#conditions.entries()) {
      const rule = this.#firstRule + index;
      const held = this.#ask(condition, facts);
      if (held === true) continue;
      return held === false ? { kind: 'filtered', rule } : { kind: 'undecided', rule, why: held };
    }
    return null;
  }

  /** Why not, where it says neither yes nor no. */
  #ask(condition: RecordCondition, facts: RecordFacts): boolean | string {
    try {
      return condition(facts);
    } catch (error) {
      if (!(error instanceof ConditionError)) throw error;
      return this.#deliversOnError || error.message;
    }
  }
}
