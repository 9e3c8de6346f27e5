/** What was on the clusters at a moment, and what has become of it since. */
import { z } from 'zod';
import { anyJson, count, foreignName, pageOf, pageQuery, resourceName, time } from '../common.ts';
import { defineRoute, json, on } from '../route.ts';

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
    facts: anyJson.describe('Cluster id, controller and brokers, as they were'),
    topics: count(),
    partitions: count(),
    groups: count(),
  })
  .meta({ id: 'Snapshot' });

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
    errors: ['CLUSTER_UNREACHABLE', 'CLUSTER_REFUSED', 'CLUSTER_AUTHENTICATION_FAILED', 'CLUSTER_TLS_FAILED'],
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
  listSnapshotTopics: defineRoute({
    method: 'GET',
    path: '/api/v1/inventory/snapshots/:sid/topics',
    tag: 'inventory',
    summary: 'Topics, as they were.',
    access: on('inventory:view', { snapshot: 'sid' }),
    audit: null,
    params: bySnapshot,
    query: z.strictObject(pageQuery(['name', 'partitions', 'replicationFactor', 'underReplicated', 'records'])),
    answer: json(
      pageOf(
        z
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
          .meta({ id: 'SnapshotTopic' }),
      ),
    ),
  }),
  listSnapshotGroups: defineRoute({
    method: 'GET',
    path: '/api/v1/inventory/snapshots/:sid/consumer-groups',
    tag: 'inventory',
    summary: 'Consumer groups, as they were.',
    access: on('inventory:view', { snapshot: 'sid' }),
    audit: null,
    params: bySnapshot,
    query: z.strictObject(pageQuery(['groupId', 'members'])),
    answer: json(
      pageOf(
        z
          .strictObject({ groupId: foreignName(), state: z.string(), protocol: z.string(), members: count() })
          .meta({ id: 'SnapshotGroup' }),
      ),
    ),
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
