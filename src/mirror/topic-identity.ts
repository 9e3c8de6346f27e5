/** Both topics of a shard are the ones that were claimed: an id that changed is a topic that was deleted and created anew (exactness.md rule 8). */
import { must } from '#util/assert.ts';
import { BrokerError } from '#kafka/errors.ts';
import type { TopicMetadata } from '#kafka/metadata.ts';
import { errorOf } from '#kafka/protocol/error-codes.ts';
import type { ShardContext } from './shard-context.ts';
import { missing, recreated } from './shard-stop.ts';

const UNKNOWN_TOPIC_OR_PARTITION = 3;
/** A topic may be unknown to a broker for a moment, never for so long. */
const MISSING_MS = 10_000;

type Context = Pick<
  ShardContext,
  'source' | 'target' | 'clock' | 'sourceTopic' | 'sourceTopicId' | 'targetTopic' | 'targetTopicId'
>;

export class TopicIdentity {
  readonly #context: Context;
  /** Monotonic time since when one of them is not known. */
  #missingSinceMs: number | null = null;

  constructor(context: Context) {
    this.#context = context;
  }

  /** Throws ShardStop where one is gone or another, KafkaError when that cannot be said. `position` is for the message. */
  async check(position: number | null): Promise<void> {
    const { source, target, sourceTopic, targetTopic } = this.#context;
    const [[onSource], [onTarget]] = await Promise.all([source.refresh([sourceTopic]), target.refresh([targetTopic])]);
    this.#checkTopic('source', must(onSource, 'answer about the source topic'), position);
    this.#checkTopic('target', must(onTarget, 'answer about the target topic'), position);
    this.#missingSinceMs = null;
  }

  /** One that is missing has been so from now on. */
  lookAnew(): void {
    this.#missingSinceMs = null;
  }

  #checkTopic(side: 'source' | 'target', topic: TopicMetadata, position: number | null): void {
    const { clock, sourceTopic, sourceTopicId, targetTopic, targetTopicId } = this.#context;
    const [name, expected] = side === 'source' ? [sourceTopic, sourceTopicId] : [targetTopic, targetTopicId];
    if (topic.errorCode !== 0) {
      if (topic.errorCode === UNKNOWN_TOPIC_OR_PARTITION) {
        const now = clock.monotonic();
        this.#missingSinceMs ??= now;
        if (now - this.#missingSinceMs > MISSING_MS) throw missing(side, name, position);
      }
      throw new BrokerError(errorOf(topic.errorCode), 'Metadata', `${side} topic ${name}`);
    }
    if (topic.topicId !== expected) throw recreated(side, name, position);
  }
}
