/** What a fault came to in numbers, read from what its checks said of it. */
import type { FaultResult } from './results.ts';

export interface FaultCounts {
  /** That a checker has found equal on both sides. */
  readonly records: number;
  /** A fault with a difference that is not meant does not pass. */
  readonly differences: number;
  /** Processes, brokers or mirrors, that were ended with SIGKILL; null where a result is older than the count. */
  readonly kills: number | null;
  /** Codes of the incidents that had to be raised, each as often. */
  readonly expected: readonly string[];
  readonly raised: readonly string[];
}

/** Of parts that fail where a rule is switched off: their differences are what the fault is to show. */
const MEANT = /^not identical, as it must be/;
const INCIDENT = /\b(?:CLUSTER|SHARD|TOPIC|STATE|GROUP|PERMISSION|MIRROR|CONFIG)_[A-Z_]+[A-Z]\b/g;

/** Null for one that has not passed: nothing is known of it. */
export function countsOf(result: FaultResult | null): FaultCounts | null {
  if (result?.state !== 'passed') return null;
  const { outcomes, kills = null, expected } = result;
  const judged = outcomes.filter((text) => !MEANT.test(text));
  const records = judged.reduce((sum, text) => sum + Number(/([\d]+) records/.exec(text)?.[1] ?? 0), 0);
  const raised = judged.flatMap((text) => text.match(INCIDENT) ?? []);
  // Its checks have compared the codes; a difference would have failed it.
  return { records, differences: 0, kills, expected: expected ?? raised, raised };
}

/** Values of a figure of this name, over all faults that passed. */
export function figuresOf(results: readonly (FaultResult | null)[], name: string): number[] {
  return results.flatMap((result) =>
    result?.state === 'passed'
      ? result.figures.flatMap(([label, value]) => (label === name && typeof value === 'number' ? [value] : []))
      : [],
  );
}
