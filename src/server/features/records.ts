/** Figures over time, incidents and compliance reports. */
import type { recordRoutes } from '#contract/api/routes/records.ts';
import { AppError } from '#contract/errors.ts';
import type { Json } from '#store/json.ts';
import type { StoredReport } from '#store/reports.ts';
import type { Handlers } from '../http/call.ts';
import { periodBefore, reportCsv, reportOn, type Period, type Sections } from './compliance-report.ts';
import type { Context } from './context.ts';
import { BYTES, LAG, RECORDS } from './history-keeper.ts';
import { storePage } from './pages.ts';
import { userNameOf } from './user-names.ts';

const HOUR_MS = 3_600_000;
const RANGES = { '2h': 2, '24h': 24, '7d': 7 * 24, '30d': 30 * 24 } as const;
const REPORTS_SHOWN = 50;
const COMPLIANCE = 'compliance';

export function recordHandlers({ ports }: Context): Pick<Handlers, keyof typeof recordRoutes> {
  const { store, clock } = ports;

  const nameOf = (userId: string | null): Promise<string | null> => userNameOf(store, userId);

  const summaryOf = async ({ id, from, to, createdAt, createdBy, summary }: StoredReport) => ({
    id,
    period: (summary as { period: Period }).period,
    start: from ?? createdAt,
    end: to ?? createdAt,
    generatedBy: await nameOf(createdBy),
    generatedAt: createdAt,
  });

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
      const range = periodBefore(period, clock.now());
      const sections = await reportOn(ports, range);
      const kept = await aggregates.reports.add({
        kind: COMPLIANCE,
        subject: null,
        ...range,
        createdBy: caller.identity.userId,
        summary: { period },
        body: sections as unknown as Json,
      });
      const initiators = [...new Set(sections.configurationChanges.map(({ initiator }) => initiator))];
      const names = new Map<string, string>();
      for (const id of initiators) names.set(id, (await nameOf(id)) ?? id);
      const head = { period, ...range, generatedAt: kept.createdAt, generatedBy: caller.identity.name };
      void reply.header('location', `/api/v1/compliance/report/${kept.id}`);
      const day = new Date(range.from).toISOString().slice(0, 10);
      const text = reportCsv(head, sections, names);
      return {
        name: `compliance-report-${period}-${day}.csv`,
        chunks: (async function* () {
          yield text;
        })(),
      };
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
      const report = await store.reports.get(params.id);
      if (report?.kind !== COMPLIANCE)
        throw new AppError('RESOURCE_NOT_FOUND', 'There is no such report.', {
          nextStep: 'GET /api/v1/compliance/reports shows those that there are.',
        });
      return { ...(await summaryOf(report)), sections: report.body as unknown as Sections };
    },
  };
}
