/** What Lockstep is held to: ratios to what ran beside it on the same machine, medians. */
import { must } from '#util/assert.ts';
import type { CellKind, Condition } from './cell.ts';
import { dataSetOf, type DataSet } from './data-set.ts';
import type { FigureName } from './figure.ts';
import { medianIn, OURS, quotient, ratioTo, type Goal, type Reading } from './goal.ts';
import type { Row } from './row.ts';

const TUNED = 'mm2';
const GO = 'go';
const RELAY = 'relay';
/** The records of 1 KB that those of 100 B are compared with: cost follows bytes, not records. */
const SAME_BYTES_OF_LARGER_RECORDS = { n100_16: 'n1k_16' } as const;
/** Of what all cores could do: nobody reaches it exactly, and the wall is noisy. */
const CEILING_SHARE = 0.9;

/** On one machine: a line to the source has goals of its own. */
const isOf =
  (kind: CellKind, ...dataSets: string[]) =>
  (condition: Condition): boolean =>
    condition.kind === kind &&
    condition.link === undefined &&
    (dataSets.length === 0 || dataSets.includes(condition.dataSet ?? ''));

const isAnyCopy = isOf('copy');

type Test = (condition: Condition) => boolean;
type Bound = { readonly atMost: number } | { readonly atLeast: number };

function goal(text: string, appliesTo: Test, bound: Bound, read: Goal['read']): Goal {
  const isUpper = 'atMost' in bound;
  return { text, appliesTo, read, bound: isUpper ? bound.atMost : bound.atLeast, isUpper };
}

/** `names`: system and the part of its figure that ours may be at most. */
function cpuGoals(dataSets: readonly string[], parts: Readonly<Record<string, number>>): Goal[] {
  return Object.entries(parts).map(([system, part]) =>
    goal(
      `mirror CPU-s/GB of ${system}, at most ${part < 1 ? `1/${round(1 / part)}` : part}`,
      isOf('copy', ...dataSets),
      { atMost: part },
      (row) => ratioTo(row, system, 'cpuPerGb'),
    ),
  );
}

function round(value: number): number {
  return Math.round(value * 10) / 10;
}

function limit(text: string, appliesTo: Test, figure: FigureName, bound: Bound, system = OURS): Goal {
  return goal(text, appliesTo, bound, (row) => medianIn(row, system, figure));
}

const isCompressedOrSmall: Test = (condition) =>
  isAnyCopy(condition) && (shapeOf(condition).codec !== 'none' || shapeOf(condition).valueBytes === 100);
const isUncompressed: Test = (condition) => isAnyCopy(condition) && !isCompressedOrSmall(condition);

function shapeOf({ dataSet }: Condition): DataSet {
  return dataSetOf(must(dataSet, 'data set of a copy'));
}

/** Of the other systems that write to a target broker, ours in other modes left out. */
function peersOf({ systems }: Row): string[] {
  return [...systems.keys()].filter((name) => name !== RELAY && name !== 'other' && !name.startsWith(OURS));
}

/** Ours divided by the best of the peers. */
function toBest(row: Row, figure: FigureName, best: (...values: number[]) => number): Reading {
  const theirs = peersOf(row)
    .map((name) => medianIn(row, name, figure))
    .filter((value) => typeof value === 'number');
  if (theirs.length === 0) return 'no peer was measured';
  return quotient(medianIn(row, OURS, figure), best(...theirs));
}

/** The better of: our wall by the fastest peer's, and by (nearly) what the cores can do at the cost of this run. */
function wallReading(row: Row): Reading {
  const toFastest = toBest(row, 'mbPerSecond', Math.max);
  const [wall, cost] = [medianIn(row, OURS, 'mbPerSecond'), medianIn(row, OURS, 'estateCpuPerGb')];
  const cores = row.systems.get(OURS)?.[0]?.machine.cores;
  if (typeof wall === 'string' || typeof cost === 'string' || cores === undefined) return toFastest;
  const toCeiling = wall / ((CEILING_SHARE * cores * 1000) / cost);
  return typeof toFastest === 'string' ? toFastest : Math.max(toFastest, toCeiling);
}

/** Our cost by that of the larger records in the row of the same shape. */
function toLargerRecords(row: Row, rows: readonly Row[]): Reading {
  const { dataSet, partitions, gigabytes } = row.condition;
  const larger = Object.entries(SAME_BYTES_OF_LARGER_RECORDS).find(([small]) => small === dataSet)?.[1];
  const other = rows.find(
    ({ condition }) =>
      isAnyCopy(condition) &&
      condition.dataSet === larger &&
      condition.partitions === partitions &&
      condition.gigabytes === gigabytes,
  );
  if (!other) return `there is no row of ${larger}`;
  return quotient(medianIn(row, OURS, 'cpuPerGb'), medianIn(other, OURS, 'cpuPerGb'));
}

export const goals: readonly Goal[] = [
  ...cpuGoals(['n1k_16', 'n1k_64', 'n1k_1m'], { [TUNED]: 1 / 12, [GO]: 1 / 2.5, [RELAY]: 1.4 }),
  ...cpuGoals(['l1k_64'], { [TUNED]: 1 / 25, [GO]: 1 / 12, [RELAY]: 1.7 }),
  ...cpuGoals(['z1k_64'], { [TUNED]: 1 / 60, [GO]: 1 / 40, [RELAY]: 1.7 }),
  ...cpuGoals(['n100_16'], { [TUNED]: 1 / 50, [GO]: 1 / 5 }),
  goal('mirror CPU-s/GB of 1 KB records, at most 1.3', isOf('copy', 'n100_16'), { atMost: 1.3 }, toLargerRecords),
  ...cpuGoals(['n1k_1', 'n100_1'], { [GO]: 1 / 2.5 }),
  ...cpuGoals(['l1k_1', 'z1k_1'], { [GO]: 1 }),
  goal(
    `target broker's CPU-s/GB of ${GO}, at most 1`,
    isOf('copy', 'n1k_1', 'n100_1', 'l1k_1', 'z1k_1'),
    { atMost: 1 },
    (row) => ratioTo(row, GO, 'targetCpuPerGb'),
  ),
  goal('CPU-s/GB of mirror and both brokers, of the lowest peer at most 1', isAnyCopy, { atMost: 1 }, (row) =>
    toBest(row, 'estateCpuPerGb', Math.min),
  ),
  goal(`wall MB/s of ${TUNED}, at least 3`, isCompressedOrSmall, { atLeast: 3 }, (row) =>
    ratioTo(row, TUNED, 'mbPerSecond'),
  ),
  goal(`wall MB/s of ${TUNED}, at least 2`, isUncompressed, { atLeast: 2 }, (row) =>
    ratioTo(row, TUNED, 'mbPerSecond'),
  ),
  goal(
    `wall MB/s of the fastest peer, or of ${CEILING_SHARE} of what the cores can do at this cost, at least 1`,
    isAnyCopy,
    { atLeast: 1 },
    wallReading,
  ),
  limit('peak RSS in MB, at most 110', isAnyCopy, 'peakRssMb', { atMost: 110 }),
  {
    ...goal('CPU-s/GB with TLS on both sides of that in plaintext, at most 2', isAnyCopy, { atMost: 2 }, (row) =>
      ratioTo(row, OURS, 'cpuPerGb', 'lockstep-tls'),
    ),
    system: 'lockstep-tls',
  },
  {
    ...goal('CPU-s/GB of mapped offsets, at most 1.05', isAnyCopy, { atMost: 1.05 }, (row) =>
      ratioTo(row, 'lockstep-mapped', 'cpuPerGb'),
    ),
    system: 'lockstep-mapped',
  },
  limit('added latency in ms, p50 at most 1', isOf('latency'), 'p50Ms', { atMost: 1 }),
  limit('added latency in ms, p99 at most 5', isOf('latency'), 'p99Ms', { atMost: 5 }),
  limit('added latency in ms, p99.9 at most 20', isOf('latency'), 'p999Ms', { atMost: 20 }),
  goal(`added latency of ${TUNED} at p99, at most 1/4`, isOf('latency'), { atMost: 1 / 4 }, (row) =>
    ratioTo(row, TUNED, 'p99Ms'),
  ),
  limit('wall MB/s of one partition 80 ms away, at least 50', isAway('80ms'), 'mbPerSecond', { atLeast: 50 }),
  limit('wall MB/s of one partition 250 ms away, at least 25', isAway('250ms'), 'mbPerSecond', { atLeast: 25 }),
  goal('wall MB/s of mm2-default, at least 10', isAway('80ms', '250ms'), { atLeast: 10 }, (row) =>
    ratioTo(row, 'mm2-default', 'mbPerSecond'),
  ),
  {
    ...goal('wall MB/s of two processes of one, at least 1.8', isAnyCopy, { atLeast: 1.8 }, (row) =>
      ratioTo(row, OURS, 'mbPerSecond', 'lockstep-x2'),
    ),
    system: 'lockstep-x2',
  },
  limit('records lost after kill -9, at most 0', isOf('kill'), 'lostRecords', { atMost: 0 }),
  limit('duplicates after kill -9, at most 0', isOf('kill'), 'duplicateRecords', { atMost: 0 }),
  limit('% of a core, at most 3', isIdle10k, 'cpuPercent', { atMost: 3 }),
  limit('RSS in MB, at most 200', isIdle10k, 'rssMb', { atMost: 200 }),
  limit('requests/s per connection of the busier side, at most 2', isIdle10k, 'requestsPerConnection', { atMost: 2 }),
  limit('peak RSS in MB, at most 110', isOf('soak'), 'peakRssMb', { atMost: 110 }),
  limit('peak RSS in MB, at most 160', isOf('dead-target'), 'peakRssMb', { atMost: 160 }),
];

function isAway(...links: string[]): Test {
  return ({ kind, link }) => kind === 'copy' && link !== undefined && links.includes(link);
}

function isIdle10k({ kind, partitions }: Condition): boolean {
  return kind === 'idle' && partitions >= 10_000;
}
