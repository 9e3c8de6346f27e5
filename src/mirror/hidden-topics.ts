/**
 * Topics that a rule names and that brokers hide from us: a list of all topics leaves out what we may not DESCRIBE. To the
 * question about a name they answer the same whether there is such a topic or not (KafkaApis.handleTopicMetadataRequest).
 */
import type { MirrorResource } from '#contract/resources.ts';
import { parseTopicPattern } from '#contract/topic-pattern.ts';
import type { Cluster } from '#kafka/cluster.ts';
import { BrokerError } from '#kafka/errors.ts';
import { isDenied } from '#kafka/permissions.ts';
import { errorOf } from '#kafka/protocol/error-codes.ts';

/** By the index of its rule, the name of each hidden topic. `rules`: those that match nothing we see. Throws KafkaError. */
export async function hiddenTopics(
  source: Cluster,
  { spec }: MirrorResource,
  rules: readonly number[],
): Promise<ReadonlyMap<number, string>> {
  const named = rules.flatMap((rule): [number, string][] => {
    const each = spec.topics[rule];
    if (each === undefined || !('match' in each)) return [];
    const pattern = parseTopicPattern(each.match);
    return 'value' in pattern && pattern.value.kind === 'exact' ? [[rule, pattern.value.name]] : [];
  });
  if (named.length === 0) return new Map();
  const topics = await source.refresh(named.map(([, name]) => name));
  const hidden = new Set(
    topics.flatMap(({ name, errorCode }) =>
      errorCode !== 0 && isDenied(new BrokerError(errorOf(errorCode), 'Metadata', name)) ? [name] : [],
    ),
  );
  return new Map(named.filter(([, name]) => hidden.has(name)));
}
