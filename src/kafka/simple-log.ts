/**
 * One-shot appends and reads of a partition, for small data: the state topic, and the tail of a mirrored partition.
 * It copies what it reads and keeps no session and no producer identity; the data path has its own fetcher and producer.
 */
import { BrokerError, MalformedFrameError } from './errors.ts';
import type { Cluster } from './cluster.ts';
import { decodeFetch, encodeFetch, fetchApi, type FetchedPartition } from './fetch.ts';
import { listOffsets, EARLIEST, LATEST } from './offsets.ts';
import { decodeProduce, encodeProduce, produceApi, type ProduceResult } from './produce.ts';
import { errorOf } from './protocol/error-codes.ts';
import type { Permit } from './permit.ts';
import { callRaw } from './raw-call.ts';
import { batchAt, lastOffsetOf } from './records/batch-header.ts';
import { BatchWriter } from './records/batch-writer.ts';
import { openBatch, type OpenBatch } from './records/open-batch.ts';
import { leaderOf, noLeader, retrying } from './retry.ts';

const UNCOMPRESSED = 0;
const NO_PRODUCER = { producerId: -1, producerEpoch: -1, baseSequence: -1 };
const FETCH_BYTES = 1024 * 1024;
/** A read ends at an offset that is there already, so there is nothing to wait for. */
const FETCH_WAIT_MS = 100;
const CORRUPT_MESSAGE = 2;
const TRANSACTIONAL_ID_AUTHORIZATION_FAILED = 53;
const NO_SESSION = { sessionId: 0, sessionEpoch: -1 };

export interface SimpleRecord {
  readonly key: Buffer | null;
  /** Null is a tombstone. */
  readonly value: Buffer | null;
  readonly timestamp: number;
}

/**
 * Appends records as one uncompressed batch with acks=all and returns the offset of the first. Sent again only after a
 * definite refusal; an indefinite result is thrown, and the batch may then be in the log or come into it a little later.
 */
export function appendRecords(
  cluster: Cluster,
  append: {
    readonly topic: string;
    readonly partition: number;
    readonly records: readonly SimpleRecord[];
    readonly permit?: Permit;
  },
): Promise<{ baseOffset: number }> {
  const { topic, partition, records, permit } = append;
  const writer = new BatchWriter({ codec: UNCOMPRESSED, baseOffset: 0 });
  for (const record of records) writer.appendRecord(record);
  const batch = writer.finish(NO_PRODUCER);
  const send = () => appendBatch(cluster, { topic, partition, batch, ...(permit ? { permit } : {}) });
  return retrying(cluster, send, { repeatable: false, topics: [topic] });
}

/** Appends one finished batch with acks=all, in one attempt, and returns where it landed. Throws KafkaError, WithheldError without leave. */
export async function appendBatch(
  cluster: Cluster,
  append: { readonly topic: string; readonly partition: number; readonly batch: Buffer; readonly permit?: Permit },
): Promise<{ baseOffset: number }> {
  const { topic, partition, batch, permit } = append;
  const timeoutMs = permit?.timeoutMs ?? cluster.requestTimeoutMs;
  const topics = [{ name: topic, partitions: [{ partition, buffer: batch, start: 0, end: batch.length }] }];
  const connection = await cluster.connection(await leaderOf(cluster, topic, partition));
  const request = {
    api: produceApi,
    chunks: encodeProduce(topics, timeoutMs),
    timeoutMs,
    ...(permit ? { mayLeave: () => permit.isGiven() } : {}),
  };
  const { results, throttleTimeMs } = await callRaw(connection, request, decodeProduce);
  connection.throttle(throttleTimeMs);
  const result = results[0];
  if (!result) throw new MalformedFrameError(`Produce left out ${topic}/${partition}`);
  if (result.errorCode !== 0) throw produceError(result, `${topic}/${partition}`);
  return { baseOffset: result.baseOffset };
}

/**
 * The broker looks at the transactional bit of a batch before it checks the CRC (KafkaApis.handleProduceRequest,
 * RequestUtils.hasTransactionalRecords): none that is appended here has it, so a right to a transactional id that is
 * missing means damage on the way.
 */
function produceError({ errorCode, errorMessage }: ProduceResult, subject: string): BrokerError {
  const isDamage = errorCode === TRANSACTIONAL_ID_AUTHORIZATION_FAILED;
  return new BrokerError(errorOf(isDamage ? CORRUPT_MESSAGE : errorCode), 'Produce', subject, errorMessage);
}

/** A record batch as it came, in memory of its own: the bytes [at, at + size) of buffer. */
export interface RawBatch {
  readonly buffer: Buffer;
  readonly at: number;
  readonly size: number;
  /** Aborted transactions that touch the response it came in; the same array for all batches of one response. */
  readonly aborted: FetchedPartition['aborted'];
}

/**
 * The batches from `from` (the log start by default) to the last stable offset as of now, control batches included.
 * The first may begin below `from`. Throws KafkaError; OFFSET_OUT_OF_RANGE (1) when `from` is not in the log.
 */
export async function* readLog(
  cluster: Cluster,
  read: { readonly topic: string; readonly partition: number; readonly from?: number },
): AsyncGenerator<OpenBatch, void, undefined> {
  for await (const { buffer, at } of readBatches(cluster, { ...read, maxBytes: Infinity })) yield openBatch(buffer, at);
}

export interface Tail {
  readonly batches: readonly RawBatch[];
  /** Whether the last batch reaches the end of the log as of the start of the read; false when maxBytes came first. */
  readonly isComplete: boolean;
}

/**
 * The batches from `fromOffset` to `toOffset` (the last stable offset as of now by default, and at most), or until
 * `maxBytes` have been read. Throws KafkaError.
 */
export async function readTail(
  cluster: Cluster,
  read: {
    readonly topic: string;
    readonly partition: number;
    readonly fromOffset: number;
    readonly toOffset?: number;
    readonly maxBytes: number;
    /** To the watermark, open transactions included. */
    readonly isUncommitted?: boolean;
  },
): Promise<Tail> {
  const { topic, partition, fromOffset, toOffset, maxBytes, isUncommitted } = read;
  const batches: RawBatch[] = [];
  const bounds = {
    from: fromOffset,
    ...(toOffset === undefined ? {} : { to: toOffset }),
    ...(isUncommitted === undefined ? {} : { isUncommitted }),
  };
  const iterator = readBatches(cluster, { topic, partition, ...bounds, maxBytes });
  for (;;) {
    const { done, value } = await iterator.next();
    if (done) return { batches, isComplete: value };
    batches.push(value);
  }
}

interface ReadBounds {
  readonly from?: number;
  readonly to?: number;
  readonly isUncommitted?: boolean;
}

/** Returns whether it came to the end. */
async function* readBatches(
  cluster: Cluster,
  read: ReadBounds & { readonly topic: string; readonly partition: number; readonly maxBytes: number },
): AsyncGenerator<RawBatch, boolean, undefined> {
  const { topic, partition } = read;
  const isUncommitted = read.isUncommitted ?? false;
  const [first, end] = await logBounds(cluster, { topic, partition, isUncommitted });
  const last = Math.min(end, read.to ?? end);
  let offset = read.from ?? first;
  let bytesLeft = read.maxBytes;
  while (offset < last) {
    if (bytesLeft <= 0) return false;
    const { buffer, aborted, isWaiting } = await fetchOnce(cluster, {
      topic,
      partition,
      offset,
      maxBytes: Math.min(bytesLeft, FETCH_BYTES),
      isUncommitted,
    });
    let at = 0;
    for (let size = batchAt(buffer, at, buffer.length); size > 0; size = batchAt(buffer, at, buffer.length)) {
      yield { buffer, at, size, aborted };
      const next = lastOffsetOf(buffer, at) + 1;
      if (next <= offset)
        throw new MalformedFrameError(`Fetch of ${topic}/${partition} from ${offset} answered with ${next - 1}`);
      offset = next;
      at += size;
      bytesLeft -= size;
    }
    // Nothing although the log goes on: compaction has removed what was there, unless the broker only held us back.
    if (at === 0 && !isWaiting) return true;
  }
  return true;
}

async function logBounds(
  cluster: Cluster,
  { topic, partition, isUncommitted }: { topic: string; partition: number; isUncommitted: boolean },
): Promise<[number, number]> {
  const bounds: number[] = [];
  const queries = [EARLIEST, LATEST].map((timestamp) => ({ topic, partition, timestamp }));
  const isolation = isUncommitted ? 'read_uncommitted' : 'read_committed';
  for (const { offset, error } of await listOffsets(cluster, queries, { isolation })) {
    if (error) throw error;
    bounds.push(offset);
  }
  return [bounds[0]!, bounds[1]!];
}

interface FetchOne {
  readonly topic: string;
  readonly partition: number;
  readonly offset: number;
  readonly maxBytes: number;
  readonly isUncommitted: boolean;
}

/** Bytes from one Fetch, copied out of the response; `isWaiting` when an empty answer says nothing, as under a quota (KIP-219). */
function fetchOnce(
  cluster: Cluster,
  one: FetchOne,
): Promise<{ buffer: Buffer; aborted: FetchedPartition['aborted']; isWaiting: boolean }> {
  const { topic, partition, offset, maxBytes, isUncommitted } = one;
  const ask = async () => {
    const leader = await leaderOf(cluster, topic, partition);
    const topicId = cluster.topicOf(topic)?.topicId;
    if (topicId === undefined) throw noLeader(cluster, topic, partition);
    const position = { topicId, partition, leaderEpoch: -1, offset, lastFetchedEpoch: -1, maxBytes };
    const body = encodeFetch({
      maxWaitMs: FETCH_WAIT_MS,
      minBytes: 1,
      maxBytes,
      isUncommitted,
      ...NO_SESSION,
      positions: [position],
      forgotten: [],
    });
    const connection = await cluster.connection(leader);
    return callRaw(
      connection,
      { api: fetchApi, chunks: [body], timeoutMs: cluster.requestTimeoutMs },
      (reader, response) => {
        const { errorCode, throttleTimeMs, partitions } = decodeFetch(reader);
        connection.throttle(throttleTimeMs);
        const answer = partitionOf(partitions[0], errorCode, `${topic}/${partition}`);
        const buffer = Buffer.from(response.subarray(answer.start, answer.end));
        return { buffer, aborted: answer.aborted, isWaiting: throttleTimeMs > 0 };
      },
    );
  };
  return retrying(cluster, ask, { repeatable: true, topics: [topic] });
}

function partitionOf(answer: FetchedPartition | undefined, errorCode: number, subject: string): FetchedPartition {
  if (errorCode !== 0) throw new BrokerError(errorOf(errorCode), 'Fetch', subject);
  if (!answer) throw new MalformedFrameError(`Fetch left out ${subject}`);
  if (answer.errorCode !== 0) throw new BrokerError(errorOf(answer.errorCode), 'Fetch', subject);
  return answer;
}
