/** Compliance reports: made, with their digest in the signed audit log, kept, and shown as what somebody needs. */
import { must } from '#util/assert.ts';
import type { Json } from '#store/json.ts';
import type { StoredReport } from '#store/reports.ts';
import type { Aggregates } from '#store/store.ts';
import { sha256 } from '../auth/credential.ts';
import { canonicalJson } from '../http/canonical.ts';
import type { AuditEvent, ServerPorts } from '../ports.ts';
import { periodBefore, reportOn, type Period, type ReportHead, type Sections } from './compliance-report.ts';
import { everyItem } from './pages.ts';
import { inPieces, userNameOf } from './user-names.ts';

export const COMPLIANCE = 'compliance';

export interface KeptReport extends StoredReport {
  readonly sections: Sections;
}

interface Summary {
  readonly period: Period;
  /** Of what `statementOf` says, and the entry of the audit log that has it. */
  readonly digest: string;
  readonly entry: number;
}

/** What is signed. */
export function statementOf({ from, to, createdAt, summary, sections }: KeptReport) {
  const { period } = summary as unknown as Summary;
  return { period, start: from ?? createdAt, end: to ?? createdAt, sections };
}

export function signatureOf({ summary }: StoredReport): Pick<Summary, 'digest' | 'entry'> {
  const { digest, entry } = summary as unknown as Summary;
  return { digest, entry };
}

/** About the last period that is over. */
export async function makeReport(
  ports: ServerPorts,
  { period, actor, by, store }: { period: Period; actor: AuditEvent['actor']; by: string | null; store: Aggregates },
): Promise<KeptReport> {
  const range = periodBefore(period, ports.clock.now());
  const sections = await reportOn(ports, range);
  const digest = sha256(canonicalJson({ period, start: range.from, end: range.to, sections }));
  const { seq } = await ports.audit.record(
    {
      actor,
      action: 'compliance.sign',
      resource: { type: 'report', id: `${period} ${new Date(range.from).toISOString().slice(0, 10)}` },
      change: { afterDigest: digest },
    },
    'succeeded',
  );
  const kept = await store.reports.add({
    kind: COMPLIANCE,
    subject: null,
    ...range,
    createdBy: by,
    summary: { period, digest, entry: seq } satisfies Summary,
    body: sections as unknown as Json,
  });
  return { ...kept, sections };
}

/** Whether there is one about the last period that is over. */
export async function isMade({ store, clock }: ServerPorts, period: Period): Promise<boolean> {
  const { from, to } = periodBefore(period, clock.now());
  // Nobody can have made it before the period was over.
  const since = { kind: COMPLIANCE, from: to };
  for await (const report of everyItem((request) => store.reports.list({ ...request, filter: since })))
    if (report.from === from && (report.summary as unknown as Summary).period === period) return true;
  return false;
}

/** Null: there is none. */
export async function readReport({ store }: ServerPorts, id: string): Promise<KeptReport | null> {
  const report = await store.reports.get(id);
  return report?.kind === COMPLIANCE ? { ...report, sections: report.body as unknown as Sections } : null;
}

export async function headOf(ports: ServerPorts, report: StoredReport): Promise<ReportHead> {
  return {
    period: (report.summary as unknown as Summary).period,
    from: must(report.from, 'beginning of a report'),
    to: must(report.to, 'end of a report'),
    generatedAt: report.createdAt,
    generatedBy: await userNameOf(ports.store, report.createdBy),
  };
}

/** Of those who have changed something, or were changed: the log knows them by ids and commitments. */
export async function namesIn({ store }: ServerPorts, sections: Sections): Promise<ReadonlyMap<string, string>> {
  const { configurationChanges: changes } = sections;
  const ids = new Set(changes.flatMap(({ initiator, resource }) => [initiator, resource.replace(/^user /, '')]));
  const names = await inPieces([...ids], (some) => store.personal.names(some));
  const typed = await inPieces([...ids], (some) => store.personal.find(some));
  return new Map([
    ...names.map(({ id, name }): [string, string] => [id, name]),
    ...typed.map(({ commitment, value }): [string, string] => [commitment, value]),
  ]);
}
