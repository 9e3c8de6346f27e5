/** Rounds of group offsets between two played clusters, request by request. */
import { describe, expect, test } from 'vitest';
import type { Api } from '#kafka/api.ts';
import type { Cluster } from '#kafka/cluster.ts';
import {
  BrokerError,
  ClusterIdChangedError,
  ConnectionError,
  UnsupportedApiError,
  WithheldError,
} from '#kafka/errors.ts';
import { describeShareGroupOffsets } from '#kafka/protocol/describe-share-group-offsets.ts';
import { errorOf } from '#kafka/protocol/error-codes.ts';
import type { OffsetCommitRequest } from '#kafka/protocol/offset-commit.ts';
import type { OffsetFetchRequest } from '#kafka/protocol/offset-fetch.ts';
import type { ListOffsetsRequest } from '#kafka/protocol/list-offsets.ts';
import { ManualClock } from '#testing/manual-clock.ts';
import { assert } from '#util/assert.ts';
import { createRandom } from '#util/random.ts';
import { ACTIVE, MOVED_ON_TARGET } from './group-moves.ts';
import type { SyncedTopic } from './group-places.ts';
import { GroupMemory, QUIET_MS, type GroupStore, type StoredGroup } from './group-memory.ts';
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
  /** What the question for the commits of share groups comes to instead. */
  shareTrouble: Error | null = null;
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

  /** What happens before a commit leaves. */
  onLeave: () => void = () => {};

  call<Request>(
    api: Api<Request, unknown>,
    request: Request,
    { mayLeave = () => true }: { readonly mayLeave?: () => boolean } = {},
  ): Promise<unknown> {
    if (api.name === 'OffsetCommit') this.onLeave();
    if (!mayLeave()) return Promise.reject(new WithheldError('west:9092'));
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
        if (this.shareTrouble) return this.shareTrouble;
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

/** The state topic, as far as groups have to do with it. */
class PlayedStore implements GroupStore {
  readonly groups = new Map<string, StoredGroup>();
  /** Times that something was written. */
  writes = 0;

  groupsOf(): StoredGroup[] {
    return [...this.groups.values()];
  }

  putGroups(_mirrorId: string, groups: Parameters<GroupStore['putGroups']>[1]): Promise<void> {
    this.writes++;
    for (const { groupId, topic, value } of groups) {
      if (value === null) this.groups.delete(`${topic}/${groupId}`);
      else this.groups.set(`${topic}/${groupId}`, { groupId, topic, value });
    }
    return Promise.resolve();
  }
}

interface StartOptions {
  readonly deleted?: 'keep' | 'delete';
  readonly copyStarts?: SyncedTopic['copyStarts'];
  /** What an earlier process has left behind. */
  readonly after?: { readonly source: PlayedCluster; readonly target: PlayedCluster; readonly store: PlayedStore };
}

function start(options: StartOptions = {}) {
  const { source, target, store } = options.after ?? {
    source: new PlayedCluster('east'),
    target: new PlayedCluster('west'),
    store: new PlayedStore(),
  };
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
    memory: new GroupMemory(store, { mirrorId: 'id', clock: source.clock }),
    isLeader: () => process.leads,
    readTopics: () => Promise.resolve([{ ...pair, copyStarts: options.copyStarts ?? [0] }]),
    onEvent: (event) => events.push(event),
    onFailure: () => {},
  });
  const commits = (): number => target.asked.filter((api) => api === 'OffsetCommit').length;
  return { source, target, store, sync, events, process, commits, last: () => events.at(-1) };
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

describe('after a restart', () => {
  /** Two rounds at 40 and 60, the end of the process, or none, and another process. */
  async function restarted({ isKilled = false } = {}) {
    const first = start();
    for (const offset of [40, 60]) {
      first.source.groups.set('g', { state: 'Empty', offset });
      await first.sync.pass();
    }
    if (!isKilled) await first.sync.end();
    return start({ after: first });
  }

  test('what the mirror wrote is known, and a rewind while it was down is followed', async () => {
    const { source, target, sync } = await restarted();
    source.groups.set('g', { state: 'Empty', offset: 10 });
    await sync.pass();
    expect(target.groups.get('g')?.offset).toBe(10);
  });

  test('what somebody else wrote without an epoch stays, whatever the source does but go beyond', async () => {
    for (const isKilled of [false, true]) {
      const { source, target, sync, last } = await restarted({ isKilled });
      target.groups.set('g', { state: 'Empty', offset: 80, leaderEpoch: -1 });
      for (const offset of [60, 10, 80, 20]) {
        source.groups.set('g', { state: 'Empty', offset });
        await sync.pass();
        expect(target.groups.get('g')?.offset).toBe(80);
      }
      expect(last()).toMatchObject({ leftAlone: [{ group: 'g', why: MOVED_ON_TARGET }] });
      source.groups.set('g', { state: 'Empty', offset: 90 });
      await sync.pass();
      expect(target.groups.get('g')?.offset).toBe(90);
      source.groups.set('g', { state: 'Empty', offset: 20 });
      await sync.pass();
      expect(target.groups.get('g')?.offset, 'ours again').toBe(20);
    }
  });

  test('after kill -9 the first place of a move is known, and a later one where the source stands there', async () => {
    const one = start();
    one.source.groups.set('g', { state: 'Empty', offset: 40 });
    await one.sync.pass();
    const two = start({ after: one });
    two.source.groups.set('g', { state: 'Empty', offset: 10 });
    await two.sync.pass();
    expect(two.target.groups.get('g')?.offset).toBe(10);

    const { source, target, sync, last } = await restarted({ isKilled: true });
    await sync.pass();
    source.groups.set('g', { state: 'Empty', offset: 10 });
    await sync.pass();
    expect(target.groups.get('g')?.offset).toBe(10);
    expect(last()).toMatchObject({ inPlace: 1 });
  });

  test('a target that was reset while the mirror was down is not moved while the source stands still', async () => {
    const { target, sync, last } = await restarted();
    target.groups.set('g', { state: 'Empty', offset: 5, leaderEpoch: -1 });
    await sync.pass();
    expect(target.groups.get('g')?.offset).toBe(5);
    expect(last()).toMatchObject({ leftAlone: [{ why: MOVED_ON_TARGET }] });
  });

  test('a group that was deleted at the source meanwhile is followed', async () => {
    const { source, target, sync, store, last } = await restarted();
    source.groups.delete('g');
    await sync.pass();
    expect([target.groups.has('g'), last()?.deleted]).toEqual([false, ['g']]);
    expect(store.groups.size, 'nothing is kept of it').toBe(0);
  });

  test('records of a topic that was created anew say nothing of it', async () => {
    const first = start();
    first.source.groups.set('g', { state: 'Empty', offset: 40 });
    await first.sync.pass();
    await first.sync.end();
    for (const [key, stored] of first.store.groups)
      first.store.groups.set(key, { ...stored, value: { ...stored.value, targetTopicId: 'an earlier one' } });
    const { source, target, sync } = start({ after: first });
    source.groups.set('g', { state: 'Empty', offset: 10 });
    await sync.pass();
    expect(target.groups.get('g')?.offset).toBe(40);
  });
});

test('a group that moves all the time is recorded once, and again when it has come to rest', async () => {
  const { source, sync, store } = start();
  for (let offset = 1; offset < 50; offset++) {
    source.groups.set('g', { state: 'Stable', offset });
    await sync.pass();
    await source.clock.advance(5_000);
  }
  expect(store.writes).toBe(1);
  await source.clock.advance(QUIET_MS);
  for (let round = 0; round < 3; round++) await sync.pass();
  expect(store.writes).toBe(2);
  expect([...store.groups.values()]).toMatchObject([{ value: { places: [[0, 49, 49, '', 1]], intended: null } }]);
});

test('a process that stood still between the look and the commit writes nothing', async () => {
  const { source, target, sync, last } = start();
  source.groups.set('g', { state: 'Stable', offset: 40 });
  target.onLeave = () => void source.clock.advance(60_000);
  await sync.pass();
  expect(target.groups.has('g')).toBe(false);
  expect(last()).toMatchObject({ leftAlone: [{ why: expect.stringContaining('stood still') }] });
  target.onLeave = () => {};
  await sync.pass();
  expect(target.groups.get('g')?.offset).toBe(40);
});

test('many groups that all move are all moved in one round, though that takes longer than a look may be old', async () => {
  const { source, target, sync, last } = start();
  for (let group = 0; group < 600; group++) source.groups.set(`g${group}`, { state: 'Stable', offset: 40 });
  target.onLeave = () => void source.clock.advance(30); // 18 s in all
  await sync.pass();
  expect(last()).toMatchObject({ inPlace: 600, leftAloneCount: 0 });
  expect([...target.groups.values()].every(({ offset }) => offset === 40)).toBe(true);
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
    const { source, target, sync, store } = await gone({ deleted: 'keep' });
    source.groups.delete('g');
    await sync.pass();
    expect(target.groups.get('g')?.offset).toBe(40);
    source.groups.set('g', { state: 'Empty', offset: 10 });
    await sync.pass();
    expect(target.groups.get('g')?.offset, 'and follows when it comes back').toBe(10);

    source.groups.delete('g');
    target.groups.delete('g'); // its commits have expired
    await sync.pass();
    expect(store.groups.size, 'nothing is kept of it').toBe(0);
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

  test.each<[string, Error, boolean]>([
    [
      'stays where another cluster answers',
      new ClusterIdChangedError('east', 'east:9092', { expected: 'a', found: 'b' }),
      true,
    ],
    [
      'stays where nobody knows what an answer means',
      new BrokerError(errorOf(4711), 'DescribeShareGroupOffsets', 'g'),
      true,
    ],
    [
      'is deleted where there are no share groups',
      new UnsupportedApiError(describeShareGroupOffsets, 'east:9092', undefined),
      false,
    ],
  ])('%s when asked whether it is a share group', async (_, shareTrouble, stays) => {
    const { source, target, sync } = await gone();
    source.groups.delete('g');
    source.shareTrouble = shareTrouble;
    await sync.pass();
    expect(target.groups.has('g')).toBe(stays);
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
