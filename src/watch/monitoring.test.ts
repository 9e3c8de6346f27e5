import { createServer, type RequestListener } from 'node:http';
import { type AddressInfo, connect } from 'node:net';
import { expect, onTestFinished, test, vi } from 'vitest';
import { monitoringOf } from '#contract/monitoring-settings.ts';
import { parseOptionFile } from '#contract/option-file.ts';
import { resolveOptions } from '#contract/option-values.ts';
import type { OptionKey } from '#contract/options.ts';
import { ManualClock, settle } from '#testing/manual-clock.ts';
import { incident, shard, status } from '#testing/sample-status.ts';
import { must } from '#util/assert.ts';
import { systemFigures, systemListen, systemWeb } from '#util/host.ts';
import { createRandom } from '#util/random.ts';
import type { ClusterCertificate } from './certificates/cluster-certificates.ts';
import { createAuthority } from './certificates/issue.ts';
import { Monitoring } from './monitoring.ts';

const CANARY = 'canary-5e1f';

async function open(stated: Partial<Record<OptionKey, unknown>>, certificates: ClusterCertificate[] = [], pem = '') {
  const clock = new ManualClock();
  const troubles: string[] = [];
  const file = new Map(Object.entries(stated) as [OptionKey, unknown][]);
  const settings = must(monitoringOf(resolveOptions({ file }).values), 'settings');
  const monitoring = await Monitoring.open(
    {
      clock,
      random: createRandom(1),
      web: systemWeb,
      listen: systemListen,
      figures: systemFigures,
      readSecret: (_, what) => (what === 'ca' ? pem : CANARY),
      process: 'host 1',
    },
    {
      settings,
      jobs: [{ name: 'east-to-west', kind: 'mirror' }],
      certificates,
      version: '1.2.3',
      onTrouble: (receiver, why) => void troubles.push(`${receiver}: ${why}`),
    },
  );
  let isClosed = false;
  const close = async (): Promise<void> => {
    if (isClosed) return;
    isClosed = true;
    const closing = monitoring.close();
    await settle();
    await clock.advance(2_000);
    await closing;
  };
  onTestFinished(close);
  const get = (path: string, headers: Record<string, string> = {}, method = 'GET') =>
    fetch(`http://${monitoring.address}${path}`, { method, headers });
  return { monitoring, clock, troubles, close, get };
}

const listening = { 'monitoring.listen': { host: '127.0.0.1', port: 0 } };

async function serve(answer: RequestListener): Promise<string> {
  const server = createServer(answer);
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  onTestFinished(() => {
    server.close();
    server.closeAllConnections();
  });
  return `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
}

/** Takes whatever is pushed to it. */
async function receive() {
  const requests: { path: string; authorization: string; body: string }[] = [];
  const url = await serve((request, response) => {
    let body = '';
    request.on('data', (chunk: Buffer) => (body += chunk.toString()));
    request.on('end', () => {
      requests.push({ path: request.url ?? '', authorization: request.headers.authorization ?? '', body });
      response.end();
    });
  });
  return { url, requests };
}

test('reg-M-330c reg-M-122: /metrics speaks both formats, and the texts of one second are one', async () => {
  const { monitoring, clock, get } = await open(listening);
  monitoring.observe({ event: 'progress', status: status([shard({ recordsCopied: 5 })]) });
  const plain = await get('/metrics');
  expect(plain.headers.get('content-type')).toBe('text/plain; version=0.0.4; charset=utf-8');
  const text = await plain.text();
  expect(text).toContain(
    'lockstep_mirror_copied_records_total{job_name="east-to-west",topic="orders",partition="0"} 5',
  );
  expect(text).toContain('process_resident_memory_bytes ');
  const open1 = await get('/metrics', { accept: 'application/openmetrics-text' });
  expect(await open1.text()).toMatch(/# EOF\n$/);
  monitoring.observe({ event: 'progress', status: status([shard({ recordsCopied: 6 })]) });
  expect(await (await get('/metrics')).text()).toBe(text);
  await clock.advance(1_000);
  expect(await (await get('/metrics')).text()).toContain('partition="0"} 6');
});

test('the event loop is measured over ten seconds', async () => {
  const { clock, get } = await open(listening);
  expect(await (await get('/metrics')).text()).not.toContain('lockstep_event_loop_delay');
  await clock.advance(10_000);
  expect(await (await get('/metrics')).text()).toMatch(/lockstep_event_loop_delay_p99_seconds \d/);
});

test('it is healthy while it answers, and ready once its jobs say how they stand', async () => {
  const { monitoring, clock, get } = await open(listening);
  expect((await get('/healthz')).status).toBe(200);
  const early = await get('/readyz');
  expect([early.status, await early.text()]).toEqual([503, 'waiting for ["east-to-west"]\n']);
  monitoring.observe({ event: 'progress', status: status([shard({ state: 'stopped' })], { at: clock.now() }) });
  expect((await get('/readyz')).status).toBe(200);
  await clock.advance(121_000);
  expect((await get('/readyz')).status).toBe(503);
});

test('only what is there is answered, by the methods that read', async () => {
  const { get } = await open(listening);
  expect((await get('/')).status).toBe(404);
  expect((await get('/metrics/../etc/passwd')).status).toBe(404);
  const post = await get('/metrics', {}, 'POST');
  expect([post.status, post.headers.get('allow')]).toEqual([405, 'GET, HEAD']);
  const head = await get('/metrics?x=1', {}, 'HEAD');
  expect([head.status, await head.text()]).toEqual([200, '']);
});

test('with a token, /metrics is shown to whoever has it', async () => {
  const { get } = await open({ ...listening, 'monitoring.token': { env: 'TOKEN' } });
  expect((await get('/metrics')).status).toBe(401);
  expect((await get('/metrics', { authorization: `Bearer ${CANARY}x` })).status).toBe(401);
  expect((await get('/metrics', { authorization: `Basic ${CANARY}` })).status).toBe(401);
  expect((await get('/metrics', { authorization: `Bearer ${CANARY}` })).status).toBe(200);
  expect((await get('/healthz')).status).toBe(200);
});

test('clients that say nothing hold no more than a few connections', async () => {
  const { monitoring } = await open(listening);
  const port = Number(monitoring.address?.split(':').at(-1));
  const sockets = Array.from({ length: 40 }, () => connect(port, '127.0.0.1'));
  let closed = 0;
  for (const socket of sockets) socket.on('error', () => {}).on('close', () => closed++);
  onTestFinished(() => sockets.forEach((socket) => socket.destroy()));
  await vi.waitFor(() => expect(closed).toBeGreaterThanOrEqual(40 - 16));
});

test('a port that is taken is an error', async () => {
  const { monitoring } = await open(listening);
  const port = Number(monitoring.address?.split(':').at(-1));
  await expect(open({ 'monitoring.listen': { host: '127.0.0.1', port } })).rejects.toThrow('EADDRINUSE');
});

test('each receiver is pushed what it takes, and no secret stands in it', async () => {
  const { url, requests } = await receive();
  const { monitoring, clock, close } = await open({
    'monitoring.prometheus.pushGateway': url,
    'monitoring.splunk.hecEndpoint': url,
    'monitoring.splunk.hecToken': { env: 'TOKEN' },
    'monitoring.loki.endpoint': url,
  });
  expect(monitoring.address).toBeNull();
  monitoring.observe({ event: 'progress', status: status([shard({ recordsCopied: 5 })]) });
  monitoring.observe({ event: 'incident', incident: incident() });
  await vi.waitFor(() => expect(requests).toHaveLength(2)); // before the clock passes their deadline
  await clock.advance(10_000);
  await vi.waitFor(() => expect(requests).toHaveLength(5));
  await close();
  const paths = new Set(requests.map(({ path }) => path));
  expect(paths).toEqual(
    new Set(['/metrics/job/lockstep/instance@base64/aG9zdCAx', '/services/collector/event', '/loki/api/v1/push']),
  );
  const said = requests.map(({ body }) => body).join('\n');
  expect(said).toContain('"messages_replicated":5');
  expect(said).toContain('"event":"incident"');
  expect(said).toContain('lockstep_mirror_copied_records_total');
  expect(said).not.toContain(CANARY);
  expect(requests.find(({ path }) => path.startsWith('/services'))?.authorization).toBe(`Splunk ${CANARY}`);
});

test('traces go to where they are wanted, with their token, and are counted', async () => {
  const { url, requests } = await receive();
  const { monitoring, clock, get } = await open({
    ...listening,
    'monitoring.traces.endpoint': url,
    'monitoring.traces.token': { env: 'TOKEN' },
    'monitoring.traces.percent': 10,
  });
  const traces = must(monitoring.traces, 'traces');
  expect(traces.percent).toBe(10);
  const span = { spanId: 'b7ad6b7169203331', parentSpanId: null, kind: 'server', startMs: 1, endMs: 2 } as const;
  const trace = { ...span, traceId: '0af7651916cd43dd8448eb211c80319c', attributes: {}, isFailed: false };
  traces.take({ ...trace, name: 'GET /one' });
  traces.take({ ...trace, name: 'GET /two' });
  await clock.advance(1_000);
  await vi.waitFor(() => expect(requests).toHaveLength(1));
  expect(requests[0]).toMatchObject({ path: '/v1/traces', authorization: `Bearer ${CANARY}` });
  expect([...(requests[0]?.body ?? '').matchAll(/GET \/(\w+)/g)].map((match) => match[1])).toEqual(['one', 'two']);
  await vi.waitFor(async () => {
    const text = await (await get('/metrics', { accept: 'application/openmetrics-text' })).text();
    await clock.advance(1_000);
    expect(text).toContain('lockstep_push_sent_total{receiver="otlp"} 2');
  });
});

test('nobody is told of traces where nobody wants them', async () => {
  const { monitoring } = await open(listening);
  expect(monitoring.traces).toBeNull();
});

test('reg-M-265: a file in the words of kaf-mirror sets all three receivers, and Loki needs no more than its address', async () => {
  const { url, requests } = await receive();
  const file = parseOptionFile(
    'lockstep.yaml',
    `monitoring:
      splunk: { hec_endpoint: ${url}, hec_token: { env: TOKEN }, index: kafka }
      loki: { endpoint: ${url} }
      prometheus: { push_gateway: ${url} }`,
  );
  const { monitoring, close } = await open(Object.fromEntries(file));
  monitoring.observe({ event: 'incident', incident: incident() });
  await vi.waitFor(() => expect(requests).toHaveLength(2)); // the Pushgateway is told at intervals, and at the end
  const closing = close();
  await vi.waitFor(() => expect(requests).toHaveLength(3));
  await closing;
  const bodyAt = (path: string): string => must(requests.find((each) => each.path.startsWith(path))?.body, path);
  expect(bodyAt('/services/collector/event')).toContain('"index":"kafka"');
  expect(bodyAt('/loki/api/v1/push')).toContain('CLUSTER_UNREACHABLE');
  expect(bodyAt('/metrics/job/lockstep/')).toContain('lockstep_incidents_total');
});

test.each([
  ['LOCKSTEP_MONITORING_PROMETHEUS_PUSH_GATEWAY', 'http://gateway:9091', { prometheus: { token: null } }],
  [
    'LOCKSTEP_MONITORING_LOKI_ENDPOINT',
    'http://loki:3100/custom/push',
    { loki: { endpoint: 'http://loki:3100/custom/push' } },
  ],
  [
    'LOCKSTEP_MONITORING_LOKI_ENDPOINT',
    'http://loki:3100',
    { loki: { endpoint: 'http://loki:3100/loki/api/v1/push' } },
  ],
])('acc-M-265: %s=%s alone sets that receiver, and no other', (variable, value, expected) => {
  const settings = monitoringOf(resolveOptions({ environment: { [variable]: value } }).values);
  const none = { prometheus: null, splunk: null, loki: null };
  expect(settings).toMatchObject({ ...none, ...expected });
});

test('reg-M-333: receivers that hang, fail or are not there delay nobody, and are named without their secrets', async () => {
  const hanging = await serve(() => {});
  const failing = await serve((_, response) => {
    response.writeHead(500);
    response.end(CANARY);
  });
  const { monitoring, clock, troubles, close, get } = await open({
    ...listening,
    'monitoring.prometheus.pushGateway': 'http://127.0.0.1:1',
    'monitoring.splunk.hecEndpoint': hanging,
    'monitoring.splunk.hecToken': { env: 'TOKEN' },
    'monitoring.loki.endpoint': failing,
    'monitoring.push.queueBytes': 10_000,
  });
  const started = performance.now();
  for (let i = 0; i < 10_000; i++) {
    monitoring.observe({ event: 'progress', status: status([shard({ recordsCopied: i })]) });
    monitoring.observe({ event: 'incident', incident: incident({ at: i }) });
    monitoring.observe({ event: 'incident-ended', incident: incident({ at: i }), at: i });
  }
  expect(performance.now() - started).toBeLessThan(20_000);
  await vi.waitFor(() => expect(troubles).toHaveLength(1)); // before the clock passes its deadline
  await clock.advance(10_000);
  await vi.waitFor(() => expect(troubles).toHaveLength(3));
  expect(troubles.toSorted()).toEqual([
    'loki: it answered with status 500',
    'pushgateway: connect ECONNREFUSED 127.0.0.1:1',
    'splunk: no answer within 10 s',
  ]);
  const text = await (await get('/metrics')).text();
  expect(text).toMatch(/lockstep_push_dropped_total\{receiver="splunk"\} \d{4,}/);
  const queued = Number(/lockstep_push_queue_bytes\{receiver="splunk"\} (\d+)/.exec(text)?.[1]);
  expect(queued).toBeGreaterThan(0);
  expect(queued).toBeLessThanOrEqual(10_000);
  await close();
});

test('it says when the certificates of clusters end, and nothing of what it cannot read', async () => {
  const clock = new ManualClock();
  const { certificate } = await createAuthority({ commonName: 'a', organisation: 'b' }, { clock, days: 90 });
  const ref = { file: 'ca.pem' };
  const named = [
    { cluster: 'east', name: 'ca', ref },
    { cluster: 'west', name: 'certificate', ref },
  ];
  const { get } = await open(listening, named, certificate);
  const lines = (await (await get('/metrics')).text()).split('\n').filter((line) => line.startsWith('lockstep_cert'));
  expect(lines).toEqual([
    `lockstep_certificate_end_timestamp_seconds{cluster="east",certificate="ca"} ${clock.now() / 1000 + 90 * 86_400}`,
  ]);
});
