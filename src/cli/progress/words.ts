/** Sentences about a running mirror that the live view and the lines share. */
import type { ByteCounts, Incident, MirrorStatus, RunEvent, ShardStatus } from '#contract/status.ts';
import { printable } from '#util/printable.ts';
import { formatBytes, formatCount, formatDuration, formatNumberOf, wrap } from '../format.ts';
import type { Io } from '../io.ts';
import { lagOf, type Rates } from './rates.ts';

export function describeStart(event: Extract<RunEvent, { event: 'started' }>): string {
  return printable(`${event.mirror}: from cluster ${event.sourceClusterId} to cluster ${event.targetClusterId}`);
}

export function describeTopic(event: Extract<RunEvent, { event: 'topic' }>): string {
  const renamed = event.topic === event.targetTopic ? '' : ` as ${event.targetTopic}`;
  const partitions = formatNumberOf(event.partitions, 'partition');
  return printable(`${event.mirror}: topic ${event.topic}${renamed}, ${partitions}: ${TOPIC_ACTIONS[event.action]}`);
}

const TOPIC_ACTIONS = {
  created: 'created on the target',
  grown: 'partitions added on the target',
  adopted: 'found empty on the target',
  resumed: 'goes on where it was',
} as const;

export function describeWarning(event: Extract<RunEvent, { event: 'warning' }>): string {
  return printable(`${event.mirror === null ? '' : `${event.mirror}: `}warning ${event.code}: ${event.message}`);
}

/** Lines of at most `width` columns about an incident: what, which offsets, why, what it means, and what to do. */
export function describeIncident(io: Io, incident: Incident, width: number): string[] {
  const shard =
    incident.topic === null ? '' : ` ${incident.topic}${incident.partition === null ? '' : `/${incident.partition}`}`;
  const offsets = incident.offsets === null ? '' : ` ${describeOffsets(incident.offsets)}`;
  const what =
    `${incident.mirror}: ${incident.code}${shard}${offsets}: ${incident.cause} ${incident.consequence}`.trimEnd();
  const style = incident.severity === 'error' ? 'red' : 'yellow';
  return [
    ...wrap(what, width, '  ').map((line) => io.style(style, line)),
    ...wrap(`  next: ${incident.nextStep}`, width, '    '),
  ];
}

export function describeIncidentEnd(io: Io, ended: { incident: Incident; at: number }, width: number): string[] {
  const { incident, at } = ended;
  const { mirror, code, topic, partition } = incident;
  const shard = topic === null ? '' : ` ${topic}${partition === null ? '' : `/${partition}`}`;
  const text = `${mirror}: ${code}${shard}: over after ${formatDuration(at - incident.at)}`;
  return wrap(text, width, '  ').map((line) => io.style('green', line));
}

function describeOffsets({ from, to }: { from: number; to: number }): string {
  if (to <= from) return `from offset ${from} on`;
  return to - from === 1 ? `at offset ${from}` : `at offsets ${from} to ${to - 1}`;
}

/** `1,204 records, 3.2 s (measured 0.4 s ago against the last stable offset)`; says how much of it is unknown. */
export function describeLag(status: MirrorStatus): string {
  const lag = lagOf(status);
  if (lag.records === null) return 'unknown';
  const unknown = lag.unknown === 0 ? '' : ` + ${formatNumberOf(lag.unknown, 'partition')} unknown`;
  const time = `, ${lag.ms === null ? 'time unknown' : formatDuration(lag.ms)}`;
  const measured =
    lag.measuredAt === null ? '' : ` (measured ${formatDuration(status.at - lag.measuredAt)} ago at LSO)`;
  return `${formatNumberOf(lag.records, 'record')}${unknown}${time}${measured}`;
}

export function describeRates(rates: Rates | null): string {
  return rates === null
    ? 'not yet measured'
    : `${formatCount(rates.recordsPerSecond)} records/s, ${formatBytes(rates.bytesPerSecond)}/s`;
}

/** `2 stopped (SHARD_DIVERGED), 6 copying`, what needs a person first. */
export function describeStates(shards: readonly ShardStatus[]): string {
  if (shards.length === 0) return 'none';
  const groups = Map.groupBy(shards, (shard) => shard.state);
  return STATES.flatMap((state) => {
    const group = groups.get(state) ?? [];
    const codes = [...new Set(group.flatMap(({ incident }) => (incident === null ? [] : [incident.code])))];
    return group.length === 0
      ? []
      : [`${formatCount(group.length)} ${state}${codes.length === 0 ? '' : ` (${codes.join(', ')})`}`];
  }).join(', ');
}

const STATES = ['stopped', 'starting', 'aligning', 'copying', 'ended'] as const;

/** Which share of the bytes left as they came, and why the rest did not; null before anything was copied. */
export function describeWays(bytes: ByteCounts): string | null {
  const reasons = Object.entries(bytes.reencoded).filter(([, count]) => count > 0);
  const total = bytes.passedThrough + reasons.reduce((sum, [, count]) => sum + count, 0);
  if (total === 0) return null;
  // Rounded down: 100 % is only said where it is so.
  const percent = Math.floor((bytes.passedThrough / total) * 1000) / 10;
  const rest = reasons.map(([reason, count]) => `${formatBytes(count)} ${reason}`).join(', ');
  return `${percent} % passed through${rest === '' ? '' : `; re-encoded: ${rest}`}`;
}

const OUTCOMES = {
  'caught-up': { words: 'caught up', style: 'green' },
  'until-reached': { words: 'reached --until', style: 'green' },
  incidents: { words: 'ended with incidents', style: 'red' },
  interrupted: { words: 'stopped', style: 'yellow' },
  failed: { words: 'failed', style: 'red' },
} as const;

/** The closing lines of a mirror: outcome, totals, and what an open transaction holds back. */
export function describeEnd(io: Io, event: Extract<RunEvent, { event: 'ended' }>, tookMs: number): string[] {
  const { words, style } = OUTCOMES[event.outcome];
  const { status } = event;
  const head = `${io.style(style, `${event.mirror}: ${words}`)}`;
  if (status === null) return [`${head} after ${formatDuration(tookMs)}`];
  const ways = describeWays(status.bytes);
  const holes = sum(status.shards, (shard) => shard.holesFilled);
  const refusals = sum(status.shards, (shard) => shard.refusals);
  const hasStopped = status.shards.some(({ incident }) => incident !== null);
  const extras = [
    ...(hasStopped ? [`partitions: ${describeStates(status.shards)}`] : []),
    ...(ways === null ? [] : [ways]),
    ...(holes === 0 ? [] : [`${formatNumberOf(holes, 'hole')} filled`]),
    ...(refusals === 0 ? [] : [`${formatNumberOf(refusals, 'write')} refused as out of order`]),
  ];
  return [
    `${head}: ${formatNumberOf(status.recordsCopied, 'record')}, ${formatBytes(status.bytesCopied)} in ${formatDuration(tookMs)}`,
    ...extras.map((line) => `  ${line}`),
    ...status.shards.flatMap(heldBack),
  ];
}

function heldBack(shard: ShardStatus): string[] {
  const { position, sourceStableOffset: stable, sourceHighWatermark: high } = shard;
  if (position === null || stable === null || high === null || position < stable || stable >= high) return [];
  return [
    `  ${printable(shard.topic)}/${shard.partition} is held back by an open transaction: ${formatNumberOf(high - stable, 'offset')} from ${stable} on`,
  ];
}

function sum(shards: readonly ShardStatus[], count: (shard: ShardStatus) => number): number {
  return shards.reduce((total, shard) => total + count(shard), 0);
}
