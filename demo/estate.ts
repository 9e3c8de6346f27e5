/** The two clusters of the demo, the topics of a small payment platform on one of them, and the file that links them. */
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { startCluster } from '#testing/kafka-cluster.ts';
import type { KafkaCluster } from '#testing/kafka-cluster.ts';
import { temporaryDirectory } from '#testing/supervisor.ts';
import { createTopics } from '#testing/topic-admin.ts';
import type { NewTopic } from '#testing/topic-admin.ts';
import { partitionsUpTo, spawnLiveTraffic } from '#testing/workload.ts';
import type { LiveTraffic, RecordStream } from '#testing/workload.ts';

interface DemoTopic extends NewTopic {
  readonly stream: Omit<RecordStream, 'name' | 'topic' | 'partitions'> & { readonly recordsPerSecond: number };
}

/** One topic of each kind that a mirror must get right. */
export const topics: readonly DemoTopic[] = [
  {
    name: 'payments.authorised',
    partitions: 4,
    stream: { recordsPerSecond: 120, valueBytes: 300, headers: 'plain' },
  },
  {
    name: 'payments.settled',
    partitions: 4,
    stream: { recordsPerSecond: 70, valueBytes: 250, codec: 'lz4', lingerMs: 100, headers: 'odd' },
  },
  {
    name: 'ledger.entries',
    partitions: 3,
    stream: {
      recordsPerSecond: 80,
      valueBytes: 200,
      transactions: { producers: 3, abortRate: 0.2, records: [4, 24] },
    },
  },
  {
    name: 'fraud.scores',
    partitions: 3,
    stream: { recordsPerSecond: 60, keys: 'mixed', valueBytes: 120, codec: 'zstd', lingerMs: 50 },
  },
  {
    name: 'customers.profiles',
    partitions: 2,
    configs: { 'cleanup.policy': 'compact' },
    stream: { recordsPerSecond: 30, keys: { cycle: 500 }, nullValueRate: 0.05, valueBytes: 400, codec: 'snappy' },
  },
  {
    name: 'audit.events',
    partitions: 2,
    configs: { 'message.timestamp.type': 'LogAppendTime' },
    stream: { recordsPerSecond: 30, keys: 'null', valueBytes: 180, codec: 'gzip' },
  },
];

export const topicNames = topics.map((topic) => topic.name);
export const partitionCount = topics.reduce((sum, topic) => sum + topic.partitions, 0);
export const recordsPerSecond = topics.reduce((sum, topic) => sum + topic.stream.recordsPerSecond, 0);

/** Both clusters, at the same time. */
export async function startClusters(): Promise<{ east: KafkaCluster; west: KafkaCluster }> {
  const [east, west] = await Promise.all([startCluster({ name: 'east' }), startCluster({ name: 'west' })]);
  return { east, west };
}

export async function createEastTopics(east: KafkaCluster): Promise<void> {
  const wanted = topics.map(({ name, partitions, configs = {} }) => ({ name, partitions, configs }));
  await createTopics(east.bootstrap, wanted);
}

export function startTraffic(east: KafkaCluster): Promise<LiveTraffic> {
  const streams = topics.map(({ name, partitions, stream }) => ({
    ...stream,
    name,
    topic: name,
    partitions: partitionsUpTo(partitions),
  }));
  return spawnLiveTraffic(east.bootstrap, streams, { run: 'demo' });
}

/** Writes what `lockstep run -f` takes; returns the path. */
export function writeLinkFile(east: KafkaCluster, west: KafkaCluster): string {
  const path = join(temporaryDirectory('demo'), 'link.yaml');
  writeFileSync(path, linkDocuments(east, west));
  return path;
}

function linkDocuments(east: KafkaCluster, west: KafkaCluster): string {
  const cluster = (name: string, { bootstrap, clusterId }: KafkaCluster): string =>
    [
      'apiVersion: lockstep/v1',
      'kind: Cluster',
      `metadata: { name: ${name} }`,
      'spec:',
      `  bootstrap: [ ${bootstrap.map((address) => JSON.stringify(address)).join(', ')} ]`,
      `  id: ${JSON.stringify(clusterId)}`,
    ].join('\n');
  const mirror = [
    'apiVersion: lockstep/v1',
    'kind: Mirror',
    'metadata: { name: east-to-west }',
    'spec:',
    '  source: east',
    '  target: west',
    '  topics:',
    '    - { match: /^payments\\..+$/ }   # an anchored regular expression',
    ...topicNames.filter((name) => !name.startsWith('payments.')).map((name) => `    - { match: ${name} }`),
    '  transactions: committed-only       # what was aborted on east is not on west',
  ].join('\n');
  return `${[cluster('east', east), cluster('west', west), mirror].join('\n---\n')}\n`;
}
