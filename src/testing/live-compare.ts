/**
 * A separate reader of two clusters (src/testing/java/LiveCompare.java): Kafka's own consumer compares topics record by
 * record while they are written and mirrored. What it says comes from the two clusters alone.
 */
import { createInterface } from 'node:readline';
import { must } from '#util/assert.ts';
import { spawnJava } from './java.ts';

/** The first thing that differs; a side that has no record at the offset says so. */
export interface LiveDifference {
  readonly topic: string;
  readonly partition: number;
  readonly offset: number;
  readonly field: 'record' | 'timestamp' | 'key' | 'value' | 'headers' | 'log start' | 'log end';
  readonly source: string;
  readonly target: string;
}

/** One topic as both clusters answered; sums over its partitions. */
export interface ComparedTopic {
  readonly partitions: number;
  /** Last stable offsets of the source. */
  readonly sourceEnd: number;
  /** High watermarks of the target. */
  readonly targetEnd: number;
  /** Offsets that the source has and the target not yet. */
  readonly lag: number;
  /**
   * Timestamp of the oldest source record that was not on the target yet or, where the reader had not come to it, of the
   * last one that was: the time since then is never less than the truth. Null before there was any.
   */
  readonly oldest: number | null;
}

/** Times are milliseconds since the epoch. */
export interface Comparison {
  readonly at: number;
  /** Records of which both sides were compared, each counted once. */
  readonly compared: number;
  readonly comparedAt: number | null;
  /** How often all of them were read and compared again, how many the last time, and when that ended. */
  readonly rounds: number;
  readonly roundRecords: number;
  readonly roundEndedAt: number | null;
  readonly differences: number;
  readonly first: LiveDifference | null;
  /** By topic; null while a cluster does not answer. */
  readonly topics: Readonly<Record<string, ComparedTopic>> | null;
}

export interface FinalComparison extends Comparison {
  /** Whether the target has reached the end of the source. */
  readonly complete: boolean;
}

export interface LiveCompare {
  /** What was said last, twice a second; null until all topics are on both sides. */
  readonly latest: Comparison | null;
  /** Rejects when the reader ends by itself. */
  readonly failed: Promise<never>;
  /** To be called when nothing more is written: waits for the target to reach the end, compares everything once more. */
  finish(): Promise<FinalComparison>;
}

/**
 * Starts the reader for topics that have the same names on both clusters and exist on the source. It ends with the
 * runner, however that ends. `finishMs` (default 60 s) is how long finish() waits for the target.
 */
export async function spawnLiveCompare(
  clusters: { source: readonly string[]; target: readonly string[] },
  topics: readonly string[],
  options: { finishMs?: number } = {},
): Promise<LiveCompare> {
  const { finishMs = 60_000 } = options;
  const request = { source: clusters.source.join(','), target: clusters.target.join(','), topics, finishMs };
  const child = await spawnJava('LiveCompare', [JSON.stringify(request)]);
  let messages = '';
  must(child.stderr, 'standard error of the reader').on('data', (chunk: Buffer) => {
    messages = (messages + chunk.toString()).slice(-4000);
  });
  const compare = { latest: null as Comparison | null, final: null as FinalComparison | null };
  createInterface({ input: must(child.stdout, 'standard output of the reader') }).on('line', (line) => {
    const told = JSON.parse(line) as (Comparison & { waiting?: true }) | (FinalComparison & { final: true });
    if ('waiting' in told) return;
    compare.latest = told;
    if ('final' in told) compare.final = told;
  });
  const ended = new Promise<void>((resolve, reject) => {
    child.once('error', reject);
    child.once('close', (code) => {
      if (code === 0 && compare.final !== null) resolve();
      else reject(new Error(`the comparing reader ended with exit code ${code}\n${messages}`));
    });
  });
  const failed = ended.then(() => new Promise<never>(() => {}));
  failed.catch(() => {}); // a caller who does not look must not die of it
  return {
    get latest() {
      return compare.latest;
    },
    failed,
    async finish() {
      must(child.stdin, 'standard input of the reader').write('finish\n');
      await ended;
      return must(compare.final, 'last comparison of the reader');
    },
  };
}
