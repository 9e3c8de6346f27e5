/**
 * What Kafka's own Java consumer sees (src/testing/java/RecordDump.java), and the comparison of two clusters by it:
 * the last word of every acceptance run, because nothing of ours takes part in it.
 */
import { must } from '#util/assert.ts';
import { askJava } from './java-request.ts';

export type Isolation = 'read_committed' | 'read_uncommitted';

/** One partition as the consumer saw it. Offsets of an empty partition are −1. */
export interface PartitionDigest {
  readonly topic: string;
  readonly partition: number;
  readonly beginningOffset: number;
  /** The last stable offset at read_committed, the high watermark at read_uncommitted. */
  readonly endOffset: number;
  readonly count: number;
  readonly bytes: number;
  readonly firstOffset: number;
  readonly lastOffset: number;
  /** How many of the records carry the broker's append time. */
  readonly logAppendTime: number;
  /** SHA-256 over offset, timestamp (unless left out), key, value and headers of every record, in order. */
  readonly digest: string;
  /** Chunk number (offset divided by `chunkRecords`) and digest of that chunk; a chunk without records is not there. */
  readonly chunks: readonly (readonly [number, string])[];
}

/** One record. Bytes are hex, or their length and SHA-256 where there are more than 64. */
export interface ShownRecord {
  readonly topic: string;
  readonly partition: number;
  readonly offset: number;
  readonly timestamp: number;
  readonly timestampType: 'CreateTime' | 'LogAppendTime';
  readonly leaderEpoch?: number;
  readonly key: string | null;
  readonly value: string | null;
  readonly headers: readonly (readonly [string, string | null])[];
}

export interface JavaRead {
  readonly bootstrap: readonly string[];
  readonly isolation: Isolation;
}

/** A difference as a person has to know it: where, at which offset first, and what each side has there. */
export interface Difference {
  /** Topic and partition on the source. */
  readonly topic: string;
  readonly partition: number;
  readonly kind: 'partitions' | 'beginning offset' | 'end offset' | 'timestamp type' | 'record';
  /** The first offset that differs; absent where the difference is not about one. */
  readonly offset?: number;
  readonly source: unknown;
  readonly target: unknown;
}

/**
 * How timestamps are compared. `equal`: value and type. `append`: as the consumer shows them, the type may differ: a
 * LogAppendTime source whose append times a CreateTime target keeps. `ignore`: not at all (`timestamps: target` and,
 * for LogAppendTime sources, `producer`).
 */
export type TimestampComparison = 'equal' | 'append' | 'ignore';

export interface ComparisonRequest {
  readonly source: readonly string[];
  readonly target: readonly string[];
  readonly topics: readonly { readonly source: string; readonly target: string }[];
  /** Of the target, and of the source too unless `sourceIsolation` says otherwise. */
  readonly isolation: Isolation;
  /** `read_committed` for a mirror with `transactions: committed-only` whose target is read uncommitted. */
  readonly sourceIsolation?: Isolation;
  readonly timestamps: TimestampComparison;
  /** Whether log start and end must be equal as well. Default: both. */
  readonly bounds?: 'both' | 'beginning' | 'end' | 'none';
}

/** A difference is looked for inside a chunk of this many offsets. */
const chunkRecords = 1000;

/** The digests of all partitions of some topics on one cluster, as of now. About 1 s, plus 200 MB/s. */
export async function readDigests(
  bootstrap: readonly string[],
  topics: readonly string[],
  options: { isolation: Isolation; timestamps?: boolean },
): Promise<PartitionDigest[]> {
  const { isolation, timestamps = true } = options;
  const [digests] = await askDigests([{ bootstrap, isolation, topics }], timestamps);
  return must(digests, 'digests of the read');
}

/** The records of one partition from offset `from` up to, not including, `to`. */
export async function readRecords(
  read: JavaRead,
  range: { topic: string; partition: number; from: number; to: number },
): Promise<ShownRecord[]> {
  const [records] = await askRecords([{ ...read, ranges: [range] }]);
  return must(records, 'records of the range');
}

/**
 * Compares two clusters record by record: the same records at the same offsets, in the same order, with the same
 * timestamps. Returns the first difference of each kind for each partition; none means equal.
 */
export async function compareWithJava(request: ComparisonRequest): Promise<Difference[]> {
  const reads = {
    source: { bootstrap: request.source, isolation: request.sourceIsolation ?? request.isolation },
    target: { bootstrap: request.target, isolation: request.isolation },
  };
  const [source, target] = await askDigests(
    [
      { ...reads.source, topics: request.topics.map((topic) => topic.source) },
      { ...reads.target, topics: request.topics.map((topic) => topic.target) },
    ],
    request.timestamps !== 'ignore',
  );
  const differences: Difference[] = [];
  for (const topic of request.topics) {
    const sourceSide = ofTopic(must(source, 'digests of the source'), topic.source);
    const targetSide = ofTopic(must(target, 'digests of the target'), topic.target);
    if (sourceSide.length !== targetSide.length) {
      differences.push({
        topic: topic.source,
        partition: -1,
        kind: 'partitions',
        source: sourceSide.length,
        target: targetSide.length,
      });
    }
    for (const [index, left] of sourceSide.entries()) {
      const right = targetSide[index];
      if (!right) continue;
      differences.push(...compareSummaries(left, right, request));
      const found = left.digest === right.digest ? null : await firstDifference(left, right, reads, request.timestamps);
      if (found) differences.push(found);
    }
  }
  return differences;
}

/** One line for each difference. */
export function formatDifferences(differences: readonly Difference[]): string {
  return differences
    .map(({ topic, partition, kind, offset, source, target }) => {
      const where = offset === undefined ? `${topic}-${partition}` : `${topic}-${partition} at offset ${offset}`;
      return `${where}: ${kind} differs\n  source ${JSON.stringify(source)}\n  target ${JSON.stringify(target)}`;
    })
    .join('\n');
}

function ofTopic(digests: readonly PartitionDigest[], topic: string): PartitionDigest[] {
  return digests.filter((digest) => digest.topic === topic).sort((a, b) => a.partition - b.partition);
}

function compareSummaries(source: PartitionDigest, target: PartitionDigest, request: ComparisonRequest): Difference[] {
  const { bounds = 'both', timestamps } = request;
  const where = { topic: source.topic, partition: source.partition };
  const differences: Difference[] = [];
  if ((bounds === 'both' || bounds === 'beginning') && source.beginningOffset !== target.beginningOffset) {
    differences.push({
      ...where,
      kind: 'beginning offset',
      source: source.beginningOffset,
      target: target.beginningOffset,
    });
  }
  if ((bounds === 'both' || bounds === 'end') && source.endOffset !== target.endOffset) {
    differences.push({ ...where, kind: 'end offset', source: source.endOffset, target: target.endOffset });
  }
  if (timestamps === 'equal' && source.logAppendTime !== target.logAppendTime) {
    const shown = (digest: PartitionDigest): string => `${digest.logAppendTime} of ${digest.count} with append time`;
    differences.push({ ...where, kind: 'timestamp type', source: shown(source), target: shown(target) });
  }
  return differences;
}

/** Reads the first chunk that differs again, record by record. */
async function firstDifference(
  source: PartitionDigest,
  target: PartitionDigest,
  reads: { source: JavaRead; target: JavaRead },
  timestamps: TimestampComparison,
): Promise<Difference | null> {
  const chunk = firstDifferentChunk(source.chunks, target.chunks);
  const range = (digest: PartitionDigest): { topic: string; partition: number; from: number; to: number } => ({
    topic: digest.topic,
    partition: digest.partition,
    from: chunk * chunkRecords,
    to: (chunk + 1) * chunkRecords,
  });
  const [left = [], right = []] = await askRecords([
    { ...reads.source, ranges: [range(source)] },
    { ...reads.target, ranges: [range(target)] },
  ]);
  const pair = firstDifferentPair(left, right, timestamps);
  const where = { topic: source.topic, partition: source.partition, kind: 'record' as const };
  // A record that was there for the digest and is not any more: retention or compaction went on meanwhile.
  if (!pair)
    return {
      ...where,
      offset: chunk * chunkRecords,
      source: 'changed while it was read',
      target: 'changed while it was read',
    };
  const offset = Math.min(pair.source?.offset ?? Infinity, pair.target?.offset ?? Infinity);
  return { ...where, offset, source: pair.source ?? 'no record', target: pair.target ?? 'no record' };
}

/** The number of the first chunk that is not the same on both sides. Both lists ascend. */
export function firstDifferentChunk(source: PartitionDigest['chunks'], target: PartitionDigest['chunks']): number {
  for (let index = 0; ; index++) {
    const [left, right] = [source[index], target[index]];
    if (left && right && left[0] === right[0] && left[1] === right[1]) continue;
    return Math.min(left?.[0] ?? Infinity, right?.[0] ?? Infinity);
  }
}

/** The first offset at which two ascending runs of records differ; a side without a record there is null. */
export function firstDifferentPair(
  source: readonly ShownRecord[],
  target: readonly ShownRecord[],
  timestamps: TimestampComparison,
): { source: ShownRecord | null; target: ShownRecord | null } | null {
  for (let index = 0; index < Math.max(source.length, target.length); index++) {
    const [left = null, right = null] = [source[index], target[index]];
    if (left && right && left.offset === right.offset) {
      if (contentOf(left, timestamps) !== contentOf(right, timestamps)) return { source: left, target: right };
      continue;
    }
    const isLeftFirst = (left?.offset ?? Infinity) < (right?.offset ?? Infinity);
    return isLeftFirst ? { source: left, target: null } : { source: null, target: right };
  }
  return null;
}

function contentOf(record: ShownRecord, timestamps: TimestampComparison): string {
  const { key, value, headers, timestamp, timestampType } = record;
  const times = timestamps === 'ignore' ? [] : timestamps === 'append' ? [timestamp] : [timestamp, timestampType];
  return JSON.stringify([key, value, headers, times]);
}

async function askDigests(
  reads: readonly (JavaRead & { topics: readonly string[] })[],
  timestamps: boolean,
): Promise<PartitionDigest[][]> {
  const lines = await askJava('RecordDump', {
    mode: 'digest',
    reads: reads.map((read) => ({ ...read, bootstrap: read.bootstrap.join(','), every: chunkRecords, timestamps })),
  });
  return reads.map((_, index) => JSON.parse(must(lines[index], 'line of digests')) as PartitionDigest[]);
}

async function askRecords(reads: readonly (JavaRead & { ranges: readonly object[] })[]): Promise<ShownRecord[][]> {
  const lines = await askJava('RecordDump', {
    mode: 'records',
    reads: reads.map((read) => ({ ...read, bootstrap: read.bootstrap.join(',') })),
  });
  const answers: ShownRecord[][] = [[]];
  for (const line of lines) {
    if (line === '') answers.push([]);
    else must(answers.at(-1), 'answer').push(JSON.parse(line) as ShownRecord);
  }
  return answers;
}
