import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { must } from '#util/assert.ts';
import type { Random } from '#util/random.ts';
import { createRandom } from '#util/random.ts';
import type { Check, CheckResult, MirrorPolicy } from './check-replication.ts';
import { checkReplication } from './check-replication.ts';
import type { PlantedPartition, RecordRow, Row } from './planted-history.ts';
import { cloneOf, historyOf, mirrorOf, randomSource, visibleRows } from './planted-history.ts';

const committedOnly: MirrorPolicy = { transactions: 'committed-only', timestamps: 'equal' };
const preserve: MirrorPolicy = { transactions: 'preserve', timestamps: 'equal' };

interface Estate {
  readonly source: PlantedPartition[];
  readonly target: PlantedPartition[];
  readonly random: Random;
}

function estateOf(seed: number, transactions: MirrorPolicy['transactions'] = 'committed-only'): Estate {
  const random = createRandom(seed);
  const source = [0, 1].map((partition) => randomSource(random, { partition, length: 60 }));
  return { source, target: source.map((partition) => mirrorOf(partition, transactions)), random };
}

function judge({ source, target }: Estate, policy: MirrorPolicy = committedOnly): CheckResult {
  return checkReplication({
    source: source.map((partition) => historyOf('orders', partition)),
    target: target.map((partition) => historyOf('copy', partition)),
    policy,
  });
}

/** The checks that found something. A shift of offsets follows from what was inserted or lost, so it stands aside. */
function named(result: CheckResult): Check[] {
  return result.findings.filter(({ check, count }) => count > 0 && check !== 'placement').map(({ check }) => check);
}

function found(result: CheckResult, check: Check): CheckResult['findings'][number] {
  return must(
    result.findings.find((finding) => finding.check === check),
    check,
  );
}

const chosen = <T>(random: Random, list: readonly T[]): T =>
  must(list[Math.floor(random.next() * list.length)], 'choice');

/** Records that are like no other, so that what happens to them has one name; not the last one, which has tests of its own. */
function uniqueRecords(partition: PlantedPartition): RecordRow[] {
  return visibleRows(partition)
    .filter((row) => row.headers.length > 0)
    .slice(0, -1);
}

function shift(partition: PlantedPartition, from: number, by: number): void {
  for (const row of partition.rows) if (row.offset >= from) row.offset += by;
  partition.end += by;
}

function removeRow(partition: PlantedPartition, row: Row): void {
  partition.rows = partition.rows.filter((other) => other !== row);
}

/** Puts a record at an offset; what was there and behind it moves up. */
function insert(partition: PlantedPartition, record: RecordRow, offset: number): void {
  shift(partition, offset, 1);
  partition.rows.push({ ...structuredClone(record), transaction: null, offset });
  partition.rows.sort((a, b) => a.offset - b.offset);
}

function append(partition: PlantedPartition, records: readonly RecordRow[]): void {
  for (const record of records) insert(partition, record, partition.end);
}

/** Puts a record in the place of whatever is at its offset. */
function overwrite(partition: PlantedPartition, record: RecordRow): void {
  partition.rows = partition.rows.map((row) =>
    row.offset === record.offset ? { ...structuredClone(record), transaction: null } : row,
  );
}

const phantom = (offset: number): RecordRow => ({
  kind: 'record',
  offset,
  transaction: null,
  timestamp: 1_700_000_000_000,
  isLogAppendTime: false,
  key: 'who',
  value: 'nobody wrote this',
  headers: [],
});

function abortedRows(partition: PlantedPartition): RecordRow[] {
  const visible = new Set(visibleRows(partition));
  return partition.rows.filter(
    (row): row is RecordRow => row.kind === 'record' && !visible.has(row) && row.headers.length > 0,
  );
}

/** Spoils one record of the target by `change`. */
function spoil(change: (row: RecordRow, random: Random) => void): (estate: Estate) => void {
  return ({ target, random }) => change(chosen(random, uniqueRecords(chosen(random, target))), random);
}

/** Each spoils a faithful target; undefined where this history has nothing to spoil. */
const mutations: readonly { name: string; expected: Check; plant: (estate: Estate) => void | 'nothing to spoil' }[] = [
  {
    name: 'X1 a record is missing, the others in place',
    expected: 'R1',
    plant({ target, random }) {
      const partition = chosen(random, target);
      removeRow(partition, chosen(random, uniqueRecords(partition)));
    },
  },
  {
    name: 'X1 a record is missing, the others moved up',
    expected: 'R1',
    plant({ target, random }) {
      const partition = chosen(random, target);
      const row = chosen(random, uniqueRecords(partition));
      removeRow(partition, row);
      shift(partition, row.offset, -1);
    },
  },
  {
    name: 'X2 the last record is missing',
    expected: 'R2',
    plant({ target, random }) {
      const partition = chosen(random, target);
      partition.rows.pop();
      partition.end--;
    },
  },
  {
    name: 'X3 a record that the source does not have, between others',
    expected: 'R3',
    plant({ target, random }) {
      const partition = chosen(random, target);
      const { offset } = chosen(random, uniqueRecords(partition));
      insert(partition, phantom(offset), offset);
    },
  },
  {
    name: 'X3 a record that the source does not have, in a hole',
    expected: 'R3',
    plant({ target, random }) {
      const partition = chosen(random, target);
      const holes = partition.rows.filter((row) => row.kind === 'control');
      if (holes.length === 0) return 'nothing to spoil';
      overwrite(partition, phantom(chosen(random, holes).offset));
    },
  },
  {
    name: 'X4 a record of an aborted transaction, at its offset',
    expected: 'R3',
    plant({ source, target, random }) {
      const index = Math.floor(random.next() * source.length);
      const aborted = abortedRows(must(source[index], 'source'));
      if (aborted.length === 0) return 'nothing to spoil';
      overwrite(must(target[index], 'target'), chosen(random, aborted));
    },
  },
  {
    name: 'X4 a record of an aborted transaction, at the end',
    expected: 'R3',
    plant({ source, target, random }) {
      const index = Math.floor(random.next() * source.length);
      const aborted = abortedRows(must(source[index], 'source'));
      if (aborted.length === 0) return 'nothing to spoil';
      append(must(target[index], 'target'), [chosen(random, aborted)]);
    },
  },
  {
    name: 'X5 a record twice in a row',
    expected: 'R4',
    plant({ target, random }) {
      const partition = chosen(random, target);
      const row = chosen(random, uniqueRecords(partition));
      insert(partition, row, row.offset + 1);
    },
  },
  {
    name: 'X5 the last records once more',
    expected: 'R4',
    plant({ target, random }) {
      const partition = chosen(random, target);
      append(partition, uniqueRecords(partition).slice(-1 - Math.floor(random.next() * 5)));
    },
  },
  {
    name: 'X5 some records from all over once more',
    expected: 'R4',
    plant({ target, random }) {
      const partition = chosen(random, target);
      const rows = uniqueRecords(partition).filter((_, index) => index % 3 === 0);
      append(partition, rows);
    },
  },
  {
    name: 'X6 two records have changed places',
    expected: 'R5',
    plant({ target, random }) {
      const partition = chosen(random, target);
      const rows = uniqueRecords(partition);
      const first = Math.floor(random.next() * (rows.length - 1));
      const [a, b] = [must(rows[first], 'first'), must(rows[first + 1], 'second')];
      [a.offset, b.offset] = [b.offset, a.offset];
      partition.rows.sort((one, other) => one.offset - other.offset);
    },
  },
  { name: 'X7 a bit of the key', expected: 'R6', plant: spoil((row) => void (row.key = flipped(row.key))) },
  { name: 'X7 a bit of the value', expected: 'R6', plant: spoil((row) => void (row.value = flipped(row.value))) },
  {
    name: 'X7 null for empty',
    expected: 'R6',
    plant: spoil((row) => void (row.value = row.value === null ? '' : null)),
  },
  { name: 'X7 a bit of a header', expected: 'R6', plant: spoil((row) => void (row.headers[3] = ['a', 'c'])) },
  { name: 'X7 headers in another order', expected: 'R6', plant: spoil((row) => void row.headers.reverse()) },
  { name: 'X7 a repeated header is gone', expected: 'R6', plant: spoil((row) => void row.headers.splice(1, 1)) },
  {
    name: 'X7 a null header value is empty',
    expected: 'R6',
    plant: spoil((row) => void (row.headers[2] = ['none', ''])),
  },
  { name: 'X8 a timestamp, by 1 ms', expected: 'R6', plant: spoil((row) => void (row.timestamp += 1)) },
  { name: 'X8 a timestamp type', expected: 'R6', plant: spoil((row) => void (row.isLogAppendTime = true)) },
  {
    name: 'X9 a record in another partition, at the end',
    expected: 'R7',
    plant({ target, random }) {
      const [from, to] = random.next() < 0.5 ? [target[0], target[1]] : [target[1], target[0]];
      const row = chosen(random, uniqueRecords(must(from, 'partition')));
      removeRow(must(from, 'partition'), row);
      append(must(to, 'partition'), [row]);
    },
  },
  {
    name: 'X9 a record in another partition, among others',
    expected: 'R7',
    plant({ target, random }) {
      const [from, to] = [must(target[0], 'partition'), must(target[1], 'partition')];
      const row = chosen(random, uniqueRecords(from));
      removeRow(from, row);
      shift(from, row.offset, -1);
      insert(to, row, chosen(random, uniqueRecords(to)).offset);
    },
  },
  {
    name: 'X10 an offset that nothing accounts for',
    expected: 'R8',
    plant({ target, random }) {
      const partition = chosen(random, target);
      const holes = partition.rows.filter((row) => row.kind === 'control');
      if (holes.length === 0) return 'nothing to spoil';
      removeRow(partition, chosen(random, holes));
    },
  },
  {
    name: 'X10 an offset that two batches account for',
    expected: 'R8',
    plant({ target, random }) {
      const partition = chosen(random, target);
      const at = Math.floor(random.next() * partition.rows.length);
      partition.rows.splice(at, 0, structuredClone(must(partition.rows[at], 'row')));
    },
  },
  {
    name: 'X10 a delivered record is called a hole',
    expected: 'R8',
    plant({ target, random }) {
      const partition = chosen(random, target);
      const { offset } = chosen(random, uniqueRecords(partition));
      partition.rows = partition.rows.map((row) =>
        row.offset === offset ? { kind: 'control', offset, producerId: 9999, marker: 'abort' } : row,
      );
    },
  },
];

function flipped(text: string | null): string {
  const bytes = Buffer.from(text ?? 'null');
  bytes.writeUInt8(bytes.readUInt8(0) ^ 1, 0);
  return bytes.toString();
}

describe('checkReplication', () => {
  it.each([committedOnly, preserve])('finds nothing in a faithful mirror, $transactions', (policy) => {
    fc.assert(
      fc.property(fc.integer(), (seed) => {
        const estate = estateOf(seed, policy.transactions);
        const result = judge(estate, policy);
        expect(result.findings.filter(({ count }) => count > 0)).toEqual([]);
        const offsets = estate.source.reduce((sum, { logStart, end }) => sum + end - logStart, 0);
        expect(Object.values(result.dispositions).reduce((sum, count) => sum + count)).toBe(offsets);
      }),
    );
  });

  it.each(mutations)('names it, and only it: $name', ({ expected, plant }) => {
    let planted = 0;
    fc.assert(
      fc.property(fc.integer(), (seed) => {
        const estate = estateOf(seed);
        if (plant(estate) === 'nothing to spoil') return;
        planted++;
        const result = judge(estate);
        expect(named(result)).toEqual([expected]);
        expect(found(result, expected).instances[0]?.cause).not.toBe('');
      }),
    );
    expect(planted).toBeGreaterThan(50);
  });

  it('counts every instance and keeps the first eight', () => {
    const estate = estateOf(1);
    const [partition] = estate.target;
    for (const row of uniqueRecords(must(partition, 'partition'))) row.timestamp += 1;
    const finding = found(judge(estate), 'R6');
    expect(finding.count).toBe(uniqueRecords(must(partition, 'partition')).length);
    expect(finding.instances).toHaveLength(8);
    expect(finding.instances[0]).toMatchObject({ topic: 'orders', partition: 0 });
  });

  it('says what differs about a record', () => {
    const estate = estateOf(1);
    const row = must(uniqueRecords(must(estate.target[0], 'partition'))[0], 'record');
    row.headers.splice(1, 1);
    expect(found(judge(estate), 'R6').instances).toEqual([
      { topic: 'orders', partition: 0, offset: row.offset, cause: 'headers differ' },
    ]);
  });

  it('finds records that are all there but at other offsets', () => {
    const estate = estateOf(2);
    shift(must(estate.target[0], 'partition'), 0, 1);
    const result = judge(estate);
    expect(named(result)).toEqual([]);
    expect(found(result, 'placement').count).toBeGreaterThan(10);
  });

  it('finds another log start, unless each side has retention of its own', () => {
    const estate = estateOf(3);
    const [partition] = estate.target;
    const { offset } = must(uniqueRecords(must(partition, 'partition'))[4], 'record');
    Object.assign(must(partition, 'partition'), { logStart: offset });
    expect(found(judge(estate), 'placement').count).toBe(1);
    expect(found(judge(estate), 'R1').count).toBeGreaterThan(0);
    expect(judge(estate, { ...committedOnly, logStart: 'any' }).findings.filter(({ count }) => count > 0)).toEqual([]);
  });

  it('judges only what the target has when the mirror is on its way', () => {
    const estate = estateOf(4);
    const partition = must(estate.target[0], 'partition');
    partition.end -= 20;
    partition.rows = partition.rows.filter((row) => row.offset < partition.end);
    expect(named(judge(estate))).toContain('R2');
    const onItsWay = judge(estate, { ...committedOnly, isCaughtUp: false });
    expect(onItsWay.findings.filter(({ count }) => count > 0)).toEqual([]);
  });

  it('takes append times for what they are, and only under that policy', () => {
    const estate = estateOf(5);
    for (const partition of estate.source) for (const row of visibleRows(partition)) row.isLogAppendTime = true;
    expect(named(judge(estate))).toEqual(['R6']);
    expect(named(judge(estate, { ...committedOnly, timestamps: 'append' }))).toEqual([]);
    spoil((row) => void (row.timestamp += 1))(estate);
    expect(named(judge(estate, { ...committedOnly, timestamps: 'append' }))).toEqual(['R6']);
  });

  it('lets a cleaner remove what a later record of the same key supersedes, and nothing else', () => {
    const estate = estateOf(6);
    const partition = must(estate.target[0], 'partition');
    const rows = uniqueRecords(partition);
    const superseded = must(
      rows.find((row, index) => rows.slice(index + 1).some((later) => later.key === row.key)),
      'superseded',
    );
    removeRow(partition, superseded);
    expect(named(judge(estate))).toEqual(['R1']);
    const policy: MirrorPolicy = { ...committedOnly, isCompacted: true };
    expect(named(judge(estate, policy))).toEqual([]);
    const last = must(
      rows.findLast(
        (row) => !visibleRows(partition).some((later) => later.offset > row.offset && later.key === row.key),
      ),
      'last',
    );
    removeRow(partition, last);
    expect(named(judge(estate, policy))).toEqual(['R1']);
  });

  it('sees a transaction that was aborted on one side only', () => {
    const estate = estateOf(7, 'preserve');
    const partition = must(estate.target[0], 'partition');
    const marker = must(
      partition.rows.find((row) => row.kind === 'control' && row.marker === 'commit'),
      'commit marker',
    );
    Object.assign(marker, { marker: 'abort' });
    expect(named(judge(estate, preserve))).toEqual(['R1', 'R8']);
  });

  it('finds a partition that is not there', () => {
    const estate = estateOf(8);
    const result = judge({ ...estate, target: estate.target.slice(0, 1).map(cloneOf) });
    expect(named(result)).toContain('R2');
    expect(found(result, 'placement').instances[0]?.cause).toBe('the partition is only on the source');
  });
});
