/** Topics as a cluster has them now, where one that may not be seen is not taken for one that is gone. */
import type { Cluster } from '#kafka/cluster.ts';
import { BrokerError } from '#kafka/errors.ts';
import type { TopicMetadata } from '#kafka/metadata.ts';
import { errorOf } from '#kafka/protocol/error-codes.ts';

const UNKNOWN_TOPIC = 3;

/** One answer per name, in their order; null where there is none. Throws KafkaError, also where a right is missing. */
export async function findTopics(
  cluster: Pick<Cluster, 'refresh'>,
  names: readonly string[],
): Promise<(TopicMetadata | null)[]> {
  if (names.length === 0) return [];
  return (await cluster.refresh(names)).map((topic) => {
    if (topic.errorCode === UNKNOWN_TOPIC) return null;
    if (topic.errorCode !== 0) throw new BrokerError(errorOf(topic.errorCode), 'Metadata', topic.name);
    return topic;
  });
}
