/**
 * One Kafka cluster as we see it: who its brokers are, who leads which partition, and a shared control connection to
 * each broker. It asks when it is told to (`refresh`) and makes one attempt per call; when to ask again is the
 * caller's, and retry.ts has the rule for most of them. The data path opens its own connections (`openDedicated`).
 */
import { assert, must } from '#util/assert.ts';
import { sleep, type Clock } from '#util/clock.ts';
import type { Network } from '#util/network.ts';
import type { Random } from '#util/random.ts';
import { untilAborted } from '#util/until-aborted.ts';
import { createAddressCheck, type AdvertisedRules } from './advertised.ts';
import type { Api } from './api.ts';
import { openConnection, type Connection, type ConnectionOptions } from './connection.ts';
import {
  BrokerError,
  ClusterIdChangedError,
  ClusterUnreachableError,
  ConnectionError,
  KafkaError,
  LoginRefusedError,
  MalformedFrameError,
} from './errors.ts';
import type { FramePool } from './frame.ts';
import { LoginTurns } from './login-turns.ts';
import { assertAnswered, brokersOf, mergeTopic, topicsOf, type Broker, type TopicMetadata } from './metadata.ts';
import { errorOf } from './protocol/error-codes.ts';
import { metadata, type MetadataResponse } from './protocol/metadata.ts';
import type { Security } from './security.ts';
import { SharedConnection } from './shared-connection.ts';

const REQUEST_TIMEOUT_MS = 30_000;
const CONNECT_TIMEOUT_MS = 10_000;
/** Until the next address is tried beside one that says nothing (RFC 8305): what swallows packets takes the whole timeout to fail. */
const NEXT_ADDRESS_MS = 250;
/** A Metadata request names at most so many topics: an answer stays below a few MB. */
const TOPICS_PER_REQUEST = 1_000;
const UNKNOWN_TOPIC_OR_PARTITION = 3;
const NO_TOPIC_ID = 'AAAAAAAAAAAAAAAAAAAAAA';

export interface ClusterOptions {
  /** Our name for it, as in the files; used in messages. */
  readonly name: string;
  /** `host:port` each, IPv6 in brackets. */
  readonly bootstrap: readonly string[];
  readonly network: Network;
  readonly clock: Clock;
  readonly random: Random;
  readonly pool: FramePool;
  readonly clientId?: string;
  /** How long a call waits for its answer unless it says otherwise. */
  readonly requestTimeoutMs?: number;
  readonly connectTimeoutMs?: number;
  /** Without it: plaintext, and no login. */
  readonly security?: Security;
  /** Where brokers may be that are not among the bootstrap addresses; without it the rules of advertised.ts alone. */
  readonly advertised?: AdvertisedRules;
}

export interface CallOptions {
  /** `any`: whichever broker is reachable; `controller`: who creates topics (in KRaft any broker forwards to it). */
  readonly broker: number | 'any' | 'controller';
  /** For the answer; connecting has its own deadline. */
  readonly timeoutMs?: number;
  /** See RawRequest: without leave WithheldError is thrown. */
  readonly mayLeave?: () => boolean;
  /**
   * Which of the connections to a broker: 0, the default, is everybody's. A broker serves one request of a connection at a
   * time, so who waits for many slow answers, each before the next question, takes another.
   */
  readonly lane?: number;
}

/** No address of a cluster answers. */
export interface Unreachable {
  readonly error: ClusterUnreachableError;
  /** Monotonic: when the last attempt failed. */
  readonly toldMs: number;
}

export class Cluster {
  readonly name: string;
  /** As brokers know us; quotas may be for it. */
  readonly clientId: string;
  readonly clock: Clock;
  readonly random: Random;
  readonly requestTimeoutMs: number;
  readonly #connectTimeoutMs: number;
  readonly #options: ClusterOptions;
  readonly #bootstrap: readonly { readonly host: string; readonly port: number }[];
  /** By address and lane, so that a bootstrap address that is a broker's own is one connection. */
  readonly #connections = new Map<string, SharedConnection>();
  readonly #admit: (address: string) => string | null;
  readonly #refreshes = new Map<string, Promise<TopicMetadata[]>>();
  readonly #closed = new AbortController();
  readonly #logins: LoginTurns;
  /** All that we were ever told: failures of a broker that has left are still this cluster's. */
  readonly #addresses = new Set<string>();
  #brokers: readonly Broker[] = [];
  #controllerId = -1;
  #topics = new Map<string, TopicMetadata>();
  #clusterId: string | null = null;
  #opening: Promise<Connection> | null = null;
  #returning: Promise<void> | null = null;
  #unreachable: Unreachable | null = null;
  #replaced: ClusterIdChangedError | null = null;

  constructor(options: ClusterOptions) {
    assert(options.bootstrap.length > 0, 'a cluster has a bootstrap address');
    this.name = options.name;
    this.clientId = options.clientId ?? 'lockstep';
    this.clock = options.clock;
    this.random = options.random;
    this.requestTimeoutMs = options.requestTimeoutMs ?? REQUEST_TIMEOUT_MS;
    this.#connectTimeoutMs = options.connectTimeoutMs ?? CONNECT_TIMEOUT_MS;
    this.#options = options;
    this.#logins = new LoginTurns(options.clock, options.random);
    this.#bootstrap = options.bootstrap.map(splitAddress);
    this.#admit = createAddressCheck(
      options.advertised ?? { deny: [], allow: [] },
      this.#bootstrap.map(({ host }) => host),
    );
    for (const { host, port } of this.#bootstrap) this.#addresses.add(`${host}:${port}`);
  }

  /** The id that the cluster gave at first contact. Only after `connect`. */
  get clusterId(): string {
    assert(this.#clusterId !== null, `cluster ${this.name} has been connected`);
    return this.#clusterId;
  }

  /**
   * Tries the bootstrap addresses one after the other until one answers, and learns cluster id and brokers.
   * Throws ClusterUnreachableError with the failure of every address, or what a broker that did answer refused.
   */
  async connect(signal?: AbortSignal): Promise<void> {
    const giveUp = (): void => this.close();
    signal?.addEventListener('abort', giveUp, { once: true });
    if (signal?.aborted) giveUp();
    const failures: ConnectionError[] = [];
    try {
      for (const { host, port } of this.#bootstrap) {
        try {
          const connection = await this.#shared(host, port).get();
          this.#learn(await this.#askMetadata(connection, []), connection);
          return;
        } catch (error) {
          if (!(error instanceof ConnectionError)) throw error;
          failures.push(error);
          if (isOfAllBrokers(error)) break;
        }
      }
      throw new ClusterUnreachableError(this.name, failures);
    } finally {
      signal?.removeEventListener('abort', giveUp);
    }
  }

  /**
   * Resolves when an address answers again, when `signal` aborts, or at `close`. One attempt at a time for all who wait,
   * with a growing distance, however many they are; it goes on where nobody waits any more.
   */
  async untilReachable(signal: AbortSignal): Promise<void> {
    this.#returning ??= this.#awaitReturn();
    await untilAborted(this.#returning, signal);
  }

  /** What the last attempt of `untilReachable` came to, until an address answers again; null otherwise. */
  get unreachable(): Unreachable | null {
    return this.#unreachable;
  }

  /** That another cluster is at an address of this one, as the last connection that was opened found; null where it did not. */
  get replaced(): ClusterIdChangedError | null {
    return this.#replaced;
  }

  /** Closes the shared connections; calls under way fail. Dedicated connections are their owners'. */
  close(): void {
    this.#closed.abort();
    for (const connection of this.#connections.values()) connection.close();
  }

  /** Aborts at `close`: nothing that fails from then on is worth another attempt. */
  get closed(): AbortSignal {
    return this.#closed.signal;
  }

  /** Broker id of the controller that the cluster last named; null when it named none. */
  get controllerId(): number | null {
    return this.#controllerId < 0 ? null : this.#controllerId;
  }

  brokers(): readonly Broker[] {
    return this.#brokers;
  }

  /** Whether `address`, `host:port`, is a bootstrap address or one that a broker has ever advertised. */
  has(address: string): boolean {
    return this.#addresses.has(address);
  }

  /** What the last answers said; undefined for a topic that nobody asked for or that does not exist. */
  topicOf(name: string): TopicMetadata | undefined {
    return this.#topics.get(name);
  }

  /** Broker id of the partition's leader as last heard; null when unknown or without a leader. */
  leaderOf(topic: string, partition: number): number | null {
    const leader = this.#topics.get(topic)?.partitions[partition]?.leader ?? -1;
    return leader < 0 ? null : leader;
  }

  /**
   * Asks the cluster, never the cache, about topics; they are not created by it. One answer per name, in their order; a
   * topic that does not exist is answered with error code 3. Equal questions at the same time share one request.
   */
  refresh(topics: readonly string[] | 'all'): Promise<TopicMetadata[]> {
    const key = topics === 'all' ? '*' : topics.join(' '); // neither is part of a topic's name
    let refresh = this.#refreshes.get(key);
    if (!refresh) {
      refresh = this.#refresh(topics).finally(() => this.#refreshes.delete(key));
      this.#refreshes.set(key, refresh);
    }
    return refresh;
  }

  /**
   * The shared control connection, or that of a lane (CallOptions); reconnects after a loss, with jittered back-off. Throws
   * ConnectionError, UnsupportedApiError or BrokerError.
   */
  connection(broker: number | 'any', lane = 0): Promise<Connection> {
    if (broker === 'any') return this.#anyConnection();
    const { host, port } = this.#brokerOf(broker);
    return this.#shared(host, port, lane).get();
  }

  /** A new connection that the caller owns and closes: large transfers never stand before control requests. One attempt. */
  async openDedicated(brokerId: number): Promise<Connection> {
    const { host, port } = this.#brokerOf(brokerId);
    return openConnection(this.#connectionOptions(host, port), this.#closed.signal);
  }

  /** One attempt. Waits first as long as the broker has asked us to hold back (KIP-219). Throws KafkaError. */
  async call<Request, Response>(
    api: Api<Request, Response>,
    request: Request,
    options: CallOptions,
  ): Promise<Response> {
    const timeoutMs = options.timeoutMs ?? this.requestTimeoutMs;
    const broker = options.broker === 'controller' ? this.#controller() : options.broker;
    const connection = await this.connection(broker, options.lane);
    await this.#obeyThrottle(connection, timeoutMs);
    return connection.call(api, request, {
      timeoutMs,
      ...(options.mayLeave ? { mayLeave: options.mayLeave } : {}),
    });
  }

  async #obeyThrottle(connection: Connection, timeoutMs: number): Promise<void> {
    const waitMs = connection.throttledForMs;
    if (waitMs === 0) return;
    if (waitMs > timeoutMs) {
      const message = `${connection.address} throttles us for ${Math.ceil(waitMs)} ms, longer than the request may wait`;
      throw new ConnectionError('timeout', connection.address, message, { definite: true });
    }
    await sleep(this.clock, waitMs, this.#closed.signal);
  }

  async #refresh(topics: readonly string[] | 'all'): Promise<TopicMetadata[]> {
    if (topics === 'all') {
      const connection = await this.#anyConnection();
      const answer = this.#learn(await this.#askMetadata(connection, null), connection);
      const names = new Set(answer.map((topic) => topic.name));
      for (const name of this.#topics.keys()) if (!names.has(name)) this.#topics.delete(name);
      return answer;
    }
    const answers: TopicMetadata[] = [];
    let from = 0;
    do {
      const names = topics.slice(from, from + TOPICS_PER_REQUEST); // none at all asks for the brokers
      const connection = await this.#anyConnection();
      const answer = await this.#askMetadata(connection, names);
      assertAnswered(answer, names);
      const byName = new Map(this.#learn(answer, connection).map((topic) => [topic.name, topic]));
      answers.push(...names.map((name) => must(byName.get(name), 'answer about a topic')));
      from += TOPICS_PER_REQUEST;
    } while (from < topics.length);
    return answers;
  }

  async #askMetadata(
    connection: Connection,
    names: readonly string[] | null,
    timeoutMs = this.requestTimeoutMs,
  ): Promise<MetadataResponse> {
    await this.#obeyThrottle(connection, timeoutMs);
    const response = await connection.call(
      metadata,
      {
        topics: names?.map((name) => ({ topicId: NO_TOPIC_ID, name })) ?? null,
        allowAutoTopicCreation: false,
        includeTopicAuthorizedOperations: false,
      },
      { timeoutMs },
    );
    if (response.errorCode !== 0)
      throw new BrokerError(errorOf(response.errorCode), 'Metadata', `cluster "${this.name}"`);
    return response;
  }

  /**
   * An address may be another cluster's by now: a group that is joined there, or a batch that is written, would be theirs.
   * Nothing but TCP's checksum guards the bytes of an answer, and the id of first contact goes into what outlives this process
   * (state topic, statements): what is not as it was before, or is new, is believed when a second answer says it too.
   */
  async #identify(connection: Connection): Promise<void> {
    const timeoutMs = Math.min(this.requestTimeoutMs, this.#connectTimeoutMs);
    const ask = async (): Promise<string> => (await this.#askMetadata(connection, [], timeoutMs)).clusterId ?? '';
    const found = await ask();
    if (found !== this.#clusterId) {
      if ((await ask()) !== found) throw this.#damagedId(connection);
      if (this.#clusterId !== null) {
        const ids = { expected: this.#clusterId, found };
        this.#replaced = new ClusterIdChangedError(this.name, connection.address, ids);
        throw this.#replaced;
      }
      this.#clusterId = found;
    }
    this.#replaced = null;
  }

  #damagedId({ address }: Connection): ConnectionError {
    const message = `${address} does not say the same cluster id twice`;
    return new ConnectionError('closed', address, message, { definite: true, cause: new MalformedFrameError(message) });
  }

  /** A connection does not change its cluster: another id than it was identified by is damage, and the next one will tell. */
  #learn(response: MetadataResponse, connection: Connection): TopicMetadata[] {
    if ((response.clusterId ?? '') !== this.#clusterId) {
      connection.close();
      throw this.#damagedId(connection);
    }
    this.#brokers = brokersOf(response);
    for (const { host, port } of this.#brokers) this.#addresses.add(`${host}:${port}`);
    this.#controllerId = response.controllerId;
    this.#closeUnused();
    return topicsOf(response).map((answer) => {
      const topic = mergeTopic(this.#topics.get(answer.name), answer);
      if (topic.errorCode === UNKNOWN_TOPIC_OR_PARTITION) this.#topics.delete(topic.name);
      else this.#topics.set(topic.name, topic);
      return topic;
    });
  }

  #closeUnused(): void {
    const used = new Set([...this.#bootstrap, ...this.#brokers].map(({ host, port }) => `${host}:${port}`));
    for (const [key, connection] of this.#connections) {
      if (used.has(connection.address)) continue;
      connection.close();
      this.#connections.delete(key);
    }
  }

  async #awaitReturn(): Promise<void> {
    try {
      while (!this.#closed.signal.aborted) {
        try {
          await this.#anyConnection();
          return;
        } catch (error) {
          if (!(error instanceof KafkaError)) throw error;
          if (!(error instanceof ClusterUnreachableError)) return; // somebody answers: who asks is told what
          this.#unreachable = { error, toldMs: this.clock.monotonic() };
        }
      }
    } finally {
      this.#unreachable = null;
      this.#returning = null;
    }
  }

  /** An open connection if there is one, else the outcome of one attempt for all who ask before an address of it has failed. */
  #anyConnection(): Promise<Connection> {
    const candidates = [...this.#brokers, ...this.#bootstrap].map(({ host, port }) => this.#shared(host, port));
    const open = candidates.find((candidate) => candidate.isOpen);
    if (open) return open.get();
    if (this.#opening) return this.#opening;
    const shareNoMore = (): void => {
      if (this.#opening === opening) this.#opening = null; // what has failed may answer who asks from now on
    };
    const opening = this.#openAny(candidates, shareNoMore).finally(shareNoMore);
    this.#opening = opening;
    return opening;
  }

  /** The first that can be opened: those that failed last come last, and one that says nothing is not waited for alone. */
  async #openAny(candidates: readonly SharedConnection[], onFailure: () => void): Promise<Connection> {
    await this.#logins.begin(null, this.#closed.signal); // else all of them would be connected to when that wait is over
    const { promise, resolve, reject } = Promise.withResolvers<Connection>();
    const left = [...new Set(candidates.toSorted((a, b) => a.waitMs - b.waitMs))];
    const failures: ConnectionError[] = [];
    let replaced: ClusterIdChangedError | null = null; // by whom one address answers: the others may still be ours
    let underWay = 0;
    let isOver = false; // something opened, or what was said is everybody's: no more are started, nor heard
    const giveUp = (error: unknown): void => {
      isOver = true;
      reject(error);
    };
    const tryNext = (): void => {
      if (isOver) return;
      const candidate = left.shift();
      if (!candidate) {
        if (underWay === 0) giveUp(replaced ?? new ClusterUnreachableError(this.name, failures));
        return;
      }
      underWay++;
      const cancel = this.clock.schedule(NEXT_ADDRESS_MS, tryNext);
      const opened = (connection: Connection): void => {
        cancel();
        isOver = true;
        resolve(connection);
      };
      const failed = (error: unknown): void => {
        cancel();
        underWay--;
        if (isOver) return;
        if (error instanceof ClusterIdChangedError) replaced = error;
        else if (!(error instanceof ConnectionError)) return giveUp(error);
        else if (failures.push(error) && isOfAllBrokers(error))
          return giveUp(new ClusterUnreachableError(this.name, failures));
        onFailure();
        tryNext();
      };
      candidate.get().then(opened, failed);
    };
    tryNext();
    return promise;
  }

  #controller(): number | 'any' {
    return this.#brokers.some(({ id }) => id === this.#controllerId) ? this.#controllerId : 'any';
  }

  #brokerOf(id: number): Broker {
    const broker = this.#brokers.find((candidate) => candidate.id === id);
    if (broker) return broker;
    const message = `cluster "${this.name}" lists no broker ${id} at the moment`;
    throw new ConnectionError('unresolved', `broker ${id}`, message, { definite: true });
  }

  #shared(host: string, port: number, lane = 0): SharedConnection {
    const key = `${host}:${port} ${lane}`;
    let shared = this.#connections.get(key);
    if (!shared) {
      shared = new SharedConnection(this.#connectionOptions(host, port), this.random);
      if (this.#closed.signal.aborted) shared.close();
      this.#connections.set(key, shared);
    }
    return shared;
  }

  #connectionOptions(host: string, port: number): ConnectionOptions {
    const { network, clock, pool, security } = this.#options;
    const isOurChoice = this.#bootstrap.some((address) => address.host === host);
    return {
      ...(security ? { security } : {}),
      ...(isOurChoice ? {} : { admit: this.#admit }),
      logins: this.#logins,
      identify: (connection) => this.#identify(connection),
      network,
      clock,
      pool,
      host,
      port,
      clientId: this.clientId,
      connectTimeoutMs: this.#connectTimeoutMs,
    };
  }
}

/** The next broker would be given the same, and refuse it too; or there is nothing to give. */
function isOfAllBrokers(error: ConnectionError): boolean {
  return error instanceof LoginRefusedError ? error.isOfAllBrokers : error.failure === 'secret';
}

function splitAddress(address: string): { host: string; port: number } {
  const colon = address.lastIndexOf(':');
  const port = Number(address.slice(colon + 1));
  assert(colon > 0 && port > 0, `bootstrap address ${address} is host:port`);
  return { host: address.slice(0, colon).replace(/^\[(.*)\]$/, '$1'), port };
}
