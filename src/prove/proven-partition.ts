/** How far one partition is proven: what a continuous verification knows of it, window after window. */
import type { Incident } from '#contract/status.ts';
import type { ComparedBytes, PartitionVerification, ProvenPartition, UnverifiedPart } from '#contract/verification.ts';
import type { LogPlace } from '#kafka/fetch-log.ts';
import type { Task } from './verify-tasks.ts';

/** Of each partition the newest; how many offsets there are in all is counted. */
const UNVERIFIED_KEPT = 20;

/** As measured together, before windows are compared. */
export interface MeasuredEnds {
  readonly sourceStart: number;
  readonly sourceEnd: number;
  readonly targetEnd: number;
}

export class PartitionProof {
  task: Task;
  /** Null where they could not be measured. */
  ends: MeasuredEnds | null = null;
  incident: Incident | null = null;
  /** What the incident is about: the same thing is told once. */
  cause: string | null = null;
  /** Monotonic: before it the partition is left alone. */
  retryAtMs = -Infinity;
  /** Monotonic, since when it has not been as it should be; null while it is. */
  troubledSinceMs: number | null = null;
  /** Everything is proven, until an end moves. */
  isAtEnd = false;
  /** Of the map of a mapped partition, as last read. */
  mapRuns = 0;
  /** While it was verified. */
  isCreatedAnew = false;
  #from: number | null = null;
  #provenThrough: number | null = null;
  #measured: { readonly sourceEnd: number; readonly at: number } | null = null;
  #records = 0;
  #compacted = 0;
  #unexplained = 0;
  #bytes: ComparedBytes = { whole: 0, byRecord: 0 };
  #unverified: readonly UnverifiedPart[] = [];
  #unverifiedOffsets = 0;

  constructor(task: Task) {
    this.task = task;
  }

  get provenThrough(): number | null {
    return this.#provenThrough;
  }

  /** The first offset of the next window; null where the source's log start is not known. */
  get next(): number | null {
    return this.#provenThrough ?? this.ends?.sourceStart ?? null;
  }

  measure(ends: MeasuredEnds | null, at: number): void {
    if (!ends) return void (this.ends = null);
    const isSame = this.ends?.sourceEnd === ends.sourceEnd && this.ends.targetEnd === ends.targetEnd;
    this.isAtEnd &&= isSame;
    this.ends = ends;
    this.#measured = { sourceEnd: ends.sourceEnd, at };
  }

  /** What both sides hold was proven to a place that one of them does not reach any more. */
  get isShorter(): boolean {
    const { ends } = this;
    return ends !== null && Math.min(ends.sourceEnd, ends.targetEnd) < (this.#provenThrough ?? 0);
  }

  /** Something is wrong that is not told yet: it may pass. */
  get isPending(): boolean {
    return this.troubledSinceMs !== null && this.incident === null;
  }

  /** Other topics stand under the names: nothing of them is proven. */
  beginAnew(task: Task): void {
    this.task = task;
    this.isCreatedAnew = true;
    this.#from = this.#provenThrough = this.ends = null;
    this.#unexplained = 0;
    this.isAtEnd = false;
  }

  /** What came of the window that began at `next`. True where that moved on. */
  take(verified: PartitionVerification): boolean {
    const before = this.next ?? verified.sourceStart ?? 0;
    this.#from ??= before;
    this.#records += verified.records;
    this.#compacted += verified.compacted;
    this.#unexplained = verified.unexplained ?? 0;
    this.mapRuns = verified.mapping?.runs ?? 0;
    const { whole, byRecord } = verified.bytes;
    this.#bytes = { whole: this.#bytes.whole + whole, byRecord: this.#bytes.byRecord + byRecord };
    const reached = verified.provenThrough ?? Math.max(verified.sourceStart ?? 0, verified.targetStart ?? 0);
    const [gap] = verified.unverified;
    const from = Math.min(verified.from ?? reached, reached);
    if (from > before) this.#doubt({ from: before, to: from, reason: gap?.reason ?? 'one side has not got it' });
    // What lies behind is lag: it is looked at again.
    for (const part of verified.unverified)
      if (part.from >= Math.max(from, before) && part.to <= reached) this.#doubt(part);
    this.#provenThrough = Math.max(before, reached);
    return this.#provenThrough > before;
  }

  #doubt(part: UnverifiedPart): void {
    this.#unverifiedOffsets += part.to - part.from;
    const last = this.#unverified.at(-1);
    const isNext = last?.to === part.from && last.reason === part.reason;
    const merged = isNext ? [...this.#unverified.slice(0, -1), { ...last, to: part.to }] : [...this.#unverified, part];
    this.#unverified = merged.slice(-UNVERIFIED_KEPT);
  }

  status(): ProvenPartition {
    const { pair, partition } = this.task;
    const sourceEnd = this.#measured?.sourceEnd ?? null;
    const behind = this.#provenThrough ?? this.ends?.sourceStart ?? null;
    return {
      topic: pair.source,
      targetTopic: pair.target,
      partition,
      from: this.#from,
      provenThrough: this.#provenThrough,
      sourceEnd,
      lag: sourceEnd === null || behind === null ? null : Math.max(0, sourceEnd - behind),
      measuredAt: this.#measured?.at ?? null,
      records: this.#records,
      compacted: this.#compacted,
      unexplained: this.#unexplained,
      bytes: this.#bytes,
      unverifiedOffsets: this.#unverifiedOffsets,
      unverified: this.#unverified,
      incident: this.incident,
    };
  }
}

export function keyOf({ pair, partition }: Pick<Task, 'pair' | 'partition'>): string {
  return `${pair.source}/${partition}`;
}

/** Whether the same topics as before stand under the names. */
export function isSameTopic(a: LogPlace | null, b: LogPlace | null): boolean {
  return a === null || b === null || a.topicId === b.topicId;
}
