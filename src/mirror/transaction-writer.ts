/**
 * Writes the source's transactions of one partition to the target (exactness.md rule 6): one step at a time, nothing else of
 * ours in flight meanwhile, and each step proven by its offset before the next. A batch has to be answered with the expected
 * base offset; after the end of a transaction the watermark has to stand exactly one further.
 *
 * Nothing is kept outside the target: what is open there, and which transaction of the source it stands for, is found from the
 * coordinator (DescribeTransactions), the leader (DescribeProducers) and the source's batch at the offset where it begins.
 * InitProducerId is only for an id that has nothing open: it would end what is open at a place that nobody chose.
 */
import { isDeepStrictEqual } from 'node:util';
import { assert, must } from '#util/assert.ts';
import { BrokerError } from '#kafka/errors.ts';
import { isDenied } from '#kafka/permissions.ts';
import type { ProduceResult } from '#kafka/produce.ts';
import type { OutgoingBatch } from '#kafka/producer.ts';
import type { ProducerState } from '#kafka/producers.ts';
import { errorOf } from '#kafka/protocol/error-codes.ts';
import { patchBatchHeader } from '#kafka/records/header-patch.ts';
import type { DescribedTransaction, ProducerIdentity, TransactionProtocol } from '#kafka/transactions.ts';
import { SEQUENCES } from './batch-walk.ts';
import { diverged, tooManyTransactions, transactionCut, transactionForgotten, transactionHangs } from './shard-stop.ts';
import { SLOTS_MAX, TransactionSlots, type OpenTransaction } from './transaction-slots.ts';

/** Slots are asked for in groups: the lowest are taken first, so that a slot that is not known ends the search. Most have none. */
const SLOTS_PER_PROBE = 8;
/** Answers that pass within moments: the coordinator still writes the end of the transaction before, or moves. */
const PASSING = new Set([14, 15, 16, 51]);
const TRANSACTION_ABORTABLE = 120;
/** The transaction is not what we take it for, or somebody else's. */
const UNCLEAR = new Set([47, 48, 49, 90, TRANSACTION_ABORTABLE]);
const CONCURRENT_TRANSACTIONS = 51;
const REQUEST_TIMED_OUT = 7;
const PASSING_WITHIN_MS = 30_000;
const POLL_FIRST_MS = 1;
const POLL_MAX_MS = 100;
/** Each round asks who the coordinator of each slot is, and a lost broker may be that of thousands of partitions. */
const DOUBTED_POLL_MS = 1_000;
/** Of an id that was used so lately a coordinator knows; one that was not may have expired (transactional.id.expiration.ms). */
const KNOWN_FOR_MS = 15 * 60_000;
/** A control record is below the watermark as soon as the followers have it. */
const VISIBLE_WITHIN_MS = 10_000;

/** The target's side of one partition, and what the source holds at an offset. All but `now` throw KafkaError; one attempt for each write. */
export interface TransactionPort {
  /** `isAnew`: who the coordinator is, too, and not the one that was named last. */
  describe(
    slots: readonly number[],
    how?: { readonly isAnew?: boolean },
  ): Promise<readonly (DescribedTransaction | null)[]>;
  producers(): Promise<readonly ProducerState[]>;
  init(slot: number): Promise<ProducerIdentity>;
  protocolOf(slot: number): Promise<TransactionProtocol>;
  add(slot: number, producer: ProducerIdentity): Promise<void>;
  produce(slot: number, batch: OutgoingBatch): Promise<ProduceResult>;
  end(
    slot: number,
    producer: ProducerIdentity,
    how: { readonly isCommit: boolean; readonly protocol: TransactionProtocol },
  ): Promise<ProducerIdentity & { readonly hasNewEpoch: boolean }>;
  /** Writes the end to the partition itself, without the coordinator. Nothing is idempotent in it; a right on the cluster is needed (31). */
  mark(
    producer: ProducerIdentity,
    how: { readonly isCommit: boolean; readonly coordinatorEpoch: number },
  ): Promise<void>;
  watermark(): Promise<number>;
  /** Producer id of the source's transaction that holds the record at `offset`; null where the source has none there any more. */
  sourceProducerAt(offset: number): Promise<number | null>;
  /** The same of a transaction that begins at `firstOffset`, as it was recorded before the source lost it. */
  recordedProducerAt(firstOffset: number): number | null;
  /** The offsets at which a producer has written to the target from `from` on, as far as they can be read. */
  offsetsOf(producerId: number, from: number): Promise<readonly number[]>;
  /** Random within [ms/2, ms]; rejects with WithheldError when the shard stops. */
  pause(ms: number): Promise<void>;
  /** Monotonic, milliseconds. */
  now(): number;
}

/** One batch of a transaction of the source, whose header has the transactional bit; offsets from baseOffset on. */
export interface TransactionBatch extends OutgoingBatch {
  readonly baseOffset: number;
  readonly count: number;
  /** The source's. */
  readonly producerId: number;
}

export interface TransactionEnd {
  readonly baseOffset: number;
  /** The source's. */
  readonly producerId: number;
  readonly isCommit: boolean;
}

interface SlotState {
  producer: ProducerIdentity;
  nextSequence: number;
  protocol: TransactionProtocol;
  /**
   * With sequences that go on, a late EndTxn of before would end the next transaction (KIP-890): its epoch is raised first,
   * once, while nothing is open.
   */
  isOutdated: boolean;
  /** Monotonic time. */
  usedMs: number;
}

/** What coordinator and leader contradict each other in, as numbers; empty where they agree. */
export type Doubts = readonly (readonly number[])[];

export class TransactionWriter {
  readonly #port: TransactionPort;
  readonly #states = new Map<number, SlotState>();
  #slots = new TransactionSlots({ open: [], begun: [] });
  /**
   * Slots whose end the coordinator believes written while the partition has them open, with its epoch there: a broker that is
   * told of an end before it has taken the partition over writes nothing and reports no error (seen on 4.3.1, when all
   * brokers of a cluster had been killed and came back; `writeTxnMarkers`).
   */
  readonly #unended = new Map<number, number>();
  /** About how long it takes until the end of a transaction stands in the log. */
  #visibleMs = POLL_FIRST_MS;
  /** What the leader knew of our producers when this was restored. */
  #found: readonly number[][] = [];
  #believed: Doubts;
  readonly #slotsMax: number;

  private constructor(port: TransactionPort, { slotsMax, believed }: { slotsMax: number; believed: Doubts }) {
    this.#port = port;
    this.#slotsMax = slotsMax;
    this.#believed = believed;
  }

  /**
   * With what is open on the target now; nothing of ours may be in flight. Waits until ends that were begun are written, so
   * the position is to be read afterwards. Throws ShardStop when an open transaction cannot be continued, KafkaError.
   *
   * `isCertain`: every request of before is known to have taken effect, or never to do so. `believed`: as an earlier writer of the
   * partition had it, so that the same is not doubted for as long again.
   */
  static async restore(
    port: TransactionPort,
    options: { readonly slotsMax?: number; readonly isCertain?: boolean; readonly believed?: Doubts } = {},
  ): Promise<TransactionWriter> {
    const { slotsMax = SLOTS_MAX, believed = [], isCertain = false } = options;
    const writer = new TransactionWriter(port, { slotsMax, believed });
    await writer.#restore(isCertain);
    return writer;
  }

  /** What was looked at for as long as it takes to believe it; empty for none. */
  get believed(): Doubts {
    return this.#believed;
  }

  /** Producer ids that write transactions of this mirror to the partition now. */
  get producerIds(): ReadonlySet<number> {
    return new Set([...this.#states.values()].map(({ producer }) => producer.producerId));
  }

  /** The leader knows of the slots what it did when they were found: nothing of an earlier request has landed since. */
  isAsFound(producers: readonly ProducerState[]): boolean {
    return isDeepStrictEqual(
      foundOf(
        [...this.#states.values()].map(({ producer }) => producer),
        producers,
      ),
      this.#found,
    );
  }

  get open(): readonly OpenTransaction[] {
    return this.#slots.open;
  }

  /** How many are open on the target, also those that hold no record. */
  get openCount(): number {
    return this.#slots.openSlots.length;
  }

  /** When the coordinator aborts the first of them, on its clock (ms since the epoch); null where none is open. Throws KafkaError. */
  async openUntil(): Promise<number | null> {
    const described = await this.#port.describe(this.#slots.openSlots);
    const ends = described.flatMap((each) => (each?.status === 'Ongoing' ? [each.startedAtMs + each.timeoutMs] : []));
    return ends.length === 0 ? null : Math.min(...ends);
  }

  /** Whether the transaction of a producer of the source is open on the target. */
  isOpen(producerId: number): boolean {
    return this.#slots.of(producerId) !== null;
  }

  /** A transaction was begun and got no record: the next hole is to be filled with its end (`endEmpty`). */
  get hasBegun(): boolean {
    return this.#slots.begun !== null;
  }

  /**
   * Appends a batch to the transaction that stands for the source's, which it begins if need be. Returns the broker's answer:
   * only one without an error and with the expected base offset counts. Throws ShardStop, KafkaError.
   */
  async write(batch: TransactionBatch): Promise<ProduceResult> {
    const open = this.#slots.of(batch.producerId);
    const slot = open?.slot ?? (await this.#begin(batch.baseOffset));
    const state = this.#stateOf(slot);
    // Ended, where the source did not: not by us.
    if (open && this.#unended.has(slot)) throw transactionCut(open.firstOffset, null);
    patchBatchHeader(batch.buffer, batch.start, { ...state.producer, baseSequence: state.nextSequence }, 0);
    const result = await this.#passing(() => this.#produce(slot, batch), { slot, offset: batch.baseOffset });
    if (result.errorCode !== 0 || result.baseOffset !== batch.baseOffset) return result;
    state.nextSequence = (state.nextSequence + batch.count) % SEQUENCES;
    if (!open) this.#slots.begin({ slot, producerId: batch.producerId, firstOffset: batch.baseOffset });
    return result;
  }

  /**
   * Ends the transaction that stands for the source's, at the offset of its marker: returns true when the watermark stands
   * behind it, false when nothing of that transaction is on the target, so that its marker is a hole. Throws ShardStop, KafkaError.
   */
  async end({ baseOffset, producerId, isCommit }: TransactionEnd): Promise<boolean> {
    const open = this.#slots.of(producerId);
    if (!open) return false;
    if (this.#unended.has(open.slot)) await this.#mark(open, { baseOffset, isCommit });
    else await this.#end(open.slot, { baseOffset, isCommit });
    this.#slots.end({ slot: open.slot, producerId });
    return true;
  }

  /**
   * Fills one offset with the end of a transaction without a record: of one that was begun (`hasBegun`), else of one that is
   * begun for it. Some milliseconds each, but no right on the cluster. Throws as `end`.
   */
  async endEmpty(baseOffset: number, { isCommit = false } = {}): Promise<void> {
    const slot = this.#slots.begun ?? (await this.#begin(baseOffset, { isEmpty: true }));
    await this.#end(slot, { baseOffset, isCommit });
    this.#slots.end({ slot, producerId: null });
  }

  /** `isEmpty`: no batch of it will let the partition take part. */
  async #begin(offset: number, { isEmpty = false } = {}): Promise<number> {
    const slot = this.#slots.free;
    if (slot === null || slot >= this.#slotsMax) throw tooManyTransactions(offset, this.#slotsMax);
    if (slot === this.#slots.begun) return slot; // it takes part already
    const protocol = await this.#port.protocolOf(slot);
    const known = this.#states.get(slot);
    if (!known || (known.isOutdated && protocol === 'explicit')) await this.#init(slot, protocol);
    const state = this.#stateOf(slot);
    state.protocol = protocol;
    if (protocol === 'explicit' || isEmpty) {
      await this.#passing(() => this.#port.add(slot, state.producer), { slot, offset });
      this.#slots.prepare(slot);
    }
    return slot;
  }

  /** Nothing of it is open. */
  async #init(slot: number, protocol: TransactionProtocol): Promise<void> {
    const producer = await this.#port.init(slot);
    this.#states.set(slot, { producer, nextSequence: 0, protocol, isOutdated: false, usedMs: this.#port.now() });
  }

  async #produce(slot: number, batch: TransactionBatch): Promise<ProduceResult> {
    const result = await this.#port.produce(slot, batch);
    if (PASSING.has(result.errorCode) || UNCLEAR.has(result.errorCode))
      throw new BrokerError(errorOf(result.errorCode), 'Produce', `offset ${batch.baseOffset}`, result.errorMessage);
    return result;
  }

  async #end(slot: number, { baseOffset, isCommit }: { baseOffset: number; isCommit: boolean }): Promise<void> {
    const state = this.#stateOf(slot);
    const { protocol } = state;
    const next = await this.#passing(() => this.#port.end(slot, state.producer, { isCommit, protocol }), {
      slot,
      offset: baseOffset,
    });
    state.producer = { producerId: next.producerId, producerEpoch: next.producerEpoch };
    state.usedMs = this.#port.now();
    if (next.hasNewEpoch) state.nextSequence = 0;
    await this.#untilVisible(baseOffset + 1);
  }

  /** The end that did not come. Whatever the coordinator has decided, the source's is the one that counts. */
  async #mark(
    { slot, firstOffset }: OpenTransaction,
    { baseOffset, isCommit }: { baseOffset: number; isCommit: boolean },
  ): Promise<void> {
    const { producer } = this.#stateOf(slot);
    const coordinatorEpoch = must(this.#unended.get(slot), 'epoch of the coordinator');
    try {
      await this.#port.mark(producer, { isCommit, coordinatorEpoch });
    } catch (error) {
      throw isDenied(error) ? transactionHangs(firstOffset, producer.producerId) : error;
    }
    await this.#untilVisible(baseOffset + 1);
    this.#unended.delete(slot);
  }

  async #untilVisible(expected: number): Promise<void> {
    const deadline = this.#port.now() + VISIBLE_WITHIN_MS;
    await this.#port.pause(this.#visibleMs);
    for (let delayMs = 0; ; delayMs = Math.min(Math.max(POLL_FIRST_MS, 2 * delayMs), POLL_MAX_MS)) {
      if (delayMs > 0) await this.#port.pause(delayMs);
      const watermark = await this.#port.watermark();
      if (delayMs === 0) this.#learnVisible(watermark === expected);
      if (watermark === expected) return;
      if (watermark > expected)
        throw diverged(
          expected - 1,
          `The end of a transaction was to be at offset ${expected - 1}, and the target ends at ${watermark}: another program wrote to it, or an end was written once more when a broker was lost.`,
        );
      if (this.#port.now() > deadline)
        throw new BrokerError(
          errorOf(REQUEST_TIMED_OUT),
          'EndTxn',
          `offset ${expected - 1}`,
          `the target still ends at ${watermark}`,
        );
    }
  }

  /** A question in vain stands in the way of the broker's own work: about two of three first ones are to be in time. */
  #learnVisible(wasInTime: boolean): void {
    this.#visibleMs = Math.min(POLL_MAX_MS, Math.max(POLL_FIRST_MS, this.#visibleMs * (wasInTime ? 0.9 : 1.25)));
  }

  /**
   * Tries again what is refused for a moment: certainly nothing was done then. What says that the transaction is not as it
   * was left is looked into: where the coordinator has ended it, the target holds a control record too many; where it is still
   * ours, a coordinator that was replaced has refused it, and its successor is tried at least once.
   */
  async #passing<T>(attempt: () => Promise<T>, at: { readonly slot: number; readonly offset: number }): Promise<T> {
    const deadline = this.#port.now() + PASSING_WITHIN_MS;
    let refusedUntil: number | null = null;
    for (let delayMs = POLL_FIRST_MS; ; delayMs = Math.min(2 * delayMs, POLL_MAX_MS)) {
      try {
        return await attempt();
      } catch (error) {
        if (!(error instanceof BrokerError)) throw error;
        const isPassing = PASSING.has(error.code) || error.code === TRANSACTION_ABORTABLE;
        if (isPassing && this.#port.now() + delayMs < deadline) {
          await this.#explain(error, at, delayMs);
          continue;
        }
        const pauseMs = refusedUntil === null ? delayMs : DOUBTED_POLL_MS;
        if (!UNCLEAR.has(error.code) || !(await this.#explain(error, at, pauseMs))) throw error;
        refusedUntil ??= this.#port.now() + PASSING_WITHIN_MS; // to look may take as long itself
        if (this.#port.now() > refusedUntil)
          throw new BrokerError(
            errorOf(CONCURRENT_TRANSACTIONS),
            error.api,
            `offset ${at.offset}`,
            `the transaction is ours, and is still refused: ${error.message}`,
          );
      }
    }
  }

  /** Resolves to whether the transaction is still ours, so that the refusal may pass. Throws ShardStop where the target shows why it does not. */
  async #explain(error: BrokerError, at: { slot: number; offset: number }, delayMs: number): Promise<boolean> {
    if (delayMs > 0) await this.#port.pause(delayMs);
    if (!UNCLEAR.has(error.code)) return true;
    // Of one moment, and before the watermark: the coordinator may have ended it since.
    const { described: all, producers } = await this.#look();
    const now = all[at.slot];
    if ((await this.#port.watermark()) > at.offset) throw transactionCut(at.offset, now?.timeoutMs ?? null);
    const forgotten = all.find((each) => isForgotten(each, producers));
    if (forgotten) throw transactionForgotten(at.offset, forgotten.producerId);
    const { producer } = this.#stateOf(at.slot);
    return now?.producerId === producer.producerId && now.producerEpoch === producer.producerEpoch;
  }

  // ---- restore

  async #restore(isCertain: boolean): Promise<void> {
    const { described, producers } = await this.#look();
    const open: OpenTransaction[] = [];
    const begun: number[] = [];
    for (const [slot, transaction] of described.entries()) {
      if (!transaction) continue;
      const { producerId, producerEpoch, status } = transaction;
      const state = producers.find((each) => each.producerId === producerId);
      this.#states.set(slot, {
        producer: { producerId, producerEpoch },
        protocol: await this.#port.protocolOf(slot),
        // Of another epoch the leader knows nothing that counts: the first sequence of an epoch is 0.
        nextSequence: state?.producerEpoch === producerEpoch ? (state.lastSequence + 1) % SEQUENCES : 0,
        isOutdated: true,
        usedMs: this.#port.now(),
      });
      const firstOffset = state?.currentTxnStartOffset ?? -1;
      const isOngoing = status === 'Ongoing';
      if (isForgotten(transaction, producers)) throw transactionForgotten(await this.#port.watermark(), producerId);
      if (firstOffset < 0) {
        if (isOngoing) begun.push(slot);
        else if (!isCertain) await this.#fence(slot);
        continue;
      }
      if (!isOngoing) this.#unended.set(slot, Math.max(0, state?.coordinatorEpoch ?? 0));
      const found = await this.#sourceProducerOf(producerId, firstOffset);
      // The source's log is not the one any more from which they were copied.
      if (open.some((other) => other.producerId === found)) throw transactionCut(firstOffset, null);
      open.push({ slot, producerId: found, firstOffset });
    }
    this.#found = foundOf(
      [...this.#states.values()].map(({ producer }) => producer),
      producers,
    );
    this.#slots = new TransactionSlots({ open, begun }, { slotsMax: this.#slotsMax });
  }

  /**
   * Where a partition is added before its first batch, an AddPartitionsToTxn that arrives late opens a transaction that
   * nobody knows of, and that the coordinator aborts within 15 minutes, at the end of the log: of a slot that has nothing
   * open the epoch is raised, so that it is refused. With a Produce that comes late its sequence is refused.
   */
  async #fence(slot: number): Promise<void> {
    const { protocol } = this.#stateOf(slot);
    if (protocol === 'explicit') await this.#init(slot, protocol);
  }

  /**
   * What coordinator and leader say of the slots, of one moment: a request that was believed lost may take effect in between,
   * and what it begins would then be nobody's, or what it ends go on. A coordinator that was replaced and has not heard of it
   * contradicts the leader as one does that has lost an end, or as if an end had never come: who goes on saying so is believed.
   */
  async #look(): Promise<{ described: readonly (DescribedTransaction | null)[]; producers: readonly ProducerState[] }> {
    let deadline = this.#port.now() + PASSING_WITHIN_MS;
    let [isDoubted, isAnew] = [false, false];
    for (let before = await this.#describeAll({ isAnew }); ;) {
      const producers = await this.#port.producers();
      const described = await this.#describeAll({ isAnew });
      const isOfOneMoment = isDeepStrictEqual(described, before);
      const doubts = [...contradictions(described, producers), ...this.#behind(described)];
      if (doubts.length > 0 && !isDoubted) deadline = this.#port.now() + PASSING_WITHIN_MS; // its successor was not asked yet
      isDoubted ||= doubts.length > 0;
      const isOver = this.#port.now() > deadline;
      const isBelieved = doubts.length === 0 || (isAnew && (isOver || isDeepStrictEqual(doubts, this.#believed)));
      if (isOfOneMoment && isBelieved) {
        this.#believed = doubts;
        return { described, producers };
      }
      if (isOver)
        throw new BrokerError(errorOf(CONCURRENT_TRANSACTIONS), 'DescribeTransactions', 'the slots of a partition');
      isAnew = doubts.length > 0; // whoever is not doubted is asked once more: the others may name the one before
      if (isAnew) await this.#port.pause(DOUBTED_POLL_MS);
      before = described;
    }
  }

  /** Slots of which they do not know what we have been told already. */
  #behind(described: readonly (DescribedTransaction | null)[]): number[][] {
    return [...this.#states].flatMap(([slot, { producer, usedMs }]) => {
      const now = described[slot];
      const isBehind = now
        ? now.producerId === producer.producerId && now.producerEpoch < producer.producerEpoch
        : this.#slots.openSlots.includes(slot) || this.#port.now() - usedMs < KNOWN_FOR_MS;
      return isBehind ? [[slot, producer.producerEpoch]] : [];
    });
  }

  async #describeAll(how: { readonly isAnew: boolean }): Promise<readonly (DescribedTransaction | null)[]> {
    const described: (DescribedTransaction | null)[] = [];
    const used = Math.max(-1, ...this.#states.keys());
    do {
      const from = described.length;
      const count = from === 0 ? 1 : Math.min(SLOTS_PER_PROBE, this.#slotsMax - from);
      const slots = Array.from({ length: count }, (_, i) => from + i);
      described.push(...(await this.#settled(slots, how)));
    } while ((described.at(-1) !== null || described.length <= used) && described.length < this.#slotsMax);
    return described;
  }

  /**
   * The source's producer of what a slot has open: of its first record, or of another where that is gone from the source, or as
   * it was recorded where all are.
   */
  async #sourceProducerOf(producerId: number, firstOffset: number): Promise<number> {
    const first = await this.#port.sourceProducerAt(firstOffset);
    if (first !== null) return first;
    for (const offset of await this.#port.offsetsOf(producerId, firstOffset)) {
      const found = await this.#port.sourceProducerAt(offset);
      if (found !== null) return found;
    }
    const recorded = this.#port.recordedProducerAt(firstOffset);
    if (recorded !== null) return recorded;
    throw transactionCut(firstOffset, null);
  }

  /** Of these slots, once no end is being written any more. */
  async #settled(
    slots: readonly number[],
    { isAnew }: { readonly isAnew: boolean },
  ): Promise<readonly (DescribedTransaction | null)[]> {
    const deadline = this.#port.now() + PASSING_WITHIN_MS;
    for (let delayMs = POLL_FIRST_MS; ; delayMs = Math.min(2 * delayMs, POLL_MAX_MS)) {
      const described = await this.#port.describe(slots, { isAnew: isAnew && delayMs === POLL_FIRST_MS });
      assert(described.length === slots.length, 'each slot is described');
      const isSettled = described.every((each) => each === null || !isEnding(each));
      if (isSettled) return described;
      if (this.#port.now() > deadline)
        throw new BrokerError(errorOf(CONCURRENT_TRANSACTIONS), 'DescribeTransactions', 'the slots of a partition');
      await this.#port.pause(delayMs);
    }
  }

  #stateOf(slot: number): SlotState {
    return must(this.#states.get(slot), 'state of a slot that is in use');
  }
}

/** What counts of it for the producers of these slots. */
function foundOf(slots: readonly (ProducerIdentity | null)[], producers: readonly ProducerState[]): number[][] {
  const ids = new Set(slots.map((slot) => slot?.producerId));
  return producers
    .filter(({ producerId }) => ids.has(producerId))
    .toSorted((a, b) => a.producerId - b.producerId)
    .map((state) => [state.producerId, state.producerEpoch, state.lastSequence, state.currentTxnStartOffset]);
}

/** What no coordinator says that is one: the leader has something open that it does not, or has heard of a later epoch. */
function contradictions(
  described: readonly (DescribedTransaction | null)[],
  producers: readonly ProducerState[],
): number[][] {
  const isOngoing = (id: number): boolean =>
    described.some((each) => each?.producerId === id && each.status === 'Ongoing');
  return producers
    .filter(
      (each) =>
        (each.currentTxnStartOffset >= 0 && !isOngoing(each.producerId)) ||
        described.some((one) => one?.producerId === each.producerId && each.producerEpoch > one.producerEpoch),
    )
    .map(({ producerId, producerEpoch, currentTxnStartOffset }) => [producerId, producerEpoch, currentTxnStartOffset]);
}

/**
 * With each end its coordinator raises the epoch (KIP-890), and the leader of the partition learns that from the end. A
 * coordinator that is behind has lost it: one that comes back after a crash reads what it had decided from the end of its log,
 * replicated or not (TransactionStateManager.loadTransactionMetadata), and has the end written; another one may then lead
 * that log without it, and holds the transaction open (seen on 4.3.1).
 */
function isForgotten(
  described: DescribedTransaction | null | undefined,
  producers: readonly ProducerState[],
): described is DescribedTransaction {
  if (described?.status !== 'Ongoing') return false;
  const state = producers.find(({ producerId }) => producerId === described.producerId);
  return state !== undefined && state.producerEpoch > described.producerEpoch;
}

function isEnding({ status }: DescribedTransaction): boolean {
  return status.startsWith('Prepare') || status === 'Dead';
}
