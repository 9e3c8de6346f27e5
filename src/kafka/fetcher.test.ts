/** The fetcher on a real connection to a played broker, on a clock that stands still. */
import { describe, expect, test } from 'vitest';
import type { FetchAsked } from '#testing/broker-frames.ts';
import { PlayedBroker } from '#testing/played-broker.ts';
import { sourceBatch } from '#testing/source-batches.ts';
import { must } from '#util/assert.ts';
import { BrokerError, type ConnectionError, UnsupportedApiError } from './errors.ts';
import type { FetchedPartition } from './fetch.ts';
import { Fetcher, type FetchSubscriber } from './fetcher.ts';
import type { Frame } from './frame.ts';
import { batchAt, lastOffsetOf } from './records/batch-header.ts';

const TOPIC = 'AAAAAAAAAAAAAAAAAAAAAQ';
const REQUEST_BYTES = 1024 * 1024;

/** A partition that notes what it is told, and moves on behind what it gets. */
class Partition implements FetchSubscriber {
  readonly topicId: string = TOPIC;
  readonly partition: number;
  fetchOffset = 0;
  fetchLeaderEpoch = 5;
  lastFetchedEpoch = 4;
  fetchBytesMax = 1000;
  readonly results: FetchedPartition[] = [];
  readonly askedOffsets: number[] = [];
  readonly losses: (ConnectionError | BrokerError)[] = [];
  /** Frames kept, to be released by the test. */
  readonly frames: Frame[] = [];
  keepsFrames = false;

  constructor(partition: number) {
    this.partition = partition;
  }

  onFetched(result: FetchedPartition, frame: Frame, askedOffset: number): void {
    this.results.push(result);
    this.askedOffsets.push(askedOffset);
    for (let at = result.start; ;) {
      const size = batchAt(frame.buffer, at, result.end);
      if (size === 0) break;
      this.fetchOffset = lastOffsetOf(frame.buffer, at) + 1;
      at += size;
    }
    if (!this.keepsFrames) return;
    frame.retain();
    this.frames.push(frame);
  }

  onFetchLost(error: ConnectionError | BrokerError): void {
    this.losses.push(error);
  }
}

interface Setup {
  readonly broker: PlayedBroker;
  readonly fetcher: Fetcher;
  readonly partitions: Partition[];
  readonly responses: () => number;
}

async function setUp(count: number, options: { bytesMax?: number; broker?: PlayedBroker } = {}): Promise<Setup> {
  const broker = options.broker ?? (await PlayedBroker.open(options));
  let responses = 0;
  const fetcher = newFetcher(broker, () => void responses++);
  const partitions = Array.from({ length: count }, (_, i) => new Partition(i));
  for (const partition of partitions) fetcher.add(partition);
  return { broker, fetcher, partitions, responses: () => responses };
}

function newFetcher(broker: PlayedBroker, afterResponse = (): void => {}): Fetcher {
  const { connection, clock, pool } = broker;
  return new Fetcher({
    connection,
    clock,
    pool,
    maxWaitMs: 500,
    minBytes: 1,
    maxBytes: REQUEST_BYTES,
    requestTimeoutMs: 30_000,
    afterResponse,
  });
}

/** Partition and offset of each position that a request names. */
function named(asked: FetchAsked): number[][] {
  return asked.positions.map(({ partition, offset }) => [partition, offset]).toSorted((a, b) => a[0]! - b[0]!);
}

/** So many partitions, each at 0. */
function allOf(partitions: number): number[][] {
  return Array.from({ length: partitions }, (_, partition) => [partition, 0]);
}

function records(baseOffset: number, count = 1, bytes = 10): Buffer {
  return sourceBatch({
    baseOffset,
    records: Array.from({ length: count }, () => ({ timestamp: 1, key: null, value: Buffer.alloc(bytes) })),
  });
}

test('over a long way more is asked for, since what was asked for always comes', async () => {
  const { broker, fetcher } = await setUp(1);
  const asked: (number | undefined)[] = [];
  for (let i = 0; i < 5; i++) {
    const fetch = broker.nextFetch();
    asked.push(fetch.asked.positions[0]?.maxBytes);
    await broker.clock.advance(80);
    fetch.answer({ sessionId: 77, partitions: [{ topicId: TOPIC, partition: 0, records: records(i, 1, 950) }] });
  }
  expect(asked).toEqual([1000, 1000, 1000, 1000, 2000]);
  expect(fetcher.factor).toBe(2);
});

describe('sessions', () => {
  test('name all partitions at first, then only those whose position changed', async () => {
    const { broker } = await setUp(1);
    const first = broker.nextFetch();
    expect(first.asked).toMatchObject({
      sessionId: 0,
      sessionEpoch: 0,
      isolation: 1,
      maxBytes: REQUEST_BYTES,
      forgotten: [],
    });
    expect(first.asked.positions).toEqual([
      { topicId: TOPIC, partition: 0, leaderEpoch: 5, offset: 0, lastFetchedEpoch: 4, maxBytes: 1000 },
    ]);

    first.answer({ sessionId: 77, partitions: [{ topicId: TOPIC, partition: 0, records: records(0, 3) }] });
    const second = broker.nextFetch();
    second.answer({ sessionId: 77 });
    const third = broker.nextFetch();

    expect([second.asked.sessionId, second.asked.sessionEpoch, named(second.asked)]).toEqual([77, 1, [[0, 3]]]);
    expect([third.asked.sessionId, third.asked.sessionEpoch, named(third.asked)]).toEqual([77, 2, []]);
  });

  test('confirm what they hold with every response, and what has left them no longer', async () => {
    const { broker, fetcher, partitions } = await setUp(2);
    const [stays, leaves] = [partitions[0]!, partitions[1]!];
    const late = new Partition(9);
    const confirmed = () => [stays, leaves, late].map((partition) => fetcher.confirmedAt(partition));
    expect(confirmed()).toEqual([null, null, null]);
    broker.nextFetch().answer({ sessionId: 77 });
    const request = broker.nextFetch();
    fetcher.remove(leaves);
    fetcher.add(late); // not in the request that is under way
    request.answer({ sessionId: 77 });
    const before = broker.clock.now();
    expect(confirmed()).toEqual([before, before, null]);
    await broker.clock.advance(400);
    broker.nextFetch().answer({ sessionId: 77 });
    expect(confirmed()).toEqual([before + 400, null, before + 400]);
    await broker.clock.advance(400);
    broker.nextFetch().answer({ sessionId: 77, throttleTimeMs: 100 }); // its quota is used up: it has looked at nothing
    expect(confirmed()).toEqual([before + 400, null, before + 400]);
  });

  test('take in partitions that come later, and drop those that are removed', async () => {
    const { broker, fetcher, partitions } = await setUp(1);
    const late = new Partition(9);
    fetcher.add(late);
    const first = broker.nextFetch();
    first.answer({ sessionId: 77 });
    const second = broker.nextFetch();
    fetcher.remove(partitions[0]!);
    second.answer({ sessionId: 77, partitions: [{ topicId: TOPIC, partition: 0, records: records(0) }] });
    const third = broker.nextFetch();

    expect(named(second.asked)).toEqual([[9, 0]]);
    expect(third.asked.forgotten).toEqual([{ topicId: TOPIC, partition: 0 }]);
    expect(partitions[0]!.results).toEqual([]); // removed before its answer came
  });

  test('are begun anew for who takes the place of another while a request is under way', async () => {
    const { broker, fetcher, partitions } = await setUp(2);
    broker.nextFetch().answer({ sessionId: 77 });
    const before = broker.nextFetch();
    fetcher.remove(partitions[0]!);
    fetcher.add(new Partition(0)); // at the very offset: the session would name it only when it changes (KIP-227)
    before.answer({ sessionId: 77 });
    const first = broker.nextFetch();
    expect([first.asked.sessionId, first.asked.sessionEpoch]).toEqual([77, 0]); // ends 77 and opens another
    expect([named(first.asked), first.asked.forgotten]).toEqual([allOf(2), []]);
    first.answer({ sessionId: 78 });
    const second = broker.nextFetch();
    expect([second.asked.sessionId, second.asked.sessionEpoch, named(second.asked)]).toEqual([78, 1, []]);
  });

  test('are begun anew for who takes the place of another while nothing can be asked for', async () => {
    const { broker, fetcher, partitions } = await setUp(1);
    broker.nextFetch().answer({ sessionId: 77 });
    partitions[0]!.fetchOffset = -1;
    broker.nextFetch().answer({ sessionId: 77 });
    expect(broker.waiting).toBe(0);
    fetcher.remove(partitions[0]!);
    fetcher.add(new Partition(0));
    const { asked } = broker.nextFetch();
    expect([asked.sessionId, asked.sessionEpoch, named(asked)]).toEqual([77, 0, allOf(1)]);
  });

  test('leave a partition out while it is paused, and name it again', async () => {
    const { broker, fetcher, partitions } = await setUp(2);
    broker.nextFetch().answer({ sessionId: 1 });
    broker.nextFetch().answer({ sessionId: 1 });

    partitions[0]!.fetchOffset = -1;
    broker.nextFetch().answer({ sessionId: 1 });
    const paused = broker.nextFetch();
    expect([named(paused.asked), paused.asked.forgotten]).toEqual([[], [{ topicId: TOPIC, partition: 0 }]]);
    expect(paused.asked.maxWaitMs).toBe(20); // the others' long poll must not keep it waiting

    partitions[0]!.fetchOffset = 0;
    fetcher.wake(); // a request is under way
    expect(broker.waiting).toBe(0);
    paused.answer({ sessionId: 1 });
    const resumed = broker.nextFetch();
    expect([named(resumed.asked), resumed.asked.forgotten, resumed.asked.maxWaitMs]).toEqual([[[0, 0]], [], 500]);

    for (const partition of partitions) partition.fetchOffset = -1;
    resumed.answer({ sessionId: 1 });
    expect(broker.waiting).toBe(0); // there is nothing to ask for
    partitions[1]!.fetchOffset = 0;
    fetcher.wake();
    expect(broker.waiting).toBe(1);
  });

  test.each([70, 71, 106])('begin anew after session error %i, with every partition', async (errorCode) => {
    const { broker, partitions } = await setUp(1);
    broker.nextFetch().answer({ sessionId: 77, partitions: [{ topicId: TOPIC, partition: 0, records: records(0) }] });
    broker.nextFetch().answer({ errorCode });
    const again = broker.nextFetch().asked;

    expect([again.sessionId, again.sessionEpoch, named(again)]).toEqual([0, 0, [[0, 1]]]);
    expect(partitions[0]!.losses).toEqual([]);
  });

  test('are done without when the broker has no room for one', async () => {
    const { broker, partitions } = await setUp(1);
    for (let i = 0; i < 3; i++) {
      const { asked, answer } = broker.nextFetch();
      expect([asked.sessionId, asked.sessionEpoch, named(asked)]).toEqual([0, 0, [[0, i]]]);
      answer({ sessionId: 0, partitions: [{ topicId: TOPIC, partition: 0, records: records(i) }] });
    }
    expect(partitions[0]!.askedOffsets).toEqual([0, 1, 2]);
  });
});

describe('a response', () => {
  test('goes to each partition with its own error, and an unknown one is survived', async () => {
    const { broker, fetcher } = await setUp(0);
    const partitions = [0, 1, 2].map((index) => new Partition(index));
    for (const partition of partitions) fetcher.add(partition);
    broker.nextFetch().answer({ sessionId: 77 });

    broker.nextFetch().answer({
      sessionId: 77,
      partitions: [
        { topicId: TOPIC, partition: 0, errorCode: 6 },
        { topicId: TOPIC, partition: 1, errorCode: 999 },
        {
          topicId: TOPIC,
          partition: 2,
          records: records(0, 2),
          lastStableOffset: 7,
          highWatermark: 9,
          logStartOffset: 1,
          aborted: [{ producerId: 3, firstOffset: 2 }],
        },
        { topicId: TOPIC, partition: 8 }, // not ours
      ],
    });

    expect(partitions.map(({ results }) => results.map(({ errorCode }) => errorCode))).toEqual([[6], [999], [0]]);
    expect(partitions[2]!.results[0]).toMatchObject({
      lastStableOffset: 7,
      highWatermark: 9,
      logStartOffset: 1,
      aborted: [{ producerId: 3, firstOffset: 2 }],
    });
    expect(partitions.flatMap(({ losses }) => losses)).toEqual([]);
    expect(broker.waiting).toBe(1);
  });

  test('without records, and one whose last batch is cut, move nobody beyond what is whole', async () => {
    const { broker, partitions, responses } = await setUp(1);
    broker.nextFetch().answer({ sessionId: 77, partitions: [{ topicId: TOPIC, partition: 0, records: null }] });
    expect(partitions[0]!.fetchOffset).toBe(0);
    const cut = Buffer.concat([records(0, 2), records(2, 5).subarray(0, 70)]);
    broker.nextFetch().answer({ sessionId: 77, partitions: [{ topicId: TOPIC, partition: 0, records: cut }] });

    expect(named(broker.nextFetch().asked)).toEqual([[0, 2]]);
    expect(responses()).toBe(2);
  });

  test('tells where its request began to read, also to a partition that was added again elsewhere', async () => {
    const { broker, fetcher } = await setUp(0);
    const partition = new Partition(0);
    partition.fetchOffset = 12;
    fetcher.add(partition);
    const { answer } = broker.nextFetch();
    fetcher.remove(partition);
    partition.fetchOffset = 40;
    fetcher.add(partition);
    answer({ sessionId: 77, partitions: [{ topicId: TOPIC, partition: 0, errorCode: 1 }] });

    expect(partition.askedOffsets).toEqual([12]);
    expect(named(broker.nextFetch().asked)).toEqual([[0, 40]]);
  });

  test('of more than a read holds its buffer until the last one who kept it lets go', async () => {
    const { broker, partitions } = await setUp(1);
    partitions[0]!.keepsFrames = true;
    broker
      .nextFetch()
      .answer({ sessionId: 77, partitions: [{ topicId: TOPIC, partition: 0, records: records(0, 1, 200_000) }] });
    expect(broker.pool.bytesInUse).toBeGreaterThanOrEqual(200_000);
    for (const frame of partitions[0]!.frames) frame.release();
    expect(broker.pool.bytesInUse).toBe(0);
  });
});

describe('bytes in flight', () => {
  test('are reserved before a request is sent: without room it waits for acknowledgements', async () => {
    const { broker, partitions } = await setUp(1, { bytesMax: REQUEST_BYTES + 300_000 });
    const [partition] = partitions;
    partition!.keepsFrames = true;
    broker
      .nextFetch()
      .answer({ sessionId: 77, partitions: [{ topicId: TOPIC, partition: 0, records: records(0, 1, 250_000) }] });
    broker
      .nextFetch()
      .answer({ sessionId: 77, partitions: [{ topicId: TOPIC, partition: 0, records: records(1, 1, 250_000) }] });
    expect(broker.waiting).toBe(0);

    partition!.frames.pop()!.release();
    expect(broker.waiting).toBe(1);
    expect(named(broker.nextFetch().asked)).toEqual([[0, 2]]);
  });

  test('are given back by a request that is lost, and who waited for them goes on', async () => {
    const { broker } = await setUp(1, { bytesMax: REQUEST_BYTES });
    const other = await PlayedBroker.open({ shared: broker });
    const { partitions } = await setUp(1, { broker: other });
    expect([broker.waiting, other.waiting]).toEqual([1, 0]);

    broker.peer.close(new Error('reset'));

    expect(other.waiting).toBe(1);
    expect(partitions[0]!.losses).toEqual([]);
  });

  test.each([5, 10, 40])(
    'are had by all of %d brokers, where each asks for a quarter of what there is',
    async (count) => {
      const brokers = [await PlayedBroker.open({ bytesMax: 4 * REQUEST_BYTES })];
      while (brokers.length < count) brokers.push(await PlayedBroker.open({ shared: brokers[0]! }));
      for (const broker of brokers) newFetcher(broker).add(new Partition(0));
      const answered = brokers.map(() => 0);
      for (let round = 0; round < 20; round++) {
        for (const [index, broker] of brokers.entries()) {
          if (broker.waiting === 0) continue;
          answered[index]!++;
          broker.nextFetch().answer({ sessionId: 77 });
        }
      }
      expect(Math.min(...answered)).toBeGreaterThanOrEqual(Math.max(...answered) / 3);
    },
  );

  test('wait with nobody for news: there is room for all brokers to be asked at once', async () => {
    const brokers = [await PlayedBroker.open({ bytesMax: 4 * REQUEST_BYTES })];
    while (brokers.length < 10) brokers.push(await PlayedBroker.open({ shared: brokers[0]! }));
    for (const broker of brokers) newFetcher(broker).add(new Partition(0));
    for (const broker of brokers) if (broker.waiting > 0) broker.nextFetch().answer({ sessionId: 77 });
    for (const broker of brokers) if (broker.waiting > 0) broker.nextFetch().answer({ sessionId: 77 });
    expect(brokers.map(({ waiting }) => waiting)).toEqual(brokers.map(() => 1));
  });

  test('are had by who wants more of them than others too', async () => {
    const { broker, fetcher } = await setUp(1, { bytesMax: 3 * REQUEST_BYTES });
    for (let offset = 0; fetcher.factor < 16; offset++) {
      const { asked, answer } = broker.nextFetch();
      await broker.clock.advance(80);
      const bytes = must(asked.positions[0]?.maxBytes, 'bytes') - 50;
      answer({ sessionId: 77, partitions: [{ topicId: TOPIC, partition: 0, records: records(offset, 1, bytes) }] });
    }
    const other = await PlayedBroker.open({ shared: broker });
    await setUp(1, { broker: other });
    broker.nextFetch().answer({ sessionId: 77 });
    broker.pool.charge(1.6 * REQUEST_BYTES);
    let answered = 0;
    for (let round = 0; round < 20; round++) {
      if (broker.waiting > 0) answered++;
      for (const each of [broker, other]) if (each.waiting > 0) each.nextFetch().answer({ sessionId: 77 });
    }
    expect(answered).toBeGreaterThan(5);
  });

  test('are given back once when a response is damaged', async () => {
    const { broker, partitions } = await setUp(1, { bytesMax: REQUEST_BYTES });
    const request = broker.take();
    broker.answer(request, Buffer.alloc(20, 0x7f));

    expect(partitions[0]!.losses).toMatchObject([{ failure: 'closed', definite: false }]);
    expect(broker.pool.reserve(REQUEST_BYTES)).toBe(true); // exactly what there is
    expect(broker.pool.reserve(1)).toBe(false);
    expect(broker.pool.bytesInUse).toBe(0);
  });
});

test('no request is sent while the broker asks for a pause', async () => {
  const { broker, fetcher } = await setUp(1);
  broker.nextFetch().answer({ sessionId: 77, throttleTimeMs: 800 });
  expect(broker.waiting).toBe(0);
  fetcher.wake();
  await broker.clock.advance(799);
  fetcher.wake();
  expect(broker.waiting).toBe(0);
  await broker.clock.advance(1);
  expect(broker.waiting).toBe(1);
});

describe('a lost connection', () => {
  test('reaches every partition exactly once, and who is added later at once', async () => {
    const { broker, fetcher } = await setUp(0);
    const partitions = [0, 1, 2].map((index) => new Partition(index));
    for (const partition of partitions) fetcher.add(partition);
    fetcher.remove(partitions[2]!);

    broker.peer.close(new Error('reset'));
    fetcher.wake();
    const late = new Partition(7);
    fetcher.add(late);

    expect(partitions.map(({ losses }) => losses.length)).toEqual([1, 1, 0]);
    expect(late.losses).toMatchObject([{ failure: 'closed' }]);
    expect([broker.clock.pending, broker.waiting]).toEqual([0, 1]); // the one request from before
  });

  test('comes with an answer that is over its deadline', async () => {
    const { broker, partitions } = await setUp(1);
    await broker.clock.advance(30_499);
    expect(partitions[0]!.losses).toEqual([]);
    await broker.clock.advance(2);
    expect(partitions[0]!.losses).toMatchObject([{ failure: 'timeout', definite: false }]);
  });

  test("is the broker's error where it refused the whole request, not our own close", async () => {
    const { broker, partitions } = await setUp(1);
    broker.nextFetch().answer({ errorCode: 999 });

    expect(partitions[0]!.losses).toMatchObject([{ code: 999, codeName: 'UNKNOWN_ERROR_CODE_999' }]);
    expect(partitions[0]!.losses[0]).toBeInstanceOf(BrokerError);
    expect(broker.connection.isOpen).toBe(false);
  });

  test('ends a pause', async () => {
    const { broker } = await setUp(1);
    broker.nextFetch().answer({ sessionId: 77, throttleTimeMs: 800 });
    broker.peer.close(null);
    expect(broker.clock.pending).toBe(0);
  });
});

test('a broker that does not speak our Fetch is named', async () => {
  const broker = await PlayedBroker.open({ apis: [[1, 4, 12]] });
  expect(() => newFetcher(broker)).toThrow(UnsupportedApiError);
  expect(() => newFetcher(broker)).toThrow('offers versions 4 to 12 of Fetch');
});
