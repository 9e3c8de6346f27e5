/** Which of the rights that a mirror needs our principal holds, asked without writing anything. */
import type { Right } from '#contract/plan.ts';
import type { Cluster } from '#kafka/cluster.ts';
import { UnsupportedApiError } from '#kafka/errors.ts';
import {
  clusterOperations,
  mayAlterConfigs,
  mayDeleteGroup,
  mayDescribeConfigs,
  mayDescribeGroup,
  mayReadGroup,
  mayWriteMarkers,
  mayWriteTransactionalId,
  topicOperations,
  type Operation,
  type Operations,
  type ValidatedTopic,
} from '#kafka/permissions.ts';
import { must } from '#util/assert.ts';
import { RIGHTS } from './rights.ts';

/** TOPIC_ and CLUSTER_AUTHORIZATION_FAILED, either of which refuses a creation. */
const CREATE_DENIED = new Set([29, 31]);

export interface CheckedRights {
  readonly missing: readonly Right[];
  /** Neither held nor missing for certain. */
  readonly unknown: readonly Right[];
}

/** `created`: what the controller made of the topics that would be created. Throws KafkaError. */
export async function checkRights(
  cluster: Cluster,
  rights: readonly Right[],
  created: ReadonlyMap<string, ValidatedTopic>,
): Promise<CheckedRights> {
  const topics = [...new Set(rights.flatMap((right) => (right.resourceType === 'topic' ? [nameUnder(right)] : [])))];
  const onTopics = await topicOperations(cluster, topics);
  const onCluster = rights.some(({ resourceType }) => resourceType === 'cluster')
    ? await clusterOperations(cluster)
    : 'unknown';
  const missing: Right[] = [];
  const unknown: Right[] = [];
  for (const right of rights) {
    const held = await isHeld(right, { cluster, onTopics, onCluster, created });
    if (held === false) missing.push(right);
    if (held === null) unknown.push(right);
  }
  return { missing, unknown };
}

interface Known {
  readonly cluster: Cluster;
  readonly onTopics: ReadonlyMap<string, Operations>;
  readonly onCluster: Operations;
  readonly created: ReadonlyMap<string, ValidatedTopic>;
}

/** Null where it cannot be learnt, also because a broker of another make does not know the request. */
async function isHeld(right: Right, known: Known): Promise<boolean | null> {
  try {
    return await askHeld(right, known);
  } catch (error) {
    if (!(error instanceof UnsupportedApiError)) throw error;
    return null;
  }
}

async function askHeld(right: Right, known: Known): Promise<boolean | null> {
  const { cluster } = known;
  const operation = right.operation as Operation;
  if (right.resourceType === 'transactional-id') {
    const id = right.pattern === 'prefixed' ? `${right.resource}preflight` : right.resource;
    return mayWriteTransactionalId(cluster, id);
  }
  if (right.resourceType === 'group') return askGroup(right, cluster);
  if (right.resourceType === 'cluster') {
    if (right.why === RIGHTS.markers.why) return mayWriteMarkers(cluster);
    return has(known.onCluster, operation);
  }
  const operations = must(known.onTopics.get(nameUnder(right)), 'operations of a topic');
  if (!isOneTopic(right)) return has(operations, operation) === true ? true : null; // those on single names are not seen
  if (operation === 'CREATE') {
    const validated = known.created.get(right.resource);
    return validated ? !CREATE_DENIED.has(validated.error?.code ?? 0) : null;
  }
  if (operations !== 'hidden') return has(operations, operation);
  // Not implied by DESCRIBE, and so perhaps held on a topic that is not shown.
  if (operation === 'ALTER_CONFIGS') return mayAlterConfigs(cluster, right.resource);
  if (operation === 'DESCRIBE_CONFIGS')
    return (await mayDescribeConfigs(cluster, [right.resource])).get(right.resource)!;
  return false;
}

/** Of a pattern a group is asked for that nobody has; rights on single groups are not seen then. */
async function askGroup(right: Right, cluster: Cluster): Promise<boolean | null> {
  const { resource, pattern, operation, stops } = right;
  const isOne = pattern === 'literal' && resource !== '*';
  const name = isOne ? resource : `${resource === '*' ? '' : resource}lockstep-preflight`;
  if (operation === 'DELETE') return isOne ? null : (await mayDeleteGroup(cluster, name)) || null; // one that is there would be gone
  const held = await (operation === 'READ' ? mayReadGroup(cluster, name) : mayDescribeGroup(cluster, name));
  return held || (isOne || stops === 'mirror' ? false : null);
}

/** What is hidden is not held: READ, WRITE, DELETE and ALTER imply DESCRIBE, which would have shown it. */
function has(operations: Operations, operation: Operation): boolean | null {
  if (operations === 'unknown') return null;
  if (operations !== 'hidden') return operations.has(operation);
  return operation === 'DESCRIBE_CONFIGS' || operation === 'ALTER_CONFIGS' ? null : false;
}

/** A topic that the right is about; under a pattern one that nobody has. */
function nameUnder(right: Right): string {
  return isOneTopic(right) ? right.resource : `${right.resource === '*' ? '' : right.resource}lockstep-preflight`;
}

function isOneTopic({ resourceType, pattern, resource }: Right): boolean {
  return resourceType === 'topic' && pattern === 'literal' && resource !== '*';
}
