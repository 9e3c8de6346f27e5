import { describe, expect, test } from 'vitest';
import type { TopicMetadata } from '#kafka/metadata.ts';
import { decideTopic, type DecisionOptions } from './topic-decision.ts';
import type { ClaimRecord } from './state-records.ts';
import type { TargetFacts, TopicFacts } from './topic-facts.ts';

const options: DecisionOptions = {
  mirrorId: 'mine',
  timestamps: 'append',
  sync: { configs: { exclude: [], defaultsFrom: 'target', allowWeaker: false }, partitions: true },
  targetReplicationFactor: null,
  sourceName: 'east',
  targetName: 'west',
};
const cluster: TargetFacts = { brokerCount: 3, knownConfigs: null };
const claim: ClaimRecord = {
  mirrorId: 'mine',
  mirrorName: 'm',
  sourceTopic: 'a',
  sourceTopicId: 'source-id',
  targetTopicId: 'target-id',
  partitions: 2,
  replaces: null,
};

/** What follows from each combination: [target, claim] → action or code. */
const table: [name: string, facts: Partial<TopicFacts>, expected: string][] = [
  ['no target, no claim', {}, 'create'],
  ['no target, our claim of the one that is gone', { claim }, 'create'],
  [
    'no target, the claim of another mirror on the one that is gone',
    { claim: { ...claim, mirrorId: 'theirs' } },
    'create',
  ],
  ['an empty target, no claim', { target: target({ isEmpty: true }) }, 'adopt'],
  ['an empty target, our claim of an earlier one', { target: target({ isEmpty: true, id: 'new' }), claim }, 'adopt'],
  ['a target with data, no claim', { target: target({ isEmpty: false }) }, 'TOPIC_NOT_EMPTY'],
  ['a target with data, our claim', { target: target({ isEmpty: false }), claim }, 'resume'],
  ['an empty target, our claim', { target: target({ isEmpty: true }), claim }, 'resume'],
  [
    'a target with data, our claim of an earlier one',
    { target: target({ isEmpty: false, id: 'new' }), claim },
    'TOPIC_RECREATED',
  ],
  [
    'a target with data, another claim of an earlier one',
    { target: target({ isEmpty: false, id: 'new' }), claim: { ...claim, mirrorId: 'theirs' } },
    'TOPIC_NOT_EMPTY',
  ],
  [
    'a target of another mirror',
    { target: target({ isEmpty: true }), claim: { ...claim, mirrorId: 'theirs' } },
    'TOPIC_CLAIMED',
  ],
  [
    'a target of another topic of ours',
    { target: target({ isEmpty: false }), claim: { ...claim, sourceTopic: 'b' } },
    'TOPIC_CLAIMED',
  ],
  [
    'our claim of an earlier source',
    { target: target({ isEmpty: false }), claim: { ...claim, sourceTopicId: 'old' } },
    'TOPIC_RECREATED',
  ],
  [
    'an empty target with more partitions',
    { target: target({ isEmpty: true, partitions: 3 }) },
    'TOPIC_PARTITIONS_DIFFER',
  ],
  [
    'an empty target with fewer partitions',
    { target: target({ isEmpty: true, partitions: 1 }) },
    'TOPIC_PARTITIONS_DIFFER',
  ],
  [
    'our target with more partitions',
    { target: target({ isEmpty: false, partitions: 3 }), claim },
    'TOPIC_PARTITIONS_DIFFER',
  ],
  ['our target with fewer partitions', { target: target({ isEmpty: false, partitions: 1 }), claim }, 'resume'],
];

describe('a topic is decided by what is there', () => {
  test.each(table)('%s', (_, facts, expected) => {
    const decision = decideTopic({ ...base(), ...facts }, cluster, options);
    expect(decision.findings[0]?.code ?? decision.action).toBe(expected);
    expect(decision.action === 'refused').toBe(decision.findings.length > 0);
  });

  test('a condition on records makes a topic mapped, and is refused where its copy is identical already', () => {
    const filter = { rule: 2, condition: 'size < 10', onError: 'stop' } as const;
    const asked = { filter, start: 0, mayFillHoles: null };
    const said = 'only records for which topics[2].condition holds: size < 10';
    const decide = (facts: Partial<TopicFacts>, offsets: 'auto' | 'mapped') =>
      decideTopic({ ...base(), ...facts }, cluster, { ...options, asked: { ...asked, offsets } });
    expect(decide({}, 'auto').copy).toEqual({ mode: 'mapped', isShared: false, why: said });
    expect(decide({}, 'mapped').copy.why).toBe(`the file says so; ${said}`);
    const copied = { target: target({ isEmpty: false }), claim };
    expect(decide(copied, 'auto').findings).toMatchObject([
      { code: 'MIRROR_CHANGED', message: expect.stringContaining('topics[2]') },
    ]);
    const mapped = decide({ ...copied, claim: { ...claim, mode: 'mapped' } }, 'auto');
    expect([mapped.action, mapped.copy.why]).toEqual(['resume', `mapped from the first copy on; ${said}`]);
    const { onError: _, ...rest } = filter;
    const lenient = {
      ...options,
      asked: { ...asked, offsets: 'auto', filter: { ...rest, onError: 'deliver' } },
    } as const;
    expect(decideTopic(base(), cluster, lenient).copy.why).toContain('and those of which it says neither yes nor no');
  });

  test('a target of ours with fewer partitions grows, unless partitions are not followed', () => {
    const facts = { ...base(), claim, target: target({ isEmpty: false, partitions: 1 }) };
    expect(decideTopic(facts, cluster, options).growTo).toBe(2);
    const still = decideTopic(facts, cluster, { ...options, sync: { ...options.sync, partitions: false } });
    expect(still.findings).toMatchObject([
      { code: 'TOPIC_PARTITIONS_DIFFER', nextStep: expect.stringContaining('sync.partitions: true') },
    ]);
  });

  test('a new topic has as many replicas as its source, or as the target can hold', () => {
    expect(decideTopic({ ...base(), source: topic({ replicas: 3 }) }, cluster, options).replicationFactor).toBe(3);
    expect(
      decideTopic({ ...base(), source: topic({ replicas: 3 }) }, { ...cluster, brokerCount: 1 }, options)
        .replicationFactor,
    ).toBe(1);
    expect(decideTopic(base(), cluster, { ...options, targetReplicationFactor: 2 }).replicationFactor).toBe(2);
  });

  test('more replicas than brokers are refused for a new topic, and no matter for one that is there', () => {
    const many = { ...options, targetReplicationFactor: 4 };
    expect(decideTopic(base(), cluster, many).findings).toMatchObject([{ code: 'CONFIG_INVALID' }]);
    expect(decideTopic({ ...base(), target: target({ isEmpty: true }) }, cluster, many).action).toBe('adopt');
  });
});

function base(): TopicFacts {
  return {
    pair: { source: 'a', target: 't' },
    source: topic({}),
    sourceConfigs: new Map(),
    target: null,
    configsDenied: null,
    claim: null,
  };
}

function target(options: { isEmpty: boolean; partitions?: number; id?: string }): TopicFacts['target'] {
  const metadata = { ...topic(options), name: 't', topicId: options.id ?? 'target-id' };
  return { metadata, configs: new Map(), isEmpty: options.isEmpty };
}

function topic({ partitions = 2, replicas = 1 }: { partitions?: number; replicas?: number }): TopicMetadata {
  const nodes = Array.from({ length: replicas }, (_, i) => i + 1);
  return {
    name: 'a',
    topicId: 'source-id',
    isInternal: false,
    errorCode: 0,
    partitions: Array.from({ length: partitions }, (_, partition) => ({
      partition,
      leader: 1,
      leaderEpoch: 0,
      replicas: nodes,
      isr: nodes,
      errorCode: 0,
    })),
  };
}
