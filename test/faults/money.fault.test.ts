/** Money that moves between accounts: whoever adds the copy up, at any moment, finds what was paid in. */
import { expect, onTestFinished } from 'vitest';
import { expectIdentical } from '#testing/checker/verify-mirror.ts';
import type { MoneySum } from '#testing/money-ledger.ts';
import { addUpMoney, moveMoney } from '#testing/money-ledger.ts';
import { waitUntil } from '#testing/process-stat.ts';
import { createTopics, runAdmin } from '#testing/topic-admin.ts';
import { partitionsUpTo } from '#testing/workload.ts';
import { must } from '#util/assert.ts';
import { createRandom } from '#util/random.ts';
import { writeLink } from '../acceptance/link-file.ts';
import { runUntilCaughtUp, told } from '../acceptance/lockstep-process.ts';
import { LogEnds } from '../acceptance/log-ends.ts';
import { expectVerified } from '../acceptance/verified.ts';
import { leaderToLose, newSeed, pick } from './campaign.ts';
import { Lane } from './campaign-lane.ts';
import { PARTITIONS } from './campaign-topics.ts';
import { fault } from './fault.ts';
import { leaderEpochs, waitForInSync, waitForOther } from './leaders.ts';
import { clusterPair } from './mirror-under-test.ts';

const properties = { 'broker.session.timeout.ms': '6000' };
const pair = clusterPair({ source: { brokers: 3, properties }, target: { brokers: 3, properties } });
const opening = 1_000_000;
const sides = ['target', 'source'] as const;

/** A read found something, and in each partition either nothing yet or exactly what was paid in. */
const isRight = ({ sums }: MoneySum): boolean => sums.every((sum) => sum === null || sum === opening);

fault(
  {
    id: 'money-moved',
    title: 'money moves between accounts while processes are killed, leaders moved and leaders killed',
  },
  async (run) => {
    const clusters = await pair();
    const [source, target] = [clusters.source.bootstrap, clusters.target.bootstrap];
    const ledger = { topic: `${run.id}.ledger`, partitions: PARTITIONS, opening };
    const topics = [ledger.topic];
    const seed = newSeed(run);
    const random = createRandom(seed);
    await createTopics(source, [{ name: ledger.topic, partitions: PARTITIONS, replicationFactor: 3 }]);
    const ends = await LogEnds.open(target, topics);
    const link = { source, target };
    const content = { topics, spec: {}, before: [], streams: [] };
    const lane = new Lane({ kind: 'transactions', mirror: run.id, content, link, ends, off: '' });
    onTestFinished(async () => {
      await Promise.all(lane.all.map((lockstep) => lockstep.kill()));
      ends.close();
    });
    lane.start(2);
    await lane.shared('by two');
    const writer = await moveMoney(source, ledger, { seed });
    const reader = await addUpMoney(target, ledger);
    onTestFinished(async () => void (await Promise.allSettled([writer.stop(), reader.stop()])));
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
      await readsMore(`without broker ${broker.id} of the ${side}`);
      await broker.start();
    }
    const changes = await Promise.all(
      sides.map(async (side, index) => (await leaderEpochs(clusters[side], topics)) - (epochs[index] ?? 0)),
    );
    const { committed, aborted } = must((await writer.stop()).at(-1), 'what was moved');
    await lane.interrupt();
    const last = await runUntilCaughtUp(writeLink({ ...link, mirrors: { [run.id]: lane.spec } }));
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
    await expectVerified({ ...link, mirrors: { [run.id]: lane.spec } });
    run.outcome(
      `the same sum at each of ${reads.length} reads of the target; identical, ${report.recordsEqual} records, no incident`,
    );
  },
);
