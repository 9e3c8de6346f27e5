/** A topic that somebody asks for. */
import { z } from 'zod';
import { topicNameProblem } from './topic-pattern.ts';

const PARTITIONS_MAX = 10_000;
const REPLICAS_MAX = 100;

const topicName = z
  .string()
  .max(249)
  .check(({ value, issues }) => {
    const isReserved = value.startsWith('__'); // Kafka's own, and ours
    const problem = isReserved
      ? 'names that begin with "__" are those of Kafka and of Lockstep'
      : topicNameProblem(value);
    if (problem !== null) issues.push({ code: 'custom', input: value, message: `is no name for a topic: ${problem}` });
  });

export const newTopicSchema = z.strictObject({
  name: topicName,
  partitions: z.int().min(1).max(PARTITIONS_MAX),
  replicationFactor: z
    .int()
    .min(1)
    .max(REPLICAS_MAX)
    .nullable()
    .default(null)
    .describe('Null: as the brokers are set (default.replication.factor)'),
  configs: z
    .record(z.string().min(1).max(249), z.string().max(10_000))
    .default({})
    .describe('Settings of the topic that differ from those of the brokers'),
});

export type NewTopicText = z.infer<typeof newTopicSchema>;
