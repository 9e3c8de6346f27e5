/**
 * One source partition of one mirror whose offsets differ on the target: its records lie there one behind the other, and a
 * map says which is which (exactness.md, Mapped). It goes round the cycle of a shard (shard.ts):
 *
 *   locate   read from the target's own log how many records of ours it holds; the saved ledger says which
 *   copy     fetch → walk → account → save what a gap has changed → produce → acknowledgement
 *   settle   take nothing new, drop what was not sent, wait until every batch in flight is answered or lost
 *
 * Two rules make the map exact. The ledger is saved before a record behind a gap is sent; and the sequence of a record is
 * its ordinal, so the broker appends it only behind the one before it, and its log says which record each of ours is.
 */
import { assert, must } from '#util/assert.ts';
import { sleep } from '#util/clock.ts';
import { AppError } from '#contract/errors.ts';
import type { NextPlaces } from '#contract/offset-map.ts';
import type { Incident, ShardState, ShardStatus } from '#contract/status.ts';
import { TIMES } from '#jobs/ownership.ts';
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
import type { Permit } from '#kafka/permit.ts';
import type { ProduceResult } from '#kafka/produce.ts';
import type { Producer, ProduceSubscriber } from '#kafka/producer.ts';
import { errorOf } from '#kafka/protocol/error-codes.ts';
import { leaderOf } from '#kafka/retry.ts';
import { BatchWalk, SEQUENCES, type Cursor, type WalkItem, type WalkStop } from './batch-walk.ts';
import { ItemQueue } from './item-queue.ts';
import { LedgerKeeper } from './ledger-keeper.ts';
import { LedgerRecount, spansOf } from './ledger-recount.ts';
import type { MappedContext, MappedItem } from './mapped-context.ts';
import {
  beginMapped,
  checkMappedSource,
  locate,
  placeOf,
  readUnexplained,
  solePort,
  type Located,
} from './mapped-location.ts';
import { MappedState, type MappedStore } from './mapped-state.ts';
import { readLogStart, readWatermark } from './offsets.ts';
import { ProducerMemory } from './producer-memory.ts';
import { foreignBefore } from './shard-position.ts';
import {
  apiUnsupported,
  batchCorrupt,
  batchRefused,
  conditionFailed,
  diverged,
  fenced,
  noProgress,
  notAllowed,
  otherCluster,
  recordTooLarge,
  recreated,
  retentionLoss,
  ShardStop,
  stampedByTarget,
  stateUnreadable,
  unexplained,
} from './shard-stop.ts';
import { CONDITIONS_MAX, LEADER_EPOCHS_MAX } from './state-records.ts';
import { ShardTrouble, type Waiting } from './shard-trouble.ts';
import { TopicIdentity } from './topic-identity.ts';

const FETCH_BYTES_FIRST = 512 * 1024;
/** Where nobody knows how the shard became free: what an earlier owner had on its way must have landed (exactness.md rule 3). */
const STILL_MS = 1_000;
/** replica.lag.time.max.ms: a refusal because of replication lag ends within it. */
const NO_PROGRESS_MS = 30_000;
const UNKNOWN_RESULTS_MAX = 5;
const CORRUPTIONS_MAX = 5;
const PERMIT_POLL_MS = 200;
const FROM_SOURCE = 'when reading from the source';

const AUTHORISATION = new Set([29, 31, 53]);
const POLICY = new Set([32, 44, 87]);
const FENCED = new Set([47, 90]);
const OUT_OF_ORDER = new Set([45, 46]);
const OFFSET_OUT_OF_RANGE = 1;
const CORRUPT_MESSAGE = 2;
const MESSAGE_TOO_LARGE = 10;
const TRANSACTIONAL_ID_AUTHORIZATION_FAILED = 53;

type Interruption =
  | { readonly kind: 'ended' }
  | { readonly kind: 'withheld' }
  | { readonly kind: 'refused' }
  | { readonly kind: 'out-of-range' }
  | { readonly kind: 'diverging' }
  | { readonly kind: 'stop'; readonly stop: ShardStop }
  | { readonly kind: 'error'; readonly error: KafkaError };

export class MappedShard implements FetchSubscriber, ProduceSubscriber<MappedItem> {
  readonly topic: string;
  readonly topicId: string;
  readonly targetTopic: string;
  readonly partition: number;
  readonly #context: MappedContext;
  readonly #trouble: ShardTrouble;
  readonly #abort = new AbortController();
  readonly #permit: Permit = { timeoutMs: TIMES.writeTimeoutMs, isGiven: () => this.mayWrite() };

  #walk: BatchWalk;
  #mapped: MappedState | null = null;
  #state: ShardState = 'starting';
  /** The target topic's max.message.bytes as last read, and what was refused as too large. */
  #batchBytesMax: number;
  #splitAboveBytes = Infinity;
  #fetchOffset = -1;
  #fetchBytesMax = FETCH_BYTES_FIRST;
  #fetcher: Fetcher | null = null;
  #producer: Producer | null = null;

  #cursor: Cursor = { offset: 0, sequence: 0 };
  /** Records of ours that the target has acknowledged, in order and without a gap. */
  #acknowledged = 0;
  readonly #queue: ItemQueue<MappedItem>;
  readonly #inFlight: MappedItem[] = [];
  readonly #memory: ProducerMemory;
  readonly #keeper: LedgerKeeper;
  readonly #topics: TopicIdentity;
  /** Offsets of the source that the ledger does not explain; null until it was read. */
  #unexplained: number | null = null;
  #stopAtEnd: ShardStop | null = null;
  #misplaced: ShardStop | null = null;
  #interrupt: ((interruption: Interruption) => void) | null = null;
  #whenSettled: (() => void) | null = null;

  #position: number | null = null;
  #stuckSinceMs: number | null = null;
  #stillMs: number;
  #isSettled: boolean;
  #isUnknown = false;
  /** `#mapped` is what the target's log says. */
  #isLocated = false;
  #sentMs = -Infinity;
  #isFirst = true;
  #corruptAt = -1;
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
  #refusals = 0;

  constructor(context: MappedContext) {
    this.#context = { ...context, store: this.#watched(context.store) };
    this.topic = context.sourceTopic;
    this.topicId = context.sourceTopicId;
    this.targetTopic = context.targetTopic;
    this.partition = context.partition;
    this.#batchBytesMax = context.batchBytesMax;
    this.#walk = this.#newWalk(-1);
    this.#queue = new ItemQueue(context.pool);
    this.#memory = new ProducerMemory(context.clock, {
      expirationMs: () => context.expirationMs(),
      timestamps: context.policy.timestamps,
    });
    this.#keeper = this.#createKeeper();
    this.#topics = new TopicIdentity(context);
    this.#trouble = new ShardTrouble(context);
    const { takeover, lost } = context.term;
    this.#isSettled = takeover === 'handed-over';
    this.#stillMs = takeover === 'handed-over' ? 0 : STILL_MS;
    lost.addEventListener('abort', () => this.stop(), { once: true });
    if (lost.aborted) this.stop();
  }

  #newWalk(producerId: number): BatchWalk {
    const { policy, writer } = this.#context;
    // What a read_committed reader of the source sees is copied, and nothing else.
    const accounted = { ...policy, producerId, transactions: 'committed-only', isAccounted: true } as const;
    const walk = new BatchWalk(accounted, { writer, batchBytesMax: this.#batchBytesMax, leaderEpoch: null });
    walk.batchBytesMax = Math.min(this.#batchBytesMax, this.#splitAboveBytes);
    return walk;
  }

  /** Of another source topic there is a shard for the same target partition. */
  get sharesPartition(): boolean {
    return this.#context.isShared;
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

  /** Next source offset that is not accounted for, or whose record the target has not acknowledged; null until it is known. */
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

  /** Where the records that the target has acknowledged lie, of a target of our own; null until it is known. */
  get places(): NextPlaces | null {
    const mapped = this.#mapped;
    return !mapped || mapped.head.isShared ? null : mapped.placesUpTo(this.#acknowledged);
  }

  /**
   * Copies until `stop`, the end of the term or an incident that does not end by itself. Never throws for a state of the
   * world; a broken invariant of ours goes through.
   */
  async run(): Promise<void> {
    while (!this.#abort.signal.aborted) {
      try {
        await this.#awaitPermit();
        const located = await this.#locate();
        if (this.#abort.signal.aborted) break;
        if (located) await this.#copy(located);
      } catch (error) {
        if (error instanceof WithheldError) continue;
        const stop = this.#stopFor(error);
        if (this.#isAnothers(stop)) continue;
        if (!stop) {
          await this.#trouble.waitOut(error as KafkaError, this.#abort.signal);
          continue;
        }
        if (await this.#sharesFromNow(stop)) continue;
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
    this.#keeper.stop();
    await this.#saveLast();
    this.#state = 'ended';
  }

  /** Everything that is known now is saved, so that nothing has to be found out again; what fails is left to the next start. */
  async saveMap(): Promise<void> {
    if (this.#isLocated && this.#interrupt) await this.#keeper.saveAll();
  }

  /** Takes nothing new and waits for what is on its way; `run` returns then. */
  stop(): void {
    this.#abort.abort();
    this.#interrupt?.({ kind: 'ended' });
  }

  status(now: number): ShardStatus {
    const position = this.#position;
    const stable = this.#stableOffset;
    return {
      topic: this.topic,
      targetTopic: this.targetTopic,
      partition: this.partition,
      state: this.#trouble.incident && this.#state !== 'ended' ? 'stopped' : this.#state,
      position,
      sourceLogStart: this.#sourceLogStart,
      sourceStableOffset: stable,
      sourceHighWatermark: this.#highWatermark,
      lagRecords: position === null || stable === null ? null : Math.max(0, stable - position),
      lagMs: this.#lagMs(now),
      measuredAt: this.measuredAt,
      recordsCopied: this.#recordsCopied,
      bytesCopied: this.#bytesCopied,
      holesFilled: 0,
      refusals: this.#refusals,
      unexplained: this.#unexplained,
      incident: this.#trouble.incident,
    };
  }

  #lagMs(now: number): number | null {
    if (this.#position === null || this.#stableOffset === null) return null;
    if (this.#position >= this.#stableOffset) return 0;
    const timestamp = (this.#inFlight[0] ?? this.#queue.first)?.newestTimestamp ?? this.#newestAcknowledged;
    return timestamp === null ? null : Math.max(0, now - timestamp);
  }

  async #awaitPermit(): Promise<void> {
    while (!this.#abort.signal.aborted && !this.#context.term.mayWrite()) {
      this.#stuckSinceMs = null;
      const { replaced } = this.#context.target;
      if (replaced) throw replaced; // its group is not there: nobody is given leave before a person has looked
      await sleep(this.#context.clock, PERMIT_POLL_MS, this.#abort.signal);
    }
  }

  /** What is found in the log when our time is over may be the next owner's doing; what our own answers say is not. */
  #isAnothers(stop: ShardStop | null): boolean {
    if (stop === null || this.#misplaced !== null || stop.reason.code === 'CLUSTER_ID_MISMATCH') return false;
    return !this.#context.term.mayWrite();
  }

  // ---- locate

  /** Null when what it began with has changed meanwhile: then it begins again. */
  async #locate(): Promise<Located | null> {
    const { source, store, targetTopicId } = this.#context;
    this.#state = this.#isFirst ? 'starting' : this.#state;
    this.#isLocated = false;
    await this.#topics.check(this.#position);
    await store.load(); // another worker may have copied on
    this.#mapped = (await this.#loadState(targetTopicId)) ?? (await beginMapped(this.#context, this.#permit));
    this.#unexplained ??= 0;
    const mapped = this.#mapped;
    if (mapped.head.sourceTopicId !== this.topicId) throw recreated('source', this.topic, mapped.ledger.end);
    if (this.#context.isShared && !mapped.head.isShared) await this.#share(mapped);
    const options = { stillMs: this.#stillMs, signal: this.#abort.signal, permit: this.#permit };
    const located = await locate(this.#context, mapped, options);
    if (this.#abort.signal.aborted) return null; // the reads have been cut short
    this.#isSettled = true;
    this.#isUnknown = false;
    // What the ledger has more was planned and never written: it is planned anew, and saved before anything is sent.
    const isPlannedAnew = located.ordinal < mapped.ledger.ordinal;
    mapped.settle(located.ordinal);
    this.#acknowledged = located.ordinal;
    const hasBegun = mapped.head.leaderEpochs.length > 0;
    this.#walk = this.#newWalk(mapped.head.producerId);
    this.#walk.leaderEpoch = mapped.head.leaderEpochs.at(-1)?.[0] ?? null;
    if (hasBegun) {
      // All that we wrote since the last look was answered where it had to be, unless somebody may have written.
      const compared = this.#stillMs === 0 && !this.#isFirst ? null : located.ordinal;
      const { leaderEpoch } = this.#walk;
      this.#walk.leaderEpoch = await checkMappedSource(this.#context, mapped, { leaderEpoch, compared });
    }
    this.#sourceLogStart = await readLogStart(source, this.topic, this.partition);
    if (this.#sourceLogStart > mapped.ledger.end) {
      if (hasBegun) throw retentionLoss(mapped.ledger.end, this.#sourceLogStart);
      this.#mapped = null;
      mapped.startAt(this.#sourceLogStart); // until the first copy the start follows the source
      await mapped.save(store, this.#permit);
      return null;
    }
    this.#isFirst = false;
    this.#isLocated = true;
    this.#wasDamaged = false;
    this.#stillMs = 0;
    this.#keeper.begin(mapped, { isBehindGap: mapped.ledger.runCount > 0 && isPlannedAnew });
    this.#advance();
    this.#position = mapped.ledger.end; // also where the target has lost what it had acknowledged
    await this.#recordCondition(mapped);
    return located;
  }

  /** Whoever judges the ledger has to know by which condition a record was left out. */
  async #recordCondition(mapped: MappedState): Promise<void> {
    const { conditions = [] } = mapped.head;
    const { condition = null, onError = 'stop' } = this.#context.condition ?? {};
    const last = conditions.at(-1) ?? { condition: null, onError };
    if (last.condition === condition && last.onError === onError) return;
    const stated = { from: mapped.ledger.end, condition, onError };
    mapped.setHead({ conditions: [...conditions, stated].slice(-CONDITIONS_MAX) });
    await mapped.save(this.#context.store, this.#permit);
  }

  async #loadState(targetTopicId: string): Promise<MappedState | null> {
    try {
      return MappedState.load(this.#context.store, placeOf(this.#context), targetTopicId);
    } catch (error) {
      if (!(error instanceof AppError)) throw error;
      this.#unexplained = await readUnexplained(this.#context);
      throw stateUnreadable(error);
    }
  }

  // ---- copy

  async #copy(located: Located): Promise<void> {
    const { source, target, dataPath } = this.#context;
    const fetcher = await dataPath.fetcherOf(await leaderOf(source, this.topic, this.partition));
    const producer = await dataPath.producerOf(await leaderOf(target, this.targetTopic, this.partition));
    if (this.#abort.signal.aborted) return;
    const mapped = must(this.#mapped, 'state of a located partition');
    this.#fetcher = fetcher;
    this.#producer = producer;
    this.#state = 'copying';
    this.#cursor = { offset: mapped.ledger.end, sequence: located.ordinal % SEQUENCES };
    if (mapped.ledger.end >= (this.#stableOffset ?? Infinity)) this.#trouble.endWaiting();
    this.#stopAtEnd = null;
    this.#memory.restart();
    const interrupted = new Promise<Interruption>((resolve) => {
      this.#interrupt = (interruption) => {
        this.#interrupt = null;
        this.#fetchOffset = -1;
        resolve(interruption);
      };
    });
    this.#fetchOffset = mapped.ledger.end;
    this.#keeper.keep();
    producer.add(this);
    fetcher.add(this);
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
      case 'out-of-range':
      case 'diverging':
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
    const recount = new LedgerRecount(must(this.#mapped, 'state').ledger, this.#cursor.offset);
    const spans = spansOf(frame.buffer, result); // the walk patches headers
    const walked = this.#walk.walk(frame, result, this.#cursor);
    for (const item of walked.items) this.#take(item);
    recount.take(spans, this.#cursor.offset);
    if (recount.unexplained > 0) return this.#onUnexplained(recount);
    this.#fetchOffset = this.#cursor.offset;
    if (walked.largestBatchBytes * 1.25 > this.#fetchBytesMax)
      this.#fetchBytesMax = Math.ceil(walked.largestBatchBytes * 1.25);
    if (walked.stop) this.#onWalkStop(walked.stop);
    this.#keeper.saveHeld();
    this.#advance(); // what holds no record is done with as soon as it is accounted for
  }

  /** Our own mistake, or memory that is damaged: nothing of what was just read is sent. */
  #onUnexplained({ unexplained, first }: LedgerRecount): void {
    this.#unexplained = (this.#unexplained ?? 0) + unexplained;
    const from = first ?? this.#cursor.offset;
    const cause = `The ledger does not explain ${unexplained} offsets of the source from ${from} on, which were just read.`;
    this.#interrupt?.({ kind: 'stop', stop: diverged(from, cause) });
  }

  #take(item: WalkItem): void {
    const { ledger } = must(this.#mapped, 'state');
    if (item.kind === 'hole') {
      this.#keeper.passGap();
      return must(this.#mapped, 'state').account(must(item.disposition, 'disposition'), item.count);
    }
    const { ordinal } = ledger;
    this.#keeper.passRecord(ordinal);
    must(this.#mapped, 'state').account({ kind: 'delivered' }, item.count);
    this.#queue.push({ ...item, ordinal });
  }

  #onWalkStop(walkStop: WalkStop): void {
    this.#fetchOffset = -1;
    const stop = this.#withDamagedEpoch(walkStop);
    if (stop.kind === 'leader-epoch') return this.#recordLeaderEpoch(stop);
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
    if (stop.kind === 'undecided') return conditionFailed(stop.offset, stop.rule, stop.why);
    return recordTooLarge(stop.offset, stop.bytes, this.#batchBytesMax);
  }

  /** Saved before anything of the new epoch is sent, with all that was accounted for until then. */
  #recordLeaderEpoch({ epoch, offset }: { epoch: number; offset: number }): void {
    const mapped = must(this.#mapped, 'state');
    const known = mapped.head.leaderEpochs;
    if ((known.at(-1)?.[0] ?? -Infinity) < epoch)
      mapped.setHead({ leaderEpochs: [...known, [epoch, offset] as [number, number]].slice(-LEADER_EPOCHS_MAX) });
    const interrupt = this.#interrupt;
    void this.#keeper.saveAll().then((isSaved) => {
      if (!isSaved || this.#interrupt !== interrupt || !interrupt) return;
      this.#walk.leaderEpoch = epoch;
      this.#fetchOffset = this.#cursor.offset;
      this.#fetcher?.wake();
    });
  }

  #onCorrupt(offset: number, side: string, error: MalformedBatchError | BrokerError): void {
    this.#corruptions++;
    if (this.#corruptAt === offset || this.#corruptions > CORRUPTIONS_MAX)
      return this.#interrupt?.({ kind: 'stop', stop: batchCorrupt(offset, side, error) });
    this.#corruptAt = offset; // fetched once more: damage on the way is not damage at the source
    const again = { ...errorOf(CORRUPT_MESSAGE), retryable: true };
    const subject = `${this.topic}/${this.partition} at offset ${offset}`;
    this.#interrupt?.({ kind: 'error', error: new BrokerError(again, 'Fetch', subject, error.message) });
  }

  // ---- the ledger is saved

  #createKeeper(): LedgerKeeper {
    const { clock, store, target } = this.#context;
    return new LedgerKeeper({
      clock,
      store,
      permit: this.#permit,
      copying: () => this.#interrupt,
      onReleased: () => this.#producer?.pump(),
      onFailed: (error) => this.#onSaveFailed(error),
      onIdle: () => this.#checkEnd(),
      readLogs: async () => {
        const targetStart = await readLogStart(target, this.targetTopic, this.partition);
        return { targetStart, sourceStart: this.#sourceLogStart ?? 0, ordinal: this.#acknowledged };
      },
    });
  }

  #onSaveFailed(error: unknown): void {
    if (error instanceof WithheldError) this.#interrupt?.({ kind: 'withheld' });
    else if (error instanceof KafkaError) this.#interrupt?.({ kind: 'error', error });
    else if (error instanceof AppError) this.#interrupt?.({ kind: 'stop', stop: stateUnreadable(error) });
    else throw error;
  }

  /** What was written to it without an answer may land later, as a batch may, and undo what the next owner writes. */
  #watched(store: MappedStore): MappedStore {
    return {
      load: () => store.load(),
      mapped: (place) => store.mapped(place),
      piece: (kind, place, index) => store.piece(kind, place, index),
      putMapped: async (records, permit) => {
        try {
          await store.putMapped(records, permit);
        } catch (error) {
          if (error instanceof KafkaError) this.#doubt(error);
          throw error;
        }
      },
    };
  }

  /** A graceful end leaves nothing to be found out again. */
  async #saveLast(): Promise<void> {
    const mapped = this.#mapped;
    if (!mapped || !this.#isLocated || this.#misplaced || this.#isUnknown || !this.#context.term.mayWrite()) return;
    mapped.settle(this.#acknowledged);
    try {
      await mapped.save(this.#context.store, this.#permit);
    } catch (error) {
      if (!(error instanceof KafkaError) && !(error instanceof AppError)) throw error; // the next start finds it out
    }
  }

  takeBatch(): MappedItem | null {
    if (!this.#interrupt || !this.#memory.hasRoom(this.#inFlight)) return null;
    const item = this.#queue.first;
    if (!item || !this.#keeper.mayLeave(item.ordinal)) return null;
    if (!this.mayWrite()) {
      this.#interrupt({ kind: 'withheld' });
      return null;
    }
    this.#queue.shift();
    this.#inFlight.push(item);
    return item;
  }

  // ---- acknowledgements

  onProduced(item: MappedItem, result: ProduceResult): void {
    this.#takeFromFlight(item);
    if (result.errorCode !== 0) this.#onRefused(item, result);
    else if (!this.#isInPlace(item, result)) {
      const place = this.#mapped?.head.isShared ? 'behind the one before it' : `at offset ${item.ordinal}`;
      const cause = `The batch for offset ${item.baseOffset} of the source has its place ${place} of the target, and was answered with offset ${result.baseOffset}: another program wrote to the target, or an append was lost.`;
      this.#onMisplaced(diverged(item.baseOffset, cause));
    } else if (this.#isStamped(item, result)) this.#onMisplaced(stampedByTarget(item.baseOffset, this.targetTopic));
    // Where the one before it lies, if it does, the log says.
    else if (item.ordinal !== this.#acknowledged && this.#mapped?.head.isShared) this.#interrupt?.({ kind: 'refused' });
    else this.#onAppended(item, result.baseOffset);
    this.#checkEnd();
  }

  /**
   * In a target of our own, exactly at its ordinal: then all before it is there too, whatever was answered. In a shared one,
   * behind all that we know of ours.
   */
  #isInPlace(item: MappedItem, { baseOffset }: ProduceResult): boolean {
    const { head, placements } = must(this.#mapped, 'state');
    return head.isShared ? baseOffset >= placements.targetEnd : baseOffset === item.ordinal;
  }

  #isStamped(item: MappedItem, { logAppendTimeMs }: ProduceResult): boolean {
    const isTheirs = logAppendTimeMs === -1 || logAppendTimeMs === item.newestTimestamp;
    return !isTheirs && this.#context.policy.timestamps !== 'target';
  }

  onProduceLost(item: MappedItem, error: ConnectionError): void {
    this.#takeFromFlight(item);
    this.#doubt(error);
    this.#interrupt?.({ kind: 'error', error });
    this.#checkEnd();
  }

  onProducerLost(error: ConnectionError): void {
    this.#interrupt?.({ kind: 'error', error });
  }

  /** It may still land: the position is read once it has, lest other content gets its sequence and is taken for it. */
  #doubt(error: KafkaError): void {
    if (error.definite) return;
    this.#isUnknown = true;
    this.#stillMs = STILL_MS;
  }

  #takeFromFlight(item: MappedItem): void {
    const index = this.#inFlight.indexOf(item);
    assert(index >= 0, 'an answered batch was in flight');
    this.#inFlight.splice(index, 1);
    const wasFull = this.#isFull;
    this.#queue.release(item);
    if (wasFull && !this.#isFull) this.#fetcher?.wake();
  }

  #onAppended(item: MappedItem, target: number): void {
    const mapped = must(this.#mapped, 'state');
    if (mapped.head.isShared) mapped.placed({ source: item.ordinal, target, length: item.count });
    this.#acknowledged = item.ordinal + item.count;
    this.#memory.onAppended(item.newestTimestamp);
    this.#recordsCopied += item.count;
    this.#bytesCopied += item.sourceBytes;
    this.#newestAcknowledged = item.newestTimestamp;
    this.#context.countBytes(item.reason, item.sourceBytes);
    this.#trouble.endBefore(item.baseOffset + item.count);
    if (this.#interrupt) this.#advance();
  }

  #onRefused(item: MappedItem, result: ProduceResult): void {
    const code = result.errorCode;
    const subject = `${this.targetTopic}/${this.partition}`;
    const error = new BrokerError(errorOf(code), 'Produce', subject, result.errorMessage);
    if (OUT_OF_ORDER.has(code)) {
      this.#refusals++;
      return this.#interrupt?.({ kind: 'refused' });
    }
    if (FENCED.has(code)) return this.#interrupt?.({ kind: 'stop', stop: fenced(item.baseOffset, error) });
    if (POLICY.has(code))
      return this.#interrupt?.({ kind: 'stop', stop: batchRefused(item.baseOffset, item.count, error) });
    if (code === MESSAGE_TOO_LARGE) return this.#onTooLarge(item);
    if (code === CORRUPT_MESSAGE || code === TRANSACTIONAL_ID_AUTHORIZATION_FAILED)
      return this.#onCorrupt(item.baseOffset, 'by the target broker', error);
    this.#doubt(error);
    this.#interrupt?.({ kind: 'error', error });
  }

  #onTooLarge(item: MappedItem): void {
    const bytes = item.end - item.start;
    if (item.count === 1) {
      const limit = bytes > this.#batchBytesMax ? this.#batchBytesMax : null;
      return this.#interrupt?.({ kind: 'stop', stop: recordTooLarge(item.baseOffset, bytes, limit) });
    }
    this.#splitAboveBytes = Math.ceil(bytes / 2);
    this.#interrupt?.({ kind: 'refused' });
  }

  /** The position follows what is acknowledged, and what holds no record behind it. */
  #advance(): void {
    const position = must(this.#mapped, 'state').positionAt(this.#acknowledged);
    if (this.#position !== null && position <= this.#position) return;
    this.#position = position;
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

  /** Something of ours is on its way. */
  get #isBusy(): boolean {
    return this.#inFlight.length > 0 || this.#keeper.isSaving;
  }

  #checkEnd(): void {
    if (this.#isBusy) return;
    this.#whenSettled?.();
    if (this.#stopAtEnd && this.#interrupt && this.#queue.isEmpty)
      this.#interrupt({ kind: 'stop', stop: this.#stopAtEnd });
  }

  /** Resolves when nothing is on its way any more; throws what was found out meanwhile. */
  async #settled(): Promise<void> {
    this.#keeper.stop();
    if (this.#isBusy) {
      await new Promise<void>((resolve) => {
        this.#whenSettled = resolve;
      });
      this.#whenSettled = null;
    }
    if (this.#misplaced) throw await this.#explained(this.#misplaced);
  }

  /** Produce names topics by their names: what landed elsewhere may have landed in a topic that was created anew. */
  async #explained(misplaced: ShardStop): Promise<ShardStop> {
    try {
      await this.#topics.check(this.#position);
      const mapped = must(this.#mapped, 'state');
      if (mapped.head.isShared) return misplaced;
      const watermark = await readWatermark(this.#context.target, this.targetTopic, this.partition);
      return (await foreignBefore(solePort(this.#context, mapped), watermark)) ?? misplaced;
    } catch (error) {
      if (error instanceof ShardStop) return error;
      if (!(error instanceof KafkaError)) throw error; // what cannot be looked up explains nothing
    }
    return misplaced;
  }

  /**
   * Another program wrote to a target that was ours alone, and the file says to go on behind it. False where that is not
   * the case.
   */
  async #sharesFromNow(stop: ShardStop): Promise<boolean> {
    const mapped = this.#mapped;
    if (!this.#context.goesOnBehindOthers || stop.reason.code !== 'SHARD_DIVERGED') return false;
    if (!mapped || mapped.head.isShared || !this.#context.term.mayWrite()) return false;
    try {
      const watermark = await readWatermark(this.#context.target, this.targetTopic, this.partition);
      if ((await foreignBefore(solePort(this.#context, mapped), watermark)) === null) return false;
      await this.#share(mapped);
    } catch (error) {
      if (!(error instanceof KafkaError) && !(error instanceof AppError)) throw error;
      return false;
    }
    this.#context.onShared(this, stop.reason.cause);
    this.#lookAnew();
    return true;
  }

  /**
   * The target is not ours alone any more. What was acknowledged lies where it was to lie; the rest, after a start all of
   * it, is found in the log by its sequences, which are ordinals before and after.
   */
  async #share(mapped: MappedState): Promise<void> {
    const { store } = this.#context;
    if (this.#acknowledged > 0) mapped.placed({ source: 0, target: 0, length: this.#acknowledged });
    mapped.setHead({ isShared: true });
    await mapped.save(store, this.#permit);
  }

  // ---- errors

  /** The stop that an error means, or null when it is worth another round. */
  #stopFor(error: unknown): ShardStop | null {
    if (error instanceof ShardStop) return error;
    if (error instanceof AppError) return stateUnreadable(error);
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
    this.#misplaced = null;
    this.#splitAboveBytes = Infinity;
    this.#isFirst = true;
    this.#stillMs = Math.max(STILL_MS, this.#stillMs);
    this.#topics.lookAnew();
    this.#stuckSinceMs = null;
    this.#corruptAt = -1;
    this.#corruptions = 0;
    this.#wasDamaged = false;
    this.#unknownResults = 0;
  }
}
