/** The block that the live printer keeps at the bottom of a terminal: a pure picture of the last status of each mirror. */
import type { MirrorStatus, ShardStatus } from '#contract/status.ts';
import { clip, formatBytes, formatCount, formatDuration, formatNumberOf, formatTable, type Column } from '../format.ts';
import type { Io } from '../io.ts';
import { lagOf, type Rates } from './rates.ts';
import { describeLag, describeRates, describeStates, describeWays } from './words.ts';

/** More is no help at a glance; `--json` has all of them. */
const PARTITIONS_MAX = 12;
/** Lines of a mirror that are no partition: heading, six facts, blank, titles, 'and n more', blank. */
const FRAME_LINES = 11;

export interface MirrorView {
  readonly status: MirrorStatus;
  readonly rates: Rates | null;
  /** Topics that are not copied at all. */
  readonly refusedTopics: readonly string[];
  readonly elapsedMs: number;
}

/** In the order in which they are needed: a narrow terminal cuts the last ones. */
const COLUMNS: readonly Column[] = [
  { title: 'TOPIC/PARTITION' },
  { title: 'STATE' },
  { title: 'LAG', align: 'right' },
  { title: 'BEHIND', align: 'right' },
  { title: 'POSITION', align: 'right' },
  { title: 'STABLE END', align: 'right' },
  { title: 'COPIED', align: 'right' },
];

/** Lines of the block, never wider or higher than the terminal. */
export function renderMirrors(io: Io, mirrors: readonly MirrorView[]): string[] {
  const rowsEach = Math.floor((io.rows() - 1) / Math.max(mirrors.length, 1)) - FRAME_LINES;
  const partitions = Math.min(Math.max(rowsEach, 0), PARTITIONS_MAX);
  return mirrors.flatMap((mirror) => renderMirror(io, mirror, partitions)).slice(0, io.rows() - 1);
}

function renderMirror(
  io: Io,
  { status, rates, refusedTopics, elapsedMs }: MirrorView,
  partitionsMax: number,
): string[] {
  const width = io.columns();
  const fact = (name: string, value: string): string => clip(`  ${name.padEnd(8)}${value}`, width);
  const heading = `${status.mirror}  ${status.source} → ${status.target}  running for ${formatDuration(elapsedMs)}`;
  return [
    io.style('bold', clip(heading, width)),
    fact('copied', `${formatNumberOf(status.recordsCopied, 'record')}, ${formatBytes(status.bytesCopied)}`),
    fact('rate', describeRates(rates)),
    fact('lag', `${describeLag(status)}${describeEta(status, rates)}`),
    fact('bytes', describeWays(status.bytes) ?? 'nothing copied yet'),
    fact('shards', describeStates(status.shards)),
    ...(refusedTopics.length === 0
      ? []
      : [
          io.style(
            'red',
            fact('refused', `${formatNumberOf(refusedTopics.length, 'topic')}: ${refusedTopics.join(', ')}`),
          ),
        ]),
    '',
    ...renderShards(io, status.shards, partitionsMax),
  ];
}

function describeEta(status: MirrorStatus, rates: Rates | null): string {
  if (rates === null || rates.etaMs === 0 || lagOf(status).records === null) return '';
  return rates.etaMs === null ? '; not falling' : `; gone in ${formatDuration(rates.etaMs)} at this rate`;
}

/** What is shown of a partition. */
type ShownShard = Omit<ShardStatus, 'holesFilled' | 'refusals' | 'incident'> & { readonly incident: object | null };

/** The partitions that need somebody most, at most `max` of them. */
export function renderShards(io: Io, shards: readonly ShownShard[], max: number): string[] {
  if (shards.length === 0 || max === 0) return [];
  const worst = shards.toSorted(byNeed).slice(0, max);
  const width = io.columns();
  const [titles = '', ...rows] = formatTable(COLUMNS, worst.map(cells)).map((line) => clip(`  ${line}`, width));
  const more = shards.length - worst.length;
  return [
    io.style('dim', titles),
    ...rows.map((row, index) => (worst[index]?.incident ? io.style('red', row) : row)),
    ...(more > 0
      ? [io.style('dim', clip(`  and ${formatCount(more)} more ${more === 1 ? 'partition' : 'partitions'}`, width))]
      : []),
    '',
  ];
}

function cells(shard: ShownShard): string[] {
  return [
    `${shard.topic}/${shard.partition}`,
    shard.state,
    formatCount(shard.lagRecords),
    formatDuration(shard.lagMs),
    formatCount(shard.position),
    formatCount(shard.sourceStableOffset),
    formatBytes(shard.bytesCopied),
  ];
}

/** Stopped ones first, then those of which nothing is known, then by lag. */
function byNeed(a: ShownShard, b: ShownShard): number {
  return (
    Number(b.incident !== null) - Number(a.incident !== null) ||
    Number(b.lagRecords === null) - Number(a.lagRecords === null) ||
    (b.lagRecords ?? 0) - (a.lagRecords ?? 0) ||
    compare(a.topic, b.topic) ||
    a.partition - b.partition
  );
}

function compare(a: string, b: string): number {
  return a < b ? -1 : a > b ? 1 : 0;
}
