import { expect, test } from 'vitest';
import { compileTopicRules, targetOf } from '#contract/topic-rules.ts';
import { ruleOfMapping } from './topic-mapping.ts';

test.each([
  ['orders', '', { match: 'orders' }],
  ['orders.v1', 'orders.v1', { match: 'orders.v1' }],
  ['orders', 'dr.orders', { match: 'orders', to: 'dr.orders' }],
  ['^orders-.*$', '', { match: '/orders-.*/' }],
  ['user.*', 'user.*', { match: '/.*user.*/' }],
  ['events-*', '', { match: '/.*events-*.*/' }],
  ['a|b.*', '', { match: '/.*(?:a|b.*).*/' }],
  ['^a', '', { match: '/a.*/' }],
  ['^orders-(.*)$', 'backup-$1', { match: '/orders-(.*)/', to: 'backup-$1' }],
] as const)('%s to "%s"', (source, target, rule) => {
  expect(ruleOfMapping({ source, target })).toEqual(rule);
});

test('what differs is said', () => {
  expect(ruleOfMapping({ source: 'orders-(.*)', target: 'backup-$1' })).toMatchObject({
    note: 'The expression matches the whole name; kaf-mirror matched and replaced it anywhere.',
  });
  expect(ruleOfMapping({ source: '^(.*)$', target: '$1_copy' })).toMatchObject({
    to: '${1}_copy',
    note: expect.stringContaining('In Go'),
  });
});

test.each([
  ['orders', 'a b', 'is not a topic name'],
  ['orders-(', '', 'missing'],
  ['orders-.*', '$1', 'no capture'],
])('%s to "%s" has no equal', (source, target, problem) => {
  expect(ruleOfMapping({ source, target })).toMatchObject({ problem: expect.stringContaining(problem) });
});

test.each(['user.*', 'events-*', '^a', 'b$', '.*c', 'a|b'])(
  'without a rename %s takes in what Go matches anywhere',
  (source) => {
    const rule = ruleOfMapping({ source, target: '' });
    if ('problem' in rule) throw new Error(rule.problem);
    const rules = compileTopicRules([{ match: rule.match, to: null }]);
    for (const name of ['user', 'x-user-1', 'events', 'events-1', 'my.events-x', 'a', 'ba', 'ab', 'abc', 'cab', 'x'])
      expect([name, targetOf(rules, { name, isInternal: false }) !== null]).toEqual([
        name,
        new RegExp(source).test(name),
      ]);
  },
);
