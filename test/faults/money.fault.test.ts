/** Money that moves between accounts: whoever adds the copy up, at any moment, finds what was paid in. */
import { expect, onTestFinished } from 'vitest';
import { expectIdentical } from '#testing/checker/verify-mirror.ts';
import type { Ledger, MoneyMoved, MoneyProcess, MoneySum } from '#testing/money-ledger.ts';
import { addUpMoney, moveMoney } from '#testing/money-ledger.ts';
import { waitUntil } from '#testing/process-stat.ts';
import { createTopics, runAdmin } from '#testing/topic-admin.ts';
import { partitionsUpTo } from '#testing/workload.ts';
import { must } from '#util/assert.ts';
import { createRandom, type Random } from '#util/random.ts';
import { writeLink } from '../acceptance/link-file.ts';
import { runUntilCaughtUp, told } from '../acceptance/lockstep-process.ts';
import { LogEnds } from '../acceptance/log-ends.ts';
import { expectVerified } from '../acceptance/verified.ts';
import { leaderToLose, newSeed, pick } from './campaign.ts';
import { Lane } from './campaign-lane.ts';
import { PARTITIONS } from './campaign-topics.ts';
import { fault, type FaultRun } from './fault.ts';
import { leaderEpochs, waitForInSync, waitForOther } from './leaders.ts';
import { clusterPair, type ClusterPair } from './mirror-under-test.ts';
import { expectStoppedAtRepeatedEnds, mayBeRepeatedEnd } from './repeated-ends.ts';

const properties = { 'broker.session.timeout.ms': '6000' };
const pair = clusterPair({ source: { brokers: 3, properties }, target: { brokers: 3, properties } });
const opening = 1_000_000;
const sides = ['target', 'source'] as const;

/** A read found something, and in each partition either nothing yet or exactly what was paid in. */
const isRight = ({ sums }: MoneySum): boolean => sums.every((sum) => sum === null || sum === opening);

/** Moving the leaders of the target, and killing them, can write an end twice (decision 5): a partition stops then. */
const ATTEMPTS = 3;

fault(
  {
    id: 'money-moved',
    title: 'money moves between accounts while processes are killed, leaders moved and leaders killed',
  },
  async (run) => {
    const clusters = await pair();
    const stopped: string[] = [];
    for (let attempt = 1; attempt <= ATTEMPTS; attempt++) {
      const name = `${run.id}-${attempt}`;
      const topic = `${name}.ledger`;
      await createTopics(clusters.source.bootstrap, [{ name: topic, partitions: PARTITIONS, replicationFactor: 3 }]);
      const ends = await LogEnds.open(clusters.target.bootstrap, [topic]);
      const link = { source: clusters.source.bootstrap, target: clusters.target.bootstrap };
      const content = { topics: [topic], spec: {}, before: [], streams: [] };
      const lane = new Lane({ kind: 'transactions', mirror: name, content, link, ends, off: '' });
      onTestFinished(async () => {
        await Promise.all(lane.all.map((lockstep) => lockstep.kill()));
        ends.close();
      });
      lane.start(2);
      await lane.shared('by two');
      const seed = newSeed(run);
      const ledger = { topic, partitions: PARTITIONS, opening };
      const writer = await moveMoney(link.source, ledger, { seed });
      const reader = await addUpMoney(link.target, ledger);
      const stop = async (): Promise<void> => void (await Promise.allSettled([writer.stop(), reader.stop()]));
      onTestFinished(stop);
      try {
        const outcome = await moveAndAddUp(run, clusters, { lane, ledger, writer, reader, random: createRandom(seed) });
        run.outcome([...stopped, outcome].join('; '));
        run.figure('attempts', attempt);
        return;
      } catch (error) {
        await stop();
        expect(
          reader.lines.filter((read) => !isRight(read)),
          'what was read until it stopped',
        ).toEqual([]);
        await lane.standsStill(5_000);
        await Promise.all(lane.live.map((lockstep) => lockstep.interrupt()));
        const told = lane.all.flatMap((lockstep) => lockstep.incidents);
        if (told.length === 0 || !told.every(mayBeRepeatedEnd)) throw error;
        // Who takes a partition over that has stopped says so too.
        const incidents = [...new Map(told.map((each) => [each.partition, each])).values()];
        run.expects(incidents.map(({ code }) => code));
        const policy = { transactions: 'preserve', timestamps: 'equal' } as const;
        const ended = await expectStoppedAtRepeatedEnds(clusters, { incidents, topics: [topic], policy });
        stopped.push(`attempt ${attempt}: ${ended.told}`);
      }
    }
    throw new Error(`an end was written twice in each of ${ATTEMPTS} attempts: ${stopped.join('; ')}`);
  },
);

interface Moving {
  readonly lane: Lane;
  readonly ledger: Ledger;
  readonly writer: MoneyProcess<MoneyMoved>;
  readonly reader: MoneyProcess<MoneySum>;
  readonly random: Random;
}

/** Processes are killed and leaders moved and killed meanwhile. Returns what came of it; throws, also where a partition stopped. */
async function moveAndAddUp(
  run: FaultRun,
  clusters: ClusterPair,
  { lane, ledger, writer, reader, random }: Moving,
): Promise<string> {
  const [source, target] = [clusters.source.bootstrap, clusters.target.bootstrap];
  const { topics } = lane.content;
  const link = { source, target };
  const readsMore = async (what: string): Promise<void> => {
    const before = reader.lines.length;
    const records = (): number => reader.lines.at(-1)?.records ?? 0;
    const then = records();
    const hasRead = (): boolean => reader.lines.length > before && records() > then;
    await waitUntil(hasRead, () => `the sum of the target grows ${what}\n${lane.describe()}`, { timeoutMs: 120_000 });
  };
  await readsMore('at first');

  const epochs = await Promise.all(sides.map((side) => leaderEpochs(clusters[side], topics)));
  let takeovers = 0;
  for (let round = 0; round < 3; round++) {
    const victim = pick(random, lane.live);
    takeovers += (await lane.works(victim)).length;
    await lane.kill(victim);
    lane.start();
    for (const side of sides) {
      const moves = partitionsUpTo(PARTITIONS).map((partition) => {
        const replicas = [0, 1, 2].map((n) => 1 + ((n + round + partition) % 3));
        return { topic: ledger.topic, partition, replicas };
      });
      await runAdmin(clusters[side].bootstrap, [{ reassign: moves }]);
    }
    await lane.shared('after a kill and moves of leaders');
    await readsMore('after a kill and moves of leaders');
  }
  const moved: string[] = [];
  for (const side of sides) {
    await waitForInSync(clusters[side], topics);
    const { broker, partition } = await leaderToLose(clusters, side, { topics, random });
    await broker.kill();
    const after = await waitForOther(clusters[side], ledger.topic, { than: broker.id, partition });
    moved.push(`${side} ${broker.id}→${after}`);
    try {
      await readsMore(`without broker ${broker.id} of the ${side}`);
    } finally {
      await broker.start();
    }
  }
  const changes = await Promise.all(
    sides.map(async (side, index) => (await leaderEpochs(clusters[side], topics)) - (epochs[index] ?? 0)),
  );
  const { committed, aborted } = must((await writer.stop()).at(-1), 'what was moved');
  await lane.interrupt();
  const last = await runUntilCaughtUp(writeLink({ ...link, mirrors: { [lane.mirror]: lane.spec } }));
  expect([last.code, last.incidents], told(last)).toEqual([0, []]);
  for (const lockstep of lane.all) expect(lockstep.incidents, lockstep.describe()).toEqual([]);
  const reads = await reader.stop();
  run.tookEffect(
    `3 processes killed, ${takeovers} partitions taken over, leaders changed ${changes.join(' and ')} times, leaders killed: ${moved.join(', ')}`,
  );
  run.figure('transactions committed', committed);
  run.figure('aborted', aborted);
  run.figure('reads of the whole ledger', reads.length);

  expect(reads.filter((read) => !isRight(read))).toEqual([]);
  expect(reads.at(-1)?.sums).toEqual(partitionsUpTo(PARTITIONS).map(() => opening));
  const uncommitted = await (await addUpMoney(target, ledger, 'read_uncommitted')).stop();
  expect(uncommitted.every(isRight), 'what was aborted is there, and does not add up').toBe(false);
  const pairs = topics.map((topic) => ({ source: topic, target: topic }));
  const report = await expectIdentical({ ...link, topics: pairs, policy: { transactions: 'preserve' } });
  await expectVerified({ ...link, mirrors: { [lane.mirror]: lane.spec } });
  return `the same sum at each of ${reads.length} reads of the target; identical, ${report.recordsEqual} records, no incident`;
}
