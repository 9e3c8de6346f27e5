/**
 * Reads many partitions of one source broker over one connection, one request at a time, in an incremental fetch session
 * (KIP-227): a request names only the partitions whose position changed. A partition that is not ready leaves the session.
 *
 * The next request leaves before the records of the last response are written to the target (`afterResponse`), so both
 * directions are busy. What it asks for is reserved in the frame pool first: without room it waits for acknowledgements.
 */
import type { Clock } from '#util/clock.ts';
import type { Connection } from './connection.ts';
import { BrokerError, type ConnectionError } from './errors.ts';
import { decodeFetch, encodeFetch, fetchApi, type FetchedPartition, type FetchPosition } from './fetch.ts';
import { FetchWindow } from './fetch-window.ts';
import type { Frame, FramePool } from './frame.ts';
import { errorOf } from './protocol/error-codes.ts';
import { Reader } from './protocol/reader.ts';

/** FETCH_SESSION_ID_NOT_FOUND, INVALID_FETCH_SESSION_EPOCH, FETCH_SESSION_TOPIC_ID_ERROR: begin a new session. */
const SESSION_ERRORS: ReadonlySet<number> = new Set([70, 71, 106]);
/** While a partition is left out for back-pressure, the others' long poll must not keep it waiting. */
const MAX_WAIT_MS_WITH_PAUSED = 20;
/** A response that has such a part of what was asked for had more to come. */
const FULL = 0.9;

/** A partition as the fetcher sees it. The fields are read before each request. */
export interface FetchSubscriber {
  readonly topicId: string;
  readonly partition: number;
  /** Next offset to read, or −1 while it should be left out. */
  readonly fetchOffset: number;
  readonly fetchLeaderEpoch: number;
  readonly lastFetchedEpoch: number;
  /** Over a long way it is asked for a multiple of it (fetch-window.ts). */
  readonly fetchBytesMax: number;
  /**
   * Records lie in `frame`, which is released after the call: retain it to keep them. `askedOffset` is where this request
   * began to read: a subscriber that has moved since (removed and added again) must not take what lies between for absent.
   */
  onFetched(result: FetchedPartition, frame: Frame, askedOffset: number): void;
  /** The connection is gone (or was when the subscriber was added), or the broker refused the whole request; the subscriber has been removed. */
  onFetchLost(error: ConnectionError | BrokerError): void;
}

export interface FetcherOptions {
  readonly connection: Connection;
  readonly clock: Clock;
  readonly pool: FramePool;
  readonly maxWaitMs: number;
  readonly minBytes: number;
  /**
   * Asked for per request, up to twice as much over a long way, and less where there are many brokers for the room of the
   * pool; a single larger batch is still returned whole.
   */
  readonly maxBytes: number;
  readonly requestTimeoutMs: number;
  /** All records of a response have been handed out and the next request is on its way. */
  afterResponse(): void;
}

export class Fetcher {
  readonly #options: FetcherOptions;
  readonly #version: number;
  readonly #subscribers = new Map<string, FetchSubscriber>();
  /** What the broker's session holds. */
  #session = new Map<string, FetchPosition>();
  #sessionId = 0;
  #sessionEpoch = 0;
  /** A subscriber has taken the place of one that the session was opened for, and would hear only of what changes. */
  #wantsNewSession = false;
  readonly #window = new FetchWindow();
  /** Of the last request. */
  #roundTripMs = 0;
  #askedBytes = 0;
  #busy = false;
  #lost: ConnectionError | BrokerError | null = null;
  #cancelThrottle: (() => void) | null = null;
  #stopListening: () => void;
  /** Wall time of the last response. */
  #respondedAt: number | null = null;
  /** What the last response was about. */
  #answered: ReadonlyMap<string, FetchPosition> = new Map();

  /** Throws UnsupportedApiError when the broker does not speak the version of Fetch that we do. */
  constructor(options: FetcherOptions) {
    this.#options = options;
    this.#version = options.connection.versionOf(fetchApi);
    this.#stopListening = options.pool.onFree(() => this.wake());
    options.connection.onClose((error) => this.#lose(error));
  }

  /**
   * Wall time of the last response if it was about this partition too, else null: what a response does not mention of its
   * session has not changed since the one before.
   */
  confirmedAt(subscriber: FetchSubscriber): number | null {
    return this.#answered.has(keyOf(subscriber)) ? this.#respondedAt : null;
  }

  /** How many times what they say partitions are asked for: so much more of each may have to wait for the target. */
  get factor(): number {
    return this.#window.factor;
  }

  add(subscriber: FetchSubscriber): void {
    if (this.#lost) return subscriber.onFetchLost(this.#lost);
    const key = keyOf(subscriber);
    this.#wantsNewSession ||= this.#session.has(key);
    this.#subscribers.set(key, subscriber);
    this.wake();
  }

  remove(subscriber: FetchSubscriber): void {
    if (this.#subscribers.get(keyOf(subscriber)) === subscriber) this.#subscribers.delete(keyOf(subscriber));
  }

  /** A partition may have become ready. Cheap to call often. */
  wake(): void {
    if (!this.#busy && !this.#lost) this.#send();
  }

  #send(): void {
    const { connection, clock, pool } = this.#options;
    if (connection.throttledForMs > 0) {
      this.#cancelThrottle ??= clock.schedule(connection.throttledForMs, () => {
        this.#cancelThrottle = null;
        this.wake();
      });
      return;
    }
    const ready = this.#readyPositions();
    if (ready.size === 0) return;
    const maxBytes = this.#reserve();
    if (maxBytes === 0) return;
    const sentAt = clock.monotonic();
    if (this.#wantsNewSession) this.#beginSession();
    const { positions, forgotten } = this.#changesTo(ready);
    const body = encodeFetch({
      maxWaitMs: ready.size < this.#subscribers.size ? MAX_WAIT_MS_WITH_PAUSED : this.#options.maxWaitMs,
      minBytes: this.#options.minBytes,
      maxBytes,
      sessionId: this.#sessionId,
      sessionEpoch: this.#sessionEpoch,
      positions,
      forgotten,
    });
    this.#session = ready;
    this.#busy = true;
    let isReserved = true; // a damaged response comes by both callbacks
    const unreserve = (): void => {
      if (isReserved) pool.unreserve(maxBytes);
      isReserved = false;
    };
    connection.send({
      api: fetchApi,
      version: this.#version,
      chunks: [body],
      timeoutMs: this.#options.requestTimeoutMs + this.#options.maxWaitMs,
      rawBytesExpected: 2 * maxBytes, // one batch may be larger than the rest of what was asked for
      onError: (error) => {
        unreserve();
        this.#lose(error);
      },
      onResponse: ({ buffer, start, end, frame }) => {
        unreserve();
        this.#roundTripMs = clock.monotonic() - sentAt;
        if (frame) return this.#onResponse(frame, start, end);
        const copy = pool.take(end - start); // small, and the staging buffer is reused
        buffer.copy(copy.buffer, 0, start, end);
        try {
          this.#onResponse(copy, 0, end - start);
        } finally {
          copy.release();
        }
      },
    });
  }

  /**
   * How much may be asked for; 0: there is no room. Who wants more takes what all want where there is no more: else the
   * others would always be served before it. And who has been served listens behind those who wait.
   */
  #reserve(): number {
    const { pool, maxBytes } = this.#options;
    const wanted = [maxBytes * Math.max(1, this.#window.factor / 8), maxBytes];
    const bytes = wanted.map((each) => Math.min(each, pool.shareBytes)).find((each) => pool.reserve(each)) ?? 0;
    if (bytes > 0) {
      this.#stopListening();
      this.#stopListening = pool.onFree(() => this.wake());
      this.#askedBytes = bytes;
    }
    return bytes;
  }

  #onResponse(frame: Frame, start: number, end: number): void {
    const response = decodeFetch(new Reader(frame.buffer, start, end));
    this.#options.connection.throttle(response.throttleTimeMs);
    if (SESSION_ERRORS.has(response.errorCode)) {
      this.#resetSession();
    } else if (response.errorCode !== 0) {
      const error = new BrokerError(errorOf(response.errorCode), 'Fetch', this.#options.connection.address);
      this.#lose(error); // before the connection tells them that we closed it
      return this.#options.connection.close();
    } else {
      const askedPositions = this.#session; // a broker without room for a session makes us forget it
      this.#advanceSession(response.sessionId);
      // A broker whose quota is used up looks at nothing (KafkaApis.handleFetchRequest, getThrottledResponse).
      if (response.throttleTimeMs === 0 || response.partitions.length > 0) {
        this.#respondedAt = this.#options.clock.now();
        this.#answered = askedPositions;
      }
      let isFull = end - start >= FULL * this.#askedBytes;
      for (const result of response.partitions) {
        const key = keyOf(result);
        const asked = askedPositions.get(key);
        if (asked) isFull ||= result.end - result.start >= FULL * asked.maxBytes;
        if (asked) this.#subscribers.get(key)?.onFetched(result, frame, asked.offset);
      }
      if (isFull) this.#window.onFull(end - start, this.#roundTripMs);
    }
    this.#busy = false; // only now: releasing a frame above wakes us, and not every partition had moved on yet
    this.wake();
    this.#options.afterResponse();
  }

  /** A position that the session has already is the same object: with thousands of partitions most are, at each request. */
  #readyPositions(): Map<string, FetchPosition> {
    const ready = new Map<string, FetchPosition>();
    const { factor } = this.#window;
    for (const [key, subscriber] of this.#subscribers) {
      const offset = subscriber.fetchOffset;
      if (offset < 0) continue;
      const known = this.#session.get(key);
      ready.set(key, known && isAt(known, offset, subscriber, factor) ? known : positionOf(subscriber, offset, factor));
    }
    return ready;
  }

  #changesTo(ready: ReadonlyMap<string, FetchPosition>): { positions: FetchPosition[]; forgotten: FetchPosition[] } {
    const positions: FetchPosition[] = [];
    let kept = 0;
    for (const [key, position] of ready) {
      const known = this.#session.get(key);
      if (known) kept++;
      if (known !== position) positions.push(position);
    }
    const forgotten: FetchPosition[] = [];
    if (kept < this.#session.size)
      for (const [key, position] of this.#session) if (!ready.has(key)) forgotten.push(position);
    return { positions, forgotten };
  }

  /** Session id 0: the broker's cache is full, every request stays a full one. */
  #advanceSession(sessionId: number): void {
    if (sessionId === 0) return this.#resetSession();
    this.#sessionId = sessionId;
    this.#sessionEpoch = this.#sessionEpoch === 0x7fffffff ? 1 : this.#sessionEpoch + 1;
  }

  #resetSession(): void {
    this.#sessionId = 0;
    this.#beginSession();
  }

  /** The broker drops the session that is named with epoch 0, and opens another (FetchManager.newContext). */
  #beginSession(): void {
    this.#sessionEpoch = 0;
    this.#session = new Map();
    this.#wantsNewSession = false;
  }

  #lose(error: ConnectionError | BrokerError): void {
    if (this.#lost) return;
    this.#lost = error;
    this.#stopListening();
    this.#cancelThrottle?.();
    const subscribers = [...this.#subscribers.values()];
    this.#subscribers.clear();
    for (const subscriber of subscribers) subscriber.onFetchLost(error);
  }
}

function keyOf(subscriber: { topicId: string; partition: number }): string {
  return `${subscriber.topicId}/${subscriber.partition}`;
}

function positionOf(subscriber: FetchSubscriber, offset: number, factor: number): FetchPosition {
  return {
    topicId: subscriber.topicId,
    partition: subscriber.partition,
    leaderEpoch: subscriber.fetchLeaderEpoch,
    offset,
    lastFetchedEpoch: subscriber.lastFetchedEpoch,
    maxBytes: subscriber.fetchBytesMax * factor,
  };
}

function isAt(position: FetchPosition, offset: number, subscriber: FetchSubscriber, factor: number): boolean {
  return (
    position.offset === offset &&
    position.leaderEpoch === subscriber.fetchLeaderEpoch &&
    position.lastFetchedEpoch === subscriber.lastFetchedEpoch &&
    position.maxBytes === subscriber.fetchBytesMax * factor
  );
}
