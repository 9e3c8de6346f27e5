/** What was on the clusters at a moment, and what has become of it since. */
import { z } from 'zod';
import {
  anyJson,
  count,
  foreignName,
  groupOffset,
  pageLimit,
  pageOf,
  pageQuery,
  resourceName,
  time,
} from '../common.ts';
import { defineRoute, json, on } from '../route.ts';
import { CANNOT_BE_ASKED } from './clusters.ts';

const byJob = z.strictObject({ id: resourceName() });
const snapshotId = () => z.coerce.number().int().min(0);
const bySnapshot = z.strictObject({ sid: snapshotId() });

const snapshotSchema = z
  .strictObject({
    id: z.int(),
    cluster: z.string(),
    jobId: z.string().nullable(),
    side: z.enum(['source', 'target']).nullable(),
    trigger: z.enum(['startup', 'periodic', 'manual']),
    takenBy: z.string().nullable(),
    takenAt: time(),
    facts: anyJson.describe('Cluster id, controller, brokers and connections, as they were'),
    topics: count(),
    partitions: count(),
    groups: count(),
  })
  .meta({ id: 'Snapshot' });

const snapshotTopic = z
  .strictObject({
    name: foreignName(),
    topicId: z.string().nullable(),
    isInternal: z.boolean(),
    partitions: count(),
    replicationFactor: count(),
    underReplicated: count(),
    records: count().nullable(),
    configs: z.record(z.string(), z.string()).nullable(),
  })
  .meta({ id: 'SnapshotTopic' });

const snapshotGroup = z
  .strictObject({ groupId: foreignName(), state: z.string(), protocol: z.string(), members: count().nullable() })
  .meta({ id: 'SnapshotGroup' });

const connection = z
  .strictObject({
    type: z.enum(['source_consumer', 'target_producer']),
    provider: z.string(),
    protocol: z.string(),
    mechanism: z.string().nullable().describe('Null: no login'),
    isEncrypted: z.boolean(),
    responseMs: z.number().describe('How long the cluster took to describe itself'),
  })
  .meta({ id: 'SnapshotConnection' });

const clusterFacts = z
  .strictObject({
    clusterId: z.string().nullable(),
    controller: z.int().nullable(),
    brokers: z.array(z.strictObject({ id: z.int(), address: z.string(), rack: z.string().nullable() })),
  })
  .meta({ id: 'SnapshotCluster' });

/** What every part is asked with. */
const part = <const Path extends string>(path: Path, summary: string) =>
  ({
    method: 'GET',
    path: `/api/v1/inventory/snapshots/:sid/${path}`,
    tag: 'inventory',
    summary,
    access: on('inventory:view', { snapshot: 'sid' }),
    audit: null,
    params: bySnapshot,
  }) as const;

export const inventoryRoutes = {
  listSnapshots: defineRoute({
    method: 'GET',
    path: '/api/v1/jobs/:id/inventory/snapshots',
    tag: 'inventory',
    summary: 'Snapshots that were taken of the clusters of a job.',
    access: on('inventory:view', { job: 'id' }),
    audit: null,
    params: byJob,
    query: z.strictObject({ ...pageQuery(['takenAt']), side: z.enum(['source', 'target']).optional() }),
    answer: json(pageOf(snapshotSchema)),
  }),
  takeSnapshots: defineRoute({
    method: 'POST',
    path: '/api/v1/jobs/:id/inventory/snapshots',
    tag: 'inventory',
    summary:
      'Takes a snapshot of both clusters of a job: topics, partitions with their offsets, and groups, as they say now.',
    access: on('inventory:create', { job: 'id' }),
    audit: 'inventory.snapshot',
    isRepeatable: true,
    params: byJob,
    answer: json(z.array(snapshotSchema), 201),
    errors: CANNOT_BE_ASKED,
  }),
  getSnapshot: defineRoute({
    method: 'GET',
    path: '/api/v1/inventory/snapshots/:sid',
    tag: 'inventory',
    summary: 'One snapshot, without its parts.',
    access: on('inventory:view', { snapshot: 'sid' }),
    audit: null,
    params: bySnapshot,
    answer: json(snapshotSchema),
  }),
  getSnapshotCluster: defineRoute({
    ...part('cluster', 'The cluster itself, as it was.'),
    answer: json(clusterFacts),
  }),
  getSnapshotConnections: defineRoute({
    ...part('connections', 'How the job was connected to the cluster, and how quickly that answered.'),
    answer: json(z.array(connection)),
  }),
  listSnapshotPartitions: defineRoute({
    ...part('partitions', 'Partitions of a topic, as they were.'),
    query: z.strictObject({ topic: z.string().min(1).max(249) }),
    answer: json(
      z.array(
        z
          .strictObject({
            topic: foreignName(),
            partition: z.int(),
            leader: z.int().nullable(),
            replicas: z.array(z.int()),
            inSyncReplicas: z.array(z.int()),
            logStart: z.int().nullable(),
            highWatermark: z.int().nullable(),
          })
          .meta({ id: 'SnapshotPartition' }),
      ),
    ),
  }),
  listSnapshotOffsets: defineRoute({
    ...part('consumer-groups/offsets', 'Places of a group, as they were.'),
    query: z.strictObject({ group: z.string().min(1).max(4_096) }),
    answer: json(z.array(groupOffset)),
  }),
  getFullInventory: defineRoute({
    method: 'GET',
    path: '/api/v1/jobs/:id/inventory/full',
    tag: 'inventory',
    summary:
      'The newest snapshot of each side of a job with its parts; of topics and groups the first, and cursors for the rest.',
    access: on('inventory:view', { job: 'id' }),
    audit: null,
    params: byJob,
    query: z.strictObject({ limit: pageLimit() }),
    answer: json(
      z.array(
        z
          .strictObject({
            snapshot: snapshotSchema,
            cluster: clusterFacts,
            connections: z.array(connection),
            topics: pageOf(snapshotTopic),
            groups: pageOf(snapshotGroup),
          })
          .meta({ id: 'FullInventory' }),
      ),
    ),
  }),
  listSnapshotTopics: defineRoute({
    ...part('topics', 'Topics, as they were.'),
    query: z.strictObject(pageQuery(['name', 'partitions', 'replicationFactor', 'underReplicated', 'records'])),
    answer: json(pageOf(snapshotTopic)),
  }),
  listSnapshotGroups: defineRoute({
    ...part('consumer-groups', 'Consumer groups, as they were.'),
    query: z.strictObject(pageQuery(['groupId', 'members'])),
    answer: json(pageOf(snapshotGroup)),
  }),
  compareSnapshots: defineRoute({
    method: 'GET',
    path: '/api/v1/inventory/snapshots/:sid/differences/:other',
    tag: 'inventory',
    summary: 'What became of a snapshot to give another one of the same cluster.',
    access: on('inventory:view', { snapshot: 'sid' }),
    audit: null,
    params: z.strictObject({ sid: snapshotId(), other: snapshotId() }),
    query: z.strictObject({
      ...pageQuery(['name']),
      kind: z.enum(['topic', 'partition', 'group', 'offset']).optional(),
    }),
    answer: json(
      pageOf(
        z
          .strictObject({
            kind: z.enum(['topic', 'partition', 'group', 'offset']),
            name: foreignName(),
            change: z.enum(['added', 'removed', 'changed']),
            before: anyJson,
            after: anyJson,
          })
          .meta({ id: 'SnapshotDifference' }),
      ),
    ),
  }),
};
