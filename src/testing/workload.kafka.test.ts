/** That the workloads are what they say, counted on a real broker by the raw reader; and that the readers see it. */
import { createHash } from 'node:crypto';
import { beforeAll, describe, expect, test } from 'vitest';
import { must } from '#util/assert.ts';
import { checkReplication } from './checker/check-replication.ts';
import { readHistories } from './checker/read-history.ts';
import { compareWithJava, readRecords } from './java-reader.ts';
import type { ShownRecord } from './java-reader.ts';
import type { RawRecord } from './raw-batch.ts';
import { RawReader } from './raw-reader.ts';
import { sharedClusters } from './shared-clusters.ts';
import { createTopics, describeTopics } from './topic-admin.ts';
import type { RecordStream } from './workload.ts';
import { codecs, spawnLiveTraffic, writeStreams, writeWorkloads } from './workload.ts';
import * as workloads from './workloads.ts';

const cluster = sharedClusters({ source: {} });
const bootstrap = (): readonly string[] => cluster('source').bootstrap;

const seed = 7;

interface Tally {
  logStart: number;
  offsets: number;
  records: number;
  batches: Record<string, number>;
  singleRecordBatches: number;
  largestBatchBytes: number;
  innerGaps: number;
  emptyBatches: number;
  deleteHorizons: number;
  logAppendTime: number;
  commits: number;
  aborts: number;
  nullKeys: number;
  nullValues: number;
  emptyValues: number;
  largestValueBytes: number;
  repeatedHeaders: number;
  nullHeaders: number;
  oldestMs: number;
  zeroTimestamps: number;
  outOfOrder: number;
}

/** Everything that a reader of batches can count, over all partitions of a topic. */
async function tallyOf(topic: string): Promise<Tally> {
  const tally: Tally = {
    logStart: 0,
    offsets: 0,
    records: 0,
    batches: {},
    singleRecordBatches: 0,
    largestBatchBytes: 0,
    innerGaps: 0,
    emptyBatches: 0,
    deleteHorizons: 0,
    logAppendTime: 0,
    commits: 0,
    aborts: 0,
    nullKeys: 0,
    nullValues: 0,
    emptyValues: 0,
    largestValueBytes: 0,
    repeatedHeaders: 0,
    nullHeaders: 0,
    oldestMs: Infinity,
    zeroTimestamps: 0,
    outOfOrder: 0,
  };
  const reader = new RawReader(bootstrap());
  try {
    const count = await reader.partitionCount(topic);
    for (let partition = 0; partition < count; partition++) {
      const { logStart, highWatermark } = await reader.bounds(topic, partition);
      tally.logStart += logStart;
      tally.offsets += highWatermark - logStart;
      let latest = 0;
      for await (const batch of reader.batches(topic, partition, { from: logStart, to: highWatermark })) {
        if (batch.isControl) {
          tally[batch.marker === 'commit' ? 'commits' : 'aborts']++;
          continue;
        }
        tally.batches[batch.codec] = (tally.batches[batch.codec] ?? 0) + 1;
        tally.largestBatchBytes = Math.max(tally.largestBatchBytes, batch.bytes);
        if (batch.recordCount === 1) tally.singleRecordBatches++;
        if (batch.recordCount === 0) tally.emptyBatches++;
        if (batch.hasInnerGap) tally.innerGaps++;
        if (batch.hasDeleteHorizon) tally.deleteHorizons++;
        if (batch.isLogAppendTime) tally.logAppendTime++;
        for (const record of batch.records()) {
          if (record.offset < logStart) continue;
          countRecord(tally, record);
          if (record.timestamp < latest) tally.outOfOrder++;
          latest = Math.max(latest, record.timestamp);
        }
      }
    }
  } finally {
    reader.close();
  }
  return tally;
}

function countRecord(tally: Tally, { timestamp, key, value, headers }: RawRecord): void {
  tally.records++;
  if (key === null) tally.nullKeys++;
  if (value === null) tally.nullValues++;
  else tally.largestValueBytes = Math.max(tally.largestValueBytes, value.length);
  if (value?.length === 0) tally.emptyValues++;
  if (new Set(headers.map(([name]) => name.toString())).size < headers.length) tally.repeatedHeaders++;
  if (headers.some(([, content]) => content === null)) tally.nullHeaders++;
  tally.oldestMs = Math.min(tally.oldestMs, timestamp);
  if (timestamp === 0) tally.zeroTimestamps++;
}

describe('a real broker holds', () => {
  const options = { records: 4000, partitions: 2 };

  beforeAll(async () => {
    await writeWorkloads(
      bootstrap(),
      [
        workloads.mixed('mixed', options),
        workloads.oneRecordBatches('single', { records: 600, partitions: 2 }),
        workloads.logAppendTime('append', options),
        workloads.oldTimestamps('old', options),
        workloads.transactional('transactional', { records: 3000, partitions: 2 }),
        workloads.logStart('start', options),
        workloads.large('large'),
        workloads.oddHeaders('odd', options),
        workloads.compacted('compacted', options),
      ],
      { seed },
    );
  });

  test('every codec, null and empty keys and values, odd headers and timestamps, in `mixed`', async () => {
    const tally = await tallyOf('mixed');
    expect(tally.records).toBe(4000);
    expect(tally.offsets).toBe(4000);
    expect(Object.keys(tally.batches).sort()).toEqual([...codecs].sort());
    expect(tally.nullKeys).toBe(1000);
    expect(tally.nullValues).toBeGreaterThan(100);
    expect(tally.emptyValues).toBeGreaterThan(100);
    expect(tally.repeatedHeaders).toBeGreaterThan(500);
    expect(tally.nullHeaders).toBeGreaterThan(500);
    expect(tally.zeroTimestamps).toBe(800);
    expect(tally.outOfOrder).toBeGreaterThan(1000);
    expect(tally.singleRecordBatches).toBeGreaterThan(10);
    expect(tally.largestBatchBytes).toBeGreaterThan(100_000);
  });

  test('a batch for every record, in `oneRecordBatches`', async () => {
    const tally = await tallyOf('single');
    expect(tally.records).toBe(600);
    expect(tally.batches).toEqual({ none: 300, zstd: 300 });
    expect(tally.singleRecordBatches).toBe(600);
  });

  test('append times in every codec, in `logAppendTime`', async () => {
    const tally = await tallyOf('append');
    expect(tally.records).toBe(4000);
    expect(tally.logAppendTime).toBe(Object.values(tally.batches).reduce((sum, count) => sum + count));
    expect(Object.keys(tally.batches)).toHaveLength(5);
    expect(Date.now() - tally.oldestMs).toBeLessThan(600_000);
  });

  test('records of 40 days ago, in `oldTimestamps`', async () => {
    const tally = await tallyOf('old');
    expect(tally.records).toBe(4000);
    const days = (Date.now() - tally.oldestMs) / 86_400_000;
    expect(days).toBeGreaterThan(39.9);
    expect(days).toBeLessThan(40.1);
  });

  test('commits, aborts and plain records that interleave, in `transactional`', async () => {
    const tally = await tallyOf('transactional');
    expect(tally.records).toBe(3000);
    expect(tally.commits).toBeGreaterThan(20);
    expect(tally.aborts).toBeGreaterThan(2);
    expect(tally.offsets).toBe(3000 + tally.commits + tally.aborts);
    const histories = await readHistories(bootstrap(), 'transactional');
    const { dispositions } = checkReplication({
      source: histories,
      target: histories,
      policy: { transactions: 'preserve', timestamps: 'equal' },
    });
    expect(dispositions.aborted).toBeGreaterThan(20);
    expect(dispositions.delivered + dispositions.aborted).toBe(3000);
    expect(dispositions.control).toBe(tally.commits + tally.aborts);
    expect(await producersThatInterleave('transactional')).toBeGreaterThanOrEqual(4);
  });

  test('a log start > 0, in the middle of a batch, in `logStart`', async () => {
    const [topic] = await describeTopics(bootstrap(), ['start']);
    expect(must(topic, 'topic').partitions.map(({ earliest }) => earliest)).toEqual([1001, 1002]);
    const reader = new RawReader(bootstrap());
    try {
      for await (const batch of reader.batches('start', 0, { from: 1001, to: 1002 })) {
        expect(batch.baseOffset).toBeLessThan(1001);
        expect(batch.lastOffset).toBeGreaterThan(1001);
      }
    } finally {
      reader.close();
    }
  });

  test('records from 0 B to 5 MB, and batches of 1 MB, in `large`', async () => {
    const tally = await tallyOf('large');
    expect(tally.records).toBe(200);
    expect(tally.emptyValues).toBeGreaterThan(5);
    expect(tally.largestValueBytes).toBe(5 * 1024 * 1024);
    expect(tally.largestBatchBytes).toBeGreaterThan(5_000_000);
    expect(Object.keys(tally.batches)).toHaveLength(5);
  });

  test('repeated, null and empty headers in every codec, in `oddHeaders`', async () => {
    const tally = await tallyOf('odd');
    expect(tally.records).toBe(4000);
    expect(tally.repeatedHeaders).toBe(1600);
    expect(tally.nullHeaders).toBe(1600);
    expect(Object.keys(tally.batches)).toHaveLength(5);
  });

  test('holes between and inside batches, tombstones and delete horizons, in `compacted`', async () => {
    const tally = await tallyOf('compacted');
    expect(tally.offsets).toBe(4002); // one more in each partition has rolled the segments
    expect(tally.records).toBeLessThan(3000);
    expect(tally.innerGaps).toBeGreaterThan(5);
    expect(tally.nullValues).toBeGreaterThan(10);
    expect(tally.deleteHorizons).toBeGreaterThan(0);
    expect((await tallyOf('compacted')).records).toBe(tally.records);
  });

  test("the same records for the raw reader as for Kafka's consumer", async () => {
    for (const topic of ['odd', 'start', 'append', 'mixed']) {
      const range = { topic, partition: 1, from: 0, to: 1e9 };
      const records = await readRecords({ bootstrap: bootstrap(), isolation: 'read_uncommitted' }, range);
      expect(records.length).toBeGreaterThan(500);
      const contents = records.map(({ offset, timestamp, key, value, headers }) => ({
        offset,
        timestamp,
        key,
        value,
        headers,
      }));
      expect(await readRaw(topic, 1)).toEqual(contents);
    }
  });
});

describe("the comparison by Kafka's consumer", () => {
  const stream = (topic: string, changes: Partial<RecordStream> = {}): RecordStream => ({
    name: 'first',
    topic,
    partitions: [0],
    records: 2500,
    keys: 'mixed',
    headers: 'odd',
    timestamps: { mode: 'fixed', baseMs: 1_700_000_000_000 },
    ...changes,
  });
  const compare = (target: string): ReturnType<typeof compareWithJava> =>
    compareWithJava({
      source: bootstrap(),
      target: bootstrap(),
      topics: [{ source: 'left', target }],
      isolation: 'read_committed',
      timestamps: 'equal',
    });

  beforeAll(async () => {
    await createTopics(
      bootstrap(),
      ['left', 'right', 'other', 'short'].map((name) => ({ name, partitions: 1, configs: { 'retention.ms': '-1' } })),
    );
    await writeStreams(bootstrap(), [
      stream('left'),
      stream('left', { name: 'second', records: 10, codec: 'gzip' }),
      stream('right', { codec: 'zstd', batchBytes: 500 }),
      stream('right', { name: 'second', records: 10, oneRecordBatches: true }),
      stream('other'),
      stream('other', { name: 'second', records: 10, headers: 'none' }),
      stream('short'),
    ]);
  });

  test('finds nothing where only codecs and batches differ', async () => {
    expect(await compare('right')).toEqual([]);
  });

  test('names the first offset that differs, and both records', async () => {
    const [found, ...others] = await compare('other');
    const difference = must(found, 'difference');
    expect(others).toEqual([]);
    expect(difference).toMatchObject({ topic: 'left', partition: 0, kind: 'record', offset: 2500 });
    expect((difference.source as ShownRecord).headers).toHaveLength(2);
    expect((difference.target as ShownRecord).headers).toEqual([]);
  });

  test('names missing records and the end', async () => {
    expect(await compare('short')).toMatchObject([
      { kind: 'end offset', source: 2510, target: 2500 },
      { kind: 'record', offset: 2500, target: 'no record' },
    ]);
  });
});

test('live traffic goes on until it is stopped, and says what it wrote', async () => {
  await createTopics(bootstrap(), [{ name: 'live', partitions: 2 }]);
  const shared = { topic: 'live', partitions: [0, 1], recordsPerSecond: 200 };
  const traffic = await spawnLiveTraffic(bootstrap(), [
    { ...shared, name: 'plain' },
    { ...shared, name: 'transactions', transactions: { producers: 2, abortRate: 0.2, records: [1, 20] } },
  ]);
  await expect.poll(() => traffic.progress.committed, { timeout: 60_000, interval: 100 }).toBeGreaterThan(2);
  const summary = await traffic.stop();
  expect(summary.transactions.committed).toBeGreaterThan(2);
  expect(summary.records).toBeGreaterThanOrEqual(traffic.progress.records);
  expect((await tallyOf('live')).records).toBe(summary.records);
});

/** Bytes as RecordDump shows them. */
function shown(bytes: Buffer | null): string | null {
  if (!bytes || bytes.length <= 64) return bytes && bytes.toString('hex');
  return `${bytes.length} bytes, sha256 ${createHash('sha256').update(bytes).digest('hex')}`;
}

/** What RecordDump shows of a partition, made from raw batches. */
async function readRaw(topic: string, partition: number): Promise<object[]> {
  const reader = new RawReader(bootstrap());
  try {
    const { logStart, highWatermark } = await reader.bounds(topic, partition);
    const records: object[] = [];
    for await (const batch of reader.batches(topic, partition, { from: logStart, to: highWatermark })) {
      for (const { offset, timestamp, key, value, headers } of batch.records()) {
        if (offset < logStart) continue;
        const pairs = headers.map(([name, content]) => [name.toString(), shown(content)]);
        records.push({ offset, timestamp, key: shown(key), value: shown(value), headers: pairs });
      }
    }
    return records;
  } finally {
    reader.close();
  }
}

/** The number of producers that have a batch between two batches of one transaction of another. */
async function producersThatInterleave(topic: string): Promise<number> {
  const reader = new RawReader(bootstrap());
  const open = new Set<number>();
  const interleaved = new Set<number>();
  try {
    const { highWatermark } = await reader.bounds(topic, 0);
    for await (const batch of reader.batches(topic, 0, { from: 0, to: highWatermark })) {
      if (batch.isControl) open.delete(batch.producerId);
      else if (batch.isTransactional) open.add(batch.producerId);
      if (open.size > 1) for (const producerId of open) interleaved.add(producerId);
    }
    return interleaved.size;
  } finally {
    reader.close();
  }
}
