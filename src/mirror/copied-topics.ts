/** Which topics a mirror copies, for what stands around their records: those that it has prepared, and those that it had. */
import { targetOf, type TopicPair, type TopicRules } from '#contract/topic-rules.ts';
import type { TopicMetadata } from '#kafka/metadata.ts';
import type { TopicClaim } from './state-topic.ts';
import type { PreparedTopic } from './target-topics.ts';

export interface CopiedTopicsFacts {
  readonly prepared: Iterable<Pick<PreparedTopic, 'sourceTopic' | 'targetTopic' | 'copy'>>;
  /** Of this mirror. */
  readonly claims: readonly TopicClaim[];
  readonly rules: TopicRules;
  /** As the clusters' metadata shows them; undefined where it does not. */
  readonly source: KnownTopic;
  readonly target: KnownTopic;
}

type KnownTopic = (name: string) => Pick<TopicMetadata, 'topicId' | 'isInternal' | 'errorCode'> | undefined;

/**
 * Those that may not be prepared at the moment are among them: what failed may pass, and nobody is to lose a right over it.
 * Not, however, where another topic stands under the name on either side: what was granted was about another one.
 * Without those that others write to as well.
 */
export function copiedTopics({ prepared, claims, rules, source, target }: CopiedTopicsFacts): TopicPair[] {
  const pairs = new Map<string, TopicPair>();
  for (const { mode, sourceTopic, sourceTopicId, targetTopic, targetTopicId } of claims) {
    const [onSource, onTarget] = [source(sourceTopic), target(targetTopic)];
    const isInternal = onSource?.isInternal ?? false;
    const isMeant = targetOf(rules, { name: sourceTopic, isInternal })?.target === targetTopic;
    if (isMeant && !isOther(onSource, sourceTopicId) && !isOther(onTarget, targetTopicId) && mode !== 'shared')
      pairs.set(sourceTopic, { source: sourceTopic, target: targetTopic });
  }
  for (const { sourceTopic, targetTopic, copy } of prepared) {
    if (copy.isShared) pairs.delete(sourceTopic);
    else pairs.set(sourceTopic, { source: sourceTopic, target: targetTopic });
  }
  return [...pairs.values()];
}

function isOther(found: ReturnType<KnownTopic>, topicId: string): boolean {
  return found?.errorCode === 0 && found.topicId !== topicId;
}
