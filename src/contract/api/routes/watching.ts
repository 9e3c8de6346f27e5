/** Live state, and what has happened. */
import { z } from 'zod';
import { count, pageCursor, pageLimit, pageOf, time } from '../common.ts';
import { defineRoute, json, on } from '../route.ts';
import { incidentSchema, jobSummary, partitionStatus } from './jobs.ts';

/** What the streams send. Each has the id of the event for Last-Event-ID; one who missed some gets `reset`. */
export const liveEventSchema = z
  .discriminatedUnion('type', [
    z.strictObject({ type: z.literal('reset'), at: time() }).describe('Something was missed: read the state anew'),
    z.strictObject({ type: z.literal('job'), job: jobSummary, at: time() }),
    z.strictObject({ type: z.literal('job-deleted'), id: z.string(), at: time() }),
    z.strictObject({
      type: z.literal('progress'),
      id: z.string(),
      partitions: z.array(partitionStatus),
      at: time(),
    }),
    z.strictObject({ type: z.literal('incident'), id: z.string(), incident: incidentSchema, at: time() }),
  ])
  .meta({ id: 'LiveEvent' });

export type LiveEvent = z.infer<typeof liveEventSchema>;

export const auditEntrySchema = z
  .strictObject({
    seq: count(),
    at: time(),
    action: z.string(),
    phase: z.enum(['intent', 'outcome', 'event']),
    outcome: z.string().nullable(),
    actor: z
      .string()
      .nullable()
      .describe('Name of who did it; null where nobody was signed in, or the name was erased'),
    actorId: z.string().describe('As the log knows them; "anonymous" where nobody was signed in'),
    actorKind: z.string(),
    resource: z.string().nullable(),
    reason: z.string().nullable(),
    requestId: z.string().nullable(),
    parentSeq: count().nullable(),
    address: z.string().nullable().describe('From where it was asked; null where it is not known, or was erased'),
    userAgent: z.string().nullable().describe('As the client called itself; likewise'),
  })
  .meta({ id: 'AuditEntry' });

const bySeq = z.strictObject({ seq: z.coerce.number().int().min(0).max(Number.MAX_SAFE_INTEGER) });

const auditFilter = {
  from: z.coerce.number().int().min(0).optional().describe('At or after, milliseconds since the epoch'),
  to: z.coerce.number().int().min(0).optional().describe('Before'),
  action: z.string().max(100).optional().describe('"job" finds "job.start" too'),
  actor: z.string().max(100).optional(),
  outcome: z.enum(['succeeded', 'failed', 'denied', 'unknown']).optional(),
};

export const watchingRoutes = {
  openStream: defineRoute({
    method: 'GET',
    path: '/api/v1/stream',
    tag: 'live',
    summary: 'Live state as server-sent events: jobs that the caller may see, their progress and incidents.',
    access: on('jobs:view', 'listed'),
    audit: null,
    answer: { kind: 'stream', status: 200, media: 'text/event-stream' },
  }),
  createStreamTicket: defineRoute({
    method: 'POST',
    path: '/api/v1/stream/tickets',
    tag: 'live',
    summary: 'A ticket with which one WebSocket can be opened, once, within 30 seconds.',
    access: on('jobs:view', 'listed'),
    audit: null,
    answer: json(z.strictObject({ ticket: z.string(), expiresAt: time() }), 201),
  }),
  openSocket: defineRoute({
    method: 'GET',
    path: '/ws',
    tag: 'live',
    summary: 'The same events over a WebSocket, for the holder of a ticket. A token in the address is refused.',
    access: { kind: 'public', why: 'The ticket stands for the session that it was made for.' },
    audit: null,
    query: z.strictObject({ ticket: z.string().min(1).max(100) }),
    answer: { kind: 'stream', status: 101, media: 'application/json' },
    errors: ['AUTH_INVALID', 'REQUEST_FORGED', 'TLS_REQUIRED'],
  }),
  listEvents: defineRoute({
    method: 'GET',
    path: '/api/v1/events',
    tag: 'events',
    summary: 'Entries of the audit log, the newest first. A page may be empty and yet have a next one.',
    access: on('events:view', 'server'),
    audit: null,
    query: z.strictObject({ limit: pageLimit(), cursor: pageCursor(), ...auditFilter }),
    answer: json(pageOf(auditEntrySchema)),
    errors: ['AUDIT_UNAVAILABLE'],
  }),
  exportEvents: defineRoute({
    method: 'GET',
    path: '/api/v1/events/export',
    tag: 'events',
    summary: 'Entries of the audit log as CSV, up to 100,000 of them.',
    access: on('events:view', 'server'),
    audit: 'events.export',
    query: z.strictObject(auditFilter),
    answer: { kind: 'file', status: 200, media: 'text/csv; charset=utf-8' },
    errors: ['AUDIT_UNAVAILABLE'],
  }),
  exportEventsAsJson: defineRoute({
    method: 'GET',
    path: '/api/v1/events/export/json',
    tag: 'events',
    summary: 'The same as a JSON array of AuditEntry.',
    access: on('events:view', 'server'),
    audit: 'events.export',
    query: z.strictObject(auditFilter),
    answer: { kind: 'file', status: 200, media: 'application/json; charset=utf-8' },
    errors: ['AUDIT_UNAVAILABLE'],
  }),
  exportEvidence: defineRoute({
    method: 'GET',
    path: '/api/v1/events/export/evidence',
    tag: 'events',
    summary:
      'Up to 10,000 entries with the proof of each, as a zip file that "lockstep log report" verifies with the key alone.',
    access: on('events:view', 'server'),
    audit: 'events.export',
    query: z.strictObject(auditFilter),
    answer: { kind: 'file', status: 200, media: 'application/zip' },
    errors: ['AUDIT_UNAVAILABLE'],
  }),
  erasePersonal: defineRoute({
    method: 'POST',
    path: '/api/v1/events/personal-data/erase',
    tag: 'events',
    summary:
      'Destroys what stands beside the audit log of an address, a user agent, or the name of somebody who is no user any more: entries then show none. The log itself is not changed.',
    access: on('users:delete', 'server'),
    audit: 'events.erase',
    needsStepUp: true,
    body: z.strictObject({ value: z.string().min(1).max(300).describe('As entries show it') }),
    answer: json(z.strictObject({ erased: count().describe('Values that were destroyed') }).meta({ id: 'Erased' })),
  }),
  getLogCheckpoint: defineRoute({
    method: 'GET',
    path: '/api/v1/events/checkpoint',
    tag: 'events',
    summary:
      'The newest signed checkpoint of the audit log (c2sp.org/tlog-checkpoint) and the key that verifies it: whoever keeps it can show later that nothing was taken out.',
    access: on('events:view', 'server'),
    audit: null,
    answer: json(
      z
        .strictObject({ size: count().describe('Entries that it covers'), verifierKey: z.string(), note: z.string() })
        .meta({ id: 'LogCheckpoint' }),
    ),
    errors: ['RESOURCE_NOT_FOUND', 'AUDIT_UNAVAILABLE'],
  }),
  getEvent: defineRoute({
    method: 'GET',
    path: '/api/v1/events/:seq',
    tag: 'events',
    summary: 'One entry of the audit log.',
    access: on('events:view', 'server'),
    audit: null,
    params: bySeq,
    answer: json(auditEntrySchema),
    errors: ['AUDIT_UNAVAILABLE'],
  }),
  getEventProof: defineRoute({
    method: 'GET',
    path: '/api/v1/events/:seq/proof',
    tag: 'events',
    summary:
      'That the entry is in the log, as a file which "lockstep log entry" and every other program for c2sp.org/tlog-proof verify with the key alone.',
    access: on('events:view', 'server'),
    audit: null,
    params: bySeq,
    answer: { kind: 'text', status: 200, media: 'text/plain; charset=utf-8' },
    errors: ['AUDIT_UNAVAILABLE'],
  }),
};
