/** What jobs do now, and did. */
import { exitCodes } from '../../exit-codes.ts';
import {
  formatBytes,
  formatCount,
  formatDuration,
  formatFacts,
  formatMoment,
  formatRows,
  UNKNOWN,
} from '../../format.ts';
import type { ResultOf } from '../../remote/api-client.ts';
import { remoteVerb, type Remote, type RemoteOptions, type Shown } from '../../remote/remote-verb.ts';
import { choiceFrom, wholeNumber } from '../../remote/values.ts';
import type { Verb } from '../../verb.ts';
import { pickJob } from './list.ts';
import { stateOf, statusLines } from './shown.ts';
import { resumePointLines } from './state.ts';

const KINDS = ['metrics', 'full'];

export const jobStatus: Verb<RemoteOptions> = remoteVerb({
  summary: 'show positions, lag and incidents of a job; "metrics": totals; "full": gaps and resume points too',
  description:
    'Shows positions, lag and incidents of each partition of a job, as measured last. "status metrics" shows totals since it was started and what stands out (docs/metrics.md), "status full" progress and gaps as well.\n\nExit code 5 where a partition stands still.',
  examples: [
    'lockstep jobs status orders',
    'lockstep jobs status metrics orders',
    'lockstep jobs status full orders --json',
  ],
  async run(remote, _, [first, second]) {
    const isKind = KINDS.includes(first ?? '');
    const id = await pickJob(remote, isKind ? second : first);
    if (!isKind) return partitionsOf(remote, id);
    return first === 'metrics' ? metricsOf(remote, id) : everythingOf(remote, id);
  },
});

async function partitionsOf({ api }: Remote, id: string): Promise<Shown> {
  const status = await api.call('getJobStatus', { params: { id } });
  const reason = status.failedReason === null ? [] : [`failed: ${status.failedReason}`];
  return {
    json: { status },
    lines: [`${id}: ${stateOf(status)}`, ...reason, ...statusLines(status)],
    code: status.incidents.some(({ severity }) => severity === 'error') ? exitCodes.findings : exitCodes.ok,
  };
}

async function metricsOf({ api }: Remote, id: string): Promise<Shown> {
  const metrics = await api.call('getCurrentMetrics', { params: { id } });
  const lines = formatFacts([
    ['records copied', formatCount(metrics.messagesReplicated)],
    ['bytes copied', formatBytes(metrics.bytesTransferred)],
    ['lag in records', formatCount(metrics.currentLag)],
    ['partitions that stand still', formatCount(metrics.errorCount)],
    ['stands out', standingOut(metrics)],
    ['severity', metrics.severity ?? UNKNOWN],
    ['since', formatMoment(metrics.since)],
    ['measured', formatMoment(metrics.measuredAt)],
  ]);
  return { json: { metrics }, lines };
}

const FLAGS = {
  criticalLag: 'critical lag',
  highErrorRate: 'many errors',
  errorSpike: 'errors that just began',
  sourceStalled: 'source stands still',
  targetStalled: 'target stands still',
} as const;

/** Of what is not known it says that. */
function standingOut(metrics: ResultOf<'getCurrentMetrics'>): string {
  const named = (value: boolean | null): string =>
    (Object.keys(FLAGS) as (keyof typeof FLAGS)[])
      .flatMap((flag) => (metrics[flag] === value ? [FLAGS[flag]] : []))
      .join(', ');
  const unknown = named(null);
  return `${named(true) || 'nothing'}${unknown === '' ? '' : ` (not known: ${unknown})`}`;
}

async function everythingOf({ api, ...context }: Remote, id: string): Promise<Shown> {
  const params = { id };
  const [status, progress, gaps, points, metrics] = await Promise.all([
    partitionsOf({ api, ...context }, id),
    api.call('getMirrorProgress', { params }),
    api.call('getMirrorGaps', { params }),
    api.call('getResumePoints', { params }),
    metricsOf({ api, ...context }, id),
  ]);
  return {
    json: { ...(status.json as object), ...(metrics.json as object), progress, gaps, resumePoints: points },
    lines: [
      ...status.lines,
      '',
      ...metrics.lines,
      '',
      ...progressLines(progress),
      '',
      ...gapLines(gaps),
      '',
      ...resumePointLines(points),
    ],
    ...(status.code === undefined ? {} : { code: status.code }),
  };
}

type Progress = Awaited<ReturnType<typeof progressOf>>;
type Gaps = Awaited<ReturnType<typeof gapsOf>>;

const progressOf = ({ api }: Remote, id: string) => api.call('getMirrorProgress', { params: { id } });
const gapsOf = ({ api }: Remote, id: string) => api.call('getMirrorGaps', { params: { id } });

function progressLines(progress: Progress): string[] {
  const rows = progress.map((each) => [
    `${each.sourceTopic}/${each.partitionId}`,
    each.targetTopic,
    each.status,
    formatCount(each.sourceOffset),
    formatCount(each.sourceHighWaterMark),
    formatCount(each.replicationLag),
  ]);
  return formatRows(['SOURCE', 'TARGET', 'STATUS', '#NEXT OFFSET', '#SOURCE END', '#LAG'], rows, 'progress known');
}

function gapLines(gaps: Gaps): string[] {
  const rows = gaps.map((gap) => [
    `${gap.topic ?? UNKNOWN}${gap.partition === null ? '' : `/${gap.partition}`}`,
    formatCount(gap.gapStartOffset),
    formatCount(gap.gapEndOffset - 1),
    formatCount(gap.gapSize),
    gap.code,
    gap.cause,
  ]);
  return formatRows(['PARTITION', '#FIRST', '#LAST', '#OFFSETS', 'CODE', 'CAUSE'], rows, 'gaps');
}

export const jobProgress: Verb<RemoteOptions> = remoteVerb({
  summary: 'show how far each partition is copied',
  examples: ['lockstep jobs progress orders'],
  async run(remote, _, [named]) {
    const progress = await progressOf(remote, await pickJob(remote, named));
    return { json: { progress }, lines: progressLines(progress) };
  },
});

export const jobGaps: Verb<RemoteOptions> = remoteVerb({
  summary: 'show ranges of offsets that are not on the target, and why; exit code 5 where there are any',
  examples: ['lockstep jobs gaps orders'],
  async run(remote, _, [named]) {
    const gaps = await gapsOf(remote, await pickJob(remote, named));
    return { json: { gaps }, lines: gapLines(gaps), code: gaps.length > 0 ? exitCodes.findings : exitCodes.ok };
  },
});

export const jobLag: Verb<RemoteOptions> = remoteVerb({
  summary: 'show what of the source the target does not have yet',
  examples: ['lockstep jobs lag orders', 'lockstep jobs lag orders --json | jq .lagRecords'],
  async run(remote, _, [named]) {
    const lag = await remote.api.call('getLag', { params: { id: await pickJob(remote, named) } });
    const rows = lag.partitions.map((each) => [
      `${each.topic}/${each.partition}`,
      formatCount(each.lagRecords),
      formatDuration(each.lagMs),
      formatMoment(each.measuredAt),
    ]);
    const unknown = lag.unknown === 0 ? '' : `; of ${formatCount(lag.unknown)} partitions it is not known`;
    return {
      json: lag,
      lines: [
        `${formatCount(lag.lagRecords)} records, ${formatDuration(lag.lagMs)}${unknown}`,
        ...formatRows(['TOPIC/PARTITION', '#RECORDS', '#BEHIND', 'MEASURED'], rows, 'partitions known'),
      ],
    };
  },
});

interface HistoryOptions extends RemoteOptions {
  readonly range?: string;
  readonly topic?: string;
  readonly points?: string;
}

export const jobHistory: Verb<HistoryOptions> = remoteVerb({
  summary: 'show rates and lag of a job over time',
  examples: ['lockstep jobs history orders --range 7d', 'lockstep jobs history orders --topic orders --json'],
  options: {
    '--range <range>': '2h, 24h (as without it), 7d or 30d',
    '--topic <name>': 'a source topic; without it the job as a whole',
    '--points <number>': 'how many steps, up to 2000; without it 24',
  },
  async run(remote, { range = '24h', topic, points = '24' }, [named]) {
    const history = await remote.api.call('getMetricsHistory', {
      params: { id: await pickJob(remote, named) },
      query: {
        range: choiceFrom('--range', range, ['2h', '24h', '7d', '30d']),
        points: wholeNumber('--points', points, 1),
        ...(topic === undefined ? {} : { topic }),
      },
    });
    const rows = history.series.flatMap(({ metric, points: steps }) =>
      steps.map(({ at, added, mean, min, max }) => [
        formatMoment(at),
        metric,
        added === null ? UNKNOWN : formatCount(added),
        mean.toFixed(1),
        min.toFixed(1),
        max.toFixed(1),
      ]),
    );
    return {
      json: history,
      lines: [
        `from ${formatMoment(history.from)} to ${formatMoment(history.to)}`,
        ...formatRows(['FROM', 'METRIC', '#ADDED', '#MEAN', '#MIN', '#MAX'], rows, 'figures'),
      ],
    };
  },
});

export const topicHealth: Verb<RemoteOptions> = remoteVerb({
  summary: 'show replicas of the topics of a job, on both sides; exit code 5 where some are missing',
  examples: ['lockstep jobs topic-health orders'],
  async run(remote, _, [named]) {
    const topics = await remote.api.call('getTopicHealth', { params: { id: await pickJob(remote, named) } });
    const rows = topics.map((each) => [
      each.side,
      each.topic,
      formatCount(each.partitions),
      formatCount(each.replicationFactor),
      formatCount(each.underReplicated),
      each.healthy ? 'healthy' : 'replicas are missing',
    ]);
    return {
      json: { topics },
      lines: formatRows(['SIDE', 'TOPIC', '#PARTITIONS', '#REPLICAS', '#SHORT', 'STATE'], rows, 'topics'),
      code: topics.every(({ healthy }) => healthy) ? exitCodes.ok : exitCodes.findings,
    };
  },
});
