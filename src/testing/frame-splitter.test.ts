import fc from 'fast-check';
import { expect, test } from 'vitest';
import { FrameSplitter } from './frame-splitter.ts';
import type { Piece } from './frame-splitter.ts';

/** A response frame: length, correlation id, filler. */
function frame(correlationId: number, bodyBytes: number): Buffer {
  const bytes = Buffer.alloc(8 + bodyBytes, correlationId);
  bytes.writeInt32BE(4 + bodyBytes);
  bytes.writeInt32BE(correlationId, 4);
  return bytes;
}

function splitter(): { splitter: FrameSplitter<number>; heads: number[] } {
  const heads: number[] = [];
  const readHead = (bytes: Buffer): number => {
    heads.push(bytes.readInt32BE(4));
    return bytes.readInt32BE(4);
  };
  return { splitter: new FrameSplitter('response', readHead), heads };
}

/** Cuts bytes at every place of a list. */
function chunksOf(bytes: Buffer, cuts: readonly number[]): Buffer[] {
  const places = [0, ...cuts.map((cut) => cut % (bytes.length + 1)).sort((a, b) => a - b), bytes.length];
  return places.slice(1).map((to, i) => bytes.subarray(places[i], to));
}

const frames = fc
  .array(fc.nat({ max: 60 }), { minLength: 1, maxLength: 12 })
  .map((sizes) => sizes.map((size, i) => frame(i + 1, size)));
const cuts = fc.array(fc.nat({ max: 2_000 }), { maxLength: 40 });

test('frames come out whole and in order, however they were cut', () => {
  fc.assert(
    fc.property(frames, cuts, (sent, places) => {
      const { splitter: cutter, heads } = splitter();
      const pieces = chunksOf(Buffer.concat(sent), places).flatMap((chunk) => cutter.collect(chunk));
      expect(pieces.map(({ bytes }) => bytes)).toEqual(sent);
      expect(pieces.map(({ head }) => head)).toEqual(sent.map((_, i) => i + 1));
      expect(heads).toEqual(sent.map((_, i) => i + 1));
      expect(cutter.isEmpty).toBe(true);
    }),
  );
});

test('no byte is lost or changed when frames are collected from some moment on, and followed again', () => {
  fc.assert(
    fc.property(frames, cuts, fc.infiniteStream(fc.boolean()), (sent, places, draws) => {
      const { splitter: cutter, heads } = splitter();
      const all = Buffer.concat(sent);
      const pieces: Piece<number>[] = [];
      for (const chunk of chunksOf(all, places)) {
        if (cutter.isEmpty && draws.next().value) {
          cutter.follow(chunk);
          pieces.push({ bytes: chunk, head: null });
        } else {
          pieces.push(...cutter.collect(chunk));
        }
      }
      expect(Buffer.concat(pieces.map(({ bytes }) => bytes))).toEqual(all);
      expect(heads).toEqual(sent.map((_, i) => i + 1));
      const whole = pieces.filter(({ head }) => head !== null);
      expect(whole.map(({ bytes }) => bytes)).toEqual(whole.map(({ head }) => sent[Number(head) - 1]));
    }),
  );
});

test('the rest of a frame that has begun to leave is not a frame', () => {
  const { splitter: cutter } = splitter();
  const [first, second] = [frame(1, 20), frame(2, 20)];
  cutter.follow(first.subarray(0, 10));
  const pieces = cutter.collect(Buffer.concat([first.subarray(10), second]));
  expect(pieces).toEqual([
    { bytes: first.subarray(10), head: null },
    { bytes: second, head: 2 },
  ]);
});

test('an incomplete frame is handed out when the stream has ended', () => {
  const { splitter: cutter } = splitter();
  expect(cutter.collect(frame(1, 20).subarray(0, 15))).toEqual([]);
  expect(cutter.rest()).toEqual([{ bytes: frame(1, 20).subarray(0, 15), head: null }]);
  expect(cutter.isEmpty).toBe(true);
});

test('encrypted bytes pass as they come', () => {
  const { splitter: cutter, heads } = splitter();
  const hello = Buffer.from('16030100c8010000c40303', 'hex');
  expect(cutter.collect(hello.subarray(0, 5))).toEqual([]);
  expect(Buffer.concat(cutter.collect(hello.subarray(5)).map(({ bytes }) => bytes))).toEqual(hello);
  expect(cutter.collect(frame(1, 3)).map(({ bytes, head }) => [bytes, head])).toEqual([[frame(1, 3), null]]);
  expect(heads).toEqual([]);
});
