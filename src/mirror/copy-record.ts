/** What a mirror has written down about its copies, for a reader beside it: topic ids, and the maps of mapped partitions. */
import type { AppError } from '#contract/errors.ts';
import type { TopicPair } from '#contract/topic-rules.ts';
import { toAppError } from '#jobs/app-error.ts';
import type { Cluster } from '#kafka/cluster.ts';
import { isDenied } from '#kafka/permissions.ts';
import { exportMap, type ExportedMap } from './mapped-export.ts';
import { readStableOffset } from './offsets.ts';
import { mirrorIdOf } from './state-records.ts';
import { STATE_TOPIC, StateTopic } from './state-topic.ts';

export class CopyRecord {
  readonly #target: Cluster;
  readonly #mirrorId: string;
  #state: StateTopic | null = null;
  #denied: AppError | null = null;

  constructor({
    source,
    target,
    mirror,
  }: {
    readonly source: Cluster;
    readonly target: Cluster;
    readonly mirror: string;
  }) {
    this.#target = target;
    this.#mirrorId = mirrorIdOf({ sourceClusterId: source.clusterId, targetClusterId: target.clusterId, name: mirror });
  }

  /** Why it may not be read; null where it may be, or where nothing was copied yet. As of the last `refresh`. */
  get denied(): AppError | null {
    return this.#denied;
  }

  /** Reads what was appended since. Without the right to read, nothing is known. Throws KafkaError. */
  async refresh(): Promise<void> {
    try {
      if (this.#state) await this.#state.load();
      else this.#state = await StateTopic.look(this.#target);
      this.#denied = null;
    } catch (error) {
      if (!isDenied(error)) throw error;
      this.#state = null;
      this.#denied = toAppError(error, `topic ${STATE_TOPIC} of cluster "${this.#target.name}"`);
    }
  }

  /** Of the topics that a copy was made of; null where nothing is written about it. Throws AppError STATE_TOPIC_INVALID. */
  topicIdsOf(pair: TopicPair): { source: string; target: string } | null {
    const claim = this.#state?.claim(pair.target) ?? null;
    const isOfPair = claim?.mirrorId === this.#mirrorId && claim.sourceTopic === pair.source;
    return claim && isOfPair ? { source: claim.sourceTopicId, target: claim.targetTopicId } : null;
  }

  /** As of now; null for a partition that is not mapped. Throws KafkaError, and AppError STATE_TOPIC_INVALID. */
  async mapOf(pair: TopicPair, partition: number): Promise<ExportedMap | null> {
    const place = { targetTopic: pair.target, partition, sourceTopic: pair.source };
    const state = this.#state;
    return state && exportMap(state, place, () => readStableOffset(this.#target, pair.target, partition));
  }
}
