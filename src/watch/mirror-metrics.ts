import type { MirrorStatus, ReencodeReason, RunEvent, ShardState, ShardStatus } from '#contract/status.ts';
import { Distribution } from './distribution.ts';
import { metricTable } from './metric-table.ts';
import type { Labels, MetricSet } from './metric-set.ts';
import { PartitionCounts } from './partition-counts.ts';
import type { SeriesSlots, Slot } from './series-slots.ts';

const STATES: readonly ShardState[] = ['starting', 'aligning', 'copying', 'elsewhere', 'stopped', 'ended'];
const COUNTS = {
  records: 'lockstep_mirror_copied_records_total',
  bytes: 'lockstep_mirror_copied_bytes_total',
  holes: 'lockstep_mirror_filled_holes_total',
  refusals: 'lockstep_mirror_refused_writes_total',
} as const;
type Count = keyof typeof COUNTS;
/** Of kaf-mirror: its detector of critical lag. */
const CRITICAL_LAG_RECORDS = 200;

/** Several partitions in one place. */
interface Together {
  lagRecords: number | null;
  lagMs: number | null;
  measuredAt: number | null;
  unexplained: number | null;
}

/** One mirror, from what it says. Counters are those of its process; they begin at 0 with it. */
export class MirrorMetrics {
  readonly #job: string;
  readonly #slots: SeriesSlots;
  readonly #counts: PartitionCounts<Count>;
  readonly #lags = new Distribution(metricTable.lockstep_mirror_lag_distribution_seconds.bounds);
  #status: MirrorStatus | null = null;
  #ownershipChanges = 0;
  #groups: Extract<RunEvent, { event: 'groups' }> | null = null;
  readonly #synced = new Map<string, number>();

  constructor(job: string, slots: SeriesSlots) {
    this.#job = job;
    this.#slots = slots;
    this.#counts = new PartitionCounts(job, slots, Object.keys(COUNTS) as Count[]);
  }

  observe(event: RunEvent): void {
    if (event.event === 'progress') this.#onStatus(event.status);
    else if (event.event === 'ended' && event.status) this.#onStatus(event.status);
    else if (event.event === 'shares') this.#ownershipChanges++;
    else if (event.event === 'groups') this.#groups = event;
    else if (event.event === 'synced')
      for (const { what } of event.changes) this.#synced.set(what, (this.#synced.get(what) ?? 0) + 1);
  }

  #onStatus(status: MirrorStatus): void {
    this.#status = status;
    this.#counts.observe(status.shards.map((shard) => ({ ...shard, counts: countsOf(shard) })));
    for (const { state, lagMs } of status.shards) {
      if (lagMs === null || state === 'elsewhere') continue;
      this.#lags.add(lagMs / 1000);
    }
  }

  collect(into: MetricSet, now: number): void {
    const job: Labels = { job_name: this.#job };
    for (const [{ labels }, counts] of this.#counts.totals())
      for (const [count, metric] of Object.entries(COUNTS)) into.add(metric, labels, counts[count as Count]);
    into.add('lockstep_mirror_ownership_changes_total', job, this.#ownershipChanges);
    for (const [what, count] of this.#synced) into.add('lockstep_mirror_synced_changes_total', { ...job, what }, count);
    if (this.#groups) {
      into.add('lockstep_mirror_groups', { ...job, state: 'in_place' }, this.#groups.inPlace);
      into.add('lockstep_mirror_groups', { ...job, state: 'left_alone' }, this.#groups.leftAloneCount);
    }
    if (this.#status) this.#collectStatus(this.#status, into, now);
  }

  #collectStatus(status: MirrorStatus, into: MetricSet, now: number): void {
    const job: Labels = { job_name: this.#job };
    this.#collectShards(status, into, now);
    for (const state of STATES)
      into.add(
        'lockstep_mirror_partitions',
        { ...job, state },
        count(status.shards, (each) => each.state === state),
      );
    const unknown = count(status.shards, ({ lagRecords }) => lagRecords === null);
    into.add('lockstep_mirror_lag_unknown_partitions', job, unknown);
    into.addHistogram('lockstep_mirror_lag_distribution_seconds', job, this.#lags);
    into.add('lockstep_mirror_batches_total', job, status.batchesCopied);
    into.add('lockstep_mirror_passed_through_bytes_total', job, status.bytes.passedThrough);
    for (const [reason, bytes] of Object.entries(status.bytes.reencoded) as [ReencodeReason, number][])
      into.add('lockstep_mirror_reencoded_bytes_total', { ...job, reason }, bytes);
  }

  #collectShards({ shards }: MirrorStatus, into: MetricSet, now: number): void {
    const together = new Map<Slot, Together>();
    const leftOut = { partitions: 0, topics: new Set<string>() };
    for (const shard of shards) {
      const slot = this.#slots.of(this.#job, shard.topic, shard.partition);
      if (slot.level === 'partition') {
        into.add('lockstep_mirror_position_offset', slot.labels, shard.position);
        into.add('lockstep_mirror_source_stable_offset', slot.labels, shard.sourceStableOffset);
      } else {
        leftOut.partitions++;
        if (slot.level === 'job') leftOut.topics.add(shard.topic);
      }
      together.set(slot, joined(together.get(slot), shard));
    }
    for (const [{ labels }, all] of together) {
      into.add('lockstep_mirror_lag_records', labels, all.lagRecords);
      into.add('lockstep_mirror_lag_seconds', labels, all.lagMs === null ? null : all.lagMs / 1000);
      const ageMs = all.measuredAt === null ? null : Math.max(0, now - all.measuredAt);
      into.add('lockstep_mirror_lag_measured_age_seconds', labels, ageMs === null ? null : ageMs / 1000);
      into.add('lockstep_mirror_unexplained_offsets', labels, all.unexplained);
    }
    into.add('lockstep_metrics_left_out_partitions', { job_name: this.#job }, leftOut.partitions);
    into.add('lockstep_metrics_left_out_topics', { job_name: this.#job }, leftOut.topics.size);
  }

  /** The names of kaf-mirror, which had no label for the job. */
  collectOriginals(into: MetricSet, errors: number): void {
    const status = this.#status;
    if (!status) return;
    const job: Labels = { job_name: this.#job };
    const { recordsCopied, bytesCopied } = this.#copied();
    const lag = lagOf(status);
    into.add('kaf_mirror_messages_replicated', job, recordsCopied);
    into.add('kaf_mirror_bytes_transferred', job, bytesCopied);
    into.add('kaf_mirror_messages_consumed', job, recordsCopied);
    into.add('kaf_mirror_bytes_consumed', job, bytesCopied);
    into.add('kaf_mirror_current_lag', job, lag);
    into.add('kaf_mirror_error_count', job, errors);
    into.add('kaf_mirror_incident_critical_lag', job, lag === null ? null : Number(lag > CRITICAL_LAG_RECORDS));
  }

  /** What a receiver of events is told of the mirror; null before its first status. */
  record(): Readonly<Record<string, unknown>> | null {
    const status = this.#status;
    if (!status) return null;
    const { recordsCopied, bytesCopied } = this.#copied();
    const times = status.shards.flatMap(({ lagMs }) => (lagMs === null ? [] : [lagMs]));
    return {
      job_id: this.#job,
      source: status.source,
      target: status.target,
      messages_replicated: recordsCopied,
      bytes_transferred: bytesCopied,
      batches: status.batchesCopied,
      current_lag: lagOf(status),
      lag_seconds: times.length === 0 ? null : Math.max(...times) / 1000,
      partitions: Object.fromEntries(
        STATES.map((state) => [state, count(status.shards, (each) => each.state === state)] as const).filter(
          ([, partitions]) => partitions > 0,
        ),
      ),
      measured_at: status.at,
    };
  }

  #copied(): { recordsCopied: number; bytesCopied: number } {
    let [recordsCopied, bytesCopied] = [0, 0];
    for (const [, counts] of this.#counts.totals()) {
      recordsCopied += counts.records;
      bytesCopied += counts.bytes;
    }
    return { recordsCopied, bytesCopied };
  }
}

function countsOf({ recordsCopied, bytesCopied, holesFilled, refusals }: ShardStatus): Record<Count, number> {
  return { records: recordsCopied, bytes: bytesCopied, holes: holesFilled, refusals };
}

/** Of the partitions where it is known; null where it is known of none. */
function lagOf({ shards }: MirrorStatus): number | null {
  return shards.reduce<number | null>((sum, { lagRecords }) => both(sum, lagRecords, (a, b) => a + b), null);
}

function joined(before: Together | undefined, shard: ShardStatus): Together {
  const { lagRecords, lagMs, measuredAt, unexplained = null } = shard;
  if (!before) return { lagRecords, lagMs, measuredAt, unexplained };
  return {
    lagRecords: both(before.lagRecords, lagRecords, (a, b) => a + b),
    lagMs: both(before.lagMs, lagMs, Math.max),
    measuredAt: both(before.measuredAt, measuredAt, Math.min),
    unexplained: both(before.unexplained, unexplained, (a, b) => a + b),
  };
}

function both(a: number | null, b: number | null, join: (a: number, b: number) => number): number | null {
  if (a === null) return b;
  return b === null ? a : join(a, b);
}

function count<T>(all: readonly T[], matches: (each: T) => boolean): number {
  return all.reduce((sum, each) => sum + Number(matches(each)), 0);
}
