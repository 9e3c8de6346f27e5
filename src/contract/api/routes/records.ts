/** What was measured over time, incidents, and reports about both and the audit log. */
import { z } from 'zod';
import { count, foreignName, pageOf, pageQuery, resourceName, time } from '../common.ts';
import { defineRoute, json, on } from '../route.ts';

const byJob = z.strictObject({ id: resourceName() });

const storedIncident = z
  .strictObject({
    id: z.int(),
    jobId: z.string(),
    code: z.string(),
    severity: z.enum(['error', 'warning']),
    topic: foreignName().nullable(),
    partition: z.int().nullable(),
    offsetFrom: z.int().nullable(),
    offsetTo: z.int().nullable().describe('One past the last'),
    cause: z.string(),
    consequence: z.string(),
    nextStep: z.string(),
    endsByItself: z.boolean(),
    openedAt: time(),
    lastSeenAt: time(),
    closedAt: time().nullable().describe('Null: it is still there'),
    resolution: z.enum(['unresolved', 'in-progress', 'resolved', 'ignored']),
    resolutionNote: z.string().nullable(),
    resolvedBy: z.string().nullable(),
    resolvedAt: time().nullable(),
  })
  .meta({ id: 'StoredIncident' });

const series = z
  .strictObject({
    metric: z.string(),
    kind: z.enum(['counter', 'gauge']),
    stepMs: z.int(),
    points: z
      .array(
        z.strictObject({
          at: time(),
          added: z.number().nullable().describe('Of a counter; null of a gauge'),
          mean: z.number().describe('Of a counter per second'),
          min: z.number(),
          max: z.number(),
        }),
      )
      .describe('Steps in which nothing was measured are missing'),
  })
  .meta({ id: 'MetricSeries' });

const periods = z.enum(['daily', 'weekly', 'monthly']);

const reportSummary = z
  .strictObject({
    id: z.string(),
    period: periods,
    start: time(),
    end: time(),
    generatedBy: z.string().nullable().describe('Null: the schedule'),
    generatedAt: time(),
  })
  .meta({ id: 'ReportSummary' });

const change = z.strictObject({
  timestamp: time(),
  initiator: z.string(),
  action: z.string(),
  resource: z.string(),
});

/** Sections and names of kaf-mirror, with what each figure is measured by. Nothing here says that anything is compliant. */
export const reportSections = z
  .strictObject({
    accessAudit: z.strictObject({
      totalLoginAttempts: count(),
      failedLoginAttempts: count(),
      uniqueActiveUsers: count().describe('Who signed in or did something in the period'),
      successRate: z.number().nullable().describe('Percent; null without attempts'),
    }),
    dataProcessing: z.strictObject({
      totalMessagesProcessed: count(),
      totalBytesTransferred: count(),
      averageLagRecords: z.number().nullable().describe('Mean of the jobs; null where nothing was measured'),
      activeReplicationJobs: count().describe('Jobs of which something was measured in the period'),
    }),
    securityEvents: z.strictObject({
      permissionDeniedEvents: count(),
      configurationChanges: count(),
      refusedRequests: count().describe(
        'All refusals: bad credentials, forged and unencrypted requests, missing rights',
      ),
    }),
    configurationChanges: z.array(change),
    performanceMetrics: z.strictObject({
      averageThroughput: z.number().nullable().describe('Records a second, over the time that was measured'),
      totalErrors: count().describe('Incidents that were there in the period'),
      measuredPercentage: z.number().nullable().describe('Of the period, in which the jobs were measured, on average'),
    }),
    summary: z.strictObject({
      healthFigure: z.number(),
      formula: z.string(),
      recommendations: z.array(z.string()),
    }),
  })
  .meta({ id: 'ReportSections' });

const byReport = z.strictObject({ id: z.string().min(1).max(100) });

/** What is signed of a report. */
const reportStatement = z.strictObject({ period: periods, start: time(), end: time(), sections: reportSections });

export const recordRoutes = {
  getMetricsHistory: defineRoute({
    method: 'GET',
    path: '/api/v1/jobs/:id/metrics/history',
    tag: 'jobs',
    summary: 'Rates and lag over time, right across restarts.',
    access: on('metrics:view', { job: 'id' }),
    audit: null,
    params: byJob,
    query: z.strictObject({
      range: z.enum(['2h', '24h', '7d', '30d']).default('24h'),
      topic: z.string().max(249).optional().describe('A source topic; without it the job as a whole'),
      points: z.coerce.number().int().min(1).max(2_000).default(720),
    }),
    answer: json(z.strictObject({ from: time(), to: time(), series: z.array(series) })),
  }),
  listIncidents: defineRoute({
    method: 'GET',
    path: '/api/v1/jobs/:id/incidents',
    tag: 'jobs',
    summary: 'Incidents of a job, those that are over too.',
    access: on('jobs:view', { job: 'id' }),
    audit: null,
    params: byJob,
    query: z.strictObject({
      ...pageQuery(['openedAt', 'lastSeenAt']),
      open: z.enum(['true', 'false']).optional(),
      topic: z.string().max(249).optional(),
    }),
    answer: json(pageOf(storedIncident)),
  }),
  resolveIncident: defineRoute({
    method: 'PUT',
    path: '/api/v1/jobs/:id/incidents/:incident/resolution',
    tag: 'jobs',
    summary: 'Notes what people make of an incident. It is over when its cause is.',
    access: on('jobs:edit', { job: 'id' }),
    audit: 'incident.resolve',
    params: z.strictObject({ id: resourceName(), incident: z.coerce.number().int().min(0) }),
    body: z.strictObject({
      resolution: z.enum(['unresolved', 'in-progress', 'resolved', 'ignored']),
      note: z.string().max(2_000).nullable().default(null),
    }),
    answer: json(storedIncident),
  }),
  generateReport: defineRoute({
    method: 'POST',
    path: '/api/v1/compliance/report/:period',
    tag: 'compliance',
    summary:
      'Makes a report about the last day, week (from Monday) or month that is over, in UTC, keeps it, and sends it as CSV.',
    access: on('compliance:generate', 'server'),
    audit: 'compliance.generate',
    params: z.strictObject({ period: periods }),
    answer: { kind: 'file', status: 200, media: 'text/csv; charset=utf-8' },
  }),
  listReports: defineRoute({
    method: 'GET',
    path: '/api/v1/compliance/reports',
    tag: 'compliance',
    summary: 'The last 50 reports.',
    access: on('compliance:view', 'server'),
    audit: null,
    answer: json(z.array(reportSummary)),
  }),
  getReportCsv: defineRoute({
    method: 'GET',
    path: '/api/v1/compliance/report/:id/csv',
    tag: 'compliance',
    summary: 'One report as CSV.',
    access: on('compliance:view', 'server'),
    audit: null,
    params: byReport,
    answer: { kind: 'file', status: 200, media: 'text/csv; charset=utf-8' },
  }),
  getReportPage: defineRoute({
    method: 'GET',
    path: '/api/v1/compliance/report/:id/print',
    tag: 'compliance',
    summary: 'One report as a page to print.',
    access: on('compliance:view', 'server'),
    audit: null,
    params: byReport,
    answer: { kind: 'text', status: 200, media: 'text/html; charset=utf-8' },
  }),
  getSignedReport: defineRoute({
    method: 'GET',
    path: '/api/v1/compliance/report/:id/signed',
    tag: 'compliance',
    summary:
      'One report with the proof that its digest stands in the signed audit log since it was made: "lockstep log entry" verifies it with the key of the log alone.',
    access: on('compliance:view', 'server'),
    audit: null,
    params: byReport,
    answer: json(
      z
        .strictObject({
          report: reportStatement,
          digest: z.string().describe('SHA-256 of the canonical JSON (RFC 8785) of "report"'),
          entry: count().describe('Of the audit log, whose change.afterDigest is the digest'),
          proof: z.string().nullable().describe('c2sp.org/tlog-proof; null: no checkpoint covers the entry yet'),
        })
        .meta({ id: 'SignedReport' }),
    ),
    errors: ['AUDIT_UNAVAILABLE'],
  }),
  getReport: defineRoute({
    method: 'GET',
    path: '/api/v1/compliance/report/:id',
    tag: 'compliance',
    summary: 'One report.',
    access: on('compliance:view', 'server'),
    audit: null,
    params: byReport,
    answer: json(reportSummary.extend({ sections: reportSections }).meta({ id: 'Report' })),
  }),
};
