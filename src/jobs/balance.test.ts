import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { must } from '#util/assert.ts';
import { createRandom } from '#util/random.ts';
import { balance, TOLERANCE, type Estate, type Portion } from './balance.ts';
import { levelOf, weightOfLevel } from './shard-load.ts';
import { shardName, topicIdOf, type ShardName } from './shard-ranges.ts';

const seed = Number(process.env['LOCKSTEP_SEED'] ?? Math.floor(Math.random() * 1e9));
const check = <T>(arbitrary: fc.Arbitrary<T>, predicate: (value: T) => void): void =>
  fc.assert(fc.property(arbitrary, predicate), { seed, numRuns: 300 });
console.log(`balance: seed ${seed}`);

const topicId = (topic: number): string => Buffer.alloc(16, topic + 1).toString('base64url');

/** Topics of few and of many partitions, idle, even, or with some that are far ahead; owners as they come. */
const estates = fc
  .record({
    topics: fc.array(fc.integer({ min: 1, max: 12 }), { minLength: 1, maxLength: 40 }),
    members: fc.integer({ min: 1, max: 6 }),
    levels: fc.array(fc.oneof(fc.constant(0), fc.integer({ min: 0, max: 60 })), { minLength: 1, maxLength: 97 }),
    owners: fc.array(fc.integer({ min: -2, max: 5 }), { minLength: 1, maxLength: 89 }),
  })
  .map(({ topics, members, levels, owners }): Estate => {
    const all = topics.flatMap((count, topic) => Array.from({ length: count }, (_, p) => shardName(topicId(topic), p)));
    const ownerOf = new Map(all.map((shard, at) => [shard, must(owners[at % owners.length], 'owner')]));
    const weights = new Map(all.map((shard, at) => [shard, weightOfLevel(must(levels[at % levels.length], 'level'))]));
    return {
      held: new Map(
        Array.from({ length: members }, (_, index) => [`m${index}`, all.filter((each) => ownerOf.get(each) === index)]),
      ),
      free: all.filter((shard) => ownerOf.get(shard) === -1 || must(ownerOf.get(shard), 'owner') >= members),
      coming: all.filter((shard) => ownerOf.get(shard) === -2),
      weightOf: (shard) => must(weights.get(shard), 'weight'),
    };
  });

const loadOf = ({ weightOf }: Estate, shards: Iterable<ShardName>): number =>
  [...shards].reduce((sum, shard) => sum + weightOf(shard), 0);
const allOf = ({ held, free, coming }: Estate): ShardName[] =>
  [...held.values(), free, coming].flatMap((each) => [...each]);
const shareOf = (estate: Estate): number => loadOf(estate, allOf(estate)) / estate.held.size;
const given = ({ kept, dealt }: Portion): ShardName[] => [...kept, ...dealt];

/** What is the case when everybody has done what it was told, and what was given up is free. */
function after(estate: Estate): Estate {
  const portions = balance(estate);
  const held = new Map([...portions].map(([memberId, portion]) => [memberId, given(portion)]));
  const placed = new Set([...held.values()].flat());
  return { ...estate, held, free: allOf(estate).filter((shard) => !placed.has(shard)), coming: [] };
}

function settled(estate: Estate): { readonly estate: Estate; readonly rounds: number } {
  const text = ({ held }: Estate): string => JSON.stringify([...held]);
  let now = after(estate);
  for (let rounds = 1; ; rounds++) {
    const next = after(now);
    if (text(next) === text(now) && [...now.free].length === 0) return { estate: now, rounds };
    expect(rounds, 'rounds until nothing moves').toBeLessThan(12);
    now = next;
  }
}

const loadsOf = (estate: Estate): number[] => [...estate.held.values()].map((shards) => loadOf(estate, shards));
const spread = (loads: readonly number[]): number => Math.max(...loads) - Math.min(...loads);

describe('shards are dealt out so that', () => {
  test('each stays where it is, is given up, or goes to one member; none that is free is left', () => {
    check(estates, (estate) => {
      const portions = balance(estate);
      for (const [memberId, { kept }] of portions)
        expect([...must(estate.held.get(memberId), 'held')]).toEqual(expect.arrayContaining([...kept]));
      const dealt = [...portions.values()].flatMap((portion) => portion.dealt);
      expect(dealt.toSorted()).toEqual([...estate.free].toSorted());
    });
  });

  test('after a few rounds nothing moves any more, and members differ by one unit, or by what is tolerated', () => {
    let most = 0;
    check(estates, (estate) => {
      const { estate: end, rounds } = settled(estate);
      most = Math.max(most, rounds);
      const all = allOf(end);
      const heaviest = Math.max(shareOf(end) / 16, ...all.map((shard) => end.weightOf(shard)));
      expect(spread(loadsOf(end))).toBeLessThanOrEqual(Math.max(heaviest, shareOf(end) * TOLERANCE));
    });
    console.log(`balance: settled after ${most} rounds at most`);
  });

  test('who has no more than its share keeps all of it, where nothing is to be dealt out', () => {
    check(estates, (each) => {
      const estate = { ...each, free: [], coming: [] };
      const modest = [...estate.held].filter(([, shards]) => loadOf(estate, shards) <= shareOf(estate));
      const portions = balance(estate);
      const kept = modest.map(([memberId]) => must(portions.get(memberId), 'portion').kept.length);
      expect(kept).toEqual(modest.map(([, shards]) => [...shards].length));
    });
  });

  test('the order in which members and shards are told makes no difference', () => {
    const turned = (estate: Estate): Estate => ({
      ...estate,
      held: new Map([...estate.held].toReversed().map(([memberId, shards]) => [memberId, [...shards].toReversed()])),
      free: [...estate.free].toReversed(),
      coming: [...estate.coming].toReversed(),
    });
    check(estates, (estate) => {
      expect(balance(turned(estate))).toEqual(balance(estate)); // maps have no order here
    });
  });

  test('one more member takes its share from the others, and nothing goes between those', () => {
    check(estates, (estate) => {
      const before = settled(estate).estate;
      const joined: Estate = { ...before, held: new Map([...before.held, ['new', []]]) };
      const { estate: end } = settled(joined);
      const heaviest = Math.max(...allOf(end).map((shard) => end.weightOf(shard)));
      let moved = 0;
      for (const [memberId, shards] of before.held) {
        const has = new Set(must(end.held.get(memberId), 'held'));
        moved += loadOf(
          before,
          [...shards].filter((shard) => !has.has(shard)),
        );
      }
      expect(moved).toBeLessThanOrEqual(shareOf(end) * (1 + TOLERANCE) + 2 * heaviest);
    });
  });
});

describe('of shards that cost the same', () => {
  const even = (members: number, count: number): Estate => ({
    held: new Map(Array.from({ length: members }, (_, index) => [`m${index}`, []])),
    free: Array.from({ length: count }, (_, p) => shardName(topicId(0), p)),
    coming: [],
    weightOf: () => 16,
  });

  test('each gets a run, as many as the others to within one', () => {
    const portions = [...balance(even(3, 8)).values()].map(given);
    expect(portions.map((shards) => shards.map((shard) => shard.slice(23)).join())).toEqual(['0,1,2', '3,4,5', '6,7']);
  });

  test('what one leaves is shared by the others, who keep what they have', () => {
    const before = settled(even(4, 30)).estate;
    const [gone = [], ...stay] = [...before.held.values()];
    const held = new Map(stay.map((shards, index) => [`m${index + 1}`, shards]));
    for (const state of [
      { ...before, held, free: gone, coming: [] },
      { ...before, held, free: [], coming: gone },
    ])
      for (const [memberId, { kept }] of balance(state)) expect(kept).toEqual(held.get(memberId));
  });
});

test('a topic that is small against a share stays together, one that is not is divided', () => {
  const all = Array.from({ length: 100 }, (_, topic) =>
    Array.from({ length: topic === 7 ? 40 : 4 }, (__, p) => shardName(topicId(topic), p)),
  ).flat();
  const held = new Map(['a', 'b', 'c'].map((memberId): [string, ShardName[]] => [memberId, []]));
  const weightOf = (shard: ShardName): number => (topicIdOf(shard) === topicId(7) ? 160 : 16);
  const { estate } = settled({ held, free: all, coming: [], weightOf });
  const owners = new Map<string, Set<string>>();
  for (const [memberId, shards] of estate.held)
    for (const shard of shards) owners.set(topicIdOf(shard), (owners.get(topicIdOf(shard)) ?? new Set()).add(memberId));
  expect([...owners].filter(([, { size }]) => size > 1)).toEqual([[topicId(7), new Set(['a', 'b', 'c'])]]);
});

test('what a shard copies may be a fifth more or less, and nothing moves', () => {
  const all = Array.from({ length: 240 }, (_, at) => shardName(topicId(at % 40), Math.floor(at / 40)));
  const rates = new Map(all.map((shard, at) => [shard, 20_000 * (1 + (at % 17))]));
  const held = new Map(['a', 'b', 'c', 'd'].map((memberId): [string, ShardName[]] => [memberId, []]));
  const weightBy = (factor: number) => (shard: ShardName) =>
    weightOfLevel(levelOf(must(rates.get(shard), 'rate') * factor));
  const { estate } = settled({ held, free: all, coming: [], weightOf: weightBy(1) });
  const random = createRandom(seed);
  for (let run = 0; run < 100; run++) {
    const factors = new Map(all.map((shard) => [shard, 0.8 + 0.4 * random.next()]));
    const weightOf = (shard: ShardName): number => weightBy(must(factors.get(shard), 'factor'))(shard);
    for (const [memberId, { kept }] of balance({ ...estate, weightOf }))
      expect(kept).toHaveLength([...must(estate.held.get(memberId), 'held')].length);
  }
});
