import { describe, expect, test } from 'vitest';
import {
  playControlPlane,
  playedIncident,
  playedStatus,
  type Client,
  type ControlPlane,
} from '#testing/played-control-plane.ts';
import { sha256 } from '../auth/credential.ts';
import { ConfigurationKeeper } from '../configuration-keeper.ts';
import { canonicalJson } from '../http/canonical.ts';
import { periodBefore } from './compliance-report.ts';
import { scheduledReports } from './scheduled-reports.ts';

const DAY_MS = 24 * 3_600_000;

async function estate(): Promise<{ plane: ControlPlane; root: Client; id: string }> {
  const plane = await playControlPlane();
  const root = await plane.as('root', 'admin');
  for (const name of ['east', 'west']) await root('POST', '/api/v1/clusters', { name, bootstrap: ['b:1'] });
  const job = { name: 'a', source: 'east', target: 'west', topics: [{ match: 'orders' }] };
  const { id } = (await root('POST', '/api/v1/jobs', job)).json<{ id: string }>();
  return { plane, root, id };
}

const play = (plane: ControlPlane, id: string, recordsCopied: number, since: number, more = {}) =>
  plane.runner.play(id, {
    state: 'running',
    failedReason: null,
    status: playedStatus({ recordsCopied, bytesCopied: recordsCopied * 10, ...more }),
    since,
  });

interface History {
  readonly series: readonly { readonly metric: string; readonly points: readonly { readonly added: number }[] }[];
}

test('reg-M-339: totals are right across restarts of a job', async () => {
  const { plane, root, id } = await estate();
  const first = plane.clock.now();
  for (const records of [0, 1_000, 1_300]) {
    play(plane, id, records, first);
    await plane.clock.advance(10_000);
  }
  const second = plane.clock.now();
  for (const records of [0, 200, 200]) {
    play(plane, id, records, second);
    await plane.clock.advance(10_000);
  }
  const history = (await root('GET', '/api/v1/jobs/a/metrics/history?range=2h')).json<History>();
  const records = history.series.find(({ metric }) => metric === 'records');
  expect(records?.points.reduce((sum, { added }) => sum + added, 0)).toBe(1_500);
  const topic = (await root('GET', '/api/v1/jobs/a/metrics/history?topic=orders')).json<History>();
  expect(topic.series.map(({ metric }) => metric).toSorted()).toEqual(['bytes', 'lagRecords', 'records']);
});

interface Flags {
  readonly targetStalled: boolean | null;
  readonly errorSpike: boolean;
}

test('reg-M-334 reg-M-335 reg-M-336 reg-M-337: what stands out is judged from what was measured, ends, and comes again', async () => {
  const { plane, root, id } = await estate();
  const flags = async () => (await root('GET', '/api/v1/jobs/a/metrics/current')).json<Flags>();
  expect(await flags()).toMatchObject({ errorRate: null, criticalLag: null, targetStalled: null, severity: null });
  const since = plane.clock.now();
  const seen: (boolean | null)[] = [];
  const copy = async (recordsCopied: number, seconds: number, more = {}) => {
    for (let passed = 0; passed < seconds; passed += 10) {
      play(plane, id, recordsCopied, since, { measuredAt: plane.clock.now(), ...more });
      await plane.clock.advance(10_000);
    }
    seen.push((await flags()).targetStalled);
  };
  await copy(1_000, 70);
  await copy(1_000, 90); // its counters are far from zero
  expect(await flags()).toMatchObject({ sourceStalled: false, criticalLag: false, errorRate: 0, severity: 'low' });
  await copy(1_001, 20);
  await copy(1_001, 100, { lagRecords: 201 });
  expect(await flags()).toMatchObject({ criticalLag: true, severity: 'low' });
  expect(seen).toEqual([false, true, false, true]);

  const spikes: boolean[] = [];
  for (const incident of [playedIncident(), null, playedIncident()]) {
    await copy(1_002, 20, { incident });
    spikes.push((await flags()).errorSpike);
    await copy(1_002, 40, { incident });
    spikes.push((await flags()).errorSpike);
  }
  expect(spikes).toEqual([true, false, false, false, true, false]);
  expect(await flags()).toMatchObject({ errorRate: 1, highErrorRate: true, sourceStalled: null, severity: 'high' });
});

test('reg-M-340: what is how severe is the say of the options, from the next question on', async () => {
  const { plane, root, id } = await estate();
  play(plane, id, 1, plane.clock.now(), { lagRecords: 150 });
  const flags = async () => (await root('GET', '/api/v1/jobs/a/metrics/current')).json<Flags>();
  expect(await flags()).toMatchObject({ criticalLag: false, severity: 'none' });
  const options = { flags: { critical_lag: 100 }, severity: { high_lag: 140 } };
  expect((await root('POST', '/api/v1/config/import', { monitoring: options })).statusCode).toBe(200);
  expect(await flags()).toMatchObject({ criticalLag: true, severity: 'high' });
});

test('a store that takes no figures keeps nothing from going on', async () => {
  const { plane, id } = await estate();
  play(plane, id, 1, plane.clock.now());
  await plane.store.close(0);
  await plane.clock.advance(30_000);
  expect(plane.logged.map(({ message }) => message)).toContain('figures not kept');
  expect(plane.clock.pending).toBeGreaterThan(0);
});

test('incidents are kept from their first moment to their last, and what people make of them', async () => {
  const { plane, root, id } = await estate();
  const since = plane.clock.now();
  play(plane, id, 1, since, { incident: playedIncident() });
  await plane.clock.advance(10_000);
  const list = async (query = '') =>
    (await root('GET', `/api/v1/jobs/a/incidents${query}`)).json<{ items: { id: number; closedAt: number | null }[] }>()
      .items;
  const [incident] = await list('?open=true');
  expect(incident).toMatchObject({ code: 'SHARD_RETENTION_LOSS', offsetFrom: 90, offsetTo: 95, closedAt: null });
  const path = `/api/v1/jobs/a/incidents/${incident?.id}/resolution`;
  const resolved = await root('PUT', path, { resolution: 'ignored', note: 'known' });
  expect(resolved.json()).toMatchObject({ resolution: 'ignored', resolutionNote: 'known' });
  play(plane, id, 1, since);
  await plane.clock.advance(10_000);
  expect(await list('?open=true')).toEqual([]);
  expect(await list()).toHaveLength(1);
  await root('POST', '/api/v1/jobs', { name: 'b', source: 'east', target: 'west', topics: [{ match: 'x' }] });
  const ofOther = await root('PUT', path.replace('/a/', '/b/'), { resolution: 'ignored' });
  expect(ofOther.statusCode).toBe(404);
});

describe('compliance reports', () => {
  test('reg-M-410a: a period is one that is over, whole, in UTC', () => {
    const at = Date.UTC(2026, 2, 4, 2, 0); // a Wednesday, two in the morning
    const shown = (period: 'daily' | 'weekly' | 'monthly') => {
      const { from, to } = periodBefore(period, at);
      return [new Date(from).toISOString().slice(0, 16), new Date(to).toISOString().slice(0, 16)];
    };
    expect(shown('daily')).toEqual(['2026-03-03T00:00', '2026-03-04T00:00']);
    expect(shown('weekly')).toEqual(['2026-02-23T00:00', '2026-03-02T00:00']);
    expect(shown('monthly')).toEqual(['2026-02-01T00:00', '2026-03-01T00:00']);
    expect(periodBefore('monthly', Date.UTC(2026, 0, 1)).from).toBe(Date.UTC(2025, 11, 1));
  });

  test('reg-M-411 reg-M-412 reg-M-413 reg-M-414 reg-M-417 reg-M-235c: counts are those of the audit log and of what was measured', async () => {
    const { plane, id } = await estate();
    const since = plane.clock.now();
    for (const records of [0, 500]) {
      play(plane, id, records, since);
      await plane.clock.advance(10_000);
    }
    const watcher = await plane.as('watcher', 'monitoring');
    for (let times = 0; times < 3; times++) await watcher('POST', '/api/v1/jobs/a/start');
    await plane.http.inject({ method: 'POST', url: '/auth/token', payload: { username: 'root', password: 'no' } });
    plane.runner.running.clear();
    await plane.clock.advance(DAY_MS);
    const officer = await plane.as('officer', 'compliance');
    const made = await officer('POST', '/api/v1/compliance/report/daily');
    expect(made.statusCode, made.body).toBe(200);
    expect(made.headers['content-disposition']).toBe('attachment; filename="compliance-report-daily-2023-11-14.csv"');
    const report = (await officer('GET', String(made.headers['location']))).json<{ sections: object }>();
    expect(report.sections).toMatchObject({
      accessAudit: { totalLoginAttempts: 3, failedLoginAttempts: 1, uniqueActiveUsers: 2 },
      dataProcessing: {
        totalMessagesProcessed: 500,
        totalBytesTransferred: 5_000,
        averageLagRecords: 10,
        activeReplicationJobs: 1,
      },
      securityEvents: { permissionDeniedEvents: 3, configurationChanges: 3, refusedRequests: 4 },
      configurationChanges: [{ action: 'cluster.create' }, { action: 'cluster.create' }, { action: 'job.create' }],
      summary: { healthFigure: 98.5 },
    });
    const rows = made.body.split('\r\n');
    expect(rows).toContain('failedLoginAttempts,1');
    expect(rows.some((row) => row.endsWith(',root,job.create,job a'))).toBe(true);
    expect(made.body.toLowerCase()).not.toContain('compliant');
    expect((await officer('GET', '/api/v1/compliance/reports')).json()).toContainEqual(
      expect.objectContaining({ period: 'daily', generatedBy: 'officer' }),
    );
  });

  test('what a job did is counted when it is gone', async () => {
    const { plane, root, id } = await estate();
    const since = plane.clock.now();
    for (const records of [0, 500]) {
      play(plane, id, records, since, { incident: playedIncident() });
      await plane.clock.advance(10_000);
    }
    plane.runner.running.clear();
    expect((await root('DELETE', '/api/v1/jobs/a')).statusCode).toBe(204);
    await plane.clock.advance(DAY_MS);
    const officer = await plane.as('officer', 'compliance');
    const made = await officer('POST', '/api/v1/compliance/report/daily');
    const report = (await officer('GET', String(made.headers['location']))).json<{ sections: object }>();
    expect(report.sections).toMatchObject({
      dataProcessing: { totalMessagesProcessed: 500, averageLagRecords: 10, activeReplicationJobs: 1 },
      performanceMetrics: { totalErrors: 1 },
    });
  });

  test('reg-M-416: what was not measured is not zero', async () => {
    const { plane } = await estate();
    const officer = await plane.as('officer', 'compliance');
    const { headers } = await officer('POST', '/api/v1/compliance/report/monthly');
    const { sections } = (await officer('GET', String(headers['location']))).json<{ sections: object }>();
    expect(sections).toMatchObject({
      accessAudit: { totalLoginAttempts: 0, successRate: null },
      dataProcessing: { averageLagRecords: null },
      performanceMetrics: { averageThroughput: null, measuredPercentage: null },
    });
  });

  test('reg-M-418: a report is there as CSV, to print, and signed: its digest stands in the audit log', async () => {
    const { plane } = await estate();
    const officer = await plane.as('officer', 'compliance');
    await officer('POST', '/api/v1/jobs/start-all'); // refused
    await plane.store.clusters.create({ name: 'x', document: {} });
    const made = await officer('POST', '/api/v1/compliance/report/monthly');
    const path = String(made.headers['location']);
    const csv = await officer('GET', `${path}/csv`);
    expect(csv.body).toBe(made.body);
    expect(csv.headers['content-disposition']).toBe(made.headers['content-disposition']);
    const page = await officer('GET', `${path}/print`);
    expect(page.headers['content-type']).toBe('text/html; charset=utf-8');
    const nonce = /style nonce="([^"]+)"/.exec(page.body)?.[1] ?? '';
    expect(page.headers['content-security-policy']).toContain(`'nonce-${nonce}'`);
    expect(page.body).toContain('<td>averageThroughput</td><td>not measured</td>');
    const signed = (await officer('GET', `${path}/signed`)).json<{ report: unknown; digest: string; entry: number }>();
    expect(signed).toMatchObject({ report: { period: 'monthly' }, proof: null });
    expect(sha256(canonicalJson(signed.report))).toBe(signed.digest);
    expect(plane.audit.entries[signed.entry]).toMatchObject({
      action: 'compliance.sign',
      change: { afterDigest: signed.digest },
    });
    plane.audit.signedSize = signed.entry + 1;
    expect((await officer('GET', `${path}/signed`)).json()).toMatchObject({
      proof: expect.stringContaining('proof of'),
    });
    for (const part of ['', '/csv', '/print', '/signed'])
      expect((await officer('GET', `/api/v1/compliance/report/none${part}`)).statusCode).toBe(404);
  });

  test('reg-M-410b: the schedule makes each report once, after its hour, also after a restart and after being away', async () => {
    const { plane, root } = await estate();
    await root('POST', '/api/v1/config/import', { compliance: { schedule: { run_hour: 3, weekly: true } } });
    const made = async () =>
      (await plane.store.reports.list({ limit: 100, filter: { kind: 'compliance' } })).items.map(
        ({ from, createdAt, summary }) => ({
          period: (summary as { period: string }).period,
          day: new Date(from ?? 0).toISOString().slice(0, 10),
          hour: new Date(createdAt).getUTCHours(),
        }),
      );
    await plane.server.close(); // what it does by itself is called here instead
    const runAt = async (day: number, hour: number) => {
      await plane.clock.advance(Date.UTC(2023, 10, day, hour) - plane.clock.now());
      // As one that has just started: what it remembers is in the store alone.
      const configuration = await ConfigurationKeeper.open(plane.ports);
      configuration.close();
      await scheduledReports({ ports: plane.ports, configuration }).run();
    };
    await runAt(14, 23); // nothing is over since there is a log
    await runAt(15, 2);
    expect(await made()).toEqual([]);
    await runAt(15, 3);
    await runAt(15, 4);
    expect(await made()).toEqual([{ period: 'daily', day: '2023-11-14', hour: 3 }]);
    await runAt(20, 5); // a Monday; it was away
    const byPeriod = (await made()).toSorted((a, b) => (a.period < b.period ? -1 : 1));
    expect(byPeriod).toEqual([
      { period: 'daily', day: '2023-11-14', hour: 3 },
      { period: 'daily', day: '2023-11-19', hour: 5 },
      { period: 'weekly', day: '2023-11-13', hour: 5 },
    ]);
    expect(plane.audit.entries.filter(({ action }) => action === 'compliance.generate')[0]).toMatchObject({
      actor: { kind: 'system' },
    });
  });
});
