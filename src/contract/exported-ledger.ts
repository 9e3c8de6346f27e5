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
  /** Where the ledger began; what lies from here up to `start` was forgotten, because the target has none of it any more. */
  readonly mappedFrom: number;
  readonly counts: Readonly<Record<DispositionKind, number>>;
  /**
   * Offsets that the ledger leaves out, and those of `recounted` where the batches of the source show something else than it
   * says: 0, or something is wrong.
   */
  readonly unexplained: number;
  /** The first of those that the recount found; null for none. */
  readonly firstUnexplained: number | null;
  /** Source offsets [from, to) that were read for it; null where none were. */
  readonly recounted: { readonly from: number; readonly to: number } | null;
  readonly dispositions: readonly DispositionRun[];
  readonly map: readonly OffsetRun[];
}
