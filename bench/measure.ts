/** Watches one copy from outside: records on the target, and what /proc says about the processes, every 50 ms. */
import { setTimeout as sleep } from 'node:timers/promises';
import { must } from '#util/assert.ts';
import { processCpuSeconds, processMemory, processState } from '#testing/process-stat.ts';
import { RECORD_BYTES } from './data-set.ts';

const SAMPLE_MS = 50;
/** What comes before is start, connections and cold code; it is in the figures of the whole run. */
const WINDOW_FROM = 0.05;

export interface Sample {
  readonly atSeconds: number;
  readonly records: number;
  /** CPU time so far, all threads, in seconds. */
  readonly mirrorCpu: number;
  readonly sourceCpu: number;
  readonly targetCpu: number;
}

export interface Measurement {
  /** From the first sample with 5 % of the records on the target to the first with all of them. GB = 10^9 logical bytes. */
  readonly window: {
    readonly seconds: number;
    readonly mbPerSecond: number;
    readonly cpuPerGb: number;
    readonly sourceCpuPerGb: number;
    readonly targetCpuPerGb: number;
  };
  /** From the start of the process to the last record. */
  readonly whole: { readonly seconds: number; readonly cpuPerGb: number };
  /** Start of the process to the first record on the target. */
  readonly firstRecordSeconds: number;
  readonly peakRssBytes: number;
}

export interface Watched {
  /** Process ids. */
  readonly mirror: number;
  readonly source: number;
  readonly target: number;
  readonly count: () => Promise<number>;
}

/**
 * Samples until `total` records are on the target. Throws when the mirror ends before, when more records arrive than
 * there are, or after `timeoutMs`.
 */
export async function measureCopy(
  watched: Watched,
  options: { total: number; timeoutMs: number },
): Promise<Measurement> {
  const { total, timeoutMs } = options;
  const start = performance.now();
  const samples: Sample[] = [];
  let peakRssBytes = 0;
  for (;;) {
    const records = await watched.count();
    const atSeconds = (performance.now() - start) / 1000;
    const isAlive = processState(watched.mirror) !== null;
    const last = samples.at(-1);
    // A mirror that has copied everything may be gone before we look: its time as of 50 ms before is the last we know.
    const mirrorCpu = isAlive ? processCpuSeconds(watched.mirror) : (last?.mirrorCpu ?? 0);
    samples.push({
      atSeconds,
      records,
      mirrorCpu,
      sourceCpu: processCpuSeconds(watched.source),
      targetCpu: processCpuSeconds(watched.target),
    });
    peakRssBytes = Math.max(peakRssBytes, processMemory(watched.mirror).peakRssBytes);
    if (records === total) return { ...summarize(samples, total), peakRssBytes };
    const state = `${records} of ${total} records are on the target after ${atSeconds.toFixed(1)} s`;
    if (records > total) throw new Error(`more records than there are: ${state}`);
    if (!isAlive) throw new Error(`the mirror ended too early: ${state}`);
    if (atSeconds * 1000 > timeoutMs) throw new Error(`the mirror is too slow, or stands: ${state}`);
    await sleep(SAMPLE_MS);
  }
}

/** The figures of a copy whose last sample has all records. Divided by what was really copied between the two samples. */
export function summarize(samples: readonly Sample[], total: number): Omit<Measurement, 'peakRssBytes'> {
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
  const gigabytes = ((to.records - from.records) * RECORD_BYTES) / 1e9;
  const seconds = to.atSeconds - from.atSeconds;
  return {
    window: {
      seconds,
      mbPerSecond: (gigabytes * 1000) / seconds,
      cpuPerGb: (to.mirrorCpu - from.mirrorCpu) / gigabytes,
      sourceCpuPerGb: (to.sourceCpu - from.sourceCpu) / gigabytes,
      targetCpuPerGb: (to.targetCpu - from.targetCpu) / gigabytes,
    },
    whole: { seconds: to.atSeconds, cpuPerGb: to.mirrorCpu / ((total * RECORD_BYTES) / 1e9) },
    firstRecordSeconds: first.atSeconds,
  };
}
