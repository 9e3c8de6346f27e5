/**
 * Histories made of plain rows, for tests of the checker: a random source with transactions, compaction and records of
 * every kind, and the target that a faithful mirror makes of it. Rows are easy to spoil; the batches made of them go
 * through the same builder as those of a broker.
 */
import type { Random } from '#util/random.ts';
import type { RawBatch, RawRecord } from '../raw-batch.ts';
import type { PartitionHistory } from './history.ts';
import { HistoryBuilder } from './history.ts';

export type Header = readonly [string, string | null];

export interface RecordRow {
  readonly kind: 'record';
  offset: number;
  /** Producer of the transaction that it belongs to; null for none. */
  transaction: number | null;
  timestamp: number;
  isLogAppendTime: boolean;
  key: string | null;
  value: string | null;
  headers: Header[];
}

export interface ControlRow {
  readonly kind: 'control';
  offset: number;
  producerId: number;
  marker: 'commit' | 'abort';
}

export type Row = RecordRow | ControlRow;

export interface PlantedPartition {
  readonly partition: number;
  logStart: number;
  /** Ascending; offsets that are not there were compacted away. */
  rows: Row[];
  /** High watermark, and last stable offset: no transaction is open at the end. */
  end: number;
}

export function cloneOf(partition: PlantedPartition): PlantedPartition {
  return structuredClone(partition);
}

export function historyOf(topic: string, { partition, logStart, rows, end }: PlantedPartition): PartitionHistory {
  const builder = new HistoryBuilder({ from: logStart, to: end });
  for (const row of rows) builder.add(batchOf(row));
  return builder.finish({ topic, partition, logStart, lastStable: end, highWatermark: end });
}

/** The rows whose records a read_committed reader sees. */
export function visibleRows(partition: PlantedPartition): RecordRow[] {
  const builder = historyOf('rows', partition).entries;
  const delivered = new Set<number>();
  for (let at = 0; at < builder.length; at++) if (builder.fate(at) === 'delivered') delivered.add(builder.offset(at));
  return partition.rows.filter((row) => row.kind === 'record' && delivered.has(row.offset)) as RecordRow[];
}

const holeProducer = 9999;

/** The target of a faithful mirror: the same offsets, and a control record wherever the source shows nothing. */
export function mirrorOf(source: PlantedPartition, transactions: 'committed-only' | 'preserve'): PlantedPartition {
  const kept = new Map<number, Row>();
  const rows = transactions === 'preserve' ? source.rows : visibleRows(source);
  for (const row of rows)
    kept.set(row.offset, transactions === 'preserve' ? row : ({ ...row, transaction: null } as Row));
  const target: PlantedPartition = {
    partition: source.partition,
    logStart: source.logStart,
    rows: [],
    end: source.end,
  };
  for (let offset = source.logStart; offset < source.end; offset++) {
    const row = kept.get(offset);
    target.rows.push(structuredClone(row ?? { kind: 'control', offset, producerId: holeProducer, marker: 'abort' }));
  }
  return target;
}

/** A random source partition of about `length` offsets. It ends with a plain record that has content of its own. */
export function randomSource(random: Random, options: { partition: number; length: number }): PlantedPartition {
  const { partition, length } = options;
  const below = (bound: number): number => Math.floor(random.next() * bound);
  const logStart = random.next() < 0.5 ? 0 : below(1000);
  const rows: Row[] = [];
  const open = new Set<number>();
  let offset = logStart;
  const push = (transaction: number | null, isPlain = false): void => {
    const isCommon = !isPlain && random.next() < 0.1; // content that many records have
    rows.push({
      kind: 'record',
      offset,
      transaction,
      timestamp: 1_700_000_000_000 + below(1000) * (random.next() < 0.1 ? -1 : 1),
      isLogAppendTime: false,
      key: isCommon ? null : `key-${below(20)}`,
      value: isCommon ? '' : random.next() < 0.1 && !isPlain ? null : `value-${partition}-${offset}`,
      headers: isCommon
        ? []
        : [
            ['id', `${partition}-${offset}`],
            ['id', 'again'],
            ['none', null],
            ['a', 'b'],
          ],
    });
    offset++;
  };
  const end = (producerId: number, marker: ControlRow['marker']): void => {
    rows.push({ kind: 'control', offset, producerId, marker });
    open.delete(producerId);
    offset++;
  };
  while (offset < logStart + length) {
    const dice = random.next();
    const producerId = 100 + below(3);
    if (dice < 0.1) offset += 1 + below(3); // compacted away
    else if (dice < 0.5) push(null);
    else if (dice < 0.9 || !open.has(producerId)) {
      open.add(producerId);
      push(producerId);
    } else end(producerId, random.next() < 0.4 ? 'abort' : 'commit');
  }
  for (const producerId of open) end(producerId, random.next() < 0.4 ? 'abort' : 'commit');
  push(null, true);
  return { partition, logStart, rows, end: offset };
}

function batchOf(row: Row): RawBatch {
  const isControl = row.kind === 'control';
  const transaction = isControl ? row.producerId : row.transaction;
  return {
    baseOffset: row.offset,
    lastOffset: row.offset,
    bytes: 0,
    leaderEpoch: 0,
    attributes: 0,
    codec: 'none',
    isLogAppendTime: !isControl && row.isLogAppendTime,
    isTransactional: transaction !== null,
    isControl,
    hasDeleteHorizon: false,
    producerId: transaction ?? -1,
    producerEpoch: 0,
    baseSequence: -1,
    maxTimestamp: isControl ? 0 : row.timestamp,
    recordCount: 1,
    hasInnerGap: false,
    marker: isControl ? row.marker : null,
    records: () => (isControl ? [] : [recordOf(row)]),
  };
}

function recordOf({ offset, timestamp, key, value, headers }: RecordRow): RawRecord {
  const headerBytes = Buffer.from(JSON.stringify(headers));
  return {
    offset,
    timestamp,
    key: bytesOf(key),
    value: bytesOf(value),
    headers: headers.map(([name, content]) => [Buffer.from(name), bytesOf(content)] as const),
    body: Buffer.from(JSON.stringify([key, value, headers])),
    headerBytes,
  };
}

function bytesOf(text: string | null): Buffer | null {
  return text === null ? null : Buffer.from(text);
}
