/** Figures about a period, counted in the audit log and in what was measured. */
import type { z } from 'zod';
import type { reportSections } from '#contract/api/routes/records.ts';
import { UNNAMED } from '../personal-notes.ts';
import type { AuditEntry, ServerPorts } from '../ports.ts';
import { csvRow } from '../http/csv.ts';
import { BYTES, LAG, RECORDS } from './history-keeper.ts';
import { everyItem } from './pages.ts';

export type Period = 'daily' | 'weekly' | 'monthly';
export type Sections = z.output<typeof reportSections>;

const DAY_MS = 24 * 3_600_000;

/** Refusals that are no failed sign-in and no missing right are told together. */
const CHANGES = new Set(['user', 'role', 'token', 'certificate', 'cluster', 'job', 'second-factor', 'setup', 'config']);

/** The last one that is over: one that still runs would be a report about a part of it. Weeks begin on Monday; UTC. */
export function periodBefore(period: Period, now: number): { readonly from: number; readonly to: number } {
  const today = Math.floor(now / DAY_MS) * DAY_MS;
  if (period === 'daily') return { from: today - DAY_MS, to: today };
  const date = new Date(today);
  if (period === 'weekly') {
    const to = today - ((date.getUTCDay() + 6) % 7) * DAY_MS;
    return { from: to - 7 * DAY_MS, to };
  }
  const to = Date.UTC(date.getUTCFullYear(), date.getUTCMonth(), 1);
  return { from: Date.UTC(date.getUTCFullYear(), date.getUTCMonth() - 1, 1), to };
}

export async function reportOn(
  { store, auditTrail }: ServerPorts,
  range: { readonly from: number; readonly to: number },
): Promise<Sections> {
  const counted = await countEntries(auditTrail.all({ fromTs: range.from, toTs: range.to }));
  const data = await measured(store, range);
  const { denied } = counted;
  const attempts = counted.signIns + counted.failedSignIns;
  return {
    accessAudit: {
      totalLoginAttempts: attempts,
      failedLoginAttempts: counted.failedSignIns,
      uniqueActiveUsers: counted.users.size,
      successRate: attempts === 0 ? null : rounded((counted.signIns / attempts) * 100),
    },
    dataProcessing: data.processing,
    securityEvents: {
      permissionDeniedEvents: denied,
      configurationChanges: counted.changes.length,
      refusedRequests: counted.refused,
    },
    configurationChanges: counted.changes,
    performanceMetrics: data.performance,
    summary: {
      healthFigure: Math.max(0, 100 - 0.5 * denied),
      formula: '100 - 0.5 for each denied permission, not below 0',
      recommendations: denied > 10 ? ['More than 10 denials: look whether roles fit what people have to do.'] : [],
    },
  };
}

/** Of a user who had no id yet, the commitment to the name: it is shown as long as it is kept. */
function idOf({ resource, pii = [] }: AuditEntry): string {
  return resource.id === UNNAMED ? (pii[0]?.commitment ?? UNNAMED) : resource.id;
}

async function countEntries(entries: Iterable<AuditEntry> | AsyncIterable<AuditEntry>) {
  const counted = {
    signIns: 0,
    failedSignIns: 0,
    denied: 0,
    refused: 0,
    users: new Set<string>(),
    changes: [] as Sections['configurationChanges'],
  };
  for await (const entry of entries) {
    const { action, outcome, reason, actor, resource, ts, phase } = entry;
    if (actor.kind === 'user') counted.users.add(actor.id);
    const isSignIn = action === 'session.create';
    if (isSignIn && outcome === 'succeeded') counted.signIns++;
    if (isSignIn && outcome === 'denied') counted.failedSignIns++;
    if (outcome === 'denied') counted.refused++;
    if (reason === 'ACCESS_DENIED' && outcome === 'denied') counted.denied++;
    // An outcome without its effect is none; what was refused changed nothing.
    if (phase === 'outcome' && outcome === 'succeeded' && CHANGES.has(action.split('.')[0] ?? ''))
      counted.changes.push({ timestamp: ts, initiator: actor.id, action, resource: `${resource.type} ${idOf(entry)}` });
  }
  return counted;
}

async function measured(
  store: ServerPorts['store'],
  range: { readonly from: number; readonly to: number },
): Promise<{ processing: Sections['dataProcessing']; performance: Sections['performanceMetrics'] }> {
  const totals = await store.history.totals({ jobId: null, metrics: [RECORDS, BYTES], ...range });
  const of = (metric: string) => totals.filter((total) => total.metric === metric);
  const sum = (values: readonly number[]): number => values.reduce((total, value) => total + value, 0);
  const records = of(RECORDS);
  const active = records.filter(({ coveredMs }) => coveredMs > 0);
  const coveredMs = sum(active.map((total) => total.coveredMs));
  const lags: number[] = [];
  // Of jobs that were deleted since, too.
  for (const jobId of new Set(totals.map((total) => total.jobId))) {
    const [lag] = await store.history.read({ jobId, topic: null, metrics: [LAG], ...range, pointsMax: 1 });
    lags.push(...(lag?.points ?? []).map(({ mean }) => mean));
  }
  return {
    processing: {
      totalMessagesProcessed: Math.round(sum(records.map(({ added }) => added))),
      totalBytesTransferred: Math.round(sum(of(BYTES).map(({ added }) => added))),
      averageLagRecords: lags.length === 0 ? null : rounded(sum(lags) / lags.length),
      activeReplicationJobs: active.length,
    },
    performance: {
      averageThroughput: coveredMs === 0 ? null : rounded(sum(records.map(({ added }) => added)) / (coveredMs / 1000)),
      totalErrors: await countIncidents(store, range),
      measuredPercentage:
        active.length === 0 ? null : rounded((coveredMs / (active.length * (range.to - range.from))) * 100),
    },
  };
}

async function countIncidents(
  { incidents }: ServerPorts['store'],
  range: { readonly from: number; readonly to: number },
): Promise<number> {
  let found = 0;
  for await (const _ of everyItem((request) => incidents.list({ ...request, filter: range }))) found++;
  return found;
}

function rounded(value: number): number {
  return Math.round(value * 100) / 100;
}

export interface ReportHead {
  readonly period: Period;
  readonly from: number;
  readonly to: number;
  readonly generatedAt: number;
  readonly generatedBy: string | null;
}

/** All of it: a header, each section as name and value, and each change. */
export function reportCsv(head: ReportHead, sections: Sections, names: ReadonlyMap<string, string>): string {
  const rows = tablesOf(head, sections, names).flatMap(({ title, rows: own }) => [
    ...(title === null ? [] : [[], [title]]),
    ...own,
  ]);
  return rows.map(csvRow).join('');
}

export interface ReportTable {
  readonly title: string | null;
  readonly rows: readonly (readonly (string | number | null)[])[];
}

/** The report as people read it, whatever it is written as. */
export function tablesOf(
  head: ReportHead,
  { configurationChanges, summary, ...sections }: Sections,
  names: ReadonlyMap<string, string>,
): ReportTable[] {
  const at = (ms: number): string => new Date(ms).toISOString();
  return [
    {
      title: null,
      rows: [
        ['Report', head.period],
        ['From', at(head.from)],
        ['To', at(head.to)],
        ['Generated', at(head.generatedAt)],
        ['Generated by', head.generatedBy ?? 'the schedule'],
      ],
    },
    {
      title: 'SUMMARY',
      rows: [
        ['Health figure', summary.healthFigure],
        ['Formula', summary.formula],
        ...summary.recommendations.map((text) => ['Recommendation', text]),
      ],
    },
    ...Object.entries(sections).map(([section, figures]) => ({
      title: section.replaceAll(/[A-Z]/g, (letter) => ` ${letter}`).toUpperCase(),
      rows: Object.entries(figures),
    })),
    {
      title: 'AUDIT TRAIL (Configuration Changes)',
      rows: [
        ['timestamp', 'initiator', 'action', 'resource'],
        ...configurationChanges.map(({ timestamp, initiator, action, resource }) => [
          at(timestamp),
          names.get(initiator) ?? initiator,
          action,
          resource.replace(/^user (.+)$/, (text, id: string) => (names.has(id) ? `user ${names.get(id)}` : text)),
        ]),
      ],
    },
  ];
}
