import { expect, test } from 'vitest';
import { incident, status } from '#testing/sample-status.ts';
import type { WebRequest } from '#util/host.ts';
import { type EventItem, itemOf, loki, pushgateway, splunk } from './receivers.ts';

function receiver(answer = 200) {
  const sent: WebRequest[] = [];
  const send = (request: WebRequest) => {
    sent.push(request);
    return Promise.resolve({ status: answer, headers: {}, text: 'not to be repeated: hunter2' });
  };
  const ports = {
    web: { send, postForm: send as never, open: send as never },
    secret: () => 'hunter2',
    ca: () => null,
  };
  return { sent, ports };
}

const signal = new AbortController().signal;
const item = (fields: Partial<EventItem> = {}): EventItem => ({
  at: 1_700_000_000_123,
  job: 'east-to-west',
  kind: 'metrics',
  json: '{"current_lag":3}',
  ...fields,
});

test('a Pushgateway gets the newest document in the place of the one before, under the name of this process', async () => {
  const { sent, ports } = receiver();
  const send = pushgateway({ url: 'http://127.0.0.1:9091/', instance: 'host/a 12' }, ports);
  expect(await send(['old\n', 'new\n'], signal)).toMatchObject({ reception: 'taken' });
  expect(sent[0]).toMatchObject({
    url: 'http://127.0.0.1:9091/metrics/job/lockstep/instance@base64/aG9zdC9hIDEy',
    method: 'PUT',
    body: 'new\n',
    headers: { authorization: 'Bearer hunter2', 'content-type': 'text/plain; version=0.0.4; charset=utf-8' },
  });
});

test('reg-M-331: Splunk gets many events in one request, each with its time, source and index', async () => {
  const { sent, ports } = receiver();
  const settings = { url: 'https://hec/x', index: 'kafka', source: 'lockstep', host: 'h 1' };
  await splunk(settings, ports)([item(), item({ json: '{"event":"incident"}' })], signal);
  expect(sent[0]).toMatchObject({ url: 'https://hec/x', method: 'POST', headers: { authorization: 'Splunk hunter2' } });
  const frame = { time: 1_700_000_000.123, host: 'h 1', source: 'lockstep', sourcetype: '_json', index: 'kafka' };
  expect(sent[0]?.body?.split('\n').map((line) => JSON.parse(line) as unknown)).toEqual([
    { ...frame, event: { current_lag: 3 } },
    { ...frame, event: { event: 'incident' } },
  ]);
});

test('reg-M-332: Loki gets a stream for each job and kind, with nanoseconds', async () => {
  const { sent, ports } = receiver(204);
  const settings = { url: 'https://loki/push', tenant: 'bank', host: 'h 1' };
  const items = [item(), item({ json: '{"current_lag":4}' }), item({ job: null, kind: 'warning', json: '{}' })];
  expect(await loki(settings, ports)(items, signal)).toMatchObject({ reception: 'taken' });
  expect(sent[0]?.headers).toMatchObject({ 'x-scope-orgid': 'bank', authorization: 'Bearer hunter2' });
  expect(JSON.parse(sent[0]?.body ?? '')).toEqual({
    streams: [
      {
        stream: { service: 'lockstep', host: 'h 1', kind: 'metrics', job_id: 'east-to-west' },
        values: [
          ['1700000000123000000', '{"current_lag":3}'],
          ['1700000000123000000', '{"current_lag":4}'],
        ],
      },
      { stream: { service: 'lockstep', host: 'h 1', kind: 'warning' }, values: [['1700000000123000000', '{}']] },
    ],
  });
});

test.each([
  [200, 'taken'],
  [204, 'taken'],
  [302, 'again'],
  [400, 'refused'],
  [401, 'again'],
  [403, 'again'],
  [404, 'again'],
  [413, 'refused'],
  [429, 'again'],
  [500, 'again'],
  [503, 'again'],
])('status %i means %s, and nothing of the answer is repeated', async (answer, reception) => {
  const { ports } = receiver(answer);
  const send = splunk({ url: 'https://hec/x', index: null, source: 'lockstep', host: 'h' }, ports);
  expect(await send([item()], signal)).toEqual({ reception, why: `it answered with status ${answer}` });
});

test('what happened becomes an item; how a job stands does not', () => {
  const at = 1_700_000_000_000;
  expect(itemOf({ event: 'progress', status: status([]) })).toBeNull();
  expect(itemOf({ event: 'incident', incident: incident({ mirror: 'm', at }) })).toMatchObject({ at, job: 'm' });
  const ended = itemOf({ event: 'ended', mirror: 'm', outcome: 'caught-up', status: status([]), at });
  expect(JSON.parse(ended?.json ?? '')).toEqual({ event: 'ended', mirror: 'm', outcome: 'caught-up', at });
});
