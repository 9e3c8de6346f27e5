import { describe, expect, test } from 'vitest';
import { DispositionLedger, type Disposition } from '#contract/disposition-ledger.ts';
import { OffsetMap } from '#contract/offset-map.ts';
import type { StatedCondition } from '#contract/resources.ts';
import { FramePool } from '#kafka/frame.ts';
import { baseOffsetOf, batchAt, lastOffsetOf } from '#kafka/records/batch-header.ts';
import { ManualClock } from '#testing/manual-clock.ts';
import { controlBatch, sourceBatch, TRANSACTIONAL, type SourceRecord } from '#testing/source-batches.ts';
import type { ComparePolicy } from './compare-partition.ts';
import type { PartitionLog } from './log-side.ts';
import { StatedFilter, type ConditionSince } from './stated-filter.ts';
import { compareMappedLogs } from './compare-logs.ts';

const pool = new FramePool({ bytesMax: 16 * 1024 * 1024 });

const policy: ComparePolicy = {
  transactions: 'committed-only',
  timestamps: 'append',
  class: 'content',
  isFull: true,
  cleaned: { source: false, target: false },
};

/** A log as a broker serves it, two batches an answer. */
function planted(
  batches: readonly Buffer[],
  aborted: { producerId: number; firstOffset: number }[] = [],
): PartitionLog {
  const last = batches.at(-1);
  const end = last ? lastOffsetOf(last, 0) + 1 : 0;
  return {
    bounds: async () => ({ start: 0, stable: end, end }),
    fetch: async (offset) => {
      const bytes = Buffer.concat(batches.filter((batch) => lastOffsetOf(batch, 0) >= offset).slice(0, 2));
      const frame = pool.take(bytes.length);
      bytes.copy(frame.buffer);
      const position = { topicId: 'id', partition: 0, errorCode: 0, logStartOffset: 0, diverging: null, aborted };
      const ends = { highWatermark: end, lastStableOffset: end, start: 0, end: bytes.length };
      return { frame, isThrottled: false, fetched: { ...position, ...ends } };
    },
  };
}

const record = (i: number, change: Partial<SourceRecord> = {}): SourceRecord => ({
  timestamp: 1_700_000_000_000 + i,
  key: Buffer.from(`key ${i}`),
  value: Buffer.from(`value ${i}`),
  ...change,
});
const records = (...offsets: (number | null)[]): (SourceRecord | null)[] =>
  offsets.map((offset) => (offset === null ? null : record(offset)));

/** 0–2 records, 3 a marker, 4–5 aborted, 6 its marker, 7–8 nothing, 9–12 records without 11. */
const source = () =>
  planted(
    [
      sourceBatch({ baseOffset: 0, records: records(0, 1, 2) }),
      controlBatch({ baseOffset: 3, producerId: 8, isCommit: true }),
      sourceBatch({ baseOffset: 4, records: records(4, 5), producerId: 9, attributes: TRANSACTIONAL }),
      controlBatch({ baseOffset: 6, producerId: 9, isCommit: false }),
      sourceBatch({ baseOffset: 9, records: records(9, 10, null, 12) }),
    ],
    [{ producerId: 9, firstOffset: 4 }],
  );
const dispositions: [Disposition['kind'], number][] = [
  ['delivered', 3],
  ['control', 1],
  ['aborted', 2],
  ['control', 1],
  ['compacted', 2],
  ['delivered', 2],
  ['compacted', 1],
  ['delivered', 1],
];
const copied = [0, 1, 2, 9, 10, 12];

function ledgerOf(all: readonly [Disposition['kind'], number][]): DispositionLedger {
  const ledger = new DispositionLedger(0);
  for (const [kind, length] of all) ledger.append({ kind } as Disposition, length);
  return ledger;
}

/** The copies lie densely behind `foreign` records of somebody else. */
function targetOf(all: readonly SourceRecord[], foreign = 0): PartitionLog {
  const others = Array.from({ length: foreign }, (_, i) => record(1000 + i));
  return planted([
    ...(foreign > 0 ? [sourceBatch({ baseOffset: 0, records: others })] : []),
    sourceBatch({ baseOffset: foreign, records: all.slice(0, 4) }),
    ...(all.length > 4 ? [sourceBatch({ baseOffset: foreign + 4, records: all.slice(4) })] : []),
  ]);
}

/** Of the mirror's batches, where a test gives them any. */
const OURS = 77;

interface Planted {
  readonly mappedFrom?: number;
  readonly source?: PartitionLog;
  readonly target?: PartitionLog;
  readonly ledger?: DispositionLedger;
  readonly map?: OffsetMap;
  readonly isShared?: boolean;
  readonly policy?: Partial<ComparePolicy>;
  readonly from?: number;
  readonly to?: number;
  /** That the file has now. */
  readonly filter?: StatedCondition;
  readonly conditions?: readonly ConditionSince[];
}

function mapOf(pairs: readonly (readonly [number, number])[]): OffsetMap {
  const map = new OffsetMap();
  for (const [from, to] of pairs) map.append({ source: from, target: to, length: 1 });
  return map;
}

async function compare(change: Planted = {}) {
  const exported = {
    map: change.map ?? mapOf(copied.map((offset, i) => [offset, i])),
    ledger: change.ledger ?? ledgerOf(dispositions),
    isShared: change.isShared ?? false,
    producerId: OURS,
    conditions: change.conditions ?? [],
    ...(change.mappedFrom === undefined ? {} : { mappedFrom: change.mappedFrom }),
  };
  const filter = new StatedFilter(change.filter ?? null, { topic: 'orders', partition: 0 });
  const clock = new ManualClock();
  let isDone = false;
  const compared = compareMappedLogs(
    { source: change.source ?? source(), target: change.target ?? targetOf(copied.map((i) => record(i))) },
    { exported, policy: { ...policy, ...change.policy }, filter },
    {
      clock,
      from: change.from ?? null,
      to: change.to ?? null,
      signal: new AbortController().signal,
      running: new Set(),
    },
  ).finally(() => (isDone = true));
  while (!isDone) await clock.advance(1_000);
  const result = await compared;
  expect(pool.bytesInUse, 'every frame is given back').toBe(0);
  return result;
}

const told = ({ shown }: Awaited<ReturnType<typeof compare>>) => shown.map(({ kind, offset }) => [kind, offset]);

describe('a mapped copy', () => {
  test('is identical through its map, and every offset is explained', async () => {
    expect(await compare()).toMatchObject({
      verdict: 'identical',
      from: 0,
      provenThrough: 13,
      records: 6,
      lag: 0,
      source: { control: 2, aborted: 2, absent: 3 },
      unexplained: 0,
      mapping: { runs: 3, isShared: false, others: 0 },
    });
  });

  test('is identical beside records of others', async () => {
    const map = mapOf(copied.map((offset, i) => [offset, 3 + i]));
    const target = targetOf(
      copied.map((i) => record(i)),
      3,
    );
    expect(await compare({ map, target, isShared: true })).toMatchObject({ verdict: 'identical', records: 6 });
  });

  test('has records of others between its own only where others may write', async () => {
    const all = copied.map((i) => record(i)).toSpliced(2, 0, record(77));
    const map = mapOf(copied.map((offset, i) => [offset, i < 2 ? i : i + 1]));
    const shared = await compare({ map, target: targetOf(all), isShared: true });
    expect(shared).toMatchObject({ verdict: 'identical', mapping: { others: 1 } });
    const sole = await compare({ map, target: targetOf(all) });
    expect(told(sole)).toEqual([['extra', 2]]);
    expect(sole.shown[0]?.message).toContain('at offset 2: nothing of the source is mapped to it');
  });
});

describe('a record that was left out', () => {
  const stated: StatedCondition = { condition: 'key != "key 1" && key != "key 10"', onError: 'stop' };
  const since = (from: number, condition: string | null = stated.condition): ConditionSince => ({
    from,
    condition,
    onError: 'stop',
  });
  /** The ledger says of some offsets that they were filtered, and the target has the others. */
  const leftOut = (...offsets: number[]): Planted => {
    const ledger = new DispositionLedger(0);
    const says = dispositions.flatMap(([kind, length]) => Array.from({ length }, () => kind));
    for (const [offset, kind] of says.entries())
      ledger.append(offsets.includes(offset) ? { kind: 'filtered', rule: 0 } : ({ kind } as Disposition), 1);
    const kept = copied.filter((offset) => !offsets.includes(offset));
    return { ledger, map: mapOf(kept.map((offset, i) => [offset, i])), target: targetOf(kept.map((i) => record(i))) };
  };
  const inForce = { filter: stated, conditions: [since(0)] };

  test('is explained where the condition of the file says so of the record itself', async () => {
    const result = await compare({ ...leftOut(1, 10), ...inForce });
    expect(result).toMatchObject({ verdict: 'identical', records: 4, unexplained: 0 });
  });

  test('is unexplained where the condition holds for it, and so is one that was copied although it does not', async () => {
    const lied = await compare({ ...leftOut(1, 2, 10), ...inForce });
    expect(lied).toMatchObject({ verdict: 'different', unexplained: 1 });
    expect(lied.shown).toMatchObject([{ kind: 'unaccounted', offset: 2, source: { key: { text: 'key 2' } } }]);
    expect(lied.shown[0]?.message).toContain('"filtered" of offset 2, and the condition of the file holds for it');
    const copiedAll = await compare({ ...leftOut(1), ...inForce });
    expect(told(copiedAll)).toEqual([['unaccounted', 10]]);
    expect(copiedAll.shown[0]?.message).toContain('"delivered" of offset 10, and the condition of the file does not');
  });

  test('is unexplained where no condition was ever in force, whatever the file says now', async () => {
    const without = await compare(leftOut(1));
    expect(without).toMatchObject({ verdict: 'different', unexplained: 1 });
    const since9 = await compare({ ...leftOut(1, 10), filter: stated, conditions: [since(9)] });
    expect(told(since9)).toEqual([['unaccounted', 1]]);
    const ended = await compare({ ...leftOut(1, 10), conditions: [since(0), since(9, null)] });
    expect(told(ended)).toEqual([['unaccounted', 10]]);
  });

  test('is unverified where the file had another condition then', async () => {
    const changed = await compare({
      ...leftOut(1, 10),
      filter: stated,
      conditions: [since(0, 'key != "x"'), since(9)],
    });
    expect(changed).toMatchObject({ verdict: 'unverified', differences: 0, unexplained: 0 });
    expect(changed.unverified).toEqual([
      {
        from: 1,
        to: 2,
        reason: 'left out by another condition than the file has, which was in force from offset 0 on',
      },
    ]);
  });

  test('is unexplained where the condition says neither yes nor no of it', async () => {
    const undecided = { condition: 'headers.region == "eu"', onError: 'stop' } as const;
    const result = await compare({ ...leftOut(1), filter: undecided, conditions: [since(0, undecided.condition)] });
    expect(result.shown[0]?.message).toContain('of offset 0, and the condition of the file says neither yes nor no');
  });

  test('is not believed to be dead-lettered, which nothing does', async () => {
    const ledger = ledgerOf(dispositions.with(0, ['delivered', 1]).toSpliced(1, 0, ['dead-lettered', 2]));
    const map = mapOf([0, 9, 10, 12].map((offset, i) => [offset, i]));
    const target = targetOf([0, 9, 10, 12].map((i) => record(i)));
    expect((await compare({ ledger, map, target })).unexplained).toBe(2);
  });
});

describe('what is planted is named', () => {
  test('a map entry that is wrong', async () => {
    const map = mapOf(copied.map((offset, i) => [offset === 10 ? 11 : offset, i]));
    const result = await compare({ map });
    expect(result.verdict).toBe('different');
    expect(told(result)).toContainEqual(['missing', 10]);
    const shifted = await compare({ map: mapOf(copied.map((offset, i) => [offset, i + (i > 2 ? 1 : 0)])) });
    expect(shifted.shown[0]).toMatchObject({ kind: 'extra', offset: 9 });
    expect(shifted.shown[1]).toMatchObject({ kind: 'changed', offset: 9, fields: ['timestamp', 'key', 'value'] });
    expect(shifted.shown[1]?.message).toContain('the map has offset 9 at offset 4 of the target');
  });

  test('a record that was changed, dropped or swapped', async () => {
    const all = copied.map((i) => record(i));
    const changed = await compare({ target: targetOf(all.with(4, record(10, { value: Buffer.from('other') }))) });
    expect(changed.shown).toMatchObject([{ kind: 'changed', offset: 10, fields: ['value'] }]);
    expect(changed.provenThrough).toBe(10);
    const dropped = await compare({ target: targetOf(all.slice(0, 5)) });
    expect(told(dropped)).toEqual([['missing', 12]]);
    const swapped = await compare({ target: targetOf(all.with(1, all[2]!).with(2, all[1]!)) });
    expect(told(swapped)).toEqual([
      ['changed', 1],
      ['changed', 2],
    ]);
  });

  test('a record that the mirror wrote twice into a target that others write to as well', async () => {
    const written = (producerId: number): PartitionLog =>
      planted([
        sourceBatch({ baseOffset: 0, records: records(0, 1, 2), producerId: OURS }),
        sourceBatch({ baseOffset: 3, records: records(2), producerId }),
        sourceBatch({ baseOffset: 4, records: records(9, 10, 12), producerId: OURS }),
      ]);
    const map = mapOf(copied.map((offset, i) => [offset, i < 3 ? i : i + 1]));
    const twice = await compare({ map, target: written(OURS), isShared: true });
    expect(twice).toMatchObject({ verdict: 'different', shown: [{ kind: 'extra', offset: 9 }] });
    expect(twice.shown[0]?.message).toContain('at offset 3: the mirror wrote it, and nothing of the source');
    const theirs = await compare({ map, target: written(5), isShared: true });
    expect(theirs).toMatchObject({ verdict: 'identical', mapping: { others: 1 } });
  });

  test('a ledger that says something else than the log, or nothing', async () => {
    const wrong = await compare({ ledger: ledgerOf(dispositions.with(1, ['aborted', 1])) });
    expect(told(wrong)).toEqual([['unaccounted', 3]]);
    expect(wrong.shown[0]?.message).toBe(
      'the ledger says "aborted" of offset 3, and the log of the source shows control',
    );
    expect(wrong.unexplained).toBe(1);
    const hidden = await compare({ ledger: ledgerOf([['control', 3], ...dispositions.slice(1)]) });
    expect(hidden.unexplained).toBe(3);
  });

  test('but what the source has compacted since is not', async () => {
    const ledger = ledgerOf(dispositions.with(4, ['delivered', 2]));
    const map = mapOf([0, 1, 2, 7, 8, 9, 10, 12].map((offset, i) => [offset, i]));
    const target = targetOf([0, 1, 2, 7, 8, 9, 10, 12].map((i) => record(i)));
    const cleaned = { source: true, target: false };
    expect(await compare({ ledger, map, target, policy: { cleaned } })).toMatchObject({
      verdict: 'identical',
      compacted: 2,
    });
    expect((await compare({ ledger, map, target })).verdict).toBe('different');
  });
});

describe('what cannot be there is named', () => {
  test('a source that ends before what was copied of it: truncated, or created anew', async () => {
    const shorter = await compare({ source: planted([sourceBatch({ baseOffset: 0, records: records(0, 1, 2) })]) });
    expect(shorter.verdict).toBe('different');
    expect(shorter.shown).toMatchObject([{ kind: 'beyond', offset: 3, target: { key: { text: 'key 9' } } }]);
    const empty = await compare({ source: planted([]) });
    expect(empty).toMatchObject({ verdict: 'different', differences: 1, records: 0 });
    expect(told(empty)).toEqual([['beyond', 0]]);
    const before = await compare({
      source: planted([sourceBatch({ baseOffset: 0, records: records(0, 1, 2) })]),
      to: 3,
    });
    expect(before).toMatchObject({ verdict: 'identical', records: 3 });
  });

  test('records of another program behind a copy that is whole', async () => {
    // As the mirror would go on: the n-th record of the target is the n-th that is delivered.
    const ledger = ledgerOf(dispositions.with(-1, ['delivered', 2]));
    const map = mapOf([...copied, 13].map((offset, i) => [offset, i]));
    const target = targetOf([...copied.map((i) => record(i)), record(99)]);
    expect((await compare({ ledger, map, target })).shown).toMatchObject([
      { kind: 'beyond', offset: 13, target: { key: { text: 'key 99' } } },
    ]);
  });

  test('a batch that is damaged on one side, also when it is fetched again', async () => {
    const damaged = (log: PartitionLog, at: number, times: number): PartitionLog => ({
      bounds: () => log.bounds(),
      fetch: async (offset) => {
        const answer = await log.fetch(offset);
        const { frame, fetched } = answer;
        for (let start = fetched.start, size = 0; (size = batchAt(frame.buffer, start, fetched.end)) > 0; start += size)
          if (baseOffsetOf(frame.buffer, start) === at && times-- > 0) frame.buffer[start + size - 1]! ^= 1;
        return answer;
      },
    });
    const target = () => targetOf(copied.map((i) => record(i)));
    expect(await compare({ target: damaged(target(), 4, 1) })).toMatchObject({ verdict: 'identical', records: 6 });
    const ofTarget = await compare({ target: damaged(target(), 4, Infinity) });
    expect(ofTarget).toMatchObject({ verdict: 'different', provenThrough: 10 });
    expect(told(ofTarget)).toEqual([['damaged', 10]]);
    expect(ofTarget.shown[0]?.message).toContain('a batch of the target at offset 4 cannot be read');
    expect(ofTarget.unverified).toEqual([{ from: 10, to: 13, reason: 'a batch of the target is damaged' }]);
    const ofSource = await compare({ source: damaged(source(), 9, Infinity) });
    expect(told(ofSource)).toEqual([['damaged', 9]]);
  });
});

describe('what was not read is not called identical', () => {
  test('a target that holds nothing', async () => {
    const nothing = await compare({ target: planted([]), ledger: new DispositionLedger(0), map: new OffsetMap() });
    expect(nothing).toMatchObject({ verdict: 'unverified', records: 0, lag: 13 });
    expect(nothing.unverified).toEqual([{ from: 0, to: 13, reason: 'the target holds nothing of it' }]);
  });

  test('what lies before the copy', async () => {
    const ledger = new DispositionLedger(9);
    for (const [kind, length] of dispositions.slice(5)) ledger.append({ kind } as Disposition, length);
    const map = mapOf([9, 10, 12].map((offset, i) => [offset, i]));
    const target = targetOf([9, 10, 12].map((i) => record(i)));
    const later = await compare({ ledger, map, target });
    expect(later).toMatchObject({ verdict: 'unverified', records: 3 });
    expect(later.unverified).toEqual([{ from: 0, to: 9, reason: 'the copy begins at offset 9' }]);
    expect(await compare({ ledger, map, target, from: 9 })).toMatchObject({ verdict: 'identical', records: 3 });
    // The mirror has forgotten what the target has lost: the copy has begun before all the same.
    const forgotten = await compare({ ledger, map, target, mappedFrom: 2 });
    expect(forgotten).toMatchObject({ verdict: 'unverified', records: 3 });
    expect(forgotten.unverified).toEqual([
      { from: 0, to: 2, reason: 'the copy begins at offset 2' },
      { from: 2, to: 9, reason: 'one side has not got it any more' },
    ]);
  });

  test('a window behind the end', async () => {
    const behind = await compare({ from: 1_000 });
    expect(behind.unverified).toEqual([{ from: 1_000, to: 1_001, reason: 'the copy reaches to offset 13 only' }]);
    expect(behind.verdict).toBe('unverified');
  });
});
