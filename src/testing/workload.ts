/**
 * Workloads, written by Kafka's own Java producer (src/testing/java/WorkloadProducer.java). A workload is topics with
 * their settings and streams of records; the same seed writes the same bytes. Ready ones are in workloads.ts.
 */
import type { ChildProcess } from 'node:child_process';
import { createInterface } from 'node:readline';
import { must } from '#util/assert.ts';
import { askJava } from './java-request.ts';
import { spawnJava } from './java.ts';
import type { NewTopic } from './topic-admin.ts';
import { createTopics } from './topic-admin.ts';

export const codecs = ['none', 'gzip', 'snappy', 'lz4', 'zstd'] as const;
export type Codec = (typeof codecs)[number];

/** Chance of being drawn, smallest and largest size in bytes. */
export type WeightedSize = readonly [weight: number, min: number, max: number];

export interface Transactions {
  /** Producers whose transactions interleave. */
  readonly producers: number;
  /** Share of the transactions that are aborted. */
  readonly abortRate: number;
  /** Records in a transaction, at least and at most. */
  readonly records: readonly [number, number];
  /** Share of the turns in which a producer without transactions writes into the same partitions. */
  readonly plainRate?: number;
  /** So many producers leave a transaction open at the end; the coordinator aborts it after `timeoutMs` (60 s). */
  readonly leaveOpen?: number;
  readonly timeoutMs?: number;
}

/** What one producer, or a set of transactional ones, writes into one topic. */
export interface RecordStream {
  /** Goes into every record's value, and with the seed decides its bytes. Unique within a workload. */
  readonly name: string;
  readonly topic: string;
  readonly partitions: readonly number[];
  /** Records in all; required unless the stream is live. */
  readonly records?: number;
  /** Default: none. */
  readonly codec?: Codec;
  /** The producer's batch.size. Default: 16384. */
  readonly batchBytes?: number;
  readonly lingerMs?: number;
  /** A batch for every record. */
  readonly oneRecordBatches?: boolean;
  /** Runs of 50 records, or of so many, to each partition in turn, which fill batches, instead of a draw for each record. */
  readonly partitionRuns?: boolean | number;
  /** Default: unique. `mixed` is null, empty, short and long ones; `cycle` comes back after so many, for compaction. */
  readonly keys?: 'unique' | 'null' | 'mixed' | { readonly cycle: number };
  /** Default: 100. */
  readonly valueBytes?: number | readonly WeightedSize[];
  /** Share of null values: tombstones where the topic is compacted. */
  readonly nullValueRate?: number;
  /** `odd` has equal keys, null and empty values, empty keys, other alphabets. Default: none. */
  readonly headers?: 'none' | 'plain' | 'odd';
  /**
   * Default: now. `disorder` is anywhere in the last hour. Records older than the topic's retention (a week unless set)
   * are deleted within minutes.
   */
  readonly timestamps?:
    | { readonly mode: 'now' | 'zero' | 'disorder' }
    | { readonly mode: 'fixed'; readonly baseMs: number; readonly stepMs?: number }
    | { readonly mode: 'age'; readonly days: number };
  readonly transactions?: Transactions;
  /** Default: true. Transactional streams always are. */
  readonly idempotent?: boolean;
  readonly recordsPerSecond?: number;
}

export interface Workload {
  readonly topics: readonly NewTopic[];
  readonly streams: readonly RecordStream[];
  /** Whether the streams run at the same time, so that their batches meet. Default: one after the other. */
  readonly parallel?: boolean;
  /** Done after the streams have ended, e.g. deleting records or waiting for compaction. */
  readonly after?: (bootstrap: readonly string[]) => Promise<void>;
}

export interface WorkloadSummary {
  /** By topic, what was acknowledged. A last offset counts control records before it too. */
  readonly topics: Readonly<
    Record<string, readonly { partition: number; count: number; lastOffset: number; bytes: number }[]>
  >;
  readonly records: number;
  readonly transactions: { readonly committed: number; readonly aborted: number; readonly leftOpen: number };
}

export interface WriteOptions {
  /** Default: 1. */
  readonly seed?: number;
  /** Goes into every record. Default: run. */
  readonly run?: string;
  /** Of the producers, beside ours: how they log in. */
  readonly properties?: Readonly<Record<string, string>>;
}

/** Creates the topics of workloads, writes them, and returns what was acknowledged. Throws when a write failed. */
export async function writeWorkloads(
  bootstrap: readonly string[],
  workloads: readonly Workload[],
  options: WriteOptions = {},
): Promise<WorkloadSummary> {
  await createTopics(
    bootstrap,
    workloads.flatMap((workload) => workload.topics),
  );
  const phases = workloads.flatMap(({ streams, parallel }) =>
    parallel ? [streams] : streams.map((stream) => [stream]),
  );
  const summary = await writePhases(bootstrap, phases, options);
  for (const workload of workloads) await workload.after?.(bootstrap);
  return summary;
}

export function writeWorkload(
  bootstrap: readonly string[],
  workload: Workload,
  options: WriteOptions = {},
): Promise<WorkloadSummary> {
  return writeWorkloads(bootstrap, [workload], options);
}

/** Writes streams, one after the other, into topics that are there. */
export function writeStreams(
  bootstrap: readonly string[],
  streams: readonly RecordStream[],
  options: WriteOptions = {},
): Promise<WorkloadSummary> {
  return writePhases(
    bootstrap,
    streams.map((stream) => [stream]),
    options,
  );
}

/** The streams of a phase run at the same time. */
async function writePhases(
  bootstrap: readonly string[],
  phases: readonly (readonly RecordStream[])[],
  options: WriteOptions,
): Promise<WorkloadSummary> {
  const { seed = 1, run = 'run' } = options;
  return summaryOf(await askJava('WorkloadProducer', { bootstrap: bootstrap.join(','), seed, run, phases }));
}

export interface LiveTraffic {
  /** Acknowledged so far, as of the last second. */
  readonly progress: { records: number; committed: number; aborted: number };
  /** Rejects when the traffic ends by itself. */
  readonly failed: Promise<never>;
  /** Lets open transactions end, and returns what was acknowledged in all. */
  stop(): Promise<WorkloadSummary>;
}

/**
 * Starts streams without end, all at the same time; each should have `recordsPerSecond`. The topics must be there.
 * The traffic ends with the runner, however that ends.
 */
export async function spawnLiveTraffic(
  bootstrap: readonly string[],
  streams: readonly RecordStream[],
  options: WriteOptions = {},
): Promise<LiveTraffic> {
  const { seed = 1, run = 'live', properties = {} } = options;
  const request = {
    bootstrap: bootstrap.join(','),
    seed,
    run,
    properties,
    live: true,
    stopAtEndOfInput: true,
    phases: [streams],
  };
  const child = await spawnJava('WorkloadProducer', [JSON.stringify(request)]);
  return liveTraffic(child);
}

function liveTraffic(child: ChildProcess): LiveTraffic {
  const progress = { records: 0, committed: 0, aborted: 0 };
  const lines: string[] = [];
  let messages = '';
  must(child.stderr, 'standard error of the live traffic').on('data', (chunk: Buffer) => {
    messages = (messages + chunk.toString()).slice(-4000);
  });
  createInterface({ input: must(child.stdout, 'standard output of the live traffic') }).on('line', (line) => {
    const told = JSON.parse(line) as { progress?: number; committed: number; aborted: number };
    if (told.progress === undefined) lines.push(line);
    else Object.assign(progress, { records: told.progress, committed: told.committed, aborted: told.aborted });
  });
  let stopping = false;
  const ended = new Promise<void>((resolve, reject) => {
    child.once('error', reject);
    child.once('close', (code) => {
      if (code === 0 && stopping) resolve();
      else reject(new Error(`live traffic ended with exit code ${code}\n${messages}`));
    });
  });
  const failed = ended.then(() => new Promise<never>(() => {}));
  failed.catch(() => {}); // a caller who does not look must not die of it
  return {
    progress,
    failed,
    async stop() {
      stopping = true;
      must(child.stdin, 'standard input of the live traffic').end();
      await ended;
      return summaryOf(lines);
    },
  };
}

function summaryOf(lines: readonly string[]): WorkloadSummary {
  const line = must(
    lines.findLast((text) => text.includes('"summary"')),
    'summary of the workload',
  );
  return (JSON.parse(line) as { summary: WorkloadSummary }).summary;
}

/** 0 … count − 1 */
export function partitionsUpTo(count: number): number[] {
  return Array.from({ length: count }, (_, partition) => partition);
}
