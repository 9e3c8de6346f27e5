import { expect, test } from 'vitest';
import { ManualClock, settle } from '#testing/manual-clock.ts';
import { createRandom } from '#util/random.ts';
import { Delivery, type DeliveryOptions, type Reception } from './delivery.ts';

interface Scene {
  readonly clock: ManualClock;
  readonly delivery: Delivery<string>;
  readonly sent: string[][];
  readonly troubles: string[];
  /** What the receiver does next; without it, it takes everything. */
  answer: ((signal: AbortSignal) => Promise<Reception>) | null;
}

function scene(options: Partial<DeliveryOptions<string>> = {}): Scene {
  const clock = new ManualClock();
  const made: { -readonly [Key in keyof Scene]?: Scene[Key] } = { clock, sent: [], troubles: [], answer: null };
  const all = made as Scene;
  made.delivery = new Delivery<string>({
    receiver: 'splunk',
    clock,
    random: createRandom(1),
    queueBytesMax: 100,
    batchBytesMax: 30,
    itemsMax: 1000,
    deadlineMs: 10_000,
    async send(items, signal) {
      all.sent.push([...items]);
      return { reception: all.answer ? await all.answer(signal) : 'taken', why: 'status 500' };
    },
    onTrouble: (_, why) => void all.troubles.push(why),
    ...options,
  });
  return all;
}

/** Never answers, and ends with its signal as a request does. */
const hangs = (signal: AbortSignal): Promise<Reception> =>
  new Promise((_, reject) => signal.addEventListener('abort', () => reject(signal.reason as Error)));

test('items arrive in their order, in batches within the bound', async () => {
  const { delivery, sent } = scene();
  for (const item of ['a', 'b', 'c', 'd']) delivery.offer(item, 10);
  await settle();
  expect(sent).toEqual([['a'], ['b', 'c', 'd']]);
  expect(delivery.counts()).toEqual({ sent: 4, refused: 0, dropped: 0, failures: 0, queueBytes: 0 });
});

test('what comes within the linger goes together, and the end waits for it', async () => {
  const { clock, delivery, sent } = scene({ lingerMs: 1_000 });
  delivery.offer('a', 10);
  await clock.advance(999);
  delivery.offer('b', 10);
  expect(sent).toEqual([]);
  await clock.advance(1);
  expect(sent).toEqual([['a', 'b']]);
  delivery.offer('c', 10);
  const closing = delivery.close(2_000);
  await clock.advance(1_000);
  await closing;
  expect(sent).toEqual([['a', 'b'], ['c']]);
});

test('a receiver that hangs costs its queue, then the oldest items, and whoever offers never waits', async () => {
  const all = scene();
  const { clock, delivery } = all;
  all.answer = hangs;
  for (let i = 0; i < 1000; i++) delivery.offer(`${i}`, 10);
  expect(delivery.counts()).toMatchObject({ queueBytes: 100, dropped: 990 });
  await clock.advance(10_000);
  expect(all.troubles).toEqual(['no answer within 10 s']);
  all.answer = null;
  await clock.advance(60_000);
  expect(delivery.counts()).toMatchObject({ queueBytes: 0, dropped: 990, sent: 10 });
  expect(all.sent.at(-1)?.at(-1)).toBe('999');
});

test('a receiver that fails is asked again, less and less often, and told of once', async () => {
  const all = scene();
  all.answer = () => Promise.resolve('again');
  all.delivery.offer('a', 10);
  await all.clock.advance(600_000);
  const attempts = all.sent.length;
  expect(attempts).toBeGreaterThan(8);
  expect(attempts).toBeLessThan(30);
  expect(all.troubles).toEqual(['status 500']);
  expect(all.delivery.counts().failures).toBe(attempts);
  all.answer = null;
  await all.clock.advance(60_000);
  expect(all.delivery.counts()).toMatchObject({ sent: 1, dropped: 0 });
  all.answer = () => Promise.resolve('again');
  all.delivery.offer('b', 10);
  await settle();
  expect(all.troubles).toHaveLength(2);
});

test('what is refused for good is not sent again and holds nothing up', async () => {
  const all = scene({ batchBytesMax: 1 });
  all.answer = () => Promise.resolve('refused');
  all.delivery.offer('a', 10);
  await settle();
  all.answer = null;
  all.delivery.offer('b', 10);
  await settle();
  expect(all.sent).toEqual([['a'], ['b']]);
  expect(all.delivery.counts()).toMatchObject({ refused: 1, sent: 1 });
});

test('where only the newest counts, nothing older is sent behind it', async () => {
  const all = scene({ itemsMax: 1 });
  all.answer = () => Promise.resolve('again');
  all.delivery.offer('1', 10);
  await settle();
  all.delivery.offer('2', 10);
  all.delivery.offer('3', 10);
  all.answer = null;
  await all.clock.advance(60_000);
  expect(all.sent.at(-1)).toEqual(['3']);
  expect(all.delivery.counts()).toMatchObject({ sent: 1, dropped: 2, queueBytes: 0 });
});

test('the end waits for what is on its way, and not for a receiver that hangs', async () => {
  const all = scene();
  all.answer = hangs;
  all.delivery.offer('a', 10);
  const closed = all.delivery.close(2_000);
  await all.clock.advance(2_000);
  await closed;
  expect(all.delivery.counts()).toMatchObject({ dropped: 1, queueBytes: 0 });
  all.delivery.offer('b', 10);
  expect(all.delivery.counts()).toMatchObject({ dropped: 2, queueBytes: 0 });
  expect(all.clock.pending).toBe(0);
});

test('the end is at once where nothing is left', async () => {
  const all = scene();
  all.delivery.offer('a', 10);
  await all.delivery.close(2_000);
  expect(all.delivery.counts()).toMatchObject({ sent: 1, dropped: 0 });
  expect(all.clock.pending).toBe(0);
});
