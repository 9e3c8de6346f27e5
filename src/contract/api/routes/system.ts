import { z } from 'zod';
import { count, time } from '../common.ts';
import { defineRoute, json } from '../route.ts';

const everybody = (why: string) => ({ kind: 'public', why }) as const;

const CONTRACT_IS_PUBLIC = 'It is the same for every installation and names nothing of this one.';

export const systemRoutes = {
  getHealth: defineRoute({
    method: 'GET',
    path: '/health',
    tag: 'system',
    summary: 'Whether the server can do its work: its database, its audit log and its jobs were asked for this answer.',
    access: everybody('Load balancers and supervisors ask without credentials; it says yes or no, and no more.'),
    audit: null,
    answer: json(
      z
        .strictObject({
          status: z.enum(['ok', 'degraded']),
          uptime: count().describe('Seconds since the server started'),
          timestamp: time(),
          checks: z.array(
            z.strictObject({ name: z.enum(['store', 'audit', 'jobs']), status: z.enum(['ok', 'failing']) }),
          ),
        })
        .meta({ id: 'Health' }),
    ),
  }),
  getVersion: defineRoute({
    method: 'GET',
    path: '/api/v1/version',
    tag: 'system',
    summary: 'The version of the server.',
    access: everybody('Clients compare it with their own before they sign in.'),
    audit: null,
    answer: json(z.strictObject({ version: z.string() })),
  }),
  getOpenApi: defineRoute({
    method: 'GET',
    path: '/openapi.json',
    tag: 'system',
    summary: 'This description as OpenAPI 3.1.',
    access: everybody(CONTRACT_IS_PUBLIC),
    audit: null,
    answer: { kind: 'text', status: 200, media: 'application/json; charset=utf-8' },
  }),
  getDocs: defineRoute({
    method: 'GET',
    path: '/docs',
    tag: 'system',
    summary: 'This description as a page to read.',
    access: everybody(CONTRACT_IS_PUBLIC),
    audit: null,
    answer: { kind: 'text', status: 200, media: 'text/html; charset=utf-8' },
  }),
  getSwaggerPage: defineRoute({
    method: 'GET',
    path: '/swagger/index.html',
    tag: 'system',
    summary: 'Leads to /docs.',
    access: everybody(CONTRACT_IS_PUBLIC),
    audit: null,
    answer: { kind: 'redirect', status: 302 },
  }),
  getRedocPage: defineRoute({
    method: 'GET',
    path: '/redoc',
    tag: 'system',
    summary: 'Leads to /docs.',
    access: everybody(CONTRACT_IS_PUBLIC),
    audit: null,
    answer: { kind: 'redirect', status: 302 },
  }),
};
