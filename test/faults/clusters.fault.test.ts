/** What happens to a cluster as a whole, or to the machine, while a mirror copies live traffic; and a run to which nothing happens. */
import { expect, onTestFinished } from 'vitest';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { processCpuSeconds, processMemory } from '#testing/process-stat.ts';
import { repository } from '#testing/kafka-home.ts';
import { runAdmin } from '#testing/topic-admin.ts';
import { must } from '#util/assert.ts';
import { fault } from './fault.ts';
import { clusterPair, startMirror, waitsForStart } from './mirror-under-test.ts';
import type { MirrorUnderTest } from './mirror-under-test.ts';
import { onSmallDisk } from './small-disk.ts';

/** Quotas that are measured over 2 s, not 11. */
const properties = { 'quota.window.num': '2', 'quota.window.size.seconds': '1' };
const pair = clusterPair({ source: { properties }, target: { properties } });
const sides = ['target', 'source'] as const;
const downMs = 120_000;

interface Rate {
  readonly copiedPerSecond: number;
  readonly writtenPerSecond: number;
}

/** Waits until a topic is caught up with its traffic. Both rates are its own, of the time that it took. */
async function catchUp(mirror: MirrorUnderTest, topic: string): Promise<Rate> {
  const traffic = must(mirror.traffic, 'traffic');
  const shards = () => mirror.shards().filter((shard) => shard.topic === topic);
  const copied = (): number => shards().reduce((sum, { position }) => sum + (position ?? 0), 0);
  const wallMs = Date.now();
  const from = { at: performance.now(), copied: copied(), written: traffic.progress.records };
  // A lag counts when it was measured after the outage.
  const isDone = (): boolean =>
    shards().every(({ lagRecords, measuredAt }) => (measuredAt ?? 0) > wallMs && (lagRecords ?? Infinity) < 100);
  await mirror.until(isDone, `${topic} is caught up`, 300_000);
  const tookS = (performance.now() - from.at) / 1000;
  return {
    copiedPerSecond: (copied() - from.copied) / tookS,
    writtenPerSecond: (traffic.progress.records - from.written) / mirror.topics.length / tookS, // each gets the same
  };
}

fault({ id: 'target-down', title: 'the whole target killed, and started again after 2 minutes' }, async (run) => {
  const options = { name: run.id, recordsPerSecond: 300, mayRepeatEnds: true };
  const mirror = await startMirror(run, await pair(), options);
  const { brokers } = mirror.pair.target;
  const before = processMemory(mirror.process.pid).rssBytes;
  await Promise.all(brokers.map((broker) => broker.kill()));
  const positions = mirror.offsetsCopied();
  await mirror.lasts(downMs);
  const copied = mirror.offsetsCopied() - positions;
  const grown = processMemory(mirror.process.pid).rssBytes - before;
  const lagMs = Math.max(...mirror.shards().map((shard) => shard.lagMs ?? 0));
  const lagRecords = mirror.shards().reduce((sum, shard) => sum + (shard.lagRecords ?? 0), 0);
  await Promise.all(brokers.map((broker) => broker.start()));
  const startedAt = performance.now();
  const recovered = mirror.advances('the target is back');
  // Of plain records: the ends of transactions are holes, which are filled while no data is in flight (mirror/holes.ts).
  const { copiedPerSecond, writtenPerSecond } = await catchUp(mirror, mirror.topic('plain'));
  const caughtUpMs = performance.now() - startedAt;
  const recoveredMs = await recovered;
  run.tookEffect(`down for ${downMs / 1000} s, ${copied} offsets copied meanwhile`);
  run.figure('lag told at the end in s', lagMs / 1000);
  run.figure('lag told at the end in records', lagRecords);
  run.figure('all partitions went on after s', recoveredMs / 1000);
  run.figure('plain records caught up after s', caughtUpMs / 1000);
  run.figure('at records/s', Math.round(copiedPerSecond));
  run.figure('while records/s were written', Math.round(writtenPerSecond));
  run.figure('memory grown meanwhile by MB', grown / 1e6);
  expect(lagMs, 'the lag that is told grows with the outage').toBeGreaterThan(downMs / 2);
  expect(lagRecords).toBeGreaterThan(((300 * downMs) / 1000) * 0.5);
  expect(copiedPerSecond).toBeGreaterThan(2 * writtenPerSecond);
  await mirror.expectIdenticalAfterwards({ outages: ['CLUSTER_UNREACHABLE'] });
});

fault({ id: 'source-down', title: 'the whole source killed, and started again after 2 minutes' }, async (run) => {
  // No transactions: their coordinator would abort them after a minute, and their producers end.
  const kinds = ['plain', 'compacted'] as const;
  const mirror = await startMirror(run, await pair(), { name: run.id, kinds });
  const { brokers } = mirror.pair.source;
  await Promise.all(brokers.map((broker) => broker.kill()));
  const positions = mirror.offsetsCopied();
  await mirror.lasts(downMs);
  const copied = mirror.offsetsCopied() - positions;
  await Promise.all(brokers.map((broker) => broker.start()));
  const startedAt = performance.now();
  await mirror.advances('the source is back');
  run.tookEffect(`down for ${downMs / 1000} s, ${copied} offsets copied meanwhile`);
  run.figure('all partitions went on after s', (performance.now() - startedAt) / 1000);
  await mirror.expectIdenticalAfterwards({ outages: ['CLUSTER_UNREACHABLE'] });
});

for (const side of sides) {
  fault(
    {
      id: `disk-full-${side}`,
      title: `the disk of the broker on the ${side} full, then freed`,
      share: side === 'target',
    },
    async (run) => {
      const [broker] = (await pair())[side].brokers;
      const disk = await onSmallDisk(must(broker, 'broker'), 96_000_000);
      onTestFinished(() => disk.remove());
      const mirror = await startMirror(run, await pair(), { name: run.id, kinds: ['plain'] });
      const said = disk.fill();
      const full = must(broker, 'broker');
      // Kafka takes a log directory that failed out of use; a broker without any other ends (LogManager.handleLogDirFailure).
      await mirror.until(() => !full.isRunning(), 'the broker has found its disk full and ended');
      await mirror.lasts(2_000); // what was copied until then is told once a second
      const positions = mirror.offsetsCopied();
      await mirror.lasts(5_000);
      const copied = mirror.offsetsCopied() - positions;
      expect(copied, 'nothing is copied without the broker').toBe(0);
      disk.free();
      await full.start();
      const startedAt = performance.now();
      await mirror.advances('the disk has room again');
      run.tookEffect(`${disk.kind}: ${said}; the broker ended, ${copied} offsets copied in 5 s without it`);
      run.figure('all partitions went on s after the restart', (performance.now() - startedAt) / 1000);
      // The only broker is away until it has noticed its disk, which is nobody's to hurry, and has started again.
      await mirror.expectIdenticalAfterwards({ mayWait: waitsForStart(side) });
    },
  );

  fault(
    { id: `throttled-${side}`, title: `the ${side} throttles the mirror to a tenth of the traffic` },
    async (run) => {
      const mirror = await startMirror(run, await pair(), { name: run.id, kinds: ['plain'] });
      const { bootstrap } = mirror.pair[side];
      const quota = side === 'target' ? 'producer_byte_rate' : 'consumer_byte_rate';
      const traffic = must(mirror.traffic, 'traffic');
      onTestFinished(async () => void (await runAdmin(bootstrap, [{ setQuotas: { [quota]: null } }])));
      await runAdmin(bootstrap, [{ setQuotas: { [quota]: 6_000 } }]); // of 150 records of 400 bytes
      const startedAt = performance.now();
      const from = { written: traffic.progress.records, copied: mirror.offsetsCopied() };
      await mirror.until(() => traffic.progress.records - from.written > 3_000, 'the traffic has gone on', 120_000);
      const tookS = (performance.now() - startedAt) / 1000;
      const copied = (mirror.offsetsCopied() - from.copied) / tookS;
      const written = (traffic.progress.records - from.written) / tookS;
      run.figure('throttled to offsets/s', copied);
      run.figure('of records/s', written);
      expect(copied, 'the quota holds').toBeLessThan(written / 2);
      await runAdmin(bootstrap, [{ setQuotas: { [quota]: null } }]);
      run.tookEffect(`${copied.toFixed(0)} of ${written.toFixed(0)} records/s copied under a quota of 6 kB/s`);
      await mirror.expectIdenticalAfterwards();
    },
  );
}

fault(
  {
    id: 'clock-jumps',
    title: "the mirror's wall clock jumps 2 h ahead, 4 h back, 2 h ahead, brokers restarted meanwhile",
    share: true,
  },
  async (run) => {
    const preload = pathToFileURL(join(repository, 'src', 'testing', 'jumping-clock-process.ts')).href;
    const options = { name: run.id, process: { env: { NODE_OPTIONS: `--import=${preload}` } } };
    const mirror = await startMirror(run, await pair(), options);
    const shown: string[] = [];
    for (const [hours, side] of [
      [2, 'target'],
      [-2, 'source'],
      [0, 'target'],
    ] as const) {
      mirror.process.signal('SIGUSR2');
      // What the mirror says of itself carries its own wall time.
      const offset = (): number => Math.round(((mirror.process.status(mirror.name)?.at ?? 0) - Date.now()) / 3_600_000);
      await mirror.until(() => offset() === hours, `the clock of the mirror is ${hours} h ahead`);
      shown.push(`${hours} h`);
      await must(mirror.pair[side].brokers[0], 'broker').restart();
      await mirror.advances(`with a clock that is ${hours} h ahead and a new connection to the ${side}`);
    }
    run.tookEffect(`its events were ${shown.join(', ')} ahead`);
    await mirror.expectIdenticalAfterwards();
  },
);

fault({ id: 'future-timestamps', title: 'records with timestamps 2 h ahead of every clock' }, async (run) => {
  const baseMs = Date.now() + 7_200_000;
  const mirror = await startMirror(run, await pair(), {
    name: run.id,
    configs: { 'message.timestamp.after.max.ms': '9223372036854775807' },
    stream: { timestamps: { mode: 'fixed', baseMs, stepMs: 1 } },
  });
  await mirror.advances('records of the future');
  const lags = mirror.shards().map(({ lagMs }) => lagMs ?? 0);
  expect(Math.min(...lags), 'a lag is never negative').toBeGreaterThanOrEqual(0);
  run.tookEffect(`every record is stamped from ${new Date(baseMs).toISOString().slice(0, 16)} on`);
  await mirror.expectIdenticalAfterwards();
});

fault({ id: 'quiet-run', title: 'nothing happens for 10 minutes', timeoutMs: 1_200_000 }, async (run) => {
  const kinds = ['plain', 'transactional', 'compacted'] as const;
  const mirror = await startMirror(run, await pair(), { name: run.id, kinds, partitions: 4, recordsPerSecond: 100 });
  const { pid } = mirror.process;
  const from = { cpu: processCpuSeconds(pid), records: mirror.process.status(mirror.name)?.recordsCopied ?? 0 };
  const seen = mirror.process.events.length;
  await mirror.lasts(600_000);
  const statuses = mirror.process.events
    .slice(seen)
    .flatMap((event) => (event.event === 'progress' ? [event.status] : []));
  const lags = statuses.flatMap(({ shards }) => shards.map(({ lagRecords }) => lagRecords ?? 0)).sort((a, b) => a - b);
  const records = must(statuses.at(-1), 'status').recordsCopied - from.records;
  expect(mirror.warnings()).toEqual([]);
  run.tookEffect(
    `10 minutes without a fault, 0 warnings, ${records} records copied, ${statuses.length} reports of progress`,
  );
  run.figure('CPU s of the mirror', processCpuSeconds(pid) - from.cpu);
  run.figure('peak memory in MB', processMemory(pid).peakRssBytes / 1e6);
  run.figure('lag of a partition in records, median', must(lags[lags.length >> 1], 'lag'));
  run.figure('99 %', must(lags[Math.floor(lags.length * 0.99)], 'lag'));
  expect(records).toBeGreaterThan(600 * 100);
  await mirror.expectIdenticalAfterwards();
});
