/** The figures of runs as a table for people, and whether they are what is expected. */
import { must } from '#util/assert.ts';
import { median } from './data-set.ts';
import type { BatchSizes } from './data-set.ts';
import type { Measurement } from './measure.ts';

/** A line of the results file. */
export type ResultLine = MachineLine | DataSetLine | RunLine;

export interface MachineLine {
  readonly kind: 'machine';
  readonly at: string;
  readonly commit: string;
  readonly cpu: string;
  readonly cores: number;
  readonly memoryGib: number;
  readonly kernel: string;
  readonly node: string;
  readonly java: string;
}

export interface DataSetLine {
  readonly kind: 'data-set';
  readonly dataSet: string;
  readonly description: string;
  readonly records: number;
  readonly gigabytes: number;
  /** 8 where a run of before does not say it. */
  readonly partitions?: number;
  readonly batches: BatchSizes;
}

export interface RunLine {
  readonly kind: 'run';
  readonly dataSet: string;
  readonly system: string;
  readonly run: number;
  /** Null when the copy failed; `problem` says why. */
  readonly measurement: Measurement | null;
  /** How the copy was compared with the source. */
  readonly compared: 'counts' | 'record by record';
  readonly problem: string | null;
  /** Of the last minute, when the copy began: what else was running. */
  readonly loadAverage: number;
}

export interface Expectation {
  readonly text: string;
  readonly isMet: boolean;
}

const CPU_RATIO_MIN = 8;
/** Of TLS on both sides to plaintext. */
const TLS_RATIO_MAX = 2;
/** Of identical offsets to mapped ones. */
const IDENTICAL_RATIO_MAX = 1.05;
const RSS_MB_MAX = 160;
const OURS = 'lockstep';
const OURS_MAPPED = 'lockstep-mapped';
const OURS_OVER_TLS = 'lockstep-tls';
const PEER = 'mm2';

type Figure = (measurement: Measurement) => number;
const figures = {
  mbPerSecond: ({ window }) => window.mbPerSecond,
  cpuPerGb: ({ window }) => window.cpuPerGb,
  wholeCpuPerGb: ({ whole }) => whole.cpuPerGb,
  wholeSeconds: ({ whole }) => whole.seconds,
  sourceCpuPerGb: ({ window }) => window.sourceCpuPerGb,
  targetCpuPerGb: ({ window }) => window.targetCpuPerGb,
  rssMb: ({ peakRssBytes }) => peakRssBytes / 1e6,
} satisfies Record<string, Figure>;

const HEADERS = [
  'data set',
  'system',
  'runs',
  'wall MB/s',
  'mirror CPU-s/GB',
  'whole run: CPU-s/GB',
  's',
  'peak RSS MB',
  'source broker CPU-s/GB',
  'target broker CPU-s/GB',
];

/** A Markdown table: one row for each data set and system, `median (least–most)`. */
export function formatTable(lines: readonly ResultLine[]): string {
  const rows = groups(lines).map(({ dataSet, system, measurements }) => {
    const spread = (figure: Figure, digits: number): string => formatSpread(measurements.map(figure), digits);
    return [
      dataSet,
      system,
      String(measurements.length),
      spread(figures.mbPerSecond, 0),
      spread(figures.cpuPerGb, 2),
      spread(figures.wholeCpuPerGb, 2),
      spread(figures.wholeSeconds, 1),
      spread(figures.rssMb, 0),
      spread(figures.sourceCpuPerGb, 2),
      spread(figures.targetCpuPerGb, 2),
    ];
  });
  const widths = HEADERS.map((header, column) =>
    Math.max(...[header, ...rows.map((row) => row[column] ?? '')].map((cell) => cell.length)),
  );
  const format = (cells: readonly string[]): string =>
    `| ${cells.map((cell, column) => (column < 2 ? cell.padEnd(widths[column] ?? 0) : cell.padStart(widths[column] ?? 0))).join(' | ')} |`;
  const rule = `|${widths.map((width, column) => (column < 2 ? '-'.repeat(width + 2) : `${'-'.repeat(width + 1)}:`)).join('|')}|`;
  return [format(HEADERS), rule, ...rows.map(format)].join('\n');
}

/** What is expected of each data set that was copied by both; nothing where the peer did not run. */
export function expectations(lines: readonly ResultLine[]): Expectation[] {
  const all = groups(lines);
  return all
    .filter(({ system }) => system === OURS)
    .flatMap(({ dataSet, measurements }) => {
      const medianOf = (figure: Figure, of: readonly Measurement[]): number => median(of.map(figure));
      const rss = medianOf(figures.rssMb, measurements);
      const memory = {
        text: `${dataSet}: peak RSS ${rss.toFixed(0)} MB, at most ${RSS_MB_MAX} MB expected`,
        isMet: rss <= RSS_MB_MAX,
      };
      const mapped = all.find((group) => group.dataSet === dataSet && group.system === OURS_MAPPED);
      const encrypted = all.find((group) => group.dataSet === dataSet && group.system === OURS_OVER_TLS);
      const cpuPerGb = medianOf(figures.cpuPerGb, measurements);
      const modes = [
        ...(mapped ? [mappedExpectation(dataSet, cpuPerGb, medianOf(figures.cpuPerGb, mapped.measurements))] : []),
        ...(encrypted ? [tlsExpectation(dataSet, medianOf(figures.cpuPerGb, encrypted.measurements), cpuPerGb)] : []),
      ];
      const peer = all.find((group) => group.dataSet === dataSet && group.system === PEER);
      if (!peer) return [memory, ...modes];
      const ratio = medianOf(figures.cpuPerGb, peer.measurements) / cpuPerGb;
      const [speed, peerSpeed] = [measurements, peer.measurements].map((of) => medianOf(figures.mbPerSecond, of));
      const [ours, theirs] = [must(speed, 'our speed'), must(peerSpeed, 'speed of the peer')];
      return [
        {
          text: `${dataSet}: MirrorMaker 2 takes ${ratio.toFixed(1)} times our CPU for a gigabyte, at least ${CPU_RATIO_MIN} times expected`,
          isMet: ratio >= CPU_RATIO_MIN,
        },
        memory,
        ...modes,
        {
          text: `${dataSet}: ${ours.toFixed(0)} MB/s on the wall against ${theirs.toFixed(0)} MB/s, no slower expected`,
          isMet: ours >= theirs,
        },
      ];
    });
}

function mappedExpectation(dataSet: string, identical: number, mapped: number): Expectation {
  const ratio = identical / mapped;
  return {
    text: `${dataSet}: identical offsets take ${identical.toFixed(2)} CPU-s/GB, ${ratio.toFixed(2)} times the ${mapped.toFixed(2)} of mapped ones, at most ${IDENTICAL_RATIO_MAX} times expected`,
    isMet: ratio <= IDENTICAL_RATIO_MAX,
  };
}

function tlsExpectation(dataSet: string, encrypted: number, plaintext: number): Expectation {
  const ratio = encrypted / plaintext;
  return {
    text: `${dataSet}: TLS on both sides takes ${encrypted.toFixed(2)} CPU-s/GB, ${ratio.toFixed(2)} times the ${plaintext.toFixed(2)} of plaintext, at most ${TLS_RATIO_MAX} times expected`,
    isMet: ratio <= TLS_RATIO_MAX,
  };
}

export function formatExpectations(found: readonly Expectation[]): string {
  return found.map(({ text, isMet }) => `${isMet ? 'met    ' : 'not met'}  ${text}`).join('\n');
}

/** `64 KB batches: median 63 891 B …`: that the batches have the size that the data set is named for. */
export function formatDataSet({
  dataSet,
  description,
  records,
  gigabytes,
  partitions = 8,
  batches,
}: DataSetLine): string {
  const { bytesMedian, bytesMax, recordsMedian, compression } = batches;
  return (
    `${dataSet}: ${description}; ${records.toLocaleString('en')} records, ${gigabytes.toFixed(2)} GB${partitions === 8 ? '' : ` in ${partitions} partitions`}; ` +
    `batches of ${bytesMedian.toLocaleString('en')} B (median; largest ${bytesMax.toLocaleString('en')} B) with ${recordsMedian} records, ` +
    `compressed ${compression.toFixed(2)} : 1`
  );
}

export function formatMachine({ cores, cpu, memoryGib, kernel, node, java, at, commit }: MachineLine): string {
  return `${cores} cores (${cpu}), ${memoryGib} GiB, Linux ${kernel}, Node ${node}, Java ${java}; ${at.slice(0, 10)}, commit ${commit}`;
}

/** How busy the machine was: with more than its cores, CPU-seconds rise a little and the wall a lot. */
export function formatLoad(lines: readonly ResultLine[]): string {
  const loads = lines.flatMap((line) => (line.kind === 'run' ? [line.loadAverage] : []));
  return `load average when the copies began: ${formatSpread(loads, 1)}`;
}

function groups(lines: readonly ResultLine[]): { dataSet: string; system: string; measurements: Measurement[] }[] {
  const found = new Map<string, { dataSet: string; system: string; measurements: Measurement[] }>();
  for (const line of lines) {
    if (line.kind !== 'run' || !line.measurement) continue;
    const { dataSet, system, measurement } = line;
    const key = `${dataSet} ${system}`;
    const group = found.get(key);
    if (group) group.measurements.push(measurement);
    else found.set(key, { dataSet, system, measurements: [measurement] });
  }
  return [...found.values()].toSorted((a, b) => a.dataSet.localeCompare(b.dataSet) || a.system.localeCompare(b.system));
}

function formatSpread(values: readonly number[], digits: number): string {
  const middle = median(values).toFixed(digits);
  if (values.length < 2) return middle;
  return `${middle} (${Math.min(...values).toFixed(digits)}–${Math.max(...values).toFixed(digits)})`;
}
