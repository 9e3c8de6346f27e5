import { describe, expect, test } from 'vitest';
import type { ConfigEntry } from '#kafka/configs.ts';
import type { TopicMetadata } from '#kafka/metadata.ts';
import type { ModeFacts } from './offset-mode.ts';
import { decideTopic, type DecisionOptions } from './topic-decision.ts';
import type { ClaimRecord } from './state-records.ts';
import type { TopicFacts } from './topic-facts.ts';

const auto: ModeFacts = { offsets: 'auto', start: 0, mayFillHoles: null };
const claim: ClaimRecord = {
  mirrorId: 'mine',
  mirrorName: 'm',
  sourceTopic: 'a',
  sourceTopicId: 'source-id',
  targetTopicId: 'target-id',
  partitions: 1,
  replaces: null,
};

const topic = (name: string, topicId: string, partitions = 1): TopicMetadata => ({
  name,
  topicId,
  isInternal: false,
  errorCode: 0,
  partitions: Array.from({ length: partitions }, (_, partition) => ({
    partition,
    leader: 1,
    leaderEpoch: 0,
    replicas: [1],
    isr: [1],
    errorCode: 0,
  })),
});

const target = (isEmpty: boolean, partitions = 1): TopicFacts['target'] => ({
  metadata: topic('t', 'target-id', partitions),
  configs: new Map(),
  isEmpty,
});

/** `identical`, `mapped` or `shared` with the action, or the code that refuses. */
function decide(asked: ModeFacts, change: Partial<TopicFacts>): string {
  const facts: TopicFacts = {
    pair: { source: 'a', target: 't' },
    source: topic('a', 'source-id'),
    sourceConfigs: new Map(),
    target: null,
    configsDenied: null,
    claim: null,
    ...change,
  };
  const options: DecisionOptions = {
    mirrorId: 'mine',
    timestamps: 'append',
    sync: { configs: { exclude: [], defaultsFrom: 'target', allowWeaker: false }, partitions: true },
    targetReplicationFactor: null,
    sourceName: 'east',
    targetName: 'west',
    asked,
  };
  const { copy, action, findings, differences } = decideTopic(facts, { brokerCount: 1, knownConfigs: null }, options);
  expect(copy.isShared && differences.length > 0, 'settings of a shared topic are left alone').toBe(false);
  expect((copy.mode === 'mapped') === (copy.why !== null), 'mapped offsets have a reason').toBe(true);
  return findings[0]?.code ?? `${copy.isShared ? 'shared' : copy.mode} ${action}`;
}

const merged = { pair: { source: 'a', target: 't', isMerged: true as const } };
const compacted = { sourceConfigs: new Map([['cleanup.policy', { value: 'compact,delete' } as ConfigEntry]]) };
const mapped = { ...auto, offsets: 'mapped' } as const;
const identical = { ...auto, offsets: 'identical' } as const;

describe('offsets of a topic that was not copied yet', () => {
  test.each<[string, ModeFacts, Partial<TopicFacts>, string]>([
    ['are identical', auto, {}, 'identical create'],
    ['are identical where holes can be filled', { ...auto, mayFillHoles: true }, compacted, 'identical create'],
    ['are identical where nobody knows', { ...auto, start: null }, compacted, 'identical create'],
    ['are mapped where holes cannot be filled', { ...auto, mayFillHoles: false }, compacted, 'mapped create'],
    ['are mapped above the limit of a log start', { ...auto, start: 1_000_000_001 }, {}, 'mapped create'],
    ['are filled up to any log start where the file says so', { ...identical, start: 2e9 }, {}, 'identical create'],
    ['are mapped where several topics become one', auto, merged, 'shared create'],
    ['are mapped where the file says so', mapped, {}, 'mapped create'],
    ['are mapped into an empty topic of our own', mapped, { target: target(true) }, 'mapped adopt'],
    ['are mapped beside the data of a topic', mapped, { target: target(false) }, 'shared adopt'],
    ['are not, beside data, without the word of the file', auto, { target: target(false) }, 'TOPIC_NOT_EMPTY'],
    [
      'are mapped beside the data of a topic with more partitions',
      mapped,
      { target: target(false, 3) },
      'shared adopt',
    ],
    ['are not mapped by chance beside data', auto, { ...merged, target: target(false) }, 'TOPIC_NOT_EMPTY'],
    ['are merged beside data where the file says so', mapped, { ...merged, target: target(false) }, 'shared adopt'],
    [
      'are mapped into a topic that another source has just created',
      auto,
      { ...merged, source: topic('a', 'source-id', 3), target: target(true) },
      'shared adopt',
    ],
    [
      'are not mapped over our own lost copy',
      mapped,
      { target: target(false), claim: { ...claim, targetTopicId: 'gone' } },
      'TOPIC_RECREATED',
    ],
    [
      'are not mapped into a topic of another mirror',
      mapped,
      { target: target(false), claim: { ...claim, mirrorId: 'theirs', mode: 'shared' } },
      'TOPIC_CLAIMED',
    ],
  ])('%s', (_, asked, facts, expected) => {
    expect(decide(asked, facts)).toBe(expected);
  });
});

describe('offsets of a topic that is being copied', () => {
  const ours = (change: Partial<ClaimRecord>): Partial<TopicFacts> => ({
    target: target(false),
    claim: { ...claim, ...change },
  });
  test.each<[string, ModeFacts, Partial<TopicFacts>, string]>([
    ['stay identical', { ...auto, start: 2e9 }, ours({}), 'identical resume'],
    ['stay mapped', auto, ours({ mode: 'mapped' }), 'mapped resume'],
    ['stay mapped beside others', auto, ours({ mode: 'shared' }), 'shared resume'],
    ['cannot become mapped', mapped, ours({}), 'MIRROR_CHANGED'],
    ['cannot become identical', identical, ours({ mode: 'shared' }), 'MIRROR_CHANGED'],
    ['become shared when a second source comes', auto, { ...ours({ mode: 'mapped' }), ...merged }, 'shared adopt'],
    ['let a second source in', auto, { ...ours({ mode: 'shared', sourceTopic: 'b' }), ...merged }, 'shared resume'],
    ['do not, where they are identical', auto, { ...ours({ sourceTopic: 'b' }), ...merged }, 'TOPIC_CLAIMED'],
  ])('%s', (_, asked, facts, expected) => {
    expect(decide(asked, facts)).toBe(expected);
  });
});
