/** Where mirrors stand, by the offsets that both clusters give at that moment, and what was recorded of it. */
import { exitCodes } from '../../exit-codes.ts';
import { formatCount, formatFacts, formatMoment, formatRows, UNKNOWN } from '../../format.ts';
import type { ResultOf } from '../../remote/api-client.ts';
import { remoteVerb, type RemoteOptions } from '../../remote/remote-verb.ts';
import { choiceFrom } from '../../remote/values.ts';
import type { Verb } from '../../verb.ts';
import { allJobs, pickJob } from './list.ts';
import { jobLines } from './shown.ts';

type Comparison = ResultOf<'validateMirror'>['offsetComparison'][number];
type ResumePoints = ResultOf<'getResumePoints'>;
type Validation = ResultOf<'validateMirror'>;

function comparisonLines(partitions: readonly Comparison[]): string[] {
  const rows = partitions.map((each) => [
    `${each.sourceTopic}/${each.partition}`,
    each.targetTopic,
    each.state,
    formatCount(each.source?.stableOffset ?? null),
    formatCount(each.target?.highWatermark ?? null),
    formatCount(each.lagRecords),
  ]);
  return formatRows(['SOURCE', 'TARGET', 'STATE', '#SOURCE STABLE', '#TARGET END', '#LAG'], rows, 'partitions');
}

export function resumePointLines({ points, calculatedAt }: ResumePoints): string[] {
  if (calculatedAt === null)
    return ['resume points: none were calculated; "lockstep jobs resume-points JOB --calculate" does'];
  const rows = points.map((point) => [
    `${point.sourceTopic}/${point.partition}`,
    point.targetTopic,
    formatCount(point.safeResumeOffset),
    formatCount(point.targetOffset),
    point.validationStatus,
    point.gapDetected ? `${formatCount(point.gapStartOffset)} to ${formatCount(point.gapEndOffset)}` : 'none',
  ]);
  return [
    `resume points of ${formatMoment(calculatedAt)}`,
    ...formatRows(['SOURCE', 'TARGET', '#SAFE OFFSET', '#TARGET END', 'STATE', 'GAP'], rows, 'partitions'),
  ];
}

function validationLines(validation: Validation): string[] {
  const { mirrorAnalysis: found, criticalIssues, warnings, recommendations } = validation;
  return [
    ...formatFacts([
      ['safe to move over', validation.migrationSafe ? 'yes' : 'no'],
      ['risk', validation.riskLevel],
      ['partitions', `${found.inSync} of ${found.partitions} in sync`],
      [
        'not in sync',
        `${found.behind} behind, ${found.stopped} stopped, ${found.missing} missing, ${found.unknown} unknown`,
      ],
      ['gaps', formatCount(validation.gapsDetected)],
    ]),
    ...criticalIssues.map((text) => `critical: ${text}`),
    ...warnings.map((text) => `warning: ${text}`),
    ...recommendations.map((text) => `next: ${text}`),
    '',
    ...comparisonLines(validation.offsetComparison),
  ];
}

export const mirrorState: Verb<RemoteOptions & { readonly period?: string }> = remoteVerb({
  summary: 'show where a mirror stands, by the offsets of both clusters now, or what was measured in a period',
  examples: ['lockstep jobs state orders', 'lockstep jobs state orders --period last-week'],
  options: { '--period <name>': 'today, yesterday, this-week or last-week (UTC); without it now' },
  async run(remote, { period }, [named]) {
    const periods = ['today', 'yesterday', 'this-week', 'last-week'] as const;
    const query = period === undefined ? {} : { period: choiceFrom('--period', period, periods) };
    const state = await remote.api.call('getMirrorState', { params: { id: await pickJob(remote, named) }, query });
    const figures = (state.figures ?? []).map((each) => [
      each.sourceTopic,
      formatCount(each.recordsCopied),
      formatCount(each.bytesCopied),
      formatCount(each.lagRecordsMean),
      formatCount(each.lagRecordsMax),
    ]);
    const gaps = state.gaps.map((gap) => [
      `${gap.topic ?? UNKNOWN}${gap.partition === null ? '' : `/${gap.partition}`}`,
      formatCount(gap.gapStartOffset),
      formatCount(gap.gapSize),
      gap.code,
      gap.resolutionStatus,
      gap.closedAt === null ? 'open' : formatMoment(gap.closedAt),
    ]);
    return {
      json: state,
      lines: [
        ...state.troubles.map(({ code, message }) => `${code}: ${message}`),
        ...(state.progress === null
          ? formatRows(['TOPIC', '#RECORDS', '#BYTES', '#MEAN LAG', '#MOST LAG'], figures, 'figures in this period')
          : comparisonLines(state.progress)),
        '',
        ...formatRows(['PARTITION', '#FIRST', '#OFFSETS', 'CODE', 'RESOLUTION', 'OVER'], gaps, 'gaps'),
        '',
        ...resumePointLines(state.resumePoints),
        `${state.checkpoints.length} checkpoints, ${state.validations.length} validations`,
      ],
    };
  },
});

export const resumePoints: Verb<RemoteOptions & { readonly calculate?: true }> = remoteVerb({
  summary: 'show up to where everything is on the target, partition by partition',
  description:
    'Shows the resume points that were calculated last. With --calculate both clusters are asked now, and the answer is kept.',
  examples: ['lockstep jobs resume-points orders --calculate'],
  options: { '--calculate': 'ask both clusters now' },
  async run(remote, { calculate }, [named]) {
    const params = { id: await pickJob(remote, named) };
    const points = await (calculate
      ? remote.api.call('calculateResumePoints', { params })
      : remote.api.call('getResumePoints', { params }));
    return { json: points, lines: resumePointLines(points) };
  },
});

export const validateMirror: Verb<RemoteOptions> = remoteVerb({
  summary: 'say whether readers can go over to the target now; exit code 5 where not',
  description:
    'Says whether readers can go over to the target now: every partition there, nothing behind, nothing unknown, no incident. Offsets are compared; "lockstep verify" compares records.\n\nExit code 5 where they cannot.',
  examples: ['lockstep jobs validate orders'],
  async run(remote, _, [named]) {
    const params = { id: await pickJob(remote, named) };
    const validation = await remote.api.call('validateMirror', { params });
    return {
      json: validation,
      lines: validationLines(validation),
      code: validation.migrationSafe ? exitCodes.ok : exitCodes.findings,
    };
  },
});

interface CheckpointOptions extends RemoteOptions {
  readonly type?: string;
  readonly reason?: string;
}

export const createCheckpoint: Verb<CheckpointOptions> = remoteVerb({
  summary: 'keep the offsets of both clusters and the places of groups, with a reason',
  examples: ['lockstep jobs checkpoint orders --type pre_migration --reason "move to the new hall"'],
  options: {
    '--type <type>': 'pre_migration, post_migration or recovery (as without it)',
    '--reason <text>': 'for people',
  },
  async run(remote, { type = 'recovery', reason }, [named]) {
    const checkpoint = await remote.api.call('createCheckpoint', {
      params: { id: await pickJob(remote, named) },
      body: {
        type: choiceFrom('--type', type, ['pre_migration', 'post_migration', 'recovery']),
        ...(reason === undefined ? {} : { reason }),
      },
    });
    return { json: { checkpoint }, lines: checkpointLines([checkpoint]) };
  },
});

function checkpointLines(checkpoints: readonly ResultOf<'listCheckpoints'>['items'][number][]): string[] {
  const rows = checkpoints.map((each) => [
    each.id,
    each.type,
    formatMoment(each.createdAt),
    each.createdBy ?? UNKNOWN,
    formatCount(each.partitions),
    formatCount(each.groups),
    each.reason,
  ]);
  return formatRows(['ID', 'TYPE', 'MADE', 'BY', '#PARTITIONS', '#GROUPS', 'REASON'], rows, 'checkpoints');
}

export const checkpoints: Verb<RemoteOptions> = remoteVerb({
  summary: 'show the checkpoints of a mirror, or one of them with all that it holds',
  examples: ['lockstep jobs checkpoints orders', 'lockstep jobs checkpoints orders ID --json'],
  async run(remote, _, [named, checkpoint]) {
    const { api } = remote;
    const id = await pickJob(remote, named);
    if (checkpoint === undefined) {
      const all = await api.all('listCheckpoints', { params: { id }, query: { sort: '-createdAt' } });
      return { json: { checkpoints: all }, lines: checkpointLines(all) };
    }
    const found = await api.call('getCheckpoint', { params: { id, checkpoint } });
    const { source, target } = found.groupOffsets;
    const rows = [
      ...source.map((each) => ({ side: 'source', ...each })),
      ...target.map((each) => ({ side: 'target', ...each })),
    ].map((each) => [
      each.side,
      each.groupId,
      `${each.topic}/${each.partition}`,
      formatCount(each.offset),
      formatCount(each.lagRecords),
    ]);
    return {
      json: { checkpoint: found },
      lines: [
        ...checkpointLines([found]),
        '',
        ...comparisonLines(found.partitionOffsets),
        '',
        ...formatRows(['SIDE', 'GROUP', 'PARTITION', '#OFFSET', '#LAG'], rows, 'groups'),
      ],
    };
  },
});

export const forceRestart: Verb<RemoteOptions> = remoteVerb({
  summary: 'ask both clusters, compare offsets, then stop a job and start it anew',
  description:
    'Asks both clusters first, and changes nothing where one of them does not answer; then compares offsets, stops the job and starts it anew.',
  examples: ['lockstep jobs force-restart orders'],
  async run(remote, _, [named]) {
    const params = { id: await pickJob(remote, named) };
    const restarted = await remote.api.call('forceRestartJob', { params });
    return { json: restarted, lines: [...jobLines([restarted.job]), '', ...validationLines(restarted.validation)] };
  },
});

export const healthcheck: Verb<RemoteOptions> = remoteVerb({
  summary: 'ask the clusters of a job, or of all jobs, whether they answer; exit code 5 where one does not',
  examples: ['lockstep jobs healthcheck', 'lockstep jobs healthcheck orders'],
  async run({ api }, _, [named]) {
    const jobs = named === undefined ? await allJobs(api) : [await api.call('getJob', { params: { id: named } })];
    const checks = await Promise.all(
      jobs.map(async ({ id, name }) => ({ job: name, ...(await api.call('getJobHealth', { params: { id } })) })),
    );
    const rows = checks.flatMap(({ job, source, target }) =>
      Object.entries({ source, target }).map(([side, { name, isReachable, error }]) => [
        job,
        side,
        name,
        isReachable ? 'answers' : 'does not answer',
        error === null ? '' : `${error.code}: ${error.message}`,
      ]),
    );
    return {
      json: { checks },
      lines: formatRows(['JOB', 'SIDE', 'CLUSTER', 'STATE', ''], rows, 'jobs'),
      code: checks.every(({ healthy }) => healthy) ? exitCodes.ok : exitCodes.findings,
    };
  },
});
