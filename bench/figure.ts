/** What is measured: each figure's name, unit and digits, and for which kinds of cells it must be there. */
import type { CellKind } from './cell.ts';

interface FigureSpec {
  /** Of a column; with its unit. */
  readonly label: string;
  readonly digits: number;
  /** Of no system on any machine: a smoke run fails beyond it. */
  readonly plausible: readonly [least: number, most: number];
}

/** The window is from the first sample with 5 % on the target to the first with everything. GB = 10^9 logical bytes. */
export const figures = {
  mbPerSecond: { label: 'wall MB/s', digits: 0, plausible: [0.01, 100_000] },
  cpuPerGb: { label: 'mirror CPU-s/GB', digits: 2, plausible: [0.01, 5_000] },
  sourceCpuPerGb: { label: 'source broker CPU-s/GB', digits: 2, plausible: [0, 5_000] },
  targetCpuPerGb: { label: 'target broker CPU-s/GB', digits: 2, plausible: [0, 5_000] },
  estateCpuPerGb: { label: 'mirror + both brokers CPU-s/GB', digits: 2, plausible: [0.01, 15_000] },
  wholeCpuPerGb: { label: 'whole run: CPU-s/GB', digits: 2, plausible: [0.01, 10_000] },
  wholeSeconds: { label: 'whole run: s', digits: 1, plausible: [0.001, 7_200] },
  firstRecordSeconds: { label: 'first record: s', digits: 1, plausible: [0, 600] },
  peakRssMb: { label: 'peak RSS MB', digits: 0, plausible: [1, 20_000] },
  p50Ms: { label: 'p50 ms', digits: 1, plausible: [-100, 600_000] },
  p99Ms: { label: 'p99 ms', digits: 1, plausible: [-100, 600_000] },
  p999Ms: { label: 'p99.9 ms', digits: 1, plausible: [-100, 600_000] },
  maxMs: { label: 'max ms', digits: 1, plausible: [0, 600_000] },
  behindMb: { label: 'behind MB', digits: 0, plausible: [0.001, 1e6] },
  catchUpSeconds: { label: 'caught up after s', digits: 1, plausible: [0, 7_200] },
  catchUpMbPerSecond: { label: 'copied meanwhile MB/s', digits: 0, plausible: [0.001, 100_000] },
  timesIngest: { label: 'times the ingest', digits: 1, plausible: [0.001, 100_000] },
  killedAtPercent: { label: 'killed at %', digits: 0, plausible: [0, 100] },
  recoverySeconds: { label: 'restart to all copied s', digits: 1, plausible: [0, 7_200] },
  lostRecords: { label: 'lost', digits: 0, plausible: [0, 1e9] },
  duplicateRecords: { label: 'duplicates', digits: 0, plausible: [0, 1e9] },
  startSeconds: { label: 'ready after s', digits: 1, plausible: [0, 3_600] },
  cpuPercent: { label: '% of a core', digits: 1, plausible: [0, 10_000] },
  rssMb: { label: 'RSS MB', digits: 0, plausible: [1, 20_000] },
  growthMb: { label: 'RSS growth MB', digits: 0, plausible: [-20_000, 20_000] },
  sourceRequestsPerSecond: { label: 'requests/s to the source', digits: 2, plausible: [0, 1e6] },
  requestsPerConnection: { label: 'requests/s per connection, busier side', digits: 2, plausible: [0, 1e6] },
  targetRequestsPerSecond: { label: 'requests/s to the target', digits: 2, plausible: [0, 1e6] },
} as const satisfies Record<string, FigureSpec>;

export type FigureName = keyof typeof figures;
/** What was not measured is not there: never a zero. */
export type Figures = Readonly<Partial<Record<FigureName, number>>>;

/** The columns of a table of each kind. */
export const columns: Readonly<Record<CellKind, readonly FigureName[]>> = {
  copy: [
    'mbPerSecond',
    'cpuPerGb',
    'sourceCpuPerGb',
    'targetCpuPerGb',
    'estateCpuPerGb',
    'wholeCpuPerGb',
    'wholeSeconds',
    'peakRssMb',
  ],
  latency: ['mbPerSecond', 'p50Ms', 'p99Ms', 'p999Ms', 'maxMs', 'cpuPerGb', 'peakRssMb'],
  'catch-up': ['behindMb', 'catchUpSeconds', 'catchUpMbPerSecond', 'timesIngest', 'peakRssMb'],
  kill: ['killedAtPercent', 'recoverySeconds', 'lostRecords', 'duplicateRecords'],
  idle: [
    'startSeconds',
    'cpuPercent',
    'rssMb',
    'peakRssMb',
    'sourceRequestsPerSecond',
    'targetRequestsPerSecond',
    'requestsPerConnection',
  ],
  'dead-target': ['rssMb', 'growthMb', 'peakRssMb', 'cpuPercent'],
  soak: ['cpuPerGb', 'p50Ms', 'p99Ms', 'p999Ms', 'maxMs', 'rssMb', 'growthMb', 'peakRssMb'],
};

/** Figures of brokers; a relay has none in its way. */
const brokerFigures: ReadonlySet<FigureName> = new Set(['sourceCpuPerGb', 'targetCpuPerGb', 'estateCpuPerGb']);

/** What is wrong with the figures of a cell: missing, not a number, or not of this world. Their size is not judged. */
export function implausible(kind: CellKind, found: Figures, options: { hasBrokers: boolean }): string[] {
  const wanted = columns[kind].filter((name) => options.hasBrokers || !brokerFigures.has(name));
  return wanted.flatMap((name) => {
    const value = found[name];
    if (value === undefined) return [`${name} is missing`];
    const [least, most] = figures[name].plausible;
    return value >= least && value <= most ? [] : [`${name} is ${value}`];
  });
}
