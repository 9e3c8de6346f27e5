/** Three brokers on each side, and what happens to some of them while a mirror copies live traffic. */
import { expect, onTestFinished } from 'vitest';
import type { KafkaBroker } from '#testing/kafka-broker.ts';
import { runAdmin } from '#testing/topic-admin.ts';
import { partitionsUpTo } from '#testing/workload.ts';
import { must } from '#util/assert.ts';
import { fault } from './fault.ts';
import type { FaultRun } from './fault.ts';
import { controllerOf, leaderEpochs, leaderOf, readLeaders, waitForInSync, waitForOther } from './leaders.ts';
import { clusterPair, startMirror } from './mirror-under-test.ts';
import type { MirrorUnderTest } from './mirror-under-test.ts';

/** Six brokers share few cores with everything else: a heartbeat may be late by more than the launcher's 3 s. */
const properties = { 'broker.session.timeout.ms': '6000' };
const pair = clusterPair({ source: { brokers: 3, properties }, target: { brokers: 3, properties } });
const sides = ['target', 'source'] as const;
/** Each broker of the target may be the coordinator of its transactions. */
const mayRepeatEnds = true;
const seconds = (ms: number): number => ms / 1000;

/** Five times the leader of partition 0, of either side in turn: ended by `end`, gone on without, started again. */
async function endLeaders(run: FaultRun, end: (broker: KafkaBroker) => Promise<void>): Promise<void> {
  const mirror = await startMirror(run, await pair(), { name: run.id, mayRepeatEnds });
  const topic = mirror.topic('plain');
  const moves: string[] = [];
  let slowestMs = 0;
  for (const side of ['target', 'source', 'target', 'source', 'target'] as const) {
    const cluster = mirror.pair[side];
    const broker = await leaderOf(cluster, topic);
    const startedAt = performance.now();
    await end(broker);
    const after = await waitForOther(cluster, topic, { than: broker.id });
    await mirror.advances(`without broker ${broker.id} of the ${side}`);
    slowestMs = Math.max(slowestMs, performance.now() - startedAt);
    moves.push(`${side} ${broker.id}→${after}`);
    await broker.start();
  }
  for (const side of sides) expect((await readLeaders(mirror.pair[side], topic))[0]?.replicas).toHaveLength(3);
  run.tookEffect(`another broker led after each of 5: ${moves.join(', ')}`);
  run.figure('all partitions went on within s', seconds(slowestMs));
  await mirror.expectIdenticalAfterwards();
}

fault({ id: 'leaders-killed', title: 'leaders of either side killed with SIGKILL, five in all' }, (run) =>
  endLeaders(run, (broker) => broker.kill()),
);

fault({ id: 'leaders-terminated', title: 'leaders of either side shut down with SIGTERM, five in all' }, (run) =>
  endLeaders(run, (broker) => broker.stop()),
);

for (const side of sides) {
  fault(
    { id: `leader-frozen-${side}`, title: `the leader on the ${side} stopped with SIGSTOP for 30 s` },
    async (run) => {
      const mirror = await startMirror(run, await pair(), { name: run.id, mayRepeatEnds });
      const topic = mirror.topic('plain');
      const broker = await leaderOf(mirror.pair[side], topic);
      const epochs = await leaderEpochs(mirror.pair[side], mirror.topics);
      const startedAt = performance.now();
      await broker.pause();
      onTestFinished(() => broker.resume().catch(() => {})); // a fault that failed may have ended it
      const others = { brokers: mirror.pair[side].brokers.filter(({ id }) => id !== broker.id) };
      const after = await waitForOther(others, topic, { than: broker.id });
      const advanced = mirror.advances('beside the frozen broker');
      await mirror.lasts(30_000 - (performance.now() - startedAt));
      const aheadMs = await Promise.race([advanced, Promise.resolve(null)]);
      await broker.resume();
      await advanced;
      const recoveredMs = performance.now() - startedAt;
      await waitForInSync(mirror.pair[side], mirror.topics);
      const changes = (await leaderEpochs(mirror.pair[side], mirror.topics)) - epochs;
      run.tookEffect(
        `broker ${broker.id} stood still for 30 s, leader ${broker.id}→${after}, ${changes} changes of leaders`,
      );
      run.figure('all partitions went on within s', seconds(aheadMs ?? recoveredMs));
      await mirror.expectIdenticalAfterwards();
    },
  );
}

/** As often as leaders are to move, and what a machine may make of it. */
const MOVE_MS = 2_000;
const MOVE_MS_MAX = 2_200;

fault(
  { id: 'leaders-moved', title: 'leaders and replicas of both sides moved every 2 s, 30 times', timeoutMs: 900_000 },
  async (run) => {
    const mirror = await startMirror(run, await pair(), { name: run.id, replicationFactor: 2, mayRepeatEnds });
    const topic = mirror.topic('plain');
    const epochs = (): Promise<number[]> => Promise.all(sides.map((side) => leaderEpochs(mirror.pair[side], [topic])));
    const before = { epochs: await epochs(), copied: mirror.offsetsCopied() };
    // Two of three brokers hold each partition: each round takes one away and gives another, and moves the leader.
    const rounds = Array.from({ length: 30 }, (_, round) => ({
      reassign: partitionsUpTo(3).map((partition) => {
        const first = (round + partition) % 3;
        return { topic, partition, replicas: [1 + first, 1 + ((first + 1) % 3)] };
      }),
    }));
    const steps = rounds.flatMap((round, index) => [{ at: (index + 1) * MOVE_MS }, round]);
    const answers = await Promise.all(sides.map((side) => runAdmin(mirror.pair[side].bootstrap, steps)));
    const periods = answers.map((answer) => periodsOf(answer.filter((at) => typeof at === 'number')));
    const medians = periods.map((sorted) => must(sorted[sorted.length >> 1], 'median'));
    const copied = mirror.offsetsCopied() - before.copied;
    const changes = (await epochs()).map((sum, index) => `${sides[index]} ${sum - (before.epochs[index] ?? 0)}`);
    run.tookEffect(
      `${rounds.length} reassignments of 3 partitions on each side, one every ${medians.map((ms) => seconds(ms).toFixed(2)).join(' and ')} s, leader epochs risen by: ${changes.join(', ')}`,
    );
    for (const [index, side] of sides.entries()) {
      const ms = must(medians[index], 'median');
      run.figure(`leaders of the ${side} moved every s, median`, seconds(ms));
      run.figure('longest', seconds(must(periods[index]?.at(-1), 'longest period')));
      expect(ms, `the period in which leaders of the ${side} moved`).toBeLessThanOrEqual(MOVE_MS_MAX);
    }
    run.figure('offsets copied meanwhile', copied);
    expect(copied, 'it goes on while leaders move').toBeGreaterThan(0);
    await mirror.advances('after the last move');
    await mirror.expectIdenticalAfterwards();
  },
);

/** Between what happened at these times: the shortest first, in ms. */
function periodsOf(times: readonly number[]): number[] {
  return times
    .slice(1)
    .map((at, index) => at - must(times[index], 'time'))
    .sort((a, b) => a - b);
}

fault({ id: 'controllers-killed', title: 'the active controller of each side killed with SIGKILL' }, async (run) => {
  const mirror = await startMirror(run, await pair(), { name: run.id, mayRepeatEnds });
  for (const side of sides) {
    const controller = await controllerOf(mirror.pair[side]);
    const startedAt = performance.now();
    await controller.kill();
    await mirror.advances(`without controller ${controller.id} of the ${side}`);
    const tookMs = performance.now() - startedAt;
    const after = await controllerOf(mirror.pair[side]);
    expect(after.id).not.toBe(controller.id);
    run.tookEffect(`${side}: controller ${controller.id}→${after.id}`);
    run.figure(`all partitions went on without that of the ${side} within s`, seconds(tookMs));
    await controller.start();
  }
  await mirror.expectIdenticalAfterwards();
});

fault(
  { id: 'rolling-restart', title: 'all six brokers restarted one after the other under load', timeoutMs: 900_000 },
  async (run) => {
    const mirror = await startMirror(run, await pair(), {
      name: run.id,
      kinds: ['plain', 'transactional', 'compacted'],
      mayRepeatEnds,
    });
    const epochs = await Promise.all(sides.map((side) => leaderEpochs(mirror.pair[side], mirror.topics)));
    const startedAt = performance.now();
    for (const side of sides)
      for (const broker of mirror.pair[side].brokers) {
        const { pid } = broker;
        await broker.restart();
        expect(broker.pid).not.toBe(pid);
        await waitForInSync(mirror.pair[side], mirror.topics); // as one does it by hand
      }
    const tookMs = performance.now() - startedAt;
    const after = await Promise.all(sides.map((side) => leaderEpochs(mirror.pair[side], mirror.topics)));
    const changes = sides.map((side, index) => `${side} ${(after[index] ?? 0) - (epochs[index] ?? 0)}`);
    run.tookEffect(`6 brokers restarted in ${seconds(tookMs).toFixed(0)} s, changes of leaders: ${changes.join(', ')}`);
    await mirror.advances('after the last restart');
    await mirror.expectIdenticalAfterwards();
  },
);

fault(
  {
    id: 'isr-below-minimum',
    title: 'two of three replicas on the target down, with min.insync.replicas 2, for 45 s',
  },
  async (run) => {
    const mirror = await startMirror(run, await pair(), { name: run.id, mayRepeatEnds });
    const { target } = mirror.pair;
    await runAdmin(
      target.bootstrap,
      mirror.topics.map((topic) => ({ setConfigs: { topic, configs: { 'min.insync.replicas': '2' } } })),
    );
    const [stays, ...go] = target.brokers;
    for (const broker of go) await broker.stop();
    const partitions = await readLeaders(target, mirror.topic('plain'));
    const stood = await standsStill(mirror, 45_000);
    const startedAt = performance.now();
    await Promise.all(go.map((broker) => broker.start()));
    await mirror.advances('with all replicas');
    run.tookEffect(
      `only broker ${stays?.id} in sync: ${partitions.map(({ isr }) => isr.length).join(', ')} of 3 replicas, nothing copied for ${seconds(stood).toFixed(0)} s`,
    );
    run.figure('all partitions went on s after the start of the brokers', seconds(performance.now() - startedAt));
    await mirror.expectIdenticalAfterwards({ outages: ['SHARD_WAITING'] });
  },
);

/** Waits until no partition has moved for so long. Returns how long that was. */
async function standsStill(mirror: MirrorUnderTest, ms: number): Promise<number> {
  let since = performance.now();
  let last = JSON.stringify([...mirror.positions()]);
  await mirror.until(
    () => {
      const now = JSON.stringify([...mirror.positions()]);
      if (now !== last) [last, since] = [now, performance.now()];
      return performance.now() - since >= ms;
    },
    `nothing is copied for ${ms} ms`,
    ms + 60_000,
  );
  return performance.now() - since;
}
