/** Each fault of the proxy once, before a real broker, with its effect as a client sees it. */
import { connect } from 'node:net';
import { afterEach, beforeAll, describe, expect, test } from 'vitest';
import type { Cluster } from '#kafka/cluster.ts';
import { LATEST, listOffsets } from '#kafka/offsets.ts';
import { initProducerId } from '#kafka/producers.ts';
import { appendRecords, readLog } from '#kafka/simple-log.ts';
import { createTopic, describeCluster } from '#kafka/topics.ts';
import { must } from '#util/assert.ts';
import { advertise, errorCode, flipRecordBit, moveLeader } from './answer-faults.ts';
import {
  bandwidth,
  blackHole,
  capture,
  drop,
  halfOpen,
  hold,
  latency,
  reset,
  rewrite,
  slice,
  slowClose,
  truncate,
} from './fault-kinds.ts';
import type { FaultProxy } from './fault-proxy.ts';
import { openCluster } from './open-cluster.ts';
import { waitUntil } from './process-stat.ts';
import { sharedClusters } from './shared-clusters.ts';
import { createTopics } from './topic-admin.ts';

const kafka = sharedClusters({ one: { proxied: true }, three: { brokers: 3, proxied: true } });
const topic = 'proxied';
/** Long enough for any answer on a loaded machine, short enough to wait for where none may come. */
const patient = { requestTimeoutMs: 30_000 };
const hasty = { requestTimeoutMs: 1_500 };

beforeAll(async () => {
  await Promise.all([
    createTopics(kafka('one').bootstrap, [{ name: topic, partitions: 1 }]),
    createTopics(kafka('three').bootstrap, [{ name: topic, partitions: 3, replicationFactor: 3 }]),
  ]);
});

afterEach(() => proxy().clear());

function proxy(): FaultProxy {
  return must(kafka('one').proxies[0], 'proxy');
}

/** A client that comes through the proxy and has its metadata. */
async function withClient(
  options: { requestTimeoutMs: number },
  act: (client: Cluster) => Promise<void>,
): Promise<void> {
  const client = openCluster(kafka('one').proxiedBootstrap, options);
  try {
    await client.connect();
    await client.refresh([topic]);
    await act(client);
  } finally {
    client.close();
  }
}

function append(client: Cluster, value: string | Buffer = 'v'): Promise<{ baseOffset: number }> {
  const record = { key: null, value: Buffer.from(value), timestamp: 1 };
  return appendRecords(client, { topic, partition: 0, records: [record] });
}

/** The end of the partition, past the proxy. */
async function end(): Promise<number> {
  const client = openCluster(kafka('one').bootstrap);
  try {
    await client.connect();
    return must((await listOffsets(client, [{ topic, partition: 0, timestamp: LATEST }]))[0], 'answer').offset;
  } finally {
    client.close();
  }
}

async function valuesFrom(client: Cluster, from: number): Promise<string[]> {
  const values: string[] = [];
  for await (const batch of readLog(client, { topic, partition: 0, from })) {
    for (let i = 0; i < batch.count; i++) values.push(String(batch.recordAt(i).value));
  }
  return values;
}

async function timed(act: () => Promise<unknown>): Promise<number> {
  const startMs = performance.now();
  await act();
  return performance.now() - startMs;
}

test('without rules everything passes, and nothing is in the journal', () =>
  withClient(patient, async (client) => {
    const before = proxy().journal.length;
    const large = Buffer.alloc(600_000, 'x');
    const { baseOffset } = await append(client, large);
    expect(await valuesFrom(client, baseOffset)).toEqual([large.toString()]);
    expect(proxy().connections).toBeGreaterThan(0);
    expect(proxy().journal).toHaveLength(before);
  }));

test('the brokers advertise their proxies, one broker or three', async () => {
  for (const name of ['one', 'three'] as const) {
    const client = openCluster(kafka(name).proxiedBootstrap);
    await client.connect();
    const { brokers } = await describeCluster(client);
    client.close();
    const seen = [...brokers].sort((a, b) => a.id - b.id).map(({ host, port }) => `${host}:${port}`);
    expect(seen).toEqual(kafka(name).proxiedBootstrap);
  }
});

describe('a lost answer', () => {
  test('of the second Produce resets its connection, and the record is there', () =>
    withClient(patient, async (client) => {
      const before = await end();
      const lost = proxy().inject({ match: { api: 'Produce', direction: 'response', nth: 2 }, fault: drop() });
      await append(client);
      await expect(append(client)).rejects.toMatchObject({ failure: 'closed', definite: false });
      expect(await end()).toBe(before + 2);
      expect(lost.count).toBe(1);
      expect(proxy().journal.at(-1)).toMatchObject({
        rule: 'drop and reset',
        api: 'Produce',
        direction: 'response',
        connection: expect.any(Number) as number,
        correlationId: expect.any(Number) as number,
      });
    }));

  test('leaves a silent connection behind, if that is asked', () =>
    withClient(hasty, async (client) => {
      proxy().inject({ match: { api: 'Produce', direction: 'response', nth: 1 }, fault: drop('silence') });
      await expect(append(client)).rejects.toMatchObject({ failure: 'timeout', definite: false });
      await append(client);
    }));
});

test.each(['request', 'response'] as const)(
  'a black hole of %ss costs a call its deadline; afterwards what was held arrives',
  (direction) =>
    withClient(hasty, async (client) => {
      const before = await end();
      const hole = proxy().inject({ match: { direction }, fault: blackHole() });
      await expect(append(client)).rejects.toMatchObject({ failure: 'timeout', definite: false });
      expect(hole.count).toBeGreaterThan(0);
      expect(await end()).toBe(direction === 'request' ? before : before + 1);
      hole.end();
      await waitUntil(async () => (await end()) === before + 1, 'the record arrives', { timeoutMs: 30_000 });
      await append(client);
      expect(await end()).toBe(before + 2);
    }),
);

test('a reset in the middle of an answer is an indefinite result', () =>
  withClient(patient, async (client) => {
    const before = await end();
    const cut = proxy().inject({
      match: { api: 'Produce', direction: 'response' },
      fault: reset({ midFrame: true }),
      times: 1,
    });
    await expect(append(client)).rejects.toMatchObject({ failure: 'closed', definite: false });
    await cut.fired();
    expect(await end()).toBe(before + 1);
    await append(client);
  }));

test('a reset before a request keeps the broker from it', () =>
  withClient(patient, async (client) => {
    const before = await end();
    proxy().inject({ match: { api: 'Produce', direction: 'request' }, fault: reset(), times: 1 });
    await expect(append(client)).rejects.toMatchObject({ failure: 'closed' });
    expect(await end()).toBe(before);
  }));

test('latency delays both directions, and not one frame behind the other', () =>
  withClient(patient, async (client) => {
    const slow = proxy().inject({ match: {}, fault: latency(250, 20) });
    const oneMs = await timed(() => append(client));
    expect(oneMs).toBeGreaterThan(2 * 230);
    const tenMs = await timed(() => Promise.all(Array.from({ length: 10 }, () => append(client))));
    expect(tenMs).toBeLessThan(10 * 2 * 230);
    expect(slow.count).toBeGreaterThanOrEqual(2 + 20);
  }));

test('bandwidth is shared by all connections', () =>
  withClient(patient, async (client) => {
    proxy().inject({ match: { direction: 'request' }, fault: bandwidth(100_000) });
    const tookMs = await timed(() =>
      withClient(patient, async (other) => {
        await Promise.all([append(client, Buffer.alloc(100_000)), append(other, Buffer.alloc(100_000))]);
      }),
    );
    expect(tookMs).toBeGreaterThan(1_900);
  }));

test('an answer in slices of 1 to 7 bytes is the same answer', () =>
  withClient(patient, async (client) => {
    const { baseOffset } = await append(client, 'y'.repeat(2_000));
    const sliced = proxy().inject({ match: {}, fault: slice(1, 7) });
    expect(await valuesFrom(client, baseOffset)).toEqual(['y'.repeat(2_000)]);
    expect(sliced.count).toBeGreaterThan(0);
  }));

test('half-open: the client keeps a connection that nobody serves', () =>
  withClient(hasty, async (client) => {
    const dead = proxy().inject({ match: { api: 'Produce' }, fault: halfOpen('broker'), times: 1 });
    await expect(append(client)).rejects.toMatchObject({ failure: 'timeout' });
    expect(dead.count).toBe(1);
    await append(client);
  }));

test('half-open: the client is closed, and the broker keeps its side until the rule ends', () =>
  withClient(patient, async (client) => {
    const dead = proxy().inject({ match: { api: 'Produce', nth: 1 }, fault: halfOpen('client') });
    await expect(append(client)).rejects.toMatchObject({ failure: 'closed' });
    const during = proxy().connections;
    expect(during).toBeGreaterThan(0);
    dead.end();
    await waitUntil(() => proxy().connections < during, 'the broker side is reset');
  }));

test('slow close: the other side learns late that one has closed', async () => {
  const slow = proxy().inject({ match: { direction: 'request' }, fault: slowClose(1_000) });
  const socket = connect(Number(proxy().address.split(':')[1]), '127.0.0.1');
  await new Promise((resolve) => socket.once('connect', resolve));
  const openMs = await timed(async () => {
    const closed = new Promise((resolve) => socket.once('close', resolve));
    socket.resume();
    socket.end(); // the broker ends its side when it learns of it
    await closed;
  });
  expect(slow.count).toBe(1);
  expect(openMs).toBeGreaterThan(990);
});

test('a bit of a record that flips on the way to the broker is refused, on the way back it is found', () =>
  withClient(hasty, async (client) => {
    const before = await end();
    const there = proxy().inject({ match: { api: 'Produce', direction: 'request' }, fault: flipRecordBit() });
    await expect(append(client)).rejects.toMatchObject({ code: 2 }); // CORRUPT_MESSAGE
    there.end();
    expect(await end()).toBe(before);
    await append(client, 'sound');
    const back = proxy().inject({ match: { api: 'Fetch', direction: 'response' }, fault: flipRecordBit(), times: 1 });
    await expect(valuesFrom(client, before)).rejects.toThrow(/crc/i);
    expect(back.count).toBe(1);
    expect(await valuesFrom(client, before)).toEqual(['sound']);
  }));

test('a request is held, and what is behind it, until the test lets it go', () =>
  withClient(patient, async (client) => {
    const before = await end();
    const held = proxy().inject({ match: { api: 'Produce', direction: 'request', nth: 1 }, fault: hold() });
    const appended = append(client);
    await held.fired();
    expect(await end()).toBe(before);
    held.end();
    expect(await appended).toEqual({ baseOffset: before });
  }));

test('a request is held until another one has come', () =>
  withClient(patient, async (client) => {
    const other = proxy().inject({ match: { api: 'InitProducerId' }, fault: latency(0) });
    const held = proxy().inject({ match: { api: 'Produce', direction: 'request' }, fault: hold(other.fired()) });
    const appended = append(client);
    await held.fired();
    await withClient(patient, async (second) => void (await initProducerId(second, 'held')));
    await appended;
    expect(held.isActive).toBe(true);
  }));

test('a ghost: a request that was lost arrives later on another connection', () =>
  withClient(patient, async (client) => {
    const before = await end();
    const lost = capture({ take: true });
    proxy().inject({ match: { api: 'Produce', topic, direction: 'request' }, fault: lost, times: 1 });
    await expect(append(client, 'ghost')).rejects.toMatchObject({ failure: 'closed' });
    expect(await append(client, 'living')).toEqual({ baseOffset: before });
    await proxy().replay(must(lost.frames[0], 'captured frame'));
    expect(await valuesFrom(client, before)).toEqual(['living', 'ghost']);
    expect(proxy().journal.at(-1)).toMatchObject({ rule: 'replay' });
  }));

describe('an error code is written over', () => {
  test('of Produce: the record is there all the same', () =>
    withClient(patient, async (client) => {
      const before = await end();
      proxy().inject({ match: { api: 'Produce', direction: 'response', topic }, fault: errorCode(7), times: 1 });
      await expect(append(client)).rejects.toMatchObject({ code: 7 });
      expect(await end()).toBe(before + 1);
    }));

  test('of Fetch', () =>
    withClient(patient, async (client) => {
      const { baseOffset } = await append(client);
      proxy().inject({ match: { api: 'Fetch', direction: 'response' }, fault: errorCode(-1) });
      await expect(valuesFrom(client, baseOffset)).rejects.toMatchObject({ code: -1 });
    }));

  test('of ListOffsets, InitProducerId, CreateTopics and Metadata', () =>
    withClient(patient, async (client) => {
      const refused = { code: 87 }; // INVALID_RECORD: nobody expects it there
      const all = proxy().inject({
        match: { api: ['ListOffsets', 'InitProducerId', 'CreateTopics', 'Metadata'], direction: 'response' },
        fault: errorCode(refused.code),
      });
      expect(await listOffsets(client, [{ topic, partition: 0, timestamp: LATEST }])).toMatchObject([
        { error: refused },
      ]);
      await expect(initProducerId(client, 'refused')).rejects.toMatchObject(refused);
      await expect(createTopic(client, { name: 'refused', partitions: 1, replicationFactor: 1 })).rejects.toMatchObject(
        refused,
      );
      await client.refresh([topic]);
      expect(client.topicOf(topic)).toMatchObject({ errorCode: refused.code });
      expect(all.count).toBe(4);
    }));
});

describe('Metadata', () => {
  test('names another leader: a client asks the wrong broker, and finds the right one later', async () => {
    const { proxies, proxiedBootstrap } = kafka('three');
    const moved = proxies.map((each) =>
      each.inject({
        match: { api: 'Metadata', direction: 'response' },
        fault: moveLeader((leader) => (leader % 3) + 1),
        times: 1,
      }),
    );
    const client = openCluster(proxiedBootstrap);
    try {
      await client.connect();
      await client.refresh([topic]);
      await appendRecords(client, { topic, partition: 0, records: [{ key: null, value: null, timestamp: 1 }] });
      expect(moved.reduce((sum, { count }) => sum + count, 0)).toBeGreaterThan(0);
    } finally {
      client.close();
      for (const each of proxies) each.clear();
    }
  });

  test('advertises another address', () =>
    withClient(hasty, async (client) => {
      proxy().inject({
        match: { api: 'Metadata', direction: 'response' },
        fault: advertise(({ port }) => ({ host: 'moved.invalid', port })),
      });
      await client.refresh([topic]);
      await expect(append(client)).rejects.toMatchObject({ failure: 'unresolved' });
    }));
});

test('a truncated answer is malformed', () =>
  withClient(patient, async (client) => {
    proxy().inject({ match: { api: 'Produce', direction: 'response' }, fault: truncate(), times: 1 });
    await expect(append(client)).rejects.toThrow(/bytes/);
  }));

test('any other change of an answer can be made', () =>
  withClient(patient, async (client) => {
    const before = await end();
    const add1000 = rewrite('a thousand more', ({ frame }) => {
      frame.writeBigInt64BE(frame.readBigInt64BE(frame.length - 15) + 1000n, frame.length - 15);
      return true;
    });
    proxy().inject({ match: { api: 'ListOffsets', direction: 'response' }, fault: add1000, times: 1 });
    const [answer] = await listOffsets(client, [{ topic, partition: 0, timestamp: LATEST }]);
    expect(answer?.offset).toBe(before + 1000);
  }));

test('down: connections are reset and new ones refused, until it is up again', () =>
  withClient(patient, async () => {
    await proxy().down();
    expect(proxy().connections).toBe(0);
    const other = openCluster(kafka('one').proxiedBootstrap);
    await expect(other.connect()).rejects.toMatchObject({ failure: 'refused' });
    other.close();
    await proxy().up();
    await withClient(patient, async (next) => void (await append(next)));
  }));

test('probability draws from the seed', () =>
  withClient(patient, async (client) => {
    const some = proxy().inject({
      match: { api: 'ListOffsets', direction: 'request', probability: 0.5 },
      fault: latency(0),
    });
    for (let i = 0; i < 40; i++) await listOffsets(client, [{ topic, partition: 0, timestamp: LATEST }]);
    expect(some.count).toBeGreaterThan(3);
    expect(some.count).toBeLessThan(37);
  }));
