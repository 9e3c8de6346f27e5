/** A target that refuses every write of a partition, for as long as it does: what becomes of the partition, and of its records. */
import { expect, test } from 'vitest';
import { sharedClusters } from '#testing/shared-clusters.ts';
import { createTopics, runAdmin } from '#testing/topic-admin.ts';
import { writeWorkloads, type RecordStream } from '#testing/workload.ts';
import { writeLink } from './link-file.ts';
import { LockstepProcess, runUntilCaughtUp, statusOf, told } from './lockstep-process.ts';
import { LogEnds } from './log-ends.ts';
import { expectSameRecords } from './same-records.ts';

const cluster = sharedClusters({ source: {}, target: {} });

test('reg-M-338: a partition whose writes are refused again and again stops with the reason, goes nowhere meanwhile, and passes nothing over', async () => {
  const [source, target] = [cluster('source').bootstrap, cluster('target').bootstrap];
  const topics = ['refused', 'taken'];
  await createTopics(
    source,
    topics.map((name) => ({ name, partitions: 1 })),
  );
  let streams = 0;
  const write = (topic: string, records: number, more: Partial<RecordStream> = {}) =>
    writeWorkloads(source, [
      { topics: [], streams: [{ name: `s${++streams}`, topic, partitions: [0], records, lingerMs: 50, ...more }] },
    ]);
  await Promise.all(topics.map((topic) => write(topic, 100)));
  const mirrors = { m: { topics: topics.map((match) => ({ match })), sync: { configs: false } } };
  const file = writeLink({ source, target, mirrors });
  const mirror = LockstepProcess.run(file);
  const shard = (topic: string) => mirror.status('m')?.shards.find((each) => each.topic === topic);
  const ends = await LogEnds.open(target, topics);
  const endOf = async (topic: string) => (await ends.read()).get(`${topic}/0`)?.end;
  try {
    await mirror.until(
      () => topics.every((topic) => shard(topic)?.position === 100),
      'both topics are copied',
      120_000,
    );
    const strict = { 'message.timestamp.before.max.ms': '3600000' };
    await runAdmin(target, [{ setConfigs: { topic: 'refused', configs: strict } }]);

    await write('refused', 50, { timestamps: { mode: 'age', days: 2 } });
    await mirror.until(() => mirror.incidents.length > 0, 'the incident', 120_000);
    await write('refused', 50);
    await write('taken', 100);
    await mirror.until(() => shard('taken')?.position === 200, 'the other partition goes on', 120_000);

    expect(mirror.incidents, mirror.describe()).toMatchObject([
      {
        code: 'SHARD_BATCH_REFUSED',
        topic: 'refused',
        partition: 0,
        offsets: { from: 100, to: 150 },
        cause: expect.stringContaining('INVALID_TIMESTAMP'),
      },
    ]);
    expect(shard('refused')).toMatchObject({ state: 'stopped', position: 100, recordsCopied: 100 });
    expect(await endOf('refused')).toBe(100);
  } finally {
    await mirror.kill();
    ends.close();
  }

  // Nothing but the target's log says how far it is. A start sets right what an exact copy needs of the target topic.
  const again = await runUntilCaughtUp(file);
  expect(again.code, told(again)).toBe(0);
  expect(again.incidents).toEqual([]);
  const copied = statusOf(again.events, 'm')?.shards.find(({ topic }) => topic === 'refused');
  expect(copied).toMatchObject({ position: 200, recordsCopied: 100 });
  await expectSameRecords({ source, target, topics: topics.map((topic) => ({ source: topic, target: topic })) });
});
