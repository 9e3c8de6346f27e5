import fc from 'fast-check';
import { expect, test } from 'vitest';
import type { TopicRule } from './resources.ts';
import { collisionsOf, compileTopicRules, planTopics, targetOf } from './topic-rules.ts';

const match = (name: string, to: string | null = null): TopicRule => ({ match: name, to });
const exclude = (name: string): TopicRule => ({ exclude: name });
const topic = (name: string) => ({ name, isInternal: false });
const target = (rules: TopicRule[], name: string) => targetOf(compileTopicRules(rules), topic(name))?.target ?? null;

test.each<[string, TopicRule[], string, string | null]>([
  ['an exact name', [match('orders')], 'orders', 'orders'],
  ['a dot in an exact name is a dot', [match('orders.v1')], 'ordersxv1', null],
  ['a dotted exact name', [match('orders.v1')], 'orders.v1', 'orders.v1'],
  ['a longer name than the exact one', [match('orders')], 'orders2', null],
  ['an exact rename', [match('orders', 'copy.orders')], 'orders', 'copy.orders'],
  [
    'an anchored expression',
    [match('/^payments\\.(.+)$/', 'dr.payments.$1')],
    'payments.card.v1',
    'dr.payments.card.v1',
  ],
  ['an expression without anchors matches the whole name only', [match('/orders-.*/')], 'old-orders-1', null],
  ['alternatives match the whole name only', [match('/^a|b$/')], 'ax', null],
  ['a named capture', [match('/(?<domain>[a-z]+)\\.(.+)/', '$2.${domain}')], 'pay.card', 'card.pay'],
  ['the whole name', [match('/.*/', 'dr.$0')], 'orders', 'dr.orders'],
  ['braces end a capture number', [match('/a(.)/', '${1}0')], 'ax', 'x0'],
  ['a capture that took no part is empty', [match('/a(b)?c/', 'x$1y')], 'ac', 'xy'],
  ['the first rule that matches wins', [match('orders', 'one'), match('/.*/', 'two')], 'orders', 'one'],
  ['an exclude holds wherever it stands', [match('/.*/'), exclude('orders')], 'orders', null],
  ['an exclude searches the name', [match('/.*/'), exclude('/\\.internal$/')], 'pay.internal', null],
  [
    'an exclude with anchors leaves others',
    [match('/.*/'), exclude('/\\.internal$/')],
    'pay.internals',
    'pay.internals',
  ],
  ['an exact exclude is exact', [match('/.*/'), exclude('a.b')], 'axb', 'axb'],
])('%s', (_, rules, name, expected) => {
  expect(target(rules, name)).toBe(expected);
});

test('internal topics are copied only by a rule that names them exactly', () => {
  const rules = compileTopicRules([match('/.*/'), match('__audit'), match('flagged')]);
  expect(targetOf(rules, topic('__hidden'))).toBeNull();
  expect(targetOf(rules, topic('__audit'))).toEqual({ target: '__audit', rule: 1 });
  expect(targetOf(rules, { name: 'other', isInternal: true })).toBeNull();
  expect(targetOf(rules, { name: 'flagged', isInternal: true })).toEqual({ target: 'flagged', rule: 2 });
});

test('a plan lists pairs, rules without a topic, conflicts, bad target names and collisions', () => {
  const rules = compileTopicRules([
    match('/^eu\\.(.+)$/', '$1'),
    match('/^us\\.(.+)$/', '$1'),
    match('missing'),
    match('/^(long)$/', `${'x'.repeat(246)}$1`),
    match('__consumer_offsets'),
    match('a.b'),
    match('a_b'),
  ]);
  const plan = planTopics(
    rules,
    ['us.orders', 'eu.orders', 'eu.cards', 'long', 'other', 'a.b', 'a_b']
      .map(topic)
      .concat([{ name: '__consumer_offsets', isInternal: true }]),
  );
  expect(plan).toEqual({
    pairs: [
      { source: 'a.b', target: 'a.b' },
      { source: 'a_b', target: 'a_b' },
      { source: 'eu.cards', target: 'cards' },
    ],
    unmatchedRules: [2],
    conflicts: [{ target: 'orders', sources: ['eu.orders', 'us.orders'] }],
    invalid: [
      {
        source: '__consumer_offsets',
        target: '__consumer_offsets',
        problem: 'the target\'s brokers keep their own state under this name; give the copy another name with "to"',
      },
      { source: 'long', target: `${'x'.repeat(246)}long`, problem: 'it has 250 characters, and Kafka allows 249' },
    ],
    collisions: [['a.b', 'a_b']],
  });
});

test('names collide when they differ only in dots and underscores', () => {
  expect(collisionsOf(['a.b', 'a_b', 'a-b', 'a_b', 'c'])).toEqual([['a.b', 'a_b']]);
});

test('an expression that would take a backtracking engine for ever is answered at once', () => {
  expect(target([match('/^(a+)+$/')], `${'a'.repeat(240)}!`)).toBeNull();
});

test('an exact rule copies its topic and no other', () => {
  const name = fc.stringMatching(/^[a-zA-Z0-9._-]{1,12}$/).filter((each) => each !== '.' && each !== '..');
  fc.assert(
    fc.property(name, name, (rule, other) => {
      expect(target([match(rule)], other)).toBe(rule === other ? rule : null);
    }),
  );
});
