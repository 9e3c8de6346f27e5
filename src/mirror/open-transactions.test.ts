import { describe, expect, test } from 'vitest';
import { BrokerError } from '#kafka/errors.ts';
import { errorOf } from '#kafka/protocol/error-codes.ts';
import type { ListedTransaction } from '#kafka/transactions.ts';
import { ManualClock } from '#testing/manual-clock.ts';
import { OpenTransactions, type HeldPartition } from './open-transactions.ts';

const NOT_LEADER = 6;
const TOPIC_AUTHORIZATION_FAILED = 29;

class Scene {
  readonly clock = new ManualClock();
  readonly told: string[] = [];
  stable = 100;
  watermark = 130;
  listed: ListedTransaction[] = [{ transactionalId: 'payer', producerId: 7, status: 'Ongoing' }];
  failure: BrokerError | null = null;
  readonly #stopped = new AbortController();

  start(): this {
    const open = new OpenTransactions({
      clock: this.clock,
      partitions: (): HeldPartition[] => [
        { topic: 'ledger', partition: 3, sourceStableOffset: this.stable, sourceHighWatermark: this.watermark },
      ],
      producers: async () => {
        if (this.failure) throw this.failure;
        const idle = { producerEpoch: 0, lastSequence: 1, lastTimestamp: 0, coordinatorEpoch: 0 };
        return [
          { ...idle, producerId: 6, currentTxnStartOffset: -1 },
          { ...idle, producerId: 7, currentTxnStartOffset: this.stable },
        ];
      },
      transactions: async () => this.listed,
      onLong: (message) => void this.told.push(message),
    });
    void open.run(this.#stopped.signal);
    return this;
  }

  stop(): void {
    this.#stopped.abort();
  }
}

describe('a transaction of the source that is open for long', () => {
  test('is named once, with its producer and what waits behind it', async () => {
    const scene = new Scene().start();
    await scene.clock.advance(60_000);
    expect(scene.told).toEqual([]);
    await scene.clock.advance(120_000);
    expect(scene.told).toEqual([
      'ledger/3 of the source is held back since 60 s by a transaction that is open from offset 100 on, of producer id 7, transactional id "payer"; 30 offsets wait behind it',
    ]);
    scene.stop();
  });

  test('is another one where the stable offset has moved', async () => {
    const scene = new Scene().start();
    for (let i = 0; i < 6; i++) {
      await scene.clock.advance(30_000);
      scene.stable += 2;
    }
    expect(scene.told).toEqual([]);
    await scene.clock.advance(90_000);
    expect(scene.told).toHaveLength(1);
    scene.stop();
  });

  test.each([
    [
      'hangs where its coordinator has ended it',
      [{ transactionalId: 'payer', producerId: 7, status: 'CompleteAbort' }],
      'it hangs',
    ],
    ['may hang where no coordinator shows it', [], 'no coordinator shows us'],
  ])('%s', async (_, listed, text) => {
    const scene = new Scene();
    scene.listed = listed;
    scene.start();
    await scene.clock.advance(120_000);
    expect(scene.told.join()).toContain(text);
    scene.stop();
  });

  test('is asked for again after a failure that passes, and not where the right is missing', async () => {
    const scene = new Scene();
    scene.failure = new BrokerError(errorOf(NOT_LEADER), 'DescribeProducers', 'ledger/3');
    scene.start();
    await scene.clock.advance(120_000);
    scene.failure = null;
    await scene.clock.advance(30_000);
    expect(scene.told).toHaveLength(1);
    scene.stop();

    const denied = new Scene();
    denied.failure = new BrokerError(errorOf(TOPIC_AUTHORIZATION_FAILED), 'DescribeProducers', 'ledger/3');
    denied.start();
    await denied.clock.advance(120_000);
    denied.failure = null;
    await denied.clock.advance(120_000);
    expect(denied.told).toEqual([]);
    denied.stop();
  });
});
