/** What the logs of source topics say about time, and how far their copies have come: asked in few requests, nothing written. */
import type { Cluster } from '#kafka/cluster.ts';
import { EARLIEST, LATEST, listOffsets, type OffsetAnswer } from '#kafka/offsets.ts';
import { must } from '#util/assert.ts';

/** ListOffsetsRequest.MAX_TIMESTAMP (KIP-734): the record with the largest timestamp. */
const MAX_TIMESTAMP = -3;

/** One partition of the source. Null where it is not known, and for the times of an empty log. */
export interface LogFacts {
  readonly topic: string;
  readonly partition: number;
  readonly logStart: number | null;
  readonly stableOffset: number | null;
  /** The next offset to copy: the copy's end, or where the copy would begin. */
  readonly position: number | null;
  /** Of the first record that is there: compaction and transactions leave holes at the log start too. */
  readonly firstOffset: number | null;
  /** Of the first record of the log, which is nearly always the oldest. */
  readonly firstTimestamp: number | null;
  readonly newestTimestamp: number | null;
}

export interface LogQuestion {
  readonly source: string;
  readonly target: string;
  readonly partitions: number;
  /** The copy has begun: it goes on at its end. */
  readonly isResumed: boolean;
}

/** By source topic. Throws KafkaError. */
export async function readLogFacts(
  clusters: { readonly source: Cluster; readonly target: Cluster },
  topics: readonly LogQuestion[],
): Promise<ReadonlyMap<string, readonly LogFacts[]>> {
  const all = topics.flatMap(({ source: topic, partitions }) =>
    Array.from({ length: partitions }, (_, partition) => ({ topic, partition })),
  );
  const resumed = topics.filter(({ isResumed }) => isResumed);
  const copies = resumed.flatMap(({ source, target: topic, partitions }) =>
    Array.from({ length: partitions }, (_, partition) => ({ source, topic, partition, timestamp: LATEST })),
  );
  const at = (timestamp: number) => all.map((each) => ({ ...each, timestamp }));
  const [starts, ends, firsts, newest, positions] = await Promise.all([
    listOffsets(clusters.source, at(EARLIEST)),
    listOffsets(clusters.source, at(LATEST), { isolation: 'read_committed' }),
    listOffsets(clusters.source, at(0)), // the first record at or after 1970
    listOffsets(clusters.source, at(MAX_TIMESTAMP)),
    listOffsets(clusters.target, copies),
  ]);
  const reached = new Map(copies.map(({ source, partition }, i) => [`${source}/${partition}`, offsetOf(positions[i])]));
  const facts = all.map(({ topic, partition }, i): LogFacts => {
    const logStart = offsetOf(starts[i]);
    const position = reached.get(`${topic}/${partition}`);
    return {
      topic,
      partition,
      logStart,
      stableOffset: offsetOf(ends[i]),
      position: position === undefined ? logStart : position,
      firstOffset: offsetOf(firsts[i]),
      firstTimestamp: timeOf(firsts[i]),
      newestTimestamp: timeOf(newest[i]),
    };
  });
  return Map.groupBy(facts, ({ topic }) => topic);
}

/**
 * Of the partitions, those with a record that is not copied yet and that was written before `timestampMs`, as far as that
 * can be learnt. Throws KafkaError.
 */
export async function olderThan(
  source: Cluster,
  partitions: readonly LogFacts[],
  timestampMs: number,
): Promise<LogFacts[]> {
  const open = partitions.filter(({ position, stableOffset }) => (position ?? 0) < (stableOffset ?? 0));
  const answers = await listOffsets(
    source,
    open.map(({ topic, partition }) => ({ topic, partition, timestamp: timestampMs })),
  );
  return open.filter((each, i) => {
    const { offset, error } = must(answers[i], 'answer of ListOffsets');
    if (error || each.position === null || each.firstOffset === null) return false;
    return offset < 0 || offset > Math.max(each.position, each.firstOffset); // −1: no record is so young
  });
}

function offsetOf(answer: OffsetAnswer | undefined): number | null {
  return !answer || answer.error || answer.offset < 0 ? null : answer.offset;
}

function timeOf(answer: OffsetAnswer | undefined): number | null {
  return !answer || answer.error || answer.timestamp < 0 ? null : answer.timestamp;
}
