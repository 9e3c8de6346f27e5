import { readFileSync, readdirSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { describe, expect, test } from 'vitest';
import { z } from 'zod';
import { errorCodes } from '../errors.ts';
import { apiNamesPage } from './api-names.ts';
import { examples } from './examples.ts';
import { openApiDocument } from './openapi.ts';
import {
  builtInRoles,
  isAllowed,
  namedResourcesOf,
  permissionNames,
  type Grant,
  type Permission,
  type Resource,
} from './permissions.ts';
import { defineRoute, empty, errorsOf } from './route.ts';
import { operationIds, routeOf, type OperationId } from './routes.ts';

const root = join(dirname(fileURLToPath(import.meta.url)), '../../..');
const read = (path: string): string => readFileSync(join(root, path), 'utf8');
const { version } = JSON.parse(read('package.json')) as { version: string };
const document = openApiDocument(version);

describe('the table of routes', () => {
  test('a route without a policy does not compile', () => {
    // @ts-expect-error `access` is missing, and there is no default.
    const route = defineRoute({ method: 'GET', path: '/x', tag: 'system', summary: '', audit: null, answer: empty });
    expect(route.access).toBeUndefined();
  });

  test('no two routes share method and path', () => {
    const keys = operationIds.map((id) => `${routeOf(id).method} ${routeOf(id).path.replaceAll(/:\w+/g, ':')}`);
    expect(keys.filter((key, index) => keys.indexOf(key) !== index)).toEqual([]);
  });

  test('path parameters are those of the schema, and what access names is one of them', () => {
    const wrong = operationIds.filter((id) => {
      const { path, params, access } = routeOf(id);
      const inPath = [...path.matchAll(/:(\w+)/g)].map((match) => match[1] ?? '');
      const inSchema = params instanceof z.ZodObject ? Object.keys(params.shape) : [];
      const on = access.kind === 'permission' && typeof access.on === 'object' ? Object.values(access.on) : [];
      return inPath.join() !== inSchema.join() || on.some((name) => !inPath.includes(name));
    });
    expect(wrong).toEqual([]);
  });

  test('every route that changes something is in the audit log', () => {
    const unlogged = operationIds.filter((id) => routeOf(id).method !== 'GET' && routeOf(id).audit === null);
    // They give out a challenge or a ticket, which is worth nothing until another route takes it, or have a cluster check something.
    expect(unlogged.toSorted()).toEqual([
      'createStreamTicket',
      'foreseeTopic',
      'getPasskeyOptions',
      'getStepUpOptions',
    ]);
  });

  test('names of actions are such that the audit log takes them', () => {
    const actions = operationIds.flatMap((id) => routeOf(id).audit ?? []);
    expect(actions.filter((action) => !/^[a-z][a-z0-9-]{0,31}(\.[a-z][a-z0-9-]{0,31}){1,3}$/.test(action))).toEqual([]);
  });

  test('every code with which a route may answer has a status', () => {
    const without = operationIds.flatMap((id) =>
      errorsOf(routeOf(id)).filter((code) => errorCodes[code].http === null),
    );
    expect(without).toEqual([]);
  });

  test('reg-M-220a: every permission opens something', () => {
    const asked = new Set<string>(
      operationIds.flatMap((id) => {
        const { access } = routeOf(id);
        return access.kind === 'permission' ? [access.permission] : [];
      }),
    );
    const features = join(root, 'src/server/features');
    const handlers = readdirSync(features).map((file) => readFileSync(join(features, file), 'utf8'));
    const isAsked = (name: string): boolean => handlers.some((text) => text.includes(`.may('${name}'`));
    expect(permissionNames.filter((name) => !asked.has(name) && !isAsked(name))).toEqual([]);
  });

  test('what is open to everybody says why', () => {
    const silent = operationIds.filter((id) => {
      const { access } = routeOf(id);
      return access.kind === 'public' && access.why.length < 20;
    });
    expect(silent).toEqual([]);
  });
});

describe('openapi.json', () => {
  test('is what "npm run gen" makes of the routes', () => {
    expect(JSON.parse(read('openapi.json'))).toEqual(document);
    expect(read('docs/api-names.md')).toBe(apiNamesPage());
  });

  test('shows bodies that the routes take', () => {
    for (const [id, body] of Object.entries(examples))
      expect(routeOf(id as OperationId).body?.safeParse(body).error, id).toBeUndefined();
  });

  test('leads from what was made to what can be done with it', () => {
    const paths = document['paths'] as Record<string, { post: { responses: Record<string, { links?: object }> } }>;
    const links = paths['/api/v1/jobs']?.post.responses['201']?.links;
    expect(links).toMatchObject({ startJob: { operationId: 'startJob', parameters: { id: '$response.body#/id' } } });
  });

  test('reg-M-123: has an operation for each route, and every reference in it leads somewhere', () => {
    const paths = document['paths'] as Record<string, Record<string, { operationId: string }>>;
    const ids = Object.values(paths).flatMap((methods) => Object.values(methods).map(({ operationId }) => operationId));
    expect(ids.toSorted()).toEqual([...operationIds].toSorted());
    const { schemas } = document['components'] as { schemas: Record<string, unknown> };
    const text = JSON.stringify(document);
    const references = [...text.matchAll(/"\$ref":"([^"]+)"/g)].map((match) => match[1] ?? '');
    expect(references.filter((to) => !(to.replace('#/components/schemas/', '') in schemas))).toEqual([]);
    expect(references.length).toBeGreaterThan(50);
  });
});

describe('permissions', () => {
  const job: Resource = { kind: 'job', job: 'a', source: 'east', target: 'west' };
  const on = (...resources: Grant['resource'][]): Grant[] =>
    resources.map((resource) => ({ permission: 'jobs:view', resource }));

  test('reg-M-221 reg-M-220b: the built-in roles are the matrix of the originals', () => {
    const has = (role: keyof typeof builtInRoles, permission: (typeof permissionNames)[number]): boolean =>
      isAllowed(builtInRoles[role], permission, { kind: 'server' });
    const matrix = permissionNames.map((name) =>
      [
        name,
        ...(['admin', 'operator', 'monitoring', 'compliance'] as const).map((role) => (has(role, name) ? 'x' : '-')),
      ].join(' '),
    );
    expect(matrix).toEqual([
      'jobs:view x x x x',
      'jobs:create x - - -',
      'jobs:edit x x - -',
      'jobs:delete x - - -',
      'jobs:start x x - -',
      'jobs:stop x x - -',
      'jobs:pause x x - -',
      'clusters:view x x x x',
      'clusters:create x - - -',
      'clusters:edit x x - -',
      'clusters:delete x - - -',
      'topics:create x - - -',
      'metrics:view x x x x',
      'events:view x x x x',
      'users:list x - - -',
      'users:create x - - -',
      'users:delete x - - -',
      'users:assign-roles x - - -',
      'roles:manage x - - -',
      'config:view x - - -',
      'config:edit x - - -',
      'compliance:generate x - - x',
      'compliance:view x - - x',
      'inventory:view x x x x',
      'inventory:create x x - -',
      'mirror_state:view x x x -',
      'mirror_state:analyze x x - -',
      'mirror_state:manage x x - -',
      'mirror_state:migrate x - - -',
    ]);
  });

  test('an operator creates users with one role', () => {
    const allowed = Object.keys(builtInRoles).filter((role) =>
      isAllowed(builtInRoles.operator, 'users:create', { kind: 'role', role }),
    );
    expect(allowed).toEqual(['monitoring']);
    expect(isAllowed(builtInRoles.admin, 'users:create', { kind: 'role', role: 'admin' })).toBe(true);
  });

  test.each<[string, Grant[], boolean]>([
    ['nothing', [], false],
    ['everything', on({ kind: 'any' }), true],
    ['the job', on({ kind: 'job', name: 'a' }), true],
    ['another job', on({ kind: 'job', name: 'b' }), false],
    ['one of its clusters', on({ kind: 'cluster', name: 'east' }), false],
    ['both of its clusters', on({ kind: 'cluster', name: 'east' }, { kind: 'cluster', name: 'west' }), true],
    ['topics', on({ kind: 'topicPrefix', prefix: '', cluster: null }), false],
    ['the job, for another action', [{ permission: 'jobs:edit', resource: { kind: 'any' } }], false],
  ])('a grant on %s covers a job: %s', (_what, grants, isCovered) => {
    expect(isAllowed(grants, 'jobs:view', job)).toBe(isCovered);
  });

  test('a permission can be granted on what its routes are asked about, and on nothing that none of them is', () => {
    const kindsOf = (permission: Permission): string[] =>
      operationIds.flatMap((id) => {
        const { access } = routeOf(id);
        if (access.kind !== 'permission' || access.permission !== permission || typeof access.on === 'string')
          return [];
        return 'job' in access.on ? ['job', 'cluster'] : ['cluster'];
      });
    // Asked about what is in the body, or what another answer shows.
    const inside: Partial<Record<Permission, string[]>> = {
      'jobs:create': ['cluster'],
      'clusters:create': ['cluster'],
      'topics:create': ['cluster', 'topicPrefix'],
      'users:create': ['role'],
      'mirror_state:migrate': ['job', 'cluster'],
    };
    for (const permission of permissionNames) {
      const asked = new Set([...kindsOf(permission), ...(inside[permission] ?? [])]);
      expect(new Set(namedResourcesOf(permission)), permission).toEqual(asked);
    }
  });

  test('a grant on a prefix covers topics of its cluster that begin so, and no server', () => {
    const grants = on({ kind: 'topicPrefix', prefix: 'pay', cluster: 'east' });
    const topic = (cluster: string, name: string): Resource => ({ kind: 'topic', cluster, topic: name });
    expect(isAllowed(grants, 'jobs:view', topic('east', 'payments'))).toBe(true);
    expect(isAllowed(grants, 'jobs:view', topic('west', 'payments'))).toBe(false);
    expect(isAllowed(grants, 'jobs:view', topic('east', 'orders'))).toBe(false);
    expect(isAllowed(grants, 'jobs:view', { kind: 'server' })).toBe(false);
  });
});
