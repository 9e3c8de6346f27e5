/** Topics that are deleted, created anew or grown, and clusters that are replaced, under the feet of a mirror. */
import { setTimeout as sleep } from 'node:timers/promises';
import { expect, onTestFinished } from 'vitest';
import { freePorts } from '#testing/free-ports.ts';
import { startCluster } from '#testing/kafka-cluster.ts';
import type { KafkaCluster } from '#testing/kafka-cluster.ts';
import { must } from '#util/assert.ts';
import { runUntilCaughtUp } from '../acceptance/lockstep-process.ts';
import { fault, type FaultRun } from './fault.ts';
import { clusterPair } from './mirror-under-test.ts';
import { TwoTopics } from './two-topics.ts';

const pair = clusterPair({ source: {}, target: {} });

// ---- the source topic

fault({ id: 'source-topic-deleted-up', title: 'the source topic is deleted while it is copied' }, async (run) => {
  const scene = await TwoTopics.open(run, await pair());
  const lockstep = await scene.start();
  await scene.load([scene.other]);
  const before = await scene.history('source', { below: 500 });
  await scene.admin('source', [{ delete: [scene.hit] }]);
  await expect(scene.described('source')).rejects.toThrow(/UnknownTopicOrPartition/);
  run.tookEffect('the source does not know the topic any more');
  const incident = await scene.incident(lockstep, 'TOPIC_NOT_FOUND');
  expect(incident.offsets).toEqual({ from: 500, to: 500 });
  scene.stopped(incident);
  await scene.caughtUp(lockstep, [scene.other]);
  await scene.finish(lockstep, ['TOPIC_NOT_FOUND']);
  await scene.expectSameBelow(500, before);
  expect(await scene.end('target'), 'the copy stays').toBe(500);
  await scene.catchUp(scene.linkFile({ topics: [{ match: scene.other }] })); // the advice
  await scene.expectSame([scene.other]);
});

fault(
  { id: 'source-topic-deleted-down', title: 'the source topic is deleted while the mirror is stopped' },
  async (run) => {
    const scene = await TwoTopics.open(run, await pair());
    await scene.catchUp();
    const before = await scene.history('source', { below: 500 });
    await scene.admin('source', [{ delete: [scene.hit] }]);
    await scene.write(100, [scene.other]);
    await expect(scene.described('source')).rejects.toThrow(/UnknownTopicOrPartition/);
    run.tookEffect('the source does not know the topic any more');
    const refused = await runUntilCaughtUp(scene.file);
    expect([refused.code, refused.stderr]).toEqual([1, expect.stringContaining('TOPIC_RULE_EMPTY')]);
    const lockstep = await scene.start(scene.file, [scene.other]);
    const warnings = lockstep.events.filter((event) => event.event === 'warning' && event.code === 'TOPIC_RULE_EMPTY');
    expect(warnings).toHaveLength(1);
    run.outcome('refused with --until, else told by a warning: TOPIC_RULE_EMPTY');
    await scene.finish(lockstep, []);
    await scene.expectSameBelow(500, before);
    await scene.expectSame([scene.other]);
  },
);

fault(
  {
    id: 'source-topic-recreated-up',
    title: 'the source topic is deleted and created anew with as many records while it is copied',
    share: true,
  },
  async (run) => {
    const scene = await TwoTopics.open(run, await pair());
    const lockstep = await scene.start();
    await scene.load([scene.other]);
    const before = await scene.history('source', { below: 500 });
    const { id } = await scene.described('source');
    await scene.admin('source', [{ delete: [scene.hit] }, { create: [{ name: scene.hit, partitions: 1 }] }]);
    await scene.write(500, [scene.hit]);
    run.tookEffect(`topic id ${id} became ${(await scene.described('source')).id}, with 500 records again`);
    const incident = await scene.incident(lockstep, 'TOPIC_RECREATED');
    expect(incident.offsets).toEqual({ from: 500, to: 500 });
    scene.stopped(incident);
    await scene.caughtUp(lockstep, [scene.other]);
    await scene.finish(lockstep, ['TOPIC_RECREATED']);
    await scene.expectSameBelow(500, before);
    expect(await scene.end('target')).toBe(500);
    await scene.admin('target', [{ delete: [scene.hit] }]); // the advice
    await scene.catchUp();
    await scene.expectSame();
  },
);

fault(
  {
    id: 'source-topic-recreated-down',
    title: 'the source topic is deleted and created anew with as many records while the mirror is stopped',
  },
  async (run) => {
    const scene = await TwoTopics.open(run, await pair());
    await scene.catchUp();
    const before = await scene.history('source', { below: 500 });
    const { id } = await scene.described('source');
    await scene.admin('source', [{ delete: [scene.hit] }, { create: [{ name: scene.hit, partitions: 1 }] }]);
    await scene.write(500);
    run.tookEffect(`topic id ${id} became ${(await scene.described('source')).id}, with 500 records again`);
    const lockstep = await scene.start(scene.file, [scene.other]);
    scene.stopped(await scene.incident(lockstep, 'TOPIC_RECREATED'));
    await scene.expectSameBelow(500, before);
    expect(await scene.end('target')).toBe(500);
    await scene.admin('target', [{ delete: [scene.hit] }]); // the advice; the mirror may as well go on running
    await scene.incidentEnded(lockstep, 'TOPIC_RECREATED');
    await scene.caughtUp(lockstep);
    await scene.finish(lockstep, ['TOPIC_RECREATED']);
    await scene.expectSame();
  },
);

// ---- the target topic

fault({ id: 'target-topic-deleted-up', title: 'the target topic is deleted while it is copied into' }, async (run) => {
  const scene = await TwoTopics.open(run, await pair());
  const lockstep = await scene.start();
  await scene.load();
  await scene.admin('target', [{ delete: [scene.hit] }]);
  await expect(scene.described('target')).rejects.toThrow(/UnknownTopicOrPartition/);
  run.tookEffect('the target does not know the topic any more');
  scene.stopped(await scene.incident(lockstep, 'TOPIC_NOT_FOUND'));
  await scene.caughtUp(lockstep, [scene.other]);
  await scene.finish(lockstep, ['TOPIC_NOT_FOUND']);
  await scene.catchUp(); // the advice: start it again
  await scene.expectSame();
});

fault(
  { id: 'target-topic-deleted-down', title: 'the target topic is deleted while the mirror is stopped' },
  async (run) => {
    const scene = await TwoTopics.open(run, await pair());
    await scene.catchUp();
    const { id } = await scene.described('target');
    await scene.admin('target', [{ delete: [scene.hit] }]);
    await scene.write(100);
    await scene.catchUp();
    run.tookEffect(`topic id ${id} became ${(await scene.described('target')).id}`);
    await scene.expectSame();
  },
);

fault(
  {
    id: 'target-topic-recreated-up',
    title: 'the target topic is deleted and created anew while it is copied into',
  },
  async (run) => {
    const scene = await TwoTopics.open(run, await pair());
    const lockstep = await scene.start();
    await scene.load();
    const { id } = await scene.described('target');
    await scene.admin('target', [{ delete: [scene.hit] }, { create: [{ name: scene.hit, partitions: 1 }] }]);
    run.tookEffect(`topic id ${id} became ${(await scene.described('target')).id}`);
    const incident = await scene.incident(lockstep, 'TOPIC_RECREATED');
    scene.stopped(incident);
    const landed = await scene.end('target');
    await scene.caughtUp(lockstep, [scene.other]);
    await scene.finish(lockstep, ['TOPIC_RECREATED']);
    expect(await scene.end('target'), 'nothing more is written to the new topic').toBe(landed);
    run.figure('offsets of the new topic that batches on their way took', landed);
    await scene.admin('target', [{ delete: [scene.hit] }]); // the advice
    await scene.catchUp();
    await scene.expectSame();
  },
);

fault(
  {
    id: 'target-topic-recreated-down',
    title: 'the target topic is deleted and created anew, with data of others, while the mirror is stopped',
  },
  async (run) => {
    const scene = await TwoTopics.open(run, await pair());
    await scene.catchUp();
    const { id } = await scene.described('target');
    await scene.admin('target', [{ delete: [scene.hit] }, { create: [{ name: scene.hit, partitions: 1 }] }]);
    await scene.writeTo('target', [{ topic: scene.hit, records: 500 }]);
    await scene.write(100);
    run.tookEffect(`topic id ${id} became ${(await scene.described('target')).id}, with 500 records of others`);
    const lockstep = await scene.start(scene.file, [scene.other]);
    scene.stopped(await scene.incident(lockstep, 'TOPIC_RECREATED'));
    expect(await scene.end('target'), 'nothing was written to it').toBe(500);
    await scene.admin('target', [{ delete: [scene.hit] }]); // the advice
    await scene.incidentEnded(lockstep, 'TOPIC_RECREATED');
    await scene.caughtUp(lockstep);
    await scene.finish(lockstep, ['TOPIC_RECREATED']);
    await scene.expectSame();
  },
);

// ---- partitions

fault({ id: 'partitions-added-up', title: 'partitions are added to the source under load' }, async (run) => {
  const scene = await TwoTopics.open(run, await pair(), { partitions: 2 });
  const lockstep = await scene.start();
  await scene.load();
  await scene.admin('source', [{ addPartitions: { topic: scene.hit, total: 5 } }]);
  await scene.write(500, [scene.hit], { partitions: [0, 1, 2, 3, 4] });
  run.tookEffect(`the source has ${(await scene.described('source')).partitions.length} partitions instead of 2`);
  for (const partition of [2, 3, 4]) {
    const end = await scene.end('source', scene.hit, partition);
    expect(end).toBeGreaterThan(0);
    await lockstep.until(
      () => scene.position(lockstep, scene.hit, partition) === end,
      `partition ${partition} is copied`,
      90_000,
    );
  }
  await scene.caughtUp(lockstep);
  await scene.finish(lockstep, []);
  await scene.expectSame();
});

fault(
  {
    id: 'partitions-added-down',
    title: 'partitions are added to both sides, more to the target, while the mirror is stopped',
  },
  async (run) => {
    const scene = await TwoTopics.open(run, await pair(), { partitions: 2 });
    await scene.catchUp();
    await scene.admin('source', [{ addPartitions: { topic: scene.hit, total: 3 } }]);
    await scene.write(300, [scene.hit], { partitions: [0, 1, 2] });
    await scene.catchUp();
    await scene.expectSame();
    await scene.admin('target', [{ addPartitions: { topic: scene.hit, total: 4 } }]);
    await scene.write(300, [scene.other]);
    run.tookEffect(`3 partitions on the source, ${(await scene.described('target')).partitions.length} on the target`);
    const lockstep = await scene.start(scene.file, [scene.other]);
    const incident = await scene.incident(lockstep, 'TOPIC_PARTITIONS_DIFFER');
    expect(incident.cause).toMatch(/has 4 partitions.* has 3/);
    scene.stopped(incident);
    await scene.admin('source', [{ addPartitions: { topic: scene.hit, total: 4 } }]);
    await scene.write(300, [scene.hit], { partitions: [0, 1, 2, 3] });
    await scene.incidentEnded(lockstep, 'TOPIC_PARTITIONS_DIFFER');
    await scene.caughtUp(lockstep);
    await scene.finish(lockstep, ['TOPIC_PARTITIONS_DIFFER']);
    await scene.catchUp();
    await scene.expectSame();
  },
);

fault(
  {
    id: 'target-partitions-added-up',
    title: 'partitions are added to the target only, and written to, while it is copied into',
  },
  async (run) => {
    const scene = await TwoTopics.open(run, await pair());
    const lockstep = await scene.start();
    await scene.load();
    await scene.admin('target', [{ addPartitions: { topic: scene.hit, total: 2 } }]);
    await scene.writeTo('target', [{ topic: scene.hit, records: 20, partitions: [1] }]);
    run.tookEffect(`the target has ${(await scene.described('target')).partitions.length} partitions, the source 1`);
    await scene.caughtUp(lockstep);
    await scene.admin('source', [{ addPartitions: { topic: scene.hit, total: 2 } }]);
    const incident = await scene.incident(lockstep, 'SHARD_DIVERGED');
    expect([incident.partition, incident.offsets]).toEqual([1, { from: 0, to: 1 }]);
    scene.stopped(incident);
    await scene.caughtUp(lockstep, [scene.other]);
    await scene.finish(lockstep, ['SHARD_DIVERGED']);
    await scene.expectSameBelow(await scene.end('target'));
    await scene.expectSame([scene.other]);
    await scene.admin('target', [{ delete: [scene.hit] }]); // the advice
    await scene.catchUp();
    await scene.expectSame();
  },
);

// ---- the clusters

async function startOn(ports: readonly number[], name: string): Promise<KafkaCluster> {
  const cluster = await startCluster({ name, findPorts: () => Promise.resolve([...ports]) });
  onTestFinished(() => cluster.stop());
  return cluster;
}

async function clusterReplaced(
  run: FaultRun,
  { side, gapMs }: { readonly side: 'source' | 'target'; readonly gapMs: number },
): Promise<void> {
  const clusters = await pair();
  const ports = await freePorts(2);
  const first = await startOn(ports, 'first');
  const scene = await TwoTopics.open(run, { ...clusters, [side]: first });
  const lockstep = await scene.start();
  const former = must(first.brokers[0], 'broker');
  await former.stop();
  await sleep(gapMs);
  const second = await startOn(ports, 'second');
  run.tookEffect(`cluster ${first.clusterId} became ${second.clusterId}`);
  if (side === 'source') {
    await scene.admin('source', [{ create: [scene.hit, scene.other].map((name) => ({ name, partitions: 1 })) }]);
    await scene.write(700);
  } else await scene.write(100);
  const told = (): string[] => lockstep.incidents.map(({ code, topic }) => `${code} ${topic}`).sort();
  await lockstep.until(() => told().length >= 2, 'both partitions stop', 120_000);
  expect(told(), lockstep.describe()).toEqual([scene.hit, scene.other].map((topic) => `CLUSTER_ID_MISMATCH ${topic}`));
  scene.stopped(must(lockstep.incidents[0], 'incident'));
  if (side === 'source') expect(await scene.end('target'), 'nothing was written').toBe(500);
  else await expect(scene.described('target')).rejects.toThrow(/UnknownTopicOrPartition/);
  const codes = ['CLUSTER_ID_MISMATCH', 'CLUSTER_ID_MISMATCH'] as const;
  // Nothing answers on the port while clusters are started there.
  const waits = { mayWait: [{ code: 'CLUSTER_UNREACHABLE', side }] } as const;
  if (side === 'target') {
    await second.stop();
    await former.start(); // the advice: the former cluster answers again
    await scene.caughtUp(lockstep);
    await scene.finish(lockstep, codes, waits);
    return void (await scene.expectSame());
  }
  await scene.finish(lockstep, codes, waits);
  const refused = await runUntilCaughtUp(scene.file);
  expect([refused.code, refused.stderr]).toEqual([1, expect.stringContaining('CLUSTER_ID_MISMATCH')]);
  expect(await scene.end('target'), 'nothing was written').toBe(500);
}

for (const side of ['source', 'target'] as const) {
  fault(
    {
      id: `${side}-cluster-replaced`,
      title: `another cluster is started on the ${side}'s port, while the mirror runs`,
    },
    (run) => clusterReplaced(run, { side, gapMs: 0 }),
  );
}

fault(
  {
    id: 'target-cluster-replaced-later',
    title: "another cluster is started on the target's port, when the leave to write has ended",
  },
  (run) => clusterReplaced(run, { side: 'target', gapMs: 20_000 }),
);
