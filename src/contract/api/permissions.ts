/**
 * What somebody may do, and to what. A permission is an action on a kind of thing; a grant is permissions within a
 * scope; a role is a list of grants. Everything that no grant covers is denied.
 */

export const permissions = {
  'jobs:view': 'See jobs, their status, topics and incidents.',
  'jobs:create': 'Create jobs.',
  'jobs:edit': 'Change jobs.',
  'jobs:delete': 'Delete jobs.',
  'jobs:start': 'Start, resume and restart jobs.',
  'jobs:stop': 'Stop jobs.',
  'jobs:pause': 'Pause jobs.',
  'clusters:view': 'See clusters, their topics and groups.',
  'clusters:create': 'Add clusters, and try connections to new ones.',
  'clusters:edit': 'Change clusters.',
  'clusters:delete': 'Remove, restore and purge clusters.',
  'metrics:view': 'See rates, lag and their history.',
  'events:view': 'Read the audit log.',
  'users:list': 'See users and roles.',
  'users:create': 'Create users and reset passwords.',
  'users:delete': 'Delete users.',
  'users:assign-roles': 'Change the role of users, disable and enable them.',
  'roles:manage': 'Create, change and delete custom roles.',
  'config:view': 'See the configuration.',
  'config:edit': 'Change the configuration.',
  'compliance:generate': 'Make compliance reports.',
  'compliance:view': 'Read compliance reports.',
  'inventory:view': 'See inventory snapshots.',
  'inventory:create': 'Take inventory snapshots.',
  'mirror_state:view': 'See positions, gaps and resume points.',
  'mirror_state:analyze': 'Calculate resume points and validate mirrors.',
  'mirror_state:manage': 'Record checkpoints.',
} as const;

export type Permission = keyof typeof permissions;

export const permissionNames = Object.keys(permissions) as readonly Permission[];

/** All names given must match for a grant to apply; a name that is left out applies to everything. */
export interface Scope {
  readonly clusters?: readonly string[] | undefined;
  readonly topicPrefixes?: readonly string[] | undefined;
  readonly jobs?: readonly string[] | undefined;
}

export interface Grant {
  readonly permissions: readonly Permission[];
  readonly scope: Scope;
}

/** What an action is done to. */
export type Resource =
  | { readonly kind: 'server' }
  | { readonly kind: 'cluster'; readonly cluster: string }
  | { readonly kind: 'topic'; readonly cluster: string; readonly topic: string }
  | { readonly kind: 'job'; readonly job: string; readonly source: string; readonly target: string };

export const SERVER: Resource = { kind: 'server' };

export function isAllowed(grants: readonly Grant[], permission: Permission, resource: Resource): boolean {
  return grants.some((grant) => grant.permissions.includes(permission) && covers(grant.scope, resource));
}

/** Whether there can be anything on which `permission` is granted: lists are then shown, filtered. */
export function isAllowedSomewhere(grants: readonly Grant[], permission: Permission): boolean {
  return grants.some((grant) => grant.permissions.includes(permission));
}

/**
 * A job is covered by a scope of clusters when both of its clusters are: half of a mirror is not a thing to act on. What
 * concerns the whole server, users for example, is covered by an unlimited scope only.
 */
function covers({ clusters, topicPrefixes, jobs }: Scope, resource: Resource): boolean {
  const hasCluster = (name: string): boolean => clusters === undefined || clusters.includes(name);
  switch (resource.kind) {
    case 'server':
      return clusters === undefined && topicPrefixes === undefined && jobs === undefined;
    case 'cluster':
      return jobs === undefined && topicPrefixes === undefined && hasCluster(resource.cluster);
    case 'topic':
      return (
        jobs === undefined &&
        hasCluster(resource.cluster) &&
        (topicPrefixes === undefined || topicPrefixes.some((prefix) => resource.topic.startsWith(prefix)))
      );
    case 'job':
      return (
        topicPrefixes === undefined &&
        (jobs === undefined || jobs.includes(resource.job)) &&
        hasCluster(resource.source) &&
        hasCluster(resource.target)
      );
  }
}

const everywhere = (...names: Permission[]): readonly Grant[] => [{ permissions: names, scope: {} }];

const WATCHING = [
  'jobs:view',
  'clusters:view',
  'metrics:view',
  'events:view',
  'inventory:view',
] as const satisfies Permission[];

/** They cannot be changed or deleted. */
export const builtInRoles = {
  admin: everywhere(...permissionNames),
  operator: everywhere(
    ...WATCHING,
    'jobs:start',
    'jobs:stop',
    'jobs:pause',
    'jobs:edit',
    'clusters:edit',
    'inventory:create',
    'mirror_state:view',
    'mirror_state:analyze',
    'mirror_state:manage',
  ),
  monitoring: everywhere(...WATCHING, 'mirror_state:view'),
  compliance: everywhere(...WATCHING, 'compliance:generate', 'compliance:view'),
} as const satisfies Record<string, readonly Grant[]>;

export type BuiltInRole = keyof typeof builtInRoles;

export function isBuiltInRole(name: string): name is BuiltInRole {
  return Object.hasOwn(builtInRoles, name);
}
