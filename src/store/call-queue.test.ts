import { expect, test } from 'vitest';
import { AppError } from '#contract/errors.ts';
import { ManualClock } from '#testing/manual-clock.ts';
import { must } from '#util/assert.ts';
import { createRandom } from '#util/random.ts';
import { CallQueue } from './call-queue.ts';
import type { Call } from './call.ts';
import { sizeOf } from './call-size.ts';
import { createLocalCaller } from './local-caller.ts';
import { openMigrated } from './location.ts';
import { storeError } from './trouble.ts';

/** A database that answers when it is told to. */
class SlowCaller {
  readonly asked: { readonly call: Call; resolve(answer: unknown): void; reject(error: Error): void }[] = [];
  isClosed = false;

  call(call: Call): Promise<unknown> {
    return new Promise((resolve, reject) => this.asked.push({ call, resolve, reject }));
  }

  close(): Promise<void> {
    this.isClosed = true;
    return Promise.resolve();
  }
}

const LIMITS = { bytesMax: 1000, concurrentMax: 2, deadlineMs: 5000, longDeadlineMs: 60_000 };

function aQueue() {
  const caller = new SlowCaller();
  const clock = new ManualClock();
  const queue = new CallQueue(caller, { clock, engine: 'sqlite', limits: LIMITS });
  const ask = (isRead = true, args: unknown[] = [], aggregate: Call['aggregate'] = 'users') => {
    const answer = queue.call({ aggregate, method: 'get', args, intent: null }, isRead);
    return answer.catch((error: unknown) => {
      if (!(error instanceof AppError)) throw error;
      return `${error.code} ${String(error.details['effect'])}`;
    });
  };
  const answer = (i: number, value: unknown) => must(caller.asked[i], 'call').resolve(value);
  return { caller, clock, queue, ask, answer };
}

test('so many calls are under way at a time, in their order', async () => {
  const { caller, ask, answer, queue } = aQueue();
  const answers = [1, 2, 3].map((i) => ask(true, [i]));
  expect(caller.asked.map(({ call }) => call.args)).toEqual([[1], [2]]);
  expect(queue.health().queue.calls).toBe(3);
  answer(1, 'b');
  expect(await answers[1]).toBe('b');
  answer(2, 'c');
  answer(0, 'a');
  expect(await Promise.all(answers)).toEqual(['a', 'b', 'c']);
  expect(queue.health()).toMatchObject({ state: 'ok', queue: { calls: 0, bytes: 0, oldestMs: null } });
});

test('what was given up while it waited was not done; what was under way may have been', async () => {
  const { caller, clock, ask, answer, queue } = aQueue();
  const [write, read, waiting] = [ask(false), ask(true), ask(false)];
  await clock.advance(5000);
  expect(await Promise.all([write, read, waiting])).toEqual([
    'STORE_UNAVAILABLE unknown',
    'STORE_UNAVAILABLE none',
    'STORE_UNAVAILABLE none',
  ]);
  expect(caller.asked).toHaveLength(2);
  expect(queue.health()).toMatchObject({ state: 'lost', queue: { calls: 2, oldestMs: 5000 } });
  answer(0, null); // late, and nobody hears it; but the store is back
  await clock.advance(0);
  expect(queue.health().state).toBe('ok');
});

test('while nothing under way is answered, new calls are refused at once', async () => {
  const { caller, clock, ask, answer, queue } = aQueue();
  const first = [ask(), ask()];
  await clock.advance(5001);
  expect(await ask()).toBe('STORE_UNAVAILABLE none');
  expect(queue.health().queue.refused).toBe(1);
  answer(0, 1);
  await Promise.all(first);
  void ask();
  expect(caller.asked).toHaveLength(3);
});

test('maintenance has longer', async () => {
  const { clock, ask, answer } = aQueue();
  const long = ask(false, [], 'maintenance');
  await clock.advance(59_000);
  answer(0, 'done');
  expect(await long).toBe('done');
});

test('more bytes than are allowed find no room, whether they wait or are under way', async () => {
  const { ask, answer, queue } = aQueue();
  const large = ask(false, ['x'.repeat(300)]);
  expect(await ask(false, ['x'.repeat(300)])).toBe('STORE_UNAVAILABLE none');
  expect(queue.health()).toMatchObject({ state: 'overloaded', queue: { refused: 1, calls: 1 } });
  answer(0, null);
  await large;
  expect(queue.health().queue.bytes).toBe(0);
  const again = ask(false, ['x'.repeat(300)]);
  answer(1, 'room');
  expect(await again).toBe('room');
  expect(queue.health().state).toBe('ok');
});

test('what the database meets is the state until a write succeeds', async () => {
  const { caller, ask, answer, queue } = aQueue();
  const write = ask(false);
  must(caller.asked[0], 'call').reject(storeError('locked', null, 'none'));
  expect(await write).toBe('STORE_UNAVAILABLE none');
  expect(queue.health().state).toBe('locked');
  const read = ask(true);
  answer(1, 1);
  await read;
  expect(queue.health().state).toBe('locked');
  const other = ask(false);
  must(caller.asked[2], 'call').reject(new AppError('RESOURCE_CONFLICT', 'no'));
  await other;
  expect(queue.health().state).toBe('locked');
  const good = ask(false);
  answer(3, 1);
  await good;
  expect(queue.health().state).toBe('ok');
});

test('closing waits for what is under way, and then gives up', async () => {
  const { caller, clock, ask, answer, queue } = aQueue();
  const calls = [ask(), ask(), ask()];
  const closed = queue.close(1000);
  expect(await ask()).toBe('STORE_UNAVAILABLE none');
  answer(0, 'a');
  await clock.advance(1000);
  await closed;
  expect(caller.isClosed).toBe(true);
  expect(await calls[0]).toBe('a');
  expect(queue.health().state).toBe('closed');
  // The third came to its turn when the first was answered; it and the second are the database's to end.
  expect(queue.health().queue.calls).toBe(2);
});

test('a size is about what a value takes', () => {
  expect(sizeOf('x'.repeat(1000))).toBeGreaterThanOrEqual(1000);
  expect(sizeOf([{ a: 'x'.repeat(500) }, [1, null, undefined, true]])).toBeGreaterThanOrEqual(500);
  expect(sizeOf(new Uint8Array(4096))).toBeGreaterThanOrEqual(4096);
});

test('a call that comes to a database that was closed meanwhile is told so', async () => {
  const clock = new ManualClock();
  const disk = { look: () => null, createAppendFile: () => Promise.reject(new Error('in memory')) };
  const database = await openMigrated({ engine: 'sqlite', path: ':memory:' }, disk);
  const options = { clock, random: createRandom(1), newId: () => 'id', patienceMs: 1000 };
  const caller = createLocalCaller(database, options);
  await database.close();
  const call = { aggregate: 'users', method: 'count', args: [], intent: null } as const;
  await expect(caller.call(call)).rejects.toMatchObject({ code: 'STORE_UNAVAILABLE' });
});
