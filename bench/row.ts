/** Results of one condition, system by system: what compares. */
import { conditionOf, type Condition } from './cell.ts';
import type { FigureName } from './figure.ts';
import { latestResults, type CellResult } from './result.ts';
import { spreadOf, type Spread } from './statistics.ts';

export interface Row {
  readonly condition: Condition;
  /** By system, the last result of each of its runs. */
  readonly systems: ReadonlyMap<string, readonly CellResult[]>;
}

/** In the order of the results. Only the newest sources count in a row: figures of others do not compare with them. */
export function rowsOf(results: readonly CellResult[]): Row[] {
  const groups = Map.groupBy(latestResults(results), ({ cell }) => conditionOf(cell));
  return [...groups.values()].flatMap((group) => {
    const newest = group.reduce((last, each) => (each.at > last.at ? each : last));
    const current = group.filter(({ sources }) => sources === newest.sources);
    const { system: _system, run: _run, ...condition } = newest.cell;
    return [{ condition, systems: Map.groupBy(current, ({ cell }) => cell.system) }];
  });
}

/** Of what was measured; null when nothing of it was. */
export function spreadIn(row: Row, system: string, figure: FigureName): Spread | null {
  const values = (row.systems.get(system) ?? []).flatMap(({ state, figures }) =>
    state === 'measured' && figures[figure] !== undefined ? [figures[figure]] : [],
  );
  return spreadOf(values);
}
