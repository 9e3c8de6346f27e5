/** What the leader has beyond the watermark, while a follower stands still: real replication lag. */
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { startCluster, type KafkaCluster } from '#testing/kafka-cluster.ts';
import { kafkaVersions } from '#testing/kafka-home.ts';
import { openCluster } from '#testing/open-cluster.ts';
import { must } from '#util/assert.ts';
import type { Cluster } from './cluster.ts';
import { LATEST, listOffsets, type Isolation } from './offsets.ts';
import { appendRecords } from './simple-log.ts';
import { createTopic } from './topics.ts';

describe.each(kafkaVersions)('the end of the log on Kafka %s', (version) => {
  let kafka: KafkaCluster;
  let cluster: Cluster;

  beforeAll(async () => {
    const properties = { 'replica.lag.time.max.ms': '120000' };
    kafka = await startCluster({ version, brokers: 3, name: 'log-end', properties });
    cluster = openCluster(kafka.bootstrap, { requestTimeoutMs: 2_000 });
    await cluster.connect();
  });

  afterAll(async () => {
    cluster?.close();
    await kafka?.stop();
  });

  test('is told beyond the watermark while a follower stands still', async () => {
    const topic = await createTopic(cluster, { name: 'lagging', partitions: 1, replicationFactor: 3 });
    const leader = must(topic.partitions[0], 'partition').leader;
    const follower = must(
      kafka.brokers.find(({ id }) => id !== leader && id !== cluster.controllerId),
      'follower',
    );
    const end = async (isolation: Isolation): Promise<number> => {
      const [answer] = await listOffsets(cluster, [{ topic: 'lagging', partition: 0, timestamp: LATEST }], {
        isolation,
      });
      return must(answer, 'answer').offset;
    };
    await follower.pause();
    try {
      const records = [1, 2, 3].map((timestamp) => ({ key: null, value: Buffer.from('v'), timestamp }));
      const append = appendRecords(cluster, { topic: 'lagging', partition: 0, records });
      await expect(append).rejects.toMatchObject({ definite: false });

      expect([await end('read_uncommitted'), await end('log_end')]).toEqual([0, 3]);
    } finally {
      await follower.resume();
    }
    await expect.poll(() => end('read_uncommitted'), { timeout: 20_000 }).toBe(3);
    expect(await end('log_end')).toBe(3);
  });
});
