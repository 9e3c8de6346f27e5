/** The smallest thing that is measured, and kept: one run of one system under one condition. */

export const cellKinds = ['copy', 'latency', 'catch-up', 'kill', 'idle', 'soak', 'dead-target'] as const;
export type CellKind = (typeof cellKinds)[number];

/** What all runs of all systems of one row have in common: they compare. */
export interface Condition {
  readonly kind: CellKind;
  /** By name; null where partitions are idle. */
  readonly dataSet: string | null;
  readonly partitions: number;
  /** Logical, in 10^9 bytes, of what is there before (copy, kill). */
  readonly gigabytes?: number;
  /** Logical, in 10^6 bytes, of what is written meanwhile (latency, catch-up, soak, dead-target). */
  readonly mbPerSecond?: number;
  /** Of what is watched, or of the pause (catch-up). */
  readonly seconds?: number;
  /** Between the source and the mirror, such as `80ms`; without it they are on one machine. */
  readonly link?: string;
}

export interface Cell extends Condition {
  readonly system: string;
  /** From 1. */
  readonly run: number;
}

/** `copy n1k_16 8p 0.5GB`: the same for all that compare with each other. */
export function conditionOf(condition: Condition): string {
  const { kind, dataSet, partitions, gigabytes, mbPerSecond, seconds, link = null } = condition;
  const parts = [kind, dataSet, `${partitions}p`];
  if (gigabytes !== undefined) parts.push(`${gigabytes}GB`);
  if (mbPerSecond !== undefined) parts.push(`${mbPerSecond}MB/s`);
  if (seconds !== undefined) parts.push(`${seconds}s`);
  parts.push(link);
  return parts.filter((part) => part !== null).join(' ');
}

/** `copy n1k_16 8p 0.5GB lockstep #1` */
export function cellId(cell: Cell): string {
  return `${conditionOf(cell)} ${cell.system} #${cell.run}`;
}

/**
 * In which order the cells of one condition run: round by round, and each round begins with another system, so that no
 * system always comes after the same one.
 */
export function interleaved(systems: readonly string[], runs: number): { system: string; run: number }[] {
  return Array.from({ length: runs }, (_, round) => round).flatMap((round) => {
    const first = round % Math.max(1, systems.length);
    const order = [...systems.slice(first), ...systems.slice(0, first)];
    return order.map((system) => ({ system, run: round + 1 }));
  });
}

/** Cells of each condition together, in the order in which conditions and cells come. */
export function byCondition<T extends Cell>(cells: readonly T[]): T[][] {
  return [...Map.groupBy(cells, conditionOf).values()];
}
