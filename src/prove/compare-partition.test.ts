import { isDeepStrictEqual } from 'node:util';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import type { Difference } from '#contract/verification.ts';
import { BrokerError } from '#kafka/errors.ts';
import { FramePool } from '#kafka/frame.ts';
import { errorOf } from '#kafka/protocol/error-codes.ts';
import { BATCH_HEADER_BYTES, CRC_AT, baseOffsetOf, lastOffsetOf } from '#kafka/records/batch-header.ts';
import { crc32c } from '#kafka/records/crc32c.ts';
import { ManualClock } from '#testing/manual-clock.ts';
import { parseBatches } from '#testing/raw-batch.ts';
import { recordsArbitrary } from '#testing/record-batches.ts';
import {
  controlBatch,
  LOG_APPEND_TIME,
  sourceBatch,
  TRANSACTIONAL,
  type SourceBatch,
  type SourceRecord,
} from '#testing/source-batches.ts';
import type { ComparePolicy } from './compare-partition.ts';
import type { LogBounds, PartitionLog } from './log-side.ts';
import { compareLogs } from './compare-logs.ts';

const pool = new FramePool({ bytesMax: 16 * 1024 * 1024 });
const OFFSET_OUT_OF_RANGE = 1;

/** A log as a broker serves it: answers of a few batches, so that comparisons cross their boundaries. */
class PlantedLog implements PartitionLog {
  readonly batches: Buffer[];
  start = 0;
  end: number;
  readonly aborted: { producerId: number; firstOffset: number; lastOffset: number }[];
  perAnswer = 3;
  /** The last stable offset, where a transaction is open. */
  stable: number | null = null;
  /** Called before each answer. */
  onFetch: (offset: number) => void = () => {};

  constructor(batches: readonly Buffer[], aborted: PlantedLog['aborted'] = []) {
    this.batches = [...batches];
    this.aborted = [...aborted];
    const last = batches.at(-1);
    this.end = last ? lastOffsetOf(last, 0) + 1 : 0;
  }

  async bounds(): Promise<LogBounds> {
    return { start: this.start, stable: this.stable ?? this.end, end: this.end };
  }

  async fetch(offset: number) {
    this.onFetch(offset);
    if (offset < this.start || offset > this.end)
      throw new BrokerError(errorOf(OFFSET_OUT_OF_RANGE), 'Fetch', 'planted/0');
    const found = this.batches.filter((batch) => lastOffsetOf(batch, 0) >= offset).slice(0, this.perAnswer);
    const bytes = Buffer.concat(found);
    const last = found.at(-1);
    const frame = pool.take(bytes.length);
    bytes.copy(frame.buffer);
    return {
      frame,
      isThrottled: false,
      fetched: {
        topicId: 'id',
        partition: 0,
        errorCode: 0,
        highWatermark: this.end,
        lastStableOffset: this.end,
        logStartOffset: this.start,
        // As LogSegment.collectAbortedTxns: those that reach into the answer.
        aborted: this.aborted.filter(
          (each) => last && each.lastOffset >= offset && each.firstOffset <= lastOffsetOf(last, 0),
        ),
        diverging: null,
        start: 0,
        end: bytes.length,
      },
    };
  }
}

const plain: ComparePolicy = {
  transactions: 'committed-only',
  timestamps: 'append',
  class: 'content',
  isFull: false,
  cleaned: { source: false, target: false },
};

async function compare(
  source: PlantedLog,
  target: PlantedLog,
  options: Partial<ComparePolicy> & { from?: number; to?: number } = {},
) {
  const { from = null, to = null, ...policy } = options;
  const clock = new ManualClock();
  const signal = new AbortController().signal;
  let isDone = false;
  const compared = compareLogs(
    { source, target },
    { ...plain, ...policy },
    { clock, from, to, signal, running: new Set() },
  ).finally(() => (isDone = true));
  while (!isDone) await clock.advance(1_000);
  const result = await compared;
  expect(pool.bytesInUse, 'every frame is given back').toBe(0);
  return result;
}

const at = 1_700_000_000_000;
const record = (i: number, change: Partial<SourceRecord> = {}): SourceRecord => ({
  timestamp: at + i,
  key: Buffer.from(`key-${i}`),
  value: Buffer.from(`value of record ${i}`),
  headers: [
    { key: Buffer.from('trace'), value: Buffer.from(`t${i}`) },
    { key: Buffer.from('trace'), value: null },
  ],
  ...change,
});
const records = (count: number, first = 0): SourceRecord[] =>
  Array.from({ length: count }, (_, i) => record(first + i));

/** Batches of `size` records each, from offset `base` on. */
function log(
  all: readonly (SourceRecord | null)[],
  size: number,
  batch: Partial<SourceBatch> = {},
  base = 0,
): Buffer[] {
  const batches: Buffer[] = [];
  for (let i = 0; i < all.length; i += size)
    batches.push(sourceBatch({ baseOffset: base + i, records: all.slice(i, i + size), ...batch }));
  return batches;
}

const mirrored = { producerId: 4711, baseSequence: 7 } as const;

describe('what is the same', () => {
  test.each([
    ['byte for byte', {}, 10],
    ['in batches of other sizes', {}, 7],
    ['with another codec', { codec: 4 as const }, 10],
    ['one by one', { codec: 3 as const }, 1],
  ])('%s', async (_, batch: Partial<SourceBatch>, size) => {
    const source = new PlantedLog(log(records(100), 10));
    const target = new PlantedLog(log(records(100), size, { ...mirrored, ...batch }));
    const result = await compare(source, target);
    expect(result).toMatchObject({ verdict: 'identical', from: 0, provenThrough: 100, records: 100, lag: 0 });
    expect(result.source).toEqual({ control: 0, aborted: 0, absent: 0 });
    const bytes = source.batches.reduce((sum, each) => sum + each.length, 0);
    expect(result.bytes).toEqual(
      size === 10 && batch.codec === undefined ? { whole: bytes, byRecord: 0 } : { whole: 0, byRecord: bytes },
    );
  });

  test('a copy that is behind is proven as far as it goes', async () => {
    const result = await compare(new PlantedLog(log(records(50), 10)), new PlantedLog(log(records(33), 11, mirrored)));
    expect(result).toMatchObject({ verdict: 'identical', provenThrough: 33, records: 33, lag: 17 });
  });

  test('append times of the source as times of the records', async () => {
    const source = new PlantedLog(log(records(4), 2, { attributes: LOG_APPEND_TIME, maxTimestamp: at + 5000 }));
    const stamped = records(4).map((each) => ({ ...each, timestamp: at + 5000 }));
    expect(await compare(source, new PlantedLog(log(stamped, 4)))).toMatchObject({ verdict: 'identical', records: 4 });
    const producers = new PlantedLog(log(records(4), 2));
    expect((await compare(source, producers)).shown[0]).toMatchObject({ offset: 0, fields: ['timestamp'] });
    expect(await compare(source, producers, { timestamps: 'producer' })).toMatchObject({ verdict: 'identical' });
    expect(await compare(source, producers, { timestamps: 'target' })).toMatchObject({ verdict: 'identical' });
  });

  test('append times of the target are not those of the source, however equal the bytes are', async () => {
    const target = new PlantedLog(log(records(4), 2, { attributes: LOG_APPEND_TIME, maxTimestamp: at + 5000 }));
    const source = new PlantedLog(log(records(4), 2));
    expect((await compare(source, target)).shown[0]).toMatchObject({ offset: 0, fields: ['timestamp'] });
    expect(await compare(source, target, { timestamps: 'target' })).toMatchObject({ verdict: 'identical' });
  });

  test('an aborted and a committed transaction of one producer', async () => {
    const of = (base: number) =>
      sourceBatch({ baseOffset: base, records: records(2, base), producerId: 5, attributes: TRANSACTIONAL });
    const marker = (baseOffset: number, isCommit: boolean) => controlBatch({ baseOffset, producerId: 5, isCommit });
    const source = new PlantedLog(
      [of(0), marker(2, false), of(3), marker(5, true)],
      [{ producerId: 5, firstOffset: 0, lastOffset: 2 }],
    );
    source.perAnswer = 9;
    const holes = [0, 1, 2].map((offset) => marker(offset, false));
    const target = new PlantedLog([...holes, ...log(records(2, 3), 2, {}, 3), marker(5, false)]);
    expect(await compare(source, target)).toMatchObject({ verdict: 'identical', records: 2 });
  });

  test('control and aborted records of the source that are control records on the target', async () => {
    const [source, target] = transactional('committed-only');
    const result = await compare(source, target);
    expect(result).toMatchObject({ verdict: 'identical', provenThrough: 10, records: 4 });
    expect(result.source).toEqual({ control: 3, aborted: 3, absent: 0 });
    expect(result.target).toEqual({ control: 6, aborted: 0, absent: 0 });
  });

  test('transactions that are preserved, aborted records among them', async () => {
    const [source, target] = transactional('preserve');
    const result = await compare(source, target, { transactions: 'preserve' });
    expect(result).toMatchObject({ verdict: 'identical', records: 7, bytes: { byRecord: 0 } });
    expect(result.target).toEqual({ control: 3, aborted: 3, absent: 0 });
  });

  test('what an answer of one batch at a time shows', async () => {
    const [source, target] = transactional('committed-only');
    source.perAnswer = target.perAnswer = 1;
    expect(await compare(source, target)).toMatchObject({ verdict: 'identical', records: 4 });
  });

  test('what random batches, codecs and records make of it', async () => {
    await fc.assert(
      fc.asyncProperty(
        recordsArbitrary(60),
        fc.infiniteStream(fc.integer({ min: 1, max: 9 })),
        fc.nat({ max: 4 }),
        fc.nat(),
        async (all, sizes, codec, planted) => {
          const source = new PlantedLog(cut(all, sizes, 0));
          const copy = cut(all, sizes, codec);
          const same = await compare(source, new PlantedLog(copy));
          expect(same).toMatchObject({ verdict: 'identical', records: all.length, provenThrough: all.length });
          const offset = planted % all.length;
          const changed = all.map((each, i) => (i === offset ? { ...each, timestamp: each.timestamp + 1 } : each));
          const found = await compare(source, new PlantedLog(cut(changed, sizes, codec)));
          expect(found.shown.map((each) => [each.offset, each.fields])).toEqual([[offset, ['timestamp']]]);
          expect(found.provenThrough).toBe(offset);
        },
      ),
      { numRuns: 200 },
    );
  });
});

test('a byte that was changed in a log is found where a reader of it finds it, whatever it is', async () => {
  const all = records(20);
  const original = log(all, 5);
  let found = 0;
  await fc.assert(
    fc.asyncProperty(
      fc.nat({ max: 3 }),
      fc.nat(),
      fc.integer({ min: 1, max: 255 }),
      fc.nat(),
      async (index, position, flip, size) => {
        const changed = original.map((batch) => Buffer.from(batch));
        const batch = changed[index]!;
        const byte = BATCH_HEADER_BYTES + (position % (batch.length - BATCH_HEADER_BYTES));
        batch[byte] = batch[byte]! ^ flip;
        batch.writeUInt32BE(crc32c(batch.subarray(21)), 17);
        const expected = firstDifferent(all, changed);
        const result = await compare(new PlantedLog(log(all, 1 + (size % 7))), new PlantedLog(changed));
        if (expected !== null) found++;
        const isDamaged = expected === 'damaged';
        const told = [result.verdict, isDamaged ? expected : result.provenThrough];
        expect(told).toEqual(expected === null ? ['identical', all.length] : ['different', expected]);
      },
    ),
    { numRuns: 500 },
  );
  expect(found).toBeGreaterThan(300);
});

/** By the decoder of the tests, which shares nothing with the verifier's: an offset, null for none, or that it gave up. */
function firstDifferent(all: readonly SourceRecord[], changed: readonly Buffer[]): number | 'damaged' | null {
  try {
    const read = parseBatches(Buffer.concat(changed)).flatMap((batch) => [...batch.records()]);
    for (const [i, { timestamp, key, value, headers }] of all.entries()) {
      const one = read[i];
      const [mine, other] = [
        { offset: i, timestamp, key, value, headers: (headers ?? []).map((each) => [each.key, each.value]) },
        one && { offset: one.offset, timestamp: one.timestamp, key: one.key, value: one.value, headers: one.headers },
      ];
      if (!isDeepStrictEqual(mine, other)) return one && one.offset < i ? 'damaged' : i;
    }
    return null;
  } catch {
    return 'damaged';
  }
}

/** Cuts records into batches as the stream says, each compressed with `codec` or the next. */
function cut(all: readonly SourceRecord[], sizes: Iterable<number>, codec: number): Buffer[] {
  const next = sizes[Symbol.iterator]();
  const batches: Buffer[] = [];
  for (let base = 0; base < all.length;) {
    const size = next.next().value as number;
    const kind = ((codec + batches.length) % 5) as 0 | 1 | 2 | 3 | 4;
    batches.push(sourceBatch({ baseOffset: base, records: all.slice(base, base + size), codec: kind }));
    base += size;
  }
  return batches;
}

/** 0–1 plain, 2–3 producer 5 (committed, marker 4), 5–7 producer 6 (aborted, marker 8), 9 another marker. */
function transactional(mode: 'committed-only' | 'preserve'): [PlantedLog, PlantedLog] {
  const all = records(10);
  const batch = (base: number, end: number, producerId = -1) =>
    sourceBatch({
      baseOffset: base,
      records: all.slice(base, end),
      ...(producerId < 0 ? {} : { producerId, attributes: TRANSACTIONAL }),
    });
  const marker = (baseOffset: number, producerId: number, isCommit: boolean) =>
    controlBatch({ baseOffset, producerId, isCommit });
  const aborted = [{ producerId: 6, firstOffset: 5, lastOffset: 8 }];
  const source = [
    batch(0, 2),
    batch(2, 4, 5),
    marker(4, 5, true),
    batch(5, 8, 6),
    marker(8, 6, false),
    marker(9, 5, true),
  ];
  if (mode === 'preserve') return [new PlantedLog(source, aborted), new PlantedLog(source, aborted)];
  const holes = [4, 5, 6, 7, 8, 9].map((offset) => marker(offset, 99, false));
  return [new PlantedLog(source, aborted), new PlantedLog([batch(0, 4), ...holes])];
}

describe('what is planted is named', () => {
  const change = (offset: number, by: Partial<SourceRecord>) =>
    records(40).map((each, i) => (i === offset ? { ...each, ...by } : each));
  const without = (offset: number, count = 1) => records(40).toSpliced(offset, count);
  const swapped = records(40).with(20, record(21)).with(21, record(20));

  test.each<[string, SourceRecord[], Partial<Difference>]>([
    ['a byte in a key', change(17, { key: Buffer.from('kez-17') }), { kind: 'changed', offset: 17, fields: ['key'] }],
    ['a key that became null', change(17, { key: null }), { offset: 17, fields: ['key'] }],
    ['a byte in a value', change(39, { value: Buffer.from('value of record 38') }), { offset: 39, fields: ['value'] }],
    ['a null value that became empty', change(3, { value: Buffer.alloc(0) }), { offset: 3, fields: ['value'] }],
    [
      'a byte in a header',
      change(9, {
        headers: [
          { key: Buffer.from('trace'), value: Buffer.from('tX') },
          { key: Buffer.from('trace'), value: null },
        ],
      }),
      { offset: 9, fields: ['headers'] },
    ],
    [
      'headers in another order',
      change(9, { headers: record(9).headers!.toReversed() }),
      { offset: 9, fields: ['headers'] },
    ],
    [
      'one of two headers of a name',
      change(0, { headers: record(0).headers!.slice(0, 1) }),
      { offset: 0, fields: ['headers'] },
    ],
    ['a time', change(12, { timestamp: at + 13 }), { offset: 12, fields: ['timestamp'] }],
    ['a dropped record', without(14), { offset: 14, fields: ['timestamp', 'key', 'value', 'headers'] }],
    ['a dropped batch', without(10, 10), { offset: 10 }],
    ['a swapped pair', swapped, { offset: 20, fields: ['timestamp', 'key', 'value', 'headers'] }],
    ['a doubled record', records(40).toSpliced(30, 0, record(30)), { offset: 31 }],
    ['a topic created anew with other records', records(40, 1000), { offset: 0 }],
  ])('%s', async (_, planted, expected) => {
    for (const size of [10, 7]) {
      const result = await compare(
        new PlantedLog(log(records(41), 10)),
        new PlantedLog(log(planted.slice(0, 40), size)),
      );
      expect(result.verdict).toBe('different');
      expect(result.shown).toHaveLength(1);
      expect(result.shown[0]).toMatchObject(expected);
      expect(result.provenThrough).toBe(expected.offset);
    }
  });

  test('both copies are shown, in pieces around what differs', async () => {
    const long = (byte: number) => Buffer.alloc(5000, 'a').fill(byte, 4000, 4001);
    const [source, target] = [0x62, 0x01].map((byte) => new PlantedLog(log(change(5, { value: long(byte) }), 10)));
    const { shown } = await compare(source!, target!);
    const before = 'a'.repeat(16);
    expect(shown[0]?.source?.value).toMatchObject({ bytes: 5000, from: 3984, text: `${before}b${'a'.repeat(47)}` });
    expect(shown[0]?.target?.value).toMatchObject({ bytes: 5000, from: 3984, text: null });
    expect(shown[0]?.target?.value?.hex).toBe(Buffer.from(`${before}\u0001${'a'.repeat(47)}`).toString('hex'));
    expect(shown[0]?.source?.headers[1]).toEqual({
      key: { bytes: 5, from: 0, text: 'trace', hex: '7472616365' },
      value: null,
    });
  });

  test('an offset without a record on the target', async () => {
    const source = new PlantedLog(log(records(20), 10));
    const gap = new PlantedLog(log(records(20).map((each, i) => (i === 13 ? null : each)) as SourceRecord[], 10));
    expect((await compare(source, gap)).shown[0]).toMatchObject({ kind: 'missing', offset: 13, target: null });
    const filled = [
      ...log(records(13), 10),
      controlBatch({ baseOffset: 13, producerId: 9, isCommit: false }),
      ...log(records(6, 14), 6, {}, 14),
    ];
    const { shown } = await compare(source, new PlantedLog(filled));
    expect(shown[0]).toMatchObject({ kind: 'missing', offset: 13 });
    expect(shown[0]?.message).toContain('a control record');
  });

  test('a record in a hole', async () => {
    const [source, target] = transactional('committed-only');
    target.batches[2] = sourceBatch({ baseOffset: 5, records: [record(5)] });
    const { shown } = await compare(source, target);
    expect(shown[0]).toMatchObject({ kind: 'extra', offset: 5, source: null });
    expect(shown[0]?.message).toContain('one of an aborted transaction');
  });

  test('a record in a hole, of a transaction that was aborted on the target', async () => {
    const [source, target] = transactional('committed-only');
    target.batches[2] = sourceBatch({ baseOffset: 5, records: [record(5)], producerId: 8, attributes: TRANSACTIONAL });
    target.aborted.push({ producerId: 8, firstOffset: 5, lastOffset: 6 });
    expect((await compare(source, target)).shown[0]).toMatchObject({ kind: 'extra', offset: 5 });
  });

  test('a transaction that ended in another way', async () => {
    const [source, target] = transactional('preserve');
    target.aborted.pop();
    const { shown } = await compare(source, target, { transactions: 'preserve' });
    expect(shown[0]).toMatchObject({ kind: 'changed', offset: 5, fields: ['transaction'] });
  });

  test('what the target has behind the end of the source', async () => {
    const result = await compare(new PlantedLog(log(records(20), 10)), new PlantedLog(log(records(23), 10)));
    expect(result).toMatchObject({ verdict: 'different', provenThrough: 20, records: 20 });
    expect(result.shown[0]).toMatchObject({ kind: 'beyond', offset: 20 });
    expect(result.shown[0]?.target?.key?.text).toBe('key-20');
    const anew = await compare(new PlantedLog([]), new PlantedLog(log(records(23), 10)));
    expect(anew.shown[0]).toMatchObject({ kind: 'beyond', offset: 0 });
  });

  test('shifted offsets', async () => {
    const result = await compare(new PlantedLog(log(records(20), 10)), new PlantedLog(log(records(20), 10, {}, 1)));
    expect(result.shown[0]).toMatchObject({ kind: 'missing', offset: 0 });
  });

  test('bytes that their checksum does not fit, also where both sides are the same', async () => {
    const damaged = (): Buffer[] => {
      const batches = log(records(30), 10);
      batches[1]![batches[1]!.length - 1]! ^= 1;
      return batches;
    };
    const one = await compare(new PlantedLog(log(records(30), 10)), new PlantedLog(damaged()));
    expect(one.shown[0]).toMatchObject({ kind: 'damaged', offset: 10 });
    expect(one.shown[0]?.message).toContain('target');
    const both = await compare(new PlantedLog(damaged()), new PlantedLog(damaged()));
    expect(both.shown[0]).toMatchObject({ kind: 'damaged', offset: 10 });
    expect(both.unverified).toEqual([{ from: 10, to: 20, reason: 'a batch of the source is damaged' }]);
  });

  test.each(['source', 'target'] as const)(
    'a checksum of the %s that does not fit bytes that are right',
    async (side) => {
      const logs = { source: new PlantedLog(log(records(30), 10)), target: new PlantedLog(log(records(30), 10)) };
      logs[side].batches[1]![CRC_AT]! ^= 1;
      const { shown } = await compare(logs.source, logs.target);
      expect(shown[0]).toMatchObject({ kind: 'damaged', offset: 10 });
      expect(shown[0]?.message).toContain(`a batch of the ${side}`);
    },
  );

  test('another codec over the same bytes', async () => {
    const target = new PlantedLog(log(records(30), 10));
    const batch = target.batches[1]!;
    batch.writeInt16BE(4, 21);
    batch.writeUInt32BE(crc32c(batch.subarray(21)), CRC_AT);
    expect((await compare(new PlantedLog(log(records(30), 10)), target)).shown[0]).toMatchObject({
      kind: 'damaged',
      offset: 10,
    });
  });

  test('damage on the way is fetched again', async () => {
    const target = new PlantedLog(log(records(30), 10));
    const whole = target.batches[1]!;
    const broken = Buffer.from(whole);
    broken[broken.length - 1]! ^= 1;
    target.batches[1] = broken;
    let fetches = 0;
    target.onFetch = () => {
      if (++fetches > 1) target.batches[1] = whole;
    };
    expect(await compare(new PlantedLog(log(records(30), 10)), target)).toMatchObject({
      verdict: 'identical',
      records: 30,
    });
    expect(fetches).toBeGreaterThan(1);
  });

  test('every one of them with `full`', async () => {
    const planted = records(40).with(3, record(4)).with(25, record(4)).with(26, record(4));
    const result = await compare(new PlantedLog(log(records(40), 10)), new PlantedLog(log(planted, 8)), {
      isFull: true,
    });
    expect(result.shown.map(({ offset }) => offset)).toEqual([3, 25, 26]);
    expect(result).toMatchObject({ differences: 3, provenThrough: 3, records: 37 });
  });
});

describe('what is not looked at', () => {
  const source = () => new PlantedLog(log(records(40), 10));

  test('expired on one side is unverified, never the same', async () => {
    const expired = source();
    expired.start = 14;
    expired.batches.shift();
    const behind = await compare(source(), expired);
    expect(behind).toMatchObject({ verdict: 'unverified', from: 14, provenThrough: 40, records: 26 });
    expect(behind.unverified).toEqual([{ from: 0, to: 14, reason: "the target's log begins at offset 14" }]);
    const ahead = await compare(expired, source());
    expect(ahead.unverified).toEqual([{ from: 0, to: 14, reason: "the source's log begins at offset 14" }]);
    expect(ahead).toMatchObject({ verdict: 'unverified', records: 26 });
  });

  test('expired while it is read', async () => {
    const expiring = source();
    expiring.perAnswer = 1;
    expiring.onFetch = (offset) => {
      if (offset < 20) return;
      expiring.start = 33;
      expiring.batches.splice(0, 3);
      expiring.onFetch = () => {};
    };
    const result = await compare(source(), expiring);
    expect(result.unverified).toEqual([{ from: 20, to: 33, reason: 'target expired before it was read' }]);
    expect(result).toMatchObject({ verdict: 'unverified', records: 27, differences: 0 });
  });

  test('an empty target is unverified', async () => {
    expect(await compare(source(), new PlantedLog([]))).toMatchObject({ verdict: 'unverified', lag: 40, records: 0 });
    expect(await compare(new PlantedLog([]), new PlantedLog([]))).toMatchObject({ verdict: 'identical', lag: 0 });
  });

  test('what an open transaction on the target hides', async () => {
    const held = source();
    held.stable = 30;
    const result = await compare(source(), held);
    expect(result).toMatchObject({ verdict: 'unverified', provenThrough: 30, records: 30, lag: 10 });
    expect(result.unverified).toEqual([
      { from: 30, to: 40, reason: 'a transaction that is open on the target hides it' },
    ]);
  });

  test('a window behind both ends', async () => {
    expect(await compare(source(), source(), { from: 500 })).toMatchObject({
      verdict: 'unverified',
      provenThrough: null,
      unverified: [{ from: 500, to: 501, reason: 'both sides reach to offset 40 only' }],
    });
  });

  test('what stands behind a window counts for nothing', async () => {
    const gap = () =>
      new PlantedLog([...log(records(3), 3), controlBatch({ baseOffset: 6, producerId: 5, isCommit: true })]);
    expect((await compare(gap(), gap(), { to: 4 })).source).toEqual({ control: 0, aborted: 0, absent: 1 });
    const [from, to] = transactional('committed-only');
    const result = await compare(from, to, { from: 1, to: 7 });
    expect(result).toMatchObject({ verdict: 'identical', records: 3 });
    expect([result.source, result.target]).toEqual([
      { control: 1, aborted: 2, absent: 0 },
      { control: 3, aborted: 0, absent: 0 },
    ]);
  });

  test('a window', async () => {
    const planted = new PlantedLog(log(records(40).with(3, record(4)), 8));
    expect(await compare(source(), planted, { from: 4, to: 33 })).toMatchObject({
      verdict: 'identical',
      records: 29,
      from: 4,
      provenThrough: 33,
    });
    expect((await compare(source(), planted, { from: 3, to: 4 })).shown[0]).toMatchObject({ offset: 3 });
  });
});

describe('classes', () => {
  const source = () => new PlantedLog(log(records(40), 10));
  const digit = records(40).with(7, record(7, { value: Buffer.from('value of recorD 7') }));

  test('structure leaves out what values say, and looks at their size', async () => {
    expect(await compare(source(), new PlantedLog(log(digit, 8)), { class: 'structure' })).toMatchObject({
      verdict: 'identical',
    });
    const shorter = digit.with(7, record(7, { value: Buffer.from('v') }));
    expect((await compare(source(), new PlantedLog(log(shorter, 8)), { class: 'structure' })).shown[0]).toMatchObject({
      offset: 7,
      fields: ['value'],
    });
  });

  test('counts decompresses nothing and finds what is missing between two boundaries', async () => {
    expect(await compare(source(), new PlantedLog(log(digit, 8)), { class: 'counts' })).toMatchObject({
      verdict: 'identical',
      records: 40,
    });
    const gap = new PlantedLog(log(records(40).map((each, i) => (i === 13 ? null : each)) as SourceRecord[], 5));
    const { shown, verdict } = await compare(source(), gap, { class: 'counts' });
    expect(verdict).toBe('different');
    expect(shown[0]).toMatchObject({ kind: 'counts', offset: 10 });
    expect(shown[0]?.message).toBe('10 records on the source and 9 on the target in offsets 10 to 19');
    expect(
      await compare(source(), new PlantedLog(log(records(40), 7)), { class: 'counts', from: 3, to: 38 }),
    ).toMatchObject({ verdict: 'identical', records: 35 });
  });
});

describe('compacted topics', () => {
  const both = { cleaned: { source: true, target: true } };
  const keyed = (key: string, i: number, value: string | null = `v${i}`): SourceRecord =>
    record(i, { key: Buffer.from(key), value: value === null ? null : Buffer.from(value) });
  const history = ['a', 'b', 'a', 'c', 'b', 'a', 'd', 'c'].map((key, i) => keyed(key, i));
  const compacted = (...gone: number[]) => history.map((each, i) => (gone.includes(i) ? null : each));
  const logOf = (all: readonly (SourceRecord | null)[], size = 4) => new PlantedLog(log(all, size));

  test('a record that one side has compacted is accounted for by a later one of its key', async () => {
    const result = await compare(logOf(history), logOf(compacted(0, 1, 2, 3), 8), both);
    expect(result).toMatchObject({ verdict: 'identical', compacted: 4, records: 4, provenThrough: 8 });
    expect(await compare(logOf(compacted(0, 2)), logOf(history), both)).toMatchObject({
      verdict: 'identical',
      compacted: 2,
    });
  });

  test('one that has no later record is missing', async () => {
    const { shown } = await compare(logOf(history), logOf(compacted(1, 6)), both);
    expect(shown).toHaveLength(1);
    expect(shown[0]).toMatchObject({ kind: 'missing', offset: 6 });
    expect(shown[0]?.source?.key?.text).toBe('d');
    expect((await compare(logOf(compacted(7)), logOf(history), both)).shown[0]).toMatchObject({
      kind: 'extra',
      offset: 7,
    });
  });

  test('its later record may lie behind what the copy has', async () => {
    const later = logOf([...compacted(6), keyed('d', 8)]);
    expect(await compare(later, logOf(history), both)).toMatchObject({ verdict: 'identical', compacted: 1, lag: 1 });
  });

  test('a topic that is not compacted lacks nothing', async () => {
    expect((await compare(logOf(history), logOf(compacted(1)))).shown[0]).toMatchObject({ kind: 'missing', offset: 1 });
  });

  test('counts cannot judge them', async () => {
    const result = await compare(logOf(history), logOf(compacted(1)), { ...both, class: 'counts' });
    expect(result).toMatchObject({ verdict: 'unverified', differences: 0 });
    expect(result.unverified[0]).toMatchObject({ from: 0, to: 4 });
  });

  test('a deletion may be gone with what it deleted, not before it', async () => {
    const deleted = [...history, keyed('d', 8, null), keyed('e', 9)];
    const without = (...gone: number[]) => logOf(deleted.map((each, i) => (gone.includes(i) ? null : each)));
    expect(await compare(without(6, 8), logOf(deleted), both)).toMatchObject({ verdict: 'identical', compacted: 2 });
    const { shown } = await compare(logOf(deleted), without(8), both);
    expect(shown[0]).toMatchObject({ kind: 'missing', offset: 8 });
    expect(shown[0]?.message).toContain('an earlier record of the key');
  });

  test('what cannot be kept in mind is unverified', async () => {
    const result = await compare(logOf(history), logOf(compacted(0, 1, 2, 3)), { ...both, pendingMax: 1 });
    expect(result.verdict).toBe('unverified');
    expect(result.unverified[0]).toMatchObject({
      from: 1,
      reason: 'compaction took more keys than can be kept in mind',
    });
  });
});

test('base offsets of planted logs are those of a broker', () => {
  expect(log(records(20), 10).map((batch) => baseOffsetOf(batch, 0))).toEqual([0, 10]);
});
