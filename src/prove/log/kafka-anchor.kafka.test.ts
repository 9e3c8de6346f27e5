/** Checkpoints in a topic of a real cluster: what was published is found again, whoever else writes there. */
import { afterAll, beforeAll, expect, test } from 'vitest';
import type { Cluster } from '#kafka/cluster.ts';
import { describeTopicConfigs } from '#kafka/configs.ts';
import { appendRecords } from '#kafka/simple-log.ts';
import { LOG_DIRECTORY, LOG_KEY, event, openLog } from '#testing/audit-events.ts';
import { startCluster, type KafkaCluster } from '#testing/kafka-cluster.ts';
import { openCluster } from '#testing/open-cluster.ts';
import { SimulatedDisk } from '#testing/simulated-disk.ts';
import { systemClock } from '#util/host.ts';
import { Anchoring } from './anchor.ts';
import { ANCHOR_TOPIC, createKafkaAnchor } from './kafka-anchor.ts';

const origin = LOG_KEY.verifier.name;
let kafka: KafkaCluster;
let cluster: Cluster;

beforeAll(async () => {
  kafka = await startCluster({ name: 'anchor' });
  cluster = openCluster(kafka.bootstrap);
  await cluster.connect();
});

afterAll(async () => {
  cluster?.close();
  await kafka?.stop();
});

test('a topic keeps what is published to it, and a log that is shorter than that is not opened', async () => {
  const anchor = createKafkaAnchor(cluster, { origin, clock: systemClock });
  expect(await anchor.latest()).toEqual([]);
  const { log, disk } = await openLog();
  await log.record(event());
  const early = disk.afterKill();
  await log.close();
  const { note } = log.reader().checkpoint;
  await anchor.publish(note);
  await appendRecords(cluster, {
    topic: ANCHOR_TOPIC,
    partition: 0,
    records: [{ key: Buffer.from('other.example/audit'), value: Buffer.from('junk'), timestamp: 1 }],
  });
  expect(await anchor.latest()).toEqual([note, 'junk']);
  const [described] = await describeTopicConfigs(cluster, [ANCHOR_TOPIC]);
  expect(described?.configs.get('retention.ms')).toMatchObject({ value: '-1', source: 'topic' });

  const anchoring = new Anchoring({
    anchors: [anchor],
    directory: LOG_DIRECTORY,
    keys: [LOG_KEY.verifier],
    clock: systemClock,
    signal: new AbortController().signal,
  });
  const beforeSigning = anchoring.check.bind(anchoring);
  const again = await openLog({ disk: early, beforeSigning });
  expect(again.log.size).toBeGreaterThan(log.size);
  await expect(openLog({ disk: new SimulatedDisk(), beforeSigning })).rejects.toMatchObject({
    code: 'LOG_ROLLED_BACK',
  });
});
