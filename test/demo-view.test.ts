import { expect, test } from 'vitest';
import { stripVTControlCharacters } from 'node:util';
import type { Snapshot } from '../demo/snapshot.ts';
import { hintOf, renderView, type Paint } from '../demo/view.ts';

const plain: Paint = (_style, text) => text;

const row = {
  name: 'customers.profiles',
  partitions: 12,
  position: 1_234_567,
  lag: 12_345,
  behindMs: 754_000,
  perSecond: 4_321,
};
const snapshot: Snapshot = {
  elapsedMs: 7_260_000,
  linkFile: '/tmp/lockstep-AbCdEf/4-demo/link.yaml',
  topics: Array.from({ length: 6 }, (_, index) => ({ ...row, name: `${row.name}-${index}` })),
  total: { ...row, name: 'total' },
  traffic: { records: 12_345_678, committed: 123_456, aborted: 12_345 },
  mirror: {
    state: 'running',
    inStateMs: 3_600_000,
    pid: 4_194_304,
    kills: 12,
    copied: 9_876_543,
    incident: null,
    ending: '',
  },
  proof: { compared: 12_345_678, comparedAgoMs: 300, rounds: 1234, roundAgoMs: 12_000, differences: 0, first: null },
  planted: null,
  events: Array.from({ length: 20 }, (_, index) => ({ atMs: index * 1000, text: `event ${index}` })),
};
const found: Snapshot = {
  ...snapshot,
  planted: { topic: 'payments.authorised', partition: 3, offset: 1_234_567 },
  proof: {
    ...snapshot.proof,
    differences: 1,
    first: {
      topic: 'payments.authorised',
      partition: 3,
      offset: 1_234_567,
      field: 'value',
      source: `…${'a'.repeat(56)}…`,
      target: `…${'b'.repeat(56)}…`,
    },
  },
};

const render = (state: Snapshot, columns: number, rows: number, paint = plain): string[] =>
  renderView(state, { columns, rows, paint });

test.each([
  [40, 10],
  [60, 18],
  [80, 24],
  [120, 40],
  [300, 100],
])('fits a terminal of %i columns and %i rows', (columns, rows) => {
  for (const state of [snapshot, found]) {
    const lines = render(state, columns, rows);
    expect(lines.length).toBeLessThanOrEqual(rows);
    expect(Math.max(...lines.map((line) => line.length))).toBeLessThanOrEqual(columns);
  }
});

test('shows everything that matters on 80 columns and 24 rows, nothing of it cut', () => {
  const text = render(found, 80, 24).join('\n');
  for (const part of [
    'payments.authorised/3 at offset 1234567: the value differs',
    '12,345,678 records compared, 1 difference (0.3 s ago)',
    `…${'b'.repeat(56)}…`,
    'in another terminal: npx lockstep plan -f /tmp/lockstep-AbCdEf/4-demo/link.yaml',
    'killed 12 times; 9,876,543 records copied since the last kill',
    'q end',
    'event 19',
  ])
    expect(text).toContain(part);
  expect(text).not.toContain('customers.profiles…');
});

test('the columns stand under each other with styles as without', () => {
  const styled: Paint = (style, text) => `\u001B[1m${String(style).length > 0 ? text : ''}\u001B[22m`;
  expect(render(snapshot, 80, 24, styled).map(stripVTControlCharacters)).toEqual(render(snapshot, 80, 24));
  const [title = '', ...rows] = render(snapshot, 80, 24).slice(2, 10);
  for (const line of rows) expect(line).toHaveLength(title.length);
});

test('the proof is green without a difference and red with one', () => {
  const proofLine = (state: Snapshot): string => {
    const named: Paint = (style, text) => `<${[style].flat().join('+')}>${text}`;
    return render(state, 80, 24, named).find((line) => line.includes('records compared')) ?? '';
  };
  expect(proofLine(snapshot)).toContain('<bold+green>12,345,678 records compared, 0 differences');
  expect(proofLine(found)).toContain('<bold+red>12,345,678 records compared, 1 difference');
});

test('what is not known is shown as unknown, never as zero', () => {
  const unknown = { ...row, position: null, lag: null, behindMs: null, perSecond: null };
  const state = {
    ...snapshot,
    topics: [unknown],
    total: unknown,
    proof: { ...snapshot.proof, compared: 0, comparedAgoMs: null },
  };
  const lines = render(state, 80, 24);
  expect(lines[3]?.trim().split(/ +/)).toEqual(['customers.profiles', '12', '–', '–', '–', '–']);
  expect(lines.join('\n')).toContain('nothing compared yet');
});

test('says at each moment what to try or to look at next', () => {
  const calm = { ...snapshot.total, lag: 3 };
  const hint = (change: Partial<Snapshot>): string => hintOf({ ...snapshot, total: calm, ...change });
  const mirror = snapshot.mirror;
  expect(hint({ mirror: { ...mirror, kills: 0 } })).toMatch(/^Press k/);
  expect(hint({ mirror: { ...mirror, state: 'killed' } })).toMatch(/Press r/);
  expect(hint({ mirror: { ...mirror, kills: 1, copied: 0 } })).toMatch(/waits up to 20 s/);
  expect(hint({ total: snapshot.total })).toMatch(/catching up/);
  expect(hint({})).toMatch(/Press p/);
  expect(hint({ planted: found.planted })).toMatch(/Watch PROOF/);
  expect(hint({ planted: found.planted, proof: found.proof })).toMatch(/found/);
  expect(hint({ mirror: { ...mirror, state: 'ended' } })).toMatch(/ended by itself/);
});
