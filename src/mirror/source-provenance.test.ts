import { expect, test } from 'vitest';
import { mirrorSchema } from '#contract/resources.ts';
import type { Cluster } from '#kafka/cluster.ts';
import { BrokerError } from '#kafka/errors.ts';
import { errorOf } from '#kafka/protocol/error-codes.ts';
import { cycleFinding, leftOutFinding, SourceProvenance } from './source-provenance.ts';

const [TOPIC_AUTHORIZATION_FAILED, LEADER_NOT_AVAILABLE] = [29, 5];
const pairs = [{ source: 'orders', target: 'orders' }];

function cluster(name: string, refresh: Cluster['refresh'] = async () => []): Cluster {
  return { name, clusterId: `id of ${name}`, refresh, topicOf: () => undefined } as Partial<Cluster> as Cluster;
}

const refusing = (code: number): Cluster =>
  cluster('east', async () => {
    throw new BrokerError(errorOf(code), 'Metadata', '__lockstep.state');
  });

test('without the right to the state topic nothing is known, and nothing fails', async () => {
  const provenance = new SourceProvenance(refusing(TOPIC_AUTHORIZATION_FAILED));
  await provenance.read();
  expect(provenance.hopsOf('orders')).toEqual([]);
  expect(provenance.hopsInto('orders', { pairs }), 'claims keep what they say').toBeNull();
});

test('what cannot be read for another reason is thrown, and is not taken for nothing', async () => {
  const provenance = new SourceProvenance(refusing(LEADER_NOT_AVAILABLE));
  await expect(provenance.read()).rejects.toThrow('LEADER_NOT_AVAILABLE');
  expect(provenance.hopsInto('orders', { pairs })).toBeNull();
});

test('a source without a state topic has no copies', async () => {
  const missing = { name: '__lockstep.state', errorCode: 3 } as Awaited<ReturnType<Cluster['refresh']>>[number];
  const provenance = new SourceProvenance(cluster('east', async () => [missing]));
  await provenance.read();
  expect(provenance.hopsInto('orders', { pairs })).toEqual([]);
});

test('findings name the mirrors, the topics and the rule', () => {
  const resource = mirrorSchema.parse({
    apiVersion: 'lockstep/v1',
    kind: 'Mirror',
    metadata: { name: 'back' },
    spec: { source: 'west', target: 'east', topics: [{ match: '/.*/' }] },
  });
  const names = { resource, source: cluster('west'), target: cluster('east') };
  const [far, near] = [
    { clusterId: 'id of east', topic: 'orders', mirror: 'first' },
    { clusterId: 'unknown', topic: 'orders', mirror: 'second' },
  ];
  const returning = { pair: { source: 'orders', target: 'orders' }, rule: 0, origin: far, through: [near, far] };
  expect(cycleFinding(returning, names)).toMatchObject({
    code: 'TOPIC_CYCLE',
    severity: 'error',
    message:
      'Mirror "back" would copy topic "orders" of cluster "west" to "orders" on cluster "east", where it comes from: it is copied from "orders" of the cluster with id unknown by mirror "second", from "orders" of cluster "east" by mirror "first".',
  });
  expect(leftOutFinding(returning, names)).toMatchObject({
    code: 'TOPIC_LEFT_OUT',
    severity: 'warning',
    message:
      'topics[0] of mirror "back" (match: /.*/) takes in topic "orders" of cluster "west", whose records come from "orders" of cluster "east" by mirror "first": it is left out.',
  });
});
