/** Topics that somebody asks for: what a cluster makes of them, and their creation. */
import { AppError } from '#contract/errors.ts';
import type { NewTopicText } from '#contract/new-topic.ts';
import type { Cluster } from '#kafka/cluster.ts';
import { toAppError } from '#jobs/app-error.ts';
import type { BrokerError } from '#kafka/errors.ts';
import { validateCreation } from '#kafka/permissions.ts';
import { createTopic, TOPIC_ALREADY_EXISTS, type NewTopic } from '#kafka/topics.ts';
import { must } from '#util/assert.ts';
import type { CreatedTopic, ForeseenTopic } from '#server/ports.ts';

/** CreateTopics: as many as the brokers make by default (KIP-464). */
const AS_BROKERS_SAY = -1;
/** INVALID_TOPIC, _PARTITIONS, _REPLICATION_FACTOR, _REPLICA_ASSIGNMENT, _CONFIG, _REQUEST, POLICY_VIOLATION. */
const UNFIT: ReadonlySet<number> = new Set([17, 37, 38, 39, 40, 42, 44]);

/** Throws AppError RESOURCE_CONFLICT, REQUEST_INVALID; KafkaError. */
export async function foreseeTopic(cluster: Cluster, wanted: NewTopicText): Promise<ForeseenTopic> {
  const validated = must((await validateCreation(cluster, [toNewTopic(wanted)])).get(wanted.name), 'validated topic');
  if (validated.error !== null) throw refusalOf(validated.error, wanted.name);
  if (validated.configs === null) return { configs: null };
  const shown = [...validated.configs].map(([name, { value, sensitive }]) => [name, sensitive ? null : value]);
  return { configs: Object.fromEntries(shown) as Record<string, string | null> };
}

/** As `foreseeTopic`, and where that has nothing against it an AppError whose `details.effect` is `unknown`. */
export async function createWantedTopic(cluster: Cluster, wanted: NewTopicText): Promise<CreatedTopic> {
  await foreseeTopic(cluster, wanted);
  try {
    const { topicId, partitions } = await createTopic(cluster, toNewTopic(wanted));
    return {
      topicId,
      partitions: partitions.length,
      replicationFactor: Math.max(0, ...partitions.map(({ replicas }) => replicas.length)),
    };
  } catch (error) {
    // It was not answered, or is there and has no leaders yet; "exists already" may be our own attempt that was not answered.
    const { code, message } = toAppError(error, `topic "${wanted.name}"`);
    throw new AppError(code, message, {
      cause: error,
      details: { effect: 'unknown' },
      nextStep: 'Whether it was created is not known: look at the topics of the cluster first.',
    });
  }
}

function toNewTopic({ name, partitions, replicationFactor, configs }: NewTopicText): NewTopic {
  const asked = replicationFactor ?? AS_BROKERS_SAY;
  return { name, partitions, replicationFactor: asked, configs: new Map(Object.entries(configs)) };
}

function refusalOf(error: BrokerError, topic: string): AppError | BrokerError {
  if (error.code === TOPIC_ALREADY_EXISTS)
    return new AppError('RESOURCE_CONFLICT', `There is a topic "${topic}" already.`, {
      cause: error,
      nextStep: 'Take another name, or use that one.',
    });
  if (!UNFIT.has(error.code)) return error;
  return new AppError('REQUEST_INVALID', `The cluster does not take the topic: ${error.message}`, {
    cause: error,
    nextStep: 'Correct what it names; nothing was created.',
  });
}
