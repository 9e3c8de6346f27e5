/** Whether a record was rightly left out, or copied: the condition of the file, asked again of the source's record. */
import { assert } from '#util/assert.ts';
import { compileCondition, ConditionError, type RecordCondition } from '#contract/record-condition.ts';
import type { StatedCondition } from '#contract/resources.ts';
import type { RecordFields } from './record-cursor.ts';

/** A condition that a mirror's file had, from a source offset on; null: none. */
export interface ConditionSince {
  readonly from: number;
  readonly condition: string | null;
  readonly onError: StatedCondition['onError'];
}

export type FilterVerdict = 'copied' | 'left-out' | 'undecided';

export class StatedFilter {
  readonly #stated: StatedCondition | null;
  readonly #condition: RecordCondition | null;
  readonly #place: { readonly topic: string; readonly partition: number };

  /** `stated`: as the file has it now; null where it has none. */
  constructor(stated: StatedCondition | null, place: { readonly topic: string; readonly partition: number }) {
    this.#stated = stated;
    this.#place = place;
    const compiled = stated && compileCondition(stated.condition);
    assert(!compiled || 'value' in compiled, 'conditions are compiled only after their file has been accepted');
    this.#condition = compiled ? compiled.value : null;
  }

  /** Whether it is the one that was in force: a file may have been changed since. */
  is({ condition, onError }: Pick<ConditionSince, 'condition' | 'onError'>): boolean {
    if (this.#stated === null || condition === null) return this.#stated === null && condition === null;
    return this.#stated.condition === condition && this.#stated.onError === onError;
  }

  /** What has to become of a record. */
  verdictOn({ key, value, headers }: RecordFields, timestamp: number): FilterVerdict {
    if (!this.#condition) return 'copied';
    try {
      const facts = { ...this.#place, key, headers, valueBytes: value?.length ?? null, timestamp };
      return this.#condition(facts) ? 'copied' : 'left-out';
    } catch (error) {
      if (!(error instanceof ConditionError)) throw error;
      return this.#stated?.onError === 'deliver' ? 'copied' : 'undecided';
    }
  }
}

const NONE: ConditionSince = { from: 0, condition: null, onError: 'stop' };

/** Of conditions in the order of their offsets. */
export function conditionAt(conditions: readonly ConditionSince[], offset: number): ConditionSince {
  return conditions.findLast(({ from }) => from <= offset) ?? NONE;
}
