/** Whether readers can go over to the target, as far as offsets and incidents say. Nothing unknown is ever safe. */
import type { AppError } from '#contract/errors.ts';
import type { Incident } from '#contract/status.ts';
import type { PartitionComparison, Survey } from './mirror-survey.ts';

/** As the job says it, or as it was kept. */
export type KnownIncident = Pick<Incident, 'severity' | 'topic' | 'partition' | 'offsets' | 'cause'>;

export interface Verdict {
  readonly migrationSafe: boolean;
  readonly riskLevel: 'low' | 'medium' | 'high';
  readonly gapsDetected: number;
  readonly criticalIssues: readonly string[];
  readonly warnings: readonly string[];
  readonly recommendations: readonly string[];
  readonly mirrorAnalysis: {
    readonly partitions: number;
    readonly inSync: number;
    readonly behind: number;
    readonly stopped: number;
    readonly missing: number;
    readonly unknown: number;
  };
}

const NAMED_MAX = 5;

export function verdictOf(
  { partitions, troubles }: Survey,
  { incidents, isRunning }: { readonly incidents: readonly KnownIncident[]; readonly isRunning: boolean },
): Verdict {
  const of = (state: PartitionComparison['state']) => partitions.filter((each) => each.state === state);
  const [behind, stopped, missing, unknown] = [of('behind'), of('stopped'), of('missing'), of('unknown')];
  // Records behind the last stable offset are part of a transaction that has not ended: nobody knows yet whether they count.
  const open = partitions.filter(
    ({ source }) =>
      source !== null &&
      source.stableOffset !== null &&
      source.highWatermark !== null &&
      source.highWatermark > source.stableOffset,
  );
  const gapsDetected = incidents.filter(({ offsets, severity }) => offsets !== null && severity === 'error').length;
  const criticalIssues = [
    ...troubles.map((trouble: AppError) => trouble.message),
    ...(partitions.length === 0 && troubles.length === 0 ? ['No topic of the source comes under the rules.'] : []),
    ...said(stopped, 'stopped by an incident'),
    ...said(missing, 'not on the target'),
    ...said(unknown, 'of which it is not known how far it is copied'),
    ...incidents.filter(({ severity, topic }) => severity === 'error' && topic === null).map(({ cause }) => cause),
  ];
  const warnings = [
    ...said(behind, 'behind the source'),
    ...said(open, 'held back by open transactions of the source'),
    ...incidents.filter(({ severity }) => severity === 'warning').map(({ cause }) => cause),
    ...(isRunning ? [] : ['The job does not run: what the source gets from now on is not copied.']),
  ];
  return {
    migrationSafe: criticalIssues.length === 0 && behind.length === 0 && open.length === 0,
    riskLevel: criticalIssues.length > 0 ? 'high' : warnings.length > 0 ? 'medium' : 'low',
    gapsDetected,
    criticalIssues,
    warnings,
    recommendations: [
      ...(troubles.length > 0 ? ['Make both clusters reachable, then validate again.'] : []),
      ...(stopped.length > 0 ? ['Follow the next step of each incident.'] : []),
      ...(unknown.length > 0 && !isRunning ? ['Start the job: it finds out how far each partition is copied.'] : []),
      ...(missing.length > 0 ? ['Look why the job has not created them: its incidents and its plan say.'] : []),
      ...(behind.length > 0 ? ['Stop the producers, wait until nothing is behind, then validate again.'] : []),
      'Offsets say that nothing is left out; "lockstep verify" compares the records themselves.',
    ],
    mirrorAnalysis: {
      partitions: partitions.length,
      inSync: of('in-sync').length,
      behind: behind.length,
      stopped: stopped.length,
      missing: missing.length,
      unknown: unknown.length,
    },
  };
}

function said(partitions: readonly PartitionComparison[], what: string): string[] {
  if (partitions.length === 0) return [];
  const names = partitions.slice(0, NAMED_MAX).map(({ sourceTopic, partition }) => `${sourceTopic}/${partition}`);
  const more = partitions.length > NAMED_MAX ? ` and ${partitions.length - NAMED_MAX} more` : '';
  return [`${partitions.length} partitions are ${what}: ${names.join(', ')}${more}.`];
}
