/** What the entries of a log say of each other, looked at one behind the other. Bounded memory: open intents only. */
import { isAscii, isUtf8 } from 'node:buffer';
import { logActions, SILENCE_MS } from '#contract/audit.ts';
import type { FindingKind, Silence } from '#contract/log-verification.ts';
import { LENGTH_BYTES } from './entry-bundle.ts';
import type { VerifierKey } from './note.ts';
import { nextKey } from './rotation.ts';

/** Silences that are shown; the others are counted. */
const SILENCES_MAX = 100;

export type Report = (kind: FindingKind, seq: number | null, message: string) => void;

/** What is looked at of an entry; the rest of it is only hashed. */
interface Line {
  readonly v: 1;
  readonly seq: unknown;
  readonly ts: number;
  readonly action: string;
  readonly phase: string;
  readonly parentSeq: unknown;
  readonly rotation: unknown;
}

export class EntryCheck {
  readonly #report: Report;
  /** Keys that may sign, the one that was given first. */
  readonly trusted: VerifierKey[];
  readonly silences: Silence[] = [];
  readonly #open = new Set<number>();
  #last: { readonly ts: number; readonly isBeforeGap: boolean } | null = null;
  #lastStart = 0;
  /** Entries below are not all there: an intent or an outcome may be among those that are not. */
  #gapEnd = 0;
  from: number | null = null;
  entries = 0;
  starts = 0;
  rotations = 0;

  constructor(key: VerifierKey, report: Report) {
    this.trusted = [key];
    this.#report = report;
  }

  get to(): number | null {
    return this.#last?.ts ?? null;
  }

  /** The entries in `bundle` at `bounds`, of which the first has the sequence `first`. Overwrites their lengths. */
  addAll(first: number, bundle: Buffer, bounds: readonly number[]): void {
    // What is left is ASCII in most logs, and then the text of all of them is made at once.
    for (let i = 0; i < bounds.length; i += 2) bundle.fill(0, (bounds[i] ?? 0) - LENGTH_BYTES, bounds[i]);
    const text = isAscii(bundle) ? bundle.toString('latin1') : null;
    for (let i = 0; i < bounds.length; i += 2) {
      const [start = 0, end = 0] = [bounds[i], bounds[i + 1]];
      const seq = first + i / 2;
      const entry = parseLine(text === null ? textOf(bundle.subarray(start, end)) : text.slice(start, end));
      if (entry) this.#add(seq, entry);
      else this.#report('entry-malformed', seq, 'it is no entry of an audit log');
    }
  }

  /** Entries up to `end` are not there. */
  skip(end: number): void {
    this.#gapEnd = end;
    if (this.#last) this.#last = { ...this.#last, isBeforeGap: true };
  }

  /** Intents that may still be under way; reports those that a later start of a process has found without an outcome. */
  finish(): number[] {
    const open = [...this.#open].filter((seq) => seq >= this.#gapEnd);
    for (const seq of open)
      if (seq < this.#lastStart) this.#report('intent-without-outcome', seq, 'what became of it is not in the log');
    return open.filter((seq) => seq >= this.#lastStart);
  }

  #add(seq: number, entry: Line): void {
    this.entries++;
    if (entry.seq !== seq) this.#report('seq-differs', seq, `it says ${String(entry.seq)}`);
    const isStart = entry.action === logActions.start;
    this.#addTime(seq, entry.ts, isStart);
    if (isStart) [this.#lastStart, this.starts] = [seq, this.starts + 1];
    if (entry.phase === 'intent') this.#open.add(seq);
    if (entry.phase === 'outcome') this.#addOutcome(seq, entry.parentSeq);
    if (entry.action === logActions.keyRotate) this.#addRotation(seq, entry.rotation);
  }

  #addTime(seq: number, ts: number, isStart: boolean): void {
    const last = this.#last;
    this.from ??= ts;
    this.#last = { ts: Math.max(ts, last?.ts ?? ts), isBeforeGap: false };
    if (last === null) return;
    const ms = ts - last.ts;
    if (ms < 0) this.#report('time-goes-back', seq, `it is ${-ms} ms before an earlier one`);
    if (ms <= SILENCE_MS || last.isBeforeGap) return;
    if (this.silences.length < SILENCES_MAX) this.silences.push({ seq, ms, endsWithStart: isStart });
    if (!isStart)
      this.#report('silence', seq, `before it nothing was logged for ${Math.floor(ms / 1000)} s, not even a heartbeat`);
  }

  #addOutcome(seq: number, intent: unknown): void {
    if (typeof intent === 'number' && (this.#open.delete(intent) || intent < this.#gapEnd)) return;
    this.#report('outcome-unpaired', seq, 'its intent is none, or has an outcome already');
  }

  #addRotation(seq: number, rotation: unknown): void {
    const next = isRotation(rotation) ? nextKey(rotation, this.trusted) : null;
    if (!next) return this.#report('rotation-invalid', seq, 'the keys have not signed it');
    this.trusted.push(next);
    this.rotations++;
  }
}

/** Null where it is not text. */
function textOf(bytes: Buffer): string | null {
  return isUtf8(bytes) ? bytes.toString() : null;
}

/** Null where it is no entry. Not its whole schema: a verifier in another language has to say the same. */
function parseLine(text: string | null): Line | null {
  let value: unknown;
  try {
    value = text === null ? null : JSON.parse(text);
  } catch {
    return null;
  }
  if (typeof value !== 'object' || value === null || Array.isArray(value)) return null;
  const line = value as Record<keyof Line, unknown>;
  const isEntry =
    line.v === 1 &&
    isPhase(line.phase) &&
    typeof line.action === 'string' &&
    Number.isSafeInteger(line.ts) &&
    Number(line.ts) >= 0;
  return isEntry ? (line as Line) : null;
}

function isPhase(value: unknown): boolean {
  return value === 'event' || value === 'intent' || value === 'outcome';
}

function isRotation(value: unknown): value is Parameters<typeof nextKey>[0] {
  if (typeof value !== 'object' || value === null) return false;
  const { from, to, fromSignature, toSignature } = value as Record<string, unknown>;
  return [from, to, fromSignature, toSignature].every((each) => typeof each === 'string');
}
