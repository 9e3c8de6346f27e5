/**
 * Compares a partition with its copy, offset by offset, from what the brokers of both sides serve and nothing else
 * (docs/verify.md). Batches that are the same byte for byte are compared as bytes; where batch boundaries, codecs or times
 * are written in another way, record by record.
 */
import { must } from '#util/assert.ts';
import type { MirrorResource } from '#contract/resources.ts';
import type {
  Difference,
  DifferenceKind,
  Dispositions,
  UnverifiedPart,
  VerificationClass,
} from '#contract/verification.ts';
import { MalformedBatchError } from '#kafka/errors.ts';
import {
  ATTRIBUTE_CODEC_MASK,
  ATTRIBUTE_LOG_APPEND_TIME,
  BATCH_HEADER_BYTES,
  attributesOf,
} from '#kafka/records/batch-header.ts';
import { CompactionLedger, type PendingRecord, type SideName } from './compaction-ledger.ts';
import { DamagedBatchError, LogSide, type PartitionLog } from './log-side.ts';
import type { RecordFields } from './record-cursor.ts';
import { firstDifference, shownRecord } from './shown-record.ts';

const BASE_TIMESTAMP_AT = 27;
const MAX_TIMESTAMP_AT = 35;
/** Differences that are shown of one partition. */
const SHOWN_MAX = 10;

export interface ComparePolicy {
  readonly transactions: MirrorResource['spec']['transactions'];
  readonly timestamps: MirrorResource['spec']['timestamps'];
  readonly class: VerificationClass;
  /** Goes on behind a difference. */
  readonly isFull: boolean;
  /** Which side's topic is compacted: a record may be gone there. */
  readonly cleaned: Readonly<Record<SideName, boolean>>;
  /** For tests: how many records of a compacted topic are kept in mind. */
  readonly pendingMax?: number;
}

export interface PartitionComparison {
  /** The first offset that differs, or the end of the range. */
  readonly provenThrough: number;
  readonly differences: number;
  /** In the order of their offsets. */
  readonly shown: readonly Difference[];
  readonly unverified: readonly UnverifiedPart[];
  readonly compacted: number;
  /** Null where the comparison ended before the range. */
  readonly source: Dispositions | null;
  readonly target: Dispositions | null;
}

type Sides = Readonly<Record<SideName, LogSide>>;

export class Comparison {
  /** Records that are the same on both sides, so far. */
  records = 0;
  /** Of the source's batches, so far. */
  readonly bytes = { whole: 0, byRecord: 0 };
  differences = 0;
  /** Records of the source that are missing on the target without a reason, so far. */
  unexplained = 0;
  readonly #logs: Readonly<Record<SideName, PartitionLog>>;
  readonly #policy: ComparePolicy;
  readonly #range: { readonly from: number; readonly to: number };
  readonly #sides: Sides;
  readonly #ledger: CompactionLedger;
  readonly #isCompacted: boolean;
  #shown: Difference[] = [];
  /** The lowest offset of a difference. */
  #firstAt = Infinity;
  readonly #unverified: UnverifiedPart[] = [];

  /** Offsets [from, to), which both sides have had at the same time. */
  constructor(
    logs: Readonly<Record<SideName, PartitionLog>>,
    range: { readonly from: number; readonly to: number },
    policy: ComparePolicy,
  ) {
    this.#logs = logs;
    this.#policy = policy;
    this.#range = range;
    this.#sides = { source: new LogSide(logs.source, range), target: new LogSide(logs.target, range) };
    this.#ledger = new CompactionLedger(policy.pendingMax === undefined ? {} : { pendingMax: policy.pendingMax });
    this.#isCompacted = policy.cleaned.source || policy.cleaned.target;
  }

  /** Ends early when `signal` aborts. Throws KafkaError, and AppError where a log has become shorter. */
  async run(signal: AbortSignal): Promise<PartitionComparison> {
    const { source, target } = this.#sides;
    try {
      if (this.#range.from < this.#range.to)
        await (this.#policy.class === 'counts' ? this.#compareCounts(signal) : this.#compareRecords(signal));
    } finally {
      await Promise.all([source.close(), target.close()]);
    }
    await this.#settlePending();
    for (const side of [source, target])
      for (const { from, to } of side.lost) this.#doubt(from, to, `${this.#nameOf(side)} expired before it was read`);
    const provenThrough = Math.min(this.#firstAt, this.#range.to);
    const isWhole = source.isEnded && target.isEnded;
    return {
      provenThrough,
      differences: this.differences,
      shown: this.#shown.toSorted((a, b) => a.offset - b.offset),
      unverified: this.#unverified.toSorted((a, b) => a.from - b.from),
      compacted: this.#ledger.compacted,
      source: isWhole ? source.dispositions(this.#range) : null,
      target: isWhole ? target.dispositions(this.#range) : null,
    };
  }

  // ---- record by record

  async #compareRecords(signal: AbortSignal): Promise<void> {
    const { source, target } = this.#sides;
    while (!this.#isOver && !signal.aborted) {
      for (const side of [source, target])
        if (side.batch === null && !side.isEnded) await this.#survive(side, () => side.advance());
      if (source.isEnded && target.isEnded) return;
      if (this.#skipUnseen(source) || this.#skipUnseen(target) || this.#takeSame()) continue;
      const isOpen = (await this.#opened(source)) && (await this.#opened(target));
      if (isOpen) this.#mergeOpened();
    }
  }

  get #isOver(): boolean {
    return this.differences > 0 && !this.#policy.isFull;
  }

  /** Before anything is opened: else a marker on one side would leave the sides a batch apart. */
  #skipUnseen(side: LogSide): boolean {
    if (!side.batch || side.records || this.#isCompared(side)) return false;
    side.skip();
    return true;
  }

  /** Whether the batches at hand are the same as a whole; then they are done. */
  #takeSame(): boolean {
    const { source, target } = this.#sides;
    if (!source.batch || !target.batch || source.records || target.records) return false;
    if (this.#ledger.pending.size > 0 || !this.#isSame()) return false;
    try {
      source.checkCrc();
      target.checkCrc();
    } catch (error) {
      if (error instanceof DamagedBatchError) return false; // it is met again where it is opened
      throw error;
    }
    this.bytes.whole += source.batch.size;
    this.records += source.batch.count;
    source.take();
    target.take();
    return true;
  }

  /** Equal where base, count, codec, times and body are (offset deltas are in it), whatever the producer fields say. */
  #isSame(): boolean {
    const { source, target } = this.#sides;
    const [a, b] = [must(source.batch, 'batch'), must(target.batch, 'batch')];
    if (a.base !== b.base || a.size !== b.size || a.count !== b.count || a.kind !== b.kind) return false;
    if (a.kind === 'control' || a.count === 0 || !this.#isCompared(source)) return false;
    if (!source.isWhole || !target.isWhole) return false;
    const [attributes, others] = [attributesOf(a.buffer, a.at), attributesOf(b.buffer, b.at)];
    if ((attributes & ATTRIBUTE_CODEC_MASK) !== (others & ATTRIBUTE_CODEC_MASK)) return false;
    if (this.#policy.timestamps !== 'target') {
      if ((others & ATTRIBUTE_LOG_APPEND_TIME) !== 0) return false;
      if ((attributes & ATTRIBUTE_LOG_APPEND_TIME) !== 0 && this.#policy.timestamps === 'append') return false;
      if (!equalBytes(a, b, BASE_TIMESTAMP_AT, MAX_TIMESTAMP_AT)) return false;
    }
    return equalBytes(a, b, BATCH_HEADER_BYTES, a.size);
  }

  /** Whether the batch at hand holds records that a reader has to find on both sides. */
  #isCompared(side: LogSide): boolean {
    const { kind, count } = must(side.batch, 'batch');
    if (kind === 'control' || count === 0) return false;
    return kind === 'data' || side === this.#sides.target || this.#policy.transactions === 'preserve';
  }

  /** Brings the side to a record or its end; false when it has to move on first. */
  async #opened(side: LogSide): Promise<boolean> {
    if (side.isEnded || side.records) return true;
    const { batch } = side;
    if (!batch) return false;
    let isOpen = false;
    await this.#survive(side, () => {
      isOpen = side.open();
      if (side === this.#sides.source) this.bytes.byRecord += batch.size;
    });
    if (!isOpen) side.leave();
    return isOpen;
  }

  /** Damage is fetched anew once; then it is a difference, and what it hides is passed over. */
  async #survive(side: LogSide, action: () => void | Promise<void>): Promise<void> {
    try {
      await action();
    } catch (error) {
      if (!(error instanceof DamagedBatchError)) throw error;
      if (side.wasReloaded(error.offset)) return this.#damaged(side, error);
      await side.reload(error.offset);
    }
  }

  async #damaged(side: LogSide, error: DamagedBatchError): Promise<void> {
    const where = this.#nameOf(side);
    const behind = side.batch ? side.batch.last + 1 : this.#range.to; // no header, no next batch
    this.#differ('damaged', Math.max(error.offset, this.#range.from), {
      message: `a batch of the ${where} cannot be read: ${error.message}`,
    });
    this.#doubt(error.offset, Math.min(behind, this.#range.to), `a batch of the ${where} is damaged`);
    await side.seek(behind);
  }

  /** Both sides stand at a record or have ended: goes on while neither needs another batch. */
  #mergeOpened(): void {
    const { source, target } = this.#sides;
    do {
      if (target.isEnded || (!source.isEnded && source.offset < target.offset)) {
        this.#onOneSide('source');
        this.#moveOn(source);
      } else if (source.isEnded || target.offset < source.offset) {
        this.#onOneSide('target');
        this.#moveOn(target);
      } else {
        this.#compareRecord();
        this.#moveOn(source);
        this.#moveOn(target);
      }
    } while (source.records && target.records && !this.#isOver);
  }

  /** Its CRC was right: what cannot be read then was written so. */
  #moveOn(side: LogSide): void {
    try {
      if (!side.nextRecord()) side.leave();
    } catch (error) {
      if (!(error instanceof DamagedBatchError)) throw error;
      this.#differ('damaged', side.offset + 1, {
        message: `a batch of the ${this.#nameOf(side)} cannot be read behind offset ${side.offset}: ${error.message}`,
      });
      side.leave();
    }
  }

  #compareRecord(): void {
    const { source, target } = this.#sides;
    const fields = this.#differingFields();
    if (fields === null) return;
    if (this.#ledger.pending.size > 0) this.#ledger.see(this.#fieldsOf(source)?.key ?? null);
    if (fields.length === 0) {
      this.records++;
      return;
    }
    const [a, b] = [this.#fieldsOf(source), this.#fieldsOf(target)];
    if (a === null || b === null) return;
    const from = { key: firstDifference(a.key, b.key), value: firstDifference(a.value, b.value) };
    this.#differ('changed', source.offset, {
      fields,
      message: `${fields.join(', ')} ${fields.length === 1 ? 'differs' : 'differ'}`,
      source: shownRecord(this.#expectedTime(), a, from),
      target: shownRecord(target.timestamp, b, from),
    });
  }

  /** Null where one of the records cannot be read. */
  #differingFields(): string[] | null {
    const { source, target } = this.#sides;
    const fields: string[] = [];
    if (this.#isHidden(source) !== this.#isHidden(target)) fields.push('transaction');
    if (this.#policy.timestamps !== 'target' && this.#expectedTime() !== target.timestamp) fields.push('timestamp');
    const [a, b] = [must(source.records, 'record'), must(target.records, 'record')];
    const length = a.contentEnd - a.contentAt;
    const isEqual =
      length === b.contentEnd - b.contentAt &&
      a.body.compare(b.body, b.contentAt, b.contentEnd, a.contentAt, a.contentEnd) === 0;
    if (isEqual) return fields;
    const [from, to] = [this.#fieldsOf(source), this.#fieldsOf(target)];
    return from && to ? [...fields, ...changedFields(from, to, this.#policy.class)] : null;
  }

  /** Null, and a difference, where the record at hand is not as message format v2 has it. */
  #fieldsOf(side: LogSide): RecordFields | null {
    try {
      return fieldsOf(side);
    } catch (error) {
      if (!(error instanceof MalformedBatchError)) throw error;
      this.#differ('damaged', side.offset, {
        message: `a record of the ${this.#nameOf(side)} cannot be read: ${error.message}`,
      });
      return null;
    }
  }

  /** The source's time as the target has to have it. */
  #expectedTime(): number {
    const { source } = this.#sides;
    return this.#policy.timestamps === 'producer' ? source.producerTimestamp : source.timestamp;
  }

  #isHidden(side: LogSide): boolean {
    return must(side.batch, 'batch').kind === 'aborted';
  }

  #onOneSide(name: SideName): void {
    const side = this.#sides[name];
    const absentOn: SideName = name === 'source' ? 'target' : 'source';
    const other = this.#sides[absentOn];
    const { offset } = side;
    if (other.lost.some(({ from, to }) => offset >= from && offset < to)) return;
    const fields = this.#fieldsOf(side);
    if (fields === null) return;
    if (this.#policy.cleaned[absentOn]) {
      // The cleaner takes the records of aborted transactions, whatever their keys.
      if (this.#isHidden(side)) this.#ledger.compacted++;
      else this.#ledger.absent(fields.key, { offset, absentOn, isDeletion: fields.value === null });
      return;
    }
    this.#ledger.see(fields.key);
    const shown = shownRecord(side.timestamp, fields);
    const instead = other.kindAt(offset);
    this.#differ(name === 'source' ? 'missing' : 'extra', offset, {
      message: oneSided(name, instead),
      [name]: shown,
    });
  }

  // ---- counts

  async #compareCounts(signal: AbortSignal): Promise<void> {
    const { source, target } = this.#sides;
    const counts = { source: 0, target: 0 };
    let base = this.#range.from;
    let behind = base;
    while (!this.#isOver && !signal.aborted) {
      for (const side of [source, target])
        if (side.batch === null && !side.isEnded) await this.#survive(side, () => side.advance());
      if ((!source.batch && !source.isEnded) || (!target.batch && !target.isEnded)) continue;
      const nextOf = (side: LogSide): number => side.batch?.base ?? Infinity;
      if (behind <= Math.min(nextOf(source), nextOf(target))) {
        this.#judgeCounts(base, behind, counts);
        base = behind;
        counts.source = counts.target = 0;
      }
      if (source.isEnded && target.isEnded) return;
      const name: SideName = nextOf(source) <= nextOf(target) ? 'source' : 'target';
      const side = this.#sides[name];
      const { last, size } = must(side.batch, 'batch');
      behind = Math.max(behind, Math.min(last + 1, this.#range.to));
      if (side === source) this.bytes.whole += size;
      await this.#survive(side, () => void (counts[name] += this.#countBatch(side)));
    }
  }

  #countBatch(side: LogSide): number {
    const { count } = must(side.batch, 'batch');
    if (this.#skipUnseen(side)) return 0;
    if (side.isWhole) {
      side.take();
      return count;
    }
    let within = 0;
    for (let isRecord = side.open(); isRecord; isRecord = side.nextRecord()) within++;
    side.leave();
    return within;
  }

  #judgeCounts(from: number, to: number, counts: Readonly<Record<SideName, number>>): void {
    if (counts.source === counts.target) {
      this.records += counts.source;
      return;
    }
    const isLost = [this.#sides.source, this.#sides.target].some((side) =>
      side.lost.some((part) => part.from < to && from < part.to),
    );
    if (isLost) return;
    const text = `${counts.source} records on the source and ${counts.target} on the target in offsets ${from} to ${to - 1}`;
    if (this.#isCompacted) this.#doubt(from, to, `${text}; the topic is compacted, so only --class content can tell`);
    else this.#differ('counts', from, { message: text });
  }

  // ---- compaction

  /** What is still pending must have its later record behind the range, or be a deletion without anything left to delete. */
  async #settlePending(): Promise<void> {
    const ledger = this.#ledger;
    if (ledger.dropped)
      this.#doubt(ledger.dropped.from, ledger.dropped.to, 'compaction took more keys than can be kept in mind');
    if (ledger.pending.size === 0) return;
    if (this.#isOver) {
      const offsets = [...ledger.pending.values()].map(({ offset }) => offset);
      const [from, to] = [offsets.reduce((a, b) => Math.min(a, b)), offsets.reduce((a, b) => Math.max(a, b)) + 1];
      return this.#doubt(from, to, 'records that compaction may have taken were not looked for behind the difference');
    }
    for (const name of ['source', 'target'] as const) await this.#findLater(name);
    const refuted = await this.#findDeleted();
    for (const [key, record] of ledger.pending)
      if (record.isDeletion && !refuted.has(key)) ledger.resolve(key);
      else await this.#uncompacted(record);
  }

  async #findLater(name: SideName): Promise<void> {
    if (this.#ledger.pending.size === 0) return;
    const { stable } = await this.#logs[name].bounds();
    await this.#scan(name, { from: this.#range.to, to: stable }, (key) => {
      const found = this.#ledger.find(key);
      if (found) this.#ledger.resolve(found.name);
      return this.#ledger.pending.size > 0;
    });
  }

  /** Keys whose deletion is pending although the side that lacks it still has an earlier record of the key. */
  async #findDeleted(): Promise<Set<string>> {
    const refuted = new Set<string>();
    for (const name of ['source', 'target'] as const) {
      const deletions = [...this.#ledger.pending.values()].filter((each) => each.isDeletion && each.absentOn === name);
      const to = deletions.reduce((max, { offset }) => Math.max(max, offset), -1);
      if (to < 0) continue;
      const { start } = await this.#logs[name].bounds();
      await this.#scan(name, { from: start, to }, (key, offset) => {
        const found = this.#ledger.find(key);
        if (found?.record.absentOn === name && found.record.isDeletion && offset < found.record.offset)
          refuted.add(found.name);
        return true;
      });
    }
    return refuted;
  }

  async #uncompacted({ offset, absentOn, isDeletion }: PendingRecord): Promise<void> {
    const name: SideName = absentOn === 'source' ? 'target' : 'source';
    const cause = isDeletion
      ? `the ${absentOn} has an earlier record of the key that this one deletes`
      : 'its key has no later record, so compaction cannot have taken it';
    const record = await readRecord(this.#logs[name], offset);
    this.#differ(name === 'source' ? 'missing' : 'extra', offset, {
      message: `${oneSided(name, null)}: ${cause}`,
      [name]: record?.shown ?? null,
    });
  }

  /** Until `meet` has seen enough. */
  async #scan(
    name: SideName,
    range: { readonly from: number; readonly to: number },
    meet: (key: Buffer | null, offset: number) => boolean,
  ): Promise<void> {
    if (range.from >= range.to) return;
    for await (const side of recordsOf(this.#logs[name], range)) if (!meet(fieldsOf(side).key, side.offset)) return;
  }

  // ---- findings

  #differ(kind: DifferenceKind, offset: number, said: Partial<Difference> & { readonly message: string }): void {
    this.differences++;
    if (kind === 'missing') this.unexplained++;
    this.#firstAt = Math.min(this.#firstAt, offset);
    const difference = { kind, offset, fields: [], source: null, target: null, ...said };
    // Pending records are named late, and may stand first.
    if (this.#shown.length < SHOWN_MAX) this.#shown.push(difference);
    else if (offset < must(this.#shown.at(-1), 'difference').offset) {
      this.#shown[SHOWN_MAX - 1] = difference;
      this.#shown = this.#shown.toSorted((a, b) => a.offset - b.offset);
    }
  }

  #doubt(from: number, to: number, reason: string): void {
    if (from < to) this.#unverified.push({ from, to, reason });
  }

  #nameOf(side: LogSide): SideName {
    return side === this.#sides.source ? 'source' : 'target';
  }
}

/** Visits every data record of [from, to) that is not of an aborted transaction: the side stands at each in turn. */
async function* recordsOf(
  log: PartitionLog,
  range: { readonly from: number; readonly to: number },
): AsyncGenerator<LogSide, void, undefined> {
  const side = new LogSide(log, range);
  try {
    for (await side.advance(); !side.isEnded; await side.advance()) {
      if (side.batch?.kind !== 'data') continue;
      for (let isRecord = side.open(); isRecord; isRecord = side.nextRecord()) yield side;
    }
  } finally {
    await side.close();
  }
}

/** The record at an offset, or the first behind it and below `to`; null where there is none. */
export async function readRecord(
  log: PartitionLog,
  from: number,
  to = from + 1,
): Promise<{ offset: number; shown: Difference['source'] } | null> {
  for await (const side of recordsOf(log, { from, to }))
    return { offset: side.offset, shown: shownRecord(side.timestamp, fieldsOf(side)) };
  return null;
}

function fieldsOf(side: LogSide): RecordFields {
  return must(side.records, 'record').fields();
}

function oneSided(name: SideName, instead: 'data' | 'aborted' | 'control' | null): string {
  const other = name === 'source' ? 'target' : 'source';
  if (instead === 'control') return `the ${name} has a record where the ${other} has a control record`;
  if (instead === 'aborted') return `the ${name} has a record where the ${other} has one of an aborted transaction`;
  return `the ${name} has a record that the ${other} has not`;
}

/** Names of the parts that differ. Lengths that are written in more bytes than they need are no difference. */
export function changedFields(a: RecordFields, b: RecordFields, depth: VerificationClass): string[] {
  const isSame = (x: Buffer | null, y: Buffer | null): boolean =>
    x === null || y === null ? x === y : depth === 'content' ? x.equals(y) : x.length === y.length;
  const sameHeaders =
    a.headers.length === b.headers.length &&
    a.headers.every(({ key, value }, i) => {
      const other = must(b.headers[i], 'header');
      return key.equals(other.key) && isSame(value, other.value);
    });
  return [
    ...((a.key === null || b.key === null ? a.key === b.key : a.key.equals(b.key)) ? [] : ['key']),
    ...(isSame(a.value, b.value) ? [] : ['value']),
    ...(sameHeaders ? [] : ['headers']),
  ];
}

function equalBytes(
  a: { readonly buffer: Buffer; readonly at: number },
  b: { readonly buffer: Buffer; readonly at: number },
  from: number,
  to: number,
): boolean {
  return a.buffer.compare(b.buffer, b.at + from, b.at + to, a.at + from, a.at + to) === 0;
}
