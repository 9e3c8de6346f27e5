import { expect, test } from 'vitest';
import type { Span } from '#contract/span.ts';
import type { WebRequest } from '#util/host.ts';
import { encodeSpan, otlpTraces } from './traces.ts';

const span: Span = {
  traceId: '4bf92f3577b34da6a3ce929d0e0e4736',
  spanId: '00f067aa0ba902b7',
  parentSpanId: null,
  name: 'GET /api/v1/jobs',
  kind: 'server',
  startMs: 1_700_000_000_123,
  endMs: 1_700_000_000_124.25,
  attributes: { 'http.route': '/api/v1/jobs', 'http.response.status_code': 503 },
  isFailed: true,
};

test('spans go together to a collector, by OTLP over HTTP in JSON, with what process made them', async () => {
  const sent: WebRequest[] = [];
  const send = (request: WebRequest) => {
    sent.push(request);
    return Promise.resolve({ status: 200, headers: {}, text: '{}' });
  };
  const web = { send, postForm: send as never, open: send as never };
  const traces = otlpTraces(
    { url: 'https://collector/v1/traces', version: '1.2.3', instance: 'host 1' },
    { web, secret: () => 'hunter2', ca: () => null },
  );
  const child: Span = {
    ...span,
    spanId: '53995c3f42cd8ad8',
    parentSpanId: span.spanId,
    kind: 'internal',
    isFailed: false,
  };
  const spans = [span, { ...child, name: 'store.jobs.list', attributes: {} }].map(encodeSpan);
  expect(await traces(spans, new AbortController().signal)).toMatchObject({ reception: 'taken' });
  expect(sent[0]).toMatchObject({
    url: 'https://collector/v1/traces',
    method: 'POST',
    headers: { authorization: 'Bearer hunter2', 'content-type': 'application/json' },
  });
  // As in opentelemetry-proto, examples/trace.json.
  expect(JSON.parse(sent[0]?.body ?? '')).toEqual({
    resourceSpans: [
      {
        resource: {
          attributes: [
            { key: 'service.name', value: { stringValue: 'lockstep' } },
            { key: 'service.version', value: { stringValue: '1.2.3' } },
            { key: 'service.instance.id', value: { stringValue: 'host 1' } },
          ],
        },
        scopeSpans: [
          {
            scope: { name: 'lockstep', version: '1.2.3' },
            spans: [
              {
                traceId: '4bf92f3577b34da6a3ce929d0e0e4736',
                spanId: '00f067aa0ba902b7',
                name: 'GET /api/v1/jobs',
                kind: 2,
                startTimeUnixNano: '1700000000123000000',
                endTimeUnixNano: '1700000000124250000',
                attributes: [
                  { key: 'http.route', value: { stringValue: '/api/v1/jobs' } },
                  { key: 'http.response.status_code', value: { intValue: '503' } },
                ],
                status: { code: 2 },
              },
              {
                traceId: '4bf92f3577b34da6a3ce929d0e0e4736',
                spanId: '53995c3f42cd8ad8',
                parentSpanId: '00f067aa0ba902b7',
                name: 'store.jobs.list',
                kind: 1,
                startTimeUnixNano: '1700000000123000000',
                endTimeUnixNano: '1700000000124250000',
                attributes: [],
              },
            ],
          },
        ],
      },
    ],
  });
});
