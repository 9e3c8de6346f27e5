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

/** How offsets [start, end) add up. `unexplained` is 0, or something is wrong. */
export interface LedgerBalance {
  readonly start: number;
  readonly end: number;
  readonly counts: Readonly<Record<DispositionKind, number>>;
  /** Offsets of [start, end) that no run covers. */
  readonly unexplained: number;
}

/** 24 bytes a run. */
export class DispositionLedger {
  readonly start: number;
  /** Of the first record that is delivered from `start` on. */
  readonly startOrdinal: number;
  /** Per run: its first offset, its code, and how many were delivered before it. */
  readonly #from: number[] = [];
  readonly #codes: number[] = [];
  readonly #ordinals: number[] = [];
  #end: number;
  #ordinal: number;

  constructor(start: number, startOrdinal = 0) {
    assert(Number.isSafeInteger(start) && start >= 0, 'a ledger starts at an offset');
    this.start = this.#end = start;
    this.startOrdinal = this.#ordinal = startOrdinal;
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
    assert(Number.isSafeInteger(length) && length > 0, 'a run covers at least one offset');
    const code = codeOf(disposition);
    if (this.#codes.at(-1) !== code) {
      this.#from.push(this.#end);
      this.#codes.push(code);
      this.#ordinals.push(this.#ordinal);
    }
    this.#end += length;
    if (code === codes.delivered) this.#ordinal += length;
  }

  runAt(index: number): DispositionRun {
    assert(index >= 0 && index < this.runCount, 'a run of the ledger');
    const to = this.#from[index + 1] ?? this.#end;
    return { ...dispositionOf(this.#codes[index]!), from: this.#from[index]!, to };
  }

  *runs(): Generator<DispositionRun, void, undefined> {
    for (let index = 0; index < this.runCount; index++) yield this.runAt(index);
  }

  /** Null for an offset that is not accounted for. */
  dispositionAt(offset: number): Disposition | null {
    const index = lastAtOrBelow(this.#from, offset);
    return index < 0 || offset >= this.#end ? null : dispositionOf(this.#codes[index]!);
  }

  /** The run that covers an offset; null for one that is not accounted for. */
  runOf(offset: number): DispositionRun | null {
    const index = lastAtOrBelow(this.#from, offset);
    return index < 0 || offset >= this.#end ? null : this.runAt(index);
  }

  /** Of which source offset the record with this ordinal is; null where none was delivered with it. */
  offsetOf(ordinal: number): number | null {
    if (ordinal < this.startOrdinal || ordinal >= this.#ordinal) return null;
    let index = lastAtOrBelow(this.#ordinals, ordinal);
    while (this.#codes[index] !== codes.delivered) index--; // runs without records have the ordinal of what follows
    return this.#from[index]! + ordinal - this.#ordinals[index]!;
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
      const { kind, from, to } = this.runAt(index);
      if (kind === 'delivered') map.append({ source: from, target: this.#ordinals[index]!, length: to - from });
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
    for (let index = from; index < to; index++) {
      const run = this.runAt(index);
      runs.push(this.#codes[index]!, run.to - run.from);
    }
    return { start: this.#from[from] ?? this.#end, ordinal: this.#ordinals[from] ?? this.#ordinal, runs };
  }

  /** Appends what `encode` gave. False, and nothing is appended, where it does not go on where this ledger ends. */
  take({ start, ordinal, runs }: EncodedLedger): boolean {
    if (start !== this.#end || ordinal !== this.#ordinal || runs.length % 2 !== 0) return false;
    const isWhole = runs.every((value, at) =>
      at % 2 === 0 ? isCode(value) : Number.isSafeInteger(value) && value > 0,
    );
    if (!isWhole) return false;
    for (let at = 0; at < runs.length; at += 2) this.append(dispositionOf(runs[at]!), runs[at + 1]!);
    return true;
  }
}

function isCode(code: number): boolean {
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
