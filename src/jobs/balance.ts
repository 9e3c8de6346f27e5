/**
 * Which of the shards that a member has it keeps, and who gets those that are free: by weight, sticky, and the same from
 * the same. What is taken away comes free a generation later and is dealt out then, by the same rule; so it is taken only
 * if that ends in a smaller difference, and every move brings the end of moves nearer.
 *
 * A topic that is small against a member's share stays together: the messages of a group name each topic of each member.
 */
import { must } from '#util/assert.ts';
import { sortShards, topicIdOf, type ShardName } from './shard-ranges.ts';

/** Of a share: members that differ by no more are left as they are. */
export const TOLERANCE = 1 / 8;
/** Of a share: a topic that weighs no more is not divided. */
const WHOLE_TOPIC = 1 / 16;

export interface Estate {
  /** What each member has now that may have some, by member id. */
  readonly held: ReadonlyMap<string, Iterable<ShardName>>;
  /** Nobody has them. */
  readonly free: Iterable<ShardName>;
  /** Somebody has to give them up, and has not yet. */
  readonly coming: Iterable<ShardName>;
  /** Whole numbers above 0. */
  readonly weightOf: (shard: ShardName) => number;
}

export interface Portion {
  readonly kept: readonly ShardName[];
  readonly dealt: readonly ShardName[];
}

/** What moves as one. */
interface Unit {
  readonly weight: number;
  readonly shards: readonly ShardName[];
}

/** A member while it is decided. */
interface Taker {
  readonly memberId: string;
  load: number;
  /** By weight, the lightest first. */
  kept: Unit[];
}

/** By member id. Without members nobody has anything. */
export function balance({ held, free, coming, weightOf }: Estate): Map<string, Portion> {
  const all = [...held.values(), free, coming].flatMap((shards) => [...shards]);
  const share = all.reduce((sum, shard) => sum + weightOf(shard), 0) / Math.max(1, held.size);
  const unitsOf = divide(all, { wholeBelow: share * WHOLE_TOPIC, weightOf });
  const takers = [...held]
    .toSorted(([a], [b]) => (a < b ? -1 : 1))
    .map(([memberId, shards]): Taker => {
      const kept = unitsOf(shards).toSorted((a, b) => a.weight - b.weight);
      return { memberId, kept, load: kept.reduce((sum, { weight }) => sum + weight, 0) };
    });
  const dealt = deal(unitsOf(free), takers);
  deal(unitsOf(coming), takers); // what they will be
  if (spreadOf(takers) > share * TOLERANCE) takeAway(takers, share);
  return new Map(
    takers.map((taker) => [taker.memberId, { kept: shardsOf(taker.kept), dealt: shardsOf(dealt.get(taker) ?? []) }]),
  );
}

const shardsOf = (units: readonly Unit[]): ShardName[] => units.flatMap(({ shards }) => shards);

const spreadOf = (takers: readonly Taker[]): number =>
  Math.max(...takers.map(({ load }) => load)) - Math.min(...takers.map(({ load }) => load));

/** How shards become units, in the order of shards. */
function divide(
  all: readonly ShardName[],
  { wholeBelow, weightOf }: { readonly wholeBelow: number; readonly weightOf: Estate['weightOf'] },
): (shards: Iterable<ShardName>) => Unit[] {
  const topics = new Map<string, number>();
  for (const shard of all) topics.set(topicIdOf(shard), (topics.get(topicIdOf(shard)) ?? 0) + weightOf(shard));
  return (shards) => {
    const units: Unit[] = [];
    for (const [topicId, each] of Map.groupBy(sortShards(shards), topicIdOf)) {
      const isWhole = must(topics.get(topicId), 'topic') <= wholeBelow;
      if (isWhole) units.push({ weight: each.reduce((sum, shard) => sum + weightOf(shard), 0), shards: each });
      else for (const shard of each) units.push({ weight: weightOf(shard), shards: [shard] });
    }
    return units;
  };
}

/**
 * The heaviest first, each to who has least: nobody ends further above another than by the last unit that it was given.
 * Of those that weigh the same each gets a run, which takes less room in a message.
 */
function deal(units: readonly Unit[], takers: readonly Taker[]): Map<Taker, Unit[]> {
  const given = new Map(takers.map((taker): [Taker, Unit[]] => [taker, []]));
  if (takers.length === 0) return given;
  const byWeight = [...Map.groupBy(units, ({ weight }) => weight)].toSorted(([a], [b]) => b - a);
  for (const [weight, equal] of byWeight) {
    const counts = new Map(takers.map((taker) => [taker, 0]));
    for (let count = equal.length; count > 0; count--) {
      const taker = takers.reduce((least, each) => (each.load < least.load ? each : least));
      taker.load += weight;
      counts.set(taker, must(counts.get(taker), 'count') + 1);
    }
    let at = 0;
    for (const [taker, count] of counts) {
      const units = must(given.get(taker), 'units');
      for (const end = at + count; at < end; at++) units.push(must(equal[at], 'unit')); // more than a call takes arguments
    }
  }
  return given;
}

/** From who has most, and more than its share, to who has least, as long as that makes them more equal; all or nothing. */
function takeAway(takers: readonly Taker[], share: number): void {
  const givers = new Set(takers.filter(({ load }) => load > share));
  const before = takers.map(({ load, kept }) => ({ load, kept: [...kept] }));
  const taken: Unit[] = [];
  const gained = new Map(takers.map((taker) => [taker, 0]));
  for (;;) {
    const most = takers.reduce((a, b) => (b.load > a.load ? b : a));
    const least = takers.reduce((a, b) => (b.load < a.load ? b : a));
    const unit = givers.has(most) ? unitToMove(most.kept, most.load - least.load) : null;
    if (!unit) break;
    taken.push(unit);
    most.load -= unit.weight;
    least.load += unit.weight;
    gained.set(least, must(gained.get(least), 'gain') + unit.weight);
  }
  for (const taker of takers) taker.load -= gained.get(taker) ?? 0;
  deal(taken, takers); // as the next generation will
  const after = spreadOf(takers);
  const wasAt = before.map(({ load }) => load);
  if (after < Math.max(...wasAt) - Math.min(...wasAt)) return;
  for (const [index, taker] of takers.entries()) {
    const { load, kept } = must(before[index], 'member before');
    taker.load = load;
    taker.kept = kept;
  }
}

/** Taken out of `kept`, which begins with the lightest: about half of the difference at best, and less than it. */
function unitToMove(kept: Unit[], difference: number): Unit | null {
  let [low, high] = [0, kept.length];
  while (low < high) {
    const middle = (low + high) >>> 1;
    if (must(kept[middle], 'unit').weight <= difference / 2) low = middle + 1;
    else high = middle;
  }
  const index = Math.max(0, low - 1);
  const unit = kept[index];
  if (!unit || unit.weight >= difference) return null;
  kept.splice(index, 1);
  return unit;
}
