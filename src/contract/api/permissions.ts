/**
 * What somebody may do, and to what. A permission is an action on a kind of thing; a grant is a permission on some
 * resources; a role is a list of grants. Everything that no grant covers is denied.
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
  'topics:create': 'Create topics on clusters.',
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
  'mirror_state:migrate': 'Record checkpoints of a migration.',
} as const;

export type Permission = keyof typeof permissions;

export const permissionNames = Object.keys(permissions) as readonly Permission[];

/** One permission on one kind of resource: all of it, or what is named. */
export interface Grant {
  readonly permission: string;
  readonly resource: GrantResource;
}

export type GrantResource =
  | { readonly kind: 'any' }
  | { readonly kind: 'cluster'; readonly name: string }
  | { readonly kind: 'job'; readonly name: string }
  /** Topics whose names begin so; of every cluster where `cluster` is null. */
  | { readonly kind: 'topicPrefix'; readonly prefix: string; readonly cluster: string | null }
  /** Users who are given that role, and no other. */
  | { readonly kind: 'role'; readonly name: string };

type NamedKind = Exclude<GrantResource['kind'], 'any'>;

/** On which named resources a permission can be granted; what is asked for on the whole server, on none. */
const grantable: Readonly<Record<Permission, readonly NamedKind[]>> = {
  'jobs:view': ['job', 'cluster'],
  'jobs:create': ['cluster'], // both of the new job
  'jobs:edit': ['job', 'cluster'],
  'jobs:delete': ['job', 'cluster'],
  'jobs:start': ['job', 'cluster'],
  'jobs:stop': ['job', 'cluster'],
  'jobs:pause': ['job', 'cluster'],
  'clusters:view': ['cluster'],
  'clusters:create': ['cluster'],
  'clusters:edit': ['cluster'],
  'clusters:delete': ['cluster'],
  'topics:create': ['cluster', 'topicPrefix'],
  'metrics:view': ['job', 'cluster'],
  'events:view': [],
  'users:list': [],
  'users:create': ['role'],
  'users:delete': [],
  'users:assign-roles': [],
  'roles:manage': [],
  'config:view': [],
  'config:edit': [],
  'compliance:generate': [],
  'compliance:view': [],
  'inventory:view': ['job', 'cluster'],
  'inventory:create': ['job', 'cluster'],
  'mirror_state:view': ['job', 'cluster'],
  'mirror_state:analyze': ['job', 'cluster'],
  'mirror_state:manage': ['job', 'cluster'],
  'mirror_state:migrate': ['job', 'cluster'],
};

/** The kinds of named resources, in words, on which `permission` means something; empty: it is granted on everything or not at all. */
export function namedResourcesOf(permission: Permission): readonly NamedKind[] {
  return grantable[permission];
}

/** What an action is done to. */
export type Resource =
  | { readonly kind: 'server' }
  | { readonly kind: 'cluster'; readonly cluster: string }
  | { readonly kind: 'topic'; readonly cluster: string; readonly topic: string }
  /** A user who gets the role. */
  | { readonly kind: 'role'; readonly role: string }
  /** Null: its kind has none. */
  | { readonly kind: 'job'; readonly job: string; readonly source: string | null; readonly target: string | null };

export const SERVER: Resource = { kind: 'server' };

/**
 * Grants on clusters cover a job when they cover both of its clusters: half of a mirror is not a thing to act on. What concerns
 * the whole server, users for example, takes a grant on everything.
 */
export function isAllowed(grants: readonly Grant[], permission: Permission, resource: Resource): boolean {
  const own = grants.filter((grant) => grant.permission === permission).map((grant) => grant.resource);
  return own.some((each) => covers(each, resource)) || (resource.kind === 'job' && coverClusters(own, resource));
}

/** Whether there can be anything on which `permission` is granted: lists are then shown, filtered. */
export function isAllowedSomewhere(grants: readonly Grant[], permission: Permission): boolean {
  return grants.some((grant) => grant.permission === permission);
}

function covers(granted: GrantResource, resource: Resource): boolean {
  switch (granted.kind) {
    case 'any':
      return true;
    case 'cluster':
      return (resource.kind === 'cluster' || resource.kind === 'topic') && resource.cluster === granted.name;
    case 'job':
      return resource.kind === 'job' && resource.job === granted.name;
    case 'topicPrefix':
      return (
        resource.kind === 'topic' &&
        resource.topic.startsWith(granted.prefix) &&
        (granted.cluster === null || granted.cluster === resource.cluster)
      );
    case 'role':
      return resource.kind === 'role' && resource.role === granted.name;
  }
}

function coverClusters(
  granted: readonly GrantResource[],
  { source, target }: Extract<Resource, { kind: 'job' }>,
): boolean {
  const has = (cluster: string | null): boolean =>
    cluster !== null && granted.some((each) => each.kind === 'cluster' && each.name === cluster);
  return has(source) && has(target);
}

const everywhere = (...names: Permission[]): readonly Grant[] =>
  names.map((permission) => ({ permission, resource: { kind: 'any' } }));

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
  operator: [
    ...everywhere(
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
    { permission: 'users:create', resource: { kind: 'role', name: 'monitoring' } },
  ],
  monitoring: everywhere(...WATCHING, 'mirror_state:view'),
  compliance: everywhere(...WATCHING, 'compliance:generate', 'compliance:view'),
} as const satisfies Record<string, readonly Grant[]>;

export type BuiltInRole = keyof typeof builtInRoles;

export function isBuiltInRole(name: string): name is BuiltInRole {
  return Object.hasOwn(builtInRoles, name);
}
