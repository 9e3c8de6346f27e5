import { z } from 'zod';
import { newTopicSchema } from '../../new-topic.ts';
import { clusterKeys } from '../../resources.ts';
import { resolveSecurity, serverSecuritySchema } from '../../cluster-security.ts';
import { anyJson, count, foreignName, pageOf, pageQuery, resourceName, time } from '../common.ts';
import { defineRoute, json, on } from '../route.ts';

const byName = z.strictObject({ name: resourceName() });

/** As in a file, with the name beside the spec's keys: secrets are references, and a secret itself is refused. */
const statedCluster = z
  .strictObject({
    name: resourceName().refine(
      (name) => name !== 'purge',
      'must not be "purge", which a path has for another purpose',
    ),
    ...clusterKeys(serverSecuritySchema),
  })
  .check(({ value, issues }) => {
    resolveSecurity(value.security, value.provider, (key, message) => {
      issues.push({ code: 'custom', input: value.security, path: ['security', key], message });
    });
  });

/** Field names of kaf-mirror; its `brokers` may be one text with commas. */
const aliases = { brokers: 'bootstrap', cluster_id: 'id' };

const clusterSummary = z
  .strictObject({
    name: z.string(),
    provider: z.string(),
    bootstrap: z.array(z.string()),
    pinnedId: z.string().nullable(),
    status: z.enum(['active', 'inactive', 'archived']),
    createdAt: time(),
    updatedAt: time(),
    version: z.int(),
  })
  .meta({ id: 'ClusterSummary' });

const clusterDetail = clusterSummary
  .extend({ spec: z.record(z.string(), anyJson).describe('As it was stated; secrets are references') })
  .meta({ id: 'Cluster' });

export const troubleSchema = z
  .strictObject({ code: z.string(), message: z.string(), nextStep: z.string().nullable() })
  .meta({ id: 'Trouble' });

/** What was found a moment ago. */
export const clusterStatus = z
  .strictObject({
    name: z.string(),
    isReachable: z.boolean(),
    clusterId: z.string().nullable(),
    controller: z.int().nullable(),
    brokers: z.array(z.strictObject({ id: z.int(), address: z.string(), rack: z.string().nullable() })),
    topics: count().nullable(),
    partitions: count().nullable(),
    error: troubleSchema.nullable(),
    measuredAt: time(),
  })
  .meta({ id: 'ClusterStatus' });

const topicDetail = z
  .strictObject({
    name: foreignName(),
    partitions: count(),
    replicationFactor: count(),
    underReplicated: count().describe('Partitions with fewer replicas in sync than there are'),
    offline: count().describe('Partitions without a leader'),
    compression: z.string().nullable().describe('compression.type of the topic; null where it was not asked for'),
  })
  .meta({ id: 'TopicDetail' });

const newTopic = newTopicSchema.meta({ id: 'NewTopic' });

/** Of topics that are asked for: what stands against them is found out by asking the cluster. */
const CANNOT_BE_CREATED = ['RESOURCE_CONFLICT'] as const;

export const CANNOT_BE_ASKED = [
  'CLUSTER_UNREACHABLE',
  'CLUSTER_NOT_KAFKA',
  'CLUSTER_TLS_FAILED',
  'CLUSTER_AUTHENTICATION_FAILED',
  'CLUSTER_ADDRESS_DENIED',
  'CLUSTER_ANSWER_INVALID',
  'CLUSTER_ID_MISMATCH',
  'CLUSTER_API_UNSUPPORTED',
  'CLUSTER_REFUSED',
  'PERMISSION_DENIED',
  'SECRET_UNAVAILABLE',
] as const;

const provider = z
  .strictObject({
    name: z.string(),
    defaults: z
      .strictObject({
        protocol: z.string().nullable(),
        mechanism: z.string().nullable(),
        username: z.string().nullable(),
      })
      .describe('What "security" of a cluster need not say'),
    mechanisms: z.array(z.string()).nullable().describe('Null: every one'),
    limits: z.array(z.strictObject({ fact: z.string(), source: z.string() })),
  })
  .meta({ id: 'Provider' });

export const clusterRoutes = {
  listProviders: defineRoute({
    method: 'GET',
    path: '/api/v1/providers',
    tag: 'clusters',
    summary:
      'Who runs clusters that is known, what "security" need not say of them, and what is known to be missing there.',
    access: on('clusters:view', 'listed'),
    audit: null,
    answer: json(z.array(provider)),
  }),
  testCluster: defineRoute({
    method: 'POST',
    path: '/api/v1/clusters/test',
    tag: 'clusters',
    summary: 'Connects to a cluster that need not be known, and says what answers or why nothing does.',
    access: on('clusters:create', 'server'),
    audit: 'cluster.test',
    body: statedCluster,
    aliases,
    answer: json(clusterStatus),
  }),
  listClusters: defineRoute({
    method: 'GET',
    path: '/api/v1/clusters',
    tag: 'clusters',
    summary: 'The clusters that are known.',
    access: on('clusters:view', 'listed'),
    audit: null,
    query: z.strictObject({
      ...pageQuery(['name', 'createdAt', 'updatedAt']),
      status: z.enum(['active', 'inactive', 'archived']).optional(),
    }),
    answer: json(pageOf(clusterSummary)),
  }),
  createCluster: defineRoute({
    method: 'POST',
    path: '/api/v1/clusters',
    tag: 'clusters',
    summary: 'Adds a cluster.',
    access: on('clusters:create', 'named'),
    audit: 'cluster.create',
    isRepeatable: true,
    body: statedCluster,
    aliases,
    answer: json(clusterDetail, 201),
    errors: ['RESOURCE_CONFLICT'],
  }),
  purgeClusters: defineRoute({
    method: 'DELETE',
    path: '/api/v1/clusters/purge',
    tag: 'clusters',
    summary: 'Deletes the archived clusters for good.',
    access: on('clusters:delete', 'server'),
    audit: 'cluster.purge',
    needsStepUp: true,
    answer: json(z.strictObject({ purged: z.array(z.string()) })),
  }),
  getCluster: defineRoute({
    method: 'GET',
    path: '/api/v1/clusters/:name',
    tag: 'clusters',
    summary: 'One cluster, as it was stated.',
    access: on('clusters:view', { cluster: 'name' }),
    audit: null,
    hasVersion: true,
    params: byName,
    answer: json(clusterDetail),
  }),
  updateCluster: defineRoute({
    method: 'PUT',
    path: '/api/v1/clusters/:name',
    tag: 'clusters',
    summary: 'Replaces what is stated of a cluster. Jobs that use it restart with it.',
    access: on('clusters:edit', { cluster: 'name' }),
    audit: 'cluster.update',
    hasVersion: true,
    params: byName,
    body: statedCluster,
    aliases,
    answer: json(clusterDetail),
    errors: ['RESOURCE_CONFLICT'],
  }),
  deleteCluster: defineRoute({
    method: 'DELETE',
    path: '/api/v1/clusters/:name',
    tag: 'clusters',
    summary:
      'Takes a cluster out of use, unless a job uses it; it is archived after 72 hours, and can be restored until it is purged.',
    access: on('clusters:delete', { cluster: 'name' }),
    audit: 'cluster.delete',
    hasVersion: true,
    params: byName,
    answer: json(clusterSummary, 202),
    errors: ['RESOURCE_CONFLICT'],
  }),
  restoreCluster: defineRoute({
    method: 'POST',
    path: '/api/v1/clusters/:name/restore',
    tag: 'clusters',
    summary: 'Takes a cluster into use again.',
    access: on('clusters:delete', { cluster: 'name' }),
    audit: 'cluster.restore',
    params: byName,
    answer: json(clusterSummary),
    errors: ['RESOURCE_CONFLICT'],
  }),
  getClusterStatus: defineRoute({
    method: 'GET',
    path: '/api/v1/clusters/:name/status',
    tag: 'clusters',
    summary: 'What answers now, or why nothing does.',
    access: on('clusters:view', { cluster: 'name' }),
    audit: null,
    params: byName,
    answer: json(clusterStatus),
  }),
  listClusterTopics: defineRoute({
    method: 'GET',
    path: '/api/v1/clusters/:name/topics',
    tag: 'clusters',
    summary: 'Topic names, as the cluster says now.',
    access: on('clusters:view', { cluster: 'name' }),
    audit: null,
    params: byName,
    query: z.strictObject(pageQuery(['name'])),
    answer: json(pageOf(foreignName())),
    errors: CANNOT_BE_ASKED,
  }),
  getTopicDetails: defineRoute({
    method: 'GET',
    path: '/api/v1/clusters/:name/topic-details',
    tag: 'clusters',
    summary: 'Partitions, replicas and compression of topics, as the cluster says now.',
    access: on('clusters:view', { cluster: 'name' }),
    audit: null,
    params: byName,
    query: z.strictObject({
      ...pageQuery(['name', 'partitions', 'underReplicated']),
      topics: z
        .string()
        .max(25_000)
        .transform((text) => text.split(',').filter((name) => name !== ''))
        .optional()
        .describe('Names with commas between them; without it all'),
    }),
    answer: json(pageOf(topicDetail)),
    errors: CANNOT_BE_ASKED,
  }),
  foreseeTopic: defineRoute({
    method: 'POST',
    path: '/api/v1/clusters/:name/topics/plan',
    tag: 'clusters',
    summary:
      'Has the cluster check a topic, with its own policies, and says what settings it would have; creates none.',
    access: on('topics:create', 'named'),
    audit: null,
    params: byName,
    body: newTopic,
    answer: json(
      newTopicSchema
        .extend({
          settings: z
            .record(z.string(), z.string().nullable())
            .nullable()
            .describe('All that it would have; null where they may not be read'),
        })
        .meta({ id: 'ForeseenTopic' }),
    ),
    errors: [...CANNOT_BE_ASKED, ...CANNOT_BE_CREATED],
  }),
  createTopic: defineRoute({
    method: 'POST',
    path: '/api/v1/clusters/:name/topics',
    tag: 'clusters',
    summary: 'Creates a topic on a cluster, and answers when each of its partitions has a leader.',
    access: on('topics:create', 'named'),
    audit: 'topic.create',
    isRepeatable: true,
    params: byName,
    body: newTopic,
    answer: json(
      z
        .strictObject({ name: z.string(), topicId: z.string(), partitions: count(), replicationFactor: count() })
        .meta({ id: 'CreatedTopic' }),
      201,
    ),
    errors: [...CANNOT_BE_ASKED, ...CANNOT_BE_CREATED],
  }),
  listSourceTopics: defineRoute({
    method: 'GET',
    path: '/api/v1/topics/source',
    tag: 'clusters',
    summary: 'The topics of all clusters from which a job copies.',
    access: on('clusters:view', 'listed'),
    audit: null,
    query: z.strictObject(pageQuery(['topic'])),
    answer: json(pageOf(z.strictObject({ cluster: z.string(), topic: foreignName() }))),
    errors: CANNOT_BE_ASKED,
  }),
  listTargetTopics: defineRoute({
    method: 'GET',
    path: '/api/v1/topics/target',
    tag: 'clusters',
    summary: 'The topics of all clusters to which a job copies.',
    access: on('clusters:view', 'listed'),
    audit: null,
    query: z.strictObject(pageQuery(['topic'])),
    answer: json(pageOf(z.strictObject({ cluster: z.string(), topic: foreignName() }))),
    errors: CANNOT_BE_ASKED,
  }),
};
