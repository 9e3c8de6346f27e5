/**
 * Which target offset a source offset has, where the two are not the same: runs of records that lie side by side on both
 * sides. Exact: a source offset without a record on the target has none here either, and nothing is interpolated.
 */
import { assert } from '#util/assert.ts';

/** The records of source offsets source to source + length − 1 lie at target offsets target to target + length − 1. */
export interface OffsetRun {
  readonly source: number;
  readonly target: number;
  readonly length: number;
}

/** As much of a map as the next place of a reader takes. */
export interface NextPlaces {
  /** Nothing was ever placed. */
  readonly isEmpty: boolean;
  /** Behind the last record's source offset. */
  readonly sourceEnd: number;
  /** What lies below this source offset has been forgotten, because the target has none of it any more. */
  readonly forgottenBelow: number;
  nextTarget(source: number): number;
}

/** A map as plain JSON: per run its distance from the end of the one before (first of all from 0), and its length. */
export type EncodedOffsetMap = readonly number[];

const INTS_PER_RUN = 3;

/** Both sides only grow. 24 bytes a run. */
export class OffsetMap implements NextPlaces {
  readonly forgottenBelow = 0;
  readonly #sources: number[] = [];
  readonly #targets: number[] = [];
  readonly #lengths: number[] = [];
  #records = 0;

  get runCount(): number {
    return this.#sources.length;
  }

  get isEmpty(): boolean {
    return this.runCount === 0;
  }

  /** How many records it places. */
  get records(): number {
    return this.#records;
  }

  /** Behind the last record's source offset; 0 while there is none. */
  get sourceEnd(): number {
    const last = this.#sources.length - 1;
    return last < 0 ? 0 : this.#sources[last]! + this.#lengths[last]!;
  }

  get targetEnd(): number {
    const last = this.#targets.length - 1;
    return last < 0 ? 0 : this.#targets[last]! + this.#lengths[last]!;
  }

  /** `index` from 0 to runCount − 1. */
  runAt(index: number): OffsetRun {
    assert(index >= 0 && index < this.runCount, 'a run of the map');
    return { source: this.#sources[index]!, target: this.#targets[index]!, length: this.#lengths[index]! };
  }

  *runs(): Generator<OffsetRun, void, undefined> {
    for (let index = 0; index < this.runCount; index++) yield this.runAt(index);
  }

  /** Records that lie behind all others on both sides. What continues the last run becomes part of it. */
  append({ source, target, length }: OffsetRun): void {
    assert([source, target, length].every(Number.isSafeInteger) && length > 0, 'a run has offsets and a length');
    assert(source >= this.sourceEnd && target >= this.targetEnd, 'a map only grows');
    const last = this.runCount - 1;
    if (last >= 0 && source === this.sourceEnd && target === this.targetEnd) this.#lengths[last]! += length;
    else {
      this.#sources.push(source);
      this.#targets.push(target);
      this.#lengths.push(length);
    }
    this.#records += length;
  }

  /** Takes everything from source offset `source` on away. */
  truncate(source: number): void {
    while (this.sourceEnd > source) {
      const last = this.runCount - 1;
      const kept = Math.max(0, source - this.#sources[last]!);
      this.#records -= this.#lengths[last]! - kept;
      if (kept > 0) this.#lengths[last] = kept;
      else for (const list of [this.#sources, this.#targets, this.#lengths]) list.pop();
    }
  }

  /** Forgets its first runs. */
  trim(runs: number): void {
    assert(runs >= 0 && runs < this.runCount, 'a map that is trimmed keeps a run');
    for (let index = 0; index < runs; index++) this.#records -= this.#lengths[index]!;
    for (const list of [this.#sources, this.#targets, this.#lengths]) list.splice(0, runs);
  }

  /** How many runs lie below target offset `target` as a whole. */
  runsBelow(target: number): number {
    return target >= this.targetEnd ? this.runCount : Math.max(0, this.#nextRun(this.#targets, target)?.index ?? 0);
  }

  /** Null where the source offset has no record on the target. */
  targetOf(source: number): number | null {
    const index = lastAtOrBelow(this.#sources, source);
    const within = index < 0 ? Infinity : source - this.#sources[index]!;
    return within < (this.#lengths[index] ?? 0) ? this.#targets[index]! + within : null;
  }

  /** Null where the target offset holds nothing that came from the source. */
  sourceOf(target: number): number | null {
    const index = lastAtOrBelow(this.#targets, target);
    const within = index < 0 ? Infinity : target - this.#targets[index]!;
    return within < (this.#lengths[index] ?? 0) ? this.#sources[index]! + within : null;
  }

  /**
   * Where a group goes on reading the target that would have read `source` next: at the first record that came from there
   * or from behind it, else behind the last. Whoever did so has then read exactly what lies before.
   */
  nextTarget(source: number): number {
    const next = this.#nextRun(this.#sources, source);
    return next === null ? this.targetEnd : this.#targets[next.index]! + next.within;
  }

  /** The same the other way: from a group on the target to one on the source. */
  nextSource(target: number): number {
    const next = this.#nextRun(this.#targets, target);
    return next === null ? this.sourceEnd : this.#sources[next.index]! + next.within;
  }

  #nextRun(bases: readonly number[], offset: number): { index: number; within: number } | null {
    const index = lastAtOrBelow(bases, offset);
    const within = index < 0 ? Infinity : offset - bases[index]!;
    if (within < (this.#lengths[index] ?? 0)) return { index, within };
    return index + 1 < this.runCount ? { index: index + 1, within: 0 } : null;
  }

  /** This map followed by `next`, whose sources are our targets. */
  followedBy(next: OffsetMap): OffsetMap {
    const all = new OffsetMap();
    let index = 0;
    for (const { source, target, length } of this.runs()) {
      while (index < next.runCount && endOf(next.runAt(index)) <= target) index++;
      for (let i = index; i < next.runCount; i++) {
        const run = next.runAt(i);
        const from = Math.max(target, run.source);
        const to = Math.min(target + length, endOf(run));
        if (run.source >= target + length) break;
        all.append({ source: source + from - target, target: run.target + from - run.source, length: to - from });
      }
    }
    return all;
  }

  /** Of runs from index `from` on, each told relative to the one before it (the first to 0). */
  encode(from = 0, to = this.runCount): EncodedOffsetMap {
    const encoded: number[] = [];
    let [sourceEnd, targetEnd] = [0, 0];
    for (let index = from; index < to; index++) {
      const { source, target, length } = this.runAt(index);
      encoded.push(source - sourceEnd, target - targetEnd, length);
      [sourceEnd, targetEnd] = [source + length, target + length];
    }
    return encoded;
  }

  /** Appends what `encode` gave. False, and nothing is appended, where it is no continuation of this map. */
  take(encoded: EncodedOffsetMap): boolean {
    const runs: OffsetRun[] = [];
    let [sourceEnd, targetEnd] = [0, 0];
    for (let at = 0; at < encoded.length; at += INTS_PER_RUN) {
      const [sourceGap = -1, targetGap = -1, length = 0] = encoded.slice(at, at + INTS_PER_RUN);
      const run = { source: sourceEnd + sourceGap, target: targetEnd + targetGap, length };
      const isWhole = [run.source, run.target, length].every(Number.isSafeInteger) && length > 0;
      if (!isWhole || sourceGap < 0 || targetGap < 0) return false;
      runs.push(run);
      [sourceEnd, targetEnd] = [run.source + length, run.target + length];
    }
    const [first] = runs;
    if (first && (first.source < this.sourceEnd || first.target < this.targetEnd)) return false;
    for (const run of runs) this.append(run);
    return true;
  }
}

function endOf({ source, length }: OffsetRun): number {
  return source + length;
}

/** Index of the last of the ascending `values` that is not above `value`; −1 for none. */
export function lastAtOrBelow(values: readonly number[], value: number): number {
  let [low, high] = [0, values.length];
  while (low < high) {
    const middle = (low + high) >>> 1;
    if (values[middle]! <= value) low = middle + 1;
    else high = middle;
  }
  return low - 1;
}
