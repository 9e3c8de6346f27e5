/**
 * Writes raw batches of many partitions to one target broker over one connection: each request takes the next batch of
 * every partition that has one, up to five requests are in flight (the broker remembers the last five batches of a
 * producer, ProducerStateEntry.NUM_BATCHES_TO_RETAIN). It never sends anything twice: the outcome of each batch goes to
 * its partition, which decides.
 */
import { sleep, type Clock } from '#util/clock.ts';
import type { Connection } from './connection.ts';
import { type ConnectionError, MalformedFrameError } from './errors.ts';
import {
  decodeProduce,
  encodeProduce,
  produceApi,
  type ProducePartition,
  type ProduceResult,
  type ProduceTopic,
  transactionalProduceApi,
} from './produce.ts';
import type { Permit } from './permit.ts';
import { Reader } from './protocol/reader.ts';
import { callRaw } from './raw-call.ts';

const IN_FLIGHT_MAX = 5;
/**
 * What may be on its way at once: it grows while answers come soon and shrinks when they come late, so that over a slow way,
 * or behind a quota, the last of it is answered before its deadline too.
 */
const WINDOW_BYTES = { first: 512 * 1024, min: 64 * 1024, max: 32 * 1024 * 1024 };
const SOON_MS = 1_000;
const LATE_MS = 4_000;
/** A broker that answers nothing for so long stands still, or the way to it does; a slow one answers something. */
const STALL_MS = 2_000;

/** One batch on its way: bytes [start, end) of buffer, which must stay as they are until the outcome is known. */
export interface OutgoingBatch {
  readonly buffer: Buffer;
  readonly start: number;
  readonly end: number;
}

/** A partition as the producer sees it. */
export interface ProduceSubscriber<Batch extends OutgoingBatch = OutgoingBatch> {
  readonly targetTopic: string;
  readonly partition: number;
  /** Another subscriber may write to the same partition: one request has one batch for it. */
  readonly sharesPartition?: boolean;
  /** The next batch to send, which counts as sent from now on, or null. */
  takeBatch(): Batch | null;
  /** Asked again when a request leaves later than it was made, as after a login: without leave of all, none is sent. */
  mayWrite?(): boolean;
  onProduced(batch: Batch, result: ProduceResult): void;
  /** No answer came: the outcome is unknown unless `error.definite`. The subscriber stays and must be removed by its owner. */
  onProduceLost(batch: Batch, error: ConnectionError): void;
  /** Nothing can be sent any more, told once, after the batches in flight: who has none would never notice. */
  onProducerLost(error: ConnectionError): void;
}

export interface ProducerOptions {
  readonly connection: Connection;
  readonly clock: Clock;
  /** A request is closed when it holds this much; one batch always fits. */
  readonly requestBytesMax: number;
  /** How long the broker may wait for its replicas. */
  readonly ackTimeoutMs: number;
  /** How long we wait for the broker: longer than ackTimeoutMs, so that its own answer comes first. */
  readonly requestTimeoutMs: number;
  /** The broker stands still: what it holds must not be what the others lack. Returns what is to be called when that is over. */
  onStall(): () => void;
}

interface Sent {
  readonly subscriber: ProduceSubscriber;
  readonly batch: OutgoingBatch;
}

export class Producer {
  readonly #options: ProducerOptions;
  readonly #subscribers: ProduceSubscriber[] = [];
  readonly #version: number;
  #next = 0;
  #lost: ConnectionError | null = null;
  #windowBytes = WINDOW_BYTES.first;
  #inFlightBytes = 0;
  #cancelThrottle: (() => void) | null = null;
  #cancelWatch: (() => void) | null = null;
  #endStall: (() => void) | null = null;

  /** Throws UnsupportedApiError when the broker speaks no version of Produce that we do. */
  constructor(options: ProducerOptions) {
    this.#options = options;
    this.#version = options.connection.versionOf(produceApi);
    options.connection.onClose((error) => this.#lose(error));
  }

  /** Nothing has been answered for 2 s although something is on its way: nothing more should be read for its partitions. */
  get isStalled(): boolean {
    return this.#endStall !== null;
  }

  add(subscriber: ProduceSubscriber): void {
    this.#subscribers.push(subscriber);
    if (this.#lost) subscriber.onProducerLost(this.#lost);
  }

  remove(subscriber: ProduceSubscriber): void {
    const index = this.#subscribers.indexOf(subscriber);
    if (index >= 0) this.#subscribers.splice(index, 1);
  }

  /** Sends what the partitions have, as far as requests in flight allow. Cheap to call often. */
  pump(): void {
    const { connection, clock } = this.#options;
    while (connection.isOpen && connection.inFlightCount < IN_FLIGHT_MAX && this.#inFlightBytes < this.#windowBytes) {
      if (connection.throttledForMs > 0) {
        this.#cancelThrottle ??= clock.schedule(connection.throttledForMs, () => {
          this.#cancelThrottle = null;
          this.pump();
        });
        return;
      }
      const sent = this.#takeBatches();
      if (sent.length === 0) return;
      this.#send(sent);
    }
  }

  /**
   * Sends a batch of a transaction at once, in a request of its own: a request names one transactional id. Rejects with
   * ConnectionError when no answer comes (WithheldError without leave), MalformedFrameError when it is about something else.
   */
  async produceAlone(
    transactionalId: string,
    to: { readonly targetTopic: string; readonly partition: number; readonly permit?: Permit },
    batch: OutgoingBatch,
  ): Promise<ProduceResult> {
    const { connection, clock, ackTimeoutMs, requestTimeoutMs } = this.#options;
    if (connection.throttledForMs > 0) await sleep(clock, connection.throttledForMs);
    const { buffer, start, end } = batch;
    const { permit } = to;
    const topics = [{ name: to.targetTopic, partitions: [{ partition: to.partition, buffer, start, end }] }];
    const request = {
      api: transactionalProduceApi,
      chunks: encodeProduce(topics, ackTimeoutMs, { transactionalId }),
      timeoutMs: Math.min(requestTimeoutMs, permit?.timeoutMs ?? requestTimeoutMs),
      ...(permit ? { mayLeave: () => permit.isGiven() } : {}),
    };
    const answered = callRaw(connection, request, (reader) => {
      this.#watch();
      const { results, throttleTimeMs } = decodeProduce(reader);
      connection.throttle(throttleTimeMs);
      return findResult(results, to, 0);
    });
    if (this.#cancelWatch === null && this.#endStall === null) this.#watch();
    try {
      return await answered;
    } finally {
      this.pump();
    }
  }

  /** The next batch of each partition, beginning with another partition each time so that none starves. */
  #takeBatches(): Sent[] {
    const sent: Sent[] = [];
    let bytes = 0;
    const count = this.#subscribers.length;
    const first = count > 0 ? this.#next++ % count : 0;
    const bytesMax = Math.min(this.#options.requestBytesMax, this.#windowBytes - this.#inFlightBytes);
    for (let i = 0; i < count && bytes < bytesMax; i++) {
      const subscriber = this.#subscribers[(first + i) % count]!;
      if (subscriber.sharesPartition && sent.some((other) => isSamePlace(other.subscriber, subscriber))) continue;
      const batch = subscriber.takeBatch();
      if (!batch) continue;
      sent.push({ subscriber, batch });
      bytes += batch.end - batch.start;
    }
    return sent;
  }

  #lose(error: ConnectionError): void {
    this.#lost = error;
    this.#cancelThrottle?.();
    this.#watch();
    for (const subscriber of this.#subscribers.slice()) subscriber.onProducerLost(error);
  }

  #send(sent: readonly Sent[]): void {
    const bytes = sent.reduce((sum, { batch }) => sum + batch.end - batch.start, 0);
    const sentMs = this.#options.clock.monotonic();
    this.#inFlightBytes += bytes;
    this.#options.connection.send({
      api: produceApi,
      version: this.#version,
      chunks: encodeProduce(byTopic(sent), this.#options.ackTimeoutMs),
      timeoutMs: this.#options.requestTimeoutMs,
      mayLeave: () => sent.every(({ subscriber }) => subscriber.mayWrite?.() !== false),
      onError: (error) => {
        for (const { subscriber, batch } of sent) subscriber.onProduceLost(batch, error);
      },
      onResponse: ({ buffer, start, end }) => {
        this.#watch();
        this.#inFlightBytes -= bytes;
        this.#adapt(this.#options.clock.monotonic() - sentMs);
        this.#onResponse(sent, new Reader(buffer, start, end));
        this.pump();
      },
    });
    if (this.#cancelWatch === null && this.#endStall === null) this.#watch();
  }

  #adapt(tookMs: number): void {
    const { min, max } = WINDOW_BYTES;
    if (tookMs < SOON_MS) this.#windowBytes = Math.min(max, this.#windowBytes * 2);
    else if (tookMs > LATE_MS) this.#windowBytes = Math.max(min, this.#windowBytes / 2);
  }

  /** Begins anew with each answer. */
  #watch(): void {
    this.#cancelWatch?.();
    this.#cancelWatch = null;
    const endStall = this.#endStall;
    this.#endStall = null;
    endStall?.();
    const { connection, clock } = this.#options;
    if (!connection.isOpen || connection.inFlightCount === 0) return;
    this.#cancelWatch = clock.schedule(STALL_MS, () => {
      this.#cancelWatch = null;
      this.#endStall = this.#options.onStall();
    });
  }

  #onResponse(sent: readonly Sent[], reader: Reader): void {
    const { results, throttleTimeMs } = decodeProduce(reader);
    this.#options.connection.throttle(throttleTimeMs);
    // A response answers every partition of its request; anything else is damage and ends the connection before any is told.
    const matched = sent.map((item, index) => ({ ...item, result: findResult(results, item.subscriber, index) }));
    for (const { subscriber, batch, result } of matched) subscriber.onProduced(batch, result);
  }
}

function isSamePlace(a: ProduceSubscriber, b: ProduceSubscriber): boolean {
  return a.partition === b.partition && a.targetTopic === b.targetTopic;
}

/** Brokers answer in their own order of topics, mostly ours: the same index is tried first. */
function findResult(
  results: readonly ProduceResult[],
  subscriber: { readonly targetTopic: string; readonly partition: number },
  index: number,
): ProduceResult {
  const isOurs = (result: ProduceResult | undefined): boolean =>
    result?.partition === subscriber.partition && result.topic === subscriber.targetTopic;
  const result = isOurs(results[index]) ? results[index] : results.find(isOurs);
  if (!result) throw new MalformedFrameError(`no answer for ${subscriber.targetTopic}/${subscriber.partition}`);
  return result;
}

function byTopic(sent: readonly Sent[]): ProduceTopic[] {
  const topics = new Map<string, ProducePartition[]>();
  for (const { subscriber, batch } of sent) {
    const entry = { partition: subscriber.partition, buffer: batch.buffer, start: batch.start, end: batch.end };
    const partitions = topics.get(subscriber.targetTopic);
    if (partitions) partitions.push(entry);
    else topics.set(subscriber.targetTopic, [entry]);
  }
  return [...topics].map(([name, partitions]) => ({ name, partitions }));
}
