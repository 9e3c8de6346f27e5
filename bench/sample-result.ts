/** A result for tests. */
import type { Cell } from './cell.ts';
import type { CellResult } from './result.ts';

export function resultOf(cell: Partial<Cell>, more: Partial<Omit<CellResult, 'cell'>> = {}): CellResult {
  return {
    cell: { kind: 'copy', dataSet: 'n1k_16', partitions: 8, gigabytes: 1, system: 'lockstep', run: 1, ...cell },
    state: 'measured',
    reason: null,
    figures: {},
    at: '2026-01-01T00:00:00.000Z',
    commit: 'abc',
    sources: 'one',
    machine: { cpu: 'x', cores: 2, memoryGib: 8, kernel: '6', node: '24', java: '17', go: null },
    load: 0,
    ...more,
  };
}
