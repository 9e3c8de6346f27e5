/** Unclean elections: replicas that miss acknowledged records become leaders, on either side. */
import { expect } from 'vitest';
import type { KafkaBroker } from '#testing/kafka-broker.ts';
import type { KafkaCluster } from '#testing/kafka-cluster.ts';
import { waitUntil } from '#testing/process-stat.ts';
import { must } from '#util/assert.ts';
import { fault } from './fault.ts';
import { readLeaders } from './leaders.ts';
import { clusterPair, waitsForStart, type Side } from './mirror-under-test.ts';
import { TwoTopics } from './two-topics.ts';

const three = { brokers: 3 } as const;
const fromThree = clusterPair({ source: three, target: {} });
const toThree = clusterPair({ source: {}, target: three });
/** A partition has no leader while a broker is started, which takes a slow machine longer than 30 s. */
const waits = (side: Side) => ({ mayWait: waitsForStart(side) });
const unclean = { 'unclean.leader.election.enable': 'true', 'min.insync.replicas': '1' };

interface Replicas {
  readonly leader: KafkaBroker;
  readonly follower: KafkaBroker;
}

/** Of partition 0. From now on the leader acknowledges alone. */
async function stopFollower(cluster: KafkaCluster, topic: string): Promise<Replicas> {
  const { leader, replicas } = must((await readLeaders(cluster, topic))[0], 'partition');
  const brokerOf = (id: number | undefined): KafkaBroker =>
    must(
      cluster.brokers.find((broker) => broker.id === id),
      `broker ${id}`,
    );
  const follower = brokerOf(replicas.find((id) => id !== leader));
  await follower.stop();
  const isAlone = async (): Promise<boolean> => (await readLeaders(cluster, topic))[0]?.isr.length === 1;
  await waitUntil(isAlone, 'the leader is the only replica in sync', { timeoutMs: 60_000, everyMs: 200 });
  return { leader: brokerOf(leader), follower };
}

/** The leader dies, and the follower, which misses what came since it was stopped, leads. */
async function electUncleanly(cluster: KafkaCluster, topic: string, { leader, follower }: Replicas): Promise<void> {
  await leader.kill();
  await follower.start();
  const isElected = async (): Promise<boolean> => {
    const [partition] = await readLeaders(cluster, topic).catch(() => []); // brokers come and go
    return partition?.leader === follower.id;
  };
  await waitUntil(isElected, 'the stale replica leads', { timeoutMs: 120_000, everyMs: 200 });
}

for (const isCopied of [true, false]) {
  fault(
    {
      id: isCopied ? 'unclean-source-copied' : 'unclean-source-not-copied',
      title: `an unclean election on the source loses records that had ${isCopied ? '' : 'not yet '}been copied`,
      timeoutMs: 400_000,
    },
    async (run) => {
      const clusters = await fromThree();
      const scene = await TwoTopics.open(run, clusters, { replicationFactor: 2, configs: unclean });
      const lockstep = await scene.start();
      await scene.load([scene.other], { recordsPerSecond: 50 });
      const replicas = await stopFollower(clusters.source, scene.hit);
      if (!isCopied) lockstep.signal('SIGSTOP');
      await scene.write(20, [scene.hit]);
      const before = await scene.history('source', { below: 520 });
      if (isCopied) await scene.caughtUp(lockstep, [scene.hit]);
      await electUncleanly(clusters.source, scene.hit, replicas);
      const lostFrom = await scene.end('source');
      expect(lostFrom).toBe(500);
      await scene.write(50, [scene.hit]);
      run.tookEffect(`broker ${replicas.follower.id} leads with a log that ended at ${lostFrom} instead of 520`);
      await replicas.leader.start();
      if (!isCopied) lockstep.signal('SIGCONT');
      const codes = isCopied ? (['SHARD_TRUNCATED'] as const) : [];
      if (isCopied) {
        const incident = await scene.incident(lockstep, 'SHARD_TRUNCATED');
        expect(incident.offsets).toEqual({ from: 500, to: 520 });
        scene.stopped(incident);
      }
      await scene.stopLoad();
      await scene.caughtUp(lockstep, isCopied ? [scene.other] : undefined);
      await scene.finish(lockstep, codes, waits('source'));
      if (isCopied) {
        expect(await scene.end('target'), 'nothing more was written').toBe(520);
        await scene.expectSameBelow(520, before);
        await scene.expectSame([scene.other]);
        await scene.admin('target', [{ delete: [scene.hit] }]); // the advice: follow the source
        await scene.catchUp();
      }
      await scene.expectSame();
    },
  );
}

for (const isOnSource of [true, false]) {
  fault(
    {
      id: isOnSource ? 'unclean-target' : 'unclean-target-source-gone',
      title: `an unclean election on the target loses records${isOnSource ? '' : ' that the source does not have any more'}`,
      timeoutMs: 400_000,
    },
    async (run) => {
      const clusters = await toThree();
      // Whether an unclean leader may lead is each cluster's own unless the mirror is told otherwise.
      const spec = { targetReplicationFactor: 2, sync: { configs: { exclude: [] } } };
      const scene = await TwoTopics.open(run, clusters, { configs: unclean, spec, policy: { logStart: 'any' } });
      const lockstep = await scene.start();
      await scene.load([scene.other], { recordsPerSecond: 50 });
      const replicas = await stopFollower(clusters.target, scene.hit);
      await scene.write(300, [scene.hit]);
      await scene.caughtUp(lockstep, [scene.hit]);
      expect(await scene.end('target')).toBe(800);
      if (!isOnSource) await scene.admin('source', [{ deleteRecords: { topic: scene.hit, before: { 0: 700 } } }]);
      await electUncleanly(clusters.target, scene.hit, replicas);
      if (!isOnSource) {
        const incident = await scene.incident(lockstep, 'SHARD_RETENTION_LOSS');
        expect(incident.offsets).toEqual({ from: 500, to: 700 });
        scene.stopped(incident);
      }
      run.tookEffect(`broker ${replicas.follower.id} leads, which missed offsets 500 to 799`);
      await replicas.leader.start();
      await scene.write(100, [scene.hit]);
      await scene.stopLoad();
      await scene.caughtUp(lockstep, isOnSource ? undefined : [scene.other]);
      await scene.finish(lockstep, isOnSource ? [] : ['SHARD_RETENTION_LOSS'], waits('target'));
      const copied = lockstep.status(scene.mirror)?.shards.find(({ topic }) => topic === scene.hit)?.recordsCopied;
      if (isOnSource) expect(copied, 'the lost records were copied again').toBe(500 + 300 + 300 + 100);
      else expect(await scene.end('target')).toBe(500);
      await scene.expectSame(isOnSource ? undefined : [scene.other]);
    },
  );
}
