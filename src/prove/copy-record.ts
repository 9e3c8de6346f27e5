/** What a mirror has written down about its copies, as far as a verifier looks at it: it is judged here, not believed. */
import type { AppError } from '#contract/errors.ts';
import type { TopicPair } from '#contract/topic-rules.ts';
import type { MappedExport } from './compare-mapped.ts';

export interface CopyRecord {
  /** Why it may not be read, as of the last `refresh`; then offsets can only be taken for identical. */
  readonly denied: AppError | null;
  /** Throws KafkaError. */
  refresh(): Promise<void>;
  /** Of the topics that a copy was made of; null where nothing is known. Throws AppError STATE_TOPIC_INVALID. */
  topicIdsOf(pair: TopicPair): { readonly source: string; readonly target: string } | null;
  /** Null of a partition whose offsets are identical. Throws KafkaError, and AppError STATE_TOPIC_INVALID. */
  mapOf(pair: TopicPair, partition: number): Promise<MappedExport | null>;
}
