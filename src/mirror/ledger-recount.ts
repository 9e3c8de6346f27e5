/**
 * What a ledger explains of what the source had: the headers of its raw batches, as they were fetched, against the ledger's
 * runs. Nothing of how the ledger was made is used: a batch covers its offsets, is of control records, of an aborted
 * transaction, or of so many records; offsets between batches hold none.
 */
import { must } from '#util/assert.ts';
import type { DispositionLedger, Tally } from '#contract/disposition-ledger.ts';
import type { Cluster } from '#kafka/cluster.ts';
import { MalformedBatchError } from '#kafka/errors.ts';
import type { FetchedPartition } from '#kafka/fetch.ts';
import {
  ATTRIBUTE_CONTROL,
  ATTRIBUTE_TRANSACTIONAL,
  attributesOf,
  baseOffsetOf,
  batchAt,
  lastOffsetOf,
  producerIdOf,
  recordCountOf,
} from '#kafka/records/batch-header.ts';
import { readTail } from '#kafka/simple-log.ts';
import { AbortedTransactions } from './batch-walk.ts';

const READ_BYTES = 4 * 1024 * 1024;

/** A batch of the source by its header: offsets [from, to). */
export interface RawSpan {
  readonly from: number;
  readonly to: number;
  readonly kind: 'records' | 'control' | 'aborted';
  readonly count: number;
}

/** Of the whole batches in bytes [start, end), which come from one answer, up to the first that is damaged. */
export function spansOf(
  buffer: Buffer,
  { start, end, aborted }: Pick<FetchedPartition, 'start' | 'end' | 'aborted'>,
): RawSpan[] {
  const spans: RawSpan[] = [];
  const transactions = new AbortedTransactions(aborted);
  let at = start;
  for (let size = sizeAt(buffer, at, end); size > 0; at += size, size = sizeAt(buffer, at, end)) {
    const [from, last] = [baseOffsetOf(buffer, at), lastOffsetOf(buffer, at)];
    const [attributes, producerId] = [attributesOf(buffer, at), producerIdOf(buffer, at)];
    const isControl = (attributes & ATTRIBUTE_CONTROL) !== 0;
    const isTransactional = (attributes & ATTRIBUTE_TRANSACTIONAL) !== 0;
    if (isControl) transactions.end(producerId, last);
    const isAborted = !isControl && isTransactional && transactions.covers(producerId, last);
    const kind = isControl ? 'control' : isAborted ? 'aborted' : 'records';
    spans.push({ from, to: last + 1, kind, count: recordCountOf(buffer, at) });
  }
  return spans;
}

function sizeAt(buffer: Buffer, at: number, end: number): number {
  try {
    return batchAt(buffer, at, end);
  } catch (error) {
    if (error instanceof MalformedBatchError) return 0;
    throw error;
  }
}

/** Recounts offsets [recount.next, to) of a partition of the source, whose batches are fetched for it. Throws KafkaError. */
export async function recountLog(
  source: Cluster,
  log: { readonly topic: string; readonly partition: number; readonly to: number },
  recount: LedgerRecount,
): Promise<void> {
  const { topic, partition, to } = log;
  for (let isComplete = false; !isComplete && recount.next < to;) {
    const tail = await readTail(source, {
      topic,
      partition,
      fromOffset: recount.next,
      toOffset: to,
      maxBytes: READ_BYTES,
    });
    for (const batches of Map.groupBy(tail.batches, ({ buffer }) => buffer).values()) {
      const [first, last] = [must(batches[0], 'batch'), must(batches.at(-1), 'batch')];
      const answer = { start: first.at, end: last.at + last.size, aborted: first.aborted };
      recount.take(spansOf(first.buffer, answer), to);
    }
    isComplete = tail.isComplete || tail.batches.length === 0;
  }
  recount.end(to);
}

export class LedgerRecount {
  /** Offsets of which the ledger says nothing, or something else than the source's log. */
  unexplained = 0;
  /** The first of them. */
  first: number | null = null;
  readonly #ledger: DispositionLedger;
  /** The source was compacted since: what the ledger knows of may be gone. */
  readonly #isCleaned: boolean;
  #next: number;

  constructor(ledger: DispositionLedger, from: number, { isCleaned = false } = {}) {
    this.#ledger = ledger;
    this.#next = from;
    this.#isCleaned = isCleaned;
  }

  /** The first offset that was not looked at. */
  get next(): number {
    return this.#next;
  }

  /** Batches in their order, as far as they lie below `to`. */
  take(spans: readonly RawSpan[], to: number): void {
    for (const span of spans) {
      this.#absent(Math.min(span.from, to));
      if (this.#next >= to) return;
      this.#look(span, to);
    }
  }

  /** There is no further batch below `to`. */
  end(to: number): void {
    this.#absent(to);
  }

  /** The source has no batch from the last one up to `to`. */
  #absent(to: number): void {
    if (to <= this.#next) return;
    this.#pass(to, this.#differingFromNone(this.#ledger.tally(this.#next, to), to - this.#next));
  }

  #look(span: RawSpan, limit: number): void {
    const [from, to] = [Math.max(span.from, this.#next), Math.min(span.to, limit)];
    if (from < to) this.#pass(to, this.#differing(span, this.#ledger.tally(from, to), to - from));
  }

  #differingFromNone(said: Tally, length: number): number {
    return this.#isCleaned ? said.nothing : length - said.absent;
  }

  #differing({ kind, count, from, to }: RawSpan, said: Tally, length: number): number {
    if (kind === 'control') return length - said.control;
    if (kind === 'aborted') return length - said.aborted;
    if (count === 0) return this.#differingFromNone(said, length);
    const others = said.nothing + said.control + said.aborted;
    const isDense = count === to - from;
    if (length < to - from && !isDense) return others; // how many records lie in a part is not in the header
    const missing = (isDense ? length : count) - said.records;
    if (missing > 0) return Math.max(others, missing);
    return others + (this.#isCleaned ? 0 : -missing);
  }

  #pass(to: number, differing: number): void {
    if (differing > 0) this.first ??= this.#next;
    this.unexplained += Math.max(0, differing);
    this.#next = to;
  }
}
