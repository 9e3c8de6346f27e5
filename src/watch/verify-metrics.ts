import type { RunEvent } from '#contract/status.ts';
import type { ProvenPartition, VerifyJobStatus } from '#contract/verification.ts';
import type { MetricSet } from './metric-set.ts';
import { PartitionCounts } from './partition-counts.ts';
import type { SeriesSlots, Slot } from './series-slots.ts';

interface Together {
  lag: number | null;
  unverified: number;
  unexplained: number;
}

/** One continuous verification, from what it says. */
export class VerifyMetrics {
  readonly #job: string;
  readonly #slots: SeriesSlots;
  readonly #counts: PartitionCounts<'records'>;
  #status: VerifyJobStatus | null = null;

  constructor(job: string, slots: SeriesSlots) {
    this.#job = job;
    this.#slots = slots;
    this.#counts = new PartitionCounts(job, slots, ['records']);
  }

  observe(event: RunEvent): void {
    if (event.event !== 'verifying' && event.event !== 'verifying-ended') return;
    this.#status = event.status;
    this.#counts.observe(event.status.partitions.map((each) => ({ ...each, counts: { records: each.records } })));
  }

  collect(into: MetricSet): void {
    for (const [{ labels }, { records }] of this.#counts.totals())
      into.add('lockstep_verify_records_total', labels, records);
    if (this.#status) this.#collectStatus(this.#status, into);
  }

  #collectStatus({ partitions }: VerifyJobStatus, into: MetricSet): void {
    const job = { job_name: this.#job };
    const together = new Map<Slot, Together>();
    const leftOut = { partitions: 0, topics: new Set<string>() };
    let [whole, byRecord, stopped] = [0, 0, 0];
    for (const each of partitions) {
      const slot = this.#slots.of(this.#job, each.topic, each.partition);
      if (slot.level === 'partition')
        into.add('lockstep_verify_proven_through_offset', slot.labels, each.provenThrough);
      else {
        leftOut.partitions++;
        if (slot.level === 'job') leftOut.topics.add(each.topic);
      }
      together.set(slot, joined(together.get(slot), each));
      whole += each.bytes.whole;
      byRecord += each.bytes.byRecord;
      stopped += Number(each.incident !== null);
    }
    for (const [{ labels }, all] of together) {
      into.add('lockstep_verify_lag_records', labels, all.lag);
      into.add('lockstep_verify_unverified_offsets', labels, all.unverified);
      into.add('lockstep_verify_unexplained_offsets', labels, all.unexplained);
    }
    into.add('lockstep_verify_bytes_total', { ...job, way: 'whole' }, whole);
    into.add('lockstep_verify_bytes_total', { ...job, way: 'by_record' }, byRecord);
    into.add('lockstep_verify_stopped_partitions', job, stopped);
    into.add('lockstep_metrics_left_out_partitions', job, leftOut.partitions);
    into.add('lockstep_metrics_left_out_topics', job, leftOut.topics.size);
  }
}

function joined(before: Together | undefined, { lag, unverifiedOffsets, unexplained }: ProvenPartition): Together {
  const sum = (a: number | null, b: number | null): number | null => (a === null ? b : a + (b ?? 0));
  return {
    lag: before ? sum(before.lag, lag) : lag,
    unverified: (before?.unverified ?? 0) + unverifiedOffsets,
    unexplained: (before?.unexplained ?? 0) + unexplained,
  };
}
