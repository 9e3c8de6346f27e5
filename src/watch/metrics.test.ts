import { expect, test } from 'vitest';
import type { RunEvent, ShardStatus } from '#contract/status.ts';
import type { ProvenPartition, VerifyJobStatus } from '#contract/verification.ts';
import type { ProcessFigures } from '#util/process-figures.ts';
import { formatMetrics } from './exposition.ts';
import { MetricSet } from './metric-set.ts';
import { metricTable } from './metric-table.ts';
import { collectProcess, Metrics, type MetricsOptions } from './metrics.ts';
import { AT, incident, shard, status } from '#testing/sample-status.ts';

function create(options: Partial<MetricsOptions> = {}): Metrics {
  return new Metrics({
    partitionsMax: 1000,
    topicsMax: 1000,
    jobs: [{ name: 'east-to-west', kind: 'mirror' }],
    version: '1.2.3',
    hasOriginalNames: false,
    ...options,
  });
}

function textOf(metrics: Metrics, now = AT + 1000): string {
  return formatMetrics(
    metrics.collect(now, () => {}),
    'prometheus',
  );
}

/** The lines of one metric, without their help. */
function linesOf(metrics: Metrics, name: string, now?: number): string[] {
  return textOf(metrics, now)
    .split('\n')
    .filter((line) => line.startsWith(name));
}

const progress = (shards: readonly ShardStatus[], fields = {}): RunEvent => ({
  event: 'progress',
  status: status(shards, fields),
});

test('reg-M-330d: a status becomes series of each partition', () => {
  const metrics = create();
  metrics.observe(progress([shard({ recordsCopied: 5, bytesCopied: 500, holesFilled: 2, refusals: 1 })]));
  const text = textOf(metrics);
  const labels = '{job_name="east-to-west",topic="orders",partition="0"}';
  for (const line of [
    `lockstep_mirror_copied_records_total${labels} 5`,
    `lockstep_mirror_copied_bytes_total${labels} 500`,
    `lockstep_mirror_filled_holes_total${labels} 2`,
    `lockstep_mirror_refused_writes_total${labels} 1`,
    `lockstep_mirror_position_offset${labels} 100`,
    `lockstep_mirror_source_stable_offset${labels} 110`,
    `lockstep_mirror_lag_records${labels} 10`,
    `lockstep_mirror_lag_seconds${labels} 0.25`,
    `lockstep_mirror_lag_measured_age_seconds${labels} 1.5`,
    'lockstep_mirror_batches_total{job_name="east-to-west"} 7',
    'lockstep_mirror_passed_through_bytes_total{job_name="east-to-west"} 900',
    'lockstep_mirror_reencoded_bytes_total{job_name="east-to-west",reason="merged"} 100',
    'lockstep_mirror_partitions{job_name="east-to-west",state="copying"} 1',
    'lockstep_mirror_partitions{job_name="east-to-west",state="elsewhere"} 0',
    'lockstep_mirror_lag_distribution_seconds_bucket{job_name="east-to-west",le="0.5"} 1',
    'lockstep_job_running{job_name="east-to-west",kind="mirror"} 1',
    'lockstep_build_info{version="1.2.3"} 1',
  ])
    expect(text).toContain(`${line}\n`);
});

test('a lag that is not known has no series and is counted as unknown', () => {
  const metrics = create();
  metrics.observe(progress([shard({ lagRecords: null, lagMs: null, measuredAt: null, position: null })]));
  expect(linesOf(metrics, 'lockstep_mirror_lag_records')).toEqual([]);
  expect(linesOf(metrics, 'lockstep_mirror_lag_seconds')).toEqual([]);
  expect(linesOf(metrics, 'lockstep_mirror_position_offset')).toEqual([]);
  expect(linesOf(metrics, 'lockstep_mirror_lag_unknown_partitions')).toEqual([
    'lockstep_mirror_lag_unknown_partitions{job_name="east-to-west"} 1',
  ]);
});

test('reg-M-339: the same status said again and again counts once, and a partition that begins anew counts on', () => {
  const metrics = create();
  for (let i = 0; i < 4; i++) metrics.observe(progress([shard({ recordsCopied: 1300 })]));
  expect(linesOf(metrics, 'lockstep_mirror_copied_records_total')[0]).toMatch(/ 1300$/);
  metrics.observe(progress([shard({ recordsCopied: 200 })])); // it was handed over, came back, and counts from 0
  expect(linesOf(metrics, 'lockstep_mirror_copied_records_total')[0]).toMatch(/ 1500$/);
});

const wide = (topics: number, partitions: number, counted: (topic: number, partition: number) => number) =>
  Array.from({ length: topics * partitions }, (_, index) => {
    const [topic, partition] = [Math.floor(index / partitions), index % partitions];
    return shard({ topic: `t${topic}`, partition, recordsCopied: counted(topic, partition), lagRecords: 1 });
  });

test('beyond the limits partitions are counted by topic, then by job; sums stay, and the number left out is said', () => {
  const metrics = create({ partitionsMax: 5, topicsMax: 2 });
  metrics.observe(progress(wide(10, 4, () => 3)));
  const lines = linesOf(metrics, 'lockstep_mirror_copied_records_total');
  expect(lines).toHaveLength(5 + 2 + 1);
  expect(lines).toContain('lockstep_mirror_copied_records_total{job_name="east-to-west",topic="t1"} 9');
  expect(lines).toContain('lockstep_mirror_copied_records_total{job_name="east-to-west"} 84');
  expect(lines.reduce((sum, line) => sum + Number(line.split(' ').at(-1)), 0)).toBe(10 * 4 * 3);
  const lags = linesOf(metrics, 'lockstep_mirror_lag_records');
  expect(lags.reduce((sum, line) => sum + Number(line.split(' ').at(-1)), 0)).toBe(40);
  expect(linesOf(metrics, 'lockstep_metrics_left_out')).toEqual([
    'lockstep_metrics_left_out_partitions{job_name="east-to-west"} 35',
    'lockstep_metrics_left_out_topics{job_name="east-to-west"} 7',
  ]);
});

test('twenty thousand partitions make no more series than the limits allow', () => {
  const metrics = create({ partitionsMax: 1000, topicsMax: 100 });
  metrics.observe(progress(wide(2_000, 10, () => 1)));
  const text = textOf(metrics);
  expect(text.match(/^[^#\n]/gm)?.length).toBeLessThan(1000 * 9 + 100 * 8 + 200);
  expect(text).toContain('lockstep_metrics_left_out_partitions{job_name="east-to-west"} 19000\n');
});

test('a sum over several partitions does not fall when one of them leaves', () => {
  const metrics = create({ partitionsMax: 0, topicsMax: 1 });
  metrics.observe(progress(wide(1, 3, () => 100)));
  metrics.observe(progress(wide(1, 2, () => 150)));
  expect(linesOf(metrics, 'lockstep_mirror_copied_records_total')).toEqual([
    'lockstep_mirror_copied_records_total{job_name="east-to-west",topic="t0"} 400',
  ]);
});

test('series of a topic that is gone go, and others take their place', () => {
  const metrics = create({ partitionsMax: 1 });
  metrics.observe(progress([shard({ topic: 'old', recordsCopied: 1 }), shard({ topic: 'new', recordsCopied: 2 })]));
  metrics.observe(progress([shard({ topic: 'new', recordsCopied: 5 })]));
  expect(linesOf(metrics, 'lockstep_mirror_copied_records_total')).not.toContain('old');
  metrics.observe(progress([shard({ topic: 'new', recordsCopied: 6 })]));
  expect(linesOf(metrics, 'lockstep_mirror_position_offset')).toEqual([
    'lockstep_mirror_position_offset{job_name="east-to-west",topic="new",partition="0"} 100',
  ]);
});

test('incidents are counted when they begin, and open until they end; outages have their time', () => {
  const metrics = create();
  metrics.observe({ event: 'incident', incident: incident() });
  metrics.observe({ event: 'incident', incident: incident({ code: 'SHARD_DIVERGED', severity: 'error', at: AT + 1 }) });
  expect(linesOf(metrics, 'lockstep_incidents_open')).toEqual([
    'lockstep_incidents_open{job_name="east-to-west",severity="warning",code="CLUSTER_UNREACHABLE"} 1',
    'lockstep_incidents_open{job_name="east-to-west",severity="error",code="SHARD_DIVERGED"} 1',
  ]);
  expect(linesOf(metrics, 'lockstep_mirror_outage_seconds', AT + 4000)[0]).toMatch(/ 4$/);
  metrics.observe({ event: 'incident-ended', incident: incident(), at: AT + 9000 });
  expect(linesOf(metrics, 'lockstep_incidents_open')[0]).toMatch(/CLUSTER_UNREACHABLE"} 0$/);
  expect(linesOf(metrics, 'lockstep_incidents_total')[0]).toMatch(/CLUSTER_UNREACHABLE"} 1$/);
  expect(linesOf(metrics, 'lockstep_mirror_outages_total')[0]).toMatch(/ 1$/);
  expect(linesOf(metrics, 'lockstep_mirror_outage_seconds', AT + 60_000)[0]).toMatch(/ 9$/);
});

test('warnings, changes of ownership, groups and what is kept the same are counted', () => {
  const metrics = create();
  const mirror = 'east-to-west';
  metrics.observe({ event: 'warning', mirror, code: 'SHARD_WAITING', message: 'x', at: AT });
  metrics.observe({ event: 'shares', mirror, process: 'h 1', held: [], of: 3, at: AT });
  metrics.observe({ event: 'groups', mirror, inPlace: 4, leftAlone: [], leftAloneCount: 2, deleted: [], at: AT });
  const change = { what: 'acl', subject: 's', action: 'create', source: null, target: null, reason: 'r' } as const;
  metrics.observe({ event: 'synced', mirror, changes: [change, change], at: AT });
  const text = textOf(metrics);
  for (const line of [
    'lockstep_warnings_total{job_name="east-to-west",code="SHARD_WAITING"} 1',
    'lockstep_mirror_ownership_changes_total{job_name="east-to-west"} 1',
    'lockstep_mirror_groups{job_name="east-to-west",state="in_place"} 4',
    'lockstep_mirror_groups{job_name="east-to-west",state="left_alone"} 2',
    'lockstep_mirror_synced_changes_total{job_name="east-to-west",what="acl"} 2',
  ])
    expect(text).toContain(`${line}\n`);
});

function proven(fields: Partial<ProvenPartition>): ProvenPartition {
  return {
    topic: 'orders',
    targetTopic: 'orders',
    partition: 0,
    from: 0,
    provenThrough: 90,
    sourceEnd: 100,
    lag: 10,
    measuredAt: AT,
    records: 90,
    compacted: 0,
    unexplained: 0,
    bytes: { whole: 900, byRecord: 10 },
    unverifiedOffsets: 3,
    unverified: [],
    incident: null,
    ...fields,
  };
}

test('a verification says how far it has proven', () => {
  const metrics = create({ jobs: [{ name: 'proof', kind: 'verify' }] });
  const verifying: VerifyJobStatus = {
    job: 'proof',
    mirror: 'east-to-west',
    source: 'east',
    target: 'west',
    class: 'content',
    partitions: [proven({}), proven({ partition: 1, provenThrough: null, lag: null, incident: incident() })],
    at: AT,
  };
  metrics.observe({ event: 'verifying', status: verifying });
  const text = textOf(metrics);
  for (const line of [
    'lockstep_verify_proven_through_offset{job_name="proof",topic="orders",partition="0"} 90',
    'lockstep_verify_lag_records{job_name="proof",topic="orders",partition="0"} 10',
    'lockstep_verify_unverified_offsets{job_name="proof",topic="orders",partition="0"} 3',
    'lockstep_verify_records_total{job_name="proof",topic="orders",partition="0"} 90',
    'lockstep_verify_bytes_total{job_name="proof",way="whole"} 1800',
    'lockstep_verify_stopped_partitions{job_name="proof"} 1',
    'lockstep_job_running{job_name="proof",kind="verify"} 1',
  ])
    expect(text).toContain(`${line}\n`);
  expect(text).not.toContain('lockstep_verify_proven_through_offset{job_name="proof",topic="orders",partition="1"}');
});

test('a job that has not begun, has ended, or does not speak is named', () => {
  const metrics = create();
  expect(metrics.silent(AT, 1000)).toEqual(['east-to-west']);
  metrics.observe(progress([shard({})]));
  expect(metrics.silent(AT, 1000)).toEqual([]);
  expect(metrics.silent(AT + 1001, 1000)).toEqual(['east-to-west']);
  metrics.observe({ event: 'ended', mirror: 'east-to-west', outcome: 'caught-up', status: status([]), at: AT });
  expect(metrics.silent(AT, 1000)).toEqual(['east-to-west']);
});

test('reg-M-330a: the names of kaf-mirror carry the job, so that jobs do not overwrite each other', () => {
  const jobs = [
    { name: 'a', kind: 'mirror' as const },
    { name: 'b', kind: 'mirror' as const },
  ];
  const metrics = create({ jobs, hasOriginalNames: true });
  metrics.observe(progress([shard({ recordsCopied: 1, lagRecords: 201 })], { mirror: 'a' }));
  metrics.observe(progress([shard({ recordsCopied: 2, lagRecords: 200 })], { mirror: 'b' }));
  metrics.observe({ event: 'incident', incident: incident({ mirror: 'b', severity: 'error' }) });
  expect(linesOf(metrics, 'kaf_mirror_messages_replicated')).toEqual([
    'kaf_mirror_messages_replicated{job_name="a"} 1',
    'kaf_mirror_messages_replicated{job_name="b"} 2',
  ]);
  expect(linesOf(metrics, 'kaf_mirror_incident_critical_lag')).toEqual([
    'kaf_mirror_incident_critical_lag{job_name="a"} 1',
    'kaf_mirror_incident_critical_lag{job_name="b"} 0',
  ]);
  expect(linesOf(metrics, 'kaf_mirror_error_count').at(-1)).toBe('kaf_mirror_error_count{job_name="b"} 1');
  expect(linesOf(create(), 'kaf_mirror')).toEqual([]);
});

test('the process says what it uses', () => {
  const figures: ProcessFigures = {
    read: () => ({ cpuSeconds: 1.5, residentBytes: 100, heapUsedBytes: 50, startedAt: AT }),
    watchEventLoop: () => ({ take: () => ({ p50Ms: 0, p99Ms: 0, maxMs: 0 }), stop: () => {} }),
  };
  const into = new MetricSet();
  collectProcess(into, figures, { p50Ms: 1, p99Ms: 20, maxMs: 300 });
  expect(Object.fromEntries(into.families().map(({ name, samples }) => [name, samples[0]?.value]))).toEqual({
    process_cpu_seconds_total: 1.5,
    process_resident_memory_bytes: 100,
    process_start_time_seconds: AT / 1000,
    lockstep_heap_used_bytes: 50,
    lockstep_event_loop_delay_p50_seconds: 0.001,
    lockstep_event_loop_delay_p99_seconds: 0.02,
    lockstep_event_loop_delay_max_seconds: 0.3,
  });
});

test('reg-M-330b reg-M-341: names follow the conventions of Prometheus', () => {
  for (const [name, { type, labels }] of Object.entries(metricTable)) {
    expect(name).toMatch(/^(?:lockstep|process|kaf_mirror)(?:_[a-z0-9]+)+$/);
    expect(name.endsWith('_total'), name).toBe(type === 'counter');
    expect(labels).not.toContain('job');
    expect(labels).not.toContain('instance');
  }
});
