/** Which cells there are. */
import { byCondition, interleaved, type Cell, type Condition } from './cell.ts';
import { allDataSets, coreDataSets } from './data-set.ts';

export const suiteNames = [
  'core',
  'full',
  'latency',
  'idle',
  'catch-up',
  'kill',
  'soak',
  'wan',
  'workers',
  'smoke',
] as const;
export type SuiteName = (typeof suiteNames)[number];

/** What is told on the command line goes before what a suite says. */
export interface Choice {
  readonly dataSets?: readonly string[];
  readonly systems?: readonly string[];
  readonly gigabytes?: number;
  readonly runs?: number;
  readonly partitions?: number;
  readonly mbPerSecond?: number;
  readonly seconds?: number;
  readonly links?: readonly string[];
}

interface Plan {
  readonly condition: Condition;
  readonly systems: readonly string[];
  readonly runs: number;
}

const RUNS = 3;
const PARTITIONS = 8;
const MANY_PARTITIONS = 1_000;
const IDLE_PARTITIONS = 10_000;
/** A tuned MirrorMaker 2 copies it in less than 20 s. */
const GIGABYTES = 0.5;
const RECORDS = 'n1k_16';
const WATCHED_SECONDS = 30;
/** CPU time is known in steps of 10 ms: a few of them at the least. */
const SMOKE_GIGABYTES = 0.1;
const SOAK_SECONDS = 1_800;
/** Between the source and a mirror beside the target. */
const LINKS = ['80ms', '250ms', '80ms+stalls', '80ms+1000Mbit', '80ms+10Mbit'];
const WAN_GIGABYTES = 0.2;
/** Processes of one mirror. */
const WORKERS = ['lockstep', 'lockstep-x2', 'lockstep-x3'];
/** Long enough that the shares are dealt out before much is copied. */
const WORKERS_GIGABYTES = 2;

const PEERS = ['relay', 'go', 'mm2', 'mm2-default'] as const;
/** Where the other modes run too. */
const MODES: Readonly<Record<string, readonly string[]>> = {
  n1k_16: ['lockstep-mapped', 'lockstep-tls'],
  l1k_64: ['lockstep-mapped', 'lockstep-tls'],
};

/** The cells of some suites, each once, those of a condition together and interleaved. */
export function cellsOf(suites: readonly SuiteName[], choice: Choice = {}): Cell[] {
  const cells = suites.flatMap((suite) =>
    plansOf(suite, choice).flatMap(({ condition, systems, runs }) =>
      interleaved(choice.systems ?? systems, choice.runs ?? runs).map((each): Cell => ({ ...condition, ...each })),
    ),
  );
  return byCondition(cells).flatMap((group) => [
    ...new Map(group.map((cell) => [`${cell.system} ${cell.run}`, cell])).values(),
  ]);
}

function plansOf(suite: SuiteName, choice: Choice): Plan[] {
  switch (suite) {
    case 'core':
      return [
        ...(choice.dataSets ?? coreDataSets).map((dataSet) => copyPlan(choice, { dataSet })),
        ...(choice.dataSets || choice.partitions
          ? []
          : [
              copyPlan(choice, {
                dataSet: RECORDS,
                partitions: MANY_PARTITIONS,
                systems: [...PEERS.slice(0, 3), 'lockstep'],
              }),
            ]),
        ...(choice.dataSets ? [] : [latencyPlan(choice, 10)]),
      ];
    case 'full':
      return [
        ...plansOf('core', choice),
        ...(choice.dataSets
          ? []
          : allDataSets.map((dataSet) => copyPlan(choice, { dataSet, systems: ['relay', 'go', 'mm2', 'lockstep'] }))),
        latencyPlan(choice, 50),
        ...plansOf('catch-up', choice),
        ...plansOf('kill', choice),
        ...plansOf('idle', choice),
        ...plansOf('wan', choice),
        ...plansOf('workers', choice),
      ];
    case 'latency':
      return [latencyPlan(choice, 10)];
    case 'catch-up':
      return [
        live(choice, { kind: 'catch-up', mbPerSecond: 20, seconds: 20, systems: ['lockstep', 'go', 'mm2'], runs: 1 }),
      ];
    case 'kill': {
      const { condition } = copyPlan(choice, { dataSet: RECORDS });
      return [
        { condition: { ...condition, kind: 'kill' }, systems: ['lockstep', 'go', 'mm2', 'mm2-default'], runs: 1 },
      ];
    }
    case 'idle': {
      const partitions = choice.partitions ?? IDLE_PARTITIONS;
      const seconds = choice.seconds ?? 60;
      return [{ condition: { kind: 'idle', dataSet: null, partitions, seconds }, systems: ['lockstep'], runs: 1 }];
    }
    case 'soak':
      return (['soak', 'dead-target'] as const).map((kind) =>
        live(choice, { kind, mbPerSecond: 10, seconds: SOAK_SECONDS, systems: ['lockstep'], runs: 1 }),
      );
    case 'wan':
      return (choice.links ?? LINKS).map((link): Plan => {
        const { condition } = copyPlan({ gigabytes: WAN_GIGABYTES, ...choice }, { dataSet: RECORDS, partitions: 1 });
        return { condition: { ...condition, link }, systems: ['lockstep', 'mm2-default'], runs: RUNS };
      });
    case 'workers':
      return (choice.dataSets ?? ['z1k_1', RECORDS]).map((dataSet) =>
        copyPlan({ gigabytes: WORKERS_GIGABYTES, ...choice }, { dataSet, systems: WORKERS }),
      );
    case 'smoke':
      return [
        {
          ...copyPlan(
            { gigabytes: SMOKE_GIGABYTES, ...choice },
            { dataSet: RECORDS, systems: ['relay', 'go', 'lockstep'] },
          ),
          runs: 1,
        },
        live(choice, { kind: 'latency', mbPerSecond: 1, seconds: 5, systems: ['lockstep'], runs: 1 }),
      ];
  }
}

function copyPlan(
  choice: Choice,
  { dataSet, partitions, systems }: { dataSet: string; partitions?: number; systems?: readonly string[] },
): Plan {
  return {
    condition: {
      kind: 'copy',
      dataSet,
      partitions: choice.partitions ?? partitions ?? PARTITIONS,
      gigabytes: choice.gigabytes ?? GIGABYTES,
    },
    systems: systems ?? [...PEERS, 'lockstep', ...(MODES[dataSet] ?? [])],
    runs: RUNS,
  };
}

function latencyPlan(choice: Choice, mbPerSecond: number): Plan {
  const systems = ['lockstep', 'go', 'mm2', 'mm2-quick'];
  return live(choice, { kind: 'latency', mbPerSecond, seconds: WATCHED_SECONDS, systems, runs: RUNS });
}

interface LivePlan {
  readonly kind: 'latency' | 'catch-up' | 'soak' | 'dead-target';
  readonly mbPerSecond: number;
  readonly seconds: number;
  readonly systems: readonly string[];
  readonly runs: number;
}

/** Records are written while they are copied. */
function live(choice: Choice, { kind, mbPerSecond, seconds, systems, runs }: LivePlan): Plan {
  const condition: Condition = {
    kind,
    dataSet: choice.dataSets?.[0] ?? RECORDS,
    partitions: choice.partitions ?? PARTITIONS,
    mbPerSecond: choice.mbPerSecond ?? mbPerSecond,
    seconds: choice.seconds ?? seconds,
  };
  return { condition, systems, runs };
}
