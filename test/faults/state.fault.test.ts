/** What happens to the state topic, the only memory that a mirror has beside the mirrored logs. */
import { expect } from 'vitest';
import { appendRecords } from '#kafka/simple-log.ts';
import { openCluster } from '#testing/open-cluster.ts';
import { RawReader } from '#testing/raw-reader.ts';
import { must } from '#util/assert.ts';
import type { LockstepProcess } from '../acceptance/lockstep-process.ts';
import { runUntilCaughtUp, told } from '../acceptance/lockstep-process.ts';
import { fault } from './fault.ts';
import { clusterPair } from './mirror-under-test.ts';
import { TwoTopics } from './two-topics.ts';

const pair = clusterPair({ source: {}, target: {} });
const stateTopic = '__lockstep.state';
/** It is looked at every 30 s, and a second time before it counts as deleted. */
const verifiedMs = 150_000;

async function writeState(bootstrap: readonly string[], key: string, value: string | null): Promise<void> {
  const cluster = openCluster(bootstrap);
  await cluster.connect();
  const record = { key: Buffer.from(key), value: value === null ? null : Buffer.from(value), timestamp: Date.now() };
  await appendRecords(cluster, { topic: stateTopic, partition: 0, records: [record] });
  cluster.close();
}

/** The keys of the state topic, as they are in its log. */
async function stateKeys(bootstrap: readonly string[]): Promise<string[]> {
  return (await stateRecords(bootstrap)).map(({ key }) => key);
}

async function stateRecords(bootstrap: readonly string[]): Promise<{ key: string; value: string }[]> {
  const reader = new RawReader(bootstrap);
  const records: { key: string; value: string }[] = [];
  const { logStart, highWatermark } = await reader.bounds(stateTopic, 0);
  for await (const batch of reader.batches(stateTopic, 0, { from: logStart, to: highWatermark }))
    for (const { key, value } of batch.records()) records.push({ key: String(key), value: String(value) });
  reader.close();
  return records;
}

async function untilTold(lockstep: LockstepProcess, text: string): Promise<void> {
  const isTold = (): boolean =>
    lockstep.events.some((event) => event.event === 'warning' && event.message.includes(text));
  await lockstep.until(isTold, `a warning says: ${text}`, verifiedMs);
}

fault(
  {
    id: 'state-tombstone',
    title: 'a tombstone takes a partition out of the state topic, and the source loses what was not copied',
  },
  async (run) => {
    const clusters = await pair();
    const scene = await TwoTopics.open(run, clusters);
    await scene.catchUp();
    const before = await scene.history('source', { below: 500 });
    await writeState(clusters.target.bootstrap, `partition/${scene.hit}/0`, null);
    await scene.write(500);
    await scene.admin('source', [{ deleteRecords: { topic: scene.hit, before: { 0: 777 } } }]);
    const { logStart } = await scene.bounds('source');
    run.tookEffect(`the tombstone was acknowledged, and the source begins at ${logStart}`);

    const ended = await runUntilCaughtUp(scene.file);

    expect(ended.code, told(ended)).toBe(5);
    expect(ended.incidents, told(ended)).toMatchObject([
      { code: 'STATE_TOPIC_INVALID', topic: scene.hit, offsets: { from: 500, to: 500 } },
    ]);
    scene.stopped(must(ended.incidents[0], 'incident'));
    const { logStart: targetStart, highWatermark } = await scene.bounds('target');
    expect([targetStart, highWatermark], 'nothing was deleted or written').toEqual([0, 500]);
    await scene.expectSameBelow(500, before);
    await scene.expectSame([scene.other]);

    await scene.admin('target', [{ delete: [scene.hit] }]);
    await scene.catchUp();
    await scene.expectSame();
  },
);

fault(
  {
    id: 'state-foreign-record',
    title: 'another program writes nonsense into the state topic, under keys of the mirror and under unused ones',
  },
  async (run) => {
    const clusters = await pair();
    const { bootstrap } = clusters.target;
    const scene = await TwoTopics.open(run, clusters);
    const lockstep = await scene.start();
    await scene.load();
    for (const value of ['nonsense', '{"version":1}'])
      for (const key of [`partition/${scene.hit}/0`, `claim/${scene.hit}`, 'foreign'])
        await writeState(bootstrap, key, value);
    for (const key of ['partition/zzz/0', 'claim/zzz', 'mirror/zzz'])
      for (const value of ['nonsense', '{"version":2}']) await writeState(bootstrap, key, value); // nobody uses these keys
    run.tookEffect(`the state topic ends with the keys ${(await stateKeys(bootstrap)).slice(-12).join(', ')}`);
    await must(clusters.source.brokers[0], 'broker').restart(); // a new leader epoch, which is recorded
    await scene.caughtUp(lockstep);
    await scene.finish(lockstep, []);
    await scene.copiesMore();
  },
);

fault(
  {
    id: 'state-record-unreadable',
    title: 'a later version has written the state record of one partition, and somebody puts the former one back',
  },
  async (run) => {
    const clusters = await pair();
    const { bootstrap } = clusters.target;
    const scene = await TwoTopics.open(run, clusters);
    await scene.catchUp();
    const key = `partition/${scene.hit}/0`;
    const former = must((await stateRecords(bootstrap)).findLast((record) => record.key === key)?.value, 'its record');
    await writeState(bootstrap, key, '{"version":2}');
    await scene.write(100);
    const end = await scene.end('target');

    const ended = await runUntilCaughtUp(scene.file);

    expect(ended.code, told(ended)).toBe(5);
    expect(ended.incidents, told(ended)).toMatchObject([
      { code: 'STATE_TOPIC_INVALID', topic: scene.hit, partition: 0, cause: expect.stringContaining('has version 2') },
    ]);
    run.tookEffect(must(ended.incidents[0], 'incident').cause);
    expect(await scene.end('target')).toBe(end);
    await scene.expectSame([scene.other]);
    await writeState(bootstrap, key, former);
    await scene.catchUp();
    await scene.expectSame();
  },
);

fault(
  { id: 'state-deleted-up', title: 'the state topic is deleted while the mirror runs', timeoutMs: 360_000 },
  async (run) => {
    const clusters = await pair();
    const scene = await TwoTopics.open(run, clusters);
    const lockstep = await scene.start();
    await scene.load();
    const before = await scene.described('target', stateTopic);
    await scene.admin('target', [{ delete: [stateTopic] }]);
    await untilTold(lockstep, 'was deleted; it was written again from memory');
    const after = await scene.described('target', stateTopic);
    expect(after.id).not.toBe(before.id);
    run.tookEffect(`the topic with id ${before.id} is gone, and there is one with id ${after.id}`);
    await must(clusters.source.brokers[0], 'broker').restart();
    await scene.caughtUp(lockstep);
    await scene.finish(lockstep, []);
    await scene.copiesMore();
  },
);

fault(
  {
    id: 'state-recreated-up',
    title: 'the state topic is deleted and created anew while the mirror runs',
    timeoutMs: 360_000,
  },
  async (run) => {
    const clusters = await pair();
    const scene = await TwoTopics.open(run, clusters);
    const lockstep = await scene.start();
    await scene.load();
    const before = await stateKeys(clusters.target.bootstrap);
    const configs = { 'cleanup.policy': 'compact' };
    await scene.admin('target', [{ delete: [stateTopic] }, { create: [{ name: stateTopic, partitions: 1, configs }] }]);
    expect(await stateKeys(clusters.target.bootstrap)).toEqual([]);
    run.tookEffect(`${before.length} records of the state topic are gone`);
    await must(clusters.source.brokers[0], 'broker').restart(); // its leader epoch is recorded before anybody looks
    await scene.caughtUp(lockstep);
    await untilTold(lockstep, 'written again from memory');
    await scene.finish(lockstep, []);
    await scene.copiesMore();
  },
);

fault(
  {
    id: 'state-records-deleted',
    title: 'DeleteRecords empties the state topic while the mirror runs',
    timeoutMs: 360_000,
  },
  async (run) => {
    const clusters = await pair();
    const scene = await TwoTopics.open(run, clusters);
    const lockstep = await scene.start();
    await scene.load();
    const end = await scene.end('target', stateTopic);
    const policy = (value: string) => ({
      setConfigs: { topic: stateTopic, configs: { 'cleanup.policy': value } },
    });
    await scene.admin('target', [
      policy('compact,delete'),
      { deleteRecords: { topic: stateTopic, before: { 0: end } } },
      policy('compact'),
    ]);
    expect(await stateKeys(clusters.target.bootstrap)).toEqual([]);
    run.tookEffect(`the state topic begins at ${end}, where it ended`);
    await untilTold(lockstep, 'has lost records; it was written again from memory');
    await scene.caughtUp(lockstep);
    await scene.finish(lockstep, []);
    await scene.copiesMore();
  },
);

fault({ id: 'state-deleted-down', title: 'the state topic is deleted while the mirror is stopped' }, async (run) => {
  const scene = await TwoTopics.open(run, await pair());
  await scene.catchUp();
  const { id } = await scene.described('target', stateTopic);
  await scene.admin('target', [{ delete: [stateTopic] }]);
  await scene.write(100);

  const ended = await runUntilCaughtUp(scene.file);

  run.tookEffect(`the topic with id ${id} is gone; it is ${(await scene.described('target', stateTopic)).id} now`);
  expect(ended.code, told(ended)).toBe(5);
  expect(ended.incidents.map(({ code, topic }) => `${code} ${topic}`).sort(), told(ended)).toEqual([
    `TOPIC_NOT_EMPTY ${scene.hit}`,
    `TOPIC_NOT_EMPTY ${scene.other}`,
  ]);
  run.outcome('stopped by TOPIC_NOT_EMPTY for each topic');
  expect(await scene.end('target')).toBe(500);
  await scene.expectSameBelow(500);
  await scene.admin('target', [{ delete: [scene.hit, scene.other] }]);
  await scene.catchUp();
  await scene.expectSame();
});

fault(
  {
    id: 'state-policy-changed',
    title: 'cleanup.policy of the state topic is changed while the mirror runs',
    timeoutMs: 360_000,
  },
  async (run) => {
    const scene = await TwoTopics.open(run, await pair());
    const lockstep = await scene.start();
    await scene.load();
    const policy = (value: string) =>
      scene.admin('target', [{ setConfigs: { topic: stateTopic, configs: { 'cleanup.policy': value } } }]);
    await policy('delete');
    run.tookEffect(`cleanup.policy is ${(await scene.described('target', stateTopic)).configs['cleanup.policy']}`);
    await untilTold(lockstep, 'cleanup.policy=delete, not compact');
    await scene.caughtUp(lockstep);
    await scene.finish(lockstep, []);
    const end = await scene.end('target');
    await scene.write(100);
    const refused = await runUntilCaughtUp(scene.file);
    expect([refused.code, refused.stderr]).toEqual([1, expect.stringContaining('STATE_TOPIC_INVALID')]);
    run.outcome('told while it runs, refused with STATE_TOPIC_INVALID at the next start');
    expect(await scene.end('target')).toBe(end);
    await policy('compact');
    await scene.catchUp();
    await scene.expectSame();
  },
);
