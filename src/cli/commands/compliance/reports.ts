/** Compliance reports: figures from the audit log and from measurements. They say what was, not that it complies. */
import { formatCount, formatFacts, formatMoment, formatRows, UNKNOWN } from '../../format.ts';
import type { ResultOf } from '../../remote/api-client.ts';
import { remoteVerb, type RemoteOptions } from '../../remote/remote-verb.ts';
import { choiceFrom } from '../../remote/values.ts';
import type { Verb } from '../../verb.ts';
import { saveFile } from '../save-file.ts';

export const generateReport: Verb<RemoteOptions & { readonly out?: string }> = remoteVerb({
  summary: 'make a report about the last day, week or month that is over, as CSV',
  examples: [
    'lockstep compliance generate daily --out report.csv',
    'lockstep compliance generate monthly > report.csv',
  ],
  options: { '--out <file>': 'a new file; without it standard output' },
  async run(remote, { out }, [period = '']) {
    const params = { period: choiceFrom('the period', period, ['daily', 'weekly', 'monthly']) };
    return saveFile(remote, await remote.api.open('generateReport', { params }, 'text/csv'), out);
  },
});

export const listReports: Verb<RemoteOptions> = remoteVerb({
  summary: 'show the last 50 reports',
  examples: ['lockstep compliance list'],
  async run({ api }) {
    const reports = await api.call('listReports', {});
    const rows = reports.map((each) => [
      each.id,
      each.period,
      formatMoment(each.start),
      formatMoment(each.end),
      each.generatedBy ?? 'schedule',
      formatMoment(each.generatedAt),
    ]);
    return { json: { reports }, lines: formatRows(['ID', 'PERIOD', 'FROM', 'TO', 'BY', 'MADE'], rows, 'reports') };
  },
});

interface GetOptions extends RemoteOptions {
  readonly format?: string;
  readonly out?: string;
}

export const getReport: Verb<GetOptions> = remoteVerb({
  summary: 'show one report; or have it as CSV, as a page to print, or signed',
  description:
    'Shows one report. With --format it comes as a file: csv, html (a page to print), or signed: with the proof that its digest stands in the audit log since it was made, which "lockstep log entry" verifies.',
  examples: [
    'lockstep compliance get ID',
    'lockstep compliance get ID --format html --out report.html',
    'lockstep compliance get ID --format signed',
  ],
  options: { '--format <format>': 'csv, html or signed', '--out <file>': 'a new file; without it standard output' },
  async run(remote, { format, out }, [id = '']) {
    const { api } = remote;
    const params = { id };
    if (format === undefined) {
      const report = await api.call('getReport', { params });
      return { json: { report }, lines: reportLines(report) };
    }
    switch (choiceFrom('--format', format, ['csv', 'html', 'signed'])) {
      case 'csv':
        return saveFile(remote, await api.open('getReportCsv', { params }, 'text/csv'), out);
      case 'html':
        return saveFile(remote, await api.open('getReportPage', { params }, 'text/html'), out);
      case 'signed':
        return saveFile(remote, await api.open('getSignedReport', { params }, 'application/json'), out);
    }
  },
});

function reportLines({ period, start, end, sections }: ResultOf<'getReport'>): string[] {
  const { accessAudit, dataProcessing, securityEvents, performanceMetrics, summary, configurationChanges } = sections;
  const percent = (value: number | null): string => (value === null ? UNKNOWN : `${value.toFixed(1)} %`);
  const rows = configurationChanges.map((each) => [
    formatMoment(each.timestamp),
    each.initiator,
    each.action,
    each.resource,
  ]);
  return [
    `${period}, from ${formatMoment(start)} to ${formatMoment(end)}`,
    ...formatFacts([
      ['sign-ins tried', formatCount(accessAudit.totalLoginAttempts)],
      ['sign-ins failed', formatCount(accessAudit.failedLoginAttempts)],
      ['sign-ins that succeeded', percent(accessAudit.successRate)],
      ['people who did something', formatCount(accessAudit.uniqueActiveUsers)],
      ['records copied', formatCount(dataProcessing.totalMessagesProcessed)],
      ['bytes copied', formatCount(dataProcessing.totalBytesTransferred)],
      ['mean lag in records', formatCount(dataProcessing.averageLagRecords)],
      ['jobs that ran', formatCount(dataProcessing.activeReplicationJobs)],
      ['denied', formatCount(securityEvents.permissionDeniedEvents)],
      ['refused in all', formatCount(securityEvents.refusedRequests)],
      ['incidents', formatCount(performanceMetrics.totalErrors)],
      ['of the period measured', percent(performanceMetrics.measuredPercentage)],
      ['health figure', `${summary.healthFigure} (${summary.formula})`],
    ]),
    ...summary.recommendations,
    '',
    ...formatRows(['TIME', 'WHO', 'CHANGE', 'ON'], rows, 'changes of the configuration'),
  ];
}
