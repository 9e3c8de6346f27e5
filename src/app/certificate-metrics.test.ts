import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { resolveOptions } from '#contract/option-values.ts';
import { Pki } from '#testing/pki.ts';
import { playControlPlane } from '#testing/played-control-plane.ts';
import { temporaryDirectory } from '#testing/supervisor.ts';
import { MetricSet } from '#watch/metric-set.ts';
import { CertificateMetrics } from './certificate-metrics.ts';

const HOUR_MS = 3_600_000;
const DAY_MS = 24 * HOUR_MS;

async function start() {
  const pki = new Pki(join(temporaryDirectory('certificate-metrics'), 'ca'));
  const plane = await playControlPlane();
  const root = await plane.as('root', 'admin');
  const now = plane.clock.now();
  let prepared = 0;
  const file = new Map([
    ['server.tls.certFile', 'server.pem'],
    ['server.tls.keyFile', 'key.pem'],
    ['monitoring.push.caFile', 'push.pem'],
  ] as const);
  const metricsOf = ({ isServer }: { isServer: boolean }) =>
    new CertificateMetrics({
      store: plane.store,
      clock: plane.clock,
      readCertificate: plane.ports.readCertificate,
      prepare: async () => void prepared++,
      values: () => resolveOptions({ file }).values,
      isServer,
    });
  /** Days from the start, by cluster and certificate. */
  const shown = ({ collect }: CertificateMetrics) => {
    const into = new MetricSet();
    collect(into);
    const [family] = into.families();
    return Object.fromEntries(
      (family?.samples ?? []).map(({ labels, value }) => [
        [labels['cluster'] ?? '-', labels['certificate']].join(' '),
        Math.round((value * 1000 - now) / DAY_MS),
      ]),
    );
  };
  const put = (path: string, ...days: number[]) =>
    plane.certificates.set(
      JSON.stringify({ file: path }),
      days
        .map((each) => {
          const dates = { notBefore: new Date(now - DAY_MS), notAfter: new Date(now + each * DAY_MS) };
          return readFileSync(pki.issue({ commonName: 'x', ...dates }).certificateFile, 'utf8');
        })
        .join(''),
    );
  const addCluster = (name: string, ca: string) =>
    root('POST', '/api/v1/clusters', { name, bootstrap: ['b:1'], security: { protocol: 'SSL', ca: { file: ca } } });
  return { plane, metricsOf, shown, put, addCluster, prepared: () => prepared };
}

test('the first end of each file of clusters and of the server is shown, soon after a cluster has changed, and of replaced files within an hour', async () => {
  const { plane, metricsOf, shown, put, addCluster, prepared } = await start();
  put('server.pem', 90);
  put('push.pem', 400);
  put('/run/secrets/a.pem', 300, 20);
  const metrics = metricsOf({ isServer: true });
  await metrics.look();
  expect(shown(metrics)).toEqual({ '- server': 90, '- receiver-authority': 400 });
  await addCluster('east', '/run/secrets/a.pem');
  await addCluster('west', '/run/secrets/gone.pem');
  await plane.store.clusters.create({ name: 'of-a-later-version', document: {} });
  await metrics.look();
  expect(shown(metrics)).toEqual({ '- server': 90, '- receiver-authority': 400, 'east ca': 20 });

  put('/run/secrets/a.pem', 200);
  const before = prepared();
  await metrics.look();
  expect([shown(metrics)['east ca'], prepared()]).toEqual([20, before]); // nothing is read for nothing
  await plane.clock.advance(HOUR_MS);
  await metrics.look();
  expect(shown(metrics)['east ca']).toBe(200);

  await (
    await plane.as('root')
  )('DELETE', '/api/v1/clusters/east');
  await metrics.look();
  expect(shown(metrics)).toEqual({ '- server': 90, '- receiver-authority': 400 });
});

test('a worker shows those of clusters and its receivers, and none of a server', async () => {
  const { metricsOf, shown, put, addCluster } = await start();
  put('server.pem', 90);
  put('push.pem', 400);
  put('/run/secrets/a.pem', 20);
  await addCluster('east', '/run/secrets/a.pem');
  const metrics = metricsOf({ isServer: false });
  await metrics.look();
  expect(shown(metrics)).toEqual({ '- receiver-authority': 400, 'east ca': 20 });
});
