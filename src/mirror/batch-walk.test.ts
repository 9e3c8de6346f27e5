/**
 * What the walk makes of fetched batches: row by row of the eligibility table (E1–E13), the cases of read_committed, and
 * any source log against a model of the target's log.
 */
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { assert } from '#util/assert.ts';
import { createRandom } from '#util/random.ts';
import { type Frame, FramePool } from '#kafka/frame.ts';
import type { FetchedPartition } from '#kafka/fetch.ts';
import { baseSequenceOf, codecOf, producerEpochOf, producerIdOf, type Codec } from '#kafka/records/batch-header.ts';
import { BatchWriter } from '#kafka/records/batch-writer.ts';
import { openBatch } from '#kafka/records/open-batch.ts';
import { resealed } from '#testing/fuzz/decoder-targets.ts';
import { ModelLog } from '#testing/model-log.ts';
import { recordsArbitrary } from '#testing/record-batches.ts';
import {
  CONTROL,
  controlBatch,
  DELETE_HORIZON,
  LOG_APPEND_TIME,
  sourceBatch,
  TRANSACTIONAL,
  type SourceBatch,
  type SourceRecord,
} from '#testing/source-batches.ts';
import {
  AbortedTransactions,
  BatchWalk,
  type Cursor,
  type DataItem,
  type WalkItem,
  type WalkPolicy,
  type WalkResult,
} from './batch-walk.ts';
import { RecordFilter } from './record-filter.ts';
import { ConditionError, type RecordCondition } from '#contract/record-condition.ts';

const OUR_PID = 4711;
const MARKER_PID = 4712;
const TIME = 1_700_000_000_000;
const seed = Number(process.env['SEED'] ?? Date.now() % 2 ** 31);

const policyDefaults: WalkPolicy = {
  transactions: 'committed-only',
  timestamps: 'append',
  producerId: OUR_PID,
  mergeBelowBytes: 0, // no merging unless a test wants it
  mergedBytesMax: 256 * 1024,
};

interface Walked extends WalkResult {
  readonly cursor: Cursor;
  readonly pool: FramePool;
  readonly data: DataItem[];
}

type Aborted = FetchedPartition['aborted'];

/** One walk over these batches, as one response; the cursor begins at `from`. */
function walk(
  batches: readonly Buffer[],
  options: {
    from?: number;
    sequence?: number;
    policy?: Partial<WalkPolicy>;
    batchBytesMax?: number;
    leaderEpoch?: number | null;
    aborted?: Aborted;
    lowerTo?: number;
  } = {},
): Walked {
  const pool = newPool();
  const walker = newWalk({ ...policyDefaults, ...options.policy }, options);
  if (options.lowerTo) walker.batchBytesMax = options.lowerTo;
  const cursor = { offset: options.from ?? 0, sequence: options.sequence ?? 0 };
  const { frame, fetched } = respond(pool, Buffer.concat(batches), options.aborted ?? []);
  const result = walker.walk(frame, fetched, cursor);
  frame.release();
  return { ...result, cursor, pool, data: result.items.filter((item) => item.kind === 'data') };
}

function newPool(): FramePool {
  return new FramePool({ bytesMax: 2 ** 30 });
}

function newWalk(policy: WalkPolicy, options: { batchBytesMax?: number; leaderEpoch?: number | null }): BatchWalk {
  return new BatchWalk(policy, {
    writer: new BatchWriter({ codec: 0, baseOffset: 0 }),
    batchBytesMax: options.batchBytesMax ?? 1_000_000,
    leaderEpoch: options.leaderEpoch === undefined ? 0 : options.leaderEpoch,
  });
}

/** A frame with these records behind some bytes of the response; retained once. */
function respond(pool: FramePool, records: Buffer, aborted: Aborted): { frame: Frame; fetched: FetchedPartition } {
  const start = 37;
  const frame = pool.take(start + records.length + 11);
  frame.buffer.fill(0xee, 0, frame.length);
  records.copy(frame.buffer, start);
  const fetched = {
    topicId: 'AAAAAAAAAAAAAAAAAAAAAQ',
    partition: 0,
    errorCode: 0,
    highWatermark: 0,
    lastStableOffset: Number.MAX_SAFE_INTEGER,
    logStartOffset: 0,
    aborted,
    diverging: null,
    start,
    end: start + records.length,
  };
  return { frame, fetched };
}

function record(text: string, timestamp = TIME): SourceRecord {
  return { timestamp, key: Buffer.from(`key ${text}`), value: Buffer.from(text) };
}

/** A dense batch of `count` records from `baseOffset`, each with a value that names its offset. */
function batch(baseOffset: number, count = 1, options: Partial<SourceBatch> = {}): Buffer {
  return sourceBatch({
    baseOffset,
    records: Array.from({ length: count }, (_, i) => record(`value ${baseOffset + i}`)),
    ...options,
  });
}

/** `data base+count reason` or `hole base+count`, in order. */
function shapeOf(items: readonly WalkItem[]): string[] {
  return items.map((item) => {
    const range = `${item.baseOffset}+${item.count}`;
    return item.kind === 'hole' ? `hole ${range}` : `data ${range} ${item.reason ?? 'passed'}`;
  });
}

/** What a target holds when it has taken the items; throws when it would refuse one or place it elsewhere. */
function appliedTo(log: ModelLog, items: readonly WalkItem[]): ModelLog {
  for (const item of items) {
    assert(
      item.baseOffset === log.end,
      `an item for offset ${item.baseOffset} comes when the target ends at ${log.end}`,
    );
    if (item.kind === 'hole') {
      assert(log.appendMarkers(MARKER_PID, 0, item.count) === 0, 'markers are taken');
      continue;
    }
    const { errorCode } = log.append(item.buffer.subarray(item.start, item.end));
    assert(errorCode === 0, `the batch for offset ${item.baseOffset} is answered with error ${errorCode}`);
    assert(log.end === item.baseOffset + item.count, `the batch for offset ${item.baseOffset} lands there`);
    item.frame?.release();
  }
  return log;
}

function valuesOf(items: readonly WalkItem[], from = 0): string[] {
  const log = new ModelLog();
  log.end = from;
  return appliedTo(log, items)
    .records()
    .map(({ offset, value }) => `${offset}: ${value?.toString()}`);
}

describe('eligibility', () => {
  test('E1 passes format 2 through, and stops at an older one', () => {
    expect(shapeOf(walk([batch(0, 2)]).items)).toEqual(['data 0+2 passed']);
    const old = batch(2);
    old[16] = 1;

    const { items, stop, cursor } = walk([batch(0, 2), old]);

    expect(shapeOf(items)).toEqual(['data 0+2 passed']);
    expect(stop).toMatchObject({ kind: 'damaged', offset: 2 });
    expect(stop?.kind === 'damaged' && stop.error.message).toContain('magic 1');
    expect(cursor.offset).toBe(2);
  });

  test('E2 leaves a cut last batch to the next fetch', () => {
    const { items, cursor, largestBatchBytes } = walk([batch(0, 2), batch(2, 9).subarray(0, 90)]);

    expect(shapeOf(items)).toEqual(['data 0+2 passed']);
    expect(cursor.offset).toBe(2);
    expect(largestBatchBytes).toBe(batch(0, 2).length);
    expect(shapeOf(walk([batch(0, 2).subarray(0, 12)]).items)).toEqual([]);
  });

  test('E2 trims a first batch that begins before the position, and skips one that ends before it', () => {
    const { items, cursor } = walk([batch(0, 3), batch(3, 4), batch(7)], { from: 5, sequence: 50 });

    expect(shapeOf(items)).toEqual(['data 5+2 trimmed', 'data 7+1 passed']);
    expect(cursor).toEqual({ offset: 8, sequence: 53 });
    expect(valuesOf(items, 5)).toEqual(['5: value 5', '6: value 6', '7: value 7']);
  });

  test('E3 makes a hole of a control batch', () => {
    const { items } = walk([batch(0), controlBatch({ baseOffset: 1, producerId: 9, isCommit: true }), batch(2)]);
    expect(shapeOf(items)).toEqual(['data 0+1 passed', 'hole 1+1', 'data 2+1 passed']);
  });

  test('E4 makes a hole of a batch that compaction has emptied', () => {
    const { items, data } = walk([
      sourceBatch({ baseOffset: 0, records: [null, null, null], producerId: 9 }),
      batch(3),
    ]);
    expect(shapeOf(items)).toEqual(['hole 0+3', 'data 3+1 passed']);
    expect(sequencesOf(data)).toEqual([0]); // a control record takes an offset but no sequence
  });

  test('E5 cuts a batch with inner gaps into dense runs with holes between and behind', () => {
    const records = [null, record('1'), record('2'), null, null, record('5'), null];

    const { items, data, cursor } = walk([sourceBatch({ baseOffset: 0, records }), batch(7)]);

    expect(shapeOf(items)).toEqual([
      'hole 0+1',
      'data 1+2 gaps',
      'hole 3+2',
      'data 5+1 gaps',
      'hole 6+1',
      'data 7+1 passed',
    ]);
    expect(sequencesOf(data)).toEqual([0, 2, 3]);
    expect(cursor).toEqual({ offset: 8, sequence: 4 });
    expect(data.map(({ sourceBytes }) => sourceBytes)).toEqual([
      sourceBatch({ baseOffset: 0, records }).length,
      0,
      batch(7).length,
    ]);
    expect(valuesOf(items)).toEqual(['1: 1', '2: 2', '5: 5', '7: value 7']);
  });

  test('E6 makes a hole of an aborted batch, and passes a committed one', () => {
    const aborted = [{ producerId: 7, firstOffset: 2 }];
    const { items } = walk(
      [
        batch(0, 2, { producerId: 8, attributes: TRANSACTIONAL }),
        batch(2, 2, { producerId: 7, attributes: TRANSACTIONAL }),
        controlBatch({ baseOffset: 4, producerId: 7, isCommit: false }),
        controlBatch({ baseOffset: 5, producerId: 8, isCommit: true }),
      ],
      { aborted },
    );
    expect(shapeOf(items)).toEqual(['data 0+2 passed', 'hole 2+4']);
  });

  test('E7 and E9 clear the transactional bit and the delete horizon, and keep the times of the records', () => {
    const attributes = TRANSACTIONAL | DELETE_HORIZON;
    const records = [record('0', TIME), record('1', TIME + 5)];
    const { items } = walk([
      sourceBatch({ baseOffset: 0, records, attributes, baseTimestamp: TIME + 99, producerId: 7 }),
    ]);

    expect(shapeOf(items)).toEqual(['data 0+2 passed']);
    const log = appliedTo(new ModelLog(), items); // which refuses either bit
    expect(log.records().map(({ timestamp }) => timestamp)).toEqual([TIME, TIME + 5]);
  });

  test.each([
    ['append', 'append-time', [TIME + 100, TIME + 100]],
    ['producer', null, [TIME, TIME + 5]],
    ['target', null, [TIME, TIME + 5]],
  ] as const)('E8 takes the times of a LogAppendTime batch under "%s"', (timestamps, reason, expected) => {
    const records = [record('0', TIME), record('1', TIME + 5)];
    const source = sourceBatch({ baseOffset: 0, records, attributes: LOG_APPEND_TIME, maxTimestamp: TIME + 100 });

    const { items, data } = walk([source], { policy: { timestamps } });

    expect(data.map((item) => item.reason)).toEqual([reason]);
    expect(
      appliedTo(new ModelLog(), items)
        .records()
        .map(({ timestamp }) => timestamp),
    ).toEqual(expected);
    expect(walk([batch(0)], { policy: { timestamps } }).data[0]?.reason).toBeNull();
  });

  test.each(['append', 'producer', 'target'] as const)(
    'E8 takes the same times when a LogAppendTime batch is trimmed or merged under "%s"',
    (timestamps) => {
      const small = (baseOffset: number): Buffer =>
        sourceBatch({
          baseOffset,
          records: [record(`${baseOffset}`, TIME), record(`${baseOffset + 1}`, TIME + 5)],
          attributes: LOG_APPEND_TIME,
          maxTimestamp: TIME + 100 + baseOffset,
        });
      const policy = { timestamps, mergeBelowBytes: 8192 };

      const { items } = walk([small(0), small(2), small(4)], { from: 1, policy });

      expect(shapeOf(items)).toEqual([
        'data 1+1 trimmed',
        `data 2+4 ${timestamps === 'append' ? 'append-time' : 'merged'}`,
      ]);
      const log = new ModelLog();
      log.end = 1;
      const times = appliedTo(log, items)
        .records()
        .map(({ timestamp }) => timestamp - TIME);
      expect(times).toEqual(timestamps === 'append' ? [100, 102, 102, 104, 104] : [5, 0, 5, 0, 5]);
    },
  );

  test('E10 splits a batch above the limit of the target into batches below it', () => {
    const records = Array.from({ length: 10 }, (_, i) => ({
      timestamp: TIME + i,
      key: null,
      value: Buffer.alloc(300, i),
    }));
    const source = sourceBatch({ baseOffset: 0, records });

    const { items, data, stop } = walk([source, batch(10)], { batchBytesMax: 1000 });

    expect(stop).toBeNull();
    expect(data.slice(0, -1).every((item) => item.reason === 'split' && item.end - item.start <= 1000)).toBe(true);
    expect(data.at(-1)?.reason).toBeNull();
    expect(valuesOf(items)).toHaveLength(11);
    expect(shapeOf(walk([source], { batchBytesMax: source.length }).items)).toEqual(['data 0+10 passed']);
  });

  test('E10 stops at one record that does not fit, with everything before it among the items', () => {
    const records = [record('0'), { timestamp: TIME, key: null, value: Buffer.alloc(5000, 'x') }, record('2')];

    const { items, stop, cursor } = walk([sourceBatch({ baseOffset: 0, records }), batch(3)], { batchBytesMax: 1000 });

    expect(shapeOf(items)).toEqual(['data 0+1 split']);
    expect(stop).toMatchObject({ kind: 'too-large', offset: 1 });
    expect(stop?.kind === 'too-large' && stop.bytes).toBeGreaterThan(5000);
    expect(cursor).toEqual({ offset: 1, sequence: 1 });
  });

  test('E10 offers one record above a guessed limit, as long as the topic has not said that it is too large', () => {
    const records = [
      { timestamp: TIME, key: null, value: Buffer.alloc(600) },
      { timestamp: TIME, key: null, value: Buffer.alloc(600) },
    ];

    const { items, stop } = walk([sourceBatch({ baseOffset: 0, records })], { batchBytesMax: 1000, lowerTo: 500 });

    expect(stop).toBeNull();
    expect(shapeOf(items)).toEqual(['data 0+1 split', 'data 1+1 split']);
  });

  test.each([0, 1, 2, 3, 4] as const)('E11 keeps codec %i, passed through, merged and cut', (codec) => {
    const policy = { mergeBelowBytes: 200 };
    const gaps = sourceBatch({ baseOffset: 2, records: [record('2'), null, record('4')], codec });
    const big = batch(5, 40, {
      codec: codec,
      records: Array.from({ length: 40 }, (_, i) => record(`${i * 7919 ** 2}`)),
    });

    const { items, data } = walk([batch(0, 1, { codec }), batch(1, 1, { codec }), gaps, big], { policy });

    expect(shapeOf(items)).toEqual([
      'data 0+2 merged',
      'data 2+1 gaps',
      'hole 3+1',
      'data 4+1 gaps',
      'data 5+40 passed',
    ]);
    expect(data.map((item) => codecOf(item.buffer, item.start))).toEqual([codec, codec, codec, codec]);
    expect(valuesOf(items)).toHaveLength(44);
  });

  test('E12 sets our own producer, epoch 0 and the sequence, and nothing else of the records', () => {
    const source = batch(0, 3, { producerId: 99, baseSequence: 1234 });
    const { data } = walk([source], { sequence: 70 });
    const { buffer, start, end } = data[0]!;

    expect([producerIdOf(buffer, start), producerEpochOf(buffer, start), baseSequenceOf(buffer, start)]).toEqual([
      OUR_PID,
      0,
      70,
    ]);
    expect(buffer.subarray(start + 61, end).equals(source.subarray(61))).toBe(true);
    const bare = walk([source], { policy: { producerId: -1 } }).data[0]!;
    expect([producerIdOf(bare.buffer, bare.start), baseSequenceOf(bare.buffer, bare.start)]).toEqual([-1, -1]);
  });

  test('E13 merges small neighbours, and passes a lone one and large ones', () => {
    const policy = { mergeBelowBytes: 200, mergedBytesMax: 3.5 * batch(0).length };
    const large = batch(3, 1, { records: [{ timestamp: TIME, key: null, value: Buffer.alloc(300) }] });

    const { items, data } = walk([batch(0), batch(1), batch(2), large, batch(4), large4(5), batch(6)], { policy });

    expect(shapeOf(items)).toEqual([
      'data 0+3 merged',
      'data 3+1 passed',
      'data 4+1 passed',
      'data 5+1 passed',
      'data 6+1 passed',
    ]);
    expect(sequencesOf(data)).toEqual([0, 3, 4, 5, 6]);
    expect(data[0]?.sourceBytes).toBe(3 * batch(0).length);
    expect(shapeOf(walk([batch(0), batch(1), batch(2), batch(3)], { policy }).items)).toEqual([
      'data 0+3 merged',
      'data 3+1 passed',
    ]);
  });

  test('E13 merges neither over a change of codec nor over a hole nor into more than the target takes', () => {
    const policy = { mergeBelowBytes: 200 };
    expect(
      shapeOf(
        walk([batch(0), batch(1, 1, { codec: 1 }), batch(2, 1, { codec: 1 }), batch(5), batch(6)], { policy }).items,
      ),
    ).toEqual(['data 0+1 passed', 'data 1+2 merged', 'hole 3+2', 'data 5+2 merged']);
    const two = walk([batch(0), batch(1), batch(2)], { policy, batchBytesMax: 2 * batch(0).length });
    expect(shapeOf(two.items)).toEqual(['data 0+2 merged', 'data 2+1 passed']);
  });
});

function large4(baseOffset: number): Buffer {
  return batch(baseOffset, 1, { records: [{ timestamp: TIME, key: null, value: Buffer.alloc(300) }] });
}

function sequencesOf(data: readonly DataItem[]): number[] {
  return data.map(({ buffer, start }) => baseSequenceOf(buffer, start));
}

describe('read_committed', () => {
  const data = (baseOffset: number, producerId: number, count = 1): Buffer =>
    batch(baseOffset, count, { producerId, attributes: TRANSACTIONAL });
  const commit = (baseOffset: number, producerId: number): Buffer =>
    controlBatch({ baseOffset, producerId, isCommit: true });
  const abort = (baseOffset: number, producerId: number): Buffer =>
    controlBatch({ baseOffset, producerId, isCommit: false });
  const visible = (batches: readonly Buffer[], aborted: Aborted, from = 0): number[] =>
    walk(batches, { aborted, from }).data.flatMap((item) =>
      Array.from({ length: item.count }, (_, i) => item.baseOffset + i),
    );

  test('two aborted transactions of one producer in one response', () => {
    const log = [
      data(0, 7),
      data(1, 7),
      abort(2, 7),
      data(3, 7),
      commit(4, 7),
      data(5, 7),
      abort(6, 7),
      data(7, 7),
      commit(8, 7),
    ];
    expect(
      visible(log, [
        { producerId: 7, firstOffset: 0 },
        { producerId: 7, firstOffset: 5 },
      ]),
    ).toEqual([3, 7]);
  });

  test('an abort marker beyond the fetched bytes', () => {
    expect(visible([data(0, 7), data(1, 7)], [{ producerId: 7, firstOffset: 0 }])).toEqual([]);
  });

  test('commits and aborts of several producers interleaved, listed in the order of their markers', () => {
    const log = [
      data(0, 1),
      data(1, 2),
      data(2, 3),
      batch(3),
      abort(4, 2),
      data(5, 1),
      data(6, 2),
      commit(7, 1),
      abort(8, 3),
      data(9, 3),
      commit(10, 2),
      commit(11, 3),
    ];
    expect(
      visible(log, [
        { producerId: 2, firstOffset: 1 },
        { producerId: 3, firstOffset: 2 },
      ]),
    ).toEqual([0, 3, 5, 6, 9]);
  });

  test('an aborted range that starts before the fetch position', () => {
    const log = [data(10, 7), abort(11, 7), data(12, 7), commit(13, 7)];
    expect(visible(log, [{ producerId: 7, firstOffset: 3 }], 10)).toEqual([12]);
  });

  test('a marker that compaction has removed, with its index entry', () => {
    expect(visible([data(5, 7), commit(6, 7)], [])).toEqual([5]);
  });

  test('a batch outside of any transaction of a producer with an aborted one', () => {
    const log = [data(0, 7), batch(1, 1, { producerId: 7 }), abort(2, 7)];
    expect(visible(log, [{ producerId: 7, firstOffset: 0 }])).toEqual([1]);
  });

  test('an aborted transaction whose batches were compacted away, before a committed one of the same producer', () => {
    expect(visible([abort(4, 7), data(5, 7), commit(6, 7)], [{ producerId: 7, firstOffset: 2 }])).toEqual([5]);
    // Also where the listed range begins behind the marker's own batch of another producer.
    expect(visible([batch(3), abort(4, 7), data(5, 7)], [{ producerId: 7, firstOffset: 1 }])).toEqual([3, 5]);
  });

  describe('under preserve', () => {
    const policy = { transactions: 'preserve' } as const;

    test('batches keep their transaction, aborted ones too, and a marker says what it ends', () => {
      const {
        items,
        stop,
        data: copied,
      } = walk([batch(0, 2), data(2, 7), data(3, 8), abort(4, 7), commit(5, 8), batch(6)], {
        policy,
        aborted: [{ producerId: 7, firstOffset: 2 }],
      });
      expect(stop).toBeNull();
      expect(copied.map(({ baseOffset, transaction }) => [baseOffset, transaction?.producerId])).toEqual([
        [0, undefined],
        [2, 7],
        [3, 8],
        [6, undefined],
      ]);
      expect(items.filter((item) => item.kind === 'hole')).toEqual([
        { kind: 'hole', baseOffset: 4, count: 1, ends: { producerId: 7, isCommit: false } },
        { kind: 'hole', baseOffset: 5, count: 1, ends: { producerId: 8, isCommit: true } },
      ]);
      expect(copied.map((item) => openBatch(item.buffer.subarray(item.start, item.end), 0).attributes)).toEqual([
        0,
        TRANSACTIONAL,
        TRANSACTIONAL,
        0,
      ]);
    });

    test('records of transactions take no sequence of the plain ones', () => {
      const { data: copied, cursor } = walk([batch(0, 2), data(2, 7), commit(3, 7), batch(4, 3)], {
        policy,
        sequence: 10,
      });
      expect(baseSequenceOf(copied[2]!.buffer, copied[2]!.start)).toBe(12);
      expect(cursor).toEqual({ offset: 7, sequence: 15 });
    });

    test('small neighbours are merged within their transaction only', () => {
      const { data: copied } = walk([data(0, 7), data(1, 7), data(2, 8), batch(3), batch(4)], {
        policy: { ...policy, mergeBelowBytes: 4096 },
      });
      expect(copied.map(({ baseOffset, count, transaction }) => [baseOffset, count, transaction?.producerId])).toEqual([
        [0, 2, 7],
        [2, 1, 8],
        [3, 2, undefined],
      ]);
      const merged = openBatch(copied[0]!.buffer.subarray(copied[0]!.start, copied[0]!.end), 0);
      expect(merged.attributes).toBe(TRANSACTIONAL);
    });

    test('what compaction left of a transaction is cut, and emptied batches are holes', () => {
      const compacted = sourceBatch({
        baseOffset: 0,
        records: [record('0'), null, record('2')],
        attributes: TRANSACTIONAL,
        producerId: 7,
      });
      const emptied = sourceBatch({ baseOffset: 3, records: [null, null], attributes: TRANSACTIONAL, producerId: 8 });
      const { items } = walk([compacted, emptied, commit(5, 8), commit(6, 7)], { policy });
      expect(shapeOf(items)).toEqual([
        'data 0+1 gaps',
        'hole 1+1',
        'data 2+1 gaps',
        'hole 3+2',
        'hole 5+1',
        'hole 6+1',
      ]);
      expect(items.flatMap((item) => (item.kind === 'data' ? [item.transaction?.producerId] : []))).toEqual([7, 7]);
    });

    test('a record of a transaction that is too large is taken back without a sequence', () => {
      const large = sourceBatch({
        baseOffset: 0,
        records: [{ ...record('x'), value: Buffer.alloc(5_000, 1) }],
        attributes: TRANSACTIONAL,
        producerId: 7,
      });
      const { stop, cursor } = walk([large], { policy, batchBytesMax: 1_000, sequence: 3 });
      expect(stop).toMatchObject({ kind: 'too-large', offset: 0 });
      expect(cursor).toEqual({ offset: 0, sequence: 3 });
    });
  });
});

describe('accounting', () => {
  test('one hole for neighbours of any cause', () => {
    const batches = [
      controlBatch({ baseOffset: 2, producerId: 9, isCommit: false }), // 0 and 1 are compacted away
      sourceBatch({ baseOffset: 3, records: [null, null] }),
      batch(5, 1, { producerId: 7, attributes: TRANSACTIONAL }),
      sourceBatch({ baseOffset: 8, records: [null, record('9')] }),
    ];
    expect(shapeOf(walk(batches, { aborted: [{ producerId: 7, firstOffset: 5 }] }).items)).toEqual([
      'hole 0+9',
      'data 9+1 gaps',
    ]);
  });

  test('sequences wrap from 2^31 − 1 to 0, within a batch too', () => {
    const { data, cursor, items } = walk([batch(0, 2), batch(2, 3), batch(5, 2)], { sequence: 2 ** 31 - 3 });
    expect(sequencesOf(data)).toEqual([2 ** 31 - 3, 2 ** 31 - 1, 2]);
    expect(cursor.sequence).toBe(4);
    expect(valuesOf(items)).toHaveLength(7);
  });

  test('a new leader epoch ends the walk before anything of it, behind what was merged', () => {
    const policy = { mergeBelowBytes: 8192 };
    const batches = [batch(0), batch(1), batch(4, 1, { leaderEpoch: 3 })];

    const { items, stop, cursor } = walk(batches, { policy });

    expect(shapeOf(items)).toEqual(['data 0+2 merged']);
    expect(stop).toEqual({ kind: 'leader-epoch', epoch: 3, offset: 4 });
    expect(cursor).toEqual({ offset: 2, sequence: 2 });
    expect(walk([batch(0)], { leaderEpoch: null }).stop).toEqual({ kind: 'leader-epoch', epoch: 0, offset: 0 });
    expect(shapeOf(walk(batches.slice(2), { from: 2, leaderEpoch: 3 }).items)).toEqual(['hole 2+2', 'data 4+1 passed']);
  });

  test('a damaged batch among small ones ends the walk behind those before it', () => {
    const damaged = batch(2);
    damaged[70]! ^= 1;

    const { items, stop, cursor, data } = walk([batch(0), batch(1), damaged, batch(3)], {
      policy: { mergeBelowBytes: 8192 },
    });

    expect(shapeOf(items)).toEqual(['data 0+2 merged']);
    expect(stop).toMatchObject({ kind: 'damaged', offset: 2 });
    expect(cursor).toEqual({ offset: 2, sequence: 2 });
    expect(data[0]?.sourceBytes).toBe(2 * batch(0).length);
  });

  test('damage found late, in the first of small ones, comes before what stopped the walk', () => {
    const policy = { mergeBelowBytes: 8192 };
    const damaged = batch(1);
    damaged[70]! ^= 1;
    const gaps = sourceBatch({ baseOffset: 0, records: [record('0')], codec: 1 });

    const { items, stop, cursor } = walk([gaps, damaged, batch(2), batch(3, 1, { leaderEpoch: 1 })], { policy });

    expect(shapeOf(items)).toEqual(['data 0+1 passed']);
    expect(stop).toMatchObject({ kind: 'damaged', offset: 1 });
    expect(cursor).toEqual({ offset: 1, sequence: 1 });
  });

  test('a new leader epoch counts from the position where its batch begins before it', () => {
    expect(walk([batch(0, 4, { leaderEpoch: 2 })], { from: 3 }).stop).toEqual({
      kind: 'leader-epoch',
      epoch: 2,
      offset: 3,
    });
  });

  test('small batches merged for their times and for their size are counted apart', () => {
    const appended = (baseOffset: number): Buffer => batch(baseOffset, 1, { attributes: LOG_APPEND_TIME });
    const { items } = walk([batch(0), batch(1), appended(2), appended(3)], { policy: { mergeBelowBytes: 8192 } });
    expect(shapeOf(items)).toEqual(['data 0+2 merged', 'data 2+2 append-time']);
  });

  test('damage in the body of a batch that passes through is left to the target to find', () => {
    const damaged = batch(0, 3);
    damaged[80]! ^= 1;
    const { data } = walk([damaged]);
    expect(new ModelLog().append(data[0]!.buffer.subarray(data[0]!.start, data[0]!.end)).errorCode).toBe(2);
  });

  test.each([
    ['a length below a header', (bytes: Buffer) => bytes.writeInt32BE(20, 8)],
    ['a negative offset', (bytes: Buffer) => bytes.writeInt32BE(-1, 0)],
    ['a negative count', (bytes: Buffer) => bytes.writeInt32BE(-1, 57)],
    ['an offset beyond 2^53', (bytes: Buffer) => bytes.writeInt32BE(2 ** 30, 0)],
  ])('%s is damage', (_, damage) => {
    const second = batch(2);
    damage(second);
    const { items, stop } = walk([batch(0, 2), second]);
    expect(shapeOf(items)).toEqual(['data 0+2 passed']);
    expect(stop).toMatchObject({ kind: 'damaged', offset: 2 });
  });

  test('a batch beyond the last stable offset is left to the next fetch, and is damage when it still is: no hole of 2^40 offsets', () => {
    const moved = batch(2);
    moved.writeInt32BE(256, 0);
    const walker = newWalk(policyDefaults, {});
    const cursor = { offset: 0, sequence: 0 };
    const walkOnce = (batches: readonly Buffer[], lastStableOffset: number): WalkResult => {
      const { frame, fetched } = respond(newPool(), Buffer.concat(batches), []);
      return walker.walk(frame, { ...fetched, lastStableOffset }, cursor);
    };

    const first = walkOnce([batch(0, 2), moved], 3);
    expect([shapeOf(first.items), first.stop, cursor.offset]).toEqual([['data 0+2 passed'], null, 2]);
    expect(walkOnce([moved], 3)).toMatchObject({ items: [], stop: { kind: 'damaged', offset: 2 } });
    expect(shapeOf(walkOnce([batch(2)], 3).items)).toEqual(['data 2+1 passed']);
  });

  test('small batches whose times are in nanoseconds pass through, since they could not be merged as they are', () => {
    const nanoseconds = [0, 1, 2].map((offset) => {
      const bytes = batch(offset);
      for (const field of [27, 35]) bytes.writeBigInt64BE(1_795_000_000_000_000_123n, field);
      return resealed(bytes);
    });
    const { items, data } = walk(nanoseconds, { policy: { mergeBelowBytes: 8192 } });
    expect(shapeOf(items)).toEqual(['data 0+1 passed', 'data 1+1 passed', 'data 2+1 passed']);
    expect(data[2]?.buffer.readBigInt64BE(data[2].start + 35)).toBe(1_795_000_000_000_000_123n);
  });

  test('an answer that lists aborted transactions by the hundred thousand takes no time in their square', () => {
    const aborted = Array.from({ length: 400_000 }, (_, i) => ({ producerId: i, firstOffset: 0 }));
    const { items } = walk([batch(0, 2)], { aborted });
    expect(shapeOf(items)).toEqual(['data 0+2 passed']);
    const transactions = new AbortedTransactions(aborted);
    const startedMs = process.threadCpuUsage().user;
    expect(transactions.covers(399_999, 1)).toBe(true);
    expect((process.threadCpuUsage().user - startedMs) / 1000).toBeLessThan(2_000); // 19 s when each was shifted off an array
  });

  test('holds the frame once per batch that passes through, and not at all for the others', () => {
    const { items, pool, data } = walk([
      batch(0),
      batch(1),
      sourceBatch({ baseOffset: 2, records: [record('2'), null] }),
      batch(4),
    ]);
    expect(shapeOf(items)).toEqual([
      'data 0+1 passed',
      'data 1+1 passed',
      'data 2+1 gaps',
      'hole 3+1',
      'data 4+1 passed',
    ]);
    expect(pool.bytesInUse).toBeGreaterThan(0);

    for (const item of data) item.frame?.release();

    expect(pool.bytesInUse).toBe(0);
    expect(() => data[0]!.frame!.release()).toThrow('released no more often');
  });
});

// ---- any source log

type Step =
  | { kind: 'plain'; records: SourceRecord[]; codec: Codec; appendTime: boolean; horizon: boolean; pid: number }
  | { kind: 'compacted'; records: SourceRecord[]; kept: boolean[]; codec: Codec; appendTime: boolean }
  | { kind: 'transactional'; producer: number; records: SourceRecord[]; codec: Codec; isCompactedAway: boolean }
  | { kind: 'end'; producer: number; isCommit: boolean }
  | { kind: 'removed'; count: number }
  | { kind: 'election' };

const codecArbitrary = fc.constantFrom<Codec>(0, 1, 2, 3, 4);
const stepArbitrary: fc.Arbitrary<Step> = fc.oneof(
  {
    weight: 4,
    arbitrary: fc.record({
      kind: fc.constant('plain' as const),
      records: recordsArbitrary(6),
      codec: codecArbitrary,
      appendTime: fc.boolean(),
      horizon: fc.boolean(),
      pid: fc.constantFrom(-1, 100, 101),
    }),
  },
  {
    weight: 2,
    arbitrary: fc.record({
      kind: fc.constant('compacted' as const),
      records: recordsArbitrary(6),
      kept: fc.array(fc.boolean(), { minLength: 6, maxLength: 6 }),
      codec: codecArbitrary,
      appendTime: fc.boolean(),
    }),
  },
  {
    weight: 4,
    arbitrary: fc.record({
      kind: fc.constant('transactional' as const),
      producer: fc.nat({ max: 2 }),
      records: recordsArbitrary(4),
      codec: codecArbitrary,
      isCompactedAway: fc.boolean(),
    }),
  },
  {
    weight: 3,
    arbitrary: fc.record({ kind: fc.constant('end' as const), producer: fc.nat({ max: 2 }), isCommit: fc.boolean() }),
  },
  { weight: 1, arbitrary: fc.record({ kind: fc.constant('removed' as const), count: fc.integer({ min: 1, max: 5 }) }) },
  { weight: 1, arbitrary: fc.record({ kind: fc.constant('election' as const) }) },
);

interface Transaction {
  readonly producerId: number;
  readonly firstOffset: number;
  /** Of its marker; null while it is open. */
  lastOffset: number | null;
  isAborted: boolean;
}

/** A source log: its batches, its aborted transactions in the order of their markers, and what a committed reader sees. */
class SourceLog {
  readonly batches: { base: number; last: number; bytes: Buffer }[] = [];
  readonly transactions: Transaction[] = [];
  readonly #seen: {
    offset: number;
    record: SourceRecord;
    appendTime: number | null;
    transaction: Transaction | null;
  }[] = [];
  #end = 0;
  #epoch = 0;

  constructor(steps: readonly Step[]) {
    for (const step of steps) this.#add(step);
  }

  /** Everything below is decided. */
  get stableOffset(): number {
    return Math.min(
      this.#end,
      ...this.transactions.filter((each) => each.lastOffset === null).map((each) => each.firstOffset),
    );
  }

  /** One past the last batch below the last stable offset: what lies behind it cannot be told from 'not yet there'. */
  get reachable(): number {
    return Math.max(0, ...this.batches.filter(({ base }) => base < this.stableOffset).map(({ last }) => last + 1));
  }

  committed(timestamps: WalkPolicy['timestamps']): string[] {
    return this.#seen
      .filter(({ offset, transaction }) => offset < this.stableOffset && !transaction?.isAborted)
      .map(({ offset, record: each, appendTime }) => {
        const timestamp = timestamps === 'append' ? (appendTime ?? each.timestamp) : each.timestamp;
        return describeRecord({
          ...each,
          offset,
          timestamp,
          headers: (each.headers ?? []).map(({ key, value }) => [key, value] as const),
        });
      });
  }

  /** As a leader answers a read_committed fetch: cut at `maxBytes`, after one whole batch, with what was aborted within. */
  fetch(offset: number, maxBytes: number): { bytes: Buffer; aborted: Aborted } {
    const wanted = this.batches.filter(({ base, last }) => last >= offset && base < this.stableOffset);
    const all = Buffer.concat(wanted.map(({ bytes }) => bytes));
    const bytes = all.subarray(0, Math.max(maxBytes, wanted[0]?.bytes.length ?? 0));
    let size = 0;
    const beyond = wanted.find((each) => (size += each.bytes.length) > bytes.length);
    const upper = beyond?.base ?? this.stableOffset;
    const aborted = this.transactions
      .filter(
        (each) => each.isAborted && each.lastOffset !== null && each.lastOffset >= offset && each.firstOffset < upper,
      )
      .toSorted((a, b) => a.lastOffset! - b.lastOffset!);
    return { bytes, aborted };
  }

  #add(step: Step): void {
    switch (step.kind) {
      case 'removed':
        this.#end += step.count;
        return;
      case 'election':
        this.#epoch++;
        return;
      case 'end':
        return this.#endTransaction(step);
      case 'transactional':
        return this.#addTransactional(step);
      case 'plain':
        return this.#addBatch(step.records, {
          codec: step.codec,
          producerId: step.pid,
          attributes: (step.appendTime ? LOG_APPEND_TIME : 0) | (step.horizon ? DELETE_HORIZON : 0),
        });
      case 'compacted':
        return this.#addBatch(
          step.records.map((each, i) => (step.kept[i] ? each : null)),
          { codec: step.codec, attributes: step.appendTime ? LOG_APPEND_TIME : 0 },
        );
    }
  }

  #addTransactional({ producer, records, codec, isCompactedAway }: Extract<Step, { kind: 'transactional' }>): void {
    let transaction = this.#openOf(producer);
    if (!transaction) {
      transaction = { producerId: producer, firstOffset: this.#end, lastOffset: null, isAborted: false };
      this.transactions.push(transaction);
    }
    if (isCompactedAway) this.#end += records.length;
    else this.#addBatch(records, { codec, producerId: producer, attributes: TRANSACTIONAL }, transaction);
  }

  #endTransaction({ producer, isCommit }: Extract<Step, { kind: 'end' }>): void {
    const transaction = this.#openOf(producer);
    if (!transaction) return;
    transaction.isAborted = !isCommit;
    transaction.lastOffset = this.#end;
    this.#push(controlBatch({ baseOffset: this.#end, producerId: producer, isCommit, leaderEpoch: this.#epoch }), 1);
  }

  #openOf(producer: number): Transaction | undefined {
    return this.transactions.find((each) => each.producerId === producer && each.lastOffset === null);
  }

  #addBatch(
    records: readonly (SourceRecord | null)[],
    options: Partial<SourceBatch>,
    transaction: Transaction | null = null,
  ): void {
    const appendTime = (options.attributes ?? 0) & LOG_APPEND_TIME ? TIME + this.#end : null;
    for (const [i, each] of records.entries()) {
      if (each) this.#seen.push({ offset: this.#end + i, record: each, appendTime, transaction });
    }
    const bytes = sourceBatch({
      baseOffset: this.#end,
      records,
      leaderEpoch: this.#epoch,
      ...options,
      ...(appendTime === null ? {} : { maxTimestamp: appendTime }),
    });
    this.#push(bytes, records.length);
  }

  #push(bytes: Buffer, count: number): void {
    this.batches.push({ base: this.#end, last: this.#end + count - 1, bytes });
    this.#end += count;
  }
}

function describeRecord(each: {
  offset: number;
  timestamp: number;
  key: Buffer | null;
  value: Buffer | null;
  headers: readonly (readonly [Buffer, Buffer | null])[];
}): string {
  const hex = (bytes: Buffer | null): string => bytes?.toString('hex') ?? 'null';
  const headers = each.headers.map(([key, value]) => `${hex(key)}=${hex(value)}`).join(',');
  return `${each.offset} @${each.timestamp} ${hex(each.key)} ${hex(each.value)} [${headers}]`;
}

test(`any source log arrives as its committed readers see it, whatever the cuts and restarts (seed ${seed})`, () => {
  let restarts = 0;
  let batchesWritten = 0;
  fc.assert(
    fc.property(
      fc.array(stepArbitrary, { minLength: 1, maxLength: 25 }),
      fc.record({
        timestamps: fc.constantFrom('append' as const, 'producer' as const),
        mergeBelowBytes: fc.constantFrom(0, 150, 8192),
        mergedBytesMax: fc.constantFrom(200, 4096),
        batchBytesMax: fc.constantFrom(300, 3200, 1_000_000),
        firstSequence: fc.constantFrom(0, 2 ** 31 - 3),
        choices: fc.integer(),
      }),
      (steps, { timestamps, mergeBelowBytes, mergedBytesMax, batchBytesMax, firstSequence, choices }) => {
        const source = new SourceLog(steps);
        const random = createRandom(choices);
        const target = new ModelLog();
        const pool = newPool();
        const policy = { ...policyDefaults, timestamps, mergeBelowBytes, mergedBytesMax };
        let walker = newWalk(policy, { batchBytesMax, leaderEpoch: null });
        const cursor = { offset: 0, sequence: firstSequence };
        for (let rounds = 0; cursor.offset < source.reachable; rounds++) {
          expect(rounds).toBeLessThan(500);
          const { bytes, aborted } = source.fetch(cursor.offset, Math.floor(random.next() ** 3 * 4000));
          const { frame, fetched } = respond(pool, bytes, aborted);
          const { items, stop } = walker.walk(frame, fetched, cursor);
          frame.release();
          if (stop?.kind === 'leader-epoch') walker.leaderEpoch = stop.epoch;
          else if (stop?.kind === 'too-large') walker = newWalk(policy, { leaderEpoch: walker.leaderEpoch }); // the limit was raised
          else assert(stop === null, `the walk stops: ${stop?.kind}`);
          const taken = random.next() < 0.2 ? Math.floor(random.next() * items.length) : items.length;
          appliedTo(target, items.slice(0, taken));
          batchesWritten += items.length;
          if (taken === items.length) continue;
          // A new process: what it had queued is gone, and it reads position and sequence from the target.
          restarts++;
          for (const item of items.slice(taken)) if (item.kind === 'data') item.frame?.release();
          walker = newWalk(policy, { batchBytesMax, leaderEpoch: null });
          cursor.offset = target.end;
          const last = target.producers.get(OUR_PID)?.lastSequence;
          cursor.sequence = last === undefined ? firstSequence : (last + 1) % 2 ** 31;
        }
        expect(target.records().map((each) => describeRecord(each))).toEqual(source.committed(timestamps));
        expect(target.end).toBe(source.reachable);
        expect(target.parsed().reduce((end, each) => (each.baseOffset === end ? each.lastOffset + 1 : NaN), 0)).toBe(
          target.end,
        );
        expect(pool.bytesInUse).toBe(0);
      },
    ),
    { seed, numRuns: 1000 },
  );
  expect(restarts).toBeGreaterThan(30);
  expect(batchesWritten).toBeGreaterThan(1000);
});

test('the model of the target refuses what the walk must not write', () => {
  const log = new ModelLog();
  const produced = (options: Partial<SourceBatch>): Buffer =>
    sourceBatch({ baseOffset: 0, records: [record('a'), record('b')], producerId: OUR_PID, ...options });
  expect(log.append(produced({ baseSequence: 5 }))).toEqual({ errorCode: 0, baseOffset: 0 });
  expect(log.append(produced({ baseSequence: 5 }))).toEqual({ errorCode: 0, baseOffset: 0 });
  expect(log.append(produced({ baseSequence: 8 })).errorCode).toBe(45);
  expect(log.append(produced({ baseSequence: 7, attributes: CONTROL })).errorCode).toBe(87);
  expect(log.append(produced({ baseSequence: 7, attributes: TRANSACTIONAL })).errorCode).toBe(87);
  expect(log.append(produced({ baseSequence: 7, records: [record('a'), null] })).errorCode).toBe(87);
  expect(log.append(openable(produced({ baseSequence: 7 })))).toEqual({ errorCode: 0, baseOffset: 2 });
  expect(log.end).toBe(4);
});

function openable(bytes: Buffer): Buffer {
  expect(openBatch(bytes, 0).count).toBe(2);
  return bytes;
}

describe('what became of each offset', () => {
  const policy = { isAccounted: true } as const;
  const told = (items: readonly WalkItem[]): unknown[] =>
    items.map((item) => [item.kind === 'data' ? 'delivered' : item.disposition, item.baseOffset, item.count]);

  test('is told apart for control records, aborted and compacted ones', () => {
    const own = { producerId: 9, attributes: TRANSACTIONAL };
    const { items } = walk(
      [
        batch(3, 2),
        batch(5, 2, own),
        controlBatch({ baseOffset: 7, producerId: 9, isCommit: false }),
        controlBatch({ baseOffset: 8, producerId: 8, isCommit: true }),
        sourceBatch({ baseOffset: 10, records: [record('10'), null, record('12'), null] }),
      ],
      { policy, aborted: [{ producerId: 9, firstOffset: 5 }] },
    );
    expect(told(items)).toEqual([
      [{ kind: 'compacted' }, 0, 3],
      ['delivered', 3, 2],
      [{ kind: 'aborted' }, 5, 2],
      [{ kind: 'control' }, 7, 2],
      [{ kind: 'compacted' }, 9, 1],
      ['delivered', 10, 1],
      [{ kind: 'compacted' }, 11, 1],
      ['delivered', 12, 1],
      [{ kind: 'compacted' }, 13, 1],
    ]);
  });

  test('ends in front of a record of which a condition says neither yes nor no, or copies it where that is asked for', () => {
    const condition: RecordCondition = ({ key }) => {
      if (key?.toString() === 'key 3') throw new ConditionError('fails');
      return key?.toString() !== 'key 1';
    };
    const frame = [sourceBatch({ baseOffset: 0, records: [0, 1, 2, 3, 4].map((i) => record(String(i))) })];
    const stopping = new RecordFilter([condition], { firstRule: 7 });
    const stopped = walk(frame, { policy: { ...policy, filter: stopping } });
    expect(told(stopped.items)).toEqual([
      ['delivered', 0, 1],
      [{ kind: 'filtered', rule: 7 }, 1, 1],
      ['delivered', 2, 1],
    ]);
    expect(stopped.stop).toEqual({ kind: 'undecided', rule: 7, why: 'fails', offset: 3 });
    const delivering = new RecordFilter([condition], { deliversOnError: true });
    const whole = walk(frame, { policy: { ...policy, filter: delivering } });
    expect([whole.stop, told(whole.items).at(-1)]).toEqual([null, ['delivered', 2, 3]]);
  });

  test('names the condition that left a record out; the others are copied as they were', () => {
    const filter = new RecordFilter([
      ({ key }) => key?.toString() !== 'key 2',
      ({ valueBytes, timestamp }) => valueBytes !== 1 || timestamp === TIME,
    ]);
    const all = [0, 1, 2, 3, 4, 5].map((i) => record(String(i), TIME + (i === 3 ? 1 : 0)));
    for (const mergeBelowBytes of [0, 100_000]) {
      const { items, data } = walk(
        [sourceBatch({ baseOffset: 0, records: all }), sourceBatch({ baseOffset: 6, records: all.slice(0, 2) })],
        { policy: { ...policy, filter, mergeBelowBytes }, sequence: 40 },
      );
      expect(told(items)).toEqual([
        ['delivered', 0, 2],
        [{ kind: 'filtered', rule: 0 }, 2, 1],
        [{ kind: 'filtered', rule: 1 }, 3, 1],
        ['delivered', 4, 2],
        ['delivered', 6, 2],
      ]);
      expect(sequencesOf(data)).toEqual([40, 42, 44]);
      expect(data.map(({ reason }) => reason)).toEqual(['gaps', 'gaps', null]);
      expect(valuesOf(items)).toEqual(['0: 0', '1: 1', '4: 4', '5: 5', '6: 0', '7: 1']);
    }
  });
});
