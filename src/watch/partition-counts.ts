import { must } from '#util/assert.ts';
import { partitionKey, type SeriesSlots, type Slot } from './series-slots.ts';

export interface CountedPartition<Name extends string> {
  readonly topic: string;
  readonly partition: number;
  readonly counts: Readonly<Record<Name, number>>;
}

interface Known<Name extends string> {
  readonly topic: string;
  readonly partition: number;
  counts: Readonly<Record<Name, number>>;
}

/**
 * Counters of the partitions of one job, from what its statuses say. A status counts since its partition began, which may be
 * later than the process: a count that has fallen began anew. What is counted here never falls, so the sum over several
 * partitions is no invented reset where one of them leaves.
 */
export class PartitionCounts<Name extends string> {
  readonly #job: string;
  readonly #slots: SeriesSlots;
  readonly #names: readonly Name[];
  readonly #known = new Map<string, Known<Name>>();
  readonly #totals = new Map<string, { readonly slot: Slot; readonly counts: Record<Name, number> }>();

  constructor(job: string, slots: SeriesSlots, names: readonly Name[]) {
    this.#job = job;
    this.#slots = slots;
    this.#names = names;
  }

  observe(partitions: readonly CountedPartition<Name>[]): void {
    const seen = new Set<string>();
    for (const { topic, partition, counts } of partitions) {
      const key = partitionKey(this.#job, topic, partition);
      seen.add(key);
      const known = this.#known.get(key);
      this.#addTo(this.#slots.of(this.#job, topic, partition), counts, known?.counts);
      if (known) known.counts = counts;
      else this.#known.set(key, { topic, partition, counts });
    }
    if (this.#known.size > seen.size) this.#forgetAllBut(seen);
  }

  *totals(): Iterable<[Slot, Readonly<Record<Name, number>>]> {
    for (const { slot, counts } of this.#totals.values()) yield [slot, counts];
  }

  #addTo(slot: Slot, now: Readonly<Record<Name, number>>, before: Readonly<Record<Name, number>> | undefined): void {
    let total = this.#totals.get(slot.key);
    if (!total) {
      const counts = Object.fromEntries(this.#names.map((name) => [name, 0])) as Record<Name, number>;
      this.#totals.set(slot.key, (total = { slot, counts }));
    }
    for (const name of this.#names) {
      const last = before?.[name] ?? 0;
      total.counts[name] += now[name] >= last ? now[name] - last : now[name];
    }
  }

  /** What was deleted on the source would else be shown for ever. */
  #forgetAllBut(seen: ReadonlySet<string>): void {
    const topics = new Set<string>();
    for (const key of seen) topics.add(must(this.#known.get(key), 'a partition just seen').topic);
    for (const [key, { topic, partition }] of this.#known) {
      if (seen.has(key)) continue;
      this.#known.delete(key);
      this.#totals.delete(key);
      this.#slots.releasePartition(this.#job, topic, partition);
      if (!topics.has(topic)) this.#totals.delete(this.#slots.releaseTopic(this.#job, topic));
    }
  }
}
