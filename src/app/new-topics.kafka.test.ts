/** Topics that the server is asked for, on a real broker. */
import { expect, onTestFinished, test } from 'vitest';
import { newTopicSchema } from '#contract/new-topic.ts';
import { serverClusterSchema } from '#contract/resources.ts';
import { sharedClusters } from '#testing/shared-clusters.ts';
import { systemClock, systemHost } from '#util/host.ts';
import { createRandom } from '#util/random.ts';
import type { Host } from './host.ts';
import { LiveClusters } from './live-clusters.ts';

const kafka = sharedClusters({ east: {} });

function connect() {
  const { network } = systemHost;
  const host = { network, clock: systemClock, random: createRandom(1), environment: {} } as unknown as Host;
  const clusters = new LiveClusters(host, () => Promise.resolve());
  onTestFinished(() => clusters.close());
  const resource = serverClusterSchema.parse({
    apiVersion: 'lockstep/v1',
    kind: 'Cluster',
    metadata: { name: 'east' },
    spec: { bootstrap: [...kafka('east').bootstrap] },
  });
  const wanted = (text: object) => newTopicSchema.parse({ partitions: 1, ...text });
  return {
    foresee: (text: object) => clusters.foreseeTopic(resource, wanted(text)),
    create: (text: object) => clusters.createTopic(resource, wanted(text)),
    topics: (name: string) => clusters.topics(resource, [name]),
  };
}

test('acc-M-202: a topic is checked by its cluster without being there, then created as it was asked for', async () => {
  const { foresee, create, topics } = connect();
  const text = { name: 'orders', partitions: 3, configs: { 'cleanup.policy': 'compact', 'retention.ms': '60000' } };
  const { configs } = await foresee({ ...text, replicationFactor: 1 });
  expect(configs).toMatchObject({ 'cleanup.policy': 'compact', 'retention.ms': '60000', 'min.insync.replicas': '1' });
  expect(await topics('orders')).toEqual([]);

  const { topicId, ...counts } = await create({ ...text, replicationFactor: 1 });
  expect(counts).toEqual({ partitions: 3, replicationFactor: 1 });
  expect(await topics('orders')).toMatchObject([{ topicId, configs: text.configs }]);
});

test('what stands against a topic is said before and when it is created, and nothing is created', async () => {
  const { foresee, create, topics } = connect();
  await create({ name: 'taken', replicationFactor: 1 });
  const refused = [
    [{ name: 'taken' }, 'RESOURCE_CONFLICT', 'already'],
    [{ name: 'wide', replicationFactor: 3 }, 'REQUEST_INVALID', 'replication factor'],
    [{ name: 'wide', configs: { 'retention.ms': 'soon' } }, 'REQUEST_INVALID', 'retention.ms'],
    [{ name: 'wide', configs: { 'no.such.setting': '1' } }, 'REQUEST_INVALID', 'no.such.setting'],
  ] as const;
  for (const [text, code, said] of refused)
    for (const attempt of [foresee, create]) {
      const error: unknown = await attempt(text).catch((caught: unknown) => caught);
      expect(error).toMatchObject({ code });
      expect((error as Error).message).toContain(said);
    }
  expect(await topics('wide')).toEqual([]);
});
