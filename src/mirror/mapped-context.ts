/** What a shard of mapped offsets is given. */
import type { StatedCondition } from '#contract/resources.ts';
import type { DataItem } from './batch-walk.ts';
import type { MappedStore } from './mapped-state.ts';
import type { ShardContext } from './shard-context.ts';

/** What a shard of identical offsets is given, and what a mapped one needs instead of the filling of holes. */
export interface MappedContext extends Omit<
  ShardContext,
  'state' | 'logStartGate' | 'markerProducerId' | 'dataProducerId' | 'fillOffsetsMax'
> {
  readonly store: MappedStore;
  readonly mirrorId: string;
  /** Others write to the target topic too, another source topic of this mirror among them. */
  readonly isShared: boolean;
  /** Goes on behind what another program wrote to a target that was ours alone, instead of stopping. */
  readonly goesOnBehindOthers: boolean;
  /** On its records, as the file states it; without it: none. */
  readonly condition?: StatedCondition | null;
  /** Of this mirror's batches in target topics of its own. */
  readonly soleProducerId: number;
  /** Of our batches in the target topic; asked for before the first copy. Throws KafkaError. */
  newProducerId(): Promise<number>;
  /** Runs in a piece of the saved ledger; by default as many as its records may have (tests: fewer). */
  readonly pieceRuns?: number;
  /** From now on the target is shared, because of what `cause` says. */
  onShared(shard: { readonly topic: string; readonly partition: number }, cause: string): void;
}

/** A batch, and the ordinal of its first record. */
export interface MappedItem extends DataItem {
  readonly ordinal: number;
}
