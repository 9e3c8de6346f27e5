/** What the server has noticed, and what will need somebody soon. */
import { z } from 'zod';
import { anyJson, foreignName, pageOf, pageQuery, time } from '../common.ts';
import { defineRoute, json, on } from '../route.ts';
import { troubleSchema } from './clusters.ts';

const levels = z.enum(['info', 'warning', 'error']);

const notice = z
  .strictObject({
    id: z.int(),
    at: time(),
    type: z.string(),
    level: levels,
    jobId: z.string().nullable(),
    cluster: z.string().nullable(),
    topic: foreignName().nullable(),
    actor: z.string().nullable(),
    message: z.string(),
    data: anyJson,
  })
  .meta({ id: 'Notice' });

const certificate = z
  .strictObject({
    use: z.enum([
      'server',
      'client-authority',
      'cluster-authority',
      'cluster-identity',
      'receiver-authority',
      'provider-authority',
      'client',
    ]),
    of: z.string().nullable().describe('The cluster, or the user; null: the server'),
    subject: z.string().nullable(),
    issuer: z.string().nullable(),
    notBefore: time().nullable(),
    notAfter: time().nullable(),
    daysLeft: z.int().nullable().describe('Whole days; below 0 it has ended'),
    level: z
      .enum(['ok', 'notice', 'warning', 'critical', 'expired', 'unknown'])
      .describe('notice from 30 days on, warning from 14, critical from 7'),
    fingerprint: z.string().nullable(),
    trouble: troubleSchema.nullable().describe('Why nothing more is known'),
  })
  .meta({ id: 'CertificateExpiry' });

export const noticeRoutes = {
  listNotices: defineRoute({
    method: 'GET',
    path: '/api/v1/notices',
    tag: 'system',
    summary:
      'What the server has noticed by itself, such as certificates that end. Pruned by age, as database.eventsRetention says.',
    access: on('events:view', 'server'),
    audit: null,
    query: z.strictObject({
      ...pageQuery(['id']),
      type: z.string().max(100).optional(),
      level: levels.optional(),
      cluster: z.string().max(100).optional(),
    }),
    answer: json(pageOf(notice)),
  }),
  listCertificateExpiry: defineRoute({
    method: 'GET',
    path: '/api/v1/certificates',
    tag: 'system',
    summary:
      'Every certificate that the server and its clusters use, the one that ends first at the top: those of the server, authorities and identities of clusters, and client certificates of users.',
    access: on('clusters:view', 'listed'),
    audit: null,
    answer: json(z.array(certificate)),
  }),
};
