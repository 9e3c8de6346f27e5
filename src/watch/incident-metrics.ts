import type { ErrorCode } from '#contract/errors.ts';
import type { Incident, RunEvent } from '#contract/status.ts';
import type { MetricSet } from './metric-set.ts';

/** Of a cluster that partitions wait for. */
const OUTAGE_CODES = new Set<ErrorCode>([
  'SHARD_WAITING',
  'SECRET_UNAVAILABLE',
  'CLUSTER_UNREACHABLE',
  'CLUSTER_TLS_FAILED',
  'CLUSTER_AUTHENTICATION_FAILED',
  'CLUSTER_ADDRESS_DENIED',
  'CLUSTER_ANSWER_INVALID',
  'CLUSTER_NOT_KAFKA',
]);

/** What incidents and warnings of a process come to. Labels are codes of ours, so their number is bounded. */
export class IncidentMetrics {
  readonly #began = new Map<string, number>();
  readonly #open = new Map<string, Incident>();
  readonly #warnings = new Map<string, number>();
  readonly #outages = new Map<string, { count: number; ms: number }>();

  observe(event: RunEvent): void {
    if (event.event === 'incident') this.#onBegan(event.incident);
    else if (event.event === 'incident-ended') this.#onEnded(event.incident, event.at);
    else if (event.event === 'started') this.#endAll(event.mirror, event.at);
    else if (event.event === 'warning') add(this.#warnings, labelKey(event.mirror ?? '', event.code));
  }

  /** What stood still when the job was ended is looked at anew: a process may start it many times. */
  #endAll(mirror: string, at: number): void {
    for (const incident of this.#open.values()) if (incident.mirror === mirror) this.#onEnded(incident, at);
  }

  #onBegan(incident: Incident): void {
    const { mirror, severity, code } = incident;
    add(this.#began, labelKey(mirror, severity, code));
    this.#open.set(identityOf(incident), incident);
    if (!isOutage(incident)) return;
    const before = this.#outages.get(mirror) ?? { count: 0, ms: 0 };
    this.#outages.set(mirror, { ...before, count: before.count + 1 });
  }

  #onEnded(incident: Incident, at: number): void {
    if (!this.#open.delete(identityOf(incident)) || !isOutage(incident)) return;
    const before = this.#outages.get(incident.mirror);
    if (before) before.ms += Math.max(0, at - incident.at);
  }

  /** The job is gone. */
  forget(job: string): void {
    for (const counts of [this.#began, this.#warnings])
      for (const key of counts.keys()) if (key.startsWith(labelKey(job, ''))) counts.delete(key);
    for (const [key, { mirror }] of this.#open) if (mirror === job) this.#open.delete(key);
    this.#outages.delete(job);
  }

  /** Incidents of severity "error" of a job that began. */
  errors(job: string): number {
    return sum([...this.#began].filter(([key]) => key.startsWith(labelKey(job, 'error', ''))).map(([, n]) => n));
  }

  collect(into: MetricSet, jobs: readonly string[], now: number): void {
    const open = new Map<string, number>();
    for (const key of this.#began.keys()) open.set(key, 0); // what has ended falls to 0, it does not vanish
    for (const { mirror, severity, code } of this.#open.values()) add(open, labelKey(mirror, severity, code));
    for (const [key, count] of this.#began) into.add('lockstep_incidents_total', incidentLabels(key), count);
    for (const [key, count] of open) into.add('lockstep_incidents_open', incidentLabels(key), count);
    for (const [key, count] of this.#warnings) {
      const [job_name = '', code = ''] = key.split('\0');
      into.add('lockstep_warnings_total', { job_name, code }, count);
    }
    for (const job of jobs) {
      const { count, ms } = this.#outages.get(job) ?? { count: 0, ms: 0 };
      const lasting = [...this.#open.values()].filter((each) => each.mirror === job && isOutage(each));
      const lastingMs = sum(lasting.map(({ at }) => Math.max(0, now - at)));
      into.add('lockstep_mirror_outages_total', { job_name: job }, count);
      into.add('lockstep_mirror_outage_seconds_total', { job_name: job }, (ms + lastingMs) / 1000);
    }
  }
}

function isOutage({ severity, code, endsByItself }: Incident): boolean {
  return severity === 'warning' && endsByItself && OUTAGE_CODES.has(code);
}

function identityOf({ mirror, code, topic, partition, at }: Incident): string {
  return labelKey(mirror, code, topic ?? '', String(partition), String(at));
}

function labelKey(...parts: readonly string[]): string {
  return parts.join('\0');
}

function incidentLabels(key: string): { job_name: string; severity: string; code: string } {
  const [job_name = '', severity = '', code = ''] = key.split('\0');
  return { job_name, severity, code };
}

function add(counts: Map<string, number>, key: string): void {
  counts.set(key, (counts.get(key) ?? 0) + 1);
}

function sum(numbers: readonly number[]): number {
  return numbers.reduce((total, each) => total + each, 0);
}
