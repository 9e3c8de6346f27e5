/**
 * When to ask again: one rule for every control request. A definite, retryable answer ('not the leader', 'coordinator
 * loading') is tried again with jitter until the budget is spent. An indefinite one (no answer) is tried again only where
 * the request changes nothing, or where doing it twice is the same as once; everybody else reads the state first.
 */
import { Backoff } from '#util/backoff.ts';
import { sleep } from '#util/clock.ts';
import type { Cluster } from './cluster.ts';
import { BrokerError, ConnectionError, KafkaError, WithheldError } from './errors.ts';
import { errorOf } from './protocol/error-codes.ts';

const RETRY_BASE_MS = 50;
const RETRY_MAX_MS = 2_000;
/** A topic that was just created may be unknown to a broker for a moment; one that does not exist is no reason to wait long. */
const UNKNOWN_TOPIC_BUDGET_MS = 3_000;
const UNKNOWN_TOPIC = new Set([3, 100]); // UNKNOWN_TOPIC_OR_PARTITION, UNKNOWN_TOPIC_ID
/** What says that our metadata is old: unknown topic, no leader, not leader, not available, not controller, leader epoch unknown or fenced. */
const STALE_METADATA = new Set([3, 5, 6, 9, 13, 41, 74, 75, 100]);
const LEADER_NOT_AVAILABLE = 5;
const UNKNOWN_TOPIC_OR_PARTITION = 3;

export interface RetryOptions {
  /** The request is a read, or doing it twice is the same as once. */
  readonly repeatable: boolean;
  /** Whose metadata is asked anew before the next attempt when the failure may come from old metadata. */
  readonly topics?: readonly string[];
  /** No attempt begins later than this after the first; the cluster's request timeout by default. */
  readonly budgetMs?: number;
}

/** The first success of `attempt`, or its last error. */
export async function retrying<T>(cluster: Cluster, attempt: () => Promise<T>, options: RetryOptions): Promise<T> {
  const retries = new Retries(cluster, options);
  for (;;) {
    try {
      return await attempt();
    } catch (error) {
      if (!(await retries.pauseAfter(error))) throw error;
    }
  }
}

/** The budget of one operation over its attempts. */
export class Retries {
  readonly #cluster: Cluster;
  readonly #options: RetryOptions;
  readonly #backoff: Backoff;
  readonly #startedMs: number;

  constructor(cluster: Cluster, options: RetryOptions) {
    this.#cluster = cluster;
    this.#options = options;
    this.#backoff = new Backoff(cluster.random, { baseMs: RETRY_BASE_MS, maxMs: RETRY_MAX_MS });
    this.#startedMs = cluster.clock.monotonic();
  }

  /** Whether another attempt may follow `error`; if so, after a pause and with new metadata where the old may be the cause. */
  async pauseAfter(error: unknown): Promise<boolean> {
    if (!(error instanceof KafkaError)) return false;
    error.cluster ??= this.#cluster.name;
    if (!error.retryable) return false;
    if (!error.definite && !this.#options.repeatable) return false;
    if (error instanceof WithheldError) return false; // whoever asked for the leave knows when it is given again
    if (error instanceof ConnectionError && error.failure === 'denied') return false; // until somebody changes a setting
    const delayMs = this.#backoff.next();
    if (this.#cluster.clock.monotonic() + delayMs - this.#startedMs > this.#budgetMs(error)) return false;
    await sleep(this.#cluster.clock, delayMs, this.#cluster.closed);
    if (this.#cluster.closed.aborted) return false;
    if (this.#options.topics && isStaleMetadata(error)) await this.#refresh(this.#options.topics);
    return true;
  }

  #budgetMs(error: KafkaError): number {
    const budgetMs = this.#options.budgetMs ?? this.#cluster.requestTimeoutMs;
    return isUnknownTopic(error) ? Math.min(budgetMs, UNKNOWN_TOPIC_BUDGET_MS) : budgetMs;
  }

  /** If it fails, the attempt that follows fails too, and has the better error. */
  async #refresh(topics: readonly string[]): Promise<void> {
    try {
      await this.#cluster.refresh(topics);
    } catch (error) {
      if (!(error instanceof KafkaError)) throw error;
    }
  }
}

export function isUnknownTopic(error: unknown): boolean {
  return error instanceof BrokerError && UNKNOWN_TOPIC.has(error.code);
}

/** Whether the failure may come from asking the wrong broker. */
export function isStaleMetadata(error: KafkaError): boolean {
  return error instanceof ConnectionError || (error instanceof BrokerError && STALE_METADATA.has(error.code));
}

/** Broker id of the partition's leader, asking the cluster when it is not known. Throws BrokerError when there is none. */
export async function leaderOf(cluster: Cluster, topic: string, partition: number): Promise<number> {
  const cached = cluster.leaderOf(topic, partition);
  if (cached !== null) return cached;
  await cluster.refresh([topic]);
  const leader = cluster.leaderOf(topic, partition);
  if (leader === null) throw noLeader(cluster, topic, partition);
  return leader;
}

/** Why a partition has no leader that we know: the topic's own error, a partition that does not exist, or an election. */
export function noLeader(cluster: Cluster, topic: string, partition: number): BrokerError {
  const known = cluster.topicOf(topic);
  const code = known?.errorCode || (known?.partitions[partition] ? LEADER_NOT_AVAILABLE : UNKNOWN_TOPIC_OR_PARTITION);
  const error = new BrokerError(errorOf(code), 'Metadata', `${topic}/${partition}`);
  error.cluster = cluster.name;
  return error;
}
