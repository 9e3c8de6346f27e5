/**
 * Topics that a regular expression picked and this mirror has copied, and that the source does not have any more. While a
 * mirror runs each partition says it; one that starts does not see what is gone, and only the claims remember it.
 */
import type { Finding } from '#contract/plan.ts';
import { targetOf, type TopicRules } from '#contract/topic-rules.ts';
import type { Cluster } from '#kafka/cluster.ts';
import { BrokerError } from '#kafka/errors.ts';
import type { TopicMetadata } from '#kafka/metadata.ts';
import { isDenied } from '#kafka/permissions.ts';
import { errorOf } from '#kafka/protocol/error-codes.ts';
import { must } from '#util/assert.ts';
import type { StateTopic, TopicClaim } from './state-topic.ts';

const UNKNOWN_TOPIC_OR_PARTITION = 3;

interface LostPorts {
  readonly source: Pick<Cluster, 'name' | 'refresh'>;
  readonly target: Pick<Cluster, 'name' | 'refresh'>;
  readonly state: Pick<StateTopic, 'claimsOf'>;
  readonly mirrorId: string;
}

/** One warning per topic whose copy is still there. `topics`: all of the source, as it has just said. Throws KafkaError. */
export async function findLostTopics(
  ports: LostPorts,
  rules: TopicRules,
  topics: readonly Pick<TopicMetadata, 'name'>[],
): Promise<Finding[]> {
  const { source, target, state, mirrorId } = ports;
  const seen = new Set(topics.map(({ name }) => name));
  const claims = state.claimsOf(mirrorId).filter((claim) => isPicked(rules, claim));
  const unseen = claims.filter(({ sourceTopic }) => !seen.has(sourceTopic));
  if (unseen.length === 0) return [];
  const [sources, copies] = await Promise.all([
    source.refresh(unseen.map(({ sourceTopic }) => sourceTopic)),
    target.refresh(unseen.map(({ targetTopic }) => targetTopic)),
  ]);
  return unseen.flatMap((claim, i) => {
    const copy = must(copies[i], 'answer about a target topic');
    if (copy.errorCode !== 0 || copy.topicId !== claim.targetTopicId) return [];
    return findLoss(must(sources[i], 'answer about a source topic'), claim, { source, target });
  });
}

/** A rule with the exact name is told about itself where it matches nothing. */
function isPicked(rules: TopicRules, { sourceTopic: name, targetTopic }: TopicClaim): boolean {
  if (rules.matches.some(({ pattern }) => pattern.kind === 'exact' && pattern.name === name)) return false;
  return targetOf(rules, { name, isInternal: false })?.target === targetTopic;
}

/** Any other error of a topic passes: it is there. */
function findLoss(
  { errorCode }: TopicMetadata,
  { sourceTopic, targetTopic }: TopicClaim,
  { source, target }: Pick<LostPorts, 'source' | 'target'>,
): Finding[] {
  const topic = `Topic "${sourceTopic}" of cluster "${source.name}", which was copied before,`;
  const stays = `The copy "${targetTopic}" on "${target.name}" stays as it is, and nothing is added to it.`;
  const exclude = `add "exclude: ${sourceTopic}" to the rules, and the copy is yours`;
  if (errorCode === UNKNOWN_TOPIC_OR_PARTITION)
    return [
      {
        code: 'TOPIC_NOT_FOUND',
        severity: 'warning',
        message: `${topic} does not exist any more. ${stays}`,
        nextStep: `If it was deleted on purpose, ${exclude}; if not, the copy is what is left of it.`,
      },
    ];
  if (!isDenied(new BrokerError(errorOf(errorCode), 'Metadata', sourceTopic))) return [];
  return [
    {
      code: 'PERMISSION_DENIED',
      severity: 'warning',
      message: `${topic} is hidden from us: the right to it is missing, or it was deleted. ${stays}`,
      nextStep: `Grant our principal READ on the topic; or, if it was deleted on purpose, ${exclude}.`,
    },
  ];
}
