/**
 * An anchor that is a topic, best on clusters of which the audited are not the administrators: `__lockstep.audit.checkpoints`,
 * one partition, never deleted. Only the anchor's principal should be allowed to write to it; what others write is ignored.
 */
import { must } from '#util/assert.ts';
import type { Cluster } from '#kafka/cluster.ts';
import { BrokerError } from '#kafka/errors.ts';
import { appendRecords, readTail } from '#kafka/simple-log.ts';
import { EARLIEST, LATEST, listOffsets } from '#kafka/offsets.ts';
import { ATTRIBUTE_CONTROL } from '#kafka/records/batch-header.ts';
import { openBatch } from '#kafka/records/open-batch.ts';
import { awaitPartitions, createTopic, TOPIC_ALREADY_EXISTS } from '#kafka/topics.ts';
import type { Clock } from '#util/clock.ts';
import type { Anchor } from './anchor.ts';

export const ANCHOR_TOPIC = '__lockstep.audit.checkpoints';
const UNKNOWN_TOPIC_OR_PARTITION = 3;
const PARTITION = 0;
const REPLICAS = 3;
/** Of the end of the topic, where other logs' checkpoints may stand between ours. */
const TAIL_OFFSETS = 10_000;
const TAIL_BYTES = 16 * 1024 * 1024;

export function createKafkaAnchor(
  cluster: Cluster,
  options: { readonly origin: string; readonly clock: Clock },
): Anchor {
  const { origin, clock } = options;
  const place = { topic: ANCHOR_TOPIC, partition: PARTITION };
  return {
    name: `topic ${ANCHOR_TOPIC} on ${cluster.name}`,
    async latest() {
      if (!(await exists(cluster))) return [];
      const [start, end] = await logBounds(cluster);
      const fromOffset = Math.max(start, end - TAIL_OFFSETS);
      const { batches } = await readTail(cluster, { ...place, fromOffset, maxBytes: TAIL_BYTES });
      return batches.flatMap(({ buffer, at }) => notesIn(buffer, at));
    },
    async publish(note) {
      if (!(await exists(cluster))) await create(cluster);
      const record = { key: Buffer.from(origin), value: Buffer.from(note), timestamp: clock.now() };
      await appendRecords(cluster, { ...place, records: [record] });
    },
  };
}

/** Of whichever log: anybody may have written them who may write to the topic. */
function notesIn(buffer: Buffer, at: number): string[] {
  const batch = openBatch(buffer, at);
  if ((batch.attributes & ATTRIBUTE_CONTROL) !== 0) return [];
  const records = Array.from({ length: batch.count }, (_, i) => batch.recordAt(i));
  return records.flatMap(({ value }) => (value === null ? [] : [value.toString()]));
}

async function exists(cluster: Cluster): Promise<boolean> {
  const topic = (await cluster.refresh([ANCHOR_TOPIC]))[0];
  return topic?.errorCode !== UNKNOWN_TOPIC_OR_PARTITION;
}

async function logBounds(cluster: Cluster): Promise<[number, number]> {
  await awaitPartitions(cluster, ANCHOR_TOPIC, 1);
  const queries = [EARLIEST, LATEST].map((timestamp) => ({ topic: ANCHOR_TOPIC, partition: PARTITION, timestamp }));
  const [start, end] = await listOffsets(cluster, queries);
  for (const answer of [start, end]) if (answer?.error) throw answer.error;
  return [must(start, 'log start').offset, must(end, 'log end').offset];
}

async function create(cluster: Cluster): Promise<void> {
  const replicationFactor = Math.min(REPLICAS, cluster.brokers().length);
  const configs = new Map([
    ['cleanup.policy', 'delete'],
    ['retention.ms', '-1'],
    ['retention.bytes', '-1'],
    ['min.insync.replicas', replicationFactor >= 3 ? '2' : '1'],
  ]);
  try {
    await createTopic(cluster, { name: ANCHOR_TOPIC, partitions: 1, replicationFactor, configs });
  } catch (error) {
    // Another Lockstep was first, or an attempt whose answer was lost.
    if (!(error instanceof BrokerError) || error.code !== TOPIC_ALREADY_EXISTS) throw error;
  }
}
