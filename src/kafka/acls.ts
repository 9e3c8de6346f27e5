/** ACLs of a cluster: read all, created and deleted one by one as they are named (KIP-140, KIP-290). */
import type { Cluster } from './cluster.ts';
import { BrokerError, MalformedFrameError } from './errors.ts';
import { createAcls as createAclsApi } from './protocol/create-acls.ts';
import { deleteAcls as deleteAclsApi } from './protocol/delete-acls.ts';
import { describeAcls } from './protocol/describe-acls.ts';
import { errorCodes, errorOf } from './protocol/error-codes.ts';
import { retrying } from './retry.ts';

const ANY = 1;
/** A controller writes at most 10,000 records at once (QuorumController.MAX_RECORDS_PER_USER_OP). */
const ACLS_PER_REQUEST = 500;

/** org.apache.kafka.common.resource.ResourceType; `user` is whose delegation tokens somebody may make or see (KIP-373). */
const TYPES = {
  2: 'topic',
  3: 'group',
  4: 'cluster',
  5: 'transactional-id',
  6: 'delegation-token',
  7: 'user',
} as const;
const PATTERNS = { 3: 'literal', 4: 'prefixed' } as const;
const PERMISSIONS = { 2: 'deny', 3: 'allow' } as const;
/** AclOperation of Kafka. */
const OPERATIONS = {
  2: 'ALL',
  3: 'READ',
  4: 'WRITE',
  5: 'CREATE',
  6: 'DELETE',
  7: 'ALTER',
  8: 'DESCRIBE',
  9: 'CLUSTER_ACTION',
  10: 'DESCRIBE_CONFIGS',
  11: 'ALTER_CONFIGS',
  12: 'IDEMPOTENT_WRITE',
  13: 'CREATE_TOKENS',
  14: 'DESCRIBE_TOKENS',
  15: 'TWO_PHASE_COMMIT',
} as const;

export type AclResourceType = (typeof TYPES)[keyof typeof TYPES];
export type AclOperation = (typeof OPERATIONS)[keyof typeof OPERATIONS];

/** What somebody may, or may not, do with resources of a name. A literal `*` is every name. */
export interface AclPattern {
  readonly resourceType: AclResourceType;
  readonly pattern: (typeof PATTERNS)[keyof typeof PATTERNS];
  readonly name: string;
}

export interface Acl extends AclPattern {
  /** `User:alice`; `User:*` is everybody. */
  readonly principal: string;
  /** An address; `*` is every one. */
  readonly host: string;
  /** `UNKNOWN` is an operation of a later Kafka. */
  readonly operation: AclOperation | 'UNKNOWN';
  readonly permission: (typeof PERMISSIONS)[keyof typeof PERMISSIONS];
}

/**
 * All ACLs of a cluster; null where it has no authorizer, and so no ACLs. Those of resources that only a later Kafka
 * knows are left out. Needs DESCRIBE on the cluster. Throws KafkaError; 31 without it.
 */
export async function readAcls(
  cluster: Cluster,
  /** As one broker acts by them: those that were just created reach each a moment later. */
  { broker = 'any' }: { readonly broker?: number | 'any' } = {},
): Promise<Acl[] | null> {
  const every = {
    resourceTypeFilter: ANY,
    resourceNameFilter: null,
    patternTypeFilter: ANY,
    principalFilter: null,
    hostFilter: null,
    operation: ANY,
    permissionType: ANY,
  };
  const ask = async () => {
    const { errorCode, errorMessage, resources } = await cluster.call(describeAcls, every, { broker });
    if (errorCode === errorCodes.SECURITY_DISABLED) return null;
    if (errorCode !== 0)
      throw new BrokerError(errorOf(errorCode), 'DescribeAcls', `cluster "${cluster.name}"`, errorMessage);
    return resources;
  };
  const resources = await retrying(cluster, ask, { repeatable: true });
  if (resources === null) return null;
  return resources.flatMap(({ resourceType, resourceName, patternType, acls }) =>
    acls.flatMap(({ principal, host, operation, permissionType }) => {
      const type = valueOf(TYPES, resourceType);
      const pattern = valueOf(PATTERNS, patternType);
      const permission = valueOf(PERMISSIONS, permissionType);
      if (type === null || pattern === null || permission === null) return [];
      const known = valueOf(OPERATIONS, operation) ?? 'UNKNOWN';
      return [{ resourceType: type, pattern, name: resourceName, principal, host, operation: known, permission }];
    }),
  );
}

/**
 * Creates ACLs in their order; one that is there already stays. Needs ALTER on the cluster. Throws KafkaError, then
 * those before the refused one may be there.
 */
export async function createAcls(cluster: Cluster, acls: readonly Acl[]): Promise<void> {
  for (const chunk of chunksOf(acls)) {
    const creations = chunk.map(({ pattern, name, ...acl }) => ({
      ...codesOf(acl),
      resourceName: name,
      resourcePatternType: codeOf(PATTERNS, pattern),
      principal: acl.principal,
      host: acl.host,
    }));
    const ask = async () => {
      const { results } = await cluster.call(createAclsApi, { creations }, { broker: 'controller' });
      for (const [i, acl] of chunk.entries()) throwError(results[i], 'CreateAcls', acl);
    };
    await retrying(cluster, ask, { repeatable: true });
  }
}

/** Deletes exactly these; one that is not there is none. Needs ALTER on the cluster. Throws KafkaError as `createAcls`. */
export async function deleteAcls(cluster: Cluster, acls: readonly Acl[]): Promise<void> {
  for (const chunk of chunksOf(acls)) {
    const filters = chunk.map(({ pattern, name, ...acl }) => {
      const { resourceType, operation, permissionType } = codesOf(acl);
      return {
        resourceTypeFilter: resourceType,
        resourceNameFilter: name,
        patternTypeFilter: codeOf(PATTERNS, pattern),
        principalFilter: acl.principal,
        hostFilter: acl.host,
        operation,
        permissionType,
      };
    });
    const ask = async () => {
      const { filterResults } = await cluster.call(deleteAclsApi, { filters }, { broker: 'controller' });
      for (const [i, acl] of chunk.entries()) {
        throwError(filterResults[i], 'DeleteAcls', acl);
        for (const deleted of filterResults[i]?.matchingAcls ?? []) throwError(deleted, 'DeleteAcls', acl);
      }
    };
    await retrying(cluster, ask, { repeatable: true });
  }
}

/** The same text for the same ACL, in the order of Kafka's own listing: a key, and what a person reads. */
export function aclText({ permission, principal, host, operation, resourceType, pattern, name }: Acl): string {
  const resource = resourceType === 'cluster' ? 'cluster' : `${resourceType} ${name}`;
  const prefixed = pattern === 'prefixed' ? ' (prefixed)' : '';
  return `${permission.toUpperCase()} ${operation} on ${resource}${prefixed} for ${principal} from ${host}`;
}

function codesOf({ resourceType, operation, permission }: Pick<Acl, 'resourceType' | 'operation' | 'permission'>) {
  return {
    resourceType: codeOf(TYPES, resourceType),
    operation: codeOf(OPERATIONS, operation),
    permissionType: codeOf(PERMISSIONS, permission),
  };
}

function valueOf<T>(table: Readonly<Record<number, T>>, code: number): T | null {
  return table[code] ?? null;
}

/** 0 is UNKNOWN in every table, which no broker takes. */
function codeOf(table: Readonly<Record<number, string>>, value: string): number {
  return Number(Object.entries(table).find(([, each]) => each === value)?.[0] ?? 0);
}

function throwError(
  result: { readonly errorCode: number; readonly errorMessage: string | null } | undefined,
  api: string,
  acl: Acl,
): void {
  if (!result) throw new MalformedFrameError(`${api} left out ${aclText(acl)}`);
  if (result.errorCode !== 0) throw new BrokerError(errorOf(result.errorCode), api, aclText(acl), result.errorMessage);
}

function chunksOf<T>(items: readonly T[]): T[][] {
  const count = Math.ceil(items.length / ACLS_PER_REQUEST);
  return Array.from({ length: count }, (_, i) => items.slice(i * ACLS_PER_REQUEST, (i + 1) * ACLS_PER_REQUEST));
}
