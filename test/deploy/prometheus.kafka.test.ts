/**
 * What is exposed and shipped, as a real Prometheus and a real Pushgateway see it: Debian's packages, unpacked into the cache.
 * Where they cannot be had, the tests say so by name (test/skips.json). They need no broker; they run beside those that do.
 */
import { spawnSync } from 'node:child_process';
import { copyFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, onTestFinished, test, vi } from 'vitest';
import { monitoringOf } from '#contract/monitoring-settings.ts';
import { resolveOptions } from '#contract/option-values.ts';
import type { OptionKey } from '#contract/options.ts';
import { debianPrograms } from '#testing/debian-program.ts';
import { freePorts } from '#testing/free-ports.ts';
import { incident, shard, status } from '#testing/sample-status.ts';
import { spawnSupervised, temporaryDirectory } from '#testing/supervisor.ts';
import { must } from '#util/assert.ts';
import { systemHost } from '#util/host.ts';
import { Monitoring } from '#watch/monitoring.ts';

const rules = join(import.meta.dirname, '../../deploy/prometheus/lockstep.rules.yaml');
const prometheus = await debianPrograms('prometheus');
const pushgateway = await debianPrograms('prometheus-pushgateway');

/** A mirror with two partitions, one of which has stopped, and a name that is nobody's friend. */
async function monitored(stated: Partial<Record<OptionKey, unknown>>): Promise<Monitoring> {
  const file = new Map(Object.entries(stated) as [OptionKey, unknown][]);
  const settings = must(monitoringOf(resolveOptions({ file }).values), 'settings');
  const jobs = [{ name: 'east-to-west', kind: 'mirror' as const }];
  const ports = { ...systemHost, readSecret: () => 'unused' };
  const monitoring = await Monitoring.open(ports, {
    settings,
    jobs,
    certificates: [],
    version: '1.2.3',
    onTrouble: () => {},
  });
  onTestFinished(() => monitoring.close());
  const stopped = shard({ topic: 'a"b\\c\nd', partition: 1, state: 'stopped', lagRecords: null, lagMs: null });
  const at = systemHost.clock.now();
  monitoring.observe({ event: 'progress', status: status([shard({ recordsCopied: 5 }), stopped], { at }) });
  monitoring.observe({ event: 'incident', incident: incident({ code: 'SHARD_DIVERGED', severity: 'error', at }) });
  return monitoring;
}

const listening = {
  'monitoring.listen': { host: '127.0.0.1', port: 0 },
  'monitoring.originalNames': true,
};

describe('promtool', () => {
  const promtool = (args: readonly string[], input = '') =>
    spawnSync(must(prometheus, 'prometheus').program('promtool'), args, { input, encoding: 'utf8' });

  test.skipIf(!prometheus)('takes the alert rules, which fire when they must', () => {
    const directory = temporaryDirectory('rules');
    copyFileSync(rules, join(directory, 'lockstep.rules.yaml'));
    copyFileSync(join(import.meta.dirname, 'rules-test.yaml'), join(directory, 'rules-test.yaml'));
    const checked = promtool(['check', 'rules', rules]);
    expect(checked.stderr + checked.stdout).toContain('SUCCESS');
    const tested = promtool(['test', 'rules', join(directory, 'rules-test.yaml')]);
    expect(tested.stdout + tested.stderr).toContain('SUCCESS');
    expect([checked.status, tested.status]).toEqual([0, 0]);
  });

  test.skipIf(!prometheus)('finds nothing wrong with what is exposed, but an original name', async () => {
    const monitoring = await monitored(listening);
    const text = await (await fetch(`http://${monitoring.address}/metrics`)).text();
    const { stderr, stdout } = promtool(['check', 'metrics'], text);
    const original = 'kaf_mirror_error_count non-histogram and non-summary metrics should not have "_count" suffix';
    expect(stderr + stdout).toBe(`${original}\n`);
    const ours = text.replaceAll(/^.*kaf_mirror.*\n/gm, '');
    expect(promtool(['check', 'metrics'], ours)).toMatchObject({ status: 0, stdout: '', stderr: '' });
    expect(promtool(['check', 'metrics'], 'lockstep_x 1\nlockstep_x{ 2\n').status).not.toBe(0);
  });
});

async function answers(url: string): Promise<unknown> {
  return vi.waitFor(
    async () => {
      const response = await fetch(url);
      expect(response.status).toBe(200);
      return response.json() as Promise<unknown>;
    },
    { timeout: 30_000, interval: 100 },
  );
}

test.skipIf(!prometheus)('Prometheus scrapes every series, hostile names too, and raises an alert', async () => {
  const monitoring = await monitored(listening);
  const directory = temporaryDirectory('prometheus');
  const [port = 0] = await freePorts(1);
  const config = {
    global: { scrape_interval: '1s', evaluation_interval: '1s' },
    scrape_configs: [{ job_name: 'lockstep', static_configs: [{ targets: [monitoring.address] }] }],
    rule_files: [join(directory, 'rules.json')],
  };
  writeFileSync(join(directory, 'prometheus.yml'), JSON.stringify(config));
  const alert = {
    alert: 'Stopped',
    expr: 'sum by (instance, job_name) (lockstep_mirror_partitions{state="stopped"}) > 0',
  };
  writeFileSync(join(directory, 'rules.json'), JSON.stringify({ groups: [{ name: 'x', rules: [alert] }] }));
  const args = ['--config.file', join(directory, 'prometheus.yml'), '--storage.tsdb.path', join(directory, 'data')];
  const child = spawnSupervised(
    must(prometheus, 'prometheus').program('prometheus'),
    [...args, '--web.listen-address', `127.0.0.1:${port}`],
    { stdio: 'ignore', cwd: directory },
  );
  onTestFinished(() => void child.kill('SIGKILL'));
  const api = `http://127.0.0.1:${port}/api/v1`;
  const query = (expr: string): Promise<{ labels: Record<string, string>; value: number }[]> =>
    vi.waitFor(
      async () => {
        const found = (await answers(`${api}/query?query=${encodeURIComponent(expr)}`)) as {
          data: { result: { metric: Record<string, string>; value: [number, string] }[] };
        };
        expect(found.data.result.length).toBeGreaterThan(0);
        return found.data.result.map(({ metric, value }) => ({ labels: metric, value: Number(value[1]) }));
      },
      { timeout: 30_000, interval: 250 },
    );
  const copied = await query('lockstep_mirror_copied_records_total');
  expect(copied.map(({ labels, value }) => [labels['topic'], labels['partition'], value].join(' ')).toSorted()).toEqual(
    ['a"b\\c\nd 1 0', 'orders 0 5'],
  );
  expect(copied[0]?.labels).toMatchObject({ job: 'lockstep', job_name: 'east-to-west' });
  expect((await query('up{job="lockstep"}'))[0]?.value).toBe(1);
  expect((await query('kaf_mirror_messages_replicated'))[0]?.value).toBe(5);
  expect(
    (await query('histogram_quantile(0.5, lockstep_mirror_lag_distribution_seconds_bucket)'))[0]?.value,
  ).toBeGreaterThan(0);
  expect((await query('ALERTS{alertname="Stopped",alertstate="firing"}'))[0]?.labels).toMatchObject({
    job_name: 'east-to-west',
  });
});

test.skipIf(!pushgateway)('a Pushgateway takes what is pushed, under the name of this process', async () => {
  const [port = 0] = await freePorts(1);
  const child = spawnSupervised(
    must(pushgateway, 'pushgateway').program('prometheus-pushgateway'),
    ['--web.listen-address', `127.0.0.1:${port}`],
    { stdio: 'ignore' },
  );
  onTestFinished(() => void child.kill('SIGKILL'));
  const url = `http://127.0.0.1:${port}`;
  await answers(`${url}/api/v1/status`);
  await monitored({ 'monitoring.prometheus.pushGateway': url, 'monitoring.push.interval': 1_000 });
  const text = await vi.waitFor(
    async () => {
      const pushed = await (await fetch(`${url}/metrics`)).text();
      expect(pushed).toContain('lockstep_mirror_copied_records_total');
      return pushed;
    },
    { timeout: 30_000, interval: 250 },
  );
  const line = text
    .split('\n')
    .find((each) => each.startsWith('lockstep_mirror_copied_records_total{') && each.includes('orders'));
  expect(line).toContain(`instance="${systemHost.process}"`);
  expect(line).toContain('job="lockstep"');
  expect(line).toMatch(/ 5$/);
});
