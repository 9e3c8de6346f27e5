/**
 * Mirrors as a user who holds exactly the rights of docs/permissions.md and no other: the documented data are what is
 * granted. Clusters must be started with `secure: leastRightsUsers`; workloads and checkers keep to their plain listener.
 */
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { beforeAll } from 'vitest';
import { parseDocuments } from '#contract/documents.ts';
import type { MirrorPermissions, MirrorPlan, Right } from '#contract/plan.ts';
import { mirrorSchema, type ClusterResource } from '#contract/resources.ts';
import { createSecurity } from '#jobs/cluster-secrets.ts';
import { Cluster } from '#kafka/cluster.ts';
import { FramePool } from '#kafka/frame.ts';
import { accessOf } from '#mirror/access.ts';
import { planMirror } from '#mirror/plan.ts';
import { permissionsOf } from '#mirror/rights.ts';
import type { KafkaCluster } from '#testing/kafka-cluster.ts';
import { temporaryDirectory } from '#testing/supervisor.ts';
import { runAdmin, type Acl } from '#testing/topic-admin.ts';
import { assert, must } from '#util/assert.ts';
import { systemHost } from '#util/host.ts';
import { linkText, writeLink, type Link, type MirrorSpec } from './link-file.ts';

export const mirrorUser = 'mirror';
const password = 'the mirror and nobody else';

/** The option `secure` of clusters whose mirror user has no right until it is granted. */
export const leastRightsUsers = { users: { [mirrorUser]: password } } as const;

export interface SecurePair {
  readonly source: KafkaCluster;
  readonly target: KafkaCluster;
}

/** A file in which both clusters are reached as the mirror's user, with the password in a file of its own. */
export function leastRightsLink({ source, target }: SecurePair, mirrors: Link['mirrors']): Link {
  const file = join(temporaryDirectory('mirror'), 'password');
  writeFileSync(file, password);
  const security = {
    protocol: 'SASL_PLAINTEXT',
    mechanism: 'SCRAM-SHA-512',
    username: mirrorUser,
    password: { file },
  };
  return {
    source: source.doors.saslPlaintext,
    target: target.doors.saslPlaintext,
    sourceSecurity: security,
    targetSecurity: security,
    mirrors,
  };
}

/**
 * Declares the files of a suite, beside its tests: the documented rights of all their mirrors, and nothing else, are
 * granted before the first test, at the price of one start of the admin tool on each side. `plan`: those of the plan too.
 *
 *     const declare = leastRightsFiles(() => ({ source: cluster('source'), target: cluster('target') }));
 *     const orders = declare({ orders: { topics: [{ match: 'orders' }] } });
 *     test('…', async () => { await runUntilCaughtUp(orders()) … });
 */
export function leastRightsFiles(
  pair: () => SecurePair,
  options: { readonly plan?: boolean } = {},
): (mirrors: Link['mirrors']) => () => string {
  const declared: Record<string, MirrorSpec> = {};
  let areGranted = false;
  beforeAll(async () => {
    const entries = Object.entries(declared);
    const ofPlan = options.plan ? entries.flatMap(([name, spec]) => planRights(name, spec)) : [];
    await grant(pair(), [...entries.flatMap(([name, spec]) => leastRights(name, spec)), ...ofPlan]);
    areGranted = true;
  });
  return (mirrors) => {
    assert(!areGranted, 'mirrors are declared before the first test');
    Object.assign(declared, mirrors);
    return () => writeLink(leastRightsLink(pair(), mirrors));
  };
}

/** The documented rights of a mirror, without those that only the plan can use. */
export function leastRights(name: string, spec: MirrorSpec): Right[] {
  return permissions(name, spec).rights.filter(({ stops }) => stops !== 'plan');
}

/** The rights that only the plan can use. */
export function planRights(name: string, spec: MirrorSpec): Right[] {
  return permissions(name, spec).rights.filter(({ stops }) => stops === 'plan');
}

function permissions(name: string, spec: MirrorSpec): MirrorPermissions {
  const resource = mirrorSchema.parse({
    apiVersion: 'lockstep/v1',
    kind: 'Mirror',
    metadata: { name },
    spec: { source: 'east', target: 'west', ...spec },
  });
  const access = (cluster: string) => ({ cluster, bootstrap: cluster, principal: `User:${mirrorUser}`, how: 'a test' });
  return permissionsOf(resource, { source: access('east'), target: access('west') });
}

export function aclOf({ resourceType, resource, pattern, operation }: Right): Acl {
  return {
    user: mirrorUser,
    operation: operation.toLowerCase(),
    resource: resourceType === 'transactional-id' ? 'transactional_id' : resourceType,
    name: resource,
    pattern,
  };
}

/** As docs/permissions.md says, brokers before 3.8 want CLUSTER_ACTION in the place of ALTER on the cluster. */
function aclOn({ version }: KafkaCluster, right: Right): Acl {
  const isMarkers = right.resourceType === 'cluster' && right.operation === 'ALTER';
  return aclOf(isMarkers && /^3\.[0-7]\./.test(version) ? { ...right, operation: 'CLUSTER_ACTION' } : right);
}

/** Grants rights, by default the documented ones of these mirrors; returns when every broker knows them. */
export async function grantLeastRights(pair: SecurePair, mirrors: Link['mirrors']): Promise<Right[]> {
  const rights = Object.entries(mirrors).flatMap(([name, spec]) => leastRights(name, spec));
  await grant(pair, rights);
  return rights;
}

export async function grant(pair: SecurePair, rights: readonly Right[]): Promise<void> {
  await changeAcls(pair, rights, (addAcls) => ({ addAcls }));
}

/** Fails where a right is not held. */
export async function revoke(pair: SecurePair, rights: readonly Right[]): Promise<void> {
  await changeAcls(pair, rights, (removeAcls) => ({ removeAcls }));
}

async function changeAcls(
  pair: SecurePair,
  rights: readonly Right[],
  step: (acls: readonly Acl[]) => { readonly addAcls: readonly Acl[] } | { readonly removeAcls: readonly Acl[] },
): Promise<void> {
  const bySide = Map.groupBy(rights, ({ side }) => side);
  await Promise.all(
    [...bySide].map(([side, each]) => {
      const acls = new Map(each.map((right) => aclOn(pair[side], right)).map((acl) => [JSON.stringify(acl), acl]));
      return runAdmin(pair[side].bootstrap, [step([...acls.values()])]);
    }),
  );
}

/**
 * What `lockstep plan` finds, as the mirror's user, asked in this process: a test asks many times, and a process is slow
 * to start.
 */
export async function planAsMirror(
  pair: SecurePair,
  {
    name,
    mirror,
    ...options
  }: { readonly name: string; readonly mirror: MirrorSpec; readonly rateBytesPerSecond?: number },
): Promise<MirrorPlan> {
  const text = linkText(leastRightsLink(pair, { [name]: mirror }));
  const { clusters, mirrors } = parseDocuments([{ path: 'link.yaml', text }]);
  const [east, west] = [must(clusters[0], 'east'), must(clusters[1], 'west')];
  const opened = [open(east), open(west)] as const;
  try {
    await Promise.all(opened.map((cluster) => cluster.connect()));
    const access = { source: accessOf(east), target: accessOf(west) };
    return await planMirror(must(mirrors[0], 'mirror'), ...opened, { access, ...options });
  } finally {
    for (const cluster of opened) cluster.close();
  }
}

function open({ metadata, spec }: ClusterResource): Cluster {
  const host = { ...systemHost, environment: {} };
  return new Cluster({
    name: metadata.name,
    bootstrap: spec.bootstrap,
    network: host.network,
    clock: host.clock,
    random: host.random,
    pool: new FramePool({ bytesMax: 16 * 1024 * 1024 }),
    security: must(
      createSecurity(spec.security, host, { onTrouble: () => {}, signal: new AbortController().signal }),
      'security',
    ),
  });
}

/** The ACLs of a cluster as Kafka's own client lists them. */
export async function heldAcls(cluster: KafkaCluster): Promise<Acl[]> {
  const [acls] = (await runAdmin(cluster.bootstrap, [{ describeAcls: 'all' }])) as [Acl[]];
  return must(acls, 'answer of describeAcls');
}
