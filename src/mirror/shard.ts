/**
 * One source partition of one mirror. It goes round this cycle until the job stops or a guarantee would break:
 *
 *   locate   read position and sequence from the target's own log; align the log start while nothing has been copied
 *   copy     fetch → walk → queue → produce → acknowledgement, until something interrupts
 *   settle   take nothing new, drop what was not sent, wait until every batch in flight is answered or lost
 *
 * Every interruption (a refusal, a lost connection, a moved leader) leads back to `locate`: after an indefinite result
 * the state is read again before anything is written (STYLE.md 6). Nothing is ever re-sent from memory.
 */
import { assert, must } from '#util/assert.ts';
import { sleep } from '#util/clock.ts';
import { TIMES } from '#jobs/ownership.ts';
import type { Incident, ShardState, ShardStatus } from '#contract/status.ts';
import {
  BrokerError,
  ClusterIdChangedError,
  type ConnectionError,
  KafkaError,
  MalformedBatchError,
  UnsupportedApiError,
  WithheldError,
} from '#kafka/errors.ts';
import type { FetchedPartition } from '#kafka/fetch.ts';
import type { Fetcher, FetchSubscriber } from '#kafka/fetcher.ts';
import type { Frame } from '#kafka/frame.ts';
import { MARKERS_PER_REQUEST } from '#kafka/producers.ts';
import { deleteRecords } from '#kafka/offsets.ts';
import type { Permit } from '#kafka/permit.ts';
import type { ProduceResult } from '#kafka/produce.ts';
import type { Producer, ProduceSubscriber } from '#kafka/producer.ts';
import { errorOf } from '#kafka/protocol/error-codes.ts';
import { leaderOf } from '#kafka/retry.ts';
import { BatchWalk, type Cursor, type DataItem, type HoleItem, type WalkStop } from './batch-walk.ts';
import { chooseFirstOffset } from './first-offset.ts';
import { fillHole, nextMarkerEpoch } from './holes.ts';
import { ItemQueue } from './item-queue.ts';
import { fillLogStart, isFiller } from './log-start.ts';
import { readLogStart, readWatermark } from './offsets.ts';
import { OpenIdentities } from './open-identities.ts';
import { ProducerMemory } from './producer-memory.ts';
import {
  checkControls,
  checkHoles,
  checkOrder,
  compareLastRecord,
  foreignBefore,
  readPosition,
  stillWatermark,
  type Position,
  type TargetPartition,
} from './shard-position.ts';
import {
  apiUnsupported,
  batchCorrupt,
  batchRefused,
  diverged,
  fenced,
  fillTooLong,
  noProgress,
  notAllowed,
  otherCluster,
  recordTooLarge,
  retentionLoss,
  ShardStop,
  stampedByTarget,
  stateLost,
  unexplained,
} from './shard-stop.ts';
import type { PartitionState, ShardContext } from './shard-context.ts';
import { ShardTrouble, type Waiting } from './shard-trouble.ts';
import { checkSourceEnd, cutOr } from './source-end.ts';
import { TopicIdentity } from './topic-identity.ts';
import { TargetTransactions } from './target-transactions.ts';
import { TransactionWriter } from './transaction-writer.ts';

const FETCH_BYTES_FIRST = 512 * 1024;
/** Where nobody knows how the shard became free: what an earlier owner had on its way must have landed (exactness.md rule 3). */
const STILL_MS = 1_000;
/** After an indefinite result of markers, which are not idempotent. */
const STILL_AFTER_MARKERS_MS = 2_000;
/** replica.lag.time.max.ms: a refusal because of replication lag ends within it. */
const NO_PROGRESS_MS = 30_000;
const UNKNOWN_RESULTS_MAX = 5;
/** Damage that hits another batch at each attempt would else be fetched for ever. */
const CORRUPTIONS_MAX = 5;
/** What pushed a batch aside is looked for so often where brokers do not answer. */
const EXPLAIN_ATTEMPTS = 3;
/** Each takes some milliseconds: a hole that is longer waits for the right to write markers. */
const UNMARKED_MAX = 100;
const FROM_SOURCE = 'when reading from the source';
/** How often it is looked whether we may write again. */
const PERMIT_POLL_MS = 200;

const AUTHORISATION = new Set([29, 31, 53]);
const POLICY = new Set([32, 44, 87]);
const FENCED = new Set([47, 90]);
const OFFSET_OUT_OF_RANGE = 1;
const CORRUPT_MESSAGE = 2;
/**
 * Of a Produce outside of a transaction this is damage too: no such batch has the transactional bit, and the broker looks at
 * that bit before it checks the CRC (KafkaApis.handleProduceRequest, RequestUtils.hasTransactionalRecords).
 */
const TRANSACTIONAL_ID_AUTHORIZATION_FAILED = 53;
const MESSAGE_TOO_LARGE = 10;
const OUT_OF_ORDER = new Set([45, 46]);

/**
 * Why copying was interrupted: `stop` ends the shard, an error is classified, a refusal is normal among several writers,
 * and `withheld` is that we may not write for now.
 */
type Interruption =
  | { readonly kind: 'ended' }
  | { readonly kind: 'withheld' }
  | { readonly kind: 'refused' }
  | { readonly kind: 'out-of-range' }
  | { readonly kind: 'diverging' }
  | { readonly kind: 'stop'; readonly stop: ShardStop }
  | { readonly kind: 'error'; readonly error: KafkaError };

export class Shard implements FetchSubscriber, ProduceSubscriber<DataItem> {
  readonly topic: string;
  readonly topicId: string;
  readonly targetTopic: string;
  readonly partition: number;
  readonly #context: ShardContext;
  readonly #trouble: ShardTrouble;
  readonly #abort = new AbortController();

  #walk: BatchWalk;
  #state: ShardState = 'starting';
  /** The target topic's max.message.bytes as last read. */
  #batchBytesMax: number;
  #fetchOffset = -1;
  #fetchBytesMax = FETCH_BYTES_FIRST;
  #fetcher: Fetcher | null = null;
  #producer: Producer | null = null;

  #cursor: Cursor = { offset: 0, sequence: 0 };
  readonly #queue: ItemQueue;
  readonly #inFlight: DataItem[] = [];
  readonly #memory: ProducerMemory;
  #isFilling = false;
  #stopAtEnd: ShardStop | null = null;
  /** Data of ours landed elsewhere: the first answer that said so names the first offset. */
  #misplaced: ShardStop | null = null;
  /** It names the offset of an end that was awaited. */
  #isEndNamed = false;
  #interrupt: ((interruption: Interruption) => void) | null = null;
  #whenSettled: (() => void) | null = null;
  #markerEpoch: number | null = null;
  /** Null until the position is read, and where transactions are not preserved. */
  #transactions: TransactionWriter | null = null;
  /** The one before, while what is open is looked at anew. */
  #transactionsBefore: TransactionWriter | null = null;
  readonly #identity: TopicIdentity;
  readonly #identities: OpenIdentities;
  /** It is to stop when no transaction is open on the target. */
  #isDraining = false;
  /** The right to write markers is missing: short holes are filled with the ends of empty transactions. */
  #mayNotMark = false;
  #logStart = 0;

  #position: number | null = null;
  /** Monotonic time of the first refusal since the target last advanced. */
  #stuckSinceMs: number | null = null;
  #stillMs: number;
  #isFirst = true;
  /** How the log stands is known since this term began: nothing of an earlier owner can land any more. */
  #isSettled: boolean;
  /** Of a write of ours no answer came, and the position was not read since. */
  #isUnknown = false;
  /** Monotonic time of the last leave to write: what it was for may have left until then. */
  #sentMs = -Infinity;
  readonly #permit: Permit = { timeoutMs: TIMES.writeTimeoutMs, isGiven: () => this.mayWrite() };
  #corruptAt = -1;
  /** Since the target last advanced. */
  #corruptions = 0;
  #wasDamaged = false;
  #unknownResults = 0;
  #sourceLogStart: number | null = null;
  #stableOffset: number | null = null;
  #highWatermark: number | null = null;
  #measuredAt: number | null = null;
  #newestAcknowledged: number | null = null;
  #recordsCopied = 0;
  #bytesCopied = 0;
  #holesFilled = 0;
  #refusals = 0;

  constructor(context: ShardContext) {
    this.#context = context;
    this.topic = context.sourceTopic;
    this.topicId = context.sourceTopicId;
    this.targetTopic = context.targetTopic;
    this.partition = context.partition;
    this.#batchBytesMax = context.batchBytesMax;
    this.#walk = this.#newWalk();
    this.#queue = new ItemQueue(context.pool);
    this.#trouble = new ShardTrouble(context);
    this.#memory = new ProducerMemory(context.clock, {
      expirationMs: () => context.expirationMs(),
      timestamps: context.policy.timestamps,
    });
    this.#identity = new TopicIdentity(context);
    this.#identities = new OpenIdentities({
      clock: context.clock,
      save: async (open) => context.state.putOpenTransactions?.(this.targetTopic, this.partition, open, this.#permit),
    });
    const { takeover, lost } = context.term;
    this.#isSettled = takeover === 'handed-over';
    this.#stillMs = takeover === 'handed-over' ? 0 : STILL_MS;
    lost.addEventListener('abort', () => this.stop(), { once: true });
    if (lost.aborted) this.stop();
  }

  #newWalk(): BatchWalk {
    const { policy, writer } = this.#context;
    return new BatchWalk(policy, { writer, batchBytesMax: this.#batchBytesMax, leaderEpoch: null });
  }

  get #isFull(): boolean {
    return this.#queue.isFull(this.#fetcher?.factor);
  }

  get fetchOffset(): number {
    const isWaiting = this.#isFull || this.#producer?.isStalled;
    return isWaiting ? -1 : this.#fetchOffset;
  }

  get fetchLeaderEpoch(): number {
    return this.#context.source.topicOf(this.topic)?.partitions[this.partition]?.leaderEpoch ?? -1;
  }

  /** Null before the first batch: nothing to compare yet. */
  get lastFetchedEpoch(): number {
    return this.#walk.leaderEpoch ?? -1;
  }

  get fetchBytesMax(): number {
    return this.#fetchBytesMax;
  }

  /** When the source's offsets were measured last; null before the first time. */
  get measuredAt(): number | null {
    if (this.#measuredAt === null) return null; // what was never heard is not confirmed
    return Math.max(this.#measuredAt, this.#fetcher?.confirmedAt(this) ?? 0);
  }

  /** The source's offsets while nothing is fetched: its lag grows nevertheless. */
  measure(ends: { readonly stableOffset: number; readonly highWatermark: number }): void {
    this.#stableOffset = ends.stableOffset;
    this.#highWatermark = ends.highWatermark;
    this.#measuredAt = this.#context.clock.now();
  }

  get isCaughtUp(): boolean {
    return this.#position !== null && this.#stableOffset !== null && this.#position >= this.#stableOffset;
  }

  /** What it waits out, and since when (monotonic) without any progress; null while it goes on. */
  get waiting(): Waiting | null {
    return this.#trouble.waiting;
  }

  get incident(): Incident | null {
    return this.#trouble.incident;
  }

  /** Next source offset that the target has not acknowledged; null until it is known. */
  get position(): number | null {
    return this.#position;
  }

  /** Whether a write may leave now: asked directly before each one. */
  mayWrite(): boolean {
    const isGiven = this.#context.term.mayWrite();
    if (isGiven) this.#sentMs = this.#context.clock.monotonic();
    return isGiven;
  }

  /** Monotonic time from which on nothing that we have sent can land, once `run` has ended. */
  get quietAtMs(): number {
    return this.#isUnknown ? this.#sentMs + TIMES.writeTimeoutMs : -Infinity;
  }

  /** Of the source, in this term. */
  get bytesCopied(): number {
    return this.#bytesCopied;
  }

  /** What was written in this term, and before it, is known to have landed, or never to land. */
  get isSettled(): boolean {
    return this.#isSettled && !this.#isUnknown;
  }

  /**
   * Copies until `stop`, the end of the term or an incident that does not end by itself. Never throws for a state of the world; a broken
   * invariant of ours goes through.
   */
  async run(): Promise<void> {
    while (!this.#abort.signal.aborted) {
      try {
        await this.#awaitPermit();
        const position = await this.#locate();
        if (this.#abort.signal.aborted) break;
        if (position) await this.#copy(position);
      } catch (error) {
        if (error instanceof WithheldError) continue;
        const stop = this.#stopFor(error);
        if (this.#isAnothers(stop)) continue;
        if (!stop) {
          await this.#trouble.waitOut(error as KafkaError, this.#abort.signal);
          continue;
        }
        const isCured = stop.reason.code === 'SHARD_RECORD_TOO_LARGE' && (await this.#hasMoreRoom());
        if (!isCured) {
          this.#trouble.raise(stop);
          if (!stop.reason.endsByItself) return;
          await this.#trouble.pauseStopped(this.#abort.signal);
          if (this.#abort.signal.aborted) break;
          await this.#hasMoreRoom();
        }
        this.#lookAnew();
      }
    }
    this.#state = 'ended';
  }

  /** While we may not write and the term is not lost, nobody else writes: there is nothing to do. */
  async #awaitPermit(): Promise<void> {
    while (!this.#abort.signal.aborted && !this.#context.term.mayWrite()) {
      this.#stuckSinceMs = null;
      const { replaced } = this.#context.target;
      if (replaced) throw replaced; // its group is not there: nobody is given leave before a person has looked
      await sleep(this.#context.clock, PERMIT_POLL_MS, this.#abort.signal);
    }
  }

  /**
   * What is found in the log when our time is over may be the doing of the next owner, also before we hear that the term is
   * lost: a process that stood still finds it first. Where it is still ours it is looked at again. What our own answers say is
   * nobody else's doing.
   */
  #isAnothers(stop: ShardStop | null): boolean {
    if (stop === null || this.#misplaced !== null || stop.reason.code === 'CLUSTER_ID_MISMATCH') return false;
    return !this.#context.term.mayWrite();
  }

  /** Takes nothing new and waits for what is on its way; `run` returns then. */
  stop(): void {
    this.#abort.abort();
    this.#interrupt?.({ kind: 'ended' });
  }

  /** As `stop`, but for transactions that are open on the target: it copies on until it has ended them. */
  drain(): void {
    this.#isDraining = true;
    this.#stopIfDrained();
  }

  #stopIfDrained(): void {
    if (this.#isDraining && this.openTransactions.count === 0) this.stop();
  }

  /** On the target, as far as is known: how many, and where the first begins. */
  get openTransactions(): { readonly count: number; readonly from: number | null } {
    const writer = this.#lastTransactions;
    if (!writer) return { count: 0, from: null };
    const firsts = writer.open.map(({ firstOffset }) => firstOffset);
    return { count: writer.openCount, from: firsts.length > 0 ? Math.min(...firsts) : null };
  }

  /** When the target aborts the first of them, on its clock; null where none is open. Throws KafkaError. */
  async openUntil(): Promise<number | null> {
    return (await this.#lastTransactions?.openUntil()) ?? null;
  }

  /** Records whose they are, for who goes on with them when the source has compacted them away. */
  saveOpenTransactions(): Promise<void> {
    return this.#identities.save(this.#lastTransactions?.open ?? []);
  }

  get #lastTransactions(): TransactionWriter | null {
    return this.#transactions ?? this.#transactionsBefore;
  }

  status(now: number): ShardStatus {
    const position = this.#position;
    const stable = this.#stableOffset;
    return {
      topic: this.topic,
      targetTopic: this.targetTopic,
      partition: this.partition,
      state: this.incident && this.#state !== 'ended' ? 'stopped' : this.#state,
      position,
      sourceLogStart: this.#sourceLogStart,
      sourceStableOffset: stable,
      sourceHighWatermark: this.#highWatermark,
      lagRecords: position === null || stable === null ? null : Math.max(0, stable - position),
      lagMs: this.#lagMs(now),
      measuredAt: this.measuredAt,
      recordsCopied: this.#recordsCopied,
      bytesCopied: this.#bytesCopied,
      holesFilled: this.#holesFilled,
      refusals: this.#refusals,
      incident: this.incident,
    };
  }

  /** Age of the oldest batch that is fetched but not acknowledged, else of the newest acknowledged one while there is lag. */
  #lagMs(now: number): number | null {
    if (this.#position === null || this.#stableOffset === null) return null;
    if (this.#position >= this.#stableOffset) return 0;
    const timestamp = (this.#inFlight[0] ?? this.#queue.firstData)?.newestTimestamp ?? this.#newestAcknowledged;
    return timestamp === null ? null : Math.max(0, now - timestamp);
  }

  // ---- locate

  /** Null when what it began with has changed meanwhile: then it begins again. */
  async #locate(): Promise<Position | null> {
    const { source, state } = this.#context;
    this.#state = this.#isFirst ? 'starting' : this.#state;
    await this.#identity.check(this.#position);
    await state.load(); // another worker may have copied on, into leader epochs that we have not seen
    const record = state.partition(this.targetTopic, this.partition);
    const isFixed = this.#isStartFixed();
    this.#markerEpoch = null;
    const watermark = await stillWatermark(this.#port(), this.#stillMs, this.#abort.signal);
    try {
      await this.#restoreTransactions();
    } catch (error) {
      if (error instanceof ShardStop && isFixed)
        await this.#checkSourceHas(must(record, 'partition record'), watermark);
      throw error instanceof ShardStop ? await this.#foreignOr(error, watermark) : error;
    }
    const port = this.#port();
    let position: Position | null = await readPosition(port, watermark, this.#abort.signal);
    if (this.#abort.signal.aborted) return null; // the reads above have been cut short
    this.#isSettled = true;
    this.#isUnknown = false;
    if (isFixed) {
      const { logStart, leaderEpochs } = must(record, 'partition record');
      this.#logStart = logStart;
      if (position.offset < logStart) {
        throw diverged(
          position.offset,
          `The target ends at offset ${position.offset}, before offset ${logStart} where copying began: the target lost data.`,
        );
      }
      this.#walk.leaderEpoch = must(leaderEpochs.at(-1), 'last leader epoch')[0];
      try {
        await this.#checkSource(port, position);
      } catch (error) {
        if (error instanceof ShardStop && (await this.#isOutdated(leaderEpochs))) return null;
        throw error;
      }
    } else {
      position = await this.#align(port, position);
      if (!position) return null;
    }
    this.#isFirst = false;
    this.#wasDamaged = false;
    this.#stillMs = 0;
    this.#advanceTo(position.offset);
    this.#position = position.offset; // also where the target has lost what it had acknowledged
    this.#sourceLogStart = await readLogStart(source, this.topic, this.partition);
    if (this.#sourceLogStart <= position.offset) return position;
    if (isFixed) throw retentionLoss(position.offset, this.#sourceLogStart);
    return null; // until the first copy the start follows the source
  }

  /** Another worker has copied on since the state was read, into a leader epoch that we had not seen. */
  async #isOutdated(leaderEpochs: PartitionState['leaderEpochs']): Promise<boolean> {
    const { state } = this.#context;
    await state.load();
    return state.partition(this.targetTopic, this.partition)?.leaderEpochs.length !== leaderEpochs.length;
  }

  #port(): TargetPartition {
    const { target, state, dataProducerId, markerProducerId } = this.#context;
    const { targetTopic: topic, partition } = this;
    const { sequenceOffset = 0, adoptedBelow = 0 } = state.partition(topic, partition) ?? {};
    const port = { target, topic, partition, dataProducerId, markerProducerId, sequenceOffset, adoptedBelow };
    const writer = this.#transactions;
    if (!writer) return port;
    const { producerIds, open } = writer;
    return {
      ...port,
      transactionProducerIds: producerIds,
      openTransactions: open,
      isAsFound: (states) => writer.isAsFound(states),
    };
  }

  /** What another program wrote in front of a transaction makes it look broken: that one is named. */
  async #foreignOr(stop: ShardStop, watermark: number): Promise<ShardStop> {
    const foreign = await foreignBefore(this.#portWithoutTransactions(), watermark);
    return foreign && foreign.from < stop.from ? foreign : stop;
  }

  /** What is open is not known, and whose batches of transactions are is not asked. */
  #portWithoutTransactions(): TargetPartition {
    return { ...this.#port(), transactionProducerIds: new Set() };
  }

  /** What is open on the target is read anew with every position: only the target knows it (exactness.md rule 6). */
  async #restoreTransactions(): Promise<void> {
    const { source, target, dataPath, policy, state, transactionalIdPrefix } = this.#context;
    this.#transactionsBefore = this.#lastTransactions;
    this.#transactions = null;
    this.#mayNotMark = false;
    if (policy.transactions !== 'preserve') return;
    const port = new TargetTransactions({
      source,
      sourceTopic: this.topic,
      target,
      targetTopic: this.targetTopic,
      partition: this.partition,
      idPrefix: must(transactionalIdPrefix, 'names of transactions'),
      permit: this.#permit,
      signal: this.#abort.signal,
      recordedProducerAt: (offset) => state.openTransactions?.(this.targetTopic, this.partition).get(offset) ?? null,
      producer: async (lane) => dataPath.producerOf(await leaderOf(target, this.targetTopic, this.partition), lane),
    });
    this.#transactions = await TransactionWriter.restore(port, {
      isCertain: this.#stillMs === 0,
      believed: this.#transactionsBefore?.believed ?? [],
    });
    this.#transactionsBefore = null;
    this.#stopIfDrained();
  }

  /** The first record has been copied, by us or by another worker. */
  #isStartFixed(): boolean {
    const record = this.#context.state.partition(this.targetTopic, this.partition);
    return (record?.leaderEpochs.length ?? 0) > 0;
  }

  /** What the source has lost explains why a transaction cannot be continued, and has its own stops (exactness.md rule 8). */
  async #checkSourceHas({ leaderEpochs }: PartitionState, offset: number): Promise<void> {
    this.#walk.leaderEpoch = must(leaderEpochs.at(-1), 'last leader epoch')[0];
    await this.#checkSourceEnd(this.#portWithoutTransactions(), offset);
    const logStart = await readLogStart(this.#context.source, this.topic, this.partition);
    if (logStart > offset) throw retentionLoss(offset, logStart);
  }

  async #checkSourceEnd(port: TargetPartition, offset: number): Promise<void> {
    const place = { cluster: this.#context.source, topic: this.topic, partition: this.partition };
    const leaderEpoch = must(this.#walk.leaderEpoch, 'leader epoch of the last copied batch');
    const epochNow = async (): Promise<number> => {
      await this.#context.source.refresh([this.topic]);
      return this.fetchLeaderEpoch;
    };
    this.#walk.leaderEpoch = await checkSourceEnd(place, port, { offset, leaderEpoch, epochNow });
  }

  /** The source still has what was copied (exactness.md rules 1 and 8). */
  async #checkSource(port: TargetPartition, position: Position): Promise<void> {
    await this.#checkSourceEnd(port, position.offset);
    // All that was written since the last look was ours, and was answered where it had to be; what coordinators write is
    // answered to nobody.
    const isOurs = this.#stillMs === 0 && !this.#isFirst && position.offset === this.#position;
    if (isOurs && !this.#transactions) return;
    try {
      await this.#compareEnd(port, position);
    } catch (error) {
      throw await cutOr(error, () => this.#checkSourceEnd(port, position.offset));
    }
  }

  /** The end of the copy is that of the source. */
  async #compareEnd(port: TargetPartition, position: Position): Promise<void> {
    const place = { cluster: this.#context.source, topic: this.topic, partition: this.partition };
    const { lastBatch, controlsFrom: holesFrom, offset: to } = position;
    const from = lastBatch ? await checkOrder(port, lastBatch) : holesFrom;
    if (this.#transactions) await checkControls(place, port, { from, to });
    if (lastBatch) await compareLastRecord(place, { port, batch: lastBatch }, this.#context.policy);
    if (!this.#transactions) await checkHoles(place, { from: holesFrom, to });
  }

  /**
   * Brings the target to the source's log start while nothing has been copied; until then the start follows the source.
   * Null when another worker has begun to copy meanwhile.
   */
  async #align(port: TargetPartition, position: Position): Promise<Position | null> {
    const logStart = await chooseFirstOffset(this.#context, this.#permit);
    this.#logStart = logStart;
    this.#sourceLogStart = logStart;
    if (position.lastBatch && !isFiller(position.lastBatch)) {
      await this.#context.state.load(); // another worker may have begun to copy, which it records first
      if (this.#isStartFixed()) return null;
      throw stateLost(position.offset, this.targetTopic);
    }
    if (position.offset > logStart) {
      throw diverged(
        logStart,
        `The target ends at offset ${position.offset} although nothing was copied and the source begins at ${logStart}.`,
      );
    }
    const targetLogStart = await readLogStart(port.target, this.targetTopic, this.partition);
    if (position.offset === logStart && targetLogStart === logStart) return position;
    if (logStart - position.offset > this.#context.fillOffsetsMax) throw fillTooLong(position.offset, logStart);
    this.#state = 'aligning';
    const gate = this.#context.logStartGate;
    await gate.enter();
    try {
      const aligned = await fillLogStart(port, position, {
        logStart,
        permit: this.#permit,
        signal: this.#abort.signal,
        onProgress: () => {
          this.#stuckSinceMs = null;
        },
      });
      // Records are only written once the start is fixed: while it is not, all that is below `logStart` is filler.
      await this.#context.state.load();
      if (this.#isStartFixed()) return null;
      if (aligned.offset === logStart)
        await deleteRecords(port.target, {
          topic: this.targetTopic,
          partition: this.partition,
          offset: logStart,
          permit: this.#permit,
        });
      const isSequenceFree = position.isSequenceFree && aligned.offset === position.offset; // filler leaves a sequence
      return { ...aligned, isSequenceFree, lastBatch: null, controlsFrom: aligned.offset };
    } catch (error) {
      if (error instanceof KafkaError && !error.definite) this.#isUnknown = true;
      throw error;
    } finally {
      await gate.leave();
    }
  }

  // ---- copy

  async #copy(position: Position): Promise<void> {
    const { source, target, dataPath } = this.#context;
    const fetcher = await dataPath.fetcherOf(await leaderOf(source, this.topic, this.partition));
    const producer = await dataPath.producerOf(await leaderOf(target, this.targetTopic, this.partition));
    if (this.#abort.signal.aborted) return;
    this.#fetcher = fetcher;
    this.#producer = producer;
    this.#state = 'copying';
    this.#cursor = { offset: position.offset, sequence: position.sequence };
    // Where nothing is new there is nothing to wait for, and the first answer may be two long polls away.
    if (position.offset >= (this.#stableOffset ?? Infinity)) this.#trouble.endWaiting();
    this.#stopAtEnd = null;
    this.#isEndNamed = false;
    this.#memory.restart();
    const interrupted = new Promise<Interruption>((resolve) => {
      this.#interrupt = (interruption) => {
        this.#interrupt = null;
        this.#fetchOffset = -1;
        resolve(interruption);
      };
    });
    this.#fetchOffset = position.offset;
    producer.add(this);
    fetcher.add(this);
    this.#stopIfDrained();
    const interruption = await interrupted;
    fetcher.remove(this);
    this.#queue.drop();
    await this.#settled();
    producer.remove(this);
    await this.#afterInterruption(interruption);
  }

  async #afterInterruption(interruption: Interruption): Promise<void> {
    const { clock, random } = this.#context;
    switch (interruption.kind) {
      case 'ended':
      case 'withheld':
        return;
      case 'stop':
        throw interruption.stop;
      case 'error':
        throw interruption.error;
      case 'out-of-range': // passed by retention or truncated, or the leader is catching up
      case 'diverging': // what was fetched is gone from the source
        // Which it is, and whether any of it was copied, is found at the position that the next round reads from the
        // target: what was on its way there has landed meanwhile.
        return this.#trouble.pause(this.#abort.signal);
      case 'refused':
        if (this.#isStuck()) throw noProgress(this.#position ?? 0, NO_PROGRESS_MS / 1000);
        await sleep(clock, 5 + random.next() * 20, this.#abort.signal);
    }
  }

  onFetched(result: FetchedPartition, frame: Frame, askedOffset: number): void {
    // An answer to a request from before the last interruption: between its offset and ours lie records, not a hole.
    if (!this.#interrupt || askedOffset !== this.#cursor.offset) return;
    if (result.errorCode !== 0) return this.#onFetchError(result.errorCode);
    this.#sourceLogStart = result.logStartOffset;
    this.#stableOffset = result.lastStableOffset;
    this.#highWatermark = result.highWatermark;
    this.#measuredAt = this.#context.clock.now();
    if (this.#transactions) void this.#identities.look(this.#transactions.open);
    if (result.diverging) return this.#interrupt({ kind: 'diverging' });
    if (this.#producer?.isStalled) return; // what it kept would be missing to partitions of other brokers; fetched again later
    if (result.end > result.start) return this.#walkRecords(result, frame);
    this.#trouble.ease();
    // An answer is empty also where other partitions have used up what was asked for.
    const isAll = result.lastStableOffset <= this.#cursor.offset && this.#position === this.#cursor.offset;
    if (isAll) this.#trouble.endBefore(Infinity); // nothing is left that could be refused
  }

  onFetchLost(error: ConnectionError | BrokerError): void {
    this.#interrupt?.({ kind: 'error', error });
  }

  #onFetchError(code: number): void {
    if (code === OFFSET_OUT_OF_RANGE) return this.#interrupt?.({ kind: 'out-of-range' });
    const error = new BrokerError(errorOf(code), 'Fetch', `${this.topic}/${this.partition}`);
    if (code === CORRUPT_MESSAGE) return this.#onCorrupt(this.#cursor.offset, 'by the source broker', error);
    this.#interrupt?.({ kind: 'error', error });
  }

  #walkRecords(result: FetchedPartition, frame: Frame): void {
    const walked = this.#walk.walk(frame, result, this.#cursor);
    for (const item of walked.items) this.#queue.push(item);
    this.#fetchOffset = this.#cursor.offset;
    if (walked.largestBatchBytes * 1.25 > this.#fetchBytesMax)
      this.#fetchBytesMax = Math.ceil(walked.largestBatchBytes * 1.25);
    if (walked.stop) this.#onWalkStop(walked.stop);
  }

  #onWalkStop(walkStop: WalkStop): void {
    this.#fetchOffset = -1;
    const stop = this.#withDamagedEpoch(walkStop);
    if (stop.kind === 'leader-epoch') return void this.#recordLeaderEpoch(stop);
    if (stop.kind === 'damaged' && this.#corruptAt !== stop.offset)
      return this.#onCorrupt(stop.offset, FROM_SOURCE, stop.error);
    this.#stopAtEnd = this.#stopOf(stop);
    this.#checkEnd();
  }

  /** A leader appends with its own epoch or an older one. The field is not under the CRC of its batch, and recorded it would stay. */
  #withDamagedEpoch(stop: WalkStop): WalkStop {
    const leaderEpoch = this.fetchLeaderEpoch;
    if (stop.kind !== 'leader-epoch' || leaderEpoch < 0 || stop.epoch <= leaderEpoch) return stop;
    const message = `the batch at offset ${stop.offset} has leader epoch ${stop.epoch}, and its leader has ${leaderEpoch}`;
    return { kind: 'damaged', offset: stop.offset, error: new MalformedBatchError(message) };
  }

  #stopOf(stop: Exclude<WalkStop, { kind: 'leader-epoch' }>): ShardStop {
    if (stop.kind === 'damaged') return batchCorrupt(stop.offset, FROM_SOURCE, stop.error);
    assert(stop.kind === 'too-large', 'a topic with a condition is mapped');
    return recordTooLarge(stop.offset, stop.bytes, this.#batchBytesMax);
  }

  /** Written before anything of the new epoch is sent, and with the first one S itself: from then on the start is fixed. */
  async #recordLeaderEpoch({ epoch, offset }: { epoch: number; offset: number }): Promise<void> {
    const { state } = this.#context;
    const interrupt = this.#interrupt;
    try {
      await state.load();
      const known = state.partition(this.targetTopic, this.partition);
      const epochs = known?.leaderEpochs ?? [];
      const isRecorded = (epochs.at(-1)?.[0] ?? -Infinity) >= epoch; // by another worker, or before an interruption
      if (!isRecorded) {
        const next: PartitionState = {
          logStart: known && epochs.length > 0 ? known.logStart : this.#logStart,
          sequenceOffset: known?.sequenceOffset ?? 0,
          leaderEpochs: [...epochs, [epoch, offset]],
        };
        await state.putPartition(this.targetTopic, this.partition, next, this.#permit);
      }
    } catch (error) {
      if (!(error instanceof KafkaError) && !(error instanceof ShardStop)) throw error;
      if (this.#interrupt === interrupt)
        interrupt?.(error instanceof ShardStop ? { kind: 'stop', stop: error } : { kind: 'error', error });
      return;
    }
    if (this.#interrupt !== interrupt || !interrupt) return;
    this.#walk.leaderEpoch = epoch;
    this.#fetchOffset = this.#cursor.offset;
    this.#fetcher?.wake();
  }

  #onCorrupt(offset: number, side: string, error: MalformedBatchError | BrokerError): void {
    this.#corruptions++;
    if (this.#corruptAt === offset || this.#corruptions > CORRUPTIONS_MAX)
      return this.#interrupt?.({ kind: 'stop', stop: batchCorrupt(offset, side, error) });
    this.#corruptAt = offset; // fetched once more: damage on the way is not damage at the source
    this.#interrupt?.({
      kind: 'error',
      error: new BrokerError(
        { ...errorOf(CORRUPT_MESSAGE), retryable: true },
        'Fetch',
        `${this.topic}/${this.partition} at offset ${offset}`,
        error.message,
      ),
    });
  }

  // ---- queue

  takeBatch(): DataItem | null {
    if (!this.#interrupt || this.#isFilling || !this.#memory.hasRoom(this.#inFlight)) return null;
    const item = this.#queue.first;
    if (!item) return null;
    if (!this.mayWrite()) {
      this.#interrupt({ kind: 'withheld' });
      return null;
    }
    if (item.kind === 'hole' || item.transaction) {
      if (this.#inFlight.length > 0) return null;
      if (item.kind === 'hole') void this.#fill(item);
      else void this.#writeInTransaction(item, must(item.transaction, 'transaction').producerId);
      return null;
    }
    this.#queue.shift();
    this.#inFlight.push(item);
    return item;
  }

  /** Alone on its way: the broker compares sequences of one producer only, and here there is one for each transaction. */
  async #writeInTransaction(item: DataItem, producerId: number): Promise<void> {
    const writer = must(this.#transactions, 'writer of transactions');
    this.#queue.shift();
    this.#inFlight.push(item);
    this.#isFilling = true;
    try {
      this.onProduced(item, await writer.write({ ...item, producerId }));
    } catch (error) {
      if (!(error instanceof KafkaError) && !(error instanceof ShardStop)) throw error;
      this.#takeFromFlight(item);
      this.#onStepFailed(error);
    } finally {
      this.#afterStep();
    }
  }

  #onStepFailed(error: KafkaError | ShardStop): void {
    const isOver = !this.#context.term.mayWrite(); // a watermark too far may be the next owner's: see #isAnothers
    if (error instanceof WithheldError || (error instanceof ShardStop && isOver))
      return this.#interrupt?.({ kind: 'withheld' });
    if (error instanceof ShardStop) return this.#onMisplaced(error);
    if (!error.definite) {
      this.#isUnknown = true;
      this.#stillMs = STILL_AFTER_MARKERS_MS; // it may still land: the position is read once it has
    }
    this.#interrupt?.({ kind: 'error', error });
  }

  #afterStep(): void {
    this.#isFilling = false;
    this.#checkEnd();
    this.#producer?.pump();
    this.#fetcher?.wake();
  }

  /** Nothing of ours is in flight: the hole at the head of the queue is filled, then data goes on behind it. */
  async #fill(first: HoleItem): Promise<void> {
    const from = first.baseOffset;
    this.#isFilling = true;
    try {
      this.#isEndNamed = true;
      const isEnd = await this.#endTransaction(first);
      this.#isEndNamed = false;
      const holes = isEnd ? [first] : this.#holesFrom(first);
      const count = holes.reduce((sum, hole) => sum + hole.count, 0);
      const reached = isEnd ? from + count : await this.#fillHoles(holes, { from, count });
      if (reached !== from + count) this.#interrupt?.({ kind: 'refused' });
      else if (this.#interrupt) {
        if (!isEnd) this.#holesFilled += count;
        for (const _ of holes) this.#queue.shift();
        this.#advanceTo(from + count);
        this.#trouble.endBefore(from + count);
        this.#stopIfDrained();
      }
    } catch (error) {
      if (error instanceof KafkaError && !(error instanceof WithheldError)) {
        this.#isUnknown = true;
        this.#stillMs = STILL_AFTER_MARKERS_MS; // markers of this term may still land: the position is read once they have
      } else if (!(error instanceof KafkaError) && !(error instanceof ShardStop)) throw error;
      this.#onStepFailed(error);
    } finally {
      this.#afterStep();
    }
  }

  /** False where the control record ends nothing that is on the target: then it is a hole. */
  async #endTransaction({ baseOffset, ends }: HoleItem): Promise<boolean> {
    if (!ends) return false;
    return must(this.#transactions, 'writer of transactions').end({ baseOffset, ...ends });
  }

  /** The holes at the head of the queue that one request of markers can fill. */
  #holesFrom(first: HoleItem): HoleItem[] {
    return this.#queue.holes(first, {
      countMax: MARKERS_PER_REQUEST,
      isEnd: ({ ends }) => ends !== undefined && this.#transactions?.isOpen(ends.producerId) === true,
    });
  }

  /** What is a control record at the source is of the same kind here. */
  async #fillHoles(
    holes: readonly HoleItem[],
    { from, count }: { readonly from: number; readonly count: number },
  ): Promise<number> {
    const writer = this.#transactions;
    const commits = new Set(holes.flatMap(({ baseOffset, ends }) => (ends?.isCommit ? [baseOffset] : [])));
    const isCommit = (offset: number): boolean => commits.has(offset);
    const end = from + count;
    let at = from;
    if (writer?.hasBegun) await writer.endEmpty(at, { isCommit: isCommit(at++) });
    const isShort = end - at <= UNMARKED_MAX;
    if (at < end && !(writer && isShort && this.#mayNotMark)) {
      try {
        return await this.#mark({ from: at, count: end - at, isCommit });
      } catch (error) {
        if (!writer || !isShort || !isMarkingDenied(error)) throw error;
        this.#mayNotMark = true;
      }
    }
    for (; at < end && this.#interrupt; at++) await writer?.endEmpty(at, { isCommit: isCommit(at) });
    return at;
  }

  async #mark(hole: {
    readonly from: number;
    readonly count: number;
    readonly isCommit: (offset: number) => boolean;
  }): Promise<number> {
    const { target, markerProducerId } = this.#context;
    const port = { target, topic: this.targetTopic, partition: this.partition, markerProducerId };
    this.#markerEpoch ??= await nextMarkerEpoch(port);
    const [signal, permit] = [this.#abort.signal, this.#permit];
    return fillHole(port, { ...hole, coordinatorEpoch: this.#markerEpoch, signal, permit });
  }

  // ---- acknowledgements

  onProduced(item: DataItem, result: ProduceResult): void {
    this.#takeFromFlight(item);
    if (result.errorCode !== 0) this.#onRefused(item, result);
    else if (result.baseOffset !== item.baseOffset) {
      const cause = `The batch for offset ${item.baseOffset} was answered with offset ${result.baseOffset}: another program wrote to the target, or an append was lost.`;
      // Appended before its place, it lies on offsets that an earlier batch was to have: they are not the source's either.
      const from = result.baseOffset < 0 ? item.baseOffset : Math.min(item.baseOffset, result.baseOffset);
      this.#onMisplaced(diverged(from, cause));
    } else if (this.#isStamped(item, result)) this.#onMisplaced(stampedByTarget(item.baseOffset, this.targetTopic));
    else this.#onAppended(item);
    this.#checkEnd();
  }

  /** Of a batch that it has already, the broker names the newest timestamp, which is that of the records. */
  #isStamped(item: DataItem, { logAppendTimeMs }: ProduceResult): boolean {
    const isTheirs = logAppendTimeMs === -1 || logAppendTimeMs === item.newestTimestamp;
    return !isTheirs && this.#context.policy.timestamps !== 'target';
  }

  onProduceLost(item: DataItem, error: ConnectionError): void {
    this.#takeFromFlight(item);
    // It may still land: the position is read once it has, lest other content gets its sequence and is taken for it.
    if (!error.definite) {
      this.#isUnknown = true;
      this.#stillMs = STILL_MS;
    }
    this.#interrupt?.({ kind: 'error', error });
    this.#checkEnd();
  }

  onProducerLost(error: ConnectionError): void {
    this.#interrupt?.({ kind: 'error', error });
  }

  #takeFromFlight(item: DataItem): void {
    const index = this.#inFlight.indexOf(item);
    assert(index >= 0, 'an answered batch was in flight');
    this.#inFlight.splice(index, 1);
    const wasFull = this.#isFull;
    this.#queue.release(item);
    if (wasFull && !this.#isFull) this.#fetcher?.wake();
  }

  #onAppended(item: DataItem): void {
    if (!item.transaction) this.#memory.onAppended(item.newestTimestamp);
    this.#recordsCopied += item.count;
    this.#bytesCopied += item.sourceBytes;
    this.#newestAcknowledged = item.newestTimestamp;
    this.#context.countBytes(item.reason, item.sourceBytes);
    this.#trouble.endBefore(item.baseOffset + item.count);
    if (this.#interrupt) this.#advanceTo(item.baseOffset + item.count);
  }

  #onRefused(item: DataItem, result: ProduceResult): void {
    const code = result.errorCode;
    const error = new BrokerError(
      errorOf(code),
      'Produce',
      `${this.targetTopic}/${this.partition}`,
      result.errorMessage,
    );
    if (OUT_OF_ORDER.has(code)) {
      this.#refusals++;
      return this.#interrupt?.({ kind: 'refused' });
    }
    if (FENCED.has(code)) return this.#interrupt?.({ kind: 'stop', stop: fenced(item.baseOffset, error) });
    if (POLICY.has(code))
      return this.#interrupt?.({ kind: 'stop', stop: batchRefused(item.baseOffset, item.count, error) });
    if (code === MESSAGE_TOO_LARGE) return this.#onTooLarge(item);
    if (code === CORRUPT_MESSAGE || (code === TRANSACTIONAL_ID_AUTHORIZATION_FAILED && !item.transaction))
      return this.#onCorrupt(item.baseOffset, 'by the target broker', error);
    if (!error.definite) this.#stillMs = STILL_MS;
    this.#interrupt?.({ kind: 'error', error });
  }

  #onTooLarge(item: DataItem): void {
    const bytes = item.end - item.start;
    if (item.count === 1)
      return this.#interrupt?.({
        kind: 'stop',
        stop: recordTooLarge(item.baseOffset, bytes, bytes > this.#batchBytesMax ? this.#batchBytesMax : null),
      });
    this.#walk.batchBytesMax = Math.min(this.#walk.batchBytesMax, Math.ceil(bytes / 2));
    this.#interrupt?.({ kind: 'refused' });
  }

  #advanceTo(offset: number): void {
    if (this.#position !== null && offset <= this.#position) return;
    this.#position = offset;
    this.#corruptions = 0;
    this.#unknownResults = 0;
    this.#stuckSinceMs = null;
    this.#trouble.ease();
  }

  /** Found even while settling; it outranks the reason that interrupted. */
  #onMisplaced(stop: ShardStop): void {
    this.#misplaced ??= stop;
    this.#interrupt?.({ kind: 'stop', stop });
  }

  #checkEnd(): void {
    if (this.#inFlight.length > 0 || this.#isFilling) return;
    this.#whenSettled?.();
    if (this.#stopAtEnd && this.#interrupt && this.#queue.isEmpty) {
      this.#interrupt({ kind: 'stop', stop: this.#stopAtEnd });
    }
  }

  /** Resolves when nothing is on its way any more; throws what was found out meanwhile. */
  async #settled(): Promise<void> {
    if (this.#inFlight.length > 0 || this.#isFilling) {
      await new Promise<void>((resolve) => {
        this.#whenSettled = resolve;
      });
      this.#whenSettled = null;
    }
    if (this.#misplaced) throw await this.#explained(this.#misplaced);
  }

  /**
   * Produce names topics by their names: what landed elsewhere may have landed in a topic that was created anew. And an
   * answer names its own batch only: what pushed it aside stands before it, perhaps before others whose answers were lost.
   */
  async #explained(misplaced: ShardStop): Promise<ShardStop> {
    for (let left = EXPLAIN_ATTEMPTS; left > 0; left--) {
      try {
        return await this.#explain(misplaced);
      } catch (error) {
        if (error instanceof ShardStop) return error;
        if (!(error instanceof KafkaError)) throw error; // what cannot be looked up explains nothing
        await sleep(this.#context.clock, PERMIT_POLL_MS, this.#abort.signal);
      }
    }
    return misplaced;
  }

  async #explain(misplaced: ShardStop): Promise<ShardStop> {
    await this.#identity.check(this.#position);
    const watermark = await readWatermark(this.#context.target, this.targetTopic, this.partition);
    const foreign = await foreignBefore(this.#port(), watermark);
    const control = this.#transactions ? await this.#wrongControl(watermark) : null;
    // The end of a transaction that is named may stand in its place: what was written behind it is found where it stands.
    const foreignUpTo = this.#isEndNamed ? misplaced.from + 1 : misplaced.from - 1;
    const controlUpTo = this.#isEndNamed ? misplaced.from + 1 : misplaced.from;
    if (foreign && foreign.from <= foreignUpTo && foreign.from < (control?.from ?? Infinity)) return foreign;
    if (control && control.from <= controlUpTo) return control;
    return misplaced;
  }

  async #wrongControl(watermark: number): Promise<ShardStop | null> {
    const place = { cluster: this.#context.source, topic: this.topic, partition: this.partition };
    try {
      const port = { ...this.#port(), openTransactions: [] }; // one of them may just have been ended, in its place
      await checkControls(place, port, { from: this.#position ?? watermark, to: watermark });
      return null;
    } catch (error) {
      if (error instanceof ShardStop) return error;
      throw error;
    }
  }

  // ---- errors

  /** The stop that an error means, or null when it is worth another round. */
  #stopFor(error: unknown): ShardStop | null {
    if (error instanceof ShardStop) return error;
    if (error instanceof UnsupportedApiError) return apiUnsupported(error);
    if (error instanceof ClusterIdChangedError) return otherCluster(this.#position, error);
    if (error instanceof BrokerError && AUTHORISATION.has(error.code)) return notAllowed(this.#position, error);
    if (error instanceof BrokerError && FENCED.has(error.code)) return fenced(this.#position ?? 0, error);
    if (error instanceof BrokerError && OUT_OF_ORDER.has(error.code)) return this.#noProgressYet();
    if (error instanceof MalformedBatchError) return this.#damagedTwice(error);
    if (!(error instanceof KafkaError)) throw error;
    // Lost connections and moved leaders are waited out; what we cannot explain is tried again a few times only.
    if (!error.retryable) this.#unknownResults++;
    if (this.#unknownResults <= UNKNOWN_RESULTS_MAX || !this.#context.term.mayWrite()) return null;
    return unexplained(this.#position, error);
  }

  /** Damage on the way is not damage in a log: what positions are read from is read once more. */
  #damagedTwice(error: MalformedBatchError): ShardStop | null {
    if (this.#wasDamaged) return batchCorrupt(this.#position ?? 0, 'when reading positions', error);
    this.#wasDamaged = true;
    return null;
  }

  #noProgressYet(): ShardStop | null {
    this.#refusals++;
    return this.#isStuck() ? noProgress(this.#position ?? 0, NO_PROGRESS_MS / 1000) : null;
  }

  /** Refused for too long without anybody advancing the target, although the shard is ours. */
  #isStuck(): boolean {
    if (!this.#context.term.mayWrite()) return false;
    const now = this.#context.clock.monotonic();
    this.#stuckSinceMs ??= now;
    return now - this.#stuckSinceMs > NO_PROGRESS_MS;
  }

  /** Reads max.message.bytes of the target topic, which may have been changed: whether it is larger than it was. */
  async #hasMoreRoom(): Promise<boolean> {
    const before = this.#batchBytesMax;
    try {
      this.#batchBytesMax = await this.#context.readBatchBytesMax();
    } catch (error) {
      if (!(error instanceof KafkaError)) throw error; // what was read last holds on
    }
    return this.#batchBytesMax > before;
  }

  /** As by a process that has just started: anybody may have written meanwhile. */
  #lookAnew(): void {
    this.#walk = this.#newWalk();
    this.#misplaced = null;
    this.#isFirst = true;
    this.#stillMs = Math.max(STILL_MS, this.#stillMs);
    this.#identity.lookAnew();
    this.#stuckSinceMs = null;
    this.#corruptAt = -1;
    this.#corruptions = 0;
    this.#wasDamaged = false;
    this.#unknownResults = 0;
  }
}

function isMarkingDenied(error: unknown): boolean {
  return error instanceof ShardStop && error.reason.code === 'SHARD_HOLES_NOT_ALLOWED';
}
