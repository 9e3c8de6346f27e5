/** What a server tells of its database, its audit log and its backups in numbers. */
import type { Backups } from '#store/backups.ts';
import type { StoreHealth } from '#store/store.ts';
import type { MetricSet } from '#watch/metric-set.ts';
import type { AuditKeeper } from './audit-keeper.ts';

/** In the order in which people ask. */
const STATES: Readonly<Record<StoreHealth['state'], true>> = {
  ok: true,
  locked: true,
  full: true,
  lost: true,
  damaged: true,
  overloaded: true,
  closed: true,
};

export function collectStore(into: MetricSet, { state, queue }: StoreHealth): void {
  for (const each of Object.keys(STATES)) into.add('lockstep_store_state', { state: each }, Number(each === state));
  into.add('lockstep_store_queue_calls', {}, queue.calls);
  into.add('lockstep_store_queue_bytes', {}, queue.bytes);
  into.add('lockstep_store_queue_oldest_seconds', {}, (queue.oldestMs ?? 0) / 1000);
  into.add('lockstep_store_refused_calls_total', {}, queue.refused);
}

export function collectAudit(into: MetricSet, audit: Pick<AuditKeeper, 'isWritable' | 'size' | 'anchors'>): void {
  into.add('lockstep_audit_log_writable', {}, Number(audit.isWritable()));
  into.add('lockstep_audit_log_entries', {}, audit.size);
  for (const { name: anchor, at, error } of audit.anchors) {
    into.add('lockstep_audit_log_anchored_timestamp_seconds', { anchor }, at === null ? null : at / 1000);
    into.add('lockstep_audit_log_anchor_failing', { anchor }, Number(error !== null));
  }
}

/** The directory is looked at beside requests for metrics, which must not wait for a disk. */
export class BackupMetrics {
  readonly #backups: Pick<Backups, 'list'>;
  #newestAt: number | null = null;

  constructor(backups: Pick<Backups, 'list'>) {
    this.#backups = backups;
    this.look();
  }

  look(): void {
    try {
      this.#newestAt = this.#backups.list()[0]?.takenAt ?? null;
    } catch {
      this.#newestAt = null; // what cannot be read is not known; whoever takes or lists backups is told why
    }
  }

  readonly collect = (into: MetricSet): void => {
    into.add('lockstep_backup_newest_timestamp_seconds', {}, this.#newestAt === null ? null : this.#newestAt / 1000);
  };
}
