/** Processes that stand still for longer than the target leaves a preserved transaction open. */
import { expect, onTestFinished } from 'vitest';
import { describeProducers } from '#kafka/producers.ts';
import { openCluster } from '#testing/open-cluster.ts';
import { waitUntil } from '#testing/process-stat.ts';
import { must } from '#util/assert.ts';
import { LockstepProcess } from '../acceptance/lockstep-process.ts';
import { fault } from './fault.ts';
import type { FaultRun } from './fault.ts';
import { clusterPair } from './mirror-under-test.ts';
import type { ClusterPair } from './mirror-under-test.ts';
import { TwoTopics } from './two-topics.ts';

const sweeps = { 'transaction.abort.timed.out.transaction.cleanup.interval.ms': '1000' };
const limitMs = 60_000;
const pair = clusterPair({
  source: { properties: sweeps },
  target: { properties: { ...sweeps, 'transaction.max.timeout.ms': String(limitMs) } },
});
const stoppedMs = 120_000;
const policy = { transactions: 'preserve' } as const;

/** A transaction that its producer leaves open; others began before it and have ended: on the target they are open as long. */
const held = {
  records: 2_000,
  transactions: { producers: 8, abortRate: 0.2, records: [60, 200], leaveOpen: 1, timeoutMs: 30_000 },
} as const;

/** Has a transaction held open on the target; returns where it ends, with how many are open there. */
async function holdOpen(
  scene: TwoTopics,
  clusters: ClusterPair,
  lockstep: LockstepProcess,
): Promise<{ end: number; open: number }> {
  await scene.writeTo('source', [{ topic: scene.hit, ...held }]);
  const { lastStable, highWatermark } = await scene.bounds('source');
  expect(lastStable, 'a transaction is open on the source').toBeLessThan(highWatermark);
  await lockstep.until(async () => (await scene.end('target')) === lastStable, `the target ends at ${lastStable}`);
  const client = openCluster(clusters.target.bootstrap);
  await client.connect();
  onTestFinished(() => client.close());
  const producers = await describeProducers(client, { topic: scene.hit, partition: 0 });
  const open = producers.filter(({ currentTxnStartOffset }) => currentTxnStartOffset >= 0).length;
  expect(open, 'transactions that are open on the target').toBeGreaterThan(0);
  return { end: lastStable, open };
}

/** Waits until the source has ended what its producer left open; nothing more is written to it. */
async function endedAtSource(scene: TwoTopics): Promise<void> {
  const isEnded = async (): Promise<boolean> => {
    const { lastStable, highWatermark } = await scene.bounds('source');
    return lastStable === highWatermark;
  };
  await waitUntil(isEnded, 'the source has ended the transaction', { timeoutMs: limitMs, everyMs: 200 });
}

/** How long it still has to stand still. */
async function restOf(startedAt: number): Promise<void> {
  await waitUntil(() => performance.now() - startedAt >= stoppedMs, '120 s are over', {
    timeoutMs: stoppedMs,
    everyMs: 100,
  });
}

fault(
  {
    id: 'stopped-past-transaction-limit',
    title: 'the only process stopped for 120 s with transactions open on the target, which allows 60 s',
  },
  async (run: FaultRun) => {
    const clusters = await pair();
    const scene = await TwoTopics.open(run, clusters, { policy });
    const lockstep = await scene.start();
    const { end, open } = await holdOpen(scene, clusters, lockstep);
    lockstep.signal('SIGSTOP');
    const startedAt = performance.now();
    await scene.load([scene.other]);
    await endedAtSource(scene);
    const sourceMs = performance.now() - startedAt;
    await waitUntil(async () => (await scene.end('target')) > end, 'the coordinator of the target ends it', {
      timeoutMs: 2 * limitMs,
      everyMs: 200,
    });
    run.tookEffect(
      `${open} transactions were open on the target at offset ${end}; the source ended its own after ${(sourceMs / 1000).toFixed(0)} s, the coordinator of the target after ${((performance.now() - startedAt) / 1000).toFixed(0)} s; stopped for 120 s`,
    );
    await restOf(startedAt);
    lockstep.signal('SIGCONT');
    const incident = await scene.incident(lockstep, 'SHARD_TRANSACTION_BROKEN');
    expect(incident.offsets).toEqual({ from: end, to: end + 1 });
    scene.stopped(incident);
    await scene.caughtUp(lockstep, [scene.other]);
    await scene.finish(lockstep, ['SHARD_TRANSACTION_BROKEN']);
    await scene.expectSameBelow(end);
    await scene.expectSame([scene.other]);
    await scene.admin('target', [{ delete: [scene.hit] }]); // the advice
    await scene.catchUp();
    await scene.expectSame();
  },
);

fault(
  {
    id: 'stopped-past-transaction-limit-shared',
    title:
      'a process stopped for 120 s with transactions open on the target, which allows 60 s, while another takes over',
  },
  async (run: FaultRun) => {
    const clusters = await pair();
    const scene = await TwoTopics.open(run, clusters, { policy });
    const both = [await scene.start(), LockstepProcess.run(scene.file)];
    onTestFinished(async () => void (await Promise.all(both.map((lockstep) => lockstep.kill()))));
    const copies = (lockstep: LockstepProcess, topic: string): boolean =>
      lockstep.status(scene.mirror)?.shards.some((shard) => shard.topic === topic && shard.state === 'copying') ??
      false;
    const holders = (topic: string): LockstepProcess[] => both.filter((lockstep) => copies(lockstep, topic));
    const describe = (): string => `two share the topics\n${both.map((each) => each.describe()).join('\n\n')}`;
    const areShared = (): boolean => {
      const [hit, other] = [holders(scene.hit), holders(scene.other)];
      return hit.length === 1 && other.length === 1 && hit[0] !== other[0];
    };
    await waitUntil(areShared, describe, { timeoutMs: 90_000, everyMs: 50 });
    const owner = must(holders(scene.hit)[0], 'owner');
    const heir = must(holders(scene.other)[0], 'the other process');
    const { end, open } = await holdOpen(scene, clusters, owner);
    owner.signal('SIGSTOP');
    const startedAt = performance.now();
    await scene.load([scene.other]);
    await heir.until(() => copies(heir, scene.hit), 'the other has taken over');
    const takenOverMs = performance.now() - startedAt;
    await endedAtSource(scene);
    await heir.until(
      async () => (await scene.end('target')) === (await scene.end('source')),
      'the other has ended the transactions',
    );
    run.figure('taken over within s', takenOverMs / 1000);
    run.figure('all transactions ended within s', (performance.now() - startedAt) / 1000);
    await restOf(startedAt);
    owner.signal('SIGCONT');
    await waitUntil(areShared, describe, { timeoutMs: 90_000, everyMs: 50 });
    run.tookEffect(
      `stopped for 120 s with ${open} transactions open on the target at offset ${end}; the other process copied on, then both shared again`,
    );
    await scene.write(200, [scene.hit], { transactions: { ...held.transactions, leaveOpen: 0 } });
    await scene.stopLoad();
    for (const lockstep of both) await scene.caughtUp(lockstep);
    for (const lockstep of both) await scene.finish(lockstep, []);
    await scene.expectSame();
  },
);
