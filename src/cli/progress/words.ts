/** Sentences about a running mirror that the live view and the lines share. */
import type { ByteCounts, Incident, RunEvent, ShardStatus, SyncedChange } from '#contract/status.ts';
import type { ProvenPartition, VerifyJobStatus } from '#contract/verification.ts';
import { printable } from '#util/printable.ts';
import { formatBytes, formatCount, formatDuration, formatNumberOf, wrap } from '../format.ts';
import type { Io } from '../io.ts';
import { lagOf, type Measured, type Rates } from './rates.ts';

export function describeStart(event: Extract<RunEvent, { event: 'started' }>): string {
  return printable(`${event.mirror}: from cluster ${event.sourceClusterId} to cluster ${event.targetClusterId}`);
}

export function describeTopic(event: Extract<RunEvent, { event: 'topic' }>): string {
  const renamed = event.topic === event.targetTopic ? '' : ` as ${event.targetTopic}`;
  const partitions = formatNumberOf(event.partitions, 'partition');
  const isShared = event.mode === 'mapped' && event.action === 'adopted'; // perhaps with data of its own
  const action = isShared ? 'found on the target' : TOPIC_ACTIONS[event.action];
  const why = event.why === null ? '' : `; offsets are mapped: ${event.why}`;
  return printable(`${event.mirror}: topic ${event.topic}${renamed}, ${partitions}: ${action}${why}`);
}

const TOPIC_ACTIONS = {
  created: 'created on the target',
  grown: 'partitions added on the target',
  adopted: 'found empty on the target',
  resumed: 'goes on where it was',
} as const;

/** `orders: this process (west-2 411) copies 3 of 6 partitions: orders 0-2; the others are with other processes`. */
export function describeShares(event: Extract<RunEvent, { event: 'shares' }>): string {
  const { mirror, process, held, of } = event;
  const count = held.reduce((sum, { partitions }) => sum + partitions.length, 0);
  const places = held.map(({ topic, partitions }) => `${topic} ${rangesOf(partitions)}`).join(', ');
  const share = count === 0 ? `none of ${of}` : `${count === of ? 'all' : count} of ${of}`;
  const rest = count === of ? '' : '; the others are with other processes';
  const which = count === 0 ? '' : `: ${places}`;
  return printable(`${mirror}: this process (${process}) copies ${share} partitions${which}${rest}`);
}

/** What was changed on the target around the records, each with its reason. */
export function describeSynced({ mirror, changes }: Extract<RunEvent, { event: 'synced' }>, width: number): string[] {
  const shown = changes.slice(0, CHANGES_SHOWN_MAX).map(describeChange);
  const more = changes.length - shown.length;
  const text = `${mirror}: on the target: ${shown.join('; ')}${more > 0 ? `; and ${more} more` : ''}`;
  return wrap(printable(text), width, '  ');
}

/** `create ALLOW READ on topic orders …`, `set retention.ms of topic orders to 5, was 9`. */
export function describeChange({ action, subject, source, target, reason }: Omit<SyncedChange, 'what'>): string {
  const values = action === 'set' ? ` to ${source ?? 'its default'}${target === null ? '' : `, was ${target}`}` : '';
  return `${action} ${subject}${values} (${reason})`;
}

const CHANGES_SHOWN_MAX = 5;

/** `0-2, 5` */
function rangesOf(partitions: readonly number[]): string {
  const ranges: { first: number; last: number }[] = [];
  for (const partition of partitions.toSorted((a, b) => a - b)) {
    const range = ranges.at(-1);
    if (range?.last === partition - 1) range.last = partition;
    else ranges.push({ first: partition, last: partition });
  }
  return ranges.map(({ first, last }) => (first === last ? String(first) : `${first}-${last}`)).join(', ');
}

const GROUPS_SHOWN_MAX = 5;

/** What consumer groups came to, in lines of at most `width` columns; `--json` names up to a hundred that were left alone. */
export function describeGroups(event: Extract<RunEvent, { event: 'groups' }>, width: number): string[] {
  const { mirror, inPlace, leftAlone, leftAloneCount, deleted } = event;
  const shown = leftAlone.slice(0, GROUPS_SHOWN_MAX).map(({ group, why }) => `left alone: ${group}: ${why}`);
  const more = leftAloneCount - shown.length;
  const parts = [
    `${formatNumberOf(inPlace, 'consumer group')} in place on the target`,
    ...(deleted.length === 0 ? [] : [`deleted as on the source: ${deleted.join(', ')}`]),
    ...shown,
    ...(more > 0 ? [`and ${more} more left alone`] : []),
  ];
  return wrap(printable(`${mirror}: ${parts.join('; ')}`), width, '  ');
}

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
export function describeLag(status: Pick<Measured, 'shards'> & { readonly at: number }): string {
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
export function describeStates(
  shards: readonly { readonly state: ShardStatus['state']; readonly incident: { readonly code: string } | null }[],
): string {
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

const STATES = ['stopped', 'starting', 'aligning', 'copying', 'elsewhere', 'ended'] as const;

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

const VERIFY_OUTCOMES = {
  ...OUTCOMES,
  'caught-up': { words: 'proved all that both sides hold', style: 'green' },
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

/** `proof: 12 of 12 partitions proven to the end, 0 offsets behind; 1,204 records the same; 0 unverified, 0 unexplained`. */
export function describeVerifying({ job, partitions }: VerifyJobStatus): string {
  const total = (of: (each: ProvenPartition) => number): number => partitions.reduce((n, each) => n + of(each), 0);
  const atEnd = partitions.filter(({ lag }) => lag === 0).length;
  const unknown = partitions.filter(({ lag }) => lag === null).length;
  const stopped = partitions.filter(({ incident }) => incident !== null).length;
  const behind = `${formatCount(total(({ lag }) => lag ?? 0))} offsets behind${unknown === 0 ? '' : ` and ${formatCount(unknown)} unknown`}`;
  const found = [
    `${formatCount(total(({ unverifiedOffsets }) => unverifiedOffsets))} unverified`,
    `${formatCount(total(({ unexplained }) => unexplained))} unexplained`,
    ...(stopped === 0 ? [] : [`${formatNumberOf(stopped, 'partition')} with an incident`]),
  ];
  return printable(
    `${job}: ${formatCount(atEnd)} of ${formatNumberOf(partitions.length, 'partition')} proven to the end, ${behind}; ${formatNumberOf(
      total(({ records }) => records),
      'record',
    )} the same; ${found.join(', ')}`,
  );
}

export function describeVerifyingEnd(io: Io, event: Extract<RunEvent, { event: 'verifying-ended' }>): string[] {
  const { words, style } = VERIFY_OUTCOMES[event.outcome];
  return [io.style(style, printable(`${event.job}: ${words}`)), `  ${describeVerifying(event.status)}`];
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
