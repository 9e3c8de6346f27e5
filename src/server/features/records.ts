/** Figures over time, incidents and compliance reports. */
import type { recordRoutes } from '#contract/api/routes/records.ts';
import { AppError } from '#contract/errors.ts';
import type { StoredReport } from '#store/reports.ts';
import type { FileAnswer, Handlers } from '../http/call.ts';
import { newNonce, pagePolicy } from '../http/headers.ts';
import { reportCsv, type Period } from './compliance-report.ts';
import type { Context } from './context.ts';
import { BYTES, LAG, RECORDS } from './history-keeper.ts';
import {
  COMPLIANCE,
  headOf,
  namesIn,
  makeReport,
  readReport,
  signatureOf,
  statementOf,
  type KeptReport,
} from './kept-reports.ts';
import { storePage } from './pages.ts';
import { reportPage } from './report-page.ts';
import { userNameOf } from './user-names.ts';

const HOUR_MS = 3_600_000;
const RANGES = { '2h': 2, '24h': 24, '7d': 7 * 24, '30d': 30 * 24 } as const;
const REPORTS_SHOWN = 50;

export function recordHandlers({ ports }: Context): Pick<Handlers, keyof typeof recordRoutes> {
  const { store, clock, entropy, auditTrail } = ports;

  const nameOf = (userId: string | null): Promise<string | null> => userNameOf(store, userId);

  const summaryOf = async ({ id, from, to, createdAt, createdBy, summary }: StoredReport) => ({
    id,
    period: (summary as unknown as { period: Period }).period,
    start: from ?? createdAt,
    end: to ?? createdAt,
    generatedBy: await nameOf(createdBy),
    generatedAt: createdAt,
  });

  /** Throws RESOURCE_NOT_FOUND. */
  const reportOf = async (id: string): Promise<KeptReport> => {
    const report = await readReport(ports, id);
    if (report !== null) return report;
    throw new AppError('RESOURCE_NOT_FOUND', 'There is no such report.', {
      nextStep: 'GET /api/v1/compliance/reports shows those that there are.',
    });
  };

  const csvOf = async (report: KeptReport): Promise<FileAnswer> => {
    const head = await headOf(ports, report);
    const text = reportCsv(head, report.sections, await namesIn(ports, report.sections));
    return {
      name: `compliance-report-${head.period}-${new Date(head.from).toISOString().slice(0, 10)}.csv`,
      chunks: (async function* () {
        yield text;
      })(),
    };
  };

  return {
    async getMetricsHistory({ job, query }) {
      const to = clock.now();
      const from = to - RANGES[query.range] * HOUR_MS;
      const series = await store.history.read({
        jobId: job.id,
        topic: query.topic ?? null,
        metrics: [RECORDS, BYTES, LAG],
        from,
        to,
        pointsMax: query.points,
      });
      return { from, to, series };
    },

    listIncidents: ({ job, query }) =>
      store.incidents.list({
        ...storePage(query),
        filter: {
          jobId: job.id,
          ...(query.topic === undefined ? {} : { topic: query.topic }),
          ...(query.open === undefined ? {} : { isOpen: query.open === 'true' }),
        },
      }),

    async resolveIncident({ job, caller, params, body, store: aggregates }) {
      const incident = await store.incidents.get(params.incident);
      // An incident of another job is none of this one, whoever may see that one.
      if (incident?.jobId !== job.id)
        throw new AppError('RESOURCE_NOT_FOUND', `Job "${job.name}" has no incident ${params.incident}.`, {
          nextStep: 'GET /api/v1/jobs/ID/incidents shows those that it has.',
        });
      const { resolution, note } = body;
      return aggregates.incidents.resolve(incident.id, { resolution, note, by: caller.identity.userId });
    },

    async generateReport({ caller, params: { period }, store: aggregates, connection: { reply } }) {
      const { actor, identity } = caller;
      const report = await makeReport(ports, { period, actor, by: identity.userId, store: aggregates });
      void reply.header('location', `/api/v1/compliance/report/${report.id}`);
      return csvOf(report);
    },

    async listReports() {
      const { items } = await store.reports.list({
        limit: REPORTS_SHOWN,
        descending: true,
        filter: { kind: COMPLIANCE },
      });
      return Promise.all(items.map(summaryOf));
    },

    async getReport({ params }) {
      const report = await reportOf(params.id);
      return { ...(await summaryOf(report)), sections: report.sections };
    },

    getReportCsv: async ({ params }) => csvOf(await reportOf(params.id)),

    async getReportPage({ params, connection: { reply } }) {
      const report = await reportOf(params.id);
      const nonce = newNonce(entropy);
      void reply.header('content-security-policy', pagePolicy(nonce));
      const names = await namesIn(ports, report.sections);
      return reportPage(await headOf(ports, report), report.sections, { names, nonce });
    },

    async getSignedReport({ params }) {
      const report = await reportOf(params.id);
      const { digest, entry } = signatureOf(report);
      return { report: statementOf(report), digest, entry, proof: await auditTrail.proof(entry) };
    },
  };
}
