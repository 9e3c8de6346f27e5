/** Every route of the contract, called by everybody, on what is theirs and on what is not. */
import { describe, expect, test } from 'vitest';
import {
  builtInRoles,
  isAllowed,
  isAllowedSomewhere,
  permissionNames,
  type Grant,
  type Resource,
} from '#contract/api/permissions.ts';
import { commitmentOf } from '#prove/log/commitment.ts';
import { operationIds, routeOf, type OperationId } from '#contract/api/routes.ts';
import { PASSWORD, playControlPlane, type ControlPlane } from '#testing/played-control-plane.ts';

/** They end what the others need. */
const LAST: readonly OperationId[] = [
  'deleteJob',
  'deleteCluster',
  'deleteUser',
  'deleteRole',
  'resetToken',
  'signOut',
];
const STREAMS: readonly OperationId[] = ['openStream', 'openSocket'];
const ordered = [...operationIds.filter((id) => ![...LAST, ...STREAMS].includes(id)), ...LAST];

/** May do everything, and only to one mirror and its clusters. */
const scoped: Grant[] = permissionNames.flatMap((permission) => [
  { permission, resource: { kind: 'job', name: 'own' } },
  { permission, resource: { kind: 'cluster', name: 'east' } },
  { permission, resource: { kind: 'cluster', name: 'west' } },
]);

const roles: Readonly<Record<string, readonly Grant[]>> = { ...builtInRoles, scoped };

const sides = {
  own: { id: 'own', cluster: 'east', job: { kind: 'job', job: 'own', source: 'east', target: 'west' } },
  other: { id: 'other', cluster: 'north', job: { kind: 'job', job: 'other', source: 'north', target: 'south' } },
} as const satisfies Record<string, { id: string; cluster: string; job: Resource }>;

type Side = keyof typeof sides;

interface Estate extends ControlPlane {
  /** Their ids, by the job that they are of. */
  readonly checkpoints: Readonly<Record<string, string>>;
}

async function playEstate(): Promise<Estate> {
  const plane = await playControlPlane();
  await plane.as('root', 'admin');
  await plane.as('victim', 'monitoring');
  const { store } = plane;
  for (const name of ['scoped', 'spare'])
    await store.roles.create({ name, description: '', grants: name === 'scoped' ? scoped : [scoped[0] as Grant] });
  for (const name of ['east', 'west', 'north', 'south']) {
    const document = {
      apiVersion: 'lockstep/v1',
      kind: 'Cluster',
      metadata: { name },
      spec: { bootstrap: ['b:9092'] },
    };
    await store.clusters.create({ name, document });
  }
  const checkpoints: Record<string, string> = {};
  for (const { id: name, job } of Object.values(sides)) {
    const { source, target } = job;
    const spec = { source, target, topics: [{ match: 'orders' }] };
    const document = { apiVersion: 'lockstep/v1', kind: 'Mirror', metadata: { name }, spec };
    const { id } = await store.jobs.create({ name, kind: 'Mirror', source, target, document, desired: 'stopped' });
    const report = { kind: 'checkpoint', subject: id, from: null, to: null, createdBy: null };
    const summary = { type: 'recovery', reason: 'played', partitions: 0, groups: 0 };
    const body = { partitionOffsets: [], groupOffsets: { source: [], target: [] } };
    checkpoints[name] = (await store.reports.add({ ...report, summary, body })).id;
    const taken = { cluster: source, jobId: null, side: null, trigger: 'manual', takenBy: null, facts: null } as const;
    await store.inventory.complete(await store.inventory.begin(taken));
  }
  return { ...plane, checkpoints };
}

function pathOf(id: OperationId, side: Side, { checkpoints }: Estate): string {
  const { path, tag } = routeOf(id);
  const values: Readonly<Record<string, string>> = {
    id: path.includes('/jobs/') ? sides[side].id : 'none',
    name: tag === 'clusters' ? sides[side].cluster : 'spare',
    username: 'victim',
    key: 'logging.level',
    seq: '0',
    checkpoint: checkpoints[side] ?? 'none',
    incident: '7',
    sid: side === 'own' ? '1' : '2',
    other: side === 'own' ? '1' : '2',
    period: 'daily',
  };
  const query = { listSnapshotPartitions: '?topic=t', listSnapshotOffsets: '?group=g' } as Partial<
    Record<OperationId, string>
  >;
  return `${path.replaceAll(/:(\w+)/g, (_, name: string) => values[name] ?? '')}${query[id] ?? ''}`;
}

/** What the contract says that the caller gets: one of these statuses, or with null anything but a refusal. */
function expected(id: OperationId, grants: readonly Grant[] | null, side: Side): 401 | 403 | 404 | null {
  const { access } = routeOf(id);
  if (access.kind === 'public') return null;
  if (grants === null) return 401;
  if (access.kind === 'signed-in') return null;
  const { permission, on } = access;
  if (!isAllowedSomewhere(grants, permission)) return 403;
  if (on === 'listed' || on === 'named') return null;
  if (on === 'server') return isAllowed(grants, permission, { kind: 'server' }) ? null : 403;
  const isJob = 'job' in on; // a snapshot is of the cluster
  const resource: Resource = isJob ? sides[side].job : { kind: 'cluster', cluster: sides[side].cluster };
  if (isAllowed(grants, permission, resource)) return null;
  return isAllowed(grants, isJob ? 'jobs:view' : 'clusters:view', resource) ? 403 : 404;
}

const isOnResource = (id: OperationId): boolean => {
  const { access } = routeOf(id);
  return access.kind === 'permission' && typeof access.on === 'object';
};

describe.each([...Object.keys(roles), 'nobody'])('%s', (role) => {
  test.each(['own', 'other'] as const)('gets what the contract says on the side "%s"', async (side) => {
    const plane = await playEstate();
    const grants = roles[role] ?? null;
    let call = grants === null ? null : await plane.as(`test-${role}`, role);
    const found: string[] = [];
    const wanted: string[] = [];
    for (const id of ordered) {
      if (id === 'signOut' && call) call = await plane.as(`test-${role}`, role);
      const { method, body } = routeOf(id);
      const path = pathOf(id, side, plane);
      // A body that fits nothing: who may gets as far as that, and nothing is changed.
      const payload = body ? { 'no such field': 1 } : undefined;
      const answer = call
        ? await call(method, path, payload)
        : await plane.http.inject({ method, url: path, ...(payload ? { payload } : {}) });
      const { statusCode: status } = answer;
      const want = expected(id, grants, side);
      const isRefused = status === 401 || status === 403 || (status === 404 && isOnResource(id));
      const isSignIn = routeOf(id).access.kind === 'public';
      wanted.push(`${id} ${want ?? 'passes'}`);
      found.push(`${id} ${isRefused && !(isSignIn && call === null) ? status : want === null ? 'passes' : status}`);
      expect(status, `${id} ${answer.body}`).toBeLessThan(500);
    }
    expect(found).toEqual(wanted);
    expect(plane.logged).toEqual([]);
    await plane.server.close();
  });
});

test('every refusal is in the audit log, with who and what', async () => {
  const plane = await playEstate();
  const monitoring = await plane.as('watcher', 'monitoring');
  const before = plane.audit.entries.length;
  expect((await monitoring('POST', '/api/v1/jobs/own/start')).statusCode).toBe(403);
  expect((await plane.http.inject('/api/v1/jobs')).statusCode).toBe(401);
  const user = await plane.store.users.getByName('watcher');
  expect(plane.audit.entries.slice(before)).toMatchObject([
    {
      phase: 'event',
      outcome: 'denied',
      action: 'job.start',
      reason: 'ACCESS_DENIED',
      actor: { id: user?.id },
      resource: { type: 'job', id: 'own' },
    },
    {
      phase: 'event',
      outcome: 'denied',
      action: 'api.list-jobs',
      reason: 'AUTH_REQUIRED',
      actor: { id: 'anonymous' },
      resource: { type: 'route', id: '/api/v1/jobs' },
    },
  ]);
});

describe('a refusal names', () => {
  const lastResource = ({ audit }: ControlPlane) => audit.entries.at(-1)?.resource;

  test.each<[string, 'GET' | 'POST' | 'PUT' | 'DELETE', string, object | undefined, object]>([
    ['a job', 'POST', '/api/v1/jobs/own/start', undefined, { type: 'job', id: 'own' }],
    ['a job that is not there', 'DELETE', '/api/v1/jobs/nowhere', undefined, { type: 'job', id: 'nowhere' }],
    ['a cluster', 'DELETE', '/api/v1/clusters/east', undefined, { type: 'cluster', id: 'east' }],
    [
      'an option',
      'PUT',
      '/api/v1/config/options/logging.level',
      { value: 'debug' },
      { type: 'config', id: 'logging.level' },
    ],
    ['what it reads', 'GET', '/api/v1/secrets', undefined, { type: 'route', id: '/api/v1/secrets' }],
    ['a name that breaks lines', 'DELETE', '/api/v1/roles/a%0Ab', undefined, { type: 'role', id: 'a\nb' }],
  ])('%s, whoever asks', async (_, method, path, body, resource) => {
    const plane = await playEstate();
    const watcher = await plane.as('watcher', 'monitoring');
    const refused = await watcher(method, path, body);
    expect(refused.statusCode).toBe(403);
    expect(lastResource(plane)).toEqual(resource);
    const stranger = await plane.http.inject({ method, url: path, ...(body ? { payload: body } : {}) });
    expect(stranger.statusCode).toBe(401);
    expect(lastResource(plane)).toEqual(resource);
  });

  test('a user by id, and whom nobody knows by a commitment: no name of a person stands in the log', async () => {
    const plane = await playEstate();
    const watcher = await plane.as('watcher', 'monitoring');
    const victim = await plane.store.users.getByName('victim');
    await watcher('DELETE', '/api/v1/users/victim');
    expect(plane.audit.entries.at(-1)).toMatchObject({ resource: { type: 'user', id: victim?.id } });
    await watcher('DELETE', '/api/v1/users/ghost');
    const payload = { username: 'intruder', password: 'a wrong password' };
    expect((await plane.http.inject({ method: 'POST', url: '/auth/token', payload })).statusCode).toBe(401);
    expect(plane.audit.entries.at(-1)).toMatchObject({
      action: 'session.create',
      resource: { type: 'session', id: '-' },
    });
    const commitments = plane.audit.entries.slice(-2).map(({ pii }) => pii?.[0]?.commitment ?? '');
    const kept = await plane.store.personal.find(commitments);
    expect(kept.map(({ value }) => value).toSorted()).toEqual(['ghost', 'intruder']);
    for (const { value, salt, commitment } of kept)
      expect(commitmentOf(value, Buffer.from(salt, 'hex'))).toBe(commitment);
    const text = JSON.stringify(plane.audit.entries);
    for (const name of ['victim', 'watcher', 'ghost', 'intruder']) expect(text).not.toContain(name);
  });
});

test('reg-operator-creates-admin reg-self-role-change: nobody gives more than they have', async () => {
  const plane = await playEstate();
  const grants = ['users:create', 'users:assign-roles', 'users:list', 'roles:manage', 'jobs:view'].map(
    (permission) => ({
      permission,
      resource: { kind: 'any' } as const,
    }),
  );
  await plane.store.roles.create({ name: 'helpdesk', description: '', grants });
  const helpdesk = await plane.as('helper', 'helpdesk');
  const password = 'violet-anchor-dozen-teapot';
  const statuses = [
    await helpdesk('POST', '/api/v1/users', { username: 'x', role: 'admin', password }),
    await helpdesk('POST', '/api/v1/users', { username: 'x', role: 'monitoring', password }),
    await helpdesk('PUT', '/api/v1/users/victim/role', { role: 'admin' }),
    await helpdesk('PUT', '/api/v1/users/root/role', { role: 'helpdesk' }),
    await helpdesk('PUT', '/api/v1/users/helper/role', { role: 'admin' }),
    await helpdesk('POST', '/api/v1/roles', {
      name: 'y',
      grants: [{ permission: 'config:edit', resource: { kind: 'any' } }],
    }),
    await helpdesk('POST', '/api/v1/users/root/reset-password'),
    await helpdesk('PUT', '/api/v1/users/root/status', { isDisabled: true }),
    await helpdesk('POST', '/api/v1/users', { username: 'x', role: 'helpdesk', password }),
  ].map(({ statusCode }) => statusCode);
  expect(statuses).toEqual([403, 403, 403, 403, 403, 403, 403, 403, 201]);
});

describe('operators', () => {
  const password = 'violet-anchor-dozen-teapot';
  const user = (username: string, role: string, kind = 'local') => ({
    username,
    role,
    kind,
    ...(kind === 'local' ? { password } : {}),
  });
  const statusesOf = async (calls: readonly Promise<{ statusCode: number }>[]): Promise<number[]> =>
    (await Promise.all(calls)).map(({ statusCode }) => statusCode);

  test('reg-M-222: create users with the role monitoring, who may look and nothing else', async () => {
    const plane = await playEstate();
    const operator = await plane.as('ops', 'operator');
    const made = await operator('POST', '/api/v1/users', user('eye', 'monitoring'));
    expect([made.statusCode, made.json()]).toMatchObject([201, { roles: ['monitoring'], mustChangePassword: true }]);
    const { id } = made.json<{ id: string }>();
    const changed = await plane.ports.passwords.hash(PASSWORD);
    await plane.store.users.setPassword(id, changed, { mustChange: false, exceptSessionId: null });
    const eye = await plane.as('eye');
    expect(await statusesOf([eye('GET', '/api/v1/jobs'), eye('POST', '/api/v1/jobs/own/start')])).toEqual([200, 403]);
  });

  test('reg-M-222: create none with another role, their own and those of this installation included', async () => {
    const plane = await playEstate();
    const operator = await plane.as('ops', 'operator');
    const roles = ['operator', 'admin', 'compliance', 'spare', 'no-such-role'];
    const tried = roles.map((role) => operator('POST', '/api/v1/users', user('eye', role)));
    expect(await statusesOf(tried)).toEqual(roles.map(() => 403));
    expect(await plane.store.users.getByName('eye')).toBeNull();
  });

  test('come by nothing more through those users: no roles, passwords, tokens or certificates of others', async () => {
    const plane = await playEstate();
    const operator = await plane.as('ops', 'operator');
    await operator('POST', '/api/v1/users', user('eye', 'monitoring'));
    await operator('POST', '/api/v1/users', user('robot', 'monitoring', 'service'));
    const eye = '/api/v1/users/eye';
    const tried = [
      operator('PUT', `${eye}/role`, { role: 'operator' }),
      operator('PUT', `${eye}/status`, { isDisabled: true }),
      operator('POST', `${eye}/reset-password`),
      operator('DELETE', eye),
      operator('DELETE', `${eye}/sessions`),
      operator('POST', '/api/v1/users/robot/certificates', { subject: 'DNS:robot' }),
      operator('POST', '/api/v1/tokens', { name: 't', owner: 'robot', scopes: null, expiresInDays: 1 }),
      operator('POST', '/api/v1/roles', {
        name: 'y',
        grants: [{ permission: 'users:create', resource: { kind: 'role', name: 'monitoring' } }],
      }),
    ];
    expect(await statusesOf(tried)).toEqual(tried.map(() => 403));
  });

  test('and others who may create users with one role give no more than that, whatever becomes of the role', async () => {
    const plane = await playEstate();
    const onRole = (name: string): Grant => ({ permission: 'users:create', resource: { kind: 'role', name } });
    const everywhere = (permission: string): Grant => ({ permission, resource: { kind: 'any' } });
    await plane.store.roles.create({ name: 'team', description: '', grants: [everywhere('jobs:view')] });
    const grants = [onRole('team'), everywhere('jobs:view'), everywhere('roles:manage')];
    await plane.store.roles.create({ name: 'desk', description: '', grants });
    const desk = await plane.as('desk', 'desk');
    const role = (name: string, ...wanted: Grant[]) => desk('POST', '/api/v1/roles', { name, grants: wanted });
    const tried = [
      role('same', onRole('team')),
      role('other', onRole('admin')),
      role('all', everywhere('users:create')),
      desk('POST', '/api/v1/users', user('a', 'team')),
    ];
    expect(await statusesOf(tried)).toEqual([201, 403, 403, 201]);
    const root = await plane.as('root');
    await root('PUT', '/api/v1/roles/team', { grants: [everywhere('config:edit')] });
    expect((await desk('POST', '/api/v1/users', user('b', 'team'))).statusCode).toBe(403);
  });
});

test('reg-M-113: another role takes the place of the one before', async () => {
  const plane = await playEstate();
  const root = await plane.as('root');
  const victim = await plane.as('victim', 'monitoring');
  expect((await root('PUT', '/api/v1/users/victim/role', { role: 'compliance' })).statusCode).toBe(200);
  expect((await root('GET', '/api/v1/users/victim')).json()).toMatchObject({ roles: ['compliance'] });
  expect((await victim('GET', '/api/v1/jobs')).statusCode).toBe(401);
  const again = await plane.as('victim');
  expect((await again('GET', '/api/v1/jobs/own/mirror/progress')).statusCode).toBe(403);
  expect((await again('GET', '/api/v1/compliance/reports')).statusCode).toBe(200);
});

test('a list shows what the caller may see, and its pages say nothing about the rest', async () => {
  const plane = await playEstate();
  const call = await plane.as('narrow', 'scoped');
  const jobs = await call('GET', '/api/v1/jobs?limit=1&total=true');
  expect(jobs.json()).toMatchObject({ items: [{ name: 'own' }], total: null });
  const clusters = await call('GET', '/api/v1/clusters');
  expect(clusters.json<{ items: { name: string }[] }>().items.map(({ name }) => name)).toEqual(['east', 'west']);
});

test('a job is made where its maker may make one, on both sides', async () => {
  const plane = await playEstate();
  const call = await plane.as('narrow', 'scoped');
  const job = (source: string, target: string) => ({
    name: `${source}-${target}`,
    source,
    target,
    topics: [{ match: 'a' }],
  });
  expect((await call('POST', '/api/v1/jobs', job('east', 'west'))).statusCode).toBe(201);
  expect((await call('POST', '/api/v1/jobs', job('east', 'north'))).statusCode).toBe(403);
  expect((await call('PUT', '/api/v1/jobs/own', { ...job('east', 'north'), name: 'own' })).statusCode).toBe(403);
  expect((await call('POST', '/api/v1/jobs/own/clone', { name: 'copy', target: 'south' })).statusCode).toBe(403);
  expect((await call('POST', '/api/v1/clusters', { name: 'new', bootstrap: ['b:1'] })).statusCode).toBe(403);
});

test.each([
  ['jobs:view', { kind: 'topicPrefix', prefix: 'pay.', cluster: null }, 'any, job, cluster'],
  ['users:list', { kind: 'cluster', name: 'east' }, 'any'],
  ['users:create', { kind: 'job', name: 'own' }, 'any, role'],
])('a role does not hold what would allow nothing: %s on %j', async (permission, resource, kinds) => {
  const plane = await playEstate();
  const root = await plane.as('root', 'admin');
  const grants = [
    { permission: 'jobs:view', resource: { kind: 'any' } },
    { permission, resource },
  ];
  const refusal = {
    code: 'REQUEST_INVALID',
    detail: `${permission} on a resource of kind "${resource.kind}" would allow nothing.`,
    nextStep: `Grant it on one of: ${kinds}.`,
  };
  expect((await root('POST', '/api/v1/roles', { name: 'idle', grants })).json()).toMatchObject(refusal);
  expect((await root('PUT', '/api/v1/roles/spare', { grants })).json()).toMatchObject(refusal);
});

test('a topic is created where its maker may create one, and the audit log has both names', async () => {
  const plane = await playEstate();
  const grants: Grant[] = [
    { permission: 'topics:create', resource: { kind: 'topicPrefix', prefix: 'pay.', cluster: 'east' } },
    { permission: 'clusters:view', resource: { kind: 'cluster', name: 'west' } },
  ];
  await plane.store.roles.create({ name: 'payments', description: '', grants });
  const call = await plane.as('pat', 'payments');
  const create = async (cluster: string, name: string, route = 'topics') =>
    (await call('POST', `/api/v1/clusters/${cluster}/${route}`, { name, partitions: 1 })).statusCode;
  const before = plane.audit.entries.length;
  expect(await create('east', 'pay.in')).toBe(201);
  const resource = { type: 'topic', id: 'pay.in', cluster: 'east' };
  expect(plane.audit.entries.slice(before)).toMatchObject([
    { phase: 'intent', action: 'topic.create', resource },
    { phase: 'outcome', outcome: 'succeeded', resource },
  ]);
  expect(await create('east', 'pay.in', 'topics/plan')).toBe(200);
  for (const route of ['topics', 'topics/plan']) {
    expect(await create('east', 'orders', route), 'of a cluster that is not to be seen').toBe(404);
    expect(await create('west', 'pay.in', route), 'of one that is').toBe(403);
    expect(await create('north', 'pay.in', route)).toBe(404);
    expect(await create('nowhere', 'pay.in', route)).toBe(404);
    for (const name of ['__lockstep.state', 'a/b', '..', '']) expect(await create('east', name, route)).toBe(400);
  }
  expect(plane.clusters.created).toEqual(['east pay.in']);
  const operator = await plane.as('ops', 'operator');
  const asked = { name: 'orders', partitions: 1 };
  expect((await operator('POST', '/api/v1/clusters/east/topics', asked)).statusCode).toBe(403);
});

test('the last administrator stays one', async () => {
  const plane = await playControlPlane();
  await plane.as('first', 'admin');
  const second = await plane.as('second', 'admin');
  expect((await second('PUT', '/api/v1/users/second/role', { role: 'monitoring' })).statusCode).toBe(403);
  expect((await second('DELETE', '/api/v1/users/first')).statusCode).toBe(409); // the initial user
  expect((await second('PUT', '/api/v1/users/first/status', { isDisabled: true })).statusCode).toBe(200);
  const user = await plane.store.users.getByName('second');
  await expect(plane.store.users.setRoles(user?.id ?? '', ['monitoring'], { ifVersion: null })).rejects.toMatchObject({
    code: 'RESOURCE_CONFLICT',
  });
});
