/** What `lockstep ledger` prints of a partition: what became of each source offset, and where its record lies. */
import type { DispositionKind, DispositionRun } from './disposition-ledger.ts';
import type { OffsetRun } from './offset-map.ts';

export interface ExportedLedger {
  readonly mirror: string;
  readonly sourceTopic: string;
  readonly targetTopic: string;
  readonly partition: number;
  /** Others write to the target as well. */
  readonly isShared: boolean;
  /** Source offsets [start, end) are accounted for; below `start`, from `identicalFrom` on, offsets are the same. */
  readonly start: number;
  readonly end: number;
  readonly identicalFrom: number | null;
  readonly counts: Readonly<Record<DispositionKind, number>>;
  /** Offsets of [start, end) that no run covers: 0, or something is wrong. */
  readonly unexplained: number;
  readonly dispositions: readonly DispositionRun[];
  readonly map: readonly OffsetRun[];
}
