/**
 * One-shot reads of raw batches into pooled frames, by topic id and below the last stable offset: for whoever reads much
 * and keeps no session, as the verifier does. At most `FETCH_BYTES` are asked for, so who has n reads under way holds n
 * times that, or one larger batch each.
 */
import { sleep } from '#util/clock.ts';
import type { Cluster } from './cluster.ts';
import { BrokerError, MalformedFrameError } from './errors.ts';
import { decodeFetch, encodeFetch, fetchApi, type FetchedPartition } from './fetch.ts';
import type { Frame, FramePool } from './frame.ts';
import { errorOf } from './protocol/error-codes.ts';
import { callRaw } from './raw-call.ts';
import { leaderOf, retrying } from './retry.ts';

const FETCH_BYTES = 1024 * 1024;
/** Readers ask below the end of the log, so there is nothing to wait for. */
const FETCH_WAIT_MS = 100;
const NO_SESSION = { sessionId: 0, sessionEpoch: -1 };

/** Batches lie in `frame.buffer` from `fetched.start` to `fetched.end`; the frame is the caller's to release. */
export interface FetchedLog {
  readonly frame: Frame;
  readonly fetched: FetchedPartition;
  /** An answer without batches says nothing, as under a quota (KIP-219). */
  readonly isThrottled: boolean;
}

export interface LogPlace {
  readonly topic: string;
  /** A topic created anew under its name is an error (UNKNOWN_TOPIC_ID, 100), never a continuation. */
  readonly topicId: string;
  readonly partition: number;
}

/**
 * The batches from the one that holds `offset` on, as the leader has them now. Tried again within the cluster's request
 * timeout. Throws KafkaError; OFFSET_OUT_OF_RANGE (1) when `offset` is not in the log.
 */
export function fetchLog(
  cluster: Cluster,
  pool: FramePool,
  { topic, topicId, partition, offset }: LogPlace & { readonly offset: number },
): Promise<FetchedLog> {
  const position = { topicId, partition, leaderEpoch: -1, offset, lastFetchedEpoch: -1, maxBytes: FETCH_BYTES };
  const ask = async (): Promise<FetchedLog> => {
    const connection = await cluster.connection(await leaderOf(cluster, topic, partition));
    if (connection.throttledForMs > 0) await sleep(cluster.clock, connection.throttledForMs, cluster.closed);
    const body = encodeFetch({
      maxWaitMs: FETCH_WAIT_MS,
      minBytes: 1,
      maxBytes: FETCH_BYTES,
      ...NO_SESSION,
      positions: [position],
      forgotten: [],
    });
    const request = { api: fetchApi, chunks: [body], timeoutMs: cluster.requestTimeoutMs };
    return callRaw(connection, request, (reader, buffer, held) => {
      const { errorCode, throttleTimeMs, partitions } = decodeFetch(reader);
      connection.throttle(throttleTimeMs);
      const fetched = answerOf(partitions[0], errorCode, `${topic}/${partition}`);
      const isThrottled = throttleTimeMs > 0;
      if (held) {
        held.retain();
        return { frame: held, fetched, isThrottled };
      }
      const bytes = fetched.end - fetched.start; // small, and the staging buffer is reused
      const frame = pool.take(bytes);
      buffer.copy(frame.buffer, 0, fetched.start, fetched.end);
      return { frame, fetched: { ...fetched, start: 0, end: bytes }, isThrottled };
    });
  };
  return retrying(cluster, ask, { repeatable: true, topics: [topic] });
}

function answerOf(answer: FetchedPartition | undefined, errorCode: number, subject: string): FetchedPartition {
  const code = errorCode || (answer?.errorCode ?? 0);
  if (code !== 0) throw new BrokerError(errorOf(code), 'Fetch', subject);
  if (!answer) throw new MalformedFrameError(`Fetch left out ${subject}`);
  return answer;
}
