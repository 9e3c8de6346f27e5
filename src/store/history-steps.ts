/**
 * Figures are kept in steps of these lengths, each a multiple of the one before, and made from it while that is still there
 * (`rollUp`). What of a step is still there is known, so a reader takes the finest that reaches back far enough.
 */
import { sql } from 'kysely';
import { assert, must } from '#util/assert.ts';
import { readFact, writeFact } from './facts.ts';
import type { Retention } from './maintenance.ts';
import type { Scope } from './scope.ts';

const SECOND = 1000;
const MINUTE = 60 * SECOND;
const HOUR = 60 * MINUTE;
const DAY = 24 * HOUR;

export const historySteps = [10 * SECOND, MINUTE, 10 * MINUTE, HOUR, DAY] as const;

export const FINEST = historySteps[0];

/** Per step: up to when it is complete, and from when on it is still there. */
export interface StepState {
  readonly stepMs: number;
  readonly rolledUntil: number;
  readonly keptFrom: number;
}

type States = Readonly<Record<string, Omit<StepState, 'stepMs'>>>;

const FACT = 'history-steps';

export async function readSteps(scope: Scope): Promise<readonly StepState[]> {
  const states = await readFact<States>(scope, FACT, {});
  return historySteps.map((stepMs) => ({ stepMs, ...(states[stepMs] ?? { rolledUntil: 0, keptFrom: 0 }) }));
}

async function writeSteps(scope: Scope, steps: readonly StepState[]): Promise<void> {
  const states = Object.fromEntries(steps.map(({ stepMs, ...state }) => [stepMs, state]));
  await writeFact(scope, FACT, states);
}

export function beginOf(at: number, stepMs: number): number {
  return Math.floor(at / stepMs) * stepMs;
}

/** Each step anew from the finer one, from the last that was not over then. */
export async function rollUpSteps(scope: Scope): Promise<void> {
  const { db, now } = scope;
  const steps = await readSteps(scope);
  const rolled: StepState[] = [];
  for (const [i, step] of steps.entries()) {
    const finer = steps[i - 1];
    if (finer === undefined) {
      rolled.push({ ...step, rolledUntil: now });
      continue;
    }
    const from = beginOf(step.rolledUntil, step.stepMs);
    const begin = sql<number>`(at / ${sql.lit(step.stepMs)}) * ${sql.lit(step.stepMs)}`;
    await db
      .insertInto('metric_points')
      .columns(['series_id', 'step_ms', 'at', 'weight', 'sum', 'min', 'max'])
      .expression(
        db
          .selectFrom('metric_points')
          .select(['series_id', sql<number>`${sql.lit(step.stepMs)}`.as('step_ms'), begin.as('begin')])
          .select((build) => [
            build.fn.sum<number>('weight').as('weight'),
            build.fn.sum<number>('sum').as('sum'),
            build.fn.min('min').as('min'),
            build.fn.max('max').as('max'),
          ])
          .where('step_ms', '=', finer.stepMs)
          .where('at', '>=', from)
          .groupBy(['series_id', begin]),
      )
      .onConflict((existing) =>
        existing.columns(['series_id', 'step_ms', 'at']).doUpdateSet((build) => ({
          weight: build.ref('excluded.weight'),
          sum: build.ref('excluded.sum'),
          min: build.ref('excluded.min'),
          max: build.ref('excluded.max'),
        })),
      )
      .execute();
    rolled.push({ ...step, rolledUntil: now });
  }
  await writeSteps(scope, rolled);
}

/**
 * Takes away what is older than `keep` says, but nothing from which a coarser step has still to be made. At most `rowsMax`
 * rows; true: there is more.
 */
export async function pruneSteps(scope: Scope, keep: Retention['history'], rowsMax: number): Promise<boolean> {
  const { db, now } = scope;
  const steps = await readSteps(scope);
  for (const { stepMs } of keep)
    assert((historySteps as readonly number[]).includes(stepMs), `${stepMs} ms is a step of the history`);
  let isMore = false;
  const pruned: StepState[] = [];
  for (const [i, step] of steps.entries()) {
    const keepMs = must(
      keep.find(({ stepMs }) => stepMs === step.stepMs),
      `how long steps of ${step.stepMs} ms are kept`,
    ).keepMs;
    const coarser = steps[i + 1];
    const needed = coarser ? beginOf(coarser.rolledUntil, coarser.stepMs) : now;
    const before = beginOf(Math.min(now - keepMs, needed), step.stepMs);
    const old = db
      .selectFrom('metric_points')
      .select(['series_id', 'step_ms', 'at'])
      .where('step_ms', '=', step.stepMs)
      .where('at', '<', before)
      .limit(rowsMax);
    const { numDeletedRows } = await db
      .deleteFrom('metric_points')
      .where((build) =>
        build(build.refTuple('series_id', 'step_ms', 'at'), 'in', old.$asTuple('series_id', 'step_ms', 'at')),
      )
      .executeTakeFirst();
    if (numDeletedRows >= BigInt(rowsMax)) isMore = true;
    pruned.push({ ...step, keptFrom: Math.max(step.keptFrom, before) });
  }
  await writeSteps(scope, pruned);
  return isMore;
}
