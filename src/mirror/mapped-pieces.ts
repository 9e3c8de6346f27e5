/**
 * How a mapped partition stands in the state topic: pieces of so many runs under ascending indexes, and a head that names
 * those that count. The records of one append come into the log together or not at all, and of more than one append each
 * leaves something whole:
 *
 *   1. pieces from the first that has changed on, lowest first, with the head that names those and all before them
 *   2. tombstones of pieces that no head names any more: those in front from the lowest, those behind from the highest
 *
 * What the steps of 1 leave is the beginning of the ledger that is being saved. It has all that was sent: a record behind a
 * gap is sent when everything is saved, and what is cut off was never sent. Pieces that a crash leaves before 2 lie side by
 * side with those that count, where the next start finds them.
 */
import type { DispositionLedger } from '#contract/disposition-ledger.ts';
import type { OffsetMap } from '#contract/offset-map.ts';
import type { Permit } from '#kafka/permit.ts';
import type { MappedStore } from './mapped-state.ts';
import { mappedKey, pieceKey, type MappedPlace, type MappedRecord } from './state-records.ts';
import type { MappedStateRecord } from './state-topic.ts';

/** Of 10 KB at most, so that they come into one append with their head. */
export const STEP_PIECES = 40;
const STEP_TOMBSTONES = 100;
const KINDS = ['ledger', 'placed'] as const;

type Kind = (typeof KINDS)[number];
type Range = readonly [from: number, to: number];
type Ranges = MappedRecord['pieces'];

interface Content {
  head: MappedRecord;
  readonly ledger: DispositionLedger;
  readonly placements: OffsetMap;
}

/** Of one kind: the pieces that count by the head that is saved, and those that may stand in the topic besides. */
interface Written {
  counted: Range;
  known: Range;
  /** The first run, counted from the first that ever was, that may not stand in the topic as it is here. */
  unsaved: number;
}

export class MappedPieces {
  readonly #place: MappedPlace;
  readonly #written: Record<Kind, Written>;
  /** The first piece that is to count. */
  readonly #from: Record<Kind, number>;
  /** Runs in each piece but the last. */
  readonly #runs: number;
  #isHeadSaved: boolean;

  /** `ranges`: those of the last head, whosever it was. Where that is not `isOurs` nothing counts, and indexes go on behind. */
  constructor(
    store: MappedStore,
    place: MappedPlace,
    last: { readonly ranges: Ranges | null; readonly isOurs: boolean; readonly pieceRuns: number },
  ) {
    const { ranges, isOurs, pieceRuns } = last;
    this.#place = place;
    this.#runs = pieceRuns;
    const writtenOf = (kind: Kind): Written => {
      const [from, to] = ranges?.[kind] ?? [0, 0];
      let [low, high] = [from, to];
      while (low > 0 && store.piece(kind, place, low - 1) !== null) low--;
      while (store.piece(kind, place, high) !== null) high++;
      return { counted: isOurs ? [from, to] : [high, high], known: [low, high], unsaved: 0 };
    };
    this.#written = { ledger: writtenOf('ledger'), placed: writtenOf('placed') };
    this.#from = { ledger: this.#written.ledger.counted[0], placed: this.#written.placed.counted[0] };
    this.#isHeadSaved = isOurs;
    for (const kind of KINDS) this.#written[kind].unsaved = this.#from[kind] * this.#runs;
  }

  /** Of a copy that begins. */
  get none(): Ranges {
    const { ledger, placed } = this.#from;
    return { ledger: [ledger, ledger], placed: [placed, placed] };
  }

  /** What was read is what is saved. */
  saved({ ledger, placements }: Content): void {
    this.#written.ledger.unsaved = this.#from.ledger * this.#runs + ledger.runCount;
    this.#written.placed.unsaved = this.#from.placed * this.#runs + placements.runCount;
  }

  headChanged(): void {
    this.#isHeadSaved = false;
  }

  /** The run with this index is no more what is saved, nor what follows it. */
  changed(kind: Kind, index: number): void {
    const written = this.#written[kind];
    written.unsaved = Math.min(written.unsaved, this.#from[kind] * this.#runs + Math.max(0, index));
  }

  /** How many pieces can go from the front when the first `runs` of `count` runs are not needed; they go with the next save. */
  trim(kind: Kind, runs: number, count: number): number {
    const pieces = Math.min(Math.floor(runs / this.#runs), Math.ceil(count / this.#runs) - 1);
    if (pieces <= 0) return 0;
    this.#from[kind] += pieces;
    const written = this.#written[kind];
    written.unsaved = Math.max(written.unsaved, this.#from[kind] * this.#runs);
    return pieces;
  }

  /** One append after the other. Throws KafkaError; what was not written is written with the next one. */
  async save(store: MappedStore, content: Content, permit?: Permit): Promise<void> {
    const goal = { ledger: this.#end('ledger', content), placed: this.#end('placed', content) };
    while (this.#isDue(content, goal)) await this.#step(store, content, permit);
  }

  #end(kind: Kind, { ledger, placements }: Content): number {
    return this.#from[kind] * this.#runs + (kind === 'ledger' ? ledger : placements).runCount;
  }

  #isDue(content: Content, goal: Readonly<Record<Kind, number>>): boolean {
    if (!this.#isHeadSaved) return true;
    return KINDS.some((kind) => {
      const { counted, known, unsaved } = this.#written[kind];
      const end = this.#end(kind, content);
      const isChanged = unsaved < Math.min(goal[kind], end) || counted[0] !== this.#from[kind];
      return isChanged || counted[1] > Math.ceil(end / this.#runs) || !isSame(counted, known);
    });
  }

  async #step(store: MappedStore, content: Content, permit?: Permit): Promise<void> {
    const before = { ledger: { ...this.#written.ledger }, placed: { ...this.#written.placed } };
    const pieces: MappedStateRecord[] = [];
    for (const kind of KINDS) pieces.push(...this.#takePieces(kind, content, STEP_PIECES - pieces.length));
    const isHeadDue =
      !this.#isHeadSaved || KINDS.some((kind) => !isSame(before[kind].counted, this.#written[kind].counted));
    if (isHeadDue) {
      const { ledger, placed } = this.#written;
      content.head = { ...content.head, pieces: { ledger: [...ledger.counted], placed: [...placed.counted] } };
      pieces.unshift({ kind: 'mapped', key: mappedKey(this.#place), value: content.head });
    }
    this.#isHeadSaved = true;
    const isLast = KINDS.every((kind) => this.#written[kind].unsaved >= this.#end(kind, content));
    const gone = isLast ? this.#takeLeftOver() : { records: [], known: before };
    try {
      await store.putMapped([...pieces, ...gone.records], permit);
    } catch (error) {
      if (isHeadDue) this.#isHeadSaved = false;
      for (const kind of KINDS) {
        const written = this.#written[kind];
        written.unsaved = Math.min(written.unsaved, before[kind].unsaved);
        written.counted = before[kind].counted;
      }
      throw error;
    }
    if (isLast) for (const kind of KINDS) this.#written[kind].known = gone.known[kind].known;
  }

  /** Pieces that have changed, from the lowest on; those that stand behind the last of them do not count any more. */
  #takePieces(kind: Kind, content: Content, room: number): MappedStateRecord[] {
    const written = this.#written[kind];
    const [from, end] = [this.#from[kind], this.#end(kind, content)];
    const count = Math.ceil(end / this.#runs);
    const first = Math.floor(Math.max(written.unsaved, from * this.#runs) / this.#runs);
    const isChanged = written.unsaved < end && room > 0;
    const to = isChanged ? Math.min(count, first + room) : Math.max(from, Math.min(count, written.counted[1]));
    const records: MappedStateRecord[] = [];
    for (let index = first; isChanged && index < to; index++) records.push(this.#piece(kind, index, content));
    if (isChanged) written.unsaved = Math.min(end, to * this.#runs);
    written.counted = [from, to];
    written.known = [written.known[0], Math.max(written.known[1], to)];
    return records;
  }

  #piece(kind: Kind, index: number, { head, ledger, placements }: Content): MappedStateRecord {
    const ids = { mirrorId: head.mirrorId, targetTopicId: head.targetTopicId };
    const key = pieceKey(kind, this.#place, index);
    const at = (index - this.#from[kind]) * this.#runs;
    if (kind === 'placed') {
      const runs = placements.encode(at, Math.min(placements.runCount, at + this.#runs));
      return { kind, key, value: { ...ids, runs: [...runs] } };
    }
    const { start, ordinal, runs } = ledger.encode(at, Math.min(ledger.runCount, at + this.#runs));
    return { kind, key, value: { ...ids, start, ordinal, runs: [...runs] } };
  }

  /** Tombstones of pieces that do not count, and what may stand in the topic when they are written. */
  #takeLeftOver(): {
    readonly records: MappedStateRecord[];
    readonly known: Readonly<Record<Kind, Pick<Written, 'known'>>>;
  } {
    const records: MappedStateRecord[] = [];
    const leave = (kind: Kind): { known: Range } => {
      const { counted, known } = this.#written[kind];
      let [low, high] = known;
      const take = (index: number): void =>
        void records.push({ kind, key: pieceKey(kind, this.#place, index), value: null });
      while (low < counted[0] && records.length < STEP_TOMBSTONES) take(low++);
      while (high > counted[1] && records.length < STEP_TOMBSTONES) take(--high);
      return { known: [low, high] };
    };
    return { records, known: { ledger: leave('ledger'), placed: leave('placed') } };
  }
}

function isSame(a: Range, b: Range): boolean {
  return a[0] === b[0] && a[1] === b[1];
}
