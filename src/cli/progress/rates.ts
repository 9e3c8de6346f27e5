import type { ShardStatus } from '#contract/status.ts';

/** What of a job's status rates and lag are made of. */
export interface Measured {
  readonly shards: readonly Pick<ShardStatus, 'lagRecords' | 'lagMs' | 'measuredAt'>[];
  readonly recordsCopied: number;
  readonly bytesCopied: number;
}

export interface Rates {
  readonly recordsPerSecond: number;
  readonly bytesPerSecond: number;
  /** Until the lag is gone if it goes on falling as it did; 0 without lag, null when it does not fall or is not known. */
  readonly etaMs: number | null;
}

interface Sample {
  readonly atMs: number;
  readonly records: number;
  readonly bytes: number;
  readonly lagRecords: number | null;
}

/** Long enough to even out single batches, short enough to show a stall soon. */
const WINDOW_MS = 5_000;

/** Rates of one mirror over the last five seconds, from its counters. */
export class RateMeter {
  #samples: Sample[] = [];

  /** Adds what `status` says, received at `atMs` (monotonic), and returns the rates; null until there are two samples. */
  add(status: Measured, atMs: number): Rates | null {
    const lagRecords = lagOf(status).records;
    const newest = { atMs, records: status.recordsCopied, bytes: status.bytesCopied, lagRecords };
    this.#samples.push(newest);
    // One sample from before the window stays, so that the window is always full.
    const inside = this.#samples.findIndex((sample) => sample.atMs > atMs - WINDOW_MS);
    if (inside > 1) this.#samples = this.#samples.slice(inside - 1);
    const oldest = this.#samples[0] ?? newest;
    const seconds = (newest.atMs - oldest.atMs) / 1000;
    if (seconds <= 0) return null;
    return {
      recordsPerSecond: (newest.records - oldest.records) / seconds,
      bytesPerSecond: (newest.bytes - oldest.bytes) / seconds,
      etaMs: etaOf(oldest.lagRecords, newest.lagRecords, seconds),
    };
  }
}

export interface Lag {
  /** Over the partitions where it is known; null where it is known of none. */
  readonly records: number | null;
  /** The largest; null where a partition that lags does not know how long. */
  readonly ms: number | null;
  /** How many partitions' lag is not known. */
  readonly unknown: number;
  /** When the oldest of the offsets behind it was measured. */
  readonly measuredAt: number | null;
}

/** The lag of a mirror: of all its partitions, the stopped ones too. */
export function lagOf(status: Pick<Measured, 'shards'>): Lag {
  const known = status.shards.filter((shard) => shard.lagRecords !== null);
  const times = known.flatMap((shard) => (shard.lagMs === null ? [] : [shard.lagMs]));
  const isTimed = known.every((shard) => shard.lagMs !== null || shard.lagRecords === 0);
  const measured = known.flatMap((shard) => (shard.measuredAt === null ? [] : [shard.measuredAt]));
  return {
    records: known.length === 0 ? null : known.reduce((sum, shard) => sum + (shard.lagRecords ?? 0), 0),
    ms: times.length === 0 || !isTimed ? null : Math.max(...times),
    unknown: status.shards.length - known.length,
    measuredAt: measured.length === 0 ? null : Math.min(...measured),
  };
}

function etaOf(before: number | null, now: number | null, seconds: number): number | null {
  if (now === 0) return 0;
  if (before === null || now === null || now >= before) return null;
  return (now / ((before - now) / seconds)) * 1000;
}
