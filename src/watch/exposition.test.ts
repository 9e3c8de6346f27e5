import { expect, test } from 'vitest';
import { formatFor, formatMetrics } from './exposition.ts';
import { MetricSet } from './metric-set.ts';

function sample(): MetricSet {
  const into = new MetricSet();
  into.add('lockstep_mirror_copied_records_total', { job_name: 'a', topic: 'orders', partition: '0' }, 5);
  into.add('lockstep_mirror_lag_records', { job_name: 'a', topic: 'orders' }, 2.5);
  into.add('process_resident_memory_bytes', {}, Infinity);
  return into;
}

test('the text format has help, type and series of each metric', () => {
  expect(formatMetrics(sample().families(), 'prometheus')).toBe(
    '# HELP lockstep_mirror_copied_records_total Records that the target has acknowledged.\n' +
      '# TYPE lockstep_mirror_copied_records_total counter\n' +
      'lockstep_mirror_copied_records_total{job_name="a",topic="orders",partition="0"} 5\n' +
      '# HELP lockstep_mirror_lag_records Offsets of the source that the target has not acknowledged.\n' +
      '# TYPE lockstep_mirror_lag_records gauge\n' +
      'lockstep_mirror_lag_records{job_name="a",topic="orders"} 2.5\n' +
      '# HELP process_resident_memory_bytes Resident memory of the process.\n' +
      '# TYPE process_resident_memory_bytes gauge\n' +
      'process_resident_memory_bytes +Inf\n',
  );
});

test('OpenMetrics names counters without their ending, and says where it ends', () => {
  const lines = formatMetrics(sample().families(), 'openmetrics').split('\n');
  expect(lines[1]).toBe('# TYPE lockstep_mirror_copied_records counter');
  expect(lines[2]).toBe('lockstep_mirror_copied_records_total{job_name="a",topic="orders",partition="0"} 5');
  expect(lines.slice(-2)).toEqual(['# EOF', '']);
});

test('a name that a cluster chose ends no label and no line', () => {
  const into = new MetricSet();
  const hostile = 'a"} 1\nprocess_start_time_seconds 0\\\ud800';
  into.add('lockstep_mirror_lag_records', { job_name: hostile }, 1);
  const lines = formatMetrics(into.families(), 'prometheus').split('\n');
  expect(lines).toHaveLength(4);
  expect(lines[2]).toBe('lockstep_mirror_lag_records{job_name="a\\"} 1\\nprocess_start_time_seconds 0\\\\\ufffd"} 1');
});

test('buckets of a histogram are cumulated up to infinity', () => {
  const into = new MetricSet();
  const counts = [1, 0, 2, 0, 0, 0, 0, 0, 0, 0, 0, 0, 4];
  into.addHistogram('lockstep_mirror_lag_distribution_seconds', { job_name: 'a' }, { counts, sum: 9.5 });
  const text = formatMetrics(into.families(), 'openmetrics');
  expect(text).toContain('_bucket{job_name="a",le="0.01"} 1\n');
  expect(text).toContain('_bucket{job_name="a",le="1.0"} 3\n');
  expect(text).toContain('_bucket{job_name="a",le="+Inf"} 7\n');
  expect(text).toContain('_sum{job_name="a"} 9.5\n');
  expect(text).toContain('_count{job_name="a"} 7\n');
});

test('what is not known has no series, and a metric or label that is not in the table cannot be written', () => {
  const into = new MetricSet();
  into.add('lockstep_mirror_lag_records', { job_name: 'a' }, null);
  expect(into.families()).toEqual([]);
  expect(() => into.add('lockstep_mirror_lag_records', { job: 'a' }, 1)).toThrow('has a label "job"');
});

test.each([
  [undefined, 'prometheus'],
  ['*/*', 'prometheus'],
  ['text/plain', 'prometheus'],
  ['application/openmetrics-text;version=1.0.0,text/plain;version=0.0.4;q=0.5,*/*;q=0.1', 'openmetrics'],
  ['application/openmetrics-text;version=1.0.0;q=0.3,text/plain;version=0.0.4;q=0.5', 'prometheus'],
  ['application/openmetrics-text;version=0.0.1', 'prometheus'],
  ['application/openmetrics-text;q=0', 'prometheus'],
])('Accept %s gets %s', (accept, format) => {
  expect(formatFor(accept)).toBe(format);
});
