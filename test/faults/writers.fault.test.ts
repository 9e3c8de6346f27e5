/** Programs that write to a target topic beside the mirror. */
import { expect, onTestFinished } from 'vitest';
import { initProducerId, describeProducers } from '#kafka/producers.ts';
import { BatchWriter } from '#kafka/records/batch-writer.ts';
import { appendBatch } from '#kafka/simple-log.ts';
import { mirrorIdOf } from '#mirror/state-records.ts';
import { openCluster } from '#testing/open-cluster.ts';
import type { RecordStream, WorkloadSummary } from '#testing/workload.ts';
import { must } from '#util/assert.ts';
import { LockstepProcess, unguarded } from '../acceptance/lockstep-process.ts';
import { fault } from './fault.ts';
import { clusterPair } from './mirror-under-test.ts';
import { TwoTopics } from './two-topics.ts';

const pair = clusterPair({ source: {}, target: {} });
/** Its brokers forget at once a producer whose last record is older than a second. */
const forgetful = clusterPair({
  source: {},
  target: {
    properties: { 'producer.id.expiration.ms': '1000', 'producer.id.expiration.check.interval.ms': '200' },
  },
});

/** The first of the offsets that a writer got, when nobody wrote between them. */
function firstOffset(summary: WorkloadSummary, topic: string): number {
  const { count, lastOffset } = must(summary.topics[topic]?.[0], 'what was acknowledged');
  return lastOffset - count + 1;
}

const writers: readonly { id: string; title: string; share?: boolean; stream: Partial<RecordStream> }[] = [
  {
    id: 'foreign-plain',
    title: 'a producer without idempotence writes a batch to the target under load',
    stream: { records: 20, idempotent: false, lingerMs: 50 },
  },
  {
    id: 'foreign-idempotent',
    title: 'an idempotent producer writes a batch to the target under load',
    stream: { records: 20, lingerMs: 50 },
  },
  {
    id: 'foreign-one-record',
    title: 'another program writes exactly one record between two batches of the mirror',
    share: true,
    stream: { records: 1 },
  },
  {
    id: 'foreign-transaction',
    title: 'another program writes to the target in a transaction and aborts it, under load',
    // One batch: of two the mirror's may come between.
    stream: { records: 10, lingerMs: 50, transactions: { producers: 1, abortRate: 1, records: [10, 10] } },
  },
];

for (const { stream, ...spec } of writers) {
  fault(spec, async (run) => {
    const scene = await TwoTopics.open(run, await pair());
    const lockstep = await scene.start();
    await scene.load();
    await scene.caughtUp(lockstep);
    const summary = await scene.writeTo('target', [{ topic: scene.hit, ...stream }]);
    const foreignAt = firstOffset(summary, scene.hit);
    run.tookEffect(`the target acknowledged ${summary.records} records of others at offset ${foreignAt}`);
    const incident = await scene.incident(lockstep, 'SHARD_DIVERGED');
    expect(incident.offsets?.from).toBe(foreignAt);
    scene.stopped(incident);
    await scene.caughtUp(lockstep, [scene.other]);
    await scene.finish(lockstep, ['SHARD_DIVERGED']);
    const stoppedAt = await scene.end('target');
    run.figure('offsets behind theirs', stoppedAt - foreignAt - summary.records);

    const again = await scene.start(scene.file, [scene.other]);
    expect((await scene.incident(again, 'SHARD_DIVERGED')).offsets?.from, 'the same after a restart').toBe(foreignAt);
    await scene.finish(again, ['SHARD_DIVERGED']);
    expect(await scene.end('target'), 'nothing more was written').toBe(stoppedAt);
    await scene.expectSameBelow(foreignAt);
    await scene.expectSame([scene.other]);
    await scene.admin('target', [{ delete: [scene.hit] }]); // the advice
    await scene.catchUp();
    await scene.expectSame();
  });
}

fault(
  {
    id: 'foreign-transaction-open',
    title: 'another program has a transaction open in the target while its broker restarts',
  },
  async (run) => {
    const clusters = await pair();
    const scene = await TwoTopics.open(run, clusters);
    const lockstep = await scene.start();
    const foreignAt = await scene.end('target');
    const transactions = { producers: 1, abortRate: 0, records: [1, 1], leaveOpen: 1, timeoutMs: 600_000 } as const;
    await scene.writeTo('target', [{ topic: scene.hit, records: 0, transactions }]);
    const bounds = await scene.bounds('target');
    expect(bounds).toEqual({ logStart: 0, lastStable: foreignAt, highWatermark: foreignAt + 1 });
    run.tookEffect(`the target ends at ${bounds.highWatermark}, with its last stable offset at ${bounds.lastStable}`);
    await must(clusters.target.brokers[0], 'broker').restart();
    await scene.load();
    const incident = await scene.incident(lockstep, 'SHARD_DIVERGED');
    expect(incident.offsets?.from).toBe(foreignAt);
    scene.stopped(incident);
    await scene.caughtUp(lockstep, [scene.other]);
    await scene.finish(lockstep, ['SHARD_DIVERGED']);
    await scene.expectSameBelow(foreignAt);
    await scene.expectSame([scene.other]);
    await scene.admin('target', [{ delete: [scene.hit] }]);
    await scene.catchUp();
    await scene.expectSame();
  },
);

fault(
  {
    id: 'foreign-while-down',
    title: 'another program writes several batches to the target while the mirror is stopped',
  },
  async (run) => {
    const scene = await TwoTopics.open(run, await pair());
    await scene.catchUp();
    const foreignAt = await scene.end('target');
    await scene.writeTo('target', [{ topic: scene.hit, records: 5, oneRecordBatches: true }]);
    run.tookEffect(`the target ends at ${await scene.end('target')} instead of ${foreignAt}`);
    await scene.write(100);
    const lockstep = await scene.start(scene.file, [scene.other]);
    const incident = await scene.incident(lockstep, 'SHARD_DIVERGED');
    expect(incident.offsets?.from).toBe(foreignAt);
    scene.stopped(incident);
    await scene.finish(lockstep, ['SHARD_DIVERGED']);
    await scene.expectSameBelow(foreignAt);
    await scene.expectSame([scene.other]);
  },
);

fault(
  { id: 'foreign-identity', title: "another program writes with the mirror's own transactional id" },
  async (run) => {
    const clusters = await pair();
    const scene = await TwoTopics.open(run, clusters);
    const lockstep = await scene.start();
    const foreignAt = await scene.end('target');
    const { clusterId: sourceClusterId } = clusters.source;
    const { clusterId: targetClusterId, bootstrap } = clusters.target;
    const mirrorId = mirrorIdOf({ sourceClusterId, targetClusterId, name: scene.mirror });
    const cluster = openCluster(bootstrap);
    await cluster.connect();
    onTestFinished(() => cluster.close());
    const producer = await initProducerId(cluster, `lockstep-${mirrorId}-data`);
    const writer = new BatchWriter({ codec: 0, baseOffset: 0 });
    writer.appendRecord({ timestamp: Date.now(), key: null, value: Buffer.from('foreign') });
    const batch = writer.finish({ ...producer, baseSequence: 0 });
    const { baseOffset } = await appendBatch(cluster, { topic: scene.hit, partition: 0, batch });
    expect([producer.producerEpoch, baseOffset]).toEqual([1, foreignAt]);
    run.tookEffect(
      `producer ${producer.producerId} wrote to offset ${baseOffset} with epoch ${producer.producerEpoch}`,
    );
    await scene.load();
    const incident = await scene.incident(lockstep, 'SHARD_FENCED');
    expect(incident.offsets?.from).toBe(foreignAt);
    scene.stopped(incident);
    await scene.caughtUp(lockstep, [scene.other]);
    await scene.finish(lockstep, ['SHARD_FENCED']);
    const again = await scene.start(scene.file, [scene.other]);
    expect((await scene.incident(again, 'SHARD_DIVERGED')).offsets?.from).toBe(foreignAt);
    await scene.finish(again, ['SHARD_DIVERGED']);
    await scene.expectSameBelow(foreignAt);
    await scene.expectSame([scene.other]);
    await scene.admin('target', [{ delete: [scene.hit] }]); // the advice
    await scene.catchUp();
    await scene.expectSame();
  },
);

// ---- without the memory of the broker

const old = { timestamps: { mode: 'age', days: 40 } } as const;
const keeping = { 'retention.ms': '-1' };

async function expectForgotten(bootstrap: readonly string[], topic: string): Promise<void> {
  const cluster = openCluster(bootstrap);
  await cluster.connect();
  await expect.poll(() => describeProducers(cluster, { topic, partition: 0 }), { timeout: 60_000 }).toEqual([]);
  cluster.close();
}

fault(
  {
    id: 'producer-forgotten',
    title:
      'the target forgets the producer after each record of 40 days ago, its broker restarts, the mirror is killed',
  },
  async (run) => {
    const clusters = await forgetful();
    const scene = await TwoTopics.open(run, clusters, { shape: old, configs: keeping });
    let lockstep = await scene.start();
    await scene.load();
    for (let kills = 0; kills < 3; kills++) {
      await scene.caughtUp(lockstep);
      await lockstep.kill();
      lockstep = LockstepProcess.run(scene.file);
      await scene.caughtUp(lockstep);
    }
    await must(clusters.target.brokers[0], 'broker').restart();
    await scene.caughtUp(lockstep);
    await scene.stopLoad();
    await scene.caughtUp(lockstep);
    await expectForgotten(clusters.target.bootstrap, scene.hit);
    run.tookEffect('the leader of the target lists no producer; 3 kills of the mirror and a restart of the broker');
    await scene.finish(lockstep, []);
    await scene.expectSame();
  },
);

fault(
  {
    id: 'producer-forgotten-doubles',
    title: 'two live mirrors of one file where the target forgets the producer, with ownership switched off',
  },
  async (run) => {
    const clusters = await forgetful();
    const scene = await TwoTopics.open(run, clusters, { shape: old, configs: keeping });
    const startUnowned = () => scene.start(undefined, undefined, unguarded('ownership'));
    const first = await startUnowned();
    await expectForgotten(clusters.target.bootstrap, scene.hit);
    const second = await startUnowned();
    run.tookEffect('the leader of the target lists no producer, and two processes copy the partition');
    const load = await scene.load([scene.hit], { recordsPerSecond: 500, oneRecordBatches: true });
    const { records } = load.progress;
    const isOver = (): boolean => load.progress.records > records + 10_000 || first.incidents.length > 0;
    await first.until(isOver, 'they have met', 90_000);
    await scene.stopLoad();
    const incidents = [];
    for (const lockstep of [first, second]) {
      const ends = async (): Promise<boolean> =>
        lockstep.incidents.length > 0 || (await scene.end('target')) >= (await scene.end('source'));
      await lockstep.until(ends, 'it is stopped or has copied all', 90_000);
      incidents.push(...(await lockstep.interrupt()).incidents);
    }
    await scene.expectSame([scene.other]);
    if (incidents.length === 0) return void (await scene.expectSame());
    for (const { code, topic } of incidents) expect([code, topic]).toEqual(['SHARD_DIVERGED', scene.hit]);
    const from = Math.min(...incidents.map(({ offsets }) => offsets?.from ?? 0));
    run.outcome(`stopped by SHARD_DIVERGED at offset ${from} in ${incidents.length} of 2 processes`);
    await scene.expectSameBelow(from);
  },
);
