/**
 * Transactions that a cut divides: open on the target when the last record has been copied, with an end that never comes from
 * the source. They are aborted, as a coordinator does with what a producer leaves open: readers at read_committed go on, and
 * see nothing of them.
 */
import { BrokerError } from '#kafka/errors.ts';
import type { Cluster } from '#kafka/cluster.ts';
import type { CutTransaction } from '#contract/failover.ts';
import { describeProducers } from '#kafka/producers.ts';
import {
  describeTransactions,
  endTransaction,
  transactionProtocolOf,
  type DescribedTransaction,
} from '#kafka/transactions.ts';
import { Backoff } from '#util/backoff.ts';
import { sleep } from '#util/clock.ts';
import { readEnds } from '../offsets.ts';
import { transactionalIdOf } from '../target-transactions.ts';
import { SLOTS_MAX } from '../transaction-slots.ts';

/** The coordinator loads, moves, or still writes the end of the transaction before. */
const PASSING = new Set([7, 14, 15, 16, 51]);
const BACKOFF_MS = { baseMs: 20, maxMs: 1_000 };
const WITHIN_MS = 30_000;

interface Place {
  readonly topic: string;
  readonly partition: number;
}

/** Those of the given partitions of the target, the mirror's and others'. Needs DESCRIBE on the mirror's transactional ids. Throws KafkaError. */
export async function findCutTransactions(
  target: Cluster,
  places: readonly Place[],
  idPrefix: string,
): Promise<CutTransaction[]> {
  const ends = await readEnds(target, places);
  const found: CutTransaction[] = [];
  for (const [i, place] of places.entries()) {
    const end = ends[i];
    if (!end || (end.highWatermark ?? end.stableOffset) <= end.stableOffset) continue;
    const open = (await describeProducers(target, place)).filter((each) => each.currentTxnStartOffset >= 0);
    const slots = open.length > 0 ? await slotsOf(target, place, idPrefix) : [];
    for (const { producerId, currentTxnStartOffset } of open) {
      const transactionalId =
        slots.find(({ described }) => described.producerId === producerId)?.transactionalId ?? null;
      found.push({ ...place, from: currentTxnStartOffset, to: end.highWatermark ?? end.stableOffset, transactionalId });
    }
  }
  return found;
}

async function slotsOf(
  target: Cluster,
  { topic, partition }: Place,
  idPrefix: string,
): Promise<{ transactionalId: string; described: DescribedTransaction }[]> {
  const place = { idPrefix, targetTopic: topic, partition };
  const ids = Array.from({ length: SLOTS_MAX }, (_, slot) => transactionalIdOf(place, slot));
  const described = await describeTransactions(target, ids);
  return ids.flatMap((transactionalId, i) => {
    const each = described[i];
    return each ? [{ transactionalId, described: each }] : [];
  });
}

/** Aborts those that are the mirror's, and returns when their markers are in the log. Throws KafkaError. */
export async function abortCutTransactions(target: Cluster, cut: readonly CutTransaction[]): Promise<void> {
  const ours = cut.flatMap((each) => (each.transactionalId === null ? [] : [{ ...each, id: each.transactionalId }]));
  const deadline = target.clock.monotonic() + WITHIN_MS;
  const backoff = new Backoff(target.random, BACKOFF_MS);
  for (const { id, topic, partition, from } of ours) {
    while (await isOpen(target, { topic, partition, from })) {
      try {
        await abort(target, { id, topic, partition });
      } catch (error) {
        const passes = error instanceof BrokerError && (error.retryable || PASSING.has(error.code));
        if (!passes || target.clock.monotonic() > deadline) throw error;
      }
      await sleep(target.clock, backoff.next());
    }
  }
}

async function isOpen(target: Cluster, place: Place & { readonly from: number }): Promise<boolean> {
  const producers = await describeProducers(target, place);
  return producers.some(({ currentTxnStartOffset }) => currentTxnStartOffset === place.from);
}

async function abort(target: Cluster, of: Place & { readonly id: string }): Promise<void> {
  const { id: transactionalId, topic, partition } = of;
  const [described] = await describeTransactions(target, [transactionalId]);
  if (described?.status !== 'Ongoing') return; // its end is being written
  const protocol = await transactionProtocolOf(target, { transactionalId, topic, partition });
  const { producerId, producerEpoch } = described;
  await endTransaction(target, { transactionalId, producer: { producerId, producerEpoch }, isCommit: false, protocol });
}
