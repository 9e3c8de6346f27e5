/** The producer on a real connection to a played broker, on a clock that stands still. */
import { describe, expect, test } from 'vitest';
import { PlayedBroker } from '#testing/played-broker.ts';
import { produceBody, readProduce, type ProduceAsked } from '#testing/broker-frames.ts';
import { type ConnectionError, UnsupportedApiError, WithheldError } from './errors.ts';
import type { ProduceResult } from './produce.ts';
import { Producer, type OutgoingBatch, type ProduceSubscriber } from './producer.ts';

interface Batch extends OutgoingBatch {
  readonly name: string;
}

/** A partition with batches to send, which notes what became of each. */
class Partition implements ProduceSubscriber<Batch> {
  readonly targetTopic: string;
  readonly partition: number;
  readonly queue: Batch[] = [];
  readonly outcomes: string[] = [];
  readonly lost: ConnectionError[] = [];
  sharesPartition = false;

  constructor(partition: number, targetTopic = 'orders') {
    this.partition = partition;
    this.targetTopic = targetTopic;
  }

  /** Batches with these names; their bytes are the name, repeated. */
  add(names: readonly string[], bytes = 10): this {
    for (const name of names)
      this.queue.push({ name, buffer: Buffer.alloc(bytes + 2, name), start: 1, end: bytes + 1 });
    return this;
  }

  takeBatch(): Batch | null {
    return this.queue.shift() ?? null;
  }

  onProduced(batch: Batch, result: ProduceResult): void {
    this.outcomes.push(`${batch.name} ${result.errorCode} @${result.baseOffset}`);
  }

  onProduceLost(batch: Batch, error: ConnectionError): void {
    this.outcomes.push(`${batch.name} lost ${error.failure} ${error.definite}`);
  }

  onProducerLost(error: ConnectionError): void {
    this.lost.push(error);
  }
}

async function setUp(
  partitions: readonly Partition[],
  requestBytesMax = 1_000_000,
): Promise<{ broker: PlayedBroker; producer: Producer }> {
  const broker = await PlayedBroker.open();
  const producer = new Producer({
    connection: broker.connection,
    clock: broker.clock,
    requestBytesMax,
    ackTimeoutMs: 20_000,
    requestTimeoutMs: 30_000,
    onStall: () => () => {},
  });
  for (const partition of partitions) producer.add(partition);
  producer.pump();
  return { broker, producer };
}

const numbered = (count: number, prefix = ''): string[] => Array.from({ length: count }, (_, i) => `${prefix}${i}`);

/** `partition:first character of the bytes` of each batch of a request. */
function contentsOf(asked: ProduceAsked): string[] {
  return asked.batches.map(({ partition, records }) => `${partition}:${records.toString('latin1')}`);
}

describe('requests', () => {
  test('carry at most one batch of each partition, whole, in the order of the partition', async () => {
    const a = new Partition(0).add(['a', 'b', 'c'], 3);
    const b = new Partition(1).add(['x'], 3);
    const c = new Partition(0, 'payments').add(['p'], 2000); // beyond what is copied into the request
    const { broker } = await setUp([a, b, c]);

    const first = broker.nextProduce().asked;
    expect([first.acks, first.timeoutMs]).toEqual([-1, 20_000]);
    expect(contentsOf(first).toSorted()).toEqual(['0:aaa', `0:${'p'.repeat(2000)}`, '1:xxx']);
    expect(contentsOf(broker.nextProduce().asked)).toEqual(['0:bbb']);
    expect(contentsOf(broker.nextProduce().asked)).toEqual(['0:ccc']);
    expect(broker.waiting).toBe(0);
  });

  test('name a partition once, also where two write to it', async () => {
    const [a, b] = [new Partition(0).add(['a', 'b'], 3), new Partition(0).add(['x', 'y'], 3)];
    a.sharesPartition = b.sharesPartition = true;
    const { broker } = await setUp([a, b]);

    const requests = numbered(4).map(() => broker.nextProduce());
    expect(requests.map(({ asked }) => contentsOf(asked).length)).toEqual([1, 1, 1, 1]);
    for (const [i, { answer }] of requests.entries()) answer([{ topic: 'orders', partition: 0, baseOffset: i }]);
    expect([...a.outcomes, ...b.outcomes].toSorted()).toEqual(['a 0 @0', 'b 0 @2', 'x 0 @1', 'y 0 @3']);
  });

  test('are at most five in flight; each answer lets the next one go', async () => {
    const partition = new Partition(0).add(numbered(8));
    const { broker } = await setUp([partition]);
    expect(broker.waiting).toBe(5);
    const requests = numbered(5).map(() => broker.nextProduce());

    requests[0]!.answer([{ topic: 'orders', partition: 0, baseOffset: 100 }]);

    expect(partition.outcomes).toEqual(['0 0 @100']);
    expect(broker.waiting).toBe(1);
    for (const request of requests.slice(1)) request.answer([{ topic: 'orders', partition: 0 }]);
    expect(broker.waiting).toBe(3); // 5, 6 and 7
  });

  test('are few over a slow way, so that the last is answered in time, and more again when answers come soon', async () => {
    const partition = new Partition(0).add(numbered(60), 300_000);
    const { broker } = await setUp([partition]);
    const answers: (() => void)[] = [];
    const take = (): number => {
      while (broker.waiting > 0) {
        const { answer } = broker.nextProduce();
        answers.push(() => answer([{ topic: 'orders', partition: 0 }]));
      }
      return answers.length;
    };
    const answerAfter = async (ms: number): Promise<number> => {
      await broker.clock.advance(ms);
      answers.shift()?.();
      return take();
    };
    const inFlight = [take()];
    for (const ms of [10, 10, 5_000, 5_000, 5_000, 5_000, 10, 10, 10, 10, 10, 10]) inFlight.push(await answerAfter(ms));
    expect(inFlight).toEqual([2, 4, 5, 4, 3, 2, 1, 1, 1, 1, 2, 4, 5]);
  });

  test('are closed at their size, and the partitions take turns', async () => {
    const partitions = [0, 1, 2].map((index) => new Partition(index).add(numbered(20, `${index}`), 600));
    const { broker } = await setUp(partitions, 1_000);
    const sent = [0, 0, 0];
    for (let i = 0; i < 15; i++) {
      const { asked, answer } = broker.nextProduce();
      expect(asked.batches).toHaveLength(2);
      for (const { partition } of asked.batches) sent[partition]!++;
      answer(asked.batches.map(({ topic, partition }) => ({ topic, partition })));
    }
    expect(sent).toEqual([10, 10, 10]);
  });

  test('take one batch that is larger than a request may be', async () => {
    const { broker } = await setUp([new Partition(0).add(['a'], 5_000)], 1_000);
    expect(broker.nextProduce().asked.batches[0]!.records).toHaveLength(5_000);
  });

  test('wait as long as the broker asks for', async () => {
    const partition = new Partition(0).add(['a']);
    const { broker, producer } = await setUp([partition]);
    broker.nextProduce().answer([{ topic: 'orders', partition: 0 }], 700);
    partition.add(['b']);
    producer.pump();
    await broker.clock.advance(699);
    producer.pump();
    expect(broker.waiting).toBe(0);
    await broker.clock.advance(1);
    expect(contentsOf(broker.nextProduce().asked)).toEqual(['0:bbbbbbbbbb']);
  });

  test('are not made for a partition that was removed', async () => {
    const partition = new Partition(0);
    const { broker, producer } = await setUp([partition]);
    producer.remove(partition);
    partition.add(['a']);
    producer.pump();
    expect(broker.waiting).toBe(0);
  });
});

describe('an answer', () => {
  test('finds its partition in any order, each with its own error, known or not', async () => {
    const a = new Partition(0).add(['a']);
    const b = new Partition(1).add(['b']);
    const c = new Partition(0, 'payments').add(['c']);
    const { broker } = await setUp([a, b, c]);

    broker.nextProduce().answer([
      { topic: 'payments', partition: 0, errorCode: 999 },
      { topic: 'orders', partition: 1, errorCode: 45 },
      { topic: 'orders', partition: 0, baseOffset: 7 },
    ]);

    expect([a.outcomes, b.outcomes, c.outcomes]).toEqual([['a 0 @7'], ['b 45 @-1'], ['c 999 @-1']]);
    expect(broker.connection.isOpen).toBe(true);
  });

  test('that leaves a partition out is damage: every batch of it is lost, none is told twice', async () => {
    const a = new Partition(0).add(['a', 'b']);
    const b = new Partition(1).add(['x']);
    const { broker } = await setUp([a, b]);

    broker.nextProduce().answer([{ topic: 'orders', partition: 0, baseOffset: 7 }]);

    expect(a.outcomes).toEqual(['a lost closed false', 'b lost closed false']);
    expect(b.outcomes).toEqual(['x lost closed false']);
    expect(broker.connection.isOpen).toBe(false);
    expect([a.lost, b.lost]).toMatchObject([[{ failure: 'closed' }], [{ failure: 'closed' }]]);
  });

  test('of damaged bytes loses every batch once', async () => {
    const a = new Partition(0).add(numbered(9));
    const { broker } = await setUp([a]);
    broker.answer(broker.take(), Buffer.alloc(12, 0x7f));
    expect(a.outcomes).toEqual(numbered(5).map((name) => `${name} lost closed false`));
    expect(a.queue).toHaveLength(4);
  });
});

describe('a batch of a transaction', () => {
  const place = { targetTopic: 'orders', partition: 3 };
  const batch = { buffer: Buffer.from('-batch-'), start: 1, end: 6 };

  test('goes alone, with its transactional id and the version in which its partition joins by it', async () => {
    const { broker, producer } = await setUp([new Partition(0).add(['a'])]);
    const result = producer.produceAlone('lockstep-é-0', place, batch);
    const plain = broker.nextProduce();
    expect(plain.asked.transactionalId).toBeNull();
    plain.answer([{ topic: 'orders', partition: 0, baseOffset: 0 }]);
    const request = broker.take();
    expect(request.apiVersion).toBe(12);
    const asked = readProduce(request.reader);
    expect([asked.transactionalId, asked.acks, contentsOf(asked)]).toEqual(['lockstep-é-0', -1, ['3:batch']]);
    broker.answer(request, produceBody([{ topic: 'orders', partition: 0, baseOffset: 1 }]));
    await expect(result).rejects.toThrow('no answer for orders/3');
  });

  test('is answered, refused or lost for its sender alone', async () => {
    const { broker, producer } = await setUp([]);
    const [first, second] = [1, 2].map(() => producer.produceAlone('id', place, batch));
    broker.nextProduce().answer([{ topic: 'orders', partition: 3, errorCode: 51 }]);
    await expect(first).resolves.toMatchObject({ errorCode: 51 });
    broker.peer.close(null);
    await expect(second).rejects.toMatchObject({ failure: 'closed', definite: false });
  });

  test('is withheld without leave', async () => {
    const { broker, producer } = await setUp([]);
    const permit = { isGiven: () => false, timeoutMs: 1_000 };
    await expect(producer.produceAlone('id', { ...place, permit }, batch)).rejects.toThrow(WithheldError);
    expect(broker.waiting).toBe(0);
  });
});

describe('a lost connection', () => {
  test('loses every batch in flight once, in order, and then tells everybody', async () => {
    const a = new Partition(0).add(numbered(7));
    const idle = new Partition(1);
    const { broker, producer } = await setUp([a, idle]);
    broker.nextProduce().answer([{ topic: 'orders', partition: 0, baseOffset: 0 }]);

    broker.peer.close(new Error('reset'));
    producer.pump();

    expect(a.outcomes).toEqual([
      '0 0 @0',
      ...numbered(6)
        .slice(1)
        .map((name) => `${name} lost closed false`),
    ]);
    expect(a.queue).toHaveLength(1);
    expect([a.lost.length, idle.lost.length]).toEqual([1, 1]);
    const late = new Partition(2);
    producer.add(late);
    expect(late.lost).toMatchObject([{ failure: 'closed' }]);
    expect(broker.clock.pending).toBe(0);
  });

  test('comes with an answer that is over its deadline', async () => {
    const a = new Partition(0).add(['a']);
    const { broker } = await setUp([a]);
    await broker.clock.advance(29_999);
    expect(a.outcomes).toEqual([]);
    await broker.clock.advance(2);
    expect(a.outcomes).toEqual(['a lost timeout false']);
    expect(a.lost).toHaveLength(1);
  });
});

test('a broker that speaks no Produce of ours is named', async () => {
  const broker = await PlayedBroker.open({ apis: [[0, 0, 8]] });
  const { connection, clock } = broker;
  const create = (): Producer =>
    new Producer({
      connection,
      clock,
      requestBytesMax: 1,
      ackTimeoutMs: 1,
      requestTimeoutMs: 1,
      onStall: () => () => {},
    });
  expect(create).toThrow(UnsupportedApiError);
  expect(create).toThrow('offers versions 0 to 8 of Produce');
});
