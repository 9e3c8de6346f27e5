/**
 * Faults drawn at random, several at once, a quarter of the time none: for as many minutes as LOCKSTEP_RANDOM_MINUTES says, else
 * for two. LOCKSTEP_SEED draws the same ones again.
 */
import { setTimeout as sleep } from 'node:timers/promises';
import { expect } from 'vitest';
import { runAdmin } from '#testing/topic-admin.ts';
import { partitionsUpTo } from '#testing/workload.ts';
import { must } from '#util/assert.ts';
import { createRandom, type Random } from '#util/random.ts';
import { Campaign, newSeed, othersThanCoordinator, pick } from './campaign.ts';
import type { Lane } from './campaign-lane.ts';
import { PARTITIONS } from './campaign-topics.ts';
import { fault } from './fault.ts';
import { leaderEpochs, waitForInSync } from './leaders.ts';
import { clusterPair } from './mirror-under-test.ts';
import type { Side } from './mirror-under-test.ts';

const session = { 'broker.session.timeout.ms': '6000' };
const sweeps = { 'producer.id.expiration.check.interval.ms': '1000' };
const pair = clusterPair({
  source: { brokers: 3, properties: session },
  target: { brokers: 3, properties: { ...session, ...sweeps } },
});
const minutes = Number(process.env['LOCKSTEP_RANDOM_MINUTES'] ?? 2);
/** Faults of a round begin in its first half and have ended when the next round begins. */
const ROUND_MS = 30_000;
const QUIET = 0.25;

/** What a fault is done to, and by which draws: each has its own, so that the others do not move them. */
interface Scene {
  readonly campaign: Campaign;
  readonly random: Random;
}

/** Does something to a lane or a cluster, and has put it right when it returns; returns what it was. */
type Draw = (scene: Scene) => Promise<string>;

const lasts = ({ random }: Scene, msMax: number): Promise<void> => sleep(random.next() * msMax);

const draws: Readonly<Record<string, Draw>> = {
  async 'kill of a process'(scene) {
    const lane = ownLane(scene);
    await lane.kill(pick(scene.random, lane.live));
    lane.start();
    return lane.kind;
  },
  async 'process that stands still'(scene) {
    const lane = ownLane(scene);
    const lockstep = pick(scene.random, lane.live);
    lane.pause(lockstep);
    await lasts(scene, ROUND_MS);
    lane.resume(lockstep);
    return lane.kind;
  },
  async 'process that is ended in good order'(scene) {
    const lane = ownLane(scene);
    await lane.interrupt(pick(scene.random, lane.live));
    lane.start();
    return lane.kind;
  },
  async 'third process'(scene) {
    const lane = ownLane(scene);
    lane.start();
    await lasts(scene, ROUND_MS);
    await lane.interrupt(pick(scene.random, lane.live));
    return lane.kind;
  },
  'broker of the source killed': (scene) => killBroker(scene, 'source'),
  'broker of the target killed': (scene) => killBroker(scene, 'target'),
  async 'broker of the target that stands still'(scene) {
    const broker = pick(scene.random, await othersThanCoordinator(scene.campaign.pair, 'target'));
    await broker.pause();
    await lasts(scene, 15_000);
    await broker.resume();
    return `broker ${broker.id}`;
  },
  async 'leaders moved'(scene) {
    const first = Math.floor(scene.random.next() * 3);
    const topic = pick(scene.random, topicsOf(scene.campaign));
    const moves = partitionsUpTo(PARTITIONS).map((partition) => {
      const replicas = [0, 1, 2].map((n) => 1 + ((n + first + partition) % 3));
      return { topic, partition, replicas };
    });
    // With a broker away the assignment does not end, and is there when it is back.
    await runAdmin(scene.campaign.pair.target.bootstrap, [{ reassign: moves }]).catch(() => []);
    return topic;
  },
  async 'target throttled'(scene) {
    const { bootstrap } = scene.campaign.pair.target;
    await runAdmin(bootstrap, [{ setQuotas: { producer_byte_rate: 20_000 } }]);
    await lasts(scene, ROUND_MS / 2);
    await runAdmin(bootstrap, [{ setQuotas: { producer_byte_rate: null } }]);
    return '20 kB/s';
  },
};

/** Those that may not be there at the same time: of three brokers of a cluster two have to answer. */
const apart = [
  'broker of the target killed',
  'broker of the target that stands still',
  'leaders moved',
  'target throttled',
];

function ownLane({ campaign, random }: Scene): Lane {
  return pick(
    random,
    campaign.lanes.filter(({ live }) => live.length > 1),
  );
}

const topicsOf = (campaign: Campaign): string[] => campaign.lanes.flatMap(({ content }) => content.topics);

async function killBroker(scene: Scene, side: Side): Promise<string> {
  const broker = pick(scene.random, await othersThanCoordinator(scene.campaign.pair, side));
  await broker.kill();
  await lasts(scene, 10_000);
  await broker.start();
  return `broker ${broker.id}`;
}

/** Up to three that may be there together. */
function subset(random: Random): string[] {
  const chosen: string[] = [];
  const may = (name: string): boolean =>
    !chosen.includes(name) && (!apart.includes(name) || !chosen.some((other) => apart.includes(other)));
  for (let n = 1 + Math.floor(random.next() * 3); n > 0; n--) chosen.push(pick(random, Object.keys(draws).filter(may)));
  return chosen;
}

fault(
  {
    id: 'random-combinations',
    title:
      'faults of processes, brokers, leaders and quotas drawn at random, several at once, a quarter of the time none',
    timeoutMs: minutes * 120_000 + 600_000,
  },
  async (run) => {
    const clusters = await pair();
    const seed = newSeed(run);
    const random = createRandom(seed);
    const age = pick(random, ['old', 'current'] as const);
    const kinds = ['plain', 'holes', 'transactions', 'mapped'] as const;
    const campaign = await Campaign.open(run, clusters, { age, kinds, recordsPerSecond: 40, seed });
    for (const lane of campaign.lanes) lane.start(2);
    await Promise.all(campaign.lanes.map((lane) => lane.shared('before any fault')));
    const epochs = await leaderEpochs(clusters.target, topicsOf(campaign));
    const counts = new Map<string, number>();
    const rounds = Math.max(1, Math.round((minutes * 60_000) / ROUND_MS));
    for (let round = 0; round < rounds; round++) {
      const isQuiet = round > 0 && random.next() < QUIET;
      const names = isQuiet ? [] : subset(random);
      const over = sleep(ROUND_MS);
      const done = await Promise.all(
        names.map(async (name) => {
          const scene = { campaign, random: createRandom(random.next() * 2 ** 32) };
          await lasts(scene, ROUND_MS / 2);
          const what = await must(draws[name], 'fault')(scene);
          counts.set(name, (counts.get(name) ?? 0) + 1);
          return `${name} (${what})`;
        }),
      );
      await over;
      process.stdout.write(`fault ${run.id}: round ${round + 1} of ${rounds}: ${done.join(', ') || 'nothing'}\n`);
    }
    for (const side of ['source', 'target'] as const) await waitForInSync(clusters[side], topicsOf(campaign));
    await Promise.all(campaign.lanes.map((lane) => lane.shared('after the last fault')));
    await Promise.all(campaign.lanes.map((lane) => lane.advances('after the last fault')));
    const total = [...counts.values()].reduce((sum, count) => sum + count, 0);
    expect(total, 'faults').toBeGreaterThan(0);
    const list = [...counts].map(([name, count]) => `${count} × ${name}`);
    const changes = (await leaderEpochs(clusters.target, topicsOf(campaign))) - epochs;
    run.tookEffect(
      `${rounds} rounds, ${age} records: ${list.join(', ')}; leaders of the target changed ${changes} times`,
    );
    run.figure('faults', total);
    await campaign.finish();
    await campaign.expectIdentical();
  },
);
