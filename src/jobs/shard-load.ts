/**
 * What a shard costs the process that has it, as members of a group tell it to each other: bytes per second as measured,
 * in quarters of an octave. A level is coarse on purpose: what fluctuates by less moves nothing.
 */
import type { ShardName } from './shard-ranges.ts';

/**
 * What an idle shard costs, as bytes per second of copy. Measured: 10,000 idle ones take 1.8 % of a core (operating/limits.md),
 * and a gigabyte about one second of it (performance.md): 1.8 kB/s.
 */
export const IDLE_BYTES_PER_SECOND = 2048;
/** Of a level, as one byte; 120 is 2^30 times an idle shard. */
export const LEVEL_MAX = 120;
/** An idle shard, in the integers that are added up: quarters of an octave do not vanish in rounding. */
export const IDLE_WEIGHT = 16;

/** How fast what was measured long ago is forgotten. */
const SMOOTH_MS = 60_000;
/** A shard that has just come may be catching up: nothing is said of it yet. */
const KNOWN_AFTER_MS = 30_000;
/** A process tells its group at most so often that its load has changed: it costs all of them a generation. */
const TOLD_MS_MIN = 300_000;
/** It is told when it has changed by so much of what was told, and by a thousandth of a core. */
const SHIFT = 0.25;
const SHIFT_BYTES_MIN = 1024 * 1024;

export function levelOf(bytesPerSecond: number): number {
  return Math.min(LEVEL_MAX, Math.round(4 * Math.log2(1 + bytesPerSecond / IDLE_BYTES_PER_SECOND)));
}

/** A whole number, so that sums do not depend on their order. */
export function weightOfLevel(level: number): number {
  return Math.round(IDLE_WEIGHT * 2 ** (level / 4));
}

interface Measured {
  readonly sinceMs: number;
  readonly atMs: number;
  readonly bytes: number;
  /** Bytes per second; null before the second sample. */
  readonly rate: number | null;
}

/** What the shards of this process copy per second. Times are monotonic. */
export class ShardLoads {
  readonly #measured = new Map<ShardName, Measured>();
  #told = { bytesPerSecond: 0, atMs: -Infinity };

  /** `counts`: by shard that we hold now, how many bytes it has copied since this process started. */
  sample(counts: ReadonlyMap<ShardName, number>, nowMs: number): void {
    for (const shard of this.#measured.keys()) if (!counts.has(shard)) this.#measured.delete(shard);
    for (const [shard, bytes] of counts) {
      const before = this.#measured.get(shard);
      if (!before) {
        this.#measured.set(shard, { sinceMs: nowMs, atMs: nowMs, bytes, rate: null });
        continue;
      }
      const passedMs = nowMs - before.atMs;
      if (passedMs <= 0) continue;
      const now = ((bytes - before.bytes) * 1000) / passedMs;
      const rate = before.rate === null ? now : now + (before.rate - now) * Math.exp(-passedMs / SMOOTH_MS);
      this.#measured.set(shard, { sinceMs: before.sinceMs, atMs: nowMs, bytes, rate });
    }
  }

  /** What is told to the group: levels of those shards that were measured for long enough. */
  tell(shards: Iterable<ShardName>, nowMs: number): Map<ShardName, number> {
    const levels = new Map<ShardName, number>();
    for (const shard of shards) {
      const measured = this.#measured.get(shard);
      if (measured && isKnown(measured)) levels.set(shard, levelOf(measured.rate ?? 0));
    }
    this.#told = { bytesPerSecond: this.#total(), atMs: nowMs };
    return levels;
  }

  /** What was told is not so any more, by enough to be worth a generation of the group. */
  hasShifted(nowMs: number): boolean {
    const { bytesPerSecond, atMs } = this.#told;
    const changed = Math.abs(this.#total() - bytesPerSecond);
    return nowMs - atMs >= TOLD_MS_MIN && changed > Math.max(SHIFT_BYTES_MIN, SHIFT * bytesPerSecond);
  }

  /** Of all that is known, in bytes per second. */
  #total(): number {
    let sum = 0;
    for (const measured of this.#measured.values()) if (isKnown(measured)) sum += measured.rate ?? 0;
    return sum;
  }
}

function isKnown({ sinceMs, atMs, rate }: Measured): boolean {
  return rate !== null && atMs - sinceMs >= KNOWN_AFTER_MS;
}
