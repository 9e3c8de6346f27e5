/**
 * What a load takes: docs/capacity.md has the same formula in words, and says of each coefficient where it was measured
 * and of what is not measured that it is not.
 */

export interface CapacityLoad {
  readonly topics: number;
  readonly partitions: number;
  /** Bytes of batches as they lie in the source's log, compressed or not. */
  readonly bytesPerSecond: number;
  readonly brokers: { readonly source: number; readonly target: number };
  /** Sides that are reached over TLS. */
  readonly tlsSides: number;
  /** Partitions on which groups that are carried over have committed, one for each group; and how many groups those are. */
  readonly groupPlaces: number;
  readonly groups: number;
  readonly groupsEveryMs: number;
  readonly refreshMs: number;
}

export interface CapacityPlan {
  readonly processes: number;
  /** Of the mirror, of all processes together. */
  readonly cores: number;
  readonly coresOf: {
    readonly copying: number;
    readonly partitions: number;
    readonly groups: number;
    readonly metadata: number;
  };
  /** Of the process that has most to do. */
  readonly coresOfOne: number;
  /** Of one process, at its peak. */
  readonly memoryBytes: number;
  /** Of one process, to both clusters. */
  readonly connections: number;
  /** Of all processes together, to one broker; of those that carry records, the least that there can be. */
  readonly requestsPerSecond: { readonly source: number; readonly target: number };
  /** Into the group of the processes, against what it may have. */
  readonly groupBytes: number;
  /** What the brokers take for the records, in cores, all of a side together, with one replica. */
  readonly brokerCores: { readonly source: number; readonly target: number };
  /** The fullest first: what limits you next. */
  readonly limits: readonly CapacityLimit[];
}

export interface CapacityLimit {
  readonly what: string;
  /** Of what there is, with this many processes: 1 is full. */
  readonly used: number;
  readonly next: string;
}

/** As measured; docs/capacity.md says where. */
export const COEFFICIENTS = {
  cpuSecondsPerGb: 1.3,
  /** Of what TLS to both sides takes, half for each. */
  tlsFactor: 1.6,
  coresOfProcess: 0.007,
  coresPerPartition: 1.05e-6,
  /** Of all partitions, for each look at the topics. */
  metadataCpuSecondsPerPartition: 2.6e-6,
  /** For each partition of another process, when it is asked about. */
  othersCpuSecondsPerPartition: 12e-6,
  /** For each place, in each round in which it moves. */
  groupCpuSecondsPerPlace: 24e-6,
  memoryOfProcess: 160_000_000,
  memoryPerPartition: 17_600,
  memoryPerGroupPlace: 380,
  /** Metadata of both sides, of all partitions. */
  memoryPerKnownPartition: 940,
  groupBytesPerTopic: 38,
  groupBytesPerPartition: 1.4,
  sourceBrokerCpuSecondsPerGb: 1.3,
  targetBrokerCpuSecondsPerGb: 3,
} as const;

/** A process does all its work in one thread; more than this of a core shows in the latency. */
const CORE_FULL = 0.7;
/** Of V8's heap a machine with 4 GiB or more lets a process have 2 GiB at least; nothing larger has been tried. */
const MEMORY_FULL = 2 * 2 ** 30;
const GROUP_BYTES_FULL = 512 * 2 ** 10;
const FETCH_BYTES = 4 * 2 ** 20;
/** A fetch without news is answered after 500 ms. */
const IDLE_FETCHES = 2;
const HEARTBEATS = 0.5;
const OTHERS_MS = 10_000;
const OTHERS_PER_SECOND = 1_000;
const GROUPS_PER_REQUEST = 100;
const PROCESSES_MAX = 1_000;
const NEAR = 1.1;

/** With as many processes as are needed, or `processes`. */
export function capacityOf(load: CapacityLoad, processes?: number): CapacityPlan {
  if (processes !== undefined) return planWith(load, processes);
  // What does not divide may be more than fits: then as many as bring one near to it.
  const { coresOfOne, memoryBytes } = planWith(load, PROCESSES_MAX);
  const [coresMax, memoryMax] = [Math.max(CORE_FULL, coresOfOne * NEAR), Math.max(MEMORY_FULL, memoryBytes * NEAR)];
  for (let count = 1; ; count++) {
    const plan = planWith(load, count);
    if (count === PROCESSES_MAX || (plan.coresOfOne <= coresMax && plan.memoryBytes <= memoryMax)) return plan;
  }
}

function planWith(load: CapacityLoad, processes: number): CapacityPlan {
  const { partitions, bytesPerSecond, brokers, groupPlaces } = load;
  const c = COEFFICIENTS;
  const [gbPerSecond, others] = [bytesPerSecond / 1e9, partitions * (1 - 1 / processes)];
  const tls = 1 + ((c.tlsFactor - 1) / 2) * load.tlsSides;
  const othersS = Math.max(OTHERS_MS / 1000, others / OTHERS_PER_SECOND);
  const ofGroups = (groupPlaces * c.groupCpuSecondsPerPlace * 1000) / load.groupsEveryMs;
  const metadataOfOne =
    (partitions * c.metadataCpuSecondsPerPartition * 1000) / load.refreshMs +
    (others * c.othersCpuSecondsPerPartition) / othersS;
  const coresOf = {
    copying: gbPerSecond * c.cpuSecondsPerGb * tls,
    partitions: processes * c.coresOfProcess + partitions * c.coresPerPartition,
    groups: ofGroups,
    metadata: processes * metadataOfOne,
  };
  const coresOfOne = (coresOf.copying + coresOf.partitions + coresOf.metadata) / processes + ofGroups;
  const memoryBytes =
    c.memoryOfProcess +
    (partitions / processes) * c.memoryPerPartition +
    partitions * c.memoryPerKnownPartition +
    groupPlaces * c.memoryPerGroupPlace;
  const groupBytes = load.topics * c.groupBytesPerTopic + partitions * c.groupBytesPerPartition;
  return {
    processes,
    cores: coresOf.copying + coresOf.partitions + coresOf.groups + coresOf.metadata,
    coresOf,
    coresOfOne,
    memoryBytes,
    connections: 2 * brokers.source + 2 * brokers.target + 1,
    requestsPerSecond: requestsOf(load, { processes, othersS: others > 0 ? othersS : Infinity }),
    groupBytes,
    brokerCores: {
      source: gbPerSecond * c.sourceBrokerCpuSecondsPerGb,
      target: gbPerSecond * c.targetBrokerCpuSecondsPerGb,
    },
    limits: [
      {
        what: 'the core of a process',
        used: coresOfOne / CORE_FULL,
        next:
          ofGroups + metadataOfOne > coresOfOne / 2
            ? 'a longer sync.groups.everyMs or refreshMs, or several mirrors'
            : 'one more process',
      },
      { what: 'the memory of a process', used: memoryBytes / MEMORY_FULL, next: 'one more process' },
      { what: 'the group of the processes', used: groupBytes / GROUP_BYTES_FULL, next: 'several mirrors' },
    ].toSorted((a, b) => b.used - a.used),
  };
}

function requestsOf(
  { bytesPerSecond, brokers, groups, groupsEveryMs, refreshMs }: CapacityLoad,
  { processes, othersS }: { readonly processes: number; readonly othersS: number },
): { source: number; target: number } {
  const carried = (count: number): number => bytesPerSecond / count / FETCH_BYTES;
  const read =
    groups === 0 ? 0 : (1 + Math.ceil(groups / GROUPS_PER_REQUEST) / brokers.source) * (1000 / groupsEveryMs);
  const written = groups === 0 ? 0 : (groups / brokers.target) * (1000 / groupsEveryMs);
  return {
    source:
      Math.max(processes * IDLE_FETCHES, carried(brokers.source)) +
      processes * (1000 / refreshMs / brokers.source + 2 / othersS) +
      read,
    target: carried(brokers.target) + processes * (HEARTBEATS / brokers.target + 1 / othersS) + read + written,
  };
}

/** What a mirror of a file takes. */
export interface MirrorCapacity {
  readonly mirror: string;
  readonly source: string;
  readonly target: string;
  readonly load: Pick<CapacityLoad, 'topics' | 'partitions' | 'groups' | 'groupPlaces'> & {
    readonly recordsPerSecond: number;
    /** As they lie in the log; null: not known. */
    readonly recordBytes: number | null;
    /** How long was looked; null where the rate was stated. */
    readonly sampledMs: number | null;
    /** Partitions that did not answer, and are not in the rate. */
    readonly unanswered: number;
  };
  /** Null while it is not known how many bytes there are. */
  readonly plan: CapacityPlan | null;
}
