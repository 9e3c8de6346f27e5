import { expect, test } from 'vitest';
import { untilAborted } from './until-aborted.ts';

const never = new AbortController().signal;

test('is what the work comes to', async () => {
  expect(await untilAborted(Promise.resolve(7), never)).toBe(7);
  await expect(untilAborted(Promise.reject(new Error('no')), never)).rejects.toThrow('no');
});

test('is null at once when it is aborted, before or meanwhile, whatever becomes of the work', async () => {
  const abort = new AbortController();
  const work = Promise.withResolvers<number>();
  const waiting = untilAborted(work.promise, abort.signal);
  abort.abort();
  expect(await waiting).toBeNull();
  expect(await untilAborted(Promise.resolve(7), abort.signal)).toBeNull();
  work.reject(new Error('late, and nobody hears it'));
});
