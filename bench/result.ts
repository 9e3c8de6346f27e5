/** What became of cells: lines of JSON, one for each time that a cell was run. A file of them is only ever added to. */
import { appendFileSync, existsSync, mkdirSync, readFileSync } from 'node:fs';
import { dirname } from 'node:path';
import { cellId, type Cell } from './cell.ts';
import type { BatchSizes } from './data-set.ts';
import type { Figures } from './figure.ts';
import type { Machine } from './machine.ts';

export interface CellResult {
  readonly cell: Cell;
  /** `not run`: the system cannot be started here; `failed`: it was, and did not do what it has to. */
  readonly state: 'measured' | 'failed' | 'not run';
  /** Why it was not measured; null where it was. */
  readonly reason: string | null;
  readonly figures: Figures;
  /** What was copied, as the source holds it; absent where records are written meanwhile. */
  readonly data?: { readonly records: number; readonly gigabytes: number; readonly batches: BatchSizes };
  /** How the copy was compared with the source. */
  readonly compared?: 'counts' | 'record by record' | 'bytes';
  /** ISO 8601, when the cell began. */
  readonly at: string;
  readonly commit: string;
  /** Digest of the sources as they were (revision.ts). */
  readonly sources: string;
  readonly machine: Machine;
  /** Load average of the last minute when the cell began: what else was running. */
  readonly load: number;
}

/** In the order of the file; none when there is no file. */
export function readResults(path: string): CellResult[] {
  if (!existsSync(path)) return [];
  const lines = readFileSync(path, 'utf8').split('\n');
  return lines.filter((line) => line !== '').map((line) => JSON.parse(line) as CellResult);
}

export function appendResult(path: string, result: CellResult): void {
  mkdirSync(dirname(path), { recursive: true });
  appendFileSync(path, `${JSON.stringify(result)}\n`);
}

/** Those that have not been measured with these sources, unless `again`. */
export function dueCells(
  cells: readonly Cell[],
  results: readonly CellResult[],
  options: { readonly sources: string; readonly again: boolean },
): Cell[] {
  if (options.again) return [...cells];
  const done = new Set(
    results.flatMap(({ cell, state, sources }) =>
      state === 'measured' && sources === options.sources ? [cellId(cell)] : [],
    ),
  );
  return cells.filter((cell) => !done.has(cellId(cell)));
}

/** The last result of each cell, in the order in which cells first came. */
export function latestResults(results: readonly CellResult[]): CellResult[] {
  return [...new Map(results.map((result) => [cellId(result.cell), result])).values()];
}
