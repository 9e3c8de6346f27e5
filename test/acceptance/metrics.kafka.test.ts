/**
 * What a real run says in numbers, beside real brokers: as much as was appended, whoever reads it, and at the same speed
 * although its receivers hang. And the doctor, who looks at the same clusters.
 */
import { createServer } from 'node:net';
import type { AddressInfo } from 'node:net';
import { expect, onTestFinished, test } from 'vitest';
import type { Check } from '#contract/check.ts';
import { appendRecords } from '#kafka/simple-log.ts';
import { openCluster } from '#testing/open-cluster.ts';
import { waitUntil } from '#testing/process-stat.ts';
import { sharedClusters } from '#testing/shared-clusters.ts';
import { createTopics } from '#testing/topic-admin.ts';
import { must } from '#util/assert.ts';
import { lockstep } from './command.ts';
import { writeLink } from './link-file.ts';
import { LockstepProcess, told } from './lockstep-process.ts';

const cluster = sharedClusters({ source: {}, target: {} });
const RECORDS = 2_000;
const TOPIC = 'orders';

async function appendAll(timestamp: number): Promise<void> {
  await createTopics(cluster('source').bootstrap, [{ name: TOPIC, partitions: 1 }]);
  const source = openCluster(cluster('source').bootstrap);
  try {
    const value = Buffer.alloc(100, 'x');
    for (let at = 0; at < RECORDS; at += 500) {
      const records = Array.from({ length: 500 }, (_, i) => ({ key: Buffer.from(`${at + i}`), value, timestamp }));
      await appendRecords(source, { topic: TOPIC, partition: 0, records });
    }
  } finally {
    source.close();
  }
}

/** Takes connections, and says nothing. */
async function hangingReceiver(): Promise<string> {
  const server = createServer((socket) => socket.on('error', () => {}).resume());
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  onTestFinished(() => void server.close());
  return `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
}

function valueOf(text: string, series: RegExp): number {
  const line = text.split('\n').find((each) => series.test(each));
  return Number(must(line, `series ${series.source}`).split(' ').at(-1));
}

test('a run counts what it copies, is ready, and does not wait for receivers that hang', async () => {
  await appendAll(Date.now() + 600_000); // what is copied meanwhile must not catch up with it
  const [source, target] = [cluster('source').bootstrap, cluster('target').bootstrap];
  const file = writeLink({ source, target, mirrors: { some: { topics: [{ match: TOPIC }] } } });
  const hanging = await hangingReceiver();
  const env = {
    LOCKSTEP_MONITORING_PROMETHEUS_PUSH_GATEWAY: hanging,
    LOCKSTEP_MONITORING_LOKI_ENDPOINT: hanging,
    LOCKSTEP_MONITORING_PUSH_INTERVAL: '1s',
  };
  const run = LockstepProcess.run(file, ['--metrics', '0'], { env });
  const address = (): string | undefined => /metrics: (http:\S+)\/metrics/.exec(run.stderr)?.[1];
  await run.until(() => address() !== undefined, 'the address of the metrics');
  const get = (path: string) => fetch(`${address()}${path}`);
  await run.until(() => run.status('some')?.recordsCopied === RECORDS, 'all records copied');
  await waitUntil(
    async () => (await get('/readyz')).status === 200,
    () => 'ready',
  );
  const isWhole = async (): Promise<boolean> =>
    valueOf(await (await get('/metrics')).text(), /^lockstep_mirror_copied_records_total\{/) === RECORDS;
  await waitUntil(isWhole, () => 'all records counted');
  const text = await (await get('/metrics')).text();
  expect(valueOf(text, /^lockstep_mirror_lag_records\{/)).toBe(0);
  expect(valueOf(text, /^lockstep_mirror_position_offset\{/)).toBe(RECORDS);
  expect(valueOf(text, /^lockstep_mirror_batches_total\{/)).toBeGreaterThan(0);
  expect(valueOf(text, /^lockstep_mirror_partitions\{job_name="some",state="copying"\}/)).toBe(1);
  expect(valueOf(text, /^process_resident_memory_bytes /)).toBeGreaterThan(10_000_000);
  const ended = await run.interrupt();
  expect(ended.code, told(ended)).toBe(130);
});

test('the doctor sees clusters that answer, rights, and records of the future', async () => {
  const [source, target] = [cluster('source').bootstrap, cluster('target').bootstrap];
  const file = writeLink({ source, target, mirrors: { some: { topics: [{ match: TOPIC }] } } });
  const { code, out, err } = await lockstep('doctor', '-f', file, '--json');
  expect(err).toBe('');
  expect(code).toBe(0);
  const { checks } = JSON.parse(out) as { checks: Check[] };
  const verdicts = (what: string) => checks.filter((each) => each.what === what).map(({ verdict }) => verdict);
  expect(verdicts('reachable')).toEqual(['ok', 'ok']);
  expect(checks.find(({ subject, what }) => subject === 'cluster "east"' && what === 'clock')).toMatchObject({
    verdict: 'warning',
    found: expect.stringMatching(/ahead of this machine's clock$/) as string,
  });
  expect(checks.filter(({ subject }) => subject === 'mirror "some"').map(({ verdict }) => verdict)).not.toContain(
    'failed',
  );
});
