/** Rounds of group offsets between two played clusters, request by request. */
import { describe, expect, test } from 'vitest';
import type { Api } from '#kafka/api.ts';
import type { Cluster } from '#kafka/cluster.ts';
import { ConnectionError } from '#kafka/errors.ts';
import type { OffsetCommitRequest } from '#kafka/protocol/offset-commit.ts';
import type { OffsetFetchRequest } from '#kafka/protocol/offset-fetch.ts';
import type { ListOffsetsRequest } from '#kafka/protocol/list-offsets.ts';
import { ManualClock } from '#testing/manual-clock.ts';
import { assert } from '#util/assert.ts';
import { createRandom } from '#util/random.ts';
import { ACTIVE, MOVED_ON_TARGET } from './group-moves.ts';
import type { SyncedTopic } from './group-places.ts';
import { GroupSync, type GroupSyncOptions } from './group-sync.ts';

const UNKNOWN_MEMBER_ID = 25;
const GROUP_AUTHORIZATION_FAILED = 30;
const EARLIEST = -2;
const TOPIC = { id: 'topic-1', name: 'orders' };

interface PlayedGroup {
  state: string;
  readonly type?: string;
  readonly protocolType?: string;
  /** Of orders/0. */
  offset?: number;
  leaderEpoch?: number;
  errorCode?: number;
}

/** One broker with one topic of one partition, and groups. */
class PlayedCluster {
  readonly groups = new Map<string, PlayedGroup>();
  /** Not in the list, though they are there: their coordinator moves. */
  readonly unlisted = new Set<string>();
  readonly asked: string[] = [];
  topicId = TOPIC.id;
  end = 1_000;
  /** Answered to the next commits instead. */
  onCommit: (groupId: string) => number | Error | null = () => null;
  readonly name: string;
  readonly clock = new ManualClock();
  readonly random = createRandom(1);
  readonly requestTimeoutMs = 5_000;
  readonly closed = new AbortController().signal;

  constructor(name: string) {
    this.name = name;
  }

  get cluster(): Cluster {
    return this as unknown as Cluster;
  }

  brokers(): { id: number }[] {
    return [{ id: 1 }];
  }

  leaderOf(): number {
    return 1;
  }

  refresh(names: readonly string[]): Promise<unknown[]> {
    return Promise.resolve(names.map((name) => ({ name, topicId: this.topicId, errorCode: 0 })));
  }

  call<Request>(api: Api<Request, unknown>, request: Request): Promise<unknown> {
    this.asked.push(api.name);
    const answer = this.#answer(api.name, request);
    return answer instanceof Error ? Promise.reject(answer) : Promise.resolve(answer);
  }

  #answer(api: string, request: unknown): unknown {
    switch (api) {
      case 'ListGroups':
        return { errorCode: 0, groups: [...this.groups].filter(([id]) => !this.unlisted.has(id)).map(listed) };
      case 'FindCoordinator': {
        const { coordinatorKeys } = request as { coordinatorKeys: string[] };
        return { coordinators: coordinatorKeys.map((key) => ({ key, nodeId: 1, errorCode: 0, errorMessage: null })) };
      }
      case 'OffsetFetch':
        return { groups: (request as OffsetFetchRequest).groups.map(({ groupId }) => this.#committed(groupId)) };
      case 'DescribeShareGroupOffsets': {
        const { groups } = request as { groups: { groupId: string }[] };
        return { groups: groups.map(({ groupId }) => ({ groupId, errorCode: 69, errorMessage: null, topics: [] })) };
      }
      case 'OffsetCommit':
        return this.#commit(request as OffsetCommitRequest);
      case 'ListOffsets':
        return this.#listOffsets(request as ListOffsetsRequest);
      case 'DeleteGroups': {
        const { groupsNames } = request as { groupsNames: string[] };
        for (const groupId of groupsNames) this.groups.delete(groupId);
        return { results: groupsNames.map((groupId) => ({ groupId, errorCode: 0 })) };
      }
      default:
        return new Error(`${api} is not played`);
    }
  }

  #committed(groupId: string): unknown {
    const { offset, leaderEpoch = 5, errorCode = 0 } = this.groups.get(groupId) ?? {};
    const place = { partitionIndex: 0, committedOffset: offset, committedLeaderEpoch: leaderEpoch, metadata: '' };
    const topics = offset === undefined ? [] : [{ name: TOPIC.name, partitions: [{ ...place, errorCode: 0 }] }];
    return { groupId, errorCode, topics };
  }

  #commit({ groupId, generationIdOrMemberEpoch = -1, memberId, topics }: OffsetCommitRequest): unknown {
    assert(generationIdOrMemberEpoch === -1 && memberId === '', 'a commit of nobody');
    const planned = this.onCommit(groupId);
    const place = topics[0]?.partitions[0];
    const group = this.groups.get(groupId) ?? { state: 'Empty' };
    if (planned === null || planned instanceof Error) {
      assert(group.state === 'Empty', 'only groups without members take it');
      assert(place?.committedLeaderEpoch === -1, 'epochs of the source mean nothing here');
      this.groups.set(groupId, { ...group, offset: place?.committedOffset ?? -1, leaderEpoch: -1 });
    }
    if (planned instanceof Error) return planned;
    return { topics: [{ name: TOPIC.name, partitions: [{ partitionIndex: 0, errorCode: planned ?? 0 }] }] };
  }

  #listOffsets({ topics }: ListOffsetsRequest): unknown {
    const answer = (timestamp: number) => ({
      partitionIndex: 0,
      errorCode: 0,
      timestamp: -1,
      offset: timestamp === EARLIEST ? 0 : this.end,
      leaderEpoch: 0,
    });
    return {
      topics: topics.map(({ name, partitions }) => ({
        name,
        partitions: partitions.map((each) => answer(each.timestamp)),
      })),
    };
  }
}

function listed([groupId, { state, type = 'Classic', protocolType = 'consumer' }]: [string, PlayedGroup]): unknown {
  return { groupId, protocolType, groupState: state, groupType: type };
}

function start(options: { deleted?: 'keep' | 'delete'; copyStarts?: SyncedTopic['copyStarts'] } = {}) {
  const source = new PlayedCluster('east');
  const target = new PlayedCluster('west');
  const events: Parameters<GroupSyncOptions['onEvent']>[0][] = [];
  const process = { leads: true };
  const pair = { sourceTopic: 'orders', sourceTopicId: TOPIC.id, targetTopic: 'orders', targetTopicId: TOPIC.id };
  const sync = new GroupSync({
    mirror: 'm',
    settings: {
      match: ['/.*/'],
      exclude: [],
      everyMs: 5_000,
      deleted: options.deleted ?? 'delete',
      checkpoints: false,
    },
    source: source.cluster,
    target: target.cluster,
    clock: source.clock,
    isLeader: () => process.leads,
    readTopics: () => Promise.resolve([{ ...pair, copyStarts: options.copyStarts ?? [0] }]),
    onEvent: (event) => events.push(event),
    onFailure: () => {},
  });
  const commits = (): number => target.asked.filter((api) => api === 'OffsetCommit').length;
  return { source, target, sync, events, process, commits, last: () => events.at(-1) };
}

test('a group gets its place, and nothing is written or told while nothing moves', async () => {
  const { source, target, sync, events, commits } = start();
  source.groups.set('g', { state: 'Stable', offset: 40 });
  for (let round = 0; round < 3; round++) await sync.pass();
  expect(target.groups.get('g')).toMatchObject({ offset: 40, leaderEpoch: -1 });
  expect(commits()).toBe(1);
  expect(events).toMatchObject([{ inPlace: 1, leftAloneCount: 0, deleted: [] }]);
});

test("Connect's workers and our own processes are no consumers", async () => {
  const { source, sync, commits } = start();
  source.groups.set('connect-cluster', { state: 'Stable', offset: 1, protocolType: 'connect' });
  source.groups.set('lockstep-abc', { state: 'Stable', offset: 1 });
  source.groups.set('processes', { state: 'Stable', offset: 1, protocolType: 'lockstep' });
  await sync.pass();
  expect(commits()).toBe(0);
});

test('a process that does not lead asks nothing', async () => {
  const { source, target, sync, process } = start();
  process.leads = false;
  source.groups.set('g', { state: 'Stable', offset: 40 });
  await sync.pass();
  expect([source.asked, target.asked]).toEqual([[], []]);
});

describe('a group with members on the target', () => {
  test('is not written to, is told of once, and follows when they have left', async () => {
    const { source, target, sync, events, commits, last } = start();
    source.groups.set('g', { state: 'Stable', offset: 40 });
    target.groups.set('g', { state: 'Stable', offset: 10 });
    await sync.pass();
    await sync.pass();
    expect(commits()).toBe(0);
    expect(events).toMatchObject([{ inPlace: 0, leftAlone: [{ group: 'g', why: ACTIVE }] }]);
    target.groups.set('g', { state: 'Empty', offset: 10 });
    await sync.pass();
    expect(target.groups.get('g')?.offset).toBe(40);
    expect(last()).toMatchObject({ inPlace: 1, leftAlone: [] });
  });

  test('that came between the look and the commit refuses, and what it read stays', async () => {
    const { source, target, sync, last } = start();
    source.groups.set('g', { state: 'Stable', offset: 40 });
    await sync.pass();
    source.groups.set('g', { state: 'Stable', offset: 20 });
    target.onCommit = () => UNKNOWN_MEMBER_ID;
    await sync.pass();
    expect(last()).toMatchObject({ leftAlone: [{ group: 'g', why: ACTIVE }] });
    target.onCommit = () => null;
    target.groups.set('g', { state: 'Empty', offset: 60 }); // it has read on, and left
    await sync.pass();
    expect(target.groups.get('g')?.offset).toBe(60);
    expect(last()).toMatchObject({ leftAlone: [{ group: 'g', why: MOVED_ON_TARGET }] });
  });
});

test('a commit without an answer is looked at, and not taken for somebody else’s', async () => {
  for (const next of [20, 10]) {
    const { source, target, sync, last } = start();
    source.groups.set('g', { state: 'Stable', offset: 40 });
    await sync.pass();
    target.onCommit = () => new ConnectionError('closed', 'west:9092', 'west:9092 closed', { definite: false });
    source.groups.set('g', { state: 'Stable', offset: 20 });
    await sync.pass();
    expect(last()?.leftAlone).toHaveLength(1);
    target.onCommit = () => null;
    source.groups.set('g', { state: 'Stable', offset: next });
    await sync.pass();
    expect(target.groups.get('g')?.offset).toBe(next);
    expect(last()).toMatchObject({ inPlace: 1, leftAlone: [] });
  }
});

test('what was refused is tried again in the next round', async () => {
  const { source, target, sync } = start();
  source.groups.set('g', { state: 'Stable', offset: 40 });
  await sync.pass();
  source.groups.set('g', { state: 'Stable', offset: 20 });
  target.onCommit = () => GROUP_AUTHORIZATION_FAILED;
  await sync.pass();
  target.onCommit = () => null;
  await sync.pass();
  expect(target.groups.get('g')?.offset).toBe(20);
});

test('a group without a right is left alone by name, and the others move', async () => {
  const { source, target, sync, last } = start();
  source.groups.set('a', { state: 'Stable', offset: 40 });
  source.groups.set('b', { state: 'Stable', offset: 40 });
  target.onCommit = (groupId) => (groupId === 'a' ? GROUP_AUTHORIZATION_FAILED : null);
  await sync.pass();
  expect(target.groups.get('b')?.offset).toBe(40);
  expect(last()).toMatchObject({
    inPlace: 1,
    leftAlone: [{ group: 'a', why: expect.stringContaining('a right is missing') }],
  });
});

test('offsets of a topic that was created anew are not carried over, on either side', async () => {
  for (const side of ['source', 'target'] as const) {
    const played = start();
    played.source.groups.set('g', { state: 'Stable', offset: 40 });
    played[side].topicId = 'another';
    await played.sync.pass();
    expect(played.commits()).toBe(0);
    expect(played.last()?.leftAlone[0]?.why).toContain('created anew');
  }
});

test('a partition that has stopped, or that is not copied, keeps its groups where they are', async () => {
  const { source, sync, commits, last } = start({ copyStarts: ['a partition has stopped: SHARD_DIVERGED'] });
  source.groups.set('g', { state: 'Stable', offset: 40 });
  await sync.pass();
  expect(commits()).toBe(0);
  expect(last()?.leftAlone[0]?.why).toContain('SHARD_DIVERGED');
});

describe('a group that is gone from the source', () => {
  async function gone(options: Parameters<typeof start>[0] = {}) {
    const played = start(options);
    played.source.groups.set('g', { state: 'Empty', offset: 40 });
    await played.sync.pass();
    return played;
  }

  test('is deleted on the target, and told of', async () => {
    const { source, target, sync, last } = await gone();
    source.groups.delete('g');
    await sync.pass();
    expect(target.groups.has('g')).toBe(false);
    expect(last()).toMatchObject({ deleted: ['g'] });
  });

  test('stays by default', async () => {
    const { source, target, sync } = await gone({ deleted: 'keep' });
    source.groups.delete('g');
    await sync.pass();
    expect(target.groups.get('g')?.offset).toBe(40);
  });

  test('stays while it only misses in the list', async () => {
    const { source, target, sync } = await gone();
    source.unlisted.add('g');
    await sync.pass();
    expect(target.groups.get('g')?.offset).toBe(40);
    source.unlisted.clear();
    source.groups.set('g', { state: 'Empty', offset: 50 });
    await sync.pass();
    expect(target.groups.get('g')?.offset, 'and is followed when it is listed again').toBe(50);
  });

  test('stays where its coordinator refuses to tell', async () => {
    const { source, target, sync } = await gone();
    source.unlisted.add('g');
    source.groups.set('g', { state: 'Empty', errorCode: GROUP_AUTHORIZATION_FAILED });
    await sync.pass();
    expect(target.groups.get('g')?.offset).toBe(40);
  });

  test('stays where somebody uses it on the target, or has moved it', async () => {
    for (const group of [
      { state: 'Stable', offset: 40, leaderEpoch: -1 },
      { state: 'Empty', offset: 40, leaderEpoch: 3 },
      { state: 'Empty', offset: 70, leaderEpoch: -1 },
    ]) {
      const { source, target, sync, last } = await gone();
      target.groups.set('g', group);
      source.groups.delete('g');
      await sync.pass();
      expect(target.groups.get('g')).toEqual(group);
      expect(last()?.leftAlone).toMatchObject([{ group: 'g' }]);
    }
  });

  test('that was never on the source is nobody’s business', async () => {
    const { target, sync } = await gone();
    target.groups.set('native', { state: 'Empty', offset: 3, leaderEpoch: -1 });
    await sync.pass();
    expect(target.groups.get('native')?.offset).toBe(3);
  });
});
