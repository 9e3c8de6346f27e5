import { expect, test } from 'vitest';
import type { LogEnds } from './offsets.ts';
import { Goals } from './goals.ts';

const shard = (position: number | null, isCaughtUp = false, incident: unknown = null) => ({
  topic: 'orders',
  partition: 0,
  position,
  isCaughtUp,
  incident,
});

/** Answers one end after the other, and tells what is held. */
function goals(ends: (LogEnds | null)[], offset?: number) {
  const held: number[] = [];
  const lowered: [number, number][] = [];
  const made = new Goals({
    until: offset === undefined ? { kind: 'caught-up' } : { kind: 'offset', offset },
    readEnds: async (partitions) => partitions.map(() => ends.shift() ?? null),
    onHeld: (_, { offsets }) => held.push(offsets),
    onLowered: (_, { from, to }) => lowered.push([from, to]),
  });
  return { made, held, lowered };
}
const end = (stableOffset: number, highWatermark: number | null = stableOffset): LogEnds => ({
  stableOffset,
  highWatermark,
});

test('a goal is the stable end of the source when it is set, not a later one', async () => {
  const { made } = goals([end(10), end(99)]);
  const behind = shard(9);
  await made.set([behind]);
  await made.set([behind]);
  expect(made.areReached([behind])).toBe(false);
  behind.position = 10;
  expect(made.areReached([behind])).toBe(true);
});

test('an offset beyond the end asks for the end', async () => {
  const { made } = goals([end(10)], 1_000);
  const whole = shard(10);
  await made.set([whole]);
  expect(made.areReached([whole])).toBe(true);
});

test('a shard whose leader does not answer is asked again, and has not reached anything before', async () => {
  const { made } = goals([null, end(10)]);
  const whole = shard(10);
  await made.set([whole]);
  expect(made.areReached([whole])).toBe(false);
  await made.set([whole]);
  expect(made.areReached([whole])).toBe(true);
});

test('a goal beyond the end of the source is asked for anew once the shard is at that end', async () => {
  const { made, held, lowered } = goals([end(1_000_010), end(10, 12), end(10, 12)]);
  const moving = shard(5);
  await made.set([moving]);
  await made.set([moving]);
  moving.position = 10;
  expect(made.areReached([moving])).toBe(false);
  moving.isCaughtUp = true;
  await made.set([moving]);
  expect(made.areReached([moving])).toBe(true);
  expect(held).toEqual([]);
  expect(lowered).toEqual([[1_000_010, 10]]);
});

test('an end that a damaged answer puts too low does not end the run early', async () => {
  const { made, held } = goals([end(36, 100), end(100)]);
  const half = shard(36);
  await made.set([half]);
  expect(made.areReached([half])).toBe(false);
  half.position = 100;
  expect(made.areReached([half])).toBe(true);
  expect(held).toEqual([]);
});

test('an open transaction that holds a shard back is told once', async () => {
  const { made, held } = goals([end(10, 15), end(10, 15)]);
  await made.set([shard(0)]);
  expect(held).toEqual([5]);
});

test('a shard with an incident is not waited for', async () => {
  const { made } = goals([end(10)]);
  const stopped = shard(3, false, {});
  await made.set([stopped]);
  expect(made.areReached([stopped])).toBe(true);
});
