import fc from 'fast-check';
import { expect, test } from 'vitest';
import { FramePool, type Frame } from './frame.ts';

const MIB = 1024 * 1024;

/** Each frame is filled with a number of its own, so that two that share a byte give each other away. */
function fill(frame: Frame, mark: number): void {
  frame.buffer.fill(mark, 0, frame.length);
}

function holds(frame: Frame, mark: number): boolean {
  return frame.buffer.subarray(0, frame.length).every((byte) => byte === mark);
}

test('frames never share a byte, whatever is taken and given back in which order', () => {
  const step = fc.record({ length: fc.nat(40_000), release: fc.nat(9) });
  fc.assert(
    fc.property(fc.array(step, { maxLength: 60 }), (steps) => {
      const pool = new FramePool({ bytesMax: 128 * 1024 }); // smaller than what is taken: several slabs, some dropped
      const held: { frame: Frame; mark: number }[] = [];
      for (const [index, { length, release }] of steps.entries()) {
        const frame = pool.take(length);
        expect(frame.length).toBe(length);
        expect(frame.buffer.length).toBeGreaterThanOrEqual(length);
        held.push({ frame, mark: index + 1 });
        fill(frame, index + 1);
        if (release < held.length) held.splice(release, 1)[0]?.frame.release();
      }
      for (const { frame, mark } of held) expect(holds(frame, mark)).toBe(true);
      for (const { frame } of held) frame.release();
      expect(pool.bytesInUse).toBe(0);
    }),
  );
});

test('room that was given back in any order becomes whole again and is used again', () => {
  const pool = new FramePool({ bytesMax: 4 * MIB });
  const frames = [MIB, MIB, MIB, MIB].map((length) => pool.take(length));
  const memory = frames[0]?.buffer.buffer;
  for (const index of [2, 0, 3, 1]) frames[index]?.release();

  const whole = pool.take(4 * MIB);

  expect(whole.buffer.buffer).toBe(memory);
});

test('copying for a long time allocates nothing new', () => {
  const pool = new FramePool({ bytesMax: 32 * MIB });
  const memories = new Set<ArrayBufferLike>();
  const held: Frame[] = [];
  for (let i = 0; i < 1_000; i++) {
    const frame = pool.take(Math.floor(((i * 7919) % 64) * 64 * 1024) + 1_000);
    memories.add(frame.buffer.buffer);
    held.push(frame);
    if (held.length > 7) held.shift()?.release(); // 7 × 4 MiB and the one that was just taken
  }
  expect(memories.size).toBeLessThanOrEqual(3);
});

test('a frame goes back only with its last release', () => {
  const pool = new FramePool({ bytesMax: MIB });
  const frame = pool.take(MIB);
  let freed = 0;
  pool.onFree(() => freed++);
  frame.retain();

  frame.release();
  expect([freed, pool.bytesInUse]).toEqual([0, MIB]);

  frame.release();
  expect([freed, pool.bytesInUse]).toEqual([1, 0]);
});

test('releasing once too often, or keeping what was given back, is a broken invariant', () => {
  const frame = new FramePool({ bytesMax: MIB }).take(10);
  frame.release();
  expect(() => frame.release()).toThrow('no more often than it was retained');
  expect(() => frame.retain()).toThrow('is not used any more');
});

test('reservations are bounded by what is out, but the first one always passes', () => {
  const pool = new FramePool({ bytesMax: 4 * MIB });
  expect(pool.reserve(8 * MIB)).toBe(true);
  expect(pool.reserve(1)).toBe(false);
  pool.unreserve(8 * MIB);
  const frame = pool.take(3 * MIB);
  expect(pool.reserve(2 * MIB)).toBe(false);
  expect(pool.reserve(MIB)).toBe(true);
  frame.release();
  expect(pool.reserve(3 * MIB)).toBe(true);
});

test('a response larger than the bound has memory of its own, which is not kept', () => {
  const pool = new FramePool({ bytesMax: MIB });
  const usual = pool.take(1_000);
  const large = pool.take(8 * MIB);
  const memory = large.buffer.buffer;
  large.release();
  const next = pool.take(8 * MIB);
  expect(next.buffer.buffer).not.toBe(memory);
  usual.release();
});

test('six holders that stand still one after the other take no more than seven times the bound, and leave it to the others', () => {
  const base = 4 * MIB;
  const pool = new FramePool({ bytesMax: base });
  const held: Frame[] = [];
  const ends: (() => void)[] = [];
  const fetch = (): boolean => {
    if (!pool.reserve(MIB)) return false;
    pool.unreserve(MIB);
    held.push(pool.take(MIB));
    return true;
  };
  for (let stalled = 0; stalled <= 6; stalled++) {
    while (fetch()); // all that the next holder can get
    expect(pool.bytesInUse).toBe(base * (stalled + 1));
    if (stalled < 6) ends.push(pool.extend());
  }

  for (const frame of held) frame.release();
  for (const end of ends) end();
  held.length = 0;
  while (fetch());
  expect(pool.bytesInUse).toBe(base);
});

test('room is raised by no more than what is in use', () => {
  const pool = new FramePool({ bytesMax: 4 * MIB });
  pool.take(MIB);
  pool.extend();
  expect(pool.reserve(4 * MIB)).toBe(true);
  expect(pool.reserve(1)).toBe(false);
});
