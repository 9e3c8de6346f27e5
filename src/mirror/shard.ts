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
import { Backoff } from '#util/backoff.ts';
import { sleep } from '#util/clock.ts';
import type { Incident, ShardState, ShardStatus } from '#contract/status.ts';
import {
  BrokerError,
  ClusterIdChangedError,
  type ConnectionError,
  KafkaError,
  MalformedBatchError,
  UnsupportedApiError,
} from '#kafka/errors.ts';
import type { FetchedPartition } from '#kafka/fetch.ts';
import type { Fetcher, FetchSubscriber } from '#kafka/fetcher.ts';
import type { Frame } from '#kafka/frame.ts';
import type { TopicMetadata } from '#kafka/metadata.ts';
import { deleteRecords, offsetForLeaderEpoch } from '#kafka/offsets.ts';
import type { ProduceResult } from '#kafka/produce.ts';
import type { Producer, ProduceSubscriber } from '#kafka/producer.ts';
import { errorOf } from '#kafka/protocol/error-codes.ts';
import { leaderOf } from '#kafka/retry.ts';
import { BatchWalk, type Cursor, type DataItem, type WalkItem, type WalkStop } from './batch-walk.ts';
import { fillHole, nextMarkerEpoch } from './holes.ts';
import { fillLogStart, isFiller } from './log-start.ts';
import { readLogStart, readOffsetAt, readStableOffset, readWatermark } from './offsets.ts';
import {
  checkHoles,
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
  beyondSource,
  diverged,
  fenced,
  fillTooLong,
  missing,
  noProgress,
  notAllowed,
  otherCluster,
  recordTooLarge,
  recreated,
  retentionLoss,
  ShardStop,
  stampedByTarget,
  startBeyondEnd,
  stateLost,
  transactionMet,
  truncated,
  unexplained,
} from './shard-stop.ts';
import type { ShardContext } from './shard-context.ts';

const QUEUE_BYTES_MAX = 2 * 1024 * 1024;
const IN_FLIGHT_MAX = 5;
const FETCH_BYTES_FIRST = 512 * 1024;
/** Every start counts as a takeover: what an earlier self had on its way must have landed (exactness.md rule 3). */
const STILL_MS = 1_000;
/** After an indefinite result of markers, which are not idempotent. */
const STILL_AFTER_MARKERS_MS = 2_000;
/** replica.lag.time.max.ms: a refusal because of replication lag ends within it. */
const NO_PROGRESS_MS = 30_000;
const UNKNOWN_RESULTS_MAX = 5;
/** Damage that hits another batch at each attempt would else be fetched for ever. */
const CORRUPTIONS_MAX = 5;
const FROM_SOURCE = 'when reading from the source';
/** A topic may be unknown to a broker for a moment, never for so long. */
const MISSING_MS = 10_000;
/** How often a stopped partition looks whether the cause has ended, from the first time on. */
const RETRY_MS = { baseMs: 1_000, maxMs: 30_000 };

const AUTHORISATION = new Set([29, 31, 53]);
const POLICY = new Set([32, 44, 87]);
const FENCED = new Set([47, 90]);
const OFFSET_OUT_OF_RANGE = 1;
const UNKNOWN_TOPIC_OR_PARTITION = 3;
const CORRUPT_MESSAGE = 2;
/**
 * Of a Produce this is damage too: no batch that we write has the transactional bit, and the broker looks at that bit before
 * it checks the CRC (KafkaApis.handleProduceRequest, RequestUtils.hasTransactionalRecords).
 */
const TRANSACTIONAL_ID_AUTHORIZATION_FAILED = 53;
const MESSAGE_TOO_LARGE = 10;
const OUT_OF_ORDER = new Set([45, 46]);

/** Why copying was interrupted: `stop` ends the shard, an error is classified, a refusal is normal among several writers. */
type Interruption =
  | { readonly kind: 'ended' }
  | { readonly kind: 'refused' }
  | { readonly kind: 'out-of-range' }
  | { readonly kind: 'diverging' }
  | { readonly kind: 'stop'; readonly stop: ShardStop }
  | { readonly kind: 'error'; readonly error: KafkaError };

export interface Waiting {
  readonly error: KafkaError;
  readonly sinceMs: number;
  /** When it was told `error`. */
  readonly toldMs: number;
}

export class Shard implements FetchSubscriber, ProduceSubscriber<DataItem> {
  readonly topic: string;
  readonly topicId: string;
  readonly targetTopic: string;
  readonly partition: number;
  readonly #context: ShardContext;
  readonly #backoff: Backoff;
  readonly #retryBackoff: Backoff;
  readonly #abort = new AbortController();

  #walk: BatchWalk;
  #state: ShardState = 'starting';
  #incident: Incident | null = null;
  /** The target topic's max.message.bytes as last read. */
  #batchBytesMax: number;
  #fetchOffset = -1;
  #fetchBytesMax = FETCH_BYTES_FIRST;
  #fetcher: Fetcher | null = null;
  #producer: Producer | null = null;

  #cursor: Cursor = { offset: 0, sequence: 0 };
  #queue: WalkItem[] = [];
  #queueHead = 0;
  #queuedBytes = 0;
  readonly #inFlight: DataItem[] = [];
  /**
   * One until the first is appended where the broker has no sequence of ours: it would take a second batch in the place of
   * the first if that one is refused.
   */
  #inFlightMax = 1;
  #isFilling = false;
  #stopAtEnd: ShardStop | null = null;
  /** Data of ours landed elsewhere: the first answer that said so names the first offset. */
  #misplaced: ShardStop | null = null;
  #interrupt: ((interruption: Interruption) => void) | null = null;
  #whenSettled: (() => void) | null = null;
  #markerEpoch: number | null = null;
  #logStart = 0;

  #position: number | null = null;
  #waiting: Waiting | null = null;
  /** Monotonic time of the first refusal since the target last advanced. */
  #stuckSinceMs: number | null = null;
  #missingSinceMs: number | null = null;
  #stillMs = STILL_MS;
  #isFirst = true;
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
    this.#backoff = new Backoff(context.random, { baseMs: 50, maxMs: 5_000 });
    this.#retryBackoff = new Backoff(context.random, RETRY_MS);
  }

  #newWalk(): BatchWalk {
    const { policy, writer } = this.#context;
    return new BatchWalk(policy, { writer, batchBytesMax: this.#batchBytesMax, leaderEpoch: null });
  }

  get fetchOffset(): number {
    const isWaiting = this.#queuedBytes >= QUEUE_BYTES_MAX || this.#producer?.isStalled;
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
    const confirmedAt = this.#fetcher?.confirmedAt(this) ?? null;
    return confirmedAt === null ? this.#measuredAt : Math.max(confirmedAt, this.#measuredAt ?? 0);
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
    return this.#waiting;
  }

  get incident(): Incident | null {
    return this.#incident;
  }

  /** Next source offset that the target has not acknowledged; null until it is known. */
  get position(): number | null {
    return this.#position;
  }

  /**
   * Copies until `stop` or an incident that does not end by itself. Never throws for a state of the world; a broken
   * invariant of ours goes through.
   */
  async run(): Promise<void> {
    while (!this.#abort.signal.aborted) {
      try {
        const position = await this.#locate();
        if (this.#abort.signal.aborted) break;
        if (position) await this.#copy(position);
      } catch (error) {
        const stop = this.#stopFor(error);
        if (!stop) {
          await this.#pause(error as KafkaError);
          continue;
        }
        const isCured = stop.reason.code === 'SHARD_RECORD_TOO_LARGE' && (await this.#hasMoreRoom());
        if (!isCured) {
          this.#raise(stop);
          if (!stop.reason.endsByItself) return;
          await sleep(this.#context.clock, this.#retryBackoff.next(), this.#abort.signal);
          if (this.#abort.signal.aborted) break;
          await this.#hasMoreRoom();
        }
        this.#lookAnew();
      }
    }
    this.#state = 'ended';
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
      state: this.#incident && this.#state !== 'ended' ? 'stopped' : this.#state,
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
      incident: this.#incident,
    };
  }

  /** Age of the oldest batch that is fetched but not acknowledged, else of the newest acknowledged one while there is lag. */
  #lagMs(now: number): number | null {
    if (this.#position === null || this.#stableOffset === null) return null;
    if (this.#position >= this.#stableOffset) return 0;
    const oldest = this.#inFlight[0] ?? this.#queue.slice(this.#queueHead).find((item) => item.kind === 'data');
    const timestamp = oldest?.kind === 'data' ? oldest.newestTimestamp : this.#newestAcknowledged;
    return timestamp === null ? null : Math.max(0, now - timestamp);
  }

  // ---- locate

  /** Null when what it began with has changed meanwhile: then it begins again. */
  async #locate(): Promise<Position | null> {
    const { source, state } = this.#context;
    this.#state = this.#isFirst ? 'starting' : this.#state;
    await this.#checkTopics();
    await state.load(); // another worker may have copied on, into leader epochs that we have not seen
    const record = state.partition(this.targetTopic, this.partition);
    const isFixed = this.#isStartFixed();
    const port = this.#port();
    this.#markerEpoch = null;
    const watermark = await stillWatermark(port, this.#stillMs, this.#abort.signal);
    let position: Position | null = await readPosition(port, watermark, this.#abort.signal);
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
      await this.#checkSource(port, position);
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

  #port(): TargetPartition {
    const { target, state, dataProducerId, markerProducerId } = this.#context;
    const { targetTopic: topic, partition } = this;
    const sequenceOffset = state.partition(topic, partition)?.sequenceOffset ?? 0;
    return { target, topic, partition, dataProducerId, markerProducerId, sequenceOffset };
  }

  /** The first record has been copied, by us or by another worker. */
  #isStartFixed(): boolean {
    const record = this.#context.state.partition(this.targetTopic, this.partition);
    return (record?.leaderEpochs.length ?? 0) > 0;
  }

  /** Both topics are the ones that were claimed: an id that changed is a topic that was deleted and created anew. */
  async #checkTopics(): Promise<void> {
    const { source, target } = this.#context;
    const [[sourceTopic], [targetTopic]] = await Promise.all([
      source.refresh([this.topic]),
      target.refresh([this.targetTopic]),
    ]);
    this.#checkTopic('source', this.topic, must(sourceTopic, 'answer about the source topic'));
    this.#checkTopic('target', this.targetTopic, must(targetTopic, 'answer about the target topic'));
    this.#missingSinceMs = null;
  }

  #checkTopic(side: 'source' | 'target', name: string, topic: TopicMetadata): void {
    if (topic.errorCode !== 0) {
      if (topic.errorCode === UNKNOWN_TOPIC_OR_PARTITION) {
        const now = this.#context.clock.monotonic();
        this.#missingSinceMs ??= now;
        if (now - this.#missingSinceMs > MISSING_MS) throw missing(side, name, this.#position);
      }
      throw new BrokerError(errorOf(topic.errorCode), 'Metadata', `${side} topic ${name}`);
    }
    const expected = side === 'source' ? this.topicId : this.#context.targetTopicId;
    if (topic.topicId !== expected) throw recreated(side, name, this.#position);
  }

  /** The source still has what was copied (exactness.md rules 1 and 8). */
  async #checkSource(port: TargetPartition, position: Position): Promise<void> {
    const { source } = this.#context;
    const leaderEpoch = must(this.#walk.leaderEpoch, 'leader epoch of the last copied batch');
    if (leaderEpoch >= 0) {
      const end = await offsetForLeaderEpoch(source, { topic: this.topic, partition: this.partition, leaderEpoch });
      if (end.endOffset >= 0 && end.endOffset < position.offset) {
        if (this.fetchLeaderEpoch === leaderEpoch)
          throw (await foreignBefore(port, position.offset)) ?? beyondSource(end.endOffset, position.offset);
        throw truncated(
          end.endOffset,
          position.offset,
          `its leader's log ends at ${end.endOffset} for leader epoch ${leaderEpoch}`,
        );
      }
      // An epoch that was recorded and lost before anything of it was copied would be answered as diverging for ever.
      if (end.leaderEpoch >= 0) this.#walk.leaderEpoch = end.leaderEpoch;
    }
    const watermark = await readWatermark(source, this.topic, this.partition);
    if (watermark < position.offset) throw truncated(watermark, position.offset, `its log ends at ${watermark}`);
    if (this.#stillMs === 0) return; // all that we wrote since the last look was answered where it had to be
    const place = { cluster: source, topic: this.topic, partition: this.partition };
    if (position.lastBatch) await compareLastRecord(place, { port, batch: position.lastBatch }, this.#context.policy);
    await checkHoles(place, { from: position.controlsFrom, to: position.offset });
  }

  /**
   * Brings the target to the source's log start while nothing has been copied; until then the start follows the source.
   * Null when another worker has begun to copy meanwhile.
   */
  async #align(port: TargetPartition, position: Position): Promise<Position | null> {
    const logStart = await this.#chooseLogStart();
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
        signal: this.#abort.signal,
        onProgress: () => {
          this.#stuckSinceMs = null;
        },
      });
      // Records are only written once the start is fixed: while it is not, all that is below `logStart` is filler.
      await this.#context.state.load();
      if (this.#isStartFixed()) return null;
      if (aligned.offset === logStart)
        await deleteRecords(port.target, { topic: this.targetTopic, partition: this.partition, offset: logStart });
      const isSequenceFree = position.isSequenceFree && aligned.offset === position.offset; // filler leaves a sequence
      return { ...aligned, isSequenceFree, lastBatch: null, controlsFrom: aligned.offset };
    } finally {
      await gate.leave();
    }
  }

  async #chooseLogStart(): Promise<number> {
    const { source, state, start } = this.#context;
    const earliest = await this.#confirmedLogStart();
    const chosen = state.partition(this.targetTopic, this.partition)?.logStart;
    if (chosen !== undefined) return Math.max(earliest, chosen);
    if (start.at === 'earliest') return earliest;
    const end = await readStableOffset(source, this.topic, this.partition);
    const logStart = Math.max(earliest, await this.#startOffset(end));
    if (logStart > end) throw startBeyondEnd(logStart, end);
    await state.putPartition(this.targetTopic, this.partition, { logStart, sequenceOffset: 0, leaderEpochs: [] });
    return state.partition(this.targetTopic, this.partition)?.logStart ?? logStart; // another worker may have been first
  }

  /**
   * Everything below is given up for good, and an answer that was damaged on its way has no checksum: it is asked for until two
   * answers in succession agree. One is enough for 0, below which there is nothing.
   */
  async #confirmedLogStart(): Promise<number> {
    let known = 0;
    for (;;) {
      const read = await readLogStart(this.#context.source, this.topic, this.partition);
      if (read === known) return read;
      known = read;
    }
  }

  async #startOffset(end: number): Promise<number> {
    const { source, start } = this.#context;
    if (start.at === 'offsets') return start.offsets[this.topic]?.[this.partition] ?? 0;
    if (start.at !== 'timestamp') return end;
    const found = await readOffsetAt(source, {
      topic: this.topic,
      partition: this.partition,
      timestampMs: start.timestampMs,
    });
    return found < 0 ? end : found;
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
    // A broker says nothing of a partition that joins its fetch session again with nothing new: it has nothing to wait for.
    if (position.offset >= (this.#stableOffset ?? Infinity)) this.#waiting = null;
    this.#stopAtEnd = null;
    this.#inFlightMax = position.isSequenceFree ? 1 : IN_FLIGHT_MAX;
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
    const interruption = await interrupted;
    fetcher.remove(this);
    this.#dropQueue();
    await this.#settled();
    producer.remove(this);
    await this.#afterInterruption(interruption);
  }

  async #afterInterruption(interruption: Interruption): Promise<void> {
    const { clock, random } = this.#context;
    switch (interruption.kind) {
      case 'ended':
        return;
      case 'stop':
        throw interruption.stop;
      case 'error':
        throw interruption.error;
      case 'out-of-range': // passed by retention or truncated, or the leader is catching up
      case 'diverging': // what was fetched is gone from the source
        // Which it is, and whether any of it was copied, is found at the position that the next round reads from the
        // target: what was on its way there has landed meanwhile.
        return sleep(clock, this.#backoff.next(), this.#abort.signal);
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
    this.#backoff.reset();
    if (this.#position !== this.#cursor.offset) return;
    this.#waiting = null;
    this.#endIncident(); // nothing is left that could be refused
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
    for (const item of walked.items) this.#enqueue(item);
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
    if (stop.kind === 'transaction') return transactionMet(stop.offset);
    if (stop.kind === 'damaged') return batchCorrupt(stop.offset, FROM_SOURCE, stop.error);
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
      if (!isRecorded)
        await state.putPartition(this.targetTopic, this.partition, {
          logStart: known && epochs.length > 0 ? known.logStart : this.#logStart,
          sequenceOffset: known?.sequenceOffset ?? 0,
          leaderEpochs: [...epochs, [epoch, offset]],
        });
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

  #enqueue(item: WalkItem): void {
    this.#queue.push(item);
    if (item.kind === 'hole') return;
    this.#queuedBytes += item.end - item.start;
    if (!item.frame) this.#context.pool.charge(item.end - item.start);
  }

  takeBatch(): DataItem | null {
    if (!this.#interrupt || this.#isFilling || this.#inFlight.length >= this.#inFlightMax) return null;
    const item = this.#queue[this.#queueHead];
    if (!item) return null;
    if (item.kind === 'hole') {
      if (this.#inFlight.length === 0) void this.#fill(item.baseOffset, item.count);
      return null;
    }
    this.#shiftQueue();
    this.#inFlight.push(item);
    return item;
  }

  #shiftQueue(): void {
    this.#queueHead++;
    if (this.#queueHead === this.#queue.length) {
      this.#queue = [];
      this.#queueHead = 0;
    } else if (this.#queueHead >= 64 && this.#queueHead * 2 > this.#queue.length) {
      this.#queue = this.#queue.slice(this.#queueHead);
      this.#queueHead = 0;
    }
  }

  #dropQueue(): void {
    for (const item of this.#queue.slice(this.#queueHead)) if (item.kind === 'data') this.#release(item);
    this.#queue = [];
    this.#queueHead = 0;
  }

  #release(item: DataItem): void {
    this.#queuedBytes -= item.end - item.start;
    if (item.frame) item.frame.release();
    else this.#context.pool.discharge(item.end - item.start);
  }

  /** Nothing of ours is in flight: the hole at the head of the queue is filled, then data goes on behind it. */
  async #fill(from: number, count: number): Promise<void> {
    const { target, markerProducerId } = this.#context;
    const port = { target, topic: this.targetTopic, partition: this.partition, markerProducerId };
    this.#isFilling = true;
    try {
      this.#markerEpoch ??= await nextMarkerEpoch(port);
      const signal = this.#abort.signal;
      const reached = await fillHole(port, { from, count, coordinatorEpoch: this.#markerEpoch, signal });
      if (reached !== from + count) this.#interrupt?.({ kind: 'refused' });
      else if (this.#interrupt) {
        this.#holesFilled += count;
        this.#shiftQueue();
        this.#advanceTo(from + count);
        this.#endIncidentBefore(from + count);
      }
    } catch (error) {
      if (error instanceof ShardStop) this.#onMisplaced(error);
      else if (error instanceof KafkaError) {
        this.#stillMs = STILL_AFTER_MARKERS_MS; // markers of this term may still land: the position is read once they have
        this.#interrupt?.({ kind: 'error', error });
      } else throw error;
    } finally {
      this.#isFilling = false;
      this.#checkEnd();
      this.#producer?.pump();
      this.#fetcher?.wake();
    }
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
    if (!error.definite) this.#stillMs = STILL_MS;
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
    const wasFull = this.#queuedBytes >= QUEUE_BYTES_MAX;
    this.#release(item);
    if (wasFull && this.#queuedBytes < QUEUE_BYTES_MAX) this.#fetcher?.wake();
  }

  #onAppended(item: DataItem): void {
    this.#inFlightMax = IN_FLIGHT_MAX;
    this.#recordsCopied += item.count;
    this.#bytesCopied += item.sourceBytes;
    this.#newestAcknowledged = item.newestTimestamp;
    this.#context.countBytes(item.reason, item.sourceBytes);
    this.#endIncidentBefore(item.baseOffset + item.count);
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
    if (code === CORRUPT_MESSAGE || code === TRANSACTIONAL_ID_AUTHORIZATION_FAILED)
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
    this.#backoff.reset();
  }

  /** Found even while settling; it outranks the reason that interrupted. */
  #onMisplaced(stop: ShardStop): void {
    this.#misplaced ??= stop;
    this.#interrupt?.({ kind: 'stop', stop });
  }

  #checkEnd(): void {
    if (this.#inFlight.length > 0 || this.#isFilling) return;
    this.#whenSettled?.();
    if (this.#stopAtEnd && this.#interrupt && this.#queueHead === this.#queue.length) {
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
    try {
      await this.#checkTopics();
      const watermark = await readWatermark(this.#context.target, this.targetTopic, this.partition);
      const foreign = await foreignBefore(this.#port(), watermark);
      const isFirst = (foreign?.reason.offsets?.from ?? Infinity) < (misplaced.reason.offsets?.from ?? 0);
      if (foreign && isFirst) return foreign;
    } catch (error) {
      if (error instanceof ShardStop) return error;
      if (!(error instanceof KafkaError)) throw error; // what cannot be looked up explains nothing
    }
    return misplaced;
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
    return this.#unknownResults > UNKNOWN_RESULTS_MAX ? unexplained(this.#position, error) : null;
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

  /** Refused for too long without anybody advancing the target. */
  #isStuck(): boolean {
    const now = this.#context.clock.monotonic();
    this.#stuckSinceMs ??= now;
    return now - this.#stuckSinceMs > NO_PROGRESS_MS;
  }

  async #pause(error: KafkaError): Promise<void> {
    const toldMs = this.#context.clock.monotonic();
    this.#waiting = { error, sinceMs: this.#waiting?.sinceMs ?? toldMs, toldMs };
    this.#context.onTrouble(this, error);
    await sleep(this.#context.clock, this.#backoff.next(), this.#abort.signal);
  }

  /** The same cause at the same place is the same incident, however often it is met. */
  #raise(stop: ShardStop): void {
    this.#waiting = null; // now it is known what for
    const { code, offsets } = stop.reason;
    const open = this.#incident;
    if (open && open.code === code && open.offsets?.from === offsets?.from) return;
    this.#endIncident();
    this.#incident = {
      ...stop.reason,
      severity: 'error',
      mirror: this.#context.mirrorName,
      topic: this.topic,
      partition: this.partition,
      at: this.#context.clock.now(),
    };
    this.#context.onIncident(this.#incident);
  }

  /** The target has taken what lies before `offset`. */
  #endIncidentBefore(offset: number): void {
    this.#waiting = null;
    if (offset > (this.#incident?.offsets?.from ?? -1)) this.#endIncident();
  }

  #endIncident(): void {
    const incident = this.#incident;
    if (!incident) return;
    this.#incident = null;
    this.#retryBackoff.reset();
    this.#context.onIncidentEnded(incident);
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
    this.#missingSinceMs = null;
    this.#stuckSinceMs = null;
    this.#corruptAt = -1;
    this.#corruptions = 0;
    this.#wasDamaged = false;
    this.#unknownResults = 0;
  }
}
