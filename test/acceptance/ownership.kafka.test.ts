/**
 * Several processes of one file share its partitions (exactness.md rule 3): they join, leave, are killed, and stand still
 * for longer than the session, while records of now, of 40 days ago and transactions that leave holes are written. With
 * the rule switched off the same processes all write to everything, and the records of 40 days ago and the holes show it.
 */
import { setTimeout as sleep } from 'node:timers/promises';
import { expect, test } from 'vitest';
import { expectIdentical, formatReport, verifyMirror } from '#testing/checker/verify-mirror.ts';
import { waitUntil } from '#testing/process-stat.ts';
import { sharedClusters } from '#testing/shared-clusters.ts';
import { createTopics } from '#testing/topic-admin.ts';
import type { RecordStream } from '#testing/workload.ts';
import { partitionsUpTo, spawnLiveTraffic, writeStreams } from '#testing/workload.ts';
import { must } from '#util/assert.ts';
import { createRandom } from '#util/random.ts';
import { grant, leastRights, leastRightsFiles, leastRightsUsers, revoke } from './least-rights.ts';
import type { MirrorSpec } from './link-file.ts';
import type { ProcessOptions } from './lockstep-process.ts';
import { LockstepProcess, told, unguarded } from './lockstep-process.ts';
import { hasGrown, LogEnds } from './log-ends.ts';

const seed = Number(process.env['LOCKSTEP_SEED'] ?? Date.now() % 1_000_000);
const isFull = process.env['LOCKSTEP_FULL'] === '1';
const rounds = isFull ? 10 : 1;
const partitions = 2;
/** Of the group, and what a takeover after it may take besides: a rebalance, and a watermark that stands still. */
const evictedWithinMs = 45_000;

const cluster = sharedClusters({
  source: { secure: leastRightsUsers },
  // Producers of 40 days ago are forgotten within a second.
  target: { secure: leastRightsUsers, properties: { 'producer.id.expiration.check.interval.ms': '1000' } },
});
const pair = () => ({ source: cluster('source'), target: cluster('target') });
const declare = leastRightsFiles(pair);
const kinds = ['now', 'old', 'holes'] as const;
const topicsOf = (name: string) => kinds.map((kind) => `${name}.${kind}`);
const specOf = (name: string): MirrorSpec => ({
  topics: topicsOf(name).map((match) => ({ match })),
  transactions: 'committed-only',
});
const fileOf = (name: string) => declare({ [name]: specOf(name) });
const files = {
  shared: fileOf('shared'),
  unowned: fileOf('unowned'),
  doubled: fileOf('doubled'),
  denied: fileOf('denied'),
};
/** The same mirror in another file. */
const changed = declare({ doubled: { ...specOf('doubled'), refreshMs: 4_000 } });
const count = kinds.length * partitions;

/** Timestamps that brokers take for expired, markers that do not know one another, and plain records beside them. */
function streamsOf(name: string): RecordStream[] {
  const all = { partitions: partitionsUpTo(partitions), valueBytes: 300, lingerMs: 20, recordsPerSecond: 400 };
  return [
    { ...all, name: 'now', topic: `${name}.now`, codec: 'lz4' },
    { ...all, name: 'old', topic: `${name}.old`, timestamps: { mode: 'age', days: 40 } },
    {
      ...all,
      name: 'holes',
      topic: `${name}.holes`,
      transactions: { producers: 2, abortRate: 0.3, records: [1, 8], plainRate: 0.1 },
    },
  ];
}

const places = (name: string, mirror: LockstepProcess, state: string): string[] =>
  (mirror.status(name)?.shards ?? []).flatMap((shard) =>
    shard.state === state ? [`${shard.topic}/${shard.partition}`] : [],
  );

/** Waits until each copies some, and together they copy all, none of them twice. */
async function share(name: string, mirrors: readonly LockstepProcess[], timeoutMs = 60_000): Promise<number> {
  const begunMs = performance.now();
  const isShared = (): boolean => {
    const each = mirrors.map((mirror) => places(name, mirror, 'copying'));
    const counts = each.map(({ length }) => length);
    const isFair = Math.max(...counts) - Math.min(...counts) <= 1;
    return isFair && each.flat().length === count && new Set(each.flat()).size === count;
  };
  const describe = (): string =>
    `${mirrors.length} share the partitions\n${mirrors.map((mirror) => mirror.describe()).join('\n\n')}`;
  await waitUntil(isShared, describe, { timeoutMs, everyMs: 50 });
  return Math.round(performance.now() - begunMs);
}

async function createSource(name: string): Promise<void> {
  const configs = { 'retention.ms': '-1' };
  await createTopics(
    cluster('source').bootstrap,
    topicsOf(name).map((topic) => ({ name: topic, partitions, configs })),
  );
}

/** Waits until the target ends where the source does, or, where somebody has stopped, stands still. */
async function settle(name: string, mirrors: readonly LockstepProcess[]): Promise<void> {
  const source = await LogEnds.open(cluster('source').bootstrap, topicsOf(name));
  const target = await LogEnds.open(cluster('target').bootstrap, topicsOf(name));
  let before = await target.read();
  let since = performance.now();
  const isSettled = async (): Promise<boolean> => {
    const [from, to] = [await source.read(), await target.read()];
    if (hasGrown(before, to)) since = performance.now();
    before = to;
    const hasStopped = mirrors.some(({ incidents }) => incidents.length > 0) && performance.now() - since > 2_000;
    return hasStopped || [...from].every(([place, { end }]) => to.get(place)?.end === end);
  };
  const describe = (): string => `the target has caught up\n${mirrors.map((mirror) => mirror.describe()).join('\n\n')}`;
  await waitUntil(isSettled, describe, { timeoutMs: 60_000, everyMs: 100 });
  source.close();
  target.close();
}

const pairs = (name: string) => topicsOf(name).map((topic) => ({ source: topic, target: topic }));
const start = (name: keyof typeof files, options?: ProcessOptions): LockstepProcess =>
  LockstepProcess.run(files[name](), [], options);

test(
  'processes that join, leave, die and stand still copy each partition one at a time, and exactly',
  async () => {
    const name = 'shared';
    await createSource(name);
    const figures: Record<string, number> = {};
    const a = start(name);
    figures['alone'] = await share(name, [a]);
    const traffic = await spawnLiveTraffic(cluster('source').bootstrap, streamsOf(name), { seed });
    const b = start(name);
    const dead: LockstepProcess[] = [];
    for (let round = 0; round < rounds; round++) {
      const c = start(name);
      figures['three'] = await share(name, [a, b, c]);
      expect(b.events.find(({ event }) => event === 'shares')).toBeDefined();

      b.signal('SIGSTOP');
      figures['one stands still'] = await share(name, [a, c], evictedWithinMs);
      b.signal('SIGCONT');
      figures['it is back'] = await share(name, [a, b, c]);

      if (isFull) {
        const broker = must(cluster('target').brokers[0], 'broker');
        await broker.kill();
        await broker.start();
        figures['the broker is back'] = await share(name, [a, b, c], evictedWithinMs);
      }
      await c.kill();
      dead.push(c);
      figures['one is killed'] = await share(name, [a, b], evictedWithinMs);
    }

    const left = await a.interrupt();
    expect(left.code, told(left)).toBe(130);
    figures['one has left'] = await share(name, [b], 10_000);

    const d = start(name);
    figures['one has joined'] = await share(name, [b, d]);
    await traffic.stop();
    await settle(name, [b, d]);
    // What others copy counts by where the target ends.
    const caughtUp = await LockstepProcess.run(files[name](), ['--until', 'caught-up']).ended(60_000);
    expect(caughtUp.code, told(caughtUp)).toBe(0);
    const runs = [left, caughtUp, ...(await Promise.all([b, d].map((mirror) => mirror.interrupt())))];
    process.stdout.write(`ownership: seed ${seed}, ms: ${JSON.stringify(figures)}\n`);
    for (const run of runs) expect(run.incidents, told(run)).toEqual([]);
    for (const each of dead) expect(each.incidents, each.describe()).toEqual([]);

    const report = await expectIdentical({
      source: cluster('source').bootstrap,
      target: cluster('target').bootstrap,
      topics: pairs(name),
    });
    process.stdout.write(`ownership: ${formatReport(report)}\n`);
  },
  200_000 + rounds * 200_000,
);

test('three that start at the same moment share what is there; a fourth with another file is told so and gets nothing', async () => {
  const name = 'doubled';
  await createSource(name);
  const streams = streamsOf(name).map(({ recordsPerSecond: _, ...stream }) => ({ ...stream, records: 6_000 }));
  await writeStreams(cluster('source').bootstrap, streams, { seed });
  const mirrors = [start(name), start(name), start(name)];
  await share(name, mirrors);
  const other = await LockstepProcess.run(changed(), ['--until', 'caught-up']).ended(60_000);
  expect(other.code, told(other)).toBe(5);
  expect(other.incidents, told(other)).toMatchObject([
    { code: 'MIRROR_PEERS_DIFFER', topic: null, endsByItself: true },
  ]);
  await settle(name, mirrors);
  const runs = await Promise.all(mirrors.map((mirror) => mirror.interrupt()));
  for (const run of runs) expect(run.incidents, told(run)).toEqual([]);
  await expectIdentical({
    source: cluster('source').bootstrap,
    target: cluster('target').bootstrap,
    topics: pairs(name),
  });
}, 200_000);

test('without the right to the group it stands still, says so with the command, and goes on when it has it again', async () => {
  const name = 'denied';
  await createSource(name);
  const [source, target] = [cluster('source').bootstrap, cluster('target').bootstrap];
  const mirror = start(name);
  await share(name, [mirror]);
  const rights = leastRights(name, specOf(name)).filter(({ resourceType }) => resourceType === 'group');
  expect(rights).toHaveLength(1);
  await revoke(pair(), rights);
  const ofGroup = () => mirror.incidents.filter(({ code }) => code === 'PERMISSION_DENIED');
  await mirror.until(() => ofGroup().length > 0, 'an incident is told');
  expect(ofGroup()[0]?.nextStep).toMatch(
    /kafka-acls\.sh .* --operation Read --group lockstep- --resource-pattern-type prefixed$/,
  );
  await sleep(12_000); // it may write for 10 s after the last heartbeat that was accepted
  const ends = await LogEnds.open(target, topicsOf(name));
  const before = await ends.read();
  await writeStreams(source, [{ name: 'while denied', topic: `${name}.now`, partitions: [0, 1], records: 500 }], {
    seed,
  });
  await sleep(2_000);
  expect(hasGrown(before, await ends.read())).toBe(false);
  ends.close();
  await grant(pair(), rights);
  await settle(name, []);
  const run = await mirror.interrupt();
  expect(run.incidents, told(run)).toHaveLength(1);
  expect(run.events.filter(({ event }) => event === 'incident-ended')).toHaveLength(1);
  await expectIdentical({ source, target, topics: pairs(name) });
}, 200_000);

test('the same processes without ownership are not identical', async () => {
  const name = 'unowned';
  await createSource(name);
  const random = createRandom(seed);
  const mirrors = Array.from({ length: 3 }, () => start(name, unguarded('ownership')));
  for (const mirror of mirrors)
    await mirror.until(() => places(name, mirror, 'copying').length === count, 'every partition is being copied');
  const traffic = await spawnLiveTraffic(cluster('source').bootstrap, streamsOf(name), { seed });
  const until = performance.now() + 20_000;
  while (performance.now() < until && mirrors.every(({ incidents }) => incidents.length === 0)) {
    const mirror = mirrors[Math.floor(random.next() * mirrors.length)];
    mirror?.signal('SIGSTOP');
    await sleep(100 + random.next() * 900);
    mirror?.signal('SIGCONT');
    await sleep(100 + random.next() * 400);
  }
  await traffic.stop();
  await settle(name, mirrors);
  const runs = await Promise.all(mirrors.map((mirror) => mirror.interrupt()));
  const report = await verifyMirror({
    source: cluster('source').bootstrap,
    target: cluster('target').bootstrap,
    topics: pairs(name),
  });
  const incidents = runs.flatMap((run) => run.incidents);
  const stopped = [...new Set(incidents.map(({ code, topic }) => `${code} ${topic}`))].toSorted();
  expect(stopped, 'the sequences keep those apart that brokers remember').not.toContain('SHARD_DIVERGED unowned.now');
  process.stdout.write(
    `ownership, without: ${stopped.join(', ')}; ${report.isIdentical ? 'identical' : 'different'}\n`,
  );
  expect(report.isIdentical && incidents.length === 0).toBe(false);
}, 240_000);
