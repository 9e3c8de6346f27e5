import { expect, test } from 'vitest';
import type { TopicView } from '#contract/views.ts';
import { playControlPlane } from '#testing/played-control-plane.ts';
import { ConfigurationKeeper } from '../configuration-keeper.ts';
import { scheduledSnapshots } from './scheduled-snapshots.ts';

const topic = (name: string, highWatermark: number, inSyncReplicas = [1]): TopicView => ({
  name,
  topicId: null,
  isInternal: false,
  configs: null,
  partitions: [
    {
      partition: 0,
      leader: 1,
      leaderEpoch: 0,
      replicas: [1, 2],
      inSyncReplicas,
      logStart: 2,
      stableOffset: highWatermark,
      highWatermark,
    },
  ],
});

test('reg-M-100 reg-M-019a: a snapshot is what the clusters say, and two of them can be compared', async () => {
  const plane = await playControlPlane();
  const root = await plane.as('root', 'admin');
  for (const name of ['east', 'west']) await root('POST', '/api/v1/clusters', { name, bootstrap: ['b:1'] });
  await root('POST', '/api/v1/jobs', { name: 'a', source: 'east', target: 'west', topics: [{ match: 'orders' }] });
  const operator = await plane.as('ann', 'operator');
  const take = async () => {
    const taken = await operator('POST', '/api/v1/jobs/a/inventory/snapshots');
    expect(taken.statusCode, taken.body).toBe(201);
    return taken.json<{ id: number }[]>().map(({ id }) => id);
  };
  plane.clusters.topicsByCluster = { east: [topic('orders', 10), topic('old', 5)] };
  const [before, target] = await take();
  plane.clusters.topicsByCluster = { east: [topic('orders', 12, [1, 2]), topic('new', 2)] };
  const [after] = await take();
  const read = async (path: string) =>
    (await operator('GET', `/api/v1/inventory/snapshots/${path}`)).json<{ items: object[] }>();
  expect(await read(`${before}`)).toMatchObject({
    cluster: 'east',
    side: 'source',
    topics: 2,
    partitions: 2,
    groups: 1,
  });
  expect(await read(`${before}/topics?sort=-records`)).toMatchObject({
    items: [{ name: 'orders', records: 8, underReplicated: 1 }, { name: 'old' }],
  });
  expect(await read(`${before}/consumer-groups`)).toMatchObject({ items: [{ groupId: 'billing', members: 2 }] });
  const { items } = await read(`${before}/differences/${after}?kind=topic`);
  expect(items).toMatchObject([
    { name: 'new', change: 'added', before: null },
    { name: 'old', change: 'removed', after: null },
    { name: 'orders', change: 'changed' },
  ]);
  expect((await operator('GET', `/api/v1/inventory/snapshots/${before}/differences/${target}`)).statusCode).toBe(404);
  expect((await operator('GET', '/api/v1/jobs/a/inventory/snapshots?side=source')).json()).toMatchObject({
    items: [{ id: before }, { id: after }],
  });
});

test('reg-M-019d reg-M-019e reg-M-102: the parts of a snapshot are what was measured: settings, places, connections', async () => {
  const plane = await playControlPlane();
  const root = await plane.as('root', 'admin');
  const security = { protocol: 'SASL_SSL', mechanism: 'PLAIN', username: 'u', password: { store: 'p' } };
  await root('POST', '/api/v1/clusters', { name: 'east', bootstrap: ['b:1'], security });
  await root('POST', '/api/v1/clusters', { name: 'west', bootstrap: ['b:1'] });
  await root('POST', '/api/v1/jobs', { name: 'a', source: 'east', target: 'west', topics: [{ match: 'orders' }] });
  expect((await root('GET', '/api/v1/jobs/a/inventory/full')).json()).toEqual([]);
  plane.clusters.topicsByCluster = { east: [{ ...topic('orders', 10), configs: { 'compression.type': 'zstd' } }] };
  const place = { groupId: 'billing', topic: 'orders', partition: 0, offset: 4, highWatermark: 10, lagRecords: 6 };
  plane.clusters.offsetsByCluster = { east: [place] };
  await root('POST', '/api/v1/jobs/a/inventory/snapshots');
  const full = (await root('GET', '/api/v1/jobs/a/inventory/full')).json<{ snapshot: { id: number } }[]>();
  expect(full).toMatchObject([
    {
      snapshot: { side: 'source' },
      cluster: { clusterId: 'played-cluster-id', controller: 1 },
      connections: [{ type: 'source_consumer', protocol: 'SASL_SSL', mechanism: 'PLAIN', isEncrypted: true }],
      topics: { items: [{ name: 'orders', configs: { 'compression.type': 'zstd' } }] },
      groups: { items: [{ groupId: 'billing' }] },
    },
    {
      snapshot: { side: 'target' },
      connections: [{ type: 'target_producer', protocol: 'PLAINTEXT', mechanism: null }],
    },
  ]);
  const read = async (path: string) =>
    (await root('GET', `/api/v1/inventory/snapshots/${full[0]?.snapshot.id}/${path}`)).json();
  expect(await read('connections')).toMatchObject([{ provider: 'plain' }]);
  expect(await read('cluster')).toMatchObject({ brokers: [{ id: 1 }] });
  expect(await read('partitions?topic=orders')).toMatchObject([{ partition: 0, highWatermark: 10 }]);
  expect(await read('consumer-groups/offsets?group=billing')).toEqual([place]);
  plane.clusters.troubles.set('east', { code: 'CLUSTER_UNREACHABLE', message: 'away', nextStep: null });
  expect((await root('POST', '/api/v1/jobs/a/inventory/snapshots')).statusCode).toBe(503);
});

test('acc-M-019: snapshots are taken by themselves when a job has begun, and again when they are old', async () => {
  const plane = await playControlPlane();
  const root = await plane.as('root', 'admin');
  for (const name of ['east', 'west', 'north']) await root('POST', '/api/v1/clusters', { name, bootstrap: ['b:1'] });
  for (const [name, source] of Object.entries({ a: 'east', b: 'north', c: 'east' }))
    await root('POST', '/api/v1/jobs', { name, source, target: 'west', topics: [{ match: 'orders' }] });
  for (const name of ['a', 'b']) await root('POST', `/api/v1/jobs/${name}/start`);
  plane.clusters.troubles.set('north', { code: 'CLUSTER_UNREACHABLE', message: 'away', nextStep: null });
  await plane.server.close(); // what it does by itself is called here instead
  const configuration = await ConfigurationKeeper.open(plane.ports);
  configuration.close();
  const chore = scheduledSnapshots({ ports: plane.ports, configuration });
  for (let hours = 0; hours <= 24; hours += 8) {
    await chore.run();
    await plane.clock.advance(8 * 3_600_000);
  }
  const { items } = await plane.store.inventory.list({ limit: 100 });
  expect(items.map(({ cluster, trigger, takenBy }) => `${cluster} ${trigger} ${takenBy}`)).toEqual([
    'east startup null',
    'west startup null',
    'east periodic null',
    'west periodic null',
  ]);
  expect(plane.logged.map(({ message }) => message)).toEqual(Array(4).fill('no snapshot for job "b"'));
});
