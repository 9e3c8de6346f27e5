/** What happens to the logs themselves: retention, DeleteRecords, compaction, transactions, damage on a disk. */
import { expect } from 'vitest';
import { waitUntil } from '#testing/process-stat.ts';
import type { KafkaBroker } from '#testing/kafka-broker.ts';
import { must } from '#util/assert.ts';
import { flipBit } from '../acceptance/log-surgery.ts';
import { LockstepProcess } from '../acceptance/lockstep-process.ts';
import { fault } from './fault.ts';
import { clusterPair } from './mirror-under-test.ts';
import { TwoTopics } from './two-topics.ts';

const pair = clusterPair({
  // Retention, compaction and transactions that nobody ends are looked at often.
  source: {
    properties: {
      'log.retention.check.interval.ms': '500',
      'log.initial.task.delay.ms': '500',
      'log.cleaner.backoff.ms': '100',
      'transaction.abort.timed.out.transaction.cleanup.interval.ms': '1000',
    },
  },
  target: {},
});

/** Has retention take everything but the newest records away; returns where the log begins then. */
async function passRetention(scene: TwoTopics, position: number): Promise<number> {
  const retention = (ms: string) => ({
    setConfigs: { topic: scene.hit, configs: { 'retention.ms': ms, 'segment.ms': ms } },
  });
  await scene.admin('source', [retention('1000')]);
  const isPassed = async (): Promise<boolean> => {
    await scene.write(1, [scene.hit]); // a segment is rolled by an append
    return (await scene.bounds('source')).logStart > position;
  };
  await waitUntil(isPassed, `retention has passed offset ${position}`, { timeoutMs: 90_000, everyMs: 500 });
  await scene.admin('source', [retention('604800000')]);
  let before = -1;
  const isStill = async (): Promise<boolean> => {
    const { logStart } = await scene.bounds('source');
    const isSame = logStart === before;
    before = logStart;
    return isSame;
  };
  await waitUntil(isStill, 'the log start stands still', { timeoutMs: 60_000, everyMs: 3_000 });
  return before;
}

fault(
  { id: 'retention-down', title: 'retention deletes segments beyond the position while the mirror is stopped' },
  async (run) => {
    const scene = await TwoTopics.open(run, await pair());
    await scene.catchUp();
    const before = await scene.history('source', { below: 500 });
    await scene.write(1_000);
    const logStart = await passRetention(scene, 500);
    run.tookEffect(`the source begins at ${logStart}, the target ends at ${await scene.end('target')}`);
    const lockstep = await scene.start(scene.file, [scene.other]);
    const incident = await scene.incident(lockstep, 'SHARD_RETENTION_LOSS');
    expect(incident.offsets).toEqual({ from: 500, to: logStart });
    scene.stopped(incident);
    await scene.finish(lockstep, ['SHARD_RETENTION_LOSS']);
    await scene.expectSameBelow(500, before);
    expect(await scene.end('target')).toBe(500);
    await scene.admin('target', [{ delete: [scene.hit] }]); // the advice
    await scene.copiesMore();
  },
);

fault(
  {
    id: 'retention-target-paused',
    title: 'retention deletes what was not copied while the brokers of the target stand still',
  },
  async (run) => {
    const clusters = await pair();
    const scene = await TwoTopics.open(run, clusters);
    const lockstep = await scene.start();
    await scene.load([scene.other]);
    const broker = must(clusters.target.brokers[0], 'broker');
    await broker.pause();
    // More than the mirror holds in memory, so that the rest is only on the source.
    await scene.write(20_000, [scene.hit], { valueBytes: 400 });
    const before = await scene.history('source', { below: await scene.end('source') });
    const logStart = await passRetention(scene, 20_000);
    await broker.resume();
    run.tookEffect(`the source begins at ${logStart} while the target stood still at 500`);
    const incident = await scene.incident(lockstep, 'SHARD_RETENTION_LOSS');
    const end = await scene.end('target');
    expect(incident.offsets).toEqual({ from: end, to: logStart });
    scene.stopped(incident);
    await scene.caughtUp(lockstep, [scene.other]);
    // Retention takes its time; requests to the target fail after 30 s, and 30 s later that is an outage.
    const mayWait = [{ code: 'CLUSTER_UNREACHABLE', side: 'target' }] as const;
    await scene.finish(lockstep, ['SHARD_RETENTION_LOSS'], { mayWait });
    await scene.expectSameBelow(end, before);
    await scene.expectSame([scene.other]);
  },
);

fault(
  {
    id: 'delete-records-up',
    title: 'DeleteRecords passes the position of a mirror that stands still for a moment',
  },
  async (run) => {
    const scene = await TwoTopics.open(run, await pair());
    const lockstep = await scene.start();
    await scene.load([scene.other]);
    lockstep.signal('SIGSTOP');
    await scene.write(20_000, [scene.hit], { valueBytes: 400 });
    const before = await scene.history('source', { below: 20_000 });
    await scene.admin('source', [{ deleteRecords: { topic: scene.hit, before: { 0: 20_000 } } }]);
    const { logStart } = await scene.bounds('source');
    run.tookEffect(`the source begins at ${logStart}, the target ends at ${await scene.end('target')}`);
    lockstep.signal('SIGCONT');
    const incident = await scene.incident(lockstep, 'SHARD_RETENTION_LOSS');
    const end = await scene.end('target');
    expect(incident.offsets).toEqual({ from: end, to: 20_000 });
    scene.stopped(incident);
    await scene.caughtUp(lockstep, [scene.other]);
    await scene.finish(lockstep, ['SHARD_RETENTION_LOSS']);
    await scene.expectSameBelow(end, before);
    await scene.admin('target', [{ delete: [scene.hit] }]); // the advice
    await scene.catchUp();
    await scene.expectSame();
  },
);

fault(
  { id: 'target-emptied', title: 'DeleteRecords empties the target, and the mirror starts again', share: true },
  async (run) => {
    const scene = await TwoTopics.open(run, await pair(), { policy: { logStart: 'any' } });
    await scene.catchUp();
    await scene.admin('target', [{ deleteRecords: { topic: scene.hit, before: { 0: 500 } } }]);
    const { logStart, highWatermark } = await scene.bounds('target');
    expect([logStart, highWatermark]).toEqual([500, 500]);
    run.tookEffect(`the target begins at ${logStart} and ends there`);
    await scene.catchUp();
    await scene.write(100);
    await scene.catchUp();
    await scene.expectSameBelow(600);
    await scene.expectSame([scene.other]);
  },
);

fault(
  {
    id: 'many-holes-at-the-end',
    title: 'the source ends in an aborted transaction of 70,000 records when the mirror starts again',
  },
  async (run) => {
    const scene = await TwoTopics.open(run, await pair(), { spec: { transactions: 'committed-only' } });
    const transactions = { producers: 1, abortRate: 1, records: [70_000, 70_000] } as const;
    await scene.write(70_000, [scene.hit], { transactions, valueBytes: 10 });
    const { highWatermark } = await scene.bounds('source');
    await scene.catchUp();
    run.tookEffect(`the source ends at ${highWatermark}, its last record that readers see is at 499`);
    await scene.catchUp();
    await scene.copiesMore();
  },
);

fault({ id: 'batch-damaged-on-disk', title: 'a bit of a batch flips on the disk of the source' }, async (run) => {
  const clusters = await pair();
  const scene = await TwoTopics.open(run, clusters, { partitions: 2 });
  await scene.catchUp();
  await scene.write(400, [scene.hit], { oneRecordBatches: true, partitions: [0] });
  const end = await scene.end('source');
  const damaged = end - 150;
  const before = await scene.history('source', { below: end });
  const broker = must(clusters.source.brokers[0], 'broker');
  await whileStopped(broker, () => flipBit(broker, `${scene.hit}-0`, damaged));
  await expect(scene.history('source', { below: end })).rejects.toThrow(`batch at offset ${damaged} has a wrong CRC`);
  run.tookEffect(`another reader finds a wrong CRC at offset ${damaged}`);
  const lockstep = LockstepProcess.run(scene.file);
  const incident = await scene.incident(lockstep, 'SHARD_BATCH_CORRUPT');
  expect(incident).toMatchObject({ partition: 0, offsets: { from: damaged, to: damaged + 1 } });
  expect(incident.cause).toMatch(/source/);
  scene.stopped(incident);
  await scene.load([scene.hit, scene.other], { partitions: [1] });
  await scene.caughtUp(lockstep, [scene.other]);
  const partner = await scene.end('source', scene.hit, 1);
  await lockstep.until(async () => (await scene.end('target', scene.hit, 1)) >= partner, 'partition 1 goes on', 90_000);
  expect(await scene.end('target'), 'everything below it is copied, and nothing behind').toBe(damaged);
  await scene.expectSameBelow(damaged, before);
  await scene.stopLoad();
  await whileStopped(broker, () => flipBit(broker, `${scene.hit}-0`, damaged)); // the disk is repaired
  await scene.incidentEnded(lockstep, 'SHARD_BATCH_CORRUPT');
  await scene.caughtUp(lockstep);
  await scene.finish(lockstep, ['SHARD_BATCH_CORRUPT']);
  await scene.expectSame();
});

async function whileStopped(broker: KafkaBroker, surgery: () => void): Promise<void> {
  await broker.stop();
  try {
    surgery();
  } finally {
    await broker.start();
  }
}

fault(
  {
    id: 'compacted-while-copied',
    title: 'the source is compacted behind and before the position, tombstones pass away',
    timeoutMs: 360_000,
  },
  async (run) => {
    const configs = {
      'cleanup.policy': 'compact',
      'segment.ms': '300',
      'min.cleanable.dirty.ratio': '0.01',
      'min.compaction.lag.ms': '0',
      'delete.retention.ms': '100',
    };
    // Headers tell one tombstone of a key from another.
    const shape = { keys: { cycle: 200 }, nullValueRate: 0.3, headers: 'plain' } as const;
    const policy = { isCompacted: true } as const;
    const spec = { transactions: 'committed-only' } as const;
    const scene = await TwoTopics.open(run, await pair(), { configs, shape, policy, spec, records: 5_000 });
    let missing = 0;
    for (let round = 0; round < 3; round++) {
      const lockstep = await scene.start();
      await scene.load([scene.hit, scene.other], { recordsPerSecond: 1_000 });
      await scene.caughtUp(lockstep);
      await scene.finish(lockstep, []);
      await scene.write(5_000, [scene.hit]); // ahead of the position
      const { logStart, lastStable } = await scene.bounds('source');
      const isCompacted = async (): Promise<boolean> => {
        await scene.write(1, [scene.hit]);
        missing = lastStable - logStart - (await scene.history('source', { below: lastStable })).entries.length;
        return missing > lastStable * 0.5;
      };
      await waitUntil(isCompacted, 'half of the source is compacted away', { timeoutMs: 90_000, everyMs: 500 });
    }
    run.tookEffect(`${missing} offsets of the source hold nothing any more`);
    await scene.catchUp();
    const { findings } = await scene.compare();
    expect(findings).toEqual([]);
    await scene.expectSame([scene.other]);
  },
);

fault(
  {
    id: 'transaction-hanging',
    title: 'an open transaction pins the last stable offset of the source, then its coordinator aborts it',
  },
  async (run) => {
    const scene = await TwoTopics.open(run, await pair(), { spec: { transactions: 'committed-only' } });
    const lockstep = await scene.start();
    const transactions = { producers: 2, abortRate: 0.3, records: [1, 30], leaveOpen: 1, timeoutMs: 15_000 } as const;
    await scene.write(600, [scene.hit], { transactions });
    await scene.load();
    const { lastStable, highWatermark } = await scene.bounds('source');
    expect(lastStable).toBeLessThan(highWatermark);
    run.tookEffect(`the source's last stable offset is ${lastStable}, its high watermark ${highWatermark}`);
    const shard = () => lockstep.status(scene.mirror)?.shards.find(({ topic }) => topic === scene.hit);
    const isShown = (): boolean => {
      const { sourceStableOffset, sourceHighWatermark, position } = shard() ?? {};
      return sourceStableOffset === lastStable && position === lastStable && (sourceHighWatermark ?? 0) > lastStable;
    };
    await lockstep.until(isShown, 'the status shows what is held back', 30_000);
    await lockstep.until(
      () => scene.position(lockstep) > highWatermark,
      'it goes on when the transaction has ended',
      90_000,
    );
    await scene.stopLoad();
    await scene.caughtUp(lockstep);
    await scene.finish(lockstep, []);
    await scene.expectSame();
  },
);
