/** `lockstep plan --capacity` for people. */
import type { CapacityPlan, MirrorCapacity } from '#contract/capacity.ts';
import { printable } from '#util/printable.ts';
import { formatBytes, formatCount, formatDuration, formatNumberOf } from './format.ts';
import type { Io } from './io.ts';

export function describeCapacity(io: Io, { mirror, source, target, load, plan }: MirrorCapacity): string {
  const lines = [
    io.style('bold', printable(`Mirror ${mirror}: ${source} → ${target}: what it takes`)),
    '',
    row('load', describeLoad(load)),
    ...(load.groups > 0
      ? [row('groups', `${formatCount(load.groups)}, on ${formatNumberOf(load.groupPlaces, 'partition')} in all`)]
      : []),
    ...(plan === null
      ? [
          row(
            'not known',
            'how large records are: nothing was written meanwhile, or DESCRIBE on the source cluster is missing',
          ),
        ]
      : describePlan(plan)),
    ...(plan === null
      ? [row('next', 'State it with --record-bytes, as they lie in the log; or look for longer with --sample.')]
      : []),
    '',
    '  An estimate from measured coefficients: docs/capacity.md has them, and what is not among them.',
  ];
  return `${lines.join('\n')}\n`;
}

function describeLoad({
  topics,
  partitions,
  recordsPerSecond,
  recordBytes,
  sampledMs,
  unanswered,
}: MirrorCapacity['load']): string {
  const size =
    recordBytes === null ? '' : ` of ${formatBytes(recordBytes)}, ${formatBytes(recordsPerSecond * recordBytes)}/s`;
  const how = sampledMs === null ? 'as stated' : `measured over ${formatDuration(sampledMs)}`;
  const silent = unanswered === 0 ? '' : `; without ${formatNumberOf(unanswered, 'partition')} that did not answer`;
  const rate = `${formatCount(Math.round(recordsPerSecond))} records/s${size}`;
  return `${formatNumberOf(topics, 'topic')}, ${formatNumberOf(partitions, 'partition')}; ${rate} (${how}${silent})`;
}

function describePlan(plan: CapacityPlan): string[] {
  const { coresOf, requestsPerSecond: requests, brokerCores, limits } = plan;
  const parts = Object.entries(coresOf).map(([what, cores]) => `${what} ${cores.toFixed(2)}`);
  return [
    row('processes', String(plan.processes)),
    row(
      'CPU',
      `${plan.cores.toFixed(2)} cores: ${parts.join(', ')}; the busiest process ${plan.coresOfOne.toFixed(2)}`,
    ),
    row('memory', `${formatBytes(plan.memoryBytes)} a process, at its peak`),
    row('connections', `${formatCount(plan.connections)} a process`),
    row(
      'requests/s',
      `a source broker ${rate(requests.source)} or more, a target broker ${rate(requests.target)} or more`,
    ),
    row(
      'brokers',
      `source ${brokerCores.source.toFixed(2)} cores, target ${brokerCores.target.toFixed(2)}, for the records, with one replica`,
    ),
    row('limits', limits.map(({ what, used }) => `${what} ${Math.round(used * 100)} %`).join(', ')),
    row('next', limits[0]?.next ?? ''),
  ];
}

const rate = (perSecond: number): string =>
  perSecond < 10 ? perSecond.toFixed(1) : formatCount(Math.round(perSecond));
const row = (what: string, text: string): string => `  ${what.padEnd(12)} ${text}`;
