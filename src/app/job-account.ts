/** What the jobs of a process say, told to whoever is to know: the operator, metrics, and the audit log for what they do by themselves. */
import { auditEventSchema, type AuditEvent } from '#contract/audit.ts';
import type { ErrorCode } from '#contract/errors.ts';
import type { StoredJob } from '#store/jobs.ts';
import type { Clock } from '#util/clock.ts';
import type { Monitoring } from '#watch/monitoring.ts';
import type { WatchedJob } from '#watch/metrics.ts';
import type { Announcer } from './announcer.ts';
import type { JobSupervisorOptions } from './job-supervisor.ts';

export interface JobAccountOptions {
  readonly clock: Clock;
  readonly monitoring: Pick<Monitoring, 'watch' | 'observe'> | null;
  readonly announcer: Announcer;
  /** Null: another process writes the log. */
  readonly note: ((event: AuditEvent, outcome: 'succeeded' | 'failed') => void) | null;
}

export function createJobAccount(options: JobAccountOptions): JobSupervisorOptions['observers'] {
  const { clock, monitoring, announcer, note } = options;
  return {
    onEvent(job, event) {
      monitoring?.observe(event);
      if (event.event !== 'progress' && event.event !== 'verifying') announcer.tell(event);
      if (event.event === 'incident') note?.(jobEvent(job, 'job.incident', event.incident.code), 'failed');
      if (event.event === 'incident-ended') note?.(jobEvent(job, 'job.incident-end', event.incident.code), 'succeeded');
    },
    onState(job, running) {
      const { state, failedReason: reason } = running;
      announcer.tell({ event: 'job', id: job.id, name: job.name, state, reason, at: clock.now() });
      if (running.failure) note?.(jobEvent(job, 'job.fail', running.failure.code), 'failed');
      if (state === 'running') note?.(jobEvent(job, 'job.run', null), 'succeeded');
    },
    onJobs: (jobs) => monitoring?.watch(jobs.flatMap(watched)),
    onTrouble: announcer.trouble,
  };
}

/** A job that nobody wants to run has no lag, and is no alarm. */
function watched({ name, kind, desired }: StoredJob): WatchedJob[] {
  if (desired !== 'started') return [];
  if (kind === 'Mirror') return [{ name, kind: 'mirror' }];
  return kind === 'Verify' ? [{ name, kind: 'verify' }] : [];
}

function jobEvent({ id, target }: StoredJob, action: string, reason: ErrorCode | null): AuditEvent {
  return auditEventSchema.parse({
    actor: { id: 'lockstep', kind: 'system', authn: 'none' },
    action,
    resource: { type: 'job', id, ...(target === null ? {} : { cluster: target }) },
    ...(reason === null ? {} : { reason }),
  });
}
