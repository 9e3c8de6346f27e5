import { expect, test } from 'vitest';
import { compileTopicRules } from '#contract/topic-rules.ts';
import { copiedTopics, type CopiedTopicsFacts } from './copied-topics.ts';
import type { TopicClaim } from './state-topic.ts';

const rules = compileTopicRules([{ match: '/orders\\..*/', to: 'dr.$0' }, { exclude: 'orders.secret' }]);
const claim = (name: string, more: Partial<TopicClaim> = {}): TopicClaim => ({
  mirrorId: 'm',
  mirrorName: 'm',
  sourceTopic: name,
  sourceTopicId: `id of ${name}`,
  targetTopic: `dr.${name}`,
  targetTopicId: `id of dr.${name}`,
  partitions: 1,
  replaces: null,
  ...more,
});
const known = (name: string) => ({ topicId: `id of ${name}`, isInternal: false, errorCode: 0 });
const copied = (facts: Partial<CopiedTopicsFacts>) =>
  copiedTopics({ prepared: [], claims: [], rules, source: known, target: known, ...facts });
const prepared = (name: string, isShared = false) => ({
  sourceTopic: name,
  targetTopic: `dr.${name}`,
  copy: { mode: 'mapped', isShared, why: '' } as const,
});
const pair = { source: 'orders.a', target: 'dr.orders.a' };

test('a topic that was copied before is one of them also while it cannot be prepared', () => {
  const claims = [claim('orders.a')];
  expect(copied({ claims })).toEqual([pair]);
  const hidden = () => ({ topicId: '', isInternal: false, errorCode: 3 });
  expect(copied({ claims, source: () => undefined, target: () => undefined })).toEqual([pair]);
  expect(copied({ claims, source: hidden, target: hidden })).toEqual([pair]);
  expect(copied({ claims, prepared: [prepared('orders.a'), prepared('orders.b')] })).toHaveLength(2);
});

test('one that was created anew on either side is not, until it is prepared', () => {
  const another = () => ({ topicId: 'another', isInternal: false, errorCode: 0 });
  const claims = [claim('orders.a')];
  expect(copied({ claims, source: another })).toEqual([]);
  expect(copied({ claims, target: another })).toEqual([]);
  expect(copied({ claims, target: another, prepared: [prepared('orders.a')] })).toEqual([pair]);
});

test('one that the rules do not mean any more, or send elsewhere, is not', () => {
  const elsewhere = claim('orders.a', { targetTopic: 'elsewhere' });
  expect(copied({ claims: [claim('orders.secret'), claim('payments'), elsewhere] })).toEqual([]);
});

test('one that others write to as well never is', () => {
  expect(copied({ claims: [claim('orders.a', { mode: 'shared' })] })).toEqual([]);
  expect(copied({ claims: [claim('orders.a')], prepared: [prepared('orders.a', true)] })).toEqual([]);
});
