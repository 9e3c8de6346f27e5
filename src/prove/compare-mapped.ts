/**
 * Compares a partition with its mapped copy, through the map that the mirror has saved: the records that a read_committed
 * reader of the source sees lie on the target where the map says, in their order, and nothing else is mapped. The ledger is
 * recounted from the raw batches of the source. Map and ledger are what is judged here, not what is believed.
 */
import { must } from '#util/assert.ts';
import type { DispositionKind, DispositionLedger } from '#contract/disposition-ledger.ts';
import type { OffsetMap } from '#contract/offset-map.ts';
import type { Difference, DifferenceKind, UnverifiedPart } from '#contract/verification.ts';
import { producerIdOf } from '#kafka/records/batch-header.ts';
import { changedFields, type ComparePolicy } from './compare-partition.ts';
import { DamagedBatchError, LogSide, type PartitionLog } from './log-side.ts';
import { firstDifference, shownRecord } from './shown-record.ts';
import { conditionAt, type ConditionSince, type StatedFilter } from './stated-filter.ts';

const SHOWN_MAX = 10;

/** What a mirror has saved of a mapped partition, as far as its records are on the target. */
export interface MappedExport {
  readonly map: OffsetMap;
  readonly ledger: DispositionLedger;
  /** Others write to the target as well. */
  readonly isShared: boolean;
  /** Below the ledger's start offsets are identical, not mapped. */
  readonly isPart?: boolean;
  /** Where the ledger began; up to its start it was forgotten, because the target has none of it any more. */
  readonly mappedFrom?: number;
  /** Of the mirror's batches on the target; where it is known. */
  readonly producerId?: number;
  /** Of the topics that it was made of; where they are known. */
  readonly topicIds?: { readonly source: string; readonly target: string };
  /** Which condition on records the mirror's file had, in the order of the offsets from which it had it. */
  readonly conditions?: readonly ConditionSince[];
}

/** What the log of the source shows of an offset. */
type Seen = Extract<DispositionKind, 'delivered' | 'control' | 'aborted' | 'compacted'>;

export class MappedComparison {
  /** Records that are the same on both sides, so far. */
  records = 0;
  readonly bytes = { whole: 0, byRecord: 0 };
  differences = 0;
  /** Records of the target that are nobody's copy. */
  others = 0;
  /** Records that one side had and compaction took. */
  compacted = 0;
  /** Records that are missing, and offsets of which the ledger says nothing, or something else than the source's log. */
  unexplained = 0;
  readonly seen: Record<Seen, number> = { delivered: 0, control: 0, aborted: 0, compacted: 0 };
  readonly #policy: ComparePolicy;
  readonly #range: { readonly from: number; readonly to: number };
  readonly #exported: MappedExport;
  readonly #filter: StatedFilter;
  readonly #source: LogSide;
  readonly #target: LogSide;
  #shown: Difference[] = [];
  #firstAt = Infinity;
  #hasTarget = false;
  /** A batch that cannot be read is a difference; else it is thrown, to be fetched again. */
  readonly #isDamageFinal: boolean;
  /** The source offset that stands for the batch of the target that could not be read. */
  #damagedTarget: number | null = null;
  readonly #unverified: UnverifiedPart[] = [];

  /** Source offsets [from, to), whose records have all been on the target, which ends at `targetEnd`. */
  constructor(
    logs: { readonly source: PartitionLog; readonly target: PartitionLog },
    range: { readonly from: number; readonly to: number; readonly targetEnd: number },
    options: {
      readonly exported: MappedExport;
      readonly policy: ComparePolicy;
      /** The condition that the file has now. */
      readonly filter: StatedFilter;
      readonly isDamageFinal: boolean;
    },
  ) {
    const { map } = options.exported;
    this.#isDamageFinal = options.isDamageFinal;
    this.#filter = options.filter;
    this.#exported = options.exported;
    this.#policy = options.policy;
    this.#range = range;
    this.#source = new LogSide(logs.source, range);
    const end = Math.min(map.nextTarget(range.to), range.targetEnd);
    this.#target = new LogSide(logs.target, { from: Math.min(map.nextTarget(range.from), end), to: end });
  }

  /** Ends early when `signal` aborts, and behind the first difference unless the policy is full. Throws KafkaError. */
  async run(
    signal: AbortSignal,
  ): Promise<{ provenThrough: number; shown: readonly Difference[]; unverified: readonly UnverifiedPart[] }> {
    const { from, to } = this.#range;
    try {
      if (from < to) await this.#compare(signal);
    } catch (error) {
      if (!(error instanceof DamagedBatchError) || !this.#isDamageFinal) throw error;
      this.#damaged(error);
    } finally {
      await Promise.all([this.#source.close(), this.#target.close()]);
    }
    const unverified = this.#source.lost.map((part): UnverifiedPart => ({
      from: part.from,
      to: part.to,
      reason: 'source expired before it was read',
    }));
    return {
      provenThrough: Math.min(this.#firstAt, to),
      shown: this.#shown,
      unverified: [...unverified, ...this.#unverified],
    };
  }

  #damaged({ offset, message }: DamagedBatchError): void {
    const { from, to } = this.#range;
    const [side, at] = this.#damagedTarget === null ? ['source', offset] : ['target', this.#damagedTarget];
    const first = Math.min(Math.max(at, from), to);
    this.#differ('damaged', first, {
      message: `a batch of the ${side} at offset ${offset} cannot be read: ${message}`,
    });
    if (first < to) this.#doubt(first, to, `a batch of the ${side} is damaged`);
  }

  #doubt(from: number, to: number, reason: string): void {
    const last = this.#unverified.at(-1);
    // Of many that lie scattered one part is told, which is larger rather than too small.
    if (last?.reason === reason) this.#unverified.splice(-1, 1, { ...last, to });
    else this.#unverified.push({ from, to, reason });
  }

  get #isOver(): boolean {
    return this.differences > 0 && !this.#policy.isFull;
  }

  async #compare(signal: AbortSignal): Promise<void> {
    const source = this.#source;
    let next = this.#range.from;
    for (await source.advance(); !source.isEnded && !signal.aborted && !this.#isOver; await source.advance()) {
      const { kind, base, last, count, size } = must(source.batch, 'batch');
      const first = Math.max(base, this.#range.from);
      const behind = Math.min(last + 1, this.#range.to);
      for (const { from, to } of source.lost) if (from >= next && to <= first) next = to;
      this.#account('compacted', next, first);
      next = behind;
      this.bytes.byRecord += size;
      if (kind === 'data' && count > 0) await this.#compareBatch(first, behind);
      else {
        this.#account(kind === 'data' ? 'compacted' : kind, first, behind);
        source.skip();
      }
    }
    if (signal.aborted || this.#isOver) return;
    this.#account('compacted', next, this.#range.to);
    await this.#passTo(Infinity);
  }

  async #compareBatch(first: number, behind: number): Promise<void> {
    const source = this.#source;
    let next = first;
    for (let isRecord = source.open(); isRecord && !this.#isOver; isRecord = source.nextRecord()) {
      this.#account('compacted', next, source.offset);
      this.#accountRecord();
      next = source.offset + 1;
      if (!this.#passSame()) await this.#compareRecord();
    }
    source.leave();
    if (!this.#isOver) this.#account('compacted', next, behind);
  }

  /** The ledger has to say of offsets [from, to) what the log of the source shows, or why it cannot any more. */
  #account(seen: Seen, from: number, to: number): void {
    if (from < to) this.seen[seen] += to - from;
    for (let at = from; at < to;) {
      const run = this.#exported.ledger.runOf(at);
      const end = Math.min(to, run?.to ?? to);
      if (!this.#agrees(run?.kind ?? null, seen)) {
        this.unexplained += end - at;
        const offsets = end - at === 1 ? `offset ${at}` : `offsets ${at} to ${end - 1}`;
        this.#differ('unaccounted', at, {
          message: `the ledger says "${run?.kind ?? 'nothing'}" of ${offsets}, and the log of the source shows ${seen}`,
        });
      }
      at = end;
    }
  }

  #agrees(recorded: DispositionKind | null, seen: Seen): boolean {
    if (recorded === seen) return true;
    if (recorded === null) return false;
    if (seen === 'compacted') return this.#policy.cleaned.source; // it was there when it was copied
    return false;
  }

  /** Of a record that is there, also whether it was rightly copied or left out. */
  #accountRecord(): void {
    const { offset } = this.#source;
    const { ledger, conditions = [] } = this.#exported;
    const kind = ledger.dispositionAt(offset)?.kind;
    if (kind !== 'filtered' && kind !== 'delivered') return this.#account('delivered', offset, offset + 1);
    this.seen.delivered++;
    const since = conditionAt(conditions, offset);
    if (!this.#filter.is(since)) return kind === 'filtered' ? this.#leftOutByAnother(since) : undefined;
    if (since.condition === null && kind === 'delivered') return;
    const fields = must(this.#source.records, 'record').fields();
    const verdict = this.#filter.verdictOn(fields, this.#expectedTime);
    if (verdict === (kind === 'filtered' ? 'left-out' : 'copied')) return;
    const said = {
      copied: since.condition === null ? 'there was no condition' : 'the condition of the file holds for it',
      'left-out': 'the condition of the file does not hold for it',
      undecided: 'the condition of the file says neither yes nor no of it',
    };
    this.unexplained++;
    this.#differ('unaccounted', offset, {
      message: `the ledger says "${kind}" of offset ${offset}, and ${said[verdict]}`,
      source: shownRecord(this.#expectedTime, fields),
    });
  }

  #leftOutByAnother({ condition, from }: ConditionSince): void {
    const { offset } = this.#source;
    if (condition === null) {
      this.unexplained++;
      const message = `the ledger says "filtered" of offset ${offset}, where the mirror had no condition`;
      return this.#differ('unaccounted', offset, { message });
    }
    const reason = `left out by another condition than the file has, which was in force from offset ${from} on`;
    this.#doubt(offset, offset + 1, reason);
  }

  get #expectedTime(): number {
    const source = this.#source;
    return this.#policy.timestamps === 'producer' ? source.producerTimestamp : source.timestamp;
  }

  async #compareRecord(): Promise<void> {
    const { offset } = this.#source;
    const { map, ledger } = this.#exported;
    if (ledger.dispositionAt(offset)?.kind !== 'delivered') return;
    const place = map.targetOf(offset);
    if (place === null) return this.#missing('the map names no place for it');
    await this.#passTo(place);
    const entry = `the map has offset ${offset} at offset ${place} of the target`;
    if (!this.#hasTarget || this.#target.offset !== place)
      return this.#missing(`${entry}, where there is no record`, place);
    this.#judge(entry);
    await this.#nextTarget();
  }

  /** The short way, for most records: the copy has come already, lies where the map says, and has the same bytes. */
  #passSame(): boolean {
    const [source, target] = [this.#source, this.#target];
    const { map, ledger } = this.#exported;
    if (!this.#hasTarget || map.targetOf(source.offset) !== target.offset) return false;
    if (ledger.dispositionAt(source.offset)?.kind !== 'delivered' || !this.#isTimely) return false;
    const [a, b] = [must(source.records, 'record'), must(target.records, 'record')];
    const length = a.contentEnd - a.contentAt;
    const isSame =
      length === b.contentEnd - b.contentAt &&
      a.body.compare(b.body, b.contentAt, b.contentEnd, a.contentAt, a.contentEnd) === 0;
    if (!isSame) return false;
    this.records++;
    try {
      this.#hasTarget = target.nextRecord();
    } catch (error) {
      throw this.#ofTarget(error);
    }
    return true;
  }

  get #isTimely(): boolean {
    return this.#policy.timestamps === 'target' || this.#expectedTime === this.#target.timestamp;
  }

  #missing(why: string, place = -1): void {
    const isLost = this.#target.lost.some(({ from, to }) => from <= place && place < to);
    if (isLost) return this.#doubt(this.#source.offset, this.#source.offset + 1, 'target expired before it was read');
    if (this.#policy.cleaned.target) {
      this.compacted++;
      return;
    }
    const source = this.#source;
    const shown = shownRecord(source.timestamp, must(source.records, 'record').fields());
    this.#differ('missing', source.offset, { message: why, source: shown });
  }

  #judge(entry: string): void {
    const [source, target] = [this.#source, this.#target];
    const [a, b] = [must(source.records, 'record').fields(), must(target.records, 'record').fields()];
    const expected = this.#expectedTime;
    const fields = [...(this.#isTimely ? [] : ['timestamp']), ...changedFields(a, b, this.#policy.class)];
    if (fields.length === 0) {
      this.records++;
      return;
    }
    const from = { key: firstDifference(a.key, b.key), value: firstDifference(a.value, b.value) };
    this.#differ('changed', source.offset, {
      fields,
      message: `${entry}, and ${fields.join(', ')} ${fields.length === 1 ? 'differs' : 'differ'}: the record was changed, or the map entry is wrong`,
      source: shownRecord(expected, a, from),
      target: shownRecord(target.timestamp, b, from),
    });
  }

  // ---- the target

  /** Moves to the first record at or behind `place`; what is passed must not be a copy of anything that is still there. */
  async #passTo(place: number): Promise<void> {
    if (!this.#hasTarget && !this.#target.isEnded) await this.#nextTarget();
    while (this.#hasTarget && this.#target.offset < place && !this.#isOver) {
      this.#passOver();
      await this.#nextTarget();
    }
  }

  #passOver(): void {
    const { map, isShared } = this.#exported;
    const { offset, records, timestamp } = this.#target;
    const from = map.sourceOf(offset);
    const isOurs = this.#isOurs;
    if (from === null && isShared && !isOurs) {
      this.others++;
      return;
    }
    if (from !== null && (from < this.#range.from || this.#policy.cleaned.source)) {
      this.compacted++;
      return;
    }
    const what =
      from === null
        ? `${isOurs ? 'the mirror wrote it, and ' : ''}nothing of the source is mapped to it`
        : `the map has offset ${from} there, where the source has no record`;
    this.#differ('extra', from ?? map.nextSource(offset), {
      message: `the target has a record at offset ${offset}: ${what}`,
      target: shownRecord(timestamp, must(records, 'record').fields()),
    });
  }

  /** The record at hand was written with the mirror's producer id: were it not in the map, it would be there twice. */
  get #isOurs(): boolean {
    const { buffer, at } = must(this.#target.batch, 'batch of a record');
    return producerIdOf(buffer, at) === this.#exported.producerId;
  }

  async #nextTarget(): Promise<void> {
    try {
      await this.#nextOfTarget();
    } catch (error) {
      throw this.#ofTarget(error);
    }
  }

  #ofTarget(error: unknown): unknown {
    if (error instanceof DamagedBatchError) this.#damagedTarget = this.#exported.map.nextSource(error.offset);
    return error;
  }

  async #nextOfTarget(): Promise<void> {
    const target = this.#target;
    this.#hasTarget = target.records !== null && target.nextRecord();
    while (!this.#hasTarget) {
      if (target.batch) target.leave();
      await target.advance();
      if (target.isEnded) return;
      const { kind, count } = must(target.batch, 'batch');
      if (kind === 'data' && count > 0) this.#hasTarget = target.open();
      else target.skip();
    }
  }

  #differ(kind: DifferenceKind, offset: number, said: Partial<Difference> & { readonly message: string }): void {
    this.differences++;
    if (kind === 'missing') this.unexplained++;
    this.#firstAt = Math.min(this.#firstAt, offset);
    if (this.#shown.length < SHOWN_MAX)
      this.#shown = [...this.#shown, { kind, offset, fields: [], source: null, target: null, ...said }];
  }
}
