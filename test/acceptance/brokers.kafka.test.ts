/** Three brokers on each side: leaders that die while a mirror copies, and a target with fewer brokers than replicas. */
import { expect, test } from 'vitest';
import { expectIdentical } from '#testing/checker/verify-mirror.ts';
import type { KafkaBroker } from '#testing/kafka-broker.ts';
import { sharedClusters } from '#testing/shared-clusters.ts';
import { describeTopics, runAdmin } from '#testing/topic-admin.ts';
import type { TopicDescription } from '#testing/topic-admin.ts';
import { writeWorkload } from '#testing/workload.ts';
import type { Workload } from '#testing/workload.ts';
import * as workloads from '#testing/workloads.ts';
import { must } from '#util/assert.ts';
import { writeLink } from './link-file.ts';
import { LockstepProcess, told } from './lockstep-process.ts';

type Side = 'source' | 'target';

const cluster = sharedClusters({ source: { brokers: 3 }, target: { brokers: 3 } });
const bootstrapOf = (side: Side): readonly string[] => cluster(side).bootstrap;
const topics = ['brokers.mixed', 'brokers.compacted'] as const;

async function described(side: Side, topic: string): Promise<TopicDescription> {
  return must((await describeTopics(bootstrapOf(side), [topic]))[0], 'description');
}

async function leaderOf(side: Side, topic: string): Promise<KafkaBroker> {
  const leader = must((await described(side, topic)).partitions[0], 'partition').leader;
  return must(
    cluster(side).brokers.find(({ id }) => id === leader),
    'leader',
  );
}

test('goes on with new leaders when those of either side are killed, and loses nothing', async () => {
  const [mixed, compacted] = topics;
  const replicated = (workload: Workload): Workload => ({
    ...workload,
    topics: workload.topics.map((topic) => ({ ...topic, replicationFactor: 3 })),
  });
  await writeWorkload(bootstrapOf('source'), replicated(workloads.mixed(mixed, { records: 30_000, partitions: 6 })));
  await writeWorkload(bootstrapOf('source'), replicated(workloads.compacted(compacted)));
  await runAdmin(bootstrapOf('target'), [{ setQuotas: { producer_byte_rate: 150_000 } }]);
  const file = writeLink({
    source: bootstrapOf('source'),
    target: bootstrapOf('target'),
    mirrors: { three: { topics: topics.map((match) => ({ match })) } },
  });
  const lockstep = LockstepProcess.run(file, ['--until', 'caught-up']);
  /** Of the partition whose leader is killed. */
  const position = (): number =>
    lockstep.status('three')?.shards.find((shard) => shard.topic === mixed && shard.partition === 0)?.position ?? 0;
  const kills: { side: Side; at: number; before: number; after: number }[] = [];
  for (const side of ['target', 'source'] as const) {
    const start = position();
    await lockstep.until(() => position() > start, 'the partition is copied');
    const broker = await leaderOf(side, mixed);
    await broker.kill();
    let after = broker;
    await lockstep.until(async () => (after = await leaderOf(side, mixed)).id !== broker.id, 'another broker leads');
    const at = position();
    await lockstep.until(() => position() > at, `it goes on without broker ${broker.id} of the ${side}`);
    kills.push({ side, at, before: broker.id, after: after.id });
    await broker.start();
  }
  await runAdmin(bootstrapOf('target'), [{ setQuotas: { producer_byte_rate: null } }]);
  const run = await lockstep.ended();

  process.stdout.write(
    `brokers: ${kills.map((kill) => `${kill.side} leader ${kill.before}→${kill.after} at offset ${kill.at}`).join(', ')}\n`,
  );
  expect(run.code, told(run)).toBe(0);
  expect(run.incidents).toEqual([]);
  for (const topic of topics) {
    expect((await described('target', topic)).replicationFactor).toBe(3);
    await expectIdentical({
      source: bootstrapOf('source'),
      target: bootstrapOf('target'),
      topics: [{ source: topic, target: topic }],
    });
  }
}, 240_000);
