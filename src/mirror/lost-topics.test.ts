import { expect, test } from 'vitest';
import type { TopicRule } from '#contract/resources.ts';
import type { TopicMetadata } from '#kafka/metadata.ts';
import { findLostTopics } from './lost-topics.ts';
import type { TopicClaim } from './state-topic.ts';
import { compileTopicRules } from '#contract/topic-rules.ts';

const UNKNOWN = 3;
const NO_LEADER = 5;
const DENIED = 29;

const claim: TopicClaim = {
  mirrorId: 'mine',
  mirrorName: 'm',
  sourceTopic: 'a.gone',
  sourceTopicId: 'source-id',
  targetTopic: 'a.gone',
  targetTopicId: 'target-id',
  partitions: 1,
  replaces: null,
};

interface World {
  readonly rules: TopicRule[];
  /** Of the source topic when it is asked for by name. */
  readonly errorCode: number;
  /** It stands among all topics. */
  readonly isListed: boolean;
  readonly targetTopic: string;
  /** Null: the copy is gone too. */
  readonly copyId: string | null;
}

async function codesIn(changes: Partial<World> = {}): Promise<string[]> {
  const lost = { rules: [{ match: '/a\\..*/', to: null }], errorCode: UNKNOWN, isListed: false };
  const world: World = { ...lost, targetTopic: claim.targetTopic, copyId: claim.targetTopicId, ...changes };
  const answer = (name: string, errorCode: number, topicId = ''): TopicMetadata => {
    return { name, topicId, isInternal: false, errorCode, partitions: [] };
  };
  const ports = {
    mirrorId: claim.mirrorId,
    state: { claimsOf: () => [{ ...claim, targetTopic: world.targetTopic }] },
    source: {
      name: 'east',
      refresh: async (names: readonly string[] | 'all') =>
        names === 'all'
          ? [answer('a.there', 0), ...(world.isListed ? [answer(claim.sourceTopic, 0)] : [])]
          : names.map((name) => answer(name, world.errorCode)),
    },
    target: {
      name: 'west',
      refresh: async () => [world.copyId === null ? answer('a.gone', UNKNOWN) : answer('a.gone', 0, world.copyId)],
    },
  };
  const findings = await findLostTopics(ports, compileTopicRules(world.rules), await ports.source.refresh('all'));
  expect(findings.every(({ severity }) => severity === 'warning')).toBe(true);
  for (const { message } of findings) expect(message).toMatch(/"a.gone" of cluster "east".*"a.gone" on "west" stays/);
  return findings.map(({ code }) => code);
}

test('a topic that a regular expression picked and that is gone is said once', async () => {
  expect(await codesIn()).toEqual(['TOPIC_NOT_FOUND']);
  expect(await codesIn({ errorCode: DENIED })).toEqual(['PERMISSION_DENIED']);
});

test.each<[string, Partial<World>]>([
  ['is there', { isListed: true }],
  ['is there without a leader', { errorCode: NO_LEADER }],
  ['has come back meanwhile', { errorCode: 0 }],
  ['is named exactly', { rules: [{ match: 'a.gone', to: null }] }],
  [
    'is named exactly by a later rule',
    {
      rules: [
        { match: '/a.*/', to: null },
        { match: 'a.gone', to: 'b' },
      ],
    },
  ],
  ['is excluded', { rules: [{ match: '/a.*/', to: null }, { exclude: 'a.gone' }] }],
  ['is under no rule any more', { rules: [{ match: '/b.*/', to: null }] }],
  ['goes to another copy now', { targetTopic: 'old.gone' }],
  ['has no copy any more', { copyId: null }],
  ['has another topic in the place of its copy', { copyId: 'new' }],
])('nothing is said of a topic that %s', async (_, changes) => {
  expect(await codesIn(changes)).toEqual([]);
});
