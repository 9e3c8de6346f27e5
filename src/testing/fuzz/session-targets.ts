/** What speaks to a broker over a connection: one connection, the fetcher, the producer, and every question of a cluster. */
import type { Api } from '#kafka/api.ts';
import { Cluster } from '#kafka/cluster.ts';
import { describeBrokerConfig, describeTopicConfigs } from '#kafka/configs.ts';
import { openConnection, type Connection } from '#kafka/connection.ts';
import { KafkaError } from '#kafka/errors.ts';
import { Fetcher } from '#kafka/fetcher.ts';
import { FramePool } from '#kafka/frame.ts';
import { deleteRecords, EARLIEST, LATEST, listOffsets, offsetForLeaderEpoch } from '#kafka/offsets.ts';
import { Producer } from '#kafka/producer.ts';
import { mayWriteMarkers } from '#kafka/permissions.ts';
import { describeProducers, initProducerId, writeTxnMarkers } from '#kafka/producers.ts';
import { Reader } from '#kafka/protocol/reader.ts';
import { appendRecords, readLog, readTail } from '#kafka/simple-log.ts';
import { createPartitions, createTopic } from '#kafka/topics.ts';
import { assert, must } from '#util/assert.ts';
import type { ConnectOptions, Network, Socket } from '#util/network.ts';
import { createRandom, type Random } from '#util/random.ts';
import {
  API_VERSIONS,
  apiVersionsBody,
  PRODUCE,
  produceBody,
  responseFrame,
  type RequestFrame,
} from '../broker-frames.ts';
import { goldenResponses, type GoldenResponse } from '../golden-frames.ts';
import { ManualClock } from '../manual-clock.ts';
import { ScriptedPeer } from '../scripted-network.ts';
import { fetchResponse } from './decoder-targets.ts';
import { ratioBound, type FuzzTarget } from './fuzz-target.ts';
import { inventFrame } from './inventing-reader.ts';
import { below, mutate, oneOf } from './mutations.ts';

const FETCH = 1;
const TOPIC = 'orders';
const TIMEOUT_MS = 200;
/** Far more than every deadline and retry of one question together. */
const SESSION_MS_MAX = 60_000;
const POOL_BYTES = 64 * 1024;
/** Its staging buffer, and what it takes at once for a long answer. */
const CONNECTION_BYTES = 64 * 1024 + 1024 * 1024;
/** A question asks a few brokers, each over a connection with a staging buffer of its own, again and again. */
const SESSION_BYTES_MAX = 16 * 1024 * 1024;

export async function sessionTargets(): Promise<FuzzTarget[]> {
  const golden = await goldenResponses();
  return [connectionTarget(golden), clusterTarget(golden), dataPathTarget()];
}

/** Requests are answered by `answer`, in order, at once; null leaves one without. */
class HostileNetwork implements Network {
  readonly peers: ScriptedPeer[] = [];
  bytesSent = 0;
  readonly #answer: (request: RequestFrame) => Buffer | null;
  readonly #random: Random;

  constructor(random: Random, answer: (request: RequestFrame) => Buffer | null) {
    this.#random = random;
    this.#answer = answer;
  }

  connect(options: ConnectOptions): Socket {
    const peer = new ScriptedPeer(options);
    this.peers.push(peer);
    queueMicrotask(() => peer.accept());
    return {
      ...peer.socket,
      write: (chunks) => {
        peer.socket.write(chunks);
        queueMicrotask(() => this.#serve(peer));
        return true;
      },
    };
  }

  #serve(peer: ScriptedPeer): void {
    for (const frame of peer.takeRequests()) {
      const bytes = this.#answer(requestOf(frame));
      if (bytes === null) continue;
      this.bytesSent += bytes.length;
      peer.send(bytes, oneOf(this.#random, [1, 7, 1000, 100_000]) + Math.floor(bytes.length / 50));
    }
  }
}

function requestOf(frame: Buffer): RequestFrame {
  const [apiKey, apiVersion, correlationId] = [frame.readInt16BE(0), frame.readInt16BE(2), frame.readInt32BE(4)];
  return { apiKey, apiVersion, correlationId, reader: new Reader(frame, 8, frame.length) };
}

/** Waits for `work` while time passes; it must end, declared errors included. */
async function ended(work: Promise<unknown>, clock: ManualClock): Promise<boolean> {
  let outcome: 'open' | 'done' | 'refused' = 'open';
  const bugs: Error[] = [];
  work.then(
    () => (outcome = 'done'),
    (error: unknown) => {
      outcome = 'refused';
      if (!(error instanceof KafkaError))
        bugs.push(error instanceof Error ? error : new Error('no error was thrown', { cause: error }));
    },
  );
  const startedMs = clock.monotonic();
  for (let stepMs = 1; outcome === 'open'; stepMs = Math.min(stepMs * 2, 1_000)) {
    assert(clock.monotonic() - startedMs < SESSION_MS_MAX, 'every question ends within its deadlines');
    await clock.advance(stepMs);
  }
  for (const bug of bugs) throw bug;
  return outcome === 'done';
}

function optionsOf(network: Network, clock: ManualClock, pool: FramePool) {
  return { network, clock, pool, host: 'a', port: 1, clientId: 'fuzz', connectTimeoutMs: TIMEOUT_MS };
}

function allVersions(golden: readonly GoldenResponse[]): Buffer {
  const apis = new Map(golden.map(({ api }) => [api.key, [api.key, api.minVersion, api.maxVersion] as const]));
  return apiVersionsBody([[PRODUCE, 3, 11], [FETCH, 4, 13], ...[...apis.values()].filter(([key]) => key > FETCH)]);
}

// ---- one connection

/** The frame is the whole second response, its length in front; what the first one says is valid. */
function connectionTarget(golden: readonly GoldenResponse[]): FuzzTarget {
  const versions = allVersions(golden);
  const newest = golden.filter(({ api, version }) => version === api.maxVersion && api.key !== API_VERSIONS);
  return {
    name: 'connection',
    weight: 10,
    next: (random) => {
      const { api, bytes, version } = oneOf(random, newest);
      const request = { apiKey: api.key, apiVersion: version, correlationId: 2, reader: new Reader(bytes, 0, 0) };
      const body = random.next() < 0.3 ? mutate(bytes, random) : bytes;
      const frame = mutate(responseFrame(request, body), random);
      return Buffer.concat([Buffer.from([newest.findIndex((each) => each.api === api)]), frame]);
    },
    run: async (frame) => {
      const { api } = must(newest[frame[0]!], 'API of the frame');
      const clock = new ManualClock();
      const pool = new FramePool({ bytesMax: POOL_BYTES });
      const network = new HostileNetwork(createRandom(frame.length), (request) =>
        request.apiKey === API_VERSIONS ? responseFrame(request, versions) : frame.subarray(1),
      );
      const isDecoded = await ended(useOnce(network, clock, pool, api), clock);
      assert(pool.bytesInUse === 0, 'a connection that is closed has given back its frame');
      assert(clock.pending === 0, 'a connection that is closed has no timer left');
      return isDecoded;
    },
    bufferBytesMax: (frameBytes) => CONNECTION_BYTES + POOL_BYTES + ratioBound(frameBytes),
  };
}

async function useOnce(network: Network, clock: ManualClock, pool: FramePool, api: Api<never, unknown>): Promise<void> {
  const connection = await openConnection(optionsOf(network, clock, pool));
  try {
    const bodyless = { ...api, writeRequest: () => {} } as Api<unknown, unknown>;
    await connection.call(bodyless, {}, { timeoutMs: TIMEOUT_MS });
  } finally {
    connection.close();
  }
}

// ---- the questions of a cluster

type Question = (cluster: Cluster) => Promise<unknown>;

const partition = { topic: TOPIC, partition: 0 };
const QUESTIONS: readonly Question[] = [
  (cluster) => cluster.refresh('all'),
  (cluster) => cluster.refresh([TOPIC]),
  (cluster) =>
    listOffsets(
      cluster,
      [EARLIEST, LATEST, LATEST].map((timestamp) => ({ ...partition, timestamp })),
    ),
  (cluster) => offsetForLeaderEpoch(cluster, { ...partition, leaderEpoch: 1 }),
  (cluster) => deleteRecords(cluster, { ...partition, offset: 1 }),
  (cluster) => describeTopicConfigs(cluster, [TOPIC]),
  (cluster) => describeBrokerConfig(cluster, 1),
  (cluster) => createTopic(cluster, { name: TOPIC, partitions: 1, replicationFactor: 1 }),
  (cluster) => createPartitions(cluster, { topic: TOPIC, count: 2 }),
  (cluster) => initProducerId(cluster, 'lockstep-x-data'),
  (cluster) => describeProducers(cluster, partition),
  (cluster) => mayWriteMarkers(cluster),
  (cluster) => writeTxnMarkers(cluster, { ...partition, producerId: 1, count: 3, coordinatorEpoch: 1 }),
  (cluster) => appendRecords(cluster, { ...partition, records: [{ key: null, value: null, timestamp: 1 }] }),
  (cluster) => readTail(cluster, { ...partition, fromOffset: 0, maxBytes: 10_000 }),
  async (cluster) => {
    for await (const batch of readLog(cluster, partition)) assert(batch.count >= 0, 'a batch has records or none');
  },
];

/** The frame is a seed: from it come the question and every answer, more than half of them valid. */
function clusterTarget(golden: readonly GoldenResponse[]): FuzzTarget {
  const versions = allVersions(golden);
  return {
    name: 'cluster',
    weight: 3,
    next: (random) => Buffer.from(Uint32Array.of(below(random, 2 ** 32)).buffer),
    run: async (frame) => {
      const random = createRandom(frame.readUInt32LE(0));
      const clock = new ManualClock();
      const pool = new FramePool({ bytesMax: POOL_BYTES });
      const network = new HostileNetwork(random, (request) => {
        const body = request.apiKey === API_VERSIONS ? versions : plausibleBody(request, golden, random);
        const answer = responseFrame(request, random.next() < 0.15 ? mutate(body, random) : body);
        if (random.next() < 0.02) return null;
        return random.next() < 0.02 ? mutate(answer, random) : answer;
      });
      const options = { network, clock, random, pool, requestTimeoutMs: TIMEOUT_MS, connectTimeoutMs: TIMEOUT_MS };
      const cluster = new Cluster({ name: 'east', bootstrap: ['a:1'], ...options });
      const ask = oneOf(random, QUESTIONS);
      const work = cluster
        .connect()
        .then(() => ask(cluster))
        .finally(() => cluster.close());
      const isDecoded = await ended(work, clock);
      assert(pool.bytesInUse === 0, 'a cluster that is closed has given back its frames');
      return isDecoded;
    },
    bufferBytesMax: () => SESSION_BYTES_MAX,
  };
}

/** What a broker could say: often about our topic, with small numbers and few errors. */
function plausibleBody(request: RequestFrame, golden: readonly GoldenResponse[], random: Random): Buffer {
  if (request.apiKey === FETCH) return fetchResponse(random);
  if (request.apiKey === PRODUCE)
    return produceBody([{ topic: TOPIC, partition: 0, errorCode: oneOf(random, [0, 0, 0, 6, 7]), baseOffset: 3 }]);
  const { api } = must(
    golden.find((each) => each.api.key === request.apiKey),
    'API that was asked',
  );
  return inventFrame((reader) => api.readResponse(reader, request.apiVersion), random, {
    shape: 'random',
    bytesMax: 4096,
    plausible: true,
  });
}

// ---- fetcher and producer

/** The frame is one answer to Fetch or Produce, the first byte says which; its length in front is right. */
function dataPathTarget(): FuzzTarget {
  const versions = apiVersionsBody([
    [PRODUCE, 3, 11],
    [FETCH, 4, 13],
    [API_VERSIONS, 0, 4],
  ]);
  return {
    name: 'fetcher and producer',
    weight: 5,
    next: (random) => {
      if (random.next() < 0.6) return Buffer.concat([Buffer.from([FETCH]), mutate(fetchResponse(random), random)]);
      const answer = { topic: TOPIC, partition: 0, errorCode: below(random, 90), baseOffset: below(random, 5) };
      return Buffer.concat([Buffer.from([PRODUCE]), mutate(produceBody([answer]), random)]);
    },
    run: async (frame) => {
      const clock = new ManualClock();
      const pool = new FramePool({ bytesMax: POOL_BYTES });
      let isAnswered = false;
      const network = new HostileNetwork(createRandom(frame.length), (request) => {
        if (request.apiKey === API_VERSIONS) return responseFrame(request, versions);
        if (isAnswered) return null;
        isAnswered = true;
        return responseFrame(request, frame.subarray(1));
      });
      const isDecoded = await ended(
        openConnection(optionsOf(network, clock, pool)).then((connection) =>
          frame[0] === FETCH ? fetchOnce(connection, clock, pool) : produceOnce(connection, clock),
        ),
        clock,
      );
      assert(pool.bytesInUse === 0, 'a response that was handed out has given back its frame');
      return isDecoded;
    },
    bufferBytesMax: (frameBytes) => CONNECTION_BYTES + POOL_BYTES + ratioBound(frameBytes),
  };
}

/** Resolves when the answer was handed out, rejects when the connection was lost; whichever comes, it is closed. */
function fetchOnce(connection: Connection, clock: ManualClock, pool: FramePool): Promise<void> {
  return new Promise<void>((resolve, reject) => {
    const options = {
      connection,
      clock,
      pool,
      maxWaitMs: 10,
      minBytes: 1,
      maxBytes: 1000,
      requestTimeoutMs: TIMEOUT_MS,
    };
    const fetcher = new Fetcher({ ...options, afterResponse: resolve });
    fetcher.add({
      topicId: 'AAAAAAAAAAAAAAAAAAAAAQ',
      partition: 0,
      fetchOffset: 0,
      fetchLeaderEpoch: 0,
      lastFetchedEpoch: 0,
      fetchBytesMax: 1000,
      onFetched: () => {},
      onFetchLost: reject,
    });
  }).finally(() => connection.close());
}

function produceOnce(connection: Connection, clock: ManualClock): Promise<void> {
  return new Promise<void>((resolve, reject) => {
    const batch = { buffer: Buffer.alloc(100), start: 0, end: 100 };
    const batches = [batch];
    const producer = new Producer({
      connection,
      clock,
      requestBytesMax: 1000,
      ackTimeoutMs: 10,
      requestTimeoutMs: TIMEOUT_MS,
      onStall: () => () => {},
    });
    producer.add({
      targetTopic: TOPIC,
      partition: 0,
      takeBatch: () => batches.pop() ?? null,
      onProduced: () => resolve(),
      onProduceLost: (_, error) => reject(error),
      onProducerLost: reject,
    });
    producer.pump();
  }).finally(() => connection.close());
}
