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
   * log was truncated since, or the answer was damaged on its way, and nothing would ever reach it. Throws KafkaError.
   */
  async set(shards: readonly Follower[]): Promise<void> {
    const { until } = this.#options;
    if (until === null || until.kind === 'time') return;
    const open = shards.filter((shard) => !this.#goals.has(shard) || (!this.#hasReached(shard) && shard.isCaughtUp));
    if (open.length === 0) return;
    const ends = await this.#options.readEnds(open);
    for (const [i, shard] of open.entries()) {
      const end = ends[i];
      if (!end) continue;
      const { stableOffset, highWatermark } = end;
      const offsets = (highWatermark ?? stableOffset) - stableOffset;
      if (offsets > 0 && !this.#goals.has(shard)) this.#options.onHeld(shard, { at: stableOffset, offsets });
      this.#goals.set(shard, until.kind === 'offset' ? Math.min(until.offset, stableOffset) : stableOffset);
    }
  }

  /** Each shard is where it has to come, or has an incident. */
  areReached(shards: readonly Follower[]): boolean {
    return shards.every((shard) => shard.incident !== null || this.#hasReached(shard));
  }

  #hasReached(shard: Follower): boolean {
    return (shard.position ?? -1) >= (this.#goals.get(shard) ?? Infinity);
  }
}
