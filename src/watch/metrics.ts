import type { RunEvent } from '#contract/status.ts';
import type { EventLoopDelay, ProcessFigures } from '#util/process-figures.ts';
import { IncidentMetrics } from './incident-metrics.ts';
import { type Family, MetricSet } from './metric-set.ts';
import { MirrorMetrics } from './mirror-metrics.ts';
import { SeriesSlots, type SeriesLimits } from './series-slots.ts';
import { VerifyMetrics } from './verify-metrics.ts';

export type JobKind = 'mirror' | 'verify';

export interface WatchedJob {
  readonly name: string;
  readonly kind: JobKind;
}

export interface MetricsOptions extends SeriesLimits {
  readonly jobs: readonly WatchedJob[];
  readonly version: string;
  /** Offers the names of kaf-mirror too. */
  readonly hasOriginalNames: boolean;
}

interface Job extends WatchedJob {
  readonly metrics: MirrorMetrics | VerifyMetrics;
  isRunning: boolean;
  statusAt: number | null;
}

/** All that a process says in numbers: it hears the events of its jobs, and hands out what they have come to. */
export class Metrics {
  readonly #options: MetricsOptions;
  readonly #slots: Readonly<Record<JobKind, SeriesSlots>>;
  #jobs: readonly Job[] = [];
  readonly #incidents = new IncidentMetrics();

  constructor(options: MetricsOptions) {
    this.#options = options;
    // Verifications have bounds of their own: what is copied is not shown with less because it is verified too.
    this.#slots = { mirror: new SeriesSlots(options), verify: new SeriesSlots(options) };
    this.watch(options.jobs);
  }

  /** These are all: what is said of others is forgotten. */
  watch(jobs: readonly WatchedJob[]): void {
    const isSame = (a: WatchedJob, b: WatchedJob): boolean => a.name === b.name && a.kind === b.kind;
    for (const gone of this.#jobs.filter((each) => !jobs.some((job) => isSame(job, each)))) {
      this.#slots[gone.kind].releaseJob(gone.name);
      if (!jobs.some(({ name }) => name === gone.name)) this.#incidents.forget(gone.name);
    }
    this.#jobs = jobs.map((job) => this.#jobs.find((each) => isSame(each, job)) ?? this.#createJob(job));
  }

  #createJob({ name, kind }: WatchedJob): Job {
    const { mirror, verify } = this.#slots;
    const metrics = kind === 'mirror' ? new MirrorMetrics(name, mirror) : new VerifyMetrics(name, verify);
    return { name, kind, metrics, isRunning: false, statusAt: null };
  }

  observe(event: RunEvent): void {
    this.#incidents.observe(event);
    const [kind, name] = jobOf(event);
    const job = this.#jobs.find((each) => each.kind === kind && each.name === name);
    if (!job) return;
    job.metrics.observe(event);
    if (event.event === 'ended' || event.event === 'verifying-ended') job.isRunning = false;
    else job.isRunning ||= event.event === 'started' || event.event === 'verifying' || event.event === 'progress';
    if ('status' in event && event.status) job.statusAt = event.status.at;
  }

  /** Jobs that do not run, or have not said for `ageMs` how they stand, by name. */
  silent(now: number, ageMs: number): string[] {
    return this.#jobs
      .filter(({ isRunning, statusAt }) => !isRunning || statusAt === null || now - statusAt > ageMs)
      .map(({ name }) => name);
  }

  /** One for each mirror that has said how it stands, for receivers of events. */
  records(): Readonly<Record<string, unknown>>[] {
    return this.#jobs.flatMap(({ metrics }) => {
      const record = metrics instanceof MirrorMetrics ? metrics.record() : null;
      return record ? [record] : [];
    });
  }

  /** `addMore` adds what others of this process have to say. */
  collect(now: number, addMore: (into: MetricSet) => void): Family[] {
    const into = new MetricSet();
    into.add('lockstep_build_info', { version: this.#options.version }, 1);
    for (const job of this.#jobs) {
      const labels = { job_name: job.name, kind: job.kind };
      into.add('lockstep_job_running', labels, Number(job.isRunning));
      const ageMs = job.statusAt === null ? null : Math.max(0, now - job.statusAt);
      into.add('lockstep_job_status_age_seconds', labels, ageMs === null ? null : ageMs / 1000);
      job.metrics.collect(into, now);
      if (this.#options.hasOriginalNames && job.metrics instanceof MirrorMetrics)
        job.metrics.collectOriginals(into, this.#incidents.errors(job.name));
    }
    const mirrors = this.#jobs.flatMap(({ kind, name }) => (kind === 'mirror' ? [name] : []));
    this.#incidents.collect(into, mirrors, now);
    addMore(into);
    return into.families();
  }
}

/** Of the process itself; `delay` is that of the last full interval, null before there was one. */
export function collectProcess(into: MetricSet, figures: ProcessFigures, delay: EventLoopDelay | null): void {
  const { cpuSeconds, residentBytes, heapUsedBytes, startedAt } = figures.read();
  into.add('process_cpu_seconds_total', {}, cpuSeconds);
  into.add('process_resident_memory_bytes', {}, residentBytes);
  into.add('process_start_time_seconds', {}, startedAt / 1000);
  into.add('lockstep_heap_used_bytes', {}, heapUsedBytes);
  if (!delay) return;
  into.add('lockstep_event_loop_delay_p50_seconds', {}, delay.p50Ms / 1000);
  into.add('lockstep_event_loop_delay_p99_seconds', {}, delay.p99Ms / 1000);
  into.add('lockstep_event_loop_delay_max_seconds', {}, delay.maxMs / 1000);
}

function jobOf(event: RunEvent): [JobKind, string | null] {
  switch (event.event) {
    case 'verifying':
      return ['verify', event.status.job];
    case 'verifying-ended':
      return ['verify', event.job];
    case 'progress':
      return ['mirror', event.status.mirror];
    case 'incident':
    case 'incident-ended':
      return ['mirror', event.incident.mirror];
    default:
      return ['mirror', event.mirror];
  }
}
