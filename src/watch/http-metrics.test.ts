import { expect, test } from 'vitest';
import { formatMetrics } from './exposition.ts';
import { HttpMetrics } from './http-metrics.ts';
import { MetricSet } from './metric-set.ts';

test('requests are counted by route and class of status, timed by route, and streams only counted', () => {
  const metrics = new HttpMetrics();
  const jobs = { method: 'GET', route: '/api/v1/jobs/:id' };
  metrics.observe({ ...jobs, status: 200, durationMs: 125 });
  metrics.observe({ ...jobs, status: 304, durationMs: 125 });
  metrics.observe({ ...jobs, status: 404, durationMs: 20_000 });
  metrics.observe({ ...jobs, status: 403, durationMs: 250 });
  metrics.observe({ method: 'GET', route: '/api/v1/stream', status: 200, durationMs: null });
  for (let i = 0; i < 1_000; i++) metrics.observe({ method: 'GET', route: null, status: 404, durationMs: 1 });
  const into = new MetricSet();
  metrics.collect(into);
  const lines = formatMetrics(into.families(), 'prometheus').split('\n');
  expect(lines.filter((line) => line.startsWith('lockstep_http_requests_total'))).toEqual([
    'lockstep_http_requests_total{method="GET",route="/api/v1/jobs/:id",status="2xx"} 1',
    'lockstep_http_requests_total{method="GET",route="/api/v1/jobs/:id",status="3xx"} 1',
    'lockstep_http_requests_total{method="GET",route="/api/v1/jobs/:id",status="4xx"} 2',
    'lockstep_http_requests_total{method="GET",route="/api/v1/stream",status="2xx"} 1',
    'lockstep_http_requests_total{method="GET",route="none",status="4xx"} 1000',
  ]);
  const timed = lines.filter((line) => line.includes('_duration_seconds') && line.includes('/api/v1/jobs/:id'));
  expect(timed).toHaveLength(15);
  expect(timed[6]).toBe(
    'lockstep_http_request_duration_seconds_bucket{method="GET",route="/api/v1/jobs/:id",le="0.25"} 3',
  );
  expect(timed.slice(-4)).toEqual([
    'lockstep_http_request_duration_seconds_bucket{method="GET",route="/api/v1/jobs/:id",le="10"} 3',
    'lockstep_http_request_duration_seconds_bucket{method="GET",route="/api/v1/jobs/:id",le="+Inf"} 4',
    'lockstep_http_request_duration_seconds_sum{method="GET",route="/api/v1/jobs/:id"} 20.5',
    'lockstep_http_request_duration_seconds_count{method="GET",route="/api/v1/jobs/:id"} 4',
  ]);
  expect(lines.join()).not.toContain('/api/v1/stream",le');
});
