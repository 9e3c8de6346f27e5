/** One partition over several terms, with shards that only say what they are told to. */
import { describe, expect, test } from 'vitest';
import type { Incident, ShardStatus } from '#contract/status.ts';
import type { Term } from '#jobs/ownership.ts';
import { ManualClock, settle } from '#testing/manual-clock.ts';
import { must } from '#util/assert.ts';
import { MirroredPartition } from './mirrored-partition.ts';
import type { Shard } from './shard.ts';

class PlayedShard {
  readonly ended = Promise.withResolvers<void>();
  position: number | null = 5;
  incident: Incident | null = null;
  isCaughtUp = false;
  isSettled = true;
  quietAtMs = -Infinity;
  readonly run = () => this.ended.promise;
  readonly measure = () => {};
  readonly status = (): ShardStatus =>
    ({ state: 'copying', recordsCopied: 3, bytesCopied: 30, holesFilled: 1, refusals: 2 }) as ShardStatus;
}

/** Nothing of a shard that `endsWhenLost` is on its way. */
function newScene({ endsWhenLost = false } = {}) {
  const clock = new ManualClock();
  const shards: PlayedShard[] = [];
  const closed = new AbortController();
  const releases: boolean[] = [];
  const incidentsGone: Incident[] = [];
  const stops: (string | null)[] = [];
  const is = { hasPeers: true, isStopping: false };
  const successor = Promise.withResolvers<unknown>();
  return {
    clock,
    shards,
    successor,
    closed,
    is,
    incidentsGone,
    releases,
    stops,
    term: (takeover: Term['takeover'] = 'evicted') => {
      const end = new AbortController();
      const term = {
        takeover,
        lost: end.signal,
        mayWrite: () => !end.signal.aborted,
        release: ({ isSettled }: { isSettled: boolean }) => void releases.push(isSettled),
      };
      return { term, end };
    },
    last: () => must(shards.at(-1), 'shard'),
    partition: new MirroredPartition(
      { name: 'id/0', topic: 'orders', targetTopic: 'copy', partition: 0 },
      {
        clock,
        createShard: ({ term: { lost } }) => {
          const shard = new PlayedShard();
          if (endsWhenLost) lost.addEventListener('abort', () => shard.ended.resolve(), { once: true });
          if (endsWhenLost && lost.aborted) shard.ended.resolve();
          shards.push(shard);
          return shard as unknown as Shard;
        },
        successorOf: () => successor.promise as Promise<Shard | null>,
        hasPeers: () => is.hasPeers,
        isStopping: () => is.isStopping,
        closed: closed.signal,
        onIncidentGone: (incident) => void incidentsGone.push(incident),
        onStopped: (incident) => void stops.push(incident?.code ?? null),
      },
    ),
  };
}

const incident = (more: Partial<Incident> = {}): Incident => ({ code: 'TOPIC_CYCLE', ...more }) as Incident;

describe('a partition of a mirror', () => {
  test('that is refused is not copied until that is lifted, in whatever term', async () => {
    const scene = newScene({ endsWhenLost: true });
    const { partition, shards, releases } = scene;
    const [first, second] = [scene.term(), scene.term()];
    void partition.hold(first.term);
    await settle();
    partition.refuse(incident());
    await settle();
    expect([shards.length, partition.incident?.code, partition.status(0).state]).toEqual([1, 'TOPIC_CYCLE', 'stopped']);
    partition.permit();
    await settle();
    expect([shards.length, partition.incident, partition.status(0).state, releases]).toEqual([2, null, 'copying', []]);
    partition.refuse(incident());
    partition.permit(); // before the shard has ended
    await settle();
    expect([shards.length, releases]).toEqual([3, []]);
    partition.refuse(incident());
    first.end.abort();
    void partition.hold(second.term);
    await settle();
    expect([shards.length, releases, partition.isHeld]).toEqual([4, [true], true]); // it ends as it begins: it may not write
    partition.permit();
    await settle();
    expect([shards.length, partition.status(0).state]).toEqual([5, 'copying']);
    second.end.abort();
    await settle();
    expect(releases).toEqual([true, true]);
  });

  test('says when it stops for good, and begins again; elsewhere it shows what another process has said', async () => {
    const scene = newScene();
    const { partition, stops } = scene;
    const [first, second] = [scene.term(), scene.term()];
    scene.successor.resolve(null);
    void partition.hold(first.term);
    await settle();
    scene.last().incident = incident({ code: 'SHARD_DIVERGED', endsByItself: false });
    scene.last().ended.resolve();
    await settle();
    expect(stops).toEqual([null, 'SHARD_DIVERGED']);
    first.end.abort();
    await settle();
    partition.stoppedElsewhere(incident({ code: 'SHARD_DIVERGED' }));
    expect(partition.incident?.code).toBe('SHARD_DIVERGED');
    void partition.hold(second.term);
    await settle();
    expect([stops, partition.incident]).toEqual([[null, 'SHARD_DIVERGED', null], null]);
    second.end.abort();
    await settle();
    expect(stops).toEqual([null, 'SHARD_DIVERGED', null]);
  });

  test('is copied in each term by a shard of its own, one after the other, and what was counted stays', async () => {
    const scene = newScene();
    const { partition, shards, releases } = scene;
    const [first, second] = [scene.term(), scene.term('handed-over')];
    void partition.hold(first.term);
    void partition.hold(second.term);
    await settle();
    expect([shards.length, partition.isHeld, partition.position]).toEqual([1, true, 5]);
    first.end.abort();
    await settle();
    expect([shards.length, releases]).toEqual([1, []]); // something of it is still on its way
    scene.last().ended.resolve();
    await settle();
    expect([shards.length, releases]).toEqual([2, [true]]);
    expect(partition.status(0)).toMatchObject({ recordsCopied: 6, bytesCopied: 60, holesFilled: 2, refusals: 4 });
    scene.last().isSettled = false;
    scene.last().ended.resolve();
    second.end.abort();
    await settle();
    expect(releases).toEqual([true, false]);
    expect(partition.status(0)).toMatchObject({ state: 'elsewhere', recordsCopied: 6, position: null });
  });

  test('that was lost before it was begun is passed on as it came', async () => {
    const { partition, shards, releases, term } = newScene();
    for (const takeover of ['handed-over', 'evicted'] as const) {
      const each = term(takeover);
      each.end.abort();
      await partition.hold(each.term);
    }
    expect([shards.length, releases]).toEqual([0, [true, false]]);
  });

  test('is released when a write without an answer cannot land any more, or when nothing is waited for', async () => {
    for (const isClosed of [false, true]) {
      const scene = newScene();
      const { term, end } = scene.term();
      void scene.partition.hold(term);
      await settle();
      scene.last().quietAtMs = scene.clock.monotonic() + 10_000;
      end.abort();
      scene.last().ended.resolve();
      await scene.clock.advance(9_999);
      expect(scene.releases).toEqual([]);
      if (isClosed) scene.closed.abort();
      await scene.clock.advance(isClosed ? 0 : 1);
      expect(scene.releases).toHaveLength(1);
    }
  });

  test('that has stopped for good has ended only when nothing goes on in its place', async () => {
    const scene = newScene();
    const { term, end } = scene.term();
    void scene.partition.hold(term);
    await settle();
    const incident = { code: 'SHARD_DIVERGED' } as Incident;
    scene.last().incident = incident;
    scene.last().ended.resolve();
    await settle();
    expect(scene.partition.incident, 'not before it is decided').toBe(null);
    const next = new PlayedShard();
    next.position = 9;
    scene.successor.resolve(next);
    await settle();
    expect([scene.partition.position, scene.partition.incident, scene.incidentsGone]).toEqual([9, null, [incident]]);
    expect(scene.partition.status(0)).toMatchObject({ recordsCopied: 6 });
    end.abort();
    next.ended.resolve();
    await settle();
    expect(scene.releases).toEqual([true]);
  });

  test('that has stopped for good keeps its partition, and its incident goes with it', async () => {
    const scene = newScene();
    const { term, end } = scene.term();
    void scene.partition.hold(term);
    await settle();
    const incident = { code: 'SHARD_DIVERGED' } as Incident;
    scene.last().incident = incident;
    scene.successor.resolve(null);
    scene.last().ended.resolve();
    await settle();
    expect([scene.releases, scene.partition.incident]).toEqual([[], incident]);
    end.abort();
    await settle();
    expect([scene.releases, scene.partition.incident, scene.incidentsGone]).toEqual([[true], null, [incident]]);
  });

  test('shows at the end of the mirror what it was', async () => {
    const scene = newScene();
    const { term, end } = scene.term();
    void scene.partition.hold(term);
    await settle();
    scene.last().incident = { code: 'SHARD_DIVERGED' } as Incident;
    scene.is.isStopping = true;
    end.abort();
    scene.last().ended.resolve();
    await settle();
    expect([scene.partition.incident?.code, scene.partition.position, scene.incidentsGone]).toEqual([
      'SHARD_DIVERGED',
      5,
      [],
    ]);
  });

  test('of another process is as far as the target is, and of nobody nothing is known', () => {
    const scene = newScene();
    const { partition } = scene;
    partition.measureTarget(7);
    partition.measure({ stableOffset: 9, highWatermark: 9 });
    expect([partition.position, partition.isCaughtUp]).toEqual([7, false]);
    expect(partition.status(0)).toMatchObject({ state: 'elsewhere', position: 7, lagRecords: 2, lagMs: null });
    partition.measureTarget(9);
    expect([partition.isCaughtUp, partition.status(0).lagMs]).toEqual([true, 0]);
    scene.is.hasPeers = false;
    expect([partition.position, partition.isCaughtUp]).toEqual([null, false]);
    expect(partition.status(0)).toMatchObject({ state: 'starting', position: null, lagRecords: null });
  });
});
