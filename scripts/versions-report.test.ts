import { expect, test } from 'vitest';
import { formatVersions } from './versions-report.ts';
import type { PairResult } from './versions-report.ts';

const passed: PairResult = {
  source: '3.5.1',
  target: '4.3.1',
  state: 'passed',
  tests: [{ name: 'copies', state: 'passed', seconds: 12, error: null }],
  error: null,
  seconds: 140,
  startedAt: '2026-11-21T10:00:00.000Z',
  sources: 'abc',
  version: '0.1.0',
  commit: 'c2a640f',
};

test('a pair of versions is a row with its result, and a failure is told with its first line', () => {
  const text = formatVersions([passed, { ...passed, target: '3.6.2', state: 'failed', error: 'not identical\nat x' }]);

  expect(text).toContain('| 3.5.1 | 4.3.1 | passed | 1 | 140 | 2026-11-21, 0.1.0 at c2a640f |');
  expect(text).toContain('| 3.5.1 | 3.6.2 | **failed** |');
  expect(text).toContain('- 3.5.1 to 3.6.2: not identical\n');
});
