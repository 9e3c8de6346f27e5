/** Jobs of a server, as people read them. */
import type { ResultOf } from '../../remote/api-client.ts';
import { formatBytes, formatCount, formatDuration, formatMoment, formatRows, UNKNOWN } from '../../format.ts';

type Job = Omit<ResultOf<'getJob'>, 'spec'>;
type Status = ResultOf<'getJobStatus'>;

export function jobLines(jobs: readonly Job[]): string[] {
  const rows = jobs.map((job) => [
    job.name,
    stateOf(job),
    job.source ?? UNKNOWN,
    job.target ?? UNKNOWN,
    formatCount(job.lagRecords),
    formatCount(job.incidents),
    job.failedReason ?? '',
  ]);
  return formatRows(['JOB', 'STATE', 'SOURCE', 'TARGET', '#LAG', '#INCIDENTS', ''], rows, 'jobs');
}

/** What is, and where that is not what somebody asked for, that too. */
export function stateOf({ state, desired }: Pick<Job, 'state' | 'desired'>): string {
  const asked = { started: 'running', paused: 'paused', stopped: 'stopped' }[desired];
  return state === asked ? state : `${state} (wanted: ${asked})`;
}

export function statusLines({ partitions, incidents, measuredAt }: Status): string[] {
  const rows = partitions.map((each) => [
    `${each.topic}/${each.partition}`,
    each.state,
    formatCount(each.lagRecords),
    formatDuration(each.lagMs),
    formatCount(each.position),
    formatCount(each.sourceStableOffset),
    formatBytes(each.bytesCopied),
  ]);
  return [
    `measured ${formatMoment(measuredAt)}`,
    ...formatRows(
      ['TOPIC/PARTITION', 'STATE', '#LAG', '#BEHIND', '#POSITION', '#STABLE END', '#COPIED'],
      rows,
      'partitions known',
    ),
    ...incidents.flatMap(incidentLines),
  ];
}

function incidentLines(incident: Status['incidents'][number]): string[] {
  const { code, topic, partition, offsets, cause, consequence, nextStep } = incident;
  const place = topic === null ? '' : ` ${topic}${partition === null ? '' : `/${partition}`}`;
  const range = offsets === null ? '' : ` offsets ${offsets.from} to ${offsets.to}`;
  return [`${code}${place}${range}: ${cause} ${consequence}`, `  next: ${nextStep}`];
}
