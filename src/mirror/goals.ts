/** How far each shard has to come before a run with `--until caught-up` or `--until offset=…` ends. */
import type { Until } from '#contract/until.ts';
import type { LogEnds } from './offsets.ts';

interface Follower {
  readonly topic: string;
  readonly partition: number;
  readonly incident: unknown;
  readonly position: number | null;
  /** At the end of the source as last measured. */
  readonly isCaughtUp: boolean;
}

export interface GoalsOptions {
  readonly until: Until | null;
  /** Null for a partition whose leader does not answer. */
  readEnds(partitions: readonly Follower[]): Promise<(LogEnds | null)[]>;
  /** An open transaction of the source holds a partition back, `offsets` many. */
  onHeld(partition: Follower, held: { readonly at: number; readonly offsets: number }): void;
  /** The source ends before the goal that it had given. */
  onLowered(partition: Follower, goal: { readonly from: number; readonly to: number }): void;
}

export class Goals {
  readonly #options: GoalsOptions;
  readonly #goals = new Map<Follower, number>();

  constructor(options: GoalsOptions) {
    this.#options = options;
  }

  /**
   * Gives each shard that has none the source's last stable offset as of now. A shard whose leader does not answer has
   * none until the next call, and has not reached it. A goal that lies beyond the source's end is asked for anew: the
   * log was truncated since, or the answer was damaged on its way, and nothing would ever reach it: `onLowered` tells it.
   * Throws KafkaError.
   */
  async set(shards: readonly Follower[]): Promise<void> {
    const { until } = this.#options;
    if (until === null || until.kind === 'time') return;
    const open = shards.filter((shard) => !this.#goals.has(shard) || (!this.#hasReached(shard) && shard.isCaughtUp));
    if (open.length === 0) return;
    const ends = await this.#readEnds(open);
    for (const [shard, end] of ends) {
      const { stableOffset } = end;
      const known = this.#goals.get(shard);
      const goal = until.kind === 'offset' ? Math.min(until.offset, stableOffset) : stableOffset;
      if (known === undefined && heldBy(end) > 0)
        this.#options.onHeld(shard, { at: stableOffset, offsets: heldBy(end) });
      if (known !== undefined && goal < known) this.#options.onLowered(shard, { from: known, to: goal });
      this.#goals.set(shard, goal);
    }
  }

  /**
   * A stable end below the watermark is an open transaction, or a damaged answer that would end the run too early: it is
   * asked for once more, and the later one holds.
   */
  async #readEnds(shards: readonly Follower[]): Promise<ReadonlyMap<Follower, LogEnds>> {
    const ends = new Map<Follower, LogEnds>();
    for (const [i, end] of (await this.#options.readEnds(shards)).entries()) {
      const shard = shards[i];
      if (shard && end) ends.set(shard, end);
    }
    const held = [...ends].flatMap(([shard, end]) => (heldBy(end) > 0 ? [shard] : []));
    if (held.length === 0) return ends;
    for (const [i, end] of (await this.#options.readEnds(held)).entries()) {
      const shard = held[i];
      const before = shard && ends.get(shard);
      if (end && before && end.stableOffset > before.stableOffset) ends.set(shard, end);
    }
    return ends;
  }

  /** Each shard is where it has to come, or has an incident. */
  areReached(shards: readonly Follower[]): boolean {
    return shards.every((shard) => shard.incident !== null || this.#hasReached(shard));
  }

  #hasReached(shard: Follower): boolean {
    return (shard.position ?? -1) >= (this.#goals.get(shard) ?? Infinity);
  }
}

/** How many offsets an open transaction holds back. */
function heldBy({ stableOffset, highWatermark }: LogEnds): number {
  return (highWatermark ?? stableOffset) - stableOffset;
}
