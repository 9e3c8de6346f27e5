/**
 * Every metric that Lockstep exposes: nothing else can be written (MetricSet), and dashboards, alert rules and
 * docs/metrics.md are held against it. Names follow Prometheus: base units, counters end in `_total`.
 *
 * The label of a job is `job_name`: Prometheus gives `job` to what it scrapes and would rename ours.
 */
export interface MetricRow {
  readonly type: 'counter' | 'gauge' | 'histogram';
  readonly help: string;
  readonly labels: readonly string[];
  /** Of a histogram: upper bounds in seconds; behind the last is infinity. */
  readonly bounds: readonly number[];
}

const PARTITION = ['job_name', 'topic', 'partition'];

export const metricTable = {
  lockstep_build_info: gauge('1; the version is in its label.', ['version']),
  lockstep_job_running: gauge('1 while the job runs in this process, 0 before it has started and when it has ended.', [
    'job_name',
    'kind',
  ]),
  lockstep_job_status_age_seconds: gauge('Since the job last said how it stands; what follows from that is as old.', [
    'job_name',
    'kind',
  ]),

  lockstep_mirror_copied_records_total: counter('Records that the target has acknowledged.', PARTITION),
  lockstep_mirror_copied_bytes_total: counter(
    'Bytes of batches, as on the source, that the target has acknowledged.',
    PARTITION,
  ),
  lockstep_mirror_filled_holes_total: counter('Offsets without a record that were filled on the target.', PARTITION),
  lockstep_mirror_refused_writes_total: counter(
    'Writes that the target refused as out of order: another process had made them.',
    PARTITION,
  ),
  lockstep_mirror_position_offset: gauge('Next source offset that the target has not acknowledged.', PARTITION),
  lockstep_mirror_source_stable_offset: gauge('Last stable offset of the source, as last measured.', PARTITION),
  lockstep_mirror_lag_records: gauge('Offsets of the source that the target has not acknowledged.', PARTITION),
  lockstep_mirror_lag_seconds: gauge(
    'Age of the newest record of the oldest batch that is not acknowledged; 0 without lag. Of several partitions the largest.',
    PARTITION,
  ),
  lockstep_mirror_lag_measured_age_seconds: gauge(
    'Since the offsets behind the lag were measured. Of several partitions the largest.',
    PARTITION,
  ),
  lockstep_mirror_unexplained_offsets: gauge(
    'Of mapped partitions: source offsets that the ledger does not explain; 0, or something is wrong.',
    PARTITION,
  ),
  lockstep_mirror_lag_unknown_partitions: gauge('Partitions whose lag in records is not known.', ['job_name']),
  lockstep_mirror_lag_distribution_seconds: histogram(
    'Lag of each partition that this process copies, once per status.',
    ['job_name'],
    [0.01, 0.05, 0.1, 0.5, 1, 5, 10, 30, 60, 300, 1800, 3600],
  ),
  lockstep_mirror_partitions: gauge('Partitions of the mirror by state; "elsewhere" are those of other processes.', [
    'job_name',
    'state',
  ]),
  lockstep_mirror_ownership_changes_total: counter('How often this process has got other partitions than before.', [
    'job_name',
  ]),
  lockstep_mirror_batches_total: counter('Batches that the target has acknowledged.', ['job_name']),
  lockstep_mirror_passed_through_bytes_total: counter('Bytes of batches that left as they came.', ['job_name']),
  lockstep_mirror_reencoded_bytes_total: counter('Bytes of batches that were written anew, by reason.', [
    'job_name',
    'reason',
  ]),
  lockstep_mirror_outages_total: counter('How often partitions began to wait for a cluster for 30 s and more.', [
    'job_name',
  ]),
  lockstep_mirror_outage_seconds_total: counter('For how long, from the moment when it was told.', ['job_name']),
  lockstep_mirror_groups: gauge('Consumer groups by what became of their places: in_place, left_alone.', [
    'job_name',
    'state',
  ]),
  lockstep_mirror_synced_changes_total: counter('Changes made around the records: ACLs, quotas, settings.', [
    'job_name',
    'what',
  ]),

  lockstep_verify_proven_through_offset: gauge(
    'Source offsets below this one are proven, but for unverified parts.',
    PARTITION,
  ),
  lockstep_verify_lag_records: gauge('Offsets of the source that are not proven yet.', PARTITION),
  lockstep_verify_unverified_offsets: gauge('Offsets of which nothing could be proven.', PARTITION),
  lockstep_verify_unexplained_offsets: gauge(
    'Offsets of which nothing says what became of them; 0, or worse.',
    PARTITION,
  ),
  lockstep_verify_records_total: counter('Records that were compared and are the same.', PARTITION),
  lockstep_verify_bytes_total: counter('Bytes of the source that were compared: as whole batches, or by record.', [
    'job_name',
    'way',
  ]),
  lockstep_verify_stopped_partitions: gauge('Partitions of which nothing more is proven because of an incident.', [
    'job_name',
  ]),

  lockstep_incidents_total: counter('Incidents that began.', ['job_name', 'severity', 'code']),
  lockstep_incidents_open: gauge('Incidents that have not ended.', ['job_name', 'severity', 'code']),
  lockstep_warnings_total: counter('Warnings by code.', ['job_name', 'code']),

  lockstep_certificate_end_timestamp_seconds: gauge(
    'When the first certificate ends of a file that the security of a cluster names; read every hour. Without a cluster: of one that options of the server name.',
    ['cluster', 'certificate'],
  ),

  lockstep_store_state: gauge('1 for the state in which the database of a server or worker is, 0 for all others.', [
    'state',
  ]),
  lockstep_store_queue_calls: gauge('Calls that wait for the database, or are under way.', []),
  lockstep_store_queue_bytes: gauge('What they hold.', []),
  lockstep_store_queue_oldest_seconds: gauge('Age of the oldest of them; 0 without any.', []),
  lockstep_store_refused_calls_total: counter(
    'Calls of the database that found no room, or that were refused because it hangs.',
    [],
  ),
  lockstep_audit_log_writable: gauge('1 while the audit log can be written, else 0: then nothing can be changed.', []),
  lockstep_audit_log_entries: gauge('Entries of the audit log.', []),
  lockstep_audit_log_anchored_timestamp_seconds: gauge(
    'When an anchor was last given a checkpoint of the audit log; none since the start of the process has no series.',
    ['anchor'],
  ),
  lockstep_audit_log_anchor_failing: gauge('1 while an anchor does not take checkpoints, or was not asked yet.', [
    'anchor',
  ]),
  lockstep_backup_newest_timestamp_seconds: gauge('When the newest backup was taken.', []),
  lockstep_http_requests_total: counter(
    'Requests to the API that were answered, by the first digit of the status; "none" is the route of an address that there is not.',
    ['method', 'route', 'status'],
  ),
  lockstep_http_request_duration_seconds: histogram(
    'From the head of a request to the end of its answer. Streams are not among them.',
    ['method', 'route'],
    [0.001, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10],
  ),

  lockstep_metrics_left_out_partitions: gauge(
    'Partitions without series of their own: they are within those of their topic, or of their job.',
    ['job_name'],
  ),
  lockstep_metrics_left_out_topics: gauge('Topics without series of their own: they are within those of their job.', [
    'job_name',
  ]),

  lockstep_push_sent_total: counter('What a receiver took: metrics documents, or events.', ['receiver']),
  lockstep_push_refused_total: counter('What a receiver refused for good, and was thrown away.', ['receiver']),
  lockstep_push_dropped_total: counter('What was thrown away because the queue was full, or at the end.', ['receiver']),
  lockstep_push_failures_total: counter('Attempts that came to nothing, and are repeated.', ['receiver']),
  lockstep_push_queue_bytes: gauge('What waits for a receiver.', ['receiver']),

  lockstep_event_loop_delay_p50_seconds: gauge('How late the event loop came, in the last 10 s: the median.', []),
  lockstep_event_loop_delay_p99_seconds: gauge('How late the event loop came, in the last 10 s: 99 of 100.', []),
  lockstep_event_loop_delay_max_seconds: gauge('How late the event loop came, in the last 10 s: the most.', []),
  lockstep_heap_used_bytes: gauge('JavaScript heap in use. What is fetched lies outside of it.', []),
  process_cpu_seconds_total: counter('User and system CPU time of the process.', []),
  process_resident_memory_bytes: gauge('Resident memory of the process.', []),
  process_start_time_seconds: gauge('When the process began; all counters began with it.', []),

  kaf_mirror_messages_replicated: gauge('As lockstep_mirror_copied_records_total, of the job.', ['job_name']),
  kaf_mirror_bytes_transferred: gauge('As lockstep_mirror_copied_bytes_total, of the job.', ['job_name']),
  kaf_mirror_messages_consumed: gauge('The same as messages_replicated: what was read counts once it is written.', [
    'job_name',
  ]),
  kaf_mirror_bytes_consumed: gauge('The same as bytes_transferred.', ['job_name']),
  kaf_mirror_current_lag: gauge('As lockstep_mirror_lag_records, of the job.', ['job_name']),
  kaf_mirror_error_count: gauge('Incidents of severity "error" that began.', ['job_name']),
  kaf_mirror_incident_critical_lag: gauge('1 while the job lags by more than 200 records.', ['job_name']),
} as const satisfies Record<string, MetricRow>;

export type MetricName = keyof typeof metricTable;

function counter(help: string, labels: readonly string[]): MetricRow {
  return { type: 'counter', help, labels, bounds: [] };
}

function gauge(help: string, labels: readonly string[]): MetricRow {
  return { type: 'gauge', help, labels, bounds: [] };
}

function histogram(help: string, labels: readonly string[], bounds: readonly number[]): MetricRow {
  return { type: 'histogram', help, labels, bounds };
}
