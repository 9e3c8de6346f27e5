/** Runs cells, those of one condition on one pair of clusters, and keeps the result of each as soon as it is there. */
import { byCondition, conditionOf, type Cell, type Condition } from './cell.ts';
import { openCopyStage } from './copy-stage.ts';
import type { Figures } from './figure.ts';
import { openIdleStage } from './idle-stage.ts';
import { openKillStage } from './kill-stage.ts';
import { openLiveStage } from './live-stage.ts';
import { describeMachine, loadNow } from './machine.ts';
import { named } from './options.ts';
import { formatResult } from './report.ts';
import type { CellResult } from './result.ts';
import type { Revision } from './revision.ts';
import type { Stage, StageOptions } from './stage.ts';
import type { System } from './system.ts';

export interface RunnerOptions {
  readonly systems: readonly System[];
  readonly revision: Revision;
  readonly keep: (result: CellResult) => void;
  readonly say: (line: string) => void;
}

/** A cell that fails, or cannot be run, has a result that says so; the next one runs all the same. */
export async function runCells(cells: readonly Cell[], options: RunnerOptions): Promise<CellResult[]> {
  const results: CellResult[] = [];
  const machine = describeMachine();
  const finish = (cell: Cell, found: Outcome): void => {
    const { figures, ...rest } = found;
    const result = { cell, ...rest, figures: rounded(figures), ...options.revision, machine };
    results.push(result);
    options.keep(result);
    options.say(formatResult(result));
  };
  const unavailable = await unavailableSystems(cells, options.systems);
  for (const group of byCondition(cells)) {
    options.say(`\n${conditionOf(group[0] as Cell)}`);
    const able = group.filter((cell) => {
      const reason = unavailable.get(cell.system);
      if (reason !== undefined) finish(cell, notMeasured('not run', reason));
      return reason === undefined;
    });
    if (able.length > 0) await runCondition(able, options, finish);
  }
  return results;
}

type Outcome = Pick<CellResult, 'state' | 'reason' | 'figures' | 'data' | 'compared' | 'at' | 'load'>;

/** By system, why it cannot run. Each is made ready before anything is measured. */
async function unavailableSystems(cells: readonly Cell[], systems: readonly System[]): Promise<Map<string, string>> {
  const found = new Map<string, string>();
  for (const name of new Set(cells.map(({ system }) => system))) {
    const reason = await named(systems, name).prepare?.();
    if (reason) found.set(name, reason);
  }
  return found;
}

async function runCondition(
  cells: readonly Cell[],
  { systems, say }: RunnerOptions,
  finish: (cell: Cell, outcome: Outcome) => void,
): Promise<void> {
  const hasTls = cells.some(({ system }) => named(systems, system).isOverTls);
  let stage: Stage;
  try {
    stage = await openStage(cells[0] as Cell, { hasTls, say });
  } catch (error) {
    for (const cell of cells) finish(cell, notMeasured('failed', `clusters and data: ${messageOf(error)}`));
    return;
  }
  try {
    for (const cell of cells) finish(cell, await runCell(stage, cell, named(systems, cell.system)));
  } finally {
    await stage.close();
  }
}

async function runCell(stage: Stage, cell: Cell, system: System): Promise<Outcome> {
  const [at, load] = [new Date().toISOString(), loadNow()];
  try {
    return { state: 'measured', reason: null, ...(await stage.run(cell, system)), at, load };
  } catch (error) {
    return { ...notMeasured('failed', messageOf(error)), at, load };
  }
}

function notMeasured(state: 'failed' | 'not run', reason: string): Outcome {
  return { state, reason, figures: {}, at: new Date().toISOString(), load: loadNow() };
}

function openStage(condition: Condition, options: StageOptions): Promise<Stage> {
  switch (condition.kind) {
    case 'copy':
      return openCopyStage(condition, options);
    case 'latency':
    case 'catch-up':
    case 'soak':
    case 'dead-target':
      return openLiveStage(condition, options);
    case 'kill':
      return openKillStage(condition, options);
    case 'idle':
      return openIdleStage(condition, options);
  }
}

/** More digits than these say nothing. */
function rounded(figures: Figures): Figures {
  return Object.fromEntries(Object.entries(figures).map(([name, value]) => [name, Number(value.toPrecision(5))]));
}

function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
