import { describe, expect, test } from 'vitest';
import { compileTopicRules, planTopics } from '#contract/topic-rules.ts';
import { createRandom } from '#util/random.ts';
import { HOPS_MAX, hopsOf, mergeHops, routeTopics, type CopyFacts, type Routes } from './provenance.ts';
import type { Hop } from './state-records.ts';

const hop = (clusterId: string, topic: string, mirror = `${clusterId}-out`): Hop => ({ clusterId, topic, mirror });

const facts = (more: Partial<CopyFacts> = {}): CopyFacts => ({
  topicId: 'id',
  claim: {
    mirrorId: '1',
    mirrorName: 'one',
    sourceTopic: 'orders',
    sourceTopicId: 's',
    targetTopicId: 'id',
    partitions: 1,
    replaces: null,
  },
  mirror: {
    name: 'one',
    sourceClusterId: 'A',
    targetClusterId: 'B',
    dataProducerId: 1,
    markerProducerId: 2,
    transactions: 'preserve',
    timestamps: 'append',
    start: { at: 'earliest' },
    createdAt: 0,
  },
  sourceTopics: [],
  isFailedOver: false,
  ...more,
});

const claimed = (more: Partial<NonNullable<CopyFacts['claim']>>): CopyFacts['claim'] => ({
  ...facts().claim!,
  ...more,
});

describe('where a topic comes from', () => {
  test('is the source of its claim, and then what that was a copy of', () => {
    expect(hopsOf(facts())).toEqual([hop('A', 'orders', 'one')]);
    const behind = hop('Z', 'raw');
    expect(hopsOf(facts({ claim: claimed({ provenance: [behind] }) }))).toEqual([hop('A', 'orders', 'one'), behind]);
  });

  test.each<[string, Partial<CopyFacts>]>([
    ['has no claim', { claim: null }],
    ['was created anew under the name that is claimed', { topicId: 'other' }],
    ['was failed over, and has writers of its own', { isFailedOver: true }],
    ['is of a mirror that nothing is recorded of', { mirror: null }],
  ])('is nowhere where it %s', (_, more) => {
    expect(hopsOf(facts(more))).toEqual([]);
  });

  test('is every topic that was merged into it', () => {
    const merged = facts({ claim: claimed({ mode: 'shared' }), sourceTopics: ['orders', 'us.orders'] });
    expect(hopsOf(merged).map(({ topic }) => topic)).toEqual(['orders', 'us.orders']);
  });

  test('is kept in bounds, the nearest first', () => {
    const many = Array.from({ length: HOPS_MAX + 5 }, (_, i) => hop('A', `t${i}`));
    expect(mergeHops([many.slice(0, 3), many])).toEqual(many.slice(0, HOPS_MAX));
  });
});

/** What a mirror to cluster `to` makes of topics of its source. */
function routed(
  topics: Readonly<Record<string, readonly Hop[]>>,
  to: string,
  rules: readonly { readonly match: string; readonly to?: string }[],
): Routes {
  const compiled = compileTopicRules(rules.map((rule) => ({ to: null, ...rule })));
  const names = Object.keys(topics).map((name) => ({ name, isInternal: false }));
  const options = { rules: compiled, targetId: to, hopsOf: (topic: string) => topics[topic] ?? [] };
  return routeTopics(planTopics(compiled, names), options);
}

const copied = ({ plan }: Routes): string[] => plan.pairs.map(({ source, target }) => `${source} → ${target}`);

describe('what is copied on', () => {
  test('is everything that does not come from the target', () => {
    const found = routed({ own: [], chained: [hop('Z', 'chained')] }, 'A', [{ match: '/.*/' }]);
    expect(copied(found)).toEqual(['chained → chained', 'own → own']);
    expect([found.cycles, found.leftOut]).toEqual([[], []]);
  });

  test('is not a topic that comes from its own target, by whatever rule and however far round', () => {
    const way = [hop('B', 'orders'), hop('A', 'orders'), hop('Z', 'raw')];
    for (const match of ['orders', '/.*/']) {
      const found = routed({ orders: way, own: [] }, 'A', [{ match }, { match: 'own' }]);
      expect(copied(found)).toEqual(['own → own']);
      expect(found.cycles).toEqual([
        { pair: { source: 'orders', target: 'orders' }, rule: 0, origin: way[1], through: way.slice(0, 2) },
      ]);
    }
  });

  test('is a copy from another topic of the target only where a rule names it exactly', () => {
    const topics = { 'east.orders': [hop('E', 'orders')], orders: [] };
    const all = routed(topics, 'E', [{ match: '/.*/', to: 'west.$0' }]);
    expect(copied(all)).toEqual(['orders → west.orders']);
    expect(all.leftOut.map(({ pair, origin }) => [pair.source, origin.topic])).toEqual([['east.orders', 'orders']]);
    const named = routed(topics, 'E', [
      { match: 'east.orders', to: 'back' },
      { match: '/.*/', to: 'west.$0' },
    ]);
    expect(copied(named)).toEqual(['east.orders → back', 'orders → west.orders']);
    expect(named.leftOut).toEqual([]);
  });

  test('is found to close a ring, in any ring and whichever of its mirrors starts last', () => {
    const seed = Date.now() % 1_000_000;
    const random = createRandom(seed);
    for (let round = 0; round < 300; round++) {
      const size = 2 + Math.floor(random.next() * 5);
      const started = Array.from({ length: size }, (_, i) => i).toSorted(() => random.next() - 0.5);
      const claims = new Map<number, readonly Hop[]>(); // by cluster: what its state topic says of the topic
      const refused = started.filter((from) => {
        const to = (from + 1) % size;
        const found = routed({ ring: claims.get(from) ?? [] }, `${to}`, [{ match: 'ring' }]);
        if (found.cycles.length > 0) return true;
        claims.set(to, mergeHops([[hop(`${from}`, 'ring')], claims.get(from) ?? []]));
        // Mirrors that run follow what their source says: as often as it takes to come round.
        for (let i = 0; i < size; i++)
          for (const [at] of claims) {
            const before = (at + size - 1) % size;
            claims.set(at, mergeHops([[hop(`${before}`, 'ring')], claims.get(before) ?? []]));
          }
        return false;
      });
      expect(refused, `seed ${seed} round ${round}: the last one, and only that`).toEqual([started.at(-1)]);
    }
  });
});
