/**
 * One TCP connection to one broker: requests go out in order, responses come back in order (the broker serves one
 * request of a connection at a time, SocketServer), and each request has a deadline. A missed deadline or damaged
 * bytes close the connection, since nothing behind them can be matched any more; what was in flight then fails as
 * indefinite. It does not reconnect and does not retry: that is the caller's. Where a login is asked for, it is logged in
 * before anybody has it, and again before the session ends (session.ts).
 *
 * Reading: small responses are parsed where they lie in a staging buffer, many per read; one that is larger than the
 * staging buffer is read straight into a frame of its own.
 */
import { assert, must } from '#util/assert.ts';
import type { Clock } from '#util/clock.ts';
import { AddressDeniedError, type Network, type Socket, type TlsOptions } from '#util/network.ts';
import type { Api } from './api.ts';
import {
  BrokerError,
  ConnectionError,
  MalformedFrameError,
  SecretError,
  UnsupportedApiError,
  WithheldError,
  type ConnectionFailure,
} from './errors.ts';
import type { Frame, FramePool } from './frame.ts';
import { LoginTurns } from './login-turns.ts';
import { apiVersions } from './protocol/api-versions.ts';
import { errorOf } from './protocol/error-codes.ts';
import { Reader } from './protocol/reader.ts';
import { Writer } from './protocol/writer.ts';
import type { Sasl, SaslCredentials, Security } from './security.ts';
import { atAddress, startSession, type Call } from './session.ts';
import { tlsProblemOf, type Shown } from './tls-failure.ts';

const STAGING_BYTES = 64 * 1024;
/** No response of ours comes near: fetches ask for a few MB, and one batch may exceed that up to the broker's limit. */
const RESPONSE_BYTES_MAX = 256 * 1024 * 1024;
/** A response that becomes objects takes several times its bytes: Metadata of 500,000 partitions is smaller. */
const DECODED_BYTES_MAX = 32 * 1024 * 1024;
/** Taken at once for a response that says it is larger than the staging buffer; what is longer gets room as it comes. */
const FIRST_BYTES = 1024 * 1024;
/**
 * A broker serves one request of a connection at a time, so each in flight waits for all before it: thousands of partitions
 * that ask at once would let the last ones miss their deadline, and with them the whole connection.
 */
const IN_FLIGHT_MAX = 256;
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
  /** What speaks against connecting to an IP address; without it nothing does. */
  readonly admit?: (address: string) => string | null;
  /** Without it: plaintext, and no login. */
  readonly security?: Security;
  /** One for all connections to a cluster; without it this one waits for no other. */
  readonly logins?: LoginTurns;
  /** Throws where it is not who it should be: nothing else is ever asked of it then. */
  readonly identify?: (connection: Connection) => Promise<void>;
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
  /** For a response that is kept as bytes: how long it will be if all goes well, so that its room is taken in one piece. */
  readonly rawBytesExpected?: number;
  /** Asked when it is sent, which is later than now during a login or behind many others; false fails it as withheld. */
  mayLeave?(): boolean;
  onResponse(response: RawResponse): void;
  onError(error: ConnectionError): void;
}

interface InFlight {
  readonly correlationId: number;
  readonly rawBytesExpected: number | undefined;
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
 * Connects, learns the versions that the broker speaks, logs in and has `identify` look who it is; `signal` gives up at once.
 * Throws ConnectionError (SecretError among them), UnsupportedApiError, BrokerError, or what `identify` throws.
 */
export async function openConnection(options: ConnectionOptions, signal?: AbortSignal): Promise<Connection> {
  const sasl = options.security?.sasl ?? null;
  const login = sasl && (await prepareLogin(sasl, options, signal));
  const connection = new Connection(options);
  const giveUp = (): void => connection.close();
  signal?.addEventListener('abort', giveUp, { once: true });
  if (signal?.aborted) giveUp();
  try {
    await connection.opened;
    await connection.negotiate();
    await login?.(connection);
    await options.identify?.(connection);
    return connection;
  } catch (error) {
    connection.close();
    if (!(error instanceof ConnectionError) || error.definite) throw error;
    const { failure, address, message, cause } = error; // nothing that anybody waits for was sent
    throw new ConnectionError(failure, address, message, { definite: true, cause });
  } finally {
    signal?.removeEventListener('abort', giveUp);
  }
}

/** Before the connection, so that a broker is not asked, and does not wait, for what cannot come about. */
async function prepareLogin(
  sasl: Sasl,
  options: ConnectionOptions,
  signal?: AbortSignal,
): Promise<(connection: Connection) => Promise<void>> {
  const { clock, logins = new LoginTurns(clock, sasl.random) } = options;
  const begun = await logins.begin(`${options.host}:${options.port}`, signal);
  const credentials = await credentialsFor(sasl, options, signal);
  return (connection) => {
    const gone = new AbortController();
    connection.onClose((error) => gone.abort(error));
    const attempt = { address: connection.address, credentials, begun, gone: gone.signal };
    return logins.logIn(attempt, () => startSession(connection, sasl, { clock, credentials }));
  };
}

async function credentialsFor(
  sasl: Sasl,
  { host, port }: ConnectionOptions,
  signal?: AbortSignal,
): Promise<SaslCredentials> {
  const address = `${host}:${port}`;
  const { promise: givenUp, reject } = Promise.withResolvers<never>();
  const giveUp = (): void =>
    reject(new ConnectionError('local', address, `the connection to ${address} was closed by us`, { definite: true }));
  signal?.addEventListener('abort', giveUp, { once: true });
  if (signal?.aborted) giveUp();
  try {
    return await Promise.race([sasl.credentials(), givenUp]);
  } catch (error) {
    throw error instanceof SecretError ? atAddress(error, address) : error;
  } finally {
    signal?.removeEventListener('abort', giveUp);
  }
}

export class Connection {
  /** `host:port` */
  readonly address: string;
  readonly opened: Promise<void>;
  readonly #options: ConnectionOptions;
  /** Our own, PEM, where the cluster asks for one. */
  readonly #certificate: string | null;
  readonly #socket: Socket;
  readonly #staging = Buffer.allocUnsafeSlow(STAGING_BYTES);
  #staged = 0;
  #frame: Frame | null = null;
  #frameFilled = 0;
  /** What the response that is read into #frame says of its length. */
  #responseBytes = 0;
  readonly #inFlight: InFlight[] = [];
  /** What was asked during a login, in its order; null while there is none. */
  #held: RawRequest[] | null = null;
  /** What is sent when an answer has made room; the deadline begins then. */
  readonly #waiting: RawRequest[] = [];
  #whenAnswered: (() => void) | null = null;
  #nextCorrelationId = 1;
  #cancelDeadline: (() => void) | null = null;
  #watchedUntilMs = Infinity;
  #failure: ConnectionError | null = null;
  #isConnected = false;
  #negotiated = false;
  /** Something besides ApiVersions, which listeners answer before a login. */
  #wasAnswered = false;
  #versions: ReadonlyMap<number, VersionRange> = new Map();
  #throttledUntilMs = 0;
  readonly #closeListeners: ((error: ConnectionError) => void)[] = [];
  #onOpen: { resolve(): void; reject(error: Error): void } | null = null;

  constructor(options: ConnectionOptions) {
    this.#options = options;
    this.address = `${options.host}:${options.port}`;
    const tls = tlsOptionsOf(options, this.address); // may throw: before anything is begun
    this.opened = new Promise((resolve, reject) => {
      this.#onOpen = { resolve, reject };
    });
    this.#certificate = tls?.identity?.certificate ?? null;
    const cancel = options.clock.schedule(options.connectTimeoutMs, () =>
      this.#fail('timeout', `${this.address} did not accept a connection within ${options.connectTimeoutMs} ms`),
    );
    this.#socket = options.network.connect({
      host: options.host,
      port: options.port,
      ...(tls ? { tls } : {}),
      ...(options.admit ? { admit: options.admit } : {}),
      buffer: () => this.#nextBuffer(),
      onRead: (bytes) => this.#onRead(bytes),
      onConnect: () => {
        cancel();
        this.#isConnected = true;
        this.#onOpen?.resolve();
        this.#onOpen = null;
      },
      onDrain: () => {},
      onClose: (error) => {
        cancel();
        const { failure, message } = this.#closeReason(error);
        this.#fail(failure, message, error);
      },
    });
  }

  get isOpen(): boolean {
    return this.#failure === null;
  }

  /** How many requests wait for their response, or to be sent after a login. */
  get inFlightCount(): number {
    return this.#inFlight.length + this.#waiting.length + (this.#held?.length ?? 0);
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
    options: { timeoutMs: number; mayLeave?: () => boolean },
  ): Promise<Response> {
    return this.#callVersion(api, this.versionOf(api), { request, ...options }, (raw) => this.send(raw));
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
    if (this.#held) this.#held.push(request);
    else if (this.#inFlight.length >= IN_FLIGHT_MAX) this.#waiting.push(request);
    else this.#transmit(request);
  }

  /** See SessionConnection. The deadline of a request that is held begins when it is sent. */
  async exclusively(action: (call: Call) => Promise<void>): Promise<void> {
    assert(this.#held === null, 'one login at a time');
    this.#held = this.#waiting.splice(0);
    try {
      if (this.#inFlight.length > 0) await new Promise<void>((resolve) => (this.#whenAnswered = resolve));
      this.#requireOpen();
      const timeoutMs = this.#options.connectTimeoutMs;
      await action((api, request) =>
        this.#callVersion(api, this.versionOf(api), { request, timeoutMs }, (raw) => this.#transmit(raw)),
      );
      this.#requireOpen();
      const held = this.#held;
      this.#held = null;
      for (const request of held) this.send(request);
    } catch (error) {
      const { failure, message } =
        error instanceof ConnectionError ? error : { failure: 'closed' as const, message: String(error) };
      this.#fail(failure, message, error as Error);
      throw error;
    }
  }

  #requireOpen(): void {
    if (this.#failure) throw this.#failure;
  }

  #transmit(request: RawRequest): void {
    if (this.#failure) return request.onError(this.#failure);
    if (request.mayLeave?.() === false) return request.onError(new WithheldError(this.address));
    const flexible = request.version >= request.api.flexibleVersion;
    const correlationId = this.#nextCorrelationId;
    this.#nextCorrelationId = (correlationId + 1) & 0x7fffffff;
    const deadlineMs = this.#options.clock.monotonic() + request.timeoutMs;
    this.#inFlight.push({
      correlationId,
      deadlineMs,
      rawBytesExpected: request.rawBytesExpected,
      flexible: flexible && request.api.key !== apiVersions.key, // its response header stays version 0 (KIP-511)
      onResponse: (response) => request.onResponse(response),
      onError: (error) => request.onError(error),
    });
    this.#watchDeadline(deadlineMs);
    this.#socket.write([this.#header(request, correlationId, flexible), ...request.chunks]);
  }

  close(): void {
    this.#fail('local', `the connection to ${this.address} was closed by us`);
  }

  async negotiate(): Promise<void> {
    const response = await this.#callVersion(
      apiVersions,
      API_VERSIONS_VERSION,
      {
        request: { clientSoftwareName: 'lockstep', clientSoftwareVersion: '0.1.0' },
        timeoutMs: this.#options.connectTimeoutMs,
      },
      (raw) => this.send(raw),
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
    { request, timeoutMs, mayLeave }: { request: Request; timeoutMs: number; mayLeave?: () => boolean },
    send: (raw: RawRequest) => void,
  ): Promise<Response> {
    const writer = new Writer();
    api.writeRequest(writer, request, version);
    return new Promise<Response>((resolve, reject) => {
      send({
        api,
        version,
        chunks: [writer.finish()],
        timeoutMs,
        ...(mayLeave ? { mayLeave } : {}),
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
    if (frame.length < this.#responseBytes) return this.#growFrame(frame);
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
      if (size < 4 || size > this.#responseBytesMax())
        throw new MalformedFrameError(sizeMessage(this.#staging, at, end));
      if (end - at - 4 < size) {
        if (size + 4 > STAGING_BYTES && end - at >= 8) return this.#startFrame(size, at + 4, end);
        break;
      }
      this.#dispatch(this.#staging, at + 4, at + 4 + size, null);
      at += 4 + size;
      if (this.#failure) return;
    }
    if (at > 0 && at < end) this.#staging.copyWithin(0, at, end);
    this.#staged = end - at;
  }

  #responseBytesMax(): number {
    return this.#inFlight[0]?.rawBytesExpected === undefined ? DECODED_BYTES_MAX : RESPONSE_BYTES_MAX;
  }

  /** A length is only a claim: memory beyond what was to be expected is taken when the bytes before it have come. */
  #startFrame(size: number, from: number, end: number): void {
    const expected = this.#checkExpected(this.#staging.readInt32BE(from));
    this.#responseBytes = size;
    this.#frame = this.#options.pool.take(Math.min(size, expected.rawBytesExpected ?? FIRST_BYTES));
    this.#staging.copy(this.#frame.buffer, 0, from, end);
    this.#frameFilled = end - from;
    this.#staged = 0;
  }

  #growFrame(frame: Frame): void {
    const grown = this.#options.pool.take(Math.min(this.#responseBytes, frame.length * 2));
    frame.buffer.copy(grown.buffer, 0, 0, frame.length);
    this.#frame = grown;
    frame.release();
  }

  #checkExpected(correlationId: number): InFlight {
    const expected = this.#inFlight[0];
    if (expected?.correlationId === correlationId) return expected;
    throw new MalformedFrameError(`response ${correlationId} where ${expected?.correlationId ?? 'none'} was expected`);
  }

  #dispatch(buffer: Buffer, start: number, end: number, frame: Frame | null): void {
    const reader = new Reader(buffer, start, end);
    const expected = this.#checkExpected(reader.int32());
    this.#inFlight.shift();
    this.#wasAnswered ||= this.#negotiated;
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
    while (this.#inFlight.length < IN_FLIGHT_MAX && this.#waiting.length > 0)
      this.#transmit(must(this.#waiting.shift(), 'waiting request'));
    if (this.#inFlight.length === 0) this.#allAnswered();
  }

  #allAnswered(): void {
    this.#whenAnswered?.();
    this.#whenAnswered = null;
  }

  /** One timer, for the earliest deadline in flight: a short one may stand behind a long one. */
  #watchDeadline(deadlineMs: number): void {
    if (deadlineMs >= this.#watchedUntilMs || this.#failure) return;
    this.#cancelDeadline?.();
    this.#watchedUntilMs = deadlineMs;
    this.#cancelDeadline = this.#options.clock.schedule(
      Math.max(0, deadlineMs - this.#options.clock.monotonic()),
      () => {
        this.#watchedUntilMs = Infinity;
        const earliest = this.#inFlight.reduce((least, request) => Math.min(least, request.deadlineMs), Infinity);
        if (earliest <= this.#options.clock.monotonic()) {
          this.#fail('timeout', `${this.address} did not answer within the deadline`);
        } else this.#watchDeadline(earliest);
      },
    );
  }

  #shown(): Shown | null {
    return this.#certificate === null ? null : { certificate: this.#certificate, nowMs: this.#options.clock.now() };
  }

  /** Why the network ended the connection: what is known of TLS first, since a failed handshake looks like many things. */
  #closeReason(error: Error | null): { failure: ConnectionFailure; message: string } {
    const isEncrypted = Boolean(this.#options.security?.tls);
    const problem = isEncrypted && error ? tlsProblemOf(error, { shown: this.#shown() }) : null;
    if (problem !== null) return { failure: 'tls', message: `${this.address}: ${problem}` };
    const wasAsked = this.#inFlight.length > 0 && !this.#wasAnswered;
    if (this.#negotiated && wasAsked && error === null && !this.#options.security?.sasl) {
      // SaslServerAuthenticator: a request that is no login ends the connection without an answer.
      const message = `${this.address} closed the connection at the first request: does this listener want a login (SASL)?`;
      return { failure: 'authentication', message };
    }
    const failure = failureOf(error, this.#negotiated);
    if (!isEncrypted || failure !== 'not-kafka') {
      return { failure, message: closeMessage(this.address, error, this.#negotiated) };
    }
    const hint = this.#isConnected
      ? 'right after the TLS handshake: does it want a client certificate that it trusts?'
      : 'during the TLS handshake: is it a listener without encryption?';
    return { failure: 'tls', message: `${this.address} closed the connection ${hint}` };
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
    const unsent = new ConnectionError(failure, this.address, message, { definite: true, cause: cause ?? undefined });
    for (const request of [...this.#waiting.splice(0), ...(this.#held?.splice(0) ?? [])]) request.onError(unsent);
    this.#allAnswered();
    for (const listener of this.#closeListeners.splice(0)) listener(error);
    assert(this.#inFlight.length === 0, 'nothing is sent on a closed connection');
  }
}

function tlsOptionsOf({ security, host }: ConnectionOptions, address: string): TlsOptions | null {
  try {
    return security?.tls?.(host) ?? null;
  } catch (error) {
    throw error instanceof SecretError ? atAddress(error, address) : error;
  }
}

function throttleTimeOf(response: unknown): number {
  const value = (response as { throttleTimeMs?: unknown }).throttleTimeMs;
  return typeof value === 'number' ? value : 0;
}

function failureOf(error: Error | null, negotiated: boolean): ConnectionFailure {
  if (error instanceof AddressDeniedError) return 'denied';
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
