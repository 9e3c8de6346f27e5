/** Roles: permissions, each on everything or within clusters, topic prefixes, jobs or roles. */
import type { Grant } from '#contract/api/permissions.ts';
import { permissionNames } from '#contract/api/permissions.ts';
import { AppError } from '#contract/errors.ts';
import { formatRows } from '../../format.ts';
import { confirm, YES_OPTION, type ConfirmOptions } from '../../remote/pick.ts';
import { remoteVerb, type RemoteOptions } from '../../remote/remote-verb.ts';
import { choiceFrom, needed } from '../../remote/values.ts';
import type { Verb } from '../../verb.ts';

export const listRoles: Verb<RemoteOptions> = remoteVerb({
  summary: 'show the roles, built in and of this installation',
  examples: ['lockstep roles list'],
  async run({ api }) {
    const roles = await api.call('listRoles', {});
    const rows = roles.map((role) => [
      role.name,
      role.isBuiltIn ? 'built in' : 'own',
      String(role.grants.length),
      String(role.users),
      role.description,
    ]);
    return { json: { roles }, lines: formatRows(['ROLE', 'KIND', '#GRANTS', '#USERS', 'DESCRIPTION'], rows, 'roles') };
  },
});

export const getRole: Verb<RemoteOptions> = remoteVerb({
  summary: 'show what a role allows',
  examples: ['lockstep roles get operator'],
  async run({ api }, _, [name = '']) {
    const role = await api.call('getRole', { params: { name } });
    const rows = role.grants.map(({ permission, resource }) => [permission, shownResource(resource)]);
    const title = `${role.name}${role.description === '' ? '' : `: ${role.description}`}`;
    return { json: { role }, lines: [title, ...formatRows(['PERMISSION', 'ON'], rows, 'permissions')] };
  },
});

function shownResource(resource: Grant['resource']): string {
  switch (resource.kind) {
    case 'any':
      return 'everything';
    case 'cluster':
      return `cluster ${resource.name}`;
    case 'job':
      return `job ${resource.name}`;
    case 'topicPrefix':
      return `topics ${resource.prefix}*${resource.cluster === null ? '' : ` of cluster ${resource.cluster}`}`;
    case 'role':
      return `users with the role ${resource.name}`;
  }
}

interface StateOptions extends RemoteOptions {
  readonly grant?: readonly string[];
  readonly description?: string;
}

const GRANT_OPTIONS = {
  '--grant <grant...>':
    'PERMISSION on everything, or PERMISSION@cluster:NAME, @job:NAME, @topics:PREFIX, @topics:PREFIX@CLUSTER, @role:NAME; may be repeated',
  '--description <text>': 'for people',
} as const;

/** `jobs:view@cluster:east`. Throws AppError REQUEST_INVALID with the nearest permission. */
function grantFrom(written: string) {
  const [stated = '', ...rest] = written.split('@');
  const permission = choiceFrom('the permission of a grant', stated, permissionNames);
  const [place, cluster] = rest;
  if (place === undefined) return { permission, resource: { kind: 'any' } } as const;
  const [, kind, name = ''] = /^(cluster|job|topics|role):(.+)$/.exec(place) ?? [];
  if (kind === 'cluster' && cluster === undefined) return { permission, resource: { kind: 'cluster', name } } as const;
  if (kind === 'job' && cluster === undefined) return { permission, resource: { kind: 'job', name } } as const;
  if (kind === 'role' && cluster === undefined) return { permission, resource: { kind: 'role', name } } as const;
  if (kind === 'topics' && rest.length <= 2)
    return { permission, resource: { kind: 'topicPrefix', prefix: name, cluster: cluster ?? null } } as const;
  throw new AppError('REQUEST_INVALID', `"${written}" is no grant`, {
    nextStep:
      'Write jobs:view, jobs:view@cluster:east, jobs:start@job:orders, topics:create@topics:pay.@east or users:create@role:monitoring.',
  });
}

export const addRole: Verb<StateOptions> = remoteVerb({
  summary: 'create a role',
  examples: [
    'lockstep roles add east-jobs --grant jobs:view@cluster:east jobs:view@cluster:west jobs:start@job:orders',
  ],
  options: GRANT_OPTIONS,
  async run({ api }, { grant, description = '' }, [name = '']) {
    needed({ '--grant': grant?.[0] });
    const role = await api.call('createRole', { body: { name, description, grants: (grant ?? []).map(grantFrom) } });
    return { json: { role }, lines: [`Role ${role.name} is created`] };
  },
});

export const editRole: Verb<StateOptions> = remoteVerb({
  summary: 'replace the grants of a role, at once for all who have it',
  examples: ['lockstep roles edit east-jobs --grant jobs:view@cluster:east jobs:view@cluster:west'],
  options: GRANT_OPTIONS,
  async run({ api }, { grant, description }, [name = '']) {
    needed({ '--grant': grant?.[0] });
    const before = await api.call('getRole', { params: { name } });
    const role = await api.call('updateRole', {
      params: { name },
      body: { description: description ?? before.description, grants: (grant ?? []).map(grantFrom) },
      ifVersion: before.version,
    });
    return { json: { role }, lines: [`Role ${role.name} has ${role.grants.length} grants now`] };
  },
});

export const removeRole: Verb<RemoteOptions & ConfirmOptions> = remoteVerb({
  summary: 'delete a role that nobody has',
  aliases: ['delete'],
  examples: ['lockstep roles remove east-jobs --yes'],
  options: YES_OPTION,
  async run({ api, io }, options, [name = '']) {
    await confirm(io, options, `Delete the role ${name}?`);
    await api.call('deleteRole', { params: { name } });
    return { json: { name, removed: true }, lines: [`Role ${name} is deleted`] };
  },
});
