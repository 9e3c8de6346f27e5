/**
 * Judges a mirrored topic from what both logs hold: R1–R8 of the acceptance reference, and for identical offsets the
 * placement. Pure; knows nothing of how the mirror works.
 *
 *   1. Both logs are walked together by offset. Equal records at equal offsets are settled, which is nearly all.
 *   2. What is left over on both sides is paired by content, first within the partition, then across: a record that
 *      sits elsewhere is misplaced, out of order or in a wrong partition, but not lost and new.
 *   3. What is left of that is named by what the other side has at its offset.
 */
import { assert, must } from '#util/assert.ts';
import type { TimestampComparison } from '../java-reader.ts';
import type { Entry, Fate, PartitionHistory } from './history.ts';

export const checks = {
  R1: 'lost',
  R2: 'unseen',
  R3: 'phantom or aborted read',
  R4: 'duplicate',
  R5: 'reordered',
  R6: 'corrupt',
  R7: 'wrong partition',
  R8: 'unaccounted offset',
  placement: 'not at the offset of the source',
} as const;
export type Check = keyof typeof checks;

/** How many instances of a finding are kept; all are counted. */
const instancesMax = 8;

export interface MirrorPolicy {
  readonly transactions: 'committed-only' | 'preserve';
  readonly timestamps: TimestampComparison;
  /** Whether the target must begin where the source does; `any` when retention has gone on by itself. Default: equal. */
  readonly logStart?: 'equal' | 'any';
  /** Whether cleaners may have been at work since the copy, so that superseded records may be on one side only. */
  readonly isCompacted?: boolean;
  /** False judges a mirror on its way: what the target does not have yet is not missed. Default: true. */
  readonly isCaughtUp?: boolean;
}

export interface Instance {
  readonly topic: string;
  readonly partition: number;
  /** On the source, except for records that the source does not have. */
  readonly offset: number;
  readonly cause: string;
}

export interface Finding {
  readonly check: Check;
  readonly meaning: string;
  readonly count: number;
  readonly instances: readonly Instance[];
}

export interface CheckResult {
  /** Every check, those that found nothing with count 0. */
  readonly findings: readonly Finding[];
  readonly partitions: number;
  /** Records that are equal on both sides. */
  readonly recordsEqual: number;
  /** How many offsets of the source, from log start to last stable offset, are what. */
  readonly dispositions: Readonly<Record<'delivered' | 'aborted' | 'control' | 'compacted', number>>;
}

/** The partitions of one source topic against those of its target topic. */
export interface ReplicationCheck {
  readonly source: readonly PartitionHistory[];
  readonly target: readonly PartitionHistory[];
  readonly policy: MirrorPolicy;
}

export function checkReplication(check: ReplicationCheck): CheckResult {
  return new Comparison(check).run();
}

/** What an offset is, in the eyes of one policy. */
type Kind = 'visible' | 'aborted' | 'open' | 'control' | 'nothing';

/** A record that step 1 could not settle. */
interface Leftover {
  readonly side: Side;
  readonly entry: Entry;
}

/** One partition with its peer. */
interface Side {
  readonly partition: number;
  readonly source: PartitionHistory | null;
  readonly target: PartitionHistory | null;
  /** Source offsets that are judged. */
  readonly from: number;
  readonly to: number;
}

/** Offsets from `from` up to, not including, `to`. */
interface UnaccountedRun {
  readonly side: Side;
  readonly from: number;
  readonly to: number;
  readonly cause: string;
}

interface Pair {
  readonly side: Side;
  readonly source: Entry;
  readonly target: Entry;
}

class Comparison {
  readonly #policy: MirrorPolicy;
  readonly #sides: readonly Side[];
  readonly #topics: { source: string; target: string };
  readonly #found = new Map<Check, { count: number; instances: Instance[] }>();
  readonly #dispositions = { delivered: 0, aborted: 0, control: 0, compacted: 0 };
  #recordsEqual = 0;
  #sourceLeft: Leftover[] = [];
  #targetLeft: Leftover[] = [];
  /** Records that were found at another offset of their partition. */
  readonly #misplaced: Pair[] = [];
  /** Offsets that the target does not account for, until it is known whether they are behind a shift. */
  readonly #unaccounted: UnaccountedRun[] = [];
  /** By partition, the target's offsets whose record does not come from that partition of the source. */
  readonly #foreign = new Map<Side, Set<number>>();

  constructor({ source, target, policy }: ReplicationCheck) {
    this.#policy = policy;
    this.#topics = { source: source[0]?.topic ?? '', target: target[0]?.topic ?? '' };
    const count = Math.max(0, ...[...source, ...target].map((history) => history.partition + 1));
    const of = (histories: readonly PartitionHistory[], partition: number): PartitionHistory | null =>
      histories.find((history) => history.partition === partition) ?? null;
    this.#sides = Array.from({ length: count }, (_, partition) =>
      sideOf({ partition, source: of(source, partition), target: of(target, partition) }, policy),
    );
  }

  run(): CheckResult {
    for (const side of this.#sides) this.#walk(side);
    this.#pairWithinPartitions();
    this.#pairAcrossPartitions();
    this.#nameTargetLeftovers();
    this.#nameSourceLeftovers();
    for (const side of this.#sides) this.#checkPlacement(side);
    return {
      findings: (Object.keys(checks) as Check[]).map((check) => {
        const { count, instances } = this.#found.get(check) ?? { count: 0, instances: [] };
        return { check, meaning: checks[check], count, instances };
      }),
      partitions: this.#sides.length,
      recordsEqual: this.#recordsEqual,
      dispositions: this.#dispositions,
    };
  }

  /** Step 1: both logs by offset. */
  #walk(side: Side): void {
    let nextSource = side.from;
    for (const { offset, source, target } of walkTogether(side)) {
      if (offset >= side.from && offset < side.to) {
        this.#accountEmptyRun(side, nextSource, offset);
        nextSource = offset + 1;
        this.#countDisposition(source);
      }
      this.#judgeOffset(side, { offset, source, target });
    }
    this.#accountEmptyRun(side, nextSource, side.to);
    for (const offset of side.target?.overlaps ?? []) {
      this.#unaccounted.push({ side, from: offset, to: offset + 1, cause: 'two batches of the target claim it' });
    }
  }

  #countDisposition(source: Entry | null): void {
    if (!source) this.#dispositions.compacted++;
    else if (source.fate === 'delivered' || source.fate === 'aborted') this.#dispositions[source.fate]++;
    else this.#dispositions.control++;
  }

  /** Offsets [from, to) that hold nothing on either side: fine at the source, on the target an offset nobody wrote. */
  #accountEmptyRun(side: Side, from: number, to: number): void {
    if (from >= to) return;
    this.#dispositions.compacted += to - from;
    this.#missAccount({ side, from, to, cause: 'compacted at the source, nothing on the target' });
  }

  /** Where a cleaner was at work since, an offset that holds nothing may have been accounted for once. */
  #missAccount(run: UnaccountedRun): void {
    if (!this.#policy.isCompacted) this.#unaccounted.push(run);
  }

  #judgeOffset(side: Side, at: { offset: number; source: Entry | null; target: Entry | null }): void {
    const { offset, source, target } = at;
    const sourceKind = this.#kindOf(source, 'source');
    const targetKind = this.#kindOf(target, 'target');
    if (sourceKind === 'visible' && targetKind === 'visible') {
      this.#compareAligned({ side, source: must(source, 'record'), target: must(target, 'record') });
      return;
    }
    if (sourceKind === 'visible') this.#sourceLeft.push({ side, entry: must(source, 'record') });
    if (targetKind === 'visible') this.#targetLeft.push({ side, entry: must(target, 'record') });
    if (sourceKind === 'visible' || targetKind === 'visible' || offset >= side.to) return;
    this.#judgeInvisible(side, offset, { source, target });
  }

  /** An offset that no reader sees: the target must have something there that takes the offset up. */
  #judgeInvisible(side: Side, offset: number, at: { source: Entry | null; target: Entry | null }): void {
    const { source, target } = at;
    const what = source ? fateNames[source.fate] : 'compacted at the source';
    const run = { side, from: offset, to: offset + 1 };
    if (!target) return this.#missAccount({ ...run, cause: `${what}, nothing on the target` });
    if (this.#policy.transactions === 'committed-only' || !source || source.fate === target.fate) {
      if (source?.fate === 'aborted' && target.fate === 'aborted') this.#compareContent({ side, source, target });
      return;
    }
    this.#unaccounted.push({ ...run, cause: `${what}, ${fateNames[target.fate]} on the target` });
  }

  #kindOf(entry: Entry | null, side: 'source' | 'target'): Kind {
    if (!entry) return 'nothing';
    if (entry.fate === 'commit' || entry.fate === 'abort' || entry.fate === 'other-control') return 'control';
    if (entry.fate === 'delivered') return 'visible';
    // A target without transactions is read uncommitted as well: there every data record is seen.
    return side === 'target' && this.#policy.transactions === 'committed-only' ? 'visible' : entry.fate;
  }

  #compareAligned(pair: Pair): void {
    const { source, target } = pair;
    if (source.id === target.id && this.#timeOf(source) === this.#timeOf(target)) {
      this.#compareContent(pair);
      return;
    }
    this.#sourceLeft.push({ side: pair.side, entry: pair.source });
    this.#targetLeft.push({ side: pair.side, entry: pair.target });
  }

  #compareContent(pair: Pair): void {
    const differences = differingFields(pair, this.#policy.timestamps);
    if (differences.length > 0) this.#report('R6', pair.side, pair.source.offset, differences.join(', '));
    else this.#recordsEqual++;
  }

  #timeOf(entry: Entry): number {
    return this.#policy.timestamps === 'ignore' ? 0 : entry.timestamp;
  }

  /**
   * Step 2a: the same content elsewhere in the same partition, in the order of the log. Records with nothing in them
   * are equal to many: those of the same time go first, then those at the same offset.
   */
  #pairWithinPartitions(): void {
    const identities: readonly ((leftover: Leftover) => string)[] = [
      ({ side, entry }) => `${side.partition}/${entry.id}/${this.#timeOf(entry)}`,
      ({ side, entry }) => `${side.partition}/${entry.id}/${entry.offset}`,
      ({ side, entry }) => `${side.partition}/${entry.id}`,
    ];
    for (const identity of identities) {
      this.#pairLeftovers(identity, (source, target) => {
        const pair = { side: source.side, source: source.entry, target: target.entry };
        if (source.entry.offset !== target.entry.offset) this.#misplaced.push(pair);
        this.#compareContent(pair);
      });
    }
  }

  /** Step 2b: the same content in another partition. */
  #pairAcrossPartitions(): void {
    this.#pairLeftovers(
      (leftover) => String(leftover.entry.id),
      (source, target) => {
        const cause = `is in partition ${target.side.partition} of the target, at offset ${target.entry.offset}`;
        this.#report('R7', source.side, source.entry.offset, cause);
        this.#markForeign(target);
      },
    );
  }

  #markForeign({ side, entry }: Leftover): void {
    this.#foreign.set(side, (this.#foreign.get(side) ?? new Set()).add(entry.offset));
  }

  #pairLeftovers(keyOf: (leftover: Leftover) => string, pair: (source: Leftover, target: Leftover) => void): void {
    if (this.#sourceLeft.length === 0 || this.#targetLeft.length === 0) return;
    const waiting = new Map<string, { list: Leftover[]; next: number }>();
    for (const leftover of this.#sourceLeft) {
      const key = keyOf(leftover);
      const known = waiting.get(key);
      if (known) known.list.push(leftover);
      else waiting.set(key, { list: [leftover], next: 0 });
    }
    const paired = new Set<Leftover>();
    this.#targetLeft = this.#targetLeft.filter((target) => {
      const known = waiting.get(keyOf(target));
      const source = known?.list[known.next];
      if (!known || !source) return true;
      known.next++;
      paired.add(source);
      pair(source, target);
      return false;
    });
    this.#sourceLeft = this.#sourceLeft.filter((leftover) => !paired.has(leftover));
  }

  /** Step 3, records that only the target has. */
  #nameTargetLeftovers(): void {
    if (this.#targetLeft.length === 0) return;
    const missing = new Map(this.#sourceLeft.map((leftover) => [placeOf(leftover), leftover]));
    const originals = this.#originals();
    for (const leftover of this.#targetLeft) {
      const { side, entry } = leftover;
      this.#markForeign(leftover);
      const original = originals.get(entry.id);
      const peer = missing.get(placeOf(leftover));
      // Content that many records share says nothing about where a record came from.
      if (peer && original?.count !== 1) {
        this.#report(
          'R6',
          side,
          entry.offset,
          differingFields({ side, source: peer.entry, target: entry }, this.#policy.timestamps).join(', '),
        );
        missing.delete(placeOf(leftover));
      } else if (original && original.fate === 'delivered') {
        const cause = `the target has the record of source partition ${original.partition}, offset ${original.offset} once more`;
        this.#report('R4', side, entry.offset, `${cause}, at offset ${entry.offset}`);
      } else if (original) {
        const cause = `aborted at the source in partition ${original.partition}, offset ${original.offset}`;
        this.#report('R3', side, entry.offset, `${cause}; visible on the target`);
      } else if (!this.#isSuperseded(side.source, entry)) {
        this.#report('R3', side, entry.offset, 'the source has no such record');
      }
    }
    this.#sourceLeft = [...missing.values()];
  }

  /** Step 3, records that only the source has. */
  #nameSourceLeftovers(): void {
    const shifted = new Set(this.#misplaced.map((pair) => pair.side));
    for (const { side, entry } of this.#sourceLeft) {
      if (this.#isSuperseded(side.target, entry)) continue;
      const end = side.target?.highWatermark ?? 0;
      if (entry.offset >= end) {
        this.#report('R2', side, entry.offset, `the target ends at offset ${end}`);
        continue;
      }
      const there = entryAt(side.target, entry.offset);
      // Where offsets have shifted, a control record does not stand for the record that should be at its offset.
      if (there && this.#kindOf(there, 'target') === 'control' && !shifted.has(side)) {
        const cause = 'delivered at the source, a control record on the target';
        this.#unaccounted.push({ side, from: entry.offset, to: entry.offset + 1, cause });
      } else {
        const what = describeThere(there, entry);
        this.#report('R1', side, entry.offset, `the target has ${what} at its offset`);
      }
    }
  }

  /** A cleaner may take a record away when a later one has its key. */
  #isSuperseded(history: PartitionHistory | null, entry: Entry): boolean {
    if (!this.#policy.isCompacted || !history) return false;
    return (this.#lastOfKey(history).get(entry.keyHash) ?? -1) > entry.offset;
  }

  readonly #lastOfKeys = new Map<PartitionHistory, Map<number, number>>();

  #lastOfKey(history: PartitionHistory): Map<number, number> {
    const known = this.#lastOfKeys.get(history);
    if (known) return known;
    const { entries } = history;
    const last = new Map<number, number>();
    for (let at = 0; at < entries.length; at++) {
      if (entries.fate(at) === 'delivered') last.set(entries.keyHash(at), entries.offset(at));
    }
    this.#lastOfKeys.set(history, last);
    return last;
  }

  /** Content → where the source has it; a delivered record goes before an aborted one. Made only when needed. */
  #originals(): Map<number, { partition: number; offset: number; fate: Fate; count: number }> {
    const originals = new Map<number, { partition: number; offset: number; fate: Fate; count: number }>();
    for (const { partition, source } of this.#sides) {
      const entries = source?.entries;
      for (let at = 0; at < (entries?.length ?? 0); at++) {
        assert(entries, 'entries of the source');
        const fate = entries.fate(at);
        if (fate !== 'delivered' && fate !== 'aborted') continue;
        const known = originals.get(entries.id(at));
        if (known?.fate === fate) known.count++;
        else if (!known || fate === 'delivered')
          originals.set(entries.id(at), { partition, offset: entries.offset(at), fate, count: 1 });
      }
    }
    return originals;
  }

  /** R5, R8 and the identity of offsets, which need to know what was paired. */
  #checkPlacement(side: Side): void {
    const misplaced = this.#misplaced.filter((pair) => pair.side === side);
    misplaced.sort((a, b) => a.target.offset - b.target.offset);
    this.#checkOrder(side, misplaced);
    let shiftedFrom = Infinity;
    for (const { source, target } of misplaced) {
      shiftedFrom = Math.min(shiftedFrom, source.offset, target.offset);
      this.#report('placement', side, source.offset, `is at offset ${target.offset} of the target`);
    }
    // Behind a shift every offset would be called unaccounted: the shift itself is the finding.
    for (const { side: where, from, to, cause } of this.#unaccounted) {
      if (where !== side || from >= shiftedFrom) continue;
      const run = to - from > 1 ? `${cause}, up to offset ${to - 1}` : cause;
      this.#report('R8', side, from, run, Math.min(to, shiftedFrom) - from);
    }
    this.#checkBounds(side);
  }

  /**
   * R5: in the order of the target, the offsets at the source must grow. Records with the same content stand for each
   * other, so they are counted off in order: to change places among themselves changes nothing.
   */
  #checkOrder(side: Side, misplaced: readonly Pair[]): void {
    const { source, target, partition } = side;
    if (misplaced.length === 0 || !source || !target) return;
    const lost = new Set(this.#sourceLeft.filter((left) => left.side === side).map((left) => left.entry.offset));
    const moved = new Map<number, number[]>(misplaced.map((pair) => [pair.source.id, []]));
    for (let at = 0; at < source.entries.length; at++) {
      const isHere = source.entries.fate(at) === 'delivered' && !lost.has(source.entries.offset(at));
      if (isHere) moved.get(source.entries.id(at))?.push(source.entries.offset(at));
    }
    for (const offsets of moved.values()) offsets.reverse(); // taken from the end
    const foreign = this.#foreign.get(side);
    let highest = -1;
    for (let at = 0; at < target.entries.length; at++) {
      const targetOffset = target.entries.offset(at);
      if (target.entries.fate(at) !== 'delivered' || foreign?.has(targetOffset)) continue;
      const sourceOffset = moved.get(target.entries.id(at))?.pop() ?? targetOffset;
      if (sourceOffset < highest) {
        this.#report(
          'R5',
          side,
          sourceOffset,
          `comes after source offset ${highest} in partition ${partition} of the target`,
        );
      }
      highest = Math.max(highest, sourceOffset);
    }
  }

  #checkBounds(side: Side): void {
    const { source, target } = side;
    if (!source || !target) {
      this.#report('placement', side, 0, `the partition is only on the ${source ? 'source' : 'target'}`);
      return;
    }
    if ((this.#policy.logStart ?? 'equal') === 'equal' && source.logStart !== target.logStart) {
      this.#report('placement', side, source.logStart, `the source begins here, the target at ${target.logStart}`);
    }
    const isEndWrong =
      this.#policy.isCaughtUp === false
        ? target.highWatermark > source.lastStable
        : target.highWatermark !== source.lastStable;
    if (isEndWrong) {
      this.#report('placement', side, source.lastStable, `the source ends here, the target at ${target.highWatermark}`);
    }
  }

  #report(check: Check, side: Side, offset: number, cause: string, offsets = 1): void {
    const found = this.#found.get(check) ?? { count: 0, instances: [] };
    found.count += offsets;
    const topic = side.source ? this.#topics.source : this.#topics.target;
    if (found.instances.length < instancesMax)
      found.instances.push({ topic, partition: side.partition, offset, cause });
    this.#found.set(check, found);
  }
}

const fateNames: Readonly<Record<Fate, string>> = {
  delivered: 'a record',
  aborted: 'an aborted record',
  open: 'a record of an open transaction',
  commit: 'a commit marker',
  abort: 'an abort marker',
  'other-control': 'a control record',
};

function sideOf(side: Pick<Side, 'partition' | 'source' | 'target'>, policy: MirrorPolicy): Side {
  const { source, target } = side;
  const sourceStart = source?.logStart ?? 0;
  const from = policy.logStart === 'any' ? Math.max(sourceStart, target?.logStart ?? 0) : sourceStart;
  const end = source?.lastStable ?? 0;
  const reached = (policy.transactions === 'preserve' ? target?.lastStable : target?.highWatermark) ?? 0;
  const to = policy.isCaughtUp === false ? Math.min(end, reached) : end;
  return { ...side, from, to };
}

/** Every offset at which either side has something, ascending. The source only where it is judged. */
function* walkTogether(side: Side): Iterable<{ offset: number; source: Entry | null; target: Entry | null }> {
  const source = side.source?.entries;
  const target = side.target?.entries;
  // With retention of its own on each side, what only the target still has is no finding.
  const targetFrom = side.from > (side.source?.logStart ?? 0) ? side.from : (side.target?.logStart ?? 0);
  let s = firstAtLeast(source, side.from);
  let t = firstAtLeast(target, targetFrom);
  for (;;) {
    const sourceOffset = source && s < source.length && source.offset(s) < side.to ? source.offset(s) : Infinity;
    const targetOffset = target && t < target.length ? target.offset(t) : Infinity;
    const offset = Math.min(sourceOffset, targetOffset);
    if (offset === Infinity) return;
    yield {
      offset,
      source: source && sourceOffset === offset ? source.at(s++) : null,
      target: target && targetOffset === offset ? target.at(t++) : null,
    };
  }
}

function firstAtLeast(entries: PartitionHistory['entries'] | undefined, offset: number): number {
  let [low, high] = [0, entries?.length ?? 0];
  while (low < high) {
    const middle = (low + high) >>> 1;
    if (entries && entries.offset(middle) < offset) low = middle + 1;
    else high = middle;
  }
  return low;
}

function entryAt(history: PartitionHistory | null, offset: number): Entry | null {
  const at = firstAtLeast(history?.entries, offset);
  if (!history || at >= history.entries.length || history.entries.offset(at) !== offset) return null;
  return history.entries.at(at);
}

function describeThere(there: Entry | null, expected: Entry): string {
  if (!there) return 'nothing';
  return there.id === expected.id || there.id === 0 ? fateNames[there.fate] : 'another record';
}

function placeOf({ side, entry }: Leftover): string {
  return `${side.partition}/${entry.offset}`;
}

function differingFields({ source, target }: Pair, timestamps: TimestampComparison): string[] {
  const fields: string[] = [];
  if (source.keyHash !== target.keyHash) fields.push('key differs');
  if (source.valueHash !== target.valueHash) fields.push('value differs');
  if (source.headersHash !== target.headersHash) fields.push('headers differ');
  if (fields.length === 0 && source.id !== target.id) fields.push('encoding differs');
  if (timestamps !== 'ignore' && source.timestamp !== target.timestamp) {
    fields.push(`timestamp ${source.timestamp} at the source, ${target.timestamp} on the target`);
  }
  if (timestamps === 'equal' && source.isLogAppendTime !== target.isLogAppendTime)
    fields.push('timestamp type differs');
  return fields;
}
