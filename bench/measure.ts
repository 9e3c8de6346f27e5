/** Watches one copy from outside: records on the target, and what /proc says about the processes, every 50 ms. */
import { setTimeout as sleep } from 'node:timers/promises';
import { must } from '#util/assert.ts';
import { processCpuSeconds, processMemory, processState } from '#testing/process-stat.ts';
import type { Figures } from './figure.ts';

const SAMPLE_MS = 50;
/** What comes before is start, connections and cold code; it is in the figures of the whole run. */
const WINDOW_FROM = 0.05;

/** CPU time so far, all threads, in seconds; null where there is no such process. */
export interface Costs {
  readonly mirrorCpu: number;
  readonly sourceCpu: number | null;
  readonly targetCpu: number | null;
}

export interface Sample extends Costs {
  readonly atSeconds: number;
  readonly records: number;
}

export interface Watched {
  /** Process ids. Both brokers null where none takes part. */
  readonly mirror: readonly number[];
  readonly source: number | null;
  readonly target: number | null;
  readonly count: () => Promise<number>;
}

export interface WatchOptions {
  /** Records that have to arrive. */
  readonly total: number;
  /** Logical, of each. */
  readonly recordBytes: number;
  readonly timeoutMs: number;
  /** Default: 50. To ask for the ends of a thousand partitions takes time of its own. */
  readonly sampleMs?: number;
}

/**
 * Samples until `total` records are on the target. Throws when the mirror ends before, when more records arrive than
 * there are, or after `timeoutMs`.
 */
export async function measureCopy(watched: Watched, options: WatchOptions): Promise<Figures> {
  const { total, recordBytes, timeoutMs, sampleMs = SAMPLE_MS } = options;
  const start = performance.now();
  const samples: Sample[] = [];
  /** By process. */
  const [seconds, peaks] = [new Map<number, number>(), new Map<number, number>()];
  for (;;) {
    const records = await watched.count();
    const atSeconds = (performance.now() - start) / 1000;
    // A process that has copied everything may be gone before we look: its time as of the last sample is what we know.
    const alive = watched.mirror.filter((pid) => processState(pid) !== null);
    for (const pid of alive) seconds.set(pid, Math.max(seconds.get(pid) ?? 0, processCpuSeconds(pid)));
    const mirrorCpu = sum(seconds.values());
    const [sourceCpu, targetCpu] = [watched.source, watched.target].map((pid) =>
      pid === null ? null : processCpuSeconds(pid),
    );
    samples.push({ atSeconds, records, mirrorCpu, sourceCpu: sourceCpu ?? null, targetCpu: targetCpu ?? null });
    for (const pid of alive) peaks.set(pid, Math.max(peaks.get(pid) ?? 0, processMemory(pid).peakRssBytes));
    if (records === total)
      return { ...summarize(samples, { total, recordBytes }), peakRssMb: sum(peaks.values()) / 1e6 };
    const state = `${records} of ${total} records are on the target after ${atSeconds.toFixed(1)} s`;
    if (records > total) throw new Error(`more records than there are: ${state}`);
    if (alive.length === 0) throw new Error(`the mirror ended too early: ${state}`);
    if (atSeconds * 1000 > timeoutMs) throw new Error(`the mirror is too slow, or stands: ${state}`);
    await sleep(sampleMs);
  }
}

function sum(numbers: Iterable<number>): number {
  return [...numbers].reduce((total, each) => total + each, 0);
}

/** The figures of a copy whose last sample has all records. Divided by what was really copied between the two samples. */
export function summarize(
  samples: readonly Sample[],
  { total, recordBytes }: { readonly total: number; readonly recordBytes: number },
): Figures {
  const to = must(samples.at(-1), 'sample of a copy');
  const found = must(
    samples.find((sample) => sample.records >= total * WINDOW_FROM),
    'sample with the first records',
  );
  const first = must(
    samples.find((sample) => sample.records > 0),
    'sample with a record',
  );
  // A copy so short that one sample sees everything has no window but the whole of it.
  const from = found === to ? must(samples[0], 'first sample') : found;
  const gigabytes = ((to.records - from.records) * recordBytes) / 1e9;
  const seconds = to.atSeconds - from.atSeconds;
  return {
    mbPerSecond: (gigabytes * 1000) / seconds,
    ...costs(from, to, gigabytes),
    wholeSeconds: to.atSeconds,
    wholeCpuPerGb: to.mirrorCpu / ((total * recordBytes) / 1e9),
    firstRecordSeconds: first.atSeconds,
  };
}

/** CPU-seconds for a gigabyte: of the mirror, and where there are brokers, of these and of all three. */
export function costs(from: Costs, to: Costs, gigabytes: number): Figures {
  const mirror = to.mirrorCpu - from.mirrorCpu;
  const own = { cpuPerGb: mirror / gigabytes };
  if (to.sourceCpu === null || from.sourceCpu === null || to.targetCpu === null || from.targetCpu === null) return own;
  const [source, target] = [to.sourceCpu - from.sourceCpu, to.targetCpu - from.targetCpu];
  return {
    ...own,
    sourceCpuPerGb: source / gigabytes,
    targetCpuPerGb: target / gigabytes,
    estateCpuPerGb: (mirror + source + target) / gigabytes,
  };
}
