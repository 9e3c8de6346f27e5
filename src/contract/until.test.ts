import { expect, test } from 'vitest';
import { parseUntil } from './until.ts';

const now = 1_000_000;

test.each([
  ['caught-up', { kind: 'caught-up' }],
  ['offset=0', { kind: 'offset', offset: 0 }],
  ['offset=1500', { kind: 'offset', offset: 1500 }],
  ['time=30s', { kind: 'time', at: now + 30_000 }],
  ['time=1.5m', { kind: 'time', at: now + 90_000 }],
  ['time=250ms', { kind: 'time', at: now + 250 }],
  ['time=1970-01-01T00:20:00Z', { kind: 'time', at: 1_200_000 }],
  ['time=1970-01-01T01:20:00+01:00', { kind: 'time', at: 1_200_000 }],
])('%s is understood', (text, expected) => {
  expect(parseUntil(text, now)).toEqual(expected);
});

test.each([
  '',
  'caughtup',
  'offset=',
  'offset=-1',
  'offset=1e3',
  'offset=99999999999999999',
  'time=',
  'time=30',
  'time=5 m',
  'time=2026-11-21',
  'time=2026-11-21T18:00',
  'time=2026-13-41T18:00:00Z',
])('%j is refused with what can be written', (text) => {
  expect(() => parseUntil(text, now)).toThrow(
    expect.objectContaining({ code: 'REQUEST_INVALID', message: `--until does not understand "${text}"` }),
  );
});
