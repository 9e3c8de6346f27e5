/** The dashboards of deploy/grafana/, as data: `npm run gen` writes them, and test/deploy/deploy.test.ts holds them against the metrics. */

interface Panel {
  readonly title: string;
  readonly help: string;
  readonly unit: 'short' | 's' | 'Bps' | 'bytes' | 'ops' | 'percentunit';
  /** Expression → legend. */
  readonly queries: Readonly<Record<string, string>>;
  readonly kind?: 'timeseries' | 'stat' | 'table';
  /** Of 24. */
  readonly width?: number;
}

export interface Dashboard {
  readonly uid: string;
  readonly title: string;
  readonly rows: Readonly<Record<string, readonly Panel[]>>;
}

const JOB = 'job_name=~"$job_name"';
const TOPIC = `${JOB},topic=~"$topic"`;

const mirror: Dashboard = {
  uid: 'lockstep-mirror',
  title: 'Lockstep: mirrors',
  rows: {
    'At a glance': [
      stat('Stopped partitions', 'Zero, or somebody must act: docs/operating.', {
        [`sum(lockstep_mirror_partitions{${JOB},state="stopped"})`]: 'stopped',
      }),
      stat('Open incidents', 'By severity; the code names the page.', {
        [`sum by (severity) (lockstep_incidents_open{${JOB}})`]: '{{severity}}',
      }),
      stat('Unexplained offsets', 'Zero, or something is wrong.', {
        [`sum(lockstep_mirror_unexplained_offsets{${TOPIC}})`]: 'unexplained',
      }),
      stat('Lag of unknown size', 'Partitions. What is not known is not zero.', {
        [`sum(lockstep_mirror_lag_unknown_partitions{${JOB}})`]: 'partitions',
      }),
    ],
    Lag: [
      chart('Lag in records', 'short', 'Offsets of the source that the target has not acknowledged.', {
        [`sum by (job_name, topic) (max by (job_name, topic, partition) (lockstep_mirror_lag_records{${TOPIC}}))`]:
          '{{job_name}} {{topic}}',
      }),
      chart('Lag in time', 's', 'Of the partition that lags most. Old records give large values.', {
        [`max by (job_name, topic) (lockstep_mirror_lag_seconds{${TOPIC}})`]: '{{job_name}} {{topic}}',
      }),
      chart('Lag of 50 and 99 of 100 partitions', 's', 'Over all partitions and statuses of the interval.', {
        [`histogram_quantile(0.5, sum by (le, job_name) (rate(lockstep_mirror_lag_distribution_seconds_bucket{${JOB}}[$__rate_interval])))`]:
          '{{job_name}} 50 %',
        [`histogram_quantile(0.99, sum by (le, job_name) (rate(lockstep_mirror_lag_distribution_seconds_bucket{${JOB}}[$__rate_interval])))`]:
          '{{job_name}} 99 %',
      }),
      chart('Age of the measurement', 's', 'Since the offsets behind the lag were measured.', {
        [`max by (job_name) (lockstep_mirror_lag_measured_age_seconds{${TOPIC}})`]: '{{job_name}}',
      }),
    ],
    Throughput: [
      chart('Bytes', 'Bps', 'Acknowledged by the target.', {
        [`sum by (job_name, topic) (rate(lockstep_mirror_copied_bytes_total{${TOPIC}}[$__rate_interval]))`]:
          '{{job_name}} {{topic}}',
      }),
      chart('Records', 'ops', 'Acknowledged by the target.', {
        [`sum by (job_name, topic) (rate(lockstep_mirror_copied_records_total{${TOPIC}}[$__rate_interval]))`]:
          '{{job_name}} {{topic}}',
      }),
      chart('Batches', 'ops', 'As they were written.', {
        [`sum by (job_name) (rate(lockstep_mirror_batches_total{${JOB}}[$__rate_interval]))`]: '{{job_name}}',
      }),
      chart('Bytes written anew', 'Bps', 'By reason; the rest passed through as it came.', {
        [`sum by (reason) (rate(lockstep_mirror_reencoded_bytes_total{${JOB}}[$__rate_interval]))`]: '{{reason}}',
        [`sum(rate(lockstep_mirror_passed_through_bytes_total{${JOB}}[$__rate_interval]))`]: 'passed through',
      }),
    ],
    'Exactness and ownership': [
      chart('Partitions by state', 'short', '"elsewhere" are those of other processes.', {
        [`sum by (instance, state) (lockstep_mirror_partitions{${JOB}})`]: '{{instance}} {{state}}',
      }),
      chart(
        'Refused writes and filled holes',
        'ops',
        'A refusal is the guard at work: somebody had written it already.',
        {
          [`sum by (job_name) (rate(lockstep_mirror_refused_writes_total{${TOPIC}}[$__rate_interval]))`]:
            '{{job_name}} refused',
          [`sum by (job_name) (rate(lockstep_mirror_filled_holes_total{${TOPIC}}[$__rate_interval]))`]:
            '{{job_name}} holes',
        },
      ),
      chart('Outages', 's', 'Time that partitions waited for a cluster, per second.', {
        [`sum by (job_name) (rate(lockstep_mirror_outage_seconds_total{${JOB}}[$__rate_interval]))`]: '{{job_name}}',
      }),
      chart('Changes of ownership and warnings', 'short', 'In an hour.', {
        [`sum by (job_name) (increase(lockstep_mirror_ownership_changes_total{${JOB}}[1h]))`]: '{{job_name}} ownership',
        [`sum by (code) (increase(lockstep_warnings_total{${JOB}}[1h]))`]: '{{code}}',
      }),
    ],
    'Around the records': [
      chart('Consumer groups', 'short', 'By what became of their places.', {
        [`sum by (job_name, state) (lockstep_mirror_groups{${JOB}})`]: '{{job_name}} {{state}}',
      }),
      chart('Changes kept the same', 'short', 'ACLs, quotas and settings, in an hour.', {
        [`sum by (what) (increase(lockstep_mirror_synced_changes_total{${JOB}}[1h]))`]: '{{what}}',
      }),
    ],
  },
};

const proof: Dashboard = {
  uid: 'lockstep-verify',
  title: 'Lockstep: verification',
  rows: {
    Proof: [
      stat('Partitions not proven any more', 'Because of an incident.', {
        [`sum(lockstep_verify_stopped_partitions{${JOB}})`]: 'stopped',
      }),
      stat('Unexplained offsets', 'Zero, or something is wrong.', {
        [`sum(lockstep_verify_unexplained_offsets{${TOPIC}})`]: 'unexplained',
      }),
      stat('Unverified offsets', 'Of which nothing could be proven.', {
        [`sum(lockstep_verify_unverified_offsets{${TOPIC}})`]: 'unverified',
      }),
      chart('Not proven yet', 'short', 'Offsets of the source.', {
        [`sum by (job_name, topic) (lockstep_verify_lag_records{${TOPIC}})`]: '{{job_name}} {{topic}}',
      }),
      chart('Records compared', 'ops', 'That are the same on both sides.', {
        [`sum by (job_name, topic) (rate(lockstep_verify_records_total{${TOPIC}}[$__rate_interval]))`]:
          '{{job_name}} {{topic}}',
      }),
      chart('Bytes compared', 'Bps', 'As whole batches, or record by record.', {
        [`sum by (way) (rate(lockstep_verify_bytes_total{${JOB}}[$__rate_interval]))`]: '{{way}}',
      }),
      {
        title: 'Proven through',
        help: 'Source offsets below are proven, but for unverified parts.',
        unit: 'short',
        kind: 'table',
        width: 24,
        queries: { [`max by (job_name, topic, partition) (lockstep_verify_proven_through_offset{${TOPIC}})`]: '' },
      },
    ],
  },
};

const processes: Dashboard = {
  uid: 'lockstep-process',
  title: 'Lockstep: processes',
  rows: {
    Process: [
      chart('CPU', 'percentunit', '1 is one core.', {
        'rate(process_cpu_seconds_total{job="lockstep"}[$__rate_interval])': '{{instance}}',
      }),
      chart('Memory', 'bytes', 'Resident, and of it the JavaScript heap.', {
        'process_resident_memory_bytes{job="lockstep"}': '{{instance}} resident',
        'lockstep_heap_used_bytes{job="lockstep"}': '{{instance}} heap',
      }),
      chart('Event loop', 's', 'How late it came, of ten seconds each.', {
        lockstep_event_loop_delay_p50_seconds: '{{instance}} 50 %',
        lockstep_event_loop_delay_p99_seconds: '{{instance}} 99 %',
        lockstep_event_loop_delay_max_seconds: '{{instance}} most',
      }),
      chart('Certificates', 's', 'Until the first of a file ends.', {
        'lockstep_certificate_end_timestamp_seconds - time()': '{{cluster}} {{certificate}}',
      }),
      chart('Jobs', 'short', '1 while they run.', { lockstep_job_running: '{{instance}} {{job_name}}' }),
    ],
    'What is told': [
      chart('Pushed', 'ops', 'What receivers took.', {
        'sum by (receiver) (rate(lockstep_push_sent_total[$__rate_interval]))': '{{receiver}}',
      }),
      chart('Lost and repeated', 'ops', 'Thrown away, refused for good, tried again.', {
        'sum by (receiver) (rate(lockstep_push_dropped_total[$__rate_interval]))': '{{receiver}} dropped',
        'sum by (receiver) (rate(lockstep_push_refused_total[$__rate_interval]))': '{{receiver}} refused',
        'sum by (receiver) (rate(lockstep_push_failures_total[$__rate_interval]))': '{{receiver}} tried again',
      }),
      chart('Waiting', 'bytes', 'For a receiver.', { lockstep_push_queue_bytes: '{{receiver}}' }),
      chart('Without series of their own', 'short', 'Counted together, by topic or by job.', {
        lockstep_metrics_left_out_partitions: '{{job_name}} partitions',
        lockstep_metrics_left_out_topics: '{{job_name}} topics',
      }),
    ],
  },
};

const server: Dashboard = {
  uid: 'lockstep-server',
  title: 'Lockstep: servers',
  rows: {
    'At a glance': [
      stat('Databases in trouble', 'Zero, or nothing can be changed: docs/operating/store.md.', {
        'sum(lockstep_store_state{state!="ok"})': 'in trouble',
      }),
      stat('Audit logs that cannot be written', 'Zero, or nothing can be changed.', {
        'sum(1 - lockstep_audit_log_writable)': 'not writable',
      }),
      stat('Anchors that fail', 'They do not take checkpoints of the audit log.', {
        'sum(lockstep_audit_log_anchor_failing)': 'failing',
      }),
      stat('Seconds since the newest backup', 'Of a server that takes them.', {
        'min(time() - lockstep_backup_newest_timestamp_seconds)': 'age',
      }),
    ],
    Requests: [
      chart('Requests', 'ops', 'By the first digit of the status.', {
        'sum by (status) (rate(lockstep_http_requests_total[$__rate_interval]))': '{{status}}',
      }),
      chart('Duration', 's', 'Of 50 and 99 of 100 requests, but streams.', {
        'histogram_quantile(0.5, sum by (le) (rate(lockstep_http_request_duration_seconds_bucket[$__rate_interval])))':
          '50 %',
        'histogram_quantile(0.99, sum by (le) (rate(lockstep_http_request_duration_seconds_bucket[$__rate_interval])))':
          '99 %',
      }),
      chart('Slowest routes', 's', 'On average, the ten slowest.', {
        'topk(10, sum by (method, route) (rate(lockstep_http_request_duration_seconds_sum[$__rate_interval])) / sum by (method, route) (rate(lockstep_http_request_duration_seconds_count[$__rate_interval])))':
          '{{method}} {{route}}',
      }),
      chart('Refused and failed', 'ops', 'By route.', {
        'sum by (method, route, status) (rate(lockstep_http_requests_total{status=~"4xx|5xx"}[$__rate_interval]))':
          '{{status}} {{method}} {{route}}',
      }),
    ],
    'Database and audit log': [
      chart('State of the database', 'short', '1 is the one that holds.', {
        'max by (instance, state) (lockstep_store_state) > 0': '{{instance}} {{state}}',
      }),
      chart('Waiting for the database', 'bytes', 'Calls that wait or are under way.', {
        lockstep_store_queue_bytes: '{{instance}}',
      }),
      chart('Calls', 'short', 'That wait or are under way, and those that were refused in an hour.', {
        lockstep_store_queue_calls: '{{instance}} waiting',
        'increase(lockstep_store_refused_calls_total[1h])': '{{instance}} refused',
      }),
      chart('The oldest of them', 's', 'How long it has waited.', {
        lockstep_store_queue_oldest_seconds: '{{instance}}',
      }),
      chart('Entries of the audit log', 'short', 'It grows by at least one a minute.', {
        lockstep_audit_log_entries: '{{instance}}',
      }),
      chart('Since the last anchor', 's', 'Once a minute is expected.', {
        'time() - lockstep_audit_log_anchored_timestamp_seconds': '{{instance}} {{anchor}}',
      }),
    ],
  },
};

export const dashboards: readonly Dashboard[] = [mirror, proof, processes, server];

function chart(title: string, unit: Panel['unit'], help: string, queries: Panel['queries']): Panel {
  return { title, unit, help, queries };
}

function stat(title: string, help: string, queries: Panel['queries']): Panel {
  return { title, help, unit: 'short', queries, kind: 'stat', width: 6 };
}

const source = { type: 'prometheus', uid: '${source}' };

/** As Grafana imports it (schema 39: Grafana 10 and later). */
export function formatDashboard({ uid, title, rows }: Dashboard): string {
  const panels: object[] = [];
  let y = 0;
  for (const [name, row] of Object.entries(rows)) {
    panels.push({
      id: panels.length + 1,
      type: 'row',
      title: name,
      gridPos: { x: 0, y: y++, w: 24, h: 1 },
      panels: [],
    });
    let [x, height] = [0, 0];
    for (const { title: panel, help, unit, queries, kind = 'timeseries', width = 12 } of row) {
      if (x + width > 24) [x, y, height] = [0, y + height, 0];
      const h = kind === 'stat' ? 4 : 8;
      const targets = Object.entries(queries).map(([expr, legendFormat], index) => ({
        refId: String.fromCharCode(65 + index),
        datasource: source,
        expr,
        legendFormat,
        ...(kind === 'table' ? { format: 'table', instant: true } : {}),
      }));
      panels.push({
        id: panels.length + 1,
        type: kind,
        title: panel,
        description: help,
        datasource: source,
        gridPos: { x, y, w: width, h },
        fieldConfig: { defaults: { unit }, overrides: [] },
        targets,
      });
      x += width;
      height = Math.max(height, h);
    }
    y += height;
  }
  const usesTopics = JSON.stringify(panels).includes('$topic');
  const usesJobs = JSON.stringify(panels).includes('$job_name');
  const list = [
    { name: 'source', type: 'datasource', query: 'prometheus', label: 'Prometheus' },
    ...(usesJobs ? [variable('job_name', 'label_values(lockstep_job_running, job_name)')] : []),
    ...(usesTopics
      ? [variable('topic', 'label_values({__name__=~"lockstep_(mirror|verify)_lag_records"}, topic)')]
      : []),
  ];
  const dashboard = {
    uid,
    title,
    tags: ['lockstep', 'kafka'],
    schemaVersion: 39,
    editable: true,
    refresh: '30s',
    time: { from: 'now-3h', to: 'now' },
    templating: { list },
    panels,
  };
  return `${JSON.stringify(dashboard, null, 2)}\n`;
}

/** All by default; ".*" also takes what has no such label, which is what was counted together. */
function variable(name: string, query: string): object {
  const all = { includeAll: true, allValue: '.*', multi: true, current: { text: 'All', value: '$__all' } };
  return { name, type: 'query', datasource: source, query, refresh: 2, ...all };
}
