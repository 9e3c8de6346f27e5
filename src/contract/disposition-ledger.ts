/**
 * What became of each source offset of a partition, without a gap, as runs. The records that were delivered are counted:
 * the n-th of them (its ordinal, from 0) is the n-th record of ours on the target, which is all that an offset map needs
 * to know of the source.
 */
import { assert } from '#util/assert.ts';
import { lastAtOrBelow, OffsetMap } from './offset-map.ts';

/** The numbers are those of the state topic. */
const codes = { delivered: 0, control: 1, aborted: 2, compacted: 3, 'dead-lettered': 4, 'lost-at-source': 5 } as const;
/** `filtered` by rule n has this and n. */
const FILTERED = 16;
/** Never saved: what the pieces of a damaged ledger leave out. */
const UNEXPLAINED = -1;
const RULES_MAX = 10_000;

export type DispositionKind = keyof typeof codes | 'filtered';

/**
 * `delivered`: its record is on the target. `control`: a marker of a transaction. `aborted`: within a batch of an aborted
 * transaction. `compacted`: no batch of the source has a record there. `filtered`: left out by the rule of that index.
 */
export type Disposition =
  | { readonly kind: Exclude<DispositionKind, 'filtered'> }
  | { readonly kind: 'filtered'; readonly rule: number };

/** Offsets [from, to). */
export type DispositionRun = Disposition & { readonly from: number; readonly to: number };

/** A piece of a ledger as plain JSON: code and length of each run, in turn. */
export interface EncodedLedger {
  readonly start: number;
  /** Delivered before it. */
  readonly ordinal: number;
  readonly runs: readonly number[];
}

/** How offsets [start, end) add up. */
export interface LedgerBalance {
  readonly start: number;
  readonly end: number;
  readonly counts: Readonly<Record<DispositionKind, number>>;
  /** Offsets of [start, end) that no run covers: 0, or its pieces do not fit together. */
  readonly unexplained: number;
}

/** Offsets of a range by what a ledger says of them; `records`: delivered, filtered or dead-lettered; `nothing`: unexplained. */
export interface Tally {
  readonly records: number;
  readonly control: number;
  readonly aborted: number;
  /** Compacted, or lost at the source. */
  readonly absent: number;
  readonly nothing: number;
}

/** 24 bytes a run. */
export class DispositionLedger {
  #start: number;
  #startOrdinal: number;
  /** Per run: its first offset, its code, and how many were delivered before it. */
  readonly #from: number[] = [];
  readonly #codes: number[] = [];
  readonly #ordinals: number[] = [];
  #end: number;
  #ordinal: number;

  constructor(start: number, startOrdinal = 0) {
    assert(Number.isSafeInteger(start) && start >= 0, 'a ledger starts at an offset');
    this.#start = this.#end = start;
    this.#startOrdinal = this.#ordinal = startOrdinal;
  }

  /** The first offset that it knows of; grows when it is trimmed. */
  get start(): number {
    return this.#start;
  }

  /** Of the first record that is delivered from `start` on. */
  get startOrdinal(): number {
    return this.#startOrdinal;
  }

  /** The first offset that is not accounted for. */
  get end(): number {
    return this.#end;
  }

  /** Of the next record that is delivered. */
  get ordinal(): number {
    return this.#ordinal;
  }

  get runCount(): number {
    return this.#from.length;
  }

  /** What became of the offsets from `end` on. Runs of one kind side by side are one. */
  append(disposition: Disposition, length: number): void {
    this.#append(codeOf(disposition), length);
    if (disposition.kind === 'delivered') this.#ordinal += length;
  }

  #append(code: number, length: number): void {
    assert(Number.isSafeInteger(length) && length > 0, 'a run covers at least one offset');
    if (this.#codes.at(-1) !== code) {
      this.#from.push(this.#end);
      this.#codes.push(code);
      this.#ordinals.push(this.#ordinal);
    }
    this.#end += length;
  }

  #runAt(index: number): DispositionRun | null {
    const code = this.#codes[index]!;
    return code === UNEXPLAINED ? null : { ...dispositionOf(code), from: this.#from[index]!, to: this.#toOf(index) };
  }

  #toOf(index: number): number {
    return this.#from[index + 1] ?? this.#end;
  }

  /** Without what is unexplained: there one does not begin where the one before ends. */
  *runs(): Generator<DispositionRun, void, undefined> {
    for (let index = 0; index < this.runCount; index++) {
      const run = this.#runAt(index);
      if (run) yield run;
    }
  }

  /** Null for an offset that is not accounted for. */
  dispositionAt(offset: number): Disposition | null {
    const index = lastAtOrBelow(this.#from, offset);
    if (index < 0 || offset >= this.#end || this.#codes[index] === UNEXPLAINED) return null;
    return dispositionOf(this.#codes[index]!);
  }

  /** The run that covers an offset; null for one that is not accounted for. */
  runOf(offset: number): DispositionRun | null {
    const index = lastAtOrBelow(this.#from, offset);
    return index < 0 || offset >= this.#end ? null : this.#runAt(index);
  }

  /** What it says of offsets [from, to). */
  tally(from: number, to: number): Tally {
    const tally = { records: 0, control: 0, aborted: 0, absent: 0, nothing: to - from };
    let index = Math.max(0, lastAtOrBelow(this.#from, from));
    for (; index < this.runCount && this.#from[index]! < to; index++) {
      const code = this.#codes[index]!;
      const length = Math.min(to, this.#toOf(index)) - Math.max(from, this.#from[index]!);
      if (code === UNEXPLAINED || length <= 0) continue;
      tally.nothing -= length;
      if (code === codes.control) tally.control += length;
      else if (code === codes.aborted) tally.aborted += length;
      else if (code === codes.compacted || code === codes['lost-at-source']) tally.absent += length;
      else tally.records += length;
    }
    return tally;
  }

  /** How many records were delivered before source offset `offset`: the ordinal of the next one. */
  ordinalAt(offset: number): number {
    if (offset >= this.#end) return this.#ordinal;
    const index = lastAtOrBelow(this.#from, offset);
    if (index < 0) return this.#startOrdinal;
    return this.#ordinals[index]! + (this.#codes[index] === codes.delivered ? offset - this.#from[index]! : 0);
  }

  /** Of which source offset the record with this ordinal is; null where none was delivered with it. */
  offsetOf(ordinal: number): number | null {
    if (ordinal < this.#startOrdinal || ordinal >= this.#ordinal) return null;
    const index = lastAtOrBelow(this.#ordinals, ordinal); // runs without records have the ordinal of what follows
    return this.#codes[index] === codes.delivered ? this.#from[index]! + ordinal - this.#ordinals[index]! : null;
  }

  /** How many runs lie below an offset as a whole. */
  runsBelow(offset: number): number {
    return offset >= this.#end ? this.runCount : Math.max(0, lastAtOrBelow(this.#from, offset));
  }

  /** Forgets its first runs: it begins behind them. */
  trim(runs: number): void {
    assert(runs >= 0 && runs < this.runCount, 'a ledger keeps a run');
    if (runs === 0) return;
    for (const list of [this.#from, this.#codes, this.#ordinals]) list.splice(0, runs);
    this.#start = this.#from[0]!;
    this.#startOrdinal = this.#ordinals[0]!;
  }

  /** Takes away what stands from the record with this ordinal on. */
  truncate(ordinal: number): void {
    const offset = this.offsetOf(ordinal);
    if (offset === null) return;
    while ((this.#from.at(-1) ?? -1) >= offset)
      for (const list of [this.#from, this.#codes, this.#ordinals]) list.pop();
    this.#end = offset;
    this.#ordinal = ordinal;
  }

  /** Source offsets to ordinals. */
  deliveries(): OffsetMap {
    const map = new OffsetMap();
    for (let index = 0; index < this.runCount; index++) {
      const source = this.#from[index]!;
      if (this.#codes[index] === codes.delivered)
        map.append({ source, target: this.#ordinals[index]!, length: this.#toOf(index) - source });
    }
    return map;
  }

  balance(): LedgerBalance {
    const counts = { filtered: 0, ...Object.fromEntries(Object.keys(codes).map((kind) => [kind, 0])) };
    const balance = { ...(counts as Record<DispositionKind, number>) };
    let covered = 0;
    for (const { kind, from, to } of this.runs()) {
      balance[kind] += to - from;
      covered += to - from;
    }
    const { start, end } = this;
    return { start, end, counts: balance, unexplained: end - start - covered };
  }

  /** Runs `from` to `to` − 1. */
  encode(from = 0, to = this.runCount): EncodedLedger {
    const runs: number[] = [];
    for (let index = from; index < to; index++) runs.push(this.#codes[index]!, this.#toOf(index) - this.#from[index]!);
    return { start: this.#from[from] ?? this.#end, ordinal: this.#ordinals[from] ?? this.#ordinal, runs };
  }

  /**
   * Appends what `encode` gave. False, and nothing is appended, where it does not go on where this ledger ends; with `mayGap`
   * it may begin behind it, and what lies between is unexplained.
   */
  take({ start, ordinal, runs }: EncodedLedger, { mayGap = false } = {}): boolean {
    const isNext = start === this.#end && ordinal === this.#ordinal;
    const isBehind = mayGap && start > this.#end && ordinal >= this.#ordinal;
    if ((!isNext && !isBehind) || runs.length % 2 !== 0) return false;
    const isWhole = runs.every((value, at) =>
      at % 2 === 0 ? isDispositionCode(value) : Number.isSafeInteger(value) && value > 0,
    );
    if (!isWhole) return false;
    if (isBehind) this.#append(UNEXPLAINED, start - this.#end);
    this.#ordinal = ordinal;
    for (let at = 0; at < runs.length; at += 2) this.append(dispositionOf(runs[at]!), runs[at + 1]!);
    return true;
  }
}

/** False for one that a later version may know. */
export function isDispositionCode(code: number): boolean {
  return Object.values(codes).some((each) => each === code) || (code >= FILTERED && code < FILTERED + RULES_MAX);
}

function codeOf(disposition: Disposition): number {
  return disposition.kind === 'filtered' ? FILTERED + disposition.rule : codes[disposition.kind];
}

function dispositionOf(code: number): Disposition {
  if (code >= FILTERED) return { kind: 'filtered', rule: code - FILTERED };
  for (const kind of Object.keys(codes) as (keyof typeof codes)[]) if (codes[kind] === code) return { kind };
  throw new Error(`disposition ${code}`);
}
