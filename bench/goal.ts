/** A bound that a figure is held to, and how far from it the figure is. */
import { conditionOf, type Condition } from './cell.ts';
import type { FigureName } from './figure.ts';
import { spreadIn, type Row } from './row.ts';

/** What is compared; the string says why it cannot be. */
export type Reading = number | string;

export interface Goal {
  /** What has to be so, as the bound is read: `mirror CPU-s/GB of MM2 tuned, at most 1/12`. */
  readonly text: string;
  readonly appliesTo: (condition: Condition) => boolean;
  /** Where this system did not take part either, there is nothing to say. Default: lockstep. */
  readonly system?: string;
  readonly read: (row: Row, rows: readonly Row[]) => Reading;
  readonly bound: number;
  readonly isUpper: boolean;
}

export interface Verdict {
  /** `copy n1k_16 8p 0.5GB` */
  readonly condition: string;
  readonly text: string;
  readonly state: 'met' | 'not met' | 'not measured';
  /** What was found, and how far it is from the bound; or why nothing was. */
  readonly found: string;
}

export const OURS = 'lockstep';

/** The median of a figure of one system. */
export function medianIn(row: Row, system: string, figure: FigureName): Reading {
  return spreadIn(row, system, figure)?.median ?? `${system} has no ${figure}${reasonOf(row, system)}`;
}

function reasonOf(row: Row, system: string): string {
  const results = row.systems.get(system) ?? [];
  const reason = results.find(({ state }) => state !== 'measured');
  return reason ? ` (${reason.state}: ${reason.reason?.split('\n')[0]})` : '';
}

/** Ours divided by that of another system in the same row. */
export function ratioTo(row: Row, other: string, figure: FigureName, ours = OURS): Reading {
  return quotient(medianIn(row, ours, figure), medianIn(row, other, figure));
}

export function quotient(above: Reading, below: Reading): Reading {
  if (typeof above === 'string') return above;
  if (typeof below === 'string') return below;
  return below > 0 ? above / below : 'the other figure is 0';
}

/** Of every row that a goal is about, in the order of the goals. */
export function judge(goals: readonly Goal[], rows: readonly Row[]): Verdict[] {
  return goals.flatMap((goal) =>
    rows
      .filter(({ condition, systems }) => goal.appliesTo(condition) && systems.has(goal.system ?? OURS))
      .map((row): Verdict => {
        const base = { condition: conditionOf(row.condition), text: goal.text };
        const reading = goal.read(row, rows);
        if (typeof reading === 'string') return { ...base, state: 'not measured', found: reading };
        const isMet = goal.isUpper ? reading <= goal.bound : reading >= goal.bound;
        return { ...base, state: isMet ? 'met' : 'not met', found: foundText(reading, goal) };
      }),
  );
}

function foundText(reading: number, { bound, isUpper }: Goal): string {
  const isFraction = bound > 0 && bound < 1;
  const shown = isFraction && reading > 0 ? `1/${(1 / reading).toFixed(1)}` : reading.toFixed(2);
  if (bound === 0 || reading <= 0) return shown;
  const times = isUpper ? bound / reading : reading / bound;
  return times >= 1
    ? `${shown}, ${times.toFixed(2)} × better than the bound`
    : `${shown}, ${(1 / times).toFixed(2)} × beyond the bound`;
}

export function formatVerdicts(verdicts: readonly Verdict[]): string {
  return verdicts
    .map(({ state, condition, text, found }) => `${state.padEnd(12)}  ${condition}: ${text}: ${found}`)
    .join('\n');
}
