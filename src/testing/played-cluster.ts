/**
 * A cluster of one broker with one partition, played in memory: Fetch and Produce by real connections over a network with
 * a delay of 1 ms, everything else as typed answers. Faults are put in by the test, request by request.
 */
import type { Api } from '#kafka/api.ts';
import type { Cluster } from '#kafka/cluster.ts';
import { openConnection, type Connection } from '#kafka/connection.ts';
import { type ClusterIdChangedError, WithheldError } from '#kafka/errors.ts';
import type { FramePool } from '#kafka/frame.ts';
import type { TopicMetadata } from '#kafka/metadata.ts';
import type { DescribedTransaction, ProducerIdentity } from '#kafka/transactions.ts';
import { assert, must } from '#util/assert.ts';
import { sleep, type Clock } from '#util/clock.ts';
import type { ConnectOptions, Network, Socket } from '#util/network.ts';
import { createRandom, type Random } from '#util/random.ts';
import {
  API_VERSIONS,
  apiVersionsBody,
  fetchBody,
  parseRequest,
  PRODUCE,
  produceBody,
  readFetch,
  readProduce,
  responseFrame,
  type FetchAnswer,
  type FetchAsked,
  type RequestFrame,
} from './broker-frames.ts';
import type { ManualClock } from './manual-clock.ts';
import type { ModelLog } from './model-log.ts';
import type { ModelTransactions } from './model-transactions.ts';
import { parseBatches } from './raw-batch.ts';
import { ScriptedPeer } from './scripted-network.ts';

const DELAY_MS = 1;
const BROKER = 1;
const READ_COMMITTED = 1;
const OFFSET_OUT_OF_RANGE = 1;
/** Between the answer to EndTxn and the end in the log. */
const DECIDED_MS = 3;
/** Typed requests that change a log. */
const WRITES = new Set(['WriteTxnMarkers', 'DeleteRecords', 'AddPartitionsToTxn', 'EndTxn', 'InitProducerId']);

/** What becomes of one produced batch; `lose` closes the connection instead of an answer, `ignore` leaves it without one, and what `landsAfterMs` is appended then. */
export type ProduceFate =
  | {
      readonly errorCode: number;
      readonly isAppended?: boolean;
      readonly baseOffset?: number;
      readonly logAppendTimeMs?: number;
    }
  | { readonly lose: true; readonly isAppended: boolean; readonly landsAfterMs?: number }
  | { readonly ignore: true };

export interface PlayedClusterOptions {
  readonly name: string;
  readonly topic: string;
  readonly topicId: string;
  readonly clock: ManualClock;
  readonly pool: FramePool;
  readonly log: ModelLog;
  /** Without it the cluster knows no transactions. */
  readonly transactions?: ModelTransactions;
}

export class PlayedCluster implements Network {
  readonly name: string;
  readonly clock: Clock;
  readonly random: Random = createRandom(1);
  readonly requestTimeoutMs = 5_000;
  readonly closed = new AbortController().signal;
  readonly log: ModelLog;
  topicId: string;
  leader = BROKER;
  /** As Cluster has it: whoever opens a connection finds another cluster. */
  replaced: ClusterIdChangedError | null = null;
  /** Names of the requests as they arrived: `Produce`, `Fetch`, `ListOffsets -1` …; and `fault` for each batch with a fate. */
  readonly journal: string[] = [];
  readonly peers: ScriptedPeer[] = [];
  refreshes = 0;
  /** Decides about a produced batch before the log does; null leaves it to the log. */
  onProduce: (batch: Buffer) => ProduceFate | null = () => null;
  /** A fetch without news is answered without any partition, as in a session that knows them (KIP-227). */
  isTerse = false;
  /** Changes the answer to a fetch of this offset; null leaves it as it is. */
  onFetch: (offset: number, answer: FetchAnswer) => FetchAnswer | null = () => null;
  /** Called before a typed request is answered; what it returns is answered instead. */
  onCall: (name: string, request: unknown) => unknown = () => undefined;
  /** Called in the turn of the event loop in which a request that changes the log is handed to the socket. */
  onWrite: (name: string) => void = () => {};
  /** How often a fetch without news looks again. */
  pollMs = 10;
  readonly #options: PlayedClusterOptions;

  constructor(options: PlayedClusterOptions) {
    this.#options = options;
    this.name = options.name;
    this.clock = options.clock;
    this.log = options.log;
    this.topicId = options.topicId;
  }

  /** As the code under test sees it. */
  get cluster(): Cluster {
    return this as unknown as Cluster;
  }

  // ---- what Cluster has

  topicOf(name: string): TopicMetadata | undefined {
    return name === this.#options.topic ? this.#topic() : undefined;
  }

  brokers(): { readonly id: number }[] {
    return [{ id: BROKER }];
  }

  leaderOf(): number | null {
    return this.leader < 0 ? null : this.leader;
  }

  async refresh(): Promise<TopicMetadata[]> {
    this.refreshes++;
    await sleep(this.clock, DELAY_MS);
    return [this.#topic()];
  }

  connection(): Promise<Connection> {
    return this.openDedicated();
  }

  openDedicated(): Promise<Connection> {
    const { clock, pool } = this.#options;
    return openConnection({
      network: this,
      clock,
      pool,
      host: this.name,
      port: 9092,
      clientId: 'sim',
      connectTimeoutMs: 1_000,
    });
  }

  async call<Request, Response>(
    api: Api<Request, Response>,
    request: Request,
    options?: { readonly mayLeave?: () => boolean },
  ): Promise<Response> {
    await sleep(this.clock, DELAY_MS);
    if (options?.mayLeave?.() === false) throw new WithheldError(this.name);
    if (WRITES.has(api.name)) this.onWrite(api.name);
    const response = await this.handle(api.name, request);
    await sleep(this.clock, DELAY_MS);
    return response as Response;
  }

  /** What a typed request does and is answered with, in this moment. */
  async handle(name: string, request: unknown): Promise<unknown> {
    const planned = await this.onCall(name, request);
    return planned ?? this.#answer(name, request);
  }

  // ---- the wire

  connect(options: ConnectOptions): Socket {
    const peer = new ScriptedPeer(options);
    this.peers.push(peer);
    this.clock.schedule(DELAY_MS, () => peer.accept());
    const read = (): void => {
      for (const frame of peer.takeRequests()) this.#receive(peer, parseRequest(frame));
    };
    return {
      ...peer.socket,
      write: (chunks) => {
        if (Buffer.from(must(chunks[0], 'header')).readInt16BE(4) === PRODUCE) this.onWrite('Produce');
        peer.socket.write(chunks);
        this.clock.schedule(DELAY_MS, read);
        return true;
      },
    };
  }

  /** Closes every connection from the broker's side. */
  hangUp(): void {
    for (const peer of this.peers) if (!peer.isDestroyed) peer.close(null);
  }

  #receive(peer: ScriptedPeer, request: RequestFrame): void {
    if (peer.isDestroyed) return;
    if (request.apiKey === API_VERSIONS)
      return peer.send(
        responseFrame(
          request,
          apiVersionsBody([
            [0, 3, 12],
            [1, 4, 17],
            [18, 0, 4],
            [26, 0, this.#options.transactions?.protocol === 'explicit' ? 4 : 5],
          ]),
        ),
      );
    if (request.apiKey === PRODUCE) this.#produce(peer, request);
    else this.#fetch(peer, request);
  }

  #produce(peer: ScriptedPeer, request: RequestFrame): void {
    this.journal.push('Produce');
    const { transactionalId, batches } = readProduce(request.reader);
    const answers = batches.map(({ topic, partition, records }) => {
      const fate = this.onProduce(records);
      if (!fate) return { topic, partition, ...this.#append(transactionalId, records) };
      this.journal.push('fault');
      if ('ignore' in fate) return null;
      const appended = fate.isAppended ? this.#append(transactionalId, records) : null;
      if ('lose' in fate) {
        const { landsAfterMs } = fate;
        const copy = Buffer.from(records);
        if (landsAfterMs !== undefined)
          this.clock.schedule(landsAfterMs, () => void this.#append(transactionalId, copy));
        peer.close(null);
        return null;
      }
      return { topic, partition, baseOffset: appended?.baseOffset ?? -1, ...fate };
    });
    if (answers.every((answer) => answer !== null)) peer.send(responseFrame(request, produceBody(answers)));
  }

  #append(transactionalId: string | null, records: Buffer): { errorCode: number; baseOffset: number } {
    if (transactionalId === null) return this.log.append(records);
    const [batch] = parseBatches(records);
    return must(this.#options.transactions, 'transactions').produce(transactionalId, must(batch, 'batch'), records);
  }

  #fetch(peer: ScriptedPeer, request: RequestFrame): void {
    const asked = readFetch(request.reader);
    this.journal.push('Fetch');
    const answers = (): FetchAnswer[] =>
      asked.positions.map((position) => {
        const plain = this.fetched(position, asked.isolation);
        return this.onFetch(position.offset, plain) ?? plain;
      });
    const isReady = (list: readonly FetchAnswer[]): boolean =>
      list.some(({ errorCode, records, diverging }) => errorCode !== 0 || diverging || (records && records.length > 0));
    const deadline = this.clock.monotonic() + asked.maxWaitMs;
    const poll = (): void => {
      if (peer.isDestroyed) return;
      const list = answers();
      if (isReady(list) || this.clock.monotonic() >= deadline)
        peer.send(responseFrame(request, fetchBody({ partitions: this.isTerse && !isReady(list) ? [] : list })));
      else this.clock.schedule(this.pollMs, poll);
    };
    poll();
  }

  /** What a fetch from this position finds at once. */
  fetched(position: FetchAsked['positions'][number], isolation: number): FetchAnswer {
    const { topicId, partition, offset, maxBytes, lastFetchedEpoch } = position;
    const isCommitted = isolation === READ_COMMITTED;
    const end = isCommitted ? this.log.stableOffset : this.log.end;
    const diverging = this.#divergenceOf(offset, lastFetchedEpoch);
    // Partition.readRecords: an epoch that the leader has never seen is refused like an offset
    const isUnknown = lastFetchedEpoch >= 0 && this.log.endOfEpoch(lastFetchedEpoch).endOffset < 0;
    const isOutside = !diverging && (offset < this.log.logStart || offset > this.log.end);
    const errorCode = isUnknown || isOutside ? OFFSET_OUT_OF_RANGE : 0;
    return {
      topicId,
      partition,
      errorCode,
      highWatermark: this.log.end,
      lastStableOffset: this.log.stableOffset,
      logStartOffset: this.log.logStart,
      records: errorCode === 0 && !diverging ? this.log.read(offset, maxBytes, end) : null,
      ...(diverging ? { diverging } : {}),
      ...(isCommitted ? { aborted: this.log.aborted(offset, end) } : {}),
    };
  }

  /** As UnifiedLog.read compares the epoch of what was fetched last (KIP-595). */
  #divergenceOf(offset: number, lastFetchedEpoch: number): { epoch: number; endOffset: number } | null {
    if (lastFetchedEpoch < 0) return null;
    const { leaderEpoch, endOffset } = this.log.endOfEpoch(lastFetchedEpoch);
    const isDiverging = endOffset >= 0 && (leaderEpoch < lastFetchedEpoch || endOffset < offset);
    return isDiverging ? { epoch: leaderEpoch, endOffset } : null;
  }

  #topic(): TopicMetadata {
    const { topic } = this.#options;
    const leaderEpoch = this.log.leaderEpoch;
    const partition = { partition: 0, leader: this.leader, leaderEpoch, replicas: [1], isr: [1], errorCode: 0 };
    return { name: topic, topicId: this.topicId, isInternal: false, errorCode: 0, partitions: [partition] };
  }

  #answer(name: string, request: unknown): unknown {
    const { topic } = this.#options;
    const log = this.log;
    const answered = (partition: object): object => ({
      throttleTimeMs: 0,
      topics: [{ name: topic, topic, partitions: [partition] }],
    });
    switch (name) {
      case 'ListOffsets': {
        const { topics, isolationLevel } = request as {
          topics: { partitions: { timestamp: number }[] }[];
          isolationLevel: number;
        };
        const end = isolationLevel === READ_COMMITTED ? log.stableOffset : log.end;
        const timestamp = must(topics[0]?.partitions[0], 'query').timestamp;
        this.journal.push(`ListOffsets ${timestamp}`);
        return answered({
          partitionIndex: 0,
          errorCode: 0,
          timestamp: -1,
          offset: timestamp === -2 ? log.logStart : end,
          leaderEpoch: 0,
        });
      }
      case 'DescribeProducers': {
        this.journal.push(name);
        const activeProducers = [...log.producers.values()].map((state) => ({ ...state }));
        return answered({ partitionIndex: 0, errorCode: 0, errorMessage: null, activeProducers });
      }
      case 'OffsetForLeaderEpoch': {
        const { topics } = request as { topics: { partitions: { leaderEpoch: number }[] }[] };
        this.journal.push(name);
        const { leaderEpoch } = must(topics[0]?.partitions[0], 'query');
        return answered({ partition: 0, errorCode: 0, ...log.endOfEpoch(leaderEpoch) });
      }
      case 'DeleteRecords': {
        const { topics } = request as { topics: { partitions: { offset: number }[] }[] };
        this.journal.push(name);
        const { offset } = must(topics[0]?.partitions[0], 'deletion');
        if (offset > log.end) return answered({ partitionIndex: 0, lowWatermark: -1, errorCode: OFFSET_OUT_OF_RANGE });
        log.deleteBefore(offset);
        return answered({ partitionIndex: 0, lowWatermark: log.logStart, errorCode: 0 });
      }
      case 'WriteTxnMarkers': {
        const { markers } = request as {
          markers: { producerId: number; coordinatorEpoch: number; transactionResult: boolean }[];
        };
        this.journal.push(name);
        let errorCode = 0;
        for (const { producerId, coordinatorEpoch, transactionResult } of markers)
          errorCode ||= log.appendMarkers(producerId, coordinatorEpoch, 1, transactionResult);
        return markersAnswer(topic, errorCode);
      }
    }
    const transactions = this.#options.transactions;
    assert(transactions, `${name} is not played`);
    return this.#answerOfCoordinator(name, request, transactions);
  }

  #answerOfCoordinator(name: string, request: unknown, transactions: ModelTransactions): unknown {
    this.journal.push(name);
    this.clock.schedule(DECIDED_MS, () => transactions.settle());
    switch (name) {
      case 'FindCoordinator': {
        const { coordinatorKeys } = request as { coordinatorKeys: string[] };
        const coordinator = { nodeId: BROKER, host: this.name, port: 9092, errorCode: 0, errorMessage: null };
        return { coordinators: coordinatorKeys.map((key) => ({ key, ...coordinator })) };
      }
      case 'DescribeTransactions': {
        const { transactionalIds } = request as { transactionalIds: string[] };
        return { transactionStates: transactionalIds.map((id) => describedState(id, transactions.describe(id))) };
      }
      case 'InitProducerId':
        return transactions.init((request as { transactionalId: string }).transactionalId);
      case 'AddPartitionsToTxn': {
        const { v3AndBelowTransactionalId: id, ...asked } = request as {
          v3AndBelowTransactionalId: string;
          v3AndBelowProducerId: number;
          v3AndBelowProducerEpoch: number;
        };
        const producer = { producerId: asked.v3AndBelowProducerId, producerEpoch: asked.v3AndBelowProducerEpoch };
        const resultsByPartition = [{ partitionIndex: 0, partitionErrorCode: transactions.add(id, producer) }];
        return { resultsByTopicV3AndBelow: [{ name: this.#options.topic, resultsByPartition }] };
      }
      case 'EndTxn': {
        const { transactionalId, committed, ...producer } = request as ProducerIdentity & {
          transactionalId: string;
          committed: boolean;
        };
        return transactions.end(transactionalId, producer, committed);
      }
      case 'DescribeConfigs':
        return { results: [{ errorCode: 0, errorMessage: null, resourceType: 4, resourceName: '1', configs: [] }] };
    }
    assert(false, `${name} is not played`);
  }
}

const TRANSACTIONAL_ID_NOT_FOUND = 105;

function describedState(transactionalId: string, state: DescribedTransaction | null): object {
  const { producerId = -1, producerEpoch = -1, status = '', timeoutMs = 0 } = state ?? {};
  return {
    errorCode: state ? 0 : TRANSACTIONAL_ID_NOT_FOUND,
    transactionalId,
    transactionState: status,
    transactionTimeoutMs: timeoutMs,
    transactionStartTimeMs: -1,
    producerId,
    producerEpoch,
    topics: [],
  };
}

/** The answer to WriteTxnMarkers. */
export function markersAnswer(topic: string, errorCode: number): object {
  return { markers: [{ producerId: 0, topics: [{ name: topic, partitions: [{ partitionIndex: 0, errorCode }] }] }] };
}
