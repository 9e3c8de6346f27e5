/** The demo in lines: its progress where there is no terminal, and its closing summary. */
import { formatCount, formatDuration, formatNumberOf } from '#cli/format.ts';
import type { Ending, Snapshot } from './snapshot.ts';
import type { LiveDifference } from '#testing/live-compare.ts';

/** `   12.0 s  lag 4 records, 0.1 s; 389 records/s; 4,123 records compared, 0 differences (0.2 s ago); mirror running` */
export function describeProgress({ elapsedMs, total, proof, mirror }: Snapshot): string {
  const lag =
    total.lag === null
      ? 'lag unknown'
      : `lag ${formatNumberOf(total.lag, 'record')}, ${formatDuration(total.behindMs)}`;
  const rate = total.perSecond === null ? 'rate unknown' : `${formatCount(total.perSecond)} records/s`;
  const compared =
    proof.comparedAgoMs === null
      ? 'nothing compared yet'
      : `${formatNumberOf(proof.compared, 'record')} compared, ${formatNumberOf(proof.differences, 'difference')} (${formatDuration(proof.comparedAgoMs)} ago)`;
  return stamped(elapsedMs, `${lag}; ${rate}; ${compared}; mirror ${mirror.state}`);
}

export function stamped(atMs: number, text: string): string {
  return `${formatDuration(atMs).padStart(11)}  ${text}`;
}

/** `topic/3 at offset 4711` */
export function formatPlace(place: { topic: string; partition: number; offset: number }): string {
  return `${place.topic}/${place.partition} at offset ${place.offset}`;
}

export function describeField({ field }: LiveDifference): string {
  return field === 'record'
    ? 'one side has no record'
    : field === 'headers'
      ? 'the headers differ'
      : `the ${field} differs`;
}

/** The closing summary after everything was compared once more. */
export function describeEnding({ traffic, comparison, kills }: Ending): string[] {
  const { compared, differences, first } = comparison;
  return [
    ...describeTraffic(traffic.records, traffic.transactions),
    describeKills(kills),
    `proof     ${formatNumberOf(compared, 'record')} compared in the end, ${formatNumberOf(differences, 'difference')}`,
    ...(first === null ? [] : describeDifference(first)),
    `result    ${verdictOf(comparison)}`,
  ];
}

/** The summary of a demo that was ended by hand, while traffic was still going on. */
export function describeStop({ traffic, mirror, proof }: Snapshot): string[] {
  return [
    ...describeTraffic(traffic.records, traffic),
    describeKills(mirror.kills),
    `proof     ${formatNumberOf(proof.compared, 'record')} compared so far, ${formatNumberOf(proof.differences, 'difference')}`,
    ...(proof.first === null ? [] : describeDifference(proof.first)),
  ];
}

function describeTraffic(records: number, { committed, aborted }: { committed: number; aborted: number }): string[] {
  return [
    `traffic   ${formatNumberOf(records, 'record')} written on east`,
    `          transactions: ${formatCount(committed)} committed, ${formatCount(aborted)} aborted (those are not on west)`,
  ];
}

function describeKills(kills: number): string {
  const times = kills === 0 ? 'never killed' : kills === 1 ? 'killed once' : `killed ${formatCount(kills)} times`;
  return `mirror    ${times}${kills === 0 ? '' : ' with kill -9'}`;
}

function describeDifference(first: LiveDifference): string[] {
  return [
    `          ${formatPlace(first)}: ${describeField(first)}`,
    `            east  ${first.source}`,
    `            west  ${first.target}`,
  ];
}

function verdictOf({ complete, compared, differences }: Ending['comparison']): string {
  if (!complete) return 'west did not reach the end of east in time';
  if (differences > 0) return 'west differs from east';
  if (compared === 0) return 'nothing was compared, so nothing is proved';
  return 'west has the same records as east, at the same offsets';
}
