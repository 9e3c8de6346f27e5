import { expect, test } from 'vitest';
import { formatHtml, formatReliability, toJson, totalsOf } from './report.ts';
import type { FaultResult } from './results.ts';

const result: FaultResult = {
  id: 'leader-killed',
  title: 'a leader is killed',
  isShared: true,
  state: 'passed',
  evidence: ['leader 1 → 2'],
  outcomes: ['identical, 100 records'],
  figures: [['recovered in s', 4.2]],
  error: null,
  startedAt: '2026-11-21T10:00:00.000Z',
  seconds: 62,
  sources: 'abc',
  version: '0.1.0',
  commit: 'c2a640f',
};
const listed = (change: Partial<FaultResult> | null, isCurrent = true) => ({
  id: 'leader-killed',
  title: 'a leader is killed',
  area: 'brokers',
  result: change === null ? null : { ...result, ...change },
  isCurrent,
});

test('a fault that passed is shown with its evidence, outcome, figures, date and version', () => {
  const text = formatReliability([listed({})]);
  expect(text).toContain('1 faults: 1 passed in 1 minutes. 1 of them run in every `npm test`.');
  expect(text).toContain(
    '| `leader-killed`: a leader is killed | ✓ | leader 1 → 2 | identical, 100 records | recovered in s 4.2 | 2026-11-21, 0.1.0 at c2a640f, 62 s |',
  );
});

test('what failed, was interrupted or never ran is said, and never shows the outcome of a success', () => {
  const text = formatReliability([listed({ state: 'failed' }), listed({ state: 'started' }), listed(null)]);
  expect(text).toContain('3 faults: 0 passed in 0 minutes, 1 failed, 1 interrupted, 1 not run');
  for (const word of ['**failed**', '**interrupted**', '**not run**']) expect(text).toContain(word);
  expect(text).not.toContain('identical, 100 records');
});

test('what passed with other sources is counted and marked as such', () => {
  const text = formatReliability([listed({}), listed({}, false)]);
  expect(text).toContain('2 faults: 1 passed in 1 minutes, 1 passed before a change of the sources. 2 of them');
  expect(text).toContain('| before a change: identical, 100 records |');
});

test('counts are of what passed: scenarios, records, kills, differences, incidents', () => {
  const faults = [
    listed({ kills: 2, outcomes: ['identical, 100 records, one incident that ended by itself: SHARD_WAITING'] }),
    listed({
      kills: 1,
      expected: [],
      outcomes: ['identical below offset 7, 7 records', 'stopped by SHARD_DIVERGED at offsets 7 to 8'],
    }),
    listed({ outcomes: ['not identical, as it must be: 3 × lost'], expected: ['SHARD_FENCED'] }),
    listed({ state: 'failed', kills: 9, outcomes: ['identical, 900 records'] }),
  ];
  expect(Object.fromEntries(totalsOf(faults))).toMatchObject({
    'scenarios that passed': '3 of 4',
    'records that a checker compared, equal on both sides': '107',
    'differences that were not meant': '0',
    'processes killed with SIGKILL': '3 in 2 scenarios; 1 results are older than the count',
    'incidents expected': '2',
    'incidents raised': '2',
    'expected and not raised': '1',
    'raised and not expected': '1',
  });
});

test('the JSON and the page say what took effect, what happened and what was expected', () => {
  const faults = [
    listed({ outcomes: ['stopped by SHARD_DIVERGED at offsets 7 to 8'] }),
    listed({ state: 'failed', error: 'expected <0>\nat x' }),
    listed(null),
  ];
  expect(toJson(faults).faults).toMatchObject([
    { tookEffect: ['leader 1 → 2'], expected: 'a stop with SHARD_DIVERGED, identical below it', state: 'passed' },
    { happened: ['expected <0>'], expected: 'see its test', state: 'failed' },
    { happened: [], state: 'not run' },
  ]);
  expect(formatHtml(faults)).toContain('expected &lt;0&gt;');
});

test('text of a fault cannot break the table', () => {
  expect(formatReliability([listed({ evidence: ['a | b\nc'] })])).toContain('| a \\| b c |');
});
