import type { Labels } from './metric-set.ts';

/** Where what concerns a partition is counted: in series of its own, or together with others of its topic or of its job. */
export interface Slot {
  readonly key: string;
  readonly level: 'partition' | 'topic' | 'job';
  readonly labels: Labels;
}

export interface SeriesLimits {
  /** Partitions with series of their own, over all jobs. */
  readonly partitionsMax: number;
  /** Topics with series of their own for the partitions that have none. */
  readonly topicsMax: number;
}

/**
 * Keeps the number of series within bounds, whatever a cluster holds. The first to come get series of their own and keep
 * them; the rest is counted together by topic, and where topics are too many, by job, without the label: sums are the same.
 */
export class SeriesSlots {
  readonly #limits: SeriesLimits;
  readonly #partitions = new Map<string, Slot>();
  readonly #topics = new Map<string, Slot>();
  readonly #jobs = new Map<string, Slot>();

  constructor(limits: SeriesLimits) {
    this.#limits = limits;
  }

  of(job: string, topic: string, partition: number): Slot {
    const key = partitionKey(job, topic, partition);
    const own = this.#partitions.get(key);
    if (own) return own;
    if (this.#partitions.size < this.#limits.partitionsMax)
      return kept(this.#partitions, key, {
        key,
        level: 'partition',
        labels: { job_name: job, topic, partition: String(partition) },
      });
    const topicKey = keyOf(job, topic);
    const shared = this.#topics.get(topicKey);
    if (shared) return shared;
    if (this.#topics.size < this.#limits.topicsMax)
      return kept(this.#topics, topicKey, { key: topicKey, level: 'topic', labels: { job_name: job, topic } });
    return this.#jobs.get(job) ?? kept(this.#jobs, job, { key: job, level: 'job', labels: { job_name: job } });
  }

  /** The partition is gone, and others may have its place. */
  releasePartition(job: string, topic: string, partition: number): void {
    this.#partitions.delete(partitionKey(job, topic, partition));
  }

  /** Nothing of it is shown any more. */
  releaseJob(job: string): void {
    dropOf(this.#partitions, job);
    dropOf(this.#topics, job);
    this.#jobs.delete(job);
  }

  /** None of its partitions is there any more. */
  releaseTopic(job: string, topic: string): string {
    const key = keyOf(job, topic);
    this.#topics.delete(key);
    return key;
  }
}

function dropOf(slots: Map<string, Slot>, job: string): void {
  for (const key of slots.keys()) if (key.startsWith(`${job}\0`)) slots.delete(key);
}

/** Job names and topics hold no NUL. */
export function partitionKey(job: string, topic: string, partition: number): string {
  return `${job}\0${topic}\0${partition}`;
}

function keyOf(job: string, topic: string): string {
  return `${job}\0${topic}`;
}

function kept(slots: Map<string, Slot>, key: string, slot: Slot): Slot {
  slots.set(key, slot);
  return slot;
}
