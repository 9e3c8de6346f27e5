/**
 * `npm run bench`: mirrors between two single-node clusters on this machine, each system in its turn. Prints tables and
 * whether the goals are met; exit 1 when a cell failed, with --strict when a goal is not met, in a smoke when a figure
 * is missing or not of this world.
 */
import { setup } from '../scripts/setup.ts';
import { cellId, cellKinds, type Cell } from './cell.ts';
import { implausible } from './figure.ts';
import { formatVerdicts, judge } from './goal.ts';
import { goals } from './goals.ts';
import { describeMachine, formatMachine } from './machine.ts';
import { named, parseOptions, USAGE, type Options } from './options.ts';
import { formatLoad, formatTable, formatUnmeasured } from './report.ts';
import { appendResult, dueCells, readResults, type CellResult } from './result.ts';
import { currentRevision } from './revision.ts';
import { rowsOf, type Row } from './row.ts';
import { runCells } from './runner.ts';
import { cellsOf } from './suite.ts';

process.exitCode = await main(process.argv.slice(2));

async function main(args: readonly string[]): Promise<number> {
  let options: Options | null;
  try {
    options = parseOptions(args);
  } catch (error) {
    process.stderr.write(`${error instanceof Error ? error.message : String(error)}\n${USAGE}`);
    return 2;
  }
  if (!options) {
    process.stdout.write(USAGE);
    return 0;
  }
  return bench(options);
}

async function bench(options: Options): Promise<number> {
  const { suites, choice, systems, again, resultsFile } = options;
  const revision = currentRevision();
  const cells = cellsOf(suites, choice);
  const due = dueCells(cells, readResults(resultsFile), { sources: revision.sources, again });
  say(`${cells.length} cells, ${cells.length - due.length} have a result of these sources already; ${resultsFile}`);
  if (options.isList) {
    for (const cell of due) say(cellId(cell));
    return 0;
  }
  say(`${formatMachine(describeMachine())}; commit ${revision.commit}`);
  for (const name of new Set(cells.map(({ system }) => system))) say(`${name}: ${named(systems, name).description}`);
  if (due.length > 0) await setup({ versions: ['4.3.1'] });
  const keep = (result: CellResult): void => appendResult(resultsFile, result);
  const now = await runCells(due, { systems, revision, keep, say });
  return report(resultsOf(cells, readResults(resultsFile)), now, options);
}

/** Also what was measured before: the tables are of all cells of the suites. */
function resultsOf(cells: readonly Cell[], results: readonly CellResult[]): CellResult[] {
  const ids = new Set(cells.map(cellId));
  return results.filter(({ cell }) => ids.has(cellId(cell)));
}

function report(results: readonly CellResult[], now: readonly CellResult[], { suites, isStrict }: Options): number {
  const rows = rowsOf(results);
  say(
    '\nmedian (least–most); CPU-seconds and wall from 5 % of the records on the target to the last; GB = 10^9 logical bytes',
  );
  for (const kind of cellKinds) sayTable(rows.filter(({ condition }) => condition.kind === kind));
  say(`\n${formatUnmeasured(rows)}\n${formatLoad(results)}\n`);
  const isSmoke = suites.every((suite) => suite === 'smoke');
  const verdicts = isSmoke ? [] : judge(goals, rows);
  say(formatVerdicts(verdicts));
  const failed = now.filter(({ state }) => state === 'failed');
  if (failed.length > 0) say(`${failed.length} cell(s) failed, see above`);
  const strange = suites.includes('smoke') ? strangeFigures(now) : [];
  for (const line of strange) say(line);
  const isMissed = isStrict && verdicts.some(({ state }) => state === 'not met');
  return failed.length > 0 || strange.length > 0 || isMissed ? 1 : 0;
}

function sayTable(rows: readonly Row[]): void {
  if (rows.length > 0) say(`\n${formatTable(rows)}`);
}

/** Of what was measured; the size of a figure is not judged. */
function strangeFigures(results: readonly CellResult[]): string[] {
  return results.flatMap(({ cell, state, figures }) =>
    state === 'measured'
      ? implausible(cell.kind, figures, { hasBrokers: cell.system !== 'relay' }).map(
          (what) => `${cellId(cell)}: ${what}`,
        )
      : [],
  );
}

function say(line: string): void {
  process.stdout.write(`${line}\n`);
}
