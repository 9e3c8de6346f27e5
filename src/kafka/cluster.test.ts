/** A cluster's connections and cache against played brokers. */
import { describe, expect, test } from 'vitest';
import { ManualClock, settle } from '#testing/manual-clock.ts';
import { ScriptedNetwork, type ScriptedPeer } from '#testing/scripted-network.ts';
import { must } from '#util/assert.ts';
import { createRandom } from '#util/random.ts';
import { Cluster } from './cluster.ts';
import { FramePool } from './frame.ts';
import { mergeTopic, type TopicMetadata } from './metadata.ts';
import { topicOperations } from './permissions.ts';
import { describeCluster } from './protocol/describe-cluster.ts';
import { Writer } from './protocol/writer.ts';

const API_VERSIONS = 18;
const METADATA = 3;
const DESCRIBE_CLUSTER = 60;

describe('connecting', () => {
  test('takes the first address that answers, and then talks to the brokers that it names', async () => {
    const { cluster, network } = start(['a:1', 'b:2']);
    const connecting = cluster.connect();
    await refuse(network);
    await serve(network.peer);
    await connecting;

    expect(network.peers.map(({ host }) => host)).toEqual(['a', 'b']);
    expect([cluster.clusterId, cluster.controllerId]).toEqual(['id', 1]);
    expect(cluster.brokers()).toEqual([{ id: 1, host: 'broker', port: 9092, rack: null }]);
  });

  test('names every address and its failure when none answers', async () => {
    const { cluster, network, clock } = start(['a:1', 'b:2', '[::1]:3']);
    const connecting = cluster.connect().catch((error: unknown) => error);
    await refuse(network);
    network.peer.accept();
    await settle();
    network.peer.send(Buffer.from('HTTP/1.1 400 Bad Request'));
    await settle();
    await clock.advance(1_001);

    expect(await connecting).toMatchObject({
      name: 'ClusterUnreachableError',
      message: expect.stringMatching(
        /^no address of cluster "east" answers: .*a:1.*\(refused\); b:2.*\(not-kafka\); ::1:3.*\(timeout\)$/,
      ),
      failures: [{ failure: 'refused' }, { failure: 'not-kafka' }, { failure: 'timeout' }],
      definite: true,
    });
  });

  test('is given up by a signal', async () => {
    const { cluster } = start(['a:1', 'b:2']);
    const abort = new AbortController();
    const connecting = cluster.connect(abort.signal).catch((error: unknown) => error);
    abort.abort();
    expect(await connecting).toMatchObject({ failure: 'local' });
  });
});

describe('the shared connection to a broker', () => {
  test('is opened once for all who want it', async () => {
    const { cluster, network } = await connected();
    const wanted = [1, 2, 3].map(() => cluster.connection(1));
    await serve(network.peer);

    expect(new Set(await Promise.all(wanted)).size).toBe(1);
    expect(network.peers.map(({ host }) => host)).toEqual(['boot', 'broker']);
  });

  test('is another one for each lane, which ends with the cluster', async () => {
    const { cluster, network } = await connected();
    const opened: unknown[] = [];
    for (const lane of [0, 1, 1, 2]) {
      const before = network.peers.length;
      const opening = cluster.connection(1, lane);
      await settle();
      if (network.peers.length > before) await serve(network.peer);
      opened.push(await opening);
    }
    expect(new Set(opened).size).toBe(3);
    expect(opened[1]).toBe(opened[2]);
    cluster.close();
    expect(opened.map((each) => (each as { isOpen: boolean }).isOpen)).toEqual([false, false, false, false]);
  });

  test('is opened anew after a loss, with growing distances', async () => {
    const { cluster, network, clock } = await connected();
    const distances: number[] = [];
    for (let attempt = 0; attempt < 5; attempt++) {
      const before = network.peers.length;
      const opening = cluster.connection(1).catch((error: unknown) => error);
      const startedMs = clock.monotonic();
      while (network.peers.length === before) await clock.advance(1);
      distances.push(clock.monotonic() - startedMs);
      await refuse(network);
      expect(await opening).toMatchObject({ failure: 'refused' });
    }

    const caps = [1, 101, 201, 401, 801]; // back-off of 100 ms, doubled, with jitter of half
    for (const [i, cap] of caps.entries()) expect(distances[i]).toBeLessThanOrEqual(cap);
    expect(distances[4]).toBeGreaterThanOrEqual(400);
  });

  test('is not used before a pause that the broker asked for is over', async () => {
    const { cluster, network, clock } = await connected();
    const opening = cluster.connection(1);
    await serve(network.peer);
    (await opening).throttle(700);

    void cluster.call(describeCluster, request, { broker: 1 }).catch(() => {});
    await clock.advance(699);
    expect(network.peer.takeRequests()).toEqual([]);
    await clock.advance(2);
    expect(network.peer.takeRequests().map((bytes) => bytes.readInt16BE(0))).toEqual([DESCRIBE_CLUSTER]);
  });

  test('refuses a call that would wait longer than it may', async () => {
    const { cluster, network } = await connected();
    const opening = cluster.connection(1);
    await serve(network.peer);
    (await opening).throttle(60_000);

    await expect(cluster.call(describeCluster, request, { broker: 1, timeoutMs: 500 })).rejects.toMatchObject({
      failure: 'timeout',
      definite: true,
    });
  });

  test('to a broker that the cluster does not list is a definite failure', async () => {
    const { cluster } = await connected();
    await expect(cluster.call(describeCluster, request, { broker: 9 })).rejects.toMatchObject({
      definite: true,
      message: 'cluster "east" lists no broker 9 at the moment',
    });
  });

  test('ends for good with the cluster', async () => {
    const { cluster, network } = await connected();
    const opening = cluster.connection(1).catch((error: unknown) => error);
    cluster.close();
    expect(await opening).toMatchObject({ failure: 'local' });
    await expect(cluster.connection(1)).rejects.toMatchObject({ failure: 'local' });
    expect(network.peers.every(({ isDestroyed }) => isDestroyed)).toBe(true);
  });
});

describe('a cluster of which no address answers', () => {
  test('is asked by one for all who wait, with growing distances, until it answers', async () => {
    const { cluster, network, clock } = await connected();
    network.peer.close(null);
    await settle();
    const waiting = Array.from({ length: 100 }, () => cluster.untilReachable(new AbortController().signal));
    expect(cluster.unreachable).toBe(null);
    const failed: number[] = [];
    while (failed.length < 12) {
      if (network.peer.isDestroyed) await clock.advance(10);
      else await refuse(network);
      if (cluster.unreachable && cluster.unreachable.toldMs !== failed.at(-1)) failed.push(cluster.unreachable.toldMs);
    }
    expect(cluster.unreachable).toMatchObject({
      error: { name: 'ClusterUnreachableError', cluster: 'east', failures: [{}, {}] },
    });
    const distances = failed.slice(1).map((toldMs, i) => toldMs - failed[i]!);
    expect(distances.at(-1)).toBeGreaterThan(2_000);
    expect(Math.max(...distances)).toBeLessThan(5_100);

    while (network.peer.isDestroyed) await clock.advance(10);
    await serve(network.peer);
    await Promise.all(waiting);
    expect(cluster.unreachable).toBe(null);
  });

  test('is one error for all who ask meanwhile', async () => {
    const { cluster, network, clock } = await connected();
    network.peer.close(null);
    await settle();
    const asking = Array.from({ length: 100 }, (_, i) =>
      cluster.refresh([`topic-${i}`]).catch((error: unknown) => error),
    );
    await refuse(network);
    await clock.advance(1);
    await refuse(network);
    const errors = new Set(await Promise.all(asking));
    expect([...errors]).toMatchObject([{ name: 'ClusterUnreachableError' }]);
  });

  test('is asked at every address while one of them swallows what is sent', async () => {
    const { cluster, network, clock } = await connected();
    network.peer.close(null);
    await settle();
    const waiting = cluster.untilReachable(new AbortController().signal);
    await settle();
    const silent = network.peer;
    await clock.advance(249);
    expect(network.peer).toBe(silent);
    await clock.advance(1);
    expect(network.peer.host).not.toBe(silent.host);
    await serve(network.peer);
    await waiting;
    expect(silent.isDestroyed).toBe(false); // it is still being waited for
  });

  test('is asked anew by who comes when an address of the attempt under way has failed', async () => {
    const { cluster, network, clock } = await connected();
    network.peer.close(null);
    await settle();
    const first = cluster.refresh(['x']).catch((error: unknown) => error);
    await refuse(network);
    await settle();
    const hanging = network.peer;
    await clock.advance(150);
    const second = cluster.refresh([]);
    await settle();
    expect(network.peer.host).not.toBe(hanging.host);
    await serve(network.peer);
    answer(network.peer, { clusterId: 'id', brokerId: 1 });
    await second;
    hanging.close(null);
    await first;
  });

  test('is not waited for beyond a signal, nor beyond its close', async () => {
    const { cluster, network } = await connected();
    network.peer.close(null);
    await settle();
    const abort = new AbortController();
    const given = cluster.untilReachable(abort.signal);
    const other = cluster.untilReachable(new AbortController().signal);
    abort.abort();
    await given;
    cluster.close();
    await other;
    expect(cluster.unreachable).toBe(null);
  });
});

describe('which cluster it is', () => {
  const kinds = [
    { what: 'shared', open: (cluster: Cluster) => cluster.connection(1) },
    { what: 'dedicated', open: (cluster: Cluster) => cluster.openDedicated(1) },
  ];

  test.each(kinds)('a $what connection to another one is closed, and nothing else is asked there', async ({ open }) => {
    const { cluster, network, clock } = await connected();
    const opening = open(cluster).catch((error: unknown) => error);
    await settle();
    expect(await serve(network.peer, ['other'])).toEqual([API_VERSIONS, METADATA, METADATA]);
    expect(await opening).toMatchObject({
      name: 'ClusterIdChangedError',
      message: 'cluster "east" had the id id, and now other answers at broker:9092',
    });
    expect(network.peer.isDestroyed).toBe(true);
    expect(cluster.replaced).toMatchObject({ name: 'ClusterIdChangedError' });

    const again = open(cluster);
    await clock.advance(101);
    await serve(network.peer);
    await again;
    expect(cluster.replaced).toBe(null);
  });

  test.each(kinds)('is not believed of one answer: a $what connection is tried again', async ({ open }) => {
    const { cluster, network } = await connected();
    const opening = open(cluster).catch((error: unknown) => error);
    await settle();
    await serve(network.peer, ['damaged', 'id']);
    expect(await opening).toMatchObject({
      name: 'ConnectionError',
      retryable: true,
      definite: true,
      message: 'broker:9092 does not say the same cluster id twice',
    });
    expect([network.peer.isDestroyed, cluster.replaced]).toEqual([true, null]);
  });

  test('is not learnt from one answer at first contact', async () => {
    const { cluster, network } = start(['a:1', 'b:2']);
    const connecting = cluster.connect();
    await settle();
    await serve(network.peer, ['damaged', 'id']);
    await serve(network.peer);
    await connecting;
    expect([cluster.clusterId, network.peer.host]).toEqual(['id', 'b']);
  });

  test('does not change on an open connection: that answer is damaged, and what it says is not taken', async () => {
    const { cluster, network } = await connected();
    const refreshing = cluster.refresh([]).catch((error: unknown) => error);
    await settle();
    answer(network.peers[0]!, { clusterId: 'other', brokerId: 2 });

    expect(await refreshing).toMatchObject({ name: 'ConnectionError', retryable: true });
    expect([cluster.brokers()[0]?.id, network.peers[0]?.isDestroyed]).toEqual([1, true]);
  });

  test('is asked within the time for connecting', async () => {
    const { cluster, network, clock } = await connected();
    const opening = cluster.openDedicated(1).catch((error: unknown) => error);
    await settle();
    network.peer.accept();
    await settle();
    answer(network.peer, { clusterId: 'id', brokerId: 1 });
    await settle();
    await clock.advance(1_001);
    expect(await opening).toMatchObject({ failure: 'timeout', definite: true });
  });

  test.each([
    { others: 'is ours', ids: ['other', 'id'], outcome: { address: 'b:2' } },
    { others: 'is not either', ids: ['other', 'other'], outcome: { name: 'ClusterIdChangedError' } },
  ])('an address of another one is passed over for one that $others', async ({ ids, outcome }) => {
    const { cluster, network, clock } = await connected(['a:1', 'b:2']);
    network.peers[0]?.close(null);
    const opening = cluster.connection('any').catch((error: unknown) => error);
    await settle();
    await refuse(network); // the broker that the cluster named
    await clock.advance(1);
    await serve(network.peer, [must(ids[0], 'id')]);
    await clock.advance(1);
    await serve(network.peer, [must(ids[1], 'id')]);
    expect(await opening).toMatchObject(outcome);
  });
});

describe('what a damaged answer says of topics', () => {
  test('another topic than the one asked for is refused', async () => {
    const { cluster, network } = await connected();
    const refreshing = cluster.refresh(['t']).catch((error: unknown) => error);
    await settle();
    const topics = [{ name: 'other', partitions: [0] }];
    answer(network.peers[0]!, { clusterId: 'id', brokerId: 1, topics });

    expect(await refreshing).toMatchObject({ name: 'MalformedFrameError', message: 'Metadata left out topic t' });
    expect(cluster.topicOf('t')).toBeUndefined();
  });

  test('a gap in the partitions of a topic leaves that topic without any, and the others alone', async () => {
    const { cluster, network } = await connected();
    const refreshing = cluster.refresh('all');
    await settle();
    const topics = [
      { name: 'gap', partitions: [0, 2] },
      { name: 'whole', partitions: [1, 0] },
    ];
    answer(network.peers[0]!, { clusterId: 'id', brokerId: 1, topics });

    const found = await refreshing;
    expect(found.map(({ name, errorCode, partitions }) => [name, errorCode, partitions.length])).toEqual([
      ['gap', 5, 0],
      ['whole', 0, 2],
    ]);
  });

  test('another topic than the one whose operations were asked for is refused', async () => {
    const { cluster, network } = await connected();
    const asking = topicOperations(cluster, ['t']).catch((error: unknown) => error);
    await settle();
    const topics = [{ name: 'other', partitions: [0] }];
    answer(network.peers[0]!, { clusterId: 'id', brokerId: 1, topics });
    expect(await asking).toMatchObject({ name: 'MalformedFrameError', message: 'Metadata left out topic t' });
  });

  test('questions in another order have answers in theirs', async () => {
    const { cluster, network } = await connected();
    const refreshing = Promise.all([cluster.refresh(['t', 'u']), cluster.refresh(['u', 't'])]);
    await settle();
    const topics = ['t', 'u'].map((name) => ({ name, partitions: [0] }));
    answer(network.peers[0]!, { clusterId: 'id', brokerId: 1, topics });
    expect((await refreshing).map((each) => each.map(({ name }) => name))).toEqual([
      ['t', 'u'],
      ['u', 't'],
    ]);
  });

  test('a topic that nobody asked for does not stand in for one that was', async () => {
    const { cluster, network } = await connected();
    const refreshing = cluster.refresh(['t', 'u']);
    await settle();
    const topics = ['other', 'u', 't'].map((name) => ({ name, partitions: [0] }));
    answer(network.peers[0]!, { clusterId: 'id', brokerId: 1, topics });
    expect((await refreshing).map(({ name }) => name)).toEqual(['t', 'u']);
  });
});

test('an answer from a broker that is behind does not bring an old leader back', () => {
  const topic = (topicId: string, leaderEpoch: number, leader: number): TopicMetadata => ({
    name: 't',
    topicId,
    isInternal: false,
    errorCode: 0,
    partitions: [{ partition: 0, leader, leaderEpoch, replicas: [1, 2], isr: [1, 2], errorCode: 0 }],
  });
  expect(mergeTopic(topic('x', 5, 2), topic('x', 4, 1)).partitions[0]?.leader).toBe(2);
  expect(mergeTopic(topic('x', 5, 2), topic('x', 5, -1)).partitions[0]?.leader).toBe(-1);
  expect(mergeTopic(topic('x', 5, 2), topic('y', 0, 1)).partitions[0]?.leader).toBe(1);
});

const request = { includeClusterAuthorizedOperations: false, endpointType: 1, includeFencedBrokers: false };

function start(bootstrap: string[]) {
  const network = new ScriptedNetwork();
  const clock = new ManualClock();
  const pool = new FramePool({ bytesMax: 1024 * 1024 });
  const cluster = new Cluster({
    name: 'east',
    bootstrap,
    network,
    clock,
    random: createRandom(1),
    pool,
    requestTimeoutMs: 5_000,
    connectTimeoutMs: 1_000,
  });
  return { cluster, network, clock };
}

/** Connected through the first address; the cluster has one broker at broker:9092. */
async function connected(bootstrap = ['boot:1']) {
  const started = start(bootstrap);
  const connecting = started.cluster.connect();
  await settle();
  await serve(started.network.peer);
  await connecting;
  return started;
}

async function refuse(network: ScriptedNetwork): Promise<void> {
  await settle();
  network.peer.close(
    Object.assign(new Error(`connect ECONNREFUSED ${network.peer.host}:${network.peer.port}`), {
      code: 'ECONNREFUSED',
    }),
  );
  await settle();
}

/** Accepts a connection and answers ApiVersions, and Metadata with each of `clusterIds`, the last of them ever after. Returns what it was asked. */
async function serve(peer: ScriptedPeer, clusterIds: readonly string[] = ['id']): Promise<number[]> {
  const asked: number[] = [];
  peer.accept();
  await settle();
  for (const clusterId of ['', ...clusterIds, ...clusterIds.slice(-1), ...clusterIds.slice(-1)]) {
    asked.push(...answer(peer, { clusterId, brokerId: 1 }));
    await settle();
  }
  return asked;
}

interface PlayedCluster {
  readonly clusterId: string;
  readonly brokerId: number;
  readonly topics?: readonly { readonly name: string; readonly partitions: readonly number[] }[];
}

function answer(peer: ScriptedPeer, cluster: PlayedCluster): number[] {
  return peer.takeRequests().map((bytes) => {
    const key = bytes.readInt16BE(0);
    const writer = new Writer();
    writer.int32(0); // the length, below
    writer.int32(bytes.readInt32BE(4));
    if (key === API_VERSIONS) writeApiVersions(writer);
    else if (key === METADATA) writeMetadata(writer, cluster);
    const frame = Buffer.from(writer.finish());
    frame.writeInt32BE(frame.length - 4, 0);
    peer.send(frame);
    return key;
  });
}

/** ApiVersions response, version 3. */
function writeApiVersions(writer: Writer): void {
  writer.int16(0);
  writer.array(true, 3, [API_VERSIONS, METADATA, DESCRIBE_CLUSTER], (to, key) => {
    to.int16(key);
    to.int16(0);
    to.int16(key === METADATA ? 12 : 3);
    to.noTaggedFields();
  });
  writer.int32(0);
  writer.noTaggedFields();
}

/** Metadata response, version 12, behind the tagged fields of its header. */
function writeMetadata(writer: Writer, { clusterId, brokerId, topics = [] }: PlayedCluster): void {
  writer.noTaggedFields();
  writer.int32(0);
  writer.array(true, 12, [brokerId], (to, id) => {
    to.int32(id);
    to.compactString('broker');
    to.int32(9092);
    to.compactNullableString(null);
    to.noTaggedFields();
  });
  writer.compactNullableString(clusterId);
  writer.int32(brokerId);
  writer.array(true, 12, topics, (to, { name, partitions }) => {
    to.int16(0);
    to.compactNullableString(name);
    to.uuid('AAAAAAAAAAAAAAAAAAAAAA');
    to.boolean(false);
    to.array(true, 12, partitions, writePartition);
    to.int32(0);
    to.noTaggedFields();
  });
  writer.noTaggedFields();
}

function writePartition(to: Writer, partition: number): void {
  to.int16(0);
  for (const field of [partition, 1, 0]) to.int32(field); // with its leader and leader epoch
  for (let replicas = 0; replicas < 3; replicas++) to.arrayLength(0, true);
  to.noTaggedFields();
}
