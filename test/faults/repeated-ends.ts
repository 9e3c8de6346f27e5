/**
 * A coordinator of transactions that is lost between the marker in a partition and its own record that the end is complete
 * has its successor write the marker once more, behind what is there then. Nothing can take that out of the log of a copy,
 * so its partition stops (docs/decisions/0005-transactions.md): what is shown here is that it was so, and that all below it is the source's.
 */
import { expect } from 'vitest';
import type { ErrorCode } from '#contract/errors.ts';
import type { Incident } from '#contract/status.ts';
import { LATEST, listOffsets } from '#kafka/offsets.ts';
import { describeProducers } from '#kafka/producers.ts';
import { describeTransactions, listTransactions } from '#kafka/transactions.ts';
import { checkReplication } from '#testing/checker/check-replication.ts';
import type { MirrorPolicy } from '#testing/checker/check-replication.ts';
import { HistoryBuilder, type PartitionHistory } from '#testing/checker/history.ts';
import { readHistories } from '#testing/checker/read-history.ts';
import type { RawBatch } from '#testing/raw-batch.ts';
import { RawReader } from '#testing/raw-reader.ts';
import type { KafkaCluster } from '#testing/kafka-cluster.ts';
import { openCluster } from '#testing/open-cluster.ts';
import { assert, must } from '#util/assert.ts';
import type { ClusterPair } from './mirror-under-test.ts';

/** A partition that has stopped, and where its copy ends as the source is. */
export interface RepeatedEnd {
  readonly topic: string;
  readonly partition: number;
  readonly offset: number;
}

const CODES: readonly ErrorCode[] = ['SHARD_TRANSACTION_BROKEN', 'SHARD_DIVERGED'];

/** Whether a partition may have stopped for it. */
export function mayBeRepeatedEnd({ code }: Incident): boolean {
  return CODES.includes(code);
}

/** Places of partitions, `topic/partition`. */
export function placesOf(incidents: readonly Incident[]): ReadonlySet<string> {
  return new Set(incidents.map(({ topic, partition }) => `${topic}/${partition}`));
}

/** Each has stopped once, at an end that stands twice; all that lies below those, and every other partition, is identical. */
export async function expectStoppedAtRepeatedEnds(
  pair: ClusterPair,
  stopped: {
    readonly incidents: readonly Incident[];
    readonly topics: readonly string[];
    readonly policy: MirrorPolicy;
  },
): Promise<{ readonly ends: readonly RepeatedEnd[]; readonly records: number; readonly told: string }> {
  const { incidents, topics, policy } = stopped;
  expect(placesOf(incidents).size, 'one incident for each').toBe(incidents.length);
  const ends: RepeatedEnd[] = [];
  for (const incident of incidents) ends.push(await repeatedEndOf(pair, incident));
  let records = 0;
  for (const topic of topics) records += await expectIdenticalBelow(pair, { topic, ends, policy });
  const places = ends.map(({ topic, partition, offset }) => `${topic}/${partition} at ${offset}`);
  const told = `identical, ${records} records, but that an end was written twice: stopped at exactly that by ${incidents.map(({ code }) => code).join(', ')}, ${places.join(', ')}, identical below`;
  return { ends, records, told };
}

/** Fails unless the target holds, where the incident says, the end of a transaction that stands before it already, or will. */
async function repeatedEndOf({ target }: ClusterPair, incident: Incident): Promise<RepeatedEnd> {
  const { code, topic, partition, offsets } = incident;
  expect(CODES).toContain(code);
  assert(topic !== null && partition !== null && offsets !== null, 'an incident of a partition');
  const forgotten = /end of a transaction of producer id (\d+) stands .* has forgotten it/.exec(incident.cause)?.[1];
  if (forgotten !== undefined) {
    await expectForgotten(target, { topic, partition, producerId: Number(forgotten), end: offsets.from });
    return { topic, partition, offset: offsets.from };
  }
  const reader = new RawReader(target.bootstrap);
  try {
    const last = new Map<number, RawBatch>();
    // Ends that stand for holes are all of one producer, which writes nothing else.
    const writers = new Set<number>();
    // Where the source has an end of the same kind too, the second one passes for that, and what follows stands one further:
    // the first of them is meant, behind which there are only ends until the one where it was found.
    let repeated: number | null = null;
    const { logStart, highWatermark } = await reader.bounds(topic, partition);
    for await (const batch of reader.batches(topic, partition, { from: logStart, to: highWatermark })) {
      // Where an end was awaited, it is that which the incident names, and the other one stands behind it.
      if (batch.baseOffset > offsets.from + 1) break;
      const before = last.get(batch.producerId);
      last.set(batch.producerId, batch);
      const isSame = before?.marker === batch.marker && before.producerEpoch === batch.producerEpoch;
      if (batch.marker === null) {
        writers.add(batch.producerId);
        repeated = null;
      } else if (isSame && writers.has(batch.producerId)) repeated ??= batch.baseOffset;
      if (batch.baseOffset >= offsets.from && repeated !== null) return { topic, partition, offset: repeated };
    }
  } finally {
    reader.close();
  }
  throw new Error(`no end of a transaction stands twice where the partition has stopped: ${JSON.stringify(incident)}`);
}

/** The leader of the partition knows of an end, with which comes a new epoch (KIP-890), that the coordinator has still to write. */
async function expectForgotten(
  { bootstrap }: KafkaCluster,
  {
    producerId,
    end,
    ...place
  }: { readonly topic: string; readonly partition: number; readonly producerId: number; readonly end: number },
): Promise<void> {
  const cluster = openCluster(bootstrap);
  try {
    await cluster.connect();
    const [listed] = await listTransactions(cluster, { producerIds: [producerId] });
    const [transaction] = await describeTransactions(cluster, [must(listed, 'a transaction').transactionalId]);
    const producers = await describeProducers(cluster, place);
    const onPartition = must(
      producers.find((each) => each.producerId === producerId),
      'the producer',
    );
    const [watermark] = await listOffsets(cluster, [{ ...place, timestamp: LATEST }]);
    expect(watermark?.offset, 'nothing stands where the copy has stopped').toBe(end);
    expect([transaction?.status, onPartition.currentTxnStartOffset]).toEqual(['Ongoing', -1]);
    expect(onPartition.producerEpoch).toBeGreaterThan(must(transaction, 'what the coordinator says').producerEpoch);
  } finally {
    cluster.close();
  }
}

/** The whole topic but for what lies behind the ends that stand twice. Returns the number of equal records. */
async function expectIdenticalBelow(
  { source, target }: ClusterPair,
  options: { readonly topic: string; readonly ends: readonly RepeatedEnd[]; readonly policy: MirrorPolicy },
): Promise<number> {
  const { topic, ends, policy } = options;
  const read = async ({ bootstrap }: KafkaCluster): Promise<PartitionHistory[]> => {
    const histories = await readHistories(bootstrap, topic);
    const cut = histories.map(async (history) => {
      const end = ends.find((each) => each.topic === topic && each.partition === history.partition);
      return end ? historyBelow(bootstrap, end) : history;
    });
    return Promise.all(cut);
  };
  const [onTarget, onSource] = [await read(target), await read(source)];
  const { findings, recordsEqual } = checkReplication({ source: onSource, target: onTarget, policy });
  expect(findings.filter(({ count }) => count > 0)).toEqual([]);
  return recordsEqual;
}

/** As if the log ended there: what is open then is so on both sides. */
async function historyBelow(bootstrap: readonly string[], end: RepeatedEnd): Promise<PartitionHistory> {
  const { topic, partition, offset: to } = end;
  const reader = new RawReader(bootstrap);
  try {
    const { logStart } = await reader.bounds(topic, partition);
    const range = { from: logStart, to };
    const builder = new HistoryBuilder(range);
    for await (const batch of reader.batches(topic, partition, range)) builder.add(batch);
    return builder.finish({ topic, partition, logStart, lastStable: to, highWatermark: to });
  } finally {
    reader.close();
  }
}
