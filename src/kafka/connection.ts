/**
 * One TCP connection to one broker: requests go out in order, responses come back in order (the broker serves one
 * request of a connection at a time, SocketServer), and each request has a deadline. A missed deadline or damaged
 * bytes close the connection, since nothing behind them can be matched any more; what was in flight then fails as
 * indefinite. It does not reconnect and does not retry: that is the caller's.
 *
 * Reading: small responses are parsed where they lie in a staging buffer, many per read; one that is larger than the
 * staging buffer is read straight into a frame of its own.
 */
import { assert, must } from '#util/assert.ts';
import type { Clock } from '#util/clock.ts';
import type { Network, Socket } from '#util/network.ts';
import type { Api } from './api.ts';
import {
  BrokerError,
  ConnectionError,
  MalformedFrameError,
  UnsupportedApiError,
  type ConnectionFailure,
} from './errors.ts';
import type { Frame, FramePool } from './frame.ts';
import { apiVersions } from './protocol/api-versions.ts';
import { errorOf } from './protocol/error-codes.ts';
import { Reader } from './protocol/reader.ts';
import { Writer } from './protocol/writer.ts';

const STAGING_BYTES = 64 * 1024;
/** No response of ours comes near: fetches ask for a few MB, and one batch may exceed that up to the broker's limit. */
const RESPONSE_BYTES_MAX = 256 * 1024 * 1024;
/** ApiVersions is asked before anything is known; every broker since 2.4 answers version 3 (KIP-511). */
const API_VERSIONS_VERSION = 3;

export interface ConnectionOptions {
  readonly network: Network;
  readonly clock: Clock;
  readonly pool: FramePool;
  readonly host: string;
  readonly port: number;
  readonly clientId: string;
  readonly connectTimeoutMs: number;
}

/** A response on the hot path. The bytes are valid during the callback only, unless `frame` is given and retained. */
export interface RawResponse {
  readonly buffer: Buffer;
  /** Where the response body begins, behind correlation id and tagged fields of the header. */
  readonly start: number;
  readonly end: number;
  readonly frame: Frame | null;
}

export interface RawRequest {
  readonly api: { readonly key: number; readonly flexibleVersion: number };
  readonly version: number;
  /** The body, written as one gathered write; the bytes must stay as they are until the outcome is known. */
  readonly chunks: readonly Uint8Array[];
  readonly timeoutMs: number;
  onResponse(response: RawResponse): void;
  onError(error: ConnectionError): void;
}

interface InFlight {
  readonly correlationId: number;
  readonly deadlineMs: number;
  readonly flexible: boolean;
  onResponse(response: RawResponse): void;
  onError(error: ConnectionError): void;
}

export interface VersionRange {
  readonly min: number;
  readonly max: number;
}

/**
 * Connects and learns the versions that the broker speaks; `signal` gives up at once.
 * Throws ConnectionError, UnsupportedApiError or BrokerError.
 */
export async function openConnection(options: ConnectionOptions, signal?: AbortSignal): Promise<Connection> {
  const connection = new Connection(options);
  const giveUp = (): void => connection.close();
  signal?.addEventListener('abort', giveUp, { once: true });
  if (signal?.aborted) giveUp();
  try {
    await connection.opened;
    await connection.negotiate();
    return connection;
  } catch (error) {
    connection.close();
    throw error;
  } finally {
    signal?.removeEventListener('abort', giveUp);
  }
}

export class Connection {
  /** `host:port` */
  readonly address: string;
  readonly opened: Promise<void>;
  readonly #options: ConnectionOptions;
  readonly #socket: Socket;
  readonly #staging = Buffer.allocUnsafeSlow(STAGING_BYTES);
  #staged = 0;
  #frame: Frame | null = null;
  #frameFilled = 0;
  readonly #inFlight: InFlight[] = [];
  #nextCorrelationId = 1;
  #cancelDeadline: (() => void) | null = null;
  #watchedUntilMs = Infinity;
  #failure: ConnectionError | null = null;
  #negotiated = false;
  #versions: ReadonlyMap<number, VersionRange> = new Map();
  #throttledUntilMs = 0;
  readonly #closeListeners: ((error: ConnectionError) => void)[] = [];
  #onOpen: { resolve(): void; reject(error: Error): void } | null = null;

  constructor(options: ConnectionOptions) {
    this.#options = options;
    this.address = `${options.host}:${options.port}`;
    this.opened = new Promise((resolve, reject) => {
      this.#onOpen = { resolve, reject };
    });
    const cancel = options.clock.schedule(options.connectTimeoutMs, () =>
      this.#fail('timeout', `${this.address} did not accept a connection within ${options.connectTimeoutMs} ms`),
    );
    this.#socket = options.network.connect({
      host: options.host,
      port: options.port,
      buffer: () => this.#nextBuffer(),
      onRead: (bytes) => this.#onRead(bytes),
      onConnect: () => {
        cancel();
        this.#onOpen?.resolve();
        this.#onOpen = null;
      },
      onDrain: () => {},
      onClose: (error) => {
        cancel();
        this.#fail(failureOf(error, this.#negotiated), closeMessage(this.address, error, this.#negotiated), error);
      },
    });
  }

  get isOpen(): boolean {
    return this.#failure === null;
  }

  /** How many requests wait for their response. */
  get inFlightCount(): number {
    return this.#inFlight.length;
  }

  /** How long the broker asked us to hold back (`throttle_time_ms`, KIP-219); 0 when not throttled. */
  get throttledForMs(): number {
    return Math.max(0, this.#throttledUntilMs - this.#options.clock.monotonic());
  }

  /** Called once with the reason when the connection is gone; at once when it is gone already. */
  onClose(listener: (error: ConnectionError) => void): void {
    if (this.#failure) listener(this.#failure);
    else this.#closeListeners.push(listener);
  }

  /** The versions of an API that the broker speaks; undefined for one that it does not know. */
  offered(apiKey: number): VersionRange | undefined {
    return this.#versions.get(apiKey);
  }

  /** The highest version that both sides speak. Throws UnsupportedApiError, naming API and broker, when there is none. */
  versionOf(api: { key: number; name: string; minVersion: number; maxVersion: number }): number {
    const offered = this.#versions.get(api.key);
    const version = offered ? Math.min(api.maxVersion, offered.max) : -1;
    if (!offered || version < api.minVersion || version < offered.min) {
      throw new UnsupportedApiError(api, this.address, offered);
    }
    return version;
  }

  /** Sends a request and decodes its response. Throws ConnectionError, UnsupportedApiError or MalformedFrameError. */
  call<Request, Response>(
    api: Api<Request, Response>,
    request: Request,
    options: { timeoutMs: number },
  ): Promise<Response> {
    return this.#callVersion(api, this.versionOf(api), request, options.timeoutMs);
  }

  /** The broker asked for a pause of `ms` on this connection. */
  throttle(ms: number): void {
    if (ms > 0) this.#throttledUntilMs = Math.max(this.#throttledUntilMs, this.#options.clock.monotonic() + ms);
  }

  /** Sends a request whose body is already encoded. The outcome comes by exactly one of the two callbacks. */
  send(request: RawRequest): void {
    if (this.#failure) {
      request.onError(
        new ConnectionError(this.#failure.failure, this.address, this.#failure.message, { definite: true }),
      );
      return;
    }
    const flexible = request.version >= request.api.flexibleVersion;
    const correlationId = this.#nextCorrelationId;
    this.#nextCorrelationId = (correlationId + 1) & 0x7fffffff;
    this.#inFlight.push({
      correlationId,
      deadlineMs: this.#options.clock.monotonic() + request.timeoutMs,
      flexible: flexible && request.api.key !== apiVersions.key, // its response header stays version 0 (KIP-511)
      onResponse: (response) => request.onResponse(response),
      onError: (error) => request.onError(error),
    });
    this.#watchDeadline();
    this.#socket.write([this.#header(request, correlationId, flexible), ...request.chunks]);
  }

  close(): void {
    this.#fail('local', `the connection to ${this.address} was closed by us`);
  }

  async negotiate(): Promise<void> {
    const response = await this.#callVersion(
      apiVersions,
      API_VERSIONS_VERSION,
      { clientSoftwareName: 'lockstep', clientSoftwareVersion: '0.1.0' },
      this.#options.connectTimeoutMs,
    );
    if (response.errorCode !== 0) throw new BrokerError(errorOf(response.errorCode), 'ApiVersions', this.address);
    this.#versions = new Map(
      response.apiKeys.map((entry) => [entry.apiKey, { min: entry.minVersion, max: entry.maxVersion }]),
    );
    this.#negotiated = true;
  }

  #callVersion<Request, Response>(
    api: Api<Request, Response>,
    version: number,
    request: Request,
    timeoutMs: number,
  ): Promise<Response> {
    const writer = new Writer();
    api.writeRequest(writer, request, version);
    return new Promise<Response>((resolve, reject) => {
      this.send({
        api,
        version,
        chunks: [writer.finish()],
        timeoutMs,
        onError: reject,
        onResponse: (raw) => {
          try {
            const response = api.readResponse(new Reader(raw.buffer, raw.start, raw.end), version);
            this.throttle(throttleTimeOf(response));
            resolve(response);
          } catch (error) {
            reject(error as Error);
            throw error;
          }
        },
      });
    });
  }

  #header(request: RawRequest, correlationId: number, flexible: boolean): Buffer {
    const clientId = this.#options.clientId;
    const clientIdBytes = Buffer.byteLength(clientId);
    const header = Buffer.allocUnsafe(14 + clientIdBytes + (flexible ? 1 : 0));
    let bodyBytes = 0;
    for (const chunk of request.chunks) bodyBytes += chunk.length;
    header.writeInt32BE(header.length - 4 + bodyBytes, 0);
    header.writeInt16BE(request.api.key, 4);
    header.writeInt16BE(request.version, 6);
    header.writeInt32BE(correlationId, 8);
    header.writeInt16BE(clientIdBytes, 12);
    header.write(clientId, 14, 'utf8');
    if (flexible) header[14 + clientIdBytes] = 0; // no tagged fields
    return header;
  }

  #nextBuffer(): Uint8Array {
    if (this.#frame) return this.#frame.buffer.subarray(this.#frameFilled, this.#frame.length);
    return this.#staged === 0 ? this.#staging : this.#staging.subarray(this.#staged);
  }

  #onRead(bytes: number): void {
    if (this.#failure) return;
    try {
      if (this.#frame) this.#readFrame(bytes);
      else this.#readStaging(bytes);
    } catch (error) {
      if (!(error instanceof MalformedFrameError)) throw error;
      this.#fail(
        this.#negotiated ? 'closed' : 'not-kafka',
        `${this.address} sent bytes that are no Kafka response: ${error.message}`,
        error,
      );
    }
  }

  #readFrame(bytes: number): void {
    const frame = must(this.#frame, 'frame being read');
    this.#frameFilled += bytes;
    if (this.#frameFilled < frame.length) return;
    this.#frame = null;
    try {
      this.#dispatch(frame.buffer, 0, frame.length, frame);
    } finally {
      frame.release();
    }
  }

  #readStaging(bytes: number): void {
    const end = this.#staged + bytes;
    let at = 0;
    while (end - at >= 4) {
      const size = this.#staging.readInt32BE(at);
      if (size < 4 || size > RESPONSE_BYTES_MAX) throw new MalformedFrameError(sizeMessage(this.#staging, at, end));
      if (end - at - 4 < size) {
        if (size + 4 > STAGING_BYTES) return this.#startFrame(size, at + 4, end);
        break;
      }
      this.#dispatch(this.#staging, at + 4, at + 4 + size, null);
      at += 4 + size;
      if (this.#failure) return;
    }
    if (at > 0 && at < end) this.#staging.copyWithin(0, at, end);
    this.#staged = end - at;
  }

  #startFrame(size: number, from: number, end: number): void {
    this.#frame = this.#options.pool.take(size);
    this.#staging.copy(this.#frame.buffer, 0, from, end);
    this.#frameFilled = end - from;
    this.#staged = 0;
  }

  #dispatch(buffer: Buffer, start: number, end: number, frame: Frame | null): void {
    const reader = new Reader(buffer, start, end);
    const correlationId = reader.int32();
    const expected = this.#inFlight[0];
    if (!expected || expected.correlationId !== correlationId) {
      throw new MalformedFrameError(
        `response ${correlationId} where ${expected?.correlationId ?? 'none'} was expected`,
      );
    }
    this.#inFlight.shift();
    try {
      if (expected.flexible) reader.skipTaggedFields();
      expected.onResponse({ buffer, start: reader.position, end, frame });
    } catch (error) {
      // The handler may not have seen the response: it learns that its outcome is unknown before the connection goes.
      if (error instanceof MalformedFrameError) {
        expected.onError(new ConnectionError('closed', this.address, error.message, { definite: false, cause: error }));
      }
      throw error;
    }
  }

  /** One timer, for the earliest deadline in flight: a short one may stand behind a long one. */
  #watchDeadline(): void {
    const earliest = this.#inFlight.reduce((least, request) => Math.min(least, request.deadlineMs), Infinity);
    if (earliest >= this.#watchedUntilMs || this.#failure) return;
    this.#cancelDeadline?.();
    this.#watchedUntilMs = earliest;
    this.#cancelDeadline = this.#options.clock.schedule(Math.max(0, earliest - this.#options.clock.monotonic()), () => {
      this.#watchedUntilMs = Infinity;
      const now = this.#options.clock.monotonic();
      if (this.#inFlight.some((request) => request.deadlineMs <= now)) {
        this.#fail('timeout', `${this.address} did not answer within the deadline`);
      } else this.#watchDeadline();
    });
  }

  #fail(failure: ConnectionFailure, message: string, cause?: Error | null): void {
    if (this.#failure) return;
    const error = new ConnectionError(failure, this.address, message, {
      definite: !this.#negotiated,
      cause: cause ?? undefined,
    });
    this.#failure = error;
    this.#cancelDeadline?.();
    this.#frame?.release();
    this.#frame = null;
    this.#socket?.destroy();
    this.#onOpen?.reject(error);
    this.#onOpen = null;
    for (const request of this.#inFlight.splice(0)) request.onError(error);
    for (const listener of this.#closeListeners.splice(0)) listener(error);
    assert(this.#inFlight.length === 0, 'nothing is sent on a closed connection');
  }
}

function throttleTimeOf(response: unknown): number {
  const value = (response as { throttleTimeMs?: unknown }).throttleTimeMs;
  return typeof value === 'number' ? value : 0;
}

function failureOf(error: Error | null, negotiated: boolean): ConnectionFailure {
  const code = (error as { code?: string } | null)?.code;
  if (code === 'ENOTFOUND' || code === 'EAI_AGAIN') return 'unresolved';
  if (code === 'ECONNREFUSED') return 'refused';
  if (code === 'ETIMEDOUT') return 'timeout';
  if (code === 'EHOSTUNREACH' || code === 'ENETUNREACH') return 'unreachable';
  return negotiated ? 'closed' : 'not-kafka';
}

function closeMessage(address: string, error: Error | null, negotiated: boolean): string {
  const reason = error ? error.message : 'the connection was closed by the other side';
  if (negotiated || failureOf(error, negotiated) !== 'not-kafka') return `${address}: ${reason}`;
  return `${address} closed the connection before it answered (${reason}): is it a listener of another kind, such as TLS?`;
}

function sizeMessage(buffer: Buffer, at: number, end: number): string {
  const head = buffer.subarray(at, Math.min(end, at + 8));
  if (head[0] === 0x15 || head[0] === 0x16) return 'they look like TLS; the listener expects an encrypted connection';
  if (head.toString('latin1').startsWith('HTTP')) return 'they look like HTTP';
  return `a length of ${buffer.readInt32BE(at)} bytes`;
}
