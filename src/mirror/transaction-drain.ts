/**
 * What becomes, at a stop, of transactions that are open on the target (exactness.md rule 6): nobody ends them there until the
 * mirror is back, and their coordinator aborts them when that takes too long. So a stop goes on for a little while, until
 * the source has ended them too; of those that stay open it says how long they may.
 */
import { sleep, type Clock } from '#util/clock.ts';
import { KafkaError } from '#kafka/errors.ts';

const NAMED_MAX = 10;

/** A partition whose target may hold open transactions. */
export interface DrainedPartition {
  readonly targetTopic: string;
  readonly partition: number;
  /** How many are open on the target, and the offset where the first begins, where it is known. */
  readonly openTransactions: { readonly count: number; readonly from: number | null };
  /** Copies on until none is open; resolves when it has ended. */
  drain(): Promise<void>;
  /** When the target aborts the first of them, on its clock; null where none is open any more. Throws KafkaError. */
  openUntil(): Promise<number | null>;
}

/** Copies on until nothing is open in any partition, at most for `withinMs`. */
export async function drainTransactions(
  partitions: readonly DrainedPartition[],
  { clock, withinMs }: { readonly clock: Clock; readonly withinMs: number },
): Promise<void> {
  const drained = new AbortController();
  const draining = Promise.all(partitions.map((each) => each.drain())).finally(() => drained.abort());
  await Promise.race([draining, sleep(clock, withinMs, drained.signal)]);
}

/** For people; null where nothing is open. What the target does not answer within `withinMs` is not known. */
export async function describeOpen(
  partitions: readonly DrainedPartition[],
  { clock, withinMs }: { readonly clock: Clock; readonly withinMs: number },
): Promise<string | null> {
  const held = partitions.filter(({ openTransactions }) => openTransactions.count > 0);
  if (held.length === 0) return null;
  const answered = new AbortController();
  const late = sleep(clock, withinMs, answered.signal).then((): (number | null)[] => []);
  const answers = await Promise.race([Promise.all(held.map(openUntil)), late]);
  answered.abort();
  const untils = answers.filter((until) => until !== null);
  const by = untils.length === 0 ? null : new Date(Math.min(...untils)).toISOString();
  const count = held.reduce((sum, { openTransactions }) => sum + openTransactions.count, 0);
  const deadline =
    by === null
      ? 'before transaction.max.timeout.ms of the target has passed'
      : `before ${by} (by the clock of the target)`;
  return `${count} ${count === 1 ? 'transaction is' : 'transactions are'} open on the target (${placesOf(held)}): start this mirror again ${deadline}; then the target aborts them, and a partition whose source ended its transaction otherwise stops for good`;
}

async function openUntil(partition: DrainedPartition): Promise<number | null> {
  try {
    return await partition.openUntil();
  } catch (error) {
    if (!(error instanceof KafkaError)) throw error;
    return null;
  }
}

function placesOf(held: readonly DrainedPartition[]): string {
  const places = held.slice(0, NAMED_MAX).map(({ targetTopic, partition, openTransactions: { from } }) => {
    return `${targetTopic}/${partition}${from === null ? '' : ` from offset ${from} on`}`;
  });
  return [...places, ...(held.length > NAMED_MAX ? [`${held.length - NAMED_MAX} more partitions`] : [])].join(', ');
}
