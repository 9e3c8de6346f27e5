import { expect, test } from 'vitest';
import { compileTopicRules, targetOf } from '#contract/topic-rules.ts';
import { excludedBy, includedBy } from './name-filter.ts';

test('includes are exact names where they are, and expressions where not', () => {
  expect(includedBy(['orders', 'payments\\.v1', 'clicks.v1', 'a|b.*', 'orders', ''], 'topic')).toEqual({
    value: { match: ['orders', 'payments.v1', '/clicks.v1/', 'a', '/b.*/'], exclude: [] },
  });
});

test('excludes are anchored, since ours take out wherever they match', () => {
  expect(excludedBy(['.*\\.replica', 'tmp', '(?i)x|y'], 'topic')).toEqual({
    value: { match: [], exclude: ['/^(?:.*\\.replica|tmp|(?i)x|y)$/'] },
  });
  expect(excludedBy(['.*\\.replica', 'tmp'], 'topic')).toEqual({
    value: { match: [], exclude: ['/^.*\\.replica$/', 'tmp'] },
  });
});

test('what only makes sense when it is joined is joined, as MirrorMaker 2 does', () => {
  expect(includedBy(['(a', 'b)'], 'topic')).toEqual({ value: { match: ['/(a|b)/'], exclude: [] } });
});

test('a look-ahead that denies becomes an exclude where it stands alone', () => {
  expect(includedBy(['(?!test-).*'], 'topic')).toEqual({ value: { match: ['/.*/'], exclude: ['/^(?:test-)/'] } });
  expect(includedBy(['(?!test-).*', 'orders'], 'topic')).toMatchObject({
    problem: expect.stringContaining('look-ahead'),
  });
  expect(excludedBy(['(?!test-).*'], 'topic')).toMatchObject({ problem: expect.stringContaining('look-around') });
});

test('what Java takes and RE2 does not is a problem', () => {
  expect(includedBy(['a{2000}'], 'topic')).toMatchObject({ problem: expect.stringContaining('a{2000}') });
});

test('a name with a slash in front is an expression, since ours would take it for one', () => {
  expect(includedBy(['/a'], 'other')).toEqual({ value: { match: ['//a/'], exclude: [] } });
});

test('topics are chosen as MirrorMaker 2 chooses them', () => {
  const included = includedBy(['orders.*', 'pay\\.(in|out)'], 'topic');
  const excluded = excludedBy(['.*[.-]internal', 'orders'], 'topic');
  if ('problem' in included || 'problem' in excluded) throw new Error('they can be translated');
  const rules = compileTopicRules([
    ...included.value.match.map((match) => ({ match, to: null })),
    ...excluded.value.exclude.map((exclude) => ({ exclude })),
  ]);
  const isCopied = (name: string): boolean => targetOf(rules, { name, isInternal: false }) !== null;
  const names = ['orders', 'orders2', 'orders.internal', 'orders.internal.x', 'pay.in', 'pay.out2', 'payXin'];
  expect(names.filter(isCopied)).toEqual(['orders2', 'orders.internal.x', 'pay.in']);
});
