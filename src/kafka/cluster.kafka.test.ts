/** What the network and the brokers do to a cluster's connections. */
import { createServer } from 'node:net';
import { describe, expect, test } from 'vitest';
import { openCluster } from '#testing/open-cluster.ts';
import { sharedClusters } from '#testing/shared-clusters.ts';
import { must } from '#util/assert.ts';
import { LATEST, listOffsets } from './offsets.ts';
import { appendRecords } from './simple-log.ts';
import { createTopic, describeCluster } from './topics.ts';

const kafka = sharedClusters({ one: {}, three: { brokers: 3 } });

describe('one broker', () => {
  test('is not what listens at a wrong port', async () => {
    const silent = createServer().listen(0, '127.0.0.1');
    await new Promise((resolve) => silent.once('listening', resolve));
    const silentPort = (silent.address() as { port: number }).port;
    const cluster = openCluster([`127.0.0.1:1`, `127.0.0.1:${silentPort}`, `no-such-host.invalid:9092`], {
      connectTimeoutMs: 500,
    });
    try {
      await expect(cluster.connect()).rejects.toMatchObject({
        failures: [
          { failure: 'refused', address: '127.0.0.1:1' },
          { failure: 'timeout', address: `127.0.0.1:${silentPort}` },
          { failure: 'unresolved', address: 'no-such-host.invalid:9092' },
        ],
      });
    } finally {
      cluster.close();
      silent.close();
    }
  });

  test('that was restarted is found again by the next call', async () => {
    const cluster = openCluster(kafka('one').bootstrap);
    try {
      await cluster.connect();
      await createTopic(cluster, { name: 'restarted', partitions: 1, replicationFactor: 1 });
      await appendRecords(cluster, {
        topic: 'restarted',
        partition: 0,
        records: [{ key: null, value: Buffer.from('v'), timestamp: 1 }],
      });
      const broker = must(kafka('one').brokers[0], 'broker');

      await broker.kill();
      const during = describeCluster(cluster); // begun while the broker is away
      await broker.start();

      expect(await during).toMatchObject({ clusterId: kafka('one').clusterId });
      expect((await listOffsets(cluster, [{ topic: 'restarted', partition: 0, timestamp: LATEST }]))[0]?.offset).toBe(
        1,
      );
    } finally {
      cluster.close();
    }
  });

  test('that stands still costs a call its deadline, no more, and the call after it works', async () => {
    const cluster = openCluster(kafka('one').bootstrap, { requestTimeoutMs: 1_000 });
    const broker = must(kafka('one').brokers[0], 'broker');
    try {
      await cluster.connect();
      await broker.pause();
      await expect(
        appendRecords(cluster, {
          topic: 'restarted',
          partition: 0,
          records: [{ key: null, value: null, timestamp: 1 }],
        }),
      ).rejects.toMatchObject({
        failure: 'timeout',
      });
    } finally {
      await broker.resume();
    }
    expect(await describeCluster(cluster)).toMatchObject({ clusterId: kafka('one').clusterId });
    cluster.close();
  });
});

describe('three brokers', () => {
  test('lose one, and its partitions are asked of their new leaders', async () => {
    const cluster = openCluster(kafka('three').bootstrap);
    try {
      await cluster.connect();
      const topic = await createTopic(cluster, {
        name: 'moved',
        partitions: 6,
        replicationFactor: 3,
        configs: new Map([['min.insync.replicas', '1']]),
      });
      const queries = topic.partitions.map(({ partition }) => ({ topic: 'moved', partition, timestamp: LATEST }));
      for (const { partition } of queries)
        await appendRecords(cluster, {
          topic: 'moved',
          partition,
          records: [{ key: null, value: Buffer.from('v'), timestamp: 1 }],
        });
      const gone = must(
        kafka('three').brokers.find(({ id }) => id === topic.partitions[0]?.leader),
        'leader of partition 0',
      );

      await gone.kill();

      const answers = await listOffsets(cluster, queries);
      expect(answers.map(({ offset, error }) => [offset, error])).toEqual(queries.map(() => [1, null]));
      expect(cluster.leaderOf('moved', 0)).not.toBe(gone.id);
    } finally {
      cluster.close();
    }
  });
});
