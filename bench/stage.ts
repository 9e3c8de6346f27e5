/** What the cells of one condition share: clusters, data. */
import type { Cell } from './cell.ts';
import type { CellResult } from './result.ts';
import type { System } from './system.ts';

export interface Stage {
  /** Rejects when the cell fails. */
  run(cell: Cell, system: System): Promise<Found>;
  close(): Promise<void>;
}

/** What a stage finds of a cell. */
export type Found = Pick<CellResult, 'figures' | 'data' | 'compared'>;

export interface StageOptions {
  /** Whether a system goes to encrypted listeners. */
  readonly hasTls: boolean;
  readonly say: (line: string) => void;
}
